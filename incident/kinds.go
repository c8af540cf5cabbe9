package incident

// The kinds of facts. The body of each is the Go type named beside it; free text and whatever is
// about one merchant stand in parts.
const (
	KindOpened       Kind = "incident.opened"    // OpenedBody, OpenedText
	KindDismissed    Kind = "incident.dismissed" // no body, Reasoned
	KindClosed       Kind = "incident.closed"    // no body, Reasoned
	KindReopened     Kind = "incident.reopened"  // no body, Reasoned
	KindSignal       Kind = "signal.linked"      // SignalBody, SignalText
	KindMilestone    Kind = "milestone.set"      // MilestoneBody, Reasoned
	KindCorrected    Kind = "milestone.corrected"
	KindAnswered     Kind = "answer.recorded" // AnswerBody, AnswerText
	KindSeverity     Kind = "severity.set"    // SeverityBody, Reasoned
	KindAssigned     Kind = "role.assigned"   // AssignedBody
	KindNote         Kind = "note.added"      // no body, PlainText
	KindSwitch       Kind = "switch.flipped"  // SwitchBody, Reasoned in the merchant's part
	KindScope        Kind = "scope.computed"  // ScopeBody, ScopeText, an Exposure per merchant
	KindScopeAdjust  Kind = "scope.adjusted"  // AdjustedBody, Reasoned in the merchant's part
	KindGateRefused  Kind = "gate.refused"    // RefusedBody, RefusedText
	KindGateSigned   Kind = "gate.signed"     // GateSignedBody
	KindSnapshot     Kind = "evidence.snapshot"
	KindExported     Kind = "evidence.exported" // ExportedBody, ExportedText
	KindFix          Kind = "fix.recorded"      // no body, PlainText
	KindFixProof     Kind = "fix.verified"      // no body, PlainText
	KindRestored     Kind = "service.restored"  // no body, Reasoned
	KindAssessed     Kind = "assessment.recorded"
	KindReviewEdited Kind = "review.edited"    // ReviewBody, PlainText
	KindCorrective   Kind = "corrective.added" // CorrectiveBody, PlainText
	KindPublished    Kind = "review.published" // PublishedBody

	KindCorrectiveMoved Kind = "corrective.moved"     // CorrectiveBody, PlainText
	KindEntryPicked     Kind = "review.entry_picked"  // EntryBody, PlainText
	KindEntryDropped    Kind = "review.entry_dropped" // EntryBody

	KindScale       Kind = "scale.set"            // ScaleBody, Reasoned
	KindDirectory   Kind = "directory.read"       // DirectoryBody, a Recipient in each merchant's part
	KindDone        Kind = "act.done"             // DoneBody, PlainText
	KindPassed      Kind = "instant.passed"       // PassedBody: a turning point of a condition
	KindAttested    Kind = "gate.attested"        // GateSignedBody
	KindWaiver      Kind = "gate.override_signed" // GateSignedBody, Reasoned
	KindOverridden  Kind = "gate.overridden"      // OverriddenBody, RefusedText
	KindPolicyMoved Kind = "policy.moved"         // PolicyMovedBody, Reasoned
	KindProgramme   Kind = "programme.begun"      // ProgrammeBody
	KindEvent       Kind = "event.recorded"       // EventBody, PlainText

	KindSignalOut Kind = "signal.unlinked"   // UnlinkedBody, Reasoned
	KindSignalEnd Kind = "signal.ended"      // EndedBody, PlainText
	KindOffered   Kind = "role.offered"      // OfferedBody, PlainText
	KindHeld      Kind = "hold.placed"       // HoldBody, HoldText
	KindReleased  Kind = "hold.released"     // HoldBody, Reasoned
	KindAttached  Kind = "evidence.attached" // AttachedBody, AttachedText

	KindMergedIn  Kind = "incident.merged_in"  // MergedInBody, MergedInText, a MergedInPart per merchant
	KindMerged    Kind = "incident.merged"     // MergedBody, Reasoned: it ended as a part of another
	KindSplit     Kind = "incident.split"      // SplitBody, Reasoned
	KindSplitFrom Kind = "incident.split_from" // SplitFromBody, SplitFromText

	KindRestricted    Kind = "access.restricted"   // no body, RestrictedText
	KindGranted       Kind = "access.granted"      // no body, AccessText
	KindAccessRevoked Kind = "access.revoked"      // no body, AccessText
	KindGlass         Kind = "access.glass_broken" // no body, AccessText
)

