package incident

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/states.md anew")

const statesFile = "../docs/states.md"

// The page is drawn from the tables that the engine runs, so that it cannot say otherwise.
func TestTheStatesPageIsDrawnFromTheTables(t *testing.T) {
	want := statesPage()
	if *update {
		if err := os.WriteFile(statesFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(statesFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatal("docs/states.md is not what the tables say: go test ./incident -run StatesPage -update")
	}
}

func statesPage() string {
	var b strings.Builder
	b.WriteString("# States\n\nWhich state may follow which, and by what fact. This page is drawn from `incident/transitions.go`, the one\n" +
		"table that the fold and the commands both ask: `go test ./incident -run StatesPage -update` writes it anew.\n")
	for _, m := range Machines() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```mermaid\nstateDiagram-v2\n", strings.ToUpper(m.Name[:1])+m.Name[1:], m.Says)
		for _, r := range m.Rows {
			fmt.Fprintf(&b, "    %s --> %s: %s\n", r.From, r.To, kinds(r))
		}
		b.WriteString("```\n\n| from | fact | to | when |\n|---|---|---|---|\n")
		for _, r := range m.Rows {
			from := r.From
			if from == start {
				from = "(none)"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", from, kinds(r), r.To, r.Label)
		}
	}
	return b.String()
}

func kinds(r Transition) string {
	names := make([]string, len(r.On))
	for i, k := range r.On {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

func TestEveryStateIsReachedAndEveryKindIsKnown(t *testing.T) {
	for _, m := range Machines() {
		reached := map[string]bool{start: true}
		for range m.Rows {
			for _, r := range m.Rows {
				reached[r.To] = reached[r.To] || reached[r.From]
			}
		}
		for _, r := range m.Rows {
			if !reached[r.From] {
				t.Errorf("%s: nothing leads to %s", m.Name, r.From)
			}
			for _, k := range r.On {
				if folds[k] == nil {
					t.Errorf("%s: nothing folds %s", m.Name, k)
				}
			}
		}
	}
	var drawn []Kind
	for _, m := range Machines() {
		for _, r := range m.Rows {
			drawn = append(drawn, r.On...)
		}
	}
	for k := range folds {
		noun, _, _ := strings.Cut(string(k), ".")
		if slices.Contains([]string{"duty", "action", "notice", "check", "page"}, noun) && !slices.Contains(drawn, k) {
			t.Errorf("%s is in no table", k)
		}
	}
}

func TestAFactTheTableDoesNotAllowDoesNotFold(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	id := w.planned("revoke_token", nil)
	f := w.facts[0]
	f.Kind, f.Body = KindActionProven, part("", ActionBody{Action: id, State: ActionProven}).Body
	if _, err := Fold(w.s, f); err == nil || !strings.Contains(err.Error(), "docs/states.md") {
		t.Fatalf("a planned action was proven: %v", err)
	}
}
