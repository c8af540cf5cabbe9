package console

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// clocksView is every clock of everything that is open.
type clocksView struct {
	Frame frame
	Sheet desk.ClockSheet
	List  listing
	Rows  []clockLine
}

// clockLine is a clock with its permanent place on the page.
type clockLine struct {
	desk.ClockRow
	Anchor string
}

var clockSorts = []option{{"", "the most urgent first"}, {"incident", "by incident"}, {"holder", "by who holds it"}}

var clockStates = []option{{"", "all that run"}, {"missed", "missed"}, {"at_risk", "at risk"}}

// sheetOf reads the clocks that the address asks for, in its order.
func (c *Console) sheetOf(r *http.Request) (desk.ClockSheet, listing, []clockLine, error) {
	l := listed(r, boardRows, "q", "state", "sort", "incident")
	sheet, err := c.desk.EveryClock(r.Context())
	if err != nil {
		return sheet, l, nil, err
	}
	f := c.frame(r, "")
	var rows []clockLine
	seen := map[string]int{}
	for _, row := range sheet.Clocks {
		line := clockLine{row, row.Incident + "." + row.Duty}
		if seen[line.Anchor]++; seen[line.Anchor] > 1 {
			line.Anchor += "." + strconv.Itoa(seen[line.Anchor])
		}
		if clockMatches(f, row, l) {
			rows = append(rows, line)
		}
	}
	slices.SortStableFunc(rows, func(a, b clockLine) int {
		switch l.Values.Get("sort") {
		case "incident":
			return cmp.Compare(a.Incident, b.Incident)
		case "holder":
			return cmp.Or(cmp.Compare(a.Holder, b.Holder), cmp.Compare(a.Person, b.Person))
		}
		return 0 // as the desk gave them
	})
	return sheet, l, rows, nil
}

func clockMatches(f frame, c desk.ClockRow, l listing) bool {
	if id := l.Values.Get("incident"); id != "" && id != c.Incident {
		return false
	}
	if state := l.Values.Get("state"); state != "" && state != string(c.State) {
		return false
	}
	q := strings.ToLower(l.Values.Get("q"))
	return q == "" || strings.Contains(strings.ToLower(strings.Join([]string{c.Incident, c.Title, c.Say, c.Why, c.Holder, f.whose(c), c.To, c.Law, c.Duty}, "\n")), q)
}

func (c *Console) clocksPage(w http.ResponseWriter, r *http.Request) error {
	v := clocksView{Frame: c.frame(r, "Clocks")}
	v.Frame.Here, v.Frame.Live = "clocks", true
	var rows []clockLine
	var err error
	if v.Sheet, v.List, rows, err = c.sheetOf(r); err != nil {
		return err
	}
	v.Rows = pageOf(&v.List, rows)
	return c.render(w, r, http.StatusOK, clocksPage(v))
}

// clocksFile is the same list as a file for a spreadsheet.
func (c *Console) clocksFile(w http.ResponseWriter, r *http.Request) error {
	_, _, rows, err := c.sheetOf(r)
	if err != nil {
		return err
	}
	out := make([][]string, 0, len(rows))
	for _, row := range rows {
		var missing []string
		for _, m := range row.Missing {
			missing = append(missing, m.What)
		}
		out = append(out, []string{row.Incident, row.Title, row.Duty, row.Say, row.To, string(row.State), stamp(row.Due), stamp(row.Target), row.Why, row.Law, row.Holder, row.Person, strings.Join(missing, "; ")})
	}
	return serveCSV(w, "clocks.csv", []string{"incident", "title", "duty", "say", "to", "state", "due_utc", "target_utc", "why", "law", "role", "person", "missing"}, out)
}

// stamp writes an instant for a table, and nothing for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return machine(t)
}

// whose says who holds a clock.
func (f frame) whose(c desk.ClockRow) string {
	switch {
	case c.Holder == "" && c.Person == "":
		return ""
	case c.Person == "" && c.Incident == "programme":
		return "held by " + word(c.Holder)
	case c.Person == "":
		return "for " + word(c.Holder) + ": nobody holds that role"
	}
	return fmt.Sprintf("held by %s (%s)", f.who(incident.Principal("person:"+c.Person)), word(c.Holder))
}

// clockHome is the page on which something is done about a clock.
func clockHome(c desk.ClockRow) string {
	if c.Incident == "programme" {
		return "/programme"
	}
	return string(incidentURL(c.Incident))
}

// clockRoom is the incident whose pages do something about what is missing.
func clockRoom(c desk.ClockRow) string {
	if c.Incident == "programme" {
		return ""
	}
	return c.Incident
}

// anchorNumber tells clocks of one duty apart that have limits of their own.
func anchorNumber(c clockLine) string {
	if n := strings.TrimPrefix(c.Anchor, c.Incident+"."+c.Duty); n != "" {
		return ", " + strings.TrimPrefix(n, ".")
	}
	return ""
}
