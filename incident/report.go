package incident

import (
	"fmt"
	"strings"
	"time"
)

// Bounds on what the engine tries by itself before it leaves a thing to a person.
const (
	maxApplies       = 5  // attempts to apply one action
	maxUnsureConfirm = 12 // uncertain readings of the remote state in a row
	maxUnsureUndo    = 2
	maxUnsureCheck   = 3
	maxUnsurePage    = 2
)

// report is what a worker says about one effect, with what the state knows of it.
type report struct {
	effect    Effect
	owed      bool   // it is owed now, under this id
	attempted string // id of the attempt in flight, "" when none
}

// look finds what an effect is about.
func (w *work) look(e Effect) (r report, err error) {
	r.effect = e
	var owed Effect
	switch e.Kind {
	case EffectApply, EffectConfirm, EffectUndo:
		a := w.base.action(e.Action)
		if a == nil {
			return r, invalid("effect.action", "there is no such action")
		}
		owed, r.owed = owedAction(w.base, a)
		r.attempted = a.Attempted
	case EffectSend:
		n := w.base.notice(e.Notice)
		if n == nil || n.Deliveries[e.Party] == nil {
			return r, invalid("effect.party", "there is no such delivery")
		}
		d := n.Deliveries[e.Party]
		owed, r.owed = owedDelivery(w.base, n, d)
		r.attempted = d.Attempted
	case EffectCheck:
		c := w.base.Checks[e.Check]
		if c == nil {
			return r, invalid("effect.check", "there is no such check")
		}
		owed, r.owed = owedCheck(w.base, c)
		r.attempted = c.Attempted
	case EffectPage:
		p := w.base.Pages[pageOf(e)]
		if p == nil {
			return r, invalid("effect.id", "there is no such page")
		}
		owed, r.owed = owedPage(w.base, p)
		r.attempted = p.Attempted
	default:
		return r, invalid("effect.kind", "is not a kind of effect")
	}
	r.owed = r.owed && owed.ID == e.ID
	return r, nil
}

// PageOf is the page that an effect carries out, or nil.
func PageOf(s *State, e Effect) *Page {
	if s == nil || e.Kind != EffectPage {
		return nil
	}
	return s.Pages[pageOf(e)]
}

// pageOf takes the page's id out of the effect's: page/INCIDENT/ID/ATTEMPT.
func pageOf(e Effect) string {
	id := strings.TrimPrefix(e.ID, "page/"+e.Incident+"/")
	if i := strings.LastIndexByte(id, '/'); i >= 0 {
		return id[:i]
	}
	return id
}

// reportAttempt makes an attempt a fact before the bytes leave. Only one worker gets
// ReasonAttempt for an effect; everybody else is told not to act.
func (w *work) reportAttempt(c ReportAttempt) (Reason, error) {
	for _, f := range []struct{ field, value string }{{"address", c.Address}, {"message_id", c.Message}, {"digest", c.Digest}, {"via", c.Via}} {
		if err := checkText(f.field, f.value, maxReason); err != nil {
			return "", err
		}
	}
	if err := checkText("checkpoint", c.Point, maxText); err != nil {
		return "", err
	}
	r, err := w.look(c.Effect)
	if err != nil {
		return "", err
	}
	if r.attempted == c.Effect.ID {
		return ReasonAlreadyAttempt, nil
	}
	if !r.owed {
		return ReasonNotOwed, nil
	}
	if c.Scopes > 0 && c.Scopes != len(w.base.Scopes) {
		return ReasonScopeMoved, nil
	}
	e := c.Effect
	switch e.Kind {
	case EffectSend:
		n := w.base.notice(e.Notice)
		body, merchant := w.deliveryBody(n, e.Party, DeliveryTrying)
		body.Via = c.Via
		w.fact(KindNoticeAttempted, body, part(merchant, DeliveryPart{
			Effect: e.ID, Address: c.Address, Index: n.Deliveries[e.Party].Address, MessageID: c.Message, Digest: c.Digest, Point: c.Point,
		}))
	case EffectCheck:
		w.fact(KindCheckAttempted, CheckBody{Check: e.Check, State: CheckRunning, Run: w.base.Checks[e.Check].Run, Effect: e.ID})
	case EffectPage:
		p := w.base.Pages[pageOf(e)]
		w.fact(KindPageAttempted, PageBody{Page: p.ID, State: PageSending, Duty: p.Duty, Role: p.Role, Effect: e.ID, To: c.To})
	default:
		a := w.base.action(e.Action)
		w.fact(KindActionAttempted, ActionBody{Action: a.ID, State: a.State, Effect: e.ID})
	}
	return ReasonAttempt, nil
}

// reportResult records what came of an effect. The same result twice changes nothing. A result
// without an attempt is taken only when it says that nothing left the house.
func (w *work) reportResult(c ReportResult) (Reason, error) {
	switch c.Outcome {
	case Done, Failed, Deferred, Uncertain:
	default:
		return "", invalid("outcome", "must be done, failed, deferred or uncertain")
	}
	for _, f := range []struct{ field, value string }{{"detail", c.Detail}, {"code", c.Code}, {"proof", c.Proof}} {
		if err := checkText(f.field, f.value, maxReason); err != nil {
			return "", err
		}
	}
	r, err := w.look(c.Effect)
	if err != nil {
		return "", err
	}
	if r.attempted != c.Effect.ID {
		if !r.owed {
			return ReasonAlreadyReported, nil
		}
		early := c.Effect.Kind == EffectSend && (c.Outcome == Failed || c.Outcome == Deferred)
		if !early {
			return "", refuse(RefusedNotAttempted, "a result without an attempt is not taken",
				Missing{What: "the attempt " + c.Effect.ID, Do: "report the attempt first"})
		}
	}
	switch c.Effect.Kind {
	case EffectSend:
		w.sent(c)
	case EffectCheck:
		w.checked(c)
	case EffectPage:
		w.paged(c)
	default:
		w.acted(c)
	}
	return ReasonResult, nil
}

