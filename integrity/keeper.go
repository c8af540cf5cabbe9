package integrity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
)

// ErrUnknown says that there is no source of a name.
var ErrUnknown = errors.New("there is no such source")

// ErrNoBaseline says that nobody has approved a state of a source yet.
var ErrNoBaseline = errors.New("no baseline is recorded")

// ErrApproved says that another state was approved than the one that is meant.
var ErrApproved = errors.New("another state was approved since this was planned: plan it again")

// Keeper knows the sources, and what of each was approved.
type Keeper struct {
	Sources map[string]Source
	Store   Store
	// Approved is the newest approval of a source by the facts; false when there is none.
	Approved func(ctx context.Context, name string) (Approval, bool, error)

	// busy is held while sources are read or written: no look finds half a restore.
	busy sync.Mutex
}

// Names lists the sources, sorted.
func (k *Keeper) Names() []string { return slices.Sorted(maps.Keys(k.Sources)) }

// Finding is what one look at a source found.
type Finding struct {
	Source   string   `json:"source"`
	Approval Approval `json:"approval"`
	Found    string   `json:"found"` // digest of the manifest as found
	Files    int64    `json:"files"` // found
	Changes  []Change `json:"changes"`
}

// read reads a source and lists it.
func (k *Keeper) read(ctx context.Context, name string) ([]Entry, Manifest, error) {
	src := k.Sources[name]
	if src == nil {
		return nil, Manifest{}, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	entries, err := src.Read(ctx)
	if err != nil {
		return nil, Manifest{}, err
	}
	m, err := ManifestOf(entries)
	return entries, m, err
}

// keep keeps bytes until the manifest that names them is kept too. A crash on the way leaves bytes
// that nothing names, and never a manifest whose bytes are missing.
func (k *Keeper) keep(entries []Entry, m Manifest) error {
	for _, e := range entries {
		if _, _, err := k.Store.Put(bytes.NewReader(e.Bytes)); err != nil {
			return fmt.Errorf("keeping %s: %w", e.Path, err)
		}
	}
	_, _, err := k.Store.Put(bytes.NewReader(m.Encode()))
	return err
}

// Take keeps the present state of a source whole, so that a fact may approve it.
func (k *Keeper) Take(ctx context.Context, name string) (Manifest, error) {
	k.busy.Lock()
	defer k.busy.Unlock()
	entries, m, err := k.read(ctx, name)
	if err != nil {
		return m, err
	}
	if len(m.Files) == 0 {
		return m, errors.New("there are no files to approve: look at its place, include and exclude")
	}
	for _, f := range m.Files {
		if f.Link {
			return m, fmt.Errorf("%s is a symbolic link, and only files can be approved: leave it out with exclude", f.Path)
		}
	}
	return m, k.keep(entries, m)
}

// Look compares a source with what was approved. Of what changed the bytes are kept.
func (k *Keeper) Look(ctx context.Context, name string) (Finding, error) {
	f, _, err := k.Evidence(ctx, name)
	return f, err
}

func (k *Keeper) look(ctx context.Context, name string) (Finding, []Entry, error) {
	f := Finding{Source: name}
	if k.Sources[name] == nil {
		return f, nil, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	a, ok, err := k.Approved(ctx, name)
	if err != nil {
		return f, nil, err
	}
	if !ok {
		return f, nil, ErrNoBaseline
	}
	f.Approval = a
	entries, found, err := k.read(ctx, name)
	if err != nil {
		return f, nil, err
	}
	f.Found, f.Files = found.Digest(), int64(len(found.Files))
	if f.Found == a.Digest {
		return f, nil, nil
	}
	approved, err := k.Manifest(a.Digest)
	if err != nil {
		return f, nil, err
	}
	f.Changes = Compare(approved, found)
	var changed []Entry
	for _, c := range f.Changes {
		if c.After != nil {
			i := slices.IndexFunc(entries, func(e Entry) bool { return e.Path == c.Path })
			changed = append(changed, entries[i])
		}
	}
	return f, changed, k.keep(changed, found)
}

// Manifest is a manifest that was kept, by its digest.
func (k *Keeper) Manifest(digest string) (Manifest, error) {
	var m Manifest
	raw, err := k.Store.Get(digest)
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("the manifest %s is gone from the data folder: put the folder baselines back from a copy", digest)
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("the manifest %s cannot be read: %w", digest, err)
	}
	return m, nil
}

// Whole says whether everything of a state is kept, each file by its digest: what is not cannot be put
// back.
func (k *Keeper) Whole(digest string) error {
	m, err := k.Manifest(digest)
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		switch raw, err := k.Store.Get(f.Digest); {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s is gone", f.Path)
		case err != nil:
			return fmt.Errorf("%s: %w", f.Path, err)
		case Digest(raw) != f.Digest:
			return fmt.Errorf("%s was altered", f.Path)
		}
	}
	return nil
}

// Show compares two states that were kept, with a diff of each file. At most `most` files are shown
// with one.
func (k *Keeper) Show(approved, found string, most int) ([]Shown, error) {
	before, err := k.Manifest(approved)
	if err != nil {
		return nil, err
	}
	after, err := k.Manifest(found)
	if err != nil {
		return nil, err
	}
	var out []Shown
	for i, c := range Compare(before, after) {
		if i >= most {
			out = append(out, Shown{Change: c, Cut: true})
			continue
		}
		was, err := k.bytesOf(c.Before)
		now, err2 := k.bytesOf(c.After)
		if err := errors.Join(err, err2); errors.Is(err, fs.ErrNotExist) {
			out = append(out, Shown{Change: c, Gone: true})
			continue
		} else if err != nil {
			return nil, err
		}
		out = append(out, show(c, was, now))
	}
	return out, nil
}

func (k *Keeper) bytesOf(f *File) ([]byte, error) {
	if f == nil {
		return nil, nil
	}
	return k.Store.Get(f.Digest)
}

// Evidence returns the files that a restore would overwrite or remove, as they are now.
func (k *Keeper) Evidence(ctx context.Context, name string) (Finding, []Entry, error) {
	k.busy.Lock()
	defer k.busy.Unlock()
	return k.look(ctx, name)
}

// Restore puts what was approved back: it looks, writes what is missing or changed, and removes what
// was added. Doing it twice does it once: the second look finds nothing. approved is the state that is
// meant; when another was approved since, nothing is written. Empty: the newest.
func (k *Keeper) Restore(ctx context.Context, name, approved string) (Finding, error) {
	k.busy.Lock()
	defer k.busy.Unlock()
	f, _, err := k.look(ctx, name)
	if err == nil && approved != "" && approved != f.Approval.Digest {
		err = ErrApproved
	}
	if err != nil || len(f.Changes) == 0 {
		return f, err
	}
	var put []Entry
	var remove []string
	for _, c := range f.Changes {
		if c.Before == nil {
			remove = append(remove, c.Path)
			continue
		}
		raw, err := k.Store.Get(c.Before.Digest)
		if err != nil {
			return f, fmt.Errorf("the approved %s is not kept whole: %w", c.Path, err)
		}
		put = append(put, Entry{Path: c.Path, Bytes: raw})
	}
	return f, k.Sources[name].Write(ctx, put, remove)
}
