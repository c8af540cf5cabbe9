package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// Programme holds what the policy owes without an incident.
type Programme interface {
	Programme(context.Context) (*incident.State, error)
	ProgrammeClocks(context.Context) ([]desk.ClockRow, error)
	SubmitProgramme(ctx context.Context, id string, by desk.Caller, c incident.Command) (desk.Outcome, error)
}

// ProgrammeBody is the programme: its clocks, the events it was told of, and what was done.
type ProgrammeBody struct {
	Policy string            `json:"policy" doc:"digest of the policy it runs under"`
	Since  time.Time         `json:"since" doc:"when it began"`
	Clocks []desk.ClockRow   `json:"clocks" nullable:"false"`
	Events []ProgrammeEvent  `json:"events" nullable:"false"`
	Done   []ProgrammeDoneAt `json:"done" nullable:"false"`
}

// ProgrammeEvent is one recorded event.
type ProgrammeEvent struct {
	ID    string    `json:"id"`
	Event string    `json:"event"`
	At    time.Time `json:"at"`
	By    string    `json:"by"`
	Note  string    `json:"note"`
}

// ProgrammeDoneAt is one act that somebody recorded as done.
type ProgrammeDoneAt struct {
	Duty  string    `json:"duty"`
	Event string    `json:"event,omitempty"`
	At    time.Time `json:"at"`
	By    string    `json:"by"`
	Note  string    `json:"note"`
}

func (a *API) registerProgramme(d Programme) {
	op := operation("programme", http.MethodGet, "/v1/programme", viewers, "What the policy owes without an incident: drills, training, reviews")
	op.Tags, op.Errors = []string{"programme"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*struct{ Body ProgrammeBody }, error) {
		s, err := d.Programme(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		clocks, err := d.ProgrammeClocks(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &struct{ Body ProgrammeBody }{ProgrammeBody{Policy: s.Policy, Since: s.Opened, Clocks: full(clocks), Events: []ProgrammeEvent{}, Done: []ProgrammeDoneAt{}}}
		for _, e := range s.Events {
			out.Body.Events = append(out.Body.Events, ProgrammeEvent{ID: e.ID, Event: e.Event, At: e.At, By: string(e.By), Note: e.Note})
		}
		for _, x := range s.Done {
			out.Body.Done = append(out.Body.Done, ProgrammeDoneAt{Duty: x.Duty, Event: x.Recipient, At: x.At, By: string(x.By), Note: x.Note})
		}
		return out, nil
	})
	programmeCommand[incident.Complete](a, d, "Say that a duty of the programme is done")
	programmeCommand[incident.RecordEvent](a, d, "Record that something happened to the programme, such as a new subprocessor")
	programmeCommand[incident.Waive](a, d, "Let go of a duty of the programme, by name and reason")
}

type programmeInput[C incident.Command] struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body C
}

func programmeCommand[C incident.Command](a *API, d Programme, summary string) {
	var zero C
	name := zero.Name()
	op := operation("programme-"+name, http.MethodPost, "/v1/programme/"+name, responders, summary)
	op.Tags = []string{"programme"}
	op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *programmeInput[C]) (*outcomeOutput, error) {
		out, err := d.SubmitProgramme(ctx, requestID(ctx, in.Key), callerOf(ctx), in.Body)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &outcomeOutput{Body: out}, nil
	})
}
