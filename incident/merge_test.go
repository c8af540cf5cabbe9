package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// other is a world of another incident, beside the one that goes on.
func other(t testing.TB, id string, at time.Time) *world {
	w := newWorld(t)
	w.s, w.now = NewState(id), at
	return w
}

// merge does what the desk does in one transaction: an incident that is confirmed makes the other so,
// the first takes the second in, and the second ends.
func (w *world) merge(b *world, a Actor) error {
	w.t.Helper()
	if b.now.After(w.now) {
		w.now = b.now
	}
	b.now = w.now
	c := Merge{From: b.s.ID, Reason: "one and the same", Other: b.s}
	if _, err := Decide(w.p, w.s, c, w.ctx(a)); err != nil {
		return err
	}
	switch mine, its := w.s.has("confirmed"), b.s.has("confirmed"); {
	case mine && !its:
		b.must(a, Confirm{Reason: "merged"}, ReasonConfirmed)
	case its && !mine:
		w.must(a, Confirm{Reason: "merged"}, ReasonConfirmed)
	}
	c.Other = b.s
	w.must(a, c, ReasonMerged)
	b.must(a, EndMerged{Into: w.s.ID, Reason: c.Reason}, ReasonMerged)
	return nil
}

func (w *world) merged(b *world) {
	w.t.Helper()
	if err := w.merge(b, boss); err != nil {
		w.t.Fatal(err)
	}
}

// promise: NOT-1
func TestAMergedIncidentEndsByNameAndItsClocksGoOnInTheOther(t *testing.T) {
	b := other(t, "INC-2", t0)
	b.confirmed()
	b.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "seen"}, ReasonAnswered)
	b.must(worker, scopeOf("b", "m_1", "m_2"), ReasonScopeRecorded)
	a := other(t, "INC-1", t0.Add(5*time.Hour))
	a.open()
	a.merged(b)

	if b.s.Status != StatusClosed || Into(b.s) != "INC-1" || b.s.Into.By != boss.Principal || b.s.has("closed") {
		t.Fatalf("INC-2 is %s, into %+v", b.s.Status, b.s.Into)
	}
	for key, d := range b.s.Duties {
		if d.owing() {
			t.Errorf("%s is still owed in INC-2", key)
		}
	}
	// The merchants of INC-2 are told as promised there, and stand in the scope of INC-1.
	wantTime(t, "due", a.wantDuty("tell_merchants/m_1@INC-2", DutyRunning).Due, t0.Add(72*time.Hour))
	if got := Affected(a.s); !slices.Equal(got, []string{"m_1", "m_2"}) || a.s.Row("m_1").Customers != 3 {
		t.Fatalf("affected %v", got)
	}
	if len(a.s.Merged) != 1 || a.s.Merged[0].Head != b.facts[len(b.facts)-b.ended()-1].ID {
		t.Fatalf("merged %+v", a.s.Merged)
	}
	// What was confirmed there is confirmed here; the earlier detection is the detection, both kept.
	if m := a.s.Milestones["detected"]; !m.At.Equal(t0) || len(m.Before) != 1 || !m.Before[0].At.Equal(t0.Add(5*time.Hour)) {
		t.Fatalf("detected %+v", m)
	}
	if a.s.Severity != "critical" {
		t.Fatalf("severity %s", a.s.Severity)
	}
	r := b.refused(lena, Note{Text: "x"}, RefusedNotOpen)
	if !strings.Contains(r.Missing[0].Do, "tocsin incident show INC-1") {
		t.Fatalf("the way on is not said: %+v", r)
	}
	b.refused(lena, Reopen{Reason: "x"}, RefusedNotOpen)
	if next, _ := NextWake(b.p, b.s); !next.IsZero() {
		t.Fatalf("INC-2 is woken at %s", next)
	}
	// A limit that passes is missed here.
	a.tickTo(t0.Add(73 * time.Hour))
	a.wantDuty("tell_merchants/m_1@INC-2", DutyMissed)
}

// ended counts the facts of the command that ended the incident.
func (w *world) ended() int {
	n := 0
	for _, f := range slices.Backward(w.facts) {
		if f.Recorded.Equal(w.s.Into.At) && f.Kind == KindMerged || f.Kind == KindDutyStopped || f.Kind == KindActionCancelled {
			n++
			continue
		}
		break
	}
	return n
}

