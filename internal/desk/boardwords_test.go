package desk

import (
	"testing"

	"github.com/tocsin-ir/tocsin/policy"
)

func TestATaskOfAnyScriptBeginsWithACapital(t *testing.T) {
	for task, want := range map[string]string{"post the news": "Post the news", "überprüfe die Sicherung": "Überprüfe die Sicherung", "проверить копию": "Проверить копию", "確認する": "確認する"} {
		p := &policy.Program{Duties: []policy.Duty{{ID: "own", Do: policy.Perform, Task: task}}}
		if got := saySomething(p, &ClockRow{Duty: "own"}); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
