package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// Merge takes another incident into this one. The desk gives what the other is; a caller names it.
type Merge struct {
	From   string `json:"from"` // the incident that ends as a part of this one
	Reason string `json:"reason"`
	Other  *State `json:"-"`
	Hash   string `json:"-"` // of its newest fact
}

// EndMerged ends an incident as a part of another, which took it in in the same transaction.
type EndMerged struct {
	Into   string `json:"into"`
	Reason string `json:"reason"`
}

func (Merge) Name() string     { return "merge" }
func (EndMerged) Name() string { return "end-merged" }

// maxMerged bounds how many incidents one takes in.
const maxMerged = 50

func (w *work) merge(c Merge) (Reason, error) {
	if err := needID("from", c.From); err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	a, b := w.base, c.Other
	switch {
	case c.From == a.ID:
		return "", invalid("from", "is this incident itself")
	case b == nil || !b.isOpened() || !Sees(b, w.ctx.Actor.Principal, w.ctx.Actor.Access):
		return "", refuseUnknown()
	case b.Into != nil && b.Into.Into == a.ID:
		return ReasonAlreadyMerged, nil
	}
	if missing := w.mergeMissing(a, b); len(missing) > 0 {
		return "", refuse(RefusedState, fmt.Sprintf("%s cannot be merged into %s yet", b.ID, a.ID), missing...)
	}
	// What the merging says of the clocks of this incident is tried first. Whatever it would take from
	// them, or put off, is left out; where the union of both scopes does, the clock stands as it was.
	without := w.lostBy(b, c, nil)
	var adjust []Fact
	for _, f := range w.adjustments(b, c) {
		if len(without) > 0 || len(w.lostBy(b, c, append(slices.Clip(adjust), f))) == 0 {
			adjust = append(adjust, f)
		}
	}
	lost := w.lostBy(b, c, adjust)
	if len(lost) > 0 && len(without) > 0 {
		adjust, lost = nil, without
	}
	w.takeIn(b, c, adjust, lost)
	return ReasonMerged, nil
}

// takeIn records the other incident, its clocks, and what they change here.
func (w *work) takeIn(b *State, c Merge, adjust []Fact, lost []*DutyInstance) {
	w.mergedIn(b, c)
	var j judgement
	for _, d := range sortDuties(w.p, owedIn(b)) {
		w.carry(&j, b, d, b.ID)
	}
	for _, d := range sortDuties(w.p, lost) {
		w.carry(&j, w.base, d, w.base.ID)
	}
	j.emit(w)
	for _, f := range adjust {
		w.facts = append(w.facts, f)
		w.reach = max(w.reach, w.reachOf(f.Kind))
	}
	w.readDirectory(slices.Collect(func(yield func(Recipient) bool) {
		for _, r := range b.Directory {
			if !yield(*r) {
				return
			}
		}
	}))
}

// lostBy is which duties of this incident would be owed no more, or later, if it took the other in
// with these facts. It decides on a copy.
func (w *work) lostBy(b *State, c Merge, adjust []Fact) []*DutyInstance {
	try := &work{p: w.p, s: w.base, base: w.base, ctx: w.ctx, now: w.now, timer: newTimer(w.p)}
	try.takeIn(b, c, adjust, nil)
	if err := try.settle(); err != nil {
		w.broken = err
		return nil
	}
	return Lost(w.base, try.state())
}

// Lost lists the duties that were owed before and are owed no more, or later, and that nothing has
// met: what no merging may bring about.
func Lost(before, after *State) []*DutyInstance {
	var list []*DutyInstance
	for _, key := range sortedKeys(before.Duties) {
		was, is := before.Duties[key], after.Duties[key]
		if !was.owing() || is != nil && (is.met() || is.State == DutyWaived) {
			continue
		}
		if is != nil && is.Cause == "scope_known" && named(after, was) {
			continue
		}
		if is == nil || !is.owing() || later(was.Due, is.Due) || was.Due.IsZero() && later(was.Target, is.Target) {
			list = append(list, was)
		}
	}
	return list
}

