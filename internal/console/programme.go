package console

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// programmeView is what the policy owes without an incident, and what was done of it.
type programmeView struct {
	Frame   frame
	Any     bool              // the policy owes something without an incident
	Says    []desk.ClockRow   // the words of each duty, whatever the filters leave out
	Clocks  []desk.ClockRow   // what is owed
	Done    []incident.DoneOf // newest first
	Owed    []option          // what can be recorded as done
	In      url.Values
	Key     string
	Trouble *trouble
	Changes []desk.CorrectiveRow // corrective actions of all incidents, the open ones first
	Now     time.Time

	List, ChangesList, DoneList listing
}

// programmeRows is how many lines each of the three lists shows.
const programmeRows = 25

var (
	programmeStates = []option{{"", "all"}, {"open", "open"}, {"overdue", "overdue"}, {"done", "done"}, {"dropped", "dropped"}}
	programmeSorts  = []option{{"", "soonest due, newest done"}, {"latest", "the other way round"}, {"owner", "by who owns or did it"}, {"text", "by its words"}}
)

func (c *Console) programmePage(w http.ResponseWriter, r *http.Request) error {
	return c.showProgramme(w, r, http.StatusOK, r.URL.Query(), nil)
}

// programme reads what the address asks for, in its order.
func (c *Console) programme(r *http.Request) (programmeView, error) {
	v := programmeView{Frame: c.frame(r, "All the year round"), Now: c.opt.Now(), List: listed(r, programmeRows, "q", "state", "sort").another(r, "owed", programmeRows)}
	v.List.Path = "/programme"
	v.ChangesList, v.DoneList = v.List.another(r, "correctives", programmeRows), v.List.another(r, "done", programmeRows)
	var err error
	if v.Says, err = c.desk.ProgrammeClocks(r.Context()); err != nil {
		return v, err
	}
	v.Any = len(v.Says) > 0
	words, state := v.List.Values.Get("q"), v.List.Values.Get("state")
	fits := func(is string, texts ...string) bool {
		return (state == "" || state == is) && mentions(words, texts...)
	}
	for _, x := range v.Says {
		is := "open"
		switch x.State {
		case incident.DutyMissed:
			is = "overdue"
		case incident.DutyMet:
			is = "done"
		}
		if fits(is, x.Duty, word(x.Duty), x.Say, x.Recipient, word(x.Recipient), x.Holder) {
			v.Clocks = append(v.Clocks, x)
		}
	}
	switch s, err := c.desk.Programme(r.Context()); {
	case err == nil:
		for _, x := range slices.Backward(s.Done) {
			if fits("done", x.Duty, sayOf(v.Says, x.Duty), x.Recipient, word(x.Recipient), v.Frame.who(x.By), x.Note, x.Fact) {
				v.Done = append(v.Done, x)
			}
		}
	case !errors.Is(err, desk.ErrNotFound):
		return v, err
	}
	all, err := c.desk.Correctives(r.Context())
	if err != nil {
		return v, err
	}
	for _, x := range all {
		if fits(correctiveLook(x.Corrective, v.Now).Word, x.Incident, x.Title, x.ID, x.Text, v.Frame.who(x.Owner), x.Note) {
			v.Changes = append(v.Changes, x)
		}
	}
	switch v.List.Values.Get("sort") {
	case "latest":
		slices.Reverse(v.Clocks)
		slices.Reverse(v.Changes)
		slices.Reverse(v.Done)
	case "owner":
		slices.SortStableFunc(v.Clocks, func(a, b desk.ClockRow) int { return cmp.Compare(a.Holder, b.Holder) })
		slices.SortStableFunc(v.Changes, func(a, b desk.CorrectiveRow) int {
			return cmp.Compare(v.Frame.who(a.Owner), v.Frame.who(b.Owner))
		})
		slices.SortStableFunc(v.Done, func(a, b incident.DoneOf) int { return cmp.Compare(v.Frame.who(a.By), v.Frame.who(b.By)) })
	case "text":
		slices.SortStableFunc(v.Clocks, func(a, b desk.ClockRow) int { return cmp.Compare(a.Say, b.Say) })
		slices.SortStableFunc(v.Changes, func(a, b desk.CorrectiveRow) int { return cmp.Compare(a.Text, b.Text) })
		slices.SortStableFunc(v.Done, func(a, b incident.DoneOf) int {
			return cmp.Compare(sayOf(v.Says, a.Duty), sayOf(v.Says, b.Duty))
		})
	}
	return v, nil
}

// programmeFile is what the policy owes without an incident, and what was done of it, as a table.
func (c *Console) programmeFile(w http.ResponseWriter, r *http.Request) error {
	v, err := c.programme(r)
	if err != nil {
		return err
	}
	var out [][]string
	for _, row := range v.Clocks {
		out = append(out, []string{"owed", row.Duty, row.Recipient, row.Say, string(row.State), stamp(row.Started), stamp(row.Due), "", ""})
	}
	for _, d := range v.Done {
		out = append(out, []string{"done", d.Duty, d.Recipient, sayOf(v.Says, d.Duty), string(incident.DutyMet), "", "", stamp(d.At), personName(d.By) + ": " + d.Note})
	}
	return serveCSV(w, "programme.csv", []string{"what", "duty", "event", "say", "state", "started_utc", "due_utc", "done_utc", "by"}, out)
}

// correctivesFile serves the corrective actions of all incidents as a file.
func (c *Console) correctivesFile(w http.ResponseWriter, r *http.Request) error {
	v, err := c.programme(r)
	if err != nil {
		return err
	}
	var out [][]string
	for _, a := range v.Changes {
		out = append(out, []string{a.Incident, a.ID, a.Text, string(a.Owner), a.Due.UTC().Format(time.RFC3339), a.State, a.At.UTC().Format(time.RFC3339), strconv.FormatBool(a.Overdue), a.Note})
	}
	return serveCSV(w, "corrective-actions.csv", []string{"incident", "action", "what", "owner", "due", "state", "since", "overdue", "note"}, out)
}

func (c *Console) showProgramme(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble) error {
	v, err := c.programme(r)
	if err != nil {
		return err
	}
	v.In, v.Key, v.Trouble, v.Frame.Here = in, rand.Text(), t, "board"
	for _, clock := range v.Says {
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
	v.Clocks, v.Changes, v.Done = pageOf(&v.List, v.Clocks), pageOf(&v.ChangesList, v.Changes), pageOf(&v.DoneList, v.Done)
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
