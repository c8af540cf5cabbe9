package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// AccessQuery chooses events of the access log. Fields that are set must all match.
type AccessQuery struct {
	Kind, Actor, Credential, Merchant, IP, Outcome, Source string
	Store, DataType, Endpoint                              string
	Incident                                               string    // with Scope: only events that this recorded version of its scope counts
	Scope                                                  int       // 0 is none
	Run                                                    string    // only events that the query of this run counts
	From, To                                               time.Time // From <= time < To; zero is open
	Before                                                 int64     // position: only events that came before it; 0 is the newest
	Limit                                                  int       // at most MaxAccesses
}

// MaxAccesses is how many events one question gives.
const MaxAccesses = 10_000

// accessWait bounds how long one question may read: a filter that fits nothing would read everything.
const accessWait = 10 * time.Second

// Access is one event of the access log as people read it: customers are a number, free text and
// programs' names stay in the sealed leaf.
type Access struct {
	Seq        int64     `json:"seq"` // position in the order of arrival
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Received   time.Time `json:"received"`
	Source     string    `json:"source"`
	Kind       string    `json:"kind"`
	App        string    `json:"app,omitempty"`
	ActorType  string    `json:"actor_type,omitempty"`
	Actor      string    `json:"actor,omitempty"`
	Credential string    `json:"credential,omitempty"`
	Action     string    `json:"action,omitempty"`
	Endpoint   string    `json:"endpoint,omitempty"`
	Purpose    string    `json:"purpose,omitempty"`
	Merchant   string    `json:"merchant,omitempty"`
	Store      string    `json:"store,omitempty"`
	Customers  int       `json:"customers"` // pseudonyms in the event
	DataTypes  []string  `json:"data_types,omitempty"`
	Records    int64     `json:"records"`
	Bytes      int64     `json:"bytes"`
	Outcome    string    `json:"outcome,omitempty"`
	IP         string    `json:"ip,omitempty"`
	Late       bool      `json:"late,omitempty"`     // more than an hour older than the newest of its source
	Skewed     bool      `json:"skewed,omitempty"`   // its clock was ahead: its time is when it came
	Supplied   string    `json:"supplied,omitempty"` // digest of the file it was supplied in later
	Sealed     bool      `json:"sealed,omitempty"`   // of a single one: it is in the log
	Leaf       uint64    `json:"leaf,omitempty"`     // and in which leaf
}

// AccessPage is a page of events, the newest first. Next is the position the next page lies before,
// 0 when there is none.
type AccessPage struct {
	Accesses []Access `json:"accesses" nullable:"false"`
	Next     int64    `json:"next"`
}

// Accesses lists events of the access log in the order of arrival, the newest first.
func (d *Desk) Accesses(ctx context.Context, q AccessQuery) (AccessPage, error) {
	var page AccessPage
	if q.Limit <= 0 || q.Limit > MaxAccesses {
		return page, fmt.Errorf("%w: limit: from 1 to %d", ErrInvalid, MaxAccesses)
	}
	ctx, cancel := context.WithTimeout(ctx, accessWait)
	defer cancel()
	f := accesslog.Filter{From: q.From, To: q.To,
		Kinds: some(q.Kind), Actors: some(q.Actor), Credentials: some(q.Credential), Merchants: some(q.Merchant), IPs: some(q.IP), Outcomes: some(q.Outcome), Sources: some(q.Source)}
	f.Endpoints = some(q.Endpoint)
	f.UpToSeq = d.o.Events.Acked()
	takes, err := d.counted(ctx, q, &f)
	if err != nil {
		return page, err
	}
	if q.Before > 0 {
		f.UpToSeq = min(f.UpToSeq, q.Before-1)
	}
	found, err := d.newestAccesses(ctx, f, q.Limit+1, takes)
	if len(found) > q.Limit {
		found = found[:q.Limit]
		page.Next = found[q.Limit-1].Seq
	}
	page.Accesses = found
	if errors.Is(err, context.DeadlineExceeded) {
		return page, fmt.Errorf("%w: the question reads too much of the log: narrow the time, or name a credential, a merchant, an actor or an address", ErrInvalid)
	}
	return page, err
}

