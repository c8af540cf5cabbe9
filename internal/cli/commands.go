package cli

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/verify/command"
)

// dueOf is when a clock is due: its limit, or what it aims for where it has none.
func dueOf(c client.Clock) time.Time {
	if c.Due.IsZero() {
		return c.Target
	}
	return c.Due
}

// marks are the shapes beside the words of a state, as in the console.
var marks = map[string]string{"running": "●", "provisional": "●", "at_risk": "◐", "missed": "✕", "met": "✓", "met_late": "✕", "waiting": "○"}

func (a *app) printClocks(w io.Writer, clocks []client.Clock, withIncident bool) {
	a.paintClocks(w, a.paint(), clocks, withIncident)
}

func (a *app) paintClocks(w io.Writer, paint func(state, text string) string, clocks []client.Clock, withIncident bool) {
	rows := make([][]string, 0, len(clocks))
	states := make([]string, 0, len(clocks))
	for _, c := range clocks {
		mark := marks[c.State]
		if mark == "" {
			mark = "–"
		}
		row := []string{mark + " " + strings.ReplaceAll(c.State, "_", " "), c.Say, a.when(dueOf(c)), c.Holder}
		if withIncident {
			row = append([]string{c.Incident}, row...)
		}
		rows, states = append(rows, row), append(states, c.State)
	}
	header, flex := []string{"STATE", "DUTY", "DUE", "HOLDER"}, 1
	if withIncident {
		header, flex = append([]string{"INCIDENT"}, header...), 2
	}
	a.painted(w, paint, []int{flex}, header, rows, states)
}

func (a *app) switchCommands() *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "All kill switches and who obeys them", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		set, err := server.Switches(a.context(c))
		if err != nil {
			return err
		}
		return a.showSwitches(set)
	}}
	var reason, incident string
	flip := &cobra.Command{Use: "flip MERCHANT on|off", Short: "Flip a kill switch; * is everybody", Args: exactly("MERCHANT", "on or off")}
	flip.Flags().StringVar(&reason, "reason", "", "why, in one sentence")
	flip.Flags().StringVar(&incident, "incident", "", "incident it belongs to")
	flip.RunE = func(c *cobra.Command, args []string) error {
		if args[1] != "on" && args[1] != "off" {
			return &usageError{text: fmt.Sprintf("a switch is on or off, not %q", args[1]), hint: "usage: " + c.UseLine()}
		}
		if reason == "" {
			return &usageError{text: "--reason is missing: why, in one sentence", hint: "usage: " + c.UseLine()}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		set, err := server.FlipSwitch(a.context(c), args[0], args[1], reason, incident)
		if err != nil {
			return err
		}
		return a.showSwitches(set)
	}
	return group("switch", "Kill switches, for one merchant or for all", list, flip)
}

func (a *app) showSwitches(set client.Switches) error {
	return a.show(set, func(w io.Writer) {
		if len(set.Switches) == 0 {
			fmt.Fprintln(w, "Every switch is on: nobody is cut off.")
			return
		}
		rows := make([][]string, 0, len(set.Switches))
		for _, s := range set.Switches {
			obey := 0
			for _, seen := range s.Seen {
				if seen.Version >= set.Version {
					obey++
				}
			}
			rows = append(rows, []string{s.Merchant, s.State, a.when(s.Since), fmt.Sprintf("%d of %d", obey, len(s.Seen)), s.Incident, s.Reason})
		}
		a.table(w, 5, []string{"MERCHANT", "STATE", "SINCE", "OBEYED BY", "INCIDENT", "REASON"}, rows)
	})
}

