package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

const versionHelp = "for whom: internal, client or public"

// moveVerb, pickVerb and unpickVerb are given under two names: beside the incident's other commands, where
// refusals point to, and in the group of the review.
var (
	moveVerb = verb{use: "move-corrective CORRECTIVE", command: "move-corrective", short: "Say that a corrective action is done, dropped or open again", args: []string{"corrective"}, flags: []field{
		{flag: "state", name: "state", help: "done, dropped or open; default as it is"},
		{flag: "owner", name: "owner", help: "who does it now", kind: "principal"},
		{flag: "due", name: "due", help: "until when now (RFC 3339 or a date)", kind: "time"},
		{flag: "note", name: "note", help: "what was done and where it can be seen, or why", required: true}}}
	unpickVerb = verb{use: "unpick ENTRY", command: "unpick", short: "Take an entry off the curated timeline, such as TL-1", args: []string{"entry"}}
)

// reviewCommands write, look at and publish reviews, and follow what is changed because of them.
func (a *app) reviewCommands() *cobra.Command {
	action := moveVerb
	action.use = "action CORRECTIVE"
	return group("review", "Write, look at and publish reviews; follow corrective actions",
		a.reviewShow(), a.reviewWrite(), a.pickCommand(), a.verbCommand(unpickVerb), a.entriesCommand(),
		a.reviewPlan(), a.reviewPublish(), a.publishedCommand(), a.reviewDiff(), a.actionsCommand(), a.verbCommand(action))
}

func (a *app) reviewShow() *cobra.Command {
	var t client.ReviewText
	var out string
	c := &cobra.Command{Use: "show INCIDENT", Short: "A review as Markdown, HTML or PDF: the draft, or what was published", Args: exactly("INCIDENT")}
	c.Flags().StringVar(&t.Format, "format", "md", "md, html or pdf")
	c.Flags().StringVar(&t.Version, "version", "internal", versionHelp)
	c.Flags().IntVar(&t.N, "n", 0, "which publication of the version; 0 is the draft")
	c.Flags().StringVar(&out, "out", "-", "file to write; - is standard output")
	c.RunE = func(c *cobra.Command, args []string) error { return a.showReview(c, args[0], t, out) }
	return c
}

func (a *app) showReview(c *cobra.Command, incident string, t client.ReviewText, out string) error {
	server, err := a.connect()
	if err != nil {
		return err
	}
	if out == "-" && a.asJSON && t.Format != "pdf" {
		var text strings.Builder
		if err := server.Review(a.context(c), incident, t, &text); err != nil {
			return err
		}
		return a.show(map[string]any{"incident": incident, "version": t.Version, "format": t.Format, "text": text.String()}, nil)
	}
	if out == "-" {
		return server.Review(a.context(c), incident, t, a.deps.Out)
	}
	_, err = writeFile(out, func(w io.Writer) error { return server.Review(a.context(c), incident, t, w) })
	return err
}

func (a *app) reviewWrite() *cobra.Command {
	var text, version, was string
	c := &cobra.Command{Use: "write INCIDENT PART", Short: "Write a part of a version, in Markdown, from --text or standard input", Args: exactly("INCIDENT", "PART")}
	c.Flags().StringVar(&text, "text", "-", "text of the part; - reads standard input")
	c.Flags().StringVar(&version, "version", "internal", versionHelp)
	c.Flags().StringVar(&was, "was", "", "the fact of the text you saw, or none; refused when there is another")
	c.RunE = func(c *cobra.Command, args []string) error {
		value, err := a.value("text", text)
		if err != nil {
			return err
		}
		body := map[string]any{"part": args[1], "text": value, "version": version}
		if was != "" {
			body["was"] = was
		}
		return a.command(c, args[0], "review", body)
	}
	return c
}

// reviewState is what these commands read of an incident.
type reviewState struct {
	Review struct {
		Entries []struct {
			ID   string    `json:"id"`
			At   time.Time `json:"at"`
			Text string    `json:"text"`
			Of   string    `json:"of,omitempty"`
			Show string    `json:"show"`
		} `json:"entries"`
		Published []struct {
			Version string    `json:"version"`
			N       int       `json:"n"`
			Digest  string    `json:"digest"`
			By      string    `json:"by"`
			At      time.Time `json:"at"`
		} `json:"published"`
	} `json:"review"`
}

func (a *app) reviewOf(c *cobra.Command, incident string) (*client.Client, reviewState, error) {
	var s reviewState
	server, err := a.connect()
	if err != nil {
		return nil, s, err
	}
	raw, err := server.Incident(a.context(c), incident)
	if err != nil {
		return nil, s, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, s, &failure{text: "the server's answer cannot be read: " + err.Error(), hint: "is the server of the same version as the command?"}
	}
	return server, s, nil
}

