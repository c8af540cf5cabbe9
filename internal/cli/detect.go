package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/accesslog/format"
	"github.com/tocsin-ir/tocsin/detect/sigma"
	"github.com/tocsin-ir/tocsin/internal/rulefiles"
)

// The commands of detection read files and need no server, but for backtest, which reads its log.
func (a *app) detectCommands() *cobra.Command {
	return group("detect", "Check detection rules and run them over events", a.detectCheck(), a.detectRun(), a.detectBacktest(), a.detectExplain())
}

// ruleFlags are what the commands of detection have in common.
type ruleFlags struct {
	pipelines []string
	logsource string
}

func (f *ruleFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.pipelines, "pipeline", nil, "a field-mapping pipeline (YAML); may be given several times")
}

// load reads rules from files and folders.
func (f *ruleFlags) load(paths []string) (*sigma.Engine, []*sigma.Problem, int, error) {
	o := sigma.Options{Trust: true}
	var problems []*sigma.Problem
	for _, name := range f.pipelines {
		src, err := readLimited(name, 8<<20)
		if err != nil {
			return nil, nil, 0, &failure{text: err.Error(), hint: "name a pipeline with --pipeline FILE"}
		}
		p, wrong := sigma.ParsePipeline(name, src)
		problems = append(problems, wrong...)
		if p != nil {
			o.Pipelines = append(o.Pipelines, p)
		}
	}
	for part := range strings.SplitSeq(f.logsource, ",") {
		k, v, ok := strings.Cut(part, "=")
		switch {
		case part == "":
		case ok && k == "category":
			o.Logsource.Category = v
		case ok && k == "product":
			o.Logsource.Product = v
		case ok && k == "service":
			o.Logsource.Service = v
		default:
			return nil, nil, 0, &usageError{text: fmt.Sprintf("--logsource has %q", part), hint: "write --logsource product=aws,service=cloudtrail; category, product and service are known"}
		}
	}
	files, err := ruleFiles(paths)
	if err != nil {
		return nil, nil, 0, err
	}
	e, wrong := sigma.Load(files, o)
	return e, append(problems, wrong...), len(files), nil
}

// ruleFiles reads the .yml and .yaml files at some paths, in the order of their names.
func ruleFiles(paths []string) ([]sigma.File, error) {
	var out []sigma.File
	for _, root := range paths {
		files, err := rulefiles.Read(root)
		if err != nil {
			return nil, &failure{text: err.Error(), hint: "name a rule file, or a folder of .yml files"}
		}
		out = append(out, files...)
	}
	return out, nil
}

// problemJSON is a problem as --json prints it.
type problemJSON struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Col     int    `json:"col,omitempty"`
	Rule    string `json:"rule,omitempty"`
	Text    string `json:"text"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning,omitempty"`
}

func asProblems(problems []*sigma.Problem) []problemJSON {
	out := []problemJSON{}
	for _, p := range problems {
		out = append(out, problemJSON{p.At.File, p.At.Line, p.At.Col, p.Rule, p.Text, p.Hint, p.Warning})
	}
	return out
}

func errorsAmong(problems []*sigma.Problem) (n int) {
	for _, p := range problems {
		if !p.Warning {
			n++
		}
	}
	return n
}

func (a *app) detectCheck() *cobra.Command {
	var flags ruleFlags
	c := &cobra.Command{Use: "check PATH...", Short: "Check Sigma rules; problems are named FILE:LINE:COL", Args: atLeastOne("PATH")}
	flags.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		e, problems, files, err := flags.load(args)
		if err != nil {
			return err
		}
		for _, p := range problems {
			p.Warning = p.Warning || p.Missing // it may stand in a file that is not being checked
		}
		bad := errorsAmong(problems)
		err = a.show(map[string]any{"ok": bad == 0, "files": files, "rules": len(e.Rules()), "correlations": len(e.Correlations()), "problems": asProblems(problems)}, func(w io.Writer) {
			for _, p := range problems {
				fmt.Fprintln(w, oneLine(p.Error()))
			}
			fmt.Fprintf(w, "%s in %s can be used", plural(int64(len(e.Rules())+len(e.Correlations())), "rule", "rules"), plural(int64(files), "file", "files"))
			if bad > 0 {
				fmt.Fprintf(w, "; %s", plural(int64(bad), "error", "errors"))
			}
			fmt.Fprintln(w)
		})
		if err == nil && bad > 0 {
			return &ExitError{Code: ExitRefused}
		}
		return err
	}
	return c
}

