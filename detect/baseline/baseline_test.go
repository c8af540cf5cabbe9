package baseline_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/detect/baseline"
	"github.com/tocsin-ir/tocsin/incident"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC) // a Monday

// event is one read of a merchant's customers by a worker from its usual place.
func event(at time.Time, merchant int, customers ...string) baseline.Event {
	e := baseline.Event{
		ID: fmt.Sprint(at.UnixNano(), merchant, customers), Time: at, App: "shop", Actor: "worker", Credential: "tok_worker", Endpoint: "GET /orders",
		Merchant: fmt.Sprint("m_", merchant), IP: "198.51.100.7", Agent: "worker/1.4", Records: int64(len(customers)),
	}
	for _, c := range customers {
		e.Customers = append(e.Customers, []byte(c))
	}
	return e
}

// weeks is a worker that reads a few merchants every ten minutes of office hours.
func weeks(n int, scale float64) (out []baseline.Event) {
	r := rand.New(rand.NewPCG(1, 1))
	for m := 0; m < n*7*24*60; m += 10 {
		at := start.Add(time.Duration(m) * time.Minute)
		if at.Hour() < 8 || at.Hour() >= 18 {
			continue
		}
		for i := range int(12 * scale) {
			out = append(out, event(at.Add(time.Duration(i)*time.Second), r.IntN(30), fmt.Sprint(r.IntN(1000))))
		}
	}
	return out
}

func show(d *baseline.Detector, events ...baseline.Event) (found []incident.Signal) {
	for _, e := range events {
		found = append(found, d.Observe(e)...)
	}
	return found
}

// thief reads another merchant's customers every second, from elsewhere.
func thief(from time.Time, n int) (out []baseline.Event) {
	for i := range n {
		e := event(from.Add(time.Duration(i)*time.Second), 1000+i, fmt.Sprint(i), fmt.Sprint(i, "b"), fmt.Sprint(i, "c"))
		e.IP, e.Agent = "192.0.2.66", "curl/8.5"
		out = append(out, e)
	}
	return out
}

// promise: DET-3
func TestAStolenTokenIsReportedWithinSecondsOnceWithNumbersAndReasons(t *testing.T) {
	d := baseline.New(baseline.Options{})
	if found := show(d, weeks(4, 1)...); len(found) > 0 {
		t.Fatalf("ordinary weeks: %s", found[0].Sentence)
	}
	from := start.Add((28*24 + 10) * time.Hour)
	found := show(d, thief(from, 600)...)
	if len(found) != 1 {
		t.Fatalf("%d signals", len(found))
	}
	s := found[0]
	if s.At.Sub(from) > 10*time.Second || s.Subject != "credential:tok_worker" || s.Class != baseline.UnusualVolume || s.Facets["ip"] != "192.0.2.66" || s.Facets["actor"] != "worker" || len(s.Events) == 0 {
		t.Errorf("%+v", s)
	}
	if want := "credential tok_worker: 7 merchants in 10 minutes; from where it was never used: 192.0.2.66, curl/8.5"; s.Sentence != want {
		t.Errorf("%q, want %q", s.Sentence, want)
	}
}

