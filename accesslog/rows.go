package accesslog

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"github.com/tocsin-ir/tocsin/accesslog/plainjson"
	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// maxInterned bounds the strings that a rowReader keeps one copy of.
const maxInterned = 1 << 16

// rowReader turns stored events into rows of the columns. What repeats from event to event, which is
// most of it, is kept once: rows wait in memory by the hundred thousand. It is used by one goroutine.
type rowReader struct {
	parser  fastjson.Parser
	strings map[string]string
	stamp   string // as it was read last, with the time it says
	at      time.Time
	tokens  [][table.TokenLen]byte // room for pseudonyms
	regions []string
	scratch []byte
	// What a field held in the event before, which it mostly holds again.
	before   [inFields]string
	subjects []subject // of the event at hand
}

// The fields whose values repeat.
const (
	inSource = iota
	inKind
	inApp
	inEnv
	inActorType
	inActor
	inCredential
	inSession
	inAction
	inEndpoint
	inPurpose
	inMerchant
	inStore
	inDataTypes
	inOutcome
	inIP
	inAgent
	inSupplied
	inFields
)

// again sets a field to a value of which one copy is kept.
func (r *rowReader) again(field int, b []byte, to *string) {
	if r.before[field] != string(b) {
		r.before[field] = r.string(b)
	}
	*to = r.before[field]
}

func (r *rowReader) string(b []byte) string {
	if s, ok := r.strings[string(b)]; ok {
		return s
	}
	if r.strings == nil || len(r.strings) >= maxInterned {
		r.strings = map[string]string{}
	}
	s := string(b)
	r.strings[s] = s
	return s
}

// row reads an event from its canonical form.
func (r *rowReader) row(to *table.Row, seq int64, canonical []byte) error {
	if r.scan(to, seq, canonical) {
		return nil
	}
	*to = table.Row{}
	return r.parse(to, seq, canonical)
}

// scan is row for nearly every event; false when it cannot say.
func (r *rowReader) scan(to *table.Row, seq int64, canonical []byte) bool {
	to.Seq, to.DataTypes = seq, "[]"
	s := plainjson.Of(canonical)
	var at, received []byte
	for s.Enter('{'); s.More('}'); {
		switch string(s.Key()) {
		case "id":
			to.ID = string(s.Text())
		case "time":
			at = s.Text()
		case "received":
			received = s.Text()
		case "ingest":
			r.again(inSource, s.Text(), &to.Source)
		case "kind":
			r.again(inKind, s.Text(), &to.Kind)
		case "app":
			r.again(inApp, s.Text(), &to.App)
		case "env":
			r.again(inEnv, s.Text(), &to.Env)
		case "actor":
			for s.Enter('{'); s.More('}'); {
				switch string(s.Key()) {
				case "id":
					r.again(inActor, s.Text(), &to.Actor)
				case "type":
					r.again(inActorType, s.Text(), &to.ActorType)
				default:
					return false
				}
			}
		case "credential":
			r.again(inCredential, s.Text(), &to.Credential)
		case "session":
			r.again(inSession, s.Text(), &to.Session)
		case "action":
			r.again(inAction, s.Text(), &to.Action)
		case "endpoint":
			r.again(inEndpoint, s.Text(), &to.Endpoint)
		case "purpose":
			r.again(inPurpose, s.Text(), &to.Purpose)
		case "merchant":
			r.again(inMerchant, s.Text(), &to.Merchant)
		case "store":
			r.again(inStore, s.Text(), &to.Store)
		case "outcome":
			r.again(inOutcome, s.Text(), &to.Outcome)
		case "supplied":
			r.again(inSupplied, s.Text(), &to.Supplied)
		case "source":
			for s.Enter('{'); s.More('}'); {
				switch string(s.Key()) {
				case "ip":
					r.again(inIP, s.Text(), &to.IP)
				case "user_agent":
					r.again(inAgent, s.Text(), &to.Agent)
				default:
					return false
				}
			}
		case "records":
			to.Records = s.Count()
		case "bytes":
			to.Bytes = s.Count()
		case "late":
			to.Late = s.Yes()
		case "skewed":
			to.Skewed = s.Yes()
		case "data_types":
			r.again(inDataTypes, s.Skip(), &to.DataTypes)
		case "subjects":
			to.Customers, to.Regions = r.scanCustomers(&s)
		default: // attributes, and what is said twice of the time
			s.Skip()
		}
	}
	return s.Done() && r.times(to, at, received) == nil
}

// scanCustomers is customers of the list that a scanner has before it.
func (r *rowReader) scanCustomers(s *plainjson.Scanner) ([][table.TokenLen]byte, string) {
	r.subjects = r.subjects[:0]
	for s.Enter('['); s.More(']'); {
		var one subject
		for s.Enter('{'); s.More('}'); {
			switch string(s.Key()) {
			case "kind":
				one.kind = s.Text()
			case "region":
				one.region = s.Text()
			case "token":
				one.token = s.Text()
			default:
				s.Skip()
			}
		}
		r.subjects = append(r.subjects, one)
	}
	return r.customers(r.subjects)
}

