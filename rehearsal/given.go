package rehearsal

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// author is who states what a file of facts says.
const author incident.Principal = "person:author"

// stated makes one fact that the file states.
func (r *Run) stated(kind incident.Kind, body, text any, parts ...incident.Part) ([]incident.Fact, error) {
	f := incident.Fact{Kind: kind, Principal: author, Occurred: r.now, Body: json.RawMessage(`{}`), Versions: incident.Versions{Policy: r.p.Hash}}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		f.Body = b
	}
	if text != nil {
		b, err := json.Marshal(text)
		if err != nil {
			return nil, err
		}
		f.Parts = append(f.Parts, incident.Part{Body: b})
	}
	f.Parts = append(f.Parts, parts...)
	return []incident.Fact{f}, nil
}

func (st *Story) open(r *Run) ([]incident.Fact, error) {
	return r.stated(incident.KindOpened,
		incident.OpenedBody{Class: st.class, Severity: st.severity, Policy: r.p.Hash}, incident.OpenedText{Title: st.title})
}

func milestone(name string, at time.Time, reason string) func(*Run) ([]incident.Fact, error) {
	return func(r *Run) ([]incident.Fact, error) {
		if had := r.inc.s.Milestones[name]; had != nil {
			if had.At.Equal(at) {
				return nil, nil
			}
			if had.Auto { // the engine concluded it; the file says otherwise
				return corrected(name, at, reason)(r)
			}
			return nil, fmt.Errorf("it has been reached at %s already; correct it instead", had.At.Format(time.RFC3339))
		}
		return r.stated(incident.KindMilestone, incident.MilestoneBody{Milestone: name, At: at}, incident.Reasoned{Reason: reason})
	}
}

func corrected(name string, to time.Time, reason string) func(*Run) ([]incident.Fact, error) {
	return func(r *Run) ([]incident.Fact, error) {
		had := r.inc.s.Milestones[name]
		if had == nil {
			return nil, errors.New("it has not been reached, so there is nothing to correct")
		}
		return r.stated(incident.KindCorrected, incident.MilestoneBody{Milestone: name, At: to, Before: had.At}, incident.Reasoned{Reason: reason})
	}
}

func scopeOf(ids []string) func(*Run) ([]incident.Fact, error) {
	return func(r *Run) ([]incident.Fact, error) {
		b := incident.ScopeBody{N: len(r.inc.s.Scopes) + 1, Log: "rehearsal", Merchants: int64(len(ids)), Digest: "rehearsal"}
		var parts []incident.Part
		types := map[string]bool{}
		for _, id := range ids {
			x := r.story.merchants[id].exposure
			b.Customers += x.Customers
			b.Records += x.Records
			b.Events += x.Events
			for _, t := range x.DataTypes {
				if !types[t] {
					types[t] = true
					b.DataTypes = append(b.DataTypes, t)
				}
			}
			if _, had := r.inc.s.Exposures[id]; !had {
				b.Added++
			}
			body, err := json.Marshal(x)
			if err != nil {
				return nil, err
			}
			parts = append(parts, incident.Part{Merchant: id, Body: body})
		}
		for id := range r.inc.s.Exposures {
			if !slices.Contains(ids, id) {
				b.Removed++
			}
		}
		slices.Sort(b.DataTypes)
		facts, err := r.stated(incident.KindScope, b, incident.ScopeText{Query: json.RawMessage(`{}`)}, parts...)
		if err == nil && r.inc.s.Milestones["scoped"] == nil {
			more, err := r.stated(incident.KindMilestone, incident.MilestoneBody{Milestone: "scoped", At: r.now}, incident.Reasoned{})
			return append(facts, more...), err
		}
		return facts, err
	}
}

