package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the manual pages. It is hidden: packagers and make man call it.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{Use: "man DIR", Short: "Write the manual pages of every command into a folder", Hidden: true, Args: exactly("DIR"), RunE: func(c *cobra.Command, args []string) error {
		if err := os.MkdirAll(args[0], 0o755); err != nil {
			return &failure{text: err.Error()}
		}
		root := c.Root()
		root.DisableAutoGenTag = true // the same commands give the same pages
		header := &doc.GenManHeader{Section: "1", Source: "Tocsin " + a.deps.Version, Manual: "Tocsin"}
		if err := doc.GenManTree(root, header, args[0]); err != nil {
			return &failure{text: err.Error()}
		}
		pages, err := os.ReadDir(args[0])
		if err != nil {
			return &failure{text: err.Error()}
		}
		n := 0
		for _, p := range pages {
			if strings.HasSuffix(p.Name(), ".1") {
				n++
			}
		}
		return a.show(map[string]any{"dir": args[0], "pages": n}, func(w io.Writer) {
			fmt.Fprintf(w, "%s in %s; read one with man %s/tocsin.1\n", plural(int64(n), "page", "pages"), args[0], args[0])
		})
	}}
}
