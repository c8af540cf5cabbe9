package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// incidentInput names an incident.
type incidentInput struct {
	ID string `path:"id" maxLength:"64" doc:"id of the incident, such as INC-1"`
}

type openInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body incident.Open
}

type suspicionInput struct {
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Saw string `json:"saw" minLength:"1" maxLength:"4000" pattern:"\\S" doc:"what you saw, in your own words"`
	}
}

type boardOutput struct {
	Body struct {
		Incidents []desk.BoardRow `json:"incidents" nullable:"false"`
	}
}

// Incident is the state of an incident with what a reader asks next.
type Incident struct {
	*incident.State
	Next  *desk.ClockRow `json:"next,omitempty"` // the most urgent clock
	Gates []desk.GateRow `json:"gates" nullable:"false"`

	Outdated map[string][]string `json:"outdated,omitempty" doc:"merchants that were told something that is not so any more, by duty: a correction is for them"`
}

type incidentOutput struct{ Body Incident }

type clocksOutput struct {
	Body struct {
		Clocks []desk.ClockRow `json:"clocks" nullable:"false"`
	}
}

type sheetInput struct {
	Excluded bool `query:"excluded" doc:"the duties that were ruled out as well, each with why not"`
}

type sheetOutput struct{ Body desk.ClockSheet }

type timelineInput struct {
	ID     string `path:"id" maxLength:"64"`
	After  string `query:"after" maxLength:"200" doc:"id of the last line of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
	Source string `query:"source" maxLength:"60" doc:"comma-separated: fact, event, log; default all"`
}

type timelineOutput struct {
	Body struct {
		Lines []desk.TimelineLine `json:"lines" nullable:"false"`
	}
}

type planInput struct {
	ID   string `path:"id" maxLength:"64"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Body struct {
		Action string            `json:"action" minLength:"1" maxLength:"64" doc:"id of an action the policy names"`
		Target map[string]string `json:"target,omitempty" doc:"such as credential: tok_9f, merchant: m_214 or *"`
		Secret string            `json:"secret,omitempty" maxLength:"64" doc:"name of a secret, never its value"`
		Reason string            `json:"reason" maxLength:"4000"`
	}
}

func (a *API) registerIncidents(d Incidents) {
	op := operation("incidents", http.MethodGet, "/v1/incidents", viewers, "The board: open incidents, most urgent first")
	op.Tags = []string{"incident"}
	huma.Register(a.huma, op, func(ctx context.Context, _ *struct{}) (*boardOutput, error) {
		rows, err := d.Board(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &boardOutput{}
		out.Body.Incidents = full(rows)
		return out, nil
	})

	op = operation("open-incident", http.MethodPost, "/v1/incidents", responders, "Open an incident")
	op.Tags, op.DefaultStatus = []string{"incident"}, http.StatusCreated
	huma.Register(a.huma, op, func(ctx context.Context, in *openInput) (*outcomeOutput, error) {
		out, err := d.OpenIncident(ctx, requestID(ctx, in.Key), callerOf(ctx), in.Body)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &outcomeOutput{Body: out}, nil
	})

	op = operation("report-suspicion", http.MethodPost, "/v1/suspicions", viewers, "Say what you saw: opens an unclassified incident, and the lead is called until somebody acknowledges it")
	op.Tags, op.DefaultStatus = []string{"incident"}, http.StatusCreated
	huma.Register(a.huma, op, func(ctx context.Context, in *suspicionInput) (*outcomeOutput, error) {
		out, err := d.OpenIncident(ctx, requestID(ctx, in.Key), callerOf(ctx), incident.Suspicion(in.Body.Saw))
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &outcomeOutput{Body: out}, nil
	})

	op = operation("incident", http.MethodGet, "/v1/incidents/{id}", viewers, "One incident, its next clock and its gates")
	op.Tags, op.Errors = []string{"incident"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *incidentInput) (*incidentOutput, error) {
		state, err := d.Incident(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		clocks, err := d.Clocks(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		gates, err := d.Gates(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &incidentOutput{Body: Incident{State: state, Next: next(clocks), Gates: full(gates), Outdated: d.Outdated(state)}}, nil
	})

	op = operation("clocks", http.MethodGet, "/v1/clocks", viewers, "All running clocks of all incidents, most urgent first")
	op.Tags = []string{"incident"}
	huma.Register(a.huma, op, func(ctx context.Context, in *sheetInput) (*sheetOutput, error) {
		sheet, err := d.EveryClock(ctx)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		sheet.Clocks = full(sheet.Clocks)
		if !in.Excluded {
			sheet.Excluded = nil
		}
		return &sheetOutput{Body: sheet}, nil
	})
	op = operation("incident-clocks", http.MethodGet, "/v1/incidents/{id}/clocks", viewers, "The clocks of one incident")
	op.Tags, op.Errors = []string{"incident"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *incidentInput) (*clocksOutput, error) {
		rows, err := d.Clocks(ctx, in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &clocksOutput{}
		out.Body.Clocks = full(rows)
		return out, nil
	})

	op = operation("timeline", http.MethodGet, "/v1/incidents/{id}/timeline", viewers, "The merged timeline: facts, access events, logs")
	op.Tags, op.Errors = []string{"incident"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *timelineInput) (*timelineOutput, error) {
		sources, err := sourcesOf(in.Source)
		if err != nil {
			return nil, err
		}
		lines, err := d.Timeline(ctx, in.ID, in.After, in.Limit, sources)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		out := &timelineOutput{}
		out.Body.Lines = full(lines)
		return out, nil
	})

	op = operation("plan", http.MethodPost, "/v1/incidents/{id}/plan", responders, "Plan an action; nothing is done before it is approved")
	op.Tags, op.Errors = []string{"incident"}, append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *planInput) (*outcomeOutput, error) {
		out, err := d.Plan(ctx, requestID(ctx, in.Key), callerOf(ctx), in.ID, in.Body.Action, in.Body.Target, in.Body.Secret, in.Body.Reason)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &outcomeOutput{Body: out}, nil
	})
}

// next is the most urgent clock that still runs.
func next(clocks []desk.ClockRow) *desk.ClockRow {
	var best *desk.ClockRow
	for i := range clocks {
		if c := &clocks[i]; runs(c.State) && (best == nil || byUrgency(*c, *best) < 0) {
			best = c
		}
	}
	return best
}

func runs(s incident.DutyState) bool {
	switch s {
	case incident.DutyRunning, incident.DutyProvisional, incident.DutyAtRisk, incident.DutyMissed:
		return true
	}
	return false
}

// byUrgency orders clocks by their limit, or their target where no limit is set; those with
// neither come last.
func byUrgency(a, b desk.ClockRow) int {
	due := func(c desk.ClockRow) time.Time {
		if c.Due.IsZero() {
			return c.Target
		}
		return c.Due
	}
	x, y := due(a), due(b)
	switch {
	case x.IsZero() && y.IsZero():
		return 0
	case x.IsZero():
		return 1
	case y.IsZero():
		return -1
	}
	return x.Compare(y)
}

// sourcesOf reads the list of timeline sources.
func sourcesOf(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	sources := strings.Split(list, ",")
	for _, s := range sources {
		if s != "fact" && s != "event" && s != "log" {
			return nil, &Problem{Status: http.StatusUnprocessableEntity, Title: http.StatusText(http.StatusUnprocessableEntity),
				Reason: "invalid", Detail: "source may be fact, event and log, separated by commas"}
		}
	}
	return sources, nil
}

// full makes an absent list an empty one, which is easier on clients than null.
func full[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
