package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-ir/tocsin/ledger"
)

const (
	factColumns     = `f.seq, f.chain, f.n, f.id, f.kind, f.header, f.prev, f.hash, f.anchor`
	partColumns     = `p.seq, p.merchant, p.idx, p.commitment, p.sealed`
	merchantColumns = `id, name, phone, language, zone, country, emails, contract_hours, installed, uninstalled, channels`
)

// reader reads inside one transaction.
type reader struct {
	ctx context.Context
	tx  pgx.Tx
}

// wrong says where a query failed, and turns an absent row into ErrNotFound.
func wrong(what string, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%w: %s", ledger.ErrNotFound, what)
	}
	return fmt.Errorf("postgres: %s: %w", what, err)
}

// collect reads every row of a query with scan.
func collect[T any](r *reader, what string, scan func(pgx.CollectableRow) (T, error), query string, args ...any) ([]T, error) {
	rows, err := r.tx.Query(r.ctx, query, args...)
	if err != nil {
		return nil, wrong(what, err)
	}
	found, err := pgx.AppendRows([]T(nil), rows, scan)
	if err != nil {
		return nil, wrong(what, err)
	}
	return found, nil
}

func scanHead(row pgx.CollectableRow) (h ledger.Head, err error) {
	err = row.Scan(&h.Chain, &h.N, &h.ID, &h.Hash)
	return h, err
}

func (r *reader) Head(chain string) (ledger.Head, error) {
	heads, err := collect(r, "head of chain "+chain, scanHead, `SELECT chain, n, id, hash FROM heads WHERE chain = $1`, chain)
	if err == nil && len(heads) == 0 {
		err = wrong("head of chain "+chain, pgx.ErrNoRows)
	}
	if err != nil {
		return ledger.Head{}, err
	}
	return heads[0], nil
}

func (r *reader) Heads(after string, limit int) ([]ledger.Head, error) {
	return collect(r, "heads", scanHead, `SELECT chain, n, id, hash FROM heads WHERE chain > $1 ORDER BY chain LIMIT $2`,
		after, ledger.Limit(limit))
}

func scanRecord(row pgx.CollectableRow) (f ledger.Record, err error) {
	err = row.Scan(&f.Seq, &f.Chain, &f.N, &f.ID, &f.Kind, &f.Header, &f.Prev, &f.Hash, &f.Anchor)
	return f, err
}

// records reads facts and then their parts.
func (r *reader) records(what, query string, args ...any) ([]ledger.Record, error) {
	records, err := collect(r, what, scanRecord, query, args...)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	seqs := make([]int64, len(records))
	place := make(map[int64]int, len(records))
	for i := range records {
		seqs[i], place[records[i].Seq] = records[i].Seq, i
	}
	_, err = collect(r, "parts", func(row pgx.CollectableRow) (struct{}, error) {
		var seq int64
		var p ledger.SealedPart
		if err := row.Scan(&seq, &p.Merchant, &p.Index, &p.Commit, &p.Sealed); err != nil {
			return struct{}{}, err
		}
		record := &records[place[seq]]
		record.Parts = append(record.Parts, p)
		return struct{}{}, nil
	}, `SELECT `+partColumns+` FROM parts p WHERE p.seq = ANY ($1) ORDER BY p.seq, p.merchant, p.idx`, seqs)
	return records, err
}

func (r *reader) Records(chain string, afterN, limit int) ([]ledger.Record, error) {
	return r.records("facts of chain "+chain,
		`SELECT `+factColumns+` FROM facts f WHERE f.chain = $1 AND f.n > $2 ORDER BY f.n LIMIT $3`, chain, afterN, ledger.Limit(limit))
}

func (r *reader) RecordsSince(seq int64, limit int) ([]ledger.Record, error) {
	return r.records("facts", `SELECT `+factColumns+` FROM facts f WHERE f.seq > $1 ORDER BY f.seq LIMIT $2`, seq, ledger.Limit(limit))
}

func (r *reader) RecordByID(id string) (ledger.Record, error) {
	records, err := r.records("fact "+id, `SELECT `+factColumns+` FROM facts f WHERE f.id = $1`, id)
	if err == nil && len(records) == 0 {
		err = wrong("fact "+id, pgx.ErrNoRows)
	}
	if err != nil {
		return ledger.Record{}, err
	}
	return records[0], nil
}

func (r *reader) Unanchored(limit int) ([]ledger.Record, error) {
	return r.records("facts that are pending",
		`SELECT `+factColumns+` FROM facts f WHERE f.anchor < 0 ORDER BY f.seq LIMIT $1`, ledger.Limit(limit))
}

func (r *reader) Snapshot(chain string) (n int, engine string, body []byte, err error) {
	row := r.tx.QueryRow(r.ctx, `SELECT n, engine, body FROM snapshots WHERE chain = $1`, chain)
	if err := row.Scan(&n, &engine, &body); err != nil {
		return 0, "", nil, wrong("snapshot of chain "+chain, err)
	}
	return n, engine, body, nil
}

