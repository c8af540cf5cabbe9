// Package format reads logs in the shapes that other programs write them in and turns each entry
// into one access event. It is pure: bytes in, events and refusals out. It decides nothing about
// who may send what, and it makes no pseudonyms: both are the door's, package accesslog.
package format

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/valyala/fastjson"
)

// Event is an access as it was sent. It names people, so it prints as "[redacted]". Its strings
// live in the decoder's buffers and end with the next call of Decode.
type Event struct {
	ID         string
	Time       time.Time
	Kind       string // empty: PIIAccess
	App, Env   string
	ActorType  string
	ActorID    string
	Credential string
	Session    string
	Action     string
	Endpoint   string
	Purpose    string
	Merchant   string
	Store      string
	Subjects   []Subject
	DataTypes  []string
	Records    int64 // -1 when the sender gave none
	Bytes      int64
	Outcome    string
	IP         string
	Agent      string
	Attributes *fastjson.Value // whatever else is kept; nil when there is nothing
}

// Subject is one customer whose data was accessed, by a declared identifier.
type Subject struct {
	Kind   string // account, email or phone
	ID     string
	Region string
}

// String hides the event.
func (*Event) String() string { return "[redacted]" }

// GoString hides the event.
func (*Event) GoString() string { return "[redacted]" }

// String hides the subject.
func (Subject) String() string { return "[redacted]" }

// GoString hides the subject.
func (Subject) GoString() string { return "[redacted]" }

func (e *Event) reset() {
	*e = Event{Subjects: e.Subjects[:0], DataTypes: e.DataTypes[:0], Records: -1}
}

// Kinds of events.
const (
	PIIAccess    = "pii_access"
	Auth         = "auth"
	ConfigChange = "config_change"
	HTTPAccess   = "http_access"
	DBQuery      = "db_query"
	CloudAudit   = "cloud_audit"
	Order        = "order"
	Metric       = "metric"
)

// Invalid says what is wrong with an entry: the field and the reason, never the value.
type Invalid struct{ Field, Reason string }

func (e *Invalid) Error() string { return e.Field + ": " + e.Reason }

// Skip says why an entry is no access event although nothing is wrong with it: a database writes
// about its checkpoints too. Such entries are counted and not listed.
type Skip struct{ Reason string }

func (e *Skip) Error() string { return e.Reason }

// Limits of the fields of an event, in bytes or elements.
const (
	MaxName = 200 // what a keyring takes as an id
	MaxText = 2048

	MaxIdentifier = 512 // an e-mail address may have 320; only its pseudonym is kept
	MaxSubjects   = 1000
	MaxDataTypes  = 64
	MaxDepth      = 16
	MaxCount      = 1 << 53 // above it a number has no exact RFC 8785 form
)

var (
	actions     = []string{"read", "list", "export", "update", "delete"}
	subjectKind = []string{"account", "email", "phone"}
)

func knownKind(s string) bool {
	switch s {
	case PIIAccess, Auth, ConfigChange, HTTPAccess, DBQuery, CloudAudit, Order, Metric:
		return true
	}
	return false
}

// Forgive makes fit what the client of an app chooses and the app only passes on: the user agent, the
// path and the address it claims to come from. Otherwise a tab in a user agent would keep an access
// out of the log. What had to be left out is told to dropped, by its field.
func (e *Event) Forgive(dropped func(field string)) {
	if len(e.Agent) > MaxText || !Clean(e.Agent) {
		e.Agent = cut(e.Agent, MaxText)
	}
	if e.Endpoint = withoutIDs(e.Endpoint); len(e.Endpoint) > MaxText || !Clean(e.Endpoint) {
		e.Endpoint = cut(e.Endpoint, MaxText)
	}
	if e.IP == "" {
		return
	}
	if _, err := netip.ParseAddr(e.IP); err == nil {
		return
	}
	claimed, _, _ := strings.Cut(e.IP, ",") // what proxies hand on: the client first
	claimed = strings.TrimSpace(claimed)
	if e.IP = address(claimed); e.IP == "" {
		e.IP = address(strings.Trim(claimed, "[]"))
	}
	if e.IP == "" {
		dropped("source.ip")
	}
}

// withoutIDs takes what names one thing out of an endpoint that is a path, with a method in front or
// without: its query, and parts such as numbers.
func withoutIDs(endpoint string) string {
	at := strings.IndexByte(endpoint, '/')
	if at < 0 || at > 0 && (endpoint[at-1] != ' ' || strings.IndexByte(endpoint, ' ') != at-1) {
		return endpoint
	}
	path := endpoint[at:]
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if short := template(path); short != endpoint[at:] {
		return endpoint[:at] + short
	}
	return endpoint
}

