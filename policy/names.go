package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Universal are the milestones every incident may have, whatever its policy says. They are a set:
// only a policy orders them.
var Universal = []string{
	"suspected", "detected", "acknowledged", "aware", "discovered", "confirmed", "determined", "dismissed", "contained",
	"scoped", "notified", "remediated", "verified", "restored", "watched", "resolved", "reviewed", "closed",
}

// actionStates are the values actions[].state may have; they are the engine's.
var actionStates = []string{"planned", "approved", "applied", "proven", "unproven", "failed", "uncertain", "undoing", "undone", "cancelled"}

// dutyInstants are the instants of a duty that clocks and conditions may name.
var dutyInstants = []string{"applies", "started", "met", "late", "missed", "waived"}

// deliveries are the values X.delivery may have; they are the engine's.
var deliveries = []string{"owed", "trying", "accepted", "bounced", "uncertain", "no_address"}

// name is something a condition may read: its type, how it is read from a View (ok is false while
// it is unknown), and how it prints.
type name struct {
	id      string
	typ     *cel.Type
	words   string // a truth: the sentence; otherwise what the value is called
	any     string // of a number: the sentence that it is more than none
	get     func(v *View) (val any, ok bool)
	pattern *cel.AttributePatternType
	values  []string // the texts it can be, where they are known
	what    string   // of the values: "class", "severity level"
	private bool     // a free text: reasons never print its value
	clock   *Clock   // of passed('…')
}

// names are the names that the conditions of one policy may read: all of them but those of duties,
// which are declared when a condition names the duty. A long policy has thousands, and reads few.
type names map[string]*name

// name finds a name, and declares those of a duty that nothing has named yet.
func (x *expressions) name(id string) *name {
	if n := x.names[id]; n != nil {
		return n
	}
	duty, ok := strings.CutPrefix(id, "duty.")
	if !ok {
		return nil
	}
	duty, _, _ = strings.Cut(duty, ".")
	if i := slices.IndexFunc(x.p.Duties, func(d Duty) bool { return d.ID == duty }); i >= 0 {
		x.names.ofDuty(duty, x.p.noticeOf(x.p.Duties[i]))
	}
	return x.names[id]
}

// everyName lists what conditions may read, in the order of the alphabet.
func (x *expressions) everyName() []string {
	for i := range x.p.Duties {
		x.names.ofDuty(x.p.Duties[i].ID, x.p.noticeOf(x.p.Duties[i]))
	}
	return sortedKeys(x.names)
}

func (ns names) add(id string, typ *cel.Type, words string, get func(v *View) (any, bool)) *name {
	n := &name{id: id, typ: typ, words: words, get: get, pattern: cel.AttributePattern(id)}
	ns[id] = n
	return n
}

// happened reads whether an instant has come.
func happened(instant string) func(v *View) (any, bool) {
	return func(v *View) (any, bool) { return !v.Instants[instant].Equal(time.Time{}), true }
}

