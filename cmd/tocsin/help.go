package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// columns is how wide help is: a terminal that nobody has resized.
const columns = 80

// usage prints how a command is called. Cobra's own does not wrap the descriptions of flags.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if cmd.Runnable() && !cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND\n\nCommands:\n", cmd.CommandPath())
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() || c.Name() == "help" {
				fmt.Fprintf(&b, "  %s\n", folded(c.Name(), cmd.Commands()[0].NamePadding(), c.Short))
			}
		}
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExample:\n%s\n", typed(cmd.Example))
	}
	if flags := cmd.LocalFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s", flags.FlagUsagesWrapped(columns))
	}
	if flags := cmd.InheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nFlags of every command:\n%s", flags.FlagUsagesWrapped(columns))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s COMMAND --help says more about a command.\n", cmd.CommandPath())
	}
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

// typed is an example that fits: a line that is too long goes on below, as a shell takes it, and is
// broken before a flag, so never inside quotation marks.
func typed(example string) string {
	parts := strings.Split(example, " --")
	out, at := parts[0], len([]rune(parts[0]))
	for _, part := range parts[1:] {
		n := len(" --") + len([]rune(part))
		if at+n+len(" \\") > columns {
			out, at = out+" \\\n     ", len("     ")
		}
		out, at = out+" --"+part, at+n
	}
	return out
}

// folded is a name and what it is for, with the words below each other where they do not fit.
func folded(name string, width int, text string) string {
	out := fmt.Sprintf("%-*s ", width, name)
	at := len(out)
	for i, word := range strings.Fields(text) {
		if i > 0 && at+1+len([]rune(word)) > columns-2 {
			out += "\n" + strings.Repeat(" ", width+3)
			at = width + 2
		}
		out += " " + word
		at += 1 + len([]rune(word))
	}
	return out
}
