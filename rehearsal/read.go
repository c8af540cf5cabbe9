package rehearsal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

var rootKeys = []string{"class", "title", "opened", "severity", "scales", "milestones", "facts", "merchants", "scope", "published", "then"}

// root reads the whole file. What stands at the top is known when the incident opens; what stands
// under then happens at its instant.
func (r *reader) root(n *yaml.Node) {
	at := map[string]*yaml.Node{}
	r.pairs(n, "the file", rootKeys, func(key string, _, v *yaml.Node) { at[key] = v })
	r.st.class, r.st.title = "unclassified", "A rehearsal"
	if v := at["class"]; v != nil {
		r.st.class = v.Value
		ids := []string{"unclassified"}
		for _, c := range r.p.Classes {
			ids = append(ids, c.ID)
		}
		if !slices.Contains(ids, v.Value) {
			r.fail(v, "the policy has no class %s%s", clip(v.Value), didYouMean(v.Value, ids))
		}
	}
	if v := at["title"]; v != nil {
		r.st.title = v.Value
	}
	if v := at["severity"]; v != nil {
		r.st.severity = r.level(v)
	}
	if v := at["merchants"]; v != nil {
		r.merchants(v)
	}
	milestones := map[string]time.Time{}
	var order []string
	places := map[string]*yaml.Node{}
	if v := at["milestones"]; v != nil {
		r.pairs(v, "milestones", r.milestones(), func(key string, k, v *yaml.Node) {
			milestones[key] = r.time(v, "milestones: "+key)
			places[key] = k
			order = append(order, key)
		})
	}
	if v := at["opened"]; v != nil {
		r.st.opened = r.time(v, "opened")
	}
	if r.st.opened.IsZero() {
		for _, t := range milestones {
			if r.st.opened.IsZero() || t.Before(r.st.opened) {
				r.st.opened = t
			}
		}
	}
	if r.st.opened.IsZero() {
		r.fail(n, "nothing says when it begins; write opened: 2026-11-22T03:02:00Z, or milestones: { detected: … }")
	}
	if milestones["detected"].IsZero() {
		milestones["detected"] = r.st.opened
		order = append(order, "detected")
	}
	r.add(happening{at: r.st.opened, what: "the incident opens", place: r.place(n), facts: r.st.open})
	for _, name := range order {
		t := milestones[name]
		r.add(happening{at: later(t, r.st.opened), what: name, place: r.place(places[name]), facts: milestone(name, t, "")})
	}
	if v := at["published"]; v != nil {
		r.add(happening{at: r.time(v, "published"), what: "the policy is published", place: r.place(v), command: incident.BeginProgramme{}, by: service})
	}
	if v := at["scales"]; v != nil {
		r.scales(v, r.st.opened, "as the file says", everyRole(r.p, "somebody"))
	}
	if v := at["facts"]; v != nil {
		r.pairs(v, "facts", nil, func(_ string, k, v *yaml.Node) { r.answer(k, v, r.st.opened) })
	}
	if v := at["scope"]; v != nil {
		r.scope(v, r.st.opened)
	}
	if v := at["then"]; v != nil {
		if v.Kind != yaml.SequenceNode {
			r.fail(v, "then is a list: begin each entry with - at: 2026-11-22T04:00:00Z")
			return
		}
		if len(v.Content) > maxHappening {
			r.fail(v, "then has more than %d entries", maxHappening)
			return
		}
		for _, item := range v.Content {
			r.entry(item)
		}
	}
}

func (r *reader) add(h happening) { r.st.happen = append(r.st.happen, h) }

func (r *reader) milestones() []string {
	ids := slices.Clone(policy.Universal)
	for _, m := range r.p.Milestones {
		ids = append(ids, m.ID)
	}
	return ids
}

func (r *reader) level(v *yaml.Node) string {
	var ids []string
	for _, l := range r.p.Severities {
		ids = append(ids, l.ID)
	}
	if !slices.Contains(ids, v.Value) {
		r.fail(v, "the policy has no severity %s%s", clip(v.Value), didYouMean(v.Value, ids))
	}
	return v.Value
}

// answer reads a fact: a value, or { value, at, reason }.
func (r *reader) answer(id, v *yaml.Node, at time.Time) {
	reason := "as the file says"
	value := v
	if v.Kind == yaml.MappingNode {
		value = nil
		r.pairs(v, "facts: "+id.Value, []string{"value", "at", "reason"}, func(key string, _, x *yaml.Node) {
			switch key {
			case "value":
				value = x
			case "at":
				at = r.time(x, "facts: "+id.Value+": at")
			case "reason":
				reason = x.Value
			}
		})
		if value == nil {
			r.fail(v, "facts: %s has no value", clip(id.Value))
			return
		}
	}
	got := r.value(id, value)
	fact := id.Value
	r.add(happening{at: later(at, r.st.opened), what: fmt.Sprintf("%s is answered: %v", fact, words(got)), place: r.place(id), facts: func(run *Run) ([]incident.Fact, error) {
		return run.stated(incident.KindAnswered, incident.AnswerBody{Fact: fact}, incident.AnswerText{Value: got, Reason: reason})
	}})
}