// promise: DET-3
func TestAnInsiderIsComparedWithThisHourOfTheWeek(t *testing.T) {
	d := baseline.New(baseline.Options{})
	show(d, weeks(4, 1)...)
	for name, c := range map[string]struct {
		hour int
		want string
	}{
		"in office hours": {10, " in 10 minutes; usually 12 at this hour; first time beyond"},
		"at night":        {3, ": 11 merchants in one minute; usually none at this hour"},
	} {
		b, err := d.Snapshot(0)
		if err != nil {
			t.Fatal(err)
		}
		d := baseline.New(baseline.Options{})
		if _, err := d.Restore(b); err != nil {
			t.Fatal(err)
		}
		var events []baseline.Event
		for i := range 300 {
			events = append(events, event(start.Add(time.Duration(28*24+c.hour)*time.Hour+time.Duration(i)*time.Second), i, fmt.Sprint(i)))
		}
		found := show(d, events...)
		if len(found) != 1 || !strings.Contains(found[0].Sentence, c.want) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestABusySaleByTheUsualMachinesIsNoTheft(t *testing.T) {
	d := baseline.New(baseline.Options{})
	show(d, weeks(4, 2)...)
	day := weeks(1, 5)
	for i := range day {
		day[i].Time = day[i].Time.Add(28 * 24 * time.Hour)
		day[i].ID += "sale"
	}
	if found := show(d, day...); len(found) > 0 {
		t.Errorf("%s", found[0].Sentence)
	}
}

// A fifth a week is what a level follows: who grows more slowly is never seen until a floor or a
// cap of something else is crossed, and who grows faster is.
func TestHowSlowIsTooSlowToSee(t *testing.T) {
	for _, c := range []struct {
		weekly float64
		seen   bool
	}{{1.1, false}, {1.15, false}, {1.6, true}} {
		d := baseline.New(baseline.Options{})
		amount, seen := 100.0, false
		for week := range 14 {
			if week >= 3 {
				amount *= c.weekly
			}
			for hour := range 7 * 24 {
				for i := range 4 { // records alone grow: 4 reads in ten minutes
					e := event(start.Add(time.Duration(week*7*24+hour)*time.Hour+time.Duration(i)*time.Minute), i, "1")
					e.Records = int64(amount * 10)
					seen = seen || len(d.Observe(e)) > 0
				}
			}
		}
		if seen != c.seen {
			t.Errorf("growth by %.2f a week: seen %v", c.weekly, seen)
		}
	}
}

func TestAnAttackDoesNotBecomeNormal(t *testing.T) {
	d := baseline.New(baseline.Options{})
	show(d, weeks(4, 1)...)
	for day := range 4 {
		if found := show(d, thief(start.Add(time.Duration(28*24+24*day+10)*time.Hour), 300)...); len(found) != 1 {
			t.Errorf("day %d: %d signals", day, len(found))
		}
	}
}

// promise: DET-2
func TestRefusalsFromAnAddressAreReported(t *testing.T) {
	d := baseline.New(baseline.Options{})
	var events []baseline.Event
	for i := range 60 {
		events = append(events, baseline.Event{ID: fmt.Sprint(i), Time: start.Add(time.Duration(i) * time.Second), App: "shop", IP: "192.0.2.9", Merchant: fmt.Sprint("m_", i), Failed: true})
	}
	found := show(d, events...)
	if len(found) != 1 || found[0].Class != baseline.DeniedAccess || found[0].Subject != "address:192.0.2.9" ||
		!strings.HasPrefix(found[0].Sentence, "address 192.0.2.9: 7 refusals or errors in one minute of 7 events; known for 0 hours, with which it is allowed 6") {
		t.Errorf("%+v", found)
	}
}

func TestOneAddressWithManyTokensIsReported(t *testing.T) {
	d := baseline.New(baseline.Options{})
	token := func(i int, at time.Time, ip string) baseline.Event {
		e := event(at, i, "1")
		e.Actor, e.Credential, e.IP, e.Agent = fmt.Sprint("merchant-", i), fmt.Sprint("tok_", i), ip, "Mozilla/5.0"
		return e
	}
	for day := range 6 {
		for i := range 50 {
			show(d, token(i, start.Add(time.Duration(day*24)*time.Hour+time.Duration(i)*time.Minute), fmt.Sprintf("10.%d.0.1", i)))
		}
	}
	var found []incident.Signal
	for i := range 50 {
		found = append(found, show(d, token(i, start.Add(6*24*time.Hour+time.Duration(i)*time.Second), "192.0.2.5"))...)
	}
	if len(found) != 1 || found[0].Subject != "address:192.0.2.5" || !strings.Contains(found[0].Sentence, "credentials that were never used from there") {
		t.Errorf("%+v", found)
	}
}

func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		var events []baseline.Event
		for i := range 130 {
			events = append(events, event(start.Add(time.Duration(i)*4*time.Second), i, fmt.Sprint(i)))
		}
		run := func(events []baseline.Event) (n int, s baseline.Stats) {
			d := baseline.New(baseline.Options{})
			return len(show(d, events...)), d.Stats()
		}
		want, _ := run(events)
		mixed := slices.Clone(events)
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		mixed = append(mixed, mixed[:40]...) // retries
		got, stats := run(mixed)
		if got != want || want != 1 || stats.Duplicate != 40 || stats.Late != 0 {
			t.Fatalf("%d signals in order, %d in disorder; %+v", want, got, stats)
		}
	})
	d := baseline.New(baseline.Options{})
	show(d, event(start.Add(time.Hour), 1, "1"), event(start, 2, "2"))
	if s := d.Stats(); s.Late != 1 || s.Seen != 1 {
		t.Errorf("an event an hour late: %+v", s)
	}
}

