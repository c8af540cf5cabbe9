package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var actors = []Actor{lena, mark, nadia, omar, boss, guest, worker, ticker}

// drawCommand makes any command, mostly one that makes sense in the state.
func drawCommand(r *rapid.T, s *State) (Actor, Command) {
	person := rapid.SampledFrom(actors[:6]).Draw(r, "actor")
	pick := func(label string, list ...string) string { return rapid.SampledFrom(list).Draw(r, label) }
	action, notice := "ACT-1", "NTC-1"
	if n := len(s.Actions); n > 0 {
		action = s.Actions[rapid.IntRange(0, n-1).Draw(r, "action")].ID
	}
	if n := len(s.Notices); n > 0 {
		notice = s.Notices[rapid.IntRange(0, n-1).Draw(r, "notice")].ID
	}
	var effect Effect
	if list := append(Owed(s), InFlight(s)...); len(list) > 0 {
		effect = rapid.SampledFrom(list).Draw(r, "effect")
	}
	switch rapid.IntRange(0, 33).Draw(r, "command") {
	case 0:
		return person, Confirm{Reason: "x"}
	case 1:
		return person, Dismiss{Reason: "x"}
	case 2:
		return person, Reopen{Reason: "x"}
	case 3:
		return person, Acknowledge{}
	case 4:
		return person, Mark{Milestone: pick("milestone", "aware", "assessed", "contained", "watched", "restored", "no"), Reason: "x"}
	case 5:
		back := time.Duration(rapid.IntRange(0, 200).Draw(r, "back")) * time.Hour
		return person, Correct{Milestone: pick("milestone", "detected", "confirmed", "aware", "contained", "dismissed"), At: s.Updated.Add(-back), Reason: "x"}
	case 6, 7:
		return person, Answer{Fact: "personal_data", Value: rapid.Bool().Draw(r, "yes"), Reason: "x"}
	case 8:
		return person, SetSeverity{Severity: pick("severity", "critical", "high", "low", "no"), Reason: "x"}
	case 9:
		return person, Assign{Role: pick("role", "lead", "comms"), Person: pick2(r)}
	case 10, 11:
		n := rapid.IntRange(0, 5).Draw(r, "merchants")
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("m_%d", i))
		}
		return person, scopeOf(fmt.Sprintf("d%d", rapid.IntRange(0, 9).Draw(r, "digest")), list...)
	case 12:
		return person, AdjustScope{Merchant: pick("merchant", "m_0", "m_1", "m_7"), Include: rapid.Bool().Draw(r, "include"), Reason: "x"}
	case 13, 14:
		return person, PlanAction{Action: pick("decl", "revoke_token", "rotate_secret", "switch_off"), Target: map[string]string{"merchant": pick("target", "m_1", "*")}, Reason: "x"}
	case 15, 16:
		return person, ApproveAction{Action: action}
	case 17:
		return person, CancelAction{Action: action, Reason: "x"}
	case 18:
		return person, UndoActionCmd{Action: action, Reason: "x"}
	case 19, 20:
		return worker, ReportAttempt{Effect: effect}
	case 21, 22, 23:
		out := rapid.SampledFrom([]Outcome{Done, Done, Failed, Deferred, Uncertain}).Draw(r, "outcome")
		return worker, ReportResult{Effect: effect, Outcome: out, Addresses: 2, Code: pick("code", "250", "no_address")}
	case 24:
		content := map[string]string{"what_happened": "x"}
		if rapid.Bool().Draw(r, "full") {
			content["your_actions"] = "y"
		}
		return person, DraftNotice{Duty: pick("duty", "tell_merchants", "tell_shopify", "follow_up"), Subject: "S", Content: content}
	case 25, 26:
		return person, ApproveNotice{Notice: notice, Attest: true}
	case 27, 28:
		return person, SendNotice{Notice: notice}
	case 29:
		return person, ResendNotice{Notice: notice, Party: pick("party", "m_0", "m_1", "shopify"), Reason: "x"}
	case 30:
		return person, RunChecks{}
	case 31:
		return person, rapid.SampledFrom([]Command{RecordFix{What: "x"}, VerifyFix{How: "x"}, RestoreService{Reason: "x"}, Sign{Gate: "may_restore"},
			Assess{Vector: "a", RootCause: "b", Risk: "c"}, EditReview{Part: "timeline", Text: "x"}, EditReview{Part: "prevention", Text: "x"}, PublishReview{}, Close{Reason: "x"}}).Draw(r, "recovery")
	case 32:
		return person, Waive{Duty: pick("waived", "contain", "tell_merchants", "tell_merchants/m_1", "judge"), Reason: "x"}
	}
	return ticker, Tick{}
}

