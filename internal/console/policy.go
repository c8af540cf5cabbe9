package console

import (
	"cmp"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/policy"
)

// policyView is the public page.
type policyView struct {
	Frame   frame
	Program *policy.Program
	HTML    string // the page as the policy renders it: everything in it is escaped there
	Points  desk.Checkpoints
}

// ruleTag is how the policy's page prints the rule behind a sentence.
var ruleTag = regexp.MustCompile(`<span class="rule"( id="[^"]*")?>([^<]*)</span>`)

// linkRules makes each rule a link to its row among the rules. What the pattern finds is escaped
// text of the policy's own renderer and stays escaped.
func linkRules(page string) string {
	return ruleTag.ReplaceAllStringFunc(page, func(tag string) string {
		m := ruleTag.FindStringSubmatch(tag)
		text := html.UnescapeString(m[2])
		anchor, _, _ := strings.Cut(text, " · ")
		if strings.Contains(anchor, ", ") {
			anchor, _, _ = strings.Cut(anchor, ", ")
		}
		return `<a class="rule"` + m[1] + ` href="/policy/rules#` + html.EscapeString(url.QueryEscape(anchor)) + `">` + html.EscapeString(text) + `</a>`
	})
}

func (c *Console) policyPage(w http.ResponseWriter, r *http.Request) error {
	p := c.desk.PolicyProgram(r.Context())
	if p == nil {
		return desk.ErrNotFound
	}
	v := policyView{Frame: c.visitor(r, p.Title), Program: p, HTML: linkRules(string(p.HTMLBody()))}
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
	_, _ = w.Write(p.Markdown())
	return nil
}

// visitor is the frame of a public page, with the person's name when one is signed in.
func (c *Console) visitor(r *http.Request, title string) frame {
	f := c.frame(r, title)
	f.Here = "policy"
	if s, err := c.session(r); err == nil {
		f.signIn(s)
	}
	return f
}

// rulesView lists each promise with the rules that keep it.
type rulesView struct {
	Frame    frame
	Program  *policy.Program
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
	Anchor                string // what a link to the rule leads to; "" on its further rows
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
	var bare []rule // keeps no promise of the catalogue
	add := func(promises []string, r rule) {
		r.Anchor = r.ID
		if len(promises) == 0 {
			bare = append(bare, r)
		}
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
		for _, sign := range x.Sign {
			needs = append(needs, count(int64(sign.N), "signature", "signatures")+" of "+word(sign.Role))
		}
		if x.Attest != "" {
			needs = append(needs, "its approver has attested: "+x.Attest)
		}
		add(x.Promise, rule{Kind: "gate", ID: x.ID, Says: word(x.Guards) + " is refused until: " + strings.Join(needs, "; "), Line: x.Pos.Line})
	}
	for _, x := range p.Actions {
		add(x.Promise, rule{Kind: "action", ID: x.ID, Says: x.Means, Line: x.Pos.Line})
	}
	for _, x := range p.Phases {
		add(x.Promise, rule{Kind: "phase", ID: x.ID, Says: x.Title, Line: x.Pos.Line})
	}
	v := rulesView{Frame: f, Program: p}
	for id, rules := range by {
		v.Promises = append(v.Promises, promise{ID: id, Rules: rules})
	}
	slices.SortFunc(v.Promises, func(a, b promise) int { return cmp.Compare(a.ID, b.ID) })
	if len(bare) > 0 {
		v.Promises = append(v.Promises, promise{Rules: bare})
	}
	anchored := map[string]bool{}
	for _, p := range v.Promises {
		for i := range p.Rules {
			if anchored[p.Rules[i].ID] {
				p.Rules[i].Anchor = ""
			}
			anchored[p.Rules[i].ID] = true
		}
	}
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
