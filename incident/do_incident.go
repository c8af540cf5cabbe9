package incident

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// Unclassified is the class of an incident that nobody has sorted yet.
const Unclassified = "unclassified"

func (w *work) open(c Open) (Reason, error) {
	if w.base.isOpened() {
		return ReasonAlreadyOpen, nil
	}
	if c.Class == "" {
		c.Class = Unclassified
	}
	if err := needText("title", c.Title, maxTitle); err != nil {
		return "", err
	}
	if err := checkText("summary", c.Summary, maxText); err != nil {
		return "", err
	}
	if err := w.checkClass(c.Class); err != nil {
		return "", err
	}
	if c.Severity != "" && w.level(c.Severity) < 0 {
		return "", w.unknownSeverity()
	}
	if len(c.Apps) > maxItems {
		return "", invalid("apps", "has more than %d entries", maxItems)
	}
	if err := notLater("suspected", c.Suspect, w.now); err != nil {
		return "", err
	}
	var apart []Signal
	if c.Split != nil {
		apart = c.Split.splitSignals()
		if len(apart) == 0 {
			return "", invalid("signals", "must name signals of %s", c.Split.Of.ID)
		}
		c.Signal, c.Suspect = &apart[0], earliest(c.Suspect, earliestFrom(apart))
	}
	detected, suspected := w.now, c.Suspect.UTC()
	if c.Signal != nil {
		if err := c.Signal.check("signal"); err != nil {
			return "", err
		}
		if at := c.Signal.noticed(); !at.IsZero() && at.Before(detected) {
			detected = at.UTC()
		}
		if from := c.Signal.suspicion(); suspected.IsZero() && !from.IsZero() && from.Before(detected) {
			suspected = from.UTC()
		}
	}
	if suspected.IsZero() {
		suspected = detected
	}
	w.fact(KindOpened, OpenedBody{Class: c.Class, Severity: c.Severity, Policy: w.p.Hash, Reach: c.Reach}, own(OpenedText{Title: c.Title, Summary: c.Summary}))
	w.facts[0].Apps = slices.Clone(c.Apps)
	if c.Private {
		if _, err := w.restrict(Restrict{Readers: c.Readers, About: c.About, Reason: "private from the beginning"}); err != nil {
			return "", err
		}
	} else if len(c.Readers)+len(c.About) > 0 {
		return "", invalid("readers", "go with private: everybody may know of an incident that is not private")
	}
	switch {
	case c.Split != nil:
		w.split(&c, apart)
	case c.Signal != nil:
		w.linkSignal(*c.Signal, "")
	}
	why := "given when it was opened"
	if c.Suspect.IsZero() {
		why = "by default the beginning of what was noticed"
		if c.Signal != nil && !c.Signal.Noticed.IsZero() {
			why = "by default when it was detected: nobody suspected it before its log came in"
		}
	}
	w.setMilestone("suspected", suspected, why)
	why = "opened by hand"
	if c.Reach {
		why = "reported by somebody of the staff"
	}
	if c.Signal != nil {
		why = "the event that crossed the line"
		if !c.Signal.Noticed.IsZero() {
			why = "when the log came in that shows it; what it shows began at " + utc(c.Signal.From) + ", and the event that crossed the line is of " + utc(c.Signal.At)
		}
	}
	w.setMilestone("detected", detected, why)
	if c.Split != nil {
		w.splitMilestones(c.Split.Of)
	}
	if c.Reach {
		w.callReach(0, w.now)
	}
	return ReasonOpened, nil
}

func (w *work) checkClass(class string) error {
	if class == Unclassified {
		return nil
	}
	for _, x := range w.p.Classes {
		if x.ID == class {
			return nil
		}
	}
	return invalid("class", "the policy has no such class")
}

// level is the rank of a severity, 0 the worst; -1 when the policy has none of that name.
func (w *work) level(id string) int {
	for i, l := range w.p.Severities {
		if l.ID == id {
			return i
		}
	}
	return -1
}

func (w *work) unknownSeverity() error {
	names := make([]string, len(w.p.Severities))
	for i, l := range w.p.Severities {
		names[i] = l.ID
	}
	return invalid("severity", "must be one of %s", strings.Join(names, ", "))
}

