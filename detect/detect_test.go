package detect_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/soaktest"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 10, 19, 0, 0, 0, 0, time.UTC) // a Monday

// month is ordinary traffic of one credential that works for many shops: busy by day, quiet by
// night, less at weekends, now and then a burst: a shop that exports its orders, a sale that
// doubles the traffic for an hour, a weekly report that walks many shops.
func month(seed uint64, days int, perMinute float64) []detect.Observation {
	r := rand.New(rand.NewPCG(seed, 1))
	var out []detect.Observation
	add := func(t time.Time, merchant int, customers int) {
		o := detect.Observation{ID: fmt.Sprint("e", len(out)), Time: t, App: "shop", Credential: "tok_9fa8b7c6d5e4", Merchant: fmt.Sprint("m_", merchant), IP: fmt.Sprint("198.51.100.", 1+r.IntN(3)), Agent: "worker/1.4", Records: int64(customers), Bytes: int64(customers) * 900}
		for range customers {
			o.Customers = append(o.Customers, fmt.Append(nil, r.IntN(2000)))
		}
		out = append(out, o)
	}
	for m := range days * 1440 {
		at := start.Add(time.Duration(m) * time.Minute)
		rate := perMinute * (0.15 + 0.85*math.Pow(math.Max(0, math.Sin(float64(at.Hour()-5)/24*math.Pi*1.4)), 2))
		if at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
			rate *= 0.5
		}
		if (at.Day()*7)%11 == 3 && at.Hour() == 14 {
			rate *= 2 // a sale
		}
		for range poisson(r, rate) {
			// A few shops have most of the orders.
			add(at.Add(time.Duration(r.IntN(60000))*time.Millisecond), int(300*math.Pow(r.Float64(), 2.5)), 1)
		}
		if at.Weekday() == time.Tuesday && at.Hour() == 3 && at.Minute() < 10 {
			for i := range 15 {
				add(at.Add(time.Duration(i)*4*time.Second), at.Minute()*15+i, 1) // the weekly report
			}
		}
		if at.Day()%9 == 4 && at.Hour() == 10 && at.Minute() == 30 {
			for i := range 12 {
				add(at.Add(time.Duration(i)*5*time.Second), at.Day(), 8) // an export
			}
		}
	}
	slices.SortStableFunc(out, func(a, b detect.Observation) int { return a.Time.Compare(b.Time) })
	return out
}

func poisson(r *rand.Rand, mean float64) int {
	n, p := 0, math.Exp(-mean)
	for x := r.Float64(); x > p; x *= r.Float64() {
		n++
	}
	return n
}

func run(d *detect.Detector, events []detect.Observation) (signals []incident.Signal) {
	for _, o := range events {
		signals = append(signals, d.Observe(o)...)
	}
	return signals
}

// promise: DET-2
func TestAMonthOfOrdinaryLifeRaisesNothing(t *testing.T) { ordinaryMonths(t, 0, 1) }

func TestSoakMonths(t *testing.T) {
	s := soaktest.Start(t)
	seeds := s.Seeds(t, s.Rounds(t, "months", 10, 100))
	ordinaryMonths(t, seeds...)
	walks(t, seeds...)
}

func ordinaryMonths(t *testing.T, seeds ...uint64) {
	t.Helper()
	for _, seed := range seeds {
		for _, rate := range []float64{0.3, 1.5, 4} {
			d := detect.New(detect.Options{})
			for _, s := range run(d, month(seed, 31, rate)) {
				// The weekly report is new in its first week: nothing can know that it is weekly.
				if s.At.Before(start.Add(14 * 24 * time.Hour)) {
					if s.At.Weekday() == time.Tuesday && s.At.Hour() == 3 {
						continue
					}
				}
				t.Errorf("seed %d rate %v, %s: %s", seed, rate, s.At.Format(time.DateTime), s.Sentence)
			}
		}
	}
}

// attack walks the shops one after the other on top of the legitimate use.
func attack(from time.Time, merchants int, over time.Duration, perShop int) []detect.Observation {
	var out []detect.Observation
	n := merchants * perShop
	for i := range n {
		o := detect.Observation{ID: fmt.Sprint("a", i), Time: from.Add(over * time.Duration(i) / time.Duration(n)), App: "shop", Credential: "tok_9fa8b7c6d5e4", Merchant: fmt.Sprint("m_", 299-i/perShop), IP: "203.0.113.66", Agent: "curl/8.5", Records: 5}
		for c := range 5 {
			o.Customers = append(o.Customers, fmt.Append(nil, i*5+c))
		}
		out = append(out, o)
	}
	return out
}

// promise: DET-3
func TestAWalkThroughTheShopsIsReportedOnceAndInTime(t *testing.T) { walks(t, 0) }

