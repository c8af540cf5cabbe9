package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

func (a *app) incidentCommands() *cobra.Command {
	commands := []*cobra.Command{a.openCommand(), a.listCommand(), a.showCommand(), a.timelineCommand(), a.containCommand(), a.recordScopeCommand(), a.scopesCommand(), a.matchCommand(), a.reviewCommand(), a.pickCommand(), a.attachCommand(), a.attachmentCommand(), a.filesCommand()}
	for _, v := range verbs {
		commands = append(commands, a.verbCommand(v))
	}
	return group("incident", "Open, follow and settle incidents", commands...)
}

// verb is a command of an incident that is nothing but its fields.
type verb struct {
	use     string // name and arguments after the incident's id
	alias   string // an older or longer name
	command string // of the API
	short   string
	args    []string // fields the arguments fill, in order; the last, when it is text, may be given as a flag
	rest    string   // field that takes any further arguments as a list
	flags   []field
	fixed   map[string]any
	whole   bool // it concerns more than one incident, and has no dry run
}

// field is a field of a command's body that a flag fills.
type field struct {
	flag, name, help string
	required         bool
	kind             string // "", time, list, bool
}

var why = field{flag: "reason", name: "reason", help: "why, in one sentence", required: true}

var verbs = []verb{
	{use: "acknowledge", command: "acknowledge", short: "Say that you are on it"},
	{use: "confirm", command: "confirm", short: "Decide that this is an incident", flags: []field{why}},
	{use: "dismiss", command: "dismiss", short: "Decide that this is a false alarm", flags: []field{why}},
	{use: "mark MILESTONE", command: "mark", short: "Record a milestone", args: []string{"milestone"},
		flags: []field{{flag: "at", name: "at", help: "when it happened (RFC 3339); default now", kind: "time"}, why}},
	{use: "correct MILESTONE", command: "correct", short: "Correct the time of a milestone; both times stay", args: []string{"milestone"},
		flags: []field{{flag: "at", name: "at", help: "when it happened (RFC 3339)", required: true, kind: "time"}, why}},
	{use: "answer FACT VALUE", command: "answer", short: "Answer a judgement the policy asks for", args: []string{"fact", "value:any"}, flags: []field{why}},
	{use: "severity LEVEL", command: "severity", short: "Set the severity", args: []string{"severity"}, flags: []field{why}},
	{use: "assign ROLE PERSON", command: "assign", short: "Give a role to a person", args: []string{"role", "person:principal"}},
	{use: "note TEXT", command: "note", short: "Add a line to the timeline; - reads the text from standard input", args: []string{"text:text"}},
	{use: "include MERCHANT", command: "adjust-scope", short: "Include a merchant in the scope by hand", args: []string{"merchant"}, flags: []field{why}, fixed: map[string]any{"include": true}},
	{use: "exclude MERCHANT", command: "adjust-scope", short: "Exclude a merchant from the scope by hand", args: []string{"merchant"}, flags: []field{why}, fixed: map[string]any{"include": false}},
	{use: "approve ACTION", command: "approve", short: "Sign a planned action, such as ACT-1", args: []string{"action"}},
	{use: "cancel ACTION", command: "cancel", short: "Withdraw a planned action", args: []string{"action"}, flags: []field{why}},
	{use: "undo ACTION", command: "undo", short: "Undo an applied action", args: []string{"action"}, flags: []field{why}},
	{use: "check", command: "check", short: "Run checks; all unless some are named", rest: "checks"},
	{use: "fix WHAT", command: "fix", short: "Record how the cause was fixed; - reads standard input", args: []string{"what:text"}},
	{use: "verify-fix HOW", command: "verify-fix", short: "Verify the fix, as another person", args: []string{"how:text"}},
	{use: "restore", command: "restore", short: "Return to service; the gate may refuse", flags: []field{why}},
	{use: "assess", command: "assess", short: "Record vector, root cause and risk", flags: []field{
		{flag: "vector", name: "vector", help: "how they got in", required: true},
		{flag: "root-cause", name: "root_cause", help: "why that was possible", required: true},
		{flag: "risk", name: "risk", help: "what it means for merchants and their customers", required: true}}},
	{use: "corrective TEXT", command: "corrective", short: "Add a corrective action", args: []string{"text:text"}, flags: []field{
		{flag: "owner", name: "owner", help: "who does it", required: true, kind: "principal"},
		{flag: "due", name: "due", help: "until when (RFC 3339 or a date)", required: true, kind: "time"}}},
	moveVerb, unpickVerb,
	{use: "publish", alias: "publish-review", command: "publish", short: "Publish the review", flags: []field{
		{flag: "version", name: "version", help: versionHelp + "; default internal"}}},
	{use: "waive DUTY", command: "waive", short: "Let go of a duty, by name and reason", args: []string{"duty"}, flags: []field{why}},
	{use: "snapshot", command: "snapshot", short: "Record the checkpoint of the evidence as it stands"},
	{use: "sign GATE", command: "sign", short: "Sign a gate that asks for signatures", args: []string{"gate"}},
	{use: "attest GATE", command: "attest", short: "Declare what a gate asks of whoever gives its command", args: []string{"gate"}},
	{use: "override GATE", command: "override", short: "Sign for passing a gate although it is shut; it stays on record", args: []string{"gate"}, flags: []field{why}},
	{use: "scale SCALE LEVEL", command: "scale", short: "Set the level of one of the policy's own scales", args: []string{"scale", "level"}, flags: []field{why}},
	{use: "done DUTY", command: "done", short: "Say that a duty which leaves no other trace is done", args: []string{"duty"}, flags: []field{
		{flag: "at", name: "at", help: "when it was done (RFC 3339); default now", kind: "time"},
		{flag: "note", name: "note", help: "what was done, and where it can be seen", required: true}}},
	{use: "told NOTICE RECIPIENT", command: "told", short: "Say that a recipient was reached by another channel", args: []string{"notice", "party"}, flags: []field{
		{flag: "via", name: "channel", help: "the channel, such as phone", required: true}, why}},
	{use: "move-policy", command: "move-policy", short: "Move the incident to the policy in force, or to the one of a digest", flags: []field{
		{flag: "policy", name: "policy", help: "digest of the policy (sha256:…); default the one in force"}, why}},
	{use: "reopen", command: "reopen", short: "Open a dismissed or closed incident again", flags: []field{why}},
	{use: "draft DUTY", command: "draft", short: "Write or rewrite the notice of a duty", args: []string{"duty"}, flags: []field{
		{flag: "notice", name: "notice", help: "an existing draft to change, such as NTC-1; what is not given stays as it is"}, {flag: "subject", name: "subject", help: "subject line"},
		{flag: "corrects", name: "corrects", help: "a notice that was sent: the new one goes to those it told wrong"},
		{flag: "content", name: "content", help: "content item as ID=TEXT or ID=@FILE (repeat for more)", kind: "map"},
		{flag: "open", name: "open", help: "content item that is not known yet and that a follow-up has to say (repeat for more)", kind: "list"}}},
	{use: "approve-notice NOTICE", command: "approve-notice", short: "Sign a notice", args: []string{"notice"},
		flags: []field{{flag: "attest", name: "attest", help: "attest that it says only what is known", kind: "bool"}}},
	{use: "send NOTICE", command: "send", short: "Send an approved notice to everybody who has not had it", args: []string{"notice"}},
	{use: "resend NOTICE RECIPIENT", command: "resend", short: "Decide an uncertain or bounced delivery", args: []string{"notice", "party"}, flags: []field{why}},
	{use: "hand-over ROLE PERSON", command: "hand-over", short: "Offer a role to another person; it is theirs once they accept", args: []string{"role", "person:principal"},
		flags: []field{{flag: "note", name: "note", help: "what they have to know", required: true}}},
	{use: "accept-role ROLE", command: "accept-role", short: "Take a role that was offered to you", args: []string{"role"}},
	{use: "link-signal SIGNAL", command: "link-signal", short: "Link a signal of another incident; there it is taken out", args: []string{"signal"},
		flags: []field{{flag: "from", name: "from", help: "the incident that has the signal, or had it", required: true}, why}, whole: true},
	{use: "merge OTHER", command: "merge", short: "Merge another incident into this one; its clocks go on here", args: []string{"from"}, flags: []field{why,
		{flag: "seen", name: "versions", help: "version of an incident as ID=N, as --dry-run gave it (give both): refused when somebody acted on it since", kind: "versions"}}},
	{use: "split", command: "split", short: "Split signals off into an incident of their own", flags: []field{
		{flag: "signal", name: "signals", help: "a signal that leaves (repeat for more)", required: true, kind: "list"},
		{flag: "title", name: "title", help: "title of the new incident; default that of the first"},
		{flag: "class", name: "class", help: "class of the new incident; default that of the first"}, why}},
	{use: "unlink-signal SIGNAL", command: "unlink-signal", short: "Take a signal out of the incident", args: []string{"signal"}, flags: []field{why}},
	{use: "hold WHAT", command: "hold", short: "Place a hold on what must not be deleted; - reads standard input", args: []string{"what:text"}, flags: []field{
		{flag: "basis", name: "basis", help: "the legal basis, such as litigation", required: true},
		{flag: "until", name: "until", help: "when it ends (RFC 3339); default when it is released", kind: "time"}}},
	{use: "release-hold HOLD", command: "release-hold", short: "Release a hold before its time, such as HLD-1", args: []string{"hold"}, flags: []field{why}},
	{use: "restrict", command: "restrict", short: "Make the incident private: only the people on its list may know of it", flags: []field{
		{flag: "reader", name: "readers", help: "a person on the list, besides you (repeat for more)", kind: "principals"},
		{flag: "about", name: "about", help: "a member of staff whom it is about: never on the list (repeat)", kind: "principals"}, why}},
	{use: "grant PERSON", command: "grant", short: "Put a person on the list of a private incident", args: []string{"person:principal"}, flags: []field{why}},
	{use: "revoke-access PERSON", command: "revoke-access", short: "Take a person off the list of a private incident", args: []string{"person:principal"}, flags: []field{why}},
	{use: "break-glass", command: "break-glass", short: "As an owner, come on the list when nobody of it has acted for a day", flags: []field{why}},
	{use: "close", command: "close", short: "Close the incident", flags: []field{why}},
}

