package cli

import (
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
)

// foresee says what a command would lead to.
func (a *app) foresee(c *cobra.Command, incident, name string, body map[string]any) error {
	server, err := a.connect()
	if err != nil {
		return err
	}
	out, err := server.Foresee(a.context(c), incident, name, body)
	if err != nil {
		return err
	}
	return a.show(out, func(w io.Writer) {
		if len(out.Plan) == 0 {
			fmt.Fprintln(w, "No clock would move. Nothing was recorded.")
			return
		}
		for _, line := range out.Plan {
			fmt.Fprintf(w, "%s\n", oneLine(line))
		}
		if len(out.Versions) > 0 {
			seen := ""
			for _, id := range slices.Sorted(maps.Keys(out.Versions)) {
				seen += fmt.Sprintf(" --seen %s=%d", oneLine(id), out.Versions[id])
			}
			fmt.Fprintf(w, "Nothing was recorded. To do it unless somebody acts on one of them first, put in the place of --dry-run:\n %s\n", seen)
			return
		}
		fmt.Fprintln(w, "Nothing was recorded: give the command without --dry-run to do it.")
	})
}

// maxAttached is what the server takes as one file.
const maxAttached = 32 << 20

func (a *app) attachCommand() *cobra.Command {
	var note, name string
	c := &cobra.Command{Use: "attach INCIDENT FILE", Short: "Attach a file of at most 32 MiB as evidence", Args: exactly("INCIDENT", "FILE")}
	c.Flags().StringVar(&note, "note", "", "what it is, and where it comes from")
	c.Flags().StringVar(&name, "name", "", "what it is called; default the file's own name")
	c.RunE = func(c *cobra.Command, args []string) error {
		if note == "" {
			return &usageError{text: "--note is missing: what it is, and where it comes from", hint: "usage: " + c.UseLine()}
		}
		raw, err := readLimited(args[1], maxAttached)
		if err != nil {
			return &failure{text: err.Error(), hint: "attach a larger file in parts"}
		}
		if name == "" {
			name = filepath.Base(args[1])
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		out, err := server.Attach(a.context(c), args[0], name, note, raw)
		if err != nil {
			return err
		}
		return a.showOutcome(out)
	}
	return c
}

func (a *app) attachmentCommand() *cobra.Command {
	var out string
	c := &cobra.Command{Use: "attachment INCIDENT ATTACHMENT", Short: "Save an attached file, such as ATT-1; nobody has looked at it for harm", Args: exactly("INCIDENT", "ATTACHMENT")}
	c.Flags().StringVar(&out, "out", "", "file to write; - is standard output")
	c.RunE = func(c *cobra.Command, args []string) error {
		if out == "" {
			return &usageError{text: "--out is missing: where the file goes", hint: "usage: " + c.UseLine()}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		if out == "-" {
			return server.Attachment(a.context(c), args[0], args[1], a.deps.Out)
		}
		_, err = writeFile(out, func(w io.Writer) error { return server.Attachment(a.context(c), args[0], args[1], w) })
		return err
	}
	return c
}
