package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/detect/sigma"
	"github.com/tocsin-ir/tocsin/incident"
)

// kept are the fields of an event that are read beside those that the rules ask.
var kept = []string{"attributes.name", "attributes.value", "attributes.unit"}

// ask shows an entry to the rules. A rule that finds the same subject again and again is one alarm,
// until it has found nothing for a while.
func (d *Detector) ask(e Entry) (out []incident.Signal) {
	d.read = false
	if len(e.Text) == 0 {
		return nil
	}
	if err := d.rules.Decode(View(e), &d.event); err != nil {
		d.s.Unreadable++
		return nil
	}
	d.read = true
	found := d.rules.Observe(e.Position, e.Received, &d.event)
	for i := range found {
		f := &found[i]
		m := f.Meta()
		if slices.Index(levels, m.Level) < slices.Index(levels, d.o.Level) {
			d.s.Below++
			continue
		}
		s := d.signal(e, f)
		key := m.ID + "\x00" + m.Title + "\x00" + s.App + "\x00" + s.Subject
		last, running := d.s.Alarms[key]
		if !running || s.At.After(last) {
			d.s.Alarms[key] = s.At
		}
		d.forgetAlarms()
		if !running || s.At.Sub(last) > d.o.Calm {
			out = append(out, s)
		}
	}
	return out
}

// forgetAlarms drops the oldest half when there are too many.
func (d *Detector) forgetAlarms() {
	if len(d.s.Alarms) <= maxAlarms {
		return
	}
	times := make([]time.Time, 0, len(d.s.Alarms))
	for _, at := range d.s.Alarms {
		times = append(times, at)
	}
	slices.SortFunc(times, time.Time.Compare)
	middle := times[len(times)/2]
	for k, at := range d.s.Alarms {
		if at.Before(middle) {
			delete(d.s.Alarms, k)
		}
	}
	if len(d.s.Alarms) > maxAlarms { // all of one instant
		clear(d.s.Alarms)
	}
}

// subjects are the fields that say whom a signal is about, the most telling first, with what an
// incident calls them.
var subjects = []struct{ kind, field string }{
	{"credential", "credential"}, {"session", "session"},
	{"actor", "actor.id"}, {"actor", "actor.alternateId"}, {"actor", "actor"}, {"actor", "userIdentity.arn"}, {"actor", "protoPayload.authenticationInfo.principalEmail"},
	{"address", "source.ip"}, {"address", "client.ipAddress"}, {"address", "actor_ip"}, {"address", "sourceIPAddress"}, {"address", "protoPayload.requestMetadata.callerIp"},
	{"merchant", "merchant"},
}

// about says whom a detection is about: what a correlation is grouped by, else what the event names.
func about(e Entry, f *sigma.Detection) string {
	for _, s := range subjects {
		if v := f.Group[s.field]; v != "" {
			return s.kind + ":" + v
		}
	}
	for _, s := range [...]struct{ kind, value string }{{"credential", e.Credential}, {"actor", e.Actor}, {"address", e.IP}, {"merchant", e.Merchant}, {"app", e.App}} {
		if s.value != "" {
			return s.kind + ":" + s.value
		}
	}
	return "log:" + e.Kind
}

func (d *Detector) signal(e Entry, f *sigma.Detection) incident.Signal {
	m := f.Meta()
	at := f.Time.UTC()
	if f.Time.IsZero() {
		at = e.Time.UTC()
	}
	subject := short(about(e, f), maxSubject)
	sum := sha256.Sum256([]byte(strings.Join([]string{"tocsin-rule/1", m.ID, m.Title, e.App, subject, e.ID, at.Format(time.RFC3339Nano)}, "\x00")))
	s := incident.Signal{
		ID: "sig_" + hex.EncodeToString(sum[:10]), Class: m.Signal, Subject: subject, App: e.App, At: at, From: at, To: at,
		Sentence: short(f.Sentence(&d.event), maxSentence), Events: f.Events, Facets: map[string]string{"rule": short(m.Label(), maxFacet)},
	}
	if s.Class == "" {
		s.Class = "rule_match"
	}
	if m.Class != "" {
		s.Facets[Opens] = short(m.Class, maxFacet)
	}
	if m.Level != "" {
		s.Facets["level"] = m.Level
	}
	if !f.From.IsZero() {
		s.From = f.From.UTC()
	}
	if len(s.Events) == 0 && e.ID != "" {
		s.Events = []string{e.ID}
	} else {
		s.Events = slices.Clone(s.Events)
	}
	// What the correlation is not grouped by may be another in each of its events.
	for k, v := range map[string]string{"credential": e.Credential, "actor": e.Actor, "session": e.Session, "ip": e.IP, "user_agent": e.Agent, "merchant": e.Merchant} {
		field := map[string]string{"actor": "actor.id", "ip": "source.ip", "user_agent": "source.user_agent"}[k]
		if field == "" {
			field = k
		}
		if _, grouped := f.Group[field]; v != "" && (f.Correlation == nil || grouped) {
			s.Facets[k] = short(v, maxFacet)
		}
	}
	return s
}

// Opens is the facet of a signal that names the class of incident its rule opens, for policies that
// have such a class and list no signal of this name.
const Opens = "opens"

const (
	maxSubject  = 300
	maxFacet    = 256
	maxSentence = 1000
)

// short cuts a text between two characters, and makes it text when it is none: its sender chose it.
func short(s string, most int) string {
	s = strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s), "\uFFFD")
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
