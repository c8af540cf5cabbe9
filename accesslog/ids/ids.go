// Package ids remembers which events came, by id, for longer than memory holds them: an index on
// the disk from the id of an event and its source to its position and the minute in which it came.
//
// It is derived. It says itself up to which position it is whole; what is missing after a crash, or
// all of it when it is damaged, is made again from the log by its owner. Runs of ids are sorted in
// memory and handed to Pebble as finished tables, which costs a third of writing them one by one.
package ids

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	idLen     = 12       // bytes of the hash of an id
	sourceLen = 4        // bytes of the hash of its source
	cacheSize = 16 << 20 // before it stands the filter, and behind it the system's own cache of files
	runName   = "run.new"
	markName  = "anew" // says that what is here is damaged
)

// positionKey is before every key of an event, which is longer.
var positionKey = []byte{0}

// Key is what an event is found by: cut SHA-256 of its id and of its source.
type Key [idLen + sourceLen]byte

// SourceOf is the part of a key that all events of a source share.
func SourceOf(source string) [sourceLen]byte {
	sum := sha256.Sum256([]byte(source))
	return [sourceLen]byte(sum[:sourceLen])
}

// KeyOf is the key of an event of a source.
func KeyOf(source [sourceLen]byte, id string) Key {
	var k Key
	sum := sha256.Sum256([]byte(id))
	copy(k[:], sum[:idLen])
	copy(k[idLen:], source[:])
	return k
}

// Entry is one event.
type Entry struct {
	Key    Key
	Seq    uint64
	Minute uint32 // since 1970, in which it came
}

// Options tune an index.
type Options struct {
	Run  int    // entries held in memory at which they are written; default 128 Ki
	Part int    // entries in one of the four parts of the filter in memory; default 16 Mi
	FS   vfs.FS // where runs are written; tests give one that fails
}

// Index is safe for use by several goroutines; one adds at a time.
type Index struct {
	dir  string
	run  int
	part int
	fs   vfs.FS
	db   *pebble.DB
	how  *pebble.Options

	use  sync.RWMutex // held for writing while another database takes the place of db
	runs sync.Mutex   // held by the one that hands a run to the database

	mu      sync.Mutex
	cond    *sync.Cond
	pending []Entry   // of the newest events
	writing []Entry   // those before them, on their way to the disk
	upTo    uint64    // position up to which the disk has everything
	failed  error     // of writing it; nil when it goes on
	tried   time.Time // when it was begun last
	corrupt atomic.Pointer[error]
	filter  atomic.Pointer[filter]
	unfill  context.CancelFunc // ends the filling of filter
	work    sync.WaitGroup
}

// Open opens the index of a folder and makes it when there is none. One that cannot be opened begins
// anew, empty, and why says so.
func Open(dir string, o Options) (x *Index, why string, err error) {
	if o.Run <= 0 {
		o.Run = 128 << 10
	}
	if o.Part <= 0 {
		o.Part = filterPart
	}
	if o.FS == nil {
		o.FS = private{vfs.Default}
	}
	x = &Index{dir: dir, run: o.Run, part: o.Part, fs: o.FS, unfill: func() {}}
	x.cond = sync.NewCond(&x.mu)
	if _, err := os.Stat(filepath.Join(dir, markName)); err == nil {
		why = "it was found to be damaged"
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("ids: %w", err)
	}
	if why == "" {
		if err = x.open(); err == nil {
			return x, "", nil
		}
		why = err.Error()
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, "", fmt.Errorf("ids: begin anew: %w", err)
	}
	if err := x.open(); err != nil {
		return nil, "", err
	}
	return x, why, nil
}

// quiet keeps Pebble's lines out of the program's output: what goes wrong comes back as an error.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("ids: "+format, args...))
}

