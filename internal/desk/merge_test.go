package desk

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/verify"
)

// promise: NOT-1
func TestTwoIncidentsBecomeOneInOneStep(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Events = theGround(t).events })
	ctx := context.Background()
	sig := incident.Signal{ID: "sig1", Class: "unusual_volume", Subject: "credential:tok_1", At: noon, From: noon, To: noon, Sentence: "much"}
	a, b := opened(t, s, "one", nil), opened(t, s, "two", &sig)
	submit := func(inc string, c incident.Command) {
		t.Helper()
		if _, err := s.Submit(ctx, Request{Incident: inc, Command: c, Caller: lena}); err != nil {
			t.Fatal(err)
		}
	}
	submit(a, incident.Confirm{Reason: "seen it"})
	ask := MergeAsk{Into: a, From: b, Reason: "one thief", Dry: true}
	was, _ := s.Incident(ctx, b)

	// The plan says what it would do, and does nothing.
	plan, err := s.Merge(ctx, "", boss, ask)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(plan.Plan, "\n")
	for _, want := range []string{b + " is confirmed by it", b + " ends as a part of " + a, "is carried from " + b} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan does not say %q:\n%s", want, text)
		}
	}
	if now, _ := s.Incident(ctx, b); now.Version != was.Version {
		t.Fatal("looking at the plan recorded something")
	}

	// Refused in one, nothing is recorded in the other.
	var refused *incident.Refusal
	if _, err := s.Merge(ctx, "", mark, ask); !errors.As(err, &refused) || len(refused.Missing) == 0 {
		t.Fatalf("%v", err)
	}
	// A plan that somebody acted after is not carried out; it says what came, and the next plan is.
	ask.Dry, ask.Versions = false, plan.Versions
	submit(b, incident.Note{Text: "the token was revoked"})
	if _, err := s.Merge(ctx, "", boss, ask); !errors.As(err, &refused) || refused.Reason != incident.RefusedStale || !strings.Contains(refused.Error(), b+" since then: ") || !strings.Contains(refused.Error(), "the token was revoked") {
		t.Fatalf("a stale plan: %v", err)
	}
	if now, _ := s.Incident(ctx, b); now.Into != nil {
		t.Fatal("a stale plan was carried out")
	}
	for name, versions := range map[string]map[string]int{"one": {a: 1}, "another": {a: 1, "INC-77": 1}, "one to come": {a: 1, b: 9999}} {
		if _, err := s.Merge(ctx, "", boss, MergeAsk{Into: a, From: b, Reason: "one thief", Versions: versions}); !errors.Is(err, ErrInvalid) && name != "one to come" || err == nil {
			t.Errorf("versions of %s: %v", name, err)
		}
	}
	ask.Dry, ask.Versions = true, nil
	plan, err = s.Merge(ctx, "", boss, ask)
	s.must(err)
	ask.Dry, ask.Versions = false, plan.Versions
	out, err := s.Merge(ctx, "k1", boss, ask)
	if err != nil || out.Reason != incident.ReasonMerged || out.Incident != a {
		t.Fatalf("%+v %v", out, err)
	}
	if again, err := s.Merge(ctx, "k1", boss, ask); err != nil || !again.Replayed {
		t.Fatalf("asked again with the same key: %+v %v", again, err)
	}
	ask.Versions = nil
	if again, err := s.Merge(ctx, "k2", boss, ask); err != nil || again.Reason != incident.ReasonAlreadyMerged || len(again.Facts) != 0 {
		t.Fatalf("asked again: %+v %v", again, err)
	}
	into, _ := s.Incident(ctx, a)
	from, _ := s.Incident(ctx, b)
	if len(into.Merged) != 1 || incident.Into(from) != a || from.Status != incident.StatusClosed {
		t.Fatalf("%+v %+v", into.Merged, from.Into)
	}
	// The copy names the fact of the other chain that it was made from, with its hash.
	if err := s.o.Store.View(ctx, func(r ledger.Reader) error {
		rec, err := r.RecordByID(into.Merged[0].Head)
		if err == nil && ledger.HashText(rec.Hash) != into.Merged[0].Hash {
			t.Errorf("the head has the hash %s, and %s is recorded", ledger.HashText(rec.Hash), into.Merged[0].Hash)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// What the detector finds further about the same belongs to the one that goes on.
	sig.ID, sig.At = "sig2", noon.Add(time.Minute)
	if out, err := s.Signal(ctx, sig); err != nil || out.Incident != a {
		t.Fatalf("%+v %v", out, err)
	}
	rows, err := s.Clocks(ctx, a)
	if err != nil || !slices.ContainsFunc(rows, func(r ClockRow) bool { return r.From == b }) {
		t.Fatalf("no clock says where it comes from: %v", err)
	}

	// The export of the one proves where the other stood, and is found wrong when it does not.
	path, err := s.Export(ctx, "", boss, a, "the authority")
	if err != nil {
		t.Fatal(err)
	}
	rep, err := verify.File(path, verify.Options{})
	if err != nil || !rep.OK {
		t.Fatalf("%v %+v", err, rep)
	}
	if !slices.ContainsFunc(rep.Merged, func(m string) bool { return m == b }) {
		t.Fatalf("the report does not name %s: %v", b, rep.Merged)
	}
}

func TestSignalsAreSplitOffInOneStep(t *testing.T) {
	s := newSite(t, nil)
	ctx := context.Background()
	sig := incident.Signal{ID: "sig1", Class: "unusual_volume", Subject: "credential:tok_1", At: noon, From: noon, To: noon, Sentence: "much"}
	a := opened(t, s, "one", &sig)
	sig2 := incident.Signal{ID: "sig2", Class: "unusual_volume", Subject: "credential:tok_2", At: noon.Add(-time.Hour), From: noon.Add(-2 * time.Hour), To: noon, Sentence: "much more"}
	if _, err := s.Submit(ctx, Request{Incident: a, Command: incident.AddSignal{Signal: sig2}, Caller: worker("detect")}); err != nil {
		t.Fatal(err)
	}
	ask := SplitAsk{Of: a, Signals: []string{"sig1", "sig2"}, Reason: "two thieves"}
	var refused *incident.Refusal
	if _, err := s.Split(ctx, "", lena, ask); !errors.As(err, &refused) || !strings.Contains(refused.Missing[0].What, "stays in "+a) {
		t.Fatalf("%v", err)
	}
	ask.Signals, ask.Dry = []string{"sig2"}, true
	plan, err := s.Split(ctx, "", lena, ask)
	if err != nil || len(plan.Plan) < 2 || !strings.Contains(plan.Plan[1], a+" keeps its clocks") {
		t.Fatalf("%+v %v", plan, err)
	}
	ask.Dry = false
	out, err := s.Split(ctx, "k", lena, ask)
	if err != nil || out.Incident == a || out.Reason != incident.ReasonOpened {
		t.Fatalf("%+v %v", out, err)
	}
	fresh, _ := s.Incident(ctx, out.Incident)
	first, _ := s.Incident(ctx, a)
	if len(fresh.Signals) != 1 || !fresh.Milestones["detected"].At.Equal(sig2.At) || fresh.SplitOf.From != a || len(first.Signals) != 1 || first.Splits[0].Into != out.Incident {
		t.Fatalf("%+v %+v", fresh.SplitOf, first.Splits)
	}
	// Merged back, both are one again.
	if _, err := s.Merge(ctx, "", boss, MergeAsk{Into: a, From: out.Incident, Reason: "one after all"}); err != nil {
		t.Fatal(err)
	}
}

// promise: INV-3
func TestAnExportThatNamesAStateOfAnotherIncidentWhichNeverWasIsFoundWrong(t *testing.T) {
	s := newSite(t, func(o *Options) {
		o.Events = theGround(t).events
		o.Decided = func(facts []incident.Fact) []incident.Fact {
			for i := range facts {
				if facts[i].Kind == incident.KindMergedIn {
					facts[i].Body = bytes.Replace(facts[i].Body, []byte(`"hash":"sha256:`), []byte(`"hash":"sha256:00`), 1)
				}
			}
			return facts
		}
	})
	a, b := opened(t, s, "one", nil), opened(t, s, "two", nil)
	if _, err := s.Merge(t.Context(), "", boss, MergeAsk{Into: a, From: b, Reason: "one thief"}); err != nil {
		t.Fatal(err)
	}
	path, err := s.Export(t.Context(), "", boss, a, "the authority")
	if err != nil {
		t.Fatal(err)
	}
	rep, err := verify.File(path, verify.Options{})
	if err != nil || rep.OK || !slices.ContainsFunc(rep.Findings, func(f verify.Finding) bool { return f.Code == verify.CodeFactOther }) {
		t.Fatalf("%v %+v", err, rep)
	}
}

// A merging that comes while an export is made: its facts are not in the log yet, which is nobody's fault.
func TestAMergingWhileAnExportIsMadeIsNoFinding(t *testing.T) {
	var s *site
	var a, b string
	merge := false
	s = newSite(t, func(o *Options) {
		o.Events = theGround(t).events
		pass := o.Anchor
		o.Anchor = func(ctx context.Context) (int, error) {
			n, err := pass(ctx)
			if err == nil && n == 0 && merge {
				merge = false
				s.give(lena, b, incident.Note{Text: "its newest fact"})
				if _, err := s.Merge(ctx, "", boss, MergeAsk{Into: a, From: b, Reason: "one thief"}); err != nil {
					t.Error(err)
				}
			}
			return n, err
		}
	})
	a, b = opened(t, s, "one", nil), opened(t, s, "two", nil)
	merge = true
	path, err := s.Export(t.Context(), "", boss, a, "the authority")
	s.must(err)
	rep, err := verify.File(path, verify.Options{})
	if err != nil || !rep.OK {
		t.Fatalf("%v %+v", err, rep)
	}
}
