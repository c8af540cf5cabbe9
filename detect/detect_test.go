package detect_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/detect/metric"
	"github.com/tocsin-ir/tocsin/detect/sigma"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/rules"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 10, 19, 0, 0, 0, 0, time.UTC) // a Monday

// month is ordinary traffic of one credential that works for many shops: busy by day, quiet by
// night, less at weekends, now and then a burst: a shop that exports its orders, a sale that
// doubles the traffic for an hour, a weekly report that walks many shops.
func month(seed uint64, days int, perMinute float64) []detect.Entry {
	r := rand.New(rand.NewPCG(seed, 1))
	var out []detect.Entry
	add := func(t time.Time, merchant int, customers int) {
		o := detect.Entry{ID: fmt.Sprint("e", len(out)), Time: t, Kind: "pii_access", Outcome: "ok", Actor: "worker-3", App: "shop", Credential: "tok_9fa8b7c6d5e4", Merchant: fmt.Sprint("m_", merchant), IP: fmt.Sprint("198.51.100.", 1+r.IntN(3)), Agent: "worker/1.4", Records: int64(customers), Bytes: int64(customers) * 900}
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
	slices.SortStableFunc(out, func(a, b detect.Entry) int { return a.Time.Compare(b.Time) })
	return out
}

func poisson(r *rand.Rand, mean float64) int {
	n, p := 0, math.Exp(-mean)
	for x := r.Float64(); x > p; x *= r.Float64() {
		n++
	}
	return n
}

// attack walks the shops one after the other on top of the legitimate use.
func attack(from time.Time, merchants int, over time.Duration, perShop int) []detect.Entry {
	var out []detect.Entry
	n := merchants * perShop
	for i := range n {
		o := detect.Entry{ID: fmt.Sprint("a", i), Time: from.Add(over * time.Duration(i) / time.Duration(n)), Kind: "pii_access", Outcome: "ok", Actor: "worker-3", App: "shop", Credential: "tok_9fa8b7c6d5e4", Merchant: fmt.Sprint("m_", 299-i/perShop), IP: "203.0.113.66", Agent: "curl/8.5", Records: 5}
		for c := range 5 {
			o.Customers = append(o.Customers, fmt.Append(nil, i*5+c))
		}
		out = append(out, o)
	}
	return out
}

// detector has the rules we ship.
func detector(t testing.TB, o detect.Options) *detect.Detector {
	t.Helper()
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		o.Rules = append(o.Rules, sigma.File{Name: name, Data: files[name]})
	}
	d, problems, err := detect.New(o)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	return d
}

// texts numbers entries and gives them the text that the door keeps of them.
func texts(t testing.TB, entries []detect.Entry) []detect.Entry {
	t.Helper()
	for i := range entries {
		e := &entries[i]
		e.Position = int64(i + 1)
		if e.Text != nil {
			continue
		}
		kind := "service"
		if strings.HasPrefix(e.Actor, "staff") || strings.HasPrefix(e.Actor, "merchant") {
			kind, _, _ = strings.Cut(e.Actor, "-")
		}
		b, err := json.Marshal(map[string]any{"id": e.ID, "time": e.Time, "kind": e.Kind, "app": e.App, "actor": map[string]string{"type": kind, "id": e.Actor}, "credential": e.Credential,
			"action": "read", "purpose": "orders", "endpoint": e.Endpoint, "merchant": e.Merchant, "records": e.Records, "outcome": e.Outcome, "source": map[string]string{"ip": e.IP, "user_agent": e.Agent}})
		if err != nil {
			t.Fatal(err)
		}
		e.Text = b
	}
	return entries
}

func byTime(entries []detect.Entry) []detect.Entry {
	slices.SortStableFunc(entries, func(a, b detect.Entry) int { return a.Time.Compare(b.Time) })
	return entries
}

func run(d *detect.Detector, entries []detect.Entry) (signals []incident.Signal) {
	for _, e := range entries {
		signals = append(signals, d.Observe(e)...)
	}
	return signals
}

// everything is a day in which each part of the detector speaks.
func everything(t testing.TB) []detect.Entry {
	out := append(month(9, 10, 2), attack(start.Add(9*24*time.Hour+15*time.Hour), 120, 20*time.Minute, 2)...)
	at := start.Add(9*24*time.Hour + 11*time.Hour)
	for i := range 11 { // passwords are guessed until one is right
		e := detect.Entry{ID: fmt.Sprint("s", i), Time: at.Add(time.Duration(i) * time.Second), Kind: "auth", App: "shop", Actor: "staff-1", IP: "203.0.113.7", Outcome: "denied"}
		if i == 10 {
			e.Outcome = "ok"
		}
		out = append(out, e)
	}
	for i := range 90 { // a key that is used as fast as it goes
		e := detect.Entry{ID: fmt.Sprint("c", i), Time: at.Add(time.Duration(i) * time.Minute), Kind: "metric", App: "shop", Credential: "tok_llm"}
		e.Text = fmt.Appendf(nil, `{"id":%q,"time":%q,"kind":"metric","credential":"tok_llm","attributes":{"name":"cost","value":2.5,"unit":"USD"}}`, e.ID, e.Time.Format(time.RFC3339))
		out = append(out, e)
	}
	return texts(t, byTime(out))
}

