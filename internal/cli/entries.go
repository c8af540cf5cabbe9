package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/client"
)

// entryFlags choose entries of the timeline in which nothing is folded together.
type entryFlags struct {
	each              bool
	kinds             []string
	text, from, to    string
	csvFile, jsonFile string
}

func (e *entryFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&e.each, "each", false, "every access and line of a log by itself, as they happened")
	f.StringSliceVar(&e.kinds, "kind", nil, "only these kinds, such as pii_access,db_query (implies --each)")
	f.StringVar(&e.text, "text", "", "only entries that hold this (implies --each)")
	f.StringVar(&e.from, "from", "", "not before, RFC 3339 (implies --each)")
	f.StringVar(&e.to, "to", "", "before, RFC 3339 (implies --each)")
	f.StringVar(&e.csvFile, "csv", "", "write all of it to this CSV file, which must not exist")
	f.StringVar(&e.jsonFile, "ndjson", "", "write all of it to this NDJSON file, which must not exist")
}

func (e *entryFlags) asked() bool {
	return e.each || len(e.kinds) > 0 || e.text != "" || e.from != "" || e.to != "" || e.csvFile != "" || e.jsonFile != ""
}

// entries shows a page of the timeline, or writes all of it to files.
func (a *app) entries(c *cobra.Command, server *client.Client, incident string, e entryFlags, q client.EntryQuery) (err error) {
	q.Kinds, q.Text = e.kinds, e.text
	if e.from != "" {
		if q.From, err = parseTime(e.from); err != nil {
			return err
		}
	}
	if e.to != "" {
		if q.To, err = parseTime(e.to); err != nil {
			return err
		}
	}
	files := false
	for _, f := range []struct{ path, form string }{{e.csvFile, "csv"}, {e.jsonFile, "ndjson"}} {
		if f.path == "" {
			continue
		}
		files = true
		all := q
		all.After, all.Limit = "", 0
		if err := a.toNewFile(f.path, func(w io.Writer) error { return server.TimelineFile(a.context(c), incident, f.form, all, w) }); err != nil {
			return err
		}
	}
	if files {
		return nil
	}
	page, err := server.Entries(a.context(c), incident, q)
	if err != nil {
		return err
	}
	return a.show(page, func(w io.Writer) {
		people, rows := named(a.context(c), server), make([][]string, 0, len(page.Entries))
		for _, l := range page.Entries {
			rows = append(rows, []string{l.At.UTC().Format("2006-01-02 15:04:05.000Z"), l.Source, l.Kind, people.in(l.Principal), people.line(l.Line), laterMark(l.Line)})
		}
		a.painted(w, a.paint(), []int{3, 4}, []string{"AT", "SOURCE", "KIND", "WHO", "WHAT", ""}, rows, nil)
		if page.Next != "" {
			if !page.Until.IsZero() {
				fmt.Fprintf(w, "looked through until %s\n", a.when(page.Until))
			}
			fmt.Fprintf(w, "more: --each --after %s\n", page.Next)
		}
	})
}

// laterMark is what stands at the end of a line of a log that was brought in later, where no text is cut.
func laterMark(l client.Line) string {
	if l.Supplied == "" {
		return ""
	}
	return "supplied later"
}
