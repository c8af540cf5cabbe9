package policy_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/tocsin-ir/tocsin/policy"
)

// Every clock in the book's table is one that compiles.
func TestTheClocksOfTheBookCompile(t *testing.T) {
	page, err := os.ReadFile("../docs/policy/clock.md")
	if err != nil {
		t.Fatal(err)
	}
	clocks := 0
	for _, row := range regexp.MustCompile("(?m)^\\| ((?:`[^`]+`(?:, )?)+) \\| (?:a limit|aim|the same|counts|from|before)").FindAllStringSubmatch(string(page), -1) {
		for _, clock := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			clocks++
			src := completed("time: { business: \"Mon-Fri 09:00-17:30\", promptly: 4h }\nduties:\n  judge: { who: lead, do: decide, of: [confirmed], due: 8h after detected }\n  back: { who: lead, do: restore, due: open }\n  a: { who: lead, do: contain, due: \"" + clock[1] + "\" }\n")
			if _, diags := policy.Compile("clock.md", []byte(src)); len(diags) > 0 {
				t.Errorf("%s\n%s", clock[1], policy.Format(diags, []byte(src)))
			}
		}
	}
	if clocks < 9 {
		t.Errorf("%d clocks were read from the table, want all of them", clocks)
	}
}
