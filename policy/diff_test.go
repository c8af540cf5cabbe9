package policy_test

import (
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/policy"
)

func changes(t *testing.T, a, b string) string {
	t.Helper()
	var out []string
	for _, c := range policy.Diff(compiled(t, a), compiled(t, b)) {
		out = append(out, string(c.Kind)+": "+c.Text)
	}
	return strings.Join(out, "\n")
}

const diffed = `
policy: diffed
owner: Acme
time: { business: "Mon-Fri 09:00-17:30", promptly: 4h }
facts: { bad: { ask: "Is it?", by: lead, say: it is bad } }
parties:
  merchants: { affected: scope.merchants, name: merchants }
  shopify: { address: security@shopify.example, name: Shopify }
duties:
  judge: { who: lead, do: decide, of: [confirmed, dismissed], due: 8h after detected }
  stop: { who: lead, do: contain, due: 1h..2h after detected }
  tell: { who: comms, do: notify, to: merchants.affected, due: 72h after confirmed, content: [what_happened], approve: lead, promise: NOT-1 }
gates: [ { guards: restore, need: fix.verified, sign: [lead] } ]
review: [timeline]
page: [ "We keep backups.", "{duties.tell}.", "{duties.stop}." ]
`

// A difference between two policies is said as somebody who is promised something would say it.
func TestADiffIsInWords(t *testing.T) {
	for _, tt := range []struct{ old, now, want string }{
		{"72h after confirmed", "48h after confirmed", "stricter: affected merchants are now told within 48 hours of confirming it instead of 72 hours"},
		{"72h after confirmed", "96h after confirmed", "laxer: affected merchants are now told within 96 hours of confirming it instead of 72 hours"},
		{"72h after confirmed", "72h after detected", "changed: affected merchants are now told within 72 hours of detecting it instead of within 72 hours of confirming it"},
		{"due: 72h after confirmed", "due: [72h after confirmed, 5d after detected]", "stricter: affected merchants are now told within 72 hours of confirming it or within 5 days of detecting it, whichever is earlier instead of within 72 hours of confirming it"},
		{"72h after confirmed", "promptly after confirmed", "laxer: affected merchants are now told promptly after confirming it (we aim for 4 hours) instead of within 72 hours of confirming it"},
		{"1h..2h after detected", "1h..4h after detected", "laxer: we now contain the incident within 4 hours of detecting it (we aim for 1 hour) instead of 2 hours"},
		{"1h..2h after detected", "30min..2h after detected", "stricter: we now contain the incident within 2 hours of detecting it (we aim for 30 minutes) instead of within 2 hours of detecting it (we aim for 1 hour)"},
		{"content: [what_happened]", "content: [what_happened, your_actions]", "stricter: the duty to tell every affected merchant now also has to say what we recommend that you do"},
		{"to: merchants.affected, due: 72h after confirmed,", "to: merchants.affected, due: 72h after confirmed, when: fact.bad,", "laxer: we tell every affected merchant now if it is bad"},
		{"promptly: 4h", "promptly: 2h", "stricter: where this policy says promptly, we now aim for 2 hours instead of 4 hours"},
		{"sign: [lead]", "sign: [lead, comms]", "stricter: the gate restore now is opened with the signature of the lead and the comms instead of the lead"},
		{"need: fix.verified, sign", "sign", "laxer: service is not restored no longer until the fix is verified"},
		{"review: [timeline]", "review: [timeline, root_cause]", "stricter: a review now also has root cause"},
		{"We keep backups.", "We keep no backups.", "reworded: the page no longer says: “We keep backups.”\nreworded: the page now says: “We keep no backups.”"},
		{"  stop: { who: lead, do: contain, due: 1h..2h after detected }\n", "  scope: { who: lead, do: scope, due: 2h after detected }\n", "removed: no longer: we contain the incident within 2 hours of detecting it (we aim for 1 hour)\nadded: new: we establish who and what is affected within 2 hours of detecting it"},
		{"\ntime:", "\n# a remark\ntime:", ""},
		{"owner: Acme\n", "owner: Other\n", "changed: the owner is now “Other” instead of “Acme”"},
	} {
		now := strings.Replace(diffed, tt.old, tt.now, 1)
		if tt.now == diffed || now == diffed {
			t.Fatalf("%q is not in the policy", tt.old)
		}
		if strings.Contains(tt.now, "scope:") {
			now = strings.Replace(now, "{duties.stop}", "{duties.scope}", 1)
		}
		if got := changes(t, diffed, now); got != tt.want {
			t.Errorf("%s → %s\n got %s\nwant %s", tt.old, tt.now, got, tt.want)
		}
	}
}

// A policy does not differ from itself.
func TestTheSamePolicyHasNoChanges(t *testing.T) {
	if got := changes(t, diffed, diffed+"\n# a remark\n"); got != "" {
		t.Errorf("a remark changes %s", got)
	}
}

// Every field of a policy has words for its difference: a new one fails here until it has some.
func TestEveryFieldOfAProgramHasWordsInADiff(t *testing.T) {
	exempt := map[string]string{
		"Program.Hash": "names the text, and the text is what is compared", "Program.Source": "as the hash",
		"Program.Tables": "what a table says stands in the clocks of its duties", "Program.Laws": "the catalogue is no part of the policy",
		"Duty.Asked": "whether the compiler wrote a duty changes nothing in it",
	}
	for _, table := range policy.DiffTables() {
		typ := table.Type
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.IsExported() || f.Name == "ID" && typ.Name() != "Program" || f.Name == "Pos" || exempt[typ.Name()+"."+f.Name] != "" {
				continue
			}
			if !table.Fields[f.Name] {
				t.Errorf("a difference in %s.%s has no words", typ.Name(), f.Name)
			}
		}
		for name := range table.Fields {
			if _, ok := typ.FieldByName(name); !ok {
				t.Errorf("%s has no field %s", typ.Name(), name)
			}
		}
	}
}

// What is set in a field is what a diff speaks of: each leaf of a full policy is altered by itself.
func TestEveryAlteredFieldIsSaid(t *testing.T) {
	full := policy.FullProgram()
	count := 0
	policy.EachLeaf(full, func(path string, altered *policy.Program) {
		count++
		if len(policy.Diff(full, altered)) == 0 {
			t.Errorf("%s is altered, and no change is said", path)
		}
	})
	if count < 120 {
		t.Errorf("%d fields were altered, want all of them", count)
	}
	if d := policy.Diff(full, full); len(d) != 0 {
		t.Errorf("a policy differs from itself: %v", d)
	}
}
