// Package translog is a transparency log: an append-only Merkle tree of leaves behind a signed
// checkpoint, read as C2SP tlog-tiles so that anyone's tools can read it.
//
// It is a thin wrapper of Tessera. What it adds is what the rest of the program relies on whatever
// keeps the log: an append returns only after the leaf is integrated and durable, several leaves
// keep their order, and a caller can wait for a checkpoint that covers what it wrote. Open keeps a
// log in a folder; internal/translog/driver opens one elsewhere, by its URL.
package translog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-logr/logr"
	tessera "github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"
)

// MaxLeaf is the largest leaf the tlog-tiles format can carry, in bytes.
const MaxLeaf = 1<<16 - 1

// The errors callers tell apart.
var (
	ErrNotFound = fmt.Errorf("translog: no such leaf: %w", fs.ErrNotExist)
	ErrReadOnly = errors.New("translog: the log was opened for reading only")
	ErrClosed   = errors.New("translog: the log is closed")
	ErrTooLarge = fmt.Errorf("translog: a leaf is larger than %d bytes", MaxLeaf)
)

// Options tune a log. The zero value is what production uses.
type Options struct {
	CheckpointInterval time.Duration // how often a grown tree is signed; default and least 100 ms in a folder, 1 s elsewhere
	BatchAge           time.Duration // how long a leaf waits for company before it is written; default 5 ms in a folder, 20 ms elsewhere
	BatchSize          uint          // how many leaves are written at once; default 256, one full bundle
	GarbageCollection  time.Duration // how often obsolete partial tiles are removed; default 30 s

	// Witnesses are asked to sign each checkpoint before it is published. One that does not answer
	// within a second is not waited for: the checkpoint goes without its signature, and is offered
	// again within a minute. With witnesses a grown tree is signed once a second.
	Witnesses []Witness
	// HTTP reaches the witnesses; the default is http.DefaultClient.
	HTTP *http.Client
}

// Witness is a party outside the house that signs only such checkpoints of a log as are consistent
// with all it has signed before (C2SP tlog-witness).
type Witness struct {
	Key string // its verifier key, of the type of cosignatures (C2SP tlog-cosignature)
	URL string // what /add-checkpoint is appended to
}

// witnessWait bounds how long a checkpoint waits for its witnesses.
const witnessWait = time.Second

// group is what the library makes of the witnesses: all of them are asked.
func (o Options) group() (tessera.WitnessGroup, error) {
	group := tessera.WitnessGroup{N: len(o.Witnesses)}
	for _, w := range o.Witnesses {
		at, err := url.Parse(w.URL)
		if err != nil {
			return group, fmt.Errorf("translog: the address of a witness cannot be read: %w", err)
		}
		one, err := tessera.NewWitness(w.Key, at)
		if err != nil {
			return group, fmt.Errorf("translog: the key of the witness at %s: %w", at.Host, err)
		}
		group.Components = append(group.Components, one)
	}
	return group, nil
}

func (o Options) withDefaults(at Storage) Options {
	least, age := 100*time.Millisecond, 5*time.Millisecond
	if _, here := at.(folder); !here { // the library's other drivers sign once a second at most
		least, age = time.Second, 20*time.Millisecond
	}
	if len(o.Witnesses) > 0 && o.CheckpointInterval < least {
		least = time.Second
	}
	o.CheckpointInterval = max(o.CheckpointInterval, least)
	if o.BatchAge <= 0 {
		o.BatchAge = age
	}
	if o.BatchSize == 0 {
		o.BatchSize = 256
	}
	if o.GarbageCollection <= 0 {
		o.GarbageCollection = 30 * time.Second
	}
	return o
}

// Log is one log. It is safe for use by several goroutines. Only one process may have a log open for
// writing; the caller holds the data-folder lock that guarantees it.
type Log struct {
	origin  string
	storage Storage
	files   files
	size    func(context.Context) (uint64, error)

	order sync.Mutex    // held by the one that appends, until its leaves have their places
	age   time.Duration // after which the library writes what waits for company
	batch uint          // so many it writes at once, without waiting

	mu       sync.Mutex
	add      tessera.AddFn // nil when read-only
	doubt    bool          // an append failed, and what it began may still come into the log
	closed   bool
	shutdown func(context.Context) error
	cancel   context.CancelFunc
}

