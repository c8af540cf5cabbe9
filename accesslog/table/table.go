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
)

const (
	keepSnapshots = 50 // for readers of other programs that hold one; views of this process pin what they need
	keepFor       = time.Hour
	retryAfter    = time.Second
	quietFor      = 20 * time.Second // without a new row, after which a day is merged to one file
)

// Options is what a table stands on.
type Options struct {
	Dir       string        // its folder
	Origin    string        // name of the event log it is made from
	FlushRows int           // rows in memory at which a file is written; default 64 Ki
	FlushAge  time.Duration // protocol time a row stays in memory only; default 5 s
	ReadOnly  bool          // nothing is written
	Erased    []Tombstone   // what it leaves out; see Erase
	Logger    *slog.Logger  // default: nothing is logged

	place place // default: Dir
}

// Table is open in one process at a time for writing. It is safe for use by several goroutines.
type Table struct {
	o   Options
	log *slog.Logger
	at  place

	// flushes is held by the one that writes rows to files, merges by the one that puts a file in the
	// place of several, commits while files change: commits after either, and before mu.
	flushes sync.Mutex
	merges  sync.Mutex
	commits sync.Mutex

	mu     sync.Mutex
	cond   *sync.Cond
	meta   *metadata
	tail   []Row // in order of Seq, not in a file yet; only ever appended to or replaced
	upTo   int64 // position of the newest event taken, tail included
	since  time.Time
	grown  time.Time
	epoch  int64 // counts Reset
	number int64 // of the next file
	tombs  *Tombstones
	erased int64 // counts calls of Erase that changed the tail
	pins   map[string]int
	doomed map[string]bool
	anew   string // why it was begun anew
	closed bool

	wake   chan struct{}
	tidy   chan struct{}
	damage chan error
	cancel context.CancelFunc
	work   sync.WaitGroup
}

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
	t := &Table{o: o, log: o.Logger, pins: map[string]int{}, doomed: map[string]bool{}, wake: make(chan struct{}, 1), tidy: make(chan struct{}, 1), damage: make(chan error, 1), grown: time.Now()}
	t.cond, t.tombs = sync.NewCond(&t.mu), NewTombstones(o.Erased)
	if t.at = o.place; t.at == nil {
		t.at = folder{o.Dir}
	}
	m, err := load(t.at, o.Origin)
	if err == nil {
		err = m.stands(t.at)
	}
	switch {
	case err == nil:
	case o.ReadOnly:
		return nil, err
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errDamaged):
		m = nil
	default:
		t.anew = err.Error()
		m = nil
	}
	if m != nil {
		follows := t.tombs.followed(m.Properties[erasedProperty])
		for i := range m.files() {
			m.files()[i].follows = follows
		}
	}
	if o.ReadOnly {
		t.meta, t.upTo = m, m.index()
		return t, nil
	}
	if m == nil {
		if m, err = begin(o.Dir, t.at, o.Origin); err != nil {
			return nil, err
		}
	} else if err := sweep(o.Dir, t.at, m); err != nil {
		return nil, err
	}
	if here, err := t.at.url(); err != nil {
		return nil, err
	} else if m.Location != here {
		// The data folder was moved. The next commit names every file by its new place.
		m.Location = here
		m.Snapshots, m.SnapshotLog, m.filesOf = nil, nil, map[int64][]File{m.Current: m.files()}
	}
	t.meta, t.upTo, t.number = m, m.index(), m.number<<20
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	t.work.Go(func() { t.flushLoop(ctx) })
	t.work.Go(func() { t.mergeLoop(ctx) })
	if t.tombs.Len() > 0 {
		nudge(t.tidy)
	}
	return t, nil
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

// Anew says why Open or Reset began with an empty table; "" when there was nothing wrong.
func (t *Table) Anew() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.anew
}

// UpTo is the position of the newest event that was taken, in a file or in memory.
func (t *Table) UpTo() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.upTo
}

// Indexed is the position up to which events stand in files.
func (t *Table) Indexed() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.meta.index()
}

var errClosed = errors.New("table: closed")

