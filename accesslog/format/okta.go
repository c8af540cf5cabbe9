package format

import (
	"strings"

	"github.com/valyala/fastjson"
)

// okta reads one event of Okta's System Log: who signed in, and how the tenant was set up.
func (d *Decoder) okta(raw []byte) error {
	v, err := d.parse(raw)
	if err != nil {
		return err
	}
	v = inner(v)
	e := &d.event
	kind := get(v, "eventType")
	if kind == "" {
		return &Invalid{"eventType", "is missing"}
	}
	if e.Time, err = rfc3339(get(v, "published"), "published"); err != nil {
		return err
	}
	e.Kind, e.ID, e.Outcome = CloudAudit, cut(get(v, "uuid"), MaxName), "ok"
	for _, prefix := range []string{"user.session.", "user.authentication.", "app.oauth2."} {
		if strings.HasPrefix(kind, prefix) {
			e.Kind = Auth
		}
	}
	e.ActorID = cut(first(get(v, "actor", "alternateId"), get(v, "actor", "id")), MaxName)
	e.ActorType = "service"
	if get(v, "actor", "type") == "User" {
		e.ActorType = "staff"
	}
	e.Session = known(get(v, "authenticationContext", "externalSessionId"))
	e.Credential = known(get(v, "transaction", "detail", "requestApiTokenId"))
	e.IP = address(get(v, "client", "ipAddress"))
	e.Agent = cut(get(v, "client", "userAgent", "rawUserAgent"), MaxText)
	e.Endpoint, e.Action = cut(oktaService+":"+kind, MaxText), verbOf(kind)
	switch get(v, "outcome", "result") {
	case "DENY":
		e.Outcome = "denied"
	case "FAILURE":
		if e.Outcome = "error"; e.Kind == Auth {
			e.Outcome = "denied"
		}
	}
	a := d.attributes()
	a.text("message", cut(get(v, "displayMessage"), MaxText))
	a.text("error", cut(get(v, "outcome", "reason"), MaxText))
	r := d.original()
	r.keep(v, "actor", "client", "eventType", "legacyEventType", "displayMessage", "severity", "version", "outcome", "target", "securityContext", "authenticationContext", "transaction", "request", "device", "debugContext")
	r.done(a)
	e.Attributes = a.obj
	return nil
}

// known is a name, and nothing for what Okta writes when there is none.
func known(s string) string {
	if strings.EqualFold(s, "unknown") {
		return ""
	}
	return cut(s, MaxName)
}

func looksOkta(v *fastjson.Value) bool {
	return v.Exists("eventType") && v.Exists("published") && (v.Exists("actor") || v.Exists("uuid"))
}
