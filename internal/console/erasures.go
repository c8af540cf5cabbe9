package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// Erasing takes access events out of what questions are asked of.
type Erasing interface {
	PlanErasure(context.Context, desk.Caller, desk.Erasure) (desk.ErasurePlan, error)
	Erase(ctx context.Context, id string, by desk.Caller, e desk.Erasure) (desk.ErasureTaken, error)
	Erasures(context.Context) (desk.Erasures, error)
}

// registerErasures adds the page, for owners of an installation that can be changed.
func (c *Console) registerErasures() {
	for pattern, h := range map[string]handler{"GET /erasures": c.erasuresPage, "POST /erasures": c.erase, "GET /erasures.csv": c.erasuresFile} {
		c.page(pattern, func(w http.ResponseWriter, r *http.Request) error {
			switch {
			case c.opt.ReadOnly:
				return desk.ErrReadOnly
			case callerOf(r.Context()).Access != incident.Owner:
				return fmt.Errorf("erasing access events is for owners: %w", desk.ErrForbidden)
			}
			return h(w, r)
		})
	}
}

// erasuresView is what was erased, and the form for more, or its plan. Who was named stands nowhere on it.
type erasuresView struct {
	Frame   frame
	Files   int // of the table that still hold some of it
	Rows    []desk.ErasureRow
	List    listing
	Fields  []input
	Plan    *desk.ErasurePlan
	Says    []string // the plan, one sentence each
	Basis   string
	Reason  string
	Button  string
	Key     string
	Trouble *trouble
}

func (c *Console) erasuresPage(w http.ResponseWriter, r *http.Request) error {
	return c.showErasures(w, r, http.StatusOK, url.Values{"merchant": {r.URL.Query().Get("merchant")}}, nil, nil)
}

func (c *Console) showErasures(w http.ResponseWriter, r *http.Request, status int, in url.Values, plan *desk.ErasurePlan, t *trouble) error {
	v := erasuresView{Frame: c.frame(r, "Erasures"), Key: rand.Text(), Plan: plan, Basis: in.Get("basis"), Reason: in.Get("reason"), Trouble: t}
	v.Frame.Here = "accesses"
	list, rows, files, err := c.erasuresOf(r, v.Frame)
	if err != nil {
		return err
	}
	v.Rows = pageOf(&list, rows)
	v.List, v.Files = list, files
	if plan != nil {
		v.Says, v.Button = erasureSays(plan), "Erase "+erasedNames(plan)+" of "+isolated(plan.Merchant)
	}
	// Identifiers are not given back: whoever reads the page, or what a browser keeps of it, learns none.
	lines := "One on a line. None of them is shown again or kept."
	v.Fields = []input{
		{Name: "merchant", Label: "Merchant", Kind: "text", Value: in.Get("merchant"), Help: "Its id, such as m_214."},
		{Name: "all", Label: "Everything of the merchant: leave the next three empty", Kind: "check", Value: in.Get("all")},
		{Name: "account", Label: "Customers by account", Kind: "area", Optional: true, Help: lines},
		{Name: "email", Label: "Customers by e-mail address", Kind: "area", Optional: true, Help: lines},
		{Name: "phone", Label: "Customers by telephone number", Kind: "area", Optional: true, Help: lines},
		{Name: "basis", Label: "In which right", Kind: "text", Value: v.Basis, Help: "Such as Art. 17 GDPR, request of 2026-11-20. No name of a customer."},
		{Name: "reason", Label: "Why", Kind: "area", Value: v.Reason, Help: "One sentence, without the name of a customer. It is kept under your name."},
	}
	return c.render(w, r, status, erasuresPage(v))
}

var erasureSorts = []option{{"", "newest first"}, {"oldest", "oldest first"}, {"merchant", "by merchant"}}

// erasuresOf reads the erasures that the address asks for, in its order. Nobody is looked for by an
// identifier: it would stand in the address.
func (c *Console) erasuresOf(r *http.Request, f frame) (l listing, rows []desk.ErasureRow, files int, err error) {
	l = listed(r, boardRows, "q", "erasure", "sort")
	all, err := c.desk.Erasures(r.Context())
	if err != nil {
		return l, nil, 0, err
	}
	one := l.Values.Get("erasure")
	for _, e := range all.Erasures {
		if (one == "" || one == e.ID) && mentions(l.Values.Get("q"), e.ID, e.Merchant, f.who(e.By), e.Basis, e.Reason, e.Fact) {
			rows = append(rows, e)
		}
	}
	switch l.Values.Get("sort") {
	case "oldest":
		slices.Reverse(rows)
	case "merchant":
		slices.SortStableFunc(rows, func(a, b desk.ErasureRow) int { return cmp.Compare(a.Merchant, b.Merchant) })
	}
	return l, rows, all.Files, nil
}

