package incident

import "fmt"

// The reasons of decisions that were accepted.
const (
	ReasonOpened          Reason = "opened"
	ReasonSignalLinked    Reason = "signal_linked"
	ReasonAlreadyLinked   Reason = "already_linked"
	ReasonAcknowledged    Reason = "acknowledged"
	ReasonAlreadyAck      Reason = "already_acknowledged"
	ReasonConfirmed       Reason = "confirmed"
	ReasonAlreadyConfirm  Reason = "already_confirmed"
	ReasonDismissed       Reason = "dismissed"
	ReasonAlreadyDismiss  Reason = "already_dismissed"
	ReasonReopened        Reason = "reopened"
	ReasonAlreadyOpen     Reason = "already_open"
	ReasonMarked          Reason = "marked"
	ReasonAlreadyMarked   Reason = "already_marked"
	ReasonCorrected       Reason = "corrected"
	ReasonAnswered        Reason = "answered"
	ReasonSeveritySet     Reason = "severity_set"
	ReasonAssigned        Reason = "assigned"
	ReasonNoted           Reason = "noted"
	ReasonSwitched        Reason = "switch_recorded"
	ReasonScopeRecorded   Reason = "scope_recorded"
	ReasonScopeUnchanged  Reason = "scope_unchanged"
	ReasonScopeAdjusted   Reason = "scope_adjusted"
	ReasonPlanned         Reason = "planned"
	ReasonSigned          Reason = "signed" // more signatures are needed
	ReasonApproved        Reason = "approved"
	ReasonAlreadySigned   Reason = "already_signed"
	ReasonAlreadyApproved Reason = "already_approved"
	ReasonCancelled       Reason = "cancelled"
	ReasonAlreadyCancel   Reason = "already_cancelled"
	ReasonUndoAsked       Reason = "undo_asked"
	ReasonAlreadyUndone   Reason = "already_undone"
	ReasonAttempt         Reason = "attempt_recorded"  // the worker may act
	ReasonAlreadyAttempt  Reason = "already_attempted" // the worker must not act
	ReasonNotOwed         Reason = "not_owed"          // the worker must not act
	ReasonScopeMoved      Reason = "scope_moved"       // the worker must not act: it wrote the letter from an older scope
	ReasonResult          Reason = "result_recorded"
	ReasonAlreadyReported Reason = "already_reported"
	ReasonDrafted         Reason = "drafted"
	ReasonSending         Reason = "sending"
	ReasonNobodyLeft      Reason = "nobody_left_to_tell"
	ReasonResent          Reason = "resent"
	ReasonChecksAsked     Reason = "checks_asked"
	ReasonChecksRunning   Reason = "checks_running"
	ReasonFixRecorded     Reason = "fix_recorded"
	ReasonFixVerified     Reason = "fix_verified"
	ReasonRestored        Reason = "restored"
	ReasonAlreadyRestored Reason = "already_restored"
	ReasonAssessed        Reason = "assessed"
	ReasonEdited          Reason = "edited"
	ReasonCorrectiveAdded Reason = "corrective_added"
	ReasonCorrectiveMoved Reason = "corrective_moved"
	ReasonEntryPicked     Reason = "entry_picked"
	ReasonEntryDropped    Reason = "entry_dropped"
	ReasonPublished       Reason = "published"
	ReasonAlreadyPublish  Reason = "already_published"
	ReasonWaived          Reason = "waived"
	ReasonClosed          Reason = "closed"
	ReasonAlreadyClosed   Reason = "already_closed"
	ReasonExportRecorded  Reason = "export_recorded"
	ReasonSnapshot        Reason = "snapshot_recorded"
	ReasonScaleSet        Reason = "scale_set"
	ReasonDirectoryRead   Reason = "directory_read"
	ReasonCompleted       Reason = "completed"
	ReasonTold            Reason = "told_otherwise"
	ReasonAttested        Reason = "attested"
	ReasonAlreadyAttested Reason = "already_attested"
	ReasonOverridden      Reason = "overridden"
	ReasonPolicyMoved     Reason = "policy_moved"
	ReasonProgrammeBegun  Reason = "programme_begun"
	ReasonEventRecorded   Reason = "event_recorded"
	ReasonClockDue        Reason = "clock_due"
	ReasonSignalUnlinked  Reason = "signal_unlinked"
	ReasonSignalEnded     Reason = "signal_ended"
	ReasonOffered         Reason = "role_offered"
	ReasonOfferWithdrawn  Reason = "offer_withdrawn"
	ReasonHeld            Reason = "hold_placed"
	ReasonReleased        Reason = "hold_released"
	ReasonAttached        Reason = "attached"
	ReasonAlreadyAttached Reason = "already_attached"
	ReasonRestricted      Reason = "made_private"
	ReasonGranted         Reason = "access_granted"
	ReasonAccessRevoked   Reason = "access_revoked"
	ReasonGlassBroken     Reason = "glass_broken"
	ReasonMerged          Reason = "merged"
	ReasonAlreadyMerged   Reason = "already_merged"
	ReasonSplit           Reason = "split"
	ReasonNothingChanged  Reason = "nothing_changed"
)

