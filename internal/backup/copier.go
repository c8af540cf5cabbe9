package backup

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
)

// What a copy is made of.
const (
	headName      = "facts/head"       // how far the facts go; written last
	merchantsName = "merchants.sealed" // the directory, under a key of the ring
	copiedFolder  = "folder/"          // configuration and policies
	perBundle     = 256                // facts in a file
)

// CopyOptions is what a copy is kept of.
type CopyOptions struct {
	Place        translog.Place
	Dir          string // data folder
	Installation string // its id: a place holds the copy of one
	Store        ledger.Store
	Keys         ledger.Keys
	Facts        translog.Source
	Events       translog.Source
	FactsKey     note.Verifier
	EventsKey    note.Verifier
	Recipients   []age.Recipient // keys are copied when there are some
	Log          *slog.Logger
}

// Copier keeps a copy. It is safe for use by several goroutines; one Run at a time.
type Copier struct {
	o CopyOptions

	mu      sync.Mutex
	status  Status
	begun   int           // passes
	done    int           // the newest pass that succeeded
	changed chan struct{} // closed and renewed after every pass
	more    chan struct{}

	seen map[string][32]byte // small files as they were copied; of the goroutine of Run
	keys string              // what the key files looked like when they were copied
	head head
	read bool // head was read
}

type head struct {
	Installation string `json:"installation"`
	Seq          int64  `json:"seq"`
	ID           string `json:"id"`
}

// Status says how far a copy goes and what it lacks.
type Status struct {
	Facts    int64     `json:"facts"`        // facts in the copy
	Events   uint64    `json:"events"`       // leaves of the event log in it
	Behind   int64     `json:"facts_behind"` // facts that were not there when the last pass ended
	Copied   time.Time `json:"copied,omitzero"`
	Keys     bool      `json:"keys"` // keys are copied too, encrypted
	Failing  string    `json:"failing,omitempty"`
	FailedAt time.Time `json:"failed_at,omitzero"`
}

// NewCopier returns a copier. Nothing is copied until Run or Pass.
func NewCopier(o CopyOptions) *Copier {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Copier{o: o, seen: map[string][32]byte{}, changed: make(chan struct{}), more: make(chan struct{}, 1)}
}

// Nudge tells that something may have to be copied. It does not block.
func (c *Copier) Nudge() {
	select {
	case c.more <- struct{}{}:
	default:
	}
}

// Status says how far the copy goes.
func (c *Copier) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// The rhythm of a copy: at once after a nudge, at least every copyEvery, and after a failure again
// in copyRetry.
const (
	copyEvery = 2 * time.Second
	copyRetry = 5 * time.Second
)

// Run copies until ctx is done. A place that is away is said once and tried again; nothing waits
// for it but Sync.
func (c *Copier) Run(ctx context.Context) {
	failing := false
	for {
		err := c.Pass(ctx)
		wait := copyEvery
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				c.o.Log.Error("the off-box copy does not go on", "error", err)
			}
			wait = copyRetry
		case failing:
			c.o.Log.Info("the off-box copy goes on again")
		}
		failing = err != nil
		c.tell()
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-c.more:
			timer.Stop()
		}
	}
}

// lastPass bounds what a server that stops waits for its copy.
const lastPass = 10 * time.Second

// Last copies what the end of a server has left. It is called when nothing else writes any more.
func (c *Copier) Last() {
	ctx, cancel := context.WithTimeout(context.Background(), lastPass)
	defer cancel()
	if err := c.Pass(ctx); err != nil {
		c.o.Log.Error("the off-box copy lacks what came last", "error", err)
	}
	c.tell()
}

// statusName is the file of the data folder that says how far the copy goes, for tocsin doctor.
const statusName = "copy.json"

// tell writes the status down. It is news only: a crash loses nothing with it.
func (c *Copier) tell() {
	raw, err := json.Marshal(c.Status())
	if err == nil {
		err = os.WriteFile(filepath.Join(c.o.Dir, statusName), raw, 0o600)
	}
	if err != nil {
		c.o.Log.Warn("how far the off-box copy goes could not be written down", "error", err)
	}
}

// ReadStatus returns what the copier of a data folder wrote last; fs.ErrNotExist when none did.
func ReadStatus(dir string) (s Status, err error) {
	raw, err := os.ReadFile(filepath.Join(dir, statusName))
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	return s, err
}

// Sync waits until a pass that began after the call has succeeded. When it returns without error,
// every fact that was durable before the call is in the copy.
func (c *Copier) Sync(ctx context.Context) error {
	c.mu.Lock()
	want := c.begun + 1
	c.mu.Unlock()
	for {
		c.Nudge()
		c.mu.Lock()
		done, failing, changed := c.done, c.status.Failing, c.changed
		c.mu.Unlock()
		if done >= want {
			return nil
		}
		if failing != "" {
			return errors.New("backup: the off-box copy does not go on: " + failing)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("backup: wait for the off-box copy: %w", ctx.Err())
		case <-changed:
		}
	}
}