func (w *work) deliveryBody(n *Notice, recipient string, to DeliveryState) (DeliveryBody, string) {
	b := DeliveryBody{Notice: n.ID, State: to}
	if w.isMerchantNotice(n) {
		return b, recipient
	}
	b.Party = recipient
	return b, ""
}

// sent records the outcome of one mail. Bounced goes on to the recipient's next address while
// there is one; uncertain is repeated once with the same Message-ID and then left to a person.
func (w *work) sent(c ReportResult) {
	n := w.base.notice(c.Effect.Notice)
	d := n.Deliveries[c.Effect.Party]
	body, merchant := w.deliveryBody(n, c.Effect.Party, "")
	body.Code, body.Seen = c.Code, c.At.UTC()
	p := DeliveryPart{Effect: c.Effect.ID, Index: d.Address, Detail: c.Detail, Proof: c.Proof}
	var kind Kind
	switch c.Outcome {
	case Done:
		kind, body.State = KindNoticeAccepted, DeliveryAccepted
		w.told = append(w.told, told{n.ID, c.Effect.Party})
	case Deferred:
		kind, body.State, body.Retry = KindNoticeDeferred, DeliveryDeferred, c.Retry.UTC()
	case Uncertain:
		kind, body.State, body.Retry = KindNoticeUncertain, DeliveryUncertain, c.Retry.UTC()
	default:
		kind, body.State = KindNoticeBounced, DeliveryBounced
		switch {
		case d.Address+1 < c.Addresses:
			body.State, p.Index = DeliveryOwed, d.Address+1
		case c.Code == "no_address":
			body.State = DeliveryNoAddress
		}
	}
	w.fact(kind, body, part(merchant, p))
}

func (w *work) acted(c ReportResult) {
	a := w.base.action(c.Effect.Action)
	body := ActionBody{Action: a.ID, State: a.State, Effect: c.Effect.ID, Code: c.Code, Seen: c.At.UTC()}
	if c.Outcome == Deferred || c.Outcome == Uncertain {
		body.Retry = c.Retry.UTC()
	}
	kind := KindActionDeferred
	switch {
	case c.Outcome == Deferred:
	case a.State == ActionApproved:
		switch c.Outcome {
		case Done:
			kind, body.State = KindActionApplied, ActionApplied
		case Failed:
			kind, body.State = KindActionFailed, ActionFailed
		default:
			kind, body.State = KindActionUncertain, ActionUncertain
		}
	case a.State == ActionUndoing:
		switch {
		case c.Outcome == Done:
			kind, body.State = KindActionUndone, ActionUndone
		case c.Outcome == Failed || a.Unsure+1 >= maxUnsureUndo:
			kind, body.State = KindActionFailed, a.Prior
		default:
			kind = KindActionUncertain
		}
	case c.Outcome == Done:
		kind, body.State = KindActionProven, ActionProven
	case c.Outcome == Uncertain && a.Unsure+1 < maxUnsureConfirm:
		kind = KindActionUncertain
	case a.State == ActionApplied:
		kind, body.State = KindActionUnproven, ActionUnproven
	case c.Outcome == Failed && a.Applies < maxApplies:
		// The remote state was read: the attempt had not taken effect, so it is safe to try again.
		kind, body.State = KindActionUnproven, ActionApproved
	default:
		kind, body.State = KindActionFailed, ActionFailed
	}
	w.fact(kind, body, own(ResultText{Proof: c.Proof, Detail: c.Detail}))
}

func (w *work) checked(c ReportResult) {
	k := w.base.Checks[c.Effect.Check]
	body := CheckBody{Check: k.ID, Run: k.Run, Effect: c.Effect.ID, Code: c.Code, Seen: c.At.UTC()}
	var kind Kind
	switch {
	case c.Outcome == Done:
		kind, body.State = KindCheckPassed, CheckPassed
	case c.Outcome == Deferred:
		kind, body.State, body.Retry = KindCheckDeferred, CheckOwed, c.Retry.UTC()
	case c.Outcome == Uncertain && k.Unsure+1 < maxUnsureCheck:
		kind, body.State, body.Retry = KindCheckUncertain, CheckOwed, c.Retry.UTC()
	default:
		kind, body.State = KindCheckFailed, CheckFailed
	}
	w.fact(kind, body, own(ResultText{Proof: c.Proof, Detail: c.Detail}))
}

func (w *work) paged(c ReportResult) {
	p := w.base.Pages[pageOf(c.Effect)]
	body := PageBody{Page: p.ID, Duty: p.Duty, Role: p.Role, Effect: c.Effect.ID, Code: c.Code, Seen: c.At.UTC()}
	var kind Kind
	switch {
	case c.Outcome == Done:
		kind, body.State = KindPageSent, PageSent
	case c.Outcome == Deferred:
		kind, body.State, body.Retry = KindPageDeferred, PageOwed, c.Retry.UTC()
	case c.Outcome == Uncertain && p.Unsure+1 < maxUnsurePage:
		kind, body.State, body.Retry = KindPageUncertain, PageOwed, c.Retry.UTC()
	default:
		kind, body.State = KindPageFailed, PageFailed
	}
	w.fact(kind, body)
}

// utc keeps a zero time zero.
func utc(t time.Time) string {
	if t.IsZero() {
		return "no time"
	}
	return fmt.Sprint(t.UTC().Format("2006-01-02 15:04:05 UTC"))
}