// named reports whether what was owed to nobody in particular is owed to merchants by name, as early.
func named(s *State, was *DutyInstance) bool {
	found := false
	for _, d := range s.Duties {
		if d.Duty != was.Duty || d.Recipient == "" || d.From != "" {
			continue
		}
		if later(was.Due, d.Due) && !d.met() {
			return false
		}
		found = true
	}
	return found
}

func later(was, is time.Time) bool { return !was.IsZero() && (is.IsZero() || is.After(was)) }

// mergeMissing lists everything that stands in the way of taking b into a.
func (w *work) mergeMissing(a, b *State) []Missing {
	var out []Missing
	add := func(what, do string) { out = append(out, Missing{What: what, Do: do}) }
	switch {
	case b.Into != nil:
		add(b.ID+" is merged into "+b.Into.Into, "merge that one: tocsin incident merge "+a.ID+" "+b.Into.Into)
	case b.Status != StatusOpen:
		add(b.ID+" is "+string(b.Status), doLine(b, "take it up again", "reopen", "--reason …"))
	}
	if a.Env != b.Env {
		add(fmt.Sprintf("%s is of %s and %s of %s", a.ID, a.Env, b.ID, b.Env), "leave them apart: a rehearsal is no part of an incident")
	}
	if a.Policy != b.Policy {
		add("they run under different policies", doLine(b, "move it to the policy of "+a.ID, "move-policy", "--reason …"))
	}
	out = append(out, sameReaders(a, b)...)
	for _, s := range []*State{a, b} {
		if w.ctx.Actor.Access != Owner && !slices.Contains(w.ctx.Actor.Roles, "lead") && s.Roles["lead"] != w.ctx.Actor.Principal {
			add("the role lead of "+s.ID, doLine(s, "have the lead do it, or assign the role", "assign", "lead PERSON"))
		}
	}
	if len(a.Merged) >= maxMerged {
		add(fmt.Sprintf("%s has taken in %d incidents, which is the most", a.ID, maxMerged), "merge into another incident")
	}
	for _, x := range b.Actions {
		if _, owed := owedAction(b, x); owed || x.Attempted != "" {
			add(fmt.Sprintf("%s of %s is %s: its outcome is not known yet", x.ID, b.ID, x.State), doLine(b, "wait for it, or cancel it", "cancel", x.ID))
		}
	}
	for _, n := range b.Notices {
		if n.Open > 0 {
			add(fmt.Sprintf("%s of %s is still being sent to %s", n.ID, b.ID, count(n.Open, "recipient", "recipients")), "wait for it: tocsin incident show "+b.ID)
		}
	}
	return out
}

// sameReaders: a merging shows each incident's content to the readers of the other, so both are known
// to the same people.
func sameReaders(a, b *State) []Missing {
	var out []Missing
	for _, pair := range [][2]*State{{a, b}, {b, a}} {
		s, other := pair[0], pair[1]
		if s.Private == nil {
			continue
		}
		if other.Private == nil {
			out = append(out, Missing{What: s.ID + " is private and " + other.ID + " is not", Do: doLine(other, "make it private, with the same people on its list", "restrict", "--reason …")})
			continue
		}
		for _, r := range s.Private.Readers {
			if !other.Private.lists(r.Person) {
				name := strings.TrimPrefix(string(r.Person), "person:")
				out = append(out, Missing{What: fmt.Sprintf("%s is on the list of %s and not on that of %s", name, s.ID, other.ID),
					Do: doLine(other, "put them on it", "grant", name+" --reason …")})
			}
		}
	}
	return out
}

