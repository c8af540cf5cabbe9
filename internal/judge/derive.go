package judge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Story is what a scenario expects of whichever policy makes a promise, written before anybody knew
// the policy.
type Story struct {
	Name      string                 // of the scenario: what people do in it, and what it needs of a policy, is in its table
	Promises  map[string]Expectation // every promise that some scenario knows
	Class     string                 // the class that it opens; "" where any does
	WithClass map[string]Expectation // instead, where the policy has that class
}

// ownLimit are the promises whose limit is Tocsin's and not a policy's.
var ownLimit = []string{"DET-3"}

// Derive says what a story expects of a policy of one's own, from the policy's text as this judge reads
// it and before the run: what it promises, by its marks and by its duties, actions and gates, and the
// limits that its clocks state. What it promises and no story or no clock can be held to is not reached,
// with the reason; what it does not promise is not applicable.
func Derive(source []byte, story Story) (map[string]Expectation, error) {
	var text policyText
	var whole yaml.Node
	if err := errors.Join(yaml.Unmarshal(source, &text), yaml.Unmarshal(source, &whole)); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	marked := map[string]bool{}
	marks(&whole, marked)
	out := map[string]Expectation{}
	for id := range marked {
		if _, known := story.Promises[id]; !known {
			out[id] = Expectation{Expect: notReached, Reason: "the policy's own promise, of which no scenario knows how it shows"}
		}
	}
	for id, e := range story.Promises {
		if with, ok := story.WithClass[id]; ok && hasClass(text, story.Class) {
			e = with
		}
		out[id] = text.expected(id, marked[id], e, tables[story.Name].asks[id])
	}
	idle := tables[story.Name].idle
	if idle == nil {
		return out, nil
	}
	for _, id := range slices.Sorted(maps.Keys(text.Duties)) {
		if _, taken := out[id]; taken {
			return nil, fmt.Errorf("policy: duty %s has the name of a promise", id)
		}
		out[id] = text.clock(id, idle)
	}
	return out, nil
}

func hasClass(text policyText, id string) bool {
	_, ok := text.Classes[id]
	return ok
}

// marks collects every promise that is named anywhere in a policy.
func marks(n *yaml.Node, into map[string]bool) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "promise" {
			for _, id := range words(*c) {
				into[id] = true
			}
		}
		marks(c, into)
	}
}

// expected is what is expected of one promise. A story in which it shows otherwise than in a breach asks
// for something of its own.
func (t policyText) expected(id string, marked bool, e Expectation, ask asked) Expectation {
	if !slices.Contains(ownLimit, id) {
		e.Within = ""
	}
	duty, stated, lacks := t.states(id)
	if ask != nil {
		duty, stated, lacks = ask(t)
	}
	switch {
	case !marked && !stated:
		return Expectation{Expect: "not_applicable", Reason: "not promised by this policy"}
	case e.Expect != kept && e.Expect != missed:
		return e
	case lacks != "":
		return Expectation{Expect: notReached, Reason: lacks}
	}
	if !marked {
		e.Reason += "; the policy states it without naming the promise"
	}
	if e.Duty = duty; duty == "" {
		return e
	}
	if id == "NOT-1" && len(words(t.Duties[duty].Due)) > 0 { // the number stands on the page too, in hours
		if m := clockWords.FindStringSubmatch(words(t.Duties[duty].Due)[0]); m != nil && hours.MatchString(m[1]) {
			e.Within = m[1]
		}
	}
	return e
}

