// Package accesslog is the access log: the shape of an access event, its decoders, the door that
// takes events in (decode, pseudonymise, make durable, answer), the sealed evidence log behind it
// and the table that questions are asked of.
package accesslog

import (
	"time"
)

// Event is one access as the door has let it in: normalised, its subjects already pseudonyms.
// The JSON of an incoming event is Wire.
type Event struct {
	Seq        int64  // position in this installation's table, from 1
	ID         string // the sender's id, or one made from source, batch and byte offset
	Time       time.Time
	Received   time.Time // domain time at the door
	Source     string    // which ingest key it came in with
	Kind       string
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
	Subjects   [][]byte // pseudonyms, 16 bytes each
	DataTypes  []string
	Records    int64
	Bytes      int64
	Outcome    string
	IP         string
	Agent      string
	Late       bool // more than an hour older than the newest of its source
	Skewed     bool // its clock was ahead by more than five minutes: Time was set to Received
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

// MaxEvent is the largest event after normalisation, in bytes.
const MaxEvent = 32 << 10
