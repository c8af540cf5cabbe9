package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/policy"
)

func (a *app) policyDiff() *cobra.Command {
	return &cobra.Command{
		Use: "diff OLD NEW", Short: "What a policy promises now that it did not, in words", Args: exactly("OLD", "NEW"),
		Long: "Prints one line for each difference: added, removed, stricter (more is promised, or\nsooner), laxer, changed (neither), or reworded (what runs is the same).",
		RunE: func(_ *cobra.Command, args []string) error {
			old, err := a.compile(args[0])
			if err != nil {
				return err
			}
			now, err := a.compile(args[1])
			if err != nil {
				return err
			}
			changes := policy.Diff(old, now)
			if changes == nil {
				changes = []policy.Change{}
			}
			out := map[string]any{"old": map[string]string{"file": args[0], "hash": old.Hash}, "new": map[string]string{"file": args[1], "hash": now.Hash}, "changes": changes}
			return a.exact(out, func(w io.Writer) {
				for _, c := range changes {
					fmt.Fprintf(w, "%-8s  %s  [%s]\n", c.Kind, c.Text, c.Rule)
				}
				if len(changes) == 0 {
					fmt.Fprintln(w, "no difference in what they promise")
				}
			})
		},
	}
}
