package world

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Access is one request for a page of orders.
type Access struct {
	At         time.Time `json:"at"`
	Credential string    `json:"credential"` // name of the token
	Actor      string    `json:"actor"`
	IP         string    `json:"ip"`
	Agent      string    `json:"agent"`
	Merchant   string    `json:"merchant"`
	Page       int       `json:"page"`
	Purpose    string    `json:"purpose"`
}

// Traffic is the ordinary accesses of [from, to), in order of time. It depends only on the seed
// and the hours asked for: a month asked for day by day is the same month.
func (w *World) Traffic(from, to time.Time) []Access {
	var out []Access
	for h := from.UTC().Truncate(time.Hour); h.Before(to); h = h.Add(time.Hour) {
		for _, a := range w.hour(h) {
			if !a.At.Before(from) && a.At.Before(to) {
				out = append(out, a)
			}
		}
	}
	return out
}

func (w *World) hour(h time.Time) []Access {
	r := stream(w.Seed, "traffic "+h.Format(time.RFC3339))
	var out []Access
	add := func(n int, one func() Access) {
		for range n {
			a := one()
			a.At = h.Add(time.Duration(r.IntN(3600_000)) * time.Millisecond)
			m := w.active(r, h)
			a.Merchant = m.ID
			a.Page = 1 + r.IntN(min(3, m.Pages()))
			out = append(out, a)
		}
	}
	// Staff in Berlin: several behind one address, weekdays by day, a few on Saturdays.
	add(around(r, officeHours(h, "Europe/Berlin")*9), func() Access {
		c := w.Offices[r.IntN(len(w.Offices))]
		return Access{Credential: w.Credentials.Stolen, Actor: fmt.Sprintf("staff-%d", 1+r.IntN(6)), IP: c.IP, Agent: c.Agent, Purpose: "packing_slip"}
	})
	// A worker reads new orders all day, more when shops are busy.
	add(around(r, 7+5*officeHours(h, "America/New_York")), func() Access {
		return Access{Credential: w.Credentials.Sync, Actor: "sync-1", IP: "10.20.0.5", Agent: "sync-worker/1.9", Purpose: "sync"}
	})
	add(around(r, 6*officeHours(h, "America/New_York")+3*officeHours(h, "Asia/Kolkata")), func() Access {
		n := 1 + r.IntN(4)
		return Access{Credential: w.Credentials.Support, Actor: fmt.Sprintf("support-%d", n), IP: "192.0.2.44", Agent: "Mozilla/5.0 helpdesk", Purpose: "support"}
	})
	for range around(r, 6) { // the merchants' own warehouses, each by its own day
		m := w.active(r, h)
		if r.Float64() > 0.1+officeHours(h, m.Zone) {
			continue
		}
		out = append(out, Access{
			At: h.Add(time.Duration(r.IntN(3600_000)) * time.Millisecond), Credential: w.Credentials.Picker, Actor: "device-" + m.ID,
			IP: "203.0.113." + strings.TrimLeft("1"+m.ID[len(m.ID)-2:], "0"), Agent: "PickAndPack-App/3.0", Merchant: m.ID, Page: 1 + r.IntN(min(2, m.Pages())), Purpose: "picking",
		})
	}
	slices.SortStableFunc(out, func(a, b Access) int { return a.At.Compare(b.At) })
	return out
}

func (w *World) active(r *rand.Rand, h time.Time) Merchant {
	for range 20 {
		m := w.Merchants[r.IntN(len(w.Merchants))]
		if m.Uninstalled.IsZero() || h.Before(m.Uninstalled) {
			return m
		}
	}
	return w.Merchants[0]
}

// around is a count near mean, never negative.
func around(r *rand.Rand, mean float64) int {
	if mean <= 0 {
		return 0
	}
	n := int(mean*(0.7+0.6*r.Float64()) + r.Float64())
	return max(0, n)
}

// zones are loaded once: the generator asks for the local hour of every access.
var zones = map[string]*time.Location{}

func init() {
	for _, p := range places {
		if l, err := time.LoadLocation(p.zone); err == nil {
			zones[p.zone] = l
		}
	}
}

// officeHours is how busy an office in the zone is in the hour: 1 in the middle of a weekday, a
// quarter on Saturdays, nothing at night.
func officeHours(h time.Time, zone string) float64 {
	l := zones[zone]
	if l == nil {
		l = time.UTC
	}
	t := h.In(l)
	busy := 0.0
	switch hour := t.Hour(); {
	case hour >= 10 && hour < 16:
		busy = 1
	case hour >= 8 && hour < 18:
		busy = 0.6
	}
	switch t.Weekday() {
	case time.Saturday:
		busy *= 0.25
	case time.Sunday:
		busy = 0
	}
	return busy
}