// The reasons of refusals.
const (
	RefusedAccess       Reason = "access"            // this account may not give this command
	RefusedNoIncident   Reason = "no_such_incident"  // it has not been opened
	RefusedNotOpen      Reason = "not_open"          // it is dismissed or closed
	RefusedUnknown      Reason = "no_such_thing"     // an action, notice, duty or milestone of that name is not there
	RefusedState        Reason = "wrong_state"       // the thing is in a state that does not allow it
	RefusedOwnWork      Reason = "own_work"          // who planned, wrote or did it cannot sign it
	RefusedRole         Reason = "role_needed"       // a signature of another role is needed
	RefusedLead         Reason = "lead_needed"       // the owner or the lead has to do this
	RefusedGate         Reason = "gate_shut"         // a gate of the policy is shut
	RefusedContent      Reason = "content_missing"   // a notice says less than its duty asks for
	RefusedReview       Reason = "review_incomplete" // parts of the review are missing
	RefusedOwed         Reason = "still_owed"        // something is still owed
	RefusedFix          Reason = "no_fix"            // no fix is recorded
	RefusedRecipients   Reason = "no_recipients"     // nobody is known to be owed the notice
	RefusedNotAttempted Reason = "not_attempted"     // a result without an attempt
	RefusedUseCommand   Reason = "has_own_command"   // a milestone that its own command sets
	RefusedTooEarly     Reason = "too_early"         // before the floor of a duty: it would not meet it
	RefusedStale        Reason = "stale"             // somebody wrote the same in the meantime
)

// FieldError says which field of a command makes no sense. It carries no value of the field.
type FieldError struct {
	Field   string
	Problem string
}

func (e *FieldError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Problem) }

func refuse(reason Reason, message string, missing ...Missing) *Refusal {
	return &Refusal{Reason: reason, Message: message, Missing: missing}
}

// refuseGate refuses and records that it did: what a gate refused is part of what happened.
func (w *work) refuseGate(command, subject string, reason Reason, message string, gates []string, missing ...Missing) (Reason, error) {
	w.fact(KindGateRefused,
		RefusedBody{Command: command, Reason: reason, Subject: subject, Gates: gates, N: len(missing)},
		own(RefusedText{Missing: missing}))
	return reason, refuse(reason, message, missing...)
}

// do is the command line that does something about a refusal.
func (w *work) do(what, command, rest string) string { return doLine(w.base, what, command, rest) }

func doLine(s *State, what, command, rest string) string {
	line := what + ": tocsin incident " + command + " " + s.ID
	if s.Programme {
		line = what + ": tocsin programme " + command
	}
	if rest != "" {
		line += " " + rest
	}
	return line
}
