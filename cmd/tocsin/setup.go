package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/app"
	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// setupCommand leads through the first hour. It can be left and called again at any time: what is
// done is looked at each time.
func setupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "setup", Short: "The first hour: what is done, what comes next, and the command for it",
		Long: "Shows the steps from an empty folder to the first drill, and the next one to take. What\n" +
			"is done is looked at each time, so that it can be left and gone on with.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, _ := cmd.Flags().GetString("data")
			if elsewhere, _ := cmd.Flags().GetString("server"); elsewhere != "" {
				server, err := cli.Connect(cmd)
				if err != nil {
					return err
				}
				asked, err := server.Setup(cmd.Context())
				if err != nil {
					return err
				}
				steps := make([]doctor.Step, len(asked))
				for i, s := range asked {
					steps[i] = doctor.Step(s)
				}
				return printSteps(cmd, steps)
			}
			report, err := checkup(cmd.Context(), dir)
			if err != nil {
				return refused(err)
			}
			steps, err := app.Steps(dir, report)
			if err != nil {
				return refused(err)
			}
			return printSteps(cmd, steps)
		},
	}
	var again bool
	skip := &cobra.Command{Use: "skip STEP", Short: "Put a step off; it is not asked for again", Args: cli.Exactly("STEP"), RunE: func(cmd *cobra.Command, args []string) error {
		dir, _ := cmd.Flags().GetString("data")
		if elsewhere, _ := cmd.Flags().GetString("server"); elsewhere != "" {
			server, err := cli.Connect(cmd)
			if err != nil {
				return err
			}
			if err := server.SkipStep(cmd.Context(), args[0], again); err != nil {
				return err
			}
		} else if err := app.SkipStep(dir, args[0], again, time.Now()); err != nil {
			return refused(err)
		}
		return said(cmd, map[string]any{"step": args[0], "skipped": !again}, args[0]+map[bool]string{true: " is asked for again.", false: " is put off."}[again])
	}}
	skip.Flags().BoolVar(&again, "again", false, "ask for it again")
	mail := &cobra.Command{Use: "mail ADDRESS", Short: "Send a test message to yourself by the relay that is configured", Args: cli.Exactly("ADDRESS"), RunE: func(cmd *cobra.Command, args []string) error {
		dir, _ := cmd.Flags().GetString("data")
		if elsewhere, _ := cmd.Flags().GetString("server"); elsewhere != "" {
			return &cli.ExitError{Code: cli.ExitUsage, Err: errors.New("the test message goes out by the configuration in the data folder: run this where the folder is"), Hint: []string{"or send it from the console, under Settings"}}
		}
		if err := app.TestMail(cmd.Context(), app.Options{Dir: dir}, args[0], time.Now()); err != nil {
			return refused(err)
		}
		return said(cmd, map[string]any{"sent": true}, "The relay took the message: look whether it arrived, and where.")
	}}
	var wait time.Duration
	events := &cobra.Command{Use: "events", Short: "Show the line that sends an access event, and wait until one comes in", Args: noArguments, RunE: func(cmd *cobra.Command, _ []string) error {
		dir, _ := cmd.Flags().GetString("data")
		return firstEvent(cmd, dir, wait)
	}}
	events.Flags().DurationVar(&wait, "wait", 10*time.Minute, "how long to wait at most")
	cmd.AddCommand(skip, mail, events)
	return cmd
}

// checkup asks the server of the folder, else looks at the folder.
func checkup(ctx context.Context, dir string) (doctor.Report, error) {
	var report doctor.Report
	server, err := ofFolder(dir)
	if err != nil {
		return report, err
	}
	err = server.Do(ctx, http.MethodGet, "/v1/doctor", nil, &report)
	var away *client.UnavailableError
	if errors.As(err, &away) {
		return app.Examine(ctx, app.Options{Dir: dir}, app.Depth{})
	}
	return report, err
}

func ofFolder(dir string) (*client.Client, error) {
	socket, err := filepath.Abs(filepath.Join(dir, "tocsin.sock"))
	if err != nil {
		return nil, err
	}
	return client.New("unix://"+socket, client.WithTries(1, 0))
}

