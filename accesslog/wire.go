package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/leaf"
)

// Wire is the JSON of an incoming event. It names people, so it prints as "[redacted]".
type Wire struct {
	ID         string          `json:"id"`
	Time       wireTime        `json:"time"`
	Kind       string          `json:"kind"`
	App        string          `json:"app"`
	Env        string          `json:"env"`
	Actor      wireActor       `json:"actor"`
	Credential string          `json:"credential"`
	Session    string          `json:"session"`
	Action     string          `json:"action"`
	Endpoint   string          `json:"endpoint"`
	Purpose    string          `json:"purpose"`
	Merchant   string          `json:"merchant"`
	Store      string          `json:"store"`
	Subjects   []wireSubject   `json:"subjects"`
	DataTypes  []string        `json:"data_types"`
	Records    *int64          `json:"records"`
	Bytes      int64           `json:"bytes"`
	Outcome    string          `json:"outcome"`
	Source     wireOrigin      `json:"source"`
	Attributes json.RawMessage `json:"attributes"`
}

type wireActor struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

type wireOrigin struct {
	IP        string `json:"ip"`
	UserAgent string `json:"user_agent"`
}

type wireSubject struct {
	Kind   string     `json:"kind"`
	ID     identifier `json:"id"`
	Region string     `json:"region"`
}

// identifier is a string, or a whole number that a sender did not quote.
type identifier string

func (i *identifier) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(i))
	}
	if len(b) == 0 || len(b) > 20 || slices.ContainsFunc(b, func(c byte) bool { return c < '0' || c > '9' }) {
		return errType
	}
	*i = identifier(b)
	return nil
}

// wireTime is RFC 3339 text; its own type keeps the value out of the decoder's error.
type wireTime struct{ time.Time }

func (t *wireTime) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		return errTime
	}
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return errTime
	}
	t.Time = v.UTC()
	return nil
}

var (
	errType = errors.New("is not of the type the field has")
	errTime = errors.New("is not an RFC 3339 time with a zone")
)

// String hides the event.
func (Wire) String() string { return "[redacted]" }

// GoString hides the event.
func (Wire) GoString() string { return "[redacted]" }

// LogValue hides the event.
func (Wire) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Limits of the fields of an event, in bytes or elements.
const (
	maxName      = 200 // what a keyring takes as an id
	maxText      = 2048
	maxSubjects  = 1000
	maxDataTypes = 64
	maxDepth     = 16
	maxCount     = 1 << 53 // above it a number has no exact RFC 8785 form
	maxWireEvent = 4 * MaxEvent
)

// invalid says what is wrong with an event: the field and the reason, never the value.
type invalid struct{ field, reason string }

func (e *invalid) Error() string { return e.field + ": " + e.reason }

// decodeNative reads one event of the native form. unknown receives the names of fields that the
// form does not have; they are dropped, because what nobody declared nobody can pseudonymise.
func decodeNative(raw []byte, unknown func(string)) (*Wire, error) {
	if !utf8.Valid(raw) {
		return nil, &invalid{"event", "is not valid UTF-8"}
	}
	if depth(raw) > maxDepth {
		return nil, &invalid{"event", fmt.Sprintf("is nested deeper than %d levels", maxDepth)}
	}
	var w Wire
	if err := json.Unmarshal(raw, &w); err != nil {
		return nil, asInvalid(err)
	}
	var names map[string]json.RawMessage
	if mayHoldUnknown(raw) {
		if err := json.Unmarshal(raw, &names); err != nil {
			return nil, &invalid{"event", "is not a JSON object"}
		}
		for name := range names {
			if !known[name] {
				unknown(name)
			}
		}
	}
	return &w, nil
}

// asInvalid turns a decoder's error into one that repeats nothing of the input.
func asInvalid(err error) error {
	var typed *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typed):
		field := typed.Field
		if field == "" || !safeName.MatchString(field) {
			field = "event"
		}
		return &invalid{field, "is not of the type the field has"}
	case errors.As(err, &syntax):
		return &invalid{"event", fmt.Sprintf("is not JSON: it breaks at byte %d", syntax.Offset)}
	case errors.Is(err, errTime):
		return &invalid{"time", errTime.Error()}
	case errors.Is(err, errType):
		return &invalid{"subjects", "have an id that is neither text nor a whole number"}
	}
	return &invalid{"event", "is not JSON"}
}

