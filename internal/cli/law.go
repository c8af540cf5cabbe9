package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regime"
	"github.com/tocsin-ir/tocsin/regimes"
)

// lawCommands show the catalogue of notification law. They need no server.
func (a *app) lawCommands() *cobra.Command {
	list := &cobra.Command{Use: "list", Short: "Every duty of the catalogue: to whom, counted from when, how long", Args: exactly(), RunE: func(*cobra.Command, []string) error {
		c := regimes.Catalogue()
		return a.show(c.Regimes, func(w io.Writer) {
			var rows [][]string
			for _, r := range c.Regimes {
				for _, d := range r.Duties {
					rows = append(rows, []string{d.ID, d.To, counted(d), runs(d), d.Verification})
				}
			}
			a.table(w, 3, []string{"DUTY", "TO", "CLOCK", "RUNS", "CHECKED"}, rows)
			fmt.Fprintf(w, "%s, as of %s. %s\n", c.Version(), c.AsOf, regime.Disclaimer)
		})
	}}
	show := &cobra.Command{Use: "show ID", Short: "One law, or the law of one duty, with clause, sources and what was not verified", Args: exactly("ID"), RunE: func(_ *cobra.Command, args []string) error {
		c := regimes.Catalogue()
		r, ok := c.Find(args[0])
		if !ok {
			return &failure{text: fmt.Sprintf("the catalogue has no law and no duty %q", args[0]), hint: "see tocsin law list"}
		}
		return a.show(r, func(w io.Writer) { printRegime(w, r, args[0]) })
	}}
	facts := &cobra.Command{Use: "facts", Short: "The facts that laws read: declare them in a policy to have them asked", Args: exactly(), RunE: func(*cobra.Command, []string) error {
		found := regimes.Catalogue().Facts()
		return a.show(found, func(w io.Writer) {
			rows := make([][]string, len(found))
			for i, f := range found {
				about := "the incident"
				if f.Vendor {
					about = "you"
				}
				rows[i] = []string{f.ID, f.Type, about, f.Means, plural(int64(len(f.Duties)), "duty", "duties")}
			}
			a.table(w, 3, []string{"FACT", "TYPE", "ABOUT", "MEANS", "READ BY"}, rows)
		})
	}}

	var to, country string
	var regions, answers []string
	var all bool
	ask := &cobra.Command{Use: "ask --to KIND", Short: "Which clocks run for given facts, and what would decide the open ones", Args: exactly()}
	ask.Flags().StringVar(&to, "to", "", "who is told: controller, authority, individuals, platform, shopify, …")
	ask.Flags().StringVar(&country, "country", "", "country of the one who is told, such as DE or US-CA")
	ask.Flags().StringArrayVar(&regions, "region", nil, "where customers in scope live, such as DE or US-CA (repeat for more)")
	ask.Flags().StringArrayVar(&answers, "fact", nil, "an answered fact: NAME=yes, NAME=no or NAME=600 (repeat for more)")
	ask.Flags().BoolVar(&all, "all", false, "also what does not apply or is not run, and why")
	ask.RunE = func(c *cobra.Command, _ []string) error {
		if to == "" {
			return &usageError{text: "--to is missing: who is told", hint: "usage: " + c.UseLine()}
		}
		q := policy.LawQuestion{Do: policy.Notify, Party: to, Regions: regions, Facts: map[string]any{}}
		if country != "" {
			q.Recipient = &policy.RecipientView{Country: country}
		}
		for _, s := range answers {
			name, value, err := answer(s)
			if err != nil {
				return &usageError{text: err.Error(), hint: "see tocsin law facts"}
			}
			q.Facts[name] = value
		}
		found := regimes.Catalogue().Explain(q)
		return a.show(found, func(w io.Writer) {
			shown := 0
			for _, e := range found {
				applies := "not run"
				if e.Clock.ID != "" {
					applies = map[policy.Tri]string{policy.True: "applies", policy.False: "does not apply", policy.Unknown: "open"}[e.Clock.Applies.Value]
				}
				if applies != "applies" && applies != "open" && !all {
					continue
				}
				shown++
				fmt.Fprintf(w, "%s: %s\n", e.Duty, applies)
				if e.Clock.ID != "" {
					fmt.Fprintf(w, "  %s; %s, as of %s\n", e.Clock.Text, e.Clock.Verified, e.Clock.AsOf)
				}
				fmt.Fprintf(w, "  %s\n", oneLine(e.Why))
			}
			if shown == 0 {
				fmt.Fprintln(w, "No law of the catalogue says that they have to be told. With --all each says why.")
			}
			fmt.Fprintln(w, regime.Disclaimer)
		})
	}
	return group("law", "The catalogue of notification law. Not legal advice", list, show, ask, facts)
}

// answer reads NAME=yes, NAME=no or NAME=600.
func answer(s string) (name string, value any, err error) {
	name, text, ok := strings.Cut(s, "=")
	if ok {
		switch text {
		case "yes", "true":
			return name, true, nil
		case "no", "false":
			return name, false, nil
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return name, n, nil
		}
	}
	return "", nil, fmt.Errorf("--fact %q is not NAME=yes, NAME=no or NAME=600", s)
}

// counted is a duty's clock in a few words.
func counted(d regime.Duty) string {
	length := d.Span
	if length == "" {
		length = regime.Short(d.Qualifier)
	}
	from := d.Anchor
	if from == "" {
		from = strings.ReplaceAll(strings.TrimPrefix(d.Trigger, "after_"), "_", " ")
	}
	return length + " after " + from
}

func runs(d regime.Duty) string {
	switch {
	case !d.Runs():
		return "no"
	case d.For != "":
		return "if " + d.For
	}
	return "yes"
}

func printRegime(w io.Writer, r regime.Regime, id string) {
	fmt.Fprintf(w, "%s  %s\n%s\n", r.ID, oneLine(r.Name), oneLine(r.Citation))
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-12s %s\n", name, oneLine(value))
		}
	}
	field("applies", r.AppliesWhen)
	field("", r.AppliesNote)
	where := strings.Join(r.Jurisdiction, " ")
	if where == "" {
		where = "by contract"
	}
	field("where", where)
	field("status", strings.ReplaceAll(r.Status, "_", " "))
	field("told", r.Authority.Name+" ("+r.Authority.Portal+")")
	field("confidence", r.Confidence+", as of "+r.AsOf)
	for _, d := range r.Duties {
		if id != r.ID && id != d.ID {
			continue
		}
		fmt.Fprintf(w, "\n%s  %s tells %s: %s\n", d.ID, d.From, strings.ReplaceAll(d.To, "_", " "), oneLine(counted(d)))
		field("clause", d.Citation)
		field("standard", d.Qualifier)
		field("counting", d.Counting())
		field("counts from", d.TriggerNote)
		field("extension", d.OuterLimit)
		field("guidance", d.Guidance)
		field("threshold", d.Threshold)
		field("exemption", d.Exemption)
		field("content", strings.Join(d.Content, "; "))
		if d.Runs() {
			needs := d.When
			if d.For != "" {
				needs = append([]string{d.For + " (about you)"}, needs...)
			}
			field("reads", strings.Join(needs, ", "))
		} else {
			field("not run", d.NotRun)
		}
		field("checked", d.Verification)
		field("", d.VerificationNote)
	}
	fmt.Fprintln(w)
	for _, n := range r.Notes {
		field("note", n)
	}
	for _, n := range r.Unverified {
		field("unverified", n)
	}
	for _, s := range r.Sources {
		field("source", s)
	}
	fmt.Fprintln(w, regime.Disclaimer)
}
