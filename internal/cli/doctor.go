package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

func (a *app) doctorCommand() *cobra.Command {
	var all, full bool
	c := &cobra.Command{
		Use: "doctor", Short: "Check every precondition of every promise of the policy, and say what to do", Args: exactly(),
		Long: "Checks what the promises of your policy rest on: people and their addresses, mail and what\n" +
			"your domain publishes, access events, merchants, connectors, checks, evidence, the machine\n" +
			"and the last drill. A running server is asked; without one the data folder is looked at.\n" +
			"Of large logs the newest leaves are read and as many at random; --full reads all of it,\n" +
			"opens every leaf and compares each event of the table with the log.\n" +
			"Exit 0: nothing fails; 1: a promise cannot be kept like this.",
	}
	c.Flags().BoolVar(&all, "all", false, "show what is in order as well")
	c.Flags().BoolVar(&full, "full", false, "read all facts, leaves and events, however long it takes")
	c.RunE = func(c *cobra.Command, _ []string) error {
		report, err := a.examine(c, full)
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
func (a *app) examine(c *cobra.Command, full bool) (doctor.Report, error) {
	var report doctor.Report
	line := newProgressLine(a)
	defer line.clear()
	tell := func(p doctor.Progress) {
		if p.Running {
			line.say(fmt.Sprintf("%s: %s of %s %s", oneLine(p.What), number(int64(p.Done)), number(int64(p.Total)), oneLine(p.Unit)))
		}
	}
	server, err := a.connect(client.WithTries(1, 0))
	if err == nil {
		ctx, done := context.WithCancel(a.context(c))
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			if full {
				watchLook(ctx, server, tell)
			}
		}()
		path := "/v1/doctor"
		if full {
			path += "?full=true"
		}
		err = server.Do(ctx, http.MethodGet, path, nil, &report)
		done()
		<-watched
	}
	var away *client.UnavailableError
	if errors.As(err, &away) && a.server == "" && a.deps.Examine != nil {
		return a.deps.Examine(a.context(c), a.data, full, tell)
	}
	return report, err
}

// watchLook tells how far the server's look is until ctx ends.
func watchLook(ctx context.Context, server *client.Client, tell func(doctor.Progress)) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var p doctor.Progress
		if server.Do(ctx, http.MethodGet, "/v1/doctor/progress", nil, &p) != nil {
			return // the answer itself says what is wrong
		}
		tell(p)
	}
}

func (a *app) printReport(w io.Writer, r doctor.Report, all bool) {
	paint := a.paint()
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
	if len(r.Beyond) > 0 {
		fmt.Fprintln(w, "\nCannot be checked from here:")
	}
	for _, b := range r.Beyond {
		for i, line := range wrapped(oneLine(b.Say)+" ("+strings.Join(b.Promises, " ")+")", a.width()-2) {
			fmt.Fprintf(w, "%s%s\n", []string{"○ ", "  "}[min(i, 1)], line)
		}
	}
	fmt.Fprintf(w, "\n%s %d fail, %d warn, %d ok\n", r.Worst().Mark(), r.Count(doctor.Fail), r.Count(doctor.Warn), r.Count(doctor.OK))
}
