package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// accessesView is the access log, newest first.
type accessesView struct {
	Frame  frame
	In     url.Values
	Says   string // the filters as a sentence
	Page   desk.AccessPage
	Older  string // address of the next page
	File   string // query of the files
	Newer  bool   // this is not the newest page
	Erases bool   // the reader may erase
}

const accessRows = 100

// accessFields are the filters of the access log, in the order in which the sentence names them.
var accessFields = []input{
	{Name: "kind", Label: "Kind"}, {Name: "actor", Label: "By actor"}, {Name: "credential", Label: "With credential"}, {Name: "merchant", Label: "Of merchant"},
	{Name: "ip", Label: "From address"}, {Name: "outcome", Label: "Outcome"}, {Name: "source", Label: "Source"},
	{Name: "store", Label: "Of store"}, {Name: "data_type", Label: "Of data type"}, {Name: "endpoint", Label: "At endpoint"},
}

// accessQuery reads the filters of the address.
func accessQuery(r *http.Request, loc *time.Location, limit int) (desk.AccessQuery, listing, error) {
	names := []string{"from", "to", "incident", "scope", "run"}
	for _, f := range accessFields {
		names = append(names, f.Name)
	}
	l := listed(r, accessRows, names...)
	q := desk.AccessQuery{Kind: l.Values.Get("kind"), Actor: l.Values.Get("actor"), Credential: l.Values.Get("credential"), Merchant: l.Values.Get("merchant"),
		IP: l.Values.Get("ip"), Outcome: l.Values.Get("outcome"), Source: l.Values.Get("source"), Store: l.Values.Get("store"), DataType: l.Values.Get("data_type"), Endpoint: l.Values.Get("endpoint"),
		Incident: l.Values.Get("incident"), Run: l.Values.Get("run"), Limit: limit}
	if n, bad := strconv.Atoi(l.Values.Get("scope")); bad == nil && n > 0 && q.Incident != "" {
		q.Scope = n
	}
	var err error
	read := reader{in: l.Values, loc: loc, err: &err}
	q.From, q.To = read.time("from"), read.time("to")
	if err != nil {
		return q, l, err
	}
	if n, bad := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64); bad == nil && n > 0 {
		q.Before = n
	}
	return q, l, nil
}

// sentence says the filters as people would.
func (v *accessesView) sentence(q desk.AccessQuery) string {
	parts := []string{"Accesses"}
	if q.Kind != "" {
		parts = []string{word(q.Kind) + " events"}
	}
	for _, p := range []struct{ word, value string }{{"by", q.Actor}, {"with credential", q.Credential}, {"of merchant", q.Merchant}, {"from", q.IP}, {"that ended as", q.Outcome}, {"of source", q.Source}, {"of store", q.Store}, {"of data type", q.DataType}, {"at", q.Endpoint}} {
		if p.value != "" {
			parts = append(parts, p.word+" "+isolated(p.value))
		}
	}
	switch {
	case q.Scope > 0:
		parts = append(parts, "that scope "+strconv.Itoa(q.Scope)+" of "+isolated(q.Incident)+" counts,")
	case q.Run != "":
		parts = append(parts, "that the computed scope counts,")
	}
	switch {
	case !q.From.IsZero() && !q.To.IsZero():
		parts = append(parts, "between "+absolute(v.Frame, q.From)+" and "+absolute(v.Frame, q.To))
	case !q.From.IsZero():
		parts = append(parts, "since "+absolute(v.Frame, q.From))
	case !q.To.IsZero():
		parts = append(parts, "before "+absolute(v.Frame, q.To))
	}
	text := strings.Join(parts, " ")
	return incident.Capital(text) + ", the newest first."
}

func (c *Console) accessesPage(w http.ResponseWriter, r *http.Request) error {
	v := accessesView{Frame: c.frame(r, "Access log")}
	v.Frame.Here = "accesses"
	v.Erases = callerOf(r.Context()).Access == incident.Owner && !c.opt.ReadOnly
	q, l, err := accessQuery(r, v.Frame.Zone, accessRows)
	if err != nil {
		return err
	}
	if v.Page, err = c.desk.Accesses(r.Context(), q); err != nil {
		return err
	}
	v.In, v.Says, v.Newer, v.File = l.Values, v.sentence(q), q.Before > 0, l.Values.Encode()
	if v.Page.Next > 0 {
		older := url.Values{"before": {strconv.FormatInt(v.Page.Next, 10)}}
		for name := range l.Values {
			older.Set(name, l.Values.Get(name))
		}
		v.Older = "/accesses?" + older.Encode()
	}
	return c.render(w, r, http.StatusOK, accessesPage(v))
}