func TestARestartLeavesNoGapAndFiresNothingTwice(t *testing.T) {
	events := append(weeks(2, 1), thief(start.Add((14*24+9)*time.Hour), 200)...)
	ids := func(found []incident.Signal) (out []string) {
		for _, s := range found {
			out = append(out, s.ID+" "+s.Sentence)
		}
		return out
	}
	want := fmt.Sprint(ids(show(baseline.New(baseline.Options{}), events...)))
	n := len(events)
	for _, cut := range []int{0, 100, n - 199, n - 195, n - 190, n - 50, n} {
		d := baseline.New(baseline.Options{})
		found := show(d, events[:cut]...)
		b, err := d.Snapshot(int64(cut))
		if err != nil {
			t.Fatal(err)
		}
		d = baseline.New(baseline.Options{})
		at, err := d.Restore(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(ids(append(found, show(d, events[at:]...)...))); got != want {
			t.Errorf("cut at %d: %s, want %s", cut, got, want)
		}
	}
	if _, err := baseline.New(baseline.Options{}).Restore([]byte("none")); err == nil || !strings.Contains(err.Error(), "learn again") {
		t.Error(err)
	}
}

func TestHistoricEventsTeachAndNeverReport(t *testing.T) {
	d := baseline.New(baseline.Options{})
	for _, e := range append(weeks(2, 1), thief(start.Add((14*24+9)*time.Hour), 200)...) {
		e.Historic = true
		if found := d.Observe(e); len(found) > 0 {
			t.Fatalf("%s", found[0].Sentence)
		}
	}
	if found := show(d, thief(start.Add((16*24+9)*time.Hour), 200)...); len(found) != 1 {
		t.Errorf("%d signals after the history", len(found))
	}
}

func TestTheQuietOfTheLargestKindAreForgottenFirst(t *testing.T) {
	d := baseline.New(baseline.Options{MaxEntities: 5000})
	show(d, weeks(2, 1)...)
	at := start.Add(14 * 24 * time.Hour)
	for i := range 50_000 { // somebody invents addresses
		d.Observe(baseline.Event{ID: fmt.Sprint(i), Time: at.Add(time.Duration(i) * 100 * time.Millisecond), App: "shop", IP: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), Merchant: "m_1"})
	}
	if n := d.Entities(); n > 5000 || d.Stats().Forgotten < 40_000 {
		t.Errorf("%d entities, %+v", n, d.Stats())
	}
	if found := show(d, thief(start.Add((15*24+10)*time.Hour), 60)...); len(found) != 1 || !strings.Contains(found[0].Sentence, "never used") {
		t.Errorf("the credential's past was forgotten: %+v", found)
	}
}

// The windows that are open at once are bounded apart from the entities.
func TestAFloodOfAddressesInAMinuteIsBounded(t *testing.T) {
	d := baseline.New(baseline.Options{MaxEntities: 100_000, MaxWindows: 1000})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 50_000 {
		d.Observe(baseline.Event{Time: start.Add(time.Duration(i) * time.Millisecond), App: "shop", IP: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), Merchant: "m_1"})
	}
	if grown := heap() - before; grown > 30<<20 {
		t.Errorf("50,000 addresses in a minute take %d MB", grown>>20)
	}
	runtime.KeepAlive(d)
}

func TestWhatSendersInventDoesNoHarm(t *testing.T) {
	d := baseline.New(baseline.Options{})
	for i := range 200 {
		e := event(start.Add(time.Duration(i)*time.Second), i, strings.Repeat("x", 100))
		e.Agent, e.IP = strings.Repeat("A", 255)+"é", strings.Repeat("9", 300)
		e.Records, e.Bytes = 1<<62, -1<<62
		for _, s := range d.Observe(e) {
			if strings.ToValidUTF8(s.Sentence, "") != s.Sentence || len(s.Facets["user_agent"]) > 256 || len(s.Facets["ip"]) > 256 {
				t.Errorf("%+v", s)
			}
		}
	}
	d.Observe(baseline.Event{})
	d.Observe(baseline.Event{Time: time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), IP: "10.0.0.1"})
	if s := d.Stats(); s.Ignored != 2 {
		t.Errorf("%+v", s)
	}
}