func (w *work) setMilestone(name string, at time.Time, reason string) {
	w.add(KindMilestone, w.ctx.Actor.Principal, at, MilestoneBody{Milestone: name, At: at.UTC()}, own(Reasoned{reason}))
}

func (w *work) linkSignal(g Signal, of string) {
	w.fact(KindSignal, SignalBody{Signal: g.ID, Class: g.Class, App: g.App, At: g.At.UTC(), From: g.From.UTC(), To: g.To.UTC(), Of: of, Noticed: g.Noticed.UTC()}, own(SignalText{Signal: g}))
}

func (w *work) addSignal(c AddSignal) (Reason, error) {
	if err := c.Signal.check("signal"); err != nil {
		return "", err
	}
	if err := checkText("of", c.Of, maxID); err != nil {
		return "", err
	}
	for _, g := range w.base.Signals {
		if g.ID == c.Signal.ID {
			return ReasonAlreadyLinked, nil
		}
	}
	w.linkSignal(c.Signal, c.Of)
	return ReasonSignalLinked, nil
}

func (w *work) acknowledge() (Reason, error) {
	if w.base.has("acknowledged") {
		return ReasonAlreadyAck, nil
	}
	w.setMilestone("acknowledged", w.now, "on it")
	return ReasonAcknowledged, nil
}

func (w *work) confirm(c Confirm) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if w.base.has("confirmed") {
		return ReasonAlreadyConfirm, nil
	}
	if !w.base.has("acknowledged") {
		w.setMilestone("acknowledged", w.now, "confirmed, so somebody is on it")
	}
	w.setMilestone("confirmed", w.now, c.Reason)
	return ReasonConfirmed, nil
}

// dismiss ends a false alarm: clocks stop, and what has not left the house stays in it.
func (w *work) dismiss(c Dismiss) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if w.base.Status == StatusDismissed {
		return ReasonAlreadyDismiss, nil
	}
	w.setMilestone("dismissed", w.now, c.Reason)
	w.fact(KindDismissed, nil, own(Reasoned{c.Reason}))
	for _, a := range w.base.Actions {
		if a.State == ActionPlanned || a.State == ActionApproved && a.Attempted == "" {
			w.fact(KindActionCancelled, ActionBody{Action: a.ID, State: ActionCancelled}, own(ResultText{Reason: "the incident was dismissed"}))
		}
	}
	w.withdraw(func(string) bool { return true }, true, "the incident was dismissed")
	return ReasonDismissed, nil
}

func (w *work) reopen(c Reopen) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if w.base.Status == StatusOpen {
		return ReasonAlreadyOpen, nil
	}
	w.fact(KindReopened, nil, own(Reasoned{c.Reason}))
	return ReasonReopened, nil
}

// ownCommand names the command that sets a milestone, for those that are not marked by hand.
var ownCommand = map[string]string{
	"suspected": "correct", "detected": "correct",
	"acknowledged": "acknowledge", "confirmed": "confirm", "dismissed": "dismiss", "scoped": "scope",
	"remediated": "fix", "verified": "verify-fix", "restored": "restore", "reviewed": "publish", "closed": "close",
}

// markable are the universal milestones that a person may mark.
var markable = []string{"aware", "discovered", "determined", "contained", "notified", "watched", "resolved"}

func (w *work) mark(c Mark) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if err := notLater("at", c.At, w.now); err != nil {
		return "", err
	}
	if cmd, ok := ownCommand[c.Milestone]; ok {
		return "", refuse(RefusedUseCommand, fmt.Sprintf("milestone %s has a command of its own", c.Milestone),
			Missing{What: "the command " + cmd, Do: w.do("use it", cmd, "")})
	}
	known := slices.Contains(markable, c.Milestone)
	for _, m := range w.p.Milestones {
		known = known || m.ID == c.Milestone
	}
	if !known {
		return "", invalid("milestone", "neither a universal milestone that is marked by hand nor one of the policy")
	}
	at := c.At.UTC()
	if c.At.IsZero() {
		at = w.now
	}
	if m := w.base.Milestones[c.Milestone]; m != nil {
		if c.At.IsZero() || m.At.Equal(at) {
			return ReasonAlreadyMarked, nil
		}
		return "", refuse(RefusedState, fmt.Sprintf("milestone %s is set already, with another time", c.Milestone),
			Missing{What: "a correction, which keeps both times", Do: w.do("correct it", "correct", c.Milestone+" --at TIME --reason …")})
	}
	if missing := w.tooEarlyFor(c.Milestone, at); len(missing) > 0 {
		return w.refuseGate("mark", c.Milestone, RefusedTooEarly, "it is too early for "+c.Milestone, nil, missing...)
	}
	w.setMilestone(c.Milestone, at, c.Reason)
	return ReasonMarked, nil
}

