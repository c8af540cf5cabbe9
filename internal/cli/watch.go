package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

// board is what watch shows at one time.
type board struct {
	At     time.Time      `json:"at"`
	Rows   []client.Row   `json:"incidents"`
	Clocks []client.Clock `json:"clocks"`
}

func (a *app) watchCommand() *cobra.Command {
	var every time.Duration
	var once bool
	c := &cobra.Command{
		Use: "watch", Short: "The board, live: drawn again on a terminal, a line for each change elsewhere", Args: exactly(),
		Long: "Shows open incidents and running clocks until Ctrl-C. On a terminal the screen is drawn\n" +
			"again; elsewhere each change is a line, and with --json each change is a JSON object on one.",
	}
	c.Flags().DurationVar(&every, "every", 2*time.Second, "time between two looks (1s or more)")
	c.Flags().BoolVar(&once, "once", false, "look once and end")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if every < time.Second {
			return &usageError{text: "--every has to be 1s or more", hint: "usage: " + c.UseLine()}
		}
		server, err := a.connect()
		if err != nil {
			return err
		}
		return a.watch(a.context(c), server, every, once)
	}
	return c
}

// watch looks again and again until ctx ends, which is no error: that is how it is left. A server
// that goes away is said, and waited for.
func (a *app) watch(ctx context.Context, server *client.Client, every time.Duration, once bool) error {
	_, rows := terminalSize(a.deps.Out)
	draws := rows > 0 && !a.asJSON && !once
	if draws {
		fmt.Fprint(a.deps.Out, "\x1b[?1049h\x1b[?25l") // another screen, without a cursor
		defer fmt.Fprint(a.deps.Out, "\x1b[?25h\x1b[?1049l")
	}
	before := map[string]string{}
	last := ""
	for {
		now, err := look(ctx, server, a.deps.Now())
		var away *client.UnavailableError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &away) && !once && last != "":
			a.gone(draws, &last)
		case err != nil:
			return err
		case a.asJSON:
			if text := fingerprint(now); text != last {
				last = text
				if err := json.NewEncoder(a.deps.Out).Encode(now); err != nil {
					return err
				}
			}
		case draws:
			columns, rows := terminalSize(a.deps.Out)
			a.draw(now, columns, rows)
			last = "drawn"
		case once:
			a.folded(func(w io.Writer) { a.printBoard(w, a.paint(), now) })
		default:
			a.changes(now, before)
			last = "said"
		}
		if once {
			return nil
		}
		t := time.NewTimer(every)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

func look(ctx context.Context, server *client.Client, now time.Time) (board, error) {
	b := board{At: now.UTC()}
	var err error
	if b.Rows, err = server.Board(ctx); err != nil {
		return b, err
	}
	b.Clocks, err = server.Clocks(ctx, "")
	if b.Rows == nil {
		b.Rows = []client.Row{}
	}
	if b.Clocks == nil {
		b.Clocks = []client.Clock{}
	}
	return b, err
}

// gone says once that no answer comes.
func (a *app) gone(draws bool, last *string) {
	const text = "the server does not answer; still looking"
	if *last == text {
		return
	}
	*last = text
	if draws {
		fmt.Fprintf(a.deps.Out, "\x1b[H%s\x1b[K", text)
		return
	}
	fmt.Fprintln(a.deps.Err, text)
}

// draw fills the screen in one write, so that nothing flickers, and wipes what stood below.
func (a *app) draw(b board, columns, rows int) {
	var text bytes.Buffer
	Folded(&text, func(string) string { return strconv.Itoa(columns) }, func(w io.Writer) { a.printBoard(w, a.paint(), b) })
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	if len(lines) > rows-1 {
		lines = append(lines[:max(rows-2, 1)], "… more than fits: tocsin clocks shows all")
	}
	fmt.Fprint(a.deps.Out, "\x1b[H"+strings.Join(lines, "\x1b[K\r\n")+"\x1b[K\x1b[J")
}

func (a *app) printBoard(w io.Writer, paint func(state, text string) string, b board) {
	fmt.Fprintf(w, "%s · %s · %s\n\n", paint("bold", b.At.Format("2006-01-02 15:04:05 UTC")),
		plural(int64(len(b.Rows)), "open incident", "open incidents"), plural(int64(len(b.Clocks)), "clock", "clocks"))
	if len(b.Rows) == 0 {
		fmt.Fprintln(w, "No open incidents.")
	} else {
		a.printRows(w, paint, b.Rows)
	}
	if len(b.Clocks) > 0 {
		fmt.Fprintln(w)
		a.paintClocks(w, paint, b.Clocks, true)
	}
}

func (a *app) printRows(w io.Writer, paint func(state, text string) string, rows []client.Row) {
	table := make([][]string, 0, len(rows))
	states := make([]string, 0, len(rows))
	for _, r := range rows {
		next, due, state := "—", "—", ""
		if r.Next != nil {
			next, due, state = r.Next.Say, a.when(dueOf(*r.Next)), r.Next.State
		}
		table = append(table, []string{r.ID, r.Severity, r.Status, r.Title, next, due})
		states = append(states, state)
	}
	a.painted(w, paint, []int{3, 4}, []string{"INCIDENT", "SEVERITY", "STATUS", "TITLE", "NEXT", "DUE"}, table, states)
}

// changes prints a line for everything that is new or stands otherwise than at the last look.
func (a *app) changes(b board, before map[string]string) {
	at := b.At.Format("2006-01-02 15:04:05Z")
	seen := map[string]bool{}
	tell := func(key, text string) {
		seen[key] = true
		if before[key] != text {
			before[key] = text
			fmt.Fprintf(a.deps.Out, "%s  %s\n", at, oneLine(text))
		}
	}
	for _, r := range b.Rows {
		tell(r.ID, r.ID+"  "+strings.TrimSpace(r.Severity+" "+r.Status)+": "+r.Title)
	}
	for _, c := range b.Clocks {
		due := "no time yet"
		if t := dueOf(c); !t.IsZero() {
			due = "due " + t.UTC().Format("2006-01-02 15:04 UTC")
		}
		tell(c.Incident+" "+c.Duty+" "+c.Recipient, fmt.Sprintf("%s  %s %s: %s, %s", c.Incident, marks[c.State], strings.ReplaceAll(c.State, "_", " "), c.Say, due))
	}
	for key := range before {
		if !seen[key] && key != "" {
			fmt.Fprintf(a.deps.Out, "%s  no longer there: %s\n", at, oneLine(before[key]))
			delete(before, key)
		}
	}
	if len(before) == 0 {
		before[""] = "" // so that it is said once
		fmt.Fprintf(a.deps.Out, "%s  no open incidents\n", at)
	}
}

// fingerprint is what a look shows, without when it was.
func fingerprint(b board) string {
	b.At = time.Time{}
	text, _ := json.Marshal(b) // plain data always encodes
	return string(text)
}