func (a *app) verbCommand(v verb) *cobra.Command {
	name, rest, _ := strings.Cut(v.use, " ")
	names := []string{"INCIDENT"}
	if rest != "" {
		names = append(names, strings.Fields(rest)...)
	}
	use := name + " " + strings.Join(names, " ")
	if v.rest != "" {
		use += " [" + strings.ToUpper(strings.TrimSuffix(v.rest, "s")) + "...]"
	}
	c := &cobra.Command{Use: use, Short: v.short}
	if v.alias != "" {
		c.Aliases = []string{v.alias}
	}
	texts, lists, bools := map[string]*string{}, map[string]*[]string{}, map[string]*bool{}
	for _, f := range v.flags {
		switch f.kind {
		case "list", "map", "principals", "versions":
			lists[f.name] = c.Flags().StringArray(f.flag, nil, f.help)
		case "bool":
			bools[f.name] = c.Flags().Bool(f.flag, false, f.help)
		default:
			texts[f.name] = c.Flags().String(f.flag, "", f.help)
		}
	}
	dry := new(bool)
	if !v.whole {
		dry = c.Flags().Bool("dry-run", false, "record nothing; say what it would do")
	}
	// The text of a command may be long: it is an argument, - for standard input, or a flag.
	var asFlag *string
	textName := ""
	if n := len(v.args); n > 0 && strings.HasSuffix(v.args[n-1], ":text") {
		textName = strings.TrimSuffix(v.args[n-1], ":text")
		asFlag = c.Flags().String(textName, "", "the text, instead of the argument; - reads standard input")
	}
	c.Args = func(c *cobra.Command, args []string) error {
		want := names
		if asFlag != nil && c.Flags().Changed(textName) {
			want = names[:len(names)-1]
		}
		if v.rest != "" && len(args) > len(want) {
			args = args[:len(want)]
		}
		return exactly(want...)(c, args)
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if asFlag != nil && c.Flags().Changed(textName) {
			args = append(args, *asFlag)
		}
		body := map[string]any{}
		for k, value := range v.fixed {
			body[k] = value
		}
		for i, arg := range v.args {
			key, kind, _ := strings.Cut(arg, ":")
			value, err := a.value(kind, args[i+1])
			if err != nil {
				return err
			}
			body[key] = value
		}
		if v.rest != "" && len(args) > len(names) {
			body[v.rest] = args[len(names):]
		}
		for name, set := range bools {
			if *set {
				body[name] = true
			}
		}
		for _, f := range v.flags {
			switch f.kind {
			case "bool":
				continue
			case "list":
				if l := *lists[f.name]; len(l) > 0 {
					body[f.name] = l
				} else if f.required {
					return &usageError{text: "--" + f.flag + " is missing: " + f.help, hint: "usage: " + c.UseLine()}
				}
				continue
			case "principals":
				if l := *lists[f.name]; len(l) > 0 {
					body[f.name] = principals(l)
				}
				continue
			case "map":
				content, err := contentItems(*lists[f.name])
				if err != nil {
					return err
				}
				body[f.name] = content
				continue
			case "versions":
				seen, err := versionsOf(*lists[f.name])
				if err != nil {
					return err
				}
				if len(seen) > 0 {
					body[f.name] = seen
				}
				continue
			}
			text := *texts[f.name]
			if strings.TrimSpace(text) == "" {
				if f.required {
					return &usageError{text: "--" + f.flag + " is missing: " + f.help, hint: "usage: " + c.UseLine()}
				}
				if f.name == "subject" {
					body[f.name] = ""
				}
				continue
			}
			value, err := a.value(f.kind, text)
			if err != nil {
				return err
			}
			body[f.name] = value
		}
		if *dry {
			return a.foresee(c, args[0], v.command, body)
		}
		return a.command(c, args[0], v.command, body)
	}
	return c
}