// correct moves a milestone. Earlier is free; later, for a milestone that clocks count from, needs
// the lead, because it gives time that was not there.
func (w *work) correct(c Correct) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if c.At.IsZero() {
		return "", invalid("at", "must be given")
	}
	if err := notLater("at", c.At, w.now); err != nil {
		return "", err
	}
	m := w.base.Milestones[c.Milestone]
	if m == nil {
		return "", refuse(RefusedUnknown, fmt.Sprintf("milestone %q is not set", c.Milestone),
			Missing{What: "a milestone to correct", Do: "see which there are: tocsin incident show " + w.base.ID})
	}
	at := c.At.UTC()
	if m.At.Equal(at) {
		return ReasonNothingChanged, nil
	}
	if at.After(m.At) && w.isAnchor(c.Milestone) && !w.leads() {
		return "", w.refuseLead("moving " + c.Milestone + ", which clocks count from, to a later time")
	}
	w.add(KindCorrected, w.ctx.Actor.Principal, at, MilestoneBody{Milestone: c.Milestone, At: at, Before: m.At}, own(Reasoned{c.Reason}))
	return ReasonCorrected, nil
}

// isAnchor reports whether a clock counts from the milestone, directly or through aware.
func (w *work) isAnchor(name string) bool {
	names := []string{name}
	if aware := w.base.Milestones["aware"]; aware != nil && aware.Auto && (name == "acknowledged" || name == "confirmed") {
		names = append(names, "aware")
	}
	starts := w.p.Starts
	if starts == "" {
		starts = "detected"
	}
	clocks := func(list []policy.Clock) bool {
		return slices.ContainsFunc(list, func(c policy.Clock) bool {
			if c.Kind == "law" && slices.Contains(lawAnchors, name) {
				return true
			}
			anchors := c.Anchor.Names
			if len(anchors) == 0 {
				anchors = []string{starts}
			}
			return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(anchors, n) })
		})
	}
	for i := range w.p.Duties {
		if d := &w.p.Duties[i]; clocks(d.Due) || clocks(d.Floor) {
			return true
		}
	}
	return false
}

// lawAnchors are the milestones that the clocks of laws count from.
var lawAnchors = []string{"aware", "discovered", "determined", "confirmed", "acknowledged", "detected"}

func (w *work) answer(c Answer) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	for _, d := range w.p.Facts {
		if d.ID != c.Fact {
			continue
		}
		value, err := answerValue(d.Type, c.Value)
		if err != nil {
			return "", err
		}
		if places, ok := value.(string); ok && d.ID == policy.RegionsFact && d.Type == "string" {
			if _, err := policy.ParseRegions(places); err != nil {
				return "", invalid("value", "must say where those affected live, such as DE, US-CA: %v", err)
			}
		}
		if d.Type == "choice" && !slices.Contains(d.Values, fmt.Sprint(value)) {
			return "", invalid("value", "must be one of %s", strings.Join(d.Values, ", "))
		}
		if old := w.base.Answers[c.Fact]; old != nil && conditionValue(old.Value) == conditionValue(value) {
			return ReasonNothingChanged, nil
		}
		w.fact(KindAnswered, AnswerBody{Fact: c.Fact}, own(AnswerText{Value: value, Reason: c.Reason}))
		return ReasonAnswered, nil
	}
	return "", invalid("fact", "the policy asks for no such fact")
}

