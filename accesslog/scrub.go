package accesslog

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// The scrubber takes identifiers out of free text: e-mail addresses, payment card numbers and
// telephone numbers. It is a safety net under the rule that identifiers belong into subjects; it
// would rather lose a long number than keep a card.
var (
	emailPattern = regexp.MustCompile(`[\pL\pN._%+'-]+(?:@|%40)[\pL\pN-]+(?:\.[\pL\pN-]+)+`)
	cardPattern  = regexp.MustCompile(`\d(?:[ -]?\d){12,18}`)
	phonePattern = regexp.MustCompile(`(?:\+|%2B)\d(?:[ ().-]{0,2}\d){7,14}|\(\d{3}\) ?\d{3}[ .-]\d{4}|\b\d{3}[ -]\d{3}[ -]\d{4}\b`)
)

// scrub replaces identifiers by what they were. Text without an @ or a run of digits, which is
// nearly all of it, is returned at once.
func scrub(s string) string {
	digits, at := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '@', c == '%':
			at = true
		}
	}
	if at {
		s = emailPattern.ReplaceAllString(s, "[email]")
	}
	if digits >= 13 {
		s = cardPattern.ReplaceAllStringFunc(s, func(m string) string {
			if luhn(m) {
				return "[card]"
			}
			return m
		})
	}
	if digits >= 8 {
		s = phonePattern.ReplaceAllString(s, "[phone]")
	}
	return s
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

// scrubJSON scrubs every string of a JSON value, the keys of objects too, and numbers that are
// long enough to be a card or a telephone number are taken as text.
func scrubJSON(raw json.RawMessage) (json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(scrubValue(v))
}

func scrubValue(v any) any {
	switch v := v.(type) {
	case string:
		return scrub(strings.ToValidUTF8(v, "\uFFFD"))
	case json.Number:
		if len(v) > 8 {
			if s := scrub(v.String()); s != v.String() {
				return s
			}
		}
		return v
	case []any:
		for i := range v {
			v[i] = scrubValue(v[i])
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[scrub(k)] = scrubValue(x)
		}
		return out
	}
	return v
}
