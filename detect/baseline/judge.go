package baseline

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/incident"
)

// bounds are the limits of an entity in one hour.
type bounds struct {
	Hour  uint32 // Unix hour, plus one so that 0 is none
	Own   bool   // from its own past, not from the caps
	Base  [metrics]int64
	Limit [metrics]int64
}

// own reports whether an entity has a past of its own.
func (d *Detector) own(e *entity) bool { return e.Minute-e.First >= uint32(d.o.Learn/time.Minute) }

// bounds computes the limits of the present hour: from the levels of this hour of the week and its
// neighbours; where it was never seen, from those of the same hours on other days.
func (d *Detector) bounds(kind Kind, e *entity) bounds {
	b := bounds{Hour: e.Hour + 1, Own: d.own(e)}
	var base [metrics]uint8
	here, there := [metrics]uint8{}, [metrics]uint8{}
	found := false
	at := int(e.Hour % week)
	for _, s := range e.Slots {
		apart := (int(s.Hour) - at + week) % week
		if apart <= 1 || apart == week-1 {
			found = true
			for m, l := range s.Level {
				here[m] = max(here[m], l)
			}
		}
		if r := apart % 24; r <= 1 || r == 23 {
			for m, l := range s.Level {
				there[m] = max(there[m], l)
			}
		}
	}
	if base = there; found && e.Minute-e.First >= 14*24*60 {
		base = here
	}
	for m, l := range d.o.Limits {
		v := amount(base[m])
		b.Base[m] = int64(v)
		if !b.Own {
			b.Limit[m] = int64(l.Cap * d.o.Tolerance[kind])
			continue
		}
		b.Limit[m] = int64(math.Ceil(max(l.Floor, l.Factor*v, v+4*math.Sqrt(v)) * d.o.Tolerance[kind]))
	}
	return b
}

// over is what an entity has in excess.
type over struct {
	l       *live
	values  [metrics]int64
	metrics []Metric
	strange bool
	burst   bool // in one minute
}

// A minute has limits of its own, half of those of its ten, so that a program in a hurry is named early:
// for breadth of merchants, and for refusals where an address without a past is refused whatever it
// asks. Other numbers have none: somebody who turns the pages of a long list reaches in a minute what
// would be needed to tell a thief.
const inOneMinute = 0.5

// burst compares the minute of an event with its limits.
func (d *Detector) burst(l *live, at uint32, class int, all, strangers [metrics]int64) over {
	b, tolerance := l.Bounds, d.o.Tolerance[l.Kind]
	m := [2]Metric{Merchants, Errors}[class]
	x := d.o.Limits[m]
	limit, strange := int64(inOneMinute*x.Cap*tolerance), int64(inOneMinute*2*x.Strange)
	switch v := float64(b.Base[m] + 1); {
	case m == Errors && (b.Own || l.Kind != Address):
		return over{}
	case b.Own:
		limit = int64(math.Ceil(max(inOneMinute*x.Floor, x.Factor*v, v+4*math.Sqrt(v)) * tolerance))
	}
	if all[m] <= limit && strangers[m] <= strange {
		return over{} // a minute has no more than its window
	}
	now := l.at(at)
	if refused := now.All.Errors; m == Errors && refused < now.All.Events || m != Errors && 2*refused > now.All.Events {
		return over{}
	}
	if v := now.All.values(); v[m] > limit {
		return over{l: l, values: v, metrics: []Metric{m}, burst: true}
	}
	if now.Strange != nil && l.Stranger > 0 && m != Errors {
		if v := now.Strange.values(); v[m] > strange {
			return over{l: l, values: v, metrics: []Metric{m}, strange: true, burst: true}
		}
	}
	return over{}
}

