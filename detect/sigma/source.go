package sigma

import (
	"bytes"
	"slices"
	"strings"
)

// source is a kind of event: the log sources it belongs to, and the rules about them, compiled
// when the first such event comes.
type source struct {
	belongs []Logsource
	rules   []int32
	m       *matcher
}

// maxSources bounds how many kinds of events are told apart; only events that name their own log
// source can make more than a handful.
const maxSources = 256

// The fields by which events are recognised.
const (
	fEventSource = iota
	fEventName
	fEventVersion
	fEventService
	fEventType
	fPublished
	fLegacyType
	fAlternateID
	fMethodName
	fServiceName
	fGCPMethod
	fOneLogin
	fAction
	fActor
	fOrg
	fRepo
	fKind
	fAuditKind
	fApplication
	fURI
	fAgent
	fHost
	fMethod
	fStem
	fQuery
	fStatus
	fCategory
	fProduct
	fService
	knownFields
)

var recognised = [knownFields]string{
	"eventSource", "eventName", "eventVersion", "eventService", "eventType", "published", "legacyEventType", "actor.alternateId",
	"protoPayload.methodName", "protoPayload.serviceName", "gcp.audit.method_name", "event_type_id", "action", "actor", "org", "repo",
	"kind", "kind", "id.applicationName",
	"c-uri", "c-useragent", "cs-host", "cs-method", "cs-uri-stem", "cs-uri-query", "sc-status",
	"logsource.category", "logsource.product", "logsource.service",
}

// alternatives are further paths of a field: what a shipper calls otherwise than the rules do.
var alternatives = map[string][]string{
	"gcp.audit.method_name":  {"protoPayload.methodName", "data.protoPayload.methodName"},
	"gcp.audit.service_name": {"protoPayload.serviceName", "data.protoPayload.serviceName"},
	"eventtype":              {"eventType"},
	"displaymessage":         {"displayMessage"},
	"c-ip":                   {"source.ip"},
	"cs-user-agent":          {"source.user_agent"},
	"c-useragent":            {"source.user_agent"},
}

func (e *Engine) present(ev *Event, which int) bool { return e.slots[e.known[which]].gen == e.gen }

// is reports whether a field has a value, compared without regard to case.
func (e *Engine) is(ev *Event, which int, value string) bool {
	return bytes.EqualFold(e.value(ev, which), []byte(value))
}

func (e *Engine) value(ev *Event, which int) []byte {
	if s := &e.slots[e.known[which]]; s.gen == e.gen {
		if l := &ev.leaves[ev.heads[s.head].first]; l.kind == stringLeaf {
			return ev.text(l)
		}
	}
	return nil
}

// The sources that are recognised.
var (
	cloudtrailSource = []Logsource{{Product: "aws", Service: "cloudtrail"}}
	gcpSource        = []Logsource{{Product: "gcp", Service: "gcp.audit"}}
	workspaceAdmin   = []Logsource{{Product: "gcp", Service: "google_workspace.admin"}}
	workspaceLogin   = []Logsource{{Product: "gcp", Service: "google_workspace.login"}}
	gcpAdmin         = []Logsource{{Product: "gcp", Service: "gcp.audit"}, {Product: "gcp", Service: "google_workspace.admin"}}
	gcpLogin         = []Logsource{{Product: "gcp", Service: "gcp.audit"}, {Product: "gcp", Service: "google_workspace.login"}}
	oktaSource       = []Logsource{{Product: "okta", Service: "okta"}}
	oneloginSource   = []Logsource{{Product: "onelogin", Service: "onelogin.events"}}
	githubSource     = []Logsource{{Product: "github", Service: "audit"}}
	proxySource      = []Logsource{{Category: "proxy"}}
	webSource        = []Logsource{{Category: "webserver"}, {Category: "webserver", Product: "apache", Service: "apache"}, {Category: "webserver", Product: "nginx", Service: "nginx"}}
	w3cSource        = append([]Logsource{{Category: "proxy"}}, webSource...)
)

