package drill

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/victim"
)

// handOver lets the person at the keyboard respond instead of the script: with the console, with
// the command line, or both. Domain time stands still until they let some pass, and what the
// attacker does comes when its time has come. What they leave undone is judged as it is.
func (r *run) handOver(ctx context.Context) error {
	if err := r.owner.Call(ctx, http.MethodPut, "/v1/secrets/stolen_token", []byte(r.stolen), nil); err != nil {
		return err
	}
	r.tell.say("you", "respond to %s; time stands still until you let it pass", r.inc)
	for _, p := range r.cast[:2] {
		var invited struct{ Link string }
		body := map[string]any{"id": p.ID, "name": p.Name, "access": p.Access, "roles": p.Roles}
		if err := r.owner.Call(ctx, http.MethodPost, "/v1/people", body, &invited); err != nil {
			return fmt.Errorf("a link for %s: %w", p.Name, err)
		}
		r.tell.say("you", "as %s (%s): %s", p.Name, strings.Join(p.Roles, ", "), invited.Link)
	}
	r.tell.say("you", "the stolen token is in the vault as stolen_token; its credential is %s", victim.CredentialID(r.stolen))
	r.tell.say("you", "type wait 30m, status, hint, done or help")
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(r.o.In); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	r.status(ctx)
	if r.o.Hints {
		r.hint(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, ok := <-lines:
			if !ok {
				return nil // the end of input is done
			}
			done, err := r.obey(ctx, line)
			if done || err != nil {
				return err
			}
		}
	}
}

// longest is how much domain time one wait may let pass.
const longest = 14 * 24 * time.Hour

// obey carries out one line of the person at the keyboard.
func (r *run) obey(ctx context.Context, line string) (done bool, err error) {
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch word {
	case "":
	case "done", "quit", "exit":
		return true, nil
	case "hint":
		r.hint(ctx)
	case "status":
		r.status(ctx)
	case "wait":
		d, err := time.ParseDuration(strings.TrimSpace(rest))
		if err != nil || d <= 0 || d > longest {
			r.tell.say("you", "wait: say how long, such as wait 30m or wait 20h, at most %d h", int(longest.Hours()))
			return false, nil
		}
		if err := r.letPass(ctx, d); err != nil {
			return false, err
		}
		r.status(ctx)
	default:
		r.tell.say("you", "wait DURATION lets time pass; status shows the clocks; hint says what comes next; done ends the drill")
		return false, nil
	}
	if r.o.Hints && word != "hint" && word != "" {
		r.hint(ctx)
	}
	return false, nil
}

