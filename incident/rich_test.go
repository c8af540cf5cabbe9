package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// twoLaws is a catalogue of two laws about merchants: one of Germany, which depends on whether
// personal data is involved, and one for everybody that says no number.
type twoLaws struct{ version string }

func (l twoLaws) Version() string { return l.version }

func (twoLaws) Clocks(q policy.LawQuestion) []policy.LawClock {
	if q.Party != "controller" || q.Recipient == nil {
		return nil
	}
	var list []policy.LawClock
	if q.Recipient.Country == "DE" {
		c := policy.LawClock{ID: "de-law", Regime: "German law", Source: "s. 1(2)", Anchor: "aware", Span: limit(24), Text: "24h after aware (German law)",
			Applies: policy.Verdict{Value: policy.Unknown, Missing: []string{"fact.personal_data"}}}
		if yes, known := q.Facts["personal_data"].(bool); known {
			c.Applies = truth(yes, "personal data is involved")
		}
		list = append(list, c)
	}
	if q.Recipient.Country != "" {
		list = append(list, policy.LawClock{ID: "all-law", Regime: "Common law", Source: "s. 9", Anchor: "aware", Text: "without delay after aware (common law)", Applies: truth(true, "it is for everybody")})
	}
	return list
}

// passedIs is the condition passed('TEXT').
func passedIs(c policy.Clock) *policy.Condition {
	return policy.NewCondition("passed('"+c.Text+"')", c.Text+" has passed", func(v policy.View) policy.Verdict {
		if v.Passed == nil {
			return policy.Verdict{}
		}
		passed, known := v.Passed(c)
		if !known {
			return policy.Verdict{}
		}
		return truth(passed, c.Text)
	})
}

// countryIs is the condition recipient.country == 'CODE'.
func countryIs(code string) *policy.Condition {
	return policy.NewCondition("recipient.country == '"+code+"'", "the recipient is in "+code, func(v policy.View) policy.Verdict {
		if v.Recipient == nil || v.Recipient.Country == "" {
			return policy.Verdict{Value: policy.Unknown, Missing: []string{"recipient.country"}}
		}
		return truth(v.Recipient.Country == code, "the recipient is in "+v.Recipient.Country)
	})
}

// richPolicy is testPolicy with everything that the language can say besides.
func richPolicy() *policy.Program {
	p := testPolicy()
	p.Laws = twoLaws{"1"}
	p.Scales = []policy.Scale{{ID: "maturity", Levels: []policy.Level{{ID: "proved", When: factIs("personal_data")}, {ID: "likely"}, {ID: "rumour"}}}}
	p.Facts = append(p.Facts, policy.FactDecl{ID: "kind", Type: "choice", Values: []string{"a", "b"}})
	notify := func(id string, d policy.Duty) policy.Duty {
		d.ID, d.Who, d.Do, d.To, d.Approve = id, "comms", policy.Notify, "merchants.affected", []string{"lead"}
		return d
	}
	cell := clock("2h after detected", 2, "detected")
	cell.When, cell.Cell = severityIs("high"), policy.Cell{By: "severity", Level: "high"}
	none := policy.Clock{Kind: "after", Anchor: after("detected"), When: severityIs("low"), None: true, Cell: policy.Cell{By: "severity", Level: "low"}}
	p.Duties = append(p.Duties,
		notify("by_law", policy.Duty{Due: []policy.Clock{{Kind: "law", Text: "as law", Anchor: after("confirmed")}, {Kind: "contract", Text: "as contract", Anchor: after("confirmed")}}}),
		notify("germans", policy.Duty{When: countryIs("DE"), Unless: factIs("personal_data"), Due: []policy.Clock{clock("5h after applies", 5, "applies")}}),
		notify("chase", policy.Duty{When: cond("tell_merchants.open_items > 0", "items are open", func(v policy.View) bool { return v.Duties["tell_merchants"].OpenItems > 0 }),
			Due: []policy.Clock{clock("5h after tell_merchants.met", 5, "tell_merchants.met")}}),
		policy.Duty{ID: "cells", Do: policy.Scope, Due: []policy.Clock{cell, none}},
		policy.Duty{ID: "watch", Do: policy.Reach, Of: []string{"watched"}, Floor: []policy.Clock{clock("9h after contained", 9, "contained")}, Due: []policy.Clock{clock("90h after detected", 90, "detected")}},
		policy.Duty{ID: "write", Do: policy.Perform, Task: "write it up", Due: []policy.Clock{clock("3h after judge.late", 3, "judge.late")}},
		policy.Duty{ID: "ask_kind", Do: policy.Answer, Of: []string{"kind"}, Asked: true, Due: []policy.Clock{clock("6h after detected", 6, "detected")}},
		policy.Duty{ID: "daily", Do: policy.Perform, Task: "look", Every: eachPeriod("day"), Until: &policy.Anchor{Names: []string{"contained", "dismissed"}}},
		policy.Duty{ID: "slow", Do: policy.Verify, When: passedIs(clock("30h after detected", 30, "detected")), Due: []policy.Clock{clock("4h after detected", 4, "detected")}},
	)
	p.Gates[0].Override = &policy.Override{Sign: []policy.Signature{{N: 2, Role: "engineers"}}, Record: "reason"}
	p.Gates = append(p.Gates, policy.Gate{ID: "sure", Guards: "dismiss", When: passedIs(clock("50h after detected", 50, "detected")), Attest: "nobody was told"})
	return p
}