func (a *app) pickCommand() *cobra.Command {
	var text, at, show, entry string
	c := &cobra.Command{Use: "pick INCIDENT [LINE]", Short: "Put a line of the timeline on the curated one, or a note of your own",
		Long: "Put a line of the timeline on the curated one of the review, or a note of your own.\n" +
			"LINE is the id that tocsin incident timeline --json shows. Its time and its words\n" +
			"are taken over unless --at and --text say others. Without LINE both are needed.\n" +
			"--entry TL-1 changes an entry that is there.",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return exactly("INCIDENT")(c, args)
		}}
	c.Flags().StringVar(&text, "text", "", "the sentence that stands there; - reads standard input")
	c.Flags().StringVar(&at, "at", "", "when it happened (RFC 3339)")
	c.Flags().StringVar(&show, "show", "", "the widest version that shows it: internal, client or public")
	c.Flags().StringVar(&entry, "entry", "", "an entry to change, such as TL-1; what is not given stays as it is")
	c.RunE = func(c *cobra.Command, args []string) error {
		server, s, err := a.reviewOf(c, args[0])
		if err != nil {
			return err
		}
		body := map[string]any{}
		set := func(name string, value any, given bool) {
			if given {
				body[name] = value
			}
		}
		if entry != "" {
			for _, e := range s.Review.Entries {
				if e.ID == entry {
					body = map[string]any{"at": e.At, "text": e.Text, "of": e.Of, "show": e.Show}
				}
			}
			body["entry"] = entry
		}
		if len(args) == 2 {
			line, err := findLine(a, c, server, args[0], args[1])
			if err != nil {
				return err
			}
			body["of"], body["at"], body["text"] = line.ID, line.At, line.Text
		}
		if at != "" {
			t, err := parseTime(at)
			if err != nil {
				return err
			}
			body["at"] = t
		}
		if text != "" {
			value, err := a.value("text", text)
			if err != nil {
				return err
			}
			body["text"] = value
		}
		set("show", show, show != "")
		if body["at"] == nil || body["text"] == nil {
			return &usageError{text: "a note of your own needs --at and --text", hint: "or name a line: tocsin incident timeline " + args[0] + " --json"}
		}
		return a.command(c, args[0], "pick", body)
	}
	return c
}

// findLine looks a line of the timeline up by its id.
func findLine(a *app, c *cobra.Command, server *client.Client, incident, id string) (client.Line, error) {
	for after := ""; ; {
		lines, err := server.Timeline(a.context(c), incident, after, 1000, "")
		if err != nil {
			return client.Line{}, err
		}
		for _, l := range lines {
			if l.ID == id {
				return l, nil
			}
		}
		if len(lines) == 0 || lines[len(lines)-1].ID == after {
			return client.Line{}, &failure{text: "the timeline of " + incident + " has no line " + cut(id, 60), hint: "ids are shown by: tocsin incident timeline " + incident + " --json"}
		}
		after = lines[len(lines)-1].ID
	}
}

func (a *app) entriesCommand() *cobra.Command {
	c := &cobra.Command{Use: "entries INCIDENT", Short: "The curated timeline of the review", Args: exactly("INCIDENT")}
	c.RunE = func(c *cobra.Command, args []string) error {
		_, s, err := a.reviewOf(c, args[0])
		if err != nil {
			return err
		}
		entries := s.Review.Entries
		return a.show(map[string]any{"entries": orNone(entries)}, func(w io.Writer) {
			if len(entries) == 0 {
				fmt.Fprintln(w, "Nothing is picked: the review shows the whole timeline.")
				return
			}
			rows := make([][]string, len(entries))
			for i, e := range entries {
				rows[i] = []string{e.ID, e.At.UTC().Format("2006-01-02 15:04:05Z"), e.Show, e.Text}
			}
			a.table(w, 3, []string{"ENTRY", "AT", "SHOWN TO", "TEXT"}, rows)
		})
	}
	return c
}

// orNone keeps an empty list a list in JSON.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (a *app) reviewPlan() *cobra.Command {
	var version string
	c := &cobra.Command{Use: "plan INCIDENT", Short: "The very text that would be published, and what stands in its way", Args: exactly("INCIDENT")}
	c.Flags().StringVar(&version, "version", "internal", versionHelp)
	c.RunE = func(c *cobra.Command, args []string) error { return a.showReviewPlan(c, args[0], version) }
	return c
}

