package cli

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
)

func (a *app) daysCommand() *cobra.Command {
	return &cobra.Command{
		Use: "days", Short: "The days of the access log: how long each is kept and why", Args: exactly(),
		Long: "The days of the access log, newest first: how long each is kept, what keeps it\nlonger, and which were removed, when and by which fact. Days are UTC. How long\nthey are kept is evidence.keep in tocsin.yaml.",
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := a.connect()
			if err != nil {
				return err
			}
			days, err := server.LogDays(a.context(c))
			if err != nil {
				return err
			}
			return a.show(days, func(w io.Writer) {
				fmt.Fprintf(w, "Days are kept for %s.\n", days.Keep)
				rows := [][]string{}
				for _, d := range days.Days {
					rows = append(rows, []string{d.Day, strconv.FormatInt(d.Events, 10), strconv.FormatUint(d.Leaves, 10), d.State, d.Why})
				}
				a.table(w, 4, []string{"DAY", "EVENTS", "LEAVES", "STATE", "WHY"}, rows)
			})
		},
	}
}