var directory = map[string]Recipient{
	"m_0": {Merchant: "m_0", Country: "DE", ContractHours: 12}, "m_1": {Merchant: "m_1", Country: "FR"}, "m_2": {Merchant: "m_2", ContractHours: 48},
}

// drawRich makes a command that only a rich policy has a use for.
func drawRich(r *rapid.T, s *State) (Actor, Command) {
	person := rapid.SampledFrom(actors[:6]).Draw(r, "actor")
	pick := func(label string, list ...string) string { return rapid.SampledFrom(list).Draw(r, label) }
	notice := "NTC-1"
	if n := len(s.Notices); n > 0 {
		notice = s.Notices[rapid.IntRange(0, n-1).Draw(r, "notice")].ID
	}
	switch rapid.IntRange(0, 9).Draw(r, "rich") {
	case 0:
		return person, SetScale{Scale: "maturity", Level: pick("level", "proved", "likely", "rumour", "no"), Reason: "x"}
	case 1, 2:
		return person, Complete{Duty: pick("duty", "write", "watch", "daily", "daily", "contain"), Note: "x"}
	case 3:
		return person, Told{Notice: notice, Party: pick("party", "m_0", "m_1", "shopify"), Channel: "phone", Reason: "x"}
	case 4:
		return person, Attest{Gate: pick("gate", "sure", "careful")}
	case 5, 6:
		return person, Override{Gate: "may_restore", Reason: "x"}
	case 7:
		return person, Answer{Fact: "kind", Value: pick("kind", "a", "b", "c"), Reason: "x"}
	case 8:
		return worker, RecordDirectory{Merchants: []Recipient{{Merchant: "m_1", Country: pick("country", "DE", "FR"), ContractHours: rapid.IntRange(0, 90).Draw(r, "term")}}}
	}
	return person, DraftNotice{Duty: "tell_merchants", Subject: "S", Content: map[string]string{"what_happened": "x"}, Open: []string{"your_actions"}}
}

