package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Each command that does something shows how it is typed, and what it shows is taken by its own flags and
// arguments.
func TestEveryCommandHasAnExampleThatItTakes(t *testing.T) {
	root := rootCommand()
	seen := 0
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.Hidden || c.Name() == "help" || c.HasSubCommands() && c.Annotations["alone"] == "" {
			return
		}
		seen++
		if c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
			return
		}
		takes(t, root, c)
		if got := typed(c.Example); strings.Join(strings.Fields(strings.ReplaceAll(got, "\\\n", "")), " ") != strings.Join(strings.Fields(c.Example), " ") {
			t.Errorf("%s: typed out, the example is another: %s", c.CommandPath(), got)
		} else {
			for line := range strings.Lines(got) {
				if len([]rune(strings.TrimSuffix(line, "\n"))) > columns {
					t.Errorf("%s: help does not fit a terminal of %d columns: %s", c.CommandPath(), columns, line)
				}
			}
		}
	}
	walk(root)
	if seen < 100 {
		t.Errorf("only %d commands were looked at", seen)
	}
}

// takes checks the example of a command by parsing it.
func takes(t *testing.T, root, c *cobra.Command) {
	t.Helper()
	line := strings.TrimSpace(c.Example)
	if len(line)+2 > 160 || strings.Contains(line, "\n") {
		t.Errorf("%s: the example is no short line: %s", c.CommandPath(), line)
	}
	line, _, _ = strings.Cut(line, " < ")
	var words []string
	for i, part := range strings.Split(line, "\"") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	found, rest, err := root.Find(words[1:])
	if err != nil || found != c {
		t.Errorf("%s: its example is of another command: %s", c.CommandPath(), line)
		return
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Errorf("%s: %v", line, err)
		return
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		t.Errorf("%s: %v", line, err)
	}
}