// mergedIn is the fact that copies what the other incident knows.
func (w *work) mergedIn(b *State, c Merge) {
	body := MergedInBody{
		Incident: b.ID, Head: b.Head, Hash: c.Hash, Version: b.Version, Opened: b.Opened, Class: b.Class, Severity: b.Severity,
		Milestones: map[string]time.Time{}, Scopes: len(w.base.Scopes),
	}
	t := MergedInText{Reason: c.Reason, Title: b.Title}
	for name, m := range b.Milestones {
		body.Milestones[name] = m.At
	}
	body.Scope = Totals(b)
	for _, g := range b.Signals {
		t.Signals = append(t.Signals, SignalIn{b.ID, g})
	}
	for _, a := range b.Actions {
		t.Actions = append(t.Actions, actionIn(b.ID, a))
	}
	parts := map[string]*MergedInPart{}
	of := func(m string) *MergedInPart {
		if parts[m] == nil {
			parts[m] = &MergedInPart{}
		}
		return parts[m]
	}
	for _, m := range Affected(b) {
		of(m).Exposure = b.Row(m)
	}
	for _, n := range b.Notices {
		in := NoticeIn{In: b.ID, ID: n.ID, Duty: n.Duty, Subject: n.Subject, State: n.State, SentBy: n.SentBy}
		for _, item := range sortedKeys(n.Content) {
			if strings.TrimSpace(n.Content[item]) != "" {
				in.Content = append(in.Content, item)
			}
		}
		for r, d := range n.Deliveries {
			if d.State != DeliveryAccepted {
				continue
			}
			in.Told++
			if decl := dutyOf(w.p, n.Duty); decl != nil && toMerchants(w.p, decl) {
				of(r).Told = append(of(r).Told, ToldIn{In: b.ID, Notice: n.ID, At: d.At, Said: d.Told})
			}
		}
		t.Notices = append(t.Notices, in)
	}
	for _, h := range b.Holds {
		t.Holds = append(t.Holds, HoldIn{b.ID, *h})
	}
	for _, f := range b.Attachments {
		t.Attachments = append(t.Attachments, AttachmentIn{b.ID, f})
	}
	for _, m := range b.Merged { // what the other had taken in itself comes with it
		body.Also = append(append(body.Also, m.Incident), m.Also...)
		t.Signals, t.Actions, t.Notices = append(t.Signals, m.Signals...), append(t.Actions, m.Actions...), append(t.Notices, m.Notices...)
		t.Holds, t.Attachments = append(t.Holds, m.Holds...), append(t.Attachments, m.Attachments...)
		for r, told := range m.Tellings {
			of(r).Told = append(of(r).Told, told...)
		}
	}
	body.Merchants = len(parts)
	list := []Part{own(t)}
	for _, m := range sortedKeys(parts) {
		list = append(list, part(m, parts[m]))
	}
	w.fact(KindMergedIn, body, list...)
}

func actionIn(in string, a *Action) ActionIn {
	return ActionIn{In: in, ID: a.ID, Decl: a.Decl, Target: a.Target, State: a.State, ProvenAt: a.ProvenAt, Proof: a.Proof}
}

// adjustments are what this incident learns of its own beginning and weight: a milestone that the other
// had earlier moves there, with both times kept, and the worse severity counts. A milestone that ends
// a duty stays.
func (w *work) adjustments(b *State, c Merge) []Fact {
	try := &work{p: w.p, s: w.base, base: w.base, ctx: w.ctx, now: w.now, timer: w.timer}
	for _, name := range append([]string{"suspected"}, lawAnchors...) {
		was, is := w.base.Milestones[name], b.Milestones[name]
		if was == nil || is == nil || was.Auto || !is.At.Before(was.At) || w.ends(name) {
			continue
		}
		try.add(KindCorrected, w.ctx.Actor.Principal, is.At, MilestoneBody{Milestone: name, At: is.At, Before: was.At},
			own(Reasoned{"it was so in " + b.ID + ", which is a part of this now"}))
	}
	mine, other := w.level(w.base.Severity), w.level(b.Severity)
	if other >= 0 && (mine < 0 || other < mine) {
		try.fact(KindSeverity, SeverityBody{From: w.base.Severity, Severity: b.Severity}, own(Reasoned{"it was so in " + b.ID + ", which is a part of this now"}))
	}
	return try.facts
}

