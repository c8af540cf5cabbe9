package sigma_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"
)

// The reference is a second reading of the specification: it loops over rules and values, shares
// nothing with the engine, and is as slow as it is plain.

// reporter is what a test and a rapid check have in common.
type reporter interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// object keeps the text of an object beside its fields.
type object struct {
	fields []field
	text   string
}

type field struct {
	name  string
	value any
}

// refDecode reads JSON into objects, lists, strings, json.Number, bool and nil.
func refDecode(t reporter, src string) any {
	t.Helper()
	var read func(raw json.RawMessage) any
	read = func(raw json.RawMessage) any {
		raw = bytes.TrimSpace(raw)
		switch raw[0] {
		case '{':
			var b bytes.Buffer
			if err := json.Compact(&b, raw); err != nil {
				t.Fatal(err)
			}
			o := object{text: b.String()}
			dec := json.NewDecoder(bytes.NewReader(raw))
			dec.Token()
			for dec.More() {
				k, err := dec.Token()
				if err != nil {
					t.Fatal(err)
				}
				var v json.RawMessage
				if err := dec.Decode(&v); err != nil {
					t.Fatal(err)
				}
				o.fields = append(o.fields, field{k.(string), read(v)})
			}
			return o
		case '[':
			var l []json.RawMessage
			if err := json.Unmarshal(raw, &l); err != nil {
				t.Fatal(err)
			}
			out := []any{}
			for _, v := range l {
				out = append(out, read(v))
			}
			return out
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	return read(json.RawMessage(src))
}

// refLookup gives the values at a path; there is whether the path exists.
func refLookup(v any, path string) (values []any, there bool) {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			vs, ok := refLookup(e, path)
			values, there = append(values, vs...), there || ok
		}
	case object:
		for _, f := range x.fields {
			if f.name == path {
				values, there = append(values, refSpread(f.value)...), true
			}
			if rest, ok := strings.CutPrefix(path, f.name+"."); ok {
				vs, ok := refLookup(f.value, rest)
				values, there = append(values, vs...), there || ok
			}
		}
	}
	return values, there
}

func refSpread(v any) []any {
	l, ok := v.([]any)
	if !ok {
		return []any{v}
	}
	var out []any
	for _, e := range l {
		out = append(out, refSpread(e)...)
	}
	return out
}

// refAll gives every value of an event but objects, for keywords.
func refAll(v any) (out []any) {
	switch x := v.(type) {
	case object:
		for _, f := range x.fields {
			out = append(out, refAll(f.value)...)
		}
	case []any:
		for _, e := range x {
			out = append(out, refAll(e)...)
		}
	default:
		out = []any{v}
	}
	return out
}

// refTexts gives the ways in which a value can be written.
func refTexts(v any) []string {
	switch x := v.(type) {
	case string:
		return []string{x}
	case bool:
		return []string{strconv.FormatBool(x)}
	case json.Number:
		f, err := x.Float64()
		if err != nil {
			return []string{x.String()}
		}
		return []string{x.String(), strconv.FormatFloat(f, 'f', -1, 64)}
	case object:
		return []string{x.text}
	}
	return nil
}

type refRule struct {
	Logsource map[string]string
	Detection map[string]any
}

func refParse(t reporter, src string) refRule {
	t.Helper()
	var r refRule
	if err := yaml.Unmarshal([]byte(src), &r); err != nil {
		t.Fatalf("%v in\n%s", err, src)
	}
	return r
}

func (r refRule) match(event any) bool {
	conds, ok := r.Detection["condition"].([]any)
	if !ok {
		conds = []any{r.Detection["condition"]}
	}
	for _, c := range conds {
		p := &refCondition{rule: r, event: event, words: strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(c.(string)))}
		if p.or() {
			return true
		}
	}
	return false
}

type refCondition struct {
	rule  refRule
	event any
	words []string
}

func (p *refCondition) next() string {
	if len(p.words) == 0 {
		return ""
	}
	return strings.ToLower(p.words[0])
}
func (p *refCondition) pop() string { w := p.words[0]; p.words = p.words[1:]; return w }

func (p *refCondition) or() bool {
	v := p.and()
	for p.next() == "or" {
		p.pop()
		w := p.and()
		v = v || w
	}
	return v
}

func (p *refCondition) and() bool {
	v := p.not()
	for p.next() == "and" {
		p.pop()
		w := p.not()
		v = v && w
	}
	return v
}

func (p *refCondition) not() bool {
	if p.next() == "not" {
		p.pop()
		return !p.not()
	}
	w := p.pop()
	if w == "(" {
		v := p.or()
		p.pop()
		return v
	}
	if p.next() != "of" {
		return refSelection(p.rule.Detection[w], p.event)
	}
	p.pop()
	pattern := p.pop()
	re := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
	hits, total := 0, 0
	for name, s := range p.rule.Detection {
		if name == "condition" || strings.HasPrefix(name, "_") && !strings.HasPrefix(pattern, "_") || pattern != "them" && !re.MatchString(name) {
			continue
		}
		total++
		if refSelection(s, p.event) {
			hits++
		}
	}
	if strings.ToLower(w) == "all" {
		return hits == total
	}
	return hits > 0
}

