package console

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

// evidenceView is the state of the two logs, and the ways to take evidence elsewhere.
type evidenceView struct {
	Frame     frame
	Logs      []logView
	Days      desk.LogDays
	Incidents []option // those that can be exported
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
	if v.Days, err = c.desk.LogDays(r.Context()); err != nil {
		return err
	}
	if v.Frame.Acts {
		page, err := c.desk.OpenBoard(r.Context(), 0, 200)
		if err != nil {
			return err
		}
		settled, _, err := c.desk.SettledBoard(r.Context(), 0, 200)
		if err != nil {
			return err
		}
		for _, row := range append(page.Rows, settled...) {
			v.Incidents = append(v.Incidents, option{row.ID, row.ID + " " + isolated(row.Title)})
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
		path, err = c.desk.Export(r.Context(), requestID(r), callerOf(r.Context()), r.PostForm.Get("incident"), strings.TrimSpace(r.PostForm.Get("recipient")))
		if err == nil {
			file, err = os.Open(path)
		}
	}
	if err != nil {
		t := troubleOf(err)
		if t.Status >= http.StatusInternalServerError {
			c.opt.Log.ErrorContext(r.Context(), "the export failed", "error", err)
		}
		return c.showEvidence(w, r, t.Status, r.PostForm, t)
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+filepath.Base(url.PathEscape(r.PostForm.Get("incident")))+`.tocsin"`)
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

// shownDays bounds the days on the page; tocsin evidence days has all of them.
const shownDays = 60

func firstDays(days []desk.LogDay) []desk.LogDay { return days[:min(len(days), shownDays)] }
