package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

// scopeFlags are the filters of a scope query.
type scopeFlags struct {
	from, to, kind                                                 string
	credential, actor, ip, agent, endpoint, merchant, action, data []string
	notIP, notAgent, notActor                                      []string
}

func (s *scopeFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.from, "from", "", "beginning, inclusive (RFC 3339)")
	f.StringVar(&s.to, "to", "", "end, exclusive (RFC 3339)")
	f.StringVar(&s.kind, "kind", "", "kind of access event (default pii_access)")
	f.StringArrayVar(&s.credential, "credential", nil, "a credential (every filter may be repeated)")
	f.StringArrayVar(&s.actor, "actor", nil, "an actor")
	f.StringArrayVar(&s.ip, "ip", nil, "an address or prefix")
	f.StringArrayVar(&s.agent, "agent", nil, "a user agent")
	f.StringArrayVar(&s.endpoint, "endpoint", nil, "an endpoint")
	f.StringArrayVar(&s.merchant, "merchant", nil, "a merchant")
	f.StringArrayVar(&s.action, "action", nil, "an action, such as export")
	f.StringArrayVar(&s.data, "data-type", nil, "a data type, such as customer.email")
	f.StringArrayVar(&s.notIP, "not-ip", nil, "leave out this address or prefix")
	f.StringArrayVar(&s.notAgent, "not-agent", nil, "leave out this user agent")
	f.StringArrayVar(&s.notActor, "not-actor", nil, "leave out this actor")
}

// query makes the query. Each filter narrows; values of one filter are alternatives; each --not is
// an exclusion of its own.
func (s *scopeFlags) query(c *cobra.Command) (client.Query, error) {
	if s.from == "" || s.to == "" {
		return client.Query{}, &usageError{text: "--from and --to are needed", hint: "such as --from 2026-11-20T00:00:00Z --to 2026-11-21T00:00:00Z"}
	}
	from, err := parseTime(s.from)
	if err != nil {
		return client.Query{}, err
	}
	to, err := parseTime(s.to)
	if err != nil {
		return client.Query{}, err
	}
	q := client.Query{From: from, To: to, Kind: s.kind}
	some := client.Clause{Credential: s.credential, Actor: s.actor, IP: s.ip, Agent: s.agent, Endpoint: s.endpoint, Merchant: s.merchant, Action: s.action, DataType: s.data}
	if len(s.credential)+len(s.actor)+len(s.ip)+len(s.agent)+len(s.endpoint)+len(s.merchant)+len(s.action)+len(s.data) > 0 {
		q.Any = []client.Clause{some}
	}
	if len(s.notIP) > 0 {
		q.Not = append(q.Not, client.Clause{IP: s.notIP})
	}
	if len(s.notAgent) > 0 {
		q.Not = append(q.Not, client.Clause{Agent: s.notAgent})
	}
	if len(s.notActor) > 0 {
		q.Not = append(q.Not, client.Clause{Actor: s.notActor})
	}
	return q, nil
}

func (a *app) scopeCommand() *cobra.Command {
	var flags scopeFlags
	var incident, reason string
	var compare bool
	var files sheetFlags
	c := &cobra.Command{Use: "scope", Short: "Compute who is affected; recorded only with --incident", Args: exactly()}
	flags.add(c)
	c.Flags().StringVar(&incident, "incident", "", "record it on this incident")
	c.Flags().StringVar(&reason, "reason", "", "why this query, when it is recorded")
	c.Flags().BoolVar(&compare, "compare", false, "say instead what of it is unusual for its credentials and actors")
	files.add(c)
	c.MarkFlagsMutuallyExclusive("compare", "incident")
	c.RunE = func(c *cobra.Command, _ []string) error {
		q, err := flags.query(c)
		if err != nil {
			return err
		}
		if compare {
			return a.compareScope(c, q)
		}
		if incident != "" {
			return a.recordScope(c, incident, q, reason, files)
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		run, err := a.computeScope(a.context(c), server, q, "", "")
		if err != nil {
			return err
		}
		if err := files.write(a, func(form string, w io.Writer) error { return server.ScopeFile(a.context(c), run.ID, form, w) }); err != nil {
			return err
		}
		return a.show(run.Result, func(w io.Writer) { a.printScope(w, *run.Result) })
	}
	return c
}

func (a *app) recordScopeCommand() *cobra.Command {
	var flags scopeFlags
	var reason string
	var files sheetFlags
	c := &cobra.Command{Use: "scope INCIDENT", Short: "Compute who is affected and record it", Args: exactly("INCIDENT")}
	flags.add(c)
	c.Flags().StringVar(&reason, "reason", "", "why this query")
	files.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		q, err := flags.query(c)
		if err != nil {
			return err
		}
		return a.recordScope(c, args[0], q, reason, files)
	}
	return c
}

