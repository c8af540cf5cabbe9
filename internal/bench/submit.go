package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/clock"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/policy"
)

// bare is a desk on SQLite with nothing around it, and a way to take it down.
func bare(dir string) (*desk.Desk, func() error, error) {
	p, err := benchProgram()
	if err != nil {
		return nil, nil, err
	}
	keys, err := keyring.Open(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, nil, err
	}
	store, err := sqlite.Open(filepath.Join(dir, "tocsin.db"), sqlite.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, keys.Close())
	}
	d, err := desk.New(desk.Options{Store: store, Keys: keys, Clock: clock.Real{}, Programs: []*policy.Program{p}, Env: "production", Org: "bench", OrgName: "Bench", Apps: []string{"bench"}})
	closeAll := func() error { return errors.Join(store.Close(), keys.Close()) }
	if err != nil {
		return nil, nil, errors.Join(err, closeAll())
	}
	return d, closeAll, nil
}

// submit measures durable commands per second through the desk, beside one insert per transaction
// of the same bytes into the same kind of file with the same pragmas.
func submit(ctx context.Context, o Options) ([]Result, error) {
	disk, err := durable(o.Dir)
	if err != nil {
		return nil, err
	}
	d, done, err := bare(filepath.Join(o.Dir, "desk"))
	if err != nil {
		return nil, err
	}
	results, err := submits(ctx, o, d, disk)
	return results, errors.Join(err, done())
}

func submits(ctx context.Context, o Options, d *desk.Desk, disk string) (_ []Result, err error) {
	who := desk.Caller{Principal: "person:bench", Name: "Bench", Access: incident.Owner, Roles: []string{"lead"}}
	ids := make([]string, 64)
	for i := range ids {
		out, err := d.OpenIncident(ctx, "", who, incident.Open{Class: "exposure", Title: "bench"})
		if err != nil {
			return nil, err
		}
		ids[i] = out.Incident
	}
	note := func(caller int) error {
		_, err := d.Submit(ctx, desk.Request{Incident: ids[caller], Caller: who, Command: incident.Note{
			Text: "The token of the packing worker was seen from an address nobody knows.",
		}})
		return err
	}
	if err := note(0); err != nil {
		return nil, err
	}
	record, err := d.SampleRecord(ctx, ids[0])
	if err != nil {
		return nil, err
	}
	plain, err := newPlain(filepath.Join(o.Dir, "plain"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	insert := func(int) error { return plain.insert(ctx, record) }
	// A side does all its commands as fast as its callers get answers.
	side := func(callers, each int, one func(caller int) error) func() (float64, error) {
		return func() (float64, error) {
			began := time.Now()
			err := together(callers, func(c int) error {
				for range each {
					if err := one(c); err != nil {
						return err
					}
				}
				return nil
			})
			return perSecond(callers*each, time.Since(began)), err
		}
	}
	var results []Result
	for _, n := range []struct {
		name          string
		callers, each int
	}{{"submit-1", 1, 1000}, {"submit-64", 64, 100}} {
		both, err := alternate(ctx, o, 9, side(n.callers, o.of(n.each), note), side(n.callers, o.of(n.each), insert))
		if err != nil {
			return nil, err
		}
		results = append(results, figure(n.name, "commands/s", "higher", both[0],
			"one insert per transaction: same pragmas, payload and durability", both[1],
			fmt.Sprintf("%d callers, each on an incident of its own with 20 duties; a command is decided, sealed, chained, projected and durable before its answer; the baseline stores the fact's bytes in one row that is found by id and by chain and number, and does nothing else; %s", n.callers, disk)))
	}
	return results, nil
}

// together runs f once per caller at the same time and returns the first error.
func together(callers int, f func(caller int) error) error {
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() { errs[c] = f(c) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// plain is what one would write first: a table, and a transaction for each insert.
type plain struct {
	db   *sql.DB
	stmt *sql.Stmt
}

func newPlain(dir string) (*plain, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The pragmas of internal/sqlite. One connection, as there: SQLite has one writer, and callers
	// that queue in the process do better than callers that wait for a file lock.
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "plain.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"+
		"&_pragma=foreign_keys(ON)&_pragma=busy_timeout(10000)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-16000)&_pragma=wal_autocheckpoint(4000)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE facts (seq INTEGER PRIMARY KEY, chain TEXT NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL UNIQUE,
		kind TEXT NOT NULL, header BLOB NOT NULL, hash BLOB NOT NULL, part BLOB NOT NULL, UNIQUE (chain, n))`)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	stmt, err := db.Prepare(`INSERT INTO facts (chain, n, id, kind, header, hash, part)
		SELECT ?1, coalesce(max(n), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM facts WHERE chain = ?1`)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &plain{db, stmt}, nil
}

func (p *plain) Close() error { return errors.Join(p.stmt.Close(), p.db.Close()) }

// insert stores the bytes of a record in a transaction of its own; the row is durable when it
// returns. A statement alone is a transaction: BEGIN and COMMIT around it would only cost more.
func (p *plain) insert(ctx context.Context, r ledger.Record) error {
	var sealed []byte
	for _, part := range r.Parts {
		sealed = append(sealed, part.Sealed...)
	}
	_, err := p.stmt.ExecContext(ctx, r.Chain, ulid.Make().String(), r.Kind, r.Header, r.Hash, sealed)
	return err
}