var budgets = map[string]metric.Budget{"tok_llm": {Amount: 1500, Unit: "USD", Period: 30 * 24 * time.Hour}}

// promise: DET-2
// promise: DET-5
func TestEachPartSpeaksAndNamesWhom(t *testing.T) {
	got := map[string]string{}
	for _, s := range run(detector(t, detect.Options{Budgets: budgets}), everything(t)) {
		if s.At.After(start.Add(9 * 24 * time.Hour)) {
			got[s.Class+" "+s.Subject] += s.Facets[detect.Opens] + "|" + s.Sentence
		}
	}
	for _, want := range []struct{ key, part string }{
		{"unusual_volume credential:tok_9fa8b7c6d5e4", "in 10 minutes; from where it was never used: 203.0.113.66, curl/8.5"},
		{"refused_then_allowed address:203.0.113.7", "unauthorized_access|from 203.0.113.7, sign-ins were refused again and again, and then one was allowed"},
		{"denied_access address:203.0.113.7", "7 refusals or errors in one minute of 7 events"},
		{"cost_velocity credential:tok_llm", "its budget of 1500 USD in 30 days"},
	} {
		if !strings.Contains(got[want.key], want.part) {
			t.Errorf("%s says %q, want %q", want.key, got[want.key], want.part)
		}
	}
	if len(got) != 4 {
		t.Errorf("signals: %v", got)
	}
}

// A crash at any event, with the snapshot of any earlier one: what comes out is the same as without.
//
// promise: DET-2
func TestARestoredDetectorGoesOnAsIfNothingHappened(t *testing.T) {
	entries := everything(t)
	straight := run(detector(t, detect.Options{Budgets: budgets}), entries)
	random := rand.New(rand.NewPCG(5, 5))
	for range 8 {
		cut := len(entries) - random.IntN(3000)
		crash := min(len(entries), cut+random.IntN(2000))
		d := detector(t, detect.Options{Budgets: budgets})
		before := run(d, entries[:cut])
		b, err := d.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		lost := run(d, entries[cut:crash]) // raised and known by their ids
		again := detector(t, detect.Options{Budgets: budgets})
		at, err := again.Restore(b)
		if err != nil || at != int64(cut) {
			t.Fatal(at, err)
		}
		if repeated := again.Observe(entries[cut-1]); repeated != nil {
			t.Fatalf("an entry behind the position raised %v", repeated)
		}
		after := run(again, entries[cut:])
		if got, want := fmt.Sprint(append(before, after...)), fmt.Sprint(straight); got != want {
			t.Fatalf("cut at %d:\n%s\nwithout:\n%s", cut, got, want)
		}
		for i, s := range lost {
			if after[i].ID != s.ID {
				t.Fatalf("the signal %s came again as %s", s.ID, after[i].ID)
			}
		}
	}
}

func TestADamagedSnapshotSaysWhatToDo(t *testing.T) {
	d := detector(t, detect.Options{})
	if _, err := d.Restore([]byte("nonsense")); err == nil || !strings.Contains(err.Error(), "learn again from the access log") {
		t.Errorf("%v", err)
	}
}

