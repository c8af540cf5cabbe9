package console

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/inert"
	"github.com/tocsin-ir/tocsin/scope"
)

const (
	matchRoute = "POST /incidents/{id}/scope/match"
	maxMatch   = desk.MaxList + 64<<10 // the list with the texts before it
	maxLines   = 32 << 20              // of what is given back, which is in memory until the list has ended
)

// matchView is a comparison with a list of the vendor's own.
type matchView struct {
	Version string // that was compared, or is to be
	Show    string // numbers or lines
	Answer  *scope.Matched
	Trouble *trouble
}

// matchFields are the fields of the form. The file is the last, because it is read from the connection.
func matchFields(v scopeView) []input {
	version := input{Name: "version", Label: "Version of the scope", Kind: "select", Value: v.Match.Version}
	for i := len(v.State.Scopes) - 1; i >= 0; i-- {
		s := v.State.Scopes[i]
		version.Options = append(version.Options, option{number10(s.N), "version " + number10(s.N) + ", " + count(s.Merchants, "merchant", "merchants")})
	}
	return []input{version,
		{Name: "show", Label: "Answer", Kind: "radios", Value: cmp.Or(v.Match.Show, "numbers"), Options: []option{{"numbers", "Show the numbers"}, {"lines", "Download who is affected"}}},
		{Name: "file", Label: "List of customers", Kind: "file", Help: "A CSV file of at most 256 MiB with the columns merchant, region (such as DE or US-CA) and one of account, email and phone."}}
}

// matchPage leads to the form: an answer stands at no address. Who may not know of the incident is led nowhere.
func (c *Console) matchPage(w http.ResponseWriter, r *http.Request) error {
	if _, err := c.desk.Incident(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/incidents/"+url.PathEscape(r.PathValue("id"))+"/scope#match", http.StatusSeeOther)
	return nil
}

// matchScope compares a list with a recorded scope while it comes, and answers with the numbers or with the
// affected lines.
func (c *Console) matchScope(w http.ResponseWriter, r *http.Request) error {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Minute))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(15 * time.Minute))
	up, err := inert.Read(r)
	if large := new(http.MaxBytesError); err != nil && !errors.As(err, &large) || err == nil && up.Name() == "" {
		err = fmt.Errorf("%w: choose a CSV file", desk.ErrInvalid)
	}
	r.PostForm = url.Values{}
	for name, text := range up.Fields {
		r.PostForm.Set(name, text)
	}
	r.Form = r.PostForm // where the token of the session is looked for
	if stale := checkForm(r); stale != nil {
		err = stale
	}
	m := matchView{Version: r.PostForm.Get("version"), Show: r.PostForm.Get("show")}
	var version int
	if err == nil {
		if version, err = strconv.Atoi(m.Version); err != nil || version < 1 {
			err = fmt.Errorf("%w: version: has to be the number of a recorded scope", desk.ErrInvalid)
		}
	}
	// A browser reads nothing before it has sent all, and a list that is broken further down has no answer: so
	// the affected lines wait here for the end, and no others.
	var lines affected
	if err == nil {
		out := io.Writer(&lines)
		if m.Show != "lines" {
			out = io.Discard
		}
		var got scope.Matched
		if got, err = c.desk.MatchLines(r.Context(), r.PathValue("id"), version, up.File, out); err == nil {
			m.Answer = &got
		}
	}
	if err != nil {
		return c.refuseMatch(w, r, m, err)
	}
	if m.Show != "lines" {
		return c.showScope(w, r, http.StatusOK, nil, scopeAnswer{Match: m}, nil)
	}
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(lines.text.Len()))
	h.Set("Content-Disposition", `attachment; filename="`+strings.Map(plainName, r.PathValue("id")+"-affected-"+m.Version)+`.csv"`)
	h.Set("Cache-Control", "no-store")
	_, _ = lines.text.WriteTo(w) // the length says whether the reader got all of it
	return nil
}

// refuseMatch says why a list was not compared. What is left of it is read and dropped first: a browser that
// is still sending shows no answer.
func (c *Console) refuseMatch(w http.ResponseWriter, r *http.Request, m matchView, err error) error {
	_, _ = io.Copy(io.Discard, r.Body)
	var large *http.MaxBytesError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: the list did not come whole: send it again", desk.ErrInvalid)
	}
	t := troubleOf(err)
	switch {
	case errors.As(err, &large):
		t.Text = "A list is a CSV file of at most 256 MiB: compare it in parts."
	case errors.Is(err, errStale):
		t.Text = "This form was from an earlier sign-in. Choose the file again and submit it."
	case t.Status == http.StatusNotFound:
		return err
	case t.Status >= http.StatusInternalServerError:
		c.opt.Log.ErrorContext(r.Context(), "comparing a list failed", "error", err)
	}
	m.Trouble = t
	return c.showScope(w, r, t.Status, nil, scopeAnswer{Match: m}, nil)
}

// affected holds the affected lines of a list, up to a bound.
type affected struct{ text bytes.Buffer }

func (a *affected) Write(p []byte) (int, error) {
	if a.text.Len()+len(p) > maxLines {
		return 0, fmt.Errorf("%w: more than 32 MiB of the list is affected: compare it in parts, or with tocsin incident match and --out", desk.ErrInvalid)
	}
	return a.text.Write(p)
}