// states says whether the policy's structure makes a promise, which duty's clock it has ("" for none),
// and what is lacking that the judge would hold it by.
func (t policyText) states(id string) (duty string, stated bool, lacks string) {
	need := func(d string, what string) (string, bool, string) {
		if d == "" {
			return "", false, "the policy promises it and has no " + what + " that a drill could hold it by"
		}
		return d, true, ""
	}
	action := func(what string, uses ...string) (string, bool, string) {
		for _, a := range t.Actions {
			if slices.Contains(uses, a.Uses) {
				return "", true, ""
			}
		}
		return need("", what)
	}
	switch id {
	case "CLS-1":
		if len(t.Classes) > 0 {
			return "", true, ""
		}
		return need("", "class")
	case "CLS-2":
		for _, table := range t.Tables {
			var by string
			if node := table["by"]; node.Decode(&by) == nil && by == "severity" {
				return "", true, ""
			}
		}
		return need("", "table of clocks by severity")
	case "CLS-3":
		d, ok := t.duty("decide", id, func(d dutyText) bool { return slices.Contains(words(d.Of), "confirmed") })
		return d, ok, ""
	case "CON-1":
		return action("action that uses app_tokens, as the drill's application has it,", "app_tokens")
	case "CON-2":
		for name, a := range t.Actions {
			if slices.Contains(words(a.Promise), id) && a.Uses != "app_secret" && a.Uses != "session_secret" {
				return "", true, "action " + name + " uses " + a.Uses + ", and the drill's application has no such secret"
			}
		}
		if _, ok := promised(t.Actions, func(a actionText) yaml.Node { return a.Promise }, id); ok {
			return "", true, ""
		}
		_, _, lacks = need("", "action marked with it")
		return "", false, lacks
	case "CON-3":
		return action("action that uses shop_switch, as the drill's application has it,", "shop_switch")
	case "CON-6":
		return "", false, "the row of the duty whose clock it is says so"
	case "INV-1", "INV-4", "REV-1":
		d, ok := t.duty(map[string]string{"INV-1": "scope", "INV-4": "assess", "REV-1": "review"}[id], id, nil)
		return d, ok, ""
	case "NOT-1", "NOT-2", "NOT-6":
		d, ok := t.duty("notify", id, func(d dutyText) bool {
			limited := t.limited(d)
			return d.To == "merchants.affected" && d.For != "programme" && !d.afterwards() && (id == "NOT-2" && len(words(d.Content)) > 0 || id == "NOT-1" && limited || id == "NOT-6" && !limited)
		})
		if !ok {
			return need("", "notice to merchants.affected")
		}
		return d, true, ""
	case "NOT-3", "NOT-4":
		kind := map[string]string{"NOT-3": "platform", "NOT-4": "authority"}[id]
		d, ok := t.duty("notify", id, func(d dutyText) bool { return t.Parties[d.To].Kind == kind })
		switch party := t.Parties[t.Duties[d].To]; {
		case !ok:
			return need("", "notice to such a party")
		case len(words(party.Address)) == 0:
			return d, true, t.Duties[d].To + " is told by " + strings.Join(words(party.Via), " and ") + ", and a drill has nothing of that kind"
		}
		return d, true, ""
	case "REC-1":
		for _, g := range t.Gates {
			if slices.Contains(words(g.Guards), "restore") && strings.Contains(strings.Join(words(g.Need), " "), "fix.verified") {
				return "", true, ""
			}
		}
		return need("", "gate of restore that needs fix.verified")
	case "REV-2":
		d, ok := t.duty("notify", id, func(dutyText) bool { return false })
		if !ok {
			return need("", "notice marked with it")
		}
		return d, true, ""
	case "PUB-1":
		return "", true, "" // every policy has a page
	}
	return "", false, ""
}

// afterwards says that a duty counts from the return to service: a summary is no first letter.
func (d dutyText) afterwards() bool {
	due := words(d.Due)
	return len(due) > 0 && strings.HasSuffix(due[0], " after restored")
}

// limited says whether a duty's own clock has a limit that can be missed.
func (t policyText) limited(d dutyText) bool {
	due := words(d.Due)
	if len(due) == 0 {
		return false
	}
	m := clockWords.FindStringSubmatch(due[0])
	return m != nil && m[1] != "promptly"
}

// duty is the duty that makes a promise: the one that is marked with it, else the first by name that
// does it.
func (t policyText) duty(do, promise string, fits func(dutyText) bool) (string, bool) {
	does := ""
	for _, id := range slices.Sorted(maps.Keys(t.Duties)) {
		d := t.Duties[id]
		if d.Do != do {
			continue
		}
		if slices.Contains(words(d.Promise), promise) {
			return id, true
		}
		if does == "" && (fits == nil || fits(d)) {
			does = id
		}
	}
	return does, does != ""
}

// clock is what is expected of one duty: that it is done before the limit which the text gives. idle says
// what nobody in the story does, and why.
func (t policyText) clock(id string, idle map[string]string) Expectation {
	d := t.Duties[id]
	due := words(d.Due)
	not := func(why string) Expectation { return Expectation{Expect: notReached, Reason: why} }
	switch {
	case d.For == "programme":
		return not("a duty of the programme belongs to no incident")
	case idle[d.Do] != "":
		return not(idle[d.Do])
	case len(due) == 0:
		return not("it states no clock")
	}
	if d.afterwards() && idle["review"] != "" {
		return not(idle["review"])
	}
	m := clockWords.FindStringSubmatch(due[0])
	if m == nil {
		return not(fmt.Sprintf("whether %q was kept is not for this judge to compute", strings.Join(due, ", ")))
	}
	switch d.Do {
	case "notify":
		if party := t.Parties[d.To]; d.To != "merchants.affected" && len(words(party.Address)) == 0 {
			return not(d.To + " is told by " + strings.Join(words(party.Via), " and ") + ", and a drill has nothing of that kind")
		}
	case "decide", "contain", "scope", "assess", "verify", "review", "update":
	default:
		return not("nobody in this story does it: " + d.Do)
	}
	reason := "done within " + due[0]
	if every := words(d.Every); len(every) > 0 {
		reason += ", and again " + every[0]
	}
	if m[1] == "promptly" {
		reason = "its clock ran, and it was done: promptly is a target and no limit"
	}
	return Expectation{Expect: kept, Duty: id, Reason: reason}
}
