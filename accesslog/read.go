package accesslog

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/spool"
)

// ErrNotFound says that there is no such event, or none that is in the log yet.
var ErrNotFound = errors.New("accesslog: no such event")

// Filter chooses events. Fields that are set must all match; a list matches when it holds the
// event's value. The zero Filter chooses everything.
type Filter struct {
	From, To    time.Time // From <= Time < To; zero is open
	Kinds       []string
	Credentials []string
	Actors      []string
	IPs         []string // exact addresses
	Agents      []string
	Merchants   []string
	Endpoints   []string
	Actions     []string
	Sources     []string
	AfterSeq    int64 // only events with a greater Seq
	UpToSeq     int64 // only events with at most this Seq; 0 is open
	ByTime      bool  // in order of (Time, Seq); otherwise in no order worth relying on
	Limit       int   // at most so many; 0 is no limit
}

// Select calls fn with every event that matches. An error from fn ends it and is returned.
func (s *Store) Select(ctx context.Context, f Filter, fn func(Event) error) error {
	select {
	case s.questions <- struct{}{}:
		defer func() { <-s.questions }()
	case <-ctx.Done():
		return fmt.Errorf("accesslog: wait for earlier questions: %w", ctx.Err())
	}
	s.caughtUp(ctx)
	where, args, none, err := s.where(ctx, f)
	if err != nil || none {
		return err
	}
	query := `SELECT ` + eventColumns + ` FROM event` + where
	if f.ByTime {
		query += ` ORDER BY time, seq`
	}
	if f.Limit > 0 {
		query += ` LIMIT ?`
		args = append(args, f.Limit)
	}
	return s.scan(ctx, query, args, fn)
}

// where renders a filter. none says that nothing can match: a string that is asked for is in no
// event.
func (s *Store) where(ctx context.Context, f Filter) (where string, args []any, none bool, err error) {
	var terms []string
	term := func(t string, a ...any) { terms, args = append(terms, t), append(args, a...) }
	if !f.From.IsZero() {
		term("time >= ?", f.From.UnixNano())
	}
	if !f.To.IsZero() {
		term("time < ?", f.To.UnixNano())
	}
	if f.AfterSeq > 0 {
		term("seq > ?", f.AfterSeq)
	}
	if f.UpToSeq > 0 {
		term("seq <= ?", f.UpToSeq)
	}
	for _, c := range []struct {
		column string
		values []string
	}{
		{"credential", f.Credentials}, {"actor", f.Actors}, {"ip", f.IPs}, {"merchant", f.Merchants}, {"+agent", f.Agents},
		{"+endpoint", f.Endpoints}, {"+action", f.Actions}, {"+source", f.Sources}, {"+kind", f.Kinds},
	} {
		if len(c.values) == 0 {
			continue
		}
		ids, err := s.lookup(ctx, c.values)
		if err != nil {
			return "", nil, false, err
		}
		if len(ids) == 0 {
			return "", nil, true, nil
		}
		term(c.column+" IN ("+strings.TrimSuffix(strings.Repeat("?,", len(ids)), ",")+")", ids...)
	}
	if len(terms) > 0 {
		where = " WHERE " + strings.Join(terms, " AND ")
	}
	return where, args, false, nil
}

