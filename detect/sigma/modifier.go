package sigma

import (
	"encoding/base64"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// testKind is what a test does with the values of its field.
type testKind uint8

const (
	textTest   testKind = iota // pattern
	reTest                     // regular expression, anywhere in the text
	cidrTest                   // address in a network
	numberTest                 // compared with a number
	timeTest                   // part of a time compared with a number
	refTest                    // compared with another field
	nullTest                   // not there, or null
	existsTest                 // there, or not
)

// test is one question about one field. field is empty for a keyword.
type test struct {
	field   string
	kind    testKind
	pattern pattern
	cased   bool
	re      *regexp.Regexp
	size    int      // of the regular expression's program
	needs   []string // folded; a text that the test matches has all of them
	network netip.Prefix
	compare string // =, <, <=, >, >=
	number  float64
	part    string // minute, hour, day, week, month, year
	other   string // field that refTest compares with
	before  bool   // refTest: the value begins with the other's
	after   bool   // refTest: it ends with it; both: it contains it
	want    bool   // existsTest
}

var modifiers = []string{
	"all", "startswith", "endswith", "contains", "exists", "cased", "neq", "windash", "re", "i", "m", "s",
	"base64", "base64offset", "utf16le", "utf16be", "utf16", "wide", "lt", "lte", "gt", "gte",
	"minute", "hour", "day", "week", "month", "year", "cidr", "expand", "fieldref",
}

// placeholders gives the values of a placeholder, or false when nobody supplies them.
type placeholders func(name string) ([]string, bool)

// state is how far the modifiers of an item have brought its values.
type state struct {
	it      *item
	cased   bool
	all     bool
	negate  bool
	re      bool
	flags   string
	cidr    bool
	ref     bool
	exists  bool
	compare string
	part    string
	before  bool
	after   bool
	values  []working
}

// working is a value on its way: text still to be read, or patterns, one of which has to match.
type working struct {
	value
	raw      string
	patterns []pattern
	read     bool
}

// build makes the expression of an item. Without a lookup, placeholders stay open and the
// expression only shows what else is wrong.
func (r *reader) build(it *item, lookup placeholders) *expr {
	before := len(r.problems)
	s := &state{it: it}
	for _, v := range it.values {
		s.values = append(s.values, working{value: v, raw: v.text})
	}
	open := false
	if slices.Contains(it.modifiers, "expand") {
		if open = lookup == nil; !open && !r.expand(s, lookup) {
			return nil
		}
	}
	for i, m := range it.modifiers {
		if !slices.Contains(modifiers, m) {
			r.fail(it.node, "there are "+strings.Join(modifiers, ", "), "the modifier %s is not known", quote(m))
			return nil
		}
		if m != "expand" && !r.modify(s, m, i) {
			return nil
		}
	}
	if open {
		return &expr{test: &test{field: it.field}}
	}
	if s.all && len(it.values) == 1 && lookup == nil {
		r.warn(it.node, "leave it out", "all with one value is not Sigma")
	}
	kids := make([]*expr, 0, len(s.values))
	for i := range s.values {
		if e := r.finish(s, &s.values[i]); e != nil {
			kids = append(kids, e)
		}
	}
	if len(r.problems) > before && r.failed() || len(kids) == 0 {
		return nil
	}
	e := oneOf(kids)
	if s.all {
		e = allOf(kids)
	}
	if s.negate {
		there := &expr{test: &test{field: it.field, pattern: pattern{{part: anyRun}}}}
		e = allOf([]*expr{there, not(e)})
	}
	return e
}

// text reads the pattern of a value when a modifier first asks for it.
func (w *working) text() []pattern {
	if !w.read {
		w.read = true
		if w.kind == stringValue {
			w.patterns = []pattern{parsePattern(w.raw)}
		} else {
			w.patterns = []pattern{plainPattern(w.raw)}
		}
	}
	return w.patterns
}

// each changes the patterns of all values.
func (r *reader) each(s *state, name string, f func(pattern) ([]pattern, string)) bool {
	for i := range s.values {
		w := &s.values[i]
		if w.kind == nullValue {
			r.fail(w.node, "leave the modifier out", "null has no %s", name)
			return false
		}
		var out []pattern
		for _, p := range w.text() {
			made, wrong := f(p)
			if wrong != "" {
				r.fail(w.node, wrong, "%s cannot be applied to %s", name, quote(w.raw))
				return false
			}
			out = append(out, made...)
		}
		if len(out) > maxExpansion {
			r.fail(w.node, "write it in fewer variants", "%s expands %s into more than %d variants", name, quote(w.raw), maxExpansion)
			return false
		}
		w.patterns = out
	}
	return true
}

func (r *reader) modify(s *state, m string, at int) bool {
	one := func(f func(pattern) pattern) bool {
		return r.each(s, m, func(p pattern) ([]pattern, string) { return []pattern{f(p)}, "" })
	}
	field := func() bool {
		if s.it.field == "" {
			r.fail(s.it.node, "name the field before it", "%s needs a field", m)
			return false
		}
		return true
	}
	switch m {
	case "all":
		s.all = true
	case "cased":
		s.cased = true
	case "neq":
		s.negate = true
		return field()
	case "contains", "startswith", "endswith":
		s.before = s.before || m != "endswith"
		s.after = s.after || m != "startswith"
		if s.re || s.ref || slices.Contains(s.it.modifiers[at:], "fieldref") {
			return true
		}
		return one(func(p pattern) pattern { return p.open(m != "startswith", m != "endswith") })
	case "windash":
		return one(pattern.windash)
	case "wide", "utf16le":
		return one(func(p pattern) pattern { return p.wide(false, false) })
	case "utf16be":
		return one(func(p pattern) pattern { return p.wide(true, false) })
	case "utf16":
		return one(func(p pattern) pattern { return p.wide(false, true) })
	case "base64", "base64offset":
		return r.each(s, m, func(p pattern) (out []pattern, wrong string) {
			all, err := p.spell()
			if err != nil {
				return nil, err.Error()
			}
			for _, q := range all {
				text, ok := q.plain()
				if !ok {
					return nil, "write no wildcards, and contains after it"
				}
				if m == "base64" {
					out = append(out, plainPattern(base64.StdEncoding.EncodeToString([]byte(text))))
					continue
				}
				for _, enc := range base64Offsets(text) {
					out = append(out, plainPattern(enc))
				}
			}
			return out, ""
		})
	case "re":
		if s.re = true; s.values[0].read {
			r.fail(s.it.node, "write re first", "re comes after a modifier that changes the text")
			return false
		}
	case "i", "m", "s":
		if !s.re {
			r.fail(s.it.node, "write re before it", "%s is a modifier of re", m)
			return false
		}
		s.flags += m
	case "cidr":
		s.cidr = true
		return field()
	case "fieldref":
		s.ref = true
		return field()
	case "exists":
		s.exists = true
		return field()
	case "lt", "lte", "gt", "gte":
		if s.compare != "" {
			r.fail(s.it.node, "make them two selections, or two keys", "two comparisons of one value")
			return false
		}
		s.compare = map[string]string{"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}[m]
		return field()
	default: // parts of a time
		s.part = m
		return field()
	}
	return true
}

// finish makes the test of a value.
func (r *reader) finish(s *state, w *working) *expr {
	base := test{field: s.it.field, cased: s.cased}
	one := func(t test) *expr { return &expr{test: &t} }
	switch {
	case s.exists:
		base.kind = existsTest
		switch {
		case w.kind == boolValue, w.kind == stringValue && (strings.EqualFold(w.raw, "true") || strings.EqualFold(w.raw, "false")):
			base.want = strings.EqualFold(w.raw, "true")
		default:
			r.fail(w.node, "write true or false", "exists with %s", quote(w.raw))
			return nil
		}
		return one(base)
	case s.re:
		return r.regular(s, w, base)
	case s.ref:
		name, ok := parsePattern(w.raw).plain()
		if w.kind == nullValue || !ok || name == "" {
			r.fail(w.node, "name one field", "%s is no field", quote(w.raw))
			return nil
		}
		base.kind, base.other, base.before, base.after = refTest, name, s.before, s.after
		return one(base)
	case s.cidr:
		p, err := netip.ParsePrefix(w.raw)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(w.raw); err == nil {
				p = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if err != nil || w.kind != stringValue {
			r.fail(w.node, "write it as 10.0.0.0/8 or 2001:db8::/32", "%s is no network", quote(w.raw))
			return nil
		}
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		base.kind, base.network = cidrTest, p.Masked()
		return one(base)
	case s.compare != "" || s.part != "":
		f, err := strconv.ParseFloat(w.raw, 64)
		if err != nil || f != f || w.kind == boolValue || w.kind == nullValue {
			r.fail(w.node, "write a number", "%s is compared as a number", quote(w.raw))
			return nil
		}
		base.kind, base.compare, base.number, base.part = numberTest, s.compare, f, s.part
		if s.part != "" {
			if base.kind = timeTest; base.compare == "" {
				base.compare = "="
			}
		}
		return one(base)
	case w.kind == nullValue:
		if s.it.field == "" {
			r.fail(w.node, "write text", "null is no keyword")
			return nil
		}
		base.kind = nullTest
		return one(base)
	}
	var kids []*expr
	for _, p := range w.text() {
		t := base
		if t.pattern = p; t.field == "" {
			t.pattern = p.open(true, true)
		}
		kids = append(kids, one(t))
	}
	return oneOf(kids)
}

func (r *reader) regular(s *state, w *working, t test) *expr {
	if w.kind == nullValue {
		r.fail(w.node, "write an expression", "null is no regular expression")
		return nil
	}
	src := w.raw
	if len(src) > maxRegexp {
		r.fail(w.node, "write a shorter one", "the regular expression is longer than %d bytes", maxRegexp)
		return nil
	}
	flags := s.flags
	if flags != "" {
		src = "(?" + flags + ")" + src
	}
	tree, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		hint := "the syntax is that of RE2"
		for _, p := range []string{"(?=", "(?!", "(?<=", "(?<!", "(?>"} {
			if strings.Contains(w.raw, p) {
				hint = "Sigma has no look-around and no atomic groups: make a second selection and negate it"
			}
		}
		r.fail(w.node, hint, "the regular expression cannot be read: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil
	}
	tree = tree.Simplify()
	prog, err := syntax.Compile(tree)
	if err != nil || len(prog.Inst) > maxProgram {
		r.fail(w.node, "write it with fewer repetitions", "the regular expression is too large")
		return nil
	}
	if t.re, err = regexp.Compile(src); err != nil {
		r.fail(w.node, "the syntax is that of RE2", "the regular expression cannot be read: %v", err)
		return nil
	}
	t.kind, t.size, t.needs = reTest, len(prog.Inst), needed(tree, nil)
	return &expr{test: &t}
}

// needed gives texts that every match of an expression holds, folded.
func needed(re *syntax.Regexp, out []string) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return append(out, folded(string(re.Rune)))
		}
		// Some letters fold in more ways than to lower case: s is also ſ.
		for _, run := range strings.FieldsFunc(string(re.Rune), func(r rune) bool { return r >= 0x80 || r == 's' || r == 'S' }) {
			out = append(out, folded(run))
		}
	case syntax.OpCapture, syntax.OpPlus:
		return needed(re.Sub[0], out)
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needed(re.Sub[0], out)
		}
	case syntax.OpConcat:
		for _, s := range re.Sub {
			out = needed(s, out)
		}
	}
	return out
}

