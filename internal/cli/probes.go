package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

// probeMarks are the shapes beside the states of probes, as in the console.
var probeMarks = map[string]string{"passing": "✓", "failing": "◐", "out": "✕", "unknown": "○"}

// probeCommands show the checks that run by themselves, and run one now.
func (a *app) probeCommands() *cobra.Command {
	list := &cobra.Command{
		Use: "probes", Aliases: []string{"probe"}, Annotations: map[string]string{"alone": "lists them"}, Short: "How the probes stand: checks that run by themselves", Args: exactly(),
		Long: "Lists the probes of tocsin.yaml. One that fails several times in a row raises an\n" +
			"incident, and has to pass before service returns.",
	}
	list.RunE = func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		all, err := server.Probes(a.context(c))
		if err != nil {
			return err
		}
		return a.show(map[string]any{"probes": all}, func(w io.Writer) {
			if len(all) == 0 {
				fmt.Fprintln(w, "There are no probes. They are written under probes: in tocsin.yaml.")
				return
			}
			a.printProbes(w, all)
		})
	}
	check := &cobra.Command{
		Use: "check NAME", Short: "Run a probe now, and count what it sees", Args: exactly("NAME"),
		Long: "Runs a probe as if it were due: a failure counts, and a success ends an outage.\nExit 0: it passed; 1: it failed.",
	}
	check.RunE = func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		p, err := server.CheckProbe(a.context(c), args[0])
		if err != nil {
			return err
		}
		if err := a.show(p, func(w io.Writer) { a.printProbes(w, []client.Probe{p}) }); err != nil {
			return err
		}
		if p.State != "passing" {
			return &ExitError{Code: ExitRefused}
		}
		return nil
	}
	list.AddCommand(check)
	return list
}

func (a *app) printProbes(w io.Writer, all []client.Probe) {
	var rows [][]string
	for _, p := range all {
		incident := p.Incident
		if p.State == "passing" {
			incident = ""
		}
		rows = append(rows, []string{oneLine(p.Name), probeMarks[p.State] + " " + p.State, a.when(p.Since), incident})
	}
	a.table(w, 0, []string{"PROBE", "STATE", "SINCE", "INCIDENT"}, rows)
	for _, p := range all {
		if p.Saw != "" {
			fmt.Fprintf(w, "\n%s, %s: %s\n", oneLine(p.Name), a.when(p.Ran), oneLine(p.Saw))
		}
	}
}
