package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

// SwitchSet is the whole set of kill switches. A client that has read it needs nothing older.
type SwitchSet struct {
	Version  int64         `json:"version"` // grows with every flip
	Switches []desk.Switch `json:"switches" nullable:"false"`
}

type switchesOutput struct{ Body SwitchSet }

type flipInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Merchant string `json:"merchant" minLength:"1" maxLength:"128" doc:"a merchant id, or * for everybody"`
		State    string `json:"state" enum:"on,off"`
		Reason   string `json:"reason" minLength:"1" maxLength:"2000"`
		Incident string `json:"incident,omitempty" maxLength:"64"`
	}
}

type seenInput struct {
	Body struct {
		Instance string `json:"instance" minLength:"1" maxLength:"100" doc:"name of the running instance"`
		Version  int64  `json:"version" minimum:"0" doc:"the version it obeys now"`
	}
}

func (a *API) registerSwitches(d Switchboard) {
	op := operation("switches", http.MethodGet, "/v1/switches", switchKeys, "All kill switches")
	op.Tags = []string{"switch"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*switchesOutput, error) {
		set, err := switchSet(ctx, d)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &switchesOutput{Body: set}, nil
	})

	op = operation("flip-switch", http.MethodPost, "/v1/switches", responders, "Flip a kill switch")
	op.Tags, op.DefaultStatus, op.Errors = []string{"switch"}, http.StatusOK, append(op.Errors, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *flipInput) (*switchesOutput, error) {
		b := in.Body
		if err := d.FlipSwitch(ctx, requestID(ctx, in.Key), callerOf(ctx), b.Merchant, b.State, b.Reason, b.Incident); err != nil {
			return nil, a.fail(ctx, err)
		}
		set, err := switchSet(ctx, d)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &switchesOutput{Body: set}, nil
	})

	op = operation("switches-seen", http.MethodPost, "/v1/switches/seen", switchKeys, "Say which version an instance obeys: propagation, measured")
	op.Tags, op.DefaultStatus = []string{"switch"}, http.StatusNoContent
	huma.Register(a.huma, op, func(ctx context.Context, in *seenInput) (*struct{}, error) {
		key := keyOf(ctx)
		if key.ID == "" {
			return nil, a.fail(ctx, fmt.Errorf("only a switch key says what an instance obeys: %w", desk.ErrForbidden))
		}
		return nil, a.fail(ctx, d.SwitchSeen(ctx, key.ID, in.Body.Instance, in.Body.Version))
	})

	op = operation("switch-stream", http.MethodGet, "/v1/switches/stream", switchKeys, "The whole set now and after every flip, as server-sent events")
	op.Tags = []string{"switch"}
	op.Responses = map[string]*huma.Response{"200": {Description: "event: switches, data: the whole set, id: its version",
		Content: map[string]*huma.MediaType{"text/event-stream": {Schema: a.schema(SwitchSet{})}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error { return a.streamSwitches(w, r, d) })
}

// streamSwitches sends the whole set at once and again after every flip. A client that loses the
// connection connects again and has everything: there is nothing to catch up on.
func (a *API) streamSwitches(w http.ResponseWriter, r *http.Request, d Switchboard) error {
	ctx := r.Context()
	// A stream keeps a connection: one stolen key must not take all of them.
	who, _ := ctx.Value(identityKey{}).(desk.Identity)
	leave, ok := a.streams.enter(tokenOf(who), a.opt.Streams)
	if !ok {
		return desk.ErrBusy
	}
	defer leave()
	changed := d.WatchSwitches(ctx) // before the first read, so that no flip falls in between
	set, err := switchSet(ctx, d)
	if err != nil {
		return err
	}
	control := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // proxies must not hold a flip back
	send := func(format string, args ...any) error {
		// A client that does not read for ten seconds is cut off rather than waited for.
		if err := control.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return control.Flush()
	}
	sendSet := func(set SwitchSet) error {
		body, err := json.Marshal(set)
		if err != nil {
			return err
		}
		return send("event: switches\nid: %d\ndata: %s\n\n", set.Version, body)
	}
	// From here on the answer has begun: an error can only end it.
	if sendSet(set) != nil {
		return nil
	}
	beat := time.NewTicker(a.opt.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-beat.C:
			// The token may have been revoked since: a stream does not outlive it.
			if bearer, ok := bearerOf(r); !ok || a.stillPermits(ctx, bearer) != nil {
				return nil
			}
			if send(": alive\n\n") != nil {
				return nil
			}
		case _, ok := <-changed:
			if !ok {
				changed = d.WatchSwitches(ctx)
				if ctx.Err() != nil {
					return nil
				}
			}
			now, err := switchSet(ctx, d)
			if err != nil {
				return nil
			}
			if now.Version != set.Version {
				set = now
				if sendSet(set) != nil {
					return nil
				}
			}
		}
	}
}

func (a *API) stillPermits(ctx context.Context, bearer string) error {
	id, err := a.desk.Authenticate(ctx, bearer)
	if err != nil {
		return err
	}
	if p := permits(id, switchKeys); p != nil {
		return p
	}
	return nil
}

// switchSet is the set as the caller may see it. A machine gets what it has to obey and no more:
// which instances obey what is for people, and a list that one key can make long must not make the
// set that every other key reads too large to be read.
func switchSet(ctx context.Context, d Switchboard) (SwitchSet, error) {
	version, all, err := d.Switches(ctx)
	set := SwitchSet{Version: version, Switches: full(all)}
	if keyOf(ctx).ID != "" {
		set.Switches = slices.Clone(set.Switches)
		for i := range set.Switches {
			set.Switches[i].Seen = nil
		}
	}
	return set, err
}
