package incident

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// NextWake returns the next instants at which something is to be done: on the domain clock, the
// next at which Tick would decide something (a duty at risk or missed, a page, an action that
// expires), rounded up to milliseconds; on the protocol clock, the earliest retry of a deferred
// effect. A zero time means never.
func NextWake(p *policy.Program, s *State) (domain, protocol time.Time) {
	if !s.isOpened() {
		return
	}
	next := func(into *time.Time, at time.Time) {
		if !at.IsZero() && (into.IsZero() || at.Before(*into)) {
			*into = at
		}
	}
	if s.Status != StatusDismissed && s.Into == nil {
		t := newTimer(p)
		byID := make(map[string]*policy.Duty, len(p.Duties))
		for i := range p.Duties {
			byID[p.Duties[i].ID] = &p.Duties[i]
		}
		seen := lastWake{}
		for _, o := range s.Owing() {
			d := o.Of
			if seen.like(d) {
				continue // the same instants as the one before
			}
			of := byID[d.Duty]
			if s.Status == StatusClosed && (of == nil || !outlives(of)) {
				continue
			}
			if d.State != DutyMissed && !d.Due.IsZero() {
				next(&domain, past(d.Due))
			}
			if d.State == DutyRunning || d.State == DutyProvisional {
				if at := riskAt(d); !at.IsZero() {
					next(&domain, ceil(at))
				}
			}
			if of == nil {
				continue
			}
			if of.Until != nil && of.Until.End != "" {
				if name, at, _ := t.anchor(s, *of.Until, subject{d: of, recipient: d.Recipient, applies: d.Applies}); name != "" {
					next(&domain, past(at))
				}
			}
			if d.certain() && len(of.Late) > 0 {
				next(&domain, nextPage(t, of, s, d))
			}
		}
	}
	if s.Status == StatusOpen {
		for _, turn := range turnings(p, s, newTimer(p)) {
			next(&domain, ceil(turn.at))
		}
	}
	if s.Status == StatusOpen || s.Into != nil {
		for _, a := range s.Actions {
			if at, ok := expiry(a); ok {
				next(&domain, ceil(at))
			}
		}
	}
	if _, at, ok := s.NextReach(); ok {
		next(&domain, ceil(at))
	}
	for _, c := range s.Review.Corrective {
		if _, ok := c.ownerCall(s); ok {
			next(&domain, past(c.Due))
		}
	}
	for _, e := range owedButSends(s) {
		next(&protocol, e.NotBefore)
	}
	for _, n := range s.Notices {
		if n.Open == 0 {
			continue
		}
		for _, d := range n.Deliveries {
			if d.owed() {
				next(&protocol, d.NextTry)
			}
		}
	}
	return domain, protocol
}

// certain reports whether people are called for the duty: it is known to apply, or all that is missing
// is whom it is owed to. Nobody having worked that out is a reason to call, not a reason to wait.
func (d *DutyInstance) certain() bool {
	return len(d.Unknown) == 0 || len(d.Unknown) == 1 && d.Unknown[0] == "scope"
}

// lastWake remembers the instance of each duty that was looked at last: thousands of recipients
// share one clock, and what wakes for one of them wakes for all.
type lastWake map[string]*DutyInstance

func (l lastWake) like(d *DutyInstance) bool {
	was := l[d.Duty]
	l[d.Duty] = d
	return was != nil && was.Duty == d.Duty && was.State == d.State && was.Due.Equal(d.Due) && was.Target.Equal(d.Target) &&
		was.Started.Equal(d.Started) && was.certain() == d.certain() && was.Applies.Equal(d.Applies)
}

// nextPage is the earliest page an instance may still call for.
func nextPage(t *timer, of *policy.Duty, s *State, d *DutyInstance) (next time.Time) {
	for i, e := range of.Late {
		c := t.page(d, i, e)
		if c.at.IsZero() || s.Pages[c.id] != nil || slices.Contains(d.Escalated, c.id) {
			continue
		}
		if next.IsZero() || c.at.Before(next) {
			next = c.at
		}
	}
	if next.IsZero() {
		return next
	}
	return ceil(next)
}

