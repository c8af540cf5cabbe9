package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

// sheetFlags are the files a scope is written to.
type sheetFlags struct{ csv, parquet string }

func (s *sheetFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&s.csv, "csv", "", "write the merchants to this CSV file, which must not exist")
	c.Flags().StringVar(&s.parquet, "parquet", "", "write the merchants to this Parquet file, which must not exist")
}

// write writes what get gives in each form that was asked for, and says where it is.
func (s *sheetFlags) write(a *app, get func(form string, w io.Writer) error) error {
	for _, f := range []struct{ path, form string }{{s.csv, "csv"}, {s.parquet, "parquet"}} {
		if f.path == "" {
			continue
		}
		if err := a.toNewFile(f.path, func(w io.Writer) error { return get(f.form, w) }); err != nil {
			return err
		}
	}
	return nil
}

// computeScope has the server compute a scope, says on a terminal how far it is, and ends it when this
// program is told to end. With an incident it is recorded there.
func (a *app) computeScope(ctx context.Context, server *client.Client, q client.Query, incident, reason string) (client.Run, error) {
	run, err := server.StartScope(ctx, q, incident, reason)
	if err != nil {
		return run, err
	}
	line := newProgressLine(a)
	defer line.clear()
	id := run.ID // what it is known by when following it is cut off
	run, err = server.FollowScope(ctx, id, func(now client.Run) { run = now; line.say(progressText(now)) })
	if ctx.Err() != nil {
		// Nobody waits for it any more. The server would go on counting.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := server.CancelScope(last, id); err != nil {
			return run, &failure{text: "interrupted, and the server was not told: " + err.Error(), hint: "it ends by itself after five minutes at most"}
		}
		return run, &failure{text: "interrupted: the server counts no further, and nothing was recorded"}
	}
	if err != nil {
		return run, err
	}
	switch run.State {
	case "cancelled":
		return run, &failure{text: "the scope was cancelled, and nothing was recorded"}
	case "failed":
		return run, &failure{text: run.Says}
	}
	return run, nil
}

// progressLine is one line on standard error that is written over again and again; on a terminal only.
type progressLine struct {
	w       io.Writer
	columns int
	shown   bool
}

func newProgressLine(a *app) *progressLine {
	l := &progressLine{w: a.deps.Err}
	if !a.asJSON {
		l.columns, _ = terminalSize(a.deps.Err)
	}
	return l
}

func (l *progressLine) say(text string) {
	if l.columns < 10 {
		return
	}
	text = cut(text, l.columns-1)
	fmt.Fprintf(l.w, "\r\x1b[K%s", text)
	l.shown = true
}

func (l *progressLine) clear() {
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}

// progressText says in plain letters how far a run is.
func progressText(r client.Run) string {
	p := r.Progress
	text := oneLine(p.What)
	switch {
	case p.Of > 0:
		text += fmt.Sprintf(", %s %s of %s", strings.TrimSuffix(oneLine(p.Unit), "s"), number(p.Done+1), number(p.Of))
	case p.Done > 0:
		text += fmt.Sprintf(", %s %s", number(p.Done), oneLine(p.Unit))
	}
	return fmt.Sprintf("%s, %.0f s; Ctrl-C ends it", text, r.Took)
}