func words(v any) any {
	switch v {
	case true:
		return "yes"
	case false:
		return "no"
	}
	return v
}

var merchantKeys = []string{"id", "country", "region", "language", "zone", "contract_hours", "exposure", "customers", "records", "data_types"}

// merchants reads a list of merchants, or how many there are.
func (r *reader) merchants(v *yaml.Node) {
	if v.Kind == yaml.ScalarNode {
		n := r.number(v, "merchants")
		if n > maxMerchants {
			r.fail(v, "merchants: there are more than %d", maxMerchants)
			return
		}
		for i := range n {
			r.merchant(merchant{exposure: incident.Exposure{Merchant: fmt.Sprintf("m_%d", i+1), Customers: 1, Records: 1, Events: 1}})
		}
		return
	}
	if v.Kind != yaml.SequenceNode || len(v.Content) > maxMerchants {
		r.fail(v, "merchants is a list of at most %d, or a number: - { id: m_1, country: DE }", maxMerchants)
		return
	}
	for _, item := range v.Content {
		m := merchant{exposure: incident.Exposure{Customers: 1, Records: 1, Events: 1}}
		x := &m.exposure
		r.pairs(item, "a merchant", merchantKeys, func(key string, _, v *yaml.Node) {
			switch key {
			case "id":
				x.Merchant = v.Value
			case "country":
				m.country = v.Value
			case "region":
				m.region = v.Value
			case "language":
				m.language = v.Value
			case "zone":
				zone, err := time.LoadLocation(v.Value)
				if err != nil || v.Value == "Local" || v.Value == "" {
					r.fail(v, "there is no time zone %s; write a name such as Europe/Berlin", clip(v.Value))
				}
				m.zone = zone
			case "contract_hours":
				m.hours = int(min(r.number(v, "contract_hours"), 1_000_000))
			case "exposure":
				if !slices.Contains([]string{"shown", "possible", "ruled_out"}, v.Value) {
					r.fail(v, "exposure is shown, possible or ruled_out, not %s", clip(v.Value))
				}
				m.exposed = v.Value
			case "customers":
				x.Customers = r.number(v, "customers")
			case "records":
				x.Records = r.number(v, "records")
			case "data_types":
				for _, t := range r.texts(v, "data_types") {
					x.DataTypes = append(x.DataTypes, t.Value)
				}
			}
		})
		if x.Merchant == "" {
			r.fail(item, "a merchant has no id")
			continue
		}
		if _, twice := r.st.merchants[x.Merchant]; twice {
			r.fail(item, "the merchant %s stands twice", clip(x.Merchant))
			continue
		}
		r.merchant(m)
	}
}

func (r *reader) merchant(m merchant) {
	r.st.merchants[m.exposure.Merchant] = m
	r.st.zoned = r.st.zoned || m.zone != nil
	r.st.order = append(r.st.order, m.exposure.Merchant)
}

// scope reads who is affected: all, a list, or { at, merchants }.
func (r *reader) scope(v *yaml.Node, at time.Time) {
	list := v
	if v.Kind == yaml.MappingNode {
		list = nil
		r.pairs(v, "scope", []string{"at", "merchants"}, func(key string, _, x *yaml.Node) {
			if key == "at" {
				at = r.time(x, "scope: at")
			} else {
				list = x
			}
		})
		if list == nil {
			r.fail(v, "scope names no merchants; write merchants: all")
			return
		}
	}
	ids, ok := r.who(list, "scope")
	if !ok {
		return
	}
	directory := incident.RecordDirectory{}
	for _, id := range ids {
		m := r.st.merchants[id]
		known := incident.Recipient{Merchant: id, Country: m.country, Region: m.region, Language: m.language, ContractHours: m.hours}
		if m.zone != nil {
			known.Zone = m.zone.String()
		}
		directory.Merchants = append(directory.Merchants, known)
	}
	h := happening{at: later(at, r.st.opened), what: fmt.Sprintf("the scope is computed: %d merchants", len(ids)), place: r.place(v), facts: scopeOf(ids)}
	if len(ids) > 0 {
		h.then = directory
	}
	r.add(h)
}

