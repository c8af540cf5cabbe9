package incident

import "fmt"

// Transition is one arrow of a machine: in state From, a fact of one of the kinds On may lead to
// To. Label says when, where a kind alone does not.
type Transition struct {
	From, To string
	On       []Kind
	Label    string
}

// Machine is the table of one kind of thing. It is the only place that says which state may
// follow which: the fold refuses a fact the table does not allow, the commands ask it before they
// record one, and docs/states.md is drawn from it.
type Machine struct {
	Name  string
	Says  string
	Rows  []Transition
	index map[move]bool
}

type move struct {
	from, to string
	on       Kind
}

// start is the state of a thing that is not there yet.
const start = "[*]"

// Machines returns every table, in the order of the documentation.
func Machines() []*Machine {
	return []*Machine{dutyMachine, actionMachine, noticeMachine, deliveryMachine, checkMachine, pageMachine, correctiveMachine}
}

func machine(name, says string, rows ...Transition) *Machine {
	m := &Machine{Name: name, Says: says, Rows: rows, index: map[move]bool{}}
	for _, r := range rows {
		for _, k := range r.On {
			m.index[move{r.From, r.To, k}] = true
		}
	}
	return m
}

// allows reports whether a fact of this kind may lead from one state to the other.
func (m *Machine) allows(from string, on Kind, to string) bool {
	if from == "" {
		from = start
	}
	return m.index[move{from, to, on}]
}

// leads reports whether a fact of this kind may be recorded at all in state from.
func (m *Machine) leads(from string, on Kind) bool {
	for _, r := range m.Rows {
		if r.From != from {
			continue
		}
		for _, k := range r.On {
			if k == on {
				return true
			}
		}
	}
	return false
}

// check is allows, as the error of a fold.
func (m *Machine) check(f Fact, what, from, to string) error {
	if m.allows(from, f.Kind, to) {
		return nil
	}
	if from == "" {
		from = start
	}
	return fmt.Errorf("incident: fact %s: %s of %s %s may not lead from %s to %q: docs/states.md has the table", f.ID, f.Kind, m.Name, what, from, to)
}

func on(kinds ...Kind) []Kind { return kinds }

var dutyMachine = machine("duty",
	"A duty's instance begins when its anchor happens; before that it is shown as waiting and nothing is recorded. "+
		"Met and waived are final, with two exceptions: a correction may show that a duty was met in time or late after all, "+
		"and a duty that a dismissal or the closing met is owed again once the incident is reopened, its clock counting from the reopening. "+
		"The earliest due time ever shown and every miss stay whatever happens later.",
	dutyRows()...)

// dutyRows writes out the open states, because a clock may move, stop, be met or be waived in each.
func dutyRows() []Transition {
	const (
		running, provisional, risk, missed = string(DutyRunning), string(DutyProvisional), string(DutyAtRisk), string(DutyMissed)
		met, late, waived, stopped, not    = string(DutyMet), string(DutyMetLate), string(DutyWaived), string(DutyStopped), string(DutyNot)
	)
	open := []string{running, provisional, risk, missed}
	rows := []Transition{
		{start, running, on(KindDutyStarted), "its condition is true"},
		{start, provisional, on(KindDutyStarted), "its condition is unknown"},
		{start, not, on(KindDutyRuledOut), "its condition is false"},
		{start, running, on(KindDutyCarried), "it was owed so in an incident that was merged in"},
		{start, provisional, on(KindDutyCarried), "it was owed so in an incident that was merged in"},
		{start, risk, on(KindDutyCarried), "it was owed so in an incident that was merged in"},
		{start, missed, on(KindDutyCarried), "it was owed so in an incident that was merged in"},
		{not, running, on(KindDutyResumed), "no longer ruled out"},
		{not, provisional, on(KindDutyResumed), "no longer ruled out, but not certain"},
		{stopped, running, on(KindDutyResumed), "the incident was reopened"},
		{stopped, provisional, on(KindDutyResumed), "the incident was reopened, condition unknown"},
		{stopped, not, on(KindDutyRuledOut), "its condition is false"},
		{running, risk, on(KindDutyAtRisk), ""},
		{provisional, risk, on(KindDutyAtRisk), ""},
		{running, missed, on(KindDutyMissed), ""},
		{provisional, missed, on(KindDutyMissed), ""},
		{risk, missed, on(KindDutyMissed), ""},
	}
	for _, from := range open {
		for _, to := range []string{running, provisional} {
			rows = append(rows, Transition{from, to, on(KindDutyMoved), "the clock or its certainty changed"})
		}
		rows = append(rows,
			Transition{from, met, on(KindDutyMet), "at or before the limit"},
			Transition{from, late, on(KindDutyMet), "after the limit, or after a miss"},
			Transition{from, waived, on(KindDutyWaived), ""},
			Transition{from, stopped, on(KindDutyStopped), ""},
			Transition{from, not, on(KindDutyRuledOut), "a recorded no"},
		)
	}
	rows = append(rows, Transition{missed, missed, on(KindDutyMoved), "still past its limit"})
	for _, from := range []string{met, late} {
		rows = append(rows,
			Transition{from, running, on(KindDutyResumed), "the incident was reopened: the dismissal or closing that met it was taken back"},
			Transition{from, provisional, on(KindDutyResumed), "the same, condition unknown"},
			Transition{from, not, on(KindDutyRuledOut), "the same, condition false"},
		)
		for _, to := range []string{met, late} {
			rows = append(rows, Transition{from, to, on(KindDutyMoved, KindDutyMet), "a correction"})
		}
	}
	return rows
}