func pick2(r *rapid.T) Principal {
	return rapid.SampledFrom([]Principal{lena.Principal, mark.Principal, omar.Principal}).Draw(r, "person")
}

// history drives a random incident. check is called after every command.
func history(t *testing.T, r *rapid.T, check func(*world, Actor, Command, Decision, error)) *world {
	w := newWorld(t)
	rich := rapid.Bool().Draw(r, "policy")
	if rich {
		w.p, w.directory = richPolicy(), directory
	}
	w.must(lena, Open{Title: "x", Class: "credential_exposure"}, ReasonOpened)
	for range rapid.IntRange(1, 60).Draw(r, "length") {
		switch rapid.IntRange(0, 3).Draw(r, "pace") {
		case 0:
			w.after(time.Duration(rapid.IntRange(0, 50).Draw(r, "hours")) * time.Hour)
		case 1:
			if next, _ := NextWake(w.p, w.s); !next.IsZero() && next.After(w.now) {
				w.now = next
			}
		}
		a, c := drawCommand(r, w.s)
		if rich && rapid.IntRange(0, 2).Draw(r, "which") == 0 {
			a, c = drawRich(r, w.s)
		}
		d, err := w.give(a, c)
		if check != nil {
			check(w, a, c, d, err)
		}
	}
	return w
}

func TestNoDecisionWithoutAReasonAndNoRandomHistoryBreaks(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		history(t, r, func(w *world, a Actor, c Command, d Decision, err error) {
			var refused *Refusal
			var field *FieldError
			if err != nil && !errors.As(err, &refused) && !errors.As(err, &field) {
				r.Fatalf("%s: %v", c.Name(), err)
			}
			for _, f := range d.Facts {
				if f.Kind == "" || f.Principal == "" || f.Recorded.IsZero() || f.Occurred.IsZero() || !json.Valid(f.Body) {
					r.Fatalf("%s: an incomplete fact: %+v", c.Name(), f)
				}
				line := Render(f)
				if line.Text == "" {
					r.Fatalf("%s has no line", f.Kind)
				}
				f.Parts = withFirstMerchant(f.Parts)
				if of := Render(f); of != line {
					r.Fatalf("%s is the line %q, and of its own parts and the first merchant's %q", f.Kind, line.Text, of.Text)
				}
			}
		})
	})
}

// withFirstMerchant withholds what ledger.OpenForLine does: all merchants' parts but the first one's. Merchants
// stand in the order of a record, in which "" is first.
func withFirstMerchant(parts []Part) []Part {
	parts = slices.SortedStableFunc(slices.Values(parts), func(a, b Part) int { return strings.Compare(a.Merchant, b.Merchant) })
	first := ""
	for i, p := range parts {
		if first == "" {
			first = p.Merchant
		}
		if p.Merchant != "" && p.Merchant != first {
			parts[i].Body, parts[i].Withheld = nil, true
		}
	}
	return parts
}

