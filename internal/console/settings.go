package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/played"
)

// registerMore adds the pages about the installation itself.
func (c *Console) registerMore() {
	c.page("GET /settings", c.settingsPage)
	c.registerIntegrity()
	c.page("GET /probes", c.probesPage)
	c.acting("POST /probes", c.runProbe)
	c.page("GET /people", c.peoplePage)
	c.page("GET /people.csv", c.peopleFile)
	c.page("GET /tokens.csv", c.bearersFile)
	c.page("GET /drills.csv", c.drillsFile)
	c.acting("GET /people/do/{act}", c.orgActPage)
	c.acting("POST /people/do/{act}", c.orgAct)
	c.acting("GET /policy/draft", c.draftPage)
	c.acting("POST /policy/draft", c.draft)
	c.page("GET /settings.csv", c.findingsFile)
	c.page("GET /drills", c.drillsPage)
	c.page("GET /drills/{run}", c.drillPage)
}

// settingsView is what the installation rests on: the doctor's findings, and what it is connected to.
type settingsView struct {
	Frame        frame
	Report       *doctor.Report // nil: nobody looks here
	Integrations []Integration
	Owner        bool
	List         listing // of the findings
	Findings     []doctor.Finding
}

func (c *Console) settingsPage(w http.ResponseWriter, r *http.Request) error {
	v := settingsView{Frame: c.frame(r, "Settings"), Owner: callerOf(r.Context()).Access == incident.Owner && c.opt.Hour != nil && !c.opt.ReadOnly}
	v.Frame.Here = "settings"
	if c.opt.Hour != nil {
		report, err := c.opt.Hour.Checkup(r.Context())
		if err != nil {
			return err
		}
		v.Report, v.Integrations = &report, c.opt.Hour.Integrations()
		v.List = listed(r, findingRows, "q", "state", "finding").another(r, "findings", findingRows)
		v.Findings = pageOf(&v.List, findingsOf(v.List, report))
	}
	return c.render(w, r, http.StatusOK, settingsPage(v))
}

// findingRows is how many of the doctor's findings a page shows.
const findingRows = 100

var findingStates = []option{{"", "all"}, {string(doctor.Fail), "fails"}, {string(doctor.Warn), "at risk"}, {string(doctor.OK), "in order"}}

// findingsOf are the findings that the address asks for, the worst first.
func findingsOf(l listing, report doctor.Report) (fit []doctor.Finding) {
	state, one := l.Values.Get("state"), l.Values.Get("finding")
	for _, f := range report.Findings {
		if (state == "" || state == string(f.State)) && (one == "" || one == f.ID) && mentions(l.Values.Get("q"), f.ID, f.Say, f.Do, strings.Join(f.Promises, " ")) {
			fit = append(fit, f)
		}
	}
	return fit
}

// findingsFile is the same findings as a table.
func (c *Console) findingsFile(w http.ResponseWriter, r *http.Request) error {
	if c.opt.Hour == nil {
		return desk.ErrNotFound
	}
	report, err := c.opt.Hour.Checkup(r.Context())
	if err != nil {
		return err
	}
	var table [][]string
	for _, f := range findingsOf(listed(r, findingRows, "q", "state", "finding"), report) {
		table = append(table, []string{f.ID, string(f.State), f.Say, f.Do, strings.Join(f.Promises, " ")})
	}
	return serveCSV(w, "findings.csv", []string{"finding", "state", "say", "do", "promises"}, table)
}

// drillsView are the drills that were played for this installation.
type drillsView struct {
	Frame  frame
	Runs   []played.Run
	List   listing
	Can    bool // the reader may play one
	Played bool // one was, whatever is filtered
}

const drillRows = 50

func (c *Console) runs() ([]played.Run, error) {
	if c.opt.Hour == nil {
		return nil, nil
	}
	return c.opt.Hour.Drills()
}

func (c *Console) drillsPage(w http.ResponseWriter, r *http.Request) error {
	v := drillsView{Frame: c.frame(r, "Drills"), List: listed(r, drillRows, "q", "state", "sort"), Can: callerOf(r.Context()).Access == incident.Owner && c.opt.Hour != nil && !c.opt.ReadOnly}
	v.Frame.Here = "settings"
	all, ever, err := c.drillsOf(r, &v.List)
	if err != nil {
		return err
	}
	v.Played, v.Runs = ever, pageOf(&v.List, all)
	return c.render(w, r, http.StatusOK, drillsPage(v))
}

var (
	drillStates = []option{{"", "all"}, {"expected", "as expected"}, {"other", "not as expected"}, {"none", "not played to the end"}}
	drillSorts  = []option{{"", "newest first"}, {"oldest", "oldest first"}, {"scenario", "by scenario"}}
)

