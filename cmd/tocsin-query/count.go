//go:build cgo

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/scope/ask"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// maxAddresses is how many addresses a question about prefixes may come down to.
const maxAddresses = 50_000

// quote writes a text as the engine reads it. ask.Question.Check has refused what has no such form.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func quotes(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = quote(s)
	}
	return strings.Join(out, ", ")
}

// nanos is the time of a row.
const nanos = "(epoch_us(time) * 1000 + time_rest)"

// batch is how many files are read at a time when what a question narrows down to is kept: so that
// something can be said of how far it is.
const batch = 32

// count answers one question and says on the way how far it is.
func count(ctx context.Context, conn *sql.Conn, q *ask.Question, tell func(ask.Progress)) (*ask.Answer, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	a := &ask.Answer{Parts: []ask.Part{}, Customers: map[string]int64{}, Regions: map[string]int64{}, Hours: []ask.Hour{}, In: []ask.Pair{}, Out: []ask.Pair{}}
	if len(q.Files) == 0 {
		return a, nil
	}
	s := statement{ctx: ctx, conn: conn, q: q, from: read(q.Files)}
	hit, err := s.hit()
	if err != nil {
		return nil, err
	}
	// What one clause narrows is read once and kept; what is asked of everything, and did not fit the
	// memory over dictionaries, is read anew by each of them, because keeping it would cost more.
	kind := "VIEW"
	if len(q.Query.Any) > 0 {
		kind = "TABLE"
	}
	steps := []struct {
		what string
		of   func(*ask.Answer) error
	}{{"accesses by merchant, store and data", s.parts}, {"distinct customers", s.customers}, {"where they live", s.regions}, {"accesses by hour", s.hours}, {"addresses and user agents", s.pairs}}
	p := ask.Progress{Of: int64(len(steps)) + 1, Unit: "steps"}
	step := func(what string) {
		p.What = what
		tell(p)
		p.Done++
	}
	if kind == "VIEW" {
		p.Of--
		if _, err := conn.ExecContext(ctx, "CREATE TEMP VIEW hit AS "+hit+s.from+s.where); err != nil {
			return nil, err
		}
	} else {
		p.Of += int64((len(q.Files) - 1) / batch)
		begin := "CREATE TEMP TABLE hit AS "
		for files := range slices.Chunk(q.Files, batch) {
			step("reads the columns")
			if _, err = conn.ExecContext(ctx, begin+hit+read(files)+s.where); err != nil {
				break
			}
			begin = "INSERT INTO hit "
		}
	}
	for _, one := range steps {
		if err == nil {
			step(one.what)
			err = one.of(a)
		}
	}
	_, dropped := conn.ExecContext(ctx, "DROP "+kind+" IF EXISTS hit")
	if err = errors.Join(err, dropped); err != nil {
		return nil, err
	}
	return a, nil
}

// read is the table that files are.
func read(files []string) string {
	return "read_parquet([" + quotes(files) + "], hive_partitioning = false)"
}

type statement struct {
	ctx   context.Context
	conn  *sql.Conn
	q     *ask.Question
	from  string // all files
	where string // which rows count, from hit on
}

// hit begins the statement that selects what the wide query matches and showed somebody's data;
// inside says whether the query itself takes it in. The files follow, and then where.
func (s *statement) hit() (string, error) {
	q := s.q.Query
	at := func(t time.Time, round time.Duration) string {
		return "'" + t.UTC().Add(round).Truncate(time.Microsecond).Format("2006-01-02 15:04:05.000000") + "+00'::TIMESTAMPTZ"
	}
	terms := []string{
		"kind = " + quote(q.Kind),
		"time >= " + at(q.From, 0), "time <= " + at(q.To, 0), // these the files' statistics decide, the next two exactly
		fmt.Sprintf("%s >= %d", nanos, q.From.UnixNano()), fmt.Sprintf("%s < %d", nanos, q.To.UnixNano()),
		fmt.Sprintf("seq <= %d", s.q.UpTo),
		"outcome <> 'denied'", "(outcome <> 'error' OR len(customers) > 0)",
	}
	wide, err := s.anyOf(s.q.Wide.Any)
	if err != nil {
		return "", err
	}
	if wide != "" {
		terms = append(terms, wide)
	}
	narrow, err := s.anyOf(q.Any)
	if err != nil {
		return "", err
	}
	not, err := s.anyOf(q.Not)
	if err != nil {
		return "", err
	}
	inside := "true"
	if narrow != wide {
		inside = narrow
	}
	if not != "" {
		inside += " AND NOT " + not
	}
	s.where = " WHERE " + strings.Join(terms, " AND ")
	return "SELECT merchant, store, data_types, customers, regions, supplied, records, " + nanos + " AS t, ip, agent, (" + inside + ") AS inside FROM ", nil
}

