package drill

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// script is one scenario as it is played: what it needs of the world, and who does what in it and
// when. What is expected of it is written in scenarios/NAME/manifest.yaml, and internal/judge has a
// table of the same name that says how each promise is measured.
type script interface {
	setting() setting
	// play begins on the vendor's first ordinary day and ends when the evidence is out: it leaves
	// the name of the exported file in run.exported.
	play(ctx context.Context, r *run) error
}

// setting is what a scenario needs of the world.
type setting struct {
	days     int    // of ordinary traffic before the night
	people   int    // merchants in the directory
	calls    bool   // people have addresses at which they are called
	files    bool   // templates and a theme are compared with what was approved
	copies   bool   // facts and logs are copied off the machine
	tls      bool   // server and mail server show certificates, and nothing goes in the clear between them, the application and the people
	numbers  bool   // what a key costs has a budget
	probes   bool   // the storefront is watched by probes
	channels bool   // clients are told in Slack and in Basecamp too
	second   string // folder of a second server, in the drill's; "" for none
	stands   bool   // what Options can change in a drill fits: a person's own response, a log of the user's own, another cloud log
}

// scripts are the scenarios that can be played, by name.
var scripts = map[string]script{
	"stolen-token": stolenToken{},
	"false-alarm":  falseAlarm{},
	"nobody-acts":  nobodyActs{},
	"supplier":     supplier{},
	"late-scope":   lateScope{},
	"insider":      insider{},
	"tocsin-down":  tocsinDown{},

	"outside-report": outsideReport{},
	"other-alarms":   otherAlarms{},

	"template-tamper":   templateTamper{},
	"storefront-outage": storefrontOutage{},
}

// scriptOf finds a scenario's script.
func scriptOf(name string) (script, error) {
	s, ok := scripts[name]
	if !ok {
		return nil, fmt.Errorf("drill: scenario %q is not played: there are %s", name, strings.Join(slices.Sorted(maps.Keys(scripts)), ", "))
	}
	return s, nil
}

// step is one thing that happens at an instant.
type step struct {
	hour, minute int // of the night of the attack; hours may pass 24
	do           func(context.Context) error
}

// steps moves everybody's clock to each step's instant and takes it.
func (r *run) steps(ctx context.Context, list ...step) error {
	for _, s := range list {
		if err := r.advance(ctx, r.at(s.hour, s.minute)); err != nil {
			return err
		}
		if err := s.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stolenToken is the breach that every policy is written for: a token in daily use is stolen, and
// people respond by the book, with the mistakes people make.
type stolenToken struct{}

func (stolenToken) setting() setting { return setting{days: 31, people: 300, stands: true} }

func (stolenToken) play(ctx context.Context, r *run) error {
	if err := r.month(ctx); err != nil {
		return fmt.Errorf("the month: %w", err)
	}
	r.startKiller(ctx)
	if err := r.attack(ctx); err != nil {
		return fmt.Errorf("the night: %w", err)
	}
	if r.o.Interactive {
		if err := r.handOver(ctx); err != nil {
			return fmt.Errorf("your response: %w", err)
		}
		return r.endOfHandOver(ctx)
	}
	if err := r.respond(ctx); err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	r.stopKiller()
	if err := r.finish(ctx); err != nil {
		return fmt.Errorf("the end: %w", err)
	}
	return nil
}
