package regime

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// Clocks lists the clock of every duty to tell the party that applies, or may: one whose question
// is open comes with the verdict Unknown and the names that are missing. One that a recorded fact
// rules out comes with the verdict False and its reason, so that "not due" can be told from "no law
// is known". Left out is a law of another place, and one for a trade that nobody has said the vendor
// is in (Duty.For); Explain says so for each.
func (c *Catalogue) Clocks(q policy.LawQuestion) []policy.LawClock {
	var out []policy.LawClock
	for _, e := range c.Explain(q) {
		if e.Clock.ID != "" && !e.Elsewhere {
			out = append(out, e.Clock)
		}
	}
	return out
}

// Explanation says what came of one duty for a question.
type Explanation struct {
	Regime string          `json:"regime"` // id
	Duty   string          `json:"duty"`   // id
	Clock  policy.LawClock `json:"clock"`  // the zero value where none can come of it
	Why    string          `json:"why"`

	Elsewhere bool `json:"elsewhere,omitempty"` // nobody affected lives in its reach
}

// Explain looks at every duty to tell the party and says of each whether it applies, and why or why
// not: also of those no clock comes of.
func (c *Catalogue) Explain(q policy.LawQuestion) []Explanation {
	if q.Do != policy.Notify && q.Do != "" {
		return nil
	}
	var out []Explanation
	where := placesOf(q)
	for i := range c.Regimes {
		r := &c.Regimes[i]
		for j := range r.Duties {
			d := &r.Duties[j]
			if !d.tells(q.Party) {
				continue
			}
			e := Explanation{Regime: r.ID, Duty: d.ID}
			switch answer, known := q.Facts[d.For].(bool); {
			case !d.Runs():
				e.Why = "not run: " + d.NotRun
			case d.For != "" && !known:
				e.Why = "only for those it names: answer fact." + d.For + " with yes to have it run"
			case d.For != "" && !answer:
				e.Why = "fact." + d.For + " is answered no"
			default:
				e.Clock = c.clock(r, d, q, where)
				e.Why = e.Clock.Applies.Why
				e.Elsewhere = len(r.Jurisdiction) > 0 && within(r.Jurisdiction, where, q).Value == policy.False
			}
			out = append(out, e)
		}
	}
	return out
}

// tells reports whether the duty is one to tell a party of this kind. A contract is asked for by
// the platform's own name; only what AskedAs lists answers to a wider one.
func (d *Duty) tells(party string) bool {
	if len(d.AskedAs) > 0 {
		return slices.Contains(d.AskedAs, party)
	}
	return d.To == party
}

func (c *Catalogue) clock(r *Regime, d *Duty, q policy.LawQuestion, where []string) policy.LawClock {
	return policy.LawClock{
		ID: d.ID, Regime: r.Name, Source: d.source, Anchor: d.Anchor, Span: d.span, Zone: c.zones[r.Zone], Hours: d.hours,
		Text: d.text, Verified: d.Verification, AsOf: r.AsOf, Applies: verdict(r, d, q, where),
	}
}

// weekdays is open from Monday to Friday, the whole day: what laws call working days, without the
// public holidays, which are not in the data. So a clock may end too early, never too late.
func weekdays(zone *time.Location) calendar.Hours {
	h := calendar.Always(zone)
	h.Week[time.Saturday], h.Week[time.Sunday] = nil, nil
	return h
}

// source is law and clause: "Regulation (EU) 2016/679, Art. 33(1), (3), (4)".
func source(r Regime, d Duty) string {
	if len(r.Jurisdiction) == 0 { // a contract goes by the name of the platform
		platform, _, _ := strings.Cut(r.Name, " - ")
		return platform + ", " + d.Citation
	}
	law, _, _ := strings.Cut(r.Citation, ", Arts.")
	law, _, _ = strings.Cut(law, ";")
	law, _, _ = strings.Cut(law, " (SB")
	return cited(law, d.Citation)
}

// cited puts law and clause together without naming the law twice: the clause may begin as the law
// does, or with the section that the law's name ends in.
func cited(law, clause string) string {
	if strings.Count(law, "(") > strings.Count(law, ")") {
		law, _, _ = strings.Cut(law, " (")
	}
	switch {
	case strings.Contains(law, clause):
		return law
	case strings.Contains(clause, law):
		return clause
	}
	of, at := strings.Fields(strings.TrimSuffix(law, " ff.")), strings.Fields(clause)
	if len(of) > 1 && len(at) > 1 && of[0] == at[0] && len(of[0]) > 1 && of[0] != "Art." {
		return clause
	}
	for n := min(2, len(of)-1); n > 0; n-- {
		if end := strings.Join(of[len(of)-n:], " "); sameSection(end, clause) {
			return strings.Join(append(of[:len(of)-n:len(of)-n], clause), " ")
		}
	}
	return law + ", " + clause
}

