package format

import (
	"slices"
	"unicode/utf8"

	"github.com/valyala/fastjson"

	"github.com/tocsin-ir/tocsin/accesslog/plainjson"
)

// native reads an event of the native form. Names that the form does not have are told to unknown
// and dropped, because what nobody declared nobody can pseudonymise. The last of equal names wins.
func (d *Decoder) native(raw []byte) error {
	if d.plain(raw) {
		return nil
	}
	d.event.reset()
	return d.general(raw)
}

// general is native for any event.
func (d *Decoder) general(raw []byte) error {
	v, err := d.parse(raw)
	if err != nil {
		return err
	}
	e := &d.event
	o, _ := v.Object()
	o.Visit(func(key []byte, v *fastjson.Value) {
		if err == nil {
			err = d.nativeField(e, str(key), v)
		}
	})
	return err
}

func (d *Decoder) nativeField(e *Event, name string, v *fastjson.Value) (err error) {
	switch name {
	case "id":
		e.ID, err = text(v, name)
	case "time":
		var s string
		if s, err = text(v, name); err != nil {
			return errTime
		}
		e.Time, err = rfc3339(s, name)
	case "kind":
		e.Kind, err = text(v, name)
	case "app":
		e.App, err = text(v, name)
	case "env":
		e.Env, err = text(v, name)
	case "actor":
		return d.pair(v, name, "type", &e.ActorType, "id", &e.ActorID)
	case "credential":
		e.Credential, err = text(v, name)
	case "session":
		e.Session, err = text(v, name)
	case "action":
		e.Action, err = text(v, name)
	case "endpoint":
		e.Endpoint, err = text(v, name)
	case "purpose":
		e.Purpose, err = text(v, name)
	case "merchant":
		e.Merchant, err = text(v, name)
	case "store":
		e.Store, err = text(v, name)
	case "subjects":
		return subjectsOf(e, v)
	case "data_types":
		return dataTypesOf(e, v)
	case "records":
		if v.Type() == fastjson.TypeNull {
			return nil
		}
		if e.Records, err = v.Int64(); err != nil || e.Records < 0 {
			return &Invalid{name, "is not a count"}
		}
	case "bytes":
		if v.Type() == fastjson.TypeNull {
			return nil
		}
		if e.Bytes, err = v.Int64(); err != nil {
			return &Invalid{name, "is not a count"}
		}
	case "outcome":
		e.Outcome, err = text(v, name)
	case "source":
		return d.pair(v, name, "ip", &e.IP, "user_agent", &e.Agent)
	case "attributes":
		if err := shallow(v, 2); err != nil {
			return err
		}
		e.Attributes = v
	default:
		d.ignore(name)
	}
	return err
}

// plain is native for nearly every event; false when it cannot say.
func (d *Decoder) plain(raw []byte) bool {
	if !utf8.Valid(raw) {
		return false
	}
	e, s := &d.event, plainjson.Of(raw)
	for s.Enter('{'); s.More('}'); {
		switch name := str(s.Key()); name {
		case "id":
			e.ID = str(s.Text())
		case "time":
			var err error
			if e.Time, err = rfc3339(str(s.Text()), name); err != nil {
				return false
			}
		case "kind":
			e.Kind = str(s.Text())
		case "app":
			e.App = str(s.Text())
		case "env":
			e.Env = str(s.Text())
		case "actor":
			for s.Enter('{'); s.More('}'); {
				switch string(s.Key()) {
				case "type":
					e.ActorType = str(s.Text())
				case "id":
					e.ActorID = str(s.Text())
				default:
					return false
				}
			}
		case "credential":
			e.Credential = str(s.Text())
		case "session":
			e.Session = str(s.Text())
		case "action":
			e.Action = str(s.Text())
		case "endpoint":
			e.Endpoint = str(s.Text())
		case "purpose":
			e.Purpose = str(s.Text())
		case "merchant":
			e.Merchant = str(s.Text())
		case "store":
			e.Store = str(s.Text())
		case "outcome":
			e.Outcome = str(s.Text())
		case "records":
			e.Records = s.Count()
		case "bytes":
			e.Bytes = s.Count()
		case "source":
			for s.Enter('{'); s.More('}'); {
				switch string(s.Key()) {
				case "ip":
					e.IP = str(s.Text())
				case "user_agent":
					e.Agent = str(s.Text())
				default:
					return false
				}
			}
		case "subjects":
			e.Subjects = e.Subjects[:0]
			for s.Enter('['); s.More(']') && len(e.Subjects) <= MaxSubjects; {
				e.Subjects = append(e.Subjects, plainSubject(&s))
			}
		case "data_types":
			for s.Enter('['); s.More(']') && len(e.DataTypes) <= MaxDataTypes; {
				e.DataTypes = append(e.DataTypes, str(s.Text()))
			}
		case "attributes":
			v, err := d.parser.ParseBytes(s.Skip())
			if err != nil || shallow(v, 2) != nil {
				return false
			}
			e.Attributes = v
		default: // no event has it
			return false
		}
	}
	return s.Done()
}

