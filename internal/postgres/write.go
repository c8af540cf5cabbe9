package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tocsin-ir/tocsin/internal/runner"
	"github.com/tocsin-ir/tocsin/ledger"
)

// tx is a write transaction: a savepoint in the group's. It is used by one goroutine, and not
// after its function returned.
type tx struct {
	reader
	store  *Store
	ended  bool
	heads  map[string]ledger.Head // as this transaction has read or moved them; zero: empty chain
	chains []string               // that grew
	jobs   []ledger.Job           // to queue when the function returns
}

var errEnded = errors.New("postgres: the transaction has ended")

func (t *tx) exec(what, query string, args ...any) (pgconn.CommandTag, error) {
	if t.ended {
		return pgconn.CommandTag{}, errEnded
	}
	tag, err := t.tx.Exec(t.ctx, query, args...)
	if err != nil {
		return tag, wrong(what, err)
	}
	return tag, nil
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
		if err := t.append(what, &records[i]); err != nil {
			return err
		}
	}
	last := &records[len(records)-1]
	if _, err := t.exec(what, `INSERT INTO heads (chain, n, id, hash) VALUES ($1, $2, $3, $4)
		ON CONFLICT (chain) DO UPDATE SET n = excluded.n, id = excluded.id, hash = excluded.hash`,
		chain, last.N, last.ID, last.Hash); err != nil {
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
	h, err := t.reader.Head(chain)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return ledger.Head{}, err
	}
	if t.heads == nil {
		t.heads = map[string]ledger.Head{}
	}
	t.heads[chain] = h
	return h, nil
}

// append inserts one fact and its parts. The writers' lock is held and facts are never deleted,
// so the largest seq plus one is free and leaves no gap: what is undone gives its seq back.
func (t *tx) append(what string, r *ledger.Record) error {
	err := t.tx.QueryRow(t.ctx, `INSERT INTO facts (seq, chain, n, id, kind, header, prev, hash)
		VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM facts), $1, $2, $3, $4, $5, $6, $7) RETURNING seq`,
		r.Chain, r.N, r.ID, r.Kind, r.Header, r.Prev, r.Hash).Scan(&r.Seq)
	if err != nil {
		return wrong(what, err)
	}
	r.Anchor = -1
	if len(r.Parts) == 0 {
		return nil
	}
	merchants, indexes := make([]string, len(r.Parts)), make([]int64, len(r.Parts))
	commits, sealed := make([][]byte, len(r.Parts)), make([][]byte, len(r.Parts))
	for i, p := range r.Parts {
		merchants[i], indexes[i], commits[i], sealed[i] = p.Merchant, int64(p.Index), p.Commit, p.Sealed
	}
	_, err = t.exec(what, `INSERT INTO parts (seq, merchant, idx, commitment, sealed)
		SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bytea[], $5::bytea[])`,
		r.Seq, merchants, indexes, commits, sealed)
	return err
}

func (t *tx) Command(id string, outcome []byte, at time.Time) error {
	if _, err := t.exec("forget old commands", `DELETE FROM commands WHERE at < $1`,
		at.Add(-ledger.CommandMemory).UnixNano()); err != nil {
		return err
	}
	tag, err := t.exec("remember a command", `INSERT INTO commands (id, outcome, at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`,
		id, nonNil(outcome), at.UnixNano())
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
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
	if err := t.store.jobs.runner.Insert(t.ctx, t.tx, t.jobs); err != nil {
		return err
	}
	return t.notify(runner.QueueUrgent, runner.QueueUsual)
}

func (t *tx) SetWake(chain string, clock ledger.WakeClock, at time.Time) error {
	var err error
	if at.IsZero() {
		_, err = t.exec("clear a wake", `DELETE FROM wakes WHERE chain = $1 AND clock = $2`, chain, string(clock))
	} else {
		_, err = t.exec("set a wake", `INSERT INTO wakes (chain, clock, at) VALUES ($1, $2, $3)
			ON CONFLICT (chain, clock) DO UPDATE SET at = excluded.at`, chain, string(clock), at.UnixNano())
	}
	return err
}