// Pass copies what is not in the copy yet. Each part is written before what depends on it: keys
// before the facts they open, facts before the leaves that name them. A crash leaves a copy that can
// be restored from.
func (c *Copier) Pass(ctx context.Context) error {
	c.mu.Lock()
	c.begun++
	number := c.begun
	c.mu.Unlock()
	status, err := c.pass(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.done = number
		status.Copied, status.Keys = time.Now().UTC(), len(c.o.Recipients) > 0
		c.status = status
	} else if ctx.Err() == nil {
		c.status.Failing, c.status.FailedAt = err.Error(), time.Now().UTC()
		c.read = false
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return err
}

func (c *Copier) pass(ctx context.Context) (Status, error) {
	if !c.read {
		if err := c.readHead(ctx); err != nil {
			return Status{}, err
		}
	}
	facts, err := pin(ctx, c.o.Facts)
	if err != nil {
		return Status{}, err
	}
	events, err := pin(ctx, c.o.Events)
	if err != nil {
		return Status{}, err
	}
	records, err := c.newer(ctx)
	if err != nil {
		return Status{}, err
	}
	if _, err := directoryCipher(c.o.Keys); err != nil { // its key is made before the keys are copied
		return Status{}, err
	}
	if err := c.copyKeys(ctx); err != nil {
		return Status{}, err
	}
	if err := c.copyFolder(ctx); err != nil {
		return Status{}, err
	}
	if err := c.copyMerchants(ctx, records); err != nil {
		return Status{}, err
	}
	if err := c.copyFacts(ctx, records); err != nil {
		return Status{}, err
	}
	if _, err := translog.Copy(ctx, facts, under{c.o.Place, "log/facts/"}, c.o.FactsKey); err != nil {
		return Status{}, err
	}
	gone, err := removed(ctx, c.o.Dir)
	if err != nil {
		return Status{}, err
	}
	e, err := translog.Copy(ctx, events, under{c.o.Place, "log/events/"}, c.o.EventsKey, gone...)
	if err != nil {
		return Status{}, err
	}
	more, err := c.newer(ctx)
	return Status{Facts: c.head.Seq, Events: e.Size, Behind: int64(len(more))}, err
}

// readHead finds how far the copy goes, and refuses a place that holds something else.
func (c *Copier) readHead(ctx context.Context) error {
	raw, err := c.o.Place.Read(ctx, headName)
	if missing(err) {
		c.head, c.read = head{Installation: c.o.Installation}, true
		return nil
	}
	var h head
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil {
		return fmt.Errorf("backup: read the head of the copy: %w", err)
	}
	if h.Installation != c.o.Installation {
		return errors.New("backup: the place holds the copy of another installation: give each its own")
	}
	if h.Seq > 0 {
		var same bool
		err := c.o.Store.View(ctx, func(r ledger.Reader) error {
			list, err := r.RecordsSince(h.Seq-1, 1)
			same = len(list) == 1 && list[0].Seq == h.Seq && list[0].ID == h.ID
			return err
		})
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("backup: the copy holds fact %d, which this installation does not have: it was restored from something older. Restore again with this copy (tocsin restore --copy), or give it another place", h.Seq)
		}
	}
	c.head, c.read = h, true
	return nil
}

func (c *Copier) newer(ctx context.Context) (list []ledger.Record, err error) {
	err = c.o.Store.View(ctx, func(r ledger.Reader) error {
		list, err = r.RecordsSince(c.head.Seq, ledger.MaxRows)
		return err
	})
	return list, err
}

func bundleName(index int64) string { return fmt.Sprintf("facts/%012d", index) }

// copyFacts writes the bundles that grew and then the head.
func (c *Copier) copyFacts(ctx context.Context, records []ledger.Record) error {
	for len(records) > 0 {
		index := (records[0].Seq - 1) / perBundle
		var body []byte
		if first := index*perBundle + 1; records[0].Seq > first {
			have, err := readBundle(ctx, c.o.Place, index)
			if err != nil {
				return err
			}
			// A crash before the head was written has left some of these facts in the bundle.
			for i := range have {
				if have[i].Seq < records[0].Seq {
					body = append(body, encodeRecord(&have[i])...)
				}
			}
		}
		n := 0
		for n < len(records) && (records[n].Seq-1)/perBundle == index {
			body = append(body, encodeRecord(&records[n])...)
			n++
		}
		if err := c.o.Place.Write(ctx, bundleName(index), body); err != nil {
			return err
		}
		last := records[n-1]
		next := head{Installation: c.o.Installation, Seq: last.Seq, ID: last.ID}
		raw, err := json.Marshal(next)
		if err != nil {
			return err
		}
		if err := c.o.Place.Write(ctx, headName, raw); err != nil {
			return err
		}
		c.head, records = next, records[n:]
	}
	return nil
}