// open opens the database of the folder; mu is held, or nobody else has the index yet.
func (x *Index) open() error {
	dir := x.dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("ids: %w", err)
	}
	cache := pebble.NewCache(cacheSize)
	defer cache.Unref() // the database holds it
	x.corrupt.Store(nil)
	how := &pebble.Options{
		FS:                 private{vfs.Default},
		FormatMajorVersion: pebble.FormatNewest, DisableWAL: true, Cache: cache, Logger: quiet{}, MemTableSize: 1 << 20,
		// Runs overlap whatever one does. Two dozen of them are merged with the rest at once rather than
		// each of them by itself, because that writes the rest anew; Pebble counts each run twice. Filters
		// say which ids a run has not.
		L0CompactionThreshold: 48, L0StopWritesThreshold: 256, LBaseMaxBytes: 4 << 30,
		// Of a damaged file Pebble would end the process. Here it is an error like others, also when the
		// merging of files in the background comes upon it.
		EventListener: &pebble.EventListener{DataCorruption: func(i pebble.DataCorruptionInfo) { x.corrupt.Store(&i.Details) }},
	}
	for i := range how.Levels {
		how.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		how.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression } // hashes do not get smaller
	}
	for i := range how.TargetFileSizes {
		how.TargetFileSizes[i] = 8 << 20
	}
	db, err := pebble.Open(dir, how)
	if err != nil {
		return fmt.Errorf("ids: open: %w", err)
	}
	x.db, x.how, x.upTo = db, how, 0
	v, closer, err := db.Get(positionKey)
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		x.refill()
		return nil
	case err != nil:
		return errors.Join(fmt.Errorf("ids: open: %w", err), db.Close())
	}
	x.upTo, _ = binary.Uvarint(v)
	x.refill()
	return errors.Join(closer.Close(), os.RemoveAll(filepath.Join(dir, runName)))
}

// UpTo is the position up to which the disk has every event.
func (x *Index) UpTo() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.upTo
}

// Add notes events, which follow those of earlier calls. When a run is full and the one before it is
// not on the disk yet it waits, so that at most three times Options.Run entries are in memory alone.
func (x *Index) Add(list []Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.filter.Load().add(list)
	if x.pending = append(x.pending, list...); len(x.pending) >= x.run {
		x.turn()
	}
}

// Ready is an error while a run could not be written and memory has no room for more. It lets the
// run be tried again, once a second.
func (x *Index) Ready() error {
	if err := x.corrupt.Load(); err != nil {
		return x.damaged(*err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.failed == nil {
		return nil
	}
	if time.Since(x.tried) >= time.Second {
		x.start()
	}
	if len(x.pending) < 2*x.run {
		return nil
	}
	return x.failed
}

// turn lets what is pending be written; mu is held.
func (x *Index) turn() {
	for x.writing != nil && x.failed == nil {
		x.cond.Wait()
	}
	if x.failed == nil && len(x.pending) > 0 {
		x.writing, x.pending = x.pending, make([]Entry, 0, x.run+x.run/8)
		x.start()
	}
}

// start writes the run that is on its way; mu is held.
func (x *Index) start() {
	list := x.writing
	x.failed, x.tried = nil, time.Now()
	x.work.Go(func() {
		err := x.write(list)
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.failed = err; err == nil {
			x.writing, x.upTo = nil, list[len(list)-1].Seq
		}
		x.cond.Broadcast()
	})
}

// write makes a run durable. A crash before Ingest has returned: the run is not there, and upTo says
// so after the next start, because it comes with the run.
func (x *Index) write(list []Entry) error {
	x.runs.Lock()
	defer x.runs.Unlock()
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b Entry) int {
		if c := bytes.Compare(a.Key[:], b.Key[:]); c != 0 {
			return c
		}
		return int(int64(a.Seq) - int64(b.Seq))
	})
	return x.hand(func(w *sstable.Writer) error {
		err := w.Set(positionKey, binary.AppendUvarint(nil, list[len(list)-1].Seq))
		var v []byte
		for i := range sorted {
			e := &sorted[i]
			if i+1 < len(sorted) && sorted[i+1].Key == e.Key {
				continue // the newest of two counts
			}
			v = binary.AppendUvarint(binary.AppendUvarint(v[:0], e.Seq), uint64(e.Minute))
			if err == nil {
				err = w.Set(e.Key[:], v)
			}
		}
		return err
	})
}

