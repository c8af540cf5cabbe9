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

// The queries of a reader.
const (
	factColumns = `f.seq, f.chain, f.n, f.id, f.kind, f.header, f.prev, f.hash, f.anchor`
	partColumns = `p.seq, p.merchant, p.idx, p.commitment, p.sealed`

	queryHead    = `SELECT chain, n, id, hash FROM heads WHERE chain = ?`
	queryHeads   = `SELECT chain, n, id, hash FROM heads WHERE chain > ? ORDER BY chain LIMIT ?`
	queryRecords = `SELECT ` + factColumns + ` FROM facts f WHERE f.chain = ? AND f.n > ? ORDER BY f.n LIMIT ?`
	queryParts   = `SELECT ` + partColumns + ` FROM facts f JOIN parts p ON p.seq = f.seq
		WHERE f.chain = ? AND f.n > ? AND f.n <= ? ORDER BY f.n, p.merchant, p.idx`
	querySince      = `SELECT ` + factColumns + ` FROM facts f WHERE f.seq > ? ORDER BY f.seq LIMIT ?`
	querySinceParts = `SELECT ` + partColumns + ` FROM parts p WHERE p.seq > ? AND p.seq <= ? ORDER BY p.seq, p.merchant, p.idx`
	queryByID       = `SELECT ` + factColumns + ` FROM facts f WHERE f.id = ?`
	queryOwnParts   = `SELECT ` + partColumns + ` FROM parts p WHERE p.seq = ? ORDER BY p.merchant, p.idx`
	queryPending    = `SELECT ` + factColumns + ` FROM facts f WHERE f.anchor < 0 ORDER BY f.seq LIMIT ?`
	queryInLog      = `SELECT count(*) FROM facts WHERE anchor >= 0 AND anchor < ?`
	querySnapshot   = `SELECT n, engine, body FROM snapshots WHERE chain = ?`
	queryRow        = `SELECT key, rank, body FROM projections WHERE name = ? AND key = ?`
	queryRows       = `SELECT key, rank, body FROM projections WHERE name = ?1 AND rank >= ?2 AND (?3 = '' OR rank < ?3)
		ORDER BY rank, key LIMIT ?4`
	queryWakes     = `SELECT chain, at FROM wakes WHERE clock = ? AND at <= ? ORDER BY at, chain LIMIT ?`
	queryNextWake  = `SELECT at FROM wakes WHERE clock = ? ORDER BY at LIMIT 1`
	queryOutcome   = `SELECT outcome FROM commands WHERE id = ?`
	queryMerchant  = `SELECT ` + merchantColumns + ` FROM merchants WHERE id = ?`
	queryMerchants = `SELECT ` + merchantColumns + ` FROM merchants WHERE id > ? ORDER BY id LIMIT ?`
	queryStores    = `SELECT merchant, id, domain FROM stores WHERE merchant >= ? AND merchant <= ? ORDER BY merchant, position`
	queryCount     = `SELECT count(*) FROM merchants`

	merchantColumns = `id, name, phone, language, zone, country, emails, contract_hours, installed, uninstalled, channels`
)

func readQueries() []string {
	return []string{queryHead, queryHeads, queryRecords, queryParts, querySince, querySinceParts, queryByID,
		queryOwnParts, queryPending, queryInLog, querySnapshot, queryRow, queryRows, queryWakes, queryNextWake, queryOutcome,
		queryMerchant, queryMerchants, queryStores, queryCount}
}

// reader reads inside one transaction, of either pool.
type reader struct {
	ctx        context.Context
	statements *bound
}

// wrong says where a query failed, and turns an absent row into ErrNotFound.
func wrong(what string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: %s", ledger.ErrNotFound, what)
	}
	return fmt.Errorf("sqlite: %s: %w", what, err)
}

func (r *reader) row(query string, args ...any) *sql.Row {
	return r.statements.row(r.ctx, query, args...)
}