// expiry is when an action lapses: one that is in force is undone, one that was never applied is
// withdrawn.
func expiry(a *Action) (time.Time, bool) {
	if a.Expires.IsZero() {
		return time.Time{}, false
	}
	switch a.State {
	case ActionApplied, ActionProven, ActionUnproven, ActionPlanned:
		return a.Expires, true
	case ActionApproved:
		return a.Expires, a.Attempted == ""
	}
	return time.Time{}, false
}

// expire records what lapsed.
func (w *work) expire() {
	if w.s.Status != StatusOpen && w.s.Into == nil {
		return // what was limited in an incident that was merged is undone in time all the same
	}
	for _, a := range w.s.Actions {
		at, ok := expiry(a)
		if !ok || w.now.Before(at) {
			continue
		}
		b := ActionBody{Action: a.ID, State: ActionUndoing, Code: "expired"}
		kind := KindActionUndo
		if a.State == ActionPlanned || a.State == ActionApproved {
			b.State, kind = ActionCancelled, KindActionCancelled
		}
		w.tick(kind, at, b, own(ResultText{Reason: "it was limited until " + at.UTC().Format(time.RFC3339)}))
	}
}

// Owed lists what the world is still owed, containment first, in an order that depends on the
// state alone. Ids are deterministic and name one attempt each. An effect that was attempted and
// has no result yet is not in the list: InFlight has it.
func Owed(s *State) []Effect {
	if !s.isOpened() {
		return nil
	}
	list := owedButSends(s)
	for _, n := range s.Notices {
		if n.Open == 0 {
			continue
		}
		from := len(list)
		for _, d := range n.Deliveries {
			if e, ok := owedDelivery(s, n, d); ok {
				list = append(list, e)
			}
		}
		slices.SortFunc(list[from:], func(a, b Effect) int { return strings.Compare(a.Party, b.Party) })
	}
	return list
}

// Owes reports whether an effect is owed: whether Owed lists it.
func Owes(s *State, eff Effect) bool {
	if !s.isOpened() {
		return false
	}
	if eff.Kind != EffectSend {
		return slices.ContainsFunc(owedButSends(s), func(e Effect) bool { return e.ID == eff.ID })
	}
	n := s.notice(eff.Notice)
	if n == nil || n.Deliveries[eff.Party] == nil {
		return false
	}
	e, ok := owedDelivery(s, n, n.Deliveries[eff.Party])
	return ok && n.Open > 0 && e.ID == eff.ID
}

// owedButSends is the part of Owed that is not about recipients of notices, of whom there may be thousands.
func owedButSends(s *State) []Effect {
	var list []Effect
	for _, a := range s.Actions {
		if e, ok := owedAction(s, a); ok {
			list = append(list, e)
		}
	}
	for _, id := range sortedKeys(s.Pages) {
		if e, ok := owedPage(s, s.Pages[id]); ok {
			list = append(list, e)
		}
	}
	for _, id := range sortedKeys(s.Checks) {
		if e, ok := owedCheck(s, s.Checks[id]); ok {
			list = append(list, e)
		}
	}
	return list
}

// OwedBy lists what these facts, the newest of s, have made owed: the part of Owed that can be
// new. It does not walk over recipients that the facts do not name.
func OwedBy(s *State, facts []Fact) []Effect {
	var list []Effect
	seen := map[string]bool{}
	add := func(e Effect, ok bool) {
		if ok && !seen[e.ID] {
			seen[e.ID] = true
			list = append(list, e)
		}
	}
	for _, f := range facts {
		noun, _, _ := strings.Cut(string(f.Kind), ".")
		switch noun {
		case "action":
			var b ActionBody
			if header(f, &b) == nil {
				if a := s.action(b.Action); a != nil {
					add(owedAction(s, a))
				}
			}
		case "page":
			var b PageBody
			if header(f, &b) == nil {
				if p := s.Pages[b.Page]; p != nil {
					add(owedPage(s, p))
				}
			}
		case "check":
			var b CheckBody
			if header(f, &b) == nil {
				if c := s.Checks[b.Check]; c != nil {
					add(owedCheck(s, c))
				}
			}
		case "notice":
			var b struct {
				Notice  string   `json:"notice"`
				Party   string   `json:"party"`
				Parties []string `json:"parties"`
			}
			if header(f, &b) != nil {
				continue
			}
			n := s.notice(b.Notice)
			if n == nil {
				continue
			}
			one := func(recipient string) {
				if d := n.Deliveries[recipient]; d != nil {
					add(owedDelivery(s, n, d))
				}
			}
			recipients(f, b.Party, func(recipient string, _ Part) { one(recipient) })
			for _, party := range b.Parties {
				one(party)
			}
		}
	}
	return list
}