// sameSection reports whether a clause begins with the section that a law's name ends in, or with one of
// the same chapter: 1798.82 and 1798.82(a), 521.002 and 521.053(b).
func sameSection(end, clause string) bool {
	same := 0
	for same < len(end) && same < len(clause) && end[same] == clause[same] {
		same++
	}
	return same >= 4 && strings.ContainsAny(end[:same], "0123456789") && strings.ContainsAny(end, "0123456789")
}

// Short is the first part of a longer standard, for a line in a list.
func Short(qualifier string) string {
	for _, end := range []string{";", " (", " - ", ": "} {
		qualifier, _, _ = strings.Cut(qualifier, end)
	}
	return strings.TrimSpace(qualifier)
}

func text(r Regime, d Duty) string {
	s := Short(d.Qualifier)
	if d.Span != "" {
		s = d.Span
	}
	return fmt.Sprintf("%s after %s (%s)", s, d.Anchor, source(r, d))
}

// verdict is the conjunction of where the law holds and what it asks for.
func verdict(r *Regime, d *Duty, q policy.LawQuestion, where []string) policy.Verdict {
	parts := make([]policy.Verdict, 0, len(d.when)+1)
	if len(r.Jurisdiction) > 0 {
		if parts = append(parts, within(r.Jurisdiction, where, q)); parts[0].Value == policy.False {
			return parts[0] // most laws of the world, for most incidents
		}
	}
	for _, p := range d.when {
		parts = append(parts, p.eval(q.Facts))
	}
	v := policy.Verdict{Value: policy.True}
	var whys []string
	for _, p := range parts {
		switch {
		case p.Value == policy.False:
			return policy.Verdict{Value: policy.False, Why: p.Why} // one no is enough, whatever else is open
		case p.Value == policy.Unknown:
			v.Value = policy.Unknown
			v.Missing = append(v.Missing, p.Missing...)
		}
		whys = append(whys, p.Why)
	}
	v.Why = strings.Join(whys, "; ")
	return v
}

