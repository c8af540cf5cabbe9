package world

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Line is one line a second source sends: usually an event, sometimes not.
type Line struct {
	Send time.Time // when it reaches the door, domain time
	Text []byte
	Kind string // "ordinary", "late", "duplicate", "skewed" or "malformed"
}

// Silent is the hour in which the second source says nothing, on the night of the attack.
func (w *World) Silent() (from, to time.Time) {
	night := w.Start.AddDate(0, 0, w.Days)
	return night.Add(1 * time.Hour), night.Add(2 * time.Hour)
}

type wire struct {
	ID         string            `json:"id,omitempty"`
	Time       string            `json:"time"`
	Kind       string            `json:"kind"`
	App        string            `json:"app,omitempty"`
	Env        string            `json:"env,omitempty"`
	Actor      map[string]string `json:"actor,omitempty"`
	Credential string            `json:"credential,omitempty"`
	Action     string            `json:"action,omitempty"`
	Endpoint   string            `json:"endpoint,omitempty"`
	Merchant   string            `json:"merchant,omitempty"`
	Store      string            `json:"store,omitempty"`
	Subjects   []wireSubject     `json:"subjects,omitempty"`
	DataTypes  []string          `json:"data_types,omitempty"`
	Records    int               `json:"records,omitempty"`
	Outcome    string            `json:"outcome,omitempty"`
	Source     map[string]string `json:"source,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

type wireSubject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// Warehouse is what the second source, a reporting database, sends in [from, to): about six lines
// an hour, among them late, duplicate, skewed and malformed ones, and nothing in its silent hour.
// Lines are in order of arrival.
func (w *World) Warehouse(from, to time.Time) []Line {
	var out []Line
	quietFrom, quietTo := w.Silent()
	// Late lines of the day before may arrive in this window.
	for h := from.UTC().Truncate(time.Hour).Add(-6 * time.Hour); h.Before(to); h = h.Add(time.Hour) {
		r := stream(w.Seed, "warehouse "+h.Format(time.RFC3339))
		for i := range 6 {
			at := h.Add(time.Duration(i*600+r.IntN(500)) * time.Second)
			dice, m := r.IntN(100), w.Merchants[r.IntN(len(w.Merchants))]
			c := m.CustomerOf(r.IntN(m.Customers))
			if !at.Before(quietFrom) && at.Before(quietTo) {
				continue
			}
			e := wire{
				ID: fmt.Sprintf("wh-%d-%d", h.Unix(), i), Time: at.Format(time.RFC3339Nano), Kind: "pii_access", Env: "drill",
				Actor: map[string]string{"type": "service", "id": "reporting"}, Credential: "tok_warehouse", Action: "read", Endpoint: "SELECT orders",
				Merchant: m.ID, Store: m.Stores[0].ID, Subjects: []wireSubject{{"account", c.ID}}, DataTypes: []string{"customer.email"}, Records: 1, Outcome: "ok",
				Source: map[string]string{"ip": "10.20.0.9", "user_agent": "reporting/2"},
			}
			l := Line{Send: at, Kind: "ordinary"}
			switch {
			case dice < 3:
				l.Kind, l.Send = "late", at.Add(time.Duration(2+r.IntN(4))*time.Hour)
			case dice < 6:
				l.Kind = "skewed"
				e.Time = at.Add(26 * time.Hour).Format(time.RFC3339Nano)
			case dice < 8:
				l.Kind = "malformed"
				e.Merchant = ""
			case dice < 9:
				l.Kind = "malformed"
				e.Time = "yesterday at noon"
			}
			l.Text, _ = json.Marshal(e) // strings and numbers only: cannot fail
			if dice == 9 {
				l.Kind, l.Text = "malformed", []byte(`{"id":"cut off`)
			}
			out = append(out, l)
			if dice >= 97 {
				again := l
				again.Kind, again.Send = "duplicate", l.Send.Add(time.Minute)
				out = append(out, again)
			}
		}
	}
	out = slices.DeleteFunc(out, func(l Line) bool { return l.Send.Before(from) || !l.Send.Before(to) })
	slices.SortStableFunc(out, func(a, b Line) int { return a.Send.Compare(b.Send) })
	return out
}
