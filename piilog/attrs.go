package piilog

import (
	"log/slog"
	"maps"
	"time"
)

// set puts one attribute of a record where the event's JSON has it. Groups are read by their
// dotted names, so slog.Group("actor", "id", "worker-3") and "actor.id" are the same.
func (e *Event) set(prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	name := prefix + a.Key
	if v.Kind() == slog.KindGroup {
		for _, inner := range v.Group() {
			e.set(name+".", inner)
		}
		return
	}
	if field := e.field(name); field != nil {
		*field = v.String()
		return
	}
	switch name {
	case "":
	case "kind":
	case "time":
		if v.Kind() == slog.KindTime {
			e.Time = v.Time()
		} else if t, err := time.Parse(time.RFC3339Nano, v.String()); err == nil {
			e.Time = t
		}
	case "records":
		e.Records = number(v)
	case "bytes":
		e.Bytes = number(v)
	case "subjects":
		switch s := v.Any().(type) {
		case []Subject:
			e.Subjects = s
		case Subject:
			e.Subjects = []Subject{s}
		}
	case "data_types":
		switch s := v.Any().(type) {
		case []string:
			e.DataTypes = s
		case string:
			e.DataTypes = []string{s}
		}
	default:
		e.Attributes = maps.Clone(e.Attributes) // the caller's map is not ours to write to
		if e.Attributes == nil {
			e.Attributes = map[string]string{}
		}
		e.Attributes[name] = v.String()
	}
}

// setMissing is set for an attribute of the logger, which gives way to the event's own.
func (e *Event) setMissing(a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, inner := range v.Group() {
			inner.Key = a.Key + "." + inner.Key
			e.setMissing(inner)
		}
		return
	}
	if field := e.field(a.Key); field != nil {
		if *field == "" {
			*field = v.String()
		}
		return
	}
	switch a.Key {
	case "records", "bytes", "subjects", "data_types", "time", "kind":
		return // never the same for every event of a logger
	}
	if _, ok := e.Attributes[a.Key]; !ok {
		e.set("", a)
	}
}

// field is the text field of the event that an attribute names, nil when it names none.
func (e *Event) field(name string) *string {
	switch name {
	case "id":
		return &e.ID
	case "app":
		return &e.App
	case "env":
		return &e.Env
	case "actor", "actor.id":
		return &e.Actor.ID
	case "actor.type":
		return &e.Actor.Type
	case "credential":
		return &e.Credential
	case "session":
		return &e.Session
	case "action":
		return &e.Action
	case "endpoint":
		return &e.Endpoint
	case "purpose":
		return &e.Purpose
	case "merchant":
		return &e.Merchant
	case "store":
		return &e.Store
	case "outcome":
		return &e.Outcome
	case "source.ip", "ip":
		return &e.Source.IP
	case "source.user_agent", "user_agent":
		return &e.Source.UserAgent
	}
	return nil
}

func number(v slog.Value) int64 {
	switch v.Kind() {
	case slog.KindInt64:
		return v.Int64()
	case slog.KindUint64:
		return int64(v.Uint64())
	case slog.KindFloat64:
		return int64(v.Float64())
	}
	return 0
}
