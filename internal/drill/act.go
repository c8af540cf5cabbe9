package drill

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/policy"
)

// do gives a command as a person would. An answer of no is shown and the story goes on: what it
// leads to is for the judge to say. Only a server that does not answer ends the drill.
func (r *run) do(ctx context.Context, p *people.Person, command string, body any, say string, args ...any) (bool, error) {
	_, err := p.Do(ctx, r.inc, command, body)
	if ref, ok := people.IsRefused(err); ok {
		r.tell.say("refused", "%s: %s: %s", p.Name, fmt.Sprintf(say, args...), words(ref))
		r.troubles = append(r.troubles, command+": "+ref.Reason)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if say != "" {
		r.tell.say("person", "%s "+say, append([]any{p.Name}, args...)...)
	}
	return true, nil
}

// err does what people should not, and says that it was refused; it reports whether it was let
// through.
func (r *run) err(ctx context.Context, p *people.Person, command string, body any, say string) (accepted bool, err error) {
	_, err = p.Do(ctx, r.inc, command, body)
	if ref, ok := people.IsRefused(err); ok {
		r.tell.say("mistake", "%s %s: refused: %s", p.Name, say, words(ref))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.tell.say("mistake", "%s %s: it was let through", p.Name, say)
	return true, nil
}

// words is a refusal in one line.
func words(ref *people.Refused) string {
	if len(ref.Missing) == 0 {
		return ref.Detail
	}
	var list []string
	for _, m := range ref.Missing {
		list = append(list, m.What)
	}
	if len(list) > 4 {
		list = append(list[:4], fmt.Sprintf("and %d more", len(list)-4))
	}
	return strings.Join(list, "; ")
}

// state is the incident as the API shows it.
func (r *run) state(ctx context.Context) (*incident.State, error) {
	var s incident.State
	if err := r.cast[0].Call(ctx, http.MethodGet, "/v1/incidents/"+r.inc, nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// until reads the state again until ok says so, at most for the real time given. It is not an
// error when it never does.
func (r *run) until(ctx context.Context, most time.Duration, ok func(*incident.State) bool) (*incident.State, error) {
	deadline := time.Now().Add(most)
	for {
		if err := r.server.quiet(ctx); err != nil {
			return nil, err
		}
		s, err := r.state(ctx)
		if err != nil || ok(s) || time.Now().After(deadline) {
			return s, err
		}
		t := time.NewTimer(60 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		case <-t.C:
		}
	}
}

// lead, second and so on are whoever holds the role; a policy without such a role is played by
// everybody in turn.
func (r *run) lead() *people.Person {
	for _, name := range []string{"lead", "incident_lead", "security_lead"} {
		if p := r.holder(name); p != nil {
			return p
		}
	}
	return r.cast[0]
}

// other is somebody who is none of the others.
func (r *run) other(not ...*people.Person) *people.Person {
next:
	for _, p := range r.cast {
		for _, n := range not {
			if n == p {
				continue next
			}
		}
		return p
	}
	return r.cast[0]
}

// actionFor is the policy's action that uses one of the connectors.
func (r *run) actionFor(uses ...string) *policy.ActionDecl {
	for i, a := range r.program.Actions {
		for _, u := range uses {
			if a.Uses == u {
				return &r.program.Actions[i]
			}
		}
	}
	return nil
}

// duty is the first duty to notify whose recipients are, or are not, the affected merchants.
func (r *run) duty(merchants bool) *policy.Duty {
	for i, d := range r.program.Duties {
		if d.Do == policy.Notify && (d.To == "merchants.affected") == merchants && d.To != "" {
			return &r.program.Duties[i]
		}
	}
	return nil
}

// contain plans an action, lets the planner try to sign it, has others sign it and waits until it
// is proven or not.
func (r *run) contain(ctx context.Context, a *policy.ActionDecl, planner *people.Person, target map[string]string, secret, reason string) (*incident.Action, error) {
	body := map[string]any{"action": a.ID, "target": target, "reason": reason}
	if secret != "" {
		body["secret"] = secret
	}
	if ok, err := r.do(ctx, planner, "plan", body, "plans %s: %s", a.ID, reason); err != nil || !ok {
		return nil, err
	}
	s, err := r.state(ctx)
	if err != nil {
		return nil, err
	}
	var planned *incident.Action
	for _, x := range s.Actions {
		if x.Decl == a.ID {
			planned = x
		}
	}
	if planned == nil {
		return nil, fmt.Errorf("action %s was planned and is not in the incident", a.ID)
	}
	for _, step := range planned.Steps {
		r.tell.say("plan", "  %s", step)
	}
	sign := map[string]string{"action": planned.ID}
	roles := a.Approve
	if planned.State == incident.ActionPlanned {
		if _, err := r.err(ctx, planner, "approve", sign, "signs an action of their own"); err != nil {
			return nil, err
		}
		if len(roles) == 0 {
			roles = []string{""} // anybody else
		}
	}
	signed := []*people.Person{planner}
	for _, role := range roles {
		p := r.holder(role, signed...)
		if p == nil {
			p = r.other(signed...)
		}
		signed = append(signed, p)
		if ok, err := r.do(ctx, p, "approve", sign, "approves %s (%s)", planned.ID, a.ID); err != nil || !ok {
			return nil, err
		}
	}
	settled := func(s *incident.State) bool {
		x := actionOf(s, planned.ID)
		switch x.State {
		case incident.ActionProven, incident.ActionUnproven, incident.ActionFailed:
			return true
		}
		return false
	}
	s, err = r.until(ctx, 6*time.Second, settled)
	if err != nil {
		return nil, err
	}
	x := actionOf(s, planned.ID)
	r.tell.say("system", "%s is %s: %s", planned.ID, x.State, x.Proof)
	return x, nil
}

func actionOf(s *incident.State, id string) *incident.Action {
	for _, a := range s.Actions {
		if a.ID == id {
			return a
		}
	}
	return &incident.Action{}
}

// notice drafts a duty's notice, incomplete first when asked, has it signed and keeps its id.
func (r *run) notice(ctx context.Context, d *policy.Duty, writer *people.Person, subject string, careless bool) (string, error) {
	return r.write(ctx, d, writer, subject, "", careless)
}

// write is notice, and of a notice that was sent the correction.
func (r *run) write(ctx context.Context, d *policy.Duty, writer *people.Person, subject, corrects string, careless bool) (string, error) {
	content := map[string]string{}
	for _, item := range d.Content {
		content[item] = r.said(item, wording)
	}
	before := map[string]bool{}
	s, err := r.state(ctx)
	if err != nil {
		return "", err
	}
	for _, n := range s.Notices {
		before[n.ID] = true
	}
	body := map[string]any{"duty": d.ID, "subject": subject, "content": content}
	if corrects != "" {
		body["corrects"] = corrects
	}
	missing := ""
	if careless && len(d.Content) > 1 {
		missing = d.Content[len(d.Content)-1]
		text := content[missing]
		delete(content, missing)
		defer func() { content[missing] = text }()
		if ok, err := r.do(ctx, writer, "draft", body, "drafts the notice of %s and forgets %s", d.ID, missing); err != nil || !ok {
			return "", err
		}
		content = map[string]string{}
		for _, item := range d.Content {
			content[item] = r.said(item, wording)
		}
	} else if ok, err := r.do(ctx, writer, "draft", body, "drafts the notice of %s", d.ID); err != nil || !ok {
		return "", err
	}
	if s, err = r.state(ctx); err != nil {
		return "", err
	}
	id := ""
	for _, n := range s.Notices {
		if !before[n.ID] && n.Duty == d.ID {
			id = n.ID
		}
	}
	if id == "" {
		return "", fmt.Errorf("the notice of %s was drafted and is not in the incident", d.ID)
	}
	sign := map[string]any{"notice": id, "attest": true}
	if missing != "" {
		p := r.signer(d, writer)
		if _, err := r.err(ctx, p, "approve-notice", sign, "signs a notice that lacks "+missing); err != nil {
			return "", err
		}
		body = map[string]any{"duty": d.ID, "notice": id, "subject": subject, "content": content}
		if ok, err := r.do(ctx, writer, "draft", body, "completes the notice"); err != nil || !ok {
			return "", err
		}
		if len(d.Approve) > 0 {
			if _, err := r.err(ctx, writer, "approve-notice", sign, "signs a notice of their own"); err != nil {
				return "", err
			}
		}
	}
	signed := []*people.Person{writer}
	for _, role := range d.Approve {
		p := r.holder(role, signed...)
		if p == nil {
			p = r.other(signed...)
		}
		signed = append(signed, p)
		if ok, err := r.do(ctx, p, "approve-notice", sign, "approves the notice to %s", d.To); err != nil || !ok {
			return "", err
		}
	}
	return id, nil
}

func (r *run) signer(d *policy.Duty, not ...*people.Person) *people.Person {
	for _, role := range d.Approve {
		if p := r.holder(role, not...); p != nil {
			return p
		}
	}
	return r.other(not...)
}

// wording is what Omar writes under each content item.
func wording(item string) string {
	switch item {
	case "what_happened":
		return "A token of our back office was stolen and used to read orders between the evening of 19 November and the morning of 20 November 2026."
	case "data_involved", "what_data":
		return "The orders that were read hold your customers' names, e-mail addresses and postal addresses. No payment data and no passwords were read."
	case "our_measures", "what_we_do":
		return "We revoked the token, replaced the webhook secret, and checked that both are refused. We are reviewing how the token left our systems."
	case "your_actions", "what_you_should_do", "recommended_actions":
		return "Please tell your customers to be wary of e-mails that mention their orders, and let us know of anything unusual."
	}
	return "The incident, its measures and what to do next are described in this notice (" + strings.ReplaceAll(item, "_", " ") + ")."
}