// hand gives the database a finished table; runs is held.
func (x *Index) hand(fill func(*sstable.Writer) error) error {
	path := filepath.Join(x.dir, runName)
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("ids: write a run: %w", err)
	}
	f, err := x.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("ids: write a run: %w", err)
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), x.how.MakeWriterOptions(0, x.db.TableFormat()))
	err = fill(w)
	if err = errors.Join(err, w.Close()); err == nil {
		err = x.db.Ingest(context.Background(), []string{path})
	}
	if err != nil {
		return fmt.Errorf("ids: write a run: %w", err)
	}
	return nil
}

// Find says which events the disk has that came after a minute, and the position up to which it has
// every event: newer ones are the caller's to know.
func (x *Index) Find(keys []Key, after uint32) (found map[Key]bool, upTo uint64, err error) {
	if upTo = x.UpTo(); upTo == 0 {
		return nil, 0, nil
	}
	x.use.RLock()
	defer x.use.RUnlock()
	var sorted []Key // those that the disk may have
	for f, i := x.filter.Load(), 0; i < len(keys); i++ {
		if f.has(&keys[i]) {
			sorted = append(sorted, keys[i])
		}
	}
	if len(sorted) == 0 {
		return nil, upTo, nil
	}
	slices.SortFunc(sorted, func(a, b Key) int { return bytes.Compare(a[:], b[:]) })
	it, err := x.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return nil, 0, x.damaged(err)
	}
	for i := range sorted {
		k := sorted[i][:]
		if !it.SeekPrefixGE(k) || !bytes.Equal(it.Key(), k) {
			if it.Error() != nil {
				break
			}
			continue
		}
		v, err := it.ValueAndErr()
		if err != nil {
			return nil, 0, errors.Join(x.damaged(err), it.Close())
		}
		if _, minute := values(v); minute > after {
			if found == nil {
				found = map[Key]bool{}
			}
			found[sorted[i]] = true
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, 0, x.damaged(err)
	}
	return found, upTo, nil
}

func values(v []byte) (seq uint64, minute uint32) {
	seq, n := binary.Uvarint(v)
	if n > 0 {
		m, _ := binary.Uvarint(v[n:])
		minute = uint32(m)
	}
	return seq, minute
}

// Newest is the position of the newest event with an id, of whatever source; 0 when there is none.
func (x *Index) Newest(id string) (uint64, error) {
	key := KeyOf([sourceLen]byte{}, id)
	prefix := key[:idLen]
	var newest uint64
	x.mu.Lock()
	for _, list := range [...][]Entry{x.writing, x.pending} {
		for i := range list {
			if bytes.Equal(list[i].Key[:idLen], prefix) {
				newest = max(newest, list[i].Seq)
			}
		}
	}
	x.mu.Unlock()
	if newest > 0 {
		return newest, nil
	}
	x.use.RLock()
	defer x.use.RUnlock()
	end := slices.Concat(prefix, []byte{0xff, 0xff, 0xff, 0xff, 0xff})
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: end})
	if err != nil {
		return 0, x.damaged(err)
	}
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return 0, errors.Join(x.damaged(err), it.Close())
		}
		seq, _ := values(v)
		newest = max(newest, seq)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return 0, x.damaged(err)
	}
	return newest, nil
}

// ErrDamaged says that the index cannot be read: its owner has to make it again from the log.
var ErrDamaged = errors.New("ids: the index cannot be read")

// damaged leaves word for the next start too, in case this process does not come to make it again.
func (x *Index) damaged(err error) error {
	return errors.Join(fmt.Errorf("%w: %w", ErrDamaged, err), os.WriteFile(filepath.Join(x.dir, markName), nil, 0o600))
}

// Close writes what is in memory and ends.
func (x *Index) Close() error {
	x.mu.Lock()
	x.turn()
	x.unfill()
	x.mu.Unlock()
	x.work.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	return errors.Join(x.failed, x.db.Close())
}

// Reset begins anew with an empty index. Nothing may be added meanwhile; whoever looks for something
// waits.
func (x *Index) Reset() error {
	x.mu.Lock()
	x.unfill()
	x.mu.Unlock()
	x.work.Wait()
	x.use.Lock()
	defer x.use.Unlock()
	if err := errors.Join(x.db.Close(), os.RemoveAll(x.dir)); err != nil {
		return fmt.Errorf("ids: begin anew: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pending, x.writing, x.failed = nil, nil, nil
	return x.open()
}