func walks(t *testing.T, seeds ...uint64) {
	t.Helper()
	for _, seed := range seeds {
		for _, rate := range []float64{0.3, 1.5, 4} {
			for _, hour := range []int{3, 13, 20} {
				begin := start.Add(30*24*time.Hour + time.Duration(hour)*time.Hour + 7*time.Minute)
				events := append(month(seed, 31, rate), attack(begin, 120, 20*time.Minute, 3)...)
				slices.SortStableFunc(events, func(a, b detect.Observation) int { return a.Time.Compare(b.Time) })
				var during []incident.Signal
				for _, s := range run(detect.New(detect.Options{}), events) {
					if !s.At.Before(begin) && s.At.Before(begin.Add(30*time.Minute)) {
						during = append(during, s)
					}
				}
				if len(during) != 1 {
					t.Errorf("seed %d rate %v hour %d: %d signals", seed, rate, hour, len(during))
					continue
				}
				s := during[0]
				if s.Class != detect.UnusualVolume || s.Subject != "credential:tok_9fa8b7c6d5e4" || s.App != "shop" || s.Facets["new_addresses"] != "203.0.113.66" || s.Facets["new_agents"] != "curl/8.5" || len(s.Events) == 0 {
					t.Errorf("seed %d: %+v", seed, s)
				}
				if !strings.Contains(s.Sentence, "credential tok_9fa8b7c6d5e4: ") || !strings.Contains(s.Sentence, "in 10 minutes; usually ") {
					t.Errorf("sentence: %s", s.Sentence)
				}
				if wait := s.At.Sub(begin); wait > 11*time.Minute {
					t.Errorf("seed %d rate %v hour %d: reported %v after the beginning: %s", seed, rate, hour, wait, s.Sentence)
				}
			}
		}
	}
}

// promise: DET-3
func TestTheEventThatCrossesTheLineIsTheOneReported(t *testing.T) {
	d := detect.New(detect.Options{})
	quiet(d, 4)
	begin := start.Add(4*24*time.Hour + 12*time.Hour)
	for i := range 21 {
		got := d.Observe(detect.Observation{ID: fmt.Sprint("x", i), Time: begin.Add(time.Duration(i) * time.Second), App: "shop", Credential: "tok", Merchant: fmt.Sprint("m", i)})
		if i < 20 && len(got) != 0 {
			t.Fatalf("reported at %d merchants, the floor is 20", i+1)
		}
		if i == 20 && (len(got) != 1 || !got[0].At.Equal(begin.Add(20*time.Second)) || got[0].Events[len(got[0].Events)-1] != "x20") {
			t.Fatalf("the 21st merchant gave %+v", got)
		}
	}
}

// quiet is a credential that reads one customer of one shop every ten minutes for some days.
func quiet(d *detect.Detector, days int) {
	for i := range days * 144 {
		d.Observe(detect.Observation{ID: fmt.Sprint("q", i), Time: start.Add(time.Duration(i) * 10 * time.Minute), App: "shop", Credential: "tok", Merchant: "m_1", Customers: [][]byte{[]byte("c")}, IP: "198.51.100.1", Agent: "w"})
	}
}

func burst(d *detect.Detector, at time.Time, merchants int, id string) []incident.Signal {
	var out []incident.Signal
	for i := range merchants {
		out = append(out, d.Observe(detect.Observation{ID: fmt.Sprint(id, i), Time: at.Add(time.Duration(i) * time.Second), App: "shop", Credential: "tok", Merchant: fmt.Sprint("m", i)})...)
	}
	return out
}

func TestANewCredentialIsJudgedAgainstTheCap(t *testing.T) {
	d := detect.New(detect.Options{})
	if got := burst(d, start, 100, "a"); len(got) != 0 {
		t.Errorf("reported under the cap: %s", got[0].Sentence)
	}
	if got := burst(d, start.Add(time.Hour), 101, "b"); len(got) != 1 || !strings.Contains(got[0].Sentence, "with 0 days of history it is allowed 1000 of 100") || got[0].Facets["new_addresses"] != "" {
		t.Errorf("over the cap: %+v", got)
	}
}

func TestReportedOnceUntilCalm(t *testing.T) {
	d := detect.New(detect.Options{})
	quiet(d, 5)
	at := start.Add(5 * 24 * time.Hour)
	for i, c := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {5 * time.Minute, 0}, {25 * time.Minute, 0}, {50 * time.Minute, 0}, {3 * time.Hour, 1}} {
		if got := burst(d, at.Add(c.after), 60, fmt.Sprint("b", i, "-")); len(got) != c.want {
			t.Errorf("burst after %v gave %d signals, want %d", c.after, len(got), c.want)
		}
	}
}