// accessesFile serves what the filters choose as a file, as much as one question gives. A header says
// from where to go on.
func (c *Console) accessesFile(w http.ResponseWriter, r *http.Request) error {
	q, _, err := accessQuery(r, c.frame(r, "").Zone, desk.MaxAccesses)
	if err != nil {
		return err
	}
	page, err := c.desk.Accesses(r.Context(), q)
	if err != nil {
		return err
	}
	if page.Next > 0 {
		w.Header().Set("Tocsin-Next-Before", strconv.FormatInt(page.Next, 10))
	}
	if strings.HasSuffix(r.URL.Path, ".ndjson") {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Content-Disposition", `attachment; filename="accesses.ndjson"`)
		out := json.NewEncoder(w)
		for _, a := range page.Accesses {
			if err := out.Encode(a); err != nil {
				return nil // the reader is gone
			}
		}
		return nil
	}
	rows := make([][]string, 0, len(page.Accesses))
	for _, a := range page.Accesses {
		rows = append(rows, []string{fmt.Sprint(a.Seq), a.ID, machine(a.Time), machine(a.Received), a.Source, a.Kind, a.ActorType, a.Actor, a.Credential, a.Action, a.Endpoint, a.Merchant, a.Store,
			fmt.Sprint(a.Customers), strings.Join(a.DataTypes, " "), fmt.Sprint(a.Records), fmt.Sprint(a.Bytes), a.Outcome, a.IP, a.Supplied})
	}
	return serveCSV(w, "accesses.csv", []string{"seq", "id", "time", "received", "source", "kind", "actor_type", "actor", "credential", "action", "endpoint", "merchant", "store", "customers", "data_types", "records", "bytes", "outcome", "ip", "supplied"}, rows)
}

// accessView is one event.
type accessView struct {
	Frame  frame
	Access desk.Access
	Facts  []option // what is known of it, as label and value
	Proves bool     // the reader may have the proof
}

func (c *Console) accessPage(w http.ResponseWriter, r *http.Request) error {
	a, err := c.desk.Access(r.Context(), r.PathValue("event"))
	if err != nil {
		return err
	}
	v := accessView{Frame: c.frame(r, "One access"), Access: a}
	v.Frame.Here, v.Proves = "accesses", a.Sealed && mayAct(v.Frame.Who)
	for _, o := range []option{
		{"Kind", word(a.Kind)}, {"Actor", strings.TrimSpace(a.ActorType + " " + a.Actor)}, {"Credential", a.Credential}, {"Did", a.Action}, {"At", a.Endpoint}, {"For", a.Purpose},
		{"Merchant", a.Merchant}, {"Store", a.Store}, {"Data", strings.Join(a.DataTypes, ", ")}, {"Customer accounts", number(int64(a.Customers))},
		{"Records", number(a.Records)}, {"Bytes", number(a.Bytes)}, {"Outcome", a.Outcome}, {"From address", a.IP}, {"App", a.App}, {"Source", a.Source}, {"Position", number(a.Seq)},
	} {
		if o.Text != "" {
			v.Facts = append(v.Facts, o)
		}
	}
	return c.render(w, r, http.StatusOK, accessPage(v))
}

// accessProof serves the proof of one event, to those who may answer for what it discloses.
func (c *Console) accessProof(w http.ResponseWriter, r *http.Request) error {
	if !mayAct(callerOf(r.Context())) {
		return errLooking
	}
	proof, err := c.desk.ProveEvent(r.Context(), r.PathValue("event"), 0)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="event.proof.json"`)
	_, _ = w.Write(proof) // a failed write means that the reader is gone
	return nil
}

// accessURL is the permanent address of an event.
func accessURL(id string) string { return "/accesses/" + url.PathEscape(id) }
