package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/policy/paper"
)

func (a *app) policyPage() *cobra.Command {
	var format, out, since string
	c := &cobra.Command{
		Use: "page FILE", Short: "The public page a policy publishes", Args: exactly("FILE"),
		Long: "Renders the page that readers see. With --since it ends with what has changed since an\nolder version, in words.",
	}
	c.Flags().StringVar(&format, "format", "md", "md, html or pdf")
	c.Flags().StringVar(&out, "out", "-", "file to write; - is standard output")
	c.Flags().StringVar(&since, "since", "", "the policy as it was published before, a `FILE`")
	c.RunE = func(c *cobra.Command, args []string) error {
		if format != "md" && format != "html" && format != "pdf" {
			return &usageError{text: fmt.Sprintf("--format is md, html or pdf, not %q", format), hint: "usage: " + c.UseLine()}
		}
		p, err := a.compile(args[0])
		if err != nil {
			return err
		}
		var old *policy.Program
		if since != "" {
			if old, err = a.compile(since); err != nil {
				return err
			}
		}
		body, err := rendered(p, old, format)
		if err != nil {
			return &failure{text: err.Error()}
		}
		if out == "-" {
			_, err = a.deps.Out.Write(body)
			return err
		}
		_, err = writeFile(out, func(w io.Writer) error { _, err := w.Write(body); return err })
		return err
	}
	return c
}

func rendered(p, since *policy.Program, format string) ([]byte, error) {
	s := p.Sheet(since)
	switch format {
	case "md":
		return s.Markdown(), nil
	case "html":
		return s.HTML(), nil
	}
	return paper.Of(p, since)
}
