package incident

import (
	"fmt"
	"strings"
)

// Fold applies one fact to s and returns it. A nil s starts a new state. A fact of another chain
// changes nothing; a kind this engine does not know is counted and otherwise changes nothing. An
// error means that the fact contradicts the facts before it, or cannot be read; s is then not to
// be used any more.
//
// Fold writes to s. Whoever shares a state with readers uses Apply.
func Fold(s *State, f Fact) (*State, error) {
	if s == nil {
		s = NewState("")
	}
	if s.ID == "" {
		s.ID = f.Chain
	}
	if f.Chain != s.ID {
		return s, nil
	}
	fold, known := folds[f.Kind]
	if !known {
		unknown := writable(s, inUnknown, &s.UnknownKinds)
		unknown[f.Kind]++
	} else if err := fold(s, f); err != nil {
		return s, err
	}
	s.acted(f)
	s.Version++
	s.Head = f.ID
	if f.Recorded.After(s.Updated) {
		s.Updated = f.Recorded
	}
	s.Computed = f.Versions
	return s, nil
}

// folds says what each kind of fact does to a state. It is filled before anything runs and never
// written to again.
var folds = map[Kind]func(*State, Fact) error{
	KindOpened:       foldOpened,
	KindDismissed:    foldStatus(StatusDismissed),
	KindClosed:       foldStatus(StatusClosed),
	KindReopened:     foldStatus(StatusOpen),
	KindSignal:       foldSignal,
	KindMilestone:    foldMilestone,
	KindCorrected:    foldCorrected,
	KindAnswered:     foldAnswered,
	KindSeverity:     foldSeverity,
	KindAssigned:     foldAssigned,
	KindNote:         foldNothing,
	KindSwitch:       foldSwitch,
	KindScope:        foldScope,
	KindScopeAdjust:  foldScopeAdjusted,
	KindGateRefused:  foldRefused,
	KindGateSigned:   foldGateSigned,
	KindSnapshot:     foldSnapshot,
	KindExported:     foldExported,
	KindFix:          foldFix,
	KindFixProof:     foldFixProof,
	KindRestored:     foldRestored,
	KindAssessed:     foldAssessed,
	KindReviewEdited: foldReviewEdited,
	KindCorrective:   foldCorrective,
	KindPublished:    foldPublished,

	KindCorrectiveMoved: foldCorrectiveMoved,
	KindEntryPicked:     foldEntry,
	KindEntryDropped:    foldEntry,

	KindScale:       foldScale,
	KindDirectory:   foldDirectory,
	KindDone:        foldDone,
	KindPassed:      foldPassed,
	KindAttested:    foldAttested,
	KindWaiver:      foldWaiver,
	KindOverridden:  foldOverridden,
	KindPolicyMoved: foldPolicyMoved,
	KindProgramme:   foldProgramme,
	KindEvent:       foldEvent,

	KindSignalOut: foldUnlinked, KindSignalEnd: foldEnded,
	KindOffered: foldOffered,
	KindHeld:    foldHeld,

	KindRestricted:    foldRestricted,
	KindGranted:       foldAccess,
	KindAccessRevoked: foldAccess,
	KindGlass:         foldAccess,

	KindMergedIn:  foldMergedIn,
	KindMerged:    foldMerged,
	KindSplit:     foldSplit,
	KindSplitFrom: foldSplitFrom,

	KindReleased: foldReleased,
	KindAttached: foldAttached,

	KindDutyStarted:  foldDuty,
	KindDutyMoved:    foldDuty,
	KindDutyAtRisk:   foldDuty,
	KindDutyMet:      foldDuty,
	KindDutyMissed:   foldDuty,
	KindDutyWaived:   foldDuty,
	KindDutyStopped:  foldDuty,
	KindDutyRuledOut: foldDuty,
	KindDutyResumed:  foldDuty,
	KindDutyCarried:  foldDuty,

	KindActionPlanned:   foldPlanned,
	KindActionApproved:  foldAction,
	KindActionCancelled: foldAction,
	KindActionAttempted: foldAction,
	KindActionDeferred:  foldAction,
	KindActionApplied:   foldAction,
	KindActionProven:    foldAction,
	KindActionUnproven:  foldAction,
	KindActionFailed:    foldAction,
	KindActionUncertain: foldAction,
	KindActionUndo:      foldAction,
	KindActionUndone:    foldAction,

	KindNoticeDrafted:   foldDrafted,
	KindNoticeApproved:  foldNoticeApproved,
	KindNoticeSending:   foldSending,
	KindNoticeWithdrawn: foldDelivery,
	KindNoticeAttempted: foldDelivery,
	KindNoticeAccepted:  foldDelivery,
	KindNoticeDeferred:  foldDelivery,
	KindNoticeBounced:   foldDelivery,
	KindNoticeUncertain: foldDelivery,
	KindNoticeResent:    foldDelivery,
	KindNoticeTold:      foldDelivery,

	KindCheckAsked:     foldCheck,
	KindCheckAttempted: foldCheck,
	KindCheckDeferred:  foldCheck,
	KindCheckPassed:    foldCheck,
	KindCheckFailed:    foldCheck,
	KindCheckUncertain: foldCheck,

	KindPageOwed:      foldPage,
	KindPageAttempted: foldPage,
	KindPageSent:      foldPage,
	KindPageDeferred:  foldPage,
	KindPageFailed:    foldPage,
	KindPageUncertain: foldPage,
}