// each calls scan for every row of a query.
func (r *reader) each(what, query string, scan func(*sql.Rows) error, args ...any) error {
	rows, err := r.statements.rows(r.ctx, query, args...)
	if err != nil {
		return wrong(what, err)
	}
	for rows.Next() {
		if err := scan(rows); err != nil {
			return errors.Join(wrong(what, err), rows.Close())
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return wrong(what, err)
	}
	return nil
}

func (r *reader) Head(chain string) (ledger.Head, error) {
	var h ledger.Head
	if err := r.row(queryHead, chain).Scan(&h.Chain, &h.N, &h.ID, &h.Hash); err != nil {
		return ledger.Head{}, wrong("head of chain "+chain, err)
	}
	return h, nil
}

func (r *reader) Heads(after string, limit int) ([]ledger.Head, error) {
	var heads []ledger.Head
	err := r.each("heads", queryHeads, func(rows *sql.Rows) error {
		var h ledger.Head
		err := rows.Scan(&h.Chain, &h.N, &h.ID, &h.Hash)
		heads = append(heads, h)
		return err
	}, after, ledger.Limit(limit))
	return heads, err
}

// records reads facts without their parts.
func (r *reader) records(what, query string, args ...any) ([]ledger.Record, error) {
	var records []ledger.Record
	err := r.each(what, query, func(rows *sql.Rows) error {
		var f ledger.Record
		err := rows.Scan(&f.Seq, &f.Chain, &f.N, &f.ID, &f.Kind, &f.Header, &f.Prev, &f.Hash, &f.Anchor)
		records = append(records, f)
		return err
	}, args...)
	return records, err
}

// addParts reads parts, which come in the order of records, and gives each to its record.
func (r *reader) addParts(records []ledger.Record, query string, args ...any) error {
	i := 0
	return r.each("parts", query, func(rows *sql.Rows) error {
		var seq int64
		var p ledger.SealedPart
		if err := rows.Scan(&seq, &p.Merchant, &p.Index, &p.Commit, &p.Sealed); err != nil {
			return err
		}
		for i < len(records) && records[i].Seq != seq {
			i++
		}
		if i == len(records) {
			return fmt.Errorf("a part belongs to fact %d, which was not read", seq)
		}
		records[i].Parts = append(records[i].Parts, p)
		return nil
	}, args...)
}

func (r *reader) Records(chain string, afterN, limit int) ([]ledger.Record, error) {
	records, err := r.records("facts of chain "+chain, queryRecords, chain, afterN, ledger.Limit(limit))
	if err != nil || len(records) == 0 {
		return nil, err
	}
	return records, r.addParts(records, queryParts, chain, afterN, records[len(records)-1].N)
}

func (r *reader) RecordsSince(seq int64, limit int) ([]ledger.Record, error) {
	records, err := r.records("facts", querySince, seq, ledger.Limit(limit))
	if err != nil || len(records) == 0 {
		return nil, err
	}
	return records, r.addParts(records, querySinceParts, seq, records[len(records)-1].Seq)
}

func (r *reader) RecordByID(id string) (ledger.Record, error) {
	records, err := r.records("fact "+id, queryByID, id)
	if err != nil {
		return ledger.Record{}, err
	}
	if len(records) == 0 {
		return ledger.Record{}, wrong("fact "+id, sql.ErrNoRows)
	}
	return records[0], r.addParts(records, queryOwnParts, records[0].Seq)
}

func (r *reader) Unanchored(limit int) ([]ledger.Record, error) {
	records, err := r.records("facts that are pending", queryPending, ledger.Limit(limit))
	if err != nil {
		return nil, err
	}
	for i := range records {
		if err := r.addParts(records[i:i+1], queryOwnParts, records[i].Seq); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func (r *reader) Snapshot(chain string) (n int, engine string, body []byte, err error) {
	if err := r.row(querySnapshot, chain).Scan(&n, &engine, &body); err != nil {
		return 0, "", nil, wrong("snapshot of chain "+chain, err)
	}
	return n, engine, body, nil
}

func (r *reader) Row(projection, key string) (ledger.Row, error) {
	var row ledger.Row
	if err := r.row(queryRow, projection, key).Scan(&row.Key, &row.Rank, &row.Body); err != nil {
		return ledger.Row{}, wrong("row "+key+" of "+projection, err)
	}
	return row, nil
}

func (r *reader) Rows(projection, fromRank, toRank string, limit int) ([]ledger.Row, error) {
	var found []ledger.Row
	err := r.each("rows of "+projection, queryRows, func(rows *sql.Rows) error {
		var row ledger.Row
		err := rows.Scan(&row.Key, &row.Rank, &row.Body)
		found = append(found, row)
		return err
	}, projection, fromRank, toRank, ledger.Limit(limit))
	return found, err
}

func (r *reader) Wakes(clock ledger.WakeClock, before time.Time, limit int) ([]ledger.Wake, error) {
	var wakes []ledger.Wake
	err := r.each("wakes", queryWakes, func(rows *sql.Rows) error {
		w := ledger.Wake{Clock: clock}
		var at int64
		err := rows.Scan(&w.Chain, &at)
		w.At = instant(at)
		wakes = append(wakes, w)
		return err
	}, string(clock), before.UnixNano(), ledger.Limit(limit))
	return wakes, err
}

func (r *reader) NextWake(clock ledger.WakeClock) (time.Time, bool, error) {
	var at int64
	switch err := r.row(queryNextWake, string(clock)).Scan(&at); {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, false, nil
	case err != nil:
		return time.Time{}, false, wrong("next wake", err)
	}
	return instant(at), true, nil
}

func (r *reader) Outcome(command string) ([]byte, error) {
	var outcome []byte
	if err := r.row(queryOutcome, command).Scan(&outcome); err != nil {
		return nil, wrong("outcome of a command", err)
	}
	return outcome, nil
}

func (r *reader) Merchant(id string) (ledger.Merchant, error) {
	m, err := scanMerchant(r.row(queryMerchant, id))
	if err != nil {
		return ledger.Merchant{}, wrong("merchant "+id, err)
	}
	found := []ledger.Merchant{m}
	err = r.addStores(found)
	return found[0], err
}

func (r *reader) Merchants(afterID string, limit int) ([]ledger.Merchant, error) {
	var found []ledger.Merchant
	err := r.each("merchants", queryMerchants, func(rows *sql.Rows) error {
		m, err := scanMerchant(rows)
		found = append(found, m)
		return err
	}, afterID, ledger.Limit(limit))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found, r.addStores(found)
}

func (r *reader) CountAnchored(below int64) (int, error) {
	var n int
	if err := r.row(queryInLog, below).Scan(&n); err != nil {
		return 0, wrong("number of anchored facts", err)
	}
	return n, nil
}

func (r *reader) CountMerchants() (int, error) {
	var n int
	if err := r.row(queryCount).Scan(&n); err != nil {
		return 0, wrong("number of merchants", err)
	}
	return n, nil
}

// addStores reads the stores of merchants that are in order of id without gaps.
func (r *reader) addStores(merchants []ledger.Merchant) error {
	i := 0
	return r.each("stores", queryStores, func(rows *sql.Rows) error {
		var merchant string
		var s ledger.MerchantStore
		if err := rows.Scan(&merchant, &s.ID, &s.Domain); err != nil {
			return err
		}
		for i < len(merchants) && merchants[i].ID != merchant {
			i++
		}
		if i == len(merchants) {
			return fmt.Errorf("store %s has no merchant", s.ID)
		}
		merchants[i].Stores = append(merchants[i].Stores, s)
		return nil
	}, merchants[0].ID, merchants[len(merchants)-1].ID)
}

func scanMerchant(row interface{ Scan(...any) error }) (ledger.Merchant, error) {
	var m ledger.Merchant
	var emails, channels string
	var installed, uninstalled sql.NullInt64
	err := row.Scan(&m.ID, &m.Name, &m.Phone, &m.Language, &m.Zone, &m.Country, &emails, &m.ContractHours, &installed, &uninstalled, &channels)
	if err != nil {
		return ledger.Merchant{}, err
	}
	if err := json.Unmarshal([]byte(emails), &m.Emails); err != nil {
		return ledger.Merchant{}, errors.New("its addresses cannot be read")
	}
	if channels != "{}" {
		if err := json.Unmarshal([]byte(channels), &m.Channels); err != nil {
			return ledger.Merchant{}, errors.New("its channels cannot be read")
		}
	}
	if installed.Valid {
		m.Installed = instant(installed.Int64)
	}
	if uninstalled.Valid {
		m.Uninstalled = instant(uninstalled.Int64)
	}
	return m, nil
}

func instant(nanoseconds int64) time.Time { return time.Unix(0, nanoseconds).UTC() }
