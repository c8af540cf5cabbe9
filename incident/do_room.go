package incident

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/policy"
)

func (w *work) unlinkSignal(c UnlinkSignal) (Reason, error) {
	if err := needID("signal", c.Signal); err != nil {
		return "", err
	}
	if err := checkText("to", c.To, maxID); err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if !slices.ContainsFunc(w.base.Signals, func(g Signal) bool { return g.ID == c.Signal }) {
		if slices.ContainsFunc(w.base.Unlinked, func(g Unlinked) bool { return g.ID == c.Signal }) {
			return ReasonNothingChanged, nil
		}
		return "", refuse(RefusedUnknown, "the incident has no such signal",
			Missing{What: "the id of a signal of " + w.base.ID, Do: "see which there are: tocsin incident show " + w.base.ID})
	}
	w.fact(KindSignalOut, UnlinkedBody{Signal: c.Signal, To: c.To}, own(Reasoned{c.Reason}))
	return ReasonSignalUnlinked, nil
}

// endSignal is told once: a probe that fails again raises a signal of its own.
func (w *work) endSignal(c EndSignal) (Reason, error) {
	if err := needID("signal", c.Signal); err != nil {
		return "", err
	}
	if err := needText("says", c.Says, maxReason); err != nil {
		return "", err
	}
	if err := notLater("at", c.At, w.now); err != nil {
		return "", err
	}
	i := slices.IndexFunc(w.base.Signals, func(g Signal) bool { return g.ID == c.Signal })
	if i < 0 || !w.base.Signals[i].Ended.IsZero() {
		return ReasonNothingChanged, nil
	}
	w.fact(KindSignalEnd, EndedBody{Signal: c.Signal, At: c.At.UTC()}, own(PlainText{c.Says}))
	return ReasonSignalEnded, nil
}

// handOver offers a role. A role that nobody holds is assigned; only one that is held is handed over.
func (w *work) handOver(c HandOver) (Reason, error) {
	if err := needID("person", string(c.Person)); err != nil {
		return "", err
	}
	if !strings.HasPrefix(string(c.Person), "person:") {
		return "", invalid("person", "must be a principal such as person:lena")
	}
	if err := needText("note", c.Note, maxReason); err != nil {
		return "", err
	}
	if !slices.ContainsFunc(w.p.Roles, func(r policy.Role) bool { return r.ID == c.Role }) {
		return "", invalid("role", "the policy has no such role")
	}
	holder, offer := w.base.Roles[c.Role], w.base.Offers[c.Role]
	switch {
	case holder == "":
		return "", refuse(RefusedState, "nobody holds the role "+c.Role+", so nobody can hand it over",
			Missing{What: "a holder of the role", Do: w.do("assign it", "assign", c.Role+" "+strings.TrimPrefix(string(c.Person), "person:"))})
	case holder != w.ctx.Actor.Principal && !w.leads():
		return "", w.refuseLead("handing over a role of another person")
	case holder == c.Person && offer == nil, offer != nil && offer.Person == c.Person:
		return ReasonNothingChanged, nil
	case holder == c.Person:
		w.fact(KindOffered, OfferedBody{Role: c.Role}, own(PlainText{c.Note}))
		return ReasonOfferWithdrawn, nil
	}
	if err := w.mustRead(c.Person); err != nil {
		return "", err
	}
	w.fact(KindOffered, OfferedBody{Role: c.Role, Person: c.Person}, own(PlainText{c.Note}))
	// One call for each offer: the number of facts before it tells two offers of one role apart.
	w.tick(KindPageOwed, w.now, PageBody{Page: fmt.Sprintf("%s%s/%d", handOverPage, c.Role, w.base.Version+1), State: PageOwed, Role: c.Role, For: []Principal{c.Person}, N: 1})
	return ReasonOffered, nil
}

// handOverPage begins the id of a call that tells a person that a role is offered to them.
const handOverPage = "handover/"

// HandsOver reports whether a page tells somebody that a role is offered to them.
func (p *Page) HandsOver() bool { return strings.HasPrefix(p.ID, handOverPage) }