// What a fact is worth is decided by what it says. Until it says something, nothing goes away: a
// duty that is owed with an answer is owed without it.
func TestAnUnknownFactNeverMakesADutyDisappear(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		knows, not := newWorld(t), newWorld(t)
		knows.p, not.p = richPolicy(), richPolicy()
		fact := rapid.SampledFrom([]string{"personal_data", "kind", "severity", "country"}).Draw(r, "fact")
		steps := []func(*world){
			func(w *world) { w.open() },
			func(w *world) { w.must(lena, Confirm{Reason: "x"}, ReasonConfirmed) },
			func(w *world) { w.scopedMore("m_0", "m_1", "m_2", "m_9") },
			func(w *world) { w.after(time.Duration(rapid.IntRange(0, 40).Draw(r, "hours")) * h) },
		}
		yes := rapid.Bool().Draw(r, "yes")
		level := rapid.SampledFrom([]string{"critical", "high"}).Draw(r, "level")
		hours := rapid.IntRange(0, 60).Draw(r, "wait")
		for i, step := range steps {
			if i == 3 {
				knows.after(time.Duration(hours) * h)
				not.now = knows.now
				continue
			}
			step(knows)
			step(not)
		}
		switch fact {
		case "personal_data":
			knows.must(lena, Answer{Fact: fact, Value: yes, Reason: "x"}, ReasonAnswered)
		case "kind":
			knows.must(lena, Answer{Fact: fact, Value: "a", Reason: "x"}, ReasonAnswered)
		case "severity":
			knows.must(lena, SetSeverity{Severity: level, Reason: "x"}, ReasonSeveritySet)
		default:
			knows.must(worker, RecordDirectory{Merchants: []Recipient{{Merchant: "m_9", Country: "DE"}}}, ReasonDirectoryRead)
		}
		if _, err := knows.give(ticker, Tick{}); err != nil {
			r.Fatal(err)
		}
		if _, err := not.give(ticker, Tick{}); err != nil {
			r.Fatal(err)
		}
		for key, d := range knows.s.Duties {
			other := not.s.Duties[key]
			if d.owing() && (other == nil || !other.owing()) && d.Cause != "unless" {
				r.Fatalf("with %s known %s is %s, without it %+v", fact, key, d.State, other)
			}
		}
		for key, d := range not.s.Duties {
			if d.State == DutyNot && d.Why == "" {
				r.Fatalf("%s is ruled out without a reason", key)
			}
		}
	})
}

// Facts of one instant may be recorded in any order: the clocks come to the same.
func TestTheOrderInWhichFactsOfOneInstantAreRecordedDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		waits := []int{rapid.IntRange(0, 9).Draw(r, "first"), rapid.IntRange(0, 70).Draw(r, "second")}
		yes := rapid.Bool().Draw(r, "yes")
		level := rapid.SampledFrom([]string{"critical", "high", "low"}).Draw(r, "level")
		instants := [][]func(*world){{
			func(w *world) { w.give(lena, Confirm{Reason: "x"}) },
			func(w *world) { w.give(lena, Answer{Fact: "personal_data", Value: yes, Reason: "x"}) },
			func(w *world) { w.give(lena, Answer{Fact: "kind", Value: "b", Reason: "x"}) },
			func(w *world) { w.give(lena, Complete{Duty: "daily", Note: "x"}) },
			func(w *world) { w.give(lena, SetSeverity{Severity: level, Reason: "x"}) },
		}, {
			func(w *world) { w.give(lena, Mark{Milestone: "contained", Reason: "x"}) },
			func(w *world) { w.give(lena, Assess{Vector: "a", RootCause: "b", Risk: "c"}) },
			func(w *world) { w.give(lena, SetScale{Scale: "maturity", Level: "likely", Reason: "x"}) },
		}}
		run := func(order func([]func(*world)) []func(*world)) *world {
			w := newWorld(t)
			w.p = richPolicy()
			w.open()
			for i, list := range instants {
				w.tickTo(w.now.Add(time.Duration(waits[i]) * h))
				for _, step := range order(list) {
					step(w)
				}
			}
			w.tickTo(w.now.Add(100 * h))
			return w
		}
		a := run(func(l []func(*world)) []func(*world) { return l })
		b := run(func(l []func(*world)) []func(*world) { return rapid.Permutation(l).Draw(r, "order") })
		if x, y := ends(a.s), ends(b.s); x != y {
			r.Fatalf("one order:\n%s\nanother:\n%s", x, y)
		}
	})
}

// ends is what the clocks of an incident have come to.
func ends(s *State) string {
	var b strings.Builder
	for _, key := range sortedKeys(s.Duties) {
		d := *s.Duties[key]
		if !d.owing() {
			d.Cell = "" // the cell it had last: which that was depends on the way
		}
		b.WriteString(strings.Join([]string{key, string(d.State), utc(d.Started), utc(d.Target), utc(d.Due), utc(d.Met), utc(d.Missed), utc(d.Floor), d.Cell, strings.Join(d.Unknown, ",")}, " "))
		b.WriteByte('\n')
	}
	return b.String()
}

