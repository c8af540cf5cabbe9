package sigma_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/detect/sigma"
)

var begin = time.Date(2026, 10, 19, 8, 0, 0, 0, time.UTC)

const baseRules = `title: Failed login
name: failed
logsource: {product: app}
detection: {s: {action: fail}, condition: s}
---
title: Login
name: login
logsource: {product: app}
detection: {s: {action: ok}, condition: s}
---
title: Export
name: export
logsource: {product: app}
detection: {s: {action: export}, condition: s}
`

// happening is an event some seconds after the beginning, with fields beside its action.
type happening struct {
	at     float64
	action string
	fields string // JSON members
}

func (h happening) json(id int) string {
	more := h.fields
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"id":"e%d","time":%q,"action":%q%s}`, id, begin.Add(time.Duration(h.at*1e9)).Format(time.RFC3339Nano), h.action, more)
}

// fires gives "title@seconds[group]" of each detection.
func fires(t *testing.T, e *sigma.Engine, from int, events []happening) (out []string) {
	t.Helper()
	for i, h := range events {
		var ev sigma.Event
		if err := e.Decode([]byte(h.json(from+i)), &ev); err != nil {
			t.Fatal(err)
		}
		for _, d := range e.Observe(int64(from+i), time.Time{}, &ev) {
			var group []string
			for _, v := range d.Group {
				group = append(group, v)
			}
			slices.Sort(group)
			out = append(out, fmt.Sprintf("%s@%g%v", d.Meta().Title, d.Time.Sub(begin).Seconds(), group))
		}
	}
	return out
}

func correlation(body string) string {
	return baseRules + "---\ntitle: C\ncorrelation:\n" + indent(body)
}

func user(name string) string { return fmt.Sprintf(`"user":%q`, name) }

// promise: DET-2
// promise: DET-8
func TestCorrelations(t *testing.T) {
	a, b := user("a"), user("b")
	amount := func(u string, n any) string { return fmt.Sprintf(`%s,"bytes":%v`, u, n) }
	doc := func(n string) string { return a + fmt.Sprintf(`,"doc":%q`, n) }
	for name, c := range map[string]struct {
		body   string
		events []happening
		want   []string
	}{
		"event_count counts within the timespan": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 3}",
			[]happening{{0, "fail", a}, {5, "fail", a}, {11, "fail", a}, {12, "fail", a}}, []string{"C@12[a]"}},
		"both ends of the timespan belong to it": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{0, "fail", a}, {10, "fail", a}}, []string{"C@10[a]"}},
		"groups are counted apart": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{0, "fail", a}, {1, "fail", b}, {2, "fail", b}}, []string{"C@2[b]"}},
		"several rules count together": {"type: event_count\nrules: [failed, export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gt: 1}",
			[]happening{{0, "fail", a}, {1, "ok", a}, {2, "export", a}}, []string{"C@2[a]"}},
		"without group-by all events are one group": {"type: event_count\nrules: [failed]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{0, "fail", a}, {1, "fail", b}}, []string{"C@1[]"}},
		"an event without the fields of the group is not counted": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{0, "fail", ""}, {1, "fail", ""}, {2, "fail", a}}, nil},
		"one that has some of them is": {"type: event_count\nrules: [failed]\ngroup-by: [user, ip]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{0, "fail", a}, {1, "fail", a}}, []string{"C@1[ a]"}},
		"what lasts is reported once in a timespan": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{0, "fail", a}, {1, "fail", a}, {2, "fail", a}, {9, "fail", a}, {11, "fail", a}, {12, "fail", a}}, []string{"C@1[a]", "C@11[a]"}},
		"what ended and began again is reported again": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{0, "fail", a}, {1, "fail", a}, {30, "fail", a}, {31, "fail", a}}, []string{"C@1[a]", "C@31[a]"}},
		"a range": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gt: 1, lte: 2}",
			[]happening{{0, "fail", a}, {1, "fail", a}, {2, "fail", a}}, []string{"C@1[a]"}},
		"eq": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {eq: 3}",
			[]happening{{0, "fail", a}, {1, "fail", a}, {2, "fail", a}, {3, "fail", a}}, []string{"C@2[a]"}},
		"neq": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {neq: 1}",
			[]happening{{0, "fail", a}, {1, "fail", a}}, []string{"C@1[a]"}},
		"value_count counts different values": {"type: value_count\nrules: [export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {field: doc, gte: 3}",
			[]happening{{0, "export", doc("x")}, {1, "export", doc("x")}, {2, "export", doc("y")}, {3, "export", a}, {4, "export", doc("z")}}, []string{"C@4[a]"}},
		"value_count of two fields counts pairs": {"type: value_count\nrules: [export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {field: [doc, bytes], gte: 2}",
			[]happening{{0, "export", doc("x") + `,"bytes":1`}, {1, "export", doc("x") + `,"bytes":1`}, {2, "export", doc("x") + `,"bytes":2`}}, []string{"C@2[a]"}},
		"values leave the window": {"type: value_count\nrules: [export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {field: doc, gte: 3}",
			[]happening{{0, "export", doc("x")}, {8, "export", doc("y")}, {12, "export", doc("z")}, {13, "export", doc("x")}}, []string{"C@13[a]"}},
		"value_sum": {"type: value_sum\nrules: [export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {field: bytes, gt: 100}",
			[]happening{{0, "export", amount(a, 60)}, {1, "export", amount(a, `"40"`)}, {2, "export", amount(a, `"x"`)}, {3, "export", amount(a, 0.5)}}, []string{"C@3[a]"}},
		"value_avg": {"type: value_avg\nrules: [export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {field: bytes, gt: 50}",
			[]happening{{0, "export", amount(a, 10)}, {1, "export", amount(a, 80)}, {2, "export", amount(a, 80)}}, []string{"C@2[a]"}},
		"value_median": {"type: value_median\nrules: [export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {field: bytes, gte: 50}",
			[]happening{{0, "export", amount(a, 1)}, {1, "export", amount(a, 2)}, {2, "export", amount(a, 90)}, {3, "export", amount(a, 98)}}, nil},
		"value_median of the two in the middle": {"type: value_median\nrules: [export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {field: bytes, gte: 46}",
			[]happening{{0, "export", amount(a, 1)}, {1, "export", amount(a, 2)}, {2, "export", amount(a, 90)}, {3, "export", amount(a, 98)}}, []string{"C@3[a]"}},
		"value_percentile of numbers": {"type: value_percentile\nrules: [export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {field: bytes, percentile: 90, gte: 100}",
			[]happening{{0, "export", amount(a, 10)}, {1, "export", amount(a, 20)}, {2, "export", amount(a, 1000)}}, []string{"C@2[a]"}},
		"value_percentile without one is the share of a value": {"type: value_percentile\nrules: [export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {field: doc, lte: 25}",
			[]happening{{0, "export", doc("x")}, {1, "export", doc("x")}, {2, "export", doc("x")}, {3, "export", doc("y")}}, []string{"C@3[a]"}},
		"temporal in any order": {"type: temporal\nrules: [failed, login, export]\ngroup-by: [user]\ntimespan: 10s",
			[]happening{{0, "export", a}, {1, "login", b}, {2, "ok", a}, {3, "fail", a}}, []string{"C@3[a]"}},
		"temporal needs all": {"type: temporal\nrules: [failed, login]\ngroup-by: [user]\ntimespan: 10s",
			[]happening{{0, "fail", a}, {1, "fail", a}, {11.5, "ok", a}}, nil},
		"temporal with fewer": {"type: temporal\nrules: [failed, login, export]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{0, "fail", a}, {1, "export", a}}, []string{"C@1[a]"}},
		"temporal with a condition of rules": {"type: temporal\nrules: [failed, login, export]\ngroup-by: [user]\ntimespan: 10s\ncondition: export and not login and (failed or login)",
			[]happening{{0, "fail", a}, {1, "export", a}, {2, "ok", b}, {3, "fail", b}, {4, "export", b}}, []string{"C@1[a]"}},
		"temporal_ordered": {"type: temporal_ordered\nrules: [failed, login, export]\ngroup-by: [user]\ntimespan: 10s",
			[]happening{{0, "fail", a}, {1, "export", a}, {2, "ok", a}, {3, "export", a}}, []string{"C@3[a]"}},
		"temporal_ordered in the wrong order": {"type: temporal_ordered\nrules: [failed, login]\ngroup-by: [user]\ntimespan: 10s",
			[]happening{{0, "ok", a}, {1, "fail", a}}, nil},
		"temporal_ordered with a condition of rules": {"type: temporal_ordered\nrules: [failed, login, export]\ngroup-by: [user]\ntimespan: 10s\ncondition: failed and (login or export)",
			[]happening{{0, "export", a}, {1, "ok", a}, {2, "fail", a}, {3, "export", a}}, []string{"C@3[a]"}},
		"aliases": {"type: temporal\nrules: [failed, export]\ngroup-by: [who]\ntimespan: 10s\naliases:\n  who: {failed: user, export: owner}",
			[]happening{{0, "fail", a}, {1, "export", `"owner":"b"`}, {2, "export", `"owner":"a"`}}, []string{"C@2[a]"}},
		"generate reports the rules too": {"type: event_count\nrules: [failed]\ngenerate: true\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{0, "fail", a}, {1, "fail", a}}, []string{"Failed login@0[]", "Failed login@1[]", "C@1[a]"}},
		"an event out of order counts in its place": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 3}",
			[]happening{{0, "fail", a}, {40, "fail", a}, {1, "fail", a}, {2, "fail", a}}, []string{"C@2[a]"}},
		"and does not report again what was": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{0, "fail", a}, {2, "fail", a}, {1, "fail", a}}, []string{"C@2[a]"}},
		"order is that of the events' times": {"type: temporal_ordered\nrules: [failed, login]\ngroup-by: [user]\ntimespan: 10s",
			[]happening{{5, "ok", a}, {3, "fail", a}}, []string{"C@5[a]"}},
		"one that comes too late is left out": {"type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 2}",
			[]happening{{5000, "fail", a}, {0, "fail", a}, {1, "fail", a}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := load(t, sigma.Options{Logsource: sigma.Logsource{Product: "app"}}, correlation(c.body))
			got := fires(t, e, 1, c.events)
			var own []string
			for _, g := range got {
				if strings.HasPrefix(g, "C@") || strings.Contains(c.body, "generate") && strings.HasPrefix(g, "Failed") {
					own = append(own, g)
				}
			}
			if !slices.Equal(own, c.want) {
				t.Errorf("%s\ngot  %q\nwant %q", c.body, own, c.want)
			}
		})
	}
}

const chained = baseRules + `---
title: Many failed
name: many
correlation: {type: event_count, rules: [failed], group-by: [user, ip], timespan: 10s, condition: {gte: 3}}
---
title: Guessed
correlation: {type: temporal_ordered, rules: [many, login], group-by: [user], timespan: 60s}
level: high
`

func TestCorrelationsChain(t *testing.T) {
	e := load(t, sigma.Options{Logsource: sigma.Logsource{Product: "app"}}, chained)
	at := func(ip string) string { return user("a") + fmt.Sprintf(`,"ip":%q`, ip) }
	got := fires(t, e, 1, []happening{{0, "ok", at("1")}, {1, "fail", at("1")}, {2, "fail", at("2")}, {3, "fail", at("1")}, {4, "ok", at("1")}, {5, "fail", at("1")}, {6, "ok", at("9")}})
	// The parts are not reported by themselves: no correlation generates them.
	if want := []string{"Guessed@6[a]"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A cut at any event, with a snapshot and another engine, changes nothing; events that are given
// again after it are not counted twice.
//
// promise: DET-2
func TestARestartLeavesNoGapAndReportsNothingTwice(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	var events []happening
	for i := range 400 {
		events = append(events, happening{float64(i)/2 + r.Float64()*20 - 10, []string{"fail", "fail", "ok", "export"}[r.IntN(4)], fmt.Sprintf(`"user":"u%d","ip":"i%d","bytes":%d`, r.IntN(6), r.IntN(2), r.IntN(100))})
	}
	rules := chained + "---\ntitle: Sum\ncorrelation: {type: value_sum, rules: [export], group-by: [user], timespan: 30s, condition: {field: bytes, gte: 200}}\n" +
		"---\ntitle: Median\ncorrelation: {type: value_median, rules: [export], group-by: [user], timespan: 30s, condition: {field: bytes, gte: 60}}\n"
	o := sigma.Options{Logsource: sigma.Logsource{Product: "app"}}
	want := fires(t, load(t, o, rules), 1, events)
	if len(want) < 10 {
		t.Fatalf("too little happens: %q", want)
	}
	for cut := 0; cut < len(events); cut += 37 {
		first := load(t, o, rules)
		got := fires(t, first, 1, events[:cut])
		saved, err := first.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		again, err := first.Snapshot()
		if err != nil || !bytes.Equal(saved, again) {
			t.Fatalf("two snapshots of one state differ: %v", err)
		}
		second := load(t, o, rules)
		position, err := second.Restore(saved)
		if err != nil || position != int64(cut) {
			t.Fatalf("restored at %d: %v", position, err)
		}
		// The log is read again from a little before.
		from := max(cut-5, 0)
		got = append(got, fires(t, second, 1+from, events[from:])...)
		if !slices.Equal(got, want) {
			t.Fatalf("cut at %d:\ngot  %q\nwant %q", cut, got, want)
		}
	}
}

func TestADamagedSnapshotChangesNothing(t *testing.T) {
	e := load(t, sigma.Options{}, chained)
	saved, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, saved[:len(saved)/2], []byte("nonsense")} {
		if _, err := e.Restore(b); err == nil {
			t.Errorf("%d bytes were taken for a snapshot", len(b))
		}
	}
}

// In any order in which the events come, what is found is the same as long as none is too late.
func TestOrderOfArrivalDoesNotHideACorrelation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	rules := correlation("type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 20s\ncondition: {gte: 4}")
	for range 200 {
		var events []happening
		for range 12 {
			events = append(events, happening{float64(r.IntN(120)), "fail", user("a")})
		}
		hit := false
		for _, x := range events {
			n := 0
			for _, y := range events {
				if y.at <= x.at && y.at >= x.at-20 {
					n++
				}
			}
			hit = hit || n >= 4
		}
		e := load(t, sigma.Options{Logsource: sigma.Logsource{Product: "app"}}, rules)
		got := fires(t, e, 1, events)
		if (len(got) > 0) != hit {
			t.Fatalf("%v: %q, and there is a window with four: %v", events, got, hit)
		}
	}
}

func TestTheQuietestGroupsAreForgotten(t *testing.T) {
	e := load(t, sigma.Options{Logsource: sigma.Logsource{Product: "app"}, MaxGroups: 100}, correlation("type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 1h\ncondition: {gte: 3}"))
	var events []happening
	for i := range 1000 {
		events = append(events, happening{float64(i), "fail", user(fmt.Sprint("u", i))})
		if i%50 == 0 {
			events = append(events, happening{float64(i), "fail", user("steady")})
		}
	}
	got := fires(t, e, 1, events)
	if len(got) == 0 || !strings.Contains(got[0], "steady") {
		t.Errorf("the group that went on was forgotten: %q", got)
	}
	if s := e.Stats(); s.Forgotten < 800 {
		t.Errorf("%d groups were forgotten", s.Forgotten)
	}
}

func TestAnEventOfTheFutureIsOfItsArrival(t *testing.T) {
	e := load(t, sigma.Options{Logsource: sigma.Logsource{Product: "app"}}, correlation("type: event_count\nrules: [failed]\ngroup-by: [user]\ntimespan: 10s\ncondition: {gte: 3}"))
	found := 0
	for i, at := range []float64{0, 400 * 86400, 1, 2} {
		var ev sigma.Event
		if err := e.Decode([]byte(happening{at, "fail", user("a")}.json(i)), &ev); err != nil {
			t.Fatal(err)
		}
		found += len(e.Observe(int64(i+1), begin.Add(time.Duration(i)*time.Second), &ev))
	}
	if found != 1 || e.Stats().Ahead != 1 {
		t.Errorf("one event that lies about its time hides the others: %d found, %+v", found, e.Stats())
	}
}

// promise: DET-2
func TestADearRuleIsStoppedAndNamed(t *testing.T) {
	dear := "title: Dear\nlogsource: {product: any}\ndetection: {s: {f|re: '(a|b|ab|ba)*c(x+x+)+y'}, condition: s}\n"
	e := load(t, sigma.Options{Budget: 1}, dear, ruleOf("s: {f|startswith: ab}\ncondition: s"))
	event := `{"f":"` + strings.Repeat("ab", 2000) + `c"}`
	for range 20 {
		if got := observe(t, e, event); len(got) != 1 || got[0].Meta().Title != "case" {
			t.Fatalf("the other rule did not go on: %v", got)
		}
	}
	stops := e.Stopped()
	if len(stops) != 1 || stops[0].Rule.Title != "Dear" || !strings.Contains(stops[0].Error(), "rule0.yml:1:1") {
		t.Fatalf("%v", stops)
	}
	// It is the same event on every machine, and after a restart it is still stopped.
	saved, err := e.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	f := load(t, sigma.Options{Budget: 1}, dear, ruleOf("s: {f|startswith: ab}\ncondition: s"))
	if _, err := f.Restore(saved); err != nil || len(f.Stopped()) != 1 || f.Stopped()[0].Event != stops[0].Event {
		t.Errorf("%v, %v", err, f.Stopped())
	}
}
