package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) policyCommands() *cobra.Command {
	check := &cobra.Command{Use: "check FILE", Short: "Check a policy; problems are named FILE:LINE:COL", Args: exactly("FILE"), RunE: func(c *cobra.Command, args []string) error {
		src, err := a.policySource(args[0])
		if err != nil {
			return err
		}
		report, ok := a.deps.Policy.Check(args[0], src)
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
	var format, out string
	page := &cobra.Command{Use: "page FILE", Short: "The public page a policy publishes", Args: exactly("FILE")}
	page.Flags().StringVar(&format, "format", "md", "md or html")
	page.Flags().StringVar(&out, "out", "-", "file to write; - is standard output")
	page.RunE = func(c *cobra.Command, args []string) error {
		if format != "md" && format != "html" {
			return &usageError{text: fmt.Sprintf("--format is md or html, not %q", format), hint: "usage: " + c.UseLine()}
		}
		src, err := a.policySource(args[0])
		if err != nil {
			return err
		}
		body, err := a.deps.Policy.Page(args[0], src, format)
		if err != nil {
			return &failure{text: err.Error(), hint: "tocsin policy check " + args[0]}
		}
		if out == "-" {
			_, err = a.deps.Out.Write(body)
			return err
		}
		_, err = writeFile(out, func(w io.Writer) error { _, err := w.Write(body); return err })
		return err
	}
	return group("policy", "Check a policy and render its page", check, page)
}

func (a *app) policySource(file string) ([]byte, error) {
	if a.deps.Policy == nil {
		return nil, &failure{text: "this program was built without the policy language"}
	}
	src, err := readLimited(file, 1<<20)
	if err != nil {
		return nil, &failure{text: err.Error(), hint: "a policy is a YAML file of at most 1 MiB"}
	}
	return src, nil
}
