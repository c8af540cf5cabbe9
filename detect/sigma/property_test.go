package sigma_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/detect/sigma"
	"github.com/tocsin-ir/tocsin/internal/soaktest"
)

// Few letters and few fields, so that rules and events meet often.
var (
	drawField = rapid.SampledFrom([]string{"f", "f", "f", "f", "g", "g", "a.b", "a"})
	drawText  = rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "b", "ab", "A", "aB", "ba", "abab", "-a", " -a", "/a -b", "10.0.0.1", "10.1.2.3", "1", "2", "true", "null", "é", "É", "2026-11-22T03:05:11Z", `a\b`, "a*b", "YQ==", "a\nb"}),
		rapid.StringOfN(rapid.SampledFrom([]rune("abA-")), 0, 4, -1))
	drawPattern = rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "AB", "*", "?", `\*`, `\\`, `\`, "-a", "1", "é", " ", "a", "b"}), 0, 4).Draw(t, "pattern"), "")
	})
)

func drawValue(t *rapid.T, depth int) any {
	n := 8
	if depth > 2 {
		n = 5
	}
	switch rapid.IntRange(0, n).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]any{nil, true, false, json.Number("1"), json.Number("1.0"), json.Number("-2.5"), json.Number("1e1"), json.Number("0")}).Draw(t, "scalar")
	case 6:
		var l []any
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			l = append(l, drawValue(t, depth+1))
		}
		return slices.Clip(append([]any{}, l...))
	case 7, 8:
		return drawObject(t, depth+1)
	}
	return drawText.Draw(t, "text")
}

func drawObject(t *rapid.T, depth int) any {
	o := map[string]any{}
	if depth == 0 {
		o["f"] = drawValue(t, 2)
		if rapid.Bool().Draw(t, "two") {
			o["g"] = drawValue(t, 2)
		}
	}
	for range rapid.IntRange(0, 4).Draw(t, "fields") {
		o[rapid.SampledFrom([]string{"f", "g", "h", "a", "b", "c", "a.b"}).Draw(t, "name")] = drawValue(t, depth)
	}
	return o
}

func yamlText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// drawItem writes a key and its values.
func drawItem(t *rapid.T, field string) string {
	pick := func(list ...string) string { return rapid.SampledFrom(list).Draw(t, "modifier") }
	values := func(draw func() string) string {
		n := rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(t, "values")
		var out []string
		for range n {
			out = append(out, draw())
		}
		if n == 1 {
			return out[0]
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	text := func() string { return yamlText(strings.ReplaceAll(drawPattern.Draw(t, "value"), "\n", "")) }
	plain := func() string {
		return yamlText(rapid.SampledFrom([]string{"a", "ab", "-a", "A1"}).Draw(t, "plain"))
	}
	all := ""
	if rapid.Bool().Draw(t, "all") {
		all = "|all"
	}
	if field == "" {
		return yamlText("|"+pick("contains", "cased", "windash")+all) + ": " + values(text)
	}
	switch rapid.IntRange(0, 14).Draw(t, "test") {
	case 0:
		return field + ": " + pick("null", "true", "false", "''", "'*'", "1", "-2.5", "10")
	case 1:
		return field + "|exists: " + pick("true", "false")
	case 2:
		return field + "|re" + pick("", "|i", "|s", "|m|i") + all + ": " + values(func() string {
			return yamlText(pick("a", "^a", "b$", "a.b", "[ab]+1?", "^$", "(ab)+", "A|é"))
		})
	case 3:
		return field + "|cidr: " + values(func() string { return pick("10.0.0.0/8", "10.0.0.0/16", "'::/0'") })
	case 4:
		return field + "|" + pick("lt", "lte", "gt", "gte") + ": " + pick("0", "1", "2", "-2.5", "10")
	case 5:
		return field + "|fieldref" + pick("", "|startswith", "|endswith", "|contains", "|neq", "|cased") + ": " + drawField.Draw(t, "other")
	case 6:
		return field + "|" + pick("base64", "base64offset|contains", "wide|base64offset|contains", "utf16|base64", "windash|base64") + ": " + values(plain)
	case 7:
		return field + "|" + pick("hour", "day", "month|gte", "minute|lt", "year", "week") + ": " + pick("3", "5", "11", "22", "2026", "47")
	case 8:
		return field + "|neq: " + values(text)
	case 9:
		return field + "|" + pick("startswith", "endswith", "contains") + "|cased" + all + ": " + values(text)
	case 10, 11, 12:
		return field + "|" + pick("startswith", "endswith", "contains", "windash", "windash|contains", "contains|neq", "cased") + all + ": " + values(text)
	}
	return field + ": " + values(text)
}

func drawSelection(t *rapid.T, name string) string {
	items := func(in string) string {
		var out []string
		for i := range rapid.IntRange(1, 3).Draw(t, "items") {
			_ = i
			item := drawItem(t, rapid.OneOf(drawField, drawField, drawField, rapid.Just("")).Draw(t, "field"))
			key, _, _ := strings.Cut(item, ": ")
			if !slices.ContainsFunc(out, func(o string) bool { return strings.HasPrefix(o, key+": ") }) {
				out = append(out, item)
			}
		}
		return strings.Join(out, "\n"+in)
	}
	switch rapid.IntRange(0, 6).Draw(t, "selection") {
	case 0:
		return fmt.Sprintf("%s: [%s, %s]", name, yamlText(drawPattern.Draw(t, "keyword")), yamlText(drawText.Filter(func(s string) bool { return !strings.Contains(s, "\n") }).Draw(t, "keyword")))
	case 1:
		return name + ":\n  - " + items("    ") + "\n  - " + items("    ")
	}
	return name + ":\n  " + items("  ")
}

func drawCondition(t *rapid.T, depth int) string {
	if depth > 2 {
		return rapid.SampledFrom([]string{"s1", "s2", "_s3"}).Draw(t, "name")
	}
	sub := func() string { return drawCondition(t, depth+1) }
	switch rapid.IntRange(0, 7).Draw(t, "condition") {
	case 0:
		return sub() + " and " + sub()
	case 1:
		return sub() + " or " + sub()
	case 2:
		return "not " + rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, "name")
	case 3:
		return "(" + sub() + ")"
	case 4:
		return "not (" + sub() + ")"
	case 5:
		return rapid.SampledFrom([]string{"1 of s*", "all of s*", "1 of them", "all of them", "any of s*", "1 of _s*"}).Draw(t, "of")
	}
	return sub()
}

func drawRule(t *rapid.T) string {
	if rapid.IntRange(0, 3).Draw(t, "size") > 0 { // small rules come out true often enough to tell
		return ruleOf("s1:\n  " + drawItem(t, drawField.Draw(t, "field")) + "\ncondition: " + rapid.SampledFrom([]string{"s1", "s1", "not s1"}).Draw(t, "small"))
	}
	return ruleOf(drawSelection(t, "s1") + "\n" + drawSelection(t, "s2") + "\n" + drawSelection(t, "_s3") + "\ncondition: " + drawCondition(t, 0))
}

// sameAnswers loads random rules together and asks them of random events, one of which is asked
// again later: nothing of one event may be left for the next.
func sameAnswers(t *rapid.T) {
	var files []sigma.File
	var refs []refRule
	for i := range rapid.IntRange(1, 12).Draw(t, "rules") {
		src := strings.Replace(drawRule(t), "title: case", fmt.Sprintf("title: r%d", i), 1)
		files = append(files, sigma.File{Name: fmt.Sprintf("%d.yml", i), Data: []byte(src)})
		refs = append(refs, refParse(t, src))
	}
	e, problems := sigma.Load(files, sigma.Options{})
	for _, p := range problems {
		if !p.Warning {
			t.Fatalf("%v\n%s", p, files[0].Data)
		}
	}
	var events []string
	for range rapid.IntRange(1, 8).Draw(t, "events") {
		b, err := json.Marshal(drawObject(t, 0))
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, string(b))
	}
	var ev sigma.Event
	for _, src := range append(events, events[0]) {
		if err := e.Decode([]byte(src), &ev); err != nil {
			t.Fatalf("%v: %s", err, src)
		}
		got := map[string]bool{}
		for _, d := range e.Observe(0, time.Time{}, &ev) {
			got[d.Rule.Title] = true
		}
		event := refDecode(t, src)
		for i, r := range refs {
			if want := r.match(event); got[fmt.Sprint("r", i)] != want {
				t.Fatalf("the engine says %v and the reference %v:\n%s\n%s", !want, want, files[i].Data, src)
			}
		}
	}
}

// promise: DET-10
func TestTheSharedMatcherAnswersAsALoopOverRules(t *testing.T) {
	rapid.Check(t, sameAnswers)
}

func TestSoakMatcherAgainstReference(t *testing.T) {
	s := soaktest.Start(t)
	for range s.Rounds(t, "checks", 50, 1000) {
		rapid.Check(t, sameAnswers)
	}
}