// erasuresFile is the same list as a table. Whom an erasure named stands in none.
func (c *Console) erasuresFile(w http.ResponseWriter, r *http.Request) error {
	_, rows, _, err := c.erasuresOf(r, c.frame(r, ""))
	if err != nil {
		return err
	}
	table := make([][]string, 0, len(rows))
	for _, e := range rows {
		table = append(table, []string{e.ID, stamp(e.At), e.Merchant, strconv.FormatBool(e.All), strconv.Itoa(e.Names), string(e.By), e.Basis, e.Reason, e.Fact})
	}
	return serveCSV(w, "erasures.csv", []string{"erasure", "at_utc", "merchant", "everything", "identifiers", "by", "basis", "reason", "fact"}, table)
}

// erase shows the plan of what the form says, or does what a plan said. The plan's own form has
// pseudonyms where the first one had identifiers.
func (c *Console) erase(w http.ResponseWriter, r *http.Request) error {
	in := reader{in: r.PostForm}
	err := checkForm(r)
	e := desk.Erasure{Merchant: in.text("merchant"), All: in.text("all") == "yes", Basis: in.text("basis"), Reason: in.text("reason")}
	for _, x := range strings.Split(in.text("account"), "\n") {
		e.People = named(e.People, desk.Erased{Account: strings.TrimSpace(x)})
	}
	for _, x := range strings.Split(in.text("email"), "\n") {
		e.People = named(e.People, desk.Erased{Email: strings.TrimSpace(x)})
	}
	for _, x := range strings.Split(in.text("phone"), "\n") {
		e.People = named(e.People, desk.Erased{Phone: strings.TrimSpace(x)})
	}
	if err == nil && in.text("do") == "erase" {
		e.People, e.Known, e.Plan = nil, in.list("known"), in.text("plan")
		var out desk.ErasureTaken
		if out, err = c.desk.Erase(r.Context(), requestID(r), callerOf(r.Context()), e); err == nil {
			http.Redirect(w, r, "/erasures#"+urlPath(out.Erasure), http.StatusSeeOther)
			return nil
		}
	} else if err == nil {
		var plan desk.ErasurePlan
		if plan, err = c.desk.PlanErasure(r.Context(), callerOf(r.Context()), e); err == nil {
			err = plan.InTheWay()
		}
		if err == nil {
			return c.showErasures(w, r, http.StatusOK, r.PostForm, &plan, nil)
		}
	}
	t := troubleOf(err)
	if t.Status >= http.StatusInternalServerError {
		c.opt.Log.ErrorContext(r.Context(), "access events could not be erased", "error", err)
	}
	if len(e.People) > 0 {
		t.Text += " Whom you named is not shown again: type it again."
	}
	return c.showErasures(w, r, t.Status, r.PostForm, nil, t)
}

// named adds somebody who is named.
func named(list []desk.Erased, x desk.Erased) []desk.Erased {
	if x == (desk.Erased{}) {
		return list
	}
	return append(list, x)
}

// erasedNames is what an erasure takes, in words.
func erasedNames(p *desk.ErasurePlan) string {
	if p.All {
		return "everything"
	}
	return count(int64(len(p.Customers)), "identifier", "identifiers")
}

// erasureSays is a plan in sentences.
func erasureSays(p *desk.ErasurePlan) []string {
	if len(p.Customers) == 0 && !p.All {
		return []string{"Nothing was ever logged of this merchant by which a customer could be known: there is nothing to erase."}
	}
	events := count(int64(p.Events), "access event", "access events")
	if p.AtLeast {
		events = "At least " + events
	}
	out := []string{events + " of merchant " + isolated(p.Merchant) + " as of now: no question finds them from then on, and what names nobody else goes as a whole."}
	if !p.All {
		what := "They are known by " + count(int64(len(p.Customers)), "identifier", "different identifiers") + ". Give each that your apps may have named the customer by."
		if p.Events == 0 {
			what = "None of the " + count(int64(len(p.Customers)), "identifier", "different identifiers") + " is in the log now. An event of before that comes in later is left out all the same."
		}
		out = append(out, what)
	}
	if p.All {
		out = append(out, "The key of its pseudonyms is destroyed: whom the sealed log names can no longer be recognised or matched with a list, in open incidents too. Later events get a new key.")
	}
	return append(out, "Files are written anew behind that. Nothing brings the rows back.",
		"The sealed log keeps its events, with pseudonyms, until their day is forgotten: docs/privacy.md.",
		"No hold of an incident covers this merchant now. One that is set before you confirm refuses it.")
}

// erasureLook is how far an erasure is.
func erasureLook(files int) look {
	if files > 0 {
		return look{"found by no question; files are being written anew", "◐", "waiting"}
	}
	return look{"done: in no file of the table", "✓", "met"}
}
