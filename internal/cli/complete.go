package cli

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
				return nil, filesFor(c.Use, len(args))
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

// forShell readies a tree for a question of a shell: file names are offered where an argument is a file and
// nowhere else, and descriptions of flags are without the marks that --help reads.
func forShell(c *cobra.Command) {
	for _, sub := range c.Commands() {
		forShell(sub)
	}
	plain := func(f *pflag.Flag) { _, f.Usage = pflag.UnquoteUsage(f) }
	c.LocalFlags().VisitAll(plain)
	if c.ValidArgsFunction == nil && c.ValidArgs == nil && !c.HasSubCommands() {
		c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, filesFor(c.Use, len(args))
		}
	}
}

var (
	flagOfUse = regexp.MustCompile(` --\S+ \S+`)
	fileOfUse = regexp.MustCompile(`^\[?(FILE|PATH|DIR|OLD|NEW)\b`)
)

// filesFor says whether files are offered for the argument behind n others, by what its usage calls it. The
// last may be given many times.
func filesFor(use string, n int) cobra.ShellCompDirective {
	names := strings.Fields(flagOfUse.ReplaceAllString(use, ""))[1:]
	if len(names) > 0 && fileOfUse.MatchString(names[min(n, len(names)-1)]) {
		return cobra.ShellCompDirectiveDefault
	}
	return cobra.ShellCompDirectiveNoFileComp
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
