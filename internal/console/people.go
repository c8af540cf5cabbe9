package console

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/mint"
	"github.com/tocsin-ir/tocsin/org"
)

// peopleView is who may do what here, and which secrets open which door. No secret is on the page.
type peopleView struct {
	Frame  frame
	Owner  bool
	People []org.Person
	Tokens []bearer // an owner sees all, everybody their own
	Keys   []bearer
	Since  time.Time // since when uses are noted
	Makes  bool      // the reader may make a key from here

	List, TokenList, KeyList listing
}

var (
	personStates = []option{{"", "all"}, {"joined", "joined"}, {"invited", "invited"}, {"revoked", "revoked"}}
	bearerStates = []option{{"", "all"}, {"in use", "in use"}, {"expired", "expired"}, {"revoked", "revoked"}}
	personSorts  = []option{{"", "by id"}, {"name", "by name"}, {"access", "by access"}}
)

// bearer is a token or a key.
type bearer struct {
	ID, Of, What  string
	Issued, Ended time.Time // Ended zero: it opens its door
	Expires, Used time.Time
}

// bearerRows is how many tokens, and how many keys, a page shows.
const bearerRows = 50

// bearerState is whether a token or a key opens its door.
func bearerState(b bearer, now time.Time) look {
	switch {
	case !b.Ended.IsZero():
		return look{"revoked", "✕", "waiting"}
	case !b.Expires.IsZero() && !now.Before(b.Expires):
		return look{"expired", "○", "waiting"}
	}
	return look{"in use", "✓", "met"}
}

// mentions reports whether a line holds the words that are looked for; "" fits all.
func mentions(words string, texts ...string) bool {
	return strings.Contains(strings.ToLower(strings.Join(texts, "\n")), strings.ToLower(words))
}

func (c *Console) peoplePage(w http.ResponseWriter, r *http.Request) error {
	v, err := c.people(r)
	if err != nil {
		return err
	}
	v.TokenList, v.KeyList = v.List.another(r, "tokens", bearerRows), v.List.another(r, "keys", bearerRows)
	v.People, v.Tokens, v.Keys = pageOf(&v.List, v.People), pageOf(&v.TokenList, v.Tokens), pageOf(&v.KeyList, v.Keys)
	return c.render(w, r, http.StatusOK, peoplePage(v))
}

// peopleFile is who has an account, as a table.
func (c *Console) peopleFile(w http.ResponseWriter, r *http.Request) error {
	v, err := c.people(r)
	if err != nil {
		return err
	}
	table := make([][]string, 0, len(v.People))
	for _, p := range v.People {
		table = append(table, []string{p.ID, p.Name, string(p.Access), strings.Join(p.Roles, " "), personState(p).Word, stamp(p.Joined), stamp(p.Revoked)})
	}
	return serveCSV(w, "people.csv", []string{"person", "name", "access", "roles", "state", "joined_utc", "revoked_utc"}, table)
}

// bearersFile is the tokens and keys that the reader sees on the page, as a table. No secret is in it.
func (c *Console) bearersFile(w http.ResponseWriter, r *http.Request) error {
	v, err := c.people(r)
	if err != nil {
		return err
	}
	var table [][]string
	for kind, all := range map[string][]bearer{"token": v.Tokens, "key": v.Keys} {
		for _, b := range all {
			table = append(table, []string{kind, b.ID, b.Of, b.What, stamp(b.Issued), stamp(b.Expires), stamp(b.Used), stamp(b.Ended), bearerState(b, v.Frame.Now).Word})
		}
	}
	slices.SortFunc(table, slices.Compare)
	return serveCSV(w, "tokens.csv", []string{"sort", "id", "of", "what", "issued_utc", "expires_utc", "used_utc", "revoked_utc", "state"}, table)
}