func (a *app) recordScope(c *cobra.Command, incident string, q client.Query, reason string, files sheetFlags) error {
	server, err := a.connect()
	if err != nil {
		return err
	}
	run, err := a.computeScope(a.context(c), server, q, incident, reason)
	if err != nil {
		return err
	}
	if run.Outcome == nil || run.Result == nil {
		return &failure{text: "the server says that the scope is done, and not what came of it"}
	}
	out, result := *run.Outcome, *run.Result
	if err := files.write(a, func(form string, w io.Writer) error { return server.ScopeFile(a.context(c), run.ID, form, w) }); err != nil {
		return err
	}
	return a.show(map[string]any{"outcome": out, "result": result}, func(w io.Writer) {
		a.printScope(w, result)
		fmt.Fprintf(w, "recorded on %s: %s\n", out.Incident, strings.ReplaceAll(oneLine(out.Reason), "_", " "))
	})
}

func (a *app) printScope(w io.Writer, r client.Result) {
	least := ""
	if r.AtLeast {
		least = "at least "
	}
	fmt.Fprintf(w, "%s%s, %s (an upper bound on people), %s\n", least, plural(int64(len(r.Rows)), "merchant", "merchants"),
		plural(r.Customers, "customer account", "customer accounts"), plural(r.Events, "access", "accesses"))
	if len(r.DataTypes) > 0 {
		fmt.Fprintf(w, "data: %s\n", oneLine(strings.Join(r.DataTypes, ", ")))
	}
	for _, s := range r.Supplied {
		fmt.Fprintf(w, "supplied later: %s of %s rest on the file %s\n", number(s.Events), plural(r.Events, "access", "accesses"), oneLine(s.File))
	}
	if len(r.Regions) > 0 {
		fmt.Fprintf(w, "by region: %s\n", residents(r.Regions, 20))
	}
	for _, g := range r.Gaps {
		fmt.Fprintf(w, "gap: %s said nothing from %s to %s\n", oneLine(g.Source), a.when(g.From), a.when(g.To))
	}
	rows := make([][]string, 0, len(r.Rows))
	for i, x := range r.Rows {
		if i == 50 {
			break
		}
		rows = append(rows, []string{x.Merchant, number(x.Customers), number(x.Events), x.First.UTC().Format("01-02 15:04Z"), x.Last.UTC().Format("01-02 15:04Z"), strings.Join(x.DataTypes, ","), suppliedMark(x)})
	}
	if len(rows) > 0 {
		head := []string{"MERCHANT", "CUSTOMERS", "ACCESSES", "FIRST", "LAST", "DATA", ""}
		if len(r.Supplied) == 0 {
			head = head[:6]
			for i := range rows {
				rows[i] = rows[i][:6]
			}
		}
		a.table(w, 5, head, rows)
	}
	if len(r.Rows) > 50 {
		fmt.Fprintf(w, "and %d more merchants; --json lists all\n", len(r.Rows)-50)
	}
	for _, s := range r.Included {
		fmt.Fprintf(w, "taken in:  %s  %s  %s\n", cmp.Or(oneLine(s.IP), "no address"), plural(s.Events, "access", "accesses"), cmp.Or(oneLine(s.Agent), "no user agent"))
	}
	if r.Events == 0 {
		fmt.Fprintln(w, "nothing in this time has all of these values: tocsin access list shows how they are written")
	}
	for _, s := range r.Excluded {
		fmt.Fprintf(w, "left out:  %s  %s  %s\n", cmp.Or(oneLine(s.IP), "no address"), plural(s.Events, "access", "accesses"), cmp.Or(oneLine(s.Agent), "no user agent"))
	}
	fmt.Fprintf(w, "defined on %d leaves of %s, %s\n", r.Size, oneLine(r.Log), oneLine(r.Digest))
}

// residents says how many customer accounts live where, the most first, of so many places.
func residents(list []client.Residents, most int) string {
	var words []string
	for i, r := range list {
		if i == most {
			words = append(words, fmt.Sprintf("and %d more", len(list)-most))
			break
		}
		where := oneLine(r.Region)
		if where == "" {
			where = "unknown"
		}
		words = append(words, where+" "+number(r.Customers))
	}
	return strings.Join(words, ", ")
}

// suppliedMark says how many of a merchant's accesses were not logged live.
func suppliedMark(x client.Exposure) string {
	var n int64
	for _, s := range x.Supplied {
		n += s.Events
	}
	if n == 0 {
		return ""
	}
	return number(n) + " supplied later"
}
