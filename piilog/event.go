package piilog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// The kinds of records that are access events. A record is one of them when its message is the
// kind, or when it has an attribute "kind" with that value; all others go to Options.Next.
const (
	PIIAccess  = "pii_access"
	HTTPAccess = "http_access"
	Auth       = "auth"
	Config     = "config_change"
	DBQuery    = "db_query"
)

// MaxEvent is the largest event in bytes of JSON. A larger one loses subjects from its end until
// it fits; Records still says how many there were, so a scope can say "at least".
const MaxEvent = 32 << 10

// Event is one access to protected customer data. Its JSON is the access event that the ingest
// address takes. For PIIAccess the actor, action and merchant are required there.
type Event struct {
	ID         string            `json:"id"`   // made by Access when empty; a repeated ID is counted once
	Time       time.Time         `json:"time"` // UTC; Access sets it to now when zero
	Kind       string            `json:"kind"` // PIIAccess when empty
	App        string            `json:"app,omitempty"`
	Env        string            `json:"env,omitempty"`
	Actor      Actor             `json:"actor,omitzero"`
	Credential string            `json:"credential,omitempty"` // a name or prefix of the token used, never the token
	Session    string            `json:"session,omitempty"`
	Action     string            `json:"action,omitempty"` // read, list, export, update or delete
	Endpoint   string            `json:"endpoint,omitempty"`
	Purpose    string            `json:"purpose,omitempty"`
	Merchant   string            `json:"merchant,omitempty"`
	Store      string            `json:"store,omitempty"`
	Subjects   []Subject         `json:"subjects,omitempty"`
	DataTypes  []string          `json:"data_types,omitempty"` // such as customer.email
	Records    int64             `json:"records,omitempty"`
	Bytes      int64             `json:"bytes,omitempty"`
	Outcome    string            `json:"outcome,omitempty"` // ok, denied or error
	Source     Source            `json:"source,omitzero"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Actor is who made the access.
type Actor struct {
	Type string `json:"type,omitempty"` // user, service, staff or merchant
	ID   string `json:"id,omitempty"`
}

// Subject is one person whose data was accessed. The server turns ID into a pseudonym on arrival.
type Subject struct {
	Kind   string `json:"kind"` // account, email or phone
	ID     string `json:"id"`
	Region string `json:"region,omitempty"` // such as US-CA
}

// Source is where the access came from.
type Source struct {
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
}

// String hides the event: it names people.
func (Event) String() string { return "[redacted]" }

// GoString hides the event.
func (Event) GoString() string { return "[redacted]" }

// LogValue keeps the event out of handlers that are not this package's.
func (Event) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// String hides the subject.
func (Subject) String() string { return "[redacted]" }

// GoString hides the subject.
func (Subject) GoString() string { return "[redacted]" }

// LogValue hides the subject.
func (Subject) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// carried holds an event inside a log record. It is a pointer type of its own so that the
// event's LogValue does not hide it from this package's handler, and still hides it from others.
type carried struct{ event *Event }

func (c carried) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Access records one access through logger and returns the event's ID, which a caller may hand to
// its client in a response header. It does not wait for the network. A logger whose handler is not
// a *Handler (perhaps wrapped) gets a record with a redacted attribute and nothing is sent.
func Access(ctx context.Context, logger *slog.Logger, e Event) string {
	if e.Kind == "" {
		e.Kind = PIIAccess
	}
	if e.ID == "" {
		e.ID = newID(time.Now())
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	logger.LogAttrs(ctx, slog.LevelInfo, e.Kind, slog.Any("event", carried{&e}))
	return e.ID
}

// encode writes the event as one line of NDJSON, at most MaxEvent bytes long.
func (e Event) encode() ([]byte, error) {
	e.Time = e.Time.UTC()
	if e.Records == 0 {
		e.Records = int64(len(e.Subjects))
	}
	for {
		line, err := json.Marshal(e)
		if err != nil {
			// Only a time outside the years 0 to 9999 gets here; the error does not quote the event.
			return nil, fmt.Errorf("piilog: event %s cannot be written as JSON: its time is outside the years 0 to 9999", e.ID)
		}
		if len(line) < MaxEvent {
			return append(line, '\n'), nil
		}
		switch {
		case len(e.Subjects) > 0:
			e.Subjects = e.Subjects[:len(e.Subjects)/2]
		case len(e.Attributes) > 0:
			e.Attributes = nil
		default:
			return nil, fmt.Errorf("piilog: event %s is %d bytes without its subjects and attributes; the limit is %d", e.ID, len(line), MaxEvent)
		}
	}
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newID makes a ULID: 48 bits of milliseconds and 80 random bits, so that IDs sort by time.
func newID(now time.Time) string {
	var b [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	rand.Read(b[6:]) // never fails since Go 1.24
	var out [26]byte
	// 130 bits of text hold 128 bits of number: the first character has three.
	out[0] = crockford[b[0]>>5]
	acc, bits, n := uint32(b[0]&0x1f), 5, 1
	for _, c := range b[1:] {
		for bits >= 5 {
			bits -= 5
			out[n] = crockford[acc>>bits&0x1f]
			n++
		}
		acc = acc<<8 | uint32(c)
		bits += 8
		acc &= 1<<bits - 1
	}
	for bits >= 5 {
		bits -= 5
		out[n] = crockford[acc>>bits&0x1f]
		n++
	}
	return string(out[:])
}
