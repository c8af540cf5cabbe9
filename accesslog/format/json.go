package format

import (
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/valyala/fastjson"
)

// str views bytes as a string. The bytes belong to a parser and are not written to until its next
// call, which is where every string of an Event ends.
func str(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// text is a JSON string; null and nothing are the empty one.
func text(v *fastjson.Value, field string) (string, error) {
	if v == nil || v.Type() == fastjson.TypeNull {
		return "", nil
	}
	b, err := v.StringBytes()
	if err != nil {
		return "", wrongType(field)
	}
	return str(b), nil
}

// loose is a JSON string or number as text, and nothing for everything else: what another
// program's log holds is taken as far as it goes.
func loose(v *fastjson.Value) string {
	if v == nil {
		return ""
	}
	switch v.Type() {
	case fastjson.TypeString:
		b, _ := v.StringBytes()
		return str(b)
	case fastjson.TypeNumber:
		return v.String()
	}
	return ""
}

// get is loose along a path.
func get(v *fastjson.Value, path ...string) string { return loose(v.Get(path...)) }

// first is the first of some texts that is not empty.
func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

func wrongType(field string) error { return &Invalid{field, "is not of the type the field has"} }

var errTime = &Invalid{"time", "is not an RFC 3339 time with a zone"}

// rfc3339 reads a time with a zone.
func rfc3339(s, field string) (time.Time, error) {
	t, err := instant(time.RFC3339Nano, s)
	if err != nil {
		return t, &Invalid{field, errTime.Reason}
	}
	return t, nil
}

// instant reads a time of any spelling. A leap second, which the clocks of computers do not have, is
// taken as the last nanosecond before it: it stays in its day, and behind all that came before.
func instant(layout, s string) (time.Time, error) {
	t, err := time.Parse(layout, s)
	if err == nil {
		return t.UTC(), nil
	}
	i := strings.Index(s, ":60")
	if i < 3 || s[i-3] != ':' {
		return time.Time{}, err
	}
	if t, wrong := time.Parse(layout, s[:i]+":59"+s[i+3:]); wrong == nil {
		t = t.UTC().Truncate(time.Second)
		if next := t.Add(time.Second); next.Equal(time.Date(next.Year(), next.Month(), 1, 0, 0, 0, 0, time.UTC)) {
			return next.Add(-1), nil
		}
	}
	return time.Time{}, err
}

// parse reads one JSON object.
func (d *Decoder) parse(raw []byte) (*fastjson.Value, error) {
	if !utf8.Valid(raw) {
		return nil, &Invalid{"event", "is not valid UTF-8"}
	}
	v, err := d.parser.ParseBytes(raw)
	if err != nil {
		if strings.Contains(err.Error(), "depth") {
			return nil, tooDeep
		}
		return nil, &Invalid{"event", "is not JSON"}
	}
	if v.Type() != fastjson.TypeObject {
		return nil, &Invalid{"event", "is not a JSON object"}
	}
	return v, nil
}

var tooDeep = &Invalid{"event", "is nested deeper than 16 levels"}

// shallow refuses what nests deeper than an event may, which itself is the first level.
func shallow(v *fastjson.Value, level int) error {
	if level > MaxDepth {
		return tooDeep
	}
	switch v.Type() {
	case fastjson.TypeArray:
		list, _ := v.Array()
		for _, x := range list {
			if err := shallow(x, level+1); err != nil {
				return err
			}
		}
	case fastjson.TypeObject:
		o, _ := v.Object()
		var err error
		o.Visit(func(_ []byte, x *fastjson.Value) {
			if err == nil {
				err = shallow(x, level+1)
			}
		})
		return err
	}
	return nil
}

// attributes collects what is kept beside the fields.
type attributes struct {
	arena *fastjson.Arena
	obj   *fastjson.Value
}

func (d *Decoder) attributes() *attributes { return &attributes{arena: &d.arena} }

// text keeps a text that is not empty.
func (a *attributes) text(name, value string) {
	if value == "" {
		return
	}
	a.value(name, a.arena.NewString(strings.ToValidUTF8(value[:min(len(value), maxAttribute)], "\uFFFD")))
}

// value keeps a JSON value that is there.
func (a *attributes) value(name string, v *fastjson.Value) {
	if v == nil || v.Type() == fastjson.TypeNull {
		return
	}
	if a.obj == nil {
		a.obj = a.arena.NewObject()
	}
	a.obj.Set(name, v)
}

// maxAttribute is what one text of a foreign log may take, so that a statement of a megabyte does
// not cost its whole event.
const maxAttribute = 16 << 10