func (r *reader) Row(projection, key string) (ledger.Row, error) {
	var row ledger.Row
	err := r.tx.QueryRow(r.ctx, `SELECT key, rank, body FROM projections WHERE name = $1 AND key = $2`, projection, key).
		Scan(&row.Key, &row.Rank, &row.Body)
	if err != nil {
		return ledger.Row{}, wrong("row "+key+" of "+projection, err)
	}
	return row, nil
}

func (r *reader) Rows(projection, fromRank, toRank string, limit int) ([]ledger.Row, error) {
	return collect(r, "rows of "+projection, func(row pgx.CollectableRow) (p ledger.Row, err error) {
		err = row.Scan(&p.Key, &p.Rank, &p.Body)
		return p, err
	}, `SELECT key, rank, body FROM projections WHERE name = $1 AND rank >= $2 AND ($3 = '' OR rank < $3)
		ORDER BY rank, key LIMIT $4`, projection, fromRank, toRank, ledger.Limit(limit))
}

func (r *reader) Wakes(clock ledger.WakeClock, before time.Time, limit int) ([]ledger.Wake, error) {
	return collect(r, "wakes", func(row pgx.CollectableRow) (ledger.Wake, error) {
		w := ledger.Wake{Clock: clock}
		var at int64
		err := row.Scan(&w.Chain, &at)
		w.At = instant(at)
		return w, err
	}, `SELECT chain, at FROM wakes WHERE clock = $1 AND at <= $2 ORDER BY at, chain LIMIT $3`,
		string(clock), before.UnixNano(), ledger.Limit(limit))
}

func (r *reader) NextWake(clock ledger.WakeClock) (time.Time, bool, error) {
	var at int64
	err := r.tx.QueryRow(r.ctx, `SELECT at FROM wakes WHERE clock = $1 ORDER BY at LIMIT 1`, string(clock)).Scan(&at)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return time.Time{}, false, nil
	case err != nil:
		return time.Time{}, false, wrong("next wake", err)
	}
	return instant(at), true, nil
}

func (r *reader) Outcome(command string) ([]byte, error) {
	var outcome []byte
	if err := r.tx.QueryRow(r.ctx, `SELECT outcome FROM commands WHERE id = $1`, command).Scan(&outcome); err != nil {
		return nil, wrong("outcome of a command", err)
	}
	return outcome, nil
}

func (r *reader) Merchant(id string) (ledger.Merchant, error) {
	found, err := r.merchants("merchant "+id, `SELECT `+merchantColumns+` FROM merchants WHERE id = $1`, id)
	if err == nil && len(found) == 0 {
		err = wrong("merchant "+id, pgx.ErrNoRows)
	}
	if err != nil {
		return ledger.Merchant{}, err
	}
	return found[0], nil
}

func (r *reader) Merchants(afterID string, limit int) ([]ledger.Merchant, error) {
	return r.merchants("merchants", `SELECT `+merchantColumns+` FROM merchants WHERE id > $1 ORDER BY id LIMIT $2`,
		afterID, ledger.Limit(limit))
}

func (r *reader) merchants(what, query string, args ...any) ([]ledger.Merchant, error) {
	found, err := collect(r, what, scanMerchant, query, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	ids := make([]string, len(found))
	place := make(map[string]int, len(found))
	for i := range found {
		ids[i], place[found[i].ID] = found[i].ID, i
	}
	_, err = collect(r, "stores", func(row pgx.CollectableRow) (struct{}, error) {
		var merchant string
		var s ledger.MerchantStore
		if err := row.Scan(&merchant, &s.ID, &s.Domain); err != nil {
			return struct{}{}, err
		}
		m := &found[place[merchant]]
		m.Stores = append(m.Stores, s)
		return struct{}{}, nil
	}, `SELECT merchant, id, domain FROM stores WHERE merchant = ANY ($1) ORDER BY merchant, position`, ids)
	return found, err
}

func (r *reader) CountAnchored(below int64) (int, error) {
	var n int
	if err := r.tx.QueryRow(r.ctx, `SELECT count(*) FROM facts WHERE anchor >= 0 AND anchor < $1`, below).Scan(&n); err != nil {
		return 0, wrong("number of anchored facts", err)
	}
	return n, nil
}

func (r *reader) CountMerchants() (int, error) {
	var n int
	if err := r.tx.QueryRow(r.ctx, `SELECT count(*) FROM merchants`).Scan(&n); err != nil {
		return 0, wrong("number of merchants", err)
	}
	return n, nil
}

func scanMerchant(row pgx.CollectableRow) (ledger.Merchant, error) {
	var m ledger.Merchant
	var installed, uninstalled *int64
	err := row.Scan(&m.ID, &m.Name, &m.Phone, &m.Language, &m.Zone, &m.Country, &m.Emails, &m.ContractHours, &installed, &uninstalled, &m.Channels)
	if len(m.Channels) == 0 {
		m.Channels = nil
	}
	if installed != nil {
		m.Installed = instant(*installed)
	}
	if uninstalled != nil {
		m.Uninstalled = instant(*uninstalled)
	}
	return m, err
}

func instant(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }
