package sigma_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/detect/sigma"
)

// Whatever stands in a rule file, it loads or says what is wrong, and what loads runs.
func FuzzRules(f *testing.F) {
	for _, c := range cases {
		f.Add(ruleOf(c.detection))
	}
	f.Add(chained)
	f.Add(ruleOfFilter)
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, src string) {
		e, problems := sigma.Load([]sigma.File{{Name: "r.yml", Data: []byte(src)}}, sigma.Options{})
		for _, p := range problems {
			if strings.ContainsAny(p.Error(), "\n\r") {
				t.Errorf("not one line: %q", p.Error())
			}
		}
		for _, src := range []string{`{"f":"whoami","g":["a",null,1.5],"a":{"b":{"c":"x"}},"user":"u","action":"fail","time":"2026-10-19T08:00:00Z"}`, `{}`} {
			var ev sigma.Event
			if err := e.Decode([]byte(src), &ev); err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, d := range e.Observe(0, begin, &ev) {
				d.Sentence(&ev)
				if d.Rule != nil {
					got = append(got, d.Rule.Title+d.Rule.ID)
				}
			}
			for _, r := range e.Loop(&ev) {
				want = append(want, r.Title+r.ID)
			}
			if len(e.Correlations()) == 0 && len(e.Stopped()) == 0 && !slices.Equal(got, want) {
				t.Errorf("the matcher finds %q and the loop %q", got, want)
			}
		}
	})
}

// What the standard library takes for an object is one, and only that; and values come out the same.
func FuzzEvents(f *testing.F) {
	for _, c := range cases {
		for _, ev := range append(slices.Clone(c.yes), c.no...) {
			f.Add([]byte(ev))
		}
	}
	for _, s := range []string{`{"f":1.`, `{"f":01}`, `{"f":"\x"}`, `{"f":"\ud800"}`, "{\"f\":\"a\x01\"}", `{"f":-}`, `{"f":1e}`, `[]`, `{} {}`, ` { "f" : [ ] } `, `{"f":tru}`, `{,}`, `{"f":1,}`, `{"f":"` + strings.Repeat("é", 40) + `"}`, "{\"f\":\"\xff\"}"} {
		f.Add([]byte(s))
	}
	e, _ := sigma.Load([]sigma.File{{Name: "r.yml", Data: []byte(ruleOf("s: {f: x}\nk: [evil]\ncondition: s or k"))}}, sigma.Options{})
	f.Fuzz(func(t *testing.T, src []byte) {
		var ev sigma.Event
		err := e.Decode(src, &ev)
		var want map[string]json.RawMessage
		wrong := json.Unmarshal(src, &want)
		if (err == nil) != (wrong == nil && want != nil) && !errors.Is(err, sigma.ErrTooLarge) {
			t.Fatalf("%q: we say %v and the standard library %v", src, err, wrong)
		}
		if err != nil {
			return
		}
		e.Observe(0, time.Time{}, &ev)
		var s struct{ F *string }
		plain := strings.Count(string(src), `"f"`) == 1 && !strings.ContainsAny(string(src), "F\\") && utf8.Valid(src) && json.Unmarshal(src, &s) == nil && s.F != nil && json.Valid(src)
		if plain && len(ev.Get("f")) == 1 && !strings.ContainsRune(*s.F, 0xfffd) && string(want["f"]) != "" && ev.Get("f")[0] != *s.F {
			t.Errorf("%q: %q, and the standard library reads %q", src, ev.Get("f"), *s.F)
		}
	})
}

// Any expression compiles or is refused, and none runs away.
func FuzzExpressions(f *testing.F) {
	for _, s := range []string{"a+", "(a|b)*c", "^$", `\d{1,1000}`, "(?i)x", "((a{1,100}){1,100}){1,100}", "[", `\p{Greek}`, "a(?=b)", "(?P<n>x)"} {
		f.Add(s, "aab")
	}
	f.Fuzz(func(t *testing.T, re, text string) {
		quoted, err := json.Marshal(re)
		if err != nil {
			return
		}
		e, _ := sigma.Load([]sigma.File{{Name: "r.yml", Data: []byte(ruleOf("s: {f|re: " + string(quoted) + "}\ncondition: s"))}}, sigma.Options{})
		body, err := json.Marshal(map[string]string{"f": text})
		if err != nil {
			return
		}
		var ev sigma.Event
		if err := e.Decode(body, &ev); err != nil {
			t.Fatal(err)
		}
		if got, want := len(e.Observe(0, time.Time{}, &ev)), len(e.Loop(&ev)); got != want {
			t.Errorf("%q on %q: the matcher finds %d and the loop %d", re, text, got, want)
		}
	})
}