func printSteps(cmd *cobra.Command, steps []doctor.Step) error {
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"steps": steps})
	}
	cli.Folded(cmd.OutOrStdout(), os.Getenv, func(w io.Writer) { writeSteps(w, cmd, steps) })
	return nil
}

func writeSteps(w io.Writer, cmd *cobra.Command, steps []doctor.Step) {
	for i, s := range steps {
		fmt.Fprintf(w, "%s %-7s %d %-9s %s\n", map[string]string{"done": "✓", "skipped": "–", "open": "○"}[s.State], s.State, i+1, s.ID, s.Say)
	}
	i := slices.IndexFunc(steps, func(s doctor.Step) bool { return s.State == "open" })
	if i < 0 {
		fmt.Fprintln(w, "\nThe first hour is over. What is still amiss: tocsin doctor")
		return
	}
	fmt.Fprintf(w, "\nnext: %s\n  or put it off: %s\n", inFolder(cmd, steps[i].Do), inFolder(cmd, "tocsin setup skip "+steps[i].ID))
}

// ofOurs finds the commands of this program in a sentence.
var ofOurs = regexp.MustCompile(`tocsin (init|serve|setup|people|key|merchants)\b`)

// inFolder has the commands of a hint name the folder or the server that was named here: without it they
// would be about another one.
func inFolder(cmd *cobra.Command, text string) string {
	for _, name := range []string{"server", "data"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return ofOurs.ReplaceAllString(text, "tocsin --"+name+" "+f.Value.String()+" $1")
		}
	}
	return text
}

func said(cmd *cobra.Command, v map[string]any, text string) error {
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// firstEvent shows what to send, with the key in a file and never in the line, and looks each second
// whether a source was heard.
func firstEvent(cmd *cobra.Command, dir string, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), wait)
	defer cancel()
	w := cmd.OutOrStdout()
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		w = cmd.ErrOrStderr()
	}
	address := "http://127.0.0.1:8080"
	if cfg, err := app.LoadConfig(dir, ""); err == nil && cfg.PublicURL != "" {
		address = cfg.PublicURL
	} else if err == nil {
		address = "http://" + cfg.Listen
	}
	fmt.Fprintf(w, "Send one, with the address that tocsin serve printed and the key's file:\n\n"+
		"  curl -H \"Authorization: Bearer $(cat ingest.key)\" "+strings.ReplaceAll(strings.TrimSuffix(address, "/"), "%", "%%")+"/v1/events --data-binary \\\n"+
		"    '{\"time\":\"%s\",\"actor\":{\"type\":\"user\",\"id\":\"me\"},\"action\":\"read\",\"merchant\":\"shop_1\",\"records\":1}'\n\nWaiting for it; Ctrl-C ends, and nothing is lost by it.\n",
		time.Now().UTC().Format(time.RFC3339))
	server, err := ofFolder(dir)
	if elsewhere, _ := cmd.Flags().GetString("server"); elsewhere != "" {
		server, err = cli.Connect(cmd)
	}
	if err != nil {
		return refused(err)
	}
	for {
		var report doctor.Report
		if err := server.Do(ctx, http.MethodGet, "/v1/doctor", nil, &report); err != nil && ctx.Err() == nil {
			return &cli.ExitError{Code: cli.ExitUnavailable, Err: err, Hint: []string{"is it running? tocsin serve --data " + dir}}
		}
		for _, f := range report.Findings {
			if name, ok := strings.CutPrefix(f.ID, "events.source."); ok && strings.Contains(f.Say, "sent an event") && f.State == doctor.OK {
				return said(cmd, map[string]any{"source": name}, "It came in: "+f.Say)
			}
		}
		t := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
			t.Stop()
			return &cli.ExitError{Code: cli.ExitRefused, Err: errors.New("no access event came in"), Hint: []string{"tocsin rejected shows what was refused"}}
		case <-t.C:
		}
	}
}