// judge compares the windows with their limits, keeps the alarms and learns.
func (d *Detector) judge(e Event, involved [kinds]*live) (out []incident.Signal) {
	var found [2][]over // by class
	var calm [kinds][2]bool
	for k, l := range involved {
		if l == nil {
			continue
		}
		v, s := l.All.values(), [metrics]int64{}
		if l.Strange != nil {
			s = l.Strange.values()
		}
		for class := range 2 {
			o := over{l: l, values: v}
			for m := range metrics {
				if (m == Errors) != (class == 1) {
					continue
				}
				if v[m] > l.Bounds.Limit[m] {
					o.metrics = append(o.metrics, m)
				}
			}
			if len(o.metrics) == 0 && l.Stranger > 0 {
				twice := int64(2)
				if 2*l.Strange.Wholly > l.Strange.Events {
					twice = 1
				}
				for m := range metrics {
					if (m == Errors) == (class == 1) && s[m] > twice*int64(d.o.Limits[m].Strange) {
						o.metrics, o.strange, o.values = append(o.metrics, m), true, s
					}
				}
			}
			if len(o.metrics) == 0 {
				if b := d.burst(l, uint32(e.Time.Unix()/60), class, v, s); len(b.metrics) > 0 {
					o = b
				}
			}
			if Kind(k) == Address && d.moved(involved, calm[Credential][class]) {
				o.metrics = nil
			}
			if len(o.metrics) > 0 {
				found[class] = append(found[class], o)
			} else {
				calm[k][class] = true
			}
		}
		d.learn(l.E, v)
	}
	minute := uint32(e.Time.Unix() / 60)
	credential := uint64(0)
	if l := involved[Credential]; l != nil {
		credential = l.E.Key
	}
	for class, name := range [2]string{UnusualVolume, DeniedAccess} {
		running := false
		for k, l := range involved {
			if l == nil {
				continue
			}
			if a, ok := d.s.Alarms[l.E.Key][name]; ok {
				if calm[k][class] && minute >= a.Last+uint32(d.o.Calm/time.Minute) {
					delete(d.s.Alarms[l.E.Key], name)
					continue
				}
				// What a merchant or an endpoint sees does not excuse the next credential, and what an actor or
				// an address did with one credential does not excuse what another does: decoys would hide a thief.
				running = running || Kind(k) <= Address && (Kind(k) == Credential || credential == 0 || a.For == credential || calm[Credential][class])
			}
		}
		if len(found[class]) == 0 || e.Historic {
			continue
		}
		d.s.Over[e.App] = max(d.s.Over[e.App], minute)
		report := !running
		for _, o := range found[class] {
			classes := d.s.Alarms[o.l.E.Key]
			a, ok := classes[name]
			if ok && o.l.Kind > Address && !running {
				report = false // the merchant's own alarm goes on
			}
			if !ok {
				a.Since, a.For = minute, credential
			}
			a.Last = max(a.Last, minute)
			if classes == nil {
				classes = map[string]alarm{}
				d.s.Alarms[o.l.E.Key] = classes
			}
			classes[name] = a
		}
		if first := found[class][0]; report || first.l.Kind <= Address && !running {
			out = append(out, d.signal(e, name, first))
		}
	}
	return out
}

// moved reports whether an address is new at the work of one credential that does what it usually does:
// a machine was replaced, and knows nothing of the weekly report yet.
func (d *Detector) moved(involved [kinds]*live, calm bool) bool {
	c, a := involved[Credential], involved[Address]
	return c != nil && calm && c.Bounds.Own && c.Stranger == 0 && !a.Mixed && a.E.Minute-a.E.First < settled
}

// awake reports a credential that slept and is now used by a stranger. An address that wakes one
// after the other is one alarm.
func (d *Detector) awake(e Event, involved [kinds]*live, slept uint32) []incident.Signal {
	l := involved[Credential]
	if a := involved[Address]; a != nil {
		l = a
	}
	minute := uint32(e.Time.Unix() / 60)
	classes := d.s.Alarms[l.E.Key]
	a, running := classes[Dormant]
	if !running {
		a.Since = minute
	}
	a.Last = max(a.Last, minute)
	if classes == nil {
		classes = map[string]alarm{}
		d.s.Alarms[l.E.Key] = classes
	}
	classes[Dormant] = a
	if running || e.Historic {
		return nil
	}
	s := d.signal(e, Dormant, over{l: involved[Credential], metrics: []Metric{Events}, strange: true, values: [metrics]int64{Events: 1}})
	s.Sentence = fmt.Sprintf("credential %s: used again after %s of silence, from where it was never used: %s", short(e.Credential), count(int64(slept/(24*60)), "day"), strings.Join(involved[Credential].New, ", "))
	return []incident.Signal{s}
}

// learn raises the peaks of the hour. While an alarm is active nothing is learned, so that an
// attack does not become normal; after a day of it, it has.
func (d *Detector) learn(e *entity, v [metrics]int64) {
	for class, a := range d.s.Alarms[e.Key] {
		if class != Dormant && e.Minute < a.Since+24*60 {
			return
		}
	}
	for m := range metrics {
		e.Peak[m] = max(e.Peak[m], level(v[m]))
	}
}