func TestWhatIsTaughtIsNotReported(t *testing.T) {
	entries := everything(t)
	for i := range entries {
		entries[i].Historic = true
	}
	if got := run(detector(t, detect.Options{Budgets: budgets}), entries); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// Whatever part speaks, what a log shows that was supplied later was noticed when that came in, and when
// it happened stays beside it.
func TestWhatIsSuppliedLaterIsNoticedWhenItCameIn(t *testing.T) {
	live := run(detector(t, detect.Options{Budgets: budgets}), everything(t))
	entries := everything(t)
	came := entries[len(entries)-1].Time.AddDate(3, 0, 0)
	for i := range entries {
		entries[i].Supplied, entries[i].Received = true, came
	}
	later := run(detector(t, detect.Options{Budgets: budgets}), entries)
	if len(live) == 0 || len(later) != len(live) {
		t.Fatalf("%d signals of a live log, %d of the same supplied later", len(live), len(later))
	}
	for i, g := range later {
		if !live[i].Noticed.IsZero() || !g.Noticed.Equal(came) || !g.At.Equal(live[i].At) {
			t.Errorf("%s: live noticed %s; later noticed %s, of %s", g.Class, live[i].Noticed, g.Noticed, g.At)
		}
	}
}

// One rule that finds the same credential a thousand times is one alarm, and a rule below the level
// is none.
func TestARuleThatGoesOnIsOneAlarm(t *testing.T) {
	rule := func(level string) detect.Options {
		return detect.Options{Rules: []sigma.File{{Name: "r.yml", Data: []byte("title: A door stands open\nid: 5b1f1e3a-5b55-4b0c-9a3e-0d6d4a1f0fff\nlevel: " + level + `
logsource: {product: tocsin}
tocsin: {class: data_breach, says: '{credential} goes through {endpoint}'}
detection: {door: {endpoint: /door}, condition: door}
`)}}}
	}
	var entries []detect.Entry
	for i := range 1000 {
		entries = append(entries, detect.Entry{ID: fmt.Sprint(i), Time: start.Add(time.Duration(i) * time.Second), Kind: "pii_access", App: "shop", Credential: "tok_1", Endpoint: "/door", Outcome: "ok", Actor: "worker"})
	}
	late := entries[999]
	late.ID, late.Time = "x", late.Time.Add(31*time.Minute)
	entries = texts(t, append(entries, late))
	entries[1000].Text = nil
	texts(t, entries)
	for level, want := range map[string]int{"high": 2, "critical": 2, "medium": 0} {
		d, problems, err := detect.New(rule(level))
		if err != nil || len(problems) > 0 {
			t.Fatal(err, problems)
		}
		got := run(d, entries)
		if len(got) != want || want > 0 && (got[0].Sentence != "tok_1 goes through /door" || got[0].Subject != "credential:tok_1" || got[0].Facets[detect.Opens] != "data_breach") {
			t.Errorf("%s: %v", level, got)
		}
		if s := d.Stats(); want == 0 && s.Below != 1001 {
			t.Errorf("%s: %+v", level, s)
		}
	}
}

// What cloud and web server wrote is asked in the names of their logs.
//
// promise: DET-10
func TestRulesAboutACloudSeeWhatTheLogKeepsOfIt(t *testing.T) {
	for name, c := range map[string]struct {
		e    detect.Entry
		want string
	}{
		"the trail is stopped": {detect.Entry{Kind: "cloud_audit", Endpoint: "cloudtrail.amazonaws.com:StopLogging", Actor: "arn:aws:iam::1:user/eve", Outcome: "ok",
			Text: []byte(`{"kind":"cloud_audit","endpoint":"cloudtrail.amazonaws.com:StopLogging","attributes":{"account":"1","region":"us-east-1"}}`)}, "the audit log no longer sees everything"},
		"it was not allowed": {detect.Entry{Kind: "cloud_audit", Endpoint: "cloudtrail.amazonaws.com:StopLogging", Actor: "arn:aws:iam::1:user/eve", Outcome: "denied",
			Text: []byte(`{"kind":"cloud_audit","attributes":{"error":"AccessDenied"}}`)}, ""},
		"a sink goes": {detect.Entry{Kind: "cloud_audit", Endpoint: "logging.googleapis.com:google.logging.v2.ConfigServiceV2.DeleteSink", Actor: "eve@example.com", Outcome: "ok",
			Text: []byte(`{"kind":"cloud_audit"}`)}, "eve@example.com called google.logging.v2.ConfigServiceV2.DeleteSink"},
		"a secret is served": {detect.Entry{Kind: "http_access", IP: "203.0.113.9", Outcome: "ok",
			Text: []byte(`{"kind":"http_access","source":{"ip":"203.0.113.9"},"attributes":{"request":"GET /.env?x=1 HTTP/1.1","status":"200"}}`)}, "the server gave /.env to 203.0.113.9"},
		"it is not there": {detect.Entry{Kind: "http_access", IP: "203.0.113.9", Outcome: "error",
			Text: []byte(`{"kind":"http_access","attributes":{"request":"GET /.env HTTP/1.1","status":"404"}}`)}, ""},
	} {
		c.e.ID, c.e.Time, c.e.Position = "x", start, 1
		got := run(detector(t, detect.Options{}), []detect.Entry{c.e})
		if c.want == "" && len(got) != 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0].Sentence, c.want)) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A text that no rule can read hides its event from the rules alone, and whatever a sender writes the
// signal can be taken in.
func TestWhatSendersWriteBreaksNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"{", "}", `"kind":"metric"`, `"attributes":`, `{"request":"GET`, ",", `"pii_access"`, "\xff", "\x00", "1e999", "[", "null"}), 0, 12).Draw(r, "text")
		d := detector(t, detect.Options{Level: "informational"})
		for i, kind := range []string{"pii_access", "auth", "http_access", "cloud_audit", "metric", "order", ""} {
			for _, s := range d.Observe(detect.Entry{Position: int64(i + 1), ID: "i", Time: start, Kind: kind, App: "shop", Credential: strings.Join(text, ""), IP: "203.0.113.9", Endpoint: "iam.amazonaws.com:" + strings.Join(text, ""), Text: []byte(strings.Join(text, ""))}) {
				if s.ID == "" || s.Class == "" || s.Sentence == "" || strings.ContainsAny(s.Sentence+s.Subject, "\x00\n") {
					r.Fatalf("%+v", s)
				}
			}
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	entries := texts(b, month(1, 10, 4))
	for b.Loop() {
		run(detector(b, detect.Options{}), entries)
	}
	b.ReportMetric(float64(len(entries))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
