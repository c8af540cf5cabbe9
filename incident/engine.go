package incident

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// Decide says what a command leads to: the facts to append, with the named reason, or a *Refusal.
// An error that is no refusal is a *FieldError for a command that makes no sense, or says that the
// state contradicts itself. Decide reads only its arguments and changes none of them.
//
// s is nil, or has no facts, for an incident that is not open yet. After the command's own facts
// come those that the clocks owe at ctx.Now.
func Decide(p *policy.Program, s *State, c Command, ctx Context) (Decision, error) {
	switch {
	case p == nil:
		return Decision{}, errors.New("incident: no policy to decide by")
	case c == nil:
		return Decision{}, errors.New("incident: no command")
	case ctx.Now.IsZero():
		return Decision{}, errors.New("incident: no instant to decide at")
	case ctx.Actor.Principal == "":
		return Decision{}, &FieldError{Field: "principal", Problem: "a command has to come from somebody"}
	}
	if s == nil {
		s = NewState("")
	}
	if ctx.Versions.Policy == "" {
		ctx.Versions.Policy = p.Hash
	}
	if p.Laws != nil {
		ctx.Versions.Regimes = p.Laws.Version()
	}
	w := &work{p: p, s: s, base: s, ctx: ctx, now: ctx.Now.UTC().Round(0), timer: newTimer(p)}
	if s.Updated.After(w.now) {
		w.now = s.Updated // a node whose clock is behind cannot decide in the past of a recorded fact
	}
	if err := w.admit(c); err != nil {
		return Decision{}, err
	}
	reason, err := w.guard(c)
	if err == nil {
		if reason, err = w.run(c); err == nil {
			w.passed(c)
		}
	}
	if w.broken != nil {
		return Decision{}, w.broken
	}
	if err != nil {
		var refused *Refusal
		if errors.As(err, &refused) {
			return Decision{Reason: refused.Reason, Facts: w.facts}, err
		}
		return Decision{}, err
	}
	if err := w.settle(); err != nil {
		return Decision{}, err
	}
	if _, tick := c.(Tick); tick && len(w.facts) > 0 {
		reason = ReasonClockDue
	}
	return Decision{Reason: reason, Facts: w.facts}, nil
}

var _ decider = Decide

// work is one decision under way.
type work struct {
	p     *policy.Program
	base  *State // as given; never written to
	s     *State // base, or a fork of it with the facts so far
	ctx   Context
	now   time.Time
	timer *timer
	byID  map[string]*policy.Duty // the policy's duties, once somebody has asked for one

	facts    []Fact
	folded   int // facts that s holds
	reach    reach
	told     []told
	settling bool  // from here on settle says what to look at
	broken   error // a fact of our own that does not fold: a bug, reported and never appended
}

// told is a delivery that this decision records as accepted.
type told struct{ notice, recipient string }

// reach says how much of the clocks the facts of a decision can have changed.
type reach int

const (
	byTime      reach = iota // nothing but the time
	byDelivery               // a mail was accepted: that recipient's duties may be met
	byRecipient              // and what follows for the same recipient
	byAll                    // anything a condition or an anchor may read
)

// reachOf sorts kinds into those that no condition and no anchor can see, and the rest.
func reachOf(k Kind) reach {
	switch k {
	case KindNote, KindSignal, KindSignalOut, KindSignalEnd, KindAssigned, KindOffered, KindHeld, KindReleased, KindAttached, KindRestricted, KindGranted, KindAccessRevoked, KindGlass, KindSplit, KindSplitFrom, KindSwitch, KindGateRefused, KindWaiver, KindExported, KindCorrective, KindCorrectiveMoved, KindEntryPicked, KindEntryDropped,
		KindActionAttempted, KindActionDeferred,
		KindNoticeDrafted, KindNoticeApproved, KindNoticeSending, KindNoticeWithdrawn, KindNoticeAttempted,
		KindNoticeDeferred, KindNoticeBounced, KindNoticeUncertain, KindNoticeResent,
		KindCheckAttempted, KindCheckDeferred,
		KindPageOwed, KindPageAttempted, KindPageSent, KindPageDeferred, KindPageFailed, KindPageUncertain,
		KindDutyAtRisk:
		return byTime
	case KindNoticeAccepted:
		return byDelivery
	}
	return byAll
}

// reachOf is reachOf for this policy: a signed notice may be all that a gate's signers are waited
// for, and that a duty is at risk may be what another counts from.
func (w *work) reachOf(k Kind) reach {
	switch k {
	case KindNoticeAccepted:
		if len(w.base.Merged) > 0 {
			return byAll // one letter may meet a carried duty beside that of this incident
		}
	case KindNoticeApproved:
		if slices.ContainsFunc(w.p.Gates, func(g policy.Gate) bool { return len(g.Sign) > 0 && guardNames("send", g.Guards) }) {
			return byAll
		}
	case KindActionPlanned, KindGateSigned, KindAttested:
		return byAll
	case KindSignal, KindSignalOut: // a probe's signal is a further check
		if anyCondition(w.p, func(c *policy.Condition) bool { return strings.Contains(c.Source, "checks") }) {
			return byAll
		}
	case KindDutyAtRisk:
		if readsLate(w.p) {
			return byAll
		}
	}
	return reachOf(k)
}