func (a *app) showReviewPlan(c *cobra.Command, incident, version string) error {
	server, err := a.connect()
	if err != nil {
		return err
	}
	plan, err := server.PlanReview(a.context(c), incident, version)
	if err != nil {
		return err
	}
	return a.show(plan, func(w io.Writer) {
		fmt.Fprintln(w, strings.TrimRight(plan.Markdown, "\n"))
		fmt.Fprintf(w, "\nPublication %d of the %s version, %s\n", plan.N, plan.Version, plan.Digest)
		for _, x := range plan.Withheld {
			fmt.Fprintf(w, "left out: %s (%d, in %s)\n", oneLine(x.What), x.N, oneLine(x.In))
		}
		for _, m := range plan.Missing {
			fmt.Fprintf(w, "missing: %s — %s\n", oneLine(m.What), oneLine(m.Do))
		}
		for _, l := range plan.Lacks {
			fmt.Fprintf(w, "not said: %s\n", oneLine(l))
		}
		switch {
		case len(plan.Missing) > 0:
		case !plan.Changed:
			fmt.Fprintln(w, "This very text is published already.")
		default:
			fmt.Fprintf(w, "Nothing is published yet. To publish it:\n  tocsin review publish %s --version %s --digest %s\n", incident, plan.Version, plan.Digest)
		}
	})
}

func (a *app) reviewPublish() *cobra.Command {
	var version, digest string
	c := &cobra.Command{Use: "publish INCIDENT", Short: "Publish the text whose digest the plan showed; without it, show the plan", Args: exactly("INCIDENT")}
	c.Flags().StringVar(&version, "version", "internal", versionHelp)
	c.Flags().StringVar(&digest, "digest", "", "digest of the text that was looked at")
	c.RunE = func(c *cobra.Command, args []string) error {
		if digest == "" {
			return a.showReviewPlan(c, args[0], version)
		}
		return a.command(c, args[0], "publish", map[string]any{"version": version, "digest": digest})
	}
	return c
}

func (a *app) publishedCommand() *cobra.Command {
	c := &cobra.Command{Use: "published INCIDENT", Short: "What was published, with digests", Args: exactly("INCIDENT")}
	c.RunE = func(c *cobra.Command, args []string) error {
		server, s, err := a.reviewOf(c, args[0])
		if err != nil {
			return err
		}
		list := s.Review.Published
		return a.show(map[string]any{"published": orNone(list)}, func(w io.Writer) {
			if len(list) == 0 {
				fmt.Fprintln(w, "Nothing is published.")
				return
			}
			people, rows := named(a.context(c), server), make([][]string, len(list))
			for i, p := range list {
				rows[i] = []string{p.Version, fmt.Sprint(p.N), p.At.UTC().Format("2006-01-02 15:04Z"), people.in(p.By), p.Digest}
			}
			a.table(w, 4, []string{"VERSION", "N", "AT", "BY", "DIGEST"}, rows)
		})
	}
	return c
}

func (a *app) reviewDiff() *cobra.Command {
	var version string
	var from, to int
	c := &cobra.Command{Use: "diff INCIDENT", Short: "What changed between two publications, or since one", Args: exactly("INCIDENT")}
	c.Flags().StringVar(&version, "version", "internal", versionHelp)
	c.Flags().IntVar(&from, "from", 1, "which publication")
	c.Flags().IntVar(&to, "to", 0, "which publication; 0 is the draft")
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		changes, err := server.ReviewDiff(a.context(c), args[0], version, from, to)
		if err != nil {
			return err
		}
		return a.exact(map[string]any{"changes": changes}, func(w io.Writer) {
			if changes == "" {
				changes = "Nothing changed.\n"
			}
			fmt.Fprint(w, changes)
		})
	}
	return c
}

func (a *app) actionsCommand() *cobra.Command {
	var open, overdue bool
	c := &cobra.Command{Use: "actions", Short: "Corrective actions of all incidents, the open ones by their dates", Args: exactly()}
	c.Flags().BoolVar(&open, "open", false, "only those that are open")
	c.Flags().BoolVar(&overdue, "overdue", false, "only those whose date has passed")
	c.RunE = func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		all, err := server.Correctives(a.context(c))
		if err != nil {
			return err
		}
		list := []client.Corrective{}
		for _, x := range all {
			if (!open || x.State == "open") && (!overdue || x.Overdue) {
				list = append(list, x)
			}
		}
		return a.show(map[string]any{"correctives": list}, func(w io.Writer) {
			if len(list) == 0 {
				fmt.Fprintln(w, "No corrective action.")
				return
			}
			people, rows := named(a.context(c), server), make([][]string, len(list))
			for i, x := range list {
				state := x.State
				if x.Overdue {
					state = "overdue"
				}
				rows[i] = []string{x.Incident, x.ID, state, x.Due.UTC().Format("2006-01-02"), people.in(x.Owner), x.Text}
			}
			a.table(w, 5, []string{"INCIDENT", "ACTION", "STATE", "DUE", "OWNER", "WHAT"}, rows)
		})
	}
	return c
}