// versionsOf reads ID=N.
func versionsOf(items []string) (map[string]int, error) {
	seen := map[string]int{}
	for _, item := range items {
		id, text, _ := strings.Cut(item, "=")
		n, err := strconv.Atoi(text)
		if err != nil || id == "" || n < 1 {
			return nil, &usageError{text: fmt.Sprintf("%q is not ID=N", cut(item, 40)), hint: "such as --seen INC-1=12 --seen INC-2=7, as --dry-run prints them"}
		}
		seen[id] = n
	}
	return seen, nil
}

// contentItems reads ID=TEXT and ID=@FILE.
func contentItems(items []string) (map[string]string, error) {
	content := map[string]string{}
	for _, item := range items {
		id, text, ok := strings.Cut(item, "=")
		if !ok || id == "" {
			return nil, &usageError{text: fmt.Sprintf("%q is not ID=TEXT", cut(item, 40)), hint: "such as --content what_happened=@what.md"}
		}
		if from, isFile := strings.CutPrefix(text, "@"); isFile {
			raw, err := readLimited(from, 1<<20)
			if err != nil {
				return nil, &failure{text: err.Error(), hint: "the text of a content item comes from a file of at most 1 MiB"}
			}
			text = strings.TrimRight(string(raw), "\n")
		}
		content[id] = text
	}
	return content, nil
}