func (t *tx) PutSnapshot(chain string, n int, engine string, body []byte) error {
	_, err := t.exec("keep a snapshot of chain "+chain, `INSERT INTO snapshots (chain, n, engine, body) VALUES ($1, $2, $3, $4)
		ON CONFLICT (chain) DO UPDATE SET n = excluded.n, engine = excluded.engine, body = excluded.body`,
		chain, n, engine, nonNil(body))
	return err
}

func (t *tx) PutRow(projection string, row ledger.Row) error {
	_, err := t.exec("keep a row of "+projection, `INSERT INTO projections (name, key, rank, body) VALUES ($1, $2, $3, $4)
		ON CONFLICT (name, key) DO UPDATE SET rank = excluded.rank, body = excluded.body`,
		projection, row.Key, row.Rank, nonNil(row.Body))
	return err
}

func (t *tx) DeleteRow(projection, key string) error {
	_, err := t.exec("delete a row of "+projection, `DELETE FROM projections WHERE name = $1 AND key = $2`, projection, key)
	return err
}

func (t *tx) Anchored(seq, index int64) error {
	if index < 0 {
		return fmt.Errorf("postgres: anchor fact %d: %d is no index", seq, index)
	}
	what := fmt.Sprintf("anchor fact %d", seq)
	tag, err := t.exec(what, `UPDATE facts SET anchor = $1 WHERE seq = $2 AND anchor < 0`, index, seq)
	if err != nil || tag.RowsAffected() == 1 {
		return err
	}
	var at int64
	if err := t.tx.QueryRow(t.ctx, `SELECT anchor FROM facts WHERE seq = $1`, seq).Scan(&at); err != nil {
		return wrong(what, err)
	}
	if at != index {
		return fmt.Errorf("postgres: anchor fact %d at %d: it is anchored at %d", seq, index, at)
	}
	return nil
}

func (t *tx) PutMerchants(merchants []ledger.Merchant) error {
	if t.ended {
		return errEnded
	}
	batch := &pgx.Batch{}
	for i := range merchants {
		m := &merchants[i]
		batch.Queue(`INSERT INTO merchants (`+merchantColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, coalesce($11, '{}'::jsonb))
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, phone = excluded.phone, language = excluded.language,
			zone = excluded.zone, country = excluded.country, emails = excluded.emails,
			contract_hours = excluded.contract_hours, installed = excluded.installed, uninstalled = excluded.uninstalled, channels = excluded.channels`,
			m.ID, m.Name, m.Phone, m.Language, m.Zone, m.Country, append([]string{}, m.Emails...),
			m.ContractHours, nullable(m.Installed), nullable(m.Uninstalled), m.Channels)
		batch.Queue(`DELETE FROM stores WHERE merchant = $1`, m.ID)
		for i, s := range m.Stores {
			batch.Queue(`INSERT INTO stores (merchant, position, id, domain) VALUES ($1, $2, $3, $4)`, m.ID, i, s.ID, s.Domain)
		}
	}
	if err := t.tx.SendBatch(t.ctx, batch).Close(); err != nil {
		return wrong("keep merchants", err)
	}
	return nil
}

// Rebuild drops every projection and makes them again, in one transaction: a crash leaves the old
// ones whole. Writers wait for as long as it takes; readers see the old rows meanwhile.
func (s *Store) Rebuild(ctx context.Context, fn func(ledger.Tx, ledger.Record) error) error {
	return s.update(ctx, func(t *tx) error {
		if _, err := t.exec("drop the projections", `DELETE FROM projections`); err != nil {
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
					return fmt.Errorf("postgres: rebuild at fact %d: %w", r.Seq, err)
				}
				after = r.Seq
			}
		}
	})
}

// rebuildPage is how many facts are read at a time while projections are rebuilt.
const rebuildPage = 256

// nullable stores the zero time as NULL.
func nullable(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	at := t.UnixNano()
	return &at
}

// nonNil stores no bytes as an empty value and not as NULL.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
