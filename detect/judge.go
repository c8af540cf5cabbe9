package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// bounds are the limits of one hour.
type bounds struct {
	Known bool           // computed
	Own   bool           // from the credential's own past, not from the caps
	Days  int64          // of history
	Base  [metrics]int64 // the largest usual value at this hour
	Limit [metrics]int64 // the largest value that is not unusual
	Loose [metrics]int64 // the same while every source is familiar
}

// turn closes the hour when a newer one begins, and forgets what is too old.
func (d *Detector) turn(p *past, now int64) {
	if now <= p.Hour {
		return
	}
	if p.Peak != ([metrics]int64{}) {
		p.Hours = append(p.Hours, hour{p.Hour, p.Peak})
	}
	oldest := now - int64(d.o.Remember/time.Hour)
	if i := slices.IndexFunc(p.Hours, func(h hour) bool { return h.At >= oldest }); i > 0 {
		p.Hours = append(p.Hours[:0], p.Hours[i:]...)
	} else if i < 0 {
		p.Hours = p.Hours[:0]
	}
	p.Hour, p.Peak, p.Bounds = now, [metrics]int64{}, bounds{}
}

// bounds computes the limits of the present hour, once.
func (d *Detector) bounds(p *past) bounds {
	if p.Bounds.Known {
		return p.Bounds
	}
	b := bounds{Known: true, Days: (p.Now - p.First) / 86400}
	b.Own = p.Now-p.First >= int64(d.o.Learn/time.Second)
	for m := range metrics {
		l := d.o.Limits[m]
		if !b.Own {
			b.Limit[m], b.Loose[m] = int64(l.Cap), int64(l.Cap)
			continue
		}
		base := d.base(p, m)
		b.Base[m] = base
		noise := math.Sqrt(float64(base))
		b.Limit[m] = int64(math.Ceil(max(l.Floor, l.Factor*float64(base), float64(base)+l.Spread*noise)))
		b.Loose[m] = max(b.Limit[m], int64(math.Ceil(float64(base)+l.Steady*noise)))
	}
	p.Bounds = b
	return b
}

// base is the largest usual value of a metric at this hour: the 95th percentile of the peaks of
// this hour of the day and its neighbours, or the peak of this hour of the week and its
// neighbours in earlier weeks, whichever is larger. Hours in which nothing happened count as zero;
// the last twelve hours do not count, so that nobody can raise the limit step by step in a day.
// The percentile keeps a rare burst from hiding what is far over normal; the week keeps a weekly
// job from looking like a burst.
func (d *Detector) base(p *past, m Metric) int64 {
	from := max(p.First/3600, p.Hour-int64(d.o.Remember/time.Hour))
	var daily []int64
	weekly := int64(0)
	slots := 0
	for h := p.Hour - 1; h >= from; h-- {
		if back := p.Hour - h; back > 12 && near(back, 24) {
			slots++
		}
	}
	for _, h := range p.Hours {
		back := p.Hour - h.At
		if back > 12 && near(back, 24) {
			daily = append(daily, h.Peak[m])
		}
		if back > 24 && near(back, 168) {
			weekly = max(weekly, h.Peak[m])
		}
	}
	if slots == 0 {
		return weekly
	}
	slices.Sort(daily)
	// The zeros of silent hours stand before the values that were recorded.
	i := int(math.Ceil(0.95*float64(slots))) - 1 - (slots - len(daily))
	if len(daily) == 0 || i < 0 {
		return weekly
	}
	return max(weekly, daily[min(i, len(daily)-1)])
}

// near reports whether back is within one hour of a multiple of period.
func near(back, period int64) bool {
	r := back % period
	return r <= 1 || r == period-1
}

// judge compares the window with the limits and keeps the alarms.
func (d *Detector) judge(p *past, o Observation) []incident.Signal {
	b := d.bounds(p)
	v := p.values()
	var out []incident.Signal
	for _, class := range []struct {
		name string
		of   []Metric
	}{
		{UnusualVolume, []Metric{Merchants, Customers, Records, Bytes, Requests}},
		{DeniedAccess, []Metric{Denied}},
	} {
		var over []Metric
		for _, m := range class.of {
			if v[m] > b.Loose[m] || v[m] > b.Limit[m] && d.stranger(p) {
				over = append(over, m)
			}
		}
		a, active := p.Alarms[class.name]
		switch {
		case len(over) > 0 && !active && !o.Historic:
			p.Alarms[class.name] = alarm{p.Now, p.Now}
			out = append(out, d.signal(p, o, class.name, over, v, b))
		case len(over) > 0 && active:
			a.Last = p.Now
			p.Alarms[class.name] = a
		case active && p.Now-a.Last >= int64(d.o.Calm/time.Second):
			delete(p.Alarms, class.name)
		}
	}
	d.learn(p, v)
	return out
}

