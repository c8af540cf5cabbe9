package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

// maxErased is how many people one erasure names; the server refuses more.
const maxErased = 1000

func (a *app) eraseCommand() *cobra.Command {
	e, dry := client.Erasure{}, false
	c := &cobra.Command{Use: "erase MERCHANT [FILE]", Short: "Erase access events of customers, or of a whole merchant, from the table",
		Long: `Erases from the table that questions are asked of, for good. FILE lists the customers: CSV
with a header, at least one of account, email and phone; - reads standard input. Give
everything your apps may have named a customer by. --all takes all of the merchant.
The key of its pseudonyms is destroyed with it: nobody is matched with them any more.
Identifiers become pseudonyms on arrival and are kept nowhere; they are read from a file
because other programs can see a command line. Events stay in the sealed log until their
day is forgotten: docs/privacy.md.

--dry-run erases nothing and says what would go and which holds stand in the way. The id
it gives confirms what was shown: with --plan ID the same line is refused when it would
erase something else, or the plan is over an hour old.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return exactly("MERCHANT")(c, args)
		}}
	c.Flags().BoolVar(&e.All, "all", false, "everything of the merchant")
	c.Flags().StringVar(&e.Basis, "basis", "", `in which right, such as "Art. 17 GDPR, request of 2026-11-20"`)
	c.Flags().StringVar(&e.Reason, "reason", "", "why, in a sentence; no name of a customer")
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would be erased and what stands in the way; erase nothing")
	c.Flags().StringVar(&e.Plan, "plan", "", "the plan of a dry run: what it showed is erased, or nothing")
	c.RunE = func(c *cobra.Command, args []string) error {
		e.Merchant = args[0]
		if dry && e.Plan != "" {
			return &usageError{text: "--dry-run makes a plan and --plan confirms one", hint: "leave one of the two out"}
		}
		if e.All == (len(args) == 2) {
			return &usageError{text: "erase takes either a file of customers or --all", hint: "tocsin access erase MERCHANT FILE --basis TEXT --reason TEXT"}
		}
		if e.Basis == "" || e.Reason == "" {
			return &usageError{text: "--basis and --reason are needed", hint: "say in which right it is erased, and why"}
		}
		if len(args) == 2 {
			var err error
			if e.People, err = a.readErased(args[1]); err != nil {
				return err
			}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		if dry {
			plan, err := server.PlanErasure(a.context(c), e)
			if err != nil {
				return err
			}
			if err := a.show(plan, func(w io.Writer) { a.erasurePlan(w, plan) }); err != nil || len(plan.Holds) == 0 {
				return err
			}
			return &client.Error{Status: http.StatusConflict, Title: "Conflict", Detail: "a hold keeps these access events", Reason: "under_hold", Missing: plan.Holds}
		}
		out, err := server.Erase(a.context(c), e)
		if err != nil {
			return err
		}
		return a.show(out, func(w io.Writer) {
			switch {
			case out.Erasure == "":
				fmt.Fprintf(w, "Nothing was ever logged of %s: there is nothing to erase.\n", oneLine(e.Merchant))
				return
			case e.All:
				fmt.Fprintf(w, "%s: all of %s is erased from the table. No question finds it from now on.\n", out.Erasure, oneLine(e.Merchant))
			default:
				fmt.Fprintf(w, "%s: %s of %s erased from the table. No question finds them from now on.\n", out.Erasure, plural(int64(out.People), "customer", "customers"), oneLine(e.Merchant))
			}
			fmt.Fprintln(w, "Files are written anew behind that: tocsin access erasures. The sealed log keeps its\nevents until their day is forgotten: docs/privacy.md.")
		})
	}
	return c
}

// erasurePlan says what an erasure would do. The people who were named are in none of it.
func (a *app) erasurePlan(w io.Writer, p client.ErasurePlan) {
	merchant := oneLine(p.Merchant)
	if !p.All && p.Names == 0 {
		fmt.Fprintf(w, "Nothing was ever logged of %s by which a customer could be known: there is nothing to erase.\n", merchant)
		return
	}
	least := ""
	if p.AtLeast {
		least = "at least "
	}
	fmt.Fprintf(w, "Nothing is erased yet. As of now it would take from the table %s%s of %s", least, plural(int64(p.Events), "access event", "access events"), merchant)
	if p.Events > 0 {
		fmt.Fprintf(w, ",\nfrom %s to %s", p.First.UTC().Format(time.RFC3339), p.Last.UTC().Format(time.RFC3339))
	}
	fmt.Fprintln(w, ".")
	if others := p.Events - p.Whole; others > 0 {
		fmt.Fprintf(w, "%s others too and would stay without these customers.\n", plural(int64(others), "of them names", "of them name"))
	}
	if !p.All {
		fmt.Fprintf(w, "%s, known by %s in the log.\n", plural(int64(p.People), "customer", "customers"), plural(int64(p.Names), "pseudonym", "pseudonyms"))
	}
	if p.Unknown > 0 {
		fmt.Fprintf(w, "Of %s the log cannot know anything.\n", plural(int64(p.Unknown), "customer", "customers"))
	}
	if p.Key {
		fmt.Fprintln(w, "The key of the merchant's pseudonyms would be destroyed: nobody is matched with them any more.")
	}
	fmt.Fprintln(w, "Nothing brings the rows back. The sealed log keeps its events until their day is forgotten.")
	if p.Plan != "" {
		fmt.Fprintf(w, "To confirm it until %s, give the same line with --plan in the place of --dry-run:\n  --plan %s\n", a.when(p.Until), p.Plan)
	}
}

// readErased reads a list of customers. Nothing of it stands in an error.
func (a *app) readErased(name string) ([]client.Erased, error) {
	var in io.Reader = a.deps.In
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, &failure{text: "the list of customers cannot be read", hint: "name a CSV file with the header account,email,phone"}
		}
		defer f.Close()
		in = f
	}
	r := csv.NewReader(io.LimitReader(in, 4<<20))
	r.FieldsPerRecord = -1
	at := map[string]int{}
	var out []client.Erased
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &failure{text: "the list of customers is no CSV", hint: "the first line has to be account,email,phone, or some of these"}
		}
		if len(at) == 0 {
			for i, column := range row {
				switch column = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(column, "\ufeff"))); column {
				case "account", "email", "phone":
					at[column] = i
				}
			}
			if len(at) == 0 {
				return nil, &failure{text: "line 1 of the list of customers names no column", hint: "the first line has to be account,email,phone, or some of these"}
			}
			continue
		}
		get := func(column string) string {
			if i, ok := at[column]; ok && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		p := client.Erased{Account: get("account"), Email: get("email"), Phone: get("phone")}
		if p == (client.Erased{}) {
			line, _ := r.FieldPos(0)
			return nil, &failure{text: fmt.Sprintf("line %d of the list of customers names nobody", line), hint: "give at least one of account, email and phone"}
		}
		if out = append(out, p); len(out) > maxErased {
			return nil, &failure{text: fmt.Sprintf("the list has more than %d customers", maxErased), hint: "erase in parts"}
		}
	}
	if len(out) == 0 {
		return nil, &failure{text: "the list of customers is empty", hint: "one customer on a line, below the header account,email,phone"}
	}
	return out, nil
}

func (a *app) erasuresCommand() *cobra.Command {
	return &cobra.Command{Use: "erasures", Short: "What was erased from the table, by whom and in which right", Args: exactly(), RunE: func(c *cobra.Command, _ []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		out, err := server.Erasures(a.context(c))
		if err != nil {
			return err
		}
		return a.show(out, func(w io.Writer) {
			if len(out.Erasures) == 0 {
				fmt.Fprintln(w, "Nothing was erased.")
				return
			}
			people, rows := named(a.context(c), server), make([][]string, 0, len(out.Erasures))
			for _, e := range out.Erasures {
				what := plural(int64(e.Names), "name", "names")
				if e.All {
					what = "all"
				}
				rows = append(rows, []string{e.ID, a.when(e.At), e.Merchant, what, people.in(e.By), e.Basis})
			}
			a.table(w, 5, []string{"ID", "AT", "MERCHANT", "WHAT", "BY", "BASIS"}, rows)
			if out.Files > 0 {
				fmt.Fprintf(w, "%s still being written anew; questions find nothing of what is erased\n", plural(int64(out.Files), "file is", "files are"))
			}
		})
	}}
}