// scopesCommand lists the recorded versions of a scope, shows one, or compares two.
func (a *app) scopesCommand() *cobra.Command {
	var version, from, to int
	var diff bool
	var files sheetFlags
	c := &cobra.Command{Use: "scopes INCIDENT", Short: "The recorded versions of the scope, one of them, or what changed between two", Args: exactly("INCIDENT")}
	c.Flags().IntVar(&version, "version", 0, "show this version with its merchants")
	c.Flags().BoolVar(&diff, "diff", false, "say what changed, from the version before to the newest")
	c.Flags().IntVar(&from, "from", 0, "with --diff: from this version")
	c.Flags().IntVar(&to, "to", 0, "with --diff: to this version")
	files.add(c)
	c.MarkFlagsMutuallyExclusive("diff", "version")
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := a.connect()
		if err != nil {
			return err
		}
		ctx := a.context(c)
		if diff {
			d, err := server.ScopeDiff(ctx, args[0], from, to)
			if err != nil {
				return err
			}
			return a.show(d, func(w io.Writer) { a.printScopeDiff(w, d) })
		}
		var state struct {
			Scopes   []client.ScopeVersion `json:"scopes"`
			Adjusted map[string]struct {
				Include bool      `json:"include"`
				By      string    `json:"by"`
				At      time.Time `json:"at"`
				Why     string    `json:"why"`
			} `json:"adjusted"`
		}
		if err := server.Do(ctx, "GET", "/v1/incidents/"+url.PathEscape(args[0]), nil, &state); err != nil {
			return err
		}
		if len(state.Scopes) == 0 {
			return a.show(state, func(w io.Writer) {
				fmt.Fprintf(w, "%s has no recorded scope yet; record one: tocsin incident scope %s --from … --to …\n", oneLine(args[0]), oneLine(args[0]))
			})
		}
		if version == 0 && files != (sheetFlags{}) {
			version = state.Scopes[len(state.Scopes)-1].N
		}
		if version > 0 {
			rec, err := server.ScopeRecord(ctx, args[0], version)
			if err != nil {
				return err
			}
			if err := files.write(a, func(form string, w io.Writer) error { return server.ScopeRecordFile(ctx, args[0], version, form, w) }); err != nil {
				return err
			}
			return a.show(rec, func(w io.Writer) {
				a.printScope(w, resultOf(rec))
				for _, e := range rec.Erased {
					fmt.Fprintf(w, "%s was erased on %s (%s): its customers stay counted here and can no longer be matched\n", oneLine(e.Merchant), a.when(e.At), oneLine(e.Erasure))
				}
			})
		}
		return a.show(state, func(w io.Writer) {
			people := named(a.context(c), server)
			var rows [][]string
			for _, v := range state.Scopes {
				least := ""
				if v.AtLeast {
					least = "≥ "
				}
				later := ""
				if len(v.Supplied) > 0 {
					later = "in part supplied later"
				}
				rows = append(rows, []string{fmt.Sprint(v.N), v.At.UTC().Format("2006-01-02 15:04Z"), people.in(v.By), number(v.Merchants), least + number(v.Customers), number(v.Events), fmt.Sprintf("+%d -%d", v.Added, v.Removed), v.Why, later})
			}
			a.table(w, 7, []string{"VERSION", "AT", "BY", "MERCHANTS", "CUSTOMERS", "ACCESSES", "CHANGED", "WHY", ""}, rows)
			for _, m := range slices.Sorted(maps.Keys(state.Adjusted)) {
				x := state.Adjusted[m]
				verb := "excluded"
				if x.Include {
					verb = "included"
				}
				fmt.Fprintf(w, "%s by hand: %s, by %s, %s: %s\n", verb, oneLine(m), oneLine(people.in(x.By)), a.when(x.At), oneLine(x.Why))
			}
		})
	}
	return c
}

// resultOf is a recorded version as a result; what is not recorded is absent.
func resultOf(r client.ScopeRecord) client.Result {
	v := r.Version
	return client.Result{Log: v.Log, Size: v.Size, Checkpoint: v.Checkpoint, Digest: v.Digest, Events: v.Events, Records: v.Records, Customers: v.Customers, AtLeast: v.AtLeast,
		DataTypes: v.DataTypes, First: v.First, Last: v.Last, Gaps: v.Gaps, Rows: r.Rows, Regions: v.Regions, Supplied: v.Supplied}
}

func (a *app) printScopeDiff(w io.Writer, d client.ScopeDiff) {
	fmt.Fprintf(w, "from version %d (%s) to version %d (%s): %d added, %d removed, %d with other numbers, %d the same\n",
		d.From.N, d.From.At.UTC().Format("2006-01-02 15:04Z"), d.To.N, d.To.At.UTC().Format("2006-01-02 15:04Z"), len(d.Added), len(d.Removed), len(d.Changed), d.Same)
	var rows [][]string
	add := func(what string, before, after client.Exposure) {
		merchant := after.Merchant
		if merchant == "" {
			merchant = before.Merchant
		}
		pair := func(x, y int64) string {
			if x == y {
				return number(x)
			}
			return number(x) + " -> " + number(y)
		}
		rows = append(rows, []string{what, merchant, pair(before.Customers, after.Customers), pair(before.Events, after.Events), strings.Join(after.DataTypes, ",")})
	}
	for _, x := range d.Added {
		add("+ added", client.Exposure{}, x)
	}
	for _, x := range d.Removed {
		add("- removed", x, client.Exposure{Merchant: x.Merchant})
	}
	for _, x := range d.Changed {
		add("~ changed", x.Before, x.After)
	}
	if len(rows) > 0 {
		a.table(w, 4, []string{"", "MERCHANT", "CUSTOMERS", "ACCESSES", "DATA"}, rows)
	}
}
