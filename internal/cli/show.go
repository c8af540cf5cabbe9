package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

func (a *app) showCommand() *cobra.Command {
	return &cobra.Command{Use: "show INCIDENT", Short: "One incident: milestones, clocks, gates, actions, notices", Args: exactly("INCIDENT"), RunE: func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		raw, err := server.Incident(a.context(c), args[0])
		if err != nil {
			return err
		}
		clocks, err := server.Clocks(a.context(c), args[0])
		if err != nil {
			return err
		}
		if a.asJSON {
			return a.show(raw, nil)
		}
		var s shown
		if err := json.Unmarshal(raw, &s); err != nil {
			return &failure{text: "the server's answer cannot be read", hint: "is the server of the same version?"}
		}
		a.folded(func(w io.Writer) { a.printIncident(w, s, clocks, named(a.context(c), server)) })
		return nil
	}}
}

// shown is what `show` prints of an incident's state.
type shown struct {
	ID         string `json:"id"`
	Title      string `json:"title"`
	Class      string `json:"class"`
	Severity   string `json:"severity"`
	Status     string `json:"status"`
	Milestones map[string]struct {
		At time.Time `json:"at"`
		By string    `json:"by"`
	} `json:"milestones"`
	Roles  map[string]string `json:"roles"`
	Scopes []struct {
		N                            int
		Merchants, Customers, Events int64
		AtLeast                      bool `json:"at_least"`
	} `json:"scopes"`
	Actions []struct {
		ID, Decl, State, Proof string
		Target                 map[string]string
	} `json:"actions"`
	Notices []struct {
		ID, Duty, State, Subject string
	} `json:"notices"`
	Checks map[string]struct {
		State    string `json:"state"`
		Observed string `json:"observed"`
	} `json:"checks"`
	Private *struct {
		Readers []struct {
			Person string `json:"person"`
		} `json:"readers"`
		About []string `json:"about"`
	} `json:"private"`
	Into *struct {
		Into string `json:"into"`
	} `json:"into"`
	Merged []struct {
		Incident string `json:"incident"`
		Title    string `json:"title"`
		Signals  []any  `json:"signals"`
	} `json:"merged"`
	Splits []struct {
		Into    string   `json:"into"`
		Signals []string `json:"signals"`
	} `json:"splits"`
	SplitOf *struct {
		From string `json:"from"`
	} `json:"split_of"`
	Gates    []client.Gate       `json:"gates"`
	Outdated map[string][]string `json:"outdated"`
}

func (a *app) printIncident(w io.Writer, s shown, clocks []client.Clock, people names) {
	fmt.Fprintf(w, "%s  %s\n%s · %s · %s\n", s.ID, oneLine(s.Title), oneLine(s.Class), oneLine(s.Severity), s.Status)
	if s.Private != nil {
		var on []string
		for _, r := range s.Private.Readers {
			on = append(on, people.in(r.Person))
		}
		fmt.Fprintf(w, "Private. On its list: %s\n", oneLine(strings.Join(on, ", ")))
		if len(s.Private.About) > 0 {
			fmt.Fprintf(w, "It is about %s, who may not know of it\n", oneLine(people.in(strings.Join(s.Private.About, ", "))))
		}
	}
	if s.Into != nil {
		fmt.Fprintf(w, "Merged into %s, where its clocks go on: tocsin incident show %s\n", oneLine(s.Into.Into), oneLine(s.Into.Into))
	}
	for _, m := range s.Merged {
		fmt.Fprintf(w, "%s was merged into it: %s, %s\n", oneLine(m.Incident), oneLine(m.Title), plural(int64(len(m.Signals)), "signal", "signals"))
	}
	if s.SplitOf != nil {
		fmt.Fprintf(w, "Split off from %s\n", oneLine(s.SplitOf.From))
	}
	for _, x := range s.Splits {
		fmt.Fprintf(w, "%s split off into %s\n", plural(int64(len(x.Signals)), "signal", "signals"), oneLine(x.Into))
	}
	names := make([]string, 0, len(s.Milestones))
	for name := range s.Milestones {
		names = append(names, name)
	}
	slices.SortFunc(names, func(x, y string) int {
		if c := s.Milestones[x].At.Compare(s.Milestones[y].At); c != 0 {
			return c
		}
		return strings.Compare(x, y)
	})
	if len(names) > 0 {
		fmt.Fprintln(w, "\nMilestones")
		for _, name := range names {
			m := s.Milestones[name]
			fmt.Fprintf(w, "  %-14s %s  %s\n", name, a.when(m.At), oneLine(people.in(m.By)))
		}
	}
	if len(clocks) > 0 {
		fmt.Fprintln(w, "\nClocks")
		a.printClocks(w, clocks, false)
	}
	if n := len(s.Scopes); n > 0 {
		sc := s.Scopes[n-1]
		least := ""
		if sc.AtLeast {
			least = "at least "
		}
		fmt.Fprintf(w, "\nScope %d: %s%s, %s, %s\n", sc.N, least, plural(sc.Merchants, "merchant", "merchants"),
			plural(sc.Customers, "customer account", "customer accounts"), plural(sc.Events, "access", "accesses"))
	}
	if len(s.Actions) > 0 {
		fmt.Fprintln(w, "\nActions")
		for _, x := range s.Actions {
			fmt.Fprintf(w, "  %-7s %-10s %s %s  %s\n", x.ID, x.State, oneLine(x.Decl), oneLine(targets(x.Target)), oneLine(x.Proof))
		}
	}
	if len(s.Notices) > 0 {
		fmt.Fprintln(w, "\nNotices")
		for _, x := range s.Notices {
			fmt.Fprintf(w, "  %-7s %-10s %s: %s\n", x.ID, x.State, oneLine(x.Duty), oneLine(x.Subject))
		}
	}
	for _, duty := range slices.Sorted(maps.Keys(s.Outdated)) {
		fmt.Fprintf(w, "  %s told what is not so any more by %s: tocsin notify draft %s --duty %s --corrects NOTICE\n",
			plural(int64(len(s.Outdated[duty])), "merchant was", "merchants were"), oneLine(duty), s.ID, oneLine(duty))
	}
	if len(s.Checks) > 0 {
		fmt.Fprintln(w, "\nChecks")
		ids := make([]string, 0, len(s.Checks))
		for id := range s.Checks {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			fmt.Fprintf(w, "  %-14s %-8s %s\n", oneLine(id), s.Checks[id].State, oneLine(s.Checks[id].Observed))
		}
	}
	for _, g := range s.Gates {
		if g.Open {
			continue
		}
		fmt.Fprintf(w, "\nGate closed: %s\n", oneLine(g.Command))
		for _, m := range g.Missing {
			fmt.Fprintf(w, "  missing: %s — %s\n", oneLine(m.What), oneLine(m.Do))
		}
	}
}

func targets(t map[string]string) string {
	keys := make([]string, 0, len(t))
	for k := range t {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		keys[i] = k + "=" + t[k]
	}
	return strings.Join(keys, " ")
}
