package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (a *app) clocksCommand() *cobra.Command {
	var excluded, missing bool
	cmd := &cobra.Command{Use: "clocks [INCIDENT]", Short: "Running clocks by urgency, of one incident or of all", Args: atMost(1)}
	cmd.Flags().BoolVar(&excluded, "excluded", false, "of all: the duties that were ruled out as well, and why")
	cmd.Flags().BoolVar(&missing, "missing", false, "of all: below each clock what is missing to meet it")
	cmd.RunE = func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		if len(args) == 1 {
			clocks, err := server.Clocks(a.context(c), args[0])
			if err != nil {
				return err
			}
			return a.show(clocks, func(w io.Writer) {
				if len(clocks) == 0 {
					fmt.Fprintln(w, "No clock is running.")
					return
				}
				a.printClocks(w, clocks, false)
			})
		}
		sheet, err := server.EveryClock(a.context(c), excluded)
		if err != nil {
			return err
		}
		return a.show(sheet, func(w io.Writer) {
			if len(sheet.Clocks) == 0 {
				fmt.Fprintln(w, "No clock is running.")
			} else {
				fmt.Fprintf(w, "%d running · %d at risk · %d missed · %s\n\n", sheet.Running, sheet.AtRisk, sheet.Missed, plural(sheet.People, "customer account", "customer accounts"))
				a.printClocks(w, sheet.Clocks, true)
			}
			for _, id := range sheet.Unread {
				fmt.Fprintf(w, "%s cannot be read: its clocks are not in this list\n", oneLine(id))
			}
			if missing {
				fmt.Fprintln(w)
				for _, k := range sheet.Clocks {
					for _, m := range k.Missing {
						fmt.Fprintf(w, "%s %s: %s — %s\n", oneLine(k.Incident), oneLine(k.Duty), oneLine(m.What), oneLine(m.Do))
					}
				}
			}
			if len(sheet.Excluded) > 0 {
				rows := make([][]string, 0, len(sheet.Excluded))
				for _, k := range sheet.Excluded {
					rows = append(rows, []string{k.Incident, k.Say, k.Why})
				}
				fmt.Fprintln(w)
				a.table(w, 2, []string{"INCIDENT", "NOT DUE", "WHY NOT"}, rows)
			}
		})
	}
	return cmd
}