// promise: DET-2
func TestACredentialThatSleptAndWakesElsewhereIsReportedAtOnce(t *testing.T) {
	d := baseline.New(baseline.Options{})
	at := start
	use := func(credential, ip, agent string) []incident.Signal {
		at = at.Add(time.Minute)
		return d.Observe(baseline.Event{ID: at.String(), Time: at, App: "shop", Credential: credential, Merchant: "m_1", IP: ip, Agent: agent})
	}
	for range 5 {
		for _, c := range []string{"tok_a", "tok_b", "tok_c", "tok_d"} {
			if got := use(c, "198.51.100.7", "worker/1.4"); got != nil {
				t.Fatalf("%v", got)
			}
		}
		at = at.Add(24 * time.Hour)
	}
	at = at.Add(45 * 24 * time.Hour)
	got := use("tok_a", "203.0.113.66", "curl/8.5")
	if len(got) != 1 || got[0].Class != baseline.Dormant || got[0].Subject != "credential:tok_a" || got[0].Facets["ip"] != "203.0.113.66" || len(got[0].Events) != 1 ||
		got[0].Sentence != "credential tok_a: used again after 46 days of silence, from where it was never used: 203.0.113.66, curl/8.5" {
		t.Errorf("%+v", got)
	}
	for what, signals := range map[string][]incident.Signal{
		"the same credential again":                         use("tok_a", "203.0.113.66", "curl/8.5"),
		"another credential that the same address wakes":    use("tok_b", "203.0.113.66", "curl/8.5"),
		"a credential that wakes at home":                   use("tok_c", "198.51.100.7", "worker/1.5"),
		"a credential that wakes elsewhere in its program":  use("tok_d", "192.0.2.4", "worker/1.5"),
		"a credential that is new and has not slept at all": use("tok_e", "192.0.2.9", "curl/8.5"),
	} {
		if len(signals) != 0 {
			t.Errorf("%s: %v", what, signals)
		}
	}
}

// A machine is replaced. The new address takes over the work of its credential, of which it has no
// past. An address of the same age that does as much without a credential is named.
func TestAnAddressThatTakesOverTheWorkOfItsCredentialIsNotNamed(t *testing.T) {
	d := baseline.New(baseline.Options{})
	var found []incident.Signal
	walk := func(at time.Time, credential, ip string, merchants int) {
		for i := range merchants {
			found = append(found, d.Observe(baseline.Event{ID: at.String() + ip + string(rune(i)), Time: at.Add(time.Duration(i) * 2 * time.Second), App: "shop", Credential: credential, Merchant: "m_" + string(rune('a'+i)), IP: ip, Agent: "worker/1"})...)
		}
	}
	night := start
	for i := range 20 {
		walk(night, "tok_a", "198.51.100.7", 60)
		if i >= 14 { // it has been at other work of the credential for days
			walk(night.Add(5*time.Hour), "tok_a", "198.51.100.8", 2)
			walk(night.Add(6*time.Hour), "", "198.51.100.9", 2)
		}
		night = night.Add(24 * time.Hour)
	}
	found = nil
	walk(night, "tok_a", "198.51.100.8", 60)
	if len(found) != 0 {
		t.Errorf("the new machine is named: %v", found)
	}
	walk(night.Add(time.Hour), "", "198.51.100.9", 60)
	if len(found) != 1 || found[0].Subject != "address:198.51.100.9" {
		t.Errorf("an address that nobody vouches for: %v", found)
	}
}

// Somebody who first makes a noise with other credentials, from the same address and as the same actor,
// must not hide what the stolen one does.
//
// promise: DET-3
func TestDecoysFromOneAddressDoNotHideTheThief(t *testing.T) {
	d := baseline.New(baseline.Options{})
	at, subjects := start, map[string]int{}
	for c := range 20 {
		for i := range 130 {
			e := event(at, i, "c")
			e.Credential, e.Actor, e.IP = fmt.Sprintf("decoy_%d", c), "svc", "203.0.113.9"
			if c == 19 {
				e.Credential = "tok_thief"
			}
			e.ID = fmt.Sprint(c, "-", i)
			at = at.Add(100 * time.Millisecond)
			for _, s := range d.Observe(e) {
				subjects[s.Subject]++
			}
		}
	}
	if subjects["credential:tok_thief"] != 1 {
		t.Errorf("the thief is named %d times: %v", subjects["credential:tok_thief"], subjects)
	}
	for subject, n := range subjects {
		if n != 1 {
			t.Errorf("%s is reported %d times", subject, n)
		}
	}
}

// A sender may date events as it likes: the first minutes of 1970 are judged as any others.
//
// promise: DET-3
func TestTheFirstMinutesOfTheClockAreJudgedAsAnyOthers(t *testing.T) {
	d := baseline.New(baseline.Options{})
	at := time.Unix(2, 0).UTC()
	var found []incident.Signal
	for i := range 130 {
		found = append(found, d.Observe(event(at, i, "c"))...)
	}
	if len(found) != 1 || d.Stats().Late != 0 {
		t.Errorf("%d signals, %d events counted as late", len(found), d.Stats().Late)
	}
}