func (a *app) notifyCommands() *cobra.Command {
	var duty, notice, subject, corrects string
	var items []string
	draft := &cobra.Command{Use: "draft INCIDENT", Short: "Write or rewrite the notice of a duty", Args: exactly("INCIDENT")}
	draft.Flags().StringVar(&duty, "duty", "", "duty of the policy, such as tell_merchants")
	draft.Flags().StringVar(&notice, "notice", "", "an existing draft to change, such as NTC-1; what is not given stays as it is")
	draft.Flags().StringVar(&subject, "subject", "", "subject line")
	draft.Flags().StringArrayVar(&items, "content", nil, "content item as ID=TEXT or ID=@FILE (repeat for more)")
	draft.Flags().StringVar(&corrects, "corrects", "", "a notice that was sent: the new one goes to those it told wrong")
	draft.RunE = func(c *cobra.Command, args []string) error {
		if duty == "" {
			return &usageError{text: "--duty is missing: which duty is this the notice of?", hint: "usage: " + c.UseLine()}
		}
		content, err := contentItems(items)
		if err != nil {
			return err
		}
		body := map[string]any{"duty": duty, "subject": subject, "content": content}
		if notice != "" {
			body["notice"] = notice
		}
		if corrects != "" {
			body["corrects"] = corrects
		}
		return a.command(c, args[0], "draft", body)
	}

	preview := &cobra.Command{Use: "preview INCIDENT NOTICE RECIPIENT", Short: "The letter as one real recipient gets it", Args: exactly("INCIDENT", "NOTICE", "RECIPIENT"), RunE: func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		letter, err := server.Preview(a.context(c), args[0], args[1], args[2])
		if err != nil {
			return err
		}
		return a.exact(letter, func(w io.Writer) {
			fmt.Fprintf(w, "From: %s\nTo: %s\nSubject: %s\n\n%s\n", oneLine(letter.From), oneLine(letter.To), oneLine(letter.Subject), lines(letter.Text))
		})
	}}

	var attest bool
	approve := &cobra.Command{Use: "approve INCIDENT NOTICE", Short: "Sign a notice", Args: exactly("INCIDENT", "NOTICE")}
	approve.Flags().BoolVar(&attest, "attest", false, "attest that it says only what is known")
	approve.RunE = func(c *cobra.Command, args []string) error {
		body := map[string]any{"notice": args[1]}
		if attest {
			body["attest"] = true
		}
		return a.command(c, args[0], "approve-notice", body)
	}

	send := &cobra.Command{Use: "send INCIDENT NOTICE", Short: "Send an approved notice to everybody who has not had it", Args: exactly("INCIDENT", "NOTICE"), RunE: func(c *cobra.Command, args []string) error {
		return a.command(c, args[0], "send", map[string]any{"notice": args[1]})
	}}

	var reason string
	resend := &cobra.Command{Use: "resend INCIDENT NOTICE RECIPIENT", Short: "Decide an uncertain or bounced delivery", Args: exactly("INCIDENT", "NOTICE", "RECIPIENT")}
	resend.Flags().StringVar(&reason, "reason", "", "why, in one sentence")
	resend.RunE = func(c *cobra.Command, args []string) error {
		if reason == "" {
			return &usageError{text: "--reason is missing: why, in one sentence", hint: "usage: " + c.UseLine()}
		}
		return a.command(c, args[0], "resend", map[string]any{"notice": args[1], "party": args[2], "reason": reason})
	}
	return group("notify", "Write, preview, approve and send notices", draft, preview, approve, send, resend)
}

func (a *app) evidenceCommands() *cobra.Command {
	var incident, recipient, out string
	export := &cobra.Command{Use: "export", Short: "Export the evidence of an incident; tocsin-verify checks it anywhere", Args: exactly()}
	export.Flags().StringVar(&incident, "incident", "", "incident to export")
	export.Flags().StringVar(&recipient, "recipient", "", "who gets the file; recorded in the chain of custody")
	export.Flags().StringVar(&out, "out", "", "file to write (default INCIDENT.tocsin)")
	export.RunE = func(c *cobra.Command, _ []string) error {
		if incident == "" || recipient == "" {
			return &usageError{text: "--incident and --recipient are needed", hint: "usage: " + c.UseLine()}
		}
		if out == "" {
			out = filepath.Base(incident) + ".tocsin"
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		n, err := writeFile(out, func(w io.Writer) error {
			_, err := server.Export(a.context(c), incident, recipient, w)
			return err
		})
		if err != nil {
			return err
		}
		return a.show(map[string]any{"file": out, "bytes": n}, func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s; check it with tocsin-verify %s\n", out, plural(n, "byte", "bytes"), out)
		})
	}
	checkpoint := &cobra.Command{Use: "checkpoint", Short: "The newest signed checkpoint of both logs", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		points, err := server.Checkpoints(a.context(c))
		if err != nil {
			return err
		}
		return a.exact(points, func(w io.Writer) {
			fmt.Fprintf(w, "%s\n%s", lines(strings.TrimRight(points.Facts, "\n")+"\n"), lines(points.Events))
		})
	}}
	var proofOut string
	var kept []string
	prove := &cobra.Command{Use: "prove EVENT-ID", Short: "Prove one access event; what else its leaf holds stays sealed", Args: exactly("EVENT-ID")}
	prove.Flags().StringVar(&proofOut, "out", "", "file to write (default EVENT-ID.proof.json)")
	prove.Flags().StringArrayVar(&kept, "since", nil, "file with the checkpoint of the events log that the other side kept: proves that the log was not rewritten since")
	prove.RunE = func(c *cobra.Command, args []string) error {
		since := uint64(0)
		for _, name := range kept {
			raw, err := readLimited(name, 1<<20)
			if err != nil {
				return &failure{text: err.Error(), hint: "--since names a file with a checkpoint"}
			}
			if since, err = command.Covers(raw, "/events"); err != nil {
				return &failure{text: name + ": " + err.Error(), hint: "--since names a file with a checkpoint, as tocsin evidence checkpoint prints it, or a mail that carries it"}
			}
		}
		if proofOut == "" {
			proofOut = filepath.Base(args[0]) + ".proof.json"
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		n, err := writeFile(proofOut, func(w io.Writer) error { return server.ProveEvent(a.context(c), args[0], since, w) })
		if err != nil {
			return err
		}
		return a.show(map[string]any{"file": proofOut, "bytes": n}, func(w io.Writer) {
			fmt.Fprintf(w, "%s: %s; check it with tocsin-verify %s\n", proofOut, plural(n, "byte", "bytes"), proofOut)
		})
	}
	// The flags are those of tocsin-verify, which does the work.
	var brought struct{ keys, since, witnesses []string }
	check := &cobra.Command{Use: "verify FILE", Short: "Check an export or the proof of an event, offline, as tocsin-verify does", Args: exactly("FILE")}
	check.Flags().StringArrayVar(&brought.keys, "key", nil, "file with verifier keys of the logs, from somewhere else than FILE")
	check.Flags().StringArrayVar(&brought.since, "since", nil, "file with a checkpoint that was kept, a mail that carries it, or an earlier export")
	check.Flags().StringArrayVar(&brought.witnesses, "witness", nil, "file with verifier keys of witnesses that have to have signed")
	check.RunE = func(_ *cobra.Command, args []string) error {
		var line []string
		if a.asJSON {
			line = append(line, "--json")
		}
		for flag, names := range map[string][]string{"--key": brought.keys, "--since": brought.since, "--witness": brought.witnesses} {
			for _, name := range names {
				line = append(line, flag, name)
			}
		}
		if code := command.Run(append(line, "--", args[0]), a.deps.Out, a.deps.Err); code != 0 {
			return &ExitError{Code: code}
		}
		return nil
	}
	return group("evidence", "Export, prove and check the evidence", export, prove, check, checkpoint, a.daysCommand())
}

