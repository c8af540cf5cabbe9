// Package postgres keeps facts, projections and jobs in one schema of a PostgreSQL database.
//
// Writers take turns: a transaction first takes an advisory lock that it holds until it ends. So
// every write transaction sees everything that was committed before it, Seq has no gaps because
// nobody else can take a number meanwhile, and nothing has to be tried again after a
// serialization failure. The price is that two nodes never write facts at the same instant. It is
// paid back by grouping: each node runs the commands that are waiting in one transaction, a
// savepoint each, and they share one wait for the disk. Readers never wait and never make anyone
// wait; River's own statements take no part in the lock.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tocsin-ir/tocsin/internal/groupcommit"
	"github.com/tocsin-ir/tocsin/ledger"
)

//go:embed migration/*.sql
var migrations embed.FS

// DefaultSchema is the schema of an installation.
const DefaultSchema = "tocsin"

// Options tune a store. The zero value is what production uses.
type Options struct {
	// Schema is where the tables are; it is made when there is none. "" is DefaultSchema.
	Schema string
	// Shared lets several nodes use the schema. Without it Open takes the schema for itself, and
	// releases at its start what a dead process left running; with it nothing is released, because
	// another node may be running it.
	Shared bool
	// LockWait is how long Open waits for another owner to go, 0 is 5 seconds: the server may notice
	// a moment late that a process died.
	LockWait time.Duration
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

func (o Options) withDefaults() Options {
	if o.Schema == "" {
		o.Schema = DefaultSchema
	}
	if o.LockWait == 0 {
		o.LockWait = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.JobTimeout == 0 {
		o.JobTimeout = 5 * time.Minute
	}
	if o.StopGrace == 0 {
		o.StopGrace = 5 * time.Second
	}
	return o
}

// Store is a ledger.Store in a PostgreSQL schema. It is safe for use by several goroutines.
type Store struct {
	opts    Options
	pool    *pgxpool.Pool
	owner   *pgx.Conn // holds the lock of the owner; nil when shared
	commits *groupcommit.Committer[group, *tx]
	jobs    *jobs

	listen    sync.RWMutex
	listeners []func(chains []string)

	closeOnce sync.Once
	closeErr  error
}

var _ ledger.Store = (*Store)(nil)

// schemaName leaves room for the longest notification channel of River, which has the schema in it.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,40}$`)

// Open opens the store at a postgres:// URL. The URL must not hold a password, because it stands in
// process lists and histories: it comes from PGPASSWORD or a password file (PGPASSFILE,
// ~/.pgpass). The error is ledger.ErrLocked when another process owns the schema.
func Open(ctx context.Context, address string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if !schemaName.MatchString(opts.Schema) {
		return nil, fmt.Errorf("postgres: %q cannot be a schema: use up to 41 lower-case letters, digits and _", opts.Schema)
	}
	if err := checkAddress(address); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		// pgx hides passwords in its errors, and there is none here.
		return nil, fmt.Errorf("postgres: the store address: %w", err)
	}
	params := config.ConnConfig.RuntimeParams
	params["search_path"] = opts.Schema
	params["application_name"] = "tocsin"
	params["synchronous_commit"] = "on" // a commit that returned survives a crash of the server
	params["timezone"] = "UTC"
	// A node that stops in the middle of a transaction must not hold up the others for ever.
	params["idle_in_transaction_session_timeout"] = "30000"
	config.MaxConns = max(config.MaxConns, 8)
	s := &Store{opts: opts}
	if err := s.open(ctx, config); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

// checkAddress refuses an address with a password in it.
func checkAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return errors.New("postgres: the store address is not a URL that starts with postgres://")
	}
	_, inUser := u.User.Password()
	inQuery := false
	for name := range u.Query() {
		if name := strings.ToLower(name); name == "password" || name == "sslpassword" {
			inQuery = true
		}
	}
	if inUser || inQuery {
		return errors.New("postgres: the store address holds a password: leave it out and set PGPASSWORD, or name a password file in PGPASSFILE")
	}
	return nil
}

