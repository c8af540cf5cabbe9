package console

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// Files are compared with what somebody approved.
type Files interface {
	Sources(context.Context) ([]desk.SourceState, error)
	CheckSource(ctx context.Context, name string) (desk.SourceState, error)
	Diff(ctx context.Context, name string) (desk.SourceDiff, error)
	Approve(ctx context.Context, id string, by desk.Caller, name, found, reason string) (desk.SourceState, error)
	RestoreSource(ctx context.Context, id string, by desk.Caller, name, incident, reason string) (desk.Outcome, error)
	IncidentChanges(ctx context.Context, incident string) ([]desk.FilesChanged, error)
}

func (c *Console) registerIntegrity() {
	c.page("GET /integrity", c.sourcesPage)
	c.acting("POST /integrity", c.checkSource)
	c.acting("GET /integrity/{name}", c.sourcePage)
	c.acting("POST /integrity/{name}", c.settleSource)
	c.page("GET /incidents/{id}/files", c.changesPage)
}

// sourcesView are all sources and how they are.
type sourcesView struct {
	Frame   frame
	All     []desk.SourceState
	Key     string
	Trouble *trouble
}

func (c *Console) sourcesPage(w http.ResponseWriter, r *http.Request) error {
	return c.showSources(w, r, http.StatusOK, nil)
}

func (c *Console) showSources(w http.ResponseWriter, r *http.Request, status int, t *trouble) error {
	v := sourcesView{Frame: c.frame(r, "Approved files"), Key: rand.Text(), Trouble: t}
	v.Frame.Here = "settings"
	var err error
	if v.All, err = c.desk.Sources(r.Context()); err != nil {
		return err
	}
	return c.render(w, r, status, sourcesPage(v))
}

// checkSource looks at one source now. The answer shows how it is, beside the others.
func (c *Console) checkSource(w http.ResponseWriter, r *http.Request) error {
	err := checkForm(r)
	name := r.PostForm.Get("source")
	if err == nil {
		if _, err = c.desk.CheckSource(r.Context(), name); err == nil {
			http.Redirect(w, r, "/integrity#"+urlQuery(name), http.StatusSeeOther)
			return nil
		}
	}
	t := c.sourceTrouble(r, err)
	return c.showSources(w, r, t.Status, t)
}

func (c *Console) sourceTrouble(r *http.Request, err error) *trouble {
	t := troubleOf(err)
	if t.Status >= http.StatusInternalServerError {
		c.opt.Log.ErrorContext(r.Context(), "files could not be looked after", "error", err)
	}
	return t
}

// sourceView is what of a source is not as approved, and what can be done about it.
type sourceView struct {
	Frame    frame
	Diff     desk.SourceDiff
	Key      string
	Approve  []input
	Restore  []input
	Trouble  *trouble
	Restores bool // there is something to put back
}

func (c *Console) sourcePage(w http.ResponseWriter, r *http.Request) error {
	return c.showSource(w, r, http.StatusOK, nil)
}

func (c *Console) showSource(w http.ResponseWriter, r *http.Request, status int, t *trouble) error {
	d, err := c.desk.Diff(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	in := r.URL.Query()
	if t != nil {
		in = r.PostForm // what was written is kept
	}
	v := sourceView{Frame: c.frame(r, d.Source), Diff: d, Key: rand.Text(), Trouble: t, Restores: d.Approval != nil && len(d.Changes) > 0}
	v.Frame.Here = "settings"
	v.Approve = []input{{Name: "why", Label: "Why this state is good", Help: "Such as the deploy it comes from. It is kept with your name.", Value: in.Get("why")}}
	v.Restore = []input{
		{Name: "incident", Label: "Incident", Help: "It becomes an action of this incident, such as INC-12.", Value: in.Get("incident")},
		{Name: "because", Label: "Why it is put back", Value: in.Get("because")},
	}
	return c.render(w, r, status, sourcePage(v))
}

// settleSource approves what was found, or plans to put back what was approved. A form that was made from
// another state than the present one is refused, and shows the present one.
func (c *Console) settleSource(w http.ResponseWriter, r *http.Request) error {
	err := checkForm(r)
	name, in := r.PathValue("name"), r.PostForm
	if err == nil {
		switch in.Get("do") {
		case "restore":
			_, err = c.desk.RestoreSource(r.Context(), in.Get("key"), callerOf(r.Context()), name, strings.TrimSpace(in.Get("incident")), in.Get("because"))
			if err == nil {
				http.Redirect(w, r, string(incidentURL(strings.TrimSpace(in.Get("incident"))))+"#actions", http.StatusSeeOther)
				return nil
			}
		default:
			_, err = c.desk.Approve(r.Context(), in.Get("key"), callerOf(r.Context()), name, in.Get("found"), in.Get("why"))
			if err == nil {
				http.Redirect(w, r, "/integrity#"+urlQuery(name), http.StatusSeeOther)
				return nil
			}
		}
	}
	t := c.sourceTrouble(r, err)
	return c.showSource(w, r, t.Status, t)
}

// changesView are the files that an incident is about.
type changesView struct {
	Frame    frame
	Incident string
	All      []desk.FilesChanged
}

func (c *Console) changesPage(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	all, err := c.desk.IncidentChanges(r.Context(), id)
	if err != nil {
		return err
	}
	return c.render(w, r, http.StatusOK, changesPage(changesView{Frame: c.frame(r, id+" · changed files"), Incident: id, All: all}))
}

// sourceLook is a source's state.
func sourceLook(s desk.SourceState) look {
	switch s.State {
	case desk.SourceAsApproved:
		return look{"as approved", "✓", "met"}
	case desk.SourceChanged:
		return look{count(int64(len(s.Changes)), "file changed", "files changed"), "✕", "missed"}
	case desk.SourceUnreadable:
		return look{"cannot be looked at", "✕", "missed"}
	case desk.SourceNoBaseline:
		return look{"nothing approved", "◐", "risk"}
	}
	return look{"not looked at yet", "○", "waiting"}
}

// version is a file's digest and size in words.
func version(f *integrity.File) string {
	s := strconv.FormatInt(f.Size, 10) + " bytes"
	if f.Link {
		s += ", a symbolic link"
	}
	return s
}

// aboutFiles says that an incident's signals name files.
func aboutFiles(v roomView) bool {
	for _, s := range v.State.Signals {
		if strings.HasPrefix(s.Subject, "files:") {
			return true
		}
	}
	return false
}

// twoSay is what is left to do where two people approve.
func (v sourceView) twoSay() string {
	first := v.Diff.Signed
	switch {
	case first == nil || first.Digest != v.Diff.Found:
		return "Two people approve a state here. Yours is kept and waits for another person's."
	case incident.Principal(first.By) == v.Frame.Who.Principal:
		return "You have approved this state. It is in force when another person approves it too."
	}
	return v.Frame.who(incident.Principal(first.By)) + " has approved this state: " + isolated(first.Reason) + ". With your approval it is in force."
}
