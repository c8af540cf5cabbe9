package console

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/yuin/goldmark"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/policy"
)

// policyView is the public page.
type policyView struct {
	Frame  frame
	Title  string
	Hash   string
	HTML   string // rendered from Markdown without raw HTML
	Points desk.Checkpoints
}

// markdown renders without raw HTML: goldmark leaves it out unless told otherwise, and drops
// dangerous links.
var markdown = goldmark.New()

// pageText is the page's Markdown: a blank line between lines, except between items of one list.
func pageText(p *policy.Program) string {
	var b strings.Builder
	inList := false
	for i, l := range p.Page {
		item := strings.HasPrefix(l.Text, "- ") || strings.HasPrefix(l.Text, "* ") || orderedItem(l.Text)
		if i > 0 {
			b.WriteString("\n")
			if !(item && inList) {
				b.WriteString("\n")
			}
		}
		b.WriteString(l.Text)
		inList = item
	}
	b.WriteString("\n")
	return b.String()
}

func orderedItem(s string) bool {
	digits := strings.TrimLeft(s, "0123456789")
	return len(digits) < len(s) && strings.HasPrefix(digits, ". ")
}

func (c *Console) policyPage(w http.ResponseWriter, r *http.Request) error {
	p := c.desk.PolicyProgram(r.Context())
	if p == nil {
		return desk.ErrNotFound
	}
	var body bytes.Buffer
	if err := markdown.Convert([]byte(pageText(p)), &body); err != nil {
		return err
	}
	v := policyView{Frame: c.visitor(r, p.Title), Title: p.Title, Hash: p.Hash, HTML: body.String()}
	if points, err := c.desk.Checkpoints(r.Context()); err == nil {
		v.Points = points
	}
	return c.render(w, r, http.StatusOK, policyPage(v))
}

func (c *Console) policyMarkdown(w http.ResponseWriter, r *http.Request) error {
	p := c.desk.PolicyProgram(r.Context())
	if p == nil {
		return desk.ErrNotFound
	}
	w.Header().Set("Content-Type", "text/markdown; charset=utf-8")
	_, _ = w.Write([]byte(pageText(p)))
	return nil
}

// visitor is the frame of a public page, with the person's name when one is signed in.
func (c *Console) visitor(r *http.Request, title string) frame {
	f := c.frame(r, title)
	f.Here = "policy"
	if s, err := c.session(r); err == nil {
		f.Who, f.CSRF = s.Caller, s.csrf
	}
	return f
}

// rulesView lists each promise with the rules that keep it.
type rulesView struct {
	Frame    frame
	Title    string
	Promises []promise
	Unruled  []policy.PageLine // sentences that promise something no rule keeps
}

type promise struct {
	ID    string
	Rules []rule
}

// rule is one rule of the policy as the table shows it.
type rule struct {
	Kind, ID, Says, Clock string
	Line                  int
}

func (c *Console) rulesPage(w http.ResponseWriter, r *http.Request) error {
	p := c.desk.PolicyProgram(r.Context())
	if p == nil {
		return desk.ErrNotFound
	}
	return c.render(w, r, http.StatusOK, rulesPage(rulesOf(c.visitor(r, "Rules"), p)))
}

func rulesOf(f frame, p *policy.Program) rulesView {
	by := map[string][]rule{}
	add := func(promises []string, r rule) {
		for _, id := range promises {
			by[id] = append(by[id], r)
		}
	}
	for _, x := range p.Classes {
		add(x.Promise, rule{Kind: "class", ID: x.ID, Says: x.Means, Line: x.Pos.Line})
	}
	for _, x := range p.Duties {
		var clocks []string
		for _, clock := range x.Due {
			clocks = append(clocks, clock.Text)
		}
		add(x.Promise, rule{Kind: "duty", ID: x.ID, Says: x.Say, Clock: strings.Join(clocks, "; "), Line: x.Pos.Line})
	}
	for _, x := range p.Gates {
		var needs []string
		for _, need := range x.Need {
			needs = append(needs, need.Say)
		}
		add(x.Promise, rule{Kind: "gate", ID: x.ID, Says: word(x.Guards) + " is refused until: " + strings.Join(needs, "; "), Line: x.Pos.Line})
	}
	for _, x := range p.Actions {
		add(x.Promise, rule{Kind: "action", ID: x.ID, Says: x.Means, Line: x.Pos.Line})
	}
	for _, x := range p.Phases {
		add(x.Promise, rule{Kind: "phase", ID: x.ID, Says: x.Title, Line: x.Pos.Line})
	}
	v := rulesView{Frame: f, Title: p.Title}
	for id, rules := range by {
		v.Promises = append(v.Promises, promise{ID: id, Rules: rules})
	}
	slices.SortFunc(v.Promises, func(a, b promise) int { return cmp.Compare(a.ID, b.ID) })
	for _, l := range p.Page {
		for _, id := range l.Promise {
			if len(by[id]) == 0 {
				v.Unruled = append(v.Unruled, l)
				break
			}
		}
	}
	return v
}
