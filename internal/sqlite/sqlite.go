// Package sqlite keeps facts, projections and jobs in one SQLite file: the store of an
// installation on one machine.
//
// There is one writer. A committer takes the write pool's only connection, runs the commands that
// are waiting in one transaction, each in a savepoint of its own, and commits them together, so
// that they share one wait for the disk. River's own statements run on the same connection
// between such groups. Readers have a pool of their own that cannot write, and never wait.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/tocsin-ir/tocsin/internal/groupcommit"
	"github.com/tocsin-ir/tocsin/ledger"
)

//go:embed migration/*.sql
var migrations embed.FS

// Options tune a store. The zero value is what production uses.
type Options struct {
	// ReadOnly opens an existing file for reading only: no lock is taken, nothing is migrated and
	// no job runs. It is how a finished drill is looked at.
	ReadOnly bool
	// Lock is the lock on the data folder when the caller holds it already. When nil, Open takes
	// it itself and Close releases it.
	Lock *FolderLock
	// Log takes warnings; nil is slog.Default.
	Log *slog.Logger
	// JobTimeout bounds one job; 0 is 5 minutes.
	JobTimeout time.Duration
	// StopGrace is how long running jobs may take to end when the runner stops, before their
	// contexts are cancelled; 0 is 5 seconds.
	StopGrace time.Duration
	// Poll is how often the queue of jobs looks for some that no commit told it of; 0 is a second.
	Poll time.Duration
}

// Store is a ledger.Store in a SQLite file. It is safe for use by several goroutines.
type Store struct {
	path  string
	opts  Options
	lock  *FolderLock // nil when the caller holds it
	write *sql.DB     // one connection; nil when read-only
	read  *sql.DB

	writeStmts, readStmts statements

	commits *groupcommit.Committer[group, *tx] // nil when read-only
	heads   *heads
	jobs    *jobs // nil when read-only

	listen    sync.RWMutex
	listeners []func(chains []string)

	closeOnce sync.Once
	closeErr  error
}

var _ ledger.Store = (*Store)(nil)

// Open opens the store in the file path and makes it when there is none. It takes the lock on the
// folder of path; the error is ledger.ErrLocked when another process holds it.
func Open(path string, opts Options) (*Store, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.JobTimeout == 0 {
		opts.JobTimeout = 5 * time.Minute
	}
	if opts.StopGrace == 0 {
		opts.StopGrace = 5 * time.Second
	}
	s := &Store{path: path, opts: opts, heads: &heads{durable: map[string]ledger.Head{}, kept: map[string]ledger.Head{}}}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

func (s *Store) open() error {
	ctx := context.Background()
	if s.opts.ReadOnly {
		return s.openReadOnly(ctx)
	}
	if s.opts.Lock == nil {
		lock, err := LockFolder(filepath.Dir(s.path))
		if err != nil {
			return err
		}
		s.lock = lock
	}
	// SQLite would make the file readable by every account, and gives its -wal and -shm the file's mode.
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return fmt.Errorf("sqlite: %s: %w", s.path, err)
	}
	// synchronous=FULL: a commit that returned survives a power cut.
	if s.write, err = open(s.path, "_txlock=immediate", 1,
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "busy_timeout(10000)", "temp_store(MEMORY)",
		"cache_size(-16000)", "wal_autocheckpoint(4000)"); err != nil {
		return err
	}
	if err := migrate(ctx, s.write, s.path); err != nil {
		return err
	}
	if s.jobs, err = newJobs(ctx, s); err != nil {
		return err
	}
	if s.writeStmts, err = prepare(ctx, s.write, writeQueries()); err != nil {
		return err
	}
	if err := s.openReaders(ctx); err != nil {
		return err
	}
	s.commits = groupcommit.Start(s.begin, s.committed)
	return nil
}

func (s *Store) openReaders(ctx context.Context, params ...string) error {
	var err error
	s.read, err = open(s.path, strings.Join(params, "&"), max(4, runtime.NumCPU()),
		"query_only(ON)", "busy_timeout(10000)", "temp_store(MEMORY)", "cache_size(-4000)")
	if err != nil {
		return err
	}
	s.readStmts, err = prepare(ctx, s.read, readQueries())
	return err
}