func (a *app) merchantCommands() *cobra.Command {
	imports := &cobra.Command{Use: "import FILE", Short: "Import the merchant directory from CSV; - reads standard input", Args: exactly("FILE"), RunE: func(c *cobra.Command, args []string) error {
		const limit = 128 << 20
		var raw []byte
		var err error
		if args[0] == "-" {
			raw, err = io.ReadAll(io.LimitReader(a.deps.In, limit))
		} else {
			raw, err = readLimited(args[0], limit)
		}
		if err != nil {
			return &failure{text: err.Error(), hint: "the directory of merchants is a CSV file of at most 64 MiB"}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		out, err := server.ImportMerchants(a.context(c), raw)
		if err != nil {
			return err
		}
		err = a.show(out, func(w io.Writer) {
			fmt.Fprintf(w, "%s imported\n", plural(int64(out.Imported), "merchant", "merchants"))
			printRejects(w, out.Rejected)
		})
		if err == nil && len(out.Rejected) > 0 {
			return &ExitError{Code: ExitRefused}
		}
		return err
	}}
	var limit int
	var after string
	list := &cobra.Command{Use: "list", Short: "The directory, a page at a time", Args: exactly()}
	list.Flags().IntVar(&limit, "limit", 200, "merchants at most (1 to 1000)")
	list.Flags().StringVar(&after, "after", "", "begin after this merchant")
	list.RunE = func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		page, next, err := server.Merchants(a.context(c), after, limit)
		if err != nil {
			return err
		}
		return a.show(page, func(w io.Writer) {
			rows := make([][]string, 0, len(page))
			for _, m := range page {
				mail := ""
				if len(m.Emails) > 0 {
					mail = m.Emails[0]
				}
				rows = append(rows, []string{m.ID, m.Name, mail, m.Country, m.Zone})
			}
			a.table(w, 1, []string{"MERCHANT", "NAME", "E-MAIL", "COUNTRY", "ZONE"}, rows)
			if next != "" {
				fmt.Fprintf(w, "more: --after %s\n", oneLine(next))
			}
		})
	}
	return group("merchants", "The merchant directory", imports, list)
}

func printRejects(w io.Writer, rejected []client.Reject) {
	for i, r := range rejected {
		if i == 20 {
			fmt.Fprintf(w, "  and %d more\n", len(rejected)-i)
			return
		}
		fmt.Fprintf(w, "  line %d: %s %s\n", r.Line, oneLine(r.Field), oneLine(r.Reason))
	}
}
