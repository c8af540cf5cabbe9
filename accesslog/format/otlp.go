package format

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"
)

// record is one log record of OTLP with its resource, from either encoding, as JSON values.
type record struct {
	nanos, observed uint64
	name            string // event name
	body            *fastjson.Value
	attributes      []attribute
	resource        []attribute
}

type attribute struct {
	name  string
	value *fastjson.Value
}

// protobuf reads the body of POST /v1/logs in protobuf, an ExportLogsServiceRequest.
func (b *Batch) protobuf(body []byte, most int) error {
	// LogsData has the same single field as the request, and its package does not need gRPC.
	var data logspb.LogsData
	if err := proto.Unmarshal(body, &data); err != nil {
		return &FormatError{"is not an OTLP request in protobuf"}
	}
	b.records = []record{}
	for _, r := range data.GetResourceLogs() {
		resource := b.attributes(r.GetResource().GetAttributes())
		for _, s := range r.GetScopeLogs() {
			for _, l := range s.GetLogRecords() {
				if len(b.records) == most {
					return &TooMany{most}
				}
				b.records = append(b.records, record{
					nanos: l.GetTimeUnixNano(), observed: l.GetObservedTimeUnixNano(), name: l.GetEventName(),
					body: b.anyValue(l.GetBody(), 0), attributes: b.attributes(l.GetAttributes()), resource: resource,
				})
			}
		}
	}
	return nil
}

func (b *Batch) attributes(list []*commonpb.KeyValue) []attribute {
	out := make([]attribute, 0, len(list))
	for _, kv := range list {
		out = append(out, attribute{kv.GetKey(), b.anyValue(kv.GetValue(), 0)})
	}
	return out
}

func (b *Batch) anyValue(v *commonpb.AnyValue, level int) *fastjson.Value {
	if level > MaxDepth {
		return b.arena.NewString("[nested too deeply]")
	}
	switch x := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return b.arena.NewString(strings.ToValidUTF8(x.StringValue, "\uFFFD"))
	case *commonpb.AnyValue_BoolValue:
		if x.BoolValue {
			return b.arena.NewTrue()
		}
		return b.arena.NewFalse()
	case *commonpb.AnyValue_IntValue:
		return b.arena.NewNumberString(strconv.FormatInt(x.IntValue, 10))
	case *commonpb.AnyValue_DoubleValue:
		return b.arena.NewNumberFloat64(x.DoubleValue)
	case *commonpb.AnyValue_BytesValue:
		return b.arena.NewString(base64.StdEncoding.EncodeToString(x.BytesValue))
	case *commonpb.AnyValue_ArrayValue:
		list := b.arena.NewArray()
		for i, e := range x.ArrayValue.GetValues() {
			list.SetArrayItem(i, b.anyValue(e, level+1))
		}
		return list
	case *commonpb.AnyValue_KvlistValue:
		o := b.arena.NewObject()
		for _, kv := range x.KvlistValue.GetValues() {
			o.Set(kv.GetKey(), b.anyValue(kv.GetValue(), level+1))
		}
		return o
	}
	return nil
}

// otlpJSON reads the same in JSON, as OTLP spells it: lowerCamelCase names, 64-bit numbers as
// text. A body may be one request, or one a line, which is what a collector's file exporter writes.
func (b *Batch) otlpJSON(body []byte, most int) error {
	b.records = []record{}
	var whole fastjson.Parser
	v, err := whole.ParseBytes(body)
	if err == nil {
		return b.request(v, most)
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var p fastjson.Parser // its values are kept as long as the batch
		v, err := p.ParseBytes(line)
		if err != nil {
			return &FormatError{"is not OTLP in JSON: one export request, or one a line"}
		}
		if err := b.request(v, most); err != nil {
			return err
		}
	}
	return nil
}

func (b *Batch) request(v *fastjson.Value, most int) error {
	if v.Type() != fastjson.TypeObject {
		return &FormatError{"is not OTLP in JSON: one export request, or one a line"}
	}
	for _, r := range v.GetArray("resourceLogs") {
		resource := b.jsonAttributes(r.GetArray("resource", "attributes"))
		for _, s := range r.GetArray("scopeLogs") {
			for _, l := range s.GetArray("logRecords") {
				if len(b.records) == most {
					return &TooMany{most}
				}
				b.records = append(b.records, record{
					nanos: jsonUint(l.Get("timeUnixNano")), observed: jsonUint(l.Get("observedTimeUnixNano")), name: get(l, "eventName"),
					body: b.jsonAny(l.Get("body"), 0), attributes: b.jsonAttributes(l.GetArray("attributes")), resource: resource,
				})
			}
		}
	}
	return nil
}

func (b *Batch) jsonAttributes(list []*fastjson.Value) []attribute {
	out := make([]attribute, 0, len(list))
	for _, kv := range list {
		out = append(out, attribute{get(kv, "key"), b.jsonAny(kv.Get("value"), 0)})
	}
	return out
}