func atLeastOne(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return &usageError{text: name + " is missing", hint: "usage: " + c.UseLine()}
		}
		return nil
	}
}

func (a *app) detectExplain() *cobra.Command {
	var flags ruleFlags
	var rules []string
	c := &cobra.Command{Use: "explain RULE", Short: "Say in prose what a rule asks: a file, or with --rules an id, a name or a title", Args: exactly("RULE")}
	flags.add(c)
	c.Flags().StringArrayVar(&rules, "rules", nil, "rule file or folder to look in")
	c.RunE = func(c *cobra.Command, args []string) error {
		paths := rules
		if len(paths) == 0 {
			paths = args
		}
		e, problems, _, err := flags.load(paths)
		if err != nil {
			return err
		}
		var names []string
		if len(rules) > 0 {
			names = args
		} else {
			for _, r := range e.Rules() {
				names = append(names, r.Label())
			}
			for _, r := range e.Correlations() {
				names = append(names, r.Label())
			}
		}
		var texts []string
		for _, n := range names {
			if text := e.Explain(n); text != "" {
				texts = append(texts, text)
			}
		}
		if len(texts) == 0 {
			for _, p := range problems {
				fmt.Fprintln(a.deps.Err, oneLine(p.Error()))
			}
			return &failure{text: fmt.Sprintf("there is no rule %q that can be used", args[0]), hint: "tocsin detect check lists what is wrong with the others"}
		}
		return a.show(map[string]any{"explanations": texts}, func(w io.Writer) {
			for i, t := range texts {
				if i > 0 {
					fmt.Fprintln(w)
				}
				for line := range strings.Lines(t) {
					line = strings.TrimRight(line, "\n")
					depth := len(line) - len(strings.TrimLeft(line, " "))
					fmt.Fprintln(w, line[:depth]+oneLine(line[depth:]))
				}
			}
		})
	}
	return c
}

// detectionJSON is a detection as --json prints it, one on a line.
type detectionJSON struct {
	Rule     string            `json:"rule"`
	ID       string            `json:"id,omitempty"`
	Name     string            `json:"name,omitempty"`
	Level    string            `json:"level,omitempty"`
	Class    string            `json:"class,omitempty"`
	Tags     []string          `json:"tags,omitempty"`
	File     string            `json:"file"`
	Number   int64             `json:"number"` // of the event in the input, from 1
	Event    string            `json:"event,omitempty"`
	Time     *time.Time        `json:"time,omitempty"`
	Sentence string            `json:"sentence"`
	Why      []string          `json:"why,omitempty"`
	Fields   map[string]string `json:"fields,omitempty"`
	Type     string            `json:"correlation,omitempty"`
	From     *time.Time        `json:"from,omitempty"`
	Group    map[string]string `json:"group,omitempty"`
	Count    *float64          `json:"count,omitempty"`
	Events   []string          `json:"events,omitempty"`
}

func asDetection(d *sigma.Detection, ev *sigma.Event, number int64) detectionJSON {
	m := d.Meta()
	out := detectionJSON{Rule: m.Title, ID: m.ID, Name: m.Name, Level: m.Level, Class: m.Class, Tags: m.Tags, File: m.At.String(), Number: number,
		Event: d.Event, Sentence: d.Sentence(ev), Why: d.Why(ev), Group: d.Group, Events: d.Events}
	if !d.Time.IsZero() {
		out.Time = &d.Time
	}
	for _, f := range m.Fields {
		if v := ev.Get(f); len(v) > 0 {
			if out.Fields == nil {
				out.Fields = map[string]string{}
			}
			out.Fields[f] = strings.Join(v, ", ")
		}
	}
	if d.Correlation != nil {
		out.Type, out.Count = d.Correlation.Type, &d.Count
		if !d.From.IsZero() {
			out.From = &d.From
		}
	}
	return out
}