// anyOf is the condition that any of the clauses matches; "" when there are none.
func (s *statement) anyOf(list []tally.Clause) (string, error) {
	var out []string
	for i := range list {
		c, err := s.clause(&list[i])
		if err != nil {
			return "", err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return "", nil
	}
	return "(" + strings.Join(out, " OR ") + ")", nil
}

func (s *statement) clause(c *tally.Clause) (string, error) {
	var terms []string
	for _, f := range []struct {
		column string
		values []string
	}{
		{"credential", c.Credential}, {"actor", c.Actor}, {"agent", c.Agent}, {"endpoint", c.Endpoint}, {"merchant", c.Merchant}, {"action", c.Action},
	} {
		if len(f.values) == 1 {
			terms = append(terms, f.column+" = "+quote(f.values[0]))
		} else if len(f.values) > 1 {
			terms = append(terms, f.column+" IN ("+quotes(f.values)+")")
		}
	}
	if len(c.DataType) > 0 {
		// A list is a JSON array of names that need no escapes: a name begins after a bracket or a
		// comma and a quotation mark, and neither can stand unescaped inside of another.
		var types []string
		for _, v := range c.DataType {
			types = append(types, "contains(data_types, "+quote(`["`+v+`"`)+")", "contains(data_types, "+quote(`,"`+v+`"`)+")")
		}
		terms = append(terms, "("+strings.Join(types, " OR ")+")")
	}
	if len(c.IP) > 0 {
		term, err := s.addresses(c.IP)
		if err != nil {
			return "", err
		}
		terms = append(terms, term)
	}
	return "(" + strings.Join(terms, " AND ") + ")", nil
}

// addresses asks which addresses there are and compares them as tally does.
func (s *statement) addresses(list []string) (string, error) {
	m, err := tally.NewMatcher(tally.Query{From: time.Unix(0, 0), To: time.Unix(1, 0), Kind: "k", Any: []tally.Clause{{IP: list}}})
	if err != nil {
		return "", err
	}
	rows, err := s.conn.QueryContext(s.ctx, "SELECT DISTINCT ip FROM "+s.from+" WHERE ip <> ''")
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var ip string
		if err := rows.Scan(&ip); err != nil {
			return "", err
		}
		if _, err := netip.ParseAddr(ip); err != nil || !m.Candidate(&tally.Event{Time: time.Unix(0, 0), Kind: "k", IP: ip}) {
			continue
		}
		if found = append(found, ip); len(found) > maxAddresses {
			return "", fmt.Errorf("%w: a prefix holds more than %d addresses", ask.ErrUnavailable, maxAddresses)
		}
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "false", nil
	}
	return "ip IN (" + quotes(found) + ")", nil
}

func (s *statement) parts(a *ask.Answer) error {
	rows, err := s.conn.QueryContext(s.ctx, fmt.Sprintf(`SELECT merchant, store, data_types, supplied, count(*),
		least(sum(records), %d)::BIGINT, bool_or(records > len(customers)), min(t), max(t) FROM hit WHERE inside GROUP BY merchant, store, data_types, supplied`, int64(tally.MaxCount)))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var p ask.Part
		var types string
		if err := rows.Scan(&p.Merchant, &p.Store, &types, &p.Supplied, &p.Events, &p.Records, &p.AtLeast, &p.First, &p.Last); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(types), &p.Types); err != nil {
			return fmt.Errorf("a list of data types: %w", err)
		}
		a.Parts = append(a.Parts, p)
	}
	return rows.Err()
}

func (s *statement) customers(a *ask.Answer) error {
	rows, err := s.conn.QueryContext(s.ctx, `SELECT merchant, count(*) FROM
		(SELECT DISTINCT merchant, unnest(customers) AS c FROM hit WHERE inside) GROUP BY merchant`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var merchant string
		var n int64
		if err := rows.Scan(&merchant, &n); err != nil {
			return err
		}
		a.Customers[merchant] = n
	}
	return rows.Err()
}

// regions counts distinct customers by where they live, and those of whom that is known.
func (s *statement) regions(a *ask.Answer) error {
	rows, err := s.conn.QueryContext(s.ctx, `WITH known AS (SELECT DISTINCT merchant, c, region FROM
		(SELECT merchant, unnest(customers) AS c, unnest(CASE WHEN contains(regions, ',') THEN string_split(regions, ',')
			ELSE list_resize([regions], len(customers), regions) END) AS region FROM hit WHERE inside AND regions <> '') WHERE region <> '')
		SELECT region, count(*) FROM known GROUP BY region
		UNION ALL SELECT '', count(*) FROM (SELECT DISTINCT merchant, c FROM known)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var region string
		var n int64
		if err := rows.Scan(&region, &n); err != nil {
			return err
		}
		if region == "" {
			a.Known = n
		} else {
			a.Regions[region] = n
		}
	}
	return rows.Err()
}

// hours adds up what happened in each.
func (s *statement) hours(a *ask.Answer) error {
	rows, err := s.conn.QueryContext(s.ctx, fmt.Sprintf(`SELECT (t // 3600000000000)::BIGINT AS h, count(*), least(sum(records), %d)::BIGINT FROM hit WHERE inside GROUP BY h ORDER BY h`, int64(tally.MaxCount)))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var h ask.Hour
		if err := rows.Scan(&h.At, &h.Events, &h.Records); err != nil {
			return err
		}
		a.Hours = append(a.Hours, h)
	}
	return rows.Err()
}

// pairs lists the busiest addresses and agents on either side.
func (s *statement) pairs(a *ask.Answer) error {
	rows, err := s.conn.QueryContext(s.ctx, fmt.Sprintf(`SELECT inside, ip, agent, n, merchants, first, last FROM
		(SELECT inside, ip, agent, sum(n)::BIGINT AS n, count(*) AS merchants, min(first) AS first, max(last) AS last FROM
			(SELECT inside, ip, agent, merchant, count(*) AS n, min(t) AS first, max(t) AS last FROM hit GROUP BY inside, ip, agent, merchant)
			GROUP BY inside, ip, agent)
		QUALIFY row_number() OVER (PARTITION BY inside ORDER BY n DESC, ip, agent) <= %d ORDER BY inside, n DESC, ip, agent`, s.q.Pairs))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var p ask.Pair
		var inside bool
		if err := rows.Scan(&inside, &p.IP, &p.Agent, &p.Events, &p.Merchants, &p.First, &p.Last); err != nil {
			return err
		}
		if inside {
			a.In = append(a.In, p)
		} else {
			a.Out = append(a.Out, p)
		}
	}
	return rows.Err()
}
