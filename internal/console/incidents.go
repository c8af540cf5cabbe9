package console

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// incidentsView is every incident the reader may see, open and settled, as a list.
type incidentsView struct {
	Frame   frame
	Rows    []desk.BoardRow
	List    listing
	Classes []option
	Levels  []option
	Cut     bool // there are more than are looked at
}

// listedIncidents is how many settled incidents the list looks at, the newest.
const listedIncidents = 5000

var incidentStates = []option{{"", "all"}, {"open", "open"}, {"settled", "closed or dismissed"}, {"closed", "closed"}, {"dismissed", "dismissed"}}

var incidentSorts = []option{{"", "most urgent first, then newest"}, {"opened", "newest first"}, {"oldest", "oldest first"}, {"updated", "last changed first"}, {"severity", "worst first"}, {"title", "by title"}}

// incidentsOf reads the incidents that the address asks for, in its order.
func (c *Console) incidentsOf(r *http.Request) (l listing, rows []desk.BoardRow, cut bool, err error) {
	l = listed(r, boardRows, "q", "incident", "state", "class", "severity", "sort")
	page, err := c.desk.OpenBoard(r.Context(), 0, listedIncidents)
	if err != nil {
		return l, nil, false, err
	}
	settled, cut, err := c.desk.SettledBoard(r.Context(), 0, listedIncidents)
	if err != nil {
		return l, nil, false, err
	}
	f := c.frame(r, "")
	for _, row := range append(page.Rows, settled...) {
		if incidentMatches(f, row, l) {
			rows = append(rows, row)
		}
	}
	var worst []string
	if p := c.desk.PolicyProgram(r.Context()); p != nil {
		for _, level := range p.Severities {
			worst = append(worst, level.ID)
		}
	}
	rank := func(severity string) int {
		if i := slices.Index(worst, severity); i >= 0 {
			return i
		}
		return len(worst)
	}
	slices.SortStableFunc(rows, func(a, b desk.BoardRow) int {
		switch l.Values.Get("sort") {
		case "opened":
			return b.Opened.Compare(a.Opened)
		case "oldest":
			return a.Opened.Compare(b.Opened)
		case "updated":
			return b.Updated.Compare(a.Updated)
		case "severity":
			return cmp.Compare(rank(a.Severity), rank(b.Severity))
		case "title":
			return cmp.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title))
		}
		return 0 // as the desk gave them
	})
	return l, rows, cut, nil
}

func incidentMatches(f frame, row desk.BoardRow, l listing) bool {
	switch state := l.Values.Get("state"); {
	case state == "settled" && row.Status == incident.StatusOpen, state != "" && state != "settled" && state != string(row.Status):
		return false
	}
	for name, is := range map[string]string{"incident": row.ID, "class": row.Class, "severity": row.Severity} {
		if want := l.Values.Get(name); want != "" && want != is {
			return false
		}
	}
	q := strings.ToLower(l.Values.Get("q"))
	return q == "" || strings.Contains(strings.ToLower(strings.Join([]string{row.ID, row.Title, row.Class, word(row.Class), f.lead(row), strings.Join(row.Apps, " ")}, "\n")), q)
}

func (c *Console) incidentsPage(w http.ResponseWriter, r *http.Request) error {
	v := incidentsView{Frame: c.frame(r, "All incidents"), Classes: []option{{"", "all"}}, Levels: []option{{"", "all"}}}
	v.Frame.Here = "board"
	var rows []desk.BoardRow
	var err error
	if v.List, rows, v.Cut, err = c.incidentsOf(r); err != nil {
		return err
	}
	if p := c.desk.PolicyProgram(r.Context()); p != nil {
		for _, class := range p.Classes {
			v.Classes = append(v.Classes, option{class.ID, word(class.ID)})
		}
		for _, level := range p.Severities {
			v.Levels = append(v.Levels, option{level.ID, word(level.ID)})
		}
	}
	v.Classes = append(v.Classes, option{"unclassified", "unclassified"})
	v.Rows = pageOf(&v.List, rows)
	return c.render(w, r, http.StatusOK, incidentsPage(v))
}

// incidentsFile is the same list as a file: a table for a spreadsheet, or a line of JSON each.
func (c *Console) incidentsFile(w http.ResponseWriter, r *http.Request) error {
	_, rows, _, err := c.incidentsOf(r)
	if err != nil {
		return err
	}
	if strings.HasSuffix(r.URL.Path, ".ndjson") {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Content-Disposition", `attachment; filename="incidents.ndjson"`)
		out := json.NewEncoder(w)
		for _, row := range rows {
			if err := out.Encode(row); err != nil {
				return nil // the reader is gone
			}
		}
		return nil
	}
	table := make([][]string, 0, len(rows))
	for _, row := range rows {
		next, due := "", ""
		if row.Next != nil {
			next, due = row.Next.Say, stamp(row.Next.Due)
		}
		table = append(table, []string{row.ID, row.Title, row.Class, row.Severity, string(row.Status), strings.Join(row.Apps, " "), row.Lead, stamp(row.Opened), stamp(row.Updated),
			stamp(row.Milestones["confirmed"]), stamp(row.Milestones["contained"]), stamp(row.Milestones["closed"]), next, due, strconv.Itoa(row.Missed), strconv.FormatInt(row.Merchants, 10), strconv.FormatInt(row.People, 10)})
	}
	return serveCSV(w, "incidents.csv", []string{"incident", "title", "class", "severity", "status", "apps", "lead", "opened_utc", "updated_utc",
		"confirmed_utc", "contained_utc", "closed_utc", "next", "next_due_utc", "missed", "merchants", "customer_accounts"}, table)
}

// incidentPlace is the address of the list at one incident: of it alone, so that no page and no filter hides it.
func incidentPlace(id string) templ.SafeURL {
	return templ.SafeURL("/incidents?incident=" + urlQuery(id) + "#" + urlQuery(id))
}
