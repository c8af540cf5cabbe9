package console

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// suspectView is the one question that everybody with an account may answer.
type suspectView struct {
	Frame   frame
	Saw     string
	Key     string
	Trouble *trouble
}

func (c *Console) suspectPage(w http.ResponseWriter, r *http.Request) error {
	return c.showSuspect(w, r, http.StatusOK, url.Values{}, nil)
}

func (c *Console) showSuspect(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble) error {
	if c.opt.ReadOnly {
		return desk.ErrReadOnly
	}
	v := suspectView{Frame: c.frame(r, "What did you see?"), Saw: in.Get("saw"), Key: rand.Text(), Trouble: t}
	if k := in.Get("key"); k != "" {
		v.Key = k // sent again, it is the same report
	}
	v.Frame.Here = "board"
	return c.render(w, r, status, suspectPage(v))
}

// suspect opens an incident of what somebody saw. The lead is called from then on: a crash before the answer
// loses nothing, because the form that is sent again has the same key.
func (c *Console) suspect(w http.ResponseWriter, r *http.Request) error {
	err := checkForm(r)
	saw := reader{in: r.PostForm}.text("saw")
	switch {
	case err != nil:
	case saw == "" || len(saw) > maxReport:
		err = fmt.Errorf("saw: a sentence or two, of %d characters at most: %w", maxReport, desk.ErrInvalid)
	default:
		var out desk.Outcome
		if out, err = c.desk.OpenIncident(r.Context(), requestID(r), callerOf(r.Context()), incident.Suspicion(saw)); err == nil {
			http.Redirect(w, r, string(incidentURL(out.Incident)), http.StatusSeeOther)
			return nil
		}
	}
	t := troubleOf(err)
	if t.Status >= http.StatusInternalServerError {
		c.opt.Log.ErrorContext(r.Context(), "a suspicion was not taken in", "error", err)
	}
	return c.showSuspect(w, r, t.Status, r.PostForm, t)
}
