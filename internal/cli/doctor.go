package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

func (a *app) doctorCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "doctor", Short: "Check every precondition of every promise of the policy, and say what to do", Args: exactly(),
		Long: "Checks what the promises of your policy rest on: people and their addresses, mail and what\n" +
			"your domain publishes, access events, merchants, connectors, checks, evidence, the machine\n" +
			"and the last drill. A running server is asked; without one the data folder is looked at.\n" +
			"Exit 0: nothing fails; 1: a promise cannot be kept like this.",
	}
	c.Flags().BoolVar(&all, "all", false, "show what is in order as well")
	c.RunE = func(c *cobra.Command, _ []string) error {
		report, err := a.examine(c)
		if err != nil {
			return err
		}
		if err := a.show(report, func(w io.Writer) { a.printReport(w, report, all) }); err != nil {
			return err
		}
		if report.Worst() == doctor.Fail {
			return &ExitError{Code: ExitRefused}
		}
		return nil
	}
	return c
}

// examine asks the server, and where none answers on the folder's own socket looks at the folder.
func (a *app) examine(c *cobra.Command) (doctor.Report, error) {
	var report doctor.Report
	server, err := a.connect(client.WithTries(1, 0))
	if err == nil {
		err = server.Do(a.context(c), http.MethodGet, "/v1/doctor", nil, &report)
	}
	var away *client.UnavailableError
	if errors.As(err, &away) && a.server == "" && a.deps.Examine != nil {
		return a.deps.Examine(a.context(c), a.data)
	}
	return report, err
}

func (a *app) printReport(w io.Writer, r doctor.Report, all bool) {
	paint := a.paint(w)
	where := "the folder, which nobody serves"
	if r.Served {
		where = "the running server"
	}
	if r.Policy != "" {
		where += ", policy " + oneLine(r.Policy)
	}
	fmt.Fprintf(w, "Looked at %s.\n\n", where)
	for _, f := range r.Findings {
		if f.State == doctor.OK && !all {
			continue
		}
		head := fmt.Sprintf("%s %-4s ", f.State.Mark(), f.State)
		say := oneLine(f.Say)
		if len(f.Promises) > 0 {
			say += " (" + strings.Join(f.Promises, " ") + ")"
		}
		for i, line := range wrapped(say, a.width()-7) {
			if i == 0 {
				fmt.Fprintf(w, "%s%s\n", paint(string(f.State), head), line)
			} else {
				fmt.Fprintf(w, "       %s\n", line)
			}
		}
		if f.Do != "" {
			for i, line := range wrapped(oneLine(f.Do), a.width()-9) {
				fmt.Fprintf(w, "       %s%s\n", []string{"→ ", "  "}[min(i, 1)], line)
			}
		}
	}
	fmt.Fprintf(w, "\n%s %d fail, %d warn, %d ok\n", r.Worst().Mark(), r.Count(doctor.Fail), r.Count(doctor.Warn), r.Count(doctor.OK))
}

// wrapped breaks a sentence into lines of at most n columns.
func wrapped(s string, n int) []string {
	var all []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > n {
			all, line = append(all, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(all, line)
}
