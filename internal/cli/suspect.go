package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// suspectCommand is the one question of the console, in the terminal.
func (a *app) suspectCommand() *cobra.Command {
	return &cobra.Command{Use: "report WHAT", Short: "Say what you saw: the lead is called until somebody acknowledges it; - reads standard input",
		Args: exactly("WHAT"), RunE: func(c *cobra.Command, args []string) error {
			saw := args[0]
			if saw == "-" {
				var err error
				if saw, err = a.stdin(4000); err != nil {
					return err
				}
			}
			if strings.TrimSpace(saw) == "" {
				return &usageError{text: "WHAT is empty: say what you saw, in your own words", hint: "usage: " + c.UseLine()}
			}
			server, err := a.connect()
			if err != nil {
				return err
			}
			out, err := server.Suspect(a.context(c), saw)
			if err != nil {
				return err
			}
			return a.show(out, func(w io.Writer) {
				fmt.Fprintf(w, "%s is open, and the lead is called until somebody acknowledges it.\n", out.Incident)
			})
		}}
}
