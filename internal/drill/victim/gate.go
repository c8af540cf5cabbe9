package victim

import (
	"context"

	"github.com/tocsin-ir/tocsin/killswitch"
)

// openGate follows the responder's switches.
func openGate(ctx context.Context, c Connection) (gate, error) {
	s, err := killswitch.Connect(context.WithoutCancel(ctx), killswitch.Options{URL: c.URL, Key: killswitch.Key(c.SwitchKey), App: c.App, Env: "drill", Instance: "victim-1"})
	if err != nil {
		return nil, err
	}
	return switches{s}, nil
}

// switches is the gate that production applications use.
type switches struct{ *killswitch.Switches }

func (s switches) Off(merchant string) (string, bool) { return s.Paused(merchant) }
func (s switches) Close() error                       { s.Switches.Close(); return nil }