var actionMachine = machine("action",
	"An action is planned, signed, applied, and then confirmed by a probe that the old credential or path now fails. "+
		"An attempt whose outcome is unknown is never repeated before the remote state was read.",
	Transition{start, "planned", on(KindActionPlanned), ""},
	Transition{"planned", "planned", on(KindActionApproved), "more signatures are needed"},
	Transition{"planned", "approved", on(KindActionApproved), "every signature is given"},
	Transition{"planned", "cancelled", on(KindActionCancelled), ""},
	Transition{"approved", "cancelled", on(KindActionCancelled), "not attempted yet"},
	Transition{"approved", "approved", on(KindActionAttempted, KindActionDeferred), "apply is tried"},
	Transition{"approved", "applied", on(KindActionApplied), ""},
	Transition{"approved", "failed", on(KindActionFailed), ""},
	Transition{"approved", "uncertain", on(KindActionUncertain), "no result of the attempt"},
	Transition{"applied", "applied", on(KindActionAttempted, KindActionDeferred, KindActionUncertain), "confirm is tried"},
	Transition{"applied", "proven", on(KindActionProven), "the probe is refused"},
	Transition{"applied", "unproven", on(KindActionUnproven), "the probe still gets through"},
	Transition{"uncertain", "uncertain", on(KindActionAttempted, KindActionDeferred, KindActionUncertain), "the remote state is read"},
	Transition{"uncertain", "proven", on(KindActionProven), "it had taken effect"},
	Transition{"uncertain", "approved", on(KindActionUnproven), "it had not taken effect: apply again"},
	Transition{"uncertain", "failed", on(KindActionFailed), "it had not, too often"},
	Transition{"applied", "undoing", on(KindActionUndo), ""},
	Transition{"proven", "undoing", on(KindActionUndo), "by a person, or because it expired"},
	Transition{"unproven", "undoing", on(KindActionUndo), ""},
	Transition{"uncertain", "undoing", on(KindActionUndo), ""},
	Transition{"undoing", "undoing", on(KindActionAttempted, KindActionDeferred, KindActionUncertain), "undo is tried"},
	Transition{"undoing", "undone", on(KindActionUndone), ""},
	Transition{"undoing", "applied", on(KindActionFailed), "the undo failed"},
	Transition{"undoing", "proven", on(KindActionFailed), "the undo failed"},
	Transition{"undoing", "unproven", on(KindActionFailed), "the undo failed"},
	Transition{"undoing", "uncertain", on(KindActionFailed), "the undo failed"},
	Transition{"unproven", "cancelled", on(KindActionCancelled), "given up by a person"},
	Transition{"failed", "cancelled", on(KindActionCancelled), "given up by a person"},
)

var noticeMachine = machine("notice",
	"A notice is drafted, signed by people who did not write it, and sent to each recipient once.",
	Transition{start, "draft", on(KindNoticeDrafted), ""},
	Transition{"draft", "draft", on(KindNoticeDrafted, KindNoticeApproved), "rewritten, or more signatures are needed"},
	Transition{"draft", "approved", on(KindNoticeApproved), "every signature is given"},
	Transition{"approved", "draft", on(KindNoticeDrafted), "rewritten: signatures are void"},
	Transition{"approved", "sending", on(KindNoticeSending), ""},
	Transition{"sending", "sending", on(KindNoticeSending, KindNoticeResent), "further recipients"},
	Transition{"sent", "sending", on(KindNoticeSending, KindNoticeResent), "further recipients, or one again"},
	Transition{"sending", "sent", on(KindNoticeAccepted, KindNoticeBounced, KindNoticeUncertain, KindNoticeWithdrawn, KindNoticeTold), "every delivery is settled"},
)

