package format

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fastjson"
)

// named are the request parameters of a call about data that are kept: names of things of the
// account, which rules ask for.
var named = []string{"userName", "roleName", "groupName", "groupId", "policyArn", "bucketName", "secretId", "keyId", "instanceId", "trailName", "name",
	"x-amz-acl", "AccessControlPolicy"}

// people are the services whose resources are the people who use an app, so that even the calls
// that manage them name those.
var people = []string{"cognito-idp", "cognito-identity", "cognito-sync", "connect", "profile", "ses", "email", "sns", "sms-voice", "mobiletargeting", "identitystore"}

// cloudTrail reads one record of AWS CloudTrail as a cloud_audit event. Of a management event, which
// is about how an account is set up, parameters and answer are kept for the rules. Of an event about
// data (the keys of objects, the rows of a table) they are not: nobody has declared what in them is
// personal.
func (d *Decoder) cloudTrail(raw []byte) error {
	v, err := d.parse(raw)
	if err != nil {
		return err
	}
	e := &d.event
	source, name := get(v, "eventSource"), get(v, "eventName")
	if name == "" || source == "" {
		return &Invalid{"eventName", "is missing"}
	}
	if e.Time, err = rfc3339(get(v, "eventTime"), "eventTime"); err != nil {
		return err
	}
	e.Kind, e.ID, e.Outcome = CloudAudit, get(v, "eventID"), "ok"
	e.Credential = cut(get(v, "userIdentity", "accessKeyId"), MaxName)
	e.Endpoint = cut(source+":"+name, MaxText)
	e.Agent = cut(get(v, "userAgent"), MaxText)
	e.ActorType = "service"
	switch get(v, "userIdentity", "type") {
	case "IAMUser", "Root", "SAMLUser", "WebIdentityUser", "IdentityCenterUser":
		e.ActorType = "staff"
	}
	e.ActorID = cut(first(get(v, "userIdentity", "arn"), get(v, "userIdentity", "userName"),
		get(v, "userIdentity", "principalId"), get(v, "userIdentity", "invokedBy"), get(v, "userIdentity", "accountId")), MaxName)
	e.Action = verbOf(name)
	if v.GetBool("readOnly") && e.Action == "update" {
		e.Action = "read"
	}
	a := d.attributes()
	a.text("region", get(v, "awsRegion"))
	a.text("account", get(v, "recipientAccountId"))
	a.text("request", get(v, "requestID"))
	a.text("error", get(v, "errorCode"))
	// Calls that the cloud makes for itself carry a name in the place of an address.
	e.IP = address(get(v, "sourceIPAddress"))
	if e.IP == "" {
		a.text("source", get(v, "sourceIPAddress"))
	}
	if code := get(v, "errorCode"); code != "" {
		e.Outcome = "error"
		for _, denied := range []string{"AccessDenied", "Unauthorized", "Forbidden"} {
			if strings.Contains(code, denied) {
				e.Outcome = "denied"
			}
		}
	}
	if name == "ConsoleLogin" {
		e.Kind = Auth
		if get(v, "responseElements", "ConsoleLogin") == "Failure" {
			e.Outcome = "denied"
		}
	}
	d.trailRecord(v, source).done(a)
	e.Attributes = a.obj
	return nil
}

func (d *Decoder) trailRecord(v *fastjson.Value, source string) *original {
	r := d.original()
	r.keep(v, "eventVersion", "eventType", "eventCategory", "managementEvent", "readOnly", "apiVersion", "vpcEndpointId", "sessionCredentialFromConsole",
		"awsRegion", "recipientAccountId", "sourceIPAddress", "errorCode", "errorMessage", "tlsDetails")
	r.under("userIdentity", v.Get("userIdentity"), "accessKeyId") // which the event has
	service, _, _ := strings.Cut(source, ".")
	if manages(v) && !slices.Contains(people, service) {
		r.keep(v, "requestParameters", "responseElements", "additionalEventData", "serviceEventDetails", "resources")
		return r
	}
	kept := d.arena.NewObject()
	for _, name := range named {
		if p := v.Get("requestParameters", name); p != nil {
			kept.Set(name, p)
		}
	}
	if o, _ := kept.Object(); o.Len() > 0 {
		r.under("requestParameters", kept)
	}
	if get(v, "eventName") == "ConsoleLogin" {
		r.keep(v, "responseElements", "additionalEventData")
	}
	return r
}

// manages says whether a record is of a management event. One that does not say it is judged by its
// name.
func manages(v *fastjson.Value) bool {
	switch {
	case v.Exists("managementEvent"):
		return v.GetBool("managementEvent")
	case v.Exists("eventCategory"):
		return get(v, "eventCategory") == "Management"
	}
	name := get(v, "eventName")
	for _, about := range []string{"Object", "Item", "Record", "Message", "Upload", "Part", "Invoke", "Query", "Scan", "Statement", "Publish", "Send", "Document", "Entity"} {
		if strings.Contains(name, about) {
			return false
		}
	}
	return true
}

// address is s when it is an IP address, perhaps with a port, and nothing otherwise.
func address(s string) string {
	if s == "" {
		return ""
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return s
	}
	if p, err := netip.ParseAddrPort(s); err == nil {
		return p.Addr().String()
	}
	return ""
}

// verbOf says what a call does by its name, as the clouds name theirs: GetObject,
// storage.objects.list, v1.compute.instances.insert.
func verbOf(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		name = name[i+1:]
	}
	lower := strings.ToLower(name)
	for _, v := range []struct {
		action string
		verbs  []string
	}{
		{"list", []string{"list", "search", "query", "scan"}},
		{"read", []string{"get", "describe", "head", "read", "lookup", "batchget", "select", "fetch", "view", "download", "testiampermissions"}},
		{"export", []string{"export", "copy", "dump", "extract", "createsnapshot", "sharesnapshot"}},
		{"delete", []string{"delete", "terminate", "remove", "destroy", "purge", "drop", "truncate"}},
	} {
		for _, verb := range v.verbs {
			if strings.HasPrefix(lower, verb) {
				return v.action
			}
		}
	}
	return "update"
}
