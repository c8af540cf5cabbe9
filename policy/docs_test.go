package policy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/policy"
)

// Every example of the authors' page compiles without a finding.
func TestTheExamplesOfTheDocsCompile(t *testing.T) {
	page, err := os.ReadFile("../docs/policy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(examples) < 8 {
		t.Fatalf("%d examples, want one for each notion", len(examples))
	}
	for _, e := range examples {
		src := completed(e[1])
		if strings.Contains(src, "2 of comms") {
			src = strings.Replace(src, "comms: { does: writes, holder: omar }", "comms: { does: writes, holder: [omar, ida] }", 1)
		}
		if _, diags := policy.Compile("README.md", []byte(src), policy.WithChannels("email", "slack", "basecamp", "status-page")); len(diags) > 0 {
			t.Errorf("%s", policy.Format(diags, []byte(src)))
		}
	}
	// The table of clocks is read, too.
	clocks := 0
	for _, row := range regexp.MustCompile("(?m)^\\| ((?:`[^`]+`(?:, )?)+) \\| (?:a limit|aim|the same|counts|from|before)").FindAllStringSubmatch(string(page), -1) {
		for _, clock := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			clocks++
			src := completed("time: { business: \"Mon-Fri 09:00-17:30\", promptly: 4h }\nduties:\n  judge: { who: lead, do: decide, of: [confirmed], due: 8h after detected }\n  back: { who: lead, do: restore, due: open }\n  a: { who: lead, do: contain, due: \"" + clock[1] + "\" }\n")
			if _, diags := policy.Compile("README.md", []byte(src)); len(diags) > 0 {
				t.Errorf("%s\n%s", clock[1], policy.Format(diags, []byte(src)))
			}
		}
	}
	if clocks < 9 {
		t.Errorf("%d clocks were read from the table, want all of them", clocks)
	}
}
