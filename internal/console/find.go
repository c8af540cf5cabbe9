package console

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
)

// place is something that can be gone to.
type place struct{ Name, Says, Href string }

// findView is the page that finds other pages: the palette, which without JavaScript is a search
// form as any other.
type findView struct {
	Frame frame
	Query string
	Found []place
	More  int
}

// foundRows is how many places one search shows.
const foundRows = 40

// places are the pages of the console, with the words people look for them by.
func places(f frame) []place {
	list := []place{
		{"Board", "open incidents, the next clock of each, what is settled", "/"},
		{"Clocks", "every clock that runs, laws, deadlines, what is missing to send", "/clocks"},
		{"Notices", "of all incidents: who was told, drafts, what waits for a person, export", "/notices"},
		{"Access log", "who read what, by credential, actor, merchant, address", "/accesses"},
		{"Evidence", "checkpoints, witnesses, proofs, export, verify", "/evidence"},
		{"All incidents", "filter, order, export as CSV or NDJSON", "/incidents"},
		{"Settled incidents", "closed and dismissed", "/settled"},
		{"All the year round", "programme: drills, training, reviews, audits", "/programme"},
		{"Settings", "what the promises rest on, doctor, integrations", "/settings"},
		{"People and tokens", "accounts, roles, keys, last use, revoke, invite", "/people"},
		{"Drills", "results, margins, play one", "/drills"},
		{"Approved files", "integrity, templates and themes, who approved them, what changed since", "/integrity"},
		{"Probes", "checks that run by themselves, what each saw last", "/probes"},
		{"Corrective actions", "of all incidents, with owner and date, overdue", "/programme#correctives"},
		{"Days of the access log", "how long each is kept and why, held, removed", "/evidence#days"},
		{"Report", "the public form for security issues", "/report"},
		{"Status", "the public page: probes, last drill", "/status"},
		{"Policy", "the page as published, with its rules", "/policy"},
		{"Rules", "which rule keeps which promise", "/policy/rules"},
		{"security.txt", "the public file for finders, whom to write to", "/.well-known/security.txt"},
	}
	if f.Who.Access == incident.Owner && f.Acts {
		list = append(list, place{"The first hour", "setup: policy, mail, key, events, merchants, copy, heartbeat, drill", "/setup"}, place{"Erasures", "access events of a customer or merchant, what was erased", "/erasures"}, place{"Break the glass", "private incident, come on its list when nobody of it acts", "/break-glass"})
	}
	if !f.ReadOnly {
		list = append(list, place{"Say what you saw", "suspect, breach, report, the lead is called until somebody answers", "/suspect"})
	}
	if f.Acts {
		list = append(list, place{"Open an incident", "declare, report", "/open"}, place{"Draft of the policy", "compare, what it would change in words, put in force", "/policy/draft"})
	}
	return list
}

func (c *Console) findPage(w http.ResponseWriter, r *http.Request) error {
	v := findView{Frame: c.frame(r, "All pages"), Query: listed(r, 1, "q").Values.Get("q")}
	v.Frame.Here = "find"
	all := places(v.Frame)
	var doors []place
	if v.Query != "" {
		page, err := c.desk.OpenBoard(r.Context(), 0, 1000)
		if err != nil {
			return err
		}
		settled, _, err := c.desk.SettledBoard(r.Context(), 0, 1000)
		if err != nil {
			return err
		}
		for _, row := range append(page.Rows, settled...) {
			says := word(string(row.Status)) + " · " + severityWord(row.Severity) + " · " + word(row.Class)
			all = append(all, place{row.ID + " " + row.Title, says, string(incidentURL(row.ID))})
			for _, door := range []place{{"scope", "who is affected", "/scope"}, {"notices", "who is told", "/notices"}, {"timeline", "every fact, access and line of a log", "/timeline"}, {"review", "what is learned from it, publications", "/review"}} {
				doors = append(doors, place{row.ID + " " + door.Name, door.Says + " · " + row.Title, string(incidentURL(row.ID)) + door.Href})
			}
		}
		if p := c.desk.PolicyProgram(r.Context()); p != nil {
			for _, d := range p.Duties {
				all = append(all, place{"Rule " + d.ID, d.Say, "/policy/rules#" + url.QueryEscape(d.ID)})
			}
		}
	}
	all = append(all, doors...) // behind what they are doors of
	if id := strings.TrimSpace(v.Query); len(id) >= 6 && !strings.ContainsAny(id, " \t") {
		all = append(all, place{"Access " + id, "the event of the access log with this id, if there is one", accessURL(id)})
	}
	for _, p := range all {
		if !matches(p, v.Query) {
			continue
		}
		if len(v.Found) == foundRows {
			v.More++
			continue
		}
		v.Found = append(v.Found, p)
	}
	return c.render(w, r, http.StatusOK, findPage(v))
}

// matches says whether every word that is looked for begins or stands in what a place is called.
func matches(p place, query string) bool {
	text := strings.ToLower(p.Name + " " + p.Says)
	for w := range strings.FieldsSeq(strings.ToLower(query)) {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
