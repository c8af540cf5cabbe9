package accesslog

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver of events.db
)

//go:embed schema.sql
var schema string

// fileName is the database inside the data folder.
const fileName = "events.db"

// Log is what the store needs of the event log. Append returns once the leaf is durable.
type Log interface {
	Origin() string
	AppendMany(ctx context.Context, data [][]byte) ([]uint64, error)
	Size(ctx context.Context) (uint64, error)
	Leaves(ctx context.Context, first, n uint64, fn func(index uint64, data []byte) error) error
	Await(ctx context.Context, size uint64) (note []byte, have uint64, err error)
}

// maxReaders is how many connections read at a time, and maxQuestions how many of them people's
// questions may take: the detector and the sealer never wait behind a question about everything.
const (
	maxReaders   = 4
	maxQuestions = 2
)

// Options is what a store stands on.
type Options struct {
	Dir  string           // data folder; the database is Dir/events.db
	Keys Keys             // of the installation
	Log  Log              // event log
	Now  func() time.Time // domain time
	Env  string           // of events that name none

	Scrub    []Pattern     // what the scrubber replaces beside e-mail addresses, cards and telephone numbers
	FlushAge time.Duration // protocol time an event may wait for company before it is sealed; default 200 ms
	ReadOnly bool          // nothing is written: no ingest, no sealing
	Logger   *slog.Logger  // default: nothing is logged
}

// Store is the access log of one installation. It is safe for use by several goroutines; one
// process may have a data folder open for writing, which the data-folder lock guarantees.
//
// Who writes: the committer goroutine inserts events, the sealer goroutine marks leaves, and
// SetPosition moves consumers; they share a pool of one connection. Readers have a pool of their
// own that cannot write.
type Store struct {
	o          Options
	log        *slog.Logger
	write      *sql.DB
	read       *sql.DB
	dict       *sql.DB // for single names while rows of read are open; never held while waiting
	pseudonyms pseudonyms
	scrub      *scrubber
	names      *names
	sources    sources
	questions  chan struct{} // a slot for each Select under way

	queue   chan *batch
	waiting atomic.Int64 // events in queue
	hooks   []func([]Event)
	hooksMu sync.Mutex

	// progress is guarded by mu; cond tells of every change.
	mu     sync.Mutex
	cond   *sync.Cond
	acked  uint64 // seq of the newest durable event
	sealed uint64 // seq of the newest event that is marked as being in the log
	leaves uint64 // number of leaves marked
	failed error  // why sealing does not go on; nil when it does
	closed bool

	more   chan struct{} // tells the sealer that acked has grown
	hurry  chan struct{} // tells the sealer not to wait for company
	cancel context.CancelFunc

	senders    sync.WaitGroup // Ingest calls that may still send to queue; Add under mu while not closed
	committing sync.WaitGroup
	sealing    sync.WaitGroup
}

// Open opens the access log in a data folder, makes its database when there is none, and marks
// what an earlier process had already appended to the event log.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Keys == nil || o.Log == nil || o.Now == nil {
		return nil, errors.New("accesslog: keys, log and clock are required")
	}
	if o.FlushAge <= 0 {
		o.FlushAge = 200 * time.Millisecond
	}
	s := &Store{
		o: o, log: o.Logger, pseudonyms: pseudonyms{keys: o.Keys}, names: newNames(),
		questions: make(chan struct{}, maxQuestions),
		queue:     make(chan *batch, 256), more: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.scrub, err = newScrubber(o.Scrub); err != nil {
		return nil, err
	}
	s.cond = sync.NewCond(&s.mu)
	if err := s.openDB(ctx); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	if err := s.load(ctx); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	if o.ReadOnly {
		return s, nil
	}
	// Before anything is accepted: what a crash left between append and mark is marked now.
	if err := s.catchUp(ctx); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.committing.Go(s.commitLoop)
	s.sealing.Go(func() { s.sealLoop(life) })
	return s, nil
}