// answerValue checks an answer against its declared type. Numbers are kept as JSON keeps them.
func answerValue(kind string, v any) (any, error) {
	if n, ok := v.(json.Number); ok {
		f, err := n.Float64()
		if err != nil {
			return nil, invalid("value", "is no number")
		}
		v = f
	}
	switch kind {
	case "int":
		switch n := v.(type) {
		case int:
			return answerValue(kind, float64(n))
		case int64:
			return answerValue(kind, float64(n))
		case float64:
			if n == math.Trunc(n) && math.Abs(n) <= 1<<53 {
				return n, nil
			}
		}
		return nil, invalid("value", "must be a whole number")
	case "string", "choice":
		s, ok := v.(string)
		if !ok {
			return nil, invalid("value", "must be a string")
		}
		return s, checkText("value", s, maxReason)
	}
	if b, ok := v.(bool); ok {
		return b, nil
	}
	return nil, invalid("value", "must be true or false")
}

func (w *work) setSeverity(c SetSeverity) (Reason, error) {
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	to, from := w.level(c.Severity), w.level(w.base.Severity)
	if to < 0 {
		return "", w.unknownSeverity()
	}
	if to == from {
		return ReasonNothingChanged, nil
	}
	if from >= 0 && to > from {
		if reason, err := w.mayLower(); err != nil {
			return reason, err
		}
	}
	w.fact(KindSeverity, SeverityBody{From: w.base.Severity, Severity: c.Severity}, own(Reasoned{c.Reason}))
	return ReasonSeveritySet, nil
}

func (w *work) assign(c Assign) (Reason, error) {
	if err := needID("person", string(c.Person)); err != nil {
		return "", err
	}
	if !strings.HasPrefix(string(c.Person), "person:") {
		return "", invalid("person", "must be a principal such as person:lena")
	}
	for _, r := range w.p.Roles {
		if r.ID != c.Role {
			continue
		}
		if w.base.Roles[c.Role] == c.Person {
			return ReasonNothingChanged, nil
		}
		// A role that nobody holds anyone may take: somebody has to begin. One that is held is not
		// taken away by whoever would like to decide in its place.
		if holder := w.base.Roles[c.Role]; holder != "" && holder != w.ctx.Actor.Principal && !w.leads() {
			return "", w.refuseLead("taking a role from another person")
		}
		if err := w.mustRead(c.Person); err != nil {
			return "", err
		}
		w.fact(KindAssigned, AssignedBody{Role: c.Role, Person: c.Person})
		return ReasonAssigned, nil
	}
	return "", invalid("role", "the policy has no such role")
}

func (w *work) note(c Note) (Reason, error) {
	if err := needText("text", c.Text, maxText); err != nil {
		return "", err
	}
	w.fact(KindNote, nil, own(PlainText{c.Text}))
	return ReasonNoted, nil
}

