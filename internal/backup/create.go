package backup

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/translog"
)

// manifestName is the signed list of what a backup holds.
const manifestName = "manifest"

const manifestForm = "tocsin-backup/1"

// Manifest says what a backup holds. It is signed with the key of the facts log.
type Manifest struct {
	Form         string    `json:"form"`
	Installation string    `json:"installation"`
	Organisation string    `json:"organisation"`
	Engine       string    `json:"engine"` // version of the program
	Created      time.Time `json:"created"`
	Store        string    `json:"store"`      // sqlite, or postgres: then the facts are not in it
	FactsLog     uint64    `json:"facts_log"`  // leaves
	EventsLog    uint64    `json:"events_log"` // leaves
	FactsKey     string    `json:"facts_key"`
	EventsKey    string    `json:"events_key"`
	Keys         string    `json:"keys"` // in words: encrypted, or left out
	Files        []File    `json:"files"`
}

// File is one file of a backup.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// CreateOptions is what a backup is made of.
type CreateOptions struct {
	Dir          string          // data folder; a server may be running on it
	To           string          // a folder that is not there or empty, or a file that ends with .tar, or with .tar.age: then all of it is encrypted
	Facts        translog.Source // the logs, when they are not in the data folder
	Events       translog.Source
	Installation string
	Organisation string // its id: it names the logs
	Engine       string
	Recipients   []age.Recipient // keys and secrets are encrypted to them; none: left out
	Now          time.Time
	Work         string // a folder on this machine where an encrypted archive is put together; Dir when absent
}