// counted says which events a question about a scope counts, and narrows what is read for it.
func (d *Desk) counted(ctx context.Context, q AccessQuery, f *accesslog.Filter) (func(*accesslog.Event) bool, error) {
	takes := func(e *accesslog.Event) bool {
		return (q.Store == "" || e.Store == q.Store) && (q.DataType == "" || slices.Contains(e.DataTypes, q.DataType))
	}
	var asked scope.Query
	switch {
	case q.Run != "":
		run, err := d.ScopeRun(ctx, q.Run)
		if err != nil {
			return nil, err
		}
		asked = run.Query
	case q.Scope > 0:
		s, err := d.Incident(ctx, q.Incident)
		if err != nil {
			return nil, err
		}
		v, err := scopeVersion(s, q.Scope)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(v.Query, &asked); err != nil {
			return nil, fmt.Errorf("desk: query of scope %d of %s: %w", v.N, s.ID, err)
		}
		last, err := d.o.Events.LastSeq(ctx, v.Size)
		if err != nil {
			return nil, err
		}
		f.UpToSeq = min(f.UpToSeq, last)
	default:
		return takes, nil
	}
	m, err := tally.NewMatcher(asked)
	if err != nil {
		return nil, invalidQuery(err)
	}
	if f.From.Before(asked.From) {
		f.From = asked.From
	}
	if f.To.IsZero() || asked.To.Before(f.To) {
		f.To = asked.To
	}
	if len(f.Kinds) == 0 {
		f.Kinds = []string{asked.Kind}
	}
	return func(e *accesslog.Event) bool {
		t := e.Tally()
		return takes(e) && m.Candidate(&t) && !m.Excluded(&t) && t.Exposes()
	}, nil
}

// newestAccesses reads the log backwards by positions, in parts that grow while they hold too little,
// so that the newest page is not paid for with the whole log.
func (d *Desk) newestAccesses(ctx context.Context, f accesslog.Filter, most int, takes func(*accesslog.Event) bool) ([]Access, error) {
	var found []Access
	for part := int64(max(1000, 2*most)); f.UpToSeq > 0 && len(found) < most; part *= 4 {
		f.AfterSeq = max(0, f.UpToSeq-part)
		var held []Access
		trim := func() {
			slices.SortFunc(held, func(a, b Access) int { return cmp.Compare(b.Seq, a.Seq) })
			held = held[:min(len(held), most-len(found))]
		}
		err := d.o.Events.Select(ctx, f, func(e accesslog.Event) error {
			if !takes(&e) {
				return nil
			}
			if held = append(held, accessOf(e)); len(held) >= 4*most {
				trim()
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		trim()
		found = append(found, held...)
		f.UpToSeq = f.AfterSeq
	}
	return found, nil
}

// Access is one event by its id, and where it stands in the sealed log.
func (d *Desk) Access(ctx context.Context, id string) (Access, error) {
	e, err := d.o.Events.EventByID(ctx, id)
	if errors.Is(err, accesslog.ErrNotFound) {
		return Access{}, fmt.Errorf("%w: the access log holds no event with this id%s", ErrNotFound, d.goneBefore(ctx))
	}
	if err != nil {
		return Access{}, err
	}
	a := accessOf(e)
	index, _, err := d.o.Events.Position(ctx, e.Seq)
	switch {
	case err == nil:
		a.Sealed, a.Leaf = true, index
	case !errors.Is(err, accesslog.ErrNotFound):
		return Access{}, err
	}
	return a, nil
}

func some(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

func accessOf(e accesslog.Event) Access {
	return Access{Seq: e.Seq, ID: e.ID, Time: e.Time, Received: e.Received, Source: e.Source, Kind: e.Kind, App: e.App, ActorType: e.ActorType, Actor: e.ActorID,
		Credential: e.Credential, Action: e.Action, Endpoint: e.Endpoint, Purpose: e.Purpose, Merchant: e.Merchant, Store: e.Store, Customers: len(e.Subjects),
		DataTypes: e.DataTypes, Records: e.Records, Bytes: e.Bytes, Outcome: e.Outcome, IP: e.IP, Late: e.Late, Skewed: e.Skewed, Supplied: e.Supplied}
}
