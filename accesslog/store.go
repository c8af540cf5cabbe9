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

	"github.com/tocsin-ir/tocsin/accesslog/ids"
	"github.com/tocsin-ir/tocsin/accesslog/spool"
	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/scope/ask"
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
	Backlog  int64         // bytes of the spool, of what log and table have not taken yet, at which the door says it is busy; default 2 GiB
	Spool    spool.Options // how its files are written
	Engine   *ask.Engine   // counts for scopes; nil: event by event
	Removed  []string      // days that facts say were removed: what a restored folder still holds of them is not read
	Rejects  int64         // bytes of refused entries that are kept of a day; default 64 MiB, and the rest is counted
	IDs      ids.Options   // how the index of ids is written; its folder is Dir/ids
	Table    table.Options // when the table of columns writes, and what is erased from it; its folder is Dir/table
	FlushAge time.Duration // protocol time an event may wait for company before it is sealed; default 200 ms
	ReadOnly bool          // nothing is written: no ingest, no sealing
	Logger   *slog.Logger  // default: nothing is logged
}

// Store is the access log of one installation. It is safe for use by several goroutines; one
// process may have a data folder open for writing, which the data-folder lock guarantees.
//
// Who writes: the committer goroutine appends to the spool, which is what an acknowledgement rests
// on. Behind it the feeder brings events into the table and the sealer into the log; they and
// SetConsumer share a pool of one connection. Readers have a pool of their own that cannot write.
type Store struct {
	o          Options
	log        *slog.Logger
	write      *sql.DB
	read       *sql.DB
	pseudonyms pseudonyms
	scrub      *scrubber
	tombs      atomic.Pointer[table.Tombstones]
	names      *names
	sources    sources
	questions  chan struct{} // a slot for each Select under way

	spool    *spool.Spool
	columns  *table.Table  // nil when it is read-only and there is none
	tabling  chan struct{} // tells that the columns are behind the feeder
	reading  rowReader     // the feeder's
	feedRows []table.Row   // the feeder's, to be used again
	feedRoom room          // the feeder's
	filling  rowReader     // of the one that fills the columns
	frames   *frameKeys
	packing  commitRoom // of the committer
	rejects  rejectFile
	ids      *recent    // of the newest events; the committer's
	index    *ids.Index // of those of a week; nil when it is read-only
	indexing sync.Mutex // held by the committer at work, and while the index is made again
	healing  atomic.Bool
	batches  *recent // keys of batches; the committer's

	queue   chan *batch
	waiting atomic.Int64 // events in queue
	rush    rush         // of the door
	asked   atomic.Int32 // those who wait for table, columns or log
	hooks   []func(acked int64)
	hooksMu sync.Mutex

	// progress is guarded by mu; cond tells of every change.
	mu         sync.Mutex
	cond       *sync.Cond
	acked      uint64               // seq of the newest durable event
	sealed     uint64               // seq of the newest event that is marked as being in the log
	leaves     uint64               // number of leaves marked
	fed        uint64               // seq of the newest event that is in the table
	failed     error                // why sealing does not go on; nil when it does
	behind     error                // why the table does not go on; nil when it does
	answered   map[string]seenBatch // by source and key: answered and not in the table yet
	answers    int                  // bytes of them
	rechecking bool
	verified   bool // the files of the columns are those that were written
	closed     bool

	more   chan struct{} // tells the sealer that acked has grown
	feed   chan struct{} // tells the feeder the same
	urgent chan struct{} // tells the feeder that somebody waits for the table
	hurry  chan struct{} // tells the sealer not to wait for company
	cancel context.CancelFunc
	life   context.Context // of what works behind the door

	senders    sync.WaitGroup // Ingest calls that may still send to queue; Add under mu while not closed
	committing sync.WaitGroup
	working    sync.WaitGroup // sealer and feeder
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
		queue:     make(chan *batch, 256), more: make(chan struct{}, 1), feed: make(chan struct{}, 1), urgent: make(chan struct{}, 1), hurry: make(chan struct{}, 1), tabling: make(chan struct{}, 1),
	}
	if s.o.Backlog <= 0 {
		s.o.Backlog = 2 << 30
	}
	s.frames, s.answered = newFrameKeys(o.Keys, o.Removed...), map[string]seenBatch{}
	s.ids, s.batches = newRecent(keepIDs, rememberIDs), newRecent(keepBatch, rememberKeys)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.scrub, err = newScrubber(o.Scrub); err != nil {
		return nil, err
	}
	s.cond = sync.NewCond(&s.mu)
	s.tombs.Store(table.NewTombstones(o.Table.Erased))
	if err := s.openDB(ctx); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	if !o.ReadOnly {
		if err := s.fillStretches(ctx); err != nil {
			return nil, errors.Join(err, s.closeDB())
		}
	}
	if err := s.load(ctx); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	if o.ReadOnly {
		return s, s.openColumns()
	}
	if err := s.resume(ctx); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	// Before anything is accepted: what a crash left between append and mark is marked now.
	if err := s.catchUp(ctx); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	if err := s.openIndex(ctx); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	if err := s.openColumns(); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel, s.life = cancel, life
	s.committing.Go(s.commitLoop)
	s.working.Go(func() { s.sealLoop(life) })
	s.working.Go(func() { s.feedLoop(life) })
	s.working.Go(func() { s.columnLoop(life) })
	nudge(s.more)
	nudge(s.feed)
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
		s.write, err = sql.Open("sqlite", base+"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-16384)&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(4000)&_txlock=immediate")
		if err != nil {
			return fmt.Errorf("accesslog: open %s: %w", path, err)
		}
		s.write.SetMaxOpenConns(1)
		// A crash here leaves some of the tables; the next Open makes the others.
		if _, err := s.write.ExecContext(ctx, schema); err != nil {
			return fmt.Errorf("accesslog: prepare %s: %w", path, err)
		}
	}
	readOnly := base + "&mode=ro&_pragma=query_only(1)&_pragma=cache_size(-8192)&_pragma=temp_store(MEMORY)"
	if s.read, err = sql.Open("sqlite", readOnly); err != nil {
		return fmt.Errorf("accesslog: open %s: %w", path, err)
	}
	s.read.SetMaxOpenConns(maxReaders)
	return nil
}

