package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/internal/judge"
	"github.com/tocsin-ir/tocsin/policy"
)

// supplier is a breach in somebody else's house: a subprocessor writes that it lost data, and names
// the merchants whose it was. Our own log shows nothing, so the scope is the supplier's list, taken
// in by hand, and the merchants and everybody else hear of it as of any other breach.
type supplier struct{}

func (supplier) setting() setting { return setting{days: 4, people: 60} }

// supplierClass is the class of such an incident; a policy that lacks it has it unclassified.
const supplierClass = "supplier_breach"

func (supplier) play(ctx context.Context, r *run) error {
	if err := r.month(ctx); err != nil {
		return fmt.Errorf("the days before: %w", err)
	}
	r.startKiller(ctx)
	lead := r.lead()
	var theirs []string // whom the supplier names
	for _, m := range r.world.Merchants {
		if m.Uninstalled.IsZero() && len(theirs) < 12 {
			theirs = append(theirs, m.ID)
		}
	}
	var err error
	if r.truth, err = json.Marshal(judge.Truth{Attack: "supplier", Events: named(theirs, r.at(2, 0))}); err != nil {
		return err
	}
	err = r.steps(ctx,
		step{9, 0, r.openForSupplier},
		step{9, 5, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "acknowledge", nil, "is on it")
			return err
		}},
		step{9, 10, r.judgements},
		step{9, 20, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "confirm", map[string]string{"reason": "The supplier confirms it in writing and on the telephone."}, "confirms the incident")
			return err
		}},
		step{10, 0, func(ctx context.Context) error {
			for _, m := range theirs {
				if _, err := r.do(ctx, lead, "adjust-scope", map[string]any{"merchant": m, "include": true, "reason": "named in the supplier's list of 20 November"}, ""); err != nil {
					return err
				}
			}
			r.tell.say("person", "%s takes in %d merchants from the supplier's list", lead.Name, len(theirs))
			return nil
		}},
		step{11, 0, r.tellOthers},
		step{12, 0, r.prepareNotice},
		step{14, 0, r.assess},
	)
	if err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	if err := r.sendNotice(ctx); err != nil {
		return fmt.Errorf("the notices: %w", err)
	}
	r.stopKiller()
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	return r.export(ctx)
}

// named is the supplier's list as the judge reads what is true: merchants, and no event of ours.
func named(merchants []string, at time.Time) []judge.TruthEvent {
	var out []judge.TruthEvent
	for _, m := range merchants {
		out = append(out, judge.TruthEvent{ID: "supplier-" + m, Merchant: m, At: at})
	}
	return out
}

// openForSupplier opens the incident by hand, with the supplier's message as what raised it.
func (r *run) openForSupplier(ctx context.Context) error {
	class := supplierClass
	if !slices.ContainsFunc(r.program.Classes, func(c policy.Class) bool { return c.ID == class }) {
		class = "unclassified"
	}
	wrote := r.at(8, 40)
	var out people.Outcome
	body := map[string]any{
		"class": class, "title": "A supplier reports a breach", "summary": "MailRoute, which sends our order mails, writes that an archive of addresses was copied.", "suspected": r.at(2, 0),
		"signal": map[string]any{
			"id": "supplier-mailroute-1", "class": "supplier_report", "subject": "supplier:mailroute", "at": wrote, "from": r.at(2, 0), "to": wrote,
			"sentence": "MailRoute wrote at 08:40 UTC that an archive with addresses of 12 merchants' customers was copied at 02:00 UTC.",
		},
	}
	if err := r.lead().Call(ctx, http.MethodPost, "/v1/incidents", body, &out); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	r.inc = out.Incident
	r.tell.say("alarm", "%s opens %s by hand, as %s: a supplier has written", r.lead().Name, r.inc, class)
	return nil
}
