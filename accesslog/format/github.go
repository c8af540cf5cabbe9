package format

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// Services of the audit logs that are no cloud's own, before the colon of an endpoint.
const (
	githubService = "github.com"
	oktaService   = "okta.com"
)

// github reads one entry of GitHub's audit log, as its export, its API and its stream write it: they
// have the same fields. How a repository or an organisation is set up is about no customer, so what
// is not a field of the event is kept for the rules.
func (d *Decoder) github(raw []byte) error {
	v, err := d.parse(raw)
	if err != nil {
		return err
	}
	v = inner(v)
	e := &d.event
	action := get(v, "action")
	if action == "" {
		return &Invalid{"action", "is missing"}
	}
	field, name := "timestamp", "@timestamp"
	if !v.Exists(name) && v.Exists("created_at") {
		field, name = "created_at", "created_at"
	}
	if e.Time, err = whenever(v.Get(name), field); err != nil {
		return err
	}
	e.Kind, e.ID, e.Outcome = CloudAudit, cut(get(v, "_document_id"), MaxName), "ok"
	e.ActorID, e.ActorType = cut(first(get(v, "actor"), get(v, "deploy_key_fingerprint")), MaxName), "staff"
	if v.GetBool("actor_is_bot") || strings.HasSuffix(e.ActorID, "[bot]") {
		e.ActorType = "service"
	}
	e.Credential = cut(first(get(v, "hashed_token"), get(v, "token_id"), get(v, "deploy_key_fingerprint")), MaxName)
	e.IP, e.Agent = address(get(v, "actor_ip")), cut(get(v, "user_agent"), MaxText)
	e.Endpoint, e.Action = cut(githubService+":"+action, MaxText), verbOf(action)
	switch get(v, "operation_type") {
	case "access":
		e.Action = "read"
	case "remove":
		e.Action = "delete"
	}
	switch action {
	case "git.clone", "git.fetch", "repo.download_zip":
		e.Action = "read"
	}
	for _, refused := range []string{"failed", "rejected", "denied", "blocked_attempt"} {
		if strings.Contains(action[strings.LastIndexByte(action, '.')+1:], refused) {
			e.Outcome = "denied"
		}
	}
	if slices.Contains([]string{"user.login", "user.failed_login", "org.sso_response", "business.sso_response"}, action) {
		e.Kind = Auth
	}
	a := d.attributes()
	a.text("organisation", cut(first(get(v, "org"), get(v, "business")), MaxName))
	a.text("repository", cut(first(get(v, "repo"), get(v, "repository")), MaxName))
	r := d.original()
	r.all(v, "_document_id", "@timestamp", "created_at", "user_agent", "hashed_token") // which the event has
	r.done(a)
	e.Attributes = a.obj
	return nil
}

// inner is the entry inside of what a stream puts around it: GitHub's to a collector of Splunk's kind,
// Okta's to an event bus.
func inner(v *fastjson.Value) *fastjson.Value {
	if x := v.Get("event"); looksGitHub(x) {
		return x
	}
	if x := v.Get("detail"); looksOkta(x) {
		return x
	}
	return v
}

// Inner is the entry of GitHub's or Okta's log inside of what a stream puts around it, and every
// other text itself.
func Inner(raw []byte) []byte {
	if !bytes.Contains(raw, []byte(`"event"`)) && !bytes.Contains(raw, []byte(`"detail"`)) {
		return raw
	}
	v, err := fastjson.ParseBytes(raw)
	if err != nil {
		return raw
	}
	if x := inner(v); x != v {
		return x.MarshalTo(nil)
	}
	return raw
}

// whenever is a time as RFC 3339 or as milliseconds since 1970.
func whenever(v *fastjson.Value, field string) (time.Time, error) {
	s := loose(v)
	if s == "" {
		return time.Time{}, &Invalid{field, "is missing"}
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		if ms < 0 || ms >= MaxCount {
			return time.Time{}, &Invalid{field, "is not a time in milliseconds since 1970"}
		}
		return time.UnixMilli(ms).UTC(), nil
	}
	t, err := rfc3339(s, field)
	if err != nil {
		return t, &Invalid{field, "is neither a number of milliseconds since 1970 nor an RFC 3339 time with a zone"}
	}
	return t, nil
}

// looksGitHub says whether a record is one of GitHub's audit log: an action of the form group.name
// and a time that only its records have. Rarely one has no actor.
func looksGitHub(v *fastjson.Value) bool {
	if !v.Exists("action") || !strings.Contains(get(v, "action"), ".") {
		return false
	}
	if v.Exists("_document_id") {
		return true
	}
	return (v.Exists("@timestamp") || v.Exists("created_at")) && (v.Exists("org") || v.Exists("repo") || v.Exists("business") || v.Exists("actor_ip"))
}