func plainSubject(s *plainjson.Scanner) (one Subject) {
	for s.Enter('{'); s.More('}'); {
		var to *string
		switch string(s.Key()) {
		case "kind":
			to = &one.Kind
		case "id":
			to = &one.ID
		case "region":
			to = &one.Region
		}
		if to == nil || *to != "" { // of equal names the general parser takes the first here
			s.Lose()
			return one
		}
		*to = str(s.Text())
	}
	return one
}

// pair reads an object of two texts.
func (d *Decoder) pair(v *fastjson.Value, field, a string, to *string, b string, and *string) error {
	if v.Type() == fastjson.TypeNull {
		return nil
	}
	o, err := v.Object()
	if err != nil {
		return wrongType(field)
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		if err != nil {
			return
		}
		switch str(key) {
		case a:
			*to, err = text(v, field+"."+a)
		case b:
			*and, err = text(v, field+"."+b)
		default:
			d.ignore(field + "." + str(key))
		}
	})
	return err
}

func subjectsOf(e *Event, v *fastjson.Value) error {
	if v.Type() == fastjson.TypeNull {
		return nil
	}
	list, err := v.Array()
	if err != nil {
		return wrongType("subjects")
	}
	e.Subjects = slices.Grow(e.Subjects[:0], min(len(list), MaxSubjects+1))
	for _, x := range list {
		o, err := x.Object()
		if err != nil {
			return wrongType("subjects")
		}
		var s Subject
		if s.Kind, err = text(o.Get("kind"), "subjects.kind"); err != nil {
			return err
		}
		if s.Region, err = text(o.Get("region"), "subjects.region"); err != nil {
			return err
		}
		if s.ID, err = identifier(o.Get("id")); err != nil {
			return err
		}
		if e.Subjects = append(e.Subjects, s); len(e.Subjects) > MaxSubjects {
			return nil // Check says so
		}
	}
	return nil
}

// identifier is a string, or a whole number that a sender did not quote.
func identifier(v *fastjson.Value) (string, error) {
	if v == nil || v.Type() == fastjson.TypeNull {
		return "", nil
	}
	if v.Type() == fastjson.TypeNumber {
		s := v.String()
		if len(s) <= 20 && !slices.ContainsFunc([]byte(s), func(c byte) bool { return c < '0' || c > '9' }) {
			return s, nil
		}
	}
	b, err := v.StringBytes()
	if err != nil {
		return "", &Invalid{"subjects", "have an id that is neither text nor a whole number"}
	}
	return str(b), nil
}

func dataTypesOf(e *Event, v *fastjson.Value) error {
	if v.Type() == fastjson.TypeNull {
		return nil
	}
	list, err := v.Array()
	if err != nil {
		return wrongType("data_types")
	}
	for _, x := range list {
		s, err := text(x, "data_types")
		if err != nil {
			return err
		}
		if e.DataTypes = append(e.DataTypes, s); len(e.DataTypes) > MaxDataTypes {
			return nil // Check says so
		}
	}
	return nil
}