// people reads what the address asks for, in its order.
func (c *Console) people(r *http.Request) (peopleView, error) {
	state, err := c.desk.Org(r.Context())
	if err != nil {
		return peopleView{}, err
	}
	who := callerOf(r.Context())
	v := peopleView{List: listed(r, boardRows, "q", "person", "state", "bearer", "sort"), Frame: c.frame(r, "People and tokens"), Owner: who.Access == incident.Owner && !c.opt.ReadOnly}
	v.Frame.Here, v.Makes = "settings", v.Owner && c.opt.Hour != nil
	var last map[string]time.Time
	v.Since, last = c.desk.Uses()
	opens := v.List.Values.Get("bearer")
	words, one, standing := v.List.Values.Get("q"), v.List.Values.Get("person"), v.List.Values.Get("state")
	for _, p := range state.People {
		if (one == "" || one == p.ID) && (standing == "" || standing == personState(*p).Word) && mentions(words, p.ID, p.Name, string(p.Access), strings.Join(p.Roles, " ")) {
			v.People = append(v.People, *p)
		}
	}
	slices.SortFunc(v.People, func(a, b org.Person) int {
		switch v.List.Values.Get("sort") {
		case "name":
			return cmp.Or(cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), cmp.Compare(a.ID, b.ID))
		case "access":
			return cmp.Or(cmp.Compare(a.Access, b.Access), cmp.Compare(a.ID, b.ID))
		}
		return cmp.Compare(a.ID, b.ID)
	})
	for _, t := range state.Tokens {
		if who.Access == incident.Owner || who.Principal == incident.Principal("person:"+t.Person) {
			v.Tokens = append(v.Tokens, bearer{ID: t.ID, Of: t.Person, What: t.Label, Issued: t.Issued, Ended: t.Revoked, Expires: t.Expires, Used: last[t.ID]})
		}
	}
	if who.Access == incident.Owner {
		for _, k := range state.Keys {
			what := map[string]string{org.PurposeIngest: "sends access events", org.PurposeSwitch: "reads the kill switches"}[k.Purpose]
			v.Keys = append(v.Keys, bearer{ID: k.ID, Of: strings.TrimSpace(k.App + " " + k.Source), What: what, Issued: k.Issued, Ended: k.Revoked, Used: last[k.ID]})
		}
	}
	for _, all := range []*[]bearer{&v.Tokens, &v.Keys} {
		*all = slices.DeleteFunc(*all, func(b bearer) bool {
			return !mentions(words, b.ID, b.Of, b.What) || opens != "" && opens != bearerState(b, v.Frame.Now).Word
		})
		slices.SortFunc(*all, func(a, b bearer) int {
			return cmp.Or(cmp.Compare(a.Of, b.Of), a.Issued.Compare(b.Issued), cmp.Compare(a.ID, b.ID))
		})
	}
	return v, nil
}

// personState is how an account stands.
func personState(p org.Person) look {
	switch {
	case !p.Revoked.IsZero():
		return look{"revoked", "✕", "waiting"}
	case p.Joined.IsZero():
		return look{"invited", "○", "waiting"}
	}
	return look{"joined", "✓", "met"}
}

// lastUse is when something was last used, as far as it is known.
func lastUse(f frame, b bearer, since time.Time) string {
	if b.Used.IsZero() {
		return "not since " + absolute(f, since)
	}
	return absolute(f, b.Used)
}

// orgAct is something that is done to the organisation from a page with its plan.
type orgAct struct {
	Frame   frame
	Act     string
	Title   string
	Plan    []string
	Fields  []input
	Button  string
	Danger  bool
	Link    string // of an invitation, shown this once
	Key     string
	Trouble *trouble
}

func (c *Console) orgActPage(w http.ResponseWriter, r *http.Request) error {
	return c.showOrgAct(w, r, http.StatusOK, r.URL.Query(), nil, "")
}

