package policy_test

import (
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
)

// The page is read by people who weigh every word of it: each rule prints as a sentence that somebody
// could have written.
// promise: PUB-1
func TestSentencesReadAsIfSomebodyHadWrittenThem(t *testing.T) {
	const tell = "parties: { customers: { affected: scope.merchants, name: customers } }\nduties:\n  tell: { who: comms, do: notify, to: customers.affected, content: what_happened, approve: lead, due: 72h after detected"
	for name, tt := range map[string]struct{ src, want, never string }{
		"a role in the singular":   {"gates: [{ guards: restore, sign: [2 of engineer] }]\nroles: { engineer: { does: fixes }, lead: { does: decides }, comms: { does: writes } }", "until two engineers have signed.", "the engineer"},
		"a role in the plural":     {"gates: [{ guards: restore, sign: [2 of engineers] }]\nroles: { engineers: { does: fix }, lead: { does: decides }, comms: { does: writes } }", "until two of the engineers have signed.", ""},
		"a role without a plural":  {"gates: [{ guards: restore, sign: [2 of security] }]\nroles: { security: { does: watches }, lead: { does: decides }, comms: { does: writes } }", "until two people in the role of security have signed.", "securitys"},
		"a role by its letters":    {"gates: [{ guards: restore, sign: [cto, 2 of dpo] }]\nroles: { cto: { does: decides }, dpo: { does: advises }, lead: { does: decides }, comms: { does: writes } }", "until the CTO and two DPOs have signed.", "cto"},
		"needs in one list":        {"gates: [{ guards: restore, need: [fix.verified, \"checks.all(c, c.passed)\"], sign: lead }]\nchecks: { shop: { probe: http, with: { url: \"https://a.example\" } } }", "until the fix is verified, every check has passed and the lead has signed.", ""},
		"countries by name":        {tell + ", when: \"recipient.country in ['DE', 'NL'] || recipient.region == 'US-CA'\" }", "where the recipient is in Germany or the Netherlands or in California,", "DE"},
		"not in a country":         {tell + ", when: recipient.country != 'GB' }", "where the recipient is not in the United Kingdom,", "GB"},
		"none of several":          {tell + ", when: \"!(recipient.country in ['DE', 'FR'] || recipient.region == 'US-CA')\" }", "where the recipient is not in Germany or France, and not in California,", "it is not so"},
		"neither of two questions": {tell + ", when: \"!(fact.a || fact.b)\" }\nfacts: { a: { ask: Aa, by: lead, say: data was taken, due: 1h after detected }, b: { ask: Bb, by: lead, say: data was seen, due: 1h after detected } }", "if we have ruled out that data was taken and we have ruled out that data was seen,", "it is not so"},
		"a language":               {tell + ", when: recipient.language == 'de' }", "where the recipient's language is German,", ""},
		"a follow-up": {tell + " }\n  more: { who: comms, do: notify, to: tell.to, when: tell.open_items > 0, content: root_cause, approve: lead, due: 5d after tell.met }",
			"We tell every affected customer by e-mail within 5 days of the earlier notice to them, if that notice left anything open, saying its cause.", "number of items"},
		"one of several notices": {tell + " }\n  more: { who: comms, do: notify, to: tell.to, content: root_cause, approve: lead, due: 5d after tell.met }\n  last: { who: comms, do: notify, to: tell.to, content: prevention, approve: lead, due: 1mo after more.met }",
			"within 1 month of the notice “more”, saying how we keep it from happening again.", "earlier notice"},
		"the holidays":                          {"time: { zone: Europe/Berlin, business: \"Mon-Fri 09:00-17:30\", holidays: [DE-BE, 2026-12-24] }", "except on the public holidays of Berlin and 24 December 2026.", "we list"},
		"when an incident counts as discovered": {"duties: { find: { who: lead, do: decide, of: discovered, due: 1d after detected } }", "We decide from when on the incident counts as discovered within 1 day of detecting it.", "whether"},
		"the earlier of two":                    {"duties: { stop: { who: lead, do: contain, due: [4h after detected, 2h after suspected] } }", "within 4 hours of detecting it or within 2 hours of suspecting it, whichever is earlier.", "earliest"},
		"the later of two": {"duties: { delete: { who: lead, do: perform, task: delete the records, not_before: [2y after detected, 1y after suspected], due: open } }",
			"We delete the records not before 2 years after detecting it or 1 year after suspecting it, whichever is later, and then as soon as we can, without a fixed limit.", ""},
		"every level has its cell": {"duties: { stop: { who: lead, do: contain, due: 3d after detected } }\ntables: [{ by: severity, high: { stop: 4h }, low: { stop: 1d } }]\npage: [\"{duties.stop}.\"]",
			"We contain the incident within 4 hours of detecting it where the severity is high, and within 1 day of detecting it where the severity is low.", "otherwise"},
		"levels that are alike": {"scales: { severity: { sev1: { means: a }, sev2: { means: b }, sev3: { means: c } } }\nduties: { stop: { who: lead, do: contain, due: 3d after detected } }\ntables: [{ by: severity, sev1: { stop: 4h }, sev2: { stop: none }, sev3: { stop: none } }]\npage: [\"{duties.stop}.\"]",
			"within 4 hours of detecting it where the severity is SEV1, and not at all where the severity is SEV2 or SEV3.", "sev2"},
		"called twice": {"duties: { stop: { who: lead, do: contain, due: 4h after detected, late: { -1h: lead, 0min: lead, 1h: comms } } }", "we call the lead 1 hour before the limit, again at the limit and the comms 1 hour after the limit.", ""},
		"called after a target": {"time: { promptly: 4h }\nduties: { stop: { who: lead, do: contain, due: promptly after detected, late: { 15min: lead } } }",
			"we call the lead 15 minutes after the time we aim for.", "the limit"},
		"called after a ceiling": {"time: { promptly: 4h }\nduties: { stop: { who: lead, do: contain, due: promptly..9h after detected, late: { 15min: lead } } }",
			"we call the lead 15 minutes after the limit.", ""},
		"places of law": {tell[:len(tell)-len("72h after detected")] + "[72h after detected, as law] }\nlaw: { where: [EU, US-CA, JP] }\npage: [\"{duties.tell}.\", \"{laws}\"]",
			"We hold data of people in the European Union, California and Japan only,", "US-CA"},
		"a law that is silent beside a limit": {"duties: { stop: { who: lead, do: contain, due: [72h after detected, as law] } }\npage: [\"{duties.stop}.\", \"{laws}\"]",
			"Where we contain the incident, no law that we know of sets a time; our own limit stands.", "we do it promptly"},
		"a law that is silent": {"duties: { stop: { who: lead, do: contain, due: as law } }\npage: [\"{duties.stop}.\", \"{laws}\"]",
			"no law that we know of sets a time; we do it promptly.", "our own limit"},
		"a law is named once": {tell[:len(tell)-len("72h after detected")] + "[72h after detected, as law] }\nlaw: { where: GB }\npage: [\"{duties.tell}.\", \"{laws}\"]",
			"(UK GDPR Art. 33(2)): without undue delay, counted from becoming aware of it.", "UK GDPR Arts. 33, 34, UK GDPR"},
	} {
		src := completed(tt.src + "\n")
		p, diags := policy.Compile("p.yaml", []byte(src), policy.WithLaws(regimes.Catalogue()))
		if p == nil {
			t.Errorf("%s:\n%s", name, policy.Format(diags, []byte(src)))
			continue
		}
		page := string(p.Markdown())
		page = strings.NewReplacer(" [tell]", "", " [more]", "", " [stop]", "", " [restore]", "", " [delete]", "", " [last]", "", " [find]", "").Replace(page)
		if !strings.Contains(page, tt.want) {
			t.Errorf("%s: the page does not say %q:\n%s", name, tt.want, page)
		}
		if tt.never != "" && strings.Contains(page, tt.never) {
			t.Errorf("%s: the page says %q:\n%s", name, tt.never, page)
		}
	}
}
