package console

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/played"
)

// boardRows is how many incidents one page of the board shows; settledRows how many settled ones
// stand below the open ones.
const (
	boardRows   = 100
	settledRows = 10
)

// boardView is the board.
type boardView struct {
	Frame   frame
	Page    desk.BoardPage
	Skip    int // open incidents before this page
	Done    []desk.BoardRow
	More    bool // there are more settled ones
	Off     []desk.Switch
	Out     []desk.ProbeRow
	Drilled *played.Run

	Programme []desk.ClockRow // what is owed without an incident
}

func (c *Console) boardPage(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v := boardView{Frame: c.frame(r, "Board"), Skip: skipOf(r)}
	v.Frame.Here, v.Frame.Live = "board", true
	var err error
	if v.Page, err = c.desk.OpenBoard(ctx, v.Skip, boardRows); err != nil {
		return err
	}
	if v.Done, v.More, err = c.desk.SettledBoard(ctx, 0, settledRows); err != nil {
		return err
	}
	v.Frame.Stream, v.Frame.Seen = "/stream", markOf(v.Page, v.Done)
	if v.Skip > 0 {
		v.Frame.Stream += "?skip=" + strconv.Itoa(v.Skip)
	}
	_, switches, err := c.desk.Switches(ctx)
	if err != nil {
		return err
	}
	for _, s := range switches {
		if s.State == "off" {
			v.Off = append(v.Off, s)
		}
	}
	probes, err := c.desk.Probes(ctx)
	if err != nil {
		return err
	}
	v.Out = outOf(probes)
	clocks, err := c.desk.ProgrammeClocks(ctx)
	if err != nil {
		return err
	}
	v.Programme = owedNow(clocks)
	if v.Page.Open == 0 && c.opt.LastDrill != nil {
		if run, ok := c.opt.LastDrill(); ok {
			v.Drilled = &run
		}
	}
	return c.render(w, r, http.StatusOK, boardPage(v))
}

// skipOf reads which page is asked for; whatever is no page is the first.
func skipOf(r *http.Request) int { return skipAs(r, "skip") }

func skipAs(r *http.Request, name string) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// settledView lists incidents that are over.
type settledView struct {
	Frame frame
	Rows  []desk.BoardRow
	Skip  int
	More  bool
}

func (c *Console) settledPage(w http.ResponseWriter, r *http.Request) error {
	v := settledView{Frame: c.frame(r, "Settled incidents"), Skip: skipOf(r)}
	v.Frame.Here = "board"
	var err error
	if v.Rows, v.More, err = c.desk.SettledBoard(r.Context(), v.Skip, boardRows); err != nil {
		return err
	}
	return c.render(w, r, http.StatusOK, settledPage(v))
}

// ended says how and when an incident ended.
func ended(row desk.BoardRow) (word string, at time.Time) {
	for _, name := range []string{"closed", "dismissed"} {
		if at, ok := row.Milestones[name]; ok && string(row.Status) == name {
			return name, at
		}
	}
	return string(row.Status), row.Updated
}

// openView is the form that opens an incident.
type openView struct {
	Frame   frame
	Classes []option
	Levels  []option
	Apps    []option // empty: there is one, or it is not known which there are
	In      url.Values
	Key     string
	Trouble *trouble
}

func (c *Console) showOpen(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble) error {
	v := openView{Frame: c.frame(r, "Open an incident"), In: in, Key: rand.Text(), Trouble: t}
	if p := c.desk.PolicyProgram(r.Context()); p != nil {
		for _, class := range p.Classes {
			v.Classes = append(v.Classes, option{class.ID, word(class.ID) + " — " + class.Means})
		}
		for _, l := range p.Severities {
			v.Levels = append(v.Levels, option{l.ID, word(l.ID) + " — " + l.Means})
		}
	}
	v.Classes = append(v.Classes, option{"unclassified", "not sure yet"})
	if c.opt.Hour != nil {
		if apps := c.opt.Hour.Apps(); len(apps) > 1 {
			for _, a := range apps {
				v.Apps = append(v.Apps, option{a.ID, a.Name})
			}
		}
	}
	return c.render(w, r, status, openPage(v))
}

func (c *Console) openPage(w http.ResponseWriter, r *http.Request) error {
	return c.showOpen(w, r, http.StatusOK, url.Values{}, nil)
}

func (c *Console) open(w http.ResponseWriter, r *http.Request) error {
	err := checkForm(r)
	if err == nil {
		read := reader{in: r.PostForm, loc: c.frame(r, "").Zone, err: &err}
		open := incident.Open{Class: read.text("class"), Title: read.text("title"), Summary: read.text("summary"), Severity: read.text("severity"), Suspect: read.time("suspected"),
			Private: read.in.Get("private") == "yes", Readers: peopleIn(read.text("readers")), About: peopleIn(read.text("about"))}
		if app := read.text("app"); app != "" {
			open.Apps = []string{app}
		}
		source, detected := read.text("source"), read.time("detected")
		if source != "" {
			open.Summary = strings.TrimSpace("It came to light by: " + source + "\n" + open.Summary)
		}
		if err == nil {
			var out desk.Outcome
			if out, err = c.desk.OpenIncident(r.Context(), requestID(r), callerOf(r.Context()), open); err == nil {
				http.Redirect(w, r, c.detectedAt(r, out.Incident, detected, source), http.StatusSeeOther)
				return nil
			}
		}
	}
	t := troubleOf(err)
	if t.Status >= http.StatusInternalServerError {
		c.opt.Log.ErrorContext(r.Context(), "opening failed", "error", err)
	}
	return c.showOpen(w, r, t.Status, r.PostForm, t)
}

// detectedAt puts the time at which somebody noticed in the place of the time of opening; both stay
// visible. It gives the page to go on with: when that is refused, or after a crash in between, the
// incident is open all the same, and the form that corrects a milestone is where to go.
func (c *Console) detectedAt(r *http.Request, id string, at time.Time, source string) string {
	room := "/incidents/" + url.PathEscape(id)
	if at.IsZero() {
		return room
	}
	reason := "noticed before the incident was opened"
	if source != "" {
		reason += ", by: " + source
	}
	key := requestID(r)
	if key != "" {
		key += "/detected"
	}
	_, err := c.desk.Submit(r.Context(), desk.Request{ID: key, Incident: id, Command: incident.Correct{Milestone: "detected", At: at, Reason: reason}, Caller: callerOf(r.Context())})
	if err != nil {
		return room + "/do/correct?milestone=detected&reason=" + url.QueryEscape(reason)
	}
	return room
}