// Append takes the events of the positions after one and up to another: rows in order of Seq. A
// position without a row is one that the table leaves out. What it has already it does not take
// again; what would leave a gap, because the table was begun anew meanwhile, it does not take at
// all. It waits while too much is in memory only.
func (t *Table) Append(ctx context.Context, after int64, rows []Row, upTo int64) error {
	stop := context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.cond.Broadcast()
	})
	defer stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.tail) >= 2*t.o.FlushRows && ctx.Err() == nil && !t.closed {
		t.cond.Wait()
	}
	if t.closed {
		return errClosed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if after > t.upTo {
		return nil
	}
	for len(rows) > 0 && rows[0].Seq <= t.upTo {
		rows = rows[1:]
	}
	if len(t.tail) == 0 {
		t.since = time.Now()
	}
	began := len(t.tail)
	if t.tombs.Len() == 0 {
		t.tail = append(t.tail, rows...)
	} else {
		for _, r := range rows {
			if t.tombs.row(&r, 0) {
				t.tail = append(t.tail, r)
			}
		}
	}
	t.upTo = max(t.upTo, upTo)
	t.grown = time.Now()
	if len(t.tail) >= t.o.FlushRows || began == 0 {
		nudge(t.wake)
	}
	return nil
}

func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// View is the table at one instant. Its files stay until Release.
type View struct {
	t     *Table
	Files []File
	Tail  []Row // newer than all files; not to be changed
	UpTo  int64
	tombs *Tombstones
	lent  []func() // to be called when its files are not read any more
}

// View returns the table as it is now.
func (t *Table) View() *View {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Between a commit and the end of Flush rows stand in both.
	tail, _ := slices.BinarySearchFunc(t.tail, t.meta.index()+1, func(r Row, seq int64) int { return cmp.Compare(r.Seq, seq) })
	v := &View{t: t, Files: t.meta.files(), Tail: t.tail[tail:len(t.tail):len(t.tail)], UpTo: t.upTo, tombs: t.tombs}
	for i := range v.Files {
		t.pins[v.Files[i].Name]++
	}
	return v
}

// Release lets go of the files. The view must not be used after it.
func (v *View) Release() {
	for _, done := range v.lent {
		done()
	}
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	for i := range v.Files {
		name := v.Files[i].Name
		if v.t.pins[name]--; v.t.pins[name] > 0 {
			continue
		}
		delete(v.t.pins, name)
		if v.t.doomed[name] {
			delete(v.t.doomed, name)
			v.t.remove(name)
		}
	}
}

// Each calls fn with every row, in no order. fn must not keep the row. An error of reading a file
// is reported to Damage.
func (v *View) Each(fn func(*Row) error) error {
	for i := range v.Files {
		f := &v.Files[i]
		if err := f.rows(v.t.at, v.unerased(f, fn)); err != nil {
			v.t.Report(err)
			return err
		}
	}
	for i := range v.Tail {
		if err := fn(&v.Tail[i]); err != nil {
			return err
		}
	}
	return nil
}

// remove takes a file away that no snapshot needs; mu is held. One that stays is swept at the next
// start.
func (t *Table) remove(name string) {
	if t.pins[name] > 0 {
		t.doomed[name] = true
		return
	}
	if err := t.at.remove(name); err != nil {
		t.log.Warn("an expired file of the table was not removed", "error", err)
	}
}

// commit puts a new set of files in the place of the current one, with the position up to which
// they hold the log, in one step. change is given the current files and must not alter them.
func (t *Table) commit(epoch, index int64, operation string, change func([]File) ([]File, error)) error {
	t.commits.Lock()
	defer t.commits.Unlock()
	t.mu.Lock()
	m, now, tombs := t.meta, t.epoch, t.tombs
	t.mu.Unlock()
	if now != epoch {
		return nil // the table was begun anew meanwhile: the files belong to none
	}
	files, err := change(slices.Clone(m.files()))
	if err != nil {
		return err
	}
	next := m.next(files, max(index, m.index()), time.Now(), operation)
	next.follow(tombs)
	expired := next.expire(next.expires(tombs, m.Properties[erasedProperty]))
	if err := next.write(t.at); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.meta = next
	for _, name := range expired {
		t.remove(name)
	}
	t.remove("metadata/" + metadataName(next.number-keepSnapshots))
	return nil
}

