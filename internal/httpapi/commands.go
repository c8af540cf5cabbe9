package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// commandInput is the request of one incident command. The body is the command's own JSON.
type commandInput[C incident.Command] struct {
	ID   string `path:"id" maxLength:"64" doc:"id of the incident, such as INC-1"`
	Key  string `header:"Idempotency-Key" maxLength:"200"`
	Dry  bool   `query:"dry_run" doc:"record nothing; say in plan which clocks would move"`
	Body C
}

type outcomeOutput struct{ Body desk.Outcome }

// registerCommands puts every command a person may give under its name. The workers' own commands
// (report-attempt, report-result, record-scope, record-directory, record-export, record-switch, signal, tick) are not
// reachable; plan and snapshot, which the desk completes first, have operations of their own.
func (a *API) registerCommands(d Incidents) {
	command[incident.Acknowledge](a, d, "Say that you are on it")
	command[incident.Confirm](a, d, "Decide that this is an incident")
	command[incident.Dismiss](a, d, "Decide that this is a false alarm")
	command[incident.Mark](a, d, "Record a milestone that has no command of its own")
	command[incident.Correct](a, d, "Correct the time of a milestone; both times stay")
	command[incident.Answer](a, d, "Answer a judgement the policy asks for")
	command[incident.SetSeverity](a, d, "Set the severity")
	command[incident.Assign](a, d, "Give a role to a person")
	command[incident.Note](a, d, "Add a line to the timeline")
	command[incident.AdjustScope](a, d, "Include or exclude a merchant by hand")
	command[incident.ApproveAction](a, d, "Sign a planned action")
	command[incident.CancelAction](a, d, "Withdraw a planned action")
	command[incident.UndoActionCmd](a, d, "Undo an applied action")
	command[incident.DraftNotice](a, d, "Write or rewrite a notice")
	command[incident.ApproveNotice](a, d, "Sign a notice")
	command[incident.SendNotice](a, d, "Send an approved notice to everybody who has not had it")
	command[incident.ResendNotice](a, d, "Decide an uncertain or bounced delivery")
	command[incident.RunChecks](a, d, "Run declared checks")
	command[incident.RecordFix](a, d, "Record how the cause was fixed")
	command[incident.VerifyFix](a, d, "Verify the fix, as another person")
	command[incident.RestoreService](a, d, "Return to service; the gate may refuse")
	command[incident.Assess](a, d, "Record vector, root cause and risk")
	command[incident.EditReview](a, d, "Write a part of the review")
	command[incident.PickEntry](a, d, "Put an entry on the curated timeline of the review, or change one")
	command[incident.DropEntry](a, d, "Take an entry off the curated timeline")
	command[incident.AddCorrective](a, d, "Add a corrective action")
	command[incident.MoveCorrective](a, d, "Say that a corrective action is done, dropped, open again, or somebody else's")
	command[incident.PublishReview](a, d, "Publish a version of the review")
	command[incident.Waive](a, d, "Let go of a duty, by name and reason")
	command[incident.Close](a, d, "Close the incident")
	command[incident.Reopen](a, d, "Open a dismissed or closed incident again")
	command[incident.Sign](a, d, "Sign a gate that asks for signatures")
	command[incident.SetScale](a, d, "Set the level of one of the policy's own scales")
	command[incident.Complete](a, d, "Say that a duty which leaves no other trace is done")
	command[incident.Told](a, d, "Say that a recipient was reached by another channel, after the mail could not")
	command[incident.Attest](a, d, "Declare what a gate asks of whoever gives its command")
	command[incident.Override](a, d, "Sign for passing a gate although it is shut, with the reason")
	command[incident.MovePolicy](a, d, "Move the incident to another policy")
	command[incident.UnlinkSignal](a, d, "Take a signal out of the incident")
	command[incident.HandOver](a, d, "Offer a role to another person, who holds it once they accept")
	command[incident.AcceptRole](a, d, "Take a role that was offered to you")
	command[incident.PlaceHold](a, d, "Place a hold: what must not be deleted, on which legal basis, until when")
	command[incident.ReleaseHold](a, d, "Release a hold before its time")
	command[incident.Restrict](a, d, "Make the incident private, or name whom it is about: only the people on its list may know of it")
	command[incident.Grant](a, d, "Put a person on the list of a private incident")
	command[incident.RevokeAccess](a, d, "Take a person off the list of a private incident")
	command[incident.BreakGlass](a, d, "As an owner, come on the list of a private incident on which nobody has acted for a day")
	a.registerSnapshot(d)
}

func command[C incident.Command](a *API, d Incidents, summary string) {
	var zero C
	name := zero.Name()
	op := operation("incident-"+name, http.MethodPost, "/v1/incidents/{id}/"+name, responders, summary)
	op.Tags = []string{"incident"}
	op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *commandInput[C]) (*outcomeOutput, error) {
		req := desk.Request{ID: requestID(ctx, in.Key), Incident: in.ID, Command: in.Body, Caller: callerOf(ctx)}
		if in.Dry {
			seen, err := d.Foresee(ctx, req)
			if err != nil {
				return nil, a.fail(ctx, err)
			}
			return &outcomeOutput{Body: desk.Outcome{Incident: in.ID, Reason: seen.Reason, Facts: []desk.FactRef{}, DryRun: true, Plan: seen.Says}}, nil
		}
		out, err := d.Submit(ctx, req)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &outcomeOutput{Body: out}, nil
	})
}

// registerSnapshot takes a snapshot of the evidence. The desk fills in log, size and checkpoint.
func (a *API) registerSnapshot(d Incidents) {
	op := operation("incident-snapshot", http.MethodPost, "/v1/incidents/{id}/snapshot", responders, "Record the checkpoint of the evidence as it stands")
	op.Tags, op.DefaultStatus = []string{"incident"}, http.StatusOK
	op.Errors = append(op.Errors, http.StatusNotFound, http.StatusConflict)
	huma.Register(a.huma, op, func(ctx context.Context, in *snapshotInput) (*outcomeOutput, error) {
		out, err := d.Snapshot(ctx, requestID(ctx, in.Key), callerOf(ctx), in.ID)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &outcomeOutput{Body: out}, nil
	})
}

type snapshotInput struct {
	ID  string `path:"id" maxLength:"64"`
	Key string `header:"Idempotency-Key" maxLength:"200"`
}

// requestID makes an idempotency key the caller's own: two people who happen to choose the same
// key do not get each other's answers.
func requestID(ctx context.Context, key string) string {
	key = strings.TrimSpace(key)
	if key == "" {
		return ""
	}
	return string(callerOf(ctx).Principal) + "/" + key
}