func (c *Console) showOrgAct(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble, link string) error {
	state, err := c.desk.Org(r.Context())
	if err != nil {
		return err
	}
	v := orgAct{Frame: c.frame(r, ""), Act: r.PathValue("act"), Key: rand.Text(), Trouble: t, Link: link}
	v.Frame.Here = "settings"
	id := in.Get("id")
	fixed := func(text string) input {
		return input{Name: "id", Kind: "fixed", Options: []option{{id, text}}}
	}
	switch v.Act {
	case "revoke-person":
		p := state.People[id]
		if p == nil {
			return desk.ErrNotFound
		}
		tokens := 0
		for _, x := range state.Tokens {
			if x.Person == id && x.Revoked.IsZero() {
				tokens++
			}
		}
		v.Title, v.Danger = "End the account of "+p.Name, true
		v.Plan = []string{count(int64(tokens), "token is", "tokens are") + " refused from the next request on", "What they did stays in every record under their name"}
		if program := c.desk.PolicyProgram(r.Context()); program != nil {
			for _, role := range program.Roles {
				if !slices.Contains(p.Roles, role.ID) {
					continue
				}
				others := 0
				for _, o := range state.People {
					if o.ID != id && o.Active() && slices.Contains(o.Roles, role.ID) {
						others++
					}
				}
				if others == 0 {
					v.Plan = append(v.Plan, "Nobody else has the role "+word(role.ID)+": what it signs cannot be signed until somebody has")
				} else {
					v.Plan = append(v.Plan, count(int64(others), "other person has", "other people have")+" the role "+word(role.ID))
				}
			}
		}
		why := reasonField()
		why.Value = in.Get("reason")
		v.Fields = []input{fixed(p.Name), why}
		v.Button = "End the account of " + p.Name + " and " + count(int64(tokens), "token", "tokens")
	case "revoke-token", "revoke-key":
		kind, of := "token", ""
		for _, x := range state.Tokens {
			if x.ID == id && v.Act == "revoke-token" && x.Revoked.IsZero() {
				of = x.Person
			}
		}
		for _, x := range state.Keys {
			if x.ID == id && v.Act == "revoke-key" && x.Revoked.IsZero() {
				kind, of = "key", strings.TrimSpace(x.App+" "+x.Source)
			}
		}
		if of == "" {
			return desk.ErrNotFound
		}
		v.Title, v.Danger = "Revoke the "+kind+" "+id, true
		v.Plan = []string{"Whoever uses it is refused from the next request on; it cannot be taken back"}
		if kind == "key" {
			v.Plan = append(v.Plan, "What "+of+" sends with it is not taken in any more, and is not seen")
		} else if id == callerOf(r.Context()).Token {
			v.Plan = append(v.Plan, "It is the one that you are signed in with: you are signed out")
		}
		v.Fields = []input{fixed(id + " of " + of)}
		v.Button = "Revoke the " + kind + " " + id
	case "invite":
		v.Title = "Invite somebody"
		var roles []input
		if program := c.desk.PolicyProgram(r.Context()); program != nil {
			for _, role := range program.Roles {
				roles = append(roles, input{Name: "role-" + role.ID, Label: "Role " + word(role.ID) + " — " + role.Does, Kind: "check", Value: in.Get("role-" + role.ID)})
			}
		}
		v.Fields = append([]input{
			{Name: "name", Label: "Name", Kind: "text", Value: in.Get("name")},
			{Name: "id", Label: "A short id", Help: "a-z, 0-9 and -, such as lena. For an id that is there already this makes a new link.", Kind: "text", Value: id},
			{Name: "access", Label: "Access", Kind: "select", Value: in.Get("access"), Options: []option{{"responder", "responder — does everything about incidents"}, {"viewer", "viewer — reads everything"}, {"owner", "owner — people, keys and settings too"}}},
			{Name: "email", Label: "Where calls go", Kind: "text", Value: in.Get("email"), Optional: true, Help: "An e-mail address, for clocks that press and signatures that are missing."},
		}, roles...)
		v.Button = "Make the link"
	default:
		return desk.ErrNotFound
	}
	v.Frame.Title = v.Title
	return c.render(w, r, status, orgActPage(v))
}

// orgAct gives one command to the organisation's chain. Who may give it is the chain's own rule.
func (c *Console) orgAct(w http.ResponseWriter, r *http.Request) error {
	err := checkForm(r)
	link := ""
	if err == nil {
		link, err = c.doOrgAct(r)
	}
	if err != nil {
		t := troubleOf(err)
		if t.Status >= http.StatusInternalServerError {
			c.opt.Log.ErrorContext(r.Context(), "a command to the organisation failed", "act", r.PathValue("act"), "error", err)
		}
		return c.showOrgAct(w, r, t.Status, r.PostForm, t, "")
	}
	if link != "" {
		return c.showOrgAct(w, r, http.StatusOK, r.PostForm, nil, link)
	}
	http.Redirect(w, r, "/people", http.StatusSeeOther)
	return nil
}

func (c *Console) doOrgAct(r *http.Request) (link string, err error) {
	in := reader{in: r.PostForm}
	var command org.Command
	switch r.PathValue("act") {
	case "revoke-person":
		command = org.RevokePerson{Person: in.text("id"), Reason: in.text("reason")}
	case "revoke-token":
		command = org.RevokeToken{TokenID: in.text("id")}
	case "revoke-key":
		command = org.RevokeKey{KeyID: in.text("id")}
	case "invite":
		code := mint.New(mint.Code)
		var roles []string
		for name := range r.PostForm {
			if role, ok := strings.CutPrefix(name, "role-"); ok && in.text(name) == "yes" {
				roles = append(roles, role)
			}
		}
		slices.Sort(roles)
		command = org.Invite{Person: in.text("id"), FullName: in.text("name"), Access: incident.Access(in.text("access")), Roles: roles, Email: org.Address(in.text("email")), CodeHash: org.Hash(code.Reveal())}
		base := c.opt.PublicURL
		if base == "" {
			base = map[bool]string{true: "https://", false: "http://"}[c.opt.Secure] + r.Host
		}
		link = base + "/join?code=" + code.Reveal()
	default:
		return "", desk.ErrNotFound
	}
	// The key of a form that makes a link is not remembered: the link could not be made again.
	id := requestID(r)
	if link != "" {
		id = ""
	}
	_, err = c.desk.SubmitOrg(r.Context(), id, callerOf(r.Context()), command)
	return link, err
}

// bearersHint says why a table of tokens or keys is empty.
func bearersHint(v peopleView) string {
	switch {
	case v.List.Values.Get("q") != "" || v.List.Values.Get("bearer") != "":
		return " that fits."
	case v.Frame.Who.Access != incident.Owner:
		return " of yours. Owners see those of everybody."
	}
	return "."
}
