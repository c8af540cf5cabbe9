package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

func (a *app) detectBacktest() *cobra.Command {
	var rules []string
	var from, to string
	c := &cobra.Command{Use: "backtest --rule FILE --from TIME --to TIME", Short: "Say what rules would have found in the server's log", Args: exactly(),
		Long: "Shows the events of a time, as the server keeps them, to rules that need not be in\n" +
			"use yet, and prints what they would have found. Nothing is raised or recorded."}
	c.Flags().StringArrayVar(&rules, "rule", nil, "rule file or folder; may be given several times")
	c.Flags().StringVar(&from, "from", "", "beginning, inclusive (RFC 3339)")
	c.Flags().StringVar(&to, "to", "", "end, exclusive (RFC 3339)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if len(rules) == 0 || from == "" || to == "" {
			return &usageError{text: "--rule, --from and --to are needed", hint: "such as --rule FILE --from 2026-11-20T00:00:00Z --to 2026-11-21T00:00:00Z"}
		}
		var q client.BacktestQuery
		var err error
		if q.From, err = parseTime(from); err != nil {
			return err
		}
		if q.To, err = parseTime(to); err != nil {
			return err
		}
		files, err := ruleFiles(rules)
		if err != nil {
			return err
		}
		for _, f := range files {
			q.Rules = append(q.Rules, client.RuleText{Name: f.Name, Text: string(f.Data)})
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		found, err := server.Backtest(a.context(c), q)
		if err != nil {
			return err
		}
		return a.show(found, func(w io.Writer) { printBacktest(w, found) })
	}
	return c
}

func printBacktest(w io.Writer, b client.Backtest) {
	for _, p := range b.Problems {
		fmt.Fprintln(w, oneLine(p))
	}
	for _, f := range b.Found {
		level := f.Level
		if level == "" {
			level = "-"
		}
		fmt.Fprintf(w, "%s  %-13s  %s\n", f.Time.UTC().Format("2006-01-02 15:04:05Z"), level, oneLine(f.Sentence))
	}
	if more := b.Total - int64(len(b.Found)); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	fmt.Fprintf(w, "%s, %s of %s\n", plural(b.Events, "event", "events"), plural(b.Total, "detection", "detections"), plural(int64(b.Rules), "rule", "rules"))
	if b.Unread > 0 {
		fmt.Fprintf(w, "%s could not be asked: what they say beside the table has been destroyed\n", plural(b.Unread, "event", "events"))
	}
	if b.Late > 0 {
		fmt.Fprintf(w, "%s came too late for their correlation\n", plural(b.Late, "event", "events"))
	}
}
