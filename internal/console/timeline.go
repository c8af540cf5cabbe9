package console

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/handout"
)

// timelineView is the merged timeline of an incident, one entry for each fact and each event.
type timelineView struct {
	Frame   frame
	State   *incident.State
	In      url.Values
	Sources []string
	Page    desk.EntryPage
	Begun   bool              // this is not the first page
	Files   string            // address of the files, without their form
	Next    string            // address of the next page
	Pinned  map[string]string // the entry of the review that each line is
	Key     string
}

// entryRows is how many entries a page shows: few enough to scroll through on a phone.
const entryRows = 50

// entryChoices are the other lengths of a page.
var entryChoices = []option{{"", "50"}, {"200", "200"}, {"500", "500"}}

// rowsOfPage is how many entries the address asks for.
func rowsOfPage(in url.Values) int {
	if slices.ContainsFunc(entryChoices, func(o option) bool { return o.Value == in.Get("rows") }) {
		if n, err := strconv.Atoi(in.Get("rows")); err == nil {
			return n
		}
	}
	return entryRows
}

// allSources are the sources of entries, with their names.
var allSources = []option{{desk.SourceFact, "facts"}, {desk.SourceDelivery, "single letters"}, {desk.SourceEvent, "accesses"}, {desk.SourceLog, "logs"}}

// entryQuery reads the choices of the address.
func entryQuery(r *http.Request, f frame) (q desk.EntryQuery, in url.Values, err error) {
	in = listed(r, entryRows, "kind", "text", "from", "to", "rows").Values
	for _, s := range r.URL.Query()["source"] {
		if slices.ContainsFunc(allSources, func(o option) bool { return o.Value == s }) && !slices.Contains(q.Sources, s) {
			q.Sources = append(q.Sources, s)
		}
	}
	read := reader{in: in, loc: f.Zone, err: &err}
	q.From, q.To = read.time("from"), read.time("to")
	q.Text, q.Kinds = in.Get("text"), strings.FieldsFunc(in.Get("kind"), func(r rune) bool { return r == ',' || r == ' ' })
	if len(q.Sources) == len(allSources) {
		q.Sources = nil
	}
	if len(q.Sources) > 0 {
		in["source"] = q.Sources
	}
	return q, in, err
}

func (c *Console) timelinePage(w http.ResponseWriter, r *http.Request) error {
	state, err := c.desk.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	v := timelineView{Frame: c.frame(r, "Timeline · "+state.ID), State: state}
	q, in, err := entryQuery(r, v.Frame)
	if err != nil {
		return err
	}
	q.After, q.Limit = r.URL.Query().Get("after"), rowsOfPage(in)
	if v.Page, err = c.desk.Entries(r.Context(), state.ID, q); err != nil {
		return err
	}
	v.Pinned, v.Key = pinned(state), rand.Text()
	v.In, v.Sources, v.Begun = in, q.Sources, q.After != ""
	v.Files = v.base() + "/file?" + in.Encode()
	if v.Page.Next != "" {
		v.Next = v.from(v.Page.Next)
	}
	return c.render(w, r, http.StatusOK, timelinePage(v))
}

// timelineFile serves the whole timeline as a file.
func (c *Console) timelineFile(w http.ResponseWriter, r *http.Request) error {
	q, _, err := entryQuery(r, c.frame(r, ""))
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	return handout.Timeline(w, r, func(ctx context.Context, q desk.EntryQuery) (desk.EntryPage, error) {
		return c.desk.Entries(ctx, id, q)
	}, r.URL.Query().Get("form"), q)
}

func (v timelineView) base() string {
	return "/incidents/" + url.PathEscape(v.State.ID) + "/timeline"
}

// from is the address of the page that begins at a place, with the same choices.
func (v timelineView) from(after string) string {
	q := url.Values{"after": {after}}
	for name, values := range v.In {
		q[name] = values
	}
	return v.base() + "?" + q.Encode()
}

// shows reports whether a source is shown.
func (v timelineView) shows(source string) bool {
	return len(v.Sources) == 0 || slices.Contains(v.Sources, source)
}