// readsLate reports whether anything of the policy counts from or asks whether a duty is late.
func readsLate(p *policy.Program) bool {
	late := func(list []policy.Clock) bool {
		return slices.ContainsFunc(list, func(c policy.Clock) bool {
			return slices.ContainsFunc(c.Anchor.Names, func(n string) bool { return strings.HasSuffix(n, ".late") })
		})
	}
	for i := range p.Duties {
		if late(p.Duties[i].Due) || late(p.Duties[i].Floor) {
			return true
		}
	}
	return anyCondition(p, func(c *policy.Condition) bool { return strings.Contains(c.Source, ".late") })
}

// fact adds a fact of the caller's.
func (w *work) fact(kind Kind, body any, parts ...Part) {
	w.add(kind, w.ctx.Actor.Principal, w.now, body, parts...)
}

// rule adds a fact that follows from the policy.
func (w *work) rule(kind Kind, occurred time.Time, body any, parts ...Part) {
	w.add(kind, Principal("policy:"+w.p.ID), occurred, body, parts...)
}

// tick adds a fact that happened because time passed.
func (w *work) tick(kind Kind, occurred time.Time, body any, parts ...Part) {
	w.add(kind, Clock, occurred, body, parts...)
}

func (w *work) add(kind Kind, who Principal, occurred time.Time, body any, parts ...Part) {
	f := Fact{
		Kind: kind, Chain: w.base.ID, Apps: w.base.Apps, Env: w.base.Env, Principal: who,
		Occurred: occurred.UTC(), Recorded: w.now, Versions: w.ctx.Versions, Causes: w.ctx.Causes,
		Body: emptyBody, Parts: parts,
	}
	if !w.base.isOpened() {
		f.Env = w.ctx.Env
		if len(w.facts) > 0 {
			f.Apps = w.facts[0].Apps
		}
	}
	if body != nil {
		f.Body = part("", body).Body
	}
	w.facts = append(w.facts, f)
	if !w.settling {
		w.reach = max(w.reach, w.reachOf(kind))
	}
}

// state is the state with every fact so far. The first call that has something to fold forks.
func (w *work) state() *State {
	if w.folded == len(w.facts) {
		return w.s
	}
	if w.folded == 0 {
		w.s = w.base.fork()
	}
	for ; w.folded < len(w.facts); w.folded++ {
		var err error
		if w.s, err = Fold(w.s, w.facts[w.folded]); err != nil && w.broken == nil {
			w.broken = err
		}
	}
	return w.s
}

// settle appends what the clocks owe until nothing more follows. Each round records at most one
// step per duty, so a policy of n duties settles in about as many rounds; one that does not is
// reported instead of running for ever.
func (w *work) settle() error {
	last := w.base.Computed
	if w.base.isOpened() && (last.Policy != w.ctx.Versions.Policy || last.Engine != w.ctx.Versions.Engine || last.Regimes != w.ctx.Versions.Regimes) {
		w.reach = byAll // another engine or policy than last time may compute otherwise
	}
	if w.base.isOpened() {
		w.pass(w.state()) // a turning point counts whether a timer fired or not
	}
	w.settling = true
	for range mostRounds + 8*len(w.p.Duties) {
		n := len(w.facts)
		switch w.reach {
		case byAll:
			w.judgeAll()
		case byRecipient:
			w.judgeRecipients()
		case byDelivery:
			w.judgeTold()
			w.judgeTime()
		default:
			w.judgeTime()
		}
		if w.broken != nil {
			return w.broken
		}
		more := false
		if w.reach, more = w.next(w.facts[n:]); !more {
			return nil
		}
	}
	return fmt.Errorf("incident: the clocks of policy %s do not settle: two duties wait for each other", w.p.ID)
}

// mostRounds bounds how often the clocks are looked at in one decision. A duty of every day that
// nobody looked at for years takes a round for each day.
const mostRounds = 4096

// next says how far the facts of a round reach, and whether another round is needed.
func (w *work) next(fresh []Fact) (reach, bool) {
	far := false // something else than a met duty that others may see
	for _, f := range fresh {
		if w.reachOf(f.Kind) == byAll && f.Kind != KindDutyMet {
			far = true
		}
	}
	switch w.reach {
	case byAll:
		return byAll, len(fresh) > 0
	case byTime:
		return byAll, far
	case byDelivery:
		switch {
		case far || w.lastTold():
			return byAll, true
		case w.followed():
			return byRecipient, true
		}
		return byDelivery, false
	}
	if len(fresh) == 0 {
		return byRecipient, false
	}
	if sumsDiffer(w.p, w.base, w.state()) {
		return byAll, true
	}
	return byRecipient, true
}