// ends reports whether a milestone ends a duty of the policy.
func (w *work) ends(name string) bool {
	return slices.ContainsFunc(w.p.Duties, func(d policy.Duty) bool { return d.Until != nil && slices.Contains(d.Until.Names, name) })
}

func (w *work) endMerged(c EndMerged) (Reason, error) {
	if err := needID("into", c.Into); err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if w.base.Into != nil {
		return ReasonAlreadyMerged, nil
	}
	for _, a := range w.base.Actions {
		if a.State == ActionPlanned {
			w.fact(KindActionCancelled, ActionBody{Action: a.ID, State: ActionCancelled}, own(ResultText{Reason: "merged into " + c.Into + ": plan it there"}))
		}
	}
	var j judgement
	for _, d := range sortDuties(w.p, owedIn(w.base)) {
		b := d.body(DutyStopped)
		b.Cause = "merged"
		name := w.recipientOf(w.base, d, &b)
		j.add(KindDutyStopped, b, "carried to "+c.Into+", into which this was merged", name, w.now)
	}
	j.emit(w)
	w.fact(KindMerged, MergedBody{Into: c.Into}, own(Reasoned{c.Reason}))
	return ReasonMerged, nil
}

func owedIn(s *State) []*DutyInstance {
	var list []*DutyInstance
	for _, d := range s.Duties {
		if d.owing() {
			list = append(list, d)
		}
	}
	return list
}

// afterMerging are the commands that an incident takes after it became a part of another: what the
// world still owes it, who may know of it, and its evidence. Everything else is a matter of the other.
var afterMerging = []string{"tick", "report-attempt", "report-result", "record-export", "snapshot", "record-switch", "undo", "cancel",
	"restrict", "grant", "revoke-access", "break-glass", "hold", "release-hold", "end-merged"}

func (w *work) refuseMerged(name string) error {
	into := w.base.Into.Into
	return refuse(RefusedNotOpen, fmt.Sprintf("%s is refused: %s is merged into %s", name, w.base.ID, into),
		Missing{What: "it is a part of " + into + " now", Do: "act there: tocsin incident show " + into})
}

func foldMergedIn(s *State, f Fact) error {
	m := &Merged{At: f.Recorded, By: f.Principal, Fact: f.ID, Exposures: map[string]*Exposure{}}
	if err := header(f, &m.MergedInBody); err != nil {
		return err
	}
	if err := text(f, &m.MergedInText); err != nil {
		return err
	}
	for _, p := range f.Parts {
		var t MergedInPart
		if p.Merchant == "" {
			continue
		}
		if err := decodePart(f, p, &t); err != nil {
			return err
		}
		if t.Exposure != nil {
			t.Exposure.Merchant = p.Merchant
			m.Exposures[p.Merchant] = t.Exposure
		}
		if len(t.Told) > 0 {
			if m.Tellings == nil {
				m.Tellings = map[string][]ToldIn{}
			}
			m.Tellings[p.Merchant] = t.Told
		}
	}
	s.Merged = append(s.Merged, m)
	return nil
}

func foldMerged(s *State, f Fact) error {
	var b MergedBody
	var t Reasoned
	if err := header(f, &b); err != nil {
		return err
	}
	if err := text(f, &t); err != nil {
		return err
	}
	s.Status = StatusClosed
	s.Into = &MergedTo{Into: b.Into, At: f.Recorded, By: f.Principal, Why: t.Reason, Fact: f.ID}
	return nil
}