var deliveryMachine = machine("delivery",
	"One recipient's row. An uncertain delivery is repeated once with the same Message-ID and then left to a person.",
	Transition{start, "owed", on(KindNoticeSending), ""},
	Transition{"withdrawn", "owed", on(KindNoticeSending), "in scope again"},
	Transition{"owed", "trying", on(KindNoticeAttempted), ""},
	Transition{"deferred", "trying", on(KindNoticeAttempted), "its time has come"},
	Transition{"uncertain", "trying", on(KindNoticeAttempted), "once"},
	Transition{"trying", "accepted", on(KindNoticeAccepted), ""},
	Transition{"trying", "deferred", on(KindNoticeDeferred), ""},
	Transition{"owed", "deferred", on(KindNoticeDeferred), "before an attempt"},
	Transition{"deferred", "deferred", on(KindNoticeDeferred), "before an attempt"},
	Transition{"trying", "owed", on(KindNoticeBounced), "the next address"},
	Transition{"owed", "owed", on(KindNoticeBounced), "the next address, before an attempt"},
	Transition{"trying", "bounced", on(KindNoticeBounced), "no address is left"},
	Transition{"owed", "bounced", on(KindNoticeBounced), "before an attempt"},
	Transition{"deferred", "bounced", on(KindNoticeBounced), "given up"},
	Transition{"uncertain", "bounced", on(KindNoticeBounced), "before the second attempt"},
	Transition{"deferred", "owed", on(KindNoticeBounced), "given up: the next address"},
	Transition{"uncertain", "owed", on(KindNoticeBounced), "the next address"},
	Transition{"trying", "no_address", on(KindNoticeBounced), "there was none"},
	Transition{"owed", "no_address", on(KindNoticeBounced), "there was none"},
	Transition{"deferred", "no_address", on(KindNoticeBounced), "there is none any more"},
	Transition{"uncertain", "no_address", on(KindNoticeBounced), "there is none any more"},
	Transition{"uncertain", "deferred", on(KindNoticeDeferred), "before the second attempt"},
	Transition{"trying", "uncertain", on(KindNoticeUncertain), "no answer after the bytes left"},
	Transition{"bounced", "owed", on(KindNoticeResent), "by a person"},
	Transition{"no_address", "owed", on(KindNoticeResent), "by a person"},
	Transition{"uncertain", "owed", on(KindNoticeResent), "by a person"},
	Transition{"bounced", "accepted", on(KindNoticeTold), "a person reached the recipient by another channel"},
	Transition{"no_address", "accepted", on(KindNoticeTold), "a person reached the recipient by another channel"},
	Transition{"uncertain", "accepted", on(KindNoticeTold), "a person reached the recipient by another channel"},
	Transition{"owed", "withdrawn", on(KindNoticeWithdrawn), "no longer in scope, or a false alarm"},
	Transition{"deferred", "withdrawn", on(KindNoticeWithdrawn), "no longer in scope, or a false alarm"},
)

var checkMachine = machine("check",
	"A passed check is stale once something changed after it: it has to pass again.",
	Transition{start, "owed", on(KindCheckAsked), ""},
	Transition{"passed", "owed", on(KindCheckAsked), ""},
	Transition{"failed", "owed", on(KindCheckAsked), ""},
	Transition{"stale", "owed", on(KindCheckAsked), ""},
	Transition{"owed", "running", on(KindCheckAttempted), ""},
	Transition{"running", "passed", on(KindCheckPassed), ""},
	Transition{"running", "failed", on(KindCheckFailed), ""},
	Transition{"running", "owed", on(KindCheckDeferred, KindCheckUncertain), ""},
	Transition{"passed", "stale", on(KindFix, KindActionApplied, KindActionUndone), ""},
)

var pageMachine = machine("page",
	"A page is a call for a person: an escalation of a duty that is still unmet.",
	Transition{start, "owed", on(KindPageOwed), ""},
	Transition{"owed", "sending", on(KindPageAttempted), ""},
	Transition{"sending", "sent", on(KindPageSent), ""},
	Transition{"sending", "owed", on(KindPageDeferred, KindPageUncertain), ""},
	Transition{"sending", "failed", on(KindPageFailed), ""},
)

var correctiveMachine = machine("corrective action",
	"A corrective action is what is changed so that it does not happen again. It outlives the incident: it is moved after the closing too.",
	Transition{start, CorrectiveOpen, on(KindCorrective), ""},
	Transition{CorrectiveOpen, CorrectiveOpen, on(KindCorrectiveMoved), "another owner or date"},
	Transition{CorrectiveOpen, CorrectiveDone, on(KindCorrectiveMoved), ""},
	Transition{CorrectiveOpen, CorrectiveDropped, on(KindCorrectiveMoved), "with a reason"},
	Transition{CorrectiveDone, CorrectiveOpen, on(KindCorrectiveMoved), "it turned out not to be done"},
	Transition{CorrectiveDropped, CorrectiveOpen, on(KindCorrectiveMoved), "taken up again"},
)