// promise: DET-2
func TestRefusedAttemptsAreReported(t *testing.T) {
	d := detect.New(detect.Options{})
	quiet(d, 4)
	var got []incident.Signal
	for i := range 40 {
		got = append(got, d.Observe(detect.Observation{ID: fmt.Sprint("d", i), Time: start.Add(96*time.Hour + time.Duration(i)*time.Second), App: "shop", Credential: "tok", Merchant: "m_1", Denied: true, IP: "203.0.113.9"})...)
	}
	if len(got) != 1 || got[0].Class != detect.DeniedAccess || !strings.Contains(got[0].Sentence, "31 requests refused in 10 minutes; usually none at this hour") {
		t.Errorf("%+v", got)
	}
}

func TestHistoricEventsTeachAndNeverReport(t *testing.T) {
	d := detect.New(detect.Options{})
	quiet(d, 4)
	at := start.Add(96 * time.Hour)
	for i := range 200 {
		if got := d.Observe(detect.Observation{ID: fmt.Sprint("h", i), Time: at.Add(time.Duration(i) * time.Second), App: "shop", Credential: "tok", Merchant: fmt.Sprint("m", i), Historic: true}); len(got) != 0 {
			t.Fatalf("a historic event raised %s", got[0].Sentence)
		}
	}
	if got := burst(d, at.Add(24*time.Hour), 60, "b"); len(got) != 0 {
		t.Errorf("what history taught is forgotten: %s", got[0].Sentence)
	}
}

func TestAnAttackDoesNotBecomeNormal(t *testing.T) {
	d := detect.New(detect.Options{})
	quiet(d, 5)
	for day := range 3 {
		at := start.Add(5*24*time.Hour + time.Duration(day)*24*time.Hour)
		if got := burst(d, at, 150, fmt.Sprint("day", day, "-")); len(got) != 1 {
			t.Errorf("day %d: %d signals", day, len(got))
		}
		d.Observe(detect.Observation{ID: fmt.Sprint("calm", day), Time: at.Add(2 * time.Hour), App: "shop", Credential: "tok", Merchant: "m_1"})
	}
}

// Order inside the window, repetitions, and stray old lines change nothing about what is counted.
func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "merchants")
		var events []detect.Observation
		for i := range n {
			events = append(events, detect.Observation{ID: fmt.Sprint("x", i), Time: start.Add(96*time.Hour + time.Duration(i)*5*time.Second), App: "shop", Credential: "tok", Merchant: fmt.Sprint("m", i)})
		}
		again := rapid.SliceOfN(rapid.SampledFrom(events), 0, 30).Draw(t, "again")
		stray := detect.Observation{ID: "old", Time: start.Add(95 * time.Hour), App: "shop", Credential: "tok", Merchant: "elsewhere"}
		mixed := rapid.Permutation(append(slices.Clone(events), again...)).Draw(t, "order")
		d := detect.New(detect.Options{})
		quiet(d, 4)
		d.Observe(detect.Observation{ID: "now", Time: start.Add(96 * time.Hour), App: "shop", Credential: "tok", Merchant: "m0"})
		before := d.Stats()
		var got []incident.Signal
		for _, o := range mixed {
			got = append(got, d.Observe(o)...)
			got = append(got, d.Observe(stray)...)
		}
		after := d.Stats()
		if after.Duplicate-before.Duplicate != int64(len(again)) || after.Late-before.Late != int64(len(mixed)) || after.Seen-before.Seen != int64(n) {
			t.Fatalf("stats went from %+v to %+v", before, after)
		}
		if want := n > 20; (len(got) == 1) != want || len(got) > 1 {
			t.Fatalf("%d merchants gave %d signals", n, len(got))
		}
	})
}

