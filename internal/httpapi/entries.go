package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/handout"
)

type entriesInput struct {
	ID     string    `path:"id" maxLength:"64"`
	After  string    `query:"after" maxLength:"100" doc:"next of the page before, or from of an entry to begin at"`
	Limit  int       `query:"limit" minimum:"1" maximum:"5000" default:"1000"`
	Source string    `query:"source" maxLength:"60" doc:"comma-separated: fact, delivery, event, log; default all"`
	Kind   string    `query:"kind" maxLength:"400" doc:"comma-separated kinds of facts and events; default all"`
	Text   string    `query:"text" maxLength:"200" doc:"only entries that hold it"`
	From   time.Time `query:"from" doc:"RFC 3339"`
	To     time.Time `query:"to" doc:"RFC 3339; not included"`
}

type entriesOutput struct{ Body desk.EntryPage }

// registerEntries registers the merged timeline with each fact and each event in it.
func (a *API) registerEntries(d Incidents) {
	op := operation("timeline-entries", http.MethodGet, "/v1/incidents/{id}/timeline/entries", viewers,
		"The merged timeline, one entry for each fact, access and line of a log, in the order in which things happened")
	op.Tags, op.Errors = []string{"incident"}, append(op.Errors, http.StatusNotFound)
	huma.Register(a.huma, op, func(ctx context.Context, in *entriesInput) (*entriesOutput, error) {
		q, err := entryQuery(in.Source, in.Kind)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		q.After, q.Limit, q.Text, q.From, q.To = in.After, in.Limit, in.Text, in.From, in.To
		page, err := d.Entries(ctx, in.ID, q)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return &entriesOutput{Body: page}, nil
	})

	op = operation("timeline-file", http.MethodGet, "/v1/incidents/{id}/timeline/file", viewers, "The same as a file, from the beginning to the end")
	op.Tags, op.Errors = []string{"incident"}, append(op.Errors, http.StatusNotFound)
	text := &huma.Schema{Type: "string"}
	op.Parameters = []*huma.Param{
		{Name: "id", In: "path", Required: true, Schema: text}, {Name: "form", In: "query", Description: "csv or ndjson", Schema: &huma.Schema{Type: "string", Enum: []any{"csv", "ndjson"}}},
		{Name: "source", In: "query", Schema: text}, {Name: "kind", In: "query", Schema: text}, {Name: "text", In: "query", Schema: text},
		{Name: "from", In: "query", Schema: text}, {Name: "to", In: "query", Schema: text},
	}
	op.Responses = map[string]*huma.Response{"200": {Description: "an entry a line; a file that was cut short ends in a line that says so",
		Content: map[string]*huma.MediaType{"text/csv": {}, "application/x-ndjson": {Schema: a.schema(desk.Entry{})}}}}
	a.raw(op, func(w http.ResponseWriter, r *http.Request) error {
		in := r.URL.Query()
		q, err := entryQuery(in.Get("source"), in.Get("kind"))
		if err != nil {
			return err
		}
		q.Text = in.Get("text")
		for name, to := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
			if v := in.Get(name); v != "" {
				if *to, err = time.Parse(time.RFC3339Nano, v); err != nil {
					return fmt.Errorf("%w: %s: has to be a time such as 2026-11-22T03:02:11Z", desk.ErrInvalid, name)
				}
			}
		}
		return handout.Timeline(w, r, func(ctx context.Context, q desk.EntryQuery) (desk.EntryPage, error) {
			return d.Entries(ctx, r.PathValue("id"), q)
		}, in.Get("form"), q)
	})
}

func entryQuery(sources, kinds string) (q desk.EntryQuery, err error) {
	q.Sources, q.Kinds = words(sources), words(kinds)
	for _, s := range q.Sources {
		if !slices.Contains([]string{desk.SourceFact, desk.SourceDelivery, desk.SourceEvent, desk.SourceLog}, s) {
			return q, fmt.Errorf("%w: source: is fact, delivery, event or log", desk.ErrInvalid)
		}
	}
	return q, nil
}

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
