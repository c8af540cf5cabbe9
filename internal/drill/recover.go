package drill

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// fix is one engineer's repair and another's word that it holds; verifying one's own is a mistake.
func (r *run) fix(ctx context.Context, what, how string) error {
	fixer := r.other(r.lead())
	if p := r.holder("engineer", r.lead()); p != nil {
		fixer = p
	}
	if _, err := r.do(ctx, fixer, "fix", map[string]string{"what": what}, "records the fix"); err != nil {
		return err
	}
	if _, err := r.err(ctx, fixer, "verify-fix", map[string]string{"how": "I looked at it."}, "verifies a fix of their own"); err != nil {
		return err
	}
	verifier := r.other(fixer, r.lead())
	if p := r.holder("engineer", fixer); p != nil {
		verifier = p
	}
	_, err := r.do(ctx, verifier, "verify-fix", map[string]string{"how": how}, "verifies the fix")
	return err
}

// check has the recovery checks run, waits until each has ended, and tells how.
func (r *run) check(ctx context.Context) error {
	if ok, err := r.do(ctx, r.other(r.lead()), "check", nil, "has the recovery checks run"); err != nil || !ok {
		return err
	}
	s, err := r.until(ctx, 6*time.Second, func(s *incident.State) bool {
		for _, c := range s.Checks {
			if c.State != incident.CheckPassed && c.State != incident.CheckFailed {
				return false
			}
		}
		return len(s.Checks) > 0
	})
	if err != nil {
		return err
	}
	for _, c := range s.Checks {
		r.tell.say("system", "check %s: %s: %s", c.ID, c.State, c.Observe)
	}
	return nil
}

// restore runs the checks and returns to service, unless containment is not proven: then people
// do not even try.
func (r *run) restore(ctx context.Context) error {
	if err := r.advance(ctx, r.at(10, 0)); err != nil {
		return err
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	if !r.proven {
		r.tell.say("person", "nobody restores: the old token is not proven dead")
		return nil
	}
	if err := r.advance(ctx, r.at(11, 0)); err != nil {
		return err
	}
	s, err := r.state(ctx)
	if err != nil {
		return err
	}
	if s.Milestones["restored"] == nil {
		if _, err := r.do(ctx, r.lead(), "restore", map[string]string{"reason": "The fix is verified, the checks pass and the old token is refused."}, "restores the service"); err != nil {
			return err
		}
	}
	_, err = r.seen(ctx, r.switched().ID, http.StatusOK, time.Now())
	return err
}

// finish writes and publishes the review, takes the evidence out and closes.
func (r *run) finish(ctx context.Context) error {
	if err := r.advance(ctx, r.server.clock().Add(time.Hour)); err != nil {
		return err
	}
	for _, part := range r.program.Review {
		if _, err := r.do(ctx, r.lead(), "review", map[string]string{"part": part, "text": r.said(part, reviewText)}, "writes the review: %s", part); err != nil {
			return err
		}
	}
	due := r.server.clock().AddDate(0, 0, 14)
	if _, err := r.do(ctx, r.lead(), "corrective", map[string]any{"text": r.said("corrective", func(string) string { return "End access on the day a contract ends" }), "owner": "person:" + r.cast[2].ID, "due": due}, "adds a corrective action"); err != nil {
		return err
	}
	if _, err := r.do(ctx, r.lead(), "publish", nil, "publishes the review"); err != nil {
		return err
	}
	if err := r.tellAgain(ctx); err != nil {
		return err
	}
	if err := r.server.quiet(ctx); err != nil {
		return err
	}
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	if err := r.export(ctx); err != nil {
		return err
	}
	_, err := r.do(ctx, r.lead(), "close", map[string]string{"reason": "Reviewed; the corrective action has an owner and a date."}, "closes the incident")
	return err
}

// tellAgain writes to the merchants whatever the policy promises them beside the first notice, such
// as a summary when it is over.
func (r *run) tellAgain(ctx context.Context) error {
	first := r.duty(true)
	for i := range r.program.Duties {
		d := &r.program.Duties[i]
		if d.Do != policy.Notify || d.To != "merchants.affected" || d.For != "incident" || d.ID == first.ID {
			continue
		}
		id, err := r.notice(ctx, d, r.writer(), "What we have learnt from the incident", false)
		if err != nil {
			return err
		}
		if id == "" {
			continue
		}
		if err := r.sendOut(ctx, id, "the merchants"); err != nil {
			return err
		}
		if err := r.bounced(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// export takes the evidence out, as counsel would ask for it.
func (r *run) export(ctx context.Context) error {
	var public struct{ Facts string }
	if err := r.lead().Call(ctx, http.MethodGet, "/v1/checkpoints", nil, &public); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	r.kept = public.Facts
	var file bytes.Buffer
	if err := r.lead().Call(ctx, http.MethodPost, "/v1/incidents/"+r.inc+"/export", map[string]string{"recipient": "the drill's judge"}, &file); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	r.exported = filepath.Join(r.o.Dir, "drill", r.inc+".tocsin")
	if err := os.WriteFile(r.exported, file.Bytes(), 0o600); err != nil {
		return err
	}
	r.tell.say("person", "%s exports the evidence: %d KiB", r.lead().Name, file.Len()>>10)
	return nil
}

func reviewText(part string) string {
	switch part {
	case "timeline":
		return "The token was read in the afternoon, used quietly in the evening and in bulk at three in the night. It was refused half an hour after the alarm."
	case "root_cause":
		return "A contractor's access outlived the contract, and the token worked from any address."
	case "impact":
		return "Orders of the merchants in the recorded scope were read: names, e-mail and postal addresses of their customers."
	case "response":
		return "The merchant most read and then the whole application were switched off, the token was revoked and the webhook secret replaced; every step was proven by a refusal."
	case "prevention":
		return "Access ends with the contract, tokens are bound to addresses, and the secret store is read by the deployment alone."
	}
	return "See the facts of the incident."
}
