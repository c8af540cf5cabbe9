package desk

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/scope"
)

// Erasure asks that access events about people, or about a whole merchant, go out of the table that
// questions are asked of.
type Erasure struct {
	Merchant string   `json:"merchant" minLength:"1" maxLength:"128"`
	All      bool     `json:"all,omitempty" doc:"everything of the merchant; people are left out then"`
	People   []Erased `json:"people,omitempty" maxItems:"1000"`
	Basis    string   `json:"basis" minLength:"1" maxLength:"500" doc:"in which right, such as Art. 17 GDPR, request of 2026-11-20; no name of a customer"`
	Reason   string   `json:"reason" minLength:"1" maxLength:"2000" doc:"why, in a sentence; no name of a customer"`
	Plan     string   `json:"plan,omitempty" maxLength:"200" doc:"the id of the plan that this confirms; refused when the plan is stale"`
	Known    []string `json:"-"` // pseudonyms that a plan of this desk gave, beside People
}

// Erased is a customer of the merchant, by everything that the apps may have named them by. What it
// says becomes pseudonyms at once and is not kept.
type Erased struct {
	Account string `json:"account,omitempty" maxLength:"1000"`
	Email   string `json:"email,omitempty" maxLength:"1000"`
	Phone   string `json:"phone,omitempty" maxLength:"1000"`
}

// ErasureTaken is what came of it. Unknown are those of whom the log cannot know anything, because the
// merchant has no key.
type ErasureTaken struct {
	org.Outcome
	Erasure string `json:"erasure"` // such as ERS-1
	People  int    `json:"people"`
	Unknown int    `json:"unknown"`
}

// ErasureRow is an erasure as it is listed: whose pseudonyms it names stays sealed.
type ErasureRow struct {
	ID       string             `json:"id"`
	Merchant string             `json:"merchant"`
	All      bool               `json:"all"`
	Names    int                `json:"names"` // pseudonyms; a person may have several
	At       time.Time          `json:"at"`
	By       incident.Principal `json:"by"`
	Basis    string             `json:"basis"`
	Reason   string             `json:"reason"`
	Fact     string             `json:"fact"`
}

// Erasures is what was erased, newest first, and how many files of the table still hold some of it.
// Questions find none of it in either case.
type Erasures struct {
	Erasures []ErasureRow `json:"erasures" nullable:"false"`
	Files    int          `json:"files"`
}

// Erase records an erasure and lets no question find what it names from when it returns. The files
// are written anew behind that. The sealed log is not touched. With a whole merchant goes the key of its
// pseudonyms, which the fact names. A crash after the fact: the next start gives the table what the facts
// name, and destroys the keys that they name.
func (d *Desk) Erase(ctx context.Context, id string, who Caller, e Erasure) (ErasureTaken, error) {
	if d.o.Events == nil {
		return ErasureTaken{}, fmt.Errorf("%w: there is no access log", ErrUnavailable)
	}
	if d.o.ReadOnly {
		return ErasureTaken{}, ErrReadOnly
	}
	if who.Access != incident.Owner { // before anything is said of who is known
		_, err := d.SubmitOrg(ctx, "", who, org.OrderErasure{})
		return ErasureTaken{}, err
	}
	c, out, err := d.erasureOf(e)
	if err != nil {
		return out, err
	}
	if e.Plan != "" {
		plan, err := org.ParseErasurePlan(e.Plan)
		if err != nil {
			return out, err
		}
		c.Plan = &plan
	}
	if c.Plan == nil && nobody(c, out) {
		out.Reason = org.NothingToDo
		return out, nil
	}
	if out.Outcome, err = d.SubmitOrg(ctx, id, who, c); err != nil {
		return out, err
	}
	s, err := d.Org(ctx)
	if err != nil {
		return out, err
	}
	for _, x := range s.Erasures {
		if x.Fact == out.Fact {
			out.Erasure = x.ID
		}
	}
	if err := d.o.Events.Erase(tombstonesOf(s.Erasures)); err != nil {
		return out, err
	}
	for _, k := range endedKeys(s.Erasures) {
		if err := d.o.Events.DestroyKey(k.Merchant, k.Name); err != nil {
			return out, err
		}
	}
	return out, nil
}

