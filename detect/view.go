package detect

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/valyala/fastjson"
)

// View is an event as the rules read it. Rules about a cloud's audit log or a web server are written
// in the names of those logs, so an event that came from one has these names too, as far as the
// access log keeps what they name.
func View(e Entry) []byte {
	switch e.Kind {
	case "cloud_audit", "auth":
		service, call, _ := strings.Cut(e.Endpoint, ":")
		switch {
		case strings.HasSuffix(service, ".amazonaws.com"):
			return with(e.Text, cloudTrail(e, service, call))
		case strings.HasSuffix(service, ".googleapis.com"):
			return with(e.Text, gcp(e, service, call))
		}
	case "http_access":
		return with(e.Text, web(e))
	}
	return e.Text
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

func cloudTrail(e Entry, service, call string) map[string]any {
	a := attributes(e.Text)
	address := e.IP
	if address == "" {
		address = get(a, "source")
	}
	out := map[string]any{
		"eventVersion": "1.08", "eventSource": service, "eventName": call, "eventType": get(a, "type"), "errorCode": get(a, "error"),
		"awsRegion": get(a, "region"), "recipientAccountId": get(a, "account"), "sourceIPAddress": address, "userAgent": e.Agent,
		"userIdentity": map[string]any{"arn": e.Actor, "accessKeyId": e.Credential, "type": get(a, "identity"), "userName": get(a, "user")},
	}
	if p := a.Get("parameters"); p != nil {
		out["requestParameters"] = json.RawMessage(p.MarshalTo(nil))
	}
	if call == "ConsoleLogin" {
		result := "Success"
		if e.Outcome != "ok" {
			result = "Failure"
		}
		out["responseElements"] = map[string]any{"ConsoleLogin": result}
		out["additionalEventData"] = map[string]any{"MFAUsed": get(a, "mfa")}
	}
	return filled(out)
}

func gcp(e Entry, service, call string) map[string]any {
	a := attributes(e.Text)
	p := map[string]any{
		"serviceName": service, "methodName": call, "resourceName": get(a, "resource"),
		"authenticationInfo": map[string]any{"principalEmail": e.Actor},
		"requestMetadata":    map[string]any{"callerIp": e.IP, "callerSuppliedUserAgent": e.Agent},
	}
	switch e.Outcome {
	case "denied":
		p["status"] = map[string]any{"code": 7}
	case "error":
		p["status"] = map[string]any{"code": 2}
	}
	if b := a.Get("bindings"); b != nil {
		p["serviceData"] = map[string]any{"policyDelta": map[string]any{"bindingDeltas": json.RawMessage(b.MarshalTo(nil))}}
	}
	return map[string]any{"protoPayload": filled(p)}
}

func web(e Entry) map[string]any {
	a := attributes(e.Text)
	request := get(a, "request")
	method, target, _ := strings.Cut(request, " ")
	target, _, _ = strings.Cut(target, " ")
	stem, query, _ := strings.Cut(target, "?")
	return filled(map[string]any{"cs-method": method, "cs-uri-stem": stem, "cs-uri-query": query, "sc-status": get(a, "status")})
}