func (s *Store) openDB(ctx context.Context) error {
	path := filepath.Join(s.o.Dir, fileName)
	if !s.o.ReadOnly {
		if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
			return fmt.Errorf("accesslog: open %s: %w", s.o.Dir, err)
		}
		// A file of our own making is private from its first byte on.
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return fmt.Errorf("accesslog: open %s: %w", path, err)
		}
		if err := f.Close(); err != nil {
			return fmt.Errorf("accesslog: open %s: %w", path, err)
		}
	}
	base := "file:" + (&url.URL{Path: path}).EscapedPath() + "?_pragma=busy_timeout(5000)"
	var err error
	if !s.o.ReadOnly {
		s.write, err = sql.Open("sqlite", base+"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-65536)&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(4000)&_txlock=immediate")
		if err != nil {
			return fmt.Errorf("accesslog: open %s: %w", path, err)
		}
		s.write.SetMaxOpenConns(1)
		// A crash here leaves some of the tables; the next Open makes the others.
		if _, err := s.write.ExecContext(ctx, schema); err != nil {
			return fmt.Errorf("accesslog: prepare %s: %w", path, err)
		}
	}
	readOnly := base + "&mode=ro&_pragma=query_only(1)&_pragma=cache_size(-32768)&_pragma=temp_store(MEMORY)"
	if s.read, err = sql.Open("sqlite", readOnly); err != nil {
		return fmt.Errorf("accesslog: open %s: %w", path, err)
	}
	if s.dict, err = sql.Open("sqlite", readOnly); err != nil {
		return fmt.Errorf("accesslog: open %s: %w", path, err)
	}
	s.read.SetMaxOpenConns(maxReaders)
	s.dict.SetMaxOpenConns(2)
	return nil
}

// load reads where the last process stopped.
func (s *Store) load(ctx context.Context) error {
	row := s.read.QueryRowContext(ctx, `SELECT
		(SELECT coalesce(max(seq), 0) FROM event),
		(SELECT coalesce(max(last), 0) FROM leaf),
		(SELECT coalesce(max(idx) + 1, 0) FROM leaf)`)
	if err := row.Scan(&s.acked, &s.sealed, &s.leaves); err != nil {
		return fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT n.s, s.newest FROM source s JOIN name n ON n.id = s.source`)
	if err != nil {
		return fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var newest int64
		if err := rows.Scan(&name, &newest); err != nil {
			return fmt.Errorf("accesslog: read %s: %w", fileName, err)
		}
		s.sources.load(name, time.Unix(0, newest))
	}
	return rows.Err()
}

// Close stops taking events, seals what is durable, and closes the database. It may be called
// twice. What could not be sealed stays in the spool and is sealed at the next start.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.cond.Broadcast()
	s.mu.Unlock()
	if s.cancel != nil {
		// A batch that waits for room in the queue is let in before the queue is closed.
		s.senders.Wait()
		close(s.queue)
		s.committing.Wait()
		s.cancel()
		s.sealing.Wait()
	}
	return s.closeDB()
}

func (s *Store) closeDB() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.dict, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("accesslog: close: %w", err)
	}
	return nil
}

// Origin is the name of the event log.
func (s *Store) Origin() string { return s.o.Log.Origin() }

// Acked is the position of the newest durable event.
func (s *Store) Acked() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.acked)
}

// OnCommit calls fn after each commit with the events that became durable, in order of Seq, and
// before their sender is told. While fn runs nothing else is committed, so it must only take note
// of them. Register before the first Ingest; for what was committed before, use EventsAfter.
func (s *Store) OnCommit(fn func([]Event)) {
	s.hooksMu.Lock()
	defer s.hooksMu.Unlock()
	s.hooks = append(s.hooks, fn)
}

func (s *Store) tell(events []Event) {
	s.hooksMu.Lock()
	hooks := s.hooks
	s.hooksMu.Unlock()
	for _, fn := range hooks {
		fn(events)
	}
}