// scan runs a query over eventColumns.
func (s *Store) scan(ctx context.Context, query string, args []any, fn func(Event) error) error {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	defer rows.Close()
	d := rowReader{s: s, ctx: ctx, types: map[int64][]string{}}
	for rows.Next() {
		e, err := d.read(rows)
		if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	return nil
}

// rowReader turns rows into events. Lists of data types are few, so each is parsed once.
type rowReader struct {
	s     *Store
	ctx   context.Context
	types map[int64][]string
}

func (r *rowReader) read(rows *sql.Rows) (Event, error) {
	var e Event
	var hash, at, received, flags int64
	var source, kind, app, env, actorType, actor, credential, action, endpoint, purpose, merchant, store, types, outcome, ip, agent, supplied int64
	var tokens []byte
	if err := rows.Scan(&e.Seq, &hash, &e.ID, &at, &received, &source, &kind, &app, &env, &actorType, &actor, &credential,
		&e.Session, &action, &endpoint, &purpose, &merchant, &store, &tokens, &types, &e.Records, &e.Bytes, &outcome, &ip,
		&agent, &flags, &supplied); err != nil {
		return e, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	e.Time, e.Received = time.Unix(0, at).UTC(), time.Unix(0, received).UTC()
	e.Subjects = chunks(tokens)
	e.Late, e.Skewed = flags&1 != 0, flags&2 != 0
	var err error
	for _, f := range [...]struct {
		to *string
		id int64
	}{
		{&e.Source, source}, {&e.Kind, kind}, {&e.App, app}, {&e.Env, env}, {&e.ActorType, actorType}, {&e.ActorID, actor},
		{&e.Credential, credential}, {&e.Action, action}, {&e.Endpoint, endpoint}, {&e.Purpose, purpose},
		{&e.Merchant, merchant}, {&e.Store, store}, {&e.Outcome, outcome}, {&e.IP, ip}, {&e.Agent, agent}, {&e.Supplied, supplied},
	} {
		if *f.to, err = r.s.nameOf(r.ctx, f.id); err != nil {
			return e, err
		}
	}
	list, ok := r.types[types]
	if !ok {
		text, err := r.s.nameOf(r.ctx, types)
		if err != nil {
			return e, err
		}
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return e, fmt.Errorf("accesslog: read %s: data types: %w", fileName, err)
		}
		if len(list) == 0 {
			list = nil
		}
		r.types[types] = list
	}
	e.DataTypes = list
	return e, nil
}

// Entry is an event with the whole of what was let in: its canonical form, attributes included.
type Entry struct {
	Event
	// Canonical is nil when the event can be read from the table alone, because the key of its epoch
	// was destroyed.
	Canonical []byte
}

// maxEntries bounds the canonical forms that one call of EntriesAfter gives.
const maxEntries = 16 << 20

// EventsAfter returns up to limit events with a greater Seq, in order of Seq: from the spool as long
// as it has them, which is before they are in the table, and from the table after that.
func (s *Store) EventsAfter(ctx context.Context, seq int64, limit int) ([]Event, error) {
	list, err := s.after(ctx, seq, limit, false)
	out := make([]Event, len(list))
	for i := range list {
		out[i] = list[i].Event
	}
	return out, err
}

// EntriesAfter is EventsAfter with the canonical form of each event, from the spool or the sealed
// leaves. It gives fewer than limit when they would be more than 16 MiB.
func (s *Store) EntriesAfter(ctx context.Context, seq int64, limit int) ([]Entry, error) {
	return s.after(ctx, seq, limit, true)
}

func (s *Store) after(ctx context.Context, seq int64, limit int, whole bool) ([]Entry, error) {
	var out []Entry
	for {
		if s.spool != nil && uint64(seq)+1 >= s.spool.First() {
			// Between the question and the answer the table may take what the spool then releases:
			// the next round finds it there.
			rest, err := s.spooledAfter(ctx, seq, limit-len(out), whole)
			if !errors.Is(err, spool.ErrReleased) {
				return append(out, rest...), err
			}
		}
		s.mu.Lock()
		fed := int64(s.fed)
		s.mu.Unlock()
		from := len(out)
		err := s.scan(ctx, `SELECT `+eventColumns+` FROM event WHERE seq > ? ORDER BY seq LIMIT ?`, []any{seq, limit - len(out)}, func(e Event) error {
			out = append(out, Entry{Event: e})
			seq = e.Seq
			return nil
		})
		if err == nil && whole {
			var cut int
			if cut, err = s.complete(ctx, out[from:]); from+cut < len(out) {
				return out[:from+cut], err
			}
		}
		if err != nil || len(out) == limit || s.spool == nil {
			return out, err
		}
		seq = max(seq, fed)
	}
}

// complete fills in the canonical forms of events that are in the table, and gives the number of those
// that fit. An event that is in no leaf yet is in the spool as well, so it is left to the next call.
func (s *Store) complete(ctx context.Context, list []Entry) (fit int, err error) {
	size := 0
	for fit < len(list) && size < maxEntries {
		index, n, err := s.Position(ctx, list[fit].Seq)
		if errors.Is(err, ErrNotFound) {
			n, err := s.unsealed(ctx, list[fit:])
			if fit += n; err != nil {
				return fit, err
			}
			continue
		}
		if err != nil {
			return fit, err
		}
		first := list[fit].Seq - int64(n)
		l, o, err := s.open(ctx, index)
		if l.Of > 0 && (errors.Is(err, errNoKey) || errors.Is(err, fs.ErrNotExist)) {
			// What the table has is all that is left of it.
			for fit < len(list) && list[fit].Seq < first+int64(l.Of) {
				fit++
			}
			continue
		}
		if err != nil {
			return fit, err
		}
		for fit < len(list) && list[fit].Seq < first+int64(l.Of) {
			list[fit].Canonical = o.events[list[fit].Seq-first]
			size += len(list[fit].Canonical)
			fit++
		}
	}
	return fit, nil
}

// unsealed fills in the canonical forms of events that are in the table and still in the spool, and
// gives their number: none when they have been sealed in between.
func (s *Store) unsealed(ctx context.Context, list []Entry) (int, error) {
	if s.spool == nil {
		return len(list), nil
	}
	rest, err := s.spooledAfter(ctx, list[0].Seq-1, len(list), true)
	if errors.Is(err, spool.ErrReleased) {
		return 0, nil
	}
	if err != nil || len(rest) == 0 {
		return 0, err
	}
	last := rest[len(rest)-1].Seq
	n := 0
	for ; n < len(list) && list[n].Seq <= last; n++ {
		for len(rest) > 0 && rest[0].Seq < list[n].Seq {
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0].Seq == list[n].Seq {
			list[n].Canonical = rest[0].Canonical
		}
	}
	return n, nil
}

func (s *Store) spooledAfter(ctx context.Context, seq int64, limit int, whole bool) ([]Entry, error) {
	var out []Entry
	size := 0
	err := s.spool.Read(uint64(seq), func(r spool.Record) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		_, list, err := s.frames.unpack(r.Body, r.First)
		if err != nil {
			return err
		}
		for _, p := range list {
			for _, m := range p.members {
				if int64(m.seq) <= seq {
					continue
				}
				if len(out) == limit || size >= maxEntries {
					return errEnough
				}
				e, err := eventOf(m.canonical)
				if err != nil {
					return err
				}
				e.Seq = int64(m.seq)
				entry := Entry{Event: e}
				if whole {
					entry.Canonical = bytes.Clone(m.canonical)
					size += len(entry.Canonical)
				}
				out = append(out, entry)
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return out, err
}

// Span returns the Seq of the first and the last event of a time, in the order of arrival; from is
// inclusive and to is not. ErrNotFound when there is none.
func (s *Store) Span(ctx context.Context, from, to time.Time) (first, last int64, err error) {
	s.caughtUp(ctx)
	var a, b sql.NullInt64
	err = s.read.QueryRowContext(ctx, `SELECT min(seq), max(seq) FROM event WHERE time >= ? AND time < ?`, from.UnixNano(), to.UnixNano()).Scan(&a, &b)
	if err != nil {
		return 0, 0, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	if !a.Valid {
		return 0, 0, ErrNotFound
	}
	return a.Int64, b.Int64, nil
}

// EventByID returns the newest event with the id.
func (s *Store) EventByID(ctx context.Context, id string) (Event, error) {
	s.caughtUp(ctx)
	var found *Event
	err := s.scan(ctx, `SELECT `+eventColumns+` FROM event WHERE idh = ? AND id = ? ORDER BY seq DESC LIMIT 1`, []any{idHash(id), id}, func(e Event) error {
		found = &e
		return nil
	})
	if err != nil {
		return Event{}, err
	}
	if found == nil {
		return Event{}, ErrNotFound
	}
	return *found, nil
}

// Position returns where an event stands in the log: the index of its leaf and its number there,
// from 0. ErrNotFound while it is not sealed.
func (s *Store) Position(ctx context.Context, seq int64) (index uint64, n int, err error) {
	var first, last int64
	err = s.read.QueryRowContext(ctx, `SELECT idx, first, last FROM leaf WHERE first <= ? ORDER BY first DESC LIMIT 1`, seq).Scan(&index, &first, &last)
	if errors.Is(err, sql.ErrNoRows) || err == nil && seq > last {
		return 0, 0, ErrNotFound
	}
	if err != nil {
		return 0, 0, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	return index, int(seq - first), nil
}

// LastSeq returns the Seq of the last event in the first size leaves of the log; 0 when size is 0.
func (s *Store) LastSeq(ctx context.Context, size uint64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	var last int64
	err := s.read.QueryRowContext(ctx, `SELECT last FROM leaf WHERE idx = ?`, size-1).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("%w: the log has fewer than %d leaves", ErrNotFound, size)
	}
	if err != nil {
		return 0, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	return last, nil
}

// ConsumerAt returns how far a consumer has come; 0 when it never said.
func (s *Store) ConsumerAt(ctx context.Context, name string) (int64, error) {
	var seq int64
	err := s.read.QueryRowContext(ctx, `SELECT seq FROM consumer WHERE name = ?`, name).Scan(&seq)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	return seq, nil
}

// SetConsumer notes that a consumer has handled everything up to seq. A crash before it: the
// consumer sees those events again, so what it does with them must bear repetition.
func (s *Store) SetConsumer(ctx context.Context, name string, seq int64) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	_, err := s.write.ExecContext(ctx, `INSERT INTO consumer (name, seq) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET seq = max(seq, excluded.seq)`, name, seq)
	if err != nil {
		return fmt.Errorf("accesslog: note the position of %s: %w", name, err)
	}
	return nil
}
