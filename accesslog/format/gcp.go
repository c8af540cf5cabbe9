package format

import "strings"

// gcp reads one entry of Google Cloud's audit logs: a LogEntry whose protoPayload is an AuditLog.
// Requests, responses and metadata are not kept, for the reason given at cloudTrail.
func (d *Decoder) gcp(raw []byte) error {
	v, err := d.parse(raw)
	if err != nil {
		return err
	}
	e, p := &d.event, v.Get("protoPayload")
	if p == nil {
		return &Skip{"is not an audit log entry: it has no protoPayload"}
	}
	method := get(p, "methodName")
	if method == "" {
		return &Invalid{"protoPayload.methodName", "is missing"}
	}
	if e.Time, err = rfc3339(first(get(v, "timestamp"), get(v, "receiveTimestamp")), "timestamp"); err != nil {
		return err
	}
	service := get(p, "serviceName")
	e.Kind, e.Outcome = CloudAudit, "ok"
	// An insertId is unique within a log and an instant only.
	if id := get(v, "insertId"); id != "" {
		e.ID = cut(id+"/"+get(v, "timestamp"), MaxName)
	}
	e.Endpoint, e.Action = cut(service+":"+method, MaxText), verbOf(method)
	auth := p.Get("authenticationInfo")
	e.ActorID = cut(first(get(auth, "principalEmail"), get(auth, "principalSubject"), get(auth, "authoritySelector")), MaxName)
	e.ActorType = "staff"
	if strings.HasSuffix(e.ActorID, ".gserviceaccount.com") || get(auth, "serviceAccountKeyName") != "" {
		e.ActorType = "service"
	}
	e.Credential = cut(get(auth, "serviceAccountKeyName"), MaxName)
	e.IP = address(get(p, "requestMetadata", "callerIp"))
	e.Agent = cut(get(p, "requestMetadata", "callerSuppliedUserAgent"), MaxText)
	switch get(p, "status", "code") { // google.rpc.Code
	case "", "0":
	case "7", "16":
		e.Outcome = "denied"
	default:
		e.Outcome = "error"
	}
	for _, z := range p.GetArray("authorizationInfo") {
		if z.Exists("granted") && !z.GetBool("granted") && e.Outcome == "ok" {
			e.Outcome = "denied"
		}
	}
	a := d.attributes()
	a.text("resource", get(p, "resourceName"))
	a.text("log", get(v, "logName"))
	a.text("project", get(v, "resource", "labels", "project_id"))
	a.text("resource_type", get(v, "resource", "type"))
	a.text("severity", get(v, "severity"))
	a.text("error", get(p, "status", "message"))
	// Who was given which role; rules ask for roles of everybody and of owners.
	if deltas := p.GetArray("serviceData", "policyDelta", "bindingDeltas"); len(deltas) > 0 {
		list := d.arena.NewArray()
		for i, delta := range deltas[:min(len(deltas), 20)] {
			one := d.arena.NewObject()
			for _, name := range []string{"action", "role", "member"} {
				if s := get(delta, name); s != "" {
					one.Set(name, d.arena.NewString(strings.ToValidUTF8(cut(s, MaxName), "\uFFFD")))
				}
			}
			list.SetArrayItem(i, one)
		}
		a.value("bindings", list)
	}
	if e.IP == "" {
		a.text("source", get(p, "requestMetadata", "callerIp"))
	}
	e.Attributes = a.obj
	return nil
}