// EndedKey is a pseudonym key that a fact says is destroyed.
type EndedKey struct{ Merchant, Name string }

// endedKeys are those that erasures name.
func endedKeys(list []org.Erasure) []EndedKey {
	var out []EndedKey
	for _, e := range list {
		if e.Key != "" {
			out = append(out, EndedKey{e.Merchant, e.Key})
		}
	}
	return out
}

// ErasedOf are the merchants of a scope that were erased whole after it was recorded: their customers can
// be compared with no list any more.
func ErasedOf(list []org.Erasure, recorded time.Time, has func(merchant string) bool) []scope.Erased {
	var out []scope.Erased
	for _, e := range list {
		if e.All && e.At.After(recorded) && has(e.Merchant) && !slices.ContainsFunc(out, func(x scope.Erased) bool { return x.Merchant == e.Merchant }) {
			out = append(out, scope.Erased{Merchant: e.Merchant, Erasure: e.ID, At: e.At})
		}
	}
	return out
}

// nobody says that those who were named cannot be in the log, because their merchant has no key.
func nobody(c org.OrderErasure, out ErasureTaken) bool {
	return !c.All && len(c.Customers) == 0 && out.Unknown > 0
}

// erasureOf turns what is asked for into the command, and who is named into pseudonyms. It makes no key.
func (d *Desk) erasureOf(e Erasure) (org.OrderErasure, ErasureTaken, error) {
	c := org.OrderErasure{Merchant: e.Merchant, All: e.All, Customers: slices.Clone(e.Known), Basis: e.Basis, Reason: e.Reason, UpTo: d.o.Events.Acked()}
	out := ErasureTaken{People: len(e.Known)}
	if e.All { // after the position, so that it is the key of what is erased
		var err error
		if c.Key, err = d.o.Events.PseudonymKey(e.Merchant); err != nil {
			return c, out, err
		}
	}
	if len(e.People) > org.MaxErased {
		return c, out, fmt.Errorf("%w: people: more than %d: erase in parts", ErrInvalid, org.MaxErased)
	}
	for i, p := range e.People {
		known, named := false, false
		for _, x := range []struct{ kind, id string }{{"account", p.Account}, {"email", p.Email}, {"phone", p.Phone}} {
			if strings.TrimSpace(x.id) == "" {
				continue
			}
			named = true
			token, err := d.o.Events.Pseudonym(e.Merchant, x.kind, x.id)
			if err != nil {
				return c, out, err
			}
			if token != "" {
				known = true
				c.Customers = append(c.Customers, hex.EncodeToString([]byte(token)))
			}
		}
		if !named {
			return c, out, fmt.Errorf("%w: people: number %d has neither account, email nor phone", ErrInvalid, i+1)
		}
		if known {
			out.People++
		} else {
			out.Unknown++
		}
	}
	slices.Sort(c.Customers)
	c.Customers = slices.Compact(c.Customers)
	return c, out, nil
}

// ErasurePlan is what an erasure would do, with pseudonyms in the place of whom it names.
type ErasurePlan struct {
	Plan      string             `json:"plan,omitempty" doc:"what confirms it: plan of the erasure; absent when there is nothing to erase or a hold stands in the way"`
	Until     time.Time          `json:"until,omitzero" doc:"until when it can be confirmed"`
	Merchant  string             `json:"merchant"`
	All       bool               `json:"all"`
	Customers []string           `json:"-"` // pseudonyms, in hexadecimal digits: what Erasure.Known takes
	Names     int                `json:"names" doc:"pseudonyms; a person may have several"`
	People    int                `json:"people"`
	Unknown   int                `json:"unknown" doc:"of whom the log cannot know anything"`
	Events    int                `json:"events" doc:"whose rows are concerned"`
	Whole     int                `json:"whole" doc:"of these, rows that go as a whole, because they name nobody else"`
	First     time.Time          `json:"first,omitzero" doc:"the earliest of these events"`
	Last      time.Time          `json:"last,omitzero" doc:"the latest of these events"`
	AtLeast   bool               `json:"at_least" doc:"there may be more: counting ended before"`
	Key       bool               `json:"key" doc:"the key of the merchant's pseudonyms is destroyed with it"`
	Holds     []incident.Missing `json:"holds" nullable:"false" doc:"what stands in the way, and what to do"`
}