// drillsOf reads the drills that the address asks for, in its order, and whether any was ever played.
func (c *Console) drillsOf(r *http.Request, l *listing) (fit []played.Run, ever bool, err error) {
	all, err := c.runs()
	if err != nil {
		return nil, false, err
	}
	for _, x := range all {
		how := "other"
		switch {
		case x.Failed != "":
			how = "none"
		case x.Card.OK:
			how = "expected"
		}
		if want := l.Values.Get("state"); (want == "" || want == how) && mentions(l.Values.Get("q"), x.ID(), x.Card.Policy, x.Card.Scenario) {
			fit = append(fit, x)
		}
	}
	switch l.Values.Get("sort") {
	case "oldest":
		slices.Reverse(fit)
	case "scenario":
		slices.SortStableFunc(fit, func(a, b played.Run) int { return strings.Compare(a.Card.Scenario, b.Card.Scenario) })
	}
	return fit, len(all) > 0, nil
}

// drillsFile is the same list as a table, a row for each promise of each drill.
func (c *Console) drillsFile(w http.ResponseWriter, r *http.Request) error {
	l := listed(r, drillRows, "q", "state", "sort")
	all, _, err := c.drillsOf(r, &l)
	if err != nil {
		return err
	}
	var table [][]string
	for _, x := range all {
		row := []string{x.ID(), stamp(x.At), x.Card.Policy, x.Card.Scenario, drillLook(x).Word}
		if len(x.Card.Promises) == 0 {
			table = append(table, append(row, "", "", "", ""))
		}
		for _, p := range x.Card.Promises {
			table = append(table, append(slices.Clone(row), p.ID, p.Got, margin(p), p.Reason))
		}
	}
	return serveCSV(w, "drills.csv", []string{"drill", "ended_utc", "policy", "scenario", "result", "promise", "got", "margin", "why"}, table)
}

// drillView is one drill, promise by promise.
type drillView struct {
	Frame frame
	Run   played.Run
}

func (c *Console) drillPage(w http.ResponseWriter, r *http.Request) error {
	all, err := c.runs()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(x played.Run) bool { return x.ID() == r.PathValue("run") })
	if i < 0 {
		return desk.ErrNotFound
	}
	v := drillView{Frame: c.frame(r, "Drill of "+all[i].At.Format(time.DateOnly)), Run: all[i]}
	v.Frame.Here = "settings"
	return c.render(w, r, http.StatusOK, drillPage(v))
}

// promiseLook is how a promise stood in a drill.
func promiseLook(got string) look {
	switch got {
	case "kept":
		return look{"kept", "✓", "met"}
	case "missed":
		return look{"missed", "✕", "missed"}
	case "unseen":
		return look{"missed, and nothing said so", "✕", "missed"}
	case "not_reached":
		return look{"not judged", "○", "waiting"}
	}
	return look{strings.ReplaceAll(got, "_", " "), "○", "waiting"}
}

// drilledPromises are the promises of a drill that its policy makes, without the rows of single duties.
func drilledPromises(r played.Run) (all []played.Promise) {
	for _, p := range r.Card.Promises {
		if strings.Contains(p.ID, "-") && p.Got != "not_applicable" {
			all = append(all, p)
		}
	}
	return all
}

// drillSum is what came of a drill: what was kept and missed, and what could not be judged, which is
// never counted as kept.
func drillSum(r played.Run) look {
	n := map[string]int64{}
	for _, p := range drilledPromises(r) {
		n[promiseLook(p.Got).Class]++
	}
	rest := ""
	if n["waiting"] > 0 {
		rest = fmt.Sprintf(", %d not judged", n["waiting"])
	}
	kept := count(n["met"], "promise was kept", "promises were kept")
	switch {
	case !r.Card.OK:
		return look{fmt.Sprintf("not as expected: %s, %d missed%s", kept, n["missed"], rest), "✕", "missed"}
	case n["missed"] > 0: // in a story in which nobody acts, for one
		return look{fmt.Sprintf("as its story expects: %s, %d missed in the open%s", kept, n["missed"], rest), "○", "waiting"}
	}
	return look{kept + rest, "✓", "met"}
}

// keptOf is how many promises of the policy were kept, of those that were judged.
func keptOf(r played.Run) string {
	if r.Failed != "" {
		return ""
	}
	kept, judged := 0, 0
	for _, p := range drilledPromises(r) {
		if p.Got == "kept" {
			kept++
		}
		if p.Got != "not_reached" {
			judged++
		}
	}
	return fmt.Sprintf("%d of %d", kept, judged)
}

// lasting is a length that was measured or promised; "" for none.
func lasting(seconds *float64) string {
	if seconds == nil {
		return ""
	}
	return roundly(time.Duration(*seconds * float64(time.Second)))
}

// margin is how much of the promised time was left.
func margin(p played.Promise) string {
	left, ok := p.Margin()
	switch {
	case !ok:
		return ""
	case left < 0:
		return roundly(-left) + " late"
	}
	return roundly(left) + " left"
}

// roundly is a length of time in its two largest units, of which a drill has seconds too.
func roundly(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return span(d)
}
