package table

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
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

	// Pause is called now and then while files are merged in the background, with how long that worked since
	// it was called last. It may wait a while, for others to go first. Default: nothing waits.
	Pause func(ctx context.Context, worked time.Duration)

	// Bucket is where the files are, when not in Dir: then Dir holds copies of those that were written or
	// read last, Cache bytes of them (default 10 GiB) and beyond that those which a question reads.
	Bucket Bucket
	Cache  int64

	place place // default: Dir, or Bucket
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
	tail   tail  // not in a file yet
	upTo   int64 // position of the newest event taken, tail included
	since  time.Time
	grown  time.Time
	epoch  int64 // counts Reset
	number int64 // of the next file
	tombs  *Tombstones
	pins   map[string]int
	doomed map[string]bool
	anew   string // why it was begun anew
	closed bool
	away   error // while the object store did not answer since the start
	stuck  error // why the newest try to write files failed, when it does not answer

	writer string // names this process in the metadata
	wake   chan struct{}
	tidy   chan struct{}
	damage chan error
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// Anew says why Open or Reset began with an empty table; "" when there was nothing wrong.
func (t *Table) Anew() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.anew
}

// Trouble says why the object store of the table did not answer when it was last asked; nil when it did.
func (t *Table) Trouble() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return cmp.Or(t.away, t.stuck)
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
	for t.tail.len() >= 2*t.o.FlushRows && ctx.Err() == nil && !t.closed && t.stuck == nil {
		t.cond.Wait()
	}
	if t.closed {
		return errClosed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if t.away != nil || t.stuck != nil && t.tail.len() >= 2*t.o.FlushRows {
		// Nobody waits for it.
		return fmt.Errorf("%w; it falls behind and catches up later", cmp.Or(t.away, t.stuck))
	}
	if after > t.upTo {
		return nil
	}
	for len(rows) > 0 && rows[0].Seq <= t.upTo {
		rows = rows[1:]
	}
	began := t.tail.len()
	if began == 0 {
		t.since = time.Now()
	}
	for i := range rows {
		if t.tombs.Len() == 0 {
			t.tail.add(&rows[i])
		} else if r := rows[i]; t.tombs.row(&r, 0) {
			t.tail.add(&r)
		}
	}
	t.upTo = max(t.upTo, upTo)
	t.grown = time.Now()
	if began == 0 || t.tail.len() >= t.o.FlushRows {
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

// unneeded are those of files that no snapshot needs which no view reads either; the others go when the
// last view lets go of them. mu is held.
func (t *Table) unneeded(names []string) (now []string) {
	for _, name := range names {
		if t.pins[name] > 0 {
			t.doomed[name] = true
		} else {
			now = append(now, name)
		}
	}
	return now
}

// discard takes files away. mu is not held: an object store may take its time. One that stays is swept at
// the next start.
func (t *Table) discard(names []string) {
	for _, name := range names {
		if err := t.at.remove(name); err != nil {
			t.log.Warn("an expired file of the table was not removed", "error", err)
		}
	}
}

// commit puts a new set of files in the place of the current one, with the position up to which
// they hold the log, in one step. change is given the current files and must not alter them.
func (t *Table) commit(epoch, index int64, operation string, change func([]File) ([]File, error)) error {
	t.commits.Lock()
	defer t.commits.Unlock()
	t.mu.Lock()
	m, now, tombs, away := t.meta, t.epoch, t.tombs, t.away
	t.mu.Unlock()
	if away != nil {
		return away // what is there is not known
	}
	if now != epoch {
		return nil // the table was begun anew meanwhile: the files belong to none
	}
	files, err := change(slices.Clone(m.files()))
	if err != nil {
		return err
	}
	next := m.next(files, max(index, m.index()), time.Now(), operation)
	next.follow(tombs)
	keep, after := next.expires(tombs, m.Properties[erasedProperty])
	if operation == dropped {
		keep, after = 1, time.Now().Add(time.Hour)
	}
	expired := next.expire(keep, after)
	if err := next.write(t.at); errors.Is(err, fs.ErrExist) {
		return t.adopt(next.number)
	} else if err != nil {
		return err
	}
	t.mu.Lock()
	t.meta = next
	gone := t.unneeded(append(expired, "metadata/"+metadataName(next.number-keepSnapshots)))
	t.mu.Unlock()
	t.discard(gone)
	return nil
}

// adopt goes on from a commit of this process whose answer was lost: it was made, and what was to be
// committed now is done again on top of it. commits is held. A commit of anybody else ends here: the
// table has one writer.
func (t *Table) adopt(number int64) error {
	m, err := load(t.at, t.o.Origin)
	if err != nil {
		return err
	}
	if m.number != number || m.Properties[writerProperty] != t.writer {
		return errors.New("table: another process writes to it: give each installation its own place")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	m.followed(t.tombs)
	t.meta = m
	t.tail = t.tail.after(m.index())
	return errAdopted
}

var errAdopted = errors.New("table: a commit whose answer was lost had been made: going on from it")

// flushLoop writes what is in memory to files until ctx is done.
func (t *Table) flushLoop(ctx context.Context) {
	age := time.NewTimer(t.o.FlushAge)
	defer age.Stop()
	for {
		t.mu.Lock()
		n, since := t.tail.len(), t.since
		t.mu.Unlock()
		wait := t.o.FlushAge
		if n > 0 {
			wait = t.o.FlushAge - time.Since(since)
		}
		if n >= t.o.FlushRows || n > 0 && wait <= 0 {
			err := t.Flush()
			t.mu.Lock()
			if t.stuck = nil; Away(err) {
				t.stuck = err
			}
			t.cond.Broadcast()
			t.mu.Unlock()
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
	rows, index, epoch, tombs := slices.Clone(t.tail), t.upTo, t.epoch, t.tombs
	current := t.meta.index()
	t.mu.Unlock()
	if t.o.ReadOnly || index <= current {
		return nil
	}
	byDay := map[int32][]*Row{}
	for r := range rows.all() {
		byDay[r.day()] = append(byDay[r.day()], r)
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
		t.tail = t.tail.after(index)
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
	if _, ok := t.at.(*remote); ok {
		return nil // each copy is compared before it is read
	}
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
func Damaged(err error) bool { return errors.Is(err, errDamaged) && !Away(err) }

// Reset begins anew with an empty table.
func (t *Table) Reset(why string) error {
	t.commits.Lock()
	defer t.commits.Unlock()
	m, err := begin(t.o.Dir, t.at, t.o.Origin)
	if err != nil {
		return err
	}
	m.Properties[writerProperty] = t.writer
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