// expand puts values in the place of placeholders.
func (r *reader) expand(s *state, lookup placeholders) bool {
	var out []working
	for _, w := range s.values {
		if w.kind != stringValue {
			out = append(out, w)
			continue
		}
		texts := []string{""}
		for _, p := range splitPlaceholders(w.raw) {
			values := []string{p.text}
			if p.name != "" {
				found, ok := lookup(p.name)
				if !ok {
					r.fail(w.node, "give it values in a pipeline: vars, and a transformation value_placeholders", "nothing supplies the placeholder %s", quote("%"+p.name+"%"))
					return false
				}
				values = found
				if slices.Contains(s.it.modifiers, "re") {
					values = nil
					for _, v := range found {
						values = append(values, regexp.QuoteMeta(v))
					}
				}
			}
			var next []string
			for _, t := range texts {
				for _, v := range values {
					next = append(next, t+v)
				}
			}
			if texts = next; len(texts) > maxExpansion {
				r.fail(w.node, "give the placeholder fewer values", "%s expands into more than %d variants", quote(w.raw), maxExpansion)
				return false
			}
		}
		if slices.Contains(s.it.modifiers, "all") && len(texts) != 1 { // the values of one placeholder are alternatives, also under all
			alt := w
			alt.read = true
			for _, t := range texts {
				alt.patterns = append(alt.patterns, parsePattern(t))
			}
			out = append(out, alt)
			continue
		}
		for _, t := range texts {
			v := w
			v.raw = t
			out = append(out, v)
		}
	}
	s.values = out
	return true
}