// letPass lets domain time go by and plays what the attacker does meanwhile.
func (r *run) letPass(ctx context.Context, d time.Duration) error {
	to := r.server.clock().Add(d)
	for _, s := range []struct {
		at time.Time
		do func(context.Context) error
	}{
		{r.at(3, 20), func(ctx context.Context) error {
			r.tell.say("attack", "it hides behind an address of the office, with another program")
			if err := r.order(ctx, "hide", hiding, r.at(3, 12), r.at(3, 20), 30); err != nil {
				return err
			}
			return r.flush(ctx)
		}},
		{r.at(3, 36), r.stillTrying},
	} {
		if !s.at.After(r.server.clock()) || s.at.After(to) {
			continue
		}
		if err := r.advance(ctx, s.at); err != nil {
			return err
		}
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	return r.advance(ctx, to)
}

// clockRow is a clock as the API shows it.
type clockRow struct {
	Duty   string    `json:"duty"`
	Say    string    `json:"say"`
	State  string    `json:"state"`
	Due    time.Time `json:"due"`
	Target time.Time `json:"target"`
}

func (r *run) clocks(ctx context.Context) ([]clockRow, error) {
	var rows struct {
		Clocks []clockRow `json:"clocks"`
	}
	err := r.lead().Call(ctx, http.MethodGet, "/v1/incidents/"+r.inc+"/clocks", nil, &rows)
	return rows.Clocks, err
}

// status prints the clocks that run, with what is left of each, and remembers those that ran out.
func (r *run) status(ctx context.Context) {
	rows, err := r.clocks(ctx)
	if err != nil {
		r.tell.say("you", "status: %v", err)
		return
	}
	now := r.server.clock()
	next := clockRow{}
	for _, c := range rows {
		switch {
		case c.State == "met" || c.State == "waiting" || c.State == "not_applicable" || c.State == "met_late":
		case c.Due.IsZero() && c.Target.IsZero():
			r.tell.say("clock", "%s: %s, without a limit", c.Say, c.State)
		case c.Due.IsZero() && c.Target.After(now):
			r.tell.say("clock", "%s: %s, %s left of the policy's target, without a limit", c.Say, c.State, length(c.Target.Sub(now).Seconds()))
		case c.Due.IsZero():
			r.tell.say("LATE", "%s: %s past the policy's target; there is no limit to miss", c.Say, length(now.Sub(c.Target).Seconds()))
		default:
			at := c.Due.In(r.program.Zone).Format("Mon 2 Jan 15:04 MST")
			left := c.Due.Sub(now)
			if c.State == "missed" || left <= 0 {
				r.tell.say("MISSED", "%s: it was due %s, %s ago", c.Say, at, length((-left).Seconds()))
				if said := fmt.Sprintf("%s, due %s", c.Say, at); !slices.Contains(r.missed, said) {
					r.missed = append(r.missed, said)
				}
				continue
			}
			r.tell.say("clock", "%s: %s, %s left, until %s", c.Say, c.State, length(left.Seconds()), at)
			if next.Due.IsZero() || c.Due.Before(next.Due) {
				next = c
			}
		}
	}
	if !next.Due.IsZero() {
		r.tell.say("next", "%s in %s", next.Say, length(next.Due.Sub(now).Seconds()))
	}
}

// far is how far the incident has come, as hints need it.
type far struct {
	Milestones map[string]any `json:"milestones"`
	Answers    map[string]any `json:"answers"`
	Scopes     []any          `json:"scopes"`
	Actions    []struct {
		Uses, State string
	} `json:"actions"`
	Notices []struct {
		Duty, State string
	} `json:"notices"`
	Fix      any `json:"fix"`
	FixProof any `json:"fix_proof"`
}

func (f far) proven(uses string) bool {
	for _, a := range f.Actions {
		if a.Uses == uses && a.State == "proven" {
			return true
		}
	}
	return false
}

// hint says the next step that has not been taken.
func (r *run) hint(ctx context.Context) {
	var f far
	if err := r.lead().Call(ctx, http.MethodGet, "/v1/incidents/"+r.inc, nil, &f); err != nil {
		r.tell.say("hint", "the incident could not be read: %v", err)
		return
	}
	has := func(m string) bool { return f.Milestones[m] != nil }
	for _, h := range []struct {
		taken bool
		say   string
	}{
		{has("acknowledged"), "acknowledge the incident, so that others know somebody is on it"},
		{len(f.Answers) >= len(r.program.Facts), "answer what the policy asks: clocks run provisionally until you do"},
		{has("confirmed"), "confirm or dismiss it; the 72 hours begin with confirming"},
		{f.proven("app_tokens"), "plan revoke_token for credential " + victim.CredentialID(r.stolen) + " with the secret stolen_token, and have another person approve it"},
		{f.proven("app_secret"), "take a snapshot of the evidence, then plan rotate_secret and have it approved"},
		{len(f.Scopes) > 0, "work out who is affected: the credential over the last two days, without the office's own addresses and programs"},
		{len(f.Notices) > 1, "draft the notices: one to the platform, one to the affected merchants; somebody else signs them"},
		{f.Fix != nil && f.FixProof != nil, "record the fix; another person verifies it"},
		{has("restored"), "run the checks, then restore; a refusal lists what is missing"},
		{has("notified"), "send the notices and look at what bounced"},
		{has("reviewed"), "assess, write the parts of the review, publish it"},
	} {
		if !h.taken {
			r.tell.say("hint", "%s", h.say)
			return
		}
	}
	r.tell.say("hint", "nothing is left: type done")
}

// endOfHandOver takes the evidence as the person left it.
func (r *run) endOfHandOver(ctx context.Context) error {
	if err := r.server.quiet(ctx); err != nil {
		return err
	}
	r.status(ctx)
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	return r.export(ctx)
}