// conditionNames declares and types every name from the policy that is not a duty's.
func conditionNames(p *Program) names {
	ns := names{}
	add := ns.add
	class := add("class", cel.StringType, "the class of the incident", func(v *View) (any, bool) {
		// An incident nobody has classified may yet turn out to be of any class.
		return v.Class, v.Class != "" && v.Class != "unclassified"
	})
	class.what = "class"
	for _, c := range p.Classes {
		class.values = append(class.values, c.ID)
	}
	severity := add("severity", cel.StringType, "the severity", func(v *View) (any, bool) { return v.Severity, v.Severity != "" })
	severity.what = "severity level"
	for _, l := range p.Severities {
		severity.values = append(severity.values, l.ID)
	}
	for _, sc := range p.Scales {
		id := sc.ID
		n := add("scale."+id, cel.StringType, "the "+spaced(id), func(v *View) (any, bool) { return v.Scales[id], v.Scales[id] != "" })
		n.what = "level of " + id
		for _, l := range sc.Levels {
			n.values = append(n.values, l.ID)
		}
	}
	for _, f := range p.Facts {
		id, say, kind := f.ID, f.Say, f.Type
		typ := map[string]*cel.Type{"bool": cel.BoolType, "int": cel.IntType, "string": cel.StringType, "choice": cel.StringType}[kind]
		if typ == nil {
			typ = cel.DynType // the declaration itself has been reported
		}
		n := add("fact."+id, typ, say, func(v *View) (any, bool) { return answered(v.Facts[id], kind) })
		n.private = kind == "string"
		if kind == "choice" {
			n.values, n.what = f.Values, "answer to "+id
		}
	}
	strs := types.DefaultTypeAdapter
	scope := func(get func(s *ScopeView) any) func(v *View) (any, bool) {
		return func(v *View) (any, bool) {
			if v.Scope == nil {
				return nil, false
			}
			return get(v.Scope), true
		}
	}
	add("scope.merchants", cel.IntType, "the number of affected merchants", scope(func(s *ScopeView) any { return s.Merchants }))
	add("scope.customers", cel.IntType, "the number of affected customers", scope(func(s *ScopeView) any { return s.Customers }))
	add("scope.data_types", cel.ListType(cel.StringType), "the affected data", scope(func(s *ScopeView) any { return types.NewStringList(strs, s.DataTypes) }))
	declared := make([]string, len(p.Checks))
	for i, c := range p.Checks {
		declared[i] = c.ID
	}
	add("checks", cel.ListType(checkType), "the checks", func(v *View) (any, bool) {
		// Every declared check is in the list, run or not: a gate that asks for all of them must
		// not open because nobody has run one. So is the probe that raised the incident.
		list := make([]ref.Val, len(declared), len(v.Checks)+len(declared))
		for i, id := range declared {
			at := slices.IndexFunc(v.Checks, func(c CheckView) bool { return c.ID == id })
			list[i] = object{checkType, CheckView{ID: id, Passed: at >= 0 && v.Checks[at].Passed}}
		}
		for _, c := range v.Checks {
			if !slices.Contains(declared, c.ID) {
				list = append(list, object{checkType, c})
			}
		}
		return types.NewRefValList(strs, list), true
	})
	add("actions", cel.ListType(actionType), "the actions", func(v *View) (any, bool) {
		list := make([]ref.Val, len(v.Actions))
		for i, a := range v.Actions {
			list[i] = object{actionType, a}
		}
		return types.NewRefValList(strs, list), true
	})
	truth := func(get func(v *View) bool) func(v *View) (any, bool) {
		return func(v *View) (any, bool) { return get(v), true }
	}
	add("evidence.snapshot", cel.BoolType, "a snapshot of the evidence has been taken", truth(func(v *View) bool { return v.Snapshot }))
	add("fix.recorded", cel.BoolType, "the fix is recorded", truth(func(v *View) bool { return v.FixDone }))
	add("fix.verified", cel.BoolType, "the fix is verified", truth(func(v *View) bool { return v.FixProven }))
	add("review.missing", cel.ListType(cel.StringType), "the missing parts of the review", func(v *View) (any, bool) {
		return types.NewStringList(strs, v.Review.Missing), true
	})
	recipient := func(get func(r *RecipientView) (any, bool)) func(v *View) (any, bool) {
		return func(v *View) (any, bool) {
			if v.Recipient == nil {
				return nil, false
			}
			return get(v.Recipient)
		}
	}
	add("recipient.merchant", cel.StringType, "the recipient", recipient(func(r *RecipientView) (any, bool) { return r.Merchant, r.Merchant != "" }))
	add("recipient.country", cel.StringType, "the recipient's country", recipient(func(r *RecipientView) (any, bool) { return r.Country, r.Country != "" }))
	add("recipient.language", cel.StringType, "the recipient's language", recipient(func(r *RecipientView) (any, bool) { return r.Language, r.Language != "" }))
	add("recipient.region", cel.StringType, "the recipient's region", recipient(func(r *RecipientView) (any, bool) { return r.Region, r.Region != "" }))
	add("recipient.zone", cel.StringType, "the recipient's time zone", recipient(func(r *RecipientView) (any, bool) { return r.Zone, r.Zone != "" }))
	add("recipient.contract", cel.BoolType, "the recipient's contract has a term of notice", recipient(func(r *RecipientView) (any, bool) {
		if r.Contract == nil {
			return nil, false
		}
		return *r.Contract, true
	}))
	exposure := add("recipient.exposure", cel.StringType, "the recipient's exposure", recipient(func(r *RecipientView) (any, bool) { return r.Exposure, r.Exposure != "" }))
	exposure.values, exposure.what = []string{"shown", "possible", "ruled_out"}, "exposure"
	add("recipient.customers", cel.IntType, "the number of the recipient's customers affected", recipient(func(r *RecipientView) (any, bool) { return r.Customers, true }))
	add("recipient.records", cel.IntType, "the number of the recipient's records affected", recipient(func(r *RecipientView) (any, bool) { return r.Records, true }))
	add("recipient.data_types", cel.ListType(cel.StringType), "the recipient's affected data", recipient(func(r *RecipientView) (any, bool) {
		return types.NewStringList(strs, r.DataTypes), true
	}))
	for _, m := range Universal {
		add("milestone."+m, cel.BoolType, been[m], happened(m))
	}
	for _, m := range p.Milestones {
		add("milestone."+m.ID, cel.BoolType, "the incident is "+spaced(m.ID), happened(m.ID))
	}
	return ns
}

