package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
)

// RestoreOptions is what an installation is restored from.
type RestoreOptions struct {
	From         string // a backup, folder, .tar or .tar.age; "" to restore from the copy alone
	Copy         string // the off-box copy; "" when there is none
	Dir          string // the new data folder
	Organisation string // its id; needed without From
	Identities   []age.Identity
	KeysDir      string // a folder that holds the folders keys and secrets, when they were kept apart
	// Logs opens the logs that the configuration of the new folder places elsewhere, by their names: what
	// they hold beyond the backup is restored too. nil when they are lost, or not to be asked.
	Logs func(ctx context.Context, dir string) (map[string]translog.Source, func() error, error)
	Now  time.Time
}

// Restored is what a restore did. It stays in the new folder until the first start has recorded it.
type Restored struct {
	At       time.Time `json:"at"`
	Backup   time.Time `json:"backup,omitzero"` // when it was taken
	Facts    int64     `json:"facts"`
	Newer    int64     `json:"newer"`  // facts of the copy that the backup did not have
	Events   int64     `json:"events"` // events that were taken from the copied log
	Leaves   uint64    `json:"leaves"` // of the event log
	Anchored int       `json:"anchored"`
	Whole    bool      `json:"whole"` // the copy was used: what was attempted is known
	Store    string    `json:"store,omitempty"`
}

// MarkName is the file by which a restored folder says that it was, until the server has taken it up.
const MarkName = "restored.json"

// ReadMark returns what a restore left in a data folder, and whether it did.
func ReadMark(dir string) (Restored, bool, error) {
	var r Restored
	raw, err := os.ReadFile(filepath.Join(dir, MarkName))
	if missing(err) {
		return r, false, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &r)
	}
	if err != nil {
		return r, false, fmt.Errorf("read %s: %w", filepath.Join(dir, MarkName), err)
	}
	return r, true, nil
}

// Unmark removes the mark once the restore is recorded. A crash before: it is recorded again.
func Unmark(dir string) error { return os.Remove(filepath.Join(dir, MarkName)) }

// Restore makes a data folder from a backup, a copy, or both. It refuses a folder that holds
// something, and a backup that was altered. What the copy has and the backup has not is added.
// installation.json comes last: a restore that was cut off is no data folder.
func Restore(ctx context.Context, o RestoreOptions) (_ Restored, err error) {
	if o.From == "" && o.Copy == "" {
		return Restored{}, errors.New("name a backup, a copy, or both")
	}
	if err := empty(o.Dir); err != nil {
		return Restored{}, err
	}
	r := Restored{At: o.Now.UTC(), Whole: o.Copy != ""}
	defer func() {
		if err != nil { // the folder was empty, and is again
			err = errors.Join(err, clear(o.Dir))
		}
	}()
	m, identity, err := place(ctx, o)
	if err != nil {
		return r, err
	}
	r.Backup, r.Store = m.Created, m.Store
	if m.Store == "postgres" {
		return r, errors.New("the facts of this installation are in PostgreSQL: restore the database with pg_restore, this folder by copying the backup's files, and the keys beside them")
	}
	keys, err := keyring.Open(filepath.Join(o.Dir, "keys"))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	if _, text, kerr := keys.Verifier(m.Organisation + "/facts"); kerr != nil || m.FactsKey != "" && text != m.FactsKey {
		return r, errors.Join(kerr, errors.New("the keys are not those of this backup, or its manifest was signed by somebody else"))
	}
	elsewhere := map[string]translog.Source{}
	if o.Logs != nil {
		found, done, err := o.Logs(ctx, o.Dir)
		if err != nil {
			return r, fmt.Errorf("the logs that are kept elsewhere: %w", err)
		}
		defer func() { _ = done() }() // they were only read
		elsewhere = found
	}
	for _, name := range []string{"facts", "events"} {
		if err := log(ctx, o, keys, m.Organisation+"/"+name, name, elsewhere[name]); err != nil {
			return r, err
		}
	}
	if err := facts(ctx, o, keys, m.Organisation+"/facts", &r); err != nil {
		return r, err
	}
	if err := events(ctx, o, keys, m.Organisation+"/events", &r); err != nil {
		return r, err
	}
	mark, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	if err := Folder(o.Dir).Write(ctx, MarkName, mark); err != nil {
		return r, err
	}
	return r, Folder(o.Dir).Write(ctx, "installation.json", identity)
}