func TestARestoredDetectorGoesOnAsIfNothingHappened(t *testing.T) {
	events := append(month(9, 10, 2), attack(start.Add(9*24*time.Hour+15*time.Hour), 120, 20*time.Minute, 2)...)
	slices.SortStableFunc(events, func(a, b detect.Observation) int { return a.Time.Compare(b.Time) })
	straight := run(detect.New(detect.Options{}), events)
	if len(straight) == 0 {
		t.Fatal("the attack raised nothing")
	}
	d := detect.New(detect.Options{})
	var broken []incident.Signal
	for i, o := range events {
		if i%1500 == 700 {
			b, err := d.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			d = detect.New(detect.Options{})
			if err := d.Restore(b); err != nil {
				t.Fatal(err)
			}
		}
		broken = append(broken, d.Observe(o)...)
	}
	if fmt.Sprint(straight) != fmt.Sprint(broken) {
		t.Errorf("with restarts:\n%v\nwithout:\n%v", broken, straight)
	}
	if err := d.Restore([]byte("nonsense")); err == nil || !strings.Contains(err.Error(), "learn again") {
		t.Errorf("a damaged snapshot: %v", err)
	}
	if len(d.Observe(detect.Observation{})) != 0 || d.Stats().Seen == 0 {
		t.Error("a damaged snapshot changed the detector")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	d := detect.New(detect.Options{MaxCredentials: 50})
	for i := range 1000 {
		d.Observe(detect.Observation{ID: fmt.Sprint(i), Time: start.Add(time.Duration(i) * time.Second), App: "shop", Credential: fmt.Sprint("tok", i), IP: fmt.Sprint("10.0.0.", i), Agent: strings.Repeat("a", 1000)})
		d.Observe(detect.Observation{ID: fmt.Sprint("s", i), Time: start.Add(time.Duration(i) * time.Second), App: "shop", Credential: "busy", IP: fmt.Sprint("10.0.0.", i), Agent: fmt.Sprint(strings.Repeat("a", 1000), i)})
	}
	b, err := d.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 256<<10 || d.Stats().Forgotten == 0 {
		t.Errorf("%d bytes for 50 credentials, %+v", len(b), d.Stats())
	}
}

func BenchmarkObserve(b *testing.B) {
	events := month(1, 10, 4)
	for b.Loop() {
		d := detect.New(detect.Options{})
		for _, o := range events {
			d.Observe(o)
		}
	}
	b.ReportMetric(float64(len(events))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// A thief chooses the user agent. One whose 256th byte lies inside a character must not make the
// signal that names it unacceptable.
func TestALongAgentIsCutBetweenCharacters(t *testing.T) {
	d := detect.New(detect.Options{})
	begin := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	d.Observe(detect.Observation{ID: "first", Time: begin, Credential: "tok", Merchant: "m", IP: "203.0.113.1", Agent: "known"})
	agent := strings.Repeat("A", 255) + "é and more"
	var found []incident.Signal
	for i := range 40 {
		found = append(found, d.Observe(detect.Observation{
			ID: fmt.Sprint(i), Time: begin.Add(5 * 24 * time.Hour), Credential: "tok", Merchant: fmt.Sprint(i), IP: "198.51.100.7", Agent: agent,
		})...)
	}
	if len(found) != 1 {
		t.Fatalf("%d signals, want 1", len(found))
	}
	if fresh := found[0].Facets["new_agents"]; fresh != strings.Repeat("A", 255) || !utf8.ValidString(fresh) {
		t.Errorf("new_agents is %q, want the agent up to the character that does not fit", fresh)
	}
}

// The past of one app's credentials is not washed out by another app that invents credentials:
// without a past a thief is judged against the cap, which is far higher.
func TestAFloodOfCredentialsOfOneAppLeavesTheOthersTheirPast(t *testing.T) {
	d := detect.New(detect.Options{MaxCredentials: 500})
	quiet(d, 5)
	for i := range 2000 {
		d.Observe(detect.Observation{ID: fmt.Sprint("flood", i), Time: start.Add(5 * 24 * time.Hour), App: "other", Credential: fmt.Sprint("c", i), Merchant: "m"})
	}
	if found := burst(d, start.Add(5*24*time.Hour+9*time.Hour), 60, "after"); len(found) == 0 {
		t.Error("a walk through 60 shops raised nothing after the flood")
	}
}

// Numbers so large that their sum would turn negative are unusual, not unseen.
func TestNumbersThatWouldOverflowAreReported(t *testing.T) {
	d := detect.New(detect.Options{})
	quiet(d, 5)
	var found []incident.Signal
	for i := range 3000 {
		o := detect.Observation{ID: fmt.Sprint("o", i), Time: start.Add(5*24*time.Hour + 9*time.Hour), App: "shop", Credential: "tok", Merchant: "m_1", Bytes: 1<<53 - 1, Records: 1<<53 - 1, IP: "198.51.100.1", Agent: "w"}
		found = append(found, d.Observe(o)...)
	}
	if len(found) != 1 || strings.Contains(found[0].Sentence, "-") {
		t.Errorf("signals %+v", found)
	}
}

// Many credentials with much in their windows are bounded together, not only each by itself.
func TestTheWindowsOfAllCredentialsAreBoundedTogether(t *testing.T) {
	d := detect.New(detect.Options{MaxMembers: 30_000})
	for i := range 60_000 {
		d.Observe(detect.Observation{ID: fmt.Sprint(i), Time: start, App: "shop", Credential: fmt.Sprint("c", i/500), Merchant: fmt.Sprint("m", i)})
	}
	if forgotten := d.Stats().Forgotten; forgotten < 60 {
		t.Errorf("%d of 120 credentials were forgotten: their windows hold more than is allowed", forgotten)
	}
}