// encodeRecord is a line of a bundle. Where the fact is anchored is left out: the log says it.
func encodeRecord(r *ledger.Record) []byte {
	line := *r
	line.Anchor = -1
	raw, err := json.Marshal(line)
	if err != nil {
		panic("backup: a record is plain data: " + err.Error())
	}
	return append(raw, '\n')
}

// readBundle reads a file of facts.
func readBundle(ctx context.Context, at translog.Source, index int64) ([]ledger.Record, error) {
	raw, err := at.Read(ctx, bundleName(index))
	if err != nil {
		return nil, fmt.Errorf("backup: read the copied facts: %w", err)
	}
	var out []ledger.Record
	for line := range bytes.Lines(raw) {
		var r ledger.Record
		if err := json.Unmarshal(line, &r); err != nil || r.Seq != index*perBundle+1+int64(len(out)) {
			return nil, fmt.Errorf("backup: %s was altered at line %d", bundleName(index), len(out)+1)
		}
		out = append(out, r)
	}
	return out, nil
}

// copyKeys encrypts the keys again when their files have changed.
func (c *Copier) copyKeys(ctx context.Context) error {
	if len(c.o.Recipients) == 0 {
		return nil
	}
	var now bytes.Buffer
	for _, folder := range []string{"keys", "secrets"} {
		err := filepath.WalkDir(filepath.Join(c.o.Dir, folder), func(path string, d fs.DirEntry, err error) error {
			if missing(err) {
				return nil
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if missing(err) {
				return nil // a journal that has ended
			}
			if err == nil {
				fmt.Fprintln(&now, path, info.Size(), info.ModTime().UnixNano())
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("backup: look at the keys: %w", err)
		}
	}
	if now.String() == c.keys {
		return nil
	}
	sealed, err := packKeys(ctx, c.o.Dir, c.o.Recipients)
	if err != nil {
		return err
	}
	if err := c.o.Place.Write(ctx, sealedKeys, sealed); err != nil {
		return err
	}
	c.keys = now.String()
	return nil
}

// small are the files of a data folder that people write or attach as evidence, and what says which
// folder it is. An attached file is there before the fact that names it.
func small(dir string) (names []string, err error) {
	for _, root := range []string{"tocsin.yaml", "installation.json", "policies", attached, baselines} {
		err = errors.Join(err, filepath.WalkDir(filepath.Join(dir, root), func(path string, d fs.DirEntry, err error) error {
			if missing(err) {
				return nil
			}
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			name, err := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(name))
			return err
		}))
	}
	return names, err
}

// attached is the folder of files kept as evidence: sealed, each under its digest, and never changed.
const attached = "attachments"

// baselines is the folder of files as they were approved: kept in the same way.
const baselines = "baselines"

func (c *Copier) copyFolder(ctx context.Context) error {
	names, err := small(c.o.Dir)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	for _, name := range names {
		if _, copied := c.seen[name]; copied && (strings.HasPrefix(name, attached+"/") || strings.HasPrefix(name, baselines+"/")) {
			continue
		}
		body, err := os.ReadFile(filepath.Join(c.o.Dir, filepath.FromSlash(name)))
		if missing(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("backup: %w", err)
		}
		sum := sha256.Sum256(body)
		if c.seen[name] == sum {
			continue
		}
		if err := c.o.Place.Write(ctx, copiedFolder+name, body); err != nil {
			return err
		}
		c.seen[name] = sum
	}
	return nil
}

// copyMerchants seals the directory when it was imported, and at the first pass: whom to write to is
// in no fact.
func (c *Copier) copyMerchants(ctx context.Context, records []ledger.Record) error {
	_, have := c.seen[merchantsName]
	for i := range records {
		have = have && records[i].Kind != "merchants.imported"
	}
	if have {
		return nil
	}
	var all []ledger.Merchant
	err := c.o.Store.View(ctx, func(r ledger.Reader) error {
		for after := ""; ; {
			list, err := r.Merchants(after, 1000)
			if err != nil || len(list) == 0 {
				return err
			}
			all = append(all, list...)
			after = list[len(list)-1].ID
		}
	})
	if err != nil {
		return err
	}
	plain, err := json.Marshal(all)
	if err != nil {
		return err
	}
	aead, err := directoryCipher(c.o.Keys)
	if err != nil {
		return err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	if err := c.o.Place.Write(ctx, merchantsName, aead.Seal(nonce, nonce, plain, []byte(merchantsName))); err != nil {
		return err
	}
	c.seen[merchantsName] = sha256.Sum256(plain)
	return nil
}

func directoryCipher(keys ledger.Keys) (cipher.AEAD, error) {
	key, err := keys.Key("copy", "merchants")
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