func (d *Detector) signal(e Event, class string, o over) incident.Signal {
	kind := kindNames[o.l.Kind]
	name := [kinds]string{e.Credential, e.Actor, e.IP, e.Merchant, e.Endpoint}[o.l.Kind]
	subject := kind + ":" + name
	at := e.Time.UTC()
	sum := sha256.Sum256([]byte(strings.Join([]string{"tocsin-baseline/1", class, e.App, subject, e.ID, at.Format(time.RFC3339Nano)}, "\x00")))
	span := windowMinutes * time.Minute
	if o.burst {
		span = time.Minute
	}
	s := incident.Signal{
		ID: "sig_" + hex.EncodeToString(sum[:10]), Class: class, Subject: subject, App: e.App,
		At: at, From: at.Add(-span), To: at, Facets: map[string]string{},
	}
	for k, n := range [kinds]string{e.Credential, e.Actor, e.IP} {
		if n != "" && (Kind(k) != Address || o.l.Kind == Address) {
			s.Facets[kindNames[k]] = cut(n)
		}
	}
	if e.IP != "" {
		s.Facets["ip"] = cut(e.IP)
	}
	if e.Agent != "" {
		s.Facets["user_agent"] = cut(e.Agent)
	}
	if o.l.Kind == Credential || o.l.Kind == Address {
		s.Events = slices.Clone(o.l.Recent)
	}
	s.Sentence = fmt.Sprintf("%s %s: %s", kind, short(name), d.why(o))
	return s
}

// why is the sentence of an alarm: what is unusual with the most excess first, what is usual, and
// what never happened before.
func (d *Detector) why(o over) string {
	b, e := o.l.Bounds, o.l.E
	slices.SortStableFunc(o.metrics, func(x, y Metric) int {
		return int(math.Copysign(1, excess(o, y)-excess(o, x)))
	})
	main := o.metrics[0]
	parts := make([]string, 0, len(o.metrics))
	for _, m := range o.metrics {
		parts = append(parts, unit(m, o.values[m]))
	}
	text := strings.Join(parts, ", ") + " in 10 minutes"
	if o.burst {
		text = strings.Join(parts, ", ") + " in one minute"
	}
	if main == Errors {
		text += fmt.Sprintf(" of %s", unit(Events, o.values[Events]))
	}
	switch {
	case o.strange:
		switch {
		case o.l.Kind == Address:
			text += "; with credentials that were never used from there"
		case len(o.l.New) > 0:
			text += "; from where it was never used: " + strings.Join(o.l.New, ", ")
		default:
			text += "; from where its credential was never used"
		}
	case !b.Own:
		text += fmt.Sprintf("; known for %d hours, with which it is allowed %s", (e.Minute-e.First)/60, group3(d.allowed(o, main)))
	case b.Base[main] == 0:
		text += "; usually none at this hour"
	case o.burst:
		text += "; usually " + group3(b.Base[main]) + " in ten at this hour"
	default:
		text += "; usually " + group3(b.Base[main]) + " at this hour"
	}
	if most := int64(amount(e.Most[Merchants])); b.Own && !o.strange && o.values[Merchants] > most && o.values[Merchants] > 1 {
		text += "; first time beyond " + unit(Merchants, most)
	}
	return text
}

// allowed is what an entity without a past may have of a metric.
func (d *Detector) allowed(o over, m Metric) int64 {
	if o.burst {
		return int64(inOneMinute * d.o.Limits[m].Cap * d.o.Tolerance[o.l.Kind])
	}
	return o.l.Bounds.Limit[m]
}

func excess(o over, m Metric) float64 {
	return float64(o.values[m]) / float64(max(o.l.Bounds.Limit[m], 1))
}

func unit(m Metric, v int64) string {
	switch m {
	case Customers:
		return count(v, "distinct customer")
	case Merchants:
		return count(v, "merchant")
	case Records:
		return count(v, "record")
	case Bytes:
		return group3(v>>20) + " MB"
	case Events:
		return count(v, "event")
	}
	return count(v, "refusal or error")
}

func count(v int64, what string) string {
	if v == 1 {
		return "1 " + what
	}
	if what == "refusal or error" {
		return group3(v) + " refusals or errors"
	}
	return group3(v) + " " + what + "s"
}

// group3 writes a number with a comma at every thousand.
func group3(v int64) string {
	s := fmt.Sprint(v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short keeps a sentence readable and a credential's name from being the credential.
func short(name string) string {
	r := []rune(name)
	if len(r) <= 16 {
		return name
	}
	return string(r[:15]) + "…"
}

// cut shortens a name without parting a character.
func cut(name string) string {
	limit := maxName
	if len(name) <= limit {
		return name
	}
	for limit > 0 && !utf8.RuneStart(name[limit]) {
		limit--
	}
	return name[:limit]
}
