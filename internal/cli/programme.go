package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// programmeCommands show and settle what the policy owes without an incident.
func (a *app) programmeCommands() *cobra.Command {
	root := &cobra.Command{Use: "programme", Short: "What the policy owes without an incident: drills, training, reviews", Args: exactly(), Annotations: map[string]string{"alone": "shows it"}}
	root.RunE = func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		p, err := server.Programme(a.context(c))
		if err != nil {
			return err
		}
		return a.show(p, func(w io.Writer) {
			if len(p.Clocks) == 0 {
				fmt.Fprintln(w, "The policy owes nothing without an incident.")
				return
			}
			a.printClocks(w, p.Clocks, false)
			if len(p.Events) > 0 {
				people, rows := named(a.context(c), server), make([][]string, 0, len(p.Events))
				for _, e := range p.Events {
					rows = append(rows, []string{e.ID, e.At.UTC().Format("2006-01-02 15:04Z"), people.in(e.By), e.Note})
				}
				fmt.Fprintln(w)
				a.table(w, 3, []string{"EVENT", "AT", "BY", "NOTE"}, rows)
			}
		})
	}
	var note, at, event string
	done := &cobra.Command{Use: "done DUTY", Short: "Say that a duty of the programme is done", Args: exactly("DUTY")}
	done.Flags().StringVar(&note, "note", "", "what was done, and where it can be seen")
	done.Flags().StringVar(&at, "at", "", "when it was done (RFC 3339); default now")
	done.Flags().StringVar(&event, "event", "", "of a duty for each event: which one, such as subprocessor_added-1")
	done.RunE = func(c *cobra.Command, args []string) error {
		body := map[string]any{"duty": args[0]}
		if event != "" {
			body["recipient"] = event
		}
		return a.programme(c, "done", body, note, at)
	}
	record := &cobra.Command{Use: "event EVENT", Short: "Record that something happened to the programme", Args: exactly("EVENT")}
	record.Flags().StringVar(&note, "note", "", "what happened")
	record.Flags().StringVar(&at, "at", "", "when (RFC 3339); default now; it may lie ahead")
	record.RunE = func(c *cobra.Command, args []string) error {
		return a.programme(c, "event", map[string]any{"event": args[0]}, note, at)
	}
	var reason string
	waive := &cobra.Command{Use: "waive DUTY", Short: "Let go of a duty of the programme, by name and reason", Args: exactly("DUTY")}
	waive.Flags().StringVar(&reason, "reason", "", "why, in one sentence")
	waive.RunE = func(c *cobra.Command, args []string) error {
		if reason == "" {
			return &usageError{text: "--reason is missing: why, in one sentence", hint: "usage: " + c.UseLine()}
		}
		return a.programmeOutcome(c, "waive", map[string]any{"duty": args[0], "reason": reason})
	}
	root.AddCommand(done, record, waive)
	return root
}

// programme gives a command that carries a note and perhaps a time.
func (a *app) programme(c *cobra.Command, name string, body map[string]any, note, at string) error {
	if note == "" {
		return &usageError{text: "--note is missing: what was done or happened, and where it can be seen", hint: "usage: " + c.UseLine()}
	}
	body["note"] = note
	if at != "" {
		t, err := parseTime(at)
		if err != nil {
			return err
		}
		body["at"] = t
	}
	return a.programmeOutcome(c, name, body)
}

func (a *app) programmeOutcome(c *cobra.Command, name string, body map[string]any) error {
	server, err := a.connect()
	if err != nil {
		return err
	}
	out, err := server.ProgrammeCommand(a.context(c), name, body)
	if err != nil {
		return err
	}
	out.Incident = "programme"
	return a.showOutcome(out)
}