// quiet silences the library's own logger once per process: our log is the program's.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// Open opens the log in dir for reading and writing and makes it if it is not there. The origin
// of its checkpoints is the signer's name. The log lives until Close, not until ctx is done.
func Open(ctx context.Context, dir string, signer note.Signer, opts Options) (*Log, error) {
	return OpenIn(ctx, folder(dir), signer, opts)
}

// OpenIn is Open for a log that is kept elsewhere. The log owns the storage, and closes it when this
// fails too. It returns when whatever an earlier process began to append is in the log or never will
// be, so that Size is the truth about it.
func OpenIn(ctx context.Context, at Storage, signer note.Signer, opts Options) (_ *Log, err error) {
	quiet()
	opts = opts.withDefaults(at)
	defer func() {
		if err != nil {
			err = errors.Join(err, at.Close())
		}
	}()
	group, err := opts.group()
	if err != nil {
		return nil, err
	}
	again := time.Duration(0)
	if len(opts.Witnesses) > 0 {
		again = time.Minute
	}
	driver, err := at.Driver(ctx, signer, opts.HTTP)
	if err != nil {
		return nil, fmt.Errorf("translog: open %s: %w", at, err)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	appender, shutdown, reader, err := tessera.NewAppender(life, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(opts.BatchSize, opts.BatchAge).
		WithCheckpointInterval(opts.CheckpointInterval).
		WithCheckpointRepublishInterval(again).
		WithWitnesses(group, &tessera.WitnessOptions{Timeout: witnessWait, FailOpen: true}).
		WithGarbageCollectionInterval(opts.GarbageCollection).
		WithShutdownTimeout(10*time.Second))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("translog: open %s: %w", at, err)
	}
	l := &Log{
		origin: signer.Name(), storage: at, files: files{at}, size: reader.IntegratedSize,
		age: opts.BatchAge, batch: opts.BatchSize, add: appender.Add, shutdown: shutdown, cancel: cancel, doubt: true,
	}
	if err := l.settle(ctx); err != nil {
		cancel()
		return nil, fmt.Errorf("translog: open %s: %w", at, err)
	}
	return l, nil
}

// OpenReader opens the log in dir for reading. Nothing is written, not even a missing folder, and
// what is not covered by the newest published checkpoint is not seen.
func OpenReader(dir, origin string) (*Log, error) {
	return OpenReaderIn(context.Background(), folder(dir), origin)
}

// OpenReaderIn is OpenReader for a log that is kept elsewhere. The log owns the storage, and closes it
// when this fails too.
func OpenReaderIn(ctx context.Context, at Storage, origin string) (*Log, error) {
	if _, err := at.Read(ctx, layout.CheckpointPath); err != nil {
		return nil, errors.Join(fmt.Errorf("translog: open %s: %w", at, err), at.Close())
	}
	l := &Log{origin: origin, storage: at, files: files{at}}
	l.size = func(ctx context.Context) (uint64, error) {
		_, size, err := l.Checkpoint(ctx)
		return size, err
	}
	return l, nil
}

// Origin is the log's name: the first line of its checkpoints.
func (l *Log) Origin() string { return l.origin }

// Append adds one leaf and returns its index once it is integrated and durable. A checkpoint that
// covers it follows within the checkpoint interval; Await waits for it.
//
// An error does not say that the leaf is absent: a crash or a full disk between the write and its
// report leaves it in the log. A caller that must append exactly once compares Size.
func (l *Log) Append(ctx context.Context, data []byte) (uint64, error) {
	idx, err := l.AppendMany(ctx, [][]byte{data})
	if err != nil {
		return 0, err
	}
	return idx[0], nil
}

