package drill

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/world"
)

// falseAlarm is an alarm with nothing behind it: an employee who may do so reads through the
// merchants at night, from a hotel. The lead asks her and dismisses it, after a notice was written
// already. Nobody outside may ever hear of it.
type falseAlarm struct{}

func (falseAlarm) setting() setting { return setting{days: 8, people: 60} }

// hotel is where the employee works from that night.
var hotel = world.Client{IP: "195.167.80.21", Agent: "Mozilla/5.0 (Macintosh) BackOffice/3"}

func (falseAlarm) play(ctx context.Context, r *run) error {
	if err := r.month(ctx); err != nil {
		return fmt.Errorf("the days before: %w", err)
	}
	if _, err := r.pass(ctx, r.night.AddDate(0, 0, -1).Add(17*time.Hour), r.at(3, 0)); err != nil {
		return err
	}
	if err := r.nothingYet(ctx); err != nil {
		return err
	}
	r.startKiller(ctx)
	lead := r.lead()
	notice := ""
	err := r.steps(ctx,
		step{3, 5, r.nightShift},
		step{3, 11, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "acknowledge", nil, "is on it")
			return err
		}},
		step{3, 20, func(ctx context.Context) (err error) {
			if d := r.duty(false); d != nil { // somebody is quick: it is written before it is known what it is
				notice, err = r.notice(ctx, d, r.writer(), "Security incident at "+r.program.Owner, false)
			} else if d := r.duty(true); d != nil {
				notice, err = r.notice(ctx, d, r.writer(), "Security incident", false)
			}
			return err
		}},
		step{3, 40, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "dismiss", map[string]string{"reason": "Reached on the telephone: she prepared the mailing of the quarter from her hotel, with leave to do so."}, "dismisses it")
			return err
		}},
		step{4, 0, func(ctx context.Context) error {
			if notice == "" {
				return nil
			}
			_, err := r.err(ctx, r.writer(), "send", map[string]string{"notice": notice}, "sends the notice all the same")
			return err
		}},
		// Long enough for every clock that ran to have run out, had it not been stopped.
		step{24 * 16, 0, func(ctx context.Context) error { return r.server.quiet(ctx) }},
	)
	if err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	r.stopKiller()
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	return r.export(ctx)
}

// nightShift reads every merchant once or more, with the office's own token and from an address that
// nobody has seen.
func (r *run) nightShift(ctx context.Context) error {
	r.tell.say("person", "an employee reads through the merchants from %s, as she may", hotel.IP)
	var reads []world.Access
	for i := range 400 {
		m := r.world.Merchants[i%len(r.world.Merchants)]
		if !m.Uninstalled.IsZero() {
			continue
		}
		reads = append(reads, world.Access{
			At: r.at(3, 0).Add(time.Duration(i) * 600 * time.Millisecond), Credential: r.world.Credentials.Stolen, Actor: "staff-3",
			IP: hotel.IP, Agent: hotel.Agent, Merchant: m.ID, Page: 1 + i/len(r.world.Merchants)%m.Pages(), Purpose: "mailing",
		})
	}
	if err := r.traffic(ctx, reads); err != nil {
		return err
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	return r.alarm(ctx)
}