func (b *Batch) jsonAny(v *fastjson.Value, level int) *fastjson.Value {
	if v == nil || v.Type() != fastjson.TypeObject {
		return nil
	}
	if level > MaxDepth {
		return b.arena.NewString("[nested too deeply]")
	}
	switch {
	case v.Exists("arrayValue"):
		list := b.arena.NewArray()
		for i, e := range v.GetArray("arrayValue", "values") {
			list.SetArrayItem(i, b.jsonAny(e, level+1))
		}
		return list
	case v.Exists("kvlistValue"):
		o := b.arena.NewObject()
		for _, kv := range v.GetArray("kvlistValue", "values") {
			o.Set(get(kv, "key"), b.jsonAny(kv.Get("value"), level+1))
		}
		return o
	case v.Exists("intValue"): // text or a number
		return b.arena.NewNumberString(first(strings.TrimSpace(get(v, "intValue")), "0"))
	}
	for _, name := range []string{"stringValue", "boolValue", "doubleValue", "bytesValue"} {
		if x := v.Get(name); x != nil {
			return x
		}
	}
	return nil
}

func jsonUint(v *fastjson.Value) uint64 {
	n, err := strconv.ParseUint(loose(v), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// semantic gives the names that OpenTelemetry's conventions have for fields of an event.
var semantic = map[string]string{
	"client.address": "source.ip", "source.address": "source.ip", "user_agent.original": "source.user_agent",
	"user.id": "actor.id", "enduser.id": "actor.id", "session.id": "session", "http.route": "endpoint",
	"http.response.body.size": "bytes", "event.id": "id", "log.record.uid": "id", "event.name": "kind",
	"deployment.environment.name": "env", "deployment.environment": "env",
}

// otlp makes an event of one log record. Its fields are attributes under the names of the native
// form, dotted ("actor.id", "source.ip") or nested, or under those of OpenTelemetry's semantic
// conventions; event name or kind says that it is an access event at all. Other attributes are
// kept, scrubbed.
func (d *Decoder) otlp(r *record) error {
	e := &d.event
	e.Kind = r.name
	nanos := r.nanos
	if nanos == 0 {
		nanos = r.observed
	}
	if nanos == 0 || nanos > 1<<63-1 {
		return &Invalid{"timeUnixNano", "is missing"}
	}
	e.Time = time.Unix(0, int64(nanos)).UTC()
	a := d.attributes()
	var method, status string
	for _, list := range [][]attribute{r.resource, r.attributes} { // the record's own win
		for _, x := range list {
			if x.value == nil {
				continue
			}
			name := x.name
			switch name {
			case "http.request.method":
				method = loose(x.value)
			case "http.response.status_code":
				status = loose(x.value)
			case "service.name", "service.version", "service.instance.id", "host.name":
				a.text(name, loose(x.value))
				continue
			}
			if s := semantic[name]; s != "" {
				name = s
			}
			taken, err := d.dotted(name, x.value)
			if err != nil {
				return err
			}
			if !taken {
				if err := shallow(x.value, 3); err != nil {
					return err
				}
				a.value(x.name, x.value)
			}
		}
	}
	if body := loose(r.body); knownKind(body) && e.Kind == "" {
		e.Kind = body // what a logger of messages makes of "pii_access"
	} else if r.body != nil {
		a.value("body", r.body)
	}
	if e.Kind == "" && method != "" {
		e.Kind = HTTPAccess
	}
	if !knownKind(e.Kind) {
		if e.Kind == "" || r.name != "" {
			return &Skip{"is not a kind of access event such as pii_access"}
		}
		return &Invalid{"kind", "is not a known kind of event"}
	}
	if method != "" {
		e.Endpoint = strings.TrimSpace(method + " " + e.Endpoint)
		e.Action = first(e.Action, methodAction(method))
	}
	e.Outcome = first(e.Outcome, statusOutcome(status))
	e.Attributes = a.obj
	return nil
}

// dotted sets the field that an attribute's name is. It reports false for a name no field has.
func (d *Decoder) dotted(name string, v *fastjson.Value) (bool, error) {
	e := &d.event
	var err error
	switch name {
	case "id", "kind", "env", "app", "credential", "session", "action", "endpoint", "purpose", "merchant", "store", "outcome", "data_types":
		if name == "data_types" && v.Type() == fastjson.TypeString {
			e.DataTypes = append(e.DataTypes[:0], strings.FieldsFunc(loose(v), func(r rune) bool { return r == ',' || r == ' ' })...)
			return true, nil
		}
		if v.Type() == fastjson.TypeNumber {
			v = d.arena.NewString(v.String())
		}
		err = d.nativeField(e, name, v)
	case "subjects":
		err = subjectsOf(e, v)
	case "records", "bytes":
		if v.Type() == fastjson.TypeString {
			v = d.arena.NewNumberString(loose(v))
		}
		err = d.nativeField(e, name, v)
	case "actor":
		if v.Type() == fastjson.TypeObject {
			return true, d.nativeField(e, name, v)
		}
		e.ActorID = loose(v)
	case "source":
		err = d.nativeField(e, name, v)
	case "actor.id":
		e.ActorID = loose(v)
	case "actor.type":
		e.ActorType = loose(v)
	case "source.ip":
		e.IP = loose(v)
	case "source.user_agent":
		e.Agent = loose(v)
	case "subject.account", "subject.email", "subject.phone":
		e.Subjects = append(e.Subjects, Subject{Kind: strings.TrimPrefix(name, "subject."), ID: loose(v)})
	default:
		return false, nil
	}
	return true, err
}