// openReadOnly opens a file that nobody may be writing. A file in WAL mode needs its shared memory
// beside it; where the folder cannot be written, and nothing waits in a log, it is opened as
// immutable instead.
func (s *Store) openReadOnly(ctx context.Context) error {
	if _, err := os.Stat(s.path); err != nil {
		return fmt.Errorf("sqlite: open %s for reading: %w", s.path, err)
	}
	mode := "mode=ro"
	if wal, err := os.Stat(s.path + "-wal"); errors.Is(err, fs.ErrNotExist) || err == nil && wal.Size() == 0 {
		if probe, err := os.CreateTemp(filepath.Dir(s.path), ".probe-*"); err != nil {
			mode += "&immutable=1"
		} else if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
			return fmt.Errorf("sqlite: open %s for reading: %w", s.path, err)
		}
	}
	db, err := open(s.path, mode, 1, "query_only(ON)")
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, db)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("sqlite: open %s for reading: %w", s.path, err)
	}
	steps, err := migrationSteps()
	if err != nil {
		return err
	}
	if version != len(steps) {
		return fmt.Errorf("sqlite: %s has schema %d and this program reads %d: open it with the program that wrote it", s.path, version, len(steps))
	}
	return s.openReaders(ctx, mode)
}

// Close stops the runner and the committer and closes the file. Commands that are waiting get
// ledger.ErrReadOnly. It may be called twice.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.release() })
	return s.closeErr
}

func (s *Store) release() error {
	var errs []error
	if s.jobs != nil {
		errs = append(errs, s.jobs.stop())
	}
	if s.commits != nil {
		s.commits.Stop()
	}
	for _, statements := range []statements{s.readStmts, s.writeStmts} {
		errs = append(errs, statements.close())
	}
	// The readers first: the last connection to close folds the write-ahead log into the file.
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// View runs fn on a consistent snapshot.
func (s *Store) View(ctx context.Context, fn func(ledger.Reader) error) error {
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("sqlite: begin to read: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return fn(&reader{ctx: ctx, statements: bind(ctx, tx, s.readStmts)})
}

// Listen calls fn after each commit with the chains that grew.
func (s *Store) Listen(fn func(chains []string)) {
	s.listen.Lock()
	defer s.listen.Unlock()
	s.listeners = append(s.listeners, fn)
}

func (s *Store) tell(chains []string) {
	if len(chains) == 0 {
		return
	}
	s.listen.RLock()
	defer s.listen.RUnlock()
	for _, fn := range s.listeners {
		fn(chains)
	}
}

// open makes a pool whose connections all have the pragmas. params is joined to the address.
func open(path, params string, connections int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{}
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	address := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	if params != "" {
		address += "&" + params
	}
	db, err := sql.Open("sqlite", address)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	if err := db.Ping(); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", path, err), db.Close())
	}
	return db, nil
}

// migrationSteps returns the numbered migrations in order.
func migrationSteps() ([]string, error) {
	names, err := fs.Glob(migrations, "migration/*.sql") // sorted
	if err != nil {
		return nil, fmt.Errorf("sqlite: migrations: %w", err)
	}
	steps := make([]string, len(names))
	for i, name := range names {
		if want := fmt.Sprintf("migration/%04d_", i+1); !strings.HasPrefix(name, want) {
			return nil, fmt.Errorf("sqlite: migration %s does not start with %s", name, want)
		}
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("sqlite: migrations: %w", err)
		}
		steps[i] = string(text)
	}
	return steps, nil
}

func schemaVersion(ctx context.Context, db *sql.DB) (int, error) {
	var version int
	err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

// migrate brings the schema up to date, a transaction for each step. A crash between two steps
// leaves the older schema whole, and the next start goes on from there.
func migrate(ctx context.Context, db *sql.DB, path string) error {
	steps, err := migrationSteps()
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, db)
	if err != nil {
		return fmt.Errorf("sqlite: schema of %s: %w", path, err)
	}
	if version > len(steps) {
		return fmt.Errorf("sqlite: %s has schema %d and this program knows up to %d: use the newer program", path, version, len(steps))
	}
	for i := version; i < len(steps); i++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("sqlite: migrate %s: %w", path, err)
		}
		_, err = tx.ExecContext(ctx, steps[i])
		if err == nil {
			_, err = tx.ExecContext(ctx, "PRAGMA user_version = "+strconv.Itoa(i+1))
		}
		if err != nil {
			return errors.Join(fmt.Errorf("sqlite: migrate %s to schema %d: %w", path, i+1, err), tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("sqlite: migrate %s to schema %d: %w", path, i+1, err)
		}
	}
	return nil
}