// value reads one argument as the kind of field it fills.
func (a *app) value(kind, text string) (any, error) {
	switch kind {
	case "time":
		return parseTime(text)
	case "principal":
		return principal(text), nil
	case "any":
		if text == "true" || text == "yes" {
			return true, nil
		}
		if text == "false" || text == "no" {
			return false, nil
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	case "text":
		if text == "-" {
			return a.stdin(1 << 20)
		}
	}
	return text, nil
}

func principals(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = principal(id)
	}
	return out
}

func principal(id string) string {
	if strings.Contains(id, ":") {
		return id
	}
	return "person:" + id
}

func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, &usageError{text: fmt.Sprintf("%q is no time", text), hint: "write it with its zone, such as 2026-11-22T03:02:00Z, or as a date in UTC"}
}

// stdin reads a text from standard input.
func (a *app) stdin(limit int64) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(a.deps.In, limit+1))
	if err != nil {
		return "", &failure{text: "standard input cannot be read"}
	}
	if int64(len(raw)) > limit {
		return "", &failure{text: fmt.Sprintf("the text on standard input is longer than %d bytes", limit), hint: "shorten it"}
	}
	return strings.TrimRight(string(raw), "\n"), nil
}

// command gives a command and prints what came of it.
func (a *app) command(c *cobra.Command, incident, name string, body map[string]any) error {
	server, err := a.connect()
	if err != nil {
		return err
	}
	if name == "draft" {
		if err := redraft(a.context(c), server, incident, body); err != nil {
			return err
		}
	}
	out, err := server.Command(a.context(c), incident, name, body)
	if err != nil {
		return err
	}
	return a.showOutcome(out)
}

func (a *app) showOutcome(out client.Outcome) error {
	return a.show(out, func(w io.Writer) {
		note := ""
		if out.Replayed {
			note = " (done before, with the same key)"
		}
		fmt.Fprintf(w, "%s: %s%s\n", out.Incident, strings.ReplaceAll(oneLine(out.Reason), "_", " "), note)
		for _, f := range out.Facts {
			fmt.Fprintf(w, "  %s  %s\n", oneLine(f.ID), oneLine(f.Kind))
		}
	})
}

