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
	d, done, err := bare(filepath.Join(o.Dir, "desk"))
	if err != nil {
		return nil, err
	}
	defer done()
	who := desk.Caller{Principal: "person:bench", Name: "Bench", Access: incident.Owner, Roles: []string{"lead"}}
	const chains = 64
	ids := make([]string, chains)
	for i := range ids {
		out, err := d.OpenIncident(ctx, "", who, incident.Open{Class: "exposure", Title: "bench"})
		if err != nil {
			return nil, err
		}
		ids[i] = out.Incident
	}
	text := "The token of the packing worker was seen from an address nobody knows."
	through := func(callers, each int) func() (float64, error) {
		return func() (float64, error) {
			began := time.Now()
			err := together(callers, func(c int) error {
				for range each {
					if _, err := d.Submit(ctx, desk.Request{Incident: ids[c], Command: incident.Note{Text: text}, Caller: who}); err != nil {
						return err
					}
				}
				return nil
			})
			return perSecond(callers*each, time.Since(began)), err
		}
	}
	record, err := d.SampleRecord(ctx, ids[0])
	if err != nil {
		return nil, err
	}
	plain, err := newPlain(filepath.Join(o.Dir, "plain"))
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	inserts := func(callers, each int) func() (float64, error) {
		return func() (float64, error) {
			began := time.Now()
			err := together(callers, func(c int) error {
				for range each {
					if err := plain.insert(ctx, record); err != nil {
						return err
					}
				}
				return nil
			})
			return perSecond(callers*each, time.Since(began)), err
		}
	}
	const baseline = "one insert per transaction, same pragmas, payload and durability"
	var results []Result
	for _, n := range []struct {
		name          string
		callers, each int
	}{{"submit-1", 1, 400}, {"submit-64", 64, 60}} {
		got, err := rounds(ctx, 5, through(n.callers, n.each))
		if err != nil {
			return nil, err
		}
		base, err := rounds(ctx, 5, inserts(n.callers, max(n.each/4, 20)))
		if err != nil {
			return nil, err
		}
		results = append(results, figure(n.name, "commands/s", "higher", got, baseline, base,
			fmt.Sprintf("%d callers; a command is authenticated, decided, sealed, chained, projected and fsynced", n.callers)))
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

// plain is what one would write without thinking: a table and an insert per transaction.
type plain struct{ db *sql.DB }

func newPlain(dir string) (*plain, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "plain.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE facts (seq INTEGER PRIMARY KEY, chain TEXT, n INTEGER, id TEXT, kind TEXT, header BLOB, hash BLOB, part BLOB)`)
	return &plain{db}, err
}

func (p *plain) Close() error { return p.db.Close() }

func (p *plain) insert(ctx context.Context, r ledger.Record) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var sealed []byte
	for _, part := range r.Parts {
		sealed = append(sealed, part.Sealed...)
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO facts (chain, n, id, kind, header, hash, part) VALUES (?,?,?,?,?,?,?)`, r.Chain, r.N, r.ID, r.Kind, r.Header, r.Hash, sealed); err != nil {
		return err
	}
	return tx.Commit()
}