// Row is what is known of one merchant: of the newest scope, and of the incidents that were merged in.
// Accesses that both count are counted twice, which makes the numbers an upper bound, until a scope
// that was computed after the merging covers both. nil: nothing is known.
func (s *State) Row(merchant string) *Exposure {
	row := s.Exposures[merchant]
	for _, m := range s.Merged {
		other := m.Exposures[merchant]
		switch {
		case other == nil || sameNumbers(row, other):
		case row == nil:
			row = other
		case len(s.Scopes) > m.Scopes && covering(s.Exposures[merchant], other):
		default:
			row = both(row, other)
		}
	}
	return row
}

// covering reports whether a row says at least as much as another.
func covering(a, b *Exposure) bool {
	if a == nil || a.Customers < b.Customers || a.Records < b.Records || a.Events < b.Events || a.First.After(b.First) || a.Last.Before(b.Last) {
		return false
	}
	within := func(list, of []string) bool {
		return !slices.ContainsFunc(list, func(x string) bool { return !slices.Contains(of, x) })
	}
	return within(b.Stores, a.Stores) && within(b.DataTypes, a.DataTypes)
}

func both(a, b *Exposure) *Exposure {
	union := func(x, y []string) []string {
		all := append(slices.Clone(x), y...)
		slices.Sort(all)
		return slices.Compact(all)
	}
	out := &Exposure{
		Merchant: a.Merchant, Stores: union(a.Stores, b.Stores), DataTypes: union(a.DataTypes, b.DataTypes),
		Customers: a.Customers + b.Customers, Records: a.Records + b.Records, Events: a.Events + b.Events,
		AtLeast: a.AtLeast || b.AtLeast, First: earliest(a.First, b.First), Last: laterOf(a.Last, b.Last),
	}
	out.Supplied = append(slices.Clone(a.Supplied), b.Supplied...)
	return out
}

// Rows are the rows of everybody in a scope or in that of an incident that was merged in.
func (s *State) Rows() map[string]*Exposure {
	if len(s.Merged) == 0 {
		return s.Exposures
	}
	out := maps.Clone(s.Exposures)
	for _, m := range s.Merged {
		for merchant := range m.Exposures {
			out[merchant] = s.Row(merchant)
		}
	}
	return out
}

// known reports whether a merchant is in the newest scope or in that of an incident that was merged in.
func (s *State) known(merchant string) bool {
	if s.Exposures[merchant] != nil {
		return true
	}
	return slices.ContainsFunc(s.Merged, func(m *Merged) bool { return m.Exposures[merchant] != nil })
}

// Totals is what an incident's scope adds up to, those of merged incidents with it; nil: none was
// computed. A scope that was computed after a merging may cover both, so that the larger counts.
func Totals(s *State) *ScopeTotals {
	var out *ScopeTotals
	if n := len(s.Scopes); n > 0 {
		v := s.Scopes[n-1]
		out = &ScopeTotals{N: v.N, Digest: v.Digest, Merchants: v.Merchants, Customers: v.Customers, DataTypes: v.DataTypes, AtLeast: v.AtLeast}
	}
	for _, m := range s.Merged {
		other := m.Scope
		switch {
		case other == nil:
			continue
		case out == nil:
			x := *other
			out = &x
			continue
		case len(s.Scopes) > m.Scopes:
			out.Customers = max(out.Customers, other.Customers)
		case out.Digest != other.Digest:
			out.Customers += other.Customers
		}
		types := append(slices.Clone(out.DataTypes), other.DataTypes...)
		slices.Sort(types)
		out.DataTypes, out.AtLeast = slices.Compact(types), out.AtLeast || other.AtLeast
	}
	if out != nil && len(s.Merged) > 0 {
		out.Merchants = int64(countAffected(s))
	}
	return out
}

// Into follows the permalink of an incident that was merged: the id that its address leads on to.
func Into(s *State) string {
	if s == nil || s.Into == nil {
		return ""
	}
	return s.Into.Into
}