// AppendMany adds leaves in the order given and returns their indexes once all are integrated and
// durable. After an error a prefix of them may be in the log.
func (l *Log) AppendMany(ctx context.Context, data [][]byte) ([]uint64, error) {
	for _, d := range data {
		if len(d) > MaxLeaf {
			return nil, ErrTooLarge
		}
	}
	entries := make([]*tessera.Entry, len(data))
	for i, d := range data {
		entries[i] = tessera.NewEntry(d) // it hashes: see queue
	}
	l.order.Lock()
	defer l.order.Unlock()
	if err := l.settle(ctx); err != nil {
		return nil, fmt.Errorf("translog: append to %s: %w", l.origin, err)
	}
	indexes := make([]uint64, 0, len(data))
	for len(indexes) < len(data) {
		futures, err := l.queue(ctx, entries[len(indexes):])
		if err != nil {
			return nil, err
		}
		for _, wait := range futures {
			// A crash here: the leaf may be durable although nobody was told. Size tells.
			at, err := wait()
			if n := len(indexes); err == nil && n > 0 && at.Index != indexes[n-1]+1 {
				err = fmt.Errorf("leaf %d follows leaf %d of one append", at.Index, indexes[n-1])
			}
			if err != nil {
				l.doubts()
				return nil, fmt.Errorf("translog: append to %s: %w", l.origin, err)
			}
			indexes = append(indexes, at.Index)
		}
	}
	if len(indexes) > 0 {
		if err := l.integrated(ctx, indexes[len(indexes)-1]+1); err != nil {
			l.doubts()
			return nil, fmt.Errorf("translog: append to %s: %w", l.origin, err)
		}
	}
	return indexes, nil
}

func (l *Log) doubts() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = true
}

// settle makes certain, after a failure and at the start, what is in the log: a database may have
// committed what its client never heard of, and a driver may have given leaves a place that are not
// in the tree yet.
func (l *Log) settle(ctx context.Context) error {
	l.mu.Lock()
	doubt := l.doubt
	l.mu.Unlock()
	if !doubt {
		return nil
	}
	n, err := l.storage.Settle(ctx)
	if err != nil {
		return err
	}
	if err := l.integrated(ctx, n); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.doubt = false
	return nil
}

// integrateWait bounds the wait for leaves that have their place: the library puts them into the tree
// once a second, and tries again when that failed.
const integrateWait = time.Minute

// integrated waits until the tree has at least n leaves.
func (l *Log) integrated(ctx context.Context, n uint64) error {
	if _, here := l.storage.(folder); here {
		return nil // a leaf in a folder has its place when it is in the tree
	}
	ctx, cancel := context.WithTimeout(ctx, integrateWait)
	defer cancel()
	tick := time.NewTicker(l.storage.Poll())
	defer tick.Stop()
	for {
		have, err := l.size(ctx)
		if err == nil && have >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for %d leaves in the tree, have %d: %w", n, have, ctx.Err()), err)
		case <-tick.C:
		}
	}
}

// queue hands as many leaves to the library as are certain to be written together, at least one. What the
// library writes apart it may write in another order: it takes leaves out of its queue, when they have
// waited for BatchAge or are BatchSize, and only then lines them up for writing, and whoever takes next can
// be there first. So nothing is added once leaves may have been taken; the caller waits for those first,
// and adds the rest after that, which the library promises to keep in order.
func (l *Log) queue(ctx context.Context, entries []*tessera.Entry) ([]tessera.IndexFuture, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.add == nil {
		return nil, ErrReadOnly
	}
	if l.closed {
		return nil, ErrClosed
	}
	// The entry is queued under a context that outlives the call: cancelling a caller must not
	// tear a batch that other callers share.
	ctx = context.WithoutCancel(ctx)
	var futures []tessera.IndexFuture
	for began := time.Now(); len(futures) < len(entries) && uint(len(futures)) < l.batch && (len(futures) == 0 || time.Since(began) < l.age/2); {
		futures = append(futures, l.add(ctx, entries[len(futures)]))
	}
	return futures, nil
}

// Size is the number of leaves that are integrated and durable.
func (l *Log) Size(ctx context.Context) (uint64, error) {
	if err := l.settle(ctx); err != nil {
		return 0, fmt.Errorf("translog: size of %s: %w", l.origin, err)
	}
	n, err := l.size(ctx)
	if err != nil {
		return 0, fmt.Errorf("translog: size of %s: %w", l.origin, err)
	}
	return n, nil
}

// Close waits for a checkpoint that covers everything appended and stops the log. It may be
// called twice.
func (l *Log) Close() error {
	l.mu.Lock()
	closed, add := l.closed, l.add
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	if add == nil {
		return l.storage.Close()
	}
	defer l.cancel()
	// A crash before the checkpoint: the leaves are durable, the next start signs them.
	if err := errors.Join(l.shutdown(context.Background()), l.storage.Close()); err != nil {
		return fmt.Errorf("translog: close %s: %w", l.origin, err)
	}
	return nil
}