func (a *app) openCommand() *cobra.Command {
	var class, title, summary, severity, suspected string
	var apps, readers, about []string
	var private bool
	c := &cobra.Command{Use: "open", Short: "Open an incident", Args: exactly()}
	f := c.Flags()
	f.StringVar(&class, "class", "unclassified", "class of the policy")
	f.StringVar(&title, "title", "", "what it is, in a few words")
	f.StringVar(&summary, "summary", "", "what is known so far")
	f.StringVar(&severity, "severity", "", "level of the policy")
	f.StringVar(&suspected, "suspected", "", "when it is thought to have begun (RFC 3339); default now")
	f.StringArrayVar(&apps, "app", nil, "an app concerned (repeat for more)")
	f.BoolVar(&private, "private", false, "known only to you and the people on its list")
	f.StringArrayVar(&readers, "reader", nil, "a person on the list of a private one (repeat for more)")
	f.StringArrayVar(&about, "about", nil, "a member of staff whom a private one is about (repeat)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if title == "" {
			return &usageError{text: "--title is missing: what it is, in a few words", hint: "usage: " + c.UseLine()}
		}
		body := map[string]any{"class": class, "title": title}
		if summary != "" {
			body["summary"] = summary
		}
		if severity != "" {
			body["severity"] = severity
		}
		if len(apps) > 0 {
			body["apps"] = apps
		}
		if private || len(readers)+len(about) > 0 {
			body["private"] = true
		}
		if len(readers) > 0 {
			body["readers"] = principals(readers)
		}
		if len(about) > 0 {
			body["about"] = principals(about)
		}
		if suspected != "" {
			t, err := parseTime(suspected)
			if err != nil {
				return err
			}
			body["suspected"] = t
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		out, err := server.Open(a.context(c), body)
		if err != nil {
			return err
		}
		return a.showOutcome(out)
	}
	return c
}

func (a *app) listCommand() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "The board: open incidents, most urgent first", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		rows, err := server.Board(a.context(c))
		if err != nil {
			return err
		}
		return a.show(rows, func(w io.Writer) {
			if len(rows) == 0 {
				fmt.Fprintln(w, "No open incidents.")
				return
			}
			a.printRows(w, a.paint(), rows)
		})
	}}
}

func (a *app) timelineCommand() *cobra.Command {
	var after, source string
	var limit int
	c := &cobra.Command{Use: "timeline INCIDENT", Short: "The merged timeline: facts, access events, logs", Args: exactly("INCIDENT")}
	c.Flags().StringVar(&after, "after", "", "begin after this line")
	c.Flags().StringVar(&source, "source", "", "only fact, event or log (comma-separated; with --each also delivery)")
	c.Flags().IntVar(&limit, "limit", 200, "lines at most (1 to 1000; with --each 5000)")
	var each entryFlags
	each.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		if each.asked() {
			return a.entries(c, server, args[0], each, client.EntryQuery{After: after, Limit: limit, Sources: strings.FieldsFunc(source, func(r rune) bool { return r == ',' })})
		}
		rows, err := server.Timeline(a.context(c), args[0], after, limit, source)
		if err != nil {
			return err
		}
		return a.show(rows, func(w io.Writer) {
			people, table := named(a.context(c), server), make([][]string, 0, len(rows))
			for _, l := range rows {
				table = append(table, []string{l.At.UTC().Format("2006-01-02 15:04:05Z"), l.Source, people.in(l.Principal), people.line(l), laterMark(l)})
			}
			a.painted(w, a.paint(), []int{2, 3}, []string{"AT", "SOURCE", "WHO", "WHAT", ""}, table, nil)
			if len(rows) == limit {
				fmt.Fprintf(w, "more: --after %s\n", oneLine(rows[len(rows)-1].ID))
			}
		})
	}
	return c
}

// reviewCommand is the short form: the internal version, shown or written.
func (a *app) reviewCommand() *cobra.Command {
	t := client.ReviewText{Version: "internal"}
	var out, text string
	c := &cobra.Command{Use: "review INCIDENT [PART]", Short: "The review as a document; with PART, write that part from --text or standard input",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return exactly("INCIDENT")(c, args)
		}}
	c.Flags().StringVar(&t.Format, "format", "md", "md, html or pdf")
	c.Flags().StringVar(&out, "out", "-", "file to write; - is standard output")
	c.Flags().StringVar(&text, "text", "-", "text of the part; - reads standard input")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 2 {
			value, err := a.value("text", text)
			if err != nil {
				return err
			}
			return a.command(c, args[0], "review", map[string]any{"part": args[1], "text": value})
		}
		return a.showReview(c, args[0], t, out)
	}
	return c
}