// noticeOf is what a sentence calls the notice that a duty sends.
func (p *Program) noticeOf(d Duty) string {
	if !d.Do.tells() {
		return "the notice of " + spaced(d.ID)
	}
	return "the notice to " + p.recipients(d.To)
}

// ofDuty declares what conditions may read of one duty, whose notice is called so.
func (ns names) ofDuty(id, notice string) {
	add := ns.add
	for _, at := range dutyInstants {
		says := map[string]string{
			"applies": "applies", "started": "has begun", "met": "is met", "late": "is late", "missed": "is missed", "waived": "was waived",
		}[at]
		add("duty."+id+"."+at, cel.BoolType, "the duty to "+spaced(id)+" "+says, happened(id+"."+at))
	}
	count := func(get func(DutyView) int64) func(v *View) (any, bool) {
		return func(v *View) (any, bool) {
			d, ok := v.Duties[id]
			return get(d), ok
		}
	}
	open := add("duty."+id+".open_items", cel.IntType, "the number of items that "+notice+" left open", count(func(d DutyView) int64 { return d.OpenItems }))
	open.any = notice + " left anything open"
	add("duty."+id+".recipients", cel.IntType, "the number of recipients of "+notice, count(func(d DutyView) int64 { return d.Recipients }))
	add("duty."+id+".told", cel.IntType, "the number of recipients told by "+notice, count(func(d DutyView) int64 { return d.Told }))
	delivery := add("duty."+id+".delivery", cel.StringType, "the delivery of "+notice, func(v *View) (any, bool) {
		return v.Duties[id].Delivery, v.Duties[id].Delivery != ""
	})
	delivery.values, delivery.what = deliveries, "outcome of a delivery"
}

// answered converts a recorded judgement to its declared type. What does not fit is unknown: an
// answer that cannot be read must not decide anything.
func answered(v any, kind string) (any, bool) {
	switch a := v.(type) {
	case bool:
		return a, kind == "bool"
	case string:
		return a, kind == "string" || kind == "choice"
	case int64:
		return a, kind == "int"
	case int:
		return int64(a), kind == "int"
	case float64: // JSON has no other number
		n := int64(a)
		return n, kind == "int" && a >= -1<<53 && a <= 1<<53 && float64(n) == a
	}
	return nil, false
}

// spaced writes an id as words: privacy_officer, CTO, DNS or TLS failure, SEV1.
func spaced(id string) string {
	if len(id) > 64 || strings.ContainsAny(id, " .") {
		return strings.ReplaceAll(id, "_", " ")
	}
	words := strings.Split(id, "_")
	for i, w := range words {
		switch written := abbreviations[w]; {
		case written != "":
			words[i] = written
		case w == "it" && i+1 < len(words), len(words) == 1 && isRank(w):
			words[i] = strings.ToUpper(w)
		}
	}
	return strings.Join(words, " ")
}

// isRank reports whether an id is a rank such as sev1, p0 or s2.
func isRank(id string) bool {
	rank := strings.TrimRight(id, "0123456789")
	return len(id) == len(rank)+1 && (rank == "sev" || rank == "p" || rank == "s" || rank == "l" || rank == "t")
}

// abbreviations are words that no sentence writes small.
var abbreviations = map[string]string{
	"api": "API", "apis": "APIs", "aws": "AWS", "baa": "BAA", "bsi": "BSI", "ccpa": "CCPA", "ceo": "CEO", "cfo": "CFO", "cio": "CIO", "ciso": "CISO", "coo": "COO", "cpo": "CPO", "crm": "CRM", "csirt": "CSIRT",
	"cso": "CSO", "cto": "CTO", "ddos": "DDoS", "dns": "DNS", "dora": "DORA", "dpa": "DPA", "dpo": "DPO", "ehr": "EHR", "ephi": "ePHI", "eu": "EU", "fbi": "FBI", "gcp": "GCP", "gdpr": "GDPR", "hhs": "HHS",
	"hipaa": "HIPAA", "hr": "HR", "ico": "ICO", "ip": "IP", "kms": "KMS", "mfa": "MFA", "nis2": "NIS2", "oauth": "OAuth", "ocr": "OCR", "phi": "PHI", "pii": "PII", "psirt": "PSIRT", "saas": "SaaS", "sla": "SLA",
	"smtp": "SMTP", "soc": "SOC", "sql": "SQL", "ssh": "SSH", "sso": "SSO", "tls": "TLS", "uk": "UK", "url": "URL", "usa": "USA", "vpn": "VPN", "xss": "XSS",
}
