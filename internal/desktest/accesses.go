package desktest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

func (d *Desk) Ingest(_ context.Context, key desk.Key, how desk.Delivery, body io.Reader) (desk.Receipt, error) {
	if d.Taken != nil {
		return d.Taken(key, how, body)
	}
	lines := bufio.NewScanner(body)
	n := 0
	for lines.Scan() {
		n++
	}
	return desk.Receipt{Accepted: n}, lines.Err()
}

func (d *Desk) Checkpoints(context.Context) (desk.Checkpoints, error) {
	return desk.Checkpoints{Facts: "javabeanai/facts\n3\nabc\n", FactsSize: 3, FactsKey: "javabeanai/facts+00+AA", Events: "javabeanai/events\n120\nabc\n\n— javabeanai/events AAAA\n— witness.example.org BBBB\n", EventsSize: 120, EventsKey: "javabeanai/events+00+AA", FactsAge: 40, EventsAge: 4}, nil
}

// LogDays are a day of each state.
func (d *Desk) LogDays(context.Context) (desk.LogDays, error) {
	at := time.Date(2026, 11, 22, 0, 5, 0, 0, time.UTC)
	if d.Days != nil {
		return desk.LogDays{Keep: "13 months", Days: d.Days}, nil
	}
	return desk.LogDays{Keep: "13 months", Days: []desk.LogDay{
		{Day: "2026-11-22", State: "open", Leaves: 4, Events: 120, Until: at.AddDate(0, 13, 1)},
		{Day: "2025-10-20", State: "held", Leaves: 4, Events: 120, Until: at.AddDate(0, 0, -2), Closed: "01F", Held: []desk.Held{{Incident: "INC-1", Hold: "HLD-1", Basis: "litigation"}}},
		{Day: "2025-10-19", State: "removed", Leaves: 4, Events: 120, Until: at.AddDate(0, 0, -3), Closed: "01E", Fact: "01G", At: at, Basis: "the time is over"},
	}}, nil
}

// Accesses chooses by the fields that tests use.
func (d *Desk) Accesses(_ context.Context, q desk.AccessQuery) (desk.AccessPage, error) {
	var page desk.AccessPage
	for _, a := range d.Log {
		if q.Before > 0 && a.Seq >= q.Before || q.Credential != "" && a.Credential != q.Credential || q.Kind != "" && a.Kind != q.Kind ||
			q.Outcome != "" && a.Outcome != q.Outcome || q.Merchant != "" && a.Merchant != q.Merchant || !q.From.IsZero() && a.Time.Before(q.From) || !q.To.IsZero() && !a.Time.Before(q.To) {
			continue
		}
		if len(page.Accesses) == q.Limit {
			page.Next = page.Accesses[q.Limit-1].Seq
			break
		}
		page.Accesses = append(page.Accesses, a)
	}
	return page, nil
}

func (d *Desk) Access(_ context.Context, id string) (desk.Access, error) {
	for _, a := range d.Log {
		if a.ID == id {
			return a, nil
		}
	}
	if id == "evt-1" {
		return desk.Access{Seq: 1, ID: id, Time: d.Now, Received: d.Now, Source: "shop", Kind: "pii_access", Credential: "tok_9f", Sealed: true, Leaf: 4}, nil
	}
	return desk.Access{}, fmt.Errorf("%w: the access log holds no event with this id", desk.ErrNotFound)
}

func (d *Desk) RejectedEvents(_ context.Context, raw bool, fn func(desk.Refused) error) error {
	one := desk.Refused{Source: "shop", Received: d.Now, Reject: desk.Reject{Line: 3, Field: "time", Reason: "is missing"}}
	if raw {
		one.Raw = `{"who":"anna@example.com"}`
	}
	return fn(one)
}

func (d *Desk) ProveEvent(_ context.Context, id string, since uint64) ([]byte, error) {
	if id != "evt-1" {
		return nil, fmt.Errorf("%w: the access log holds no event with this id", desk.ErrNotFound)
	}
	return fmt.Appendf(nil, `{"proof":"tocsin-event/v1","since":%d}`, since), nil
}

func (d *Desk) LogFile(log, name string) ([]byte, error) {
	if log != "facts" || name != "checkpoint" {
		return nil, fmt.Errorf("%w: the log has no such file", desk.ErrNotFound)
	}
	return []byte("javabeanai/facts\n3\nabc\n"), nil
}

func (d *Desk) Probes(context.Context) ([]desk.ProbeRow, error) { return d.Watched, nil }

func (d *Desk) RunProbe(_ context.Context, name string) (desk.ProbeRow, error) {
	for i := range d.Watched {
		if d.Watched[i].Name == name && d.Watched[i].State == "failing" {
			return d.Watched[i], nil
		}
		if d.Watched[i].Name == name {
			d.Watched[i].State, d.Watched[i].Failures, d.Watched[i].Saw = "passing", 0, "it was run"
			return d.Watched[i], nil
		}
	}
	return desk.ProbeRow{}, desk.ErrNotFound
}