func clear(dir string) error {
	list, err := os.ReadDir(dir)
	for _, e := range list {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// place puts the files of backup and copy where they belong, with the keys. It returns
// installation.json, which is written last.
func place(ctx context.Context, o RestoreOptions) (m Manifest, identity []byte, err error) {
	if o.From != "" {
		m, err = fromBackup(ctx, o)
	} else {
		m.Organisation = o.Organisation
		err = fromCopy(ctx, o)
	}
	if err != nil {
		return m, nil, err
	}
	path := filepath.Join(o.Dir, "installation.json")
	if identity, err = os.ReadFile(path); err != nil {
		return m, nil, err
	}
	if err := os.Remove(path); err != nil {
		return m, nil, err
	}
	if o.From != "" && o.Copy != "" {
		other, err := Folder(o.Copy).Read(ctx, copiedFolder+"installation.json")
		if err != nil || string(other) != string(identity) {
			return m, nil, errors.Join(err, errors.New("the copy is of another installation than the backup"))
		}
	}
	// The newer keys: what the copy holds is sealed with them too.
	for _, dir := range []string{o.Copy, o.Dir} {
		if dir == "" {
			continue
		}
		sealed, err := Folder(dir).Read(ctx, sealedKeys)
		if missing(err) {
			continue
		}
		if err == nil {
			err = unpackKeys(sealed, o.Dir, o.Identities)
		}
		if err != nil {
			return m, nil, err
		}
		_ = os.Remove(filepath.Join(o.Dir, sealedKeys)) // it may be the copy's
		return m, identity, nil
	}
	if o.KeysDir == "" {
		return m, nil, errors.New("the keys are not in it: name the folder that holds keys and secrets (--keys DIR)")
	}
	for _, name := range []string{"keys", "secrets"} {
		from := filepath.Join(o.KeysDir, name)
		if _, err := os.Stat(from); name == "secrets" && missing(err) {
			continue
		}
		if err := os.CopyFS(filepath.Join(o.Dir, name), os.DirFS(from)); err != nil {
			return m, nil, fmt.Errorf("--keys: %w", err)
		}
		if err := private(filepath.Join(o.Dir, name)); err != nil {
			return m, nil, err
		}
	}
	return m, identity, nil
}

// private closes a folder of keys to others, whatever the copy of it was open to.
func private(dir string) error {
	list, err := os.ReadDir(dir)
	err = errors.Join(err, os.Chmod(dir, 0o700))
	for _, e := range list {
		if e.Type().IsRegular() {
			err = errors.Join(err, os.Chmod(filepath.Join(dir, e.Name()), 0o600))
		}
	}
	return err
}

func fromBackup(ctx context.Context, o RestoreOptions) (_ Manifest, err error) {
	if Sealed(o.From) {
		away, err := os.MkdirTemp(filepath.Dir(filepath.Clean(o.Dir)), ".restore-*") // mode 0700, on the disk that will hold it anyway
		if err != nil {
			return Manifest{}, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(away)) }()
		if o.From, err = unseal(o.From, away, o.Identities); err != nil {
			return Manifest{}, err
		}
	}
	info, err := os.Stat(o.From)
	if err != nil {
		return Manifest{}, err
	}
	if info.IsDir() {
		// Checked where it lies, then copied, then checked again as it was copied.
		if _, err := Check(ctx, o.From); err != nil {
			return Manifest{}, err
		}
		if err := os.CopyFS(o.Dir, os.DirFS(o.From)); err != nil {
			return Manifest{}, err
		}
	} else if err := unpackTar(o.From, o.Dir); err != nil {
		return Manifest{}, err
	}
	m, err := Check(ctx, o.Dir)
	if err != nil {
		return m, err
	}
	if !info.IsDir() {
		if err := sameTar(o.From, o.Dir, m); err != nil {
			return m, err
		}
	}
	return m, os.Remove(filepath.Join(o.Dir, manifestName))
}

// fromCopy takes configuration and policies from a copy.
func fromCopy(ctx context.Context, o RestoreOptions) error {
	from := filepath.Join(o.Copy, filepath.FromSlash(copiedFolder))
	names, err := small(from)
	if err != nil {
		return err
	}
	if !slices.Contains(names, "installation.json") {
		return fmt.Errorf("%s holds no copy", o.Copy)
	}
	for _, name := range names {
		body, err := Folder(from).Read(ctx, name)
		if err == nil {
			err = Folder(o.Dir).Write(ctx, name, body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// log brings a log of the new folder up to the copy's and to what is elsewhere, verifies it whole and
// adopts it. It stays in the folder: whoever keeps it elsewhere moves it there.
func log(ctx context.Context, o RestoreOptions, keys *keyring.Ring, origin, name string, elsewhere translog.Source) error {
	key, _, err := keys.Verifier(origin)
	if err != nil {
		return err
	}
	dir := filepath.Join(o.Dir, "log", name)
	var gone []translog.Range
	if name == "events" {
		if gone, err = removed(ctx, o.Dir); err != nil {
			return err
		}
	}
	if o.Copy != "" {
		if err := extend(ctx, Folder(filepath.Join(o.Copy, "log", name)), dir, key, gone); err != nil {
			return fmt.Errorf("the copy: %w", err)
		}
	}
	if elsewhere != nil {
		if err := extend(ctx, elsewhere, dir, key, gone); err != nil {
			return fmt.Errorf("the %s log that is kept elsewhere: %w", name, err)
		}
	}
	done, err := translog.Verify(ctx, Folder(dir), key, gone...)
	if err != nil {
		return err
	}
	return translog.Adopt(dir, done)
}

// extend copies what a copy of a log has beyond another. A copy that is behind has nothing to add.
func extend(ctx context.Context, from translog.Source, to string, key note.Verifier, gone []translog.Range) error {
	newer, err := translog.Verify(ctx, from, key, gone...)
	if err != nil {
		return err
	}
	have, err := translog.Verify(ctx, Folder(to), key, gone...)
	if err != nil && !missing(err) {
		return err
	}
	if have.Size > newer.Size {
		return nil
	}
	_, err = translog.Copy(ctx, from, Folder(to), key, gone...)
	return err
}

// facts adds the facts of the copy, checks all of them against their chains and their log, and lets
// the log catch up with what the database says is in it.
func facts(ctx context.Context, o RestoreOptions, keys *keyring.Ring, origin string, r *Restored) (err error) {
	store, err := sqlite.Open(filepath.Join(o.Dir, "tocsin.db"), sqlite.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if o.Copy != "" {
		if err := importFacts(ctx, o, keys, store, r); err != nil {
			return err
		}
	}
	signer, err := keys.Signer(origin)
	if err != nil {
		return err
	}
	log, err := translog.Open(ctx, filepath.Join(o.Dir, "log", "facts"), signer, translog.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	size, err := log.Size(ctx)
	if err != nil {
		return err
	}
	leaves := make([][]byte, 0, size)
	if err := log.Leaves(ctx, 0, size, func(_ uint64, data []byte) error {
		leaves = append(leaves, slices.Clone(data))
		return nil
	}); err != nil {
		return err
	}
	// Facts enter their log in the order of their positions: the log follows from the facts.
	var lacking [][]byte
	err = each(ctx, store, func(rec ledger.Record) error {
		r.Facts = rec.Seq
		leaf := ledger.LeafData(rec.ID, rec.Hash)
		at := rec.Seq - 1
		switch {
		case rec.Anchor >= 0 && rec.Anchor != at:
			return fmt.Errorf("fact %s is said to be leaf %d of its log, and is fact %d", rec.ID, rec.Anchor, rec.Seq)
		case at < int64(len(leaves)):
			if string(leaves[at]) != string(leaf) {
				return fmt.Errorf("fact %d (%s) is not the one in the log: it was altered", rec.Seq, rec.ID)
			}
		case rec.Anchor >= 0:
			lacking = append(lacking, leaf)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if int64(len(leaves)) > r.Facts {
		return fmt.Errorf("the facts log holds %d facts and the database %d: restore with the off-box copy too (--copy)", len(leaves), r.Facts)
	}
	r.Anchored = len(lacking)
	if len(lacking) == 0 {
		return nil
	}
	_, err = log.AppendMany(ctx, lacking)
	return err
}

// each calls fn with every fact in order, after its chain was checked up to it.
func each(ctx context.Context, store ledger.Store, fn func(ledger.Record) error) error {
	return store.View(ctx, func(reader ledger.Reader) error {
		for after := ""; ; {
			heads, err := reader.Heads(after, 500)
			if err != nil {
				return err
			}
			if len(heads) == 0 {
				break
			}
			for _, h := range heads {
				after = h.Chain
				var chain []ledger.Record
				for n := 0; ; n = len(chain) {
					list, err := reader.Records(h.Chain, n, 0)
					if err != nil {
						return err
					}
					if len(list) == 0 {
						break
					}
					chain = append(chain, list...)
				}
				if err := ledger.VerifyChain(chain); err != nil {
					return err
				}
			}
		}
		for after := int64(0); ; {
			list, err := reader.RecordsSince(after, 0)
			if err != nil || len(list) == 0 {
				return err
			}
			for i := range list {
				after = list[i].Seq
				if err := fn(list[i]); err != nil {
					return err
				}
			}
		}
	})
}

// importFacts appends the facts of the copy that the database has not, and its merchants.
func importFacts(ctx context.Context, o RestoreOptions, keys *keyring.Ring, store ledger.Store, r *Restored) error {
	from := Folder(o.Copy)
	raw, err := from.Read(ctx, headName)
	var h head
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil {
		return fmt.Errorf("the copy: read its head: %w", err)
	}
	have := map[string]int{} // facts of a chain
	last := int64(0)
	err = store.View(ctx, func(reader ledger.Reader) error {
		for {
			list, err := reader.RecordsSince(last, 0)
			if err != nil || len(list) == 0 {
				return err
			}
			for i := range list {
				have[list[i].Chain], last = list[i].N, list[i].Seq
			}
		}
	})
	if err != nil {
		return err
	}
	for index := last / perBundle; index*perBundle < h.Seq; index++ {
		list, err := readBundle(ctx, from, index)
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(rec ledger.Record) bool { return rec.Seq <= last })
		if len(list) == 0 {
			continue
		}
		err = store.Update(ctx, func(tx ledger.Tx) error {
			at := map[string]int{}
			for _, rec := range list {
				seq, expect := rec.Seq, at[rec.Chain]
				if expect == 0 {
					expect = have[rec.Chain]
				}
				one := []ledger.Record{rec}
				if err := tx.Append(rec.Chain, expect, one); err != nil {
					return fmt.Errorf("the copy: fact %d: %w", seq, err)
				}
				if one[0].Seq != seq {
					return fmt.Errorf("the copy: fact %d would be fact %d: one is missing between", seq, one[0].Seq)
				}
				at[rec.Chain] = rec.N
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, rec := range list {
			have[rec.Chain], last = rec.N, rec.Seq
			r.Newer++
		}
	}
	if last < h.Seq {
		return fmt.Errorf("the copy: it says that it goes to fact %d and ends with %d", h.Seq, last)
	}
	return importMerchants(ctx, from, keys, store)
}

func importMerchants(ctx context.Context, from Folder, keys *keyring.Ring, store ledger.Store) error {
	sealed, err := from.Read(ctx, merchantsName)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	aead, err := directoryCipher(keys)
	if err != nil {
		return err
	}
	bad := errors.New("the copy: " + merchantsName + " was altered, or its key is not among the keys")
	if len(sealed) < aead.NonceSize() {
		return bad
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(merchantsName))
	if err != nil {
		return bad
	}
	var all []ledger.Merchant
	if err := json.Unmarshal(plain, &all); err != nil {
		return bad
	}
	for list := range slices.Chunk(all, 1000) {
		if err := store.Update(ctx, func(tx ledger.Tx) error { return tx.PutMerchants(list) }); err != nil {
			return err
		}
	}
	return nil
}

// events puts into the spool what the event log holds and the table has not.
func events(ctx context.Context, o RestoreOptions, keys *keyring.Ring, origin string, r *Restored) (err error) {
	signer, err := keys.Signer(origin)
	if err != nil {
		return err
	}
	log, err := translog.Open(ctx, filepath.Join(o.Dir, "log", "events"), signer, translog.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if r.Leaves, err = log.Size(ctx); err != nil {
		return err
	}
	r.Events, err = accesslog.Refill(ctx, accesslog.Options{Dir: o.Dir, Keys: keys, Log: log, Now: func() time.Time { return o.Now }})
	return err
}

// Identities reads age identities from a file, one a line.
func Identities(file string) ([]age.Identity, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := age.ParseIdentities(f)
	if err != nil {
		return nil, errors.New(strings.TrimSpace("there is no age identity in " + file))
	}
	return list, nil
}
