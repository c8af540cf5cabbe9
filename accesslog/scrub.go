package accesslog

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/gowebpki/jcs"
	"github.com/valyala/fastjson"
)

// The scrubber takes identifiers out of free text: e-mail addresses, payment card numbers,
// telephone numbers, and what the operator's own patterns match. It is a safety net under the rule
// that identifiers belong into subjects; it would rather lose a long number than keep a card. What
// it cannot see stands in docs/privacy.md.
var (
	emailPattern = regexp.MustCompile(`[\pL\pN._%+'-]+(?:@|%40)[\pL\pN-]+(?:\.[\pL\pN-]+)+`)
	cardPattern  = regexp.MustCompile(`\d(?:[ -]?\d){12,18}`)
	phonePattern = regexp.MustCompile(`(?:\+|%2B)\d(?:[ ().-]{0,2}\d){7,14}|\(\d{3}\) ?\d{3}[ .-]\d{4}|\b\d{3}[ -]\d{3}[ -]\d{4}\b`)
)

// Pattern is an operator's own: what it matches is replaced by [Name].
type Pattern struct {
	Name   string // letters, digits and underscores
	Regexp string // RE2; it must not match the empty text
}

// maxPatterns bounds what every event pays for.
const maxPatterns = 16

type scrubber struct {
	own  []*regexp.Regexp
	into []string
	need []need
}

// need is what a text has at least when a pattern finds something in it: bytes, digits, and letters and
// digits of ASCII without anything between. Most texts of an event have less, and looking at them with a
// pattern that begins with no fixed text is slow.
type need struct {
	length, digits, run int
	pure                bool // nothing else than letters and digits can match, so that run is length
}

func needOf(re *syntax.Regexp) need {
	switch re.Op {
	case syntax.OpLiteral:
		n := need{length: len(re.Rune), pure: re.Flags&syntax.FoldCase == 0} // k is the Kelvin sign too
		for _, r := range re.Rune {
			n.pure = n.pure && r < 0x80 && alnum(byte(r))
			if r >= '0' && r <= '9' {
				n.digits++
			}
		}
		return n.counted()
	case syntax.OpCharClass:
		n := need{length: 1, digits: 1, pure: true}
		for i := 0; i < len(re.Rune); i += 2 {
			lo, hi := re.Rune[i], re.Rune[i+1]
			if lo < '0' || hi > '9' {
				n.digits = 0
			}
			n.pure = n.pure && (lo >= '0' && hi <= '9' || lo >= 'A' && hi <= 'Z' || lo >= 'a' && hi <= 'z')
		}
		return n.counted()
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return need{length: 1}
	case syntax.OpCapture, syntax.OpPlus:
		return needOf(re.Sub[0])
	case syntax.OpStar, syntax.OpQuest:
		return need{pure: needOf(re.Sub[0]).pure}
	case syntax.OpRepeat:
		n := needOf(re.Sub[0])
		return need{n.length * re.Min, n.digits * re.Min, n.run * min(re.Min, 1), n.pure}.counted()
	case syntax.OpConcat:
		all, run := need{pure: true}, 0
		for _, sub := range re.Sub {
			n := needOf(sub)
			if !n.pure {
				run = 0
			} else {
				run += n.run
			}
			all = need{all.length + n.length, all.digits + n.digits, max(all.run, n.run, run), all.pure && n.pure}
		}
		return all
	case syntax.OpAlternate:
		n := needOf(re.Sub[0])
		for _, sub := range re.Sub[1:] {
			x := needOf(sub)
			n = need{min(n.length, x.length), min(n.digits, x.digits), min(n.run, x.run), n.pure && x.pure}
		}
		return n
	}
	return need{pure: re.Op != syntax.OpNoMatch} // what stands between characters
}

// counted sets the run of what is nothing but letters and digits.
func (n need) counted() need {
	if n.pure {
		n.run = n.length
	}
	return n
}

// beyond says whether a text is sure to have less.
func (n need) beyond(s string, m signs) bool {
	return len(s) < n.length || m.digits < n.digits || m.word < n.run
}

func alnum(c byte) bool { return c-'0' < 10 || (c|0x20)-'a' < 26 }

var patternName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func newScrubber(list []Pattern) (*scrubber, error) {
	if len(list) > maxPatterns {
		return nil, fmt.Errorf("accesslog: %d patterns to scrub by: at most %d, because every event pays for each", len(list), maxPatterns)
	}
	s := &scrubber{}
	for _, p := range list {
		if !patternName.MatchString(p.Name) {
			return nil, fmt.Errorf("accesslog: the name of a pattern to scrub by is not of the form iban or customer_no")
		}
		re, err := regexp.Compile(p.Regexp)
		if err != nil {
			return nil, fmt.Errorf("accesslog: pattern %s to scrub by: %w", p.Name, err)
		}
		if re.MatchString("") {
			return nil, fmt.Errorf("accesslog: pattern %s to scrub by matches the empty text, and so everything", p.Name)
		}
		parsed, err := syntax.Parse(p.Regexp, syntax.Perl)
		if err != nil {
			return nil, fmt.Errorf("accesslog: pattern %s to scrub by: %w", p.Name, err)
		}
		s.need = append(s.need, needOf(parsed))
		s.own, s.into = append(s.own, re), append(s.into, "["+p.Name+"]")
	}
	return s, nil
}