// flushLoop writes what is in memory to files until ctx is done.
func (t *Table) flushLoop(ctx context.Context) {
	age := time.NewTimer(t.o.FlushAge)
	defer age.Stop()
	for {
		t.mu.Lock()
		n, since := len(t.tail), t.since
		t.mu.Unlock()
		wait := t.o.FlushAge
		if n > 0 {
			wait = t.o.FlushAge - time.Since(since)
		}
		if n >= t.o.FlushRows || n > 0 && wait <= 0 {
			err := t.Flush()
			if err == nil {
				continue
			}
			t.log.Error("events were not written to files of the table", "error", err)
			wait = retryAfter
			age.Reset(wait)
			select {
			case <-age.C:
			case <-ctx.Done():
				return
			}
			continue
		}
		age.Reset(wait)
		select {
		case <-age.C:
		case <-t.wake:
		case <-ctx.Done():
			return
		}
	}
}

// Flush writes what is in memory to files, one for each day, and commits them. A crash before the
// commit: the files belong to nothing and the next start takes the events from the log again.
func (t *Table) Flush() error {
	t.flushes.Lock()
	defer t.flushes.Unlock()
	t.mu.Lock()
	rows, index, epoch, tombs, erased := t.tail, t.upTo, t.epoch, t.tombs, t.erased
	current := t.meta.index()
	t.mu.Unlock()
	if t.o.ReadOnly || index <= current {
		return nil
	}
	byDay := map[int32][]*Row{}
	for i := range rows {
		byDay[rows[i].day()] = append(byDay[rows[i].day()], &rows[i])
	}
	err := t.commit(epoch, index, "append", func(files []File) ([]File, error) {
		for _, list := range byDay {
			sortRows(list)
			f, err := writeFile(t.o.Dir, t.at, list, fastCodec, t.nextNumber())
			if err != nil {
				return nil, fmt.Errorf("table: write a file: %w", err)
			}
			f.follows = tombs.Len()
			files = append(files, f)
		}
		return files, nil
	})
	if err != nil {
		return err
	}
	t.mu.Lock()
	if t.epoch == epoch {
		rest := t.tail[min(len(rows), len(t.tail)):]
		if t.erased != erased { // the tail was made anew meanwhile, and may have fewer rows of those that were written
			rest = slices.DeleteFunc(slices.Clone(t.tail), func(r Row) bool { return r.Seq <= index })
		}
		t.tail = append(make([]Row, 0, max(len(t.tail), 1024)), rest...)
		t.since = time.Now()
	}
	t.cond.Broadcast()
	t.mu.Unlock()
	nudge(t.tidy)
	return nil
}

func (t *Table) nextNumber() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.number++
	return t.number
}

// Verify reads every file and compares it with the digest in its name.
func (t *Table) Verify(ctx context.Context) error {
	v := t.View()
	defer v.Release()
	for i := range v.Files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := v.Files[i].verify(t.at); err != nil {
			return err
		}
	}
	return nil
}

// Damage tells of files that were found to be damaged or missing: the owner begins the table anew.
func (t *Table) Damage() <-chan error { return t.damage }

// Report passes an error of reading on to Damage when it is one of the files'.
func (t *Table) Report(err error) {
	if Damaged(err) {
		select {
		case t.damage <- err:
		default:
		}
	}
}

// Damaged says whether an error means that the table has to be made again.
func Damaged(err error) bool { return errors.Is(err, errDamaged) }

// Reset begins anew with an empty table.
func (t *Table) Reset(why string) error {
	t.commits.Lock()
	defer t.commits.Unlock()
	m, err := begin(t.o.Dir, t.at, t.o.Origin)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.meta, t.tail, t.upTo, t.anew = m, nil, 0, why
	t.epoch++
	t.cond.Broadcast()
	return nil
}

// Bytes is what the files weigh, and how many rows they hold.
func (t *Table) Bytes() (size, rows int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.meta.files() {
		size += f.Size
	}
	return size, sumRows(t.meta.files())
}

// Close writes what is in memory and ends. It may be called twice.
func (t *Table) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.cond.Broadcast()
	t.mu.Unlock()
	if t.cancel == nil {
		return nil
	}
	t.cancel()
	t.work.Wait()
	return t.Flush()
}