// who reads all, or merchants that the file declares.
func (r *reader) who(v *yaml.Node, what string) ([]string, bool) {
	if v.Kind == yaml.ScalarNode && v.Value == "all" {
		return slices.Clone(r.st.order), true
	}
	var ids []string
	for _, t := range r.texts(v, what) {
		if _, ok := r.st.merchants[t.Value]; !ok {
			r.fail(t, "%s: the file lists no merchant %s; put it under merchants", what, clip(t.Value))
			return nil, false
		}
		ids = append(ids, t.Value)
	}
	return ids, len(ids) > 0 || v.Kind == yaml.SequenceNode
}

var entryKeys = []string{"at", "by", "reason", "milestone", "correct", "facts", "severity", "scales", "scope", "event", "done", "told", "to", "content",
	"bounced", "dismiss", "reopen", "check", "snapshot", "fix", "do", "with"}

// entry reads one happening: when, and what.
func (r *reader) entry(item *yaml.Node) {
	at := map[string]*yaml.Node{}
	r.pairs(item, "an entry of then", entryKeys, func(key string, _, v *yaml.Node) { at[key] = v })
	if at["at"] == nil {
		r.fail(item, "an entry of then does not say when; write - at: 2026-11-22T04:00:00Z")
		return
	}
	when := r.time(at["at"], "at")
	if when.Before(r.st.opened) && !when.IsZero() {
		r.fail(at["at"], "it lies before the incident opens, %s", r.st.opened.Format(time.RFC3339))
		return
	}
	reason := "as the file says"
	if v := at["reason"]; v != nil {
		reason = v.Value
	}
	by := everyRole(r.p, "somebody")
	if v := at["by"]; v != nil {
		by = everyRole(r.p, strings.TrimPrefix(v.Value, "person:"))
	}
	before := len(r.st.happen)
	r.stated(at, when, reason)
	r.given(at, when, reason, by)
	if len(r.st.happen) == before && len(r.errs) == 0 {
		r.fail(item, "an entry says when and not what; write milestone, facts, severity, scope, told, dismiss, reopen, correct or do")
	}
}

// stated reads what the file states as having happened, without asking the engine's gates.
func (r *reader) stated(at map[string]*yaml.Node, when time.Time, reason string) {
	if v := at["milestone"]; v != nil {
		for _, t := range r.texts(v, "milestone") {
			if known := r.milestones(); !slices.Contains(known, t.Value) {
				r.fail(t, "there is no milestone %s%s", clip(t.Value), didYouMean(t.Value, known))
				continue
			}
			r.add(happening{at: when, what: t.Value, place: r.place(t), facts: milestone(t.Value, when, reason)})
		}
	}
	if v := at["correct"]; v != nil {
		r.pairs(v, "correct", r.milestones(), func(key string, k, v *yaml.Node) {
			to := r.time(v, "correct: "+key)
			r.add(happening{at: when, what: key + " is corrected to " + to.Format(time.RFC3339), place: r.place(k), facts: corrected(key, to, reason)})
		})
	}
	if v := at["facts"]; v != nil {
		r.pairs(v, "facts", nil, func(_ string, k, v *yaml.Node) { r.answer(k, v, when) })
	}
	if v := at["scope"]; v != nil {
		r.scope(v, when)
	}
	if v := at["snapshot"]; v != nil {
		r.add(happening{at: when, what: "a snapshot of the evidence is taken", place: r.place(v), facts: func(run *Run) ([]incident.Fact, error) {
			return run.stated(incident.KindSnapshot, incident.SnapshotBody{Log: "rehearsal"}, nil)
		}})
	}
	for _, key := range []string{"told", "bounced"} {
		v := at[key]
		if v == nil {
			continue
		}
		for _, t := range r.texts(v, key) {
			d := dutyOf(r.p, t.Value)
			if d == nil || d.To == "" {
				r.fail(t, "%s: no duty %s tells anybody%s", key, clip(t.Value), didYouMean(t.Value, r.telling()))
				continue
			}
			var to, content []string
			ok := true
			if x := at["to"]; x != nil {
				to, ok = r.who(x, "to")
			}
			if x := at["content"]; x != nil {
				for _, item := range r.texts(x, "content") {
					content = append(content, item.Value)
				}
			}
			if ok {
				r.add(happening{at: when, what: key + ": " + d.ID, place: r.place(t), facts: told(d, key == "bounced", to, content)})
			}
		}
	}
	if v := at["check"]; v != nil {
		var ids []string
		for _, c := range r.p.Checks {
			ids = append(ids, c.ID)
		}
		r.pairs(v, "check", ids, func(key string, k, v *yaml.Node) {
			if v.Value != "passed" && v.Value != "failed" {
				r.fail(v, "check: %s has passed or failed, not %s", key, clip(v.Value))
				return
			}
			r.add(happening{at: when, what: "check " + key + " " + v.Value, place: r.place(k), facts: checked(key, v.Value)})
		})
	}
}

