// Package translog is a transparency log on a local disk: an append-only Merkle tree of leaves
// behind a signed checkpoint, stored as C2SP tlog-tiles so that anyone's tools can read it.
//
// It is a thin wrapper of Tessera's POSIX driver. What it adds is what the rest of the program
// relies on: an append returns only after the leaf is integrated and fsynced, several leaves keep
// their order, and a caller can wait for a checkpoint that covers what it wrote.
package translog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	tessera "github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/storage/posix"
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
	CheckpointInterval time.Duration // how often a grown tree is signed; default and least 100 ms
	BatchAge           time.Duration // how long a leaf waits for company before it is written; default 5 ms
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

func (o Options) withDefaults() Options {
	if o.CheckpointInterval < 100*time.Millisecond {
		o.CheckpointInterval = 100 * time.Millisecond
		if len(o.Witnesses) > 0 {
			o.CheckpointInterval = time.Second
		}
	}
	if o.BatchAge <= 0 {
		o.BatchAge = 5 * time.Millisecond
	}
	if o.BatchSize == 0 {
		o.BatchSize = 256
	}
	if o.GarbageCollection <= 0 {
		o.GarbageCollection = 30 * time.Second
	}
	return o
}

// Log is one log. It is safe for use by several goroutines. Only one process may have a folder
// open for writing; the caller holds the data-folder lock that guarantees it.
type Log struct {
	origin string
	files  client.FileFetcher
	leaves bundles
	size   func(context.Context) (uint64, error)

	// mu serialises callers of add, so that the leaves of one AppendMany stand next to each other.
	mu       sync.Mutex
	add      tessera.AddFn // nil when read-only
	closed   bool
	shutdown func(context.Context) error
	cancel   context.CancelFunc
}

// quiet silences the library's own logger once per process: our log is the program's.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// Open opens the log in dir for reading and writing and makes it if it is not there. The origin
// of its checkpoints is the signer's name. The log lives until Close, not until ctx is done.
func Open(ctx context.Context, dir string, signer note.Signer, opts Options) (*Log, error) {
	quiet()
	opts = opts.withDefaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("translog: open %s: %w", dir, err)
	}
	group, err := opts.group()
	if err != nil {
		return nil, err
	}
	again := time.Duration(0)
	if len(opts.Witnesses) > 0 {
		again = time.Minute
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir, HTTPClient: opts.HTTP})
	if err != nil {
		return nil, fmt.Errorf("translog: open %s: %w", dir, err)
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
		return nil, fmt.Errorf("translog: open %s: %w", dir, err)
	}
	return &Log{
		origin: signer.Name(), files: client.FileFetcher{Root: dir}, leaves: bundleFiles(dir), size: reader.IntegratedSize,
		add: appender.Add, shutdown: shutdown, cancel: cancel,
	}, nil
}

// OpenReader opens the log in dir for reading. Nothing is written, not even a missing folder, and
// what is not covered by the newest published checkpoint is not seen.
func OpenReader(dir, origin string) (*Log, error) {
	if _, err := os.Stat(filepath.Join(dir, "checkpoint")); err != nil {
		return nil, fmt.Errorf("translog: open %s: %w", dir, err)
	}
	l := &Log{origin: origin, files: client.FileFetcher{Root: dir}}
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
	futures, err := l.queue(ctx, data)
	if err != nil {
		return nil, err
	}
	indexes := make([]uint64, len(data))
	for i, wait := range futures {
		// A crash here: the leaf may be durable although nobody was told. Size tells.
		idx, err := wait()
		if err != nil {
			return nil, fmt.Errorf("translog: append to %s: %w", l.origin, err)
		}
		indexes[i] = idx.Index
	}
	return indexes, nil
}

func (l *Log) queue(ctx context.Context, data [][]byte) ([]tessera.IndexFuture, error) {
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
	futures := make([]tessera.IndexFuture, len(data))
	for i, d := range data {
		futures[i] = l.add(ctx, tessera.NewEntry(d))
	}
	return futures, nil
}

// Size is the number of leaves that are integrated and durable.
func (l *Log) Size(ctx context.Context) (uint64, error) {
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
	if l.closed || l.add == nil {
		l.closed = true
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.mu.Unlock()
	defer l.cancel()
	// A crash before the checkpoint: the leaves are durable, the next start signs them.
	if err := l.shutdown(context.Background()); err != nil {
		return fmt.Errorf("translog: close %s: %w", l.origin, err)
	}
	return nil
}