func TestTheLawIsAskedOncePerMerchantAndItsClauseIsInTheReason(t *testing.T) {
	w := newWorld(t)
	w.p, w.directory = richPolicy(), directory
	w.p.Duties = w.p.Duties[len(testPolicy().Duties):][:1] // by_law
	w.p.Gates = nil
	w.open()
	w.must(lena, Mark{Milestone: "aware", Reason: "x"}, ReasonMarked)
	w.after(h)
	w.must(lena, Confirm{Reason: "x"}, ReasonConfirmed)
	w.scopedMore("m_0", "m_1", "m_2", "m_9")
	for m, want := range map[string]struct {
		due, target time.Duration // after t0
		law, why    string
		state       DutyState
	}{
		"m_0": {due: 13 * h, target: 4 * h, why: "as contract: 12h after confirmed", state: DutyRunning},
		"m_1": {target: 4 * h, law: "all-law", why: "s. 9", state: DutyRunning},
		"m_2": {due: 49 * h, target: 5 * h, why: "as contract: 48h", state: DutyRunning},
		"m_9": {target: 5 * h, why: "promptly", state: DutyRunning},
	} {
		d := w.wantDuty("by_law/"+m, want.state)
		if want.due > 0 {
			wantTime(t, m+" due", d.Due, t0.Add(want.due))
		} else if !d.Due.IsZero() {
			t.Errorf("%s has a limit: %s", m, d.Due)
		}
		wantTime(t, m+" target", d.Target, t0.Add(want.target))
		if d.Law != want.law || !strings.Contains(d.Why, want.why) {
			t.Errorf("%s: %q: %s", m, d.Law, d.Why)
		}
	}
	// The German law may apply: provisional, and earlier than the contract once that is longer.
	w.must(worker, RecordDirectory{Merchants: []Recipient{{Merchant: "m_0", Country: "DE", ContractHours: 72}}}, ReasonDirectoryRead)
	d := w.wantDuty("by_law/m_0", DutyProvisional)
	wantTime(t, "due", d.Due, t0.Add(24*h))
	wantTime(t, "earliest", d.Earliest, t0.Add(13*h))
	if d.Law != "de-law" || !slices.Equal(d.Unknown, []string{"fact.personal_data"}) || !strings.Contains(d.Why, "s. 1(2)") {
		t.Fatalf("%q %v: %s", d.Law, d.Unknown, d.Why)
	}
	var laws []string
	for _, e := range Explain(w.p, w.s) {
		if slices.Equal(e.Recipients, []string{"m_0"}) {
			for _, c := range e.Clocks {
				laws = append(laws, c.Law+" "+c.State)
			}
		}
	}
	if got := strings.Join(laws, ", "); got != "de-law counts, all-law later,  later" {
		t.Errorf("the clocks of m_0: %s", got)
	}
	w.must(lena, Answer{Fact: "personal_data", Value: false, Reason: "none"}, ReasonAnswered)
	wantTime(t, "the contract's", w.wantDuty("by_law/m_0", DutyRunning).Due, t0.Add(73*h))
	for _, f := range w.facts[len(w.facts)-1:] {
		if f.Versions.Regimes != "1" {
			t.Errorf("the fact does not say which catalogue: %+v", f.Versions)
		}
	}
	// A newer catalogue is asked again at the next look.
	n := len(w.facts)
	w.p.Laws = twoLaws{"2"}
	if _, err := w.give(ticker, Tick{}); err != nil {
		t.Fatal(err)
	}
	if len(w.facts) != n {
		t.Error("the same answers of a newer catalogue are no news")
	}
}

func TestATurningPointWakesAtItsInstantAndIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.p.Gates = nil
	w.p.Duties = []policy.Duty{{ID: "slow", Do: policy.Verify, When: passedIs(clock("30h after detected", 30, "detected")),
		Due: []policy.Clock{clock("40h after detected", 40, "detected")}}}
	w.open()
	w.wantDuty("slow", DutyNot)
	next, _ := NextWake(w.p, w.s)
	wantTime(t, "wake-up", next, t0.Add(30*h))
	w.tickTo(t0.Add(30 * h))
	if d := w.duty("slow"); !d.owing() {
		t.Fatalf("%+v", d)
	}
	wantTime(t, "passed", w.s.Passed["30h after detected"], t0.Add(30*h))
	// An anchor that moves earlier needs no wake-up; one that moves later turns again.
	w.must(lena, Correct{Milestone: "detected", At: t0.Add(5 * h), Reason: "the log was read wrongly"}, ReasonCorrected)
	w.wantDuty("slow", DutyNot)
	w.tickTo(t0.Add(36 * h))
	wantTime(t, "passed again", w.s.Passed["30h after detected"], t0.Add(35*h))
	wantTime(t, "due", w.duty("slow").Due, t0.Add(45*h))
}

