package metric_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/detect/metric"
	"github.com/tocsin-ir/tocsin/incident"
)

var month = metric.Budget{Amount: 1500, Unit: "USD", Period: 30 * 24 * time.Hour} // some 2 USD an hour

// promise: DET-5
func TestABudgetThatIsSpentTooFastNamesItsCredential(t *testing.T) {
	v, err := metric.NewVelocity("credential:tok_1", month)
	if err != nil {
		t.Fatal(err)
	}
	at := start
	spend := func(minutes int, perMinute float64) (found []incident.Signal) {
		for range minutes {
			at = at.Add(time.Minute)
			if s, ok := v.Observe(at, perMinute); ok {
				found = append(found, s)
			}
		}
		return found
	}
	if found := spend(24*60, 2.0/60); len(found) > 0 {
		t.Errorf("an even pace: %+v", found)
	}
	if found := spend(10, 0.3); len(found) > 0 {
		t.Errorf("ten busy minutes: %+v", found)
	}
	spend(8*60, 2.0/60)
	found := spend(180, 1) // 29 times as fast
	if len(found) != 1 {
		t.Fatalf("%d signals for three hours of a leaked key", len(found))
	}
	s := found[0]
	if took := s.At.Sub(start.Add((24*60 + 10 + 8*60) * time.Minute)); took > 31*time.Minute {
		t.Errorf("it took %s", took)
	}
	if s.Class != metric.SpendVelocity || s.Subject != "credential:tok_1" || s.Facets["credential"] != "tok_1" || s.ID == "" {
		t.Errorf("%+v", s)
	}
	if want := "credential tok_1: 30 USD in an hour, 14.4 times the even pace of its budget of 1500 USD in 30 days; at this pace the whole of it lasts 49 hours"; s.Sentence != want {
		t.Errorf("%q, want %q", s.Sentence, want)
	}
	spend(8*60, 2.0/60)
	if found := spend(180, 1); len(found) != 1 {
		t.Errorf("%d signals when it begins again", len(found))
	}
	if _, ok := v.Observe(at.Add(-7*time.Hour), 1e6); ok {
		t.Error("an amount seven hours late raised a signal")
	}
	if _, err := metric.NewVelocity("credential:tok_1", metric.Budget{Unit: "USD"}); err == nil || !strings.Contains(err.Error(), "credential:tok_1") {
		t.Errorf("no budget: %v", err)
	}
}

// readings is a week of two streams and a leaked key at its end.
func readings() (out []metric.Reading) {
	r := rand.New(rand.NewPCG(9, 9))
	for i := range 7 * 288 {
		at, share, cost := start.Add(time.Duration(i)*every), 0.01+0.002*r.Float64(), 0.15+0.05*r.Float64()
		if i >= 7*288-24 {
			cost = 8
		}
		if i == 6*288 {
			share = 0.31
		}
		out = append(out,
			metric.Reading{Subject: "app:pickandpack", Name: "error share", Unit: "of requests", At: at, Value: share},
			metric.Reading{Subject: "credential:tok_1", Name: metric.Cost, Unit: "USD in 5 minutes", At: at, Value: cost})
	}
	return out
}

func streams(t *testing.T) *metric.Streams {
	s, err := metric.NewStreams(100, map[string]metric.Budget{"credential:tok_1": month}, metric.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// promise: DET-4
// promise: DET-5
func TestAnUnusualReadingIsOneSentenceWithNumbersAndUnits(t *testing.T) {
	s := streams(t)
	sentences := map[string]string{}
	for _, r := range readings() {
		for _, sig := range s.Observe(r) {
			if r.At.After(start.Add(3 * 24 * time.Hour)) {
				sentences[sig.Class+" "+sig.Subject] += sig.Sentence + "\n"
			}
		}
	}
	if got := sentences["metric_anomaly app:pickandpack"]; !strings.Contains(got, "app pickandpack: error share 0.31 of requests; usually 0.01") || !strings.Contains(got, "in 1728 readings") {
		t.Errorf("%q", got)
	}
	if got := sentences["metric_anomaly credential:tok_1"]; !strings.Contains(got, "credential tok_1: cost 8 USD in 5 minutes; usually 0.1") {
		t.Errorf("%q", got)
	}
	if got := sentences["spend_velocity credential:tok_1"]; strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
}

func TestStreamsRestoredReportNothingTwiceAndMissNothing(t *testing.T) {
	all := readings()
	signals := func(s *metric.Streams, from, to int) (ids []string) {
		for _, r := range all[from:to] {
			for _, sig := range s.Observe(r) {
				ids = append(ids, sig.ID)
			}
		}
		return ids
	}
	want := fmt.Sprint(signals(streams(t), 0, len(all)))
	for _, cut := range []int{0, 1, 2001, len(all) - 30, len(all)} {
		s := streams(t)
		ids := signals(s, 0, cut)
		b, err := s.Snapshot(int64(cut))
		if err != nil {
			t.Fatal(err)
		}
		s = streams(t)
		at, err := s.Restore(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(append(ids, signals(s, int(at), len(all))...)); got != want {
			t.Errorf("cut at %d: %s, want %s", cut, got, want)
		}
	}
}

func TestTheStreamThatWasQuietForLongestIsForgotten(t *testing.T) {
	s, err := metric.NewStreams(2, nil, metric.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := start
	see := func(subject string, value float64) int {
		at = at.Add(time.Minute)
		return len(s.Observe(metric.Reading{Subject: subject, Name: "requests", At: at, Value: value}))
	}
	for i := range 2000 {
		see("app:a", float64(i%7))
		see("app:b", float64(i%7))
	}
	see("app:c", 1) // app:a is forgotten
	if see("app:b", 1e6) != 1 {
		t.Error("a stream that was busy was forgotten")
	}
	if see("app:a", 1e6) != 0 {
		t.Error("a stream that was forgotten is judged")
	}
}

// A share of fifty requests takes a few values alone, and the memory of a stream that lives long keeps
// each of them once.
//
// promise: DET-4
func TestAStreamOfFewValuesIsJudgedHoweverLongItLives(t *testing.T) {
	s, err := metric.NewStreams(2, nil, metric.Options{Learn: 100})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	see := func(i int, value float64) int {
		return len(s.Observe(metric.Reading{Subject: "app:a", Name: "error share", At: start.Add(time.Duration(i) * every), Value: value, Rise: true, Times: 5, Least: 0.2}))
	}
	for i := range 4000 {
		if see(i, float64(r.IntN(3))/50) != 0 {
			t.Fatalf("row %d is reported", i)
		}
	}
	if see(4000, 0.5) != 1 {
		t.Error("half of the requests fail, and nothing is said")
	}
	if see(4001, 0) != 0 {
		t.Error("that none fails is reported")
	}
}
