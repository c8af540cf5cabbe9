package probe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/probe"
)

// promise: DET-6
func TestFailuresInARowAreOneOutageWithOneSignalUntilTheProbePasses(t *testing.T) {
	at := time.Date(2026, 11, 20, 11, 0, 0, 0, time.UTC)
	how := probe.Schedule{After: 3, Every: time.Minute}.With("checkout", "http-journey")
	var s probe.Standing
	signals := map[string]int{}
	run := func(passed bool) {
		before := s
		at = at.Add(time.Minute)
		s = s.After("checkout", how, probe.Result{Passed: passed, Code: "http 500", Observed: "step pay as phone: it failed."}, at)
		if s.Outage != nil && (before.Outage == nil || before.Outage.Signal != s.Outage.Signal) {
			signals[s.Outage.Signal]++
		}
		if before.Outage != nil && before.Outage != s.Outage && before.Outage.Signal == s.Outage.Signal && !before.Outage.Ended.IsZero() {
			t.Fatal("an outage that had ended was changed")
		}
	}
	states := func(runs string, want ...probe.State) {
		t.Helper()
		for i, r := range runs {
			run(r == '.')
			if s.State != want[i] {
				t.Fatalf("run %d of %s: %s, want %s", i+1, runs, s.State, want[i])
			}
		}
	}
	states(".xx.", probe.Passing, probe.Failing, probe.Failing, probe.Passing) // two are not enough
	if s.Outage != nil || s.Failures != 0 {
		t.Fatalf("%+v", s)
	}
	states("xxxxx", probe.Failing, probe.Failing, probe.Out, probe.Out, probe.Out)
	first := *s.Outage
	if first.Failures != 3 || !s.Untold() || !s.Since.Equal(first.From) || first.At.Sub(first.From) != 2*time.Minute {
		t.Fatalf("%+v in %+v", first, s)
	}
	if got := first.Says("checkout"); got != "The probe checkout failed 3 times in a row since 2026-11-20 11:05:00 UTC: step pay as phone: it failed." {
		t.Fatal(got)
	}
	s.Outage.Incident = "INC-1"
	if s.Untold() {
		t.Fatal("the incident knows it")
	}
	states(".", probe.Passing)
	if !s.Outage.Ended.Equal(at) || !s.Untold() {
		t.Fatalf("%+v", s.Outage)
	}
	s.Outage.Told = true
	states("xxxx", probe.Failing, probe.Failing, probe.Out, probe.Out)
	if len(signals) != 2 || s.Outage.Signal == first.Signal || s.Outage.Incident != "" {
		t.Fatalf("%v, %+v", signals, s.Outage)
	}
}

func TestWhatIsKeptOfARunIsBoundedAndValid(t *testing.T) {
	var s probe.Standing
	how := probe.Schedule{After: 1}.With("x", "dns")
	s = s.After("x", how, probe.Result{Code: strings.Repeat("c", 1000), Observed: strings.Repeat("ü", 5000) + "\xff"}, time.Now())
	if len(s.Saw) > 1100 || len(s.Code) > 100 || !strings.HasSuffix(s.Saw, "ü…") || len(s.Outage.Says("x")) > 1300 {
		t.Fatalf("%d and %d bytes are kept", len(s.Saw), len(s.Code))
	}
}

func TestAMisspeltScheduleNamesItsField(t *testing.T) {
	for want, s := range map[string]probe.Schedule{
		"probes.x.every": {Every: time.Second}, "probes.x.after": {After: 101}, "probes.x.signal": {Signal: "Checkout failure"}, "probes.x.service": {Service: "a b"},
	} {
		if err := s.With("x", "tls").Validate("probes.x"); err == nil || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("error %v does not begin with %s", err, want)
		}
	}
	s := probe.Schedule{}.With("shop_dns", "dns")
	if err := s.Validate("probes.x"); err != nil || s.Every != time.Minute || s.After != 3 || s.Signal != "dns_failure" || s.Service != "shop_dns" {
		t.Errorf("defaults: %+v, %v", s, err)
	}
	if !probe.IsName("shop_dns") || probe.IsName("shop-dns") || probe.IsName("") {
		t.Error("names")
	}
}
