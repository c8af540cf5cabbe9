package console

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// programmeView is what the policy owes without an incident, and what was done of it.
type programmeView struct {
	Frame   frame
	Clocks  []desk.ClockRow
	Done    []incident.DoneOf // newest first
	Owed    []option          // what can be recorded as done
	In      url.Values
	Key     string
	Trouble *trouble
	Changes []desk.CorrectiveRow // corrective actions of all incidents, the open ones first
	Over    int                  // those that are over and not shown
	Now     time.Time
}

// recentChanges is how many corrective actions that are over the page shows.
const recentChanges = 20

// recentDone is how many acts of the programme the page shows.
const recentDone = 50

func (c *Console) programmePage(w http.ResponseWriter, r *http.Request) error {
	return c.showProgramme(w, r, http.StatusOK, r.URL.Query(), nil)
}

func (c *Console) showProgramme(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble) error {
	v := programmeView{Frame: c.frame(r, "All the year round"), In: in, Key: rand.Text(), Trouble: t}
	v.Frame.Here = "board"
	var err error
	if v.Clocks, err = c.desk.ProgrammeClocks(r.Context()); err != nil {
		return err
	}
	switch s, err := c.desk.Programme(r.Context()); {
	case err == nil:
		v.Done = slices.Clone(s.Done)
		slices.Reverse(v.Done)
		v.Done = v.Done[:min(len(v.Done), recentDone)]
	case !errors.Is(err, desk.ErrNotFound):
		return err
	}
	all, err := c.desk.Correctives(r.Context())
	if err != nil {
		return err
	}
	v.Now = c.opt.Now()
	over := 0
	for _, x := range all {
		if x.State != incident.CorrectiveOpen {
			if over++; over > recentChanges {
				v.Over++
				continue
			}
		}
		v.Changes = append(v.Changes, x)
	}
	for _, clock := range v.Clocks {
		if !running(clock.State) {
			continue
		}
		value, text := clock.Duty, clock.Say
		if clock.Recipient != "" { // of a duty for each event: which one
			value, text = value+" "+clock.Recipient, text+" ("+word(clock.Recipient)+")"
		}
		if !slices.ContainsFunc(v.Owed, func(o option) bool { return o.Value == value }) {
			v.Owed = append(v.Owed, option{value, text})
		}
	}
	return c.render(w, r, status, programmePage(v))
}

// doProgramme records that a duty of the programme is done.
func (c *Console) doProgramme(w http.ResponseWriter, r *http.Request) error {
	err := checkForm(r)
	if err == nil {
		read := reader{in: r.PostForm, loc: c.frame(r, "").Zone, err: &err}
		duty, event, _ := strings.Cut(read.text("duty"), " ")
		done := incident.Complete{Duty: duty, Recipient: event, At: read.time("at"), Note: read.text("note")}
		if err == nil {
			if _, err = c.desk.SubmitProgramme(r.Context(), requestID(r), callerOf(r.Context()), done); err == nil {
				http.Redirect(w, r, "/programme", http.StatusSeeOther)
				return nil
			}
		}
	}
	t := troubleOf(err)
	if t.Status >= http.StatusInternalServerError {
		c.opt.Log.ErrorContext(r.Context(), "recording what the programme owes failed", "error", err)
	}
	return c.showProgramme(w, r, t.Status, r.PostForm, t)
}

// owedNow are the clocks of the programme that run, for the board.
func owedNow(clocks []desk.ClockRow) []desk.ClockRow {
	return slices.DeleteFunc(slices.Clone(clocks), func(c desk.ClockRow) bool { return !running(c.State) })
}

// personName is a principal as its id, without the word for its kind.
func personName(p incident.Principal) string {
	_, id, ok := strings.Cut(string(p), ":")
	if !ok {
		return string(p)
	}
	return id
}

// sayOf is a duty in the words of its clock.
func sayOf(clocks []desk.ClockRow, duty string) string {
	for _, c := range clocks {
		if c.Duty == duty && c.Say != "" {
			return c.Say
		}
	}
	return word(duty)
}
