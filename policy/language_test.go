package policy_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/policy"
)

func codes(diags []policy.Diagnostic) (out []string) {
	for _, d := range diags {
		out = append(out, d.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// The policy of the design paper says most of what the language can, in its own spelling.
func TestThePolicyOfTheDesignPaperCompiles(t *testing.T) {
	src, err := os.ReadFile("testdata/core.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, diags := policy.Compile("core.yaml", src)
	if p == nil {
		t.Fatal(policy.Format(diags, src))
	}
	for _, want := range []string{"placeholder", "open-role"} {
		if !slices.Contains(codes(diags), want) {
			t.Errorf("nothing is said about %s:\n%s", want, policy.Format(diags, src))
		}
	}
	if len(p.Open) < 3 {
		t.Errorf("%d texts are open, want the three that the policy leaves so", len(p.Open))
	}
	duty := map[string]policy.Duty{}
	for _, d := range p.Duties {
		duty[d.ID] = d
	}
	if d := duty["follow_up"]; d.To != "merchants.affected" || d.When == nil || !slices.Contains(d.When.Reads(), "duty.tell_merchants.open_items") || d.Due[0].Anchor.Names[0] != "tell_merchants.met" {
		t.Errorf("follow_up is %+v", d)
	}
	var kinds []string
	for _, k := range duty["tell_merchants"].Due {
		kinds = append(kinds, k.Kind+" "+strings.Join(k.Anchor.Names, ","))
	}
	if got, want := strings.Join(kinds, "; "), "after confirmed; law confirmed; contract confirmed"; got != want {
		t.Errorf("tell_merchants is due %s, want %s", got, want)
	}
	if e := duty["keep_informed"].Every; e == nil || len(e.Cells) != 2 || e.Cells[0].Span.String() != "2h..4h" || !e.Cells[1].None {
		t.Errorf("keep_informed comes again %+v", e)
	}
	if e := duty["reread_policy"].Every; e == nil || e.Period != "year" {
		t.Errorf("reread_policy comes again %+v", e)
	}
	if d := duty["ask_personal_data"]; !d.Asked || d.Do != policy.Answer || d.Who != "lead" || d.Due[0].Text != "6h after detected" {
		t.Errorf("the question of personal data is the duty %+v", d)
	}
	if d := duty["ask_exposed"]; !d.Asked || d.Who != "lead" || len(d.Due) != 1 || !d.Due[0].Prompt || d.Due[0].Span.Target.String() != p.Promptly.String() || d.Due[0].Span.Limit != nil || !slices.Equal(d.Due[0].Anchor.Names, []string{"detected"}) {
		t.Errorf("the question without a due is the duty %+v", d)
	}
	if len(p.Hours.Regions) != 1 || p.Hours.Regions[0] != "DE-BE" {
		t.Errorf("holidays are those of %v", p.Hours.Regions)
	}
	if g := p.Gates[1]; g.Override == nil || g.Override.Sign[0].Role != "cto" || g.Sign[1].N != 2 || len(g.Need) != 2 {
		t.Errorf("the gate of restore is %+v", g)
	}
	if k := p.Checks[0]; k.Probe != "http-journey" || k.With["file"] != "checkout.yaml" {
		t.Errorf("the check is %+v", k)
	}
	if p.Proofs[0].ID != "old_token_refused" {
		t.Errorf("the proofs are %+v", p.Proofs)
	}
}