func (r *reader) telling() []string {
	var ids []string
	for _, d := range r.p.Duties {
		if d.To != "" {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// given reads commands: the engine takes or refuses them.
func (r *reader) given(at map[string]*yaml.Node, when time.Time, reason string, by incident.Actor) {
	command := func(v *yaml.Node, what string, c incident.Command) {
		r.add(happening{at: when, what: what, place: r.place(v), command: c, by: by})
	}
	if v := at["severity"]; v != nil {
		command(v, "the severity is set to "+v.Value, incident.SetSeverity{Severity: r.level(v), Reason: reason})
	}
	if v := at["scales"]; v != nil {
		r.scales(v, when, reason, by)
	}
	if v := at["event"]; v != nil {
		r.event(v, when, by)
	}
	if v := at["done"]; v != nil {
		for _, t := range r.texts(v, "done") {
			duty, recipient, _ := strings.Cut(t.Value, "/")
			if dutyOf(r.p, duty) == nil {
				var ids []string
				for _, d := range r.p.Duties {
					ids = append(ids, d.ID)
				}
				r.fail(t, "done: the policy has no duty %s%s", clip(duty), didYouMean(duty, ids))
				continue
			}
			command(t, t.Value+" is done", incident.Complete{Duty: duty, Recipient: recipient, Note: reason})
		}
	}
	if v := at["dismiss"]; v != nil {
		command(v, "the incident is dismissed", incident.Dismiss{Reason: v.Value})
	}
	if v := at["reopen"]; v != nil {
		command(v, "the incident is reopened", incident.Reopen{Reason: v.Value})
	}
	if v := at["fix"]; v != nil {
		switch v.Value {
		case "recorded":
			command(v, "the fix is recorded", incident.RecordFix{What: reason})
		case "verified":
			by.Principal = "person:somebody-else" // who recorded a fix cannot verify it
			command(v, "the fix is verified", incident.VerifyFix{How: reason})
		default:
			r.fail(v, "fix is recorded or verified, not %s", clip(v.Value))
		}
	}
	v := at["do"]
	if v == nil {
		if w := at["with"]; w != nil {
			r.fail(w, "with belongs to do: write do: COMMAND")
		}
		return
	}
	body := []byte(`{}`)
	if w := at["with"]; w != nil {
		var err error
		if body, err = asJSON(w); err != nil {
			r.fail(w, "with: %v", err)
			return
		}
	}
	c, err := commandFor(v.Value, body, reason)
	if err != nil {
		r.fail(v, "%s", strings.TrimPrefix(err.Error(), "incident: "))
		return
	}
	command(v, v.Value, c)
}

// commandFor reads a command. One that has a reason, and whose body gives none, has that of its entry.
func commandFor(name string, body []byte, reason string) (incident.Command, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err == nil && fields["reason"] == nil {
		if fields["reason"], err = json.Marshal(reason); err == nil {
			if with, err := json.Marshal(fields); err == nil {
				if c, err := incident.CommandByName(name, with); err == nil {
					return c, nil
				}
			}
		}
	}
	return incident.CommandByName(name, body) // it has no reason, or what is wrong with it is something else
}

// scales reads levels of the policy's own scales.
func (r *reader) scales(v *yaml.Node, when time.Time, reason string, by incident.Actor) {
	var ids []string
	for _, s := range r.p.Scales {
		ids = append(ids, s.ID)
	}
	r.pairs(v, "scales", ids, func(key string, k, v *yaml.Node) {
		i := slices.Index(ids, key)
		var levels []string
		for _, l := range r.p.Scales[i].Levels {
			levels = append(levels, l.ID)
		}
		if !slices.Contains(levels, v.Value) {
			r.fail(v, "the scale %s has no level %s%s", key, clip(v.Value), didYouMean(v.Value, levels))
			return
		}
		r.add(happening{at: when, what: key + " is set to " + v.Value, place: r.place(k), by: by,
			command: incident.SetScale{Scale: key, Level: v.Value, Reason: reason}})
	})
}

// event reads what happens to the programme: an id, or { id, at } where it is announced for later.
func (r *reader) event(v *yaml.Node, when time.Time, by incident.Actor) {
	c := incident.RecordEvent{Note: "as the file says"}
	if v.Kind == yaml.MappingNode {
		r.pairs(v, "event", []string{"id", "at"}, func(key string, _, x *yaml.Node) {
			if key == "id" {
				c.Event = x.Value
			} else {
				c.At = r.time(x, "event: at")
			}
		})
	} else {
		c.Event = v.Value
	}
	var ids []string
	for _, e := range r.p.Events {
		ids = append(ids, e.ID)
	}
	if !slices.Contains(ids, c.Event) {
		r.fail(v, "the policy names no event %s%s", clip(c.Event), didYouMean(c.Event, ids))
		return
	}
	r.add(happening{at: when, what: "event " + c.Event, place: r.place(v), command: c, by: by})
}
