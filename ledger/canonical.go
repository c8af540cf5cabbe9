package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep JSON in a fact may nest.
const maxDepth = 64

// Canonical returns JSON text in the form of RFC 8785: no spaces, members in the order of their
// UTF-16 code units, numbers as ECMAScript writes them. Equal documents give equal bytes, so a
// hash over them means something.
//
// It is stricter than a usual decoder, because what it cannot carry exactly it must not hash: a
// repeated member, a lone surrogate, invalid UTF-8, or an integer that a 64-bit float cannot hold
// is an error.
func Canonical(text []byte) ([]byte, error) {
	return appendCanonical(make([]byte, 0, len(text)), text)
}

// appendCanonical appends the canonical form of text to dst.
func appendCanonical(dst, text []byte) ([]byte, error) {
	c := canonicaliser{in: text, out: dst}
	c.space()
	if err := c.value(0); err != nil {
		return nil, err
	}
	c.space()
	if c.at < len(c.in) {
		return nil, c.wrong("there is text after the value")
	}
	return c.out, nil
}

// canonicaliser reads a document once and writes each value as it goes. An object whose members
// are not in order is put in order when it ends.
type canonicaliser struct {
	in  []byte
	at  int
	out []byte
	tmp []byte // room for reordering
}

// member is one member of an object: its decoded name and where it stands in the output.
type member struct {
	name       string
	start, end int
}

func (c *canonicaliser) wrong(what string) error {
	// The document itself never stands in the error: it may hold personal data.
	return fmt.Errorf("ledger: not usable JSON at byte %d: %s", c.at, what)
}

func (c *canonicaliser) space() {
	for c.at < len(c.in) {
		switch c.in[c.at] {
		case ' ', '\t', '\r', '\n':
			c.at++
		default:
			return
		}
	}
}

func (c *canonicaliser) value(depth int) error {
	if depth > maxDepth {
		return c.wrong("it nests too deep")
	}
	if c.at >= len(c.in) {
		return c.wrong("the text ends early")
	}
	switch b := c.in[c.at]; {
	case b == '{':
		return c.object(depth)
	case b == '[':
		return c.array(depth)
	case b == '"':
		_, err := c.text()
		return err
	case b == '-' || b >= '0' && b <= '9':
		return c.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if len(c.in)-c.at >= len(word) && string(c.in[c.at:c.at+len(word)]) == word {
			c.out = append(c.out, word...)
			c.at += len(word)
			return nil
		}
	}
	return c.wrong("no value starts with this")
}