// InTheWay is the refusal that the erasure would meet as of the plan; nil when it would be taken.
func (p ErasurePlan) InTheWay() error {
	if len(p.Holds) == 0 {
		return nil
	}
	return &incident.Refusal{Reason: org.UnderHold, Message: "a hold keeps these access events", Missing: p.Holds}
}

// What a plan looks through before it says at least.
const (
	planEvents = 1_000_000
	planWait   = 3 * time.Second
)

// PlanErasure says what an erasure would do and does nothing. What it cannot be taken with is refused as
// the erasure would be; holds that stand in the way are named beside what is counted.
func (d *Desk) PlanErasure(ctx context.Context, who Caller, e Erasure) (ErasurePlan, error) {
	switch {
	case d.o.Events == nil:
		return ErasurePlan{}, fmt.Errorf("%w: there is no access log", ErrUnavailable)
	case d.o.ReadOnly:
		return ErasurePlan{}, ErrReadOnly
	case who.Access != incident.Owner: // before anything is said of who is known
		_, err := d.SubmitOrg(ctx, "", who, org.OrderErasure{})
		return ErasurePlan{}, err
	}
	c, taken, err := d.erasureOf(e)
	if err != nil {
		return ErasurePlan{}, err
	}
	out := ErasurePlan{Merchant: e.Merchant, All: e.All, Customers: c.Customers, Names: len(c.Customers), People: taken.People, Unknown: taken.Unknown, Key: c.Key != "", Holds: []incident.Missing{}}
	if nobody(c, taken) {
		return out, nil
	}
	var plan org.ErasurePlan
	err = d.o.Store.View(ctx, func(r ledger.Reader) error {
		s, _, err := d.readOrg(r)
		if err != nil {
			return err
		}
		now := d.o.Clock.Now()
		if c.Held, err = d.holding(r, who, c.Merchant, now); err != nil {
			return err
		}
		plan = org.PlanErasure(s, c, now)
		_, err = org.Decide(s, c, incident.Context{Now: now, Actor: incident.Actor{Principal: who.Principal, Roles: who.Roles, Access: who.Access}, Env: d.o.Env})
		return err
	})
	var refused *incident.Refusal
	switch {
	case errors.As(err, &refused) && refused.Reason == org.UnderHold:
		out.Holds = refused.Missing
	case err != nil:
		return ErasurePlan{}, err
	default:
		out.Plan, out.Until = plan.String(), plan.At.Add(org.PlanLasts)
	}
	return out, d.countErased(ctx, c, &out)
}

// countErased counts the events that an erasure is about, as long as that is quick.
func (d *Desk) countErased(ctx context.Context, c org.OrderErasure, out *ErasurePlan) error {
	named := map[string]bool{}
	for _, x := range c.Customers {
		if raw, err := hex.DecodeString(x); err == nil {
			named[string(raw)] = true
		}
	}
	wait, cancel := context.WithTimeout(ctx, planWait)
	defer cancel()
	read := 0
	err := d.o.Events.Select(wait, accesslog.Filter{Merchants: []string{c.Merchant}, UpToSeq: c.UpTo}, func(e accesslog.Event) error {
		if read++; read > planEvents {
			return errEnough
		}
		gone := 0
		for _, x := range e.Subjects {
			if named[string(x)] {
				gone++
			}
		}
		if !c.All && gone == 0 {
			return nil
		}
		out.Events++
		if c.All || gone == len(e.Subjects) {
			out.Whole++
		}
		if out.First.IsZero() || e.Time.Before(out.First) {
			out.First = e.Time
		}
		if e.Time.After(out.Last) {
			out.Last = e.Time
		}
		return nil
	})
	if errors.Is(err, errEnough) || errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		out.AtLeast = true
		return nil
	}
	return err
}

