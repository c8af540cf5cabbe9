package desk

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/tocsin-ir/tocsin/scope/sheet"
)

// EntryForms are the forms of a timeline as a file, with their media types.
var EntryForms = map[string]string{"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

// WriteEntries writes a whole timeline as a file in one of EntryForms, page after page, so that it takes no
// more memory than one of them. open is called once, after the first page was read: an error before that is
// one of the question, and nothing was written. A file that could not be read to its end says so in its last
// line, because its status is long out by then.
func WriteEntries(ctx context.Context, entries func(context.Context, EntryQuery) (EntryPage, error), form string, q EntryQuery, open func() io.Writer) error {
	if EntryForms[form] == "" {
		return fmt.Errorf("%w: form: is csv or ndjson", ErrInvalid)
	}
	q.Limit = MaxEntries
	page, err := entries(ctx, q)
	if err != nil {
		return err
	}
	write, flush := entryWriter(form, open())
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
			_ = write(Entry{TimelineLine: TimelineLine{Source: "error", Kind: "cut_short", Text: "The timeline could not be read further: what stands above is not all of it. Go on after " + strconv.Quote(q.After) + "."}})
			_ = flush()
			return nil
		}
	}
}

func entryWriter(form string, w io.Writer) (write func(Entry) error, flush func() error) {
	if form == "ndjson" {
		out := json.NewEncoder(w)
		return func(e Entry) error { return out.Encode(e) }, func() error { return nil }
	}
	out := csv.NewWriter(w)
	_ = out.Write([]string{"at", "recorded", "source", "kind", "who", "what", "supplied_later_in", "id"}) // buffered: flush says what is wrong
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	return func(e Entry) error {
		row := []string{stamp(e.At), stamp(e.Recorded), e.Source, e.Kind, e.Principal, e.Text, e.Supplied, e.ID}
		for i := range row {
			row[i] = sheet.Inert(row[i])
		}
		return out.Write(row)
	}, func() error { out.Flush(); return out.Error() }
}
