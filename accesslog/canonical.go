package accesslog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/tocsin-ir/tocsin/leaf"
)

// Canonical returns the canonical form of an event: RFC 8785 JSON, absent fields left out. It is
// what is hashed, sealed and disclosed; docs/design/leaf.md describes it. Strings must be valid
// UTF-8 and attributes, when there are any, a JSON value.
func Canonical(e *leaf.Event) ([]byte, error) {
	with := *e
	if len(e.Attributes) > 0 {
		// Only attributes can nest or hold numbers, so only they need the general canonicaliser.
		canonical, err := jcs.Transform(e.Attributes)
		if err != nil {
			return nil, fmt.Errorf("accesslog: attributes have no canonical form")
		}
		with.Attributes = canonical
	}
	return appendCanonical(make([]byte, 0, 512), &with, stamp(e.Received)), nil
}

// appendCanonical appends the canonical form of an event whose attributes are canonical already.
// received is the stamp of its time of arrival, which a whole batch shares.
func appendCanonical(to []byte, e *leaf.Event, received string) []byte {
	b := object(to)
	b = append(b, '{')
	b.text("action", e.Action)
	if e.Actor != (leaf.Actor{}) {
		b.open("actor")
		b.text("id", e.Actor.ID)
		b.text("type", e.Actor.Type)
		b = append(b, '}')
	}
	b.text("app", e.App)
	if len(e.Attributes) > 0 {
		b.key("attributes")
		b = append(b, e.Attributes...)
	}
	b.number("bytes", e.Bytes)
	b.text("claimed", e.Claimed)
	b.text("credential", e.Credential)
	if len(e.DataTypes) > 0 {
		b.key("data_types")
		b = append(b, '[')
		for i, t := range e.DataTypes {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, t)
		}
		b = append(b, ']')
	}
	b.text("endpoint", e.Endpoint)
	b.text("env", e.Env)
	b.always("id", e.ID)
	b.text("ingest", e.Ingest)
	b.always("kind", e.Kind)
	b.flag("late", e.Late)
	b.text("merchant", e.Merchant)
	b.text("outcome", e.Outcome)
	b.text("purpose", e.Purpose)
	b.always("received", received)
	b.number("records", e.Records)
	b.text("session", e.Session)
	b.flag("skewed", e.Skewed)
	if e.Source != (leaf.Origin{}) {
		b.open("source")
		b.text("ip", e.Source.IP)
		b.text("user_agent", e.Source.UserAgent)
		b = append(b, '}')
	}
	b.text("store", e.Store)
	if len(e.Subjects) > 0 {
		b.key("subjects")
		for i, s := range e.Subjects {
			b = append(b, "[,"[min(i, 1)], '{')
			b.text("kind", s.Kind)
			b.text("region", s.Region)
			b.text("token", s.Token)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	b.text("supplied", e.Supplied)
	b.key("time")
	b = append(b, '"')
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"', '}')
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// object is a JSON object under construction: keys are written in the order of the calls.
type object []byte

func (b *object) key(name string) {
	if last := (*b)[len(*b)-1]; last != '{' {
		*b = append(*b, ',')
	}
	*b = append(*b, '"')
	*b = append(*b, name...)
	*b = append(*b, '"', ':')
}

func (b *object) open(name string) {
	b.key(name)
	*b = append(*b, '{')
}

func (b *object) always(name, value string) {
	b.key(name)
	*b = appendString(*b, value)
}

func (b *object) text(name, value string) {
	if value != "" {
		b.always(name, value)
	}
}

func (b *object) number(name string, n int64) {
	if n != 0 {
		b.key(name)
		*b = strconv.AppendInt(*b, n, 10)
	}
}

func (b *object) flag(name string, v bool) {
	if v {
		b.key(name)
		*b = append(*b, "true"...)
	}
}

// appendString writes a JSON string as RFC 8785 wants it: the shortest escapes, everything else
// as it is.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\t':
			b = append(b, '\\', 't')
		case '\n':
			b = append(b, '\\', 'n')
		case '\f':
			b = append(b, '\\', 'f')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
