package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/ledger"
)

// The queries of a writer.
const (
	querySavepoint = `SAVEPOINT command`
	queryUndo      = `ROLLBACK TO command`
	queryRelease   = `RELEASE command`

	// SQLite gives a new row the largest seq there is plus one, and facts are never deleted, so
	// seq has no gaps: what is undone gives its seq back.
	queryAppend     = `INSERT INTO facts (chain, n, id, kind, header, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?)`
	queryAppendPart = `INSERT INTO parts (seq, merchant, idx, commitment, sealed) VALUES (?, ?, ?, ?, ?)`
	queryPutHead    = `INSERT INTO heads (chain, n, id, hash) VALUES (?, ?, ?, ?)
		ON CONFLICT (chain) DO UPDATE SET n = excluded.n, id = excluded.id, hash = excluded.hash`
	queryForget      = `DELETE FROM commands WHERE at < ?`
	queryCommand     = `INSERT INTO commands (id, outcome, at) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING`
	querySetWake     = `INSERT INTO wakes (chain, clock, at) VALUES (?, ?, ?) ON CONFLICT (chain, clock) DO UPDATE SET at = excluded.at`
	queryClearWake   = `DELETE FROM wakes WHERE chain = ? AND clock = ?`
	queryPutSnapshot = `INSERT INTO snapshots (chain, n, engine, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (chain) DO UPDATE SET n = excluded.n, engine = excluded.engine, body = excluded.body`
	queryPutRow = `INSERT INTO projections (name, key, rank, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (name, key) DO UPDATE SET rank = excluded.rank, body = excluded.body`
	queryDeleteRow   = `DELETE FROM projections WHERE name = ? AND key = ?`
	queryDeleteRows  = `DELETE FROM projections`
	queryAnchored    = `UPDATE facts SET anchor = ? WHERE seq = ? AND anchor < 0`
	queryAnchorOf    = `SELECT anchor FROM facts WHERE seq = ?`
	queryPutMerchant = `INSERT INTO merchants (` + merchantColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, phone = excluded.phone, language = excluded.language,
		zone = excluded.zone, country = excluded.country, emails = excluded.emails,
		contract_hours = excluded.contract_hours, installed = excluded.installed, uninstalled = excluded.uninstalled,
		channels = excluded.channels`
	queryDropStores = `DELETE FROM stores WHERE merchant = ?`
	queryPutStore   = `INSERT INTO stores (merchant, position, id, domain) VALUES (?, ?, ?, ?)`
)

func writeQueries() []string {
	return append(readQueries(), querySavepoint, queryUndo, queryRelease, queryAppend, queryAppendPart, queryPutHead,
		queryForget, queryCommand, querySetWake, queryClearWake, queryPutSnapshot, queryPutRow, queryDeleteRow,
		queryDeleteRows, queryAnchored, queryAnchorOf, queryPutMerchant, queryDropStores, queryPutStore)
}

// tx is a write transaction: a savepoint in the group's. It is used by one goroutine, and not
// after its function returned.
type tx struct {
	reader
	tx     *sql.Tx
	store  *Store
	ended  bool
	heads  map[string]ledger.Head // as this transaction has read or moved them; zero: empty chain
	chains []string               // that grew
	jobs   []ledger.Job           // to queue when the function returns
	queued int                    // jobs handed to the runner
}

var errEnded = errors.New("sqlite: the transaction has ended")

func (t *tx) exec(what, query string, args ...any) (sql.Result, error) {
	if t.ended {
		return nil, errEnded
	}
	result, err := t.statements.exec(t.ctx, query, args...)
	if err != nil {
		return nil, wrong(what, err)
	}
	return result, nil
}

func (t *tx) Append(chain string, expect int, records []ledger.Record) error {
	if t.ended {
		return errEnded
	}
	head, err := t.head(chain)
	if err != nil {
		return err
	}
	if err := ledger.CheckAppend(chain, head, expect, records); err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	what := "append to chain " + chain
	for i := range records {
		r := &records[i]
		result, err := t.exec(what, queryAppend, r.Chain, r.N, r.ID, r.Kind, r.Header, r.Prev, r.Hash)
		if err != nil {
			return err
		}
		if r.Seq, err = result.LastInsertId(); err != nil {
			return wrong(what, err)
		}
		r.Anchor = -1
		for _, p := range r.Parts {
			if _, err := t.exec(what, queryAppendPart, r.Seq, p.Merchant, p.Index, p.Commit, p.Sealed); err != nil {
				return err
			}
		}
	}
	last := &records[len(records)-1]
	if _, err := t.exec(what, queryPutHead, chain, last.N, last.ID, last.Hash); err != nil {
		return err
	}
	t.heads[chain] = ledger.Head{Chain: chain, N: last.N, ID: last.ID, Hash: last.Hash}
	t.chains = append(t.chains, chain)
	return nil
}

// Head returns the newest fact of a chain. A command reads the head before it appends, and Append
// compares with it: the second time it is remembered, because nobody else writes meanwhile.
func (t *tx) Head(chain string) (ledger.Head, error) {
	h, err := t.head(chain)
	if err == nil && h.N == 0 {
		err = fmt.Errorf("%w: head of chain %s", ledger.ErrNotFound, chain)
	}
	return h, err
}

// head is Head with the zero value for an empty chain.
func (t *tx) head(chain string) (ledger.Head, error) {
	if h, ok := t.heads[chain]; ok {
		return h, nil
	}
	h, ok := t.store.heads.get(chain)
	if !ok {
		var err error
		if h, err = t.reader.Head(chain); err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return ledger.Head{}, err
		}
	}
	if t.heads == nil {
		t.heads = map[string]ledger.Head{}
	}
	t.heads[chain] = h
	return h, nil
}

func (t *tx) Command(id string, outcome []byte, at time.Time) error {
	if _, err := t.exec("forget old commands", queryForget, at.Add(-ledger.CommandMemory).UnixNano()); err != nil {
		return err
	}
	result, err := t.exec("remember a command", queryCommand, id, nonNil(outcome), at.UnixNano())
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return wrong("remember a command", err)
	}
	if n == 0 {
		return ledger.ErrDuplicate
	}
	return nil
}

func (t *tx) Enqueue(job ledger.Job) error {
	if t.ended {
		return errEnded
	}
	if err := ledger.CheckJob(job); err != nil {
		return err
	}
	t.jobs = append(t.jobs, job)
	return nil
}

// flushJobs hands the jobs to the runner inside this transaction, so that they are queued if and
// only if the facts that owe them are kept.
func (t *tx) flushJobs() error {
	if len(t.jobs) == 0 {
		return nil
	}
	t.queued = len(t.jobs)
	return t.store.jobs.insert(t.ctx, t.tx, t.jobs)
}

func (t *tx) SetWake(chain string, clock ledger.WakeClock, at time.Time) error {
	var err error
	if at.IsZero() {
		_, err = t.exec("clear a wake", queryClearWake, chain, string(clock))
	} else {
		_, err = t.exec("set a wake", querySetWake, chain, string(clock), at.UnixNano())
	}
	return err
}

func (t *tx) PutSnapshot(chain string, n int, engine string, body []byte) error {
	_, err := t.exec("keep a snapshot of chain "+chain, queryPutSnapshot, chain, n, engine, nonNil(body))
	return err
}

func (t *tx) PutRow(projection string, row ledger.Row) error {
	_, err := t.exec("keep a row of "+projection, queryPutRow, projection, row.Key, row.Rank, nonNil(row.Body))
	return err
}

func (t *tx) DeleteRow(projection, key string) error {
	_, err := t.exec("delete a row of "+projection, queryDeleteRow, projection, key)
	return err
}

func (t *tx) Anchored(seq, index int64) error {
	if index < 0 {
		return fmt.Errorf("sqlite: anchor fact %d: %d is no index", seq, index)
	}
	what := fmt.Sprintf("anchor fact %d", seq)
	result, err := t.exec(what, queryAnchored, index, seq)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	var at int64
	if err := t.row(queryAnchorOf, seq).Scan(&at); err != nil {
		return wrong(what, err)
	}
	if at != index {
		return fmt.Errorf("sqlite: anchor fact %d at %d: it is anchored at %d", seq, index, at)
	}
	return nil
}

func (t *tx) PutMerchants(merchants []ledger.Merchant) error {
	for i := range merchants {
		m := &merchants[i]
		what := "keep merchant " + m.ID
		emails, err := json.Marshal(append([]string{}, m.Emails...))
		if err != nil {
			return wrong(what, err)
		}
		channels := []byte("{}")
		if len(m.Channels) > 0 {
			if channels, err = json.Marshal(m.Channels); err != nil {
				return wrong(what, err)
			}
		}
		if _, err := t.exec(what, queryPutMerchant, m.ID, m.Name, m.Phone, m.Language, m.Zone, m.Country,
			string(emails), m.ContractHours, nullable(m.Installed), nullable(m.Uninstalled), string(channels)); err != nil {
			return err
		}
		if _, err := t.exec(what, queryDropStores, m.ID); err != nil {
			return err
		}
		for i, s := range m.Stores {
			if _, err := t.exec(what, queryPutStore, m.ID, i, s.ID, s.Domain); err != nil {
				return err
			}
		}
	}
	return nil
}

// Rebuild drops every projection and makes them again, in one transaction: a crash leaves the old
// ones whole. It holds the writer for as long as it takes.
func (s *Store) Rebuild(ctx context.Context, fn func(ledger.Tx, ledger.Record) error) error {
	return s.update(ctx, func(t *tx) error {
		if _, err := t.exec("drop the projections", queryDeleteRows); err != nil {
			return err
		}
		for after := int64(0); ; {
			records, err := t.RecordsSince(after, rebuildPage)
			if err != nil || len(records) == 0 {
				return err
			}
			for _, r := range records {
				if err := ctx.Err(); err != nil {
					return context.Cause(ctx)
				}
				if err := fn(t, r); err != nil {
					return fmt.Errorf("sqlite: rebuild at fact %d: %w", r.Seq, err)
				}
				after = r.Seq
			}
		}
	})
}

// rebuildPage is how many facts are read at a time while projections are rebuilt.
const rebuildPage = 256

// nullable stores the zero time as NULL.
func nullable(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixNano()
}

// nonNil stores no bytes as an empty value and not as NULL.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
