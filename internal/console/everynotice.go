package console

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// everyNoticeView is the notices of all incidents.
type everyNoticeView struct {
	Frame    frame
	Rows     []desk.NoticeRow
	List     listing
	Groups   []option // of recipients
	All      int      // before any filter
	Drafts   int      // that wait for somebody to write on or to sign
	Approved int      // that wait for somebody to send
	Needs    int      // letters that wait for a person
	Cut      bool
}

var (
	noticeStates = []option{{"", "all"}, {"waiting", "wait for a person"}, {string(incident.NoticeDraft), "draft"}, {string(incident.NoticeApproved), "approved, not sent"}, {string(incident.NoticeSending), "sending"}, {string(incident.NoticeSent), "sent"}}
	noticeKinds  = []option{{"", "all"}, {desk.NoticeFirst, "notices"}, {desk.NoticeCorrection, "corrections"}, {desk.NoticeUpdate, "updates"}}
	noticeSorts  = []option{{"", "newest first"}, {"oldest", "oldest first"}, {"needs", "what needs a person first"}, {"incident", "by incident"}, {"to", "by recipients"}, {"state", "by state"}}
)

// noticeRank is how much a state needs a person, the most first.
var noticeRank = []incident.NoticeState{incident.NoticeDraft, incident.NoticeApproved, incident.NoticeSending, incident.NoticeSent}

// waits reports whether a notice needs a person: to be written on, signed or sent, or because of its letters.
func waits(n desk.NoticeRow) bool {
	return n.Needs > 0 || n.State == incident.NoticeDraft || n.State == incident.NoticeApproved
}

// everyNotice reads the notices that the address asks for, in its order.
func (c *Console) everyNotice(r *http.Request) (v everyNoticeView, rows []desk.NoticeRow, err error) {
	v.Frame = c.frame(r, "Notices")
	v.List = listed(r, boardRows, "q", "state", "kind", "incident", "to", "sort")
	v.List.Path = "/notices"
	all, cut, err := c.desk.EveryNotice(r.Context())
	if err != nil {
		return v, nil, err
	}
	v.Cut, v.All, v.Groups = cut, len(all), []option{{"", "all"}}
	for _, n := range all {
		v.Needs += n.Needs
		switch n.State {
		case incident.NoticeDraft:
			v.Drafts++
		case incident.NoticeApproved:
			v.Approved++
		}
		if n.To != "" && !slices.ContainsFunc(v.Groups, func(o option) bool { return o.Value == n.To }) {
			v.Groups = append(v.Groups, option{n.To, cmp.Or(n.Name, n.To)})
		}
		if noticeMatches(v.Frame, n, v.List) {
			rows = append(rows, n)
		}
	}
	slices.SortStableFunc(rows, func(a, b desk.NoticeRow) int {
		switch v.List.Values.Get("sort") {
		case "oldest":
			return a.At.Compare(b.At)
		case "needs":
			return cmp.Or(b.Needs-a.Needs, slices.Index(noticeRank, a.State)-slices.Index(noticeRank, b.State))
		case "incident":
			return cmp.Compare(a.Incident, b.Incident)
		case "to":
			return cmp.Compare(a.To, b.To)
		case "state":
			return slices.Index(noticeRank, a.State) - slices.Index(noticeRank, b.State)
		}
		return b.At.Compare(a.At)
	})
	return v, rows, nil
}

func noticeMatches(f frame, n desk.NoticeRow, l listing) bool {
	for name, is := range map[string]string{"kind": n.Kind, "incident": n.Incident, "to": n.To} {
		if want := l.Values.Get(name); want != "" && want != is {
			return false
		}
	}
	switch state := l.Values.Get("state"); {
	case state == "waiting" && !waits(n), state != "" && state != "waiting" && state != string(n.State):
		return false
	}
	q := strings.ToLower(l.Values.Get("q"))
	return q == "" || strings.Contains(strings.ToLower(strings.Join([]string{n.Incident, n.Title, n.ID, n.Subject, n.Duty, word(n.Duty), n.To, n.Name, f.who(n.DraftedBy)}, "\n")), q)
}

