package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) policyPage() *cobra.Command {
	var format, out string
	c := &cobra.Command{Use: "page FILE", Short: "The public page a policy publishes", Args: exactly("FILE")}
	c.Flags().StringVar(&format, "format", "md", "md or html")
	c.Flags().StringVar(&out, "out", "-", "file to write; - is standard output")
	c.RunE = func(c *cobra.Command, args []string) error {
		if format != "md" && format != "html" {
			return &usageError{text: fmt.Sprintf("--format is md or html, not %q", format), hint: "usage: " + c.UseLine()}
		}
		p, err := a.compile(args[0])
		if err != nil {
			return err
		}
		body := p.HTML()
		if format == "md" {
			body = p.Markdown()
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