// Kinds of facts about duties. All carry DutyBody and, where there is more to say, DutyText; a
// duty to merchants has one empty part per merchant it is about.
const (
	KindDutyStarted  Kind = "duty.started"
	KindDutyMoved    Kind = "duty.moved"     // its clock or its certainty changed
	KindDutyAtRisk   Kind = "duty.at_risk"   // past its target, or less than a quarter of its time left
	KindDutyMet      Kind = "duty.met"       // or met late
	KindDutyMissed   Kind = "duty.missed"    // its limit passed
	KindDutyWaived   Kind = "duty.waived"    // a person let go of it
	KindDutyStopped  Kind = "duty.stopped"   // the incident was dismissed, or the duty's end was reached
	KindDutyRuledOut Kind = "duty.ruled_out" // a recorded no makes it not applicable
	KindDutyResumed  Kind = "duty.resumed"   // after a stop or a ruling out that no longer holds
	KindDutyCarried  Kind = "duty.carried"   // it was owed in an incident that was merged into this one
)

// Kinds of facts about actions: ActionBody, ActionText. action.planned carries PlannedText too.
const (
	KindActionPlanned   Kind = "action.planned"
	KindActionApproved  Kind = "action.approved" // one signature
	KindActionCancelled Kind = "action.cancelled"
	KindActionAttempted Kind = "action.attempted" // durable before the bytes leave
	KindActionDeferred  Kind = "action.deferred"
	KindActionApplied   Kind = "action.applied"
	KindActionProven    Kind = "action.proven"
	KindActionUnproven  Kind = "action.unproven"
	KindActionFailed    Kind = "action.failed"
	KindActionUncertain Kind = "action.uncertain"
	KindActionUndo      Kind = "action.undo_asked"
	KindActionUndone    Kind = "action.undone"
)

// Kinds of facts about notices (NoticeBody) and their deliveries (DeliveryBody, DeliveryPart in
// the recipient's own part).
const (
	KindNoticeDrafted   Kind = "notice.drafted"  // NoticeBody, NoticeText
	KindNoticeApproved  Kind = "notice.approved" // one signature
	KindNoticeSending   Kind = "notice.sending"  // one empty part per merchant it goes to
	KindNoticeWithdrawn Kind = "notice.withdrawn"
	KindNoticeAttempted Kind = "notice.attempted"
	KindNoticeAccepted  Kind = "notice.accepted"
	KindNoticeDeferred  Kind = "notice.deferred"
	KindNoticeBounced   Kind = "notice.bounced"
	KindNoticeUncertain Kind = "notice.uncertain"
	KindNoticeResent    Kind = "notice.resent"
	KindNoticeTold      Kind = "notice.told_otherwise" // a person reached the recipient by another channel
)

// Kinds of facts about checks (CheckBody, ResultText) and pages (PageBody).
const (
	KindCheckAsked     Kind = "check.asked"
	KindCheckAttempted Kind = "check.attempted"
	KindCheckDeferred  Kind = "check.deferred"
	KindCheckPassed    Kind = "check.passed"
	KindCheckFailed    Kind = "check.failed"
	KindCheckUncertain Kind = "check.uncertain"

	KindPageOwed      Kind = "page.owed"
	KindPageAttempted Kind = "page.attempted"
	KindPageSent      Kind = "page.sent"
	KindPageDeferred  Kind = "page.deferred"
	KindPageFailed    Kind = "page.failed"
	KindPageUncertain Kind = "page.uncertain"
)