func (a *app) detectRun() *cobra.Command {
	var flags ruleFlags
	var rules []string
	var form string
	c := &cobra.Command{Use: "run --rules DIR FILE|-", Short: "Run Sigma rules over events and print what they find", Args: exactly("FILE or -"),
		Long: "Reads events (any format of the access log: JSON, one on a line or an array;\n" +
			"CloudTrail, Google Cloud, GitHub, Okta, web servers, PostgreSQL, OpenTelemetry,\n" +
			"OCSF, Shopify) and prints what the rules find, with --json one JSON object on a\n" +
			"line. Which rules are asked of an event follows from its log source, which is\n" +
			"recognised from its fields, stands in the event as logsource, or is given with\n" +
			"--logsource; events of no known source are asked all rules.\n" +
			"Ends with 1 when an event could not be read or no rule could be used."}
	flags.add(c)
	c.Flags().StringArrayVar(&rules, "rules", nil, "rule file or folder; may be given several times")
	c.Flags().StringVar(&flags.logsource, "logsource", "", "log source of all events, such as product=aws,service=cloudtrail")
	c.Flags().StringVar(&form, "format", format.Auto, "format of the events: "+strings.Join(format.Names(), ", "))
	c.RunE = func(c *cobra.Command, args []string) error {
		if !slices.Contains(format.Names(), form) {
			return &usageError{text: fmt.Sprintf("--format %q is not known", form), hint: "there are " + strings.Join(format.Names(), ", ")}
		}
		if len(rules) == 0 {
			return &usageError{text: "--rules is missing", hint: "usage: " + c.UseLine()}
		}
		e, problems, _, err := flags.load(rules)
		if err != nil {
			return err
		}
		for _, p := range problems {
			if !p.Warning {
				fmt.Fprintln(a.deps.Err, oneLine(p.Error()))
			}
		}
		if len(e.Rules()) == 0 {
			return &failure{text: "none of the rules can be used", hint: "tocsin detect check " + strings.Join(rules, " ")}
		}
		in := a.deps.In
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return &failure{text: err.Error(), hint: "name a file of events, or - for standard input"}
			}
			defer f.Close()
			in = f
		}
		if flags.logsource != "" && form == format.Auto {
			form = format.Native // who names the log source has rules in the names of that log
		}
		return a.runRules(e, in, form)
	}
	return c
}

func (a *app) runRules(e *sigma.Engine, in io.Reader, form string) error {
	var ev sigma.Event
	number, rejected, stopped := int64(0), 0, 0
	timed := len(e.Correlations()) > 0
	var rejects []string
	enc := json.NewEncoder(a.deps.Out)
	enc.SetEscapeHTML(false)
	counts := map[string]int{}
	err := readLog(in, form, func(line int, raw []byte, wrong error) error {
		number++
		if wrong == nil {
			wrong = e.Decode(raw, &ev)
		}
		if err := wrong; err != nil {
			if rejected++; len(rejects) < 20 {
				rejects = append(rejects, fmt.Sprintf("line %d: %s", line, strings.TrimPrefix(err.Error(), "sigma: ")))
			}
			return nil
		}
		var now time.Time // a file may be of any time; what has none is of now
		if timed && ev.Time().IsZero() {
			now = a.deps.Now()
		}
		found := e.Observe(number, now, &ev)
		for i := range found {
			d := asDetection(&found[i], &ev, number)
			counts[d.Rule]++
			if a.asJSON {
				if err := enc.Encode(d); err != nil {
					return err
				}
				continue
			}
			at := "-"
			if d.Time != nil {
				at = d.Time.UTC().Format("2006-01-02 15:04:05Z")
			}
			level := d.Level
			if level == "" {
				level = "-"
			}
			if _, err := fmt.Fprintf(a.deps.Out, "%s  %-13s  %s\n", at, level, oneLine(d.Sentence)); err != nil {
				return err
			}
		}
		if s := e.Stopped(); len(s) > stopped {
			for i := range s[stopped:] {
				fmt.Fprintln(a.deps.Err, oneLine(s[stopped+i].Error()))
			}
			stopped = len(s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if rejected > 0 {
		return &ExitError{Code: ExitRefused, Err: fmt.Errorf("%s could not be read", plural(int64(rejected), "event", "events")), Hint: rejects}
	}
	stats := e.Stats()
	if !a.asJSON {
		loaded := int64(len(e.Rules()) + len(e.Correlations()))
		if stats.Detections > 0 {
			fmt.Fprintln(a.deps.Err) // apart from what was found, where both go to one screen
		}
		fmt.Fprintf(a.deps.Err, "%s; %s loaded, %d of them fired; %s\n", plural(stats.Events, "event", "events"), plural(loaded, "rule", "rules"), len(counts), plural(stats.Detections, "detection", "detections"))
	}
	if stats.Unknown > 0 {
		fmt.Fprintf(a.deps.Err, "%s of no known log source: all rules were asked; name it with --logsource\n", plural(stats.Unknown, "event", "events"))
	}
	if stats.Late > 0 {
		fmt.Fprintf(a.deps.Err, "%s came too late for their correlation\n", plural(stats.Late, "event", "events"))
	}
	if stats.Untimed > 0 {
		fmt.Fprintf(a.deps.Err, "%s have no time and were left out of correlations\n", plural(stats.Untimed, "event", "events"))
	}
	return nil
}