// promise: NOT-1
func TestOneLetterAfterTheMergingMeetsBothClocks(t *testing.T) {
	a, b := other(t, "INC-1", t0), other(t, "INC-2", t0)
	for _, w := range []*world{a, b} {
		w.confirmed()
		w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "seen"}, ReasonAnswered)
		w.must(worker, scopeOf(w.s.ID, "m_1"), ReasonScopeRecorded)
		w.after(time.Hour)
	}
	a.merged(b)
	a.after(time.Hour)
	a.noticeSent("tell_merchants")
	for _, e := range a.owed(EffectSend) {
		a.do(e, ReportResult{Outcome: Done, Code: "250"})
	}
	a.wantDuty("tell_merchants/m_1", DutyMet)
	a.wantDuty("tell_merchants/m_1@INC-2", DutyMet)
	// Another party's duty is not met by it, nor a different one.
	a.wantDuty("tell_shopify/shopify@INC-2", DutyRunning)
}

// promise: NOT-1
func TestALetterFromBeforeCountsOnlyWhereItToldTheSamePartyTheSameThing(t *testing.T) {
	for _, c := range []struct {
		name string
		row  Exposure
		want DutyState
	}{
		{"the same numbers", Exposure{Merchant: "m_1", Customers: 3, Records: 3, DataTypes: []string{"customer.email"}}, DutyMet},
		{"more customers", Exposure{Merchant: "m_1", Customers: 4, Records: 4, DataTypes: []string{"customer.email"}}, DutyRunning},
		{"another type of data", Exposure{Merchant: "m_1", Customers: 3, Records: 3, DataTypes: []string{"customer.phone"}}, DutyRunning},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := other(t, "INC-1", t0), other(t, "INC-2", t0)
			for _, w := range []*world{a, b} {
				w.confirmed()
				w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "seen"}, ReasonAnswered)
			}
			scope := scopeOf("a", "m_1")
			scope.Merchants = []Exposure{c.row}
			a.must(worker, scope, ReasonScopeRecorded)
			b.must(worker, scopeOf("b", "m_1"), ReasonScopeRecorded)
			b.after(time.Hour)
			b.noticeSent("tell_merchants")
			for _, e := range b.owed(EffectSend) {
				b.do(e, ReportResult{Outcome: Done, Code: "250"})
			}
			b.wantDuty("tell_merchants/m_1", DutyMet)
			a.merged(b)
			a.wantDuty("tell_merchants/m_1", c.want)
			if c.want == DutyMet && a.duty("tell_merchants/m_1").Proof != a.s.Merged[0].Fact {
				t.Fatalf("met by %q", a.duty("tell_merchants/m_1").Proof)
			}
		})
	}
}

// promise: CON-1
func TestContainmentFromBeforeDoesNotContainWhatWasMergedIn(t *testing.T) {
	a, b := other(t, "INC-1", t0), other(t, "INC-2", t0)
	a.confirmed()
	id := a.planned("revoke_token", nil)
	a.must(lena2, ApproveAction{Action: id}, ReasonApproved)
	a.do(a.owed(EffectApply)[0], ReportResult{Outcome: Done})
	a.do(a.owed(EffectConfirm)[0], ReportResult{Outcome: Done, Proof: "refused"})
	a.wantDuty("contain", DutyMet)
	b.confirmed()
	a.after(time.Minute)
	a.merged(b)
	a.wantDuty("contain", DutyMet)
	a.wantDuty("contain@INC-2", DutyProvisional)
	a.refused(mark, Complete{Duty: "contain@INC-2", Note: "x"}, RefusedLead)
	a.must(lena, Complete{Duty: "contain@INC-2", Note: "the token that ACT-1 revoked is that of INC-2"}, ReasonCompleted)
	a.wantDuty("contain@INC-2", DutyMet)
	a.wantDuty("judge", DutyMet)
}

var lena2 = Actor{Principal: "person:lea", Access: Responder, Roles: []string{"lead"}}