// learn raises the peaks of the hour. While an alarm is active nothing is learned, so that an
// attack does not become normal; after a day of it, it has.
func (d *Detector) learn(p *past, v [metrics]int64) {
	for _, a := range p.Alarms {
		if p.Now-a.Since < 86400 {
			return
		}
	}
	for m := range metrics {
		p.Peak[m] = max(p.Peak[m], v[m])
	}
}

func (d *Detector) signal(p *past, o Observation, class string, over []Metric, v [metrics]int64, b bounds) incident.Signal {
	at := o.Time.UTC()
	window := fmt.Sprintf("%d minutes", int(d.o.Window/time.Minute))
	sum := sha256.Sum256([]byte(strings.Join([]string{"tocsin-signal/1", class, o.App, p.Subject, o.ID, at.Format(time.RFC3339Nano)}, "\x00")))
	s := incident.Signal{
		ID: "sig_" + hex.EncodeToString(sum[:10]), Class: class, Subject: p.Subject, App: o.App,
		At: at, From: at.Add(-d.o.Window), To: at, Events: slices.Clone(p.Recent), Facets: map[string]string{},
	}
	kind, name, _ := strings.Cut(p.Subject, ":")
	who := kind + " " + short(name)
	if class == DeniedAccess {
		s.Sentence = fmt.Sprintf("%s: %d requests refused in %s", who, v[Denied], window)
	} else {
		s.Sentence = fmt.Sprintf("%s: %d customer accounts of %d merchants in %s", who, v[Customers], v[Merchants], window)
	}
	for _, m := range over {
		switch m {
		case Records:
			s.Sentence += fmt.Sprintf(", %d records", v[m])
		case Bytes:
			s.Sentence += fmt.Sprintf(", %d MB", v[m]>>20)
		case Requests:
			s.Sentence += fmt.Sprintf(", %d requests", v[m])
		}
	}
	switch {
	case !b.Own && class == DeniedAccess:
		s.Sentence += fmt.Sprintf("; with %d days of history it is allowed %d", b.Days, b.Limit[Denied])
	case !b.Own:
		s.Sentence += fmt.Sprintf("; with %d days of history it is allowed %d of %d", b.Days, b.Limit[Customers], b.Limit[Merchants])
	case class == DeniedAccess && b.Base[Denied] == 0, class != DeniedAccess && b.Base[Customers] == 0 && b.Base[Merchants] == 0:
		s.Sentence += "; usually none at this hour"
	case class == DeniedAccess:
		s.Sentence += fmt.Sprintf("; usually at most %d at this hour", b.Base[Denied])
	default:
		s.Sentence += fmt.Sprintf("; usually at most %d of %d at this hour", b.Base[Customers], b.Base[Merchants])
	}
	s.Facets[kind] = name
	put := func(key, value string) {
		if value != "" {
			s.Facets[key] = value
		}
	}
	put("ip", o.IP)
	put("user_agent", o.Agent)
	if b.Own {
		put("new_addresses", d.fresh(p, p.Addresses))
		put("new_agents", d.fresh(p, p.Agents))
	}
	return s
}

// stranger reports whether an address or an agent of the window is not familiar.
func (d *Detector) stranger(p *past) bool {
	return d.fresh(p, p.Addresses) != "" || d.fresh(p, p.Agents) != ""
}

// fresh lists the sources of the window that are not familiar, most recently seen first.
func (d *Detector) fresh(p *past, seen map[string]span) string {
	var names []string
	for n, s := range seen {
		if p.Now-s.First < int64(d.o.Familiar/time.Second) && p.Now-s.Last <= int64(d.o.Window/time.Second) {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if seen[a].Last != seen[b].Last {
			return int(seen[b].Last - seen[a].Last)
		}
		return strings.Compare(a, b)
	})
	const most = 10
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// short keeps a sentence readable and a credential's name from being the credential.
func short(name string) string {
	r := []rune(name)
	if len(r) <= 16 {
		return name
	}
	return string(r[:15]) + "…"
}