func TestASnapshotAndTheTailEqualTheWholeFold(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := history(t, r, nil)
		cut := rapid.IntRange(0, len(w.facts)).Draw(r, "cut")
		s := NewState("INC-1")
		for i, f := range w.facts {
			if i == cut {
				s = viaJSON(t, s)
			}
			var err error
			if s, err = Fold(s, f); err != nil {
				r.Fatal(err)
			}
		}
		if got, want := asJSON(t, s), asJSON(t, w.s); got != want {
			r.Fatalf("cut at %d:\n%s\n%s", cut, got, want)
		}
		applied, err := Apply(nil, w.facts...)
		if err != nil || asJSON(t, applied) != asJSON(t, w.s) {
			r.Fatalf("Apply differs from Fold: %v", err)
		}
	})
}

func TestDecideAndApplyLeaveTheStateTheyWereGiven(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := history(t, r, nil)
		before := asJSON(t, w.s)
		for range 5 {
			a, c := drawCommand(r, w.s)
			d, _ := Decide(w.p, w.s, c, w.ctx(a))
			again, _ := Decide(w.p, w.s, c, w.ctx(a))
			if asJSON(t, d) != asJSON(t, again) {
				r.Fatalf("%s decides differently the second time", c.Name())
			}
			for i := range d.Facts {
				d.Facts[i].ID = fmt.Sprintf("X%d", i)
			}
			if _, err := Apply(w.s, d.Facts...); err != nil {
				r.Fatal(err)
			}
			if after := asJSON(t, w.s); after != before {
				r.Fatalf("%s changed the state it was given:\n%s\n%s", c.Name(), before, after)
			}
		}
	})
}

func TestUnknownKindsSurviveARoundTripAndChangeNothingElse(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := history(t, r, nil)
		s := NewState("INC-1")
		unknown := 0
		for _, f := range w.facts {
			if rapid.IntRange(0, 4).Draw(r, "insert") == 0 {
				unknown++
				strange := f
				strange.Kind, strange.Body = "duty.transmuted", json.RawMessage(`{"state":"gold","deep":[1,{"a":2}]}`)
				strange = viaJSON(t, strange)
				if string(strange.Body) != `{"state":"gold","deep":[1,{"a":2}]}` {
					r.Fatalf("the body changed: %s", strange.Body)
				}
				s, _ = Fold(s, strange)
				s = viaJSON(t, s)
			}
			s, _ = Fold(s, f)
		}
		if unknown > 0 && s.UnknownKinds["duty.transmuted"] != unknown {
			r.Fatalf("%d unknown facts counted as %v", unknown, s.UnknownKinds)
		}
		s.UnknownKinds, s.Version, s.Head, s.Computed = nil, w.s.Version, w.s.Head, w.s.Computed
		if asJSON(t, s) != asJSON(t, w.s) {
			r.Fatal("a fact of an unknown kind changed the state")
		}
	})
}

func TestFactsOfOtherIncidentsChangeNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := history(t, r, nil)
		before := asJSON(t, w.s)
		for _, f := range w.facts {
			f.Chain = "INC-2"
			var err error
			if w.s, err = Fold(w.s, f); err != nil {
				r.Fatal(err)
			}
		}
		if asJSON(t, w.s) != before {
			r.Fatal("another incident's facts changed this one")
		}
	})
}

// promise: NOT-1
func TestTheEarliestDueEverShownAndEveryMissStay(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		earliest, missed := map[string]time.Time{}, map[string]time.Time{}
		history(t, r, func(w *world, _ Actor, c Command, _ Decision, _ error) {
			for key, d := range w.s.Duties {
				if was := earliest[key]; !was.IsZero() && (d.Earliest.IsZero() || d.Earliest.After(was)) {
					r.Fatalf("after %s the earliest due of %s went from %s to %s", c.Name(), key, was, d.Earliest)
				}
				if d.State != DutyNot && !d.Due.IsZero() && (d.Earliest.IsZero() || d.Due.Before(d.Earliest)) {
					r.Fatalf("after %s %s shows %s, earlier than its earliest %s", c.Name(), key, d.Due, d.Earliest)
				}
				if was := missed[key]; !was.IsZero() && !d.Missed.Equal(was) {
					r.Fatalf("after %s the miss of %s went from %s to %s", c.Name(), key, was, d.Missed)
				}
				if d.State == DutyMet && !d.Missed.IsZero() {
					r.Fatalf("%s was missed and shows met in time", key)
				}
				earliest[key], missed[key] = d.Earliest, d.Missed
			}
			for key := range earliest {
				if w.s.Duties[key] == nil {
					r.Fatalf("%s is gone", key)
				}
			}
		})
	})
}