func TestAMergingIsRefusedWithEverythingThatIsMissing(t *testing.T) {
	a, b := other(t, "INC-1", t0), other(t, "INC-2", t0)
	a.open()
	b.confirmed()
	id := b.planned("revoke_token", nil)
	b.must(lena2, ApproveAction{Action: id}, ReasonApproved)
	b.must(lena, Restrict{Readers: []Principal{mark.Principal}, Reason: "staff"}, ReasonRestricted)
	give := func(by Actor) *Refusal {
		t.Helper()
		return a.refused(by, Merge{From: "INC-2", Reason: "x", Other: b.s}, RefusedState)
	}
	says := func(r *Refusal, want ...string) {
		t.Helper()
		for _, w := range want {
			if !slices.ContainsFunc(r.Missing, func(m Missing) bool { return strings.Contains(m.What, w) }) {
				t.Errorf("%q is not said: %+v", w, r.Missing)
			}
		}
	}
	says(give(mark), "the role lead of INC-1", "the role lead of INC-2", "ACT-1 of INC-2 is approved", "INC-2 is private and INC-1 is not")
	// To whoever may not know of it, it does not exist.
	a.refused(nadia, Merge{From: "INC-2", Reason: "x", Other: b.s}, RefusedNoIncident)
	a.must(lena, Restrict{Readers: []Principal{nadia.Principal}, Reason: "staff"}, ReasonRestricted)
	says(give(lena), "mark is on the list of INC-2 and not on that of INC-1", "nadia is on the list of INC-1 and not on that of INC-2")
	if _, err := a.give(lena, Merge{From: "INC-1", Reason: "x", Other: a.s}); err == nil {
		t.Fatal("an incident was merged into itself")
	}
	c, d := other(t, "INC-3", t0), other(t, "INC-4", t0)
	c.open()
	d.open()
	c.merged(d)
	// The other way round would be a circle; a third has to take the one that goes on.
	d.refused(boss, Merge{From: "INC-3", Reason: "x", Other: c.s}, RefusedNotOpen)
	e := other(t, "INC-5", t0)
	e.open()
	says(e.refused(boss, Merge{From: "INC-4", Reason: "x", Other: d.s}, RefusedState), "INC-4 is merged into INC-3")
	e.merged(c)
	if m := e.s.Merged[0]; !slices.Equal(m.Also, []string{"INC-4"}) {
		t.Fatalf("what INC-3 had taken in is not named: %+v", m)
	}
	e.must(boss, Dismiss{Reason: "a test"}, ReasonDismissed)
	f := other(t, "INC-6", t0)
	f.open()
	says(f.refused(boss, Merge{From: "INC-5", Reason: "x", Other: e.s}, RefusedState), "INC-5 is dismissed")
}

func TestADismissalStopsCarriedClocksAndAReopeningStartsThemAgain(t *testing.T) {
	a, b := other(t, "INC-1", t0), other(t, "INC-2", t0)
	a.open()
	b.confirmed()
	a.merged(b)
	due := a.duty("contain@INC-2").Due
	a.must(boss, Dismiss{Reason: "a test"}, ReasonDismissed)
	a.wantDuty("contain@INC-2", DutyStopped)
	a.must(boss, Reopen{Reason: "no test"}, ReasonReopened)
	wantTime(t, "due", a.wantDuty("contain@INC-2", DutyProvisional).Due, due)
	a.must(boss, Waive{Duty: "contain@INC-2", Reason: "the same"}, ReasonWaived)
	a.wantDuty("contain@INC-2", DutyWaived)
	a.wantDuty("contain", DutyProvisional)
}

func TestSignalsBecomeAnIncidentWithTheirOwnTimes(t *testing.T) {
	a := other(t, "INC-1", t0)
	a.open()
	s1, s2 := signalOf("s1"), signalOf("s2")
	s2.Subject, s2.At, s2.From = "credential:tok_7", t0.Add(2*time.Hour), t0.Add(time.Hour)
	a.must(worker, AddSignal{Signal: s1}, ReasonSignalLinked)
	a.after(3 * time.Hour)
	a.must(worker, AddSignal{Signal: s2}, ReasonSignalLinked)
	a.must(lena, Assign{Role: "lead", Person: lena.Principal}, ReasonAssigned)
	a.must(lena, Confirm{Reason: "seen"}, ReasonConfirmed)
	a.after(30 * time.Hour)
	before := viaJSON(t, a.s)
	if m := SplitMissing(a.s, []string{"s1", "s2"}); len(m) != 1 || !strings.Contains(m[0].What, "stays in INC-1") {
		t.Fatalf("everything may leave: %v", m)
	}
	if m := SplitMissing(a.s, []string{"s9"}); len(m) != 1 || !strings.Contains(m[0].What, "no signal s9") {
		t.Fatalf("missing %v", m)
	}
	c := other(t, "INC-2", a.now)
	c.must(lena, Open{Title: "the other token", Class: "credential_exposure", Split: &Split{Of: a.s, Signals: []string{"s2"}, Reason: "another thief"}}, ReasonOpened)
	a.must(lena, SplitOff{Into: "INC-2", Signals: []string{"s2"}, Reason: "another thief"}, ReasonSplit)

	wantTime(t, "detected", c.s.Milestones["detected"].At, s2.At)
	wantTime(t, "suspected", c.s.Milestones["suspected"].At, s2.From)
	wantTime(t, "confirmed", c.s.Milestones["confirmed"].At, t0.Add(3*time.Hour))
	if c.s.Roles["lead"] != lena.Principal || c.s.SplitOf.From != "INC-1" || c.s.SplitOf.Head != before.Head || len(c.s.Signals) != 1 {
		t.Fatalf("roles %v, split of %+v, signals %v", c.s.Roles, c.s.SplitOf, c.s.Signals)
	}
	if len(a.s.Signals) != 1 || a.s.Signals[0].ID != "s1" || len(a.s.Splits) != 1 || a.s.Unlinked[0].To != "INC-2" {
		t.Fatalf("signals %v, splits %v, out %v", a.s.Signals, a.s.Splits, a.s.Unlinked)
	}
	if lost := Lost(before, a.s); len(lost) > 0 {
		t.Fatalf("the split took %s from INC-1", lost[0].Key)
	}
}

