package handout

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/scope/sheet"
)

// timelineForms are the forms of a timeline as a file, with their media types.
var timelineForms = map[string]string{"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

// Entries reads a page of a timeline.
type Entries func(context.Context, desk.EntryQuery) (desk.EntryPage, error)

// Timeline serves a whole timeline as a file, page after page, so that it takes no more memory than one of
// them. An error before the first page was read is one of the question, and nothing was written. A file that
// could not be read to its end says so in its last line, because its status is long out by then.
func Timeline(w http.ResponseWriter, r *http.Request, entries Entries, form string, q desk.EntryQuery) error {
	kind := timelineForms[form]
	if kind == "" {
		return fmt.Errorf("%w: form: is csv or ndjson", desk.ErrInvalid)
	}
	ctx := r.Context()
	q.Limit = desk.MaxEntries
	page, err := entries(ctx, q)
	if err != nil {
		return err
	}
	head(w, kind, "timeline."+form)
	write, flush := entryWriter(form, patient{w})
	for {
		for _, e := range page.Entries {
			if write(e) != nil {
				return nil // the reader is gone
			}
		}
		if flush() != nil || page.Next == "" {
			return nil
		}
		q.After = page.Next
		if page, err = entries(ctx, q); err != nil {
			_ = write(desk.Entry{TimelineLine: desk.TimelineLine{Source: "error", Kind: "cut_short", Text: "The timeline could not be read further: what stands above is not all of it. Go on after " + strconv.Quote(q.After) + "."}})
			_ = flush()
			return nil
		}
	}
}

// patient gives each piece of a long file a minute to be read: a reader that does not read is cut off.
type patient struct{ w http.ResponseWriter }

func (p patient) Write(b []byte) (int, error) {
	_ = http.NewResponseController(p.w).SetWriteDeadline(time.Now().Add(time.Minute)) // where it cannot be set, the server's own counts
	return p.w.Write(b)
}

func entryWriter(form string, w io.Writer) (write func(desk.Entry) error, flush func() error) {
	if form == "ndjson" {
		out := json.NewEncoder(w)
		return func(e desk.Entry) error { return out.Encode(e) }, func() error { return nil }
	}
	out := csv.NewWriter(w)
	_ = out.Write([]string{"at", "recorded", "source", "kind", "who", "what", "supplied_later_in", "id"}) // buffered: flush says what is wrong
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	return func(e desk.Entry) error {
		row := []string{stamp(e.At), stamp(e.Recorded), e.Source, e.Kind, e.Principal, e.Text, e.Supplied, e.ID}
		for i := range row {
			row[i] = sheet.Inert(row[i])
		}
		return out.Write(row)
	}, func() error { out.Flush(); return out.Error() }
}