// lastTold reports whether the deliveries of this decision may be the last that a duty waited for.
func (w *work) lastTold() bool {
	for i := range w.p.Duties {
		d := &w.p.Duties[i]
		if !tells(d) {
			continue
		}
		sums := w.base.Tally[d.ID]
		if sums == nil || sums.Open == 0 || sums.Open > len(w.told) {
			continue
		}
		for _, t := range w.told {
			if d.Every != nil || w.base.Duties[dutyKey(d.ID, t.recipient, 0)] != nil {
				return true
			}
		}
	}
	return false
}

// followed reports whether telling a recipient can start something else for the same recipient.
func (w *work) followed() bool {
	for i := range w.p.Duties {
		if w.p.Duties[i].Every != nil || perRecipient(w.p, &w.p.Duties[i]) {
			return true
		}
	}
	return false
}

// sumsDiffer reports whether any duty as a whole started, was met or was missed in between: only
// then can a change for one recipient reach the others.
func sumsDiffer(p *policy.Program, a, b *State) bool {
	for i := range p.Duties {
		id := p.Duties[i].ID
		was, is := a.Tally[id], b.Tally[id]
		if was == is {
			continue
		}
		if was == nil {
			return true
		}
		for _, event := range dutyEvents {
			if !was.instant(event).Equal(is.instant(event)) {
				return true
			}
		}
	}
	return false
}

// run gives the command to the function that knows it.
func (w *work) run(c Command) (Reason, error) {
	switch c := c.(type) {
	case Open:
		return w.open(c)
	case AddSignal:
		return w.addSignal(c)
	case Acknowledge:
		return w.acknowledge()
	case Confirm:
		return w.confirm(c)
	case Dismiss:
		return w.dismiss(c)
	case Reopen:
		return w.reopen(c)
	case Mark:
		return w.mark(c)
	case Correct:
		return w.correct(c)
	case Answer:
		return w.answer(c)
	case SetSeverity:
		return w.setSeverity(c)
	case Assign:
		return w.assign(c)
	case Note:
		return w.note(c)
	case RecordSwitch:
		return w.recordSwitch(c)
	case RecordScope:
		return w.recordScope(c)
	case AdjustScope:
		return w.adjustScope(c)
	case PlanAction:
		return w.planAction(c)
	case ApproveAction:
		return w.approveAction(c)
	case CancelAction:
		return w.cancelAction(c)
	case UndoActionCmd:
		return w.undoAction(c)
	case ReportAttempt:
		return w.reportAttempt(c)
	case ReportResult:
		return w.reportResult(c)
	case DraftNotice:
		return w.draftNotice(c)
	case ApproveNotice:
		return w.approveNotice(c)
	case SendNotice:
		return w.sendNotice(c)
	case ResendNotice:
		return w.resendNotice(c)
	case RunChecks:
		return w.runChecks(c)
	case RecordFix:
		return w.recordFix(c)
	case VerifyFix:
		return w.verifyFix(c)
	case RestoreService:
		return w.restore(c)
	case Sign:
		return w.sign(c)
	case Assess:
		return w.assess(c)
	case EditReview:
		return w.editReview(c)
	case AddCorrective:
		return w.addCorrective(c)
	case MoveCorrective:
		return w.moveCorrective(c)
	case PickEntry:
		return w.pickEntry(c)
	case DropEntry:
		return w.dropEntry(c)
	case PublishReview:
		return w.publish(c)
	case Waive:
		return w.waive(c)
	case Close:
		return w.close(c)
	case Tick:
		w.expire()
		w.remind()
		w.reachAgain()
		return ReasonNothingChanged, nil
	case SetScale:
		return w.setScale(c)
	case RecordDirectory:
		return w.recordDirectory(c)
	case Complete:
		return w.complete(c)
	case Told:
		return w.toldOtherwise(c)
	case Attest:
		return w.attest(c)
	case Override:
		return w.override(c)
	case MovePolicy:
		return w.movePolicy(c)
	case BeginProgramme:
		return w.beginProgramme()
	case RecordEvent:
		return w.recordEvent(c)
	case RecordExport:
		return w.recordExport(c)
	case Snapshot:
		return w.snapshot(c)
	case EndSignal:
		return w.endSignal(c)
	case UnlinkSignal:
		return w.unlinkSignal(c)
	case HandOver:
		return w.handOver(c)
	case AcceptRole:
		return w.acceptRole(c)
	case PlaceHold:
		return w.hold(c)
	case ReleaseHold:
		return w.releaseHold(c)
	case Attach:
		return w.attach(c)
	case Restrict:
		return w.restrict(c)
	case Grant:
		return w.grant(c)
	case RevokeAccess:
		return w.revokeAccess(c)
	case BreakGlass:
		return w.breakGlass(c)
	case Merge:
		return w.merge(c)
	case EndMerged:
		return w.endMerged(c)
	case SplitOff:
		return w.splitOff(c)
	}
	return "", fmt.Errorf("incident: no such command: %q", c.Name())
}