func (w *work) recordSwitch(c RecordSwitch) (Reason, error) {
	if err := needMerchant("merchant", c.Merchant); err != nil {
		return "", err
	}
	if c.State != "on" && c.State != "off" {
		return "", invalid("state", "must be on or off")
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if old := w.base.Switches[c.Merchant]; old != nil && old.State == c.State {
		return ReasonNothingChanged, nil
	}
	merchant := c.Merchant
	if merchant == "*" {
		merchant = ""
	}
	w.fact(KindSwitch, SwitchBody{State: c.State, All: merchant == ""}, part(merchant, Reasoned{c.Reason}))
	return ReasonSwitched, nil
}

func (w *work) recordScope(c RecordScope) (Reason, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	n := len(w.base.Scopes)
	if n > 0 && w.base.Scopes[n-1].Digest == c.Digest && w.base.Scopes[n-1].Size == c.Size {
		return ReasonScopeUnchanged, nil
	}
	rows := slices.Clone(c.Merchants)
	slices.SortFunc(rows, func(a, b Exposure) int { return strings.Compare(a.Merchant, b.Merchant) })
	parts := make([]Part, 0, len(rows)+1)
	parts = append(parts, own(ScopeText{Query: c.Query, Reason: c.Reason}))
	added, kept := 0, 0
	for _, x := range rows {
		if w.base.Exposures[x.Merchant] == nil {
			added++
		} else {
			kept++
		}
		parts = append(parts, part(x.Merchant, x))
	}
	w.fact(KindScope, ScopeBody{
		N: n + 1, Log: c.Log, Size: c.Size, Checkpoint: c.Checkpoint, Digest: c.Digest, Merchants: int64(len(rows)),
		Customers: c.Customers, Events: c.Events, Records: c.Records, AtLeast: c.AtLeast, DataTypes: c.DataTypes,
		First: c.First.UTC(), Last: c.Last.UTC(), Gaps: c.Gaps, Regions: c.Regions, Supplied: c.Supplied, Added: added, Removed: len(w.base.Exposures) - kept,
	}, parts...)
	w.readDirectory(slices.Collect(maps.Values(w.ctx.Directory)))
	if !w.base.has("scoped") {
		w.setMilestone("scoped", w.now, "a scope was computed from the events")
	}
	if n > 0 {
		after := w.state()
		w.withdraw(func(m string) bool { return !after.inScope(m) }, false, "no longer in scope")
	}
	return ReasonScopeRecorded, nil
}

func (w *work) adjustScope(c AdjustScope) (Reason, error) {
	if err := needMerchant("merchant", c.Merchant); err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if w.base.inScope(c.Merchant) == c.Include {
		return ReasonNothingChanged, nil
	}
	w.fact(KindScopeAdjust, AdjustedBody{Include: c.Include}, part(c.Merchant, Reasoned{c.Reason}))
	if c.Include {
		w.readDirectory(slices.Collect(maps.Values(w.ctx.Directory)))
	}
	if !c.Include {
		w.withdraw(func(m string) bool { return m == c.Merchant }, false, "excluded by hand")
	}
	return ReasonScopeAdjusted, nil
}

// waive lets go of one instance, or of every instance of a duty that is still owed.
func (w *work) waive(c Waive) (Reason, error) {
	if err := needID("duty", c.Duty); err != nil {
		return "", err
	}
	if err := needText("reason", c.Reason, maxReason); err != nil {
		return "", err
	}
	if !w.leads() {
		return "", w.refuseLead("waiving a duty")
	}
	var list []*DutyInstance
	known := dutyOf(w.p, c.Duty) != nil
	if d := w.base.Duties[c.Duty]; d != nil && d.Recipient != "" || d != nil && !known {
		known = true
		if d.owing() {
			list = append(list, d)
		}
	} else {
		for _, d := range w.base.Duties {
			if d.Duty == c.Duty && d.owing() {
				list = append(list, d)
			}
		}
	}
	if !known {
		return "", invalid("duty", "neither a duty of the policy nor one of its instances")
	}
	if len(list) == 0 {
		return ReasonNothingChanged, nil
	}
	type group struct {
		body      DutyBody
		merchants []string
	}
	var groups []*group
	for _, d := range sortDuties(w.p, list) {
		of := w.duty(d.Duty)
		b := DutyBody{Duty: d.Duty, Round: d.Round, Recipient: d.Recipient, State: DutyWaived, N: 1, Cause: "waived", At: w.now, From: d.From, Carried: d.Carried}
		if of != nil && merchantsOf(w.p, w.base, of) && d.Recipient != "" {
			b.Recipient = ""
			if n := len(groups); n > 0 && len(groups[n-1].merchants) > 0 && groups[n-1].body.Duty == b.Duty && groups[n-1].body.Round == b.Round && groups[n-1].body.From == b.From && groups[n-1].body.Carried.Equal(b.Carried) {
				groups[n-1].merchants = append(groups[n-1].merchants, d.Recipient)
				groups[n-1].body.N++
				continue
			}
			groups = append(groups, &group{body: b, merchants: []string{d.Recipient}})
			continue
		}
		groups = append(groups, &group{body: b})
	}
	for _, g := range groups {
		parts := []Part{own(DutyText{Why: "waived: " + c.Reason})}
		for _, m := range g.merchants {
			parts = append(parts, Part{Merchant: m, Body: emptyBody})
		}
		w.fact(KindDutyWaived, g.body, parts...)
	}
	return ReasonWaived, nil
}
