package format

import "strings"

// gcp reads one entry of Google Cloud's audit logs: a LogEntry whose protoPayload is an AuditLog.
// Requests, responses and metadata are kept of administrative logs alone, for the reason given at
// cloudTrail.
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
	a.text("project", get(v, "resource", "labels", "project_id"))
	a.text("error", get(p, "status", "message"))
	if e.IP == "" {
		a.text("source", get(p, "requestMetadata", "callerIp"))
	}
	r := d.original()
	r.keep(v, "logName", "severity", "resource")
	without := []string{"@type"}
	if !administrative(get(v, "logName"), service) {
		without = append(without, "request", "response", "metadata", "resourceOriginalState")
	}
	r.under("protoPayload", p, without...)
	r.done(a)
	e.Attributes = a.obj
	return nil
}

// administrative says whether an entry is about how a project or an organisation is set up.
func administrative(log, service string) bool {
	for _, end := range []string{"%2Factivity", "%2Fsystem_event", "%2Fpolicy"} {
		if strings.HasSuffix(log, end) {
			return true
		}
	}
	return service == "admin.googleapis.com" || service == "login.googleapis.com"
}