func (c *canonicaliser) array(depth int) error {
	c.at++
	c.out = append(c.out, '[')
	c.space()
	if c.at < len(c.in) && c.in[c.at] == ']' {
		c.at++
		c.out = append(c.out, ']')
		return nil
	}
	for {
		c.space()
		if err := c.value(depth + 1); err != nil {
			return err
		}
		more, err := c.next(']')
		if err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

func (c *canonicaliser) object(depth int) error {
	c.at++
	c.out = append(c.out, '{')
	c.space()
	if c.at < len(c.in) && c.in[c.at] == '}' {
		c.at++
		c.out = append(c.out, '}')
		return nil
	}
	var few [16]member
	members, sorted := few[:0], true
	for more := true; more; {
		c.space()
		if c.at >= len(c.in) || c.in[c.at] != '"' {
			return c.wrong("a member needs a name")
		}
		start := len(c.out)
		name, err := c.text()
		if err != nil {
			return err
		}
		c.space()
		if c.at >= len(c.in) || c.in[c.at] != ':' {
			return c.wrong("a colon is missing")
		}
		c.at++
		c.out = append(c.out, ':')
		c.space()
		if err := c.value(depth + 1); err != nil {
			return err
		}
		end := len(c.out)
		if more, err = c.next('}'); err != nil {
			return err
		}
		if sorted && len(members) > 0 && compareUTF16(members[len(members)-1].name, name) >= 0 {
			sorted = false
		}
		members = append(members, member{name, start, end})
	}
	if sorted {
		return nil
	}
	return c.reorder(members)
}

// reorder puts the members of the object that just ended in order.
func (c *canonicaliser) reorder(members []member) error {
	from, to := members[0].start, members[len(members)-1].end
	slices.SortFunc(members, func(a, b member) int { return compareUTF16(a.name, b.name) })
	c.tmp = c.tmp[:0]
	for i, m := range members {
		if i > 0 {
			if m.name == members[i-1].name {
				return c.wrong("an object names a member twice")
			}
			c.tmp = append(c.tmp, ',')
		}
		c.tmp = append(c.tmp, c.out[m.start:m.end]...)
	}
	c.out = append(append(c.out[:from], c.tmp...), c.out[to:]...)
	return nil
}

// next reads a comma or the end of an array or object, and says whether another element follows.
func (c *canonicaliser) next(closing byte) (bool, error) {
	c.space()
	if c.at >= len(c.in) {
		return false, c.wrong("the text ends early")
	}
	b := c.in[c.at]
	if b != ',' && b != closing {
		return false, c.wrong("a comma is missing")
	}
	c.at++
	c.out = append(c.out, b)
	return b == ',', nil
}

// text reads a string, writes it and returns it decoded.
func (c *canonicaliser) text() (string, error) {
	start := c.at + 1
	for i := start; i < len(c.in); i++ {
		switch b := c.in[i]; {
		case b == '"':
			plain := c.in[start:i]
			if !utf8.Valid(plain) {
				return "", c.wrong("a string is not UTF-8")
			}
			c.out = append(c.out, c.in[c.at:i+1]...)
			c.at = i + 1
			return string(plain), nil
		case b == '\\':
			return c.escapedText(start, i)
		case b < 0x20:
			c.at = i
			return "", c.wrong("a string has a raw control character")
		}
	}
	return "", c.wrong("a string does not end")
}

// escapedText reads a string whose first escape stands at i.
func (c *canonicaliser) escapedText(start, i int) (string, error) {
	decoded := append([]byte(nil), c.in[start:i]...)
	for i < len(c.in) {
		b := c.in[i]
		switch {
		case b == '"':
			c.at = i + 1
			if !utf8.Valid(decoded) {
				return "", c.wrong("a string is not UTF-8")
			}
			c.out = appendText(c.out, string(decoded))
			return string(decoded), nil
		case b < 0x20:
			c.at = i
			return "", c.wrong("a string has a raw control character")
		case b != '\\':
			decoded = append(decoded, b)
			i++
			continue
		}
		c.at = i
		if i+1 >= len(c.in) {
			break
		}
		i += 2
		switch e := c.in[i-1]; e {
		case '"', '\\', '/':
			decoded = append(decoded, e)
		case 'b':
			decoded = append(decoded, '\b')
		case 'f':
			decoded = append(decoded, '\f')
		case 'n':
			decoded = append(decoded, '\n')
		case 'r':
			decoded = append(decoded, '\r')
		case 't':
			decoded = append(decoded, '\t')
		case 'u':
			r, ok := c.unit(i)
			if !ok {
				return "", c.wrong("a \\u escape is malformed")
			}
			i += 4
			if utf16.IsSurrogate(r) {
				low, ok := rune(0), false
				if i+1 < len(c.in) && c.in[i] == '\\' && c.in[i+1] == 'u' {
					low, ok = c.unit(i + 2)
				}
				if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
					return "", c.wrong("a surrogate stands alone")
				}
				i += 6
			}
			decoded = utf8.AppendRune(decoded, r)
		default:
			return "", c.wrong("a string has an unknown escape")
		}
	}
	return "", c.wrong("a string does not end")
}

// unit reads four hex digits at i.
func (c *canonicaliser) unit(i int) (rune, bool) {
	if i+4 > len(c.in) {
		return 0, false
	}
	var r rune
	for _, b := range c.in[i : i+4] {
		switch {
		case b >= '0' && b <= '9':
			r = r<<4 | rune(b-'0')
		case b >= 'a' && b <= 'f':
			r = r<<4 | rune(b-'a'+10)
		case b >= 'A' && b <= 'F':
			r = r<<4 | rune(b-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// number reads a number and writes it as ECMAScript does.
func (c *canonicaliser) number() error {
	start := c.at
	digits := func() int {
		n := 0
		for c.at < len(c.in) && c.in[c.at] >= '0' && c.in[c.at] <= '9' {
			c.at++
			n++
		}
		return n
	}
	if c.in[c.at] == '-' {
		c.at++
	}
	first := c.at
	n := digits()
	if n == 0 || n > 1 && c.in[first] == '0' {
		return c.wrong("a number is malformed")
	}
	integer := true
	if c.at < len(c.in) && c.in[c.at] == '.' {
		c.at++
		integer = false
		if digits() == 0 {
			return c.wrong("a number is malformed")
		}
	}
	if c.at < len(c.in) && (c.in[c.at] == 'e' || c.in[c.at] == 'E') {
		c.at++
		integer = false
		if c.at < len(c.in) && (c.in[c.at] == '+' || c.in[c.at] == '-') {
			c.at++
		}
		if digits() == 0 {
			return c.wrong("a number is malformed")
		}
	}
	token := string(c.in[start:c.at])
	if integer && n <= 15 {
		if token == "-0" {
			token = "0"
		}
		c.out = append(c.out, token...)
		return nil
	}
	f, err := strconv.ParseFloat(token, 64)
	if err != nil || math.IsInf(f, 0) {
		return c.wrong("a number is out of range")
	}
	if integer {
		if exact, err := strconv.ParseInt(token, 10, 64); err != nil || exact < -1<<53 || exact > 1<<53 {
			return c.wrong("an integer is beyond 2^53 and would change: write it as a string")
		}
	}
	c.out = appendNumber(c.out, f)
	return nil
}

// appendNumber writes f as ECMAScript's Number.prototype.toString does.
func appendNumber(dst []byte, f float64) []byte {
	if f == 0 {
		return append(dst, '0') // also for -0
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n >= 4 && dst[n-4] == 'e' && dst[n-2] == '0' { // e-09 is written e-9
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// appendText writes a JSON string with the escapes of RFC 8785 and no others. s is valid UTF-8.
func appendText(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b >= 0x20:
			dst = append(dst, b)
		case b == '\b':
			dst = append(dst, '\\', 'b')
		case b == '\t':
			dst = append(dst, '\\', 't')
		case b == '\n':
			dst = append(dst, '\\', 'n')
		case b == '\f':
			dst = append(dst, '\\', 'f')
		case b == '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
		}
	}
	return append(dst, '"')
}

// errText is the error of a string that JSON cannot carry.
var errText = errors.New("ledger: a text of the header is not UTF-8")

// compareUTF16 orders two strings by their UTF-16 code units.
func compareUTF16(a, b string) int {
	for len(a) > 0 && len(b) > 0 {
		if a[0] < utf8.RuneSelf && a[0] == b[0] {
			a, b = a[1:], b[1:]
			continue
		}
		ra, na := utf8.DecodeRuneInString(a)
		rb, nb := utf8.DecodeRuneInString(b)
		if ra != rb {
			return cmp.Compare(firstUnit(ra), firstUnit(rb))*2 + cmp.Compare(ra, rb)
		}
		a, b = a[na:], b[nb:]
	}
	return cmp.Compare(len(a), len(b))
}

// firstUnit is the first UTF-16 code unit of r. Two runes with the same first unit are both
// beyond the basic plane, and then the runes' own order decides.
func firstUnit(r rune) rune {
	if r < 0x10000 {
		return r
	}
	high, _ := utf16.EncodeRune(r)
	return high
}