func refSelection(s any, event any) bool {
	switch x := s.(type) {
	case map[string]any:
		for k, v := range x {
			if !refItem(k, v, event) {
				return false
			}
		}
		return true
	case []any:
		for _, e := range x {
			if _, isMap := e.(map[string]any); isMap && refSelection(e, event) || !isMap && refItem("", e, event) {
				return true
			}
		}
		return false
	}
	return refItem("", s, event)
}

func refItem(key string, v any, event any) bool {
	parts := strings.Split(key, "|")
	name, mods := parts[0], parts[1:]
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	values, there := refLookup(event, name)
	if name == "" {
		values = refAll(event)
	}
	if slices.Contains(mods, "neq") {
		some := false
		for _, x := range values {
			some = some || x != nil
		}
		if !some {
			return false
		}
	}
	hits := 0
	for _, want := range list {
		if refValue(name, mods, want, values, there, event) {
			hits++
		}
	}
	result := hits > 0
	if slices.Contains(mods, "all") {
		result = hits == len(list)
	}
	return result != slices.Contains(mods, "neq")
}

func refValue(name string, mods []string, want any, values []any, there bool, event any) bool {
	has := func(m string) bool { return slices.Contains(mods, m) }
	some := func(f func(any) bool) bool { return slices.ContainsFunc(values, f) }
	someText := func(f func(string) bool) bool {
		return some(func(v any) bool { return slices.ContainsFunc(refTexts(v), f) })
	}
	lower := refLower
	if has("cased") {
		lower = func(s string) string { return s }
	}
	switch {
	case has("exists"):
		return there == want.(bool)
	case want == nil:
		return !there || some(func(v any) bool { return v == nil })
	case has("fieldref"):
		others, _ := refLookup(event, want.(string))
		return someText(func(x string) bool {
			for _, o := range others {
				for _, y := range refTexts(o) {
					x, y := lower(x), lower(y)
					switch {
					case has("contains") && strings.Contains(x, y), has("startswith") && strings.HasPrefix(x, y), has("endswith") && strings.HasSuffix(x, y), x == y:
						return true
					}
				}
			}
			return false
		})
	case has("cidr"):
		p := netip.MustParsePrefix(want.(string))
		return some(func(v any) bool {
			s, _ := v.(string)
			a, err := netip.ParseAddr(s)
			return err == nil && p.Contains(a.WithZone("").Unmap())
		})
	case has("re"):
		flags := ""
		for _, f := range []string{"i", "m", "s"} {
			if has(f) {
				flags += f
			}
		}
		src := fmt.Sprint(want)
		if flags != "" {
			src = "(?" + flags + ")" + src
		}
		return someText(regexp.MustCompile(src).MatchString)
	}
	for _, part := range []string{"minute", "hour", "day", "week", "month", "year"} {
		if has(part) {
			return someText(func(s string) bool {
				at, err := time.Parse(time.RFC3339, s)
				_, week := at.ISOWeek()
				v := map[string]int{"minute": at.Minute(), "hour": at.Hour(), "day": at.Day(), "week": week, "month": int(at.Month()), "year": at.Year()}[part]
				return err == nil && refCompare(mods, float64(v), refNumber(want))
			})
		}
	}
	if has("lt") || has("lte") || has("gt") || has("gte") {
		return some(func(v any) bool {
			switch v.(type) {
			case string, json.Number:
				f, err := strconv.ParseFloat(fmt.Sprint(v), 64)
				return err == nil && refCompare(mods, f, refNumber(want))
			}
			return false
		})
	}
	return someText(func(s string) bool {
		for _, src := range refExpressions(name, mods, want, lower) {
			if regexp.MustCompile(src).MatchString(lower(s)) {
				return true
			}
		}
		return false
	})
}

func refNumber(v any) float64 {
	f, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	if err != nil {
		return math.NaN()
	}
	return f
}

func refCompare(mods []string, x, y float64) bool {
	for _, m := range mods {
		switch m {
		case "lt":
			return x < y
		case "lte":
			return x <= y
		case "gt":
			return x > y
		case "gte":
			return x >= y
		}
	}
	return x == y
}

