package drill

import (
	"context"
	"fmt"
)

// nobodyActs is a breach that nobody answers. On the third day the lead confirms it from a telephone
// and answers what is asked, and then nobody acts again: every clock has to run out in the open, and
// everybody the policy names has to be called.
type nobodyActs struct{}

func (nobodyActs) setting() setting { return setting{days: 8, people: 60, calls: true} }

// goneFor is how many hours pass after the night of the attack until the evidence is taken out:
// longer than every limit that counts from the confirmation.
const goneFor = 24 * 12

func (nobodyActs) play(ctx context.Context, r *run) error {
	if err := r.month(ctx); err != nil {
		return fmt.Errorf("the days before: %w", err)
	}
	if err := r.attack(ctx); err != nil {
		return fmt.Errorf("the night: %w", err)
	}
	r.startKiller(ctx)
	r.tell.say("person", "nobody answers")
	const confirmed = 63
	for hour := 4; hour <= goneFor; hour++ { // by the hour, so that mails bear the hour in which they came
		if err := r.advance(ctx, r.at(hour, 0)); err != nil {
			return err
		}
		if hour != confirmed {
			continue
		}
		if err := r.judgements(ctx); err != nil {
			return err
		}
		if _, err := r.do(ctx, r.lead(), "confirm", map[string]string{"reason": "Read on a telephone on the third day: it is one."}, "confirms it from a telephone, and is gone again"); err != nil {
			return err
		}
	}
	r.stopKiller()
	s, err := r.state(ctx)
	if err != nil {
		return err
	}
	r.tell.say("clock", "%d calls went out; nobody did anything", len(s.Pages))
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	return r.export(ctx)
}
