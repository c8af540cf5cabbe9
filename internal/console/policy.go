package console

import (
	"bytes"
	"cmp"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/played"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/policy/paper"
)

// policyView is the public page.
type policyView struct {
	Frame   frame
	Program *policy.Program
	HTML    string // the page as the policy renders it: everything in it is escaped there
	Points  desk.Checkpoints

	Before  string    // the version that was in force before; "" when there was none
	Since   time.Time // when the present version was published
	Changes []string  // what has changed since Before, counted by kind
	Drill   *played.Run
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

// published is the public page in the forms it is served in, made once for each pair of versions:
// nobody who is not signed in makes the server set it again.
type published struct {
	of, since     *policy.Program
	html          string
	markdown, pdf []byte
	mdTag, pdfTag string // entity tags: digests of the bytes
}

// published is the page of the policy in force, ending with what has changed since the version before.
func (c *Console) published(r *http.Request) (*published, time.Time, error) {
	p := c.desk.PolicyProgram(r.Context())
	if p == nil {
		return nil, time.Time{}, desk.ErrNotFound
	}
	before, at, err := c.desk.PolicyBefore(r.Context())
	if err != nil {
		return nil, at, err
	}
	c.printing.Lock()
	defer c.printing.Unlock()
	if c.printed != nil && c.printed.of == p && c.printed.since == before {
		return c.printed, at, nil
	}
	sheet := p.Sheet(before)
	out := &published{of: p, since: before, html: linkRules(string(sheet.HTMLBody())), markdown: sheet.Markdown()}
	if out.pdf, err = paper.Of(p, before); err != nil {
		return nil, at, err
	}
	out.mdTag, out.pdfTag = `"`+digest(out.markdown)+`"`, `"`+digest(out.pdf)+`"`
	c.printed = out
	return out, at, nil
}

func (c *Console) policyPage(w http.ResponseWriter, r *http.Request) error {
	out, at, err := c.published(r)
	if err != nil {
		return err
	}
	v := policyView{Frame: c.visitor(r, out.of.Title), Program: out.of, HTML: out.html, Since: at}
	if out.since != nil {
		v.Before, v.Changes = out.since.Version(), changesIn(policy.Diff(out.since, out.of))
	}
	if points, err := c.desk.Checkpoints(r.Context()); err == nil {
		v.Points = points
	}
	if run, ok := c.drilled(); ok {
		v.Drill = &run
	}
	return c.render(w, r, http.StatusOK, policyPage(v))
}

func (c *Console) policyMarkdown(w http.ResponseWriter, r *http.Request) error {
	out, _, err := c.published(r)
	if err != nil {
		return err
	}
	serveVersion(w, r, "text/markdown; charset=utf-8", out.of, out.mdTag, out.markdown)
	return nil
}

func (c *Console) policyPDF(w http.ResponseWriter, r *http.Request) error {
	out, _, err := c.published(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `inline; filename="policy-`+out.of.Version()+`.pdf"`)
	serveVersion(w, r, "application/pdf", out.of, out.pdfTag, out.pdf)
	return nil
}

// serveVersion serves a file that everybody may keep and has to ask about again: whoever holds the
// newest version gets no bytes.
func serveVersion(w http.ResponseWriter, r *http.Request, kind string, p *policy.Program, tag string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "public, no-cache")
	h.Set("ETag", tag)
	h.Set("Tocsin-Policy", p.Hash)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// changesIn counts what has changed, what weighs most for a reader first.
func changesIn(all []policy.Change) []string {
	n := map[policy.ChangeKind]int{}
	for _, c := range all {
		n[c.Kind]++
	}
	var out []string
	for _, k := range []policy.ChangeKind{policy.Laxer, policy.Removed, policy.Stricter, policy.Added, policy.Changed, policy.Reworded} {
		if n[k] > 0 {
			out = append(out, number(int64(n[k]))+" "+string(k))
		}
	}
	return out
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
	Unruled  []unruled // sentences that promise something no rule keeps
	Drill    *played.Run
	Judged   map[string]played.Promise   // by the last drill
	Controls map[string][]doctor.Finding // what a look at this installation finds of a promise; nil for visitors
	Beyond   map[string]string           // of promises that no look from here can show
}

// unruled is a sentence of the page with what it promises and no rule keeps.
type unruled struct {
	Text    string
	Promise []string
	First   []string // those of them that no sentence before it makes: links lead here
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
	v := rulesOf(c.visitor(r, "Rules"), p)
	if run, ok := c.drilled(); ok {
		v.Drill, v.Judged = &run, map[string]played.Promise{}
		for _, x := range drilledPromises(run) {
			v.Judged[x.ID] = x
		}
	}
	if v.Frame.Who.Principal != "" && c.opt.Hour != nil {
		report, err := c.opt.Hour.Checkup(r.Context())
		if err != nil {
			return err
		}
		v.Controls, v.Beyond = map[string][]doctor.Finding{}, map[string]string{}
		for _, f := range report.Findings { // the worst first
			for _, id := range f.Promises {
				v.Controls[id] = append(v.Controls[id], f)
			}
		}
		for _, b := range report.Beyond {
			for _, id := range b.Promises {
				v.Beyond[id] = b.Say
			}
		}
	}
	return c.render(w, r, http.StatusOK, rulesPage(v))
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
	if len(p.Review) > 0 {
		parts := make([]string, len(p.Review))
		for i, part := range p.Review {
			parts[i] = word(part)
		}
		add(nil, rule{Kind: "review", ID: "review", Says: "the review has the parts " + strings.Join(parts, ", ")})
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
		bare := slices.DeleteFunc(slices.Clone(l.Promise), func(id string) bool { return len(by[id]) > 0 })
		if len(bare) > 0 {
			first := slices.DeleteFunc(slices.Clone(bare), func(id string) bool {
				return slices.ContainsFunc(v.Unruled, func(u unruled) bool { return slices.Contains(u.Promise, id) })
			})
			v.Unruled = append(v.Unruled, unruled{strings.TrimPrefix(l.Text, "- "), bare, first})
		}
	}
	return v
}
