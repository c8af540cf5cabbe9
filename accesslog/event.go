// Package accesslog is the access log: the door that takes access events in (decode, pseudonymise,
// make durable, answer), the sealed evidence log behind it and the table that questions are asked
// of. The shapes that events come in are package format's.
package accesslog

import (
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/valyala/fastjson"

	"github.com/tocsin-ir/tocsin/accesslog/format"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// Event is one access as the door has let it in: normalised, its subjects already pseudonyms. It
// is what consumers and questions get; free text stays in the sealed leaf.
type Event struct {
	Seq        int64  // position in this installation's order of arrival, from 1
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
	Regions    []string // where each of them lives, see tally.Place; nil when nothing is known of any
	DataTypes  []string
	Records    int64
	Bytes      int64
	Outcome    string
	IP         string
	Agent      string
	Late       bool   // more than an hour older than the newest of its source
	Skewed     bool   // its clock was ahead by more than five minutes: Time was set to Received
	Supplied   string // "sha256:…" of the file when it was not logged live but supplied later
}

// Kinds of events.
const (
	PIIAccess    = format.PIIAccess
	Auth         = format.Auth
	ConfigChange = format.ConfigChange
	HTTPAccess   = format.HTTPAccess
	DBQuery      = format.DBQuery
	CloudAudit   = format.CloudAudit
	Order        = format.Order
	Metric       = format.Metric
)

// MaxEvent is the largest event after normalisation, in bytes.
const MaxEvent = 32 << 10

var readers sync.Pool // of *fastjson.Parser

// eventOf reads an event back from its canonical form, without its attributes.
func eventOf(canonical []byte) (Event, error) {
	p, _ := readers.Get().(*fastjson.Parser)
	if p == nil {
		p = new(fastjson.Parser)
	}
	defer readers.Put(p)
	v, err := p.ParseBytes(canonical)
	if err != nil {
		return Event{}, fmt.Errorf("accesslog: a stored event is not JSON")
	}
	text := func(path ...string) string { return string(v.GetStringBytes(path...)) }
	e := Event{
		ID: text("id"), Source: text("ingest"), Kind: text("kind"), App: text("app"), Env: text("env"),
		ActorType: text("actor", "type"), ActorID: text("actor", "id"), Credential: text("credential"), Session: text("session"),
		Action: text("action"), Endpoint: text("endpoint"), Purpose: text("purpose"), Merchant: text("merchant"), Store: text("store"),
		Records: v.GetInt64("records"), Bytes: v.GetInt64("bytes"), Outcome: text("outcome"),
		IP: text("source", "ip"), Agent: text("source", "user_agent"),
		Late: v.GetBool("late"), Skewed: v.GetBool("skewed"), Supplied: text("supplied"),
	}
	if e.Time, err = time.Parse(time.RFC3339Nano, text("time")); err != nil {
		return e, fmt.Errorf("accesslog: a stored event has no time")
	}
	if e.Received, err = time.Parse(time.RFC3339Nano, text("received")); err != nil {
		return e, fmt.Errorf("accesslog: a stored event has no time of arrival")
	}
	for _, t := range v.GetArray("data_types") {
		e.DataTypes = append(e.DataTypes, string(t.GetStringBytes()))
	}
	e.Subjects, e.Regions = customersOf(v.GetArray("subjects"))
	return e, nil
}

// subjectKinds in the order in which they count as customers: see tally.Customers.
var subjectKinds = []string{"account", "email", "phone"}

// customersOf are the pseudonyms that count: of the first kind that an event names anybody by, so
// that one customer named by account and by address is one customer. regions say where each lives.
func customersOf(subjects []*fastjson.Value) (out [][]byte, regions []string) {
	for _, kind := range subjectKinds {
		known := false
		for _, s := range subjects {
			if string(s.GetStringBytes("kind")) != kind {
				continue
			}
			token := make([]byte, TokenLen)
			if _, err := hex.Decode(token, s.GetStringBytes("token")); err == nil {
				region := tally.Place(string(s.GetStringBytes("region")))
				known = known || region != ""
				out, regions = append(out, token), append(regions, region)
			}
		}
		if !known {
			regions = nil
		}
		if out != nil {
			return out, regions
		}
	}
	return nil, nil
}
