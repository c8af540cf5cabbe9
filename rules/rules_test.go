package rules_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/detect/sigma"
	"github.com/tocsin-ir/tocsin/rules"
)

// example is a line of a NAME.test.ndjson: events in their order, and the titles of the rules that
// fire on them, each at least once.
type example struct {
	Case   string            `json:"case"`
	Fires  []string          `json:"fires"`
	Events []json.RawMessage `json:"events"`
}

func engine(t *testing.T) *sigma.Engine {
	t.Helper()
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	var in []sigma.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		in = append(in, sigma.File{Name: name, Data: files[name]})
	}
	e, problems := sigma.Load(in, sigma.Options{})
	for _, p := range problems {
		t.Error(p)
	}
	return e
}

// promise: DET-2
// promise: DET-8
// promise: DET-10
//
// All rules are loaded in every case, so that a rule that fires where another should is seen too.
func TestRulesFireWhereTheyMustAndNowhereElse(t *testing.T) {
	files, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	fired := map[string]bool{}
	for name := range files {
		src, err := os.ReadFile(strings.TrimSuffix(name, ".yml") + ".test.ndjson")
		if err != nil {
			t.Errorf("%s has no examples: %v", name, err)
			continue
		}
		for line := range bytes.Lines(src) {
			var ex example
			if err := json.Unmarshal(line, &ex); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			t.Run(name+"/"+ex.Case, func(t *testing.T) {
				e := engine(t)
				got := map[string]bool{}
				for i, raw := range ex.Events {
					var ev sigma.Event
					if err := e.Decode(raw, &ev); err != nil {
						t.Fatal(err)
					}
					if len(ev.Logsource()) == 0 {
						t.Fatalf("event %d is of no known log source", i)
					}
					for _, d := range e.Observe(int64(i+1), time.Time{}, &ev) {
						got[d.Meta().Title], fired[d.Meta().Title] = true, true
						if s := d.Sentence(&ev); strings.Contains(s, "(no ") || strings.ContainsAny(s, "{}") && !strings.Contains(string(raw), "{jndi") {
							t.Errorf("the sentence is not whole: %s", s)
						}
					}
				}
				slices.Sort(ex.Fires)
				if titles := slices.Sorted(maps.Keys(got)); !slices.Equal(titles, ex.Fires) {
					t.Errorf("fired %q, want %q", titles, ex.Fires)
				}
			})
		}
	}
	e := engine(t)
	for _, r := range e.Rules() {
		if r.Level != "informational" && !fired[r.Title] && r.Name == "" {
			t.Errorf("%s: no example makes %q fire", r.At, r.Title)
		}
		if r.Level != "informational" && (r.Class == "" || r.Says == "") && r.Name == "" {
			t.Errorf("%s: %q has no class or no sentence", r.At, r.Title)
		}
	}
	for _, c := range e.Correlations() {
		if c.Name == "" && (!fired[c.Title] || c.Class == "" || c.Says == "") {
			t.Errorf("%s: no example makes %q fire, or it has no class or no sentence", c.At, c.Title)
		}
	}
}
