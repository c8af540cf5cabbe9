package detect

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// View is an event as the rules read it. Rules about the audit log of a cloud, of GitHub or of Okta
// are written in the names of that log, so an event that came from one is given to them as its record,
// as far as the access log keeps it. A web server's event has the names of its log beside ours.
func View(e Entry) []byte {
	switch e.Kind {
	case "cloud_audit", "auth":
		service, call, _ := strings.Cut(e.Endpoint, ":")
		var fill func(r *record, service, call string)
		switch {
		case strings.HasSuffix(service, ".amazonaws.com"):
			fill = cloudTrail
		case strings.HasSuffix(service, ".googleapis.com"):
			fill = gcp
		case service == "github.com":
			fill = github
		case service == "okta.com":
			fill = okta
		default:
			return e.Text
		}
		r, ok := recordOf(e)
		if !ok {
			return e.Text
		}
		fill(r, service, call)
		return r.v.MarshalTo(nil)
	case "http_access":
		return with(e.Text, web(e))
	}
	return e.Text
}

// record is the record of a foreign log that is put together again from an event.
type record struct {
	e     Entry
	a     *fastjson.Value // the attributes of the event
	v     *fastjson.Value
	arena fastjson.Arena
}

func recordOf(e Entry) (*record, bool) {
	all, err := fastjson.ParseBytes(e.Text)
	if err != nil || all.Type() != fastjson.TypeObject {
		return nil, false
	}
	r := &record{e: e, a: all.Get("attributes")}
	if r.v = r.a.Get("record"); r.v == nil || r.v.Type() != fastjson.TypeObject {
		r.v = r.arena.NewObject()
	}
	return r, true
}

// set sets a field when there is a value for it, for a rule tells an empty field from one that is not
// there.
func (r *record) set(value string, path ...string) {
	if value == "" {
		return
	}
	r.place(r.arena.NewString(value), path...)
}

func (r *record) place(v *fastjson.Value, path ...string) {
	at := r.v
	for _, name := range path[:len(path)-1] {
		next := at.Get(name)
		if next == nil || next.Type() != fastjson.TypeObject {
			next = r.arena.NewObject()
			at.Set(name, next)
		}
		at = next
	}
	at.Set(path[len(path)-1], v)
}

// missing sets a field that the record does not have.
func (r *record) missing(value string, path ...string) {
	if !r.v.Exists(path...) {
		r.set(value, path...)
	}
}

// named puts a name into the place where the record has it scrubbed.
func (r *record) named(value string, path ...string) {
	if r.v.Exists(path...) {
		r.set(value, path...)
	}
}

func cloudTrail(r *record, service, call string) {
	e := r.e
	r.missing("1.08", "eventVersion")
	r.set(e.ID, "eventID")
	r.set(e.Time.UTC().Format(time.RFC3339Nano), "eventTime")
	r.set(service, "eventSource")
	r.set(call, "eventName")
	r.missing(get(r.a, "error"), "errorCode")
	r.missing(get(r.a, "region"), "awsRegion")
	r.missing(get(r.a, "account"), "recipientAccountId")
	r.missing(e.IP, "sourceIPAddress")
	r.set(e.Agent, "userAgent")
	r.set(e.Credential, "userIdentity", "accessKeyId")
	if r.v.Exists("userIdentity", "arn") || !r.v.Exists("userIdentity", "type") {
		r.set(e.Actor, "userIdentity", "arn")
	}
}

func gcp(r *record, service, call string) {
	e := r.e
	r.set(e.ID, "insertId")
	r.set(e.Time.UTC().Format(time.RFC3339Nano), "timestamp")
	r.set(service, "protoPayload", "serviceName")
	r.set(call, "protoPayload", "methodName")
	r.missing(get(r.a, "resource"), "protoPayload", "resourceName")
	r.missing(e.IP, "protoPayload", "requestMetadata", "callerIp")
	r.named(e.Agent, "protoPayload", "requestMetadata", "callerSuppliedUserAgent")
	if r.v.Exists("protoPayload", "authenticationInfo", "principalEmail") || !r.v.Exists("protoPayload", "authenticationInfo") {
		r.set(e.Actor, "protoPayload", "authenticationInfo", "principalEmail")
	}
}

func github(r *record, _, call string) {
	e := r.e
	r.set(e.ID, "_document_id")
	r.place(r.arena.NewNumberString(strconv.FormatInt(e.Time.UnixMilli(), 10)), "@timestamp")
	r.set(call, "action")
	r.set(e.Agent, "user_agent")
	r.named(e.Actor, "actor")
}

func okta(r *record, _, call string) {
	e := r.e
	r.set(e.ID, "uuid")
	r.set(e.Time.UTC().Format(time.RFC3339Nano), "published")
	r.set(call, "eventType")
	r.named(e.Actor, "actor", "alternateId")
	r.named(e.Agent, "client", "userAgent", "rawUserAgent")
}

// with adds fields to a JSON object.
func with(text []byte, fields map[string]any) []byte {
	body := bytes.TrimRight(text, " \t\r\n")
	if len(fields) == 0 || len(body) < 2 || body[len(body)-1] != '}' {
		return text
	}
	more, err := json.Marshal(fields)
	if err != nil || len(more) <= 2 {
		return text
	}
	out := make([]byte, 0, len(body)+len(more))
	out = append(out, body[:len(body)-1]...)
	if len(bytes.TrimSpace(out)) > 1 {
		out = append(out, ',')
	}
	return append(out, more[1:]...)
}

// attributes are what an event has beside its fields.
func attributes(text []byte) *fastjson.Value {
	v, err := fastjson.ParseBytes(text)
	if err != nil {
		return nil
	}
	return v.Get("attributes")
}

func get(v *fastjson.Value, name string) string { return string(v.GetStringBytes(name)) }

// filled drops what is empty, because a rule tells an empty field from one that is not there.
func filled(fields map[string]any) map[string]any {
	for k, v := range fields {
		if s, ok := v.(string); ok && s == "" {
			delete(fields, k)
		} else if m, ok := v.(map[string]any); ok {
			if len(filled(m)) == 0 {
				delete(fields, k)
			}
		}
	}
	return fields
}

func web(e Entry) map[string]any {
	a := attributes(e.Text)
	request := get(a, "request")
	method, target, _ := strings.Cut(request, " ")
	target, _, _ = strings.Cut(target, " ")
	stem, query, _ := strings.Cut(target, "?")
	return filled(map[string]any{"cs-method": method, "cs-uri-stem": stem, "cs-uri-query": query, "sc-status": get(a, "status")})
}
