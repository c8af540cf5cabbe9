package console

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// glassView is the page on which an owner comes on the list of a private incident. It says what would
// happen without looking at the incident: that there is one is not told before it is on record who asked.
type glassView struct {
	Frame    frame
	Fields   []input
	Incident string
	Planned  string
	Key      string
	Trouble  *trouble
}

func (c *Console) glassPage(w http.ResponseWriter, r *http.Request) error {
	if callerOf(r.Context()).Access != incident.Owner {
		return errLooking
	}
	return c.showGlass(w, r, http.StatusOK, r.URL.Query(), nil, false)
}

func (c *Console) showGlass(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble, plan bool) error {
	v := glassView{Frame: c.frame(r, "Break the glass"), Key: rand.Text(), Trouble: t, Incident: strings.TrimSpace(in.Get("incident"))}
	v.Frame.Here = "settings"
	v.Fields = []input{
		{Name: "incident", Label: "Number of the incident", Kind: "text", Help: "Such as INC-7.", Value: v.Incident},
		{Name: "reason", Label: "Why", Kind: "area", Help: "One sentence. It stands in the timeline under your name, and everybody on the list reads it.", Value: in.Get("reason")},
	}
	if plan {
		v.Planned = planOf(in)
	}
	return c.render(w, r, status, glassPage(v))
}

// breakGlass does what the plan said, once it was shown for these very fields.
func (c *Console) breakGlass(w http.ResponseWriter, r *http.Request) error {
	who := callerOf(r.Context())
	if who.Access != incident.Owner {
		return errLooking
	}
	in := reader{in: r.PostForm}
	err := checkForm(r)
	if err == nil && (in.text("reason") == "" || in.text("incident") == "") {
		err = fmt.Errorf("incident and reason: both are needed: %w", desk.ErrInvalid)
	}
	if err == nil && in.text("planned") != planOf(r.PostForm) {
		return c.showGlass(w, r, http.StatusOK, r.PostForm, nil, true)
	}
	id := in.text("incident")
	if err == nil {
		_, err = c.desk.Submit(r.Context(), desk.Request{ID: requestID(r), Incident: id, Command: incident.BreakGlass{Reason: in.text("reason")}, Caller: who})
	}
	if err != nil {
		t := troubleOf(err)
		return c.showGlass(w, r, t.Status, r.PostForm, t, false)
	}
	http.Redirect(w, r, string(incidentURL(id)), http.StatusSeeOther)
	return nil
}
