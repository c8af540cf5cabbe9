package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
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
					rows = append(rows, []string{d.Day, strconv.FormatInt(d.Events, 10), strconv.FormatUint(d.Leaves, 10), d.State, whyKept(d)})
				}
				a.table(w, 4, []string{"DAY", "EVENTS", "LEAVES", "STATE", "WHY"}, rows)
			})
		},
	}
}

// whyKept says why a day is kept, or that it is not.
func whyKept(d client.LogDay) string {
	if d.State == "removed" {
		text := "on " + d.At.UTC().Format(time.DateOnly) + ", fact " + d.Fact
		if d.Left {
			text += "; some of it is still there"
		}
		return text
	}
	why := []string{"until " + d.Until.UTC().Format(time.DateOnly)}
	for _, h := range d.Held {
		switch {
		case h.Hold == "":
			why = append(why, h.Incident+" is not settled")
		case h.Until.IsZero():
			why = append(why, fmt.Sprintf("%s of %s: %s", h.Hold, h.Incident, h.Basis))
		default:
			why = append(why, fmt.Sprintf("%s of %s until %s: %s", h.Hold, h.Incident, h.Until.UTC().Format(time.DateOnly), h.Basis))
		}
	}
	return strings.Join(why, "; ")
}
