package console

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
)

// draftView is a draft of the policy beside the one in force.
type draftView struct {
	Frame     frame
	Program   *policy.Program // in force
	Text      string          // of the draft, as it was typed
	Lines     []policy.Diagnostic
	Draft     *policy.Program // nil: not looked at yet, or it does not compile
	Changes   []policy.Change
	Now, Then string // both pages as they are published
	Publishes bool   // the reader may put it in force
	Key       string
	Trouble   *trouble
}

func (c *Console) draftPage(w http.ResponseWriter, r *http.Request) error {
	p := c.desk.PolicyProgram(r.Context())
	if p == nil {
		return desk.ErrNotFound
	}
	return c.showDraft(w, r, http.StatusOK, p, string(p.Source), false, nil)
}

// showDraft renders the page; looked says that the text was compared with the policy in force.
func (c *Console) showDraft(w http.ResponseWriter, r *http.Request, status int, p *policy.Program, text string, looked bool, t *trouble) error {
	v := draftView{Frame: c.frame(r, "Draft of the policy"), Program: p, Text: text, Key: rand.Text(), Trouble: t}
	v.Frame.Here = "policy"
	v.Publishes = callerOf(r.Context()).Access == incident.Owner && c.opt.Hour != nil
	if looked {
		draft, diags := policy.Compile("draft", []byte(text), policy.WithLaws(regimes.Catalogue()))
		v.Lines = slices.DeleteFunc(diags, func(d policy.Diagnostic) bool { return d.Severity != policy.Error })
		if len(v.Lines) == 0 {
			v.Draft, v.Changes = draft, policy.Diff(p, draft)
			v.Now, v.Then = within(p), within(draft)
		} else if t == nil {
			status = http.StatusUnprocessableEntity
		}
	}
	return c.render(w, r, status, draftPage(v))
}

// draft compares the text of the form with the policy in force, or puts it in its place.
func (c *Console) draft(w http.ResponseWriter, r *http.Request) error {
	p := c.desk.PolicyProgram(r.Context())
	if p == nil {
		return desk.ErrNotFound
	}
	text := strings.ReplaceAll(r.PostForm.Get("text"), "\r\n", "\n")
	err := checkForm(r)
	if err == nil && r.PostForm.Get("do") == "publish" {
		switch {
		case callerOf(r.Context()).Access != incident.Owner:
			err = fmt.Errorf("putting a policy in force is for owners: %w", desk.ErrForbidden)
		case c.opt.Hour == nil:
			err = fmt.Errorf("the policy of this installation is changed on its disk: %w", desk.ErrForbidden)
		case r.PostForm.Get("of") != p.Hash:
			err = fmt.Errorf("another version came in force since this draft was compared; what has changed is shown against it now: %w", desk.ErrInvalid)
		default:
			if err = c.opt.Hour.ChangePolicy([]byte(text)); err == nil {
				c.opt.Hour.Restart()
				http.Redirect(w, r, "/policy", http.StatusSeeOther)
				return nil
			}
			if !told(err) {
				err = refusedFor(err, "")
			}
		}
	}
	if err != nil {
		t := troubleOf(err)
		return c.showDraft(w, r, t.Status, p, text, true, t)
	}
	return c.showDraft(w, r, http.StatusOK, p, text, true, nil)
}

// anchorOf is an id of the policy's page. Two of these pages stand on one, so neither keeps its own.
var anchorOf = regexp.MustCompile(`(<[a-z0-9]+[^<>]*) id="[^"]*"`)

// within is the page of a policy as a part of another page: without ids, and its headings two levels down.
func within(p *policy.Program) string {
	page := anchorOf.ReplaceAllString(string(p.Sheet(nil).HTMLBody()), "$1")
	for level := 4; level >= 1; level-- {
		from, to := strconv.Itoa(level), strconv.Itoa(level+2)
		page = strings.NewReplacer("<h"+from+">", "<h"+to+">", "</h"+from+">", "</h"+to+">").Replace(page)
	}
	return page
}

// changeLook is how much a change takes back or gives.
func changeLook(k policy.ChangeKind) look {
	switch k {
	case policy.Laxer, policy.Removed:
		return look{string(k), "◐", "risk"}
	case policy.Stricter, policy.Added:
		return look{string(k), "✓", "met"}
	}
	return look{string(k), "○", "waiting"}
}

// expectedSum is how much of what readers look for a policy has.
func expectedSum(p *policy.Program) look {
	all, found := p.Expected(), 0
	for _, e := range all {
		if e.Found {
			found++
		}
	}
	l := look{fmt.Sprintf("%d of %d", found, len(all)), "✓", "met"}
	if found < len(all) {
		l.Shape, l.Class = "◐", "risk"
	}
	return l
}

// publishWords is what the button does.
func (v draftView) publishWords() string {
	return "Put version " + v.Draft.Version() + " in force in place of " + v.Program.Version() + ": " + cmp.Or(strings.Join(changesIn(v.Changes), ", "), "nothing that it promises changes")
}
