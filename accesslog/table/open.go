package table

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Open opens the table in a folder. One that is missing, damaged or of another log is begun anew,
// empty: UpTo says from where on it has to be filled, and Anew why.
func Open(o Options) (*Table, error) {
	if o.FlushRows <= 0 {
		o.FlushRows = 64 << 10
	}
	if o.FlushAge <= 0 {
		o.FlushAge = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t := &Table{o: o, log: o.Logger, pins: map[string]int{}, doomed: map[string]bool{}, wake: make(chan struct{}, 1), tidy: make(chan struct{}, 1), damage: make(chan error, 1), grown: time.Now(), writer: uuid.NewString()}
	t.cond, t.tombs = sync.NewCond(&t.mu), NewTombstones(o.Erased)
	switch {
	case o.place != nil:
		t.at = o.place
	case o.Bucket != nil:
		t.at = newRemote(o.Bucket, o.Dir, o.Cache)
	default:
		t.at = folder{o.Dir}
	}
	err := t.find()
	if err != nil && !(Away(err) && !o.ReadOnly) {
		return nil, err
	}
	if t.o.ReadOnly {
		return t, nil
	}
	if reason := err; reason != nil {
		// It is filled once the store answers; until then it is empty, and questions are answered from the log.
		if t.meta, err = newMetadata(o.Bucket.URL(), o.Origin); err != nil {
			return nil, err
		}
		t.away = reason
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	t.work.Go(func() {
		if t.reach(ctx) {
			t.flushLoop(ctx)
		}
	})
	t.work.Go(func() { t.mergeLoop(ctx) })
	if t.tombs.Len() > 0 {
		nudge(t.tidy)
	}
	return t, nil
}

// reach waits for the object store when it did not answer at the start, and says whether it does.
func (t *Table) reach(ctx context.Context) bool {
	for {
		t.mu.Lock()
		away := t.away != nil
		t.mu.Unlock()
		if !away {
			return true
		}
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return false
		}
		t.commits.Lock()
		err := t.find()
		t.commits.Unlock()
		switch {
		case err == nil:
			t.log.Info("the object store of the table answers again")
		case Away(err):
			t.mu.Lock()
			t.away = err
			t.mu.Unlock()
		default:
			t.log.Error("the table is not opened", "error", err)
		}
	}
}

// find opens what is there, or begins anew. commits is held, or nobody else knows of the table yet.
func (t *Table) find() error {
	o := t.o
	m, err := load(t.at, o.Origin)
	if err == nil {
		err = m.stands(t.at)
	}
	anew := ""
	switch {
	case err == nil:
	case o.ReadOnly, Away(err):
		return err
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errDamaged):
		m = nil
	default:
		anew = err.Error()
		m = nil
	}
	if m != nil {
		m.followed(t.tombs)
	}
	if o.ReadOnly {
		t.meta, t.upTo = m, m.index()
		return nil
	}
	if m == nil {
		if m, err = begin(o.Dir, t.at, o.Origin); err != nil {
			return err
		}
	} else if err := sweep(o.Dir, t.at, m); err != nil {
		return err
	}
	if here, err := t.at.url(); err != nil {
		return err
	} else if m.Location != here {
		// The data folder was moved. The next commit names every file by its new place.
		m.Location = here
		m.Snapshots, m.SnapshotLog, m.filesOf = nil, nil, map[int64][]File{m.Current: m.files()}
	}
	m.Properties[writerProperty] = t.writer
	t.mu.Lock()
	defer t.mu.Unlock()
	t.meta, t.upTo, t.number, t.away, t.anew = m, m.index(), m.number<<20, nil, anew
	t.cond.Broadcast()
	return nil
}

// stands checks at little cost that the files of the newest snapshot are there.
func (m *metadata) stands(p place) error {
	if len(m.files()) == 0 {
		return nil
	}
	have, err := p.list("data")
	if err != nil {
		return fmt.Errorf("table: data %w: %w", errDamaged, err)
	}
	for _, f := range m.files() {
		if err := f.stands(p, have); err != nil {
			return err
		}
	}
	return nil
}

// begin makes an empty table in the place of whatever is there, metadata first. A crash here: the next
// Open finds no metadata, or some without its files, and begins again.
func begin(dir string, p place, origin string) (*metadata, error) {
	for _, name := range []string{"metadata", "data", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("table: begin anew: %w", err)
		}
	}
	here, err := p.url()
	if err != nil {
		return nil, err
	}
	m, err := newMetadata(here, origin)
	if err != nil {
		return nil, err
	}
	return m, sweep(dir, p, m)
}

// sweep removes what the current snapshot does not need: files of commits that did not come about,
// and of snapshots that only readers of the last process could have held. Metadata go oldest first, so
// that what a crash leaves is never taken for the newest.
func sweep(dir string, p place, m *metadata) error {
	keep := map[string]bool{"metadata/" + hintName: m.number > 0, "metadata/" + metadataName(m.number): true}
	for _, name := range m.manifestOf[m.Current] {
		keep[name] = true
	}
	for _, f := range m.files() {
		keep[f.Name] = true
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "tmp")), os.MkdirAll(filepath.Join(dir, "tmp"), 0o700)); err != nil {
		return fmt.Errorf("table: %w", err)
	}
	if p, ok := p.(*remote); ok {
		if err := p.only(keep); err != nil {
			return fmt.Errorf("table: clear: %w", err)
		}
	}
	for _, below := range []string{"metadata", "data"} {
		have, err := p.list(below)
		if err != nil {
			return fmt.Errorf("table: clear: %w", err)
		}
		names := slices.SortedFunc(maps.Keys(have), func(a, b string) int {
			x, _ := metadataNumber(path.Base(a))
			y, _ := metadataNumber(path.Base(b))
			return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
		})
		for _, name := range names {
			if keep[name] {
				continue
			}
			if err := p.remove(name); err != nil {
				return fmt.Errorf("table: clear: %w", err)
			}
		}
	}
	return nil
}