func TestTheSamePrincipalNeverApprovesTwiceNorItsOwnWork(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		history(t, r, func(w *world, _ Actor, _ Command, _ Decision, _ error) {
			twice := func(what string, author []Principal, signed []Signed) {
				seen := map[Principal]bool{}
				for _, x := range signed {
					if seen[x.By] || slices.Contains(author, x.By) {
						r.Fatalf("%s signed %s: authors %v", x.By, what, author)
					}
					seen[x.By] = true
				}
			}
			for _, a := range w.s.Actions {
				twice(a.ID, []Principal{a.PlannedBy}, a.Approvals)
				if a.State != ActionPlanned && a.State != ActionCancelled && len(a.Approvals) == 0 {
					r.Fatalf("%s is %s without a signature", a.ID, a.State)
				}
			}
			for _, n := range w.s.Notices {
				twice(n.ID, n.Authors, n.Approvals)
				if len(n.Deliveries) > 0 && len(n.Approvals) == 0 {
					r.Fatalf("%s goes out without a signature", n.ID)
				}
			}
			for g, signed := range w.s.Signatures {
				twice(g, nil, signed)
			}
			if w.s.Fix != nil && w.s.FixProof != nil && w.s.Fix.By == w.s.FixProof.By {
				r.Fatal("a fix verified by who recorded it")
			}
		})
	})
}

func TestOwedHoldsNothingDoneAndNothingTwice(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		done := map[string]bool{}
		history(t, r, func(w *world, _ Actor, c Command, d Decision, err error) {
			if rep, ok := c.(ReportResult); ok && err == nil && d.Reason == ReasonResult {
				done[rep.Effect.ID] = true
			}
			seen := map[string]bool{}
			owed := Owed(w.s)
			for _, e := range append(slices.Clone(owed), InFlight(w.s)...) {
				if done[e.ID] || seen[e.ID] {
					r.Fatalf("%s is owed again after %s", e.ID, c.Name())
				}
				seen[e.ID] = true
			}
			if asJSON(t, Owed(viaJSON(t, w.s))) != asJSON(t, owed) {
				r.Fatal("the order of what is owed depends on more than the state")
			}
			// What these facts made owed is found without a walk over everything.
			for _, e := range OwedBy(w.s, d.Facts) {
				if !slices.Contains(owed, e) {
					r.Fatalf("OwedBy names %s, which is not owed", e.ID)
				}
			}
			for _, n := range w.s.Notices {
				open := 0
				for _, x := range n.Deliveries {
					open += x.unsettled()
				}
				if n.Open != open {
					r.Fatalf("%s counts %d open deliveries, there are %d", n.ID, n.Open, open)
				}
			}
		})
	})
}

// Every new effect after a command has to be in OwedBy of that command's facts, or the desk would
// not queue it.
func TestOwedByMissesNothingNew(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var before []Effect
		history(t, r, func(w *world, _ Actor, c Command, d Decision, _ error) {
			owed := Owed(w.s)
			fresh := OwedBy(w.s, d.Facts)
			for _, e := range owed {
				if !slices.Contains(before, e) && !slices.Contains(fresh, e) {
					r.Fatalf("%s: %s is newly owed and OwedBy does not say so", c.Name(), e.ID)
				}
			}
			before = owed
		})
	})
}