// segment is text, or the name of a placeholder.
type segment struct{ text, name string }

func splitPlaceholders(s string) (out []segment) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '%':
			b.WriteByte('%')
			i++
		case s[i] == '%':
			end := strings.IndexByte(s[i+1:], '%')
			if end <= 0 || !placeholderName(s[i+1:i+1+end]) {
				b.WriteByte('%')
				continue
			}
			if b.Len() > 0 {
				out = append(out, segment{text: b.String()})
				b.Reset()
			}
			out = append(out, segment{name: s[i+1 : i+1+end]})
			i += end + 1
		default:
			b.WriteByte(s[i])
		}
	}
	if b.Len() > 0 || len(out) == 0 {
		out = append(out, segment{text: b.String()})
	}
	return out
}

func placeholderName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !wordRune(r) && r != '-' && r != '.' })
}

// canonical writes a number in one way, so that 1, 1.0 and 1e0 are the same.
func canonical(text string, f float64) string {
	plain := len(text) > 0
	for i := 0; i < len(text); i++ {
		if c := text[i]; (c < '0' || c > '9') && !(i == 0 && c == '-' && len(text) > 1) {
			plain = false
		}
	}
	if plain && text != "-0" && (text == "0" || strings.TrimPrefix(text, "-")[0] != '0') {
		return text
	}
	return strconv.FormatFloat(f+0, 'f', -1, 64)
}