func (s *Store) open(ctx context.Context, config *pgxpool.Config) error {
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	s.pool = pool
	if err := pool.Ping(ctx); err != nil {
		return fmt.Errorf("postgres: connect to %s: %w", config.ConnConfig.Host, err)
	}
	if !s.opts.Shared {
		if s.owner, err = s.own(ctx, config.ConnConfig); err != nil {
			return err
		}
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if s.jobs, err = newJobs(s); err != nil {
		return err
	}
	s.commits = groupcommit.Start(s.begin, s.committed)
	return nil
}

// The advisory locks of a schema.
const (
	lockOwner   = "owner"   // held for the life of the process that owns the schema
	lockWriter  = "writer"  // held by a write transaction
	lockMigrate = "migrate" // held while the schema is brought up to date
)

// lockKey is the number of an advisory lock. Two schemas share one by chance once in 2^64.
func (s *Store) lockKey(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("tocsin\x00" + s.opts.Schema + "\x00" + name)) // never fails
	return int64(h.Sum64())
}

// own takes the owner's lock on a connection of its own. The server releases it when the
// connection ends, however the process ends.
func (s *Store) own(ctx context.Context, config *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return nil, fmt.Errorf("postgres: connect: %w", err)
	}
	_, err = conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = %d", s.opts.LockWait.Milliseconds()))
	if err == nil {
		_, err = conn.Exec(ctx, "SELECT pg_advisory_lock($1)", s.lockKey(lockOwner))
	}
	if err == nil {
		return conn, nil
	}
	closeErr := conn.Close(ctx)
	if code(err) == codeLockTimeout {
		return nil, errors.Join(fmt.Errorf("%w: another process serves schema %s of this database: stop it first", ledger.ErrLocked, s.opts.Schema), closeErr)
	}
	return nil, errors.Join(fmt.Errorf("postgres: lock schema %s: %w", s.opts.Schema, err), closeErr)
}

// The error codes of the server that mean something here.
const (
	codeLockTimeout   = "55P03"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
)

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Close stops the runner and the committer and closes the connections. It may be called twice.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.release() })
	return s.closeErr
}

func (s *Store) release() error {
	var errs []error
	if s.jobs != nil {
		errs = append(errs, s.jobs.runner.Stop())
	}
	if s.commits != nil {
		s.commits.Stop()
	}
	if s.owner != nil {
		ctx, cancel := context.WithTimeout(context.Background(), s.opts.StopGrace)
		defer cancel()
		errs = append(errs, s.owner.Close(ctx))
	}
	if s.pool != nil {
		s.pool.Close()
	}
	return errors.Join(errs...)
}

// View runs fn on a consistent snapshot.
func (s *Store) View(ctx context.Context, fn func(ledger.Reader) error) error {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("postgres: begin to read: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing was written
	return fn(&reader{ctx: ctx, tx: tx})
}

// Listen calls fn after each commit of this process with the chains that grew.
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

// migrate brings the schema up to date. Nodes that start together take turns.
func (s *Store) migrate(ctx context.Context) error {
	wrong := func(err error) error { return fmt.Errorf("postgres: migrate schema %s: %w", s.opts.Schema, err) }
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return wrong(err)
	}
	defer conn.Release()
	key := s.lockKey(lockMigrate)
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", key); err != nil {
		return wrong(err)
	}
	err = s.migrateLocked(ctx, conn)
	if _, unlock := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", key); err == nil {
		err = unlock
	}
	if err != nil {
		return wrong(err)
	}
	return nil
}

func (s *Store) migrateLocked(ctx context.Context, conn *pgxpool.Conn) error {
	// The name matches schemaName, so it needs no quoting. IF NOT EXISTS alone would ask for the
	// right to create schemas also when there is nothing to create.
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT to_regnamespace($1) IS NOT NULL", s.opts.Schema).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if _, err := conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+s.opts.Schema); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS ledger_migration (version bigint PRIMARY KEY)`); err != nil {
		return err
	}
	var version int
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM ledger_migration`).Scan(&version); err != nil {
		return err
	}
	names, err := fs.Glob(migrations, "migration/*.sql") // sorted
	if err != nil {
		return err
	}
	if version > len(names) {
		return fmt.Errorf("it has version %d and this program knows up to %d: use the newer program", version, len(names))
	}
	for i := version; i < len(names); i++ {
		text, err := migrations.ReadFile(names[i])
		if err != nil {
			return err
		}
		// A crash between two steps leaves the older schema whole; the next start goes on from there.
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, string(text)); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO ledger_migration (version) VALUES ($1)`, i+1)
			return err
		})
		if err != nil {
			return fmt.Errorf("step %s: %w", names[i], err)
		}
	}
	return migrateJobs(ctx, s)
}
