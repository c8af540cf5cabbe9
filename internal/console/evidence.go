package console

import (
	"cmp"
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

// evidenceView is the state of the two logs, and the ways to take evidence elsewhere.
type evidenceView struct {
	Frame     frame
	Logs      []logView
	Keep      string
	Days      []desk.LogDay
	List      listing  // of the days
	Chosen    bool     // days were filtered, or one is asked for
	Incidents []option // the newest, as suggestions: any can be exported
	In        url.Values
	Key       string
	Trouble   *trouble
}

// logView is one of the two logs.
type logView struct {
	Name, Holds string
	Size        uint64
	Age         int64 // seconds; negative: not known
	Checkpoint  string
	Key         string
	Witnesses   []string
}

// witnessesOf are the names of those who signed a checkpoint beside the log itself.
func witnessesOf(note string) []string {
	origin, rest, _ := strings.Cut(note, "\n")
	var out []string
	for line := range strings.SplitSeq(rest, "\n") {
		if name, ok := strings.CutPrefix(line, "— "); ok {
			if name, _, _ = strings.Cut(name, " "); name != origin {
				out = append(out, name)
			}
		}
	}
	return out
}

func (c *Console) evidencePage(w http.ResponseWriter, r *http.Request) error {
	if id := listed(r, 1, "event").Values.Get("event"); id != "" {
		http.Redirect(w, r, accessURL(id), http.StatusSeeOther)
		return nil
	}
	return c.showEvidence(w, r, http.StatusOK, r.URL.Query(), nil)
}

func (c *Console) showEvidence(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble) error {
	v := evidenceView{Frame: c.frame(r, "Evidence"), In: in, Key: rand.Text(), Trouble: t}
	v.Frame.Here = "evidence"
	p, err := c.desk.Checkpoints(r.Context())
	if err != nil {
		return err
	}
	v.Logs = []logView{
		{"Facts", "what was decided and done, one leaf a fact", p.FactsSize, p.FactsAge, p.Facts, p.FactsKey, witnessesOf(p.Facts)},
		{"Events", "the access log, each leaf sealed", p.EventsSize, p.EventsAge, p.Events, p.EventsKey, witnessesOf(p.Events)},
	}
	list, days, keep, err := c.daysOf(r)
	if err != nil {
		return err
	}
	v.Days, v.Keep = pageOf(&list, days), keep
	v.List, v.Chosen = list, len(list.Values) > 0 || list.Skip > 0
	if v.Frame.Acts {
		page, err := c.desk.OpenBoard(r.Context(), 0, suggested)
		if err != nil {
			return err
		}
		settled, _, err := c.desk.SettledBoard(r.Context(), 0, suggested)
		if err != nil {
			return err
		}
		for _, row := range append(page.Rows, settled...) {
			v.Incidents = append(v.Incidents, option{row.ID, row.Title})
		}
	}
	return c.render(w, r, status, evidencePage(v))
}

// export records who gets the evidence of an incident, and serves the file.
func (c *Console) export(w http.ResponseWriter, r *http.Request) error {
	err := checkForm(r)
	var file *os.File
	if err == nil {
		var path string
		path, err = c.desk.Export(r.Context(), requestID(r), callerOf(r.Context()), strings.TrimSpace(r.PostForm.Get("incident")), strings.TrimSpace(r.PostForm.Get("recipient")))
		if err == nil {
			file, err = os.Open(path)
		}
	}
	if err != nil {
		t := troubleOf(err)
		if t.Status == http.StatusNotFound {
			t.Text = "There is no incident of this id. It looks like INC-7, and stands beside the title on the list of all incidents."
		}
		if t.Status >= http.StatusInternalServerError {
			c.opt.Log.ErrorContext(r.Context(), "the export failed", "error", err)
		}
		return c.showEvidence(w, r, t.Status, r.PostForm, t)
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+filepath.Base(url.PathEscape(strings.TrimSpace(r.PostForm.Get("incident"))))+`.tocsin"`)
	_, _ = io.Copy(w, file) // a failed write means that the reader is gone
	return nil
}

// aged says how old a checkpoint is.
func aged(l logView) string {
	if l.Age < 0 {
		return "not known"
	}
	return span(time.Duration(l.Age) * time.Second)
}

// suggested is how many incidents the form of the export offers by name, of those that are open and of those that are over.
const suggested = 100

// shownDays is how many days of the access log a page shows.
const shownDays = 60

var (
	dayStates = []option{{"", "all"}, {"open", "open"}, {"kept", "kept"}, {"held", "held"}, {"removed", "removed"}}
	daySorts  = []option{{"", "newest first"}, {"oldest", "oldest first"}, {"events", "most events first"}}
)

// daysOf reads the days of the access log that the address asks for, in its order. Days are written so
// that their order is that of their text.
func (c *Console) daysOf(r *http.Request) (l listing, days []desk.LogDay, keep string, err error) {
	l = listed(r, shownDays, "day", "state", "from", "to", "q", "sort").another(r, "days", shownDays)
	l.Path = "/evidence"
	all, err := c.desk.LogDays(r.Context())
	if err != nil {
		return l, nil, "", err
	}
	get := l.Values.Get
	for _, d := range all.Days {
		if (get("day") == "" || get("day") == d.Day) && (get("state") == "" || get("state") == d.State) && (get("from") == "" || d.Day >= get("from")) && (get("to") == "" || d.Day <= get("to")) && mentions(get("q"), d.Day, d.Why, d.Basis, d.Fact, d.Closed) {
			days = append(days, d)
		}
	}
	switch get("sort") {
	case "oldest":
		slices.Reverse(days)
	case "events":
		slices.SortStableFunc(days, func(a, b desk.LogDay) int { return cmp.Compare(b.Events, a.Events) })
	}
	return l, days, all.Keep, nil
}

// daysFile is the same days as a table.
func (c *Console) daysFile(w http.ResponseWriter, r *http.Request) error {
	_, days, _, err := c.daysOf(r)
	if err != nil {
		return err
	}
	table := make([][]string, 0, len(days))
	for _, d := range days {
		table = append(table, []string{d.Day, d.State, strconv.FormatInt(d.Events, 10), strconv.FormatUint(d.Leaves, 10), stamp(d.Until), d.Closed, d.Fact, stamp(d.At), d.Basis, d.Why})
	}
	return serveCSV(w, "days.csv", []string{"day", "state", "events", "leaves", "until_utc", "closed", "fact", "removed_utc", "basis", "why"}, table)
}
