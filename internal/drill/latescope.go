package drill

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/attacker"
	"github.com/tocsin-ir/tocsin/policy"
)

// lateScope is a breach that is larger than people think when they write to those affected. They
// count one address of the attacker; the evening before and the second address come to light when
// the letters are out. Some merchants then hear of it for the first time, some were told too little,
// and some were told right and must not hear again.
type lateScope struct{}

func (lateScope) setting() setting { return setting{days: 8, people: 60} }

func (lateScope) play(ctx context.Context, r *run) error {
	if err := r.month(ctx); err != nil {
		return fmt.Errorf("the days before: %w", err)
	}
	if err := r.threeParts(ctx); err != nil {
		return fmt.Errorf("the night: %w", err)
	}
	r.startKiller(ctx)
	lead := r.lead()
	err := r.steps(ctx,
		step{3, 11, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "acknowledge", nil, "is on it")
			return err
		}},
		step{3, 14, r.wrongScope},
		step{3, 17, r.judgements},
		step{3, 19, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "confirm", map[string]string{"reason": "The back office's token reads merchants at night from an address nobody knows."}, "confirms the incident")
			return err
		}},
		step{5, 0, r.tellOthers},
		step{6, 0, r.prepareNotice},
		step{8, 30, r.assess},
	)
	if err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	if err := r.sendNotice(ctx); err != nil {
		return fmt.Errorf("the first notices: %w", err)
	}
	if err := r.advance(ctx, r.server.clock().Add(2*time.Hour)); err != nil {
		return err
	}
	if err := r.rightScope(ctx); err != nil {
		return fmt.Errorf("the second scope: %w", err)
	}
	if err := r.advance(ctx, r.server.clock().Add(time.Hour)); err != nil {
		return err
	}
	if err := r.tellTheRest(ctx); err != nil {
		return fmt.Errorf("the second notices: %w", err)
	}
	r.stopKiller()
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	return r.export(ctx)
}

// threeParts is the attack: an evening that nobody notices, the minutes that raise the alarm, and a
// second address that goes back to some of the merchants and takes more of them.
func (r *run) threeParts(ctx context.Context) error {
	r.tell.say("attack", "somebody walks slowly through the merchants with the back office's token, from %s", moved.IP)
	eve := r.night.AddDate(0, 0, -1)
	for hour := 17; hour < 20; hour++ {
		from := eve.Add(time.Duration(hour) * time.Hour)
		if err := r.advance(ctx, from.Add(time.Hour)); err != nil {
			return err
		}
		if err := r.order(ctx, "walk", moved, from, from.Add(time.Hour), 9); err != nil {
			return err
		}
		if _, err := r.pass(ctx, from, from.Add(time.Hour)); err != nil {
			return err
		}
	}
	if _, err := r.pass(ctx, eve.Add(20*time.Hour), r.at(3, 0)); err != nil {
		return err
	}
	if err := r.nothingYet(ctx); err != nil {
		return err
	}
	r.tell.say("attack", "it takes as much as it can from %s", walking.IP)
	for part := range 4 {
		from := r.at(3, 0).Add(time.Duration(part) * 20 * time.Second)
		if err := r.advance(ctx, from.Add(20*time.Second)); err != nil {
			return err
		}
		if err := r.order(ctx, "burst", walking, from, from.Add(20*time.Second), 27); err != nil {
			return err
		}
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	if err := r.advance(ctx, r.at(3, 10)); err != nil {
		return err
	}
	r.tell.say("attack", "it goes back to some of them, for more, from %s", moved.IP)
	err := r.take(ctx, attacker.Order{Phase: "more", IP: moved.IP, Agent: moved.Agent, From: r.at(3, 4), To: r.at(3, 10), Count: 36, Back: 9, First: 4})
	if err != nil {
		return err
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	return r.alarm(ctx)
}

// tellTheRest sends the first notice to those who came into the scope, and a correction to those who
// were told too little. Trying to send to all again comes to nothing.
func (r *run) tellTheRest(ctx context.Context) error {
	d := r.duty(true)
	if d == nil {
		return nil
	}
	s, err := r.state(ctx)
	if err != nil {
		return err
	}
	first := sentOf(s, d)
	if first == nil {
		return fmt.Errorf("no notice of %s was sent", d.ID)
	}
	if err := r.sendOut(ctx, first.ID, "the merchants that came into the scope"); err != nil {
		return err
	}
	if err := r.bounced(ctx, first.ID); err != nil {
		return err
	}
	id, err := r.write(ctx, d, r.writer(), first.Subject, first.ID, false)
	if err != nil || id == "" {
		return err
	}
	if err := r.sendOut(ctx, id, "the merchants that were told too little"); err != nil {
		return err
	}
	if err := r.bounced(ctx, id); err != nil {
		return err
	}
	for _, again := range []string{first.ID, id} {
		if _, err := r.do(ctx, r.writer(), "send", map[string]string{"notice": again}, "sends %s once more, to whoever has not had it", again); err != nil {
			return err
		}
	}
	return r.server.quiet(ctx)
}

// sentOf is the notice of a duty that went out first; nil when none did, or there is no such duty.
func sentOf(s *incident.State, d *policy.Duty) *incident.Notice {
	if d == nil {
		return nil
	}
	i := slices.IndexFunc(s.Notices, func(n *incident.Notice) bool { return n.Duty == d.ID && len(n.Deliveries) > 0 })
	if i < 0 {
		return nil
	}
	return s.Notices[i]
}