// clockOf is the earliest limit and the earliest target of a duty that is owed to a recipient.
type clockOf struct{ Due, Target time.Time }

func (c clockOf) laterThan(was clockOf) bool {
	return later(was.Due, c.Due) || was.Due.IsZero() && later(was.Target, c.Target)
}

// firstDue is by duty and recipient the earliest clock among what is owed.
func firstDue(s *State) map[string]clockOf {
	out := map[string]clockOf{}
	for _, d := range s.Duties {
		if d.owing() {
			key := d.Duty + "/" + d.Recipient
			out[key] = clockOf{earliest(out[key].Due, d.Due), earliest(out[key].Target, d.Target)}
		}
	}
	return out
}

// noneLost fails where something that is owed before is owed later, or not, after: unless what was owed
// to nobody in particular is owed to merchants by name, or an act met it.
func noneLost(r *rapid.T, what string, before, after *State, also ...*State) {
	is := firstDue(after)
	for key, was := range firstDue(before) {
		duty, recipient, _ := strings.Cut(key, "/")
		met := slices.ContainsFunc(sortedKeys(after.Duties), func(k string) bool {
			d := after.Duties[k]
			return d.Duty == duty && d.Recipient == recipient && d.met()
		})
		for _, s := range also { // the merging itself decided it there
			if d := s.Duties[strings.TrimSuffix(key, "/")]; d != nil {
				met = met || d.met()
			}
		}
		at, ok := is[key]
		if recipient == "" && !ok { // the scope is known now: it is owed to merchants by name
			for k, due := range is {
				met = met || strings.HasPrefix(k, duty+"/") && !due.laterThan(was)
			}
		}
		if !ok && !met {
			r.Fatalf("%s: %s was owed in %s and is not in %s", what, key, before.ID, after.ID)
		}
		if ok && at.laterThan(was) && !met {
			r.Fatalf("%s: %s was due %v in %s and is due %v in %s", what, key, was, before.ID, at, after.ID)
		}
	}
}

func settled(s *State) bool {
	for _, a := range s.Actions {
		if _, owed := owedAction(s, a); owed || a.Attempted != "" {
			return false
		}
	}
	return !slices.ContainsFunc(s.Notices, func(n *Notice) bool { return n.Open > 0 })
}

