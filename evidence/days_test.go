package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/verify"
)

// ring is keys some of which were destroyed.
type ring struct {
	testKeys
	mu        sync.Mutex
	destroyed map[string]bool
}

func (r *ring) Key(purpose, id string) ([]byte, error) { return r.Lookup(purpose, id) }

func (r *ring) Lookup(purpose, id string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.destroyed[purpose+"/"+id] {
		return nil, fs.ErrNotExist
	}
	return r.testKeys.Lookup(purpose, id)
}

func (r *ring) Destroy(purpose, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.destroyed == nil {
		r.destroyed = map[string]bool{}
	}
	r.destroyed[purpose+"/"+id] = true
	return nil
}

// dayFacts are the facts that close and remove the first days of the access log, in a log of their own
// chain. forge may change them before they are recorded.
func (h *house) dayFacts(t testing.TB, days int, forge func([]incident.Fact) []incident.Fact) {
	t.Helper()
	ctx := t.Context()
	note, _, err := h.store.Sealed(ctx)
	if err != nil {
		t.Fatal(err)
	}
	list, err := h.store.Days(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var facts []incident.Fact
	for _, kind := range []incident.Kind{org.EpochClosed, org.EpochPruned} {
		for _, d := range list[:days] {
			body := struct {
				Day        string        `json:"day"`
				Stretches  []org.Stretch `json:"stretches"`
				Checkpoint string        `json:"checkpoint"`
				Keep       string        `json:"keep,omitempty"`
				Basis      string        `json:"basis,omitempty"`
			}{Day: d.Day, Checkpoint: string(note)}
			for _, x := range d.Stretches {
				body.Stretches = append(body.Stretches, org.Stretch(x))
			}
			if kind == org.EpochPruned {
				body.Keep, body.Basis = "13 months", "the time is over, and no hold covers the day"
				h.in.Removed.Positions = append(h.in.Removed.Positions, [2]int64{int64(d.Stretches[0].First), int64(d.Stretches[0].Last)})
			}
			raw, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			facts = append(facts, incident.Fact{Kind: kind, Chain: "org", Env: "production", Principal: "service:tocsin",
				Occurred: noon.AddDate(2, 0, 0), Recorded: noon.AddDate(2, 0, 0), Body: raw})
		}
	}
	if forge != nil {
		facts = forge(facts)
	}
	records, err := ledger.Encode(facts, ledger.Head{Chain: "org"}, testKeys{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		at, err := h.facts.Append(ctx, ledger.LeafData(r.ID, r.Hash))
		if err != nil {
			t.Fatal(err)
		}
		r.Anchor = int64(at)
		h.in.Removed.Facts = append(h.in.Removed.Facts, FactOf(r, nil, noon))
	}
}

// age removes the first days of the access log, as the server does: the facts, then the data.
func (h *house) age(t testing.TB, days int) {
	t.Helper()
	h.dayFacts(t, days, nil)
	list, err := h.store.Days(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range list[:days] {
		for deadline := time.Now().Add(20 * time.Second); ; {
			err := h.store.Prune(t.Context(), d.Day, h.in.Removed.Facts[days+i].ID)
			if err == nil {
				break
			}
			if time.Now().After(deadline) || !strings.Contains(err.Error(), "on their way into the log") {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	h.recorded(0)
	if days == 3 {
		h.recorded(1)
	}
}

// recorded makes a scope what its fact holds of it.
func (h *house) recorded(i int) {
	s := &h.in.Scopes[i]
	s.Step, s.Timeline, s.RowsRead, s.Included, s.Excluded = 0, nil, 0, nil, nil
}

// An export of an incident whose accesses were removed with their days, some of them or all, verifies:
// what is left is proven, and what went is named with the fact and the reason.
//
// promise: INV-3
func TestAnExportAfterDaysWereRemovedVerifiesAndNamesThem(t *testing.T) {
	for days, want := range []struct {
		events int
		short  []verify.Short
	}{
		1: {91, []verify.Short{{Scope: 1, Events: 120, Shown: 80, Days: []string{"2026-11-22"}}}},
		2: {51, []verify.Short{{Scope: 1, Events: 120, Shown: 40, Days: []string{"2026-11-22", "2026-11-23"}}}},
		3: {0, []verify.Short{{Scope: 1, Events: 120, Shown: 0, Days: []string{"2026-11-22", "2026-11-23", "2026-11-24"}}, {Scope: 2, Events: 31, Shown: 0, Days: []string{"2026-11-24"}}}},
	} {
		if days == 0 {
			continue
		}
		h := newHouseOver(t, newSigners(t), 24*time.Hour, nil)
		h.age(t, days)
		r := check(t, h.export(t), verify.Options{Since: [][]byte{h.since, h.sinceEvents}})
		if !r.OK || len(r.Removed) != days || fmt.Sprint(r.Short) != fmt.Sprint(want.short) {
			t.Fatalf("%d days removed: %+v", days, r)
		}
		if d := r.Removed[0]; d.Day != "2026-11-22" || d.Events != 60 || d.Leaves == 0 || d.Keep != "13 months" || !strings.Contains(d.Basis, "no hold covers") || d.Fact != h.in.Removed.Facts[days].ID {
			t.Errorf("the removed day: %+v", d)
		}
		if !strings.HasPrefix(r.Verdict, "verified against ") || !strings.Contains(r.Verdict, fmt.Sprintf("; %d of the 120 events of scope 1 were removed with their days", 120-want.short[0].Shown)) {
			t.Errorf("verdict %q", r.Verdict)
		}
		if r.Events != want.events {
			t.Errorf("%d days removed: %d events are shown, want %d", days, r.Events, want.events)
		}
	}
}

// What was removed without a fact, more than a fact says, or under a fact that is not in the log, is an
// alteration and named.
//
// promise: INV-3
func TestARemovalThatNoFactCoversIsFoundByName(t *testing.T) {
	s := newSigners(t)
	h := newHouseOver(t, s, 24*time.Hour, nil)
	h.age(t, 1)
	files := unpack(t, h.export(t))
	index := func(list []file, name string) int {
		return slices.IndexFunc(list, func(f file) bool { return f.name == name })
	}
	lines := func(list []file, name string, fn func([]string) []string) []file {
		f := &list[index(list, name)]
		f.data = []byte(strings.Join(fn(strings.SplitAfter(strings.TrimSuffix(string(f.data), "\n"), "\n")), ""))
		if !bytes.HasSuffix(f.data, []byte("\n")) && len(f.data) > 0 {
			f.data = append(f.data, '\n')
		}
		return list
	}
	replace := func(list []file, name, old, new string) []file {
		return lines(list, name, func(l []string) []string {
			if !strings.Contains(strings.Join(l, ""), old) {
				t.Fatalf("%s does not hold %q", name, old)
			}
			return []string{strings.Replace(strings.Join(l, ""), old, new, 1)}
		})
	}
	drop := func(list []file, name string) []file {
		return slices.DeleteFunc(list, func(f file) bool { return f.name == name })
	}
	for _, c := range []struct {
		name   string
		change func([]file) []file
		want   verify.Code
		says   string
	}{
		{"the facts are left out", func(l []file) []file { return drop(l, "days.ndjson") }, verify.CodeScopeRows, "40 of the 120 events that it counts are missing, and no fact says that their day was removed"},
		{"the fact that closed the day is left out", func(l []file) []file {
			return lines(l, "days.ndjson", func(l []string) []string { return l[1:] })
		}, verify.CodeRemoved, "removes other leaves than the fact that closed 2026-11-22"},
		{"the fact that removed it is left out", func(l []file) []file {
			return lines(l, "days.ndjson", func(l []string) []string { return l[:1] })
		}, verify.CodeScopeRows, "no fact says that their day was removed"},
		{"the facts change places", func(l []file) []file {
			return lines(l, "days.ndjson", func(l []string) []string { return []string{l[1] + "\n", l[0]} })
		}, verify.CodeRemoved, "the facts log does not hold it in this place"},
		{"another day is named", func(l []file) []file { return replace(l, "days.ndjson", `"day":"2026-11-22"`, `"day":"2026-11-23"`) }, verify.CodeRemoved, "the facts log does not hold it"},
		{"another reason is given", func(l []file) []file { return replace(l, "days.ndjson", `the time is over`, `nobody asked us`) }, verify.CodeRemoved, "the facts log does not hold it"},
		{"a fact about something else is shown", func(l []file) []file {
			return lines(l, "days.ndjson", func([]string) []string {
				return []string{strings.SplitAfter(string(l[index(l, "facts.ndjson")].data), "\n")[0]}
			})
		}, verify.CodeRemoved, "is not a fact about a day"},
		{"the events of another day are withheld too", func(l []file) []file {
			gone := ""
			l = lines(l, "events.ndjson", func(l []string) []string {
				return slices.DeleteFunc(l, func(line string) bool {
					if !strings.Contains(line, `"id":"e1-`) {
						return false
					}
					gone, _, _ = strings.Cut(strings.TrimPrefix(line, `{"leaf":`), ",")
					return true
				})
			})
			return drop(l, "leaves/"+gone)
		}, verify.CodeScopeRows, "80 of its events are missing, and only 60 came on the days that facts say were removed"},
		{"a number is edited", func(l []file) []file { return replace(l, "scopes/1.json", `"customers":`, `"customers":1`) }, verify.CodeScopeFact, "the facts do not record it"},
		{"a total is edited", func(l []file) []file { return replace(l, "scopes/1.json", `"at_least":false`, `"at_least":true`) }, verify.CodeScopeFact, "not those that the fact recorded"},
		{"a region is edited", func(l []file) []file {
			return replace(l, "scopes/1.json", `"region":"DE"`, `"region":"FR"`)
		}, verify.CodeScopeFact, "not those that the fact recorded"},
		{"a timeline is invented", func(l []file) []file {
			return replace(l, "scopes/1.json", `"rows_read":0`, `"rows_read":0,"step":3600,"timeline":[{"from":"2026-11-22T11:00:00Z","events":1,"records":1}]`)
		}, verify.CodeScopeRows, "shows a timeline that nobody can count again"},
	} {
		list := slices.Clone(files)
		for i := range list {
			list[i].data = bytes.Clone(list[i].data)
		}
		r := check(t, repack(t, h, c.change(list)), verify.Options{})
		if r.OK || !slices.ContainsFunc(r.Findings, func(f verify.Finding) bool { return f.Code == c.want && strings.Contains(f.What, c.says) }) {
			t.Errorf("%s: want %s: %s, got %v", c.name, c.want, c.says, r.Findings)
		}
	}

	// Facts that are in the log and say what is not so.
	for name, forge := range map[string]func([]incident.Fact) []incident.Fact{
		"removes other leaves than the fact that closed": func(l []incident.Fact) []incident.Fact {
			l[1].Body = json.RawMessage(strings.Replace(string(l[1].Body), `"leaves":1`, `"leaves":2`, 1))
			return l
		},
		"does not say for how long days are kept and why": func(l []incident.Fact) []incident.Fact {
			l[1].Recorded = noon.Add(-time.Hour)
			return l
		},
		"was removed before": func(l []incident.Fact) []incident.Fact { return append(l, l[1]) },
		"does not cover the leaves of": func(l []incident.Fact) []incident.Fact {
			for i := range l {
				l[i].Body = json.RawMessage(strings.Replace(string(l[i].Body), `"leaves":1`, `"leaves":1000`, 1))
			}
			return l
		},
		"does not say which leaves of which day": func(l []incident.Fact) []incident.Fact {
			l[0].Body = json.RawMessage(strings.Replace(string(l[0].Body), `"first":1`, `"first":0`, 1))
			return l
		},
	} {
		h := newHouseOver(t, s, 24*time.Hour, nil)
		h.dayFacts(t, 1, forge)
		h.recorded(0)
		r := check(t, h.export(t), verify.Options{})
		if r.OK || !slices.ContainsFunc(r.Findings, func(f verify.Finding) bool { return f.Code == verify.CodeRemoved && strings.Contains(f.What, name) }) {
			t.Errorf("a fact that %s: %v", name, r.Findings)
		}
	}

	// Nor may an export show what a fact in it says was removed.
	h = newHouseOver(t, s, 24*time.Hour, nil)
	h.dayFacts(t, 1, nil)
	h.in.Removed.Positions = nil
	if r := check(t, h.export(t), verify.Options{}); r.OK || !slices.ContainsFunc(r.Findings, func(f verify.Finding) bool {
		return f.Code == verify.CodeRemoved && strings.Contains(f.What, "events of leaf 0 are shown")
	}) {
		t.Errorf("events of a removed day are shown: %v", r.Findings)
	}
}