func (w *work) acceptRole(c AcceptRole) (Reason, error) {
	if err := needID("role", c.Role); err != nil {
		return "", err
	}
	me, offer := w.ctx.Actor.Principal, w.base.Offers[c.Role]
	switch {
	case w.base.Roles[c.Role] == me:
		return ReasonNothingChanged, nil
	case offer == nil:
		return "", refuse(RefusedState, "the role "+c.Role+" is not being handed over",
			Missing{What: "an offer of the role", Do: w.do("have its holder hand it over", "hand-over", c.Role+" PERSON --note …")})
	case offer.Person != me:
		return "", refuse(RefusedAccess, "the role "+c.Role+" was offered to somebody else",
			Missing{What: "the acceptance of " + string(offer.Person), Do: "wait for them, or ask the holder to offer it to you"})
	}
	w.fact(KindAssigned, AssignedBody{Role: c.Role, Person: me})
	return ReasonAssigned, nil
}

func (w *work) hold(c PlaceHold) (Reason, error) {
	if err := needText("what", c.What, maxReason); err != nil {
		return "", err
	}
	if err := needText("basis", c.Basis, maxReason); err != nil {
		return "", err
	}
	if !c.Until.IsZero() && !c.Until.After(w.now) {
		return "", invalid("until", "lies in the past: a hold ends later, or never")
	}
	if len(w.base.Holds) >= maxItems {
		return "", invalid("what", "the incident has %d holds already", maxItems)
	}
	id := fmt.Sprintf("HLD-%d", len(w.base.Holds)+1)
	w.fact(KindHeld, HoldBody{Hold: id, Until: c.Until.UTC()}, own(HoldText{What: c.What, Basis: c.Basis}))
	return ReasonHeld, nil
}

func (w *work) releaseHold(c ReleaseHold) (Reason, error) {
	if err := needID("hold", c.Hold); err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	i := slices.IndexFunc(w.base.Holds, func(h *Hold) bool { return h.ID == c.Hold })
	switch {
	case i < 0:
		return "", refuse(RefusedUnknown, "the incident has no such hold",
			Missing{What: "the id of a hold of " + w.base.ID, Do: "see which there are: tocsin incident show " + w.base.ID})
	case w.base.Holds[i].Released != nil:
		return ReasonNothingChanged, nil
	case !w.leads():
		return "", w.refuseLead("releasing a hold")
	}
	w.fact(KindReleased, HoldBody{Hold: c.Hold}, own(Reasoned{c.Reason}))
	return ReasonReleased, nil
}

// MaxAttachments is how many files one incident keeps.
const MaxAttachments = maxItems

// maxAttached is how many bytes the files of one incident have together: an export carries them all.
const maxAttached = 256 << 20

var fileDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (w *work) attach(c Attach) (Reason, error) {
	if err := needText("name", c.File, maxTitle); err != nil {
		return "", err
	}
	if err := needText("note", c.Note, maxReason); err != nil {
		return "", err
	}
	if !fileDigest.MatchString(c.Digest) || c.Bytes < 0 {
		return "", invalid("digest", "must be sha256: and 64 hexadecimal digits")
	}
	if slices.ContainsFunc(w.base.Attachments, func(a Attachment) bool { return a.Digest == c.Digest }) {
		return ReasonAlreadyAttached, nil
	}
	kept := c.Bytes
	for _, a := range w.base.Attachments {
		kept += a.Bytes
	}
	if kept > maxAttached {
		return "", refuse(RefusedState, fmt.Sprintf("the files of the incident would be larger than %d MiB together", maxAttached>>20),
			Missing{What: "room for another file", Do: "keep it elsewhere, and note its digest and place: tocsin incident note " + w.base.ID})
	}
	if len(w.base.Attachments) >= MaxAttachments {
		return "", refuse(RefusedState, fmt.Sprintf("the incident keeps %d files already", MaxAttachments),
			Missing{What: "room for another file", Do: "put several files into one archive and attach that"})
	}
	id := fmt.Sprintf("ATT-%d", len(w.base.Attachments)+1)
	w.fact(KindAttached, AttachedBody{Attachment: id, Digest: c.Digest, Bytes: c.Bytes}, own(AttachedText{Name: c.File, Note: c.Note}))
	return ReasonAttached, nil
}