// recognise says which log sources an event belongs to, by the fields that only such events have.
func (e *Engine) recognise(ev *Event) *source {
	if e.o.Trust && (e.present(ev, fCategory) || e.present(ev, fProduct) || e.present(ev, fService)) {
		return e.sourceOf([]Logsource{{
			Category: strings.ToLower(string(e.value(ev, fCategory))),
			Product:  strings.ToLower(string(e.value(ev, fProduct))),
			Service:  strings.ToLower(string(e.value(ev, fService))),
		}})
	}
	if e.given != nil {
		return e.given
	}
	has := func(which ...int) bool {
		for _, w := range which {
			if !e.present(ev, w) {
				return false
			}
		}
		return true
	}
	switch {
	case has(fEventSource, fEventName) && (has(fEventVersion) || bytes.HasSuffix(e.value(ev, fEventSource), []byte(".amazonaws.com"))):
		return e.sourceOf(cloudtrailSource)
	case has(fMethodName), has(fServiceName), has(fGCPMethod):
		switch {
		case e.is(ev, fServiceName, "admin.googleapis.com"):
			return e.sourceOf(gcpAdmin)
		case e.is(ev, fServiceName, "login.googleapis.com"):
			return e.sourceOf(gcpLogin)
		}
		return e.sourceOf(gcpSource)
	case e.is(ev, fEventService, "admin.googleapis.com"), e.is(ev, fAuditKind, "admin#reports#activity") && e.is(ev, fApplication, "admin"):
		return e.sourceOf(workspaceAdmin)
	case e.is(ev, fEventService, "login.googleapis.com"), e.is(ev, fAuditKind, "admin#reports#activity") && e.is(ev, fApplication, "login"):
		return e.sourceOf(workspaceLogin)
	case has(fEventType) && (has(fPublished) || has(fLegacyType) || has(fAlternateID)):
		return e.sourceOf(oktaSource)
	case has(fOneLogin):
		return e.sourceOf(oneloginSource)
	case nativeSources[string(e.value(ev, fKind))] != nil:
		return e.sourceOf(nativeSources[string(e.value(ev, fKind))])
	case has(fAction, fActor) && (has(fOrg) || has(fRepo)):
		return e.sourceOf(githubSource)
	case has(fURI), has(fAgent):
		return e.sourceOf(proxySource)
	case has(fStem), has(fQuery):
		return e.sourceOf(webSource)
	case has(fMethod), has(fStatus), has(fHost):
		return e.sourceOf(w3cSource)
	}
	return e.unknown
}

// Kinds are the kinds of our own access events. A rule about them has product tocsin and the kind
// as its service.
var Kinds = []string{"pii_access", "auth", "config_change", "http_access", "db_query", "cloud_audit", "order", "metric"}

var nativeSources = func() map[string][]Logsource {
	out := map[string][]Logsource{}
	for _, k := range Kinds {
		out[k] = []Logsource{{Product: "tocsin", Service: k}}
	}
	out["http_access"] = append(out["http_access"], webSource...)
	return out
}()

// sourceOf finds the kind of events that belongs to some log sources.
func (e *Engine) sourceOf(belongs []Logsource) *source {
	for _, s := range e.sources {
		if slices.Equal(s.belongs, belongs) {
			return s
		}
	}
	if len(e.sources) >= maxSources {
		return e.unknown
	}
	s := &source{belongs: slices.Clone(belongs)}
	for i := range e.rules {
		if slices.ContainsFunc(belongs, e.rules[i].rule.Logsource.holds) {
			s.rules = append(s.rules, int32(i))
		}
	}
	e.sources = append(e.sources, s)
	return s
}

// matcher gives the compiled rules of a source.
func (e *Engine) matcher(s *source) *matcher {
	if s.m == nil {
		s.m = e.newMatcher(s.rules)
	}
	return s.m
}