// Erasures lists what was erased.
func (d *Desk) Erasures(ctx context.Context) (Erasures, error) {
	out := Erasures{Erasures: []ErasureRow{}}
	s, err := d.Org(ctx)
	if err != nil || s == nil {
		return out, err
	}
	for _, e := range slices.Backward(s.Erasures) {
		out.Erasures = append(out.Erasures, ErasureRow{ID: e.ID, Merchant: e.Merchant, All: e.All, Names: e.Number, At: e.At, By: e.By, Basis: e.Basis, Reason: e.Reason, Fact: e.Fact})
	}
	if d.o.Events != nil {
		out.Files = d.o.Events.Erasing()
	}
	return out, nil
}

// holding are the standing holds of incidents that are about a merchant: of those whose newest scope
// has it, and of those that have no scope yet. One of an incident that who asks may not know of has no name.
func (d *Desk) holding(r ledger.Reader, who Caller, merchant string, now time.Time) ([]org.Held, error) {
	rows, err := r.Rows(boardProjection, "", "", ledger.MaxRows)
	if err != nil {
		return nil, err
	}
	if len(rows) == ledger.MaxRows {
		return nil, fmt.Errorf("%w: more incidents than can be looked through for holds", ErrUnavailable)
	}
	var out []org.Held
	for _, row := range rows {
		s, err := d.read(r, row.Key)
		if err != nil {
			return nil, err
		}
		if len(s.Scopes) > 0 && s.Row(merchant) == nil && s.Adjusted[merchant] == nil {
			continue
		}
		for _, h := range s.Holds {
			switch {
			case !h.Stands(now):
			case !incident.Sees(s, who.Principal, who.Access):
				out = append(out, org.Held{})
			default:
				out = append(out, org.Held{Incident: s.ID, Hold: h.ID, Until: h.Until})
			}
		}
	}
	return out, nil
}

// tombstonesOf are what the table is told of erasures.
func tombstonesOf(list []org.Erasure) []table.Tombstone {
	var out []table.Tombstone
	for _, e := range list {
		t := table.Tombstone{ID: e.Fact, Merchant: e.Merchant, UpTo: e.UpTo, Before: e.At.UnixMicro()}
		if !e.All {
			for _, c := range e.Customers {
				var token [table.TokenLen]byte
				if n, err := hex.Decode(token[:], []byte(c)); err == nil && n == len(token) { // Decide takes no others
					t.Customers = append(t.Customers, token)
				}
			}
		}
		out = append(out, t)
	}
	return out
}

// Forgotten reads from the facts what was erased, which keys are to be gone, and which days were removed, for whoever opens the
// access log before there is a desk.
func Forgotten(ctx context.Context, store ledger.Store, keys ledger.Keys) (erased []table.Tombstone, ended []EndedKey, removed []string, err error) {
	var s *org.State
	err = store.View(ctx, func(r ledger.Reader) error {
		s, removed = nil, nil
		for n := 0; ; {
			records, err := r.Records(OrgChain, n, 500)
			if errors.Is(err, ledger.ErrNotFound) || err == nil && len(records) == 0 {
				return nil
			}
			if err != nil {
				return err
			}
			for _, rec := range records {
				n = rec.N
				if rec.Kind != string(org.ErasureOrdered) && rec.Kind != string(org.EpochPruned) {
					continue
				}
				f, err := ledger.Open(rec, keys)
				if err == nil && f.Kind == org.EpochPruned {
					var day struct {
						Day string `json:"day"`
					}
					if err := json.Unmarshal(f.Body, &day); err != nil {
						return fmt.Errorf("desk: fact %s: %w", rec.ID, err)
					}
					removed = append(removed, day.Day)
					continue
				}
				if err == nil {
					s, err = org.Fold(s, f)
				}
				if err != nil {
					return fmt.Errorf("desk: fact %s: %w", rec.ID, err)
				}
			}
		}
	})
	if err != nil || s == nil {
		return nil, nil, removed, err
	}
	return tombstonesOf(s.Erasures), endedKeys(s.Erasures), removed, nil
}