// placesOf is where those affected live, and the recipient, in the order of the alphabet.
func placesOf(q policy.LawQuestion) []string {
	places := slices.Clone(q.Regions)
	if q.Recipient != nil {
		switch {
		case q.Recipient.Region != "":
			places = append(places, q.Recipient.Region)
		case q.Recipient.Country != "":
			places = append(places, q.Recipient.Country)
		}
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// within says whether somebody the law protects is affected. A country without its state may be in
// a state's reach; nobody knows.
func within(jurisdiction, places []string, q policy.LawQuestion) policy.Verdict {
	maybe := ""
	for _, place := range places {
		for _, j := range jurisdiction {
			switch {
			case place == j || strings.HasPrefix(place, j+"-"):
				return policy.Verdict{Value: policy.True, Why: "somebody in " + place + " is affected"}
			case strings.HasPrefix(j, place+"-"):
				maybe = place
			}
		}
	}
	switch {
	case maybe != "":
		return policy.Verdict{Value: policy.Unknown, Missing: []string{"scope.regions"}, Why: "somebody in " + maybe + " is affected, and nobody knows in which part of it"}
	case q.Regions == nil && q.Within != nil && !slices.ContainsFunc(q.Within, func(place string) bool { return overlap(place, jurisdiction) }):
		return policy.Verdict{Value: policy.False, Why: "the policy says that nobody affected can live in its reach"}
	case q.Regions == nil:
		return policy.Verdict{Value: policy.Unknown, Missing: []string{"scope.regions"}, Why: "nobody knows yet where those affected live"}
	}
	return policy.Verdict{Value: policy.False, Why: "nobody affected lives in its reach"}
}

// overlap says whether somebody in a place can be in the reach of a law.
func overlap(place string, jurisdiction []string) bool {
	if place == "EU" {
		return slices.ContainsFunc(policy.Union, func(member string) bool { return overlap(member, jurisdiction) })
	}
	return slices.ContainsFunc(jurisdiction, func(j string) bool {
		return j == place || strings.HasPrefix(j, place+"-") || strings.HasPrefix(place, j+"-")
	})
}

// predicate is one fact that a duty asks for.
type predicate struct {
	fact string
	not  bool
	op   string // ">" or ">=" for a number
	n    int64
}

var predicateForm = regexp.MustCompile(`^(!?)([a-z][a-z0-9_]*)(?: (>=|>) ([0-9]{1,9}))?$`)

func parsePredicate(s string) (predicate, error) {
	m := predicateForm.FindStringSubmatch(s)
	if m == nil || m[1] != "" && m[3] != "" {
		return predicate{}, fmt.Errorf("when: %q is not NAME, !NAME or NAME > 500", s)
	}
	p := predicate{fact: m[2], not: m[1] != "", op: m[3]}
	if p.op != "" {
		n, err := strconv.ParseInt(m[4], 10, 64)
		if err != nil {
			return predicate{}, fmt.Errorf("when: %q: %w", s, err)
		}
		p.n = n
	}
	return p, nil
}

func (p predicate) eval(facts map[string]any) policy.Verdict {
	name := "fact." + p.fact
	unknown := policy.Verdict{Value: policy.Unknown, Missing: []string{name}, Why: name + " is not answered"}
	holds := false
	if p.op == "" {
		answer, ok := facts[p.fact].(bool)
		if !ok {
			return unknown
		}
		holds = answer != p.not
	} else {
		n, ok := number(facts[p.fact])
		if !ok {
			return unknown
		}
		holds = n > p.n || p.op == ">=" && n == p.n
	}
	v := policy.Verdict{Value: policy.False, Why: fmt.Sprintf("%s is %v", name, facts[p.fact])}
	if holds {
		v.Value = policy.True
	}
	return v
}

func number(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case float64: // JSON has no other number
		return int64(n), n == float64(int64(n))
	}
	return 0, false
}

// Fact is a name that the catalogue reads, and the duties that read it.
type Fact struct {
	ID     string   `json:"id"`
	Type   string   `json:"type"` // bool or int
	Means  string   `json:"means"`
	Vendor bool     `json:"vendor"` // about the vendor, not about an incident: switches laws on
	Duties []string `json:"duties"`
}

// Facts lists what a policy has to declare so that a law's question can be answered, in the order
// of the alphabet.
func (c *Catalogue) Facts() []Fact {
	found := map[string]*Fact{}
	note := func(id, typ, duty string, vendor bool) {
		f := found[id]
		if f == nil {
			f = &Fact{ID: id, Type: typ, Means: meanings[id], Vendor: vendor}
			if f.Means == "" {
				f.Means = meaningOf(id)
			}
			found[id] = f
		}
		f.Duties = append(f.Duties, duty)
	}
	for _, r := range c.Regimes {
		for _, d := range r.Duties {
			if d.For != "" {
				note(d.For, "bool", d.ID, true)
			}
			for _, p := range d.when {
				typ := "bool"
				if p.op != "" {
					typ = "int"
				}
				note(p.fact, typ, d.ID, false)
			}
		}
	}
	var out []Fact
	for _, f := range found {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b Fact) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func meaningOf(id string) string {
	if state, ok := strings.CutPrefix(id, "residents_"); ok {
		return "how many residents of " + strings.ToUpper(strings.ReplaceAll(state, "_", "-")) + " are affected"
	}
	return ""
}

// meanings are the questions behind the names.
var meanings = map[string]string{
	"personal_data":            "personal data is involved",
	"controller":               "we decide ourselves why and how the data is processed, and do not only work on a merchant's behalf",
	"risk_to_people":           "a risk to people cannot be ruled out; no only where it is unlikely",
	"high_risk":                "a high risk to people is likely",
	"serious_harm":             "serious harm to somebody is likely",
	"unreadable":               "whoever took the data cannot read it: it was encrypted and the key is safe",
	"identity_data":            "names with identity, account, card, medical or biometric data, or user names with passwords",
	"sensitive_data":           "sensitive data, or data that serves fraud",
	"health_data":              "health information of patients is involved",
	"card_data":                "payment card data is involved",
	"data_taken":               "somebody outside has obtained the data",
	"individuals":              "how many people are affected",
	"shopify_data":             "data from Shopify, or a credential for it, is involved",
	"amazon_data":              "data from Amazon is involved",
	"meta_data":                "data from Meta's platform is involved",
	"google_data":              "data from Google's interfaces is involved",
	"monday_data":              "data from monday.com is involved",
	"significant_incident":     "the incident is significant as NIS2 means it",
	"major_incident":           "the incident is classified as major under DORA",
	"financial_clients":        "a financial entity among the clients is affected",
	"severe_product_incident":  "a flaw of the product is exploited, or its security is severely hit",
	"material_incident":        "the incident is material to investors",
	"nis2_entity":              "we are an essential or important entity under NIS2",
	"financial_entity":         "we are a financial entity under DORA",
	"financial_supplier":       "we supply services to financial entities under DORA",
	"product_manufacturer":     "we make a product with digital elements for the EU market",
	"telecom_provider":         "we provide public electronic communications services",
	"hipaa_covered_entity":     "we are a covered entity under HIPAA",
	"hipaa_business_associate": "we are a business associate under HIPAA",
	"sec_registrant":           "our shares are registered with the SEC",
	"glba_institution":         "we are a financial institution under the FTC's Safeguards Rule",
	"india_operator":           "we run a service, data centre or company in India",
	"china_operator":           "we run a network in China",
	"china_critical_operator":  "we run critical information infrastructure in China",
	"adgm_entity":              "we are registered in Abu Dhabi Global Market",
	"difc_entity":              "we are registered in the Dubai International Financial Centre",
	"takes_cards":              "we take, process or store payment cards",
}