// text replaces identifiers by what they were. Text in which no pattern can find anything, which is
// nearly all of it, is returned at once.
func (c *scrubber) text(s string) string {
	m := signsIn(s)
	if m.at {
		s = emailPattern.ReplaceAllString(s, "[email]")
	}
	if m.run >= 13 {
		s = cardPattern.ReplaceAllStringFunc(s, func(m string) string {
			if luhn(m) {
				return "[card]"
			}
			return m
		})
	}
	if m.digits >= 8 && (m.dial || m.joints >= 2) {
		s = phonePattern.ReplaceAllString(s, "[phone]")
	}
	for i, re := range c.own {
		if c.need[i].beyond(s, m) {
			continue
		}
		if out := re.ReplaceAllString(s, c.into[i]); out != s {
			s, m = out, signsIn(out) // a pattern's name may have digits
		}
	}
	return s
}

// found says whether there is an identifier in s.
func (c *scrubber) found(s string) bool { return c.text(s) != s }

// signs are what the patterns cannot do without.
type signs struct {
	at     bool // of an address, as such or escaped
	dial   bool // +, as such or escaped, or a parenthesis: of a telephone number
	digits int
	run    int // digits at most, with nothing or one blank or hyphen between one and the next
	joints int // blanks and hyphens between two digits
	word   int // letters and digits of ASCII at most, with nothing between
}

func signsIn(s string) (m signs) {
	run, gap, word := 0, 0, 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if word++; !alnum(c) {
			word = 0
		}
		m.word = max(m.word, word)
		switch {
		case c >= '0' && c <= '9':
			if m.digits++; gap == 1 {
				m.joints++
			}
			run, gap = run+1, 0
			m.run = max(m.run, run)
			continue
		case (c == ' ' || c == '-') && run > 0 && gap == 0:
			gap = 1
			continue
		case c == '@':
			m.at = true
		case c == '%':
			m.at, m.dial = true, true
		case c == '+', c == '(':
			m.dial = true
		}
		run, gap = 0, 0
	}
	return m
}

// luhn reports whether the digits of s have a valid check digit, as card numbers do.
func luhn(s string) bool {
	sum, n := 0, 0
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		d := int(s[i] - '0')
		if n%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		n++
	}
	return n >= 13 && sum%10 == 0
}

var errNumber = errors.New("a number has no exact form")

// value appends the RFC 8785 form of a JSON value with every text in it scrubbed, names too.
// Numbers that could be a card or a telephone number, or are too long to be exact, become text.
func (c *scrubber) value(b []byte, v *fastjson.Value) ([]byte, error) {
	switch v.Type() {
	case fastjson.TypeString:
		raw, _ := v.StringBytes()
		return appendString(b, c.text(strings.ToValidUTF8(string(raw), "\uFFFD"))), nil
	case fastjson.TypeNumber:
		return c.number(b, v.String())
	case fastjson.TypeTrue:
		return append(b, "true"...), nil
	case fastjson.TypeFalse:
		return append(b, "false"...), nil
	case fastjson.TypeArray:
		list, _ := v.Array()
		b = append(b, '[')
		for i, x := range list {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = c.value(b, x); err != nil {
				return b, err
			}
		}
		return append(b, ']'), nil
	case fastjson.TypeObject:
		return c.object(b, v)
	}
	return append(b, "null"...), nil
}

func (c *scrubber) number(b []byte, text string) ([]byte, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return b, errNumber
	}
	if len(text) > 8 {
		whole := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '-' }) < 0
		if s := c.text(text); s != text || whole && math.Abs(f) >= 1<<53 {
			return appendString(b, s), nil
		}
	}
	s, err := jcs.NumberToJSON(f)
	if err != nil {
		return b, errNumber
	}
	return append(b, s...), nil
}

type pair struct {
	name  string
	value *fastjson.Value
}

// object writes names in the order of RFC 8785. Of equal names the last one counts; names that
// only scrubbing made equal are told apart by a number, so that nothing is lost.
func (c *scrubber) object(b []byte, v *fastjson.Value) ([]byte, error) {
	o, _ := v.Object()
	sent, names := map[string]int{}, map[string]bool{}
	var list []pair
	o.Visit(func(key []byte, v *fastjson.Value) {
		raw := strings.ToValidUTF8(string(key), "\uFFFD")
		if i, ok := sent[raw]; ok {
			list[i].value = v
			return
		}
		name := c.text(raw)
		for n := 2; names[name]; n++ {
			name = fmt.Sprintf("%s %d", c.text(raw), n)
		}
		names[name], sent[raw] = true, len(list)
		list = append(list, pair{name, v})
	})
	slices.SortFunc(list, func(x, y pair) int { return compareUTF16(x.name, y.name) })
	b = append(b, '{')
	for i, p := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, p.name), ':')
		var err error
		if b, err = c.value(b, p.value); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

// compareUTF16 orders names as RFC 8785 does, by UTF-16 code units. Bytes give the same order
// unless there are characters beyond the basic plane.
func compareUTF16(x, y string) int {
	if c := strings.Compare(x, y); c == 0 || !strings.ContainsFunc(x+y, func(r rune) bool { return r > 0xFFFF }) {
		return c
	}
	return slices.CompareFunc(utf16.Encode([]rune(x)), utf16.Encode([]rune(y)), cmp.Compare[uint16])
}
