package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Requirement is one of Shopify's requirements of protected customer data, and where this policy
// answers it.
type Requirement struct {
	ID    string `json:"id"`    // L1-1 to L1-9 and L2-1 to L2-7, in the order of Shopify's page
	What  string `json:"what"`  // the requirement in short
	Kind  string `json:"kind"`  // rule, control check, or outside
	Where string `json:"where"` // the rule or sentence; for outside where it belongs and who answers for it
}

// The kinds of answer to a requirement.
const (
	ByRule    = "rule"          // something that runs here
	ByControl = "control check" // the page says it; a look at the vendor's systems shows it
	Outside   = "outside"       // neither: it stands in another document or system
)

// requirements are those of https://shopify.dev/docs/apps/launch/protected-customer-data, level 1
// and level 2, read in November 2026. A sentence of the page that says it makes it a control check.
var requirements = []struct {
	id, what string
	says     *regexp.Regexp // of a sentence of the page
	outside  string
	rule     func(p *Program) string
}{
	{"L1-1", "process only the data that is needed", regexp.MustCompile(`(?i)minim(um|al|ise|ize)|only the data (we|it) needs?`), "the app's scopes and its data map; who builds the app", nil},
	{"L1-2", "tell merchants what is processed and why", nil, "the privacy policy; the owner", nil},
	{"L1-3", "process for the stated purposes only", nil, "the privacy policy and the app's code; the owner", nil},
	{"L1-4", "respect customers' consent", nil, "the app's code and Shopify's consent API; who builds the app", nil},
	{"L1-5", "respect opting out of sharing and sale", nil, "the privacy policy and the app's code; the owner", nil},
	{"L1-6", "let customers opt out of automated decisions", nil, "the app's code; who builds the app", nil},
	{"L1-7", "agree on privacy and data protection with merchants", regexp.MustCompile(`(?i)data (processing|protection) (agreement|addendum)|\bDPA\b`), "the terms of service and the data processing agreement; the owner", func(p *Program) string {
		return p.dutyWhere(func(d Duty) bool {
			return slices.ContainsFunc(d.Due, func(k Clock) bool { return k.Kind == "contract" })
		})
	}},
	{"L1-8", "keep data no longer than needed", regexp.MustCompile(`(?i)retention|retain|no longer than|delete[sd]? .*(after|when)`), "the retention schedule of the app; who runs the databases", func(p *Program) string {
		return p.dutyWhere(func(d Duty) bool {
			return d.Do == Perform && regexp.MustCompile(`(?i)delet|eras|destroy`).MatchString(d.Task)
		})
	}},
	{"L1-9", "encrypt at rest and in transit", regexp.MustCompile(`(?i)encrypt`), "the hosting and its configuration; who runs the servers", nil},
	{"L2-1", "encrypt backups", regexp.MustCompile(`(?i)backups?\b.*encrypt|encrypt.*backups?\b`), "the backup system; who runs the databases", nil},
	{"L2-2", "keep test and production data apart", regexp.MustCompile(`(?i)\b(test|staging|environments?)\b.*\b(production|apart|separate|separation)|separat.*(environment|test|staging)`), "the hosting and its configuration; who runs the servers", nil},
	{"L2-3", "have a strategy against loss of data", nil, "access rules and monitoring of the data stores; who runs them", func(p *Program) string {
		for _, k := range p.Classes {
			for _, s := range k.Signals {
				if strings.Contains(s, "export") || strings.Contains(s, "volume") || strings.Contains(s, "exfil") {
					return fmt.Sprintf("class %s: the signal %s opens an incident (line %d)", k.ID, s, k.Pos.Line)
				}
			}
		}
		return ""
	}},
	{"L2-4", "limit the access of staff", regexp.MustCompile(`(?i)access.*(authori[sz]ed|restricted|limited|role-based|least)|(authori[sz]ed|limited|least).*access`), "the accounts of the hosting; who gives access", nil},
	{"L2-5", "strong passwords of staff", regexp.MustCompile(`(?i)password|multi-factor|\bMFA\b|passkey`), "the identity provider; who runs it", nil},
	{"L2-6", "log access to the data and look at the log", nil, "tocsin ingest pii_access keeps the log; write a duty of the programme that looks at it", func(p *Program) string {
		return p.dutyWhere(func(d Duty) bool {
			return d.For == "programme" && d.Do == Perform && regexp.MustCompile(`(?i)access log|audit|logs?\b`).MatchString(d.Task)
		})
	}},
	{"L2-7", "have a security incident response policy", nil, "", func(p *Program) string {
		var missing []string
		for _, e := range expectations[:5] {
			if !e.found(p) {
				missing = append(missing, e.what)
			}
		}
		if len(missing) > 0 {
			return "this policy, without " + list(missing, "and")
		}
		return "this policy: severities, roles, escalation, evidence and actions"
	}},
}

// ShopifyRequirements maps the sixteen requirements of protected customer data to what the policy
// holds: a rule that runs, a sentence that a control check has to show, or what lies outside, with
// where it belongs and who answers for it.
func (p *Program) ShopifyRequirements() []Requirement {
	out := make([]Requirement, len(requirements))
	for i, r := range requirements {
		q := Requirement{ID: r.id, What: r.what, Kind: Outside, Where: r.outside}
		if r.rule != nil {
			if where := r.rule(p); where != "" {
				q.Kind, q.Where = ByRule, where
			}
		}
		if q.Kind == Outside && r.says != nil {
			if l := slices.IndexFunc(p.Page, func(l PageLine) bool { return r.says.MatchString(l.Text) }); l >= 0 {
				q.Kind, q.Where = ByControl, fmt.Sprintf("line %d: %s", p.Page[l].Pos.Line, short(strings.TrimLeft(p.Page[l].Text, "-* ")))
				if len(p.Page[l].Promise) > 0 {
					q.Where += " (" + strings.Join(p.Page[l].Promise, ", ") + ")"
				}
			}
		}
		out[i] = q
	}
	return out
}

// dutyWhere names the first duty that is as asked for.
func (p *Program) dutyWhere(is func(Duty) bool) string {
	if i := slices.IndexFunc(p.Duties, is); i >= 0 {
		return fmt.Sprintf("duty %s (line %d)", p.Duties[i].ID, p.Duties[i].Pos.Line)
	}
	return ""
}