// Check finds the first field that is wrong.
func (e *Event) Check() error {
	if !knownKind(e.Kind) {
		return &Invalid{"kind", "is not a known kind of event"}
	}
	if e.Time.IsZero() {
		return &Invalid{"time", "is missing"}
	}
	if y := e.Time.Year(); y < 1970 || y > 2261 {
		return &Invalid{"time", "is outside 1970 to 2261"}
	}
	if e.Kind == PIIAccess {
		if e.ActorID == "" {
			return &Invalid{"actor", "is missing"}
		}
		if e.Merchant == "" {
			return &Invalid{"merchant", "is missing"}
		}
		if !slices.Contains(actions, e.Action) {
			return &Invalid{"action", "is not one of read, list, export, update, delete"}
		}
	}
	switch e.ActorType {
	case "", "user", "service", "staff", "merchant":
	default:
		return &Invalid{"actor.type", "is not one of user, service, staff, merchant"}
	}
	switch e.Outcome {
	case "", "ok", "denied", "error":
	default:
		return &Invalid{"outcome", "is not one of ok, denied, error"}
	}
	if e.Merchant == "*" {
		return &Invalid{"merchant", "is *, which stands for all merchants"}
	}
	if err := e.checkTexts(); err != nil {
		return err
	}
	return e.checkLists()
}

func (e *Event) checkTexts() error {
	for _, f := range [...]struct {
		name, value string
		max         int
	}{
		{"id", e.ID, MaxName}, {"app", e.App, MaxName}, {"env", e.Env, MaxName}, {"actor.id", e.ActorID, MaxName},
		{"credential", e.Credential, MaxName}, {"session", e.Session, MaxName}, {"action", e.Action, MaxName},
		{"merchant", e.Merchant, MaxName}, {"store", e.Store, MaxName}, {"purpose", e.Purpose, MaxName},
	} {
		if len(f.value) > f.max {
			return &Invalid{f.name, fmt.Sprintf("is longer than %d bytes", f.max)}
		}
		if !Clean(f.value) {
			return &Invalid{f.name, "has control characters or is not valid Unicode"}
		}
	}
	return nil
}

func (e *Event) checkLists() error {
	if len(e.Subjects) > MaxSubjects {
		return &Invalid{"subjects", fmt.Sprintf("are more than %d: give the number in records", MaxSubjects)}
	}
	for _, s := range e.Subjects {
		if !slices.Contains(subjectKind, s.Kind) {
			return &Invalid{"subjects.kind", "is not one of account, email, phone"}
		}
		if len(s.ID) > MaxIdentifier || len(s.Region) > 16 || !Clean(s.Region) {
			return &Invalid{"subjects", "have an id or a region that is too long"}
		}
	}
	if len(e.DataTypes) > MaxDataTypes {
		return &Invalid{"data_types", fmt.Sprintf("are more than %d", MaxDataTypes)}
	}
	for _, d := range e.DataTypes {
		if !dataType(d) {
			return &Invalid{"data_types", "have a name that is not of the form entity.field"}
		}
	}
	if e.Records < -1 || e.Records >= MaxCount {
		return &Invalid{"records", "is not a count"}
	}
	if e.Bytes < 0 || e.Bytes >= MaxCount {
		return &Invalid{"bytes", "is not a count"}
	}
	return nil
}

// dataType says whether s is of the form entity.field, in lower case.
func dataType(s string) bool {
	if len(s) > 64 {
		return false
	}
	parts, length := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			if length == 0 {
				return false
			}
			parts, length = parts+1, 0
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
			length++
		default:
			return false
		}
	}
	return parts > 0 && length > 0
}

// Clean reports whether s may stand in a plain field: valid UTF-8 without control characters.
func Clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x7f {
			return cleanRunes(s[i:])
		}
	}
	return true
}

func cleanRunes(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// cut shortens text of a foreign log to what a field takes, at a whole character, and leaves out
// control characters: a log that is imported after a breach is not refused for a long name.
func cut(s string, most int) string {
	if !Clean(s) {
		out := make([]rune, 0, len(s))
		for _, r := range s {
			if r != utf8.RuneError && !unicode.IsControl(r) {
				out = append(out, r)
			}
		}
		s = string(out)
	}
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

var safeName = regexp.MustCompile(`^[a-z_.]{1,64}$`)

// SafeName says whether the name of a field that nobody declared may be repeated to the sender: a
// name can be somebody's address.
func SafeName(s string) bool { return safeName.MatchString(s) }
