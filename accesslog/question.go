package accesslog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/leaf"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// Checkpoint waits until everything acknowledged is in the log; see Sealed.
func (s *Store) Checkpoint(ctx context.Context) (origin string, note []byte, size uint64, err error) {
	note, size, err = s.Sealed(ctx)
	return s.Origin(), note, size, err
}

// Scan calls fn with every event of the first size leaves that the query's window, kind and Any
// clauses could match; exclusions are fn's business. What the database can decide it decides. It
// returns the number of events read.
func (s *Store) Scan(ctx context.Context, q tally.Query, size uint64, fn func(*tally.Event) error) (int64, error) {
	return s.candidates(ctx, q, size, func(_ int64, e *tally.Event) error { return fn(e) })
}

// Matching returns the Seq of every event of the log that a query counts, ascending: also of those that
// are erased from the columns, because the log has them, and what was once counted can be shown.
func (s *Store) Matching(ctx context.Context, q tally.Query, size uint64) ([]int64, error) {
	q, err := q.Normal()
	if err != nil {
		return nil, err
	}
	m, err := tally.NewMatcher(q)
	if err != nil {
		return nil, err
	}
	var out []int64
	_, err = s.candidates(ctx, q, size, func(seq int64, e *tally.Event) error {
		if m.Candidate(e) && !m.Excluded(e) && e.Exposes() {
			out = append(out, seq)
		}
		return nil
	})
	if err == nil {
		err = s.erasedMatching(ctx, q, size, func(seq int64, e *tally.Event) {
			if m.Candidate(e) && !m.Excluded(e) && e.Exposes() {
				out = append(out, seq)
			}
		})
	}
	slices.Sort(out)
	return slices.Compact(out), err
}

func (s *Store) candidates(ctx context.Context, q tally.Query, size uint64, fn func(int64, *tally.Event) error) (int64, error) {
	upTo, err := s.LastSeq(ctx, size)
	if err != nil || upTo == 0 {
		return 0, err
	}
	clauses := q.Any
	if len(clauses) == 0 {
		clauses = []tally.Clause{{}}
	}
	// A clause that no index can narrow reads everything: then one pass is enough for all of them.
	if slices.ContainsFunc(clauses, func(c tally.Clause) bool { return !narrow(c) }) {
		clauses = []tally.Clause{{}}
	}
	var read int64
	seen := map[int64]bool{} // an event may match several clauses
	for _, c := range clauses {
		f := Filter{
			From: q.From, To: q.To, Kinds: []string{q.Kind}, UpToSeq: upTo,
			Credentials: c.Credential, Actors: c.Actor, Agents: c.Agent, Merchants: c.Merchant,
			Endpoints: c.Endpoint, Actions: c.Action, IPs: addresses(c.IP),
		}
		err := s.Select(ctx, f, func(e Event) error {
			read++
			if len(clauses) > 1 {
				if seen[e.Seq] {
					return nil
				}
				seen[e.Seq] = true
			}
			t := e.Tally()
			return fn(e.Seq, &t)
		})
		if err != nil {
			return read, err
		}
	}
	return read, nil
}

// narrow says whether the database can decide anything about a clause.
func narrow(c tally.Clause) bool {
	return len(c.Credential)+len(c.Actor)+len(c.Agent)+len(c.Merchant)+len(c.Endpoint)+len(c.Action)+len(addresses(c.IP)) > 0
}

// addresses returns the stored form of a clause's addresses, or nil when one of them is a prefix,
// which an index over whole addresses cannot answer.
func addresses(list []string) []string {
	var out []string
	for _, v := range list {
		if strings.Contains(v, "/") {
			return nil
		}
		a, err := netip.ParseAddr(v)
		if err != nil {
			return nil
		}
		out = append(out, a.Unmap().String())
	}
	return out
}

// Tally is what a scope needs of the event.
func (e *Event) Tally() tally.Event {
	t := tally.Event{
		Time: e.Time, Kind: e.Kind, Credential: e.Credential, Actor: e.ActorID, IP: e.IP, Agent: e.Agent,
		Endpoint: e.Endpoint, Action: e.Action, Outcome: e.Outcome, Merchant: e.Merchant, Store: e.Store,
		DataTypes: e.DataTypes, Records: e.Records, Regions: e.Regions, Supplied: e.Supplied,
	}
	for _, token := range e.Subjects {
		t.Customers = append(t.Customers, string(token))
	}
	return t
}

// Leaf is one leaf of the log with some of its events disclosed.
type Leaf struct {
	Index  uint64
	Stored []byte
	Of     int // events in the leaf
	Events []Disclosed
}

// Disclosed is one event with what proves that the leaf holds it.
type Disclosed struct {
	N     int    // position in the leaf, from 0
	Event []byte // canonical form
	Salt  []byte
	Path  [][leaf.HashLen]byte
}

// Disclose opens the leaves that hold the given events, which must be ascending, and calls fn
// with each leaf and those of its events. It fails when a leaf's epoch key was destroyed.
func (s *Store) Disclose(ctx context.Context, seqs []int64, fn func(Leaf) error) error {
	for len(seqs) > 0 {
		index, n, err := s.Position(ctx, seqs[0])
		if err != nil {
			return fmt.Errorf("accesslog: event %d: %w", seqs[0], err)
		}
		first := seqs[0] - int64(n)
		if gone, why, err := s.goneAt(ctx, index); err != nil {
			return err
		} else if gone != nil {
			return why
		}
		l, o, err := s.open(ctx, index)
		if err != nil {
			return err
		}
		end := 0
		for end < len(seqs) && seqs[end] < first+int64(l.Of) {
			n := int(seqs[end] - first)
			l.Events = append(l.Events, Disclosed{N: n, Event: o.events[n], Salt: o.salts[n], Path: o.tree.Path(n)})
			end++
		}
		if err := fn(l); err != nil {
			return err
		}
		seqs = seqs[end:]
	}
	return nil
}

// open reads and opens one leaf.
func (s *Store) open(ctx context.Context, index uint64) (Leaf, *opened, error) {
	l := Leaf{Index: index}
	err := s.o.Log.Leaves(ctx, index, 1, func(_ uint64, data []byte) error {
		l.Stored = data
		return nil
	})
	if err != nil {
		return l, nil, err
	}
	o, h, err := s.unseal(l.Stored)
	if h.Last > 0 {
		l.Of = h.Events()
	}
	if err != nil {
		return l, nil, fmt.Errorf("accesslog: leaf %d: %w", index, err)
	}
	return l, o, nil
}

// unseal opens a leaf. fs.ErrNotExist when the key of its day was destroyed.
func (s *Store) unseal(stored []byte) (*opened, leaf.Header, error) {
	h, _, err := leaf.Parse(stored)
	if err != nil {
		return nil, h, err
	}
	find := s.o.Keys.Key
	if k, ok := s.o.Keys.(looker); ok {
		find = k.Lookup
	}
	key, err := find("epoch", h.Epoch)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, h, fmt.Errorf("%w: %w", errKeyGone, err)
	}
	if err != nil {
		return nil, h, fmt.Errorf("epoch key: %w", err)
	}
	o, err := openLeaf(stored, key)
	return o, h, err
}
