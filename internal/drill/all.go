package drill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/tocsin-ir/tocsin/scenarios"
)

// All plays every scenario under every policy that its manifest speaks of, one after the other, and
// prints what came of each and a table of promises by scenarios. With a file it puts the table
// between the marks there. It reports whether every expectation held; a drill that could not be
// played counts as one that did not.
func All(ctx context.Context, o Options, file string) (bool, error) {
	out := o.Out
	got := map[string]map[string]map[string]string{} // scenario, policy, promise
	fine := true
	for _, name := range scenarios.Names() {
		m, err := scenarios.Load(name)
		if err != nil {
			return false, err
		}
		got[name] = map[string]map[string]string{}
		for _, policy := range slices.Sorted(maps.Keys(m.Policies)) {
			one, said := o, bytes.Buffer{}
			one.Scenario, one.Policy, one.Out, one.Err, one.Terminal = name, policy, io.Discard, &said, false
			if one.Dir == "" {
				one.Dir = filepath.Join(".drill", "all")
			}
			card, err := Run(ctx, one)
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			verdict := "as expected"
			switch {
			case err != nil:
				verdict, fine = "not played: "+err.Error(), false
			case !card.OK:
				verdict, fine = fmt.Sprintf("not as expected: %s %v", list(card.Broken), card.Findings), false
			}
			fmt.Fprintf(out, "%-14s %-12s %5.1f s  %s\n", name, policy, card.Elapsed, printable(verdict))
			row := map[string]string{}
			for _, p := range card.Promises {
				row[p.ID] = p.Got
			}
			got[name][policy] = row
		}
	}
	table, err := scenarios.Table(func(scenario, policy, promise string) string { return got[scenario][policy][promise] })
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "\n%s", table)
	if file == "" || !fine { // a table of what went wrong is not what a page should say
		return fine, nil
	}
	page, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	marked, err := scenarios.PutTable(page, table)
	if err != nil {
		return false, errors.Join(fmt.Errorf("%s", file), err)
	}
	return fine, os.WriteFile(file, marked, 0o644)
}
