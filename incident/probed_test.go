package incident

import (
	"strings"
	"testing"
	"time"
)

func probedSignal(id, probe string) Signal {
	return Signal{ID: id, Class: "checkout_failure", Subject: "service:shop", At: t0.Add(-time.Minute), From: t0.Add(-time.Hour), To: t0,
		Sentence: "The probe " + probe + " failed 3 times in a row.", Facets: map[string]string{Probed: probe}}
}

// promise: REC-4
func TestTheProbeThatRaisedAnIncidentHasToPassBeforeServiceReturns(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.must(worker, AddSignal{Signal: probedSignal("s1", "shop_checkout")}, ReasonSignalLinked)
	missing := func() string {
		for _, g := range Gates(w.p, w.s) {
			if g.Command == "restore" {
				return strings.Join(whats(g.Missing), "; ")
			}
		}
		return ""
	}
	if got := missing(); !strings.Contains(got, "check shop_checkout has not run") || !strings.Contains(got, "check checkout has not run") {
		t.Fatalf("missing: %s", got)
	}
	w.must(lena, RunChecks{Checks: []string{"shop_checkout"}}, ReasonChecksAsked)
	owed := w.owed(EffectCheck)
	if len(owed) != 1 || owed[0].Check != "shop_checkout" {
		t.Fatalf("owed %v", owed)
	}
	if _, err := w.give(lena, RunChecks{Checks: []string{"another"}}); err == nil {
		t.Fatal("a probe that raised nothing was taken for a check")
	}
	w.must(lena, UnlinkSignal{Signal: "s1", Reason: "it is another shop"}, ReasonSignalUnlinked)
	if got := missing(); strings.Contains(got, "shop_checkout") {
		t.Fatalf("missing after its signal was taken out: %s", got)
	}
}

func whats(list []Missing) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.What)
	}
	return out
}

func TestThatASignalIsOverIsRecordedOnceByTheSystemAlone(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.must(worker, AddSignal{Signal: probedSignal("s1", "shop_checkout")}, ReasonSignalLinked)
	before, err := Apply(w.s)
	if err != nil {
		t.Fatal(err)
	}
	over := EndSignal{Signal: "s1", At: w.now.Add(-time.Minute), Says: "3 steps as phone in 4 ms"}
	w.refused(lena, over, RefusedAccess)
	w.must(worker, over, ReasonSignalEnded)
	if !w.s.Signals[0].Ended.Equal(over.At) || !before.Signals[0].Ended.IsZero() {
		t.Fatalf("ended %v; a reader's %v", w.s.Signals[0].Ended, before.Signals[0].Ended)
	}
	if line := Render(w.facts[len(w.facts)-1]); !strings.Contains(line.Text, "What signal s1 saw is over: 3 steps as phone") {
		t.Fatal(line.Text)
	}
	w.must(worker, over, ReasonNothingChanged)
	w.must(worker, EndSignal{Signal: "s9", At: w.now, Says: "x"}, ReasonNothingChanged)
	for name, bad := range map[string]EndSignal{
		"says": {Signal: "s1", At: w.now}, "signal": {At: w.now, Says: "x"}, "at": {Signal: "s1", At: w.now.Add(time.Hour), Says: "x"},
	} {
		if _, err := w.give(worker, bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