// InFlight lists effects that were attempted and have no result. When a process starts, nothing
// of its own is under way: whatever is in flight then is reported as uncertain.
func InFlight(s *State) []Effect {
	if s == nil {
		return nil
	}
	var list []Effect
	for _, a := range s.Actions {
		if a.Attempted != "" {
			e := Effect{ID: a.Attempted, Kind: actionEffect(a.State), Incident: s.ID, Action: a.ID, Attempt: a.Attempts}
			list = append(list, e)
		}
	}
	for _, id := range sortedKeys(s.Pages) {
		if p := s.Pages[id]; p.Attempted != "" {
			list = append(list, Effect{ID: p.Attempted, Kind: EffectPage, Incident: s.ID, Duty: p.Duty, Role: p.Role, Attempt: p.Attempts})
		}
	}
	for _, id := range sortedKeys(s.Checks) {
		if c := s.Checks[id]; c.Attempted != "" {
			list = append(list, Effect{ID: c.Attempted, Kind: EffectCheck, Incident: s.ID, Check: c.ID, Attempt: c.Attempts})
		}
	}
	for _, n := range s.Notices {
		for _, r := range sortedKeys(n.Deliveries) {
			if d := n.Deliveries[r]; d.Attempted != "" {
				list = append(list, Effect{ID: d.Attempted, Kind: EffectSend, Incident: s.ID, Notice: n.ID, Party: r, Duty: n.Duty, Attempt: d.Attempts})
			}
		}
	}
	return list
}

func actionEffect(state ActionState) EffectKind {
	switch state {
	case ActionApproved:
		return EffectApply
	case ActionUndoing:
		return EffectUndo
	}
	return EffectConfirm
}

func owedAction(s *State, a *Action) (Effect, bool) {
	var verb string
	switch a.State {
	case ActionApproved:
		verb = "apply"
	case ActionApplied, ActionUncertain:
		verb = "confirm"
	case ActionUndoing:
		verb = "undo"
	default:
		return Effect{}, false
	}
	if a.Attempted != "" {
		return Effect{}, false
	}
	return Effect{
		ID: effectID(verb, s.ID, a.ID, a.Attempts+1), Kind: actionEffect(a.State), Incident: s.ID,
		Action: a.ID, Attempt: a.Attempts + 1, NotBefore: a.NextTry,
	}, true
}

func owedPage(s *State, p *Page) (Effect, bool) {
	if p.State != PageOwed {
		return Effect{}, false
	}
	return Effect{
		ID: effectID("page", s.ID, p.ID, p.Attempts+1), Kind: EffectPage, Incident: s.ID,
		Duty: p.Duty, Role: p.Role, Attempt: p.Attempts + 1, NotBefore: p.NextTry,
	}, true
}

func owedCheck(s *State, c *Check) (Effect, bool) {
	if c.State != CheckOwed {
		return Effect{}, false
	}
	return Effect{
		ID: effectID("check", s.ID, c.ID, c.Attempts+1), Kind: EffectCheck, Incident: s.ID,
		Check: c.ID, Attempt: c.Attempts + 1, NotBefore: c.NextTry,
	}, true
}

// owed reports whether the delivery is to be tried now or later.
func (d *Delivery) owed() bool {
	switch d.State {
	case DeliveryOwed, DeliveryDeferred:
		return true
	case DeliveryUncertain:
		return d.Unsure <= 1 // else a person has to decide
	}
	return false
}

func owedDelivery(s *State, n *Notice, d *Delivery) (Effect, bool) {
	if !d.owed() {
		return Effect{}, false
	}
	return Effect{
		ID: sendID(s, n, d.Recipient, d.Attempts+1), Kind: EffectSend, Incident: s.ID, Notice: n.ID,
		Party: d.Recipient, Duty: n.Duty, Attempt: d.Attempts + 1, NotBefore: d.NextTry,
	}, true
}

func sendID(s *State, n *Notice, recipient string, attempt int) string {
	return effectID("send", s.ID, n.ID+"/"+recipient, attempt)
}

func effectID(verb, a, b string, attempt int) string {
	return verb + "/" + a + "/" + b + "/" + strconv.Itoa(attempt)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
