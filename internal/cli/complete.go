package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

// completeIncidents lets the shell complete the ids of open incidents wherever a command takes one
// as its first argument or as --incident.
func (a *app) completeIncidents(c *cobra.Command) {
	for _, sub := range c.Commands() {
		a.completeIncidents(sub)
	}
	if _, first, _ := strings.Cut(c.Use, " "); c.ValidArgsFunction == nil && (strings.HasPrefix(first, "INCIDENT") || strings.HasPrefix(first, "[INCIDENT]")) {
		c.ValidArgsFunction = func(c *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.incidentIDs(c, begun), cobra.ShellCompDirectiveNoFileComp
		}
	}
	if c.Flags().Lookup("incident") != nil {
		_ = c.RegisterFlagCompletionFunc("incident", func(c *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return a.incidentIDs(c, begun), cobra.ShellCompDirectiveNoFileComp
		})
	}
}

// incidentIDs asks the server, and offers nothing when it does not answer at once: whoever presses
// Tab does not wait and reads no error.
func (a *app) incidentIDs(c *cobra.Command, begun string) []cobra.Completion {
	server, err := a.connect(client.WithTries(1, 0))
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(a.context(c), 2*time.Second)
	defer cancel()
	rows, err := server.Board(ctx)
	if err != nil {
		return nil
	}
	var all []cobra.Completion
	for _, r := range rows {
		if strings.HasPrefix(r.ID, begun) {
			all = append(all, cobra.CompletionWithDesc(r.ID, cut(oneLine(r.Title), 60)))
		}
	}
	return all
}