// Create takes a backup and verifies what was written. It reads the folder beside a running server:
// the parts are taken in such an order that each holds what the later ones rest on, and Restore
// brings them to one state.
//
// Of the facts the log is pinned first: each leaf then has its fact in the database, and facts that
// were anchored since are appended again, which gives the same leaves. Of the events the spool is
// read before and after the table, so that what the table has not taken is in it whatever was
// released meanwhile, and the log is pinned between: its leaves hold nothing the spool lacks.
func Create(ctx context.Context, o CreateOptions) (_ Manifest, err error) {
	dir := o.To
	sealed := Sealed(o.To)
	archived := sealed || strings.HasSuffix(o.To, ".tar")
	if sealed && len(o.Recipients) == 0 {
		return Manifest{}, fmt.Errorf("%s is to be encrypted and nobody is named who can open it: give a recipient", o.To)
	}
	if archived {
		if _, err := os.Lstat(o.To); err == nil {
			return Manifest{}, fmt.Errorf("%s is there already: nothing was changed", o.To)
		}
		beside := filepath.Dir(o.To)
		if sealed { // what is in the clear stays where it is in the clear anyway
			beside = cmp.Or(o.Work, o.Dir)
		}
		if dir, err = os.MkdirTemp(beside, ".backup-*"); err != nil {
			return Manifest{}, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else if err := empty(dir); err != nil {
		return Manifest{}, err
	}
	keys, err := keyring.Open(filepath.Join(o.Dir, "keys"))
	if err != nil {
		return Manifest{}, err
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	m := Manifest{Form: manifestForm, Installation: o.Installation, Organisation: o.Organisation, Engine: o.Engine, Created: o.Now.UTC(), Store: "sqlite",
		Keys: "left out: without the folders keys and secrets of the data folder nothing that is sealed in this backup can be read"}
	factsKey, factsText, err := keys.Verifier(o.Organisation + "/facts")
	if err != nil {
		return m, err
	}
	eventsKey, eventsText, err := keys.Verifier(o.Organisation + "/events")
	if err != nil {
		return m, err
	}
	m.FactsKey, m.EventsKey = factsText, eventsText
	if _, err := os.Stat(filepath.Join(o.Dir, "store")); err == nil {
		m.Store = "postgres"
	}
	if err := collect(ctx, o, dir, &m, factsKey, eventsKey); err != nil {
		return m, fmt.Errorf("backup: %w", err)
	}
	if m.Files, err = digests(dir); err != nil {
		return m, err
	}
	signer, err := keys.Signer(o.Organisation + "/facts")
	if err != nil {
		return m, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	signed, err := note.Sign(&note.Note{Text: string(text) + "\n"}, signer)
	if err != nil {
		return m, err
	}
	// The manifest is written last: a crash before leaves what Restore refuses as no backup.
	if err := Folder(dir).Write(ctx, manifestName, signed); err != nil {
		return m, err
	}
	if _, err := Check(ctx, dir); err != nil {
		return m, fmt.Errorf("the backup that was written does not verify: %w", err)
	}
	if archived {
		if err := writeTar(dir, o.To, m, o.Recipients); err != nil {
			return m, err
		}
	}
	return m, nil
}

// collect puts the parts into dir, in the order that Create explains.
func collect(ctx context.Context, o CreateOptions, dir string, m *Manifest, factsKey, eventsKey note.Verifier) error {
	if o.Facts == nil {
		o.Facts = Folder(filepath.Join(o.Dir, "log", "facts"))
	}
	if o.Events == nil {
		o.Events = Folder(filepath.Join(o.Dir, "log", "events"))
	}
	facts, err := pin(ctx, o.Facts)
	if err != nil {
		return err
	}
	if m.Store == "sqlite" {
		if err := snapshot(ctx, filepath.Join(o.Dir, "tocsin.db"), filepath.Join(dir, "tocsin.db")); err != nil {
			return err
		}
	}
	copied, err := translog.Copy(ctx, facts, Folder(filepath.Join(dir, "log", "facts")), factsKey)
	if err != nil {
		return err
	}
	m.FactsLog = copied.Size
	if err := copySpool(ctx, o.Dir, dir); err != nil {
		return err
	}
	if err := snapshot(ctx, filepath.Join(o.Dir, "events.db"), filepath.Join(dir, "events.db")); err != nil {
		return err
	}
	events, err := pin(ctx, o.Events)
	if err != nil {
		return err
	}
	if err := copySpool(ctx, o.Dir, dir); err != nil {
		return err
	}
	gone, err := removed(ctx, dir) // as the copied database says
	if err != nil {
		return err
	}
	if copied, err = translog.Copy(ctx, events, Folder(filepath.Join(dir, "log", "events")), eventsKey, gone...); err != nil {
		return err
	}
	m.EventsLog = copied.Size
	names, err := small(o.Dir)
	if err != nil {
		return err
	}
	for _, name := range append(names, "store") {
		body, err := os.ReadFile(filepath.Join(o.Dir, filepath.FromSlash(name)))
		if missing(err) {
			continue
		}
		if err == nil {
			err = Folder(dir).Write(ctx, name, body)
		}
		if err != nil {
			return err
		}
	}
	if len(o.Recipients) == 0 {
		return nil
	}
	// Last: whatever a part is sealed with was made before it.
	sealed, err := packKeys(ctx, o.Dir, o.Recipients)
	if err != nil {
		return err
	}
	m.Keys = fmt.Sprintf("encrypted with age to %d recipients", len(o.Recipients))
	if len(o.Recipients) == 1 {
		m.Keys = "encrypted with age to 1 recipient"
	}
	return Folder(dir).Write(ctx, sealedKeys, sealed)
}

// copySpool copies the segments of the spool. One that grows while it is read may end with a torn
// record, which its reader drops; one that was copied before is copied again when it has grown.
func copySpool(ctx context.Context, from, to string) error {
	names, err := filepath.Glob(filepath.Join(from, "spool", "*"))
	if err != nil {
		return err
	}
	for _, path := range names {
		body, err := os.ReadFile(path)
		if missing(err) {
			continue // released meanwhile
		}
		if err == nil {
			err = Folder(to).Write(ctx, "spool/"+filepath.Base(path), body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// empty makes a folder, and refuses one that holds something.
func empty(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil && !missing(err) {
		return err
	}
	if len(list) > 0 {
		return fmt.Errorf("%s is not empty: nothing was changed", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// digests lists the files of a folder but for the manifest, in order.
func digests(dir string) (list []File, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == manifestName {
			return err
		}
		if !d.Type().IsRegular() {
			list = append(list, File{Name: filepath.ToSlash(name)})
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		n, err := io.Copy(h, f)
		list = append(list, File{filepath.ToSlash(name), n, hex.EncodeToString(h.Sum(nil))})
		return err
	})
	slices.SortFunc(list, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// AlteredError names everything that is not as the manifest says.
type AlteredError struct{ Files []string }

func (e *AlteredError) Error() string {
	return fmt.Sprintf("the backup was altered in %d places:\n%s", len(e.Files), strings.Join(e.Files, "\n"))
}

// readManifest reads the manifest of a folder and checks its signature with the key it names. That
// this key is the installation's own is checked when the keys are there.
func readManifest(dir string) (Manifest, error) {
	var m Manifest
	raw, err := os.ReadFile(filepath.Join(dir, manifestName))
	if missing(err) {
		return m, fmt.Errorf("%s is no backup, or one that was not finished: it has no manifest", dir)
	}
	if err != nil {
		return m, err
	}
	altered := &AlteredError{[]string{manifestName + ": is not what was signed"}}
	text, _, _ := strings.Cut(string(raw), "\n")
	if json.Unmarshal([]byte(text), &m) != nil || m.Form != manifestForm {
		return m, altered
	}
	key, err := note.NewVerifier(m.FactsKey)
	if err != nil || key.Name() != m.Organisation+"/facts" {
		return m, altered
	}
	n, err := note.Open(raw, note.VerifierList(key))
	if err != nil || n.Text != text+"\n" || len(n.UnverifiedSigs) > 0 || string(raw) != text+"\n\n"+signatureLines(raw) {
		return m, altered
	}
	return m, nil
}

// signatureLines is what follows the blank line of a note.
func signatureLines(raw []byte) string {
	_, after, _ := strings.Cut(string(raw), "\n\n")
	return after
}

// Check verifies a backup in a folder: each file against the manifest, and both logs whole.
func Check(ctx context.Context, dir string) (Manifest, error) {
	m, err := readManifest(dir)
	if err != nil {
		return m, err
	}
	have, err := digests(dir)
	if err != nil {
		return m, err
	}
	found := map[string]File{}
	for _, f := range have {
		found[f.Name] = f
	}
	var wrong []string
	for _, f := range m.Files {
		switch got, ok := found[f.Name]; {
		case !ok:
			wrong = append(wrong, f.Name+": is missing")
		case got != f:
			wrong = append(wrong, f.Name+": was changed")
		}
		delete(found, f.Name)
	}
	for name := range found {
		wrong = append(wrong, name+": was added")
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return m, &AlteredError{wrong}
	}
	for name, text := range map[string]string{"facts": m.FactsKey, "events": m.EventsKey} {
		key, err := note.NewVerifier(text)
		if err != nil {
			return m, err
		}
		var gone []translog.Range
		if name == "events" {
			if gone, err = removed(ctx, dir); err != nil {
				return m, err
			}
		}
		if _, err := translog.Verify(ctx, Folder(filepath.Join(dir, "log", name)), key, gone...); err != nil {
			return m, err
		}
	}
	return m, nil
}