var safeName = regexp.MustCompile(`^[a-z_.]{1,64}$`)

var known = map[string]bool{
	"id": true, "time": true, "kind": true, "app": true, "env": true, "actor": true, "credential": true,
	"session": true, "action": true, "endpoint": true, "purpose": true, "merchant": true, "store": true,
	"subjects": true, "data_types": true, "records": true, "bytes": true, "outcome": true, "source": true,
	"attributes": true,
}

// mayHoldUnknown scans the names of the top level without decoding, because nearly every event
// has only known ones.
func mayHoldUnknown(raw []byte) bool {
	level := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			level++
		case '}', ']':
			level--
		case '"':
			end := i + 1
			for end < len(raw) && raw[end] != '"' {
				if raw[end] == '\\' {
					end++
				}
				end++
			}
			if level == 1 && end < len(raw) && isKey(raw[end+1:]) && !known[string(raw[i+1:end])] {
				return true
			}
			i = end
		}
	}
	return false
}

func isKey(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

// depth is how deep brackets nest outside of strings.
func depth(raw []byte) int {
	level, most := 0, 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			level++
			most = max(most, level)
		case '}', ']':
			level--
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		}
	}
	return most
}

var (
	kinds      = []string{PIIAccess, Auth, ConfigChange, HTTPAccess, DBQuery, CloudAudit, Order, Metric}
	actorTypes = []string{"", "user", "service", "staff", "merchant"}
	actions    = []string{"read", "list", "export", "update", "delete"}
	outcomes   = []string{"", "ok", "denied", "error"}
	subjects   = []string{"account", "email", "phone"}
	dataType   = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)+$`)
)

// admit checks an event and brings it into its stored form, subjects as pseudonyms. Times and the
// id of an event without one are the caller's.
func (s *Store) admit(w *Wire, src Source) (*leaf.Event, error) {
	if w.Kind == "" {
		w.Kind = PIIAccess
	}
	if w.App == "" {
		w.App = src.App
	}
	if w.Env == "" {
		w.Env = src.Env
	}
	if w.Env == "" {
		w.Env = s.o.Env
	}
	if err := w.check(src); err != nil {
		return nil, err
	}
	e := &leaf.Event{
		ID: w.ID, Time: w.Time.Time, Kind: w.Kind, App: w.App, Env: w.Env,
		Actor: leaf.Actor{ID: w.Actor.ID, Type: w.Actor.Type}, Credential: w.Credential, Session: w.Session,
		Action: w.Action, Endpoint: scrub(w.Endpoint), Purpose: scrub(w.Purpose), Merchant: w.Merchant,
		Store: w.Store, Bytes: w.Bytes, Outcome: w.Outcome, Ingest: src.Name,
		Source: leaf.Origin{UserAgent: scrub(w.Source.UserAgent)},
	}
	if w.Source.IP != "" {
		a, err := netip.ParseAddr(w.Source.IP)
		if err != nil {
			return nil, &invalid{"source.ip", "is not an IP address"}
		}
		e.Source.IP = a.Unmap().WithZone("").String()
	}
	if len(w.DataTypes) > 0 {
		e.DataTypes = slices.Clone(w.DataTypes)
		slices.Sort(e.DataTypes)
		e.DataTypes = slices.Compact(e.DataTypes)
	}
	if len(w.Attributes) > 0 && !bytes.Equal(w.Attributes, []byte("null")) && !bytes.Equal(w.Attributes, []byte("{}")) {
		clean, err := scrubJSON(w.Attributes)
		if err != nil {
			return nil, &invalid{"attributes", "are not JSON"}
		}
		e.Attributes = clean
	}
	for _, sub := range w.Subjects {
		normal := normalise(sub.Kind, string(sub.ID))
		if normal == "" {
			return nil, &invalid{"subjects.id", "is empty"}
		}
		token, err := s.pseudonyms.token(w.Merchant, sub.Kind, normal)
		if err != nil {
			return nil, err
		}
		e.Subjects = append(e.Subjects, leaf.Subject{Kind: sub.Kind, Region: sub.Region, Token: token})
	}
	if w.Records != nil {
		e.Records = *w.Records
	} else if e.Records = int64(counted(e.Subjects)); e.Records == 0 && w.Kind == PIIAccess && w.Outcome != "denied" && w.Outcome != "error" {
		e.Records = 1
	}
	return e, nil
}

// check finds the first field that is wrong.
func (w *Wire) check(src Source) error {
	if !slices.Contains(kinds, w.Kind) {
		return &invalid{"kind", "is not a known kind of event"}
	}
	if w.Time.IsZero() {
		return &invalid{"time", "is missing"}
	}
	if y := w.Time.Year(); y < 1970 || y > 2261 {
		return &invalid{"time", "is outside 1970 to 2261"}
	}
	if src.App != "" && w.App != src.App {
		return &invalid{"app", "is not the app this key belongs to"}
	}
	if w.Kind == PIIAccess {
		if w.Actor.ID == "" {
			return &invalid{"actor", "is missing"}
		}
		if w.Merchant == "" {
			return &invalid{"merchant", "is missing"}
		}
		if !slices.Contains(actions, w.Action) {
			return &invalid{"action", "is not one of read, list, export, update, delete"}
		}
	}
	if !slices.Contains(actorTypes, w.Actor.Type) {
		return &invalid{"actor.type", "is not one of user, service, staff, merchant"}
	}
	if !slices.Contains(outcomes, w.Outcome) {
		return &invalid{"outcome", "is not one of ok, denied, error"}
	}
	if w.Merchant == "*" {
		return &invalid{"merchant", "is *, which stands for all merchants"}
	}
	for _, f := range []struct {
		name, value string
		max         int
	}{
		{"id", w.ID, maxName}, {"app", w.App, maxName}, {"env", w.Env, maxName}, {"actor.id", w.Actor.ID, maxName},
		{"credential", w.Credential, maxName}, {"session", w.Session, maxName}, {"action", w.Action, maxName},
		{"merchant", w.Merchant, maxName}, {"store", w.Store, maxName}, {"purpose", w.Purpose, maxName},
		{"endpoint", w.Endpoint, maxText}, {"source.user_agent", w.Source.UserAgent, maxText},
	} {
		if len(f.value) > f.max {
			return &invalid{f.name, fmt.Sprintf("is longer than %d bytes", f.max)}
		}
		if !clean(f.value) {
			return &invalid{f.name, "has control characters or is not valid Unicode"}
		}
	}
	if len(w.Subjects) > maxSubjects {
		return &invalid{"subjects", fmt.Sprintf("are more than %d: give the number in records", maxSubjects)}
	}
	for _, sub := range w.Subjects {
		if !slices.Contains(subjects, sub.Kind) {
			return &invalid{"subjects.kind", "is not one of account, email, phone"}
		}
		if len(sub.ID) > maxName || len(sub.Region) > 16 || !clean(sub.Region) {
			return &invalid{"subjects", "have an id or a region that is too long"}
		}
	}
	if len(w.DataTypes) > maxDataTypes {
		return &invalid{"data_types", fmt.Sprintf("are more than %d", maxDataTypes)}
	}
	for _, d := range w.DataTypes {
		if len(d) > 64 || !dataType.MatchString(d) {
			return &invalid{"data_types", "have a name that is not of the form entity.field"}
		}
	}
	if w.Records != nil && (*w.Records < 0 || *w.Records >= maxCount) {
		return &invalid{"records", "is not a count"}
	}
	if w.Bytes < 0 || w.Bytes >= maxCount {
		return &invalid{"bytes", "is not a count"}
	}
	return nil
}

// counted is the number of customers an event names; see tally.Customers.
func counted(list []leaf.Subject) int {
	for _, kind := range subjects {
		n := 0
		for _, s := range list {
			if s.Kind == kind {
				n++
			}
		}
		if n > 0 {
			return n
		}
	}
	return 0
}
