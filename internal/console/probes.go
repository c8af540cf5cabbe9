package console

import (
	"context"
	"crypto/rand"
	"net/http"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

// Probes are the checks that run by themselves.
type Probes interface {
	Probes(context.Context) ([]desk.ProbeRow, error)
	RunProbe(ctx context.Context, name string) (desk.ProbeRow, error)
}

// probesView is how the probes stand.
type probesView struct {
	Frame   frame
	All     []desk.ProbeRow
	Key     string
	Trouble *trouble
}

func (c *Console) probesPage(w http.ResponseWriter, r *http.Request) error {
	return c.showProbes(w, r, http.StatusOK, nil)
}

func (c *Console) showProbes(w http.ResponseWriter, r *http.Request, status int, t *trouble) error {
	v := probesView{Frame: c.frame(r, "Probes"), Key: rand.Text(), Trouble: t}
	v.Frame.Here = "settings"
	var err error
	if v.All, err = c.desk.Probes(r.Context()); err != nil {
		return err
	}
	return c.render(w, r, status, probesPage(v))
}

// runProbe runs one now. The answer shows how it stands, beside the others.
func (c *Console) runProbe(w http.ResponseWriter, r *http.Request) error {
	err := checkForm(r)
	name := r.PostForm.Get("probe")
	if err == nil {
		if _, err = c.desk.RunProbe(r.Context(), name); err == nil {
			http.Redirect(w, r, "/probes#"+urlQuery(name), http.StatusSeeOther)
			return nil
		}
	}
	t := troubleOf(err)
	if t.Status >= http.StatusInternalServerError {
		c.opt.Log.ErrorContext(r.Context(), "a probe could not be run", "error", err)
	}
	return c.showProbes(w, r, t.Status, t)
}

// standingLook is a probe's state.
func standingLook(state string) look {
	switch state {
	case "passing":
		return look{"passing", "✓", "met"}
	case "failing":
		return look{"failing", "◐", "risk"}
	case "out":
		return look{"out", "✕", "missed"}
	}
	return look{"has not run", "○", "waiting"}
}

// outOf are the probes that see an outage, for the board.
func outOf(all []desk.ProbeRow) []desk.ProbeRow {
	var out []desk.ProbeRow
	for _, p := range all {
		if p.State == "out" {
			out = append(out, p)
		}
	}
	return out
}