func (c *Console) everyNoticePage(w http.ResponseWriter, r *http.Request) error {
	v, rows, err := c.everyNotice(r)
	if err != nil {
		return err
	}
	v.Frame.Here, v.Frame.Live = "notices", true
	v.Rows = pageOf(&v.List, rows)
	return c.render(w, r, http.StatusOK, everyNoticePage(v))
}

// everyNoticeFile is the same list as a file.
func (c *Console) everyNoticeFile(w http.ResponseWriter, r *http.Request) error {
	_, rows, err := c.everyNotice(r)
	if err != nil {
		return err
	}
	header := []string{"incident", "title", "notice", "duty", "kind", "to", "subject", "state", "corrects", "written_by", "at_utc", "recipients", "accepted", "needs_a_person"}
	table := make([][]string, 0, len(rows))
	for _, n := range rows {
		table = append(table, []string{n.Incident, n.Title, n.ID, n.Duty, n.Kind, n.To, n.Subject, string(n.State), n.Corrects, string(n.DraftedBy), stamp(n.At),
			strconv.Itoa(n.Recipients), strconv.Itoa(n.Accepted), strconv.Itoa(n.Needs)})
	}
	if !strings.HasSuffix(r.URL.Path, ".ndjson") {
		return serveCSV(w, "notices.csv", header, table)
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Content-Disposition", `attachment; filename="notices.ndjson"`)
	out := json.NewEncoder(w)
	for _, n := range rows {
		line := map[string]any{"incident": n.Incident, "title": n.Title, "notice": n.ID, "duty": n.Duty, "kind": n.Kind, "to": n.To, "subject": n.Subject, "state": n.State,
			"written_by": n.DraftedBy, "recipients": n.Recipients, "accepted": n.Accepted, "needs_a_person": n.Needs}
		if n.Corrects != "" {
			line["corrects"] = n.Corrects
		}
		if !n.At.IsZero() {
			line["at"] = machine(n.At)
		}
		if err := out.Encode(line); err != nil {
			return nil // the reader is gone
		}
	}
	return nil
}

// noticeLook is the sign of a notice.
func noticeLook(n desk.NoticeRow) look {
	switch {
	case n.Needs > 0:
		return look{"needs a person", "✕", "missed"} // how many of its letters do is said beside it
	case n.State == incident.NoticeDraft:
		return look{"draft", "○", "waiting"}
	case n.State == incident.NoticeApproved:
		return look{"approved, not sent", "◐", "risk"}
	case n.State == incident.NoticeSent:
		return look{"sent", "✓", "met"}
	}
	return look{word(string(n.State)), "●", "running"}
}

// noticePlace is the permanent place of a notice in the list.
func noticePlace(n desk.NoticeRow) string { return n.Incident + "." + n.ID }

// noticeLine is the address of the list at one notice: of its incident alone, so that no page hides it.
func noticeLine(n desk.NoticeRow) templ.SafeURL {
	return templ.SafeURL("/notices?incident=" + urlQuery(n.Incident) + "#" + noticePlace(n))
}

// noticeNext is what a notice waits for, and the place where that is done.
func noticeNext(n desk.NoticeRow) (say string, href templ.SafeURL) {
	at := noticeURL(n.Incident, "notice", n.ID)
	switch {
	case n.State == incident.NoticeDraft:
		return "Write on, or approve it", at
	case n.State == incident.NoticeApproved:
		return "Look at it and send it", at + "#send"
	case n.Needs > 0:
		return "See to " + count(int64(n.Needs), "letter", "letters"), at + "#ledger"
	}
	return "", ""
}

// needsSay is how many letters wait for a person, and nothing when none does.
func needsSay(n desk.NoticeRow) string {
	if n.Needs == 0 {
		return ""
	}
	return ", " + count(int64(n.Needs), "letter needs a person", "letters need a person")
}
