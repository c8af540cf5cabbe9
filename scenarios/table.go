package scenarios

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The table of promises by scenarios stands between these lines of a page.
const (
	tableBegins = "<!-- what the drills show: begin (make drill-all) -->\n"
	tableEnds   = "<!-- what the drills show: end -->\n"
)

// Table is what each scenario shows of each promise, over the policies that make it: how many were
// kept and how many were missed, as Markdown. A promise that no scenario comes to has an empty row.
func Table(got func(scenario, policy, promise string) string) (string, error) {
	promised, all, err := Promised()
	if err != nil {
		return "", err
	}
	names := Names()
	var b strings.Builder
	fmt.Fprintf(&b, "| promise | policies | %s |\n|---|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, id := range all {
		var makers []string
		for _, policy := range slices.Sorted(maps.Keys(promised)) {
			if slices.Contains(promised[policy], id) {
				makers = append(makers, policy)
			}
		}
		fmt.Fprintf(&b, "| `%s` | %d |", id, len(makers)) // not a row of the page's own tables
		for _, name := range names {
			count := map[string]int{}
			for _, policy := range makers {
				count[got(name, policy, id)]++
			}
			var words []string
			for _, state := range slices.Sorted(maps.Keys(count)) {
				if state != NotReached && state != NotApplicable && state != "" {
					words = append(words, fmt.Sprintf("%d %s", count[state], state))
				}
			}
			fmt.Fprintf(&b, " %s |", strings.Join(words, ", "))
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

// PutTable puts the table between the marks of a page.
func PutTable(page []byte, table string) ([]byte, error) {
	head, rest, ok := bytes.Cut(page, []byte(tableBegins))
	_, tail, ok2 := bytes.Cut(rest, []byte(tableEnds))
	if !ok || !ok2 {
		return nil, errors.New("the page has no marks for the table of the drills")
	}
	return slices.Concat(head, []byte(tableBegins+table+tableEnds), tail), nil
}