// refExpressions writes a value with its modifiers as regular expressions over lower-case text.
func refExpressions(name string, mods []string, want any, lower func(string) string) []string {
	// A value is a list of runes; wildcards stand outside Unicode.
	const star, one = -1, -2
	var v []rune
	text, isString := want.(string)
	if !isString {
		switch x := want.(type) {
		case float64:
			text = strconv.FormatFloat(x, 'f', -1, 64)
		default:
			text = fmt.Sprint(x)
		}
	}
	rs := []rune(text)
	for i := 0; i < len(rs); i++ {
		switch {
		case isString && rs[i] == '\\' && i+1 < len(rs) && strings.ContainsRune(`\*?`, rs[i+1]):
			i++
			v = append(v, rs[i])
		case isString && rs[i] == '*':
			v = append(v, star)
		case isString && rs[i] == '?':
			v = append(v, one)
		default:
			v = append(v, rs[i])
		}
	}
	all := [][]rune{v}
	each := func(f func([]rune) [][]rune) {
		var out [][]rune
		for _, v := range all {
			out = append(out, f(v)...)
		}
		all = out
	}
	plain := func(v []rune) string { return string(v) }
	units := func(v []rune, order func(uint16) []byte, mark string) []rune {
		out := []rune(mark)
		for _, r := range v {
			if r < 0 {
				out = append(out, r)
				continue
			}
			for _, u := range utf16.Encode([]rune{r}) {
				for _, b := range order(u) {
					out = append(out, rune(b))
				}
			}
		}
		return out
	}
	le := func(u uint16) []byte { return []byte{byte(u), byte(u >> 8)} }
	be := func(u uint16) []byte { return []byte{byte(u >> 8), byte(u)} }
	bytesOf := func(v []rune, wide bool) []byte {
		if !wide {
			return []byte(plain(v))
		}
		var b []byte
		for _, r := range v {
			b = append(b, byte(r))
		}
		return b
	}
	wide := false
	for _, m := range mods {
		switch m {
		case "contains":
			each(func(v []rune) [][]rune { return [][]rune{append(append([]rune{star}, v...), star)} })
		case "startswith":
			each(func(v []rune) [][]rune { return [][]rune{append(slices.Clone(v), star)} })
		case "endswith":
			each(func(v []rune) [][]rune { return [][]rune{append([]rune{star}, v...)} })
		case "wide", "utf16le":
			wide = true
			each(func(v []rune) [][]rune { return [][]rune{units(v, le, "")} })
		case "utf16be":
			wide = true
			each(func(v []rune) [][]rune { return [][]rune{units(v, be, "")} })
		case "utf16":
			wide = true
			each(func(v []rune) [][]rune { return [][]rune{units(v, le, "\u00ff\u00fe")} })
		case "base64":
			each(func(v []rune) [][]rune {
				return [][]rune{[]rune(base64.StdEncoding.EncodeToString(bytesOf(v, wide)))}
			})
		case "base64offset":
			each(func(v []rune) (out [][]rune) {
				b := bytesOf(v, wide)
				// What every surrounding has in common is what does not change with it.
				for i := range 3 {
					var common []byte
					var keep []bool
					for _, fill := range []byte{0, 0x55, 0xaa, 0xff} {
						for tail := range 3 {
							s := base64.RawStdEncoding.EncodeToString(append(append(bytes.Repeat([]byte{fill}, i), b...), bytes.Repeat([]byte{fill}, tail)...))
							if common == nil {
								common, keep = []byte(s), make([]bool, len(s))
								for j := range keep {
									keep[j] = true
								}
							}
							for j := range common {
								keep[j] = keep[j] && j < len(s) && s[j] == common[j]
							}
						}
					}
					var part []rune
					for j, ok := range keep {
						if ok {
							part = append(part, rune(common[j]))
						}
					}
					out = append(out, part)
				}
				return out
			})
		case "windash":
			each(func(v []rune) [][]rune {
				out := [][]rune{nil}
				word := func(i int) bool {
					return i >= 0 && i < len(v) && v[i] >= 0 && regexp.MustCompile(`^[\pL\p{Nd}_]$`).MatchString(string(v[i]))
				}
				for i, r := range v {
					next := []rune{r}
					if strings.ContainsRune("-/–—―", r) && r > 0 && !word(i-1) && word(i+1) {
						next = []rune("-/–—―")
					}
					var grown [][]rune
					for _, o := range out {
						for _, n := range next {
							grown = append(grown, append(slices.Clone(o), n))
						}
					}
					out = grown
				}
				return out
			})
		}
	}
	var out []string
	for _, v := range all {
		var b strings.Builder
		for _, r := range v {
			switch r {
			case star:
				b.WriteString("(?s:.*)")
			case one:
				b.WriteString("(?s:.)")
			default:
				b.WriteString(regexp.QuoteMeta(lower(string(r))))
			}
		}
		if name == "" {
			out = append(out, b.String())
		} else {
			out = append(out, "^(?:"+b.String()+")$")
		}
	}
	return out
}

// refLower makes texts that differ in case alone equal, by way of capitals.
func refLower(s string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, s)
}