// parse is row for any event.
func (r *rowReader) parse(to *table.Row, seq int64, canonical []byte) error {
	v, err := r.parser.ParseBytes(canonical)
	if err != nil {
		return fmt.Errorf("accesslog: a stored event is not JSON")
	}
	o, err := v.Object()
	if err != nil {
		return fmt.Errorf("accesslog: a stored event is not an object")
	}
	to.Seq, to.DataTypes = seq, "[]"
	var at, received []byte
	o.Visit(func(key []byte, v *fastjson.Value) {
		var field *string
		switch string(key) {
		case "id":
			to.ID = string(v.GetStringBytes())
		case "time":
			at = v.GetStringBytes()
		case "received":
			received = v.GetStringBytes()
		case "ingest":
			field = &to.Source
		case "kind":
			field = &to.Kind
		case "app":
			field = &to.App
		case "env":
			field = &to.Env
		case "actor":
			to.ActorType, to.Actor = r.string(v.GetStringBytes("type")), r.string(v.GetStringBytes("id"))
		case "credential":
			field = &to.Credential
		case "session":
			field = &to.Session
		case "action":
			field = &to.Action
		case "endpoint":
			field = &to.Endpoint
		case "purpose":
			field = &to.Purpose
		case "merchant":
			field = &to.Merchant
		case "store":
			field = &to.Store
		case "outcome":
			field = &to.Outcome
		case "supplied":
			field = &to.Supplied
		case "source":
			to.IP, to.Agent = r.string(v.GetStringBytes("ip")), r.string(v.GetStringBytes("user_agent"))
		case "records":
			to.Records = v.GetInt64()
		case "bytes":
			to.Bytes = v.GetInt64()
		case "late":
			to.Late = v.GetBool()
		case "skewed":
			to.Skewed = v.GetBool()
		case "data_types":
			r.scratch = v.MarshalTo(r.scratch[:0])
			to.DataTypes = r.string(r.scratch)
		case "subjects":
			r.subjects = r.subjects[:0]
			for _, s := range v.GetArray() {
				r.subjects = append(r.subjects, subject{s.GetStringBytes("kind"), s.GetStringBytes("region"), s.GetStringBytes("token")})
			}
			to.Customers, to.Regions = r.customers(r.subjects)
		}
		if field != nil {
			*field = r.string(v.GetStringBytes())
		}
	})
	return r.times(to, at, received)
}

// times sets when the event was and when it came.
func (r *rowReader) times(to *table.Row, at, received []byte) error {
	t, err := time.Parse(time.RFC3339Nano, string(at))
	if err != nil {
		return fmt.Errorf("accesslog: a stored event has no time")
	}
	to.SetTime(t)
	if string(received) != r.stamp || r.stamp == "" {
		if r.at, err = time.Parse(time.RFC3339Nano, string(received)); err != nil {
			r.stamp = ""
			return fmt.Errorf("accesslog: a stored event has no time of arrival")
		}
		r.stamp = string(received)
	}
	to.Received = r.at.UnixMicro()
	return nil
}

// subject is what an event says about somebody.
type subject struct{ kind, region, token []byte }

// customers are the pseudonyms that count, and where they live; see customersOf.
func (r *rowReader) customers(subjects []subject) ([][table.TokenLen]byte, string) {
	for _, kind := range subjectKinds {
		if cap(r.tokens)-len(r.tokens) < len(subjects) {
			r.tokens = make([][table.TokenLen]byte, 0, max(4096, len(subjects)))
		}
		from := len(r.tokens)
		r.regions = r.regions[:0]
		for _, s := range subjects {
			if string(s.kind) != kind {
				continue
			}
			var token [table.TokenLen]byte
			if len(s.token) != 2*len(token) {
				continue
			}
			if _, err := hex.Decode(token[:], s.token); err == nil {
				r.tokens, r.regions = append(r.tokens, token), append(r.regions, r.region(s.region))
			}
		}
		if to := len(r.tokens); to > from {
			return r.tokens[from:to:to], r.join(r.regions)
		}
	}
	return nil, ""
}

// region is the code of a place as the columns hold it; most events name none.
func (r *rowReader) region(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return tally.Place(r.string(b))
}

// join is the form in which the columns hold where an event's customers live: nothing when it is known
// of none, one code when all live there, and else a code for each, with commas between.
func (r *rowReader) join(regions []string) string {
	for _, place := range regions[1:] {
		if place != regions[0] {
			return r.string([]byte(strings.Join(regions, ",")))
		}
	}
	return regions[0]
}

// regionsOf reads that form again.
func regionsOf(text string, customers int) []string {
	switch {
	case text == "":
		return nil
	case strings.Contains(text, ","):
		return strings.Split(text, ",")
	}
	return slices.Repeat([]string{text}, customers)
}

// ofRow is an event as the columns give it back: all of it but nanoseconds of the time of arrival.
// types holds lists of data types that were read before.
func ofRow(r *table.Row, types map[string][]string) (Event, error) {
	e := Event{
		Seq: r.Seq, ID: r.ID, Time: r.At(), Received: time.UnixMicro(r.Received).UTC(), Source: r.Source, Kind: r.Kind, App: r.App, Env: r.Env,
		ActorType: r.ActorType, ActorID: r.Actor, Credential: r.Credential, Session: r.Session, Action: r.Action, Endpoint: r.Endpoint,
		Purpose: r.Purpose, Merchant: r.Merchant, Store: r.Store, Records: r.Records, Bytes: r.Bytes, Outcome: r.Outcome,
		IP: r.IP, Agent: r.Agent, Late: r.Late, Skewed: r.Skewed, Supplied: r.Supplied,
	}
	list, ok := types[r.DataTypes]
	if !ok {
		if err := json.Unmarshal([]byte(r.DataTypes), &list); err != nil {
			return e, fmt.Errorf("accesslog: data types of event %d in the columns: %w", r.Seq, err)
		}
		if len(list) == 0 {
			list = nil
		}
		types[r.DataTypes] = list
	}
	e.DataTypes = list
	for i := range r.Customers {
		e.Subjects = append(e.Subjects, r.Customers[i][:])
	}
	e.Regions = regionsOf(r.Regions, len(r.Customers))
	return e, nil
}