func foldNothing(*State, Fact) error { return nil }

func foldOpened(s *State, f Fact) error {
	var b OpenedBody
	var t OpenedText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	if s.isOpened() {
		return fmt.Errorf("incident: fact %s: %s is open already", f.ID, s.ID)
	}
	s.Env = f.Env
	s.Apps, s.Policy, s.Opened, s.Status = f.Apps, b.Policy, f.Recorded, StatusOpen
	s.Title, s.Summary, s.Class, s.Severity = t.Title, t.Summary, b.Class, b.Severity
	if b.Severity != "" {
		s.SeverityBy = f.Principal
	}
	if b.Reach {
		s.Reach = &Reach{By: f.Principal, Last: -1}
	}
	return nil
}

func foldStatus(to Status) func(*State, Fact) error {
	return func(s *State, f Fact) error {
		s.Status = to
		if to == StatusOpen {
			// The decision that ended it is undone. Its time stays in the facts and on the timeline.
			milestones := writable(s, inMilestones, &s.Milestones)
			delete(milestones, "dismissed")
			delete(milestones, "closed")
			s.Reopened = f.Occurred
		}
		return nil
	}
}

func foldSignal(s *State, f Fact) error {
	var b SignalBody
	var t SignalText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	g := t.Signal
	g.ID, g.Class, g.App, g.At, g.From, g.To, g.Noticed = b.Signal, b.Class, b.App, b.At, b.From, b.To, b.Noticed
	s.Signals = append(s.Signals, g)
	return nil
}

func foldMilestone(s *State, f Fact) error {
	var b MilestoneBody
	var t Reasoned
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	if s.has(b.Milestone) {
		return fmt.Errorf("incident: fact %s: milestone %s is set already: it can be corrected", f.ID, b.Milestone)
	}
	writable(s, inMilestones, &s.Milestones)[b.Milestone] = &Milestone{
		At: b.At, By: f.Principal, Set: f.Recorded, Why: t.Reason, Fact: f.ID, Auto: b.Auto,
	}
	return nil
}

func foldCorrected(s *State, f Fact) error {
	var b MilestoneBody
	var t Reasoned
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	old := s.Milestones[b.Milestone]
	if old == nil {
		return fmt.Errorf("incident: fact %s corrects milestone %s, which is not set", f.ID, b.Milestone)
	}
	m := &Milestone{At: b.At, By: f.Principal, Set: f.Recorded, Why: t.Reason, Fact: f.ID, Auto: b.Auto}
	m.Before = append(append([]Correction(nil), old.Before...),
		Correction{At: old.At, By: old.By, Set: old.Set, Why: old.Why, Fact: old.Fact})
	writable(s, inMilestones, &s.Milestones)[b.Milestone] = m
	return nil
}

func foldAnswered(s *State, f Fact) error {
	var b AnswerBody
	var t AnswerText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	writable(s, inAnswers, &s.Answers)[b.Fact] = &AnswerOf{Value: t.Value, By: f.Principal, At: f.Recorded, Why: t.Reason, Fact: f.ID}
	return nil
}