func TestTheClocksAreSettledAfterEveryCommand(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		history(t, r, func(w *world, _ Actor, c Command, d Decision, err error) {
			if err != nil {
				return // a refusal records itself and leaves the clocks to the next tick
			}
			full := Context{Now: w.now, Actor: ticker, Directory: w.directory, Versions: Versions{Engine: "another"}} // looks at everything
			again, err := Decide(w.p, w.s, Tick{}, full)
			if err != nil {
				r.Fatal(err)
			}
			for _, f := range again.Facts {
				if c.Name() != "tick" && (f.Kind == KindActionUndo || f.Kind == KindActionCancelled) {
					continue // an expiry is recorded by the tick alone
				}
				r.Fatalf("after %s (%s) the clocks still owed %s %s", c.Name(), d.Reason, f.Kind, f.Body)
			}
			if next, _ := NextWake(w.p, w.s); !next.IsZero() && !next.After(w.now) {
				r.Fatalf("after %s it wants to be woken at %s, it is %s", c.Name(), next, w.now)
			}
			for duty, sums := range w.s.Tally {
				have := *sums
				w2 := viaJSON(t, w.s)
				w2.retally(duty)
				if asJSON(t, have) != asJSON(t, w2.Tally[duty]) {
					r.Fatalf("after %s the sums of %s are off: %s, counted %s", c.Name(), duty, asJSON(t, have), asJSON(t, w2.Tally[duty]))
				}
			}
		})
	})
}

// A worker asks for one effect and the clock for the earliest retry: both answer as the whole list would.
func TestOneEffectIsOwedAsTheListSays(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var ever []Effect
		history(t, r, func(w *world, _ Actor, _ Command, _ Decision, _ error) {
			owed := Owed(w.s)
			var first time.Time
			for _, e := range owed {
				if !e.NotBefore.IsZero() && (first.IsZero() || e.NotBefore.Before(first)) {
					first = e.NotBefore
				}
			}
			if _, next := NextWake(w.p, w.s); !next.Equal(first) {
				r.Fatalf("the next retry is at %v, and the list says %v", next, first)
			}
			ever = append(ever, owed...)
			for _, e := range ever {
				if want := slices.ContainsFunc(owed, func(o Effect) bool { return o.ID == e.ID }); Owes(w.s, e) != want {
					r.Fatalf("%s is owed: %v, and the list says %v", e.ID, !want, want)
				}
			}
		})
	})
}

// What is remembered of the duties that are owed is what looking for them anew finds: after facts that are folded
// in place, in a fork while its original is read on, and in a snapshot.
func TestWhatIsOwedIsRememberedAsItStands(t *testing.T) {
	remembers := func(r *rapid.T, when string, s *State) {
		if got, want := s.Owing(), owingIn(s.Duties); !slices.EqualFunc(got, want, func(a, b Owing) bool { return a.Of == b.Of && a.N == b.N }) {
			r.Fatalf("%s: remembered %+v, standing %+v", when, got, want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		inPlace, forked := NewState("INC-1"), NewState("INC-1")
		for _, f := range history(t, r, nil).facts {
			var err error
			if inPlace, err = Fold(inPlace, f); err != nil {
				r.Fatal(err)
			}
			remembers(r, "in place", inPlace)
			before := forked
			if forked, err = Apply(before, f); err != nil {
				r.Fatal(err)
			}
			remembers(r, "forked", forked)
			remembers(r, "what was forked", before)
		}
		n := 0
		for _, d := range inPlace.Duties {
			if d.owing() {
				n++
			}
		}
		for _, o := range inPlace.Owing() {
			n -= o.N
		}
		if n != 0 {
			r.Fatalf("%d duties more are owed than are remembered", n)
		}
		read := viaJSON(t, inPlace)
		remembers(r, "a snapshot", read)
		if len(read.Owing()) > len(inPlace.Owing()) {
			r.Fatalf("a snapshot tells apart %d of the %d that stand the same", len(read.Owing()), len(inPlace.Owing()))
		}
	})
}