func TestAStagedNoticeOwesWhatItLeftOpen(t *testing.T) {
	w := newWorld(t)
	w.p.Gates = nil
	w.p.Duties = append(w.p.Duties[:4:4], policy.Duty{ID: "chase", Do: policy.Notify, To: "merchants.affected", Approve: []string{"lead"}, Content: []string{"your_actions"},
		When: cond("tell_merchants.open_items > 0", "items are open", func(v policy.View) bool { return v.Duties["tell_merchants"].OpenItems > 0 }),
		Due:  []policy.Clock{{Kind: "after", Span: calendar.Span{Limit: days(5)}, Anchor: after("tell_merchants.met"), Text: "5d after tell_merchants.met"}}})
	w.confirmed()
	w.scopedMore("m_1", "m_2")
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "x"}, ReasonAnswered)
	if _, err := w.give(mark, DraftNotice{Duty: "chase", Subject: "S", Content: map[string]string{}, Open: []string{"your_actions"}}); err == nil {
		t.Fatal("nobody follows up on chase: it may leave nothing open")
	}
	w.must(mark, DraftNotice{Duty: "tell_merchants", Subject: "S", Content: map[string]string{"what_happened": "x"}, Open: []string{"your_actions"}}, ReasonDrafted)
	w.must(lena, ApproveNotice{Notice: "NTC-1"}, ReasonApproved)
	w.must(mark, SendNotice{Notice: "NTC-1"}, ReasonSending)
	for _, e := range w.owed(EffectSend) {
		w.do(e, ReportResult{Outcome: Done})
	}
	w.wantDuty("tell_merchants/m_1", DutyMet)
	wantTime(t, "due", w.wantDuty("chase/m_1", DutyRunning).Due, t0.AddDate(0, 0, 5))
	w.after(h)
	w.must(mark, DraftNotice{Duty: "chase", Subject: "S", Content: map[string]string{"your_actions": "rotate"}}, ReasonDrafted)
	w.must(lena, ApproveNotice{Notice: "NTC-2"}, ReasonApproved)
	w.must(mark, SendNotice{Notice: "NTC-2"}, ReasonSending)
	w.do(w.owed(EffectSend)[0], ReportResult{Outcome: Done})
	w.wantDuty("chase/m_1", DutyMet)
	w.wantDuty("chase/m_2", DutyRunning) // the other merchant has not been told yet
}

func TestWhoWasReachedByPhoneWasTold(t *testing.T) {
	w := newWorld(t)
	w.scoped("m_1")
	id := w.noticeSent("tell_merchants")
	e := w.owed(EffectSend)[0]
	if _, err := w.give(mark, Told{Notice: id, Party: "m_1", Channel: "phone", Reason: "x"}); err == nil {
		t.Fatal("the mail may still arrive")
	}
	w.do(e, ReportResult{Outcome: Failed, Code: "550"})
	w.must(mark, Told{Notice: id, Party: "m_1", Channel: "phone", Reason: "spoke to the owner"}, ReasonTold)
	w.wantDuty("tell_merchants/m_1", DutyMet)
	if d := w.s.notice(id).Deliveries["m_1"]; d.Channel != "phone" {
		t.Fatalf("%+v", d)
	}
}

func TestALimitThatIsPastWhenADutyFirstAppliesIsDueAtOnce(t *testing.T) {
	w := newWorld(t)
	w.p.Gates = nil
	w.p.Duties = []policy.Duty{{ID: "d", Do: policy.Contain, When: factIs("personal_data"), Due: []policy.Clock{clock("4h after detected", 4, "detected")}}}
	w.must(lena, Open{Title: "x", Class: "credential_exposure"}, ReasonOpened)
	w.must(lena, Answer{Fact: "personal_data", Value: false, Reason: "none"}, ReasonAnswered)
	w.after(9 * h)
	w.must(lena, Answer{Fact: "personal_data", Value: true, Reason: "found some"}, ReasonAnswered)
	d := w.duty("d")
	wantTime(t, "limit", d.Due, t0.Add(4*h))
	if d.State != DutyMissed {
		t.Fatalf("%s", d.State)
	}
}