func foldSeverity(s *State, f Fact) error {
	var b SeverityBody
	if err := header(f, &b); err != nil {
		return err
	}
	s.Severity, s.SeverityBy = b.Severity, f.Principal
	return nil
}

func foldAssigned(s *State, f Fact) error {
	var b AssignedBody
	if err := header(f, &b); err != nil {
		return err
	}
	writable(s, inRoles, &s.Roles)[b.Role] = b.Person
	if s.Offers[b.Role] != nil {
		delete(writable(s, inOffers, &s.Offers), b.Role)
	}
	return nil
}

func foldSwitch(s *State, f Fact) error {
	var b SwitchBody
	if err := header(f, &b); err != nil {
		return err
	}
	merchant, why := "*", Reasoned{}
	for _, p := range f.Parts {
		if p.Merchant != "" {
			merchant = p.Merchant
		}
		if err := decodePart(f, p, &why); err != nil {
			return err
		}
	}
	writable(s, inSwitches, &s.Switches)[merchant] = &Switch{Merchant: merchant, State: b.State, By: f.Principal, At: f.Recorded, Why: why.Reason}
	return nil
}

func foldScope(s *State, f Fact) error {
	var b ScopeBody
	var t ScopeText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	rows := make(map[string]*Exposure, len(f.Parts))
	for _, p := range f.Parts {
		if p.Merchant == "" {
			continue
		}
		x := &Exposure{}
		if err := decodePart(f, p, x); err != nil {
			return err
		}
		x.Merchant = p.Merchant
		rows[p.Merchant] = x
	}
	s.Exposures = rows
	s.Scopes = append(s.Scopes, ScopeVersion{
		N: b.N, Fact: f.ID, At: f.Recorded, By: f.Principal, Query: t.Query, Log: b.Log, Size: b.Size,
		Checkpoint: b.Checkpoint, Digest: b.Digest, Merchants: b.Merchants, Customers: b.Customers,
		Events: b.Events, Records: b.Records, AtLeast: b.AtLeast, DataTypes: b.DataTypes,
		First: b.First, Last: b.Last, Gaps: b.Gaps, Regions: b.Regions, Supplied: b.Supplied, Added: b.Added, Removed: b.Removed, Why: t.Reason,
	})
	return nil
}

func foldScopeAdjusted(s *State, f Fact) error {
	var b AdjustedBody
	if err := header(f, &b); err != nil {
		return err
	}
	adjusted := writable(s, inAdjusted, &s.Adjusted)
	for _, p := range f.Parts {
		if p.Merchant == "" {
			continue
		}
		var t Reasoned
		if err := decodePart(f, p, &t); err != nil {
			return err
		}
		adjusted[p.Merchant] = &Adjusted{Include: b.Include, By: f.Principal, At: f.Recorded, Why: t.Reason}
	}
	return nil
}

func foldRefused(s *State, f Fact) error {
	var b RefusedBody
	var t RefusedText
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	s.Refusals = append(s.Refusals, RefusalOf{
		Command: b.Command, Reason: b.Reason, Missing: t.Missing, By: f.Principal, At: f.Recorded, Fact: f.ID,
	})
	return nil
}

func foldGateSigned(s *State, f Fact) error {
	var b GateSignedBody
	if err := header(f, &b); err != nil {
		return err
	}
	signatures := writable(s, inSignatures, &s.Signatures)
	if hasSigned(signatures[b.Gate], f.Principal) {
		return fmt.Errorf("incident: fact %s: %s has signed gate %s already", f.ID, f.Principal, b.Gate)
	}
	signatures[b.Gate] = append(append([]Signed(nil), signatures[b.Gate]...), signature(f, b.Roles))
	return nil
}

func signature(f Fact, roles []string) Signed {
	return Signed{By: f.Principal, At: f.Recorded, Role: strings.Join(roles, ", "), Roles: roles, Fact: f.ID}
}

func hasSigned(signed []Signed, who Principal) bool {
	for _, x := range signed {
		if x.By == who {
			return true
		}
	}
	return false
}