// promise: NOT-1
func TestNoDutyDisappearsOrComesLaterByMergingOrSplitting(t *testing.T) {
	merges, splits := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		a, b := history(t, r, nil), history(t, r, nil)
		b.s, b.facts = renamed(t, b.facts, "INC-2")
		b.p = a.p
		if b.s.Policy != a.s.Policy || !settled(b.s) {
			return
		}
		if b.now.After(a.now) {
			a.now = b.now
		}
		a.give(ticker, Tick{})
		b.now = a.now
		b.give(ticker, Tick{})
		wasA, wasB := asJSON(t, a.s), asJSON(t, b.s)
		beforeA, beforeB := viaJSON(t, a.s), viaJSON(t, b.s)
		first, err := Decide(a.p, a.s, Merge{From: "INC-2", Reason: "x", Other: b.s}, a.ctx(boss))
		again, _ := Decide(a.p, viaJSON(t, a.s), Merge{From: "INC-2", Reason: "x", Other: viaJSON(t, b.s)}, a.ctx(boss))
		if asJSON(t, first) != asJSON(t, again) {
			r.Fatal("the same merging was decided in two ways")
		}
		if asJSON(t, a.s) != wasA || asJSON(t, b.s) != wasB {
			r.Fatal("deciding a merging changed what it was given")
		}
		if err != nil {
			return
		}
		if err := a.merge(b, boss); err != nil {
			r.Fatal(err)
		}
		merges++
		noneLost(r, "merge", beforeA, a.s)
		noneLost(r, "merge", beforeB, a.s, b.s)
		for key, d := range b.s.Duties {
			if d.owing() {
				r.Fatalf("%s is owed in both", key)
			}
		}
		whole := NewState("")
		for _, f := range a.facts {
			if whole, err = Fold(whole, f); err != nil {
				r.Fatal(err)
			}
		}
		if asJSON(t, viaJSON(t, whole)) != asJSON(t, viaJSON(t, a.s)) {
			r.Fatal("the whole fold of a merged incident differs")
		}

		// Split a signal off, and merge it back: nothing is lost on the way.
		if a.s.Status != StatusOpen {
			return
		}
		for i, id := range []string{"s1", "s2"} {
			g := signalOf(id)
			g.At = a.now.Add(-time.Duration(i) * time.Hour)
			a.give(worker, AddSignal{Signal: g})
		}
		before := viaJSON(t, a.s)
		c := other(t, "INC-3", a.now)
		c.p = a.p
		c.must(boss, Open{Title: "y", Class: "credential_exposure", Split: &Split{Of: a.s, Signals: []string{"s2"}, Reason: "x"}}, ReasonOpened)
		a.must(boss, SplitOff{Into: "INC-3", Signals: []string{"s2"}, Reason: "x"}, ReasonSplit)
		noneLost(r, "split", before, a.s)
		mid := viaJSON(t, c.s)
		a.merged(c)
		splits++
		noneLost(r, "split and merge", before, a.s)
		noneLost(r, "split and merge", mid, a.s)
	})
	if merges == 0 || splits == 0 {
		t.Fatalf("%d merges and %d splits were tried", merges, splits)
	}
}

// renamed is a history as that of another incident.
func renamed(t testing.TB, facts []Fact, id string) (*State, []Fact) {
	s := NewState(id)
	out := slices.Clone(facts)
	for i := range out {
		out[i].Chain = id
		var err error
		if s, err = Fold(s, out[i]); err != nil {
			t.Fatal(err)
		}
	}
	return s, out
}

// promise: NOT-1
func TestTheOrderOfMergingDoesNotChangeWhatIsOwedWhen(t *testing.T) {
	tried := 0
	rapid.Check(t, func(r *rapid.T) {
		make := func() [3]*world {
			var out [3]*world
			for i := range out {
				out[i] = other(t, []string{"INC-1", "INC-2", "INC-3"}[i], t0)
			}
			return out
		}
		one, two := make(), make()
		// A merging decides what was not decided, at its own time: where one of them is confirmed and
		// another is not, the order says which clocks begin when. All of them are, or none.
		confirmed := rapid.Bool().Draw(r, "confirmed")
		for i := range one {
			at := t0.Add(time.Duration(rapid.IntRange(0, 30).Draw(r, "opened")) * time.Hour)
			answered := rapid.IntRange(0, 2).Draw(r, "answered")
			n := rapid.IntRange(0, 3).Draw(r, "merchants")
			for _, w := range []*world{one[i], two[i]} {
				w.now = at
				w.open()
				if confirmed {
					w.must(lena, Confirm{Reason: "x"}, ReasonConfirmed)
				}
				if answered > 0 {
					w.must(lena, Answer{Fact: "personal_data", Value: answered == 1, Reason: "x"}, ReasonAnswered)
				}
				if n > 0 {
					w.must(worker, scopeOf(w.s.ID, []string{"m_0", "m_1", "m_2"}[:n]...), ReasonScopeRecorded)
				}
				w.now = t0.Add(40 * time.Hour)
				w.give(ticker, Tick{})
			}
		}
		one[0].merged(one[1])
		one[0].after(time.Minute)
		one[0].merged(one[2])
		two[0].merged(two[2])
		two[0].after(time.Minute)
		two[0].merged(two[1])
		x, y := firstDue(one[0].s), firstDue(two[0].s)
		if asJSON(t, x) != asJSON(t, y) {
			r.Fatalf("what is owed when depends on the order:\n%s\n%s", asJSON(t, x), asJSON(t, y))
		}
		tried++
	})
	if tried == 0 {
		t.Fatal("nothing was tried")
	}
}
