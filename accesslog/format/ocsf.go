package format

import (
	"time"

	"github.com/valyala/fastjson"
)

// ocsf reads an event of the Open Cybersecurity Schema Framework, classes API Activity (6003),
// Datastore Activity (6005) and Authentication (3002). What Tocsin needs and OCSF has no place for
// (merchant, store, subjects, data_types, records, purpose, kind) is read from unmapped, under the
// names of the native form.
func (d *Decoder) ocsf(raw []byte) error {
	v, err := d.parse(raw)
	if err != nil {
		return err
	}
	e := &d.event
	switch v.GetInt("class_uid") {
	case 6003:
		e.Kind, e.Action = CloudAudit, ocsfAction(v.GetInt("activity_id"), map[int]string{2: "read", 4: "delete"}, "update")
		service, operation := get(v, "api", "service", "name"), get(v, "api", "operation")
		e.Endpoint = join(service, ":", operation)
		if path := get(v, "http_request", "url", "path"); path != "" {
			e.Endpoint = join(get(v, "http_request", "http_method"), " ", template(path))
		}
		if e.Action == "update" && v.GetInt("activity_id") != 3 && v.GetInt("activity_id") != 1 {
			e.Action = verbOf(operation)
		}
	case 6005:
		e.Kind = DBQuery
		e.Action = ocsfAction(v.GetInt("activity_id"), map[int]string{1: "read", 4: "read", 7: "delete", 8: "list"}, "update")
		e.Endpoint = join(first(get(v, "database", "name"), get(v, "databucket", "name")), ":", first(get(v, "table", "name"), get(v, "type")))
	case 3002:
		e.Kind, e.Endpoint = Auth, join(first(get(v, "service", "name"), get(v, "auth_protocol")), ":", get(v, "activity_name"))
	default:
		return &Invalid{"class_uid", "is not one of 6003 (API Activity), 6005 (Datastore Activity), 3002 (Authentication)"}
	}
	if e.Time, err = ocsfTime(v); err != nil {
		return err
	}
	e.ID = cut(get(v, "metadata", "uid"), MaxName)
	user := v.Get("actor", "user")
	if user == nil {
		user = v.Get("user") // the user of an authentication stands at the top
	}
	e.ActorID = cut(first(get(user, "uid"), get(user, "name"), get(user, "email_addr"), get(v, "actor", "app_name"), get(v, "actor", "invoked_by")), MaxName)
	e.ActorType = "staff"
	if t := user.GetInt("type_id"); t == 3 || t == 4 || user == nil { // system, service
		e.ActorType = "service"
	}
	e.Credential = cut(first(get(user, "credential_uid"), get(v, "actor", "session", "credential_uid")), MaxName)
	e.Session = cut(first(get(v, "actor", "session", "uid"), get(v, "session", "uid")), MaxName)
	e.IP = address(get(v, "src_endpoint", "ip"))
	e.Agent = cut(get(v, "http_request", "user_agent"), MaxText)
	e.Outcome = ocsfOutcome(v)
	a := d.attributes()
	a.text("activity", get(v, "activity_name"))
	a.text("message", get(v, "message"))
	a.text("query", get(v, "query_info", "query_string"))
	a.text("url", first(get(v, "http_request", "url", "url_string"), get(v, "http_request", "url", "path")))
	a.text("product", get(v, "metadata", "product", "name"))
	a.text("status", first(get(v, "status_code"), get(v, "status_detail")))
	e.Attributes = a.obj
	return d.ocsfUnmapped(v.Get("unmapped"))
}

func (d *Decoder) ocsfUnmapped(u *fastjson.Value) error {
	if u == nil || u.Type() != fastjson.TypeObject {
		return nil
	}
	e := &d.event
	for _, name := range []string{"kind", "merchant", "store", "subjects", "data_types", "records", "bytes", "purpose", "app", "env", "action"} {
		if v := u.Get(name); v != nil {
			if err := d.nativeField(e, name, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// ocsfTime is the time in milliseconds, or the text beside it.
func ocsfTime(v *fastjson.Value) (time.Time, error) {
	if t := v.Get("time"); t != nil && t.Type() == fastjson.TypeNumber {
		ms, err := t.Int64()
		if err != nil || ms <= 0 || ms > 9e15 {
			return time.Time{}, &Invalid{"time", "is not a number of milliseconds since 1970"}
		}
		return time.UnixMilli(ms).UTC(), nil
	}
	s := first(get(v, "time_dt"), get(v, "time"))
	if s == "" {
		return time.Time{}, &Invalid{"time", "is missing"}
	}
	return rfc3339(s, "time")
}

func ocsfAction(activity int, known map[int]string, other string) string {
	if s, ok := known[activity]; ok {
		return s
	}
	return other
}

func ocsfOutcome(v *fastjson.Value) string {
	if v.GetInt("disposition_id") == 2 { // blocked
		return "denied"
	}
	switch v.GetInt("status_id") {
	case 1:
		return "ok"
	case 2:
		code := first(get(v, "status_code"), get(v, "http_response", "code"))
		if v.GetInt("class_uid") == 3002 || code == "401" || code == "403" {
			return "denied"
		}
		return "error"
	}
	return ""
}

// join puts two texts together and leaves the separator out when one is missing.
func join(a, sep, b string) string {
	if a == "" || b == "" {
		sep = ""
	}
	return cut(a+sep+b, MaxText)
}