func checked(id, outcome string) func(*Run) ([]incident.Fact, error) {
	return func(r *Run) ([]incident.Fact, error) {
		run := 1
		if c := r.inc.s.Checks[id]; c != nil {
			run = c.Run + 1
		}
		end := incident.KindCheckPassed
		if outcome == "failed" {
			end = incident.KindCheckFailed
		}
		var all []incident.Fact
		for _, step := range []struct {
			kind  incident.Kind
			state string
		}{{incident.KindCheckAsked, incident.CheckOwed}, {incident.KindCheckAttempted, incident.CheckRunning}, {end, outcome}} {
			f, err := r.stated(step.kind, incident.CheckBody{Check: id, State: step.state, Run: run}, nil)
			if err != nil {
				return nil, err
			}
			all = append(all, f...)
		}
		return all, nil
	}
}

// told makes the facts of one notice from draft to the receiving servers' answers.
func told(d *policy.Duty, bounced bool, to, content []string) func(*Run) ([]incident.Fact, error) {
	return func(r *Run) ([]incident.Fact, error) {
		recipients := incident.Recipients(r.p, r.inc.s, d.ID)
		if to != nil {
			recipients = slices.DeleteFunc(recipients, func(m string) bool { return !slices.Contains(to, m) })
		}
		if len(recipients) == 0 {
			return nil, errors.New("it is owed to nobody at this instant")
		}
		items := map[string]string{"note": "as the file says"}
		names := d.Content
		if content != nil {
			names = content
		}
		for _, c := range names {
			items[c] = "as the file says"
		}
		r.told++
		id := fmt.Sprintf("NTC-%d", r.told)
		merchants := false
		var parts []incident.Part
		var parties []string
		for _, m := range recipients {
			if _, ok := r.story.merchants[m]; ok {
				merchants = true
				parts = append(parts, incident.Part{Merchant: m, Body: json.RawMessage(`{}`)})
			} else {
				parties = append(parties, m)
			}
		}
		var all []incident.Fact
		add := func(kind incident.Kind, body, text any, parts ...incident.Part) error {
			f, err := r.stated(kind, body, text, parts...)
			all = append(all, f...)
			return err
		}
		body := func(s incident.NoticeState) incident.NoticeBody {
			return incident.NoticeBody{Notice: id, State: s, Duty: d.ID, Items: names, Roles: d.Approve, N: len(recipients), Parties: parties}
		}
		err := errors.Join(
			add(incident.KindNoticeDrafted, body(incident.NoticeDraft), incident.NoticeText{Subject: d.ID, Content: items}),
			add(incident.KindNoticeApproved, body(incident.NoticeApproved), nil),
			add(incident.KindNoticeSending, body(incident.NoticeSending), nil, parts...),
		)
		end, state := incident.KindNoticeAccepted, incident.DeliveryAccepted
		if bounced {
			end, state = incident.KindNoticeBounced, incident.DeliveryBounced
		}
		step := func(kind incident.Kind, s incident.DeliveryState) {
			if merchants {
				err = errors.Join(err, add(kind, incident.DeliveryBody{Notice: id, State: s}, nil, parts...))
			}
			for _, p := range parties {
				err = errors.Join(err, add(kind, incident.DeliveryBody{Notice: id, State: s, Party: p}, nil))
			}
		}
		step(incident.KindNoticeAttempted, incident.DeliveryTrying)
		step(end, state)
		return all, err
	}
}

// asJSON turns a node into JSON for a command's body. Times stay texts.
func asJSON(n *yaml.Node) ([]byte, error) {
	var plain func(n *yaml.Node) (any, error)
	plain = func(n *yaml.Node) (any, error) {
		switch n.Kind {
		case yaml.MappingNode:
			m := map[string]any{}
			for i := 0; i+1 < len(n.Content); i += 2 {
				v, err := plain(n.Content[i+1])
				if err != nil {
					return nil, err
				}
				m[n.Content[i].Value] = v
			}
			return m, nil
		case yaml.SequenceNode:
			list := make([]any, 0, len(n.Content))
			for _, c := range n.Content {
				v, err := plain(c)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			return list, nil
		}
		switch n.Tag {
		case "!!timestamp", "!!str":
			return n.Value, nil
		}
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, errors.New("a value cannot be read")
		}
		return v, nil
	}
	v, err := plain(n)
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}
