package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/policy"
)

func (a *app) policyCheck() *cobra.Command {
	return &cobra.Command{Use: "check FILE", Short: "Check a policy; problems are named FILE:LINE:COL", Args: exactly("FILE"), RunE: func(c *cobra.Command, args []string) error {
		src, err := a.policySource(args[0])
		if err != nil {
			return err
		}
		_, diags := policy.Compile(args[0], src)
		report, ok := strings.TrimRight(policy.Format(diags, src), "\n"), !policy.HasErrors(diags)
		err = a.show(map[string]any{"file": args[0], "ok": ok, "report": report}, func(w io.Writer) {
			if report != "" {
				fmt.Fprintln(w, lines(report))
			}
			if ok {
				fmt.Fprintf(w, "%s: ok\n", args[0])
			}
		})
		if err == nil && !ok {
			return &ExitError{Code: ExitRefused}
		}
		return err
	}}
}
