package accesslog

import (
	"encoding/json"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// trailRecord is what we take of one CloudTrail record. The rest, request parameters above all,
// is not kept: it is unbounded and nobody has declared what in it is personal.
type trailRecord struct {
	EventID      string   `json:"eventID"`
	EventTime    wireTime `json:"eventTime"`
	EventSource  string   `json:"eventSource"`
	EventName    string   `json:"eventName"`
	EventType    string   `json:"eventType"`
	Region       string   `json:"awsRegion"`
	SourceIP     string   `json:"sourceIPAddress"`
	UserAgent    string   `json:"userAgent"`
	ErrorCode    string   `json:"errorCode"`
	ReadOnly     *bool    `json:"readOnly"`
	Account      string   `json:"recipientAccountId"`
	UserIdentity struct {
		Type        string `json:"type"`
		ARN         string `json:"arn"`
		PrincipalID string `json:"principalId"`
		UserName    string `json:"userName"`
		AccessKeyID string `json:"accessKeyId"`
		InvokedBy   string `json:"invokedBy"`
	} `json:"userIdentity"`
}

// decodeCloudTrail maps one record to a cloud_audit event.
func decodeCloudTrail(raw []byte) (*Wire, error) {
	if !utf8.Valid(raw) {
		return nil, &invalid{"event", "is not valid UTF-8"}
	}
	var r trailRecord
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, asInvalid(err)
	}
	if r.EventName == "" || r.EventSource == "" {
		return nil, &invalid{"eventName", "is missing"}
	}
	w := &Wire{
		ID: r.EventID, Time: r.EventTime, Kind: CloudAudit, Credential: r.UserIdentity.AccessKeyID,
		Action: trailAction(&r), Endpoint: r.EventSource + ":" + r.EventName, Outcome: "ok",
		Source: wireOrigin{UserAgent: r.UserAgent},
	}
	switch r.UserIdentity.Type {
	case "IAMUser", "Root", "SAMLUser", "WebIdentityUser", "IdentityCenterUser":
		w.Actor.Type = "staff"
	default:
		w.Actor.Type = "service"
	}
	for _, id := range []string{r.UserIdentity.ARN, r.UserIdentity.UserName, r.UserIdentity.PrincipalID, r.UserIdentity.InvokedBy} {
		if id != "" {
			w.Actor.ID = id
			break
		}
	}
	attributes := map[string]string{}
	keep := func(name, value string) {
		if value != "" {
			attributes[name] = value
		}
	}
	keep("region", r.Region)
	keep("account", r.Account)
	keep("type", r.EventType)
	keep("error", r.ErrorCode)
	// Calls that the cloud makes for itself carry a name in the place of an address.
	if _, err := netip.ParseAddr(r.SourceIP); err == nil {
		w.Source.IP = r.SourceIP
	} else {
		keep("source", r.SourceIP)
	}
	if r.ErrorCode != "" {
		w.Outcome = "error"
		for _, denied := range []string{"AccessDenied", "Unauthorized", "Forbidden"} {
			if strings.Contains(r.ErrorCode, denied) {
				w.Outcome = "denied"
			}
		}
	}
	var err error
	if w.Attributes, err = json.Marshal(attributes); err != nil {
		return nil, &invalid{"event", "cannot be mapped"}
	}
	return w, nil
}

func trailAction(r *trailRecord) string {
	switch name := r.EventName; {
	case strings.HasPrefix(name, "List"):
		return "list"
	case strings.HasPrefix(name, "Delete"), strings.HasPrefix(name, "Terminate"):
		return "delete"
	case r.ReadOnly != nil && *r.ReadOnly,
		strings.HasPrefix(name, "Get"), strings.HasPrefix(name, "Describe"), strings.HasPrefix(name, "Head"):
		return "read"
	}
	return "update"
}