// load reads where table and marks of the last process stopped.
func (s *Store) load(ctx context.Context) error {
	row := s.read.QueryRowContext(ctx, `SELECT
		(SELECT coalesce(max(seq), 0) FROM consumer WHERE name = 'table'),
		(SELECT coalesce(max(last), 0) FROM leaf),
		(SELECT coalesce(max(idx) + 1, 0) FROM leaf)`)
	if err := row.Scan(&s.fed, &s.sealed, &s.leaves); err != nil {
		return fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	s.acked = max(s.fed, s.sealed)
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

// resume opens the spool and remembers what came lately.
func (s *Store) resume(ctx context.Context) error {
	var err error
	if s.spool, err = spool.Open(filepath.Join(s.o.Dir, "spool"), s.acked, s.o.Spool); err != nil {
		return fmt.Errorf("accesslog: %w", err)
	}
	if s.acked = s.spool.Next() - 1; s.fed < s.acked && s.spool.First() > s.fed+1 {
		return fmt.Errorf("accesslog: events from %d to %d were acknowledged and are not in the spool any more: restore it, or rebuild the table from the log", s.fed+1, s.spool.First()-1)
	}
	if err := s.rememberBatches(ctx); err != nil {
		return err
	}
	err = s.spool.Read(s.fed, func(r spool.Record) error {
		_, list, err := s.frames.unpack(r.Body, r.First, nil)
		if err != nil {
			return err
		}
		for _, p := range list {
			for _, m := range p.members {
				s.sources.advance(p.source, m.time)
			}
			if p.key != "" {
				s.keepAnswer(p.source+"\x00"+p.key, seenBatch{p.received, append([]byte(nil), p.receipt...)})
				s.batches.add(s.batches.hash(p.source, p.key), p.received)
			}
		}
		return nil
	})
	return err
}

// rememberBatches reads the keys of batches that came lately, oldest first.
func (s *Store) rememberBatches(ctx context.Context) error {
	now := s.o.Now()
	rows, err := s.read.QueryContext(ctx, `SELECT * FROM (SELECT n.s, b.key, b.received FROM batch b JOIN name n ON n.id = b.source ORDER BY b.received DESC LIMIT ?) WHERE received > ? ORDER BY received`,
		rememberKeys, now.Add(-keepBatch).UnixNano())
	if err != nil {
		return fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	n := 0
	var oldest time.Time
	for rows.Next() {
		var source, name string
		var at int64
		if err := rows.Scan(&source, &name, &at); err != nil {
			return errors.Join(err, rows.Close())
		}
		if n++; n == 1 {
			oldest = time.Unix(0, at)
		}
		s.batches.add(s.batches.hash(source, name), time.Unix(0, at))
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	if n == rememberKeys {
		s.batches.since = oldest
	}
	return nil
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
		s.working.Wait()
	}
	return s.closeDB()
}

func (s *Store) closeDB() error {
	var errs []error
	if s.columns != nil {
		errs = append(errs, s.columns.Close())
	}
	if s.index != nil {
		errs = append(errs, s.index.Close())
	}
	if s.spool != nil {
		errs = append(errs, s.spool.Close())
	}
	s.rejects.mu.Lock()
	errs = append(errs, s.endRejects())
	s.rejects.mu.Unlock()
	for _, db := range []*sql.DB{s.read, s.write} {
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

// Behind is how many durable events the table has not taken yet.
func (s *Store) Behind() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	behind := int64(s.acked - s.fed)
	if s.columns != nil {
		behind = max(behind, int64(s.acked)-s.columns.UpTo())
	}
	return behind
}

// Unsealed says whether events that were acknowledged are not in the event log yet: what it knows of days is
// then not all.
func (s *Store) Unsealed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealed < s.acked
}

// TableTrouble says why the object store of the table does not answer; nil when it does, and when the
// table is kept in the data folder.
func (s *Store) TableTrouble() error {
	if s.columns == nil {
		return nil
	}
	return s.columns.Trouble()
}

// OnCommit calls fn after each commit with the position of the newest durable event, before its
// sender is told. While fn runs nothing else is committed, so it must only take note; EventsAfter
// has the events. Register before the first Ingest.
func (s *Store) OnCommit(fn func(acked int64)) {
	s.hooksMu.Lock()
	defer s.hooksMu.Unlock()
	s.hooks = append(s.hooks, fn)
}

func (s *Store) tell(acked int64) {
	s.hooksMu.Lock()
	hooks := s.hooks
	s.hooksMu.Unlock()
	for _, fn := range hooks {
		fn(acked)
	}
}

// wokenBy wakes those who wait on cond when ctx is done. The function it returns ends that.
func (s *Store) wokenBy(ctx context.Context) func() bool {
	return context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cond.Broadcast()
	})
}

// caughtUp waits until the table has what was acknowledged before the call, but no longer than a
// while: under a flood a question about the past is not kept waiting for it.
func (s *Store) caughtUp(ctx context.Context) {
	if s.o.ReadOnly {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tablePatience)
	defer cancel()
	defer s.wokenBy(ctx)()
	s.asked.Add(1)
	defer s.asked.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	for want := s.acked; s.fed < want && ctx.Err() == nil && s.behind == nil && !s.closed; {
		nudge(s.urgent)
		s.cond.Wait()
	}
}

// tablePatience is how long a question waits for the table, in protocol time.
const tablePatience = 3 * time.Second
