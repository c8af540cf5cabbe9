package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// ledgerSorts are the orders of the delivery ledger, beside the one that puts first what needs a person.
var ledgerSorts = []option{{"", "what needs a person first"}, {"recipient", "by recipient"}, {"newest", "newest first"}, {"attempts", "most attempts first"}}

// short is a filter within its bound.
func short(text string) string {
	text = strings.TrimSpace(text)
	if len(text) > maxFilter {
		return ""
	}
	return text
}

// ledgerOf are the rows of a notice's ledger, filtered and in an order.
func ledgerOf(n *incident.Notice, state, text, sort string) []*incident.Delivery {
	var rows []*incident.Delivery
	text = strings.ToLower(text)
	for _, d := range n.Deliveries {
		if (state == "" || state == string(d.State)) && (text == "" || strings.Contains(strings.ToLower(d.Recipient+" "+d.Code), text)) {
			rows = append(rows, d)
		}
	}
	slices.SortFunc(rows, func(a, b *incident.Delivery) int {
		by := 0
		switch sort {
		case "recipient":
		case "newest":
			by = b.At.Compare(a.At)
		case "attempts":
			by = b.Attempts - a.Attempts
		default:
			by = slices.Index(deliveryOrder, a.State) - slices.Index(deliveryOrder, b.State)
		}
		return cmp.Or(by, cmp.Compare(a.Recipient, b.Recipient))
	})
	return rows
}

// ledgerQuery is the choice of rows, as an address has it.
func (v noticesView) ledgerQuery() url.Values {
	q := url.Values{"notice": {v.Notice.ID}}
	for name, value := range map[string]string{"state": v.Filter, "q": v.Text, "sort": v.Sort} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// ledgerURL is a page of the ledger.
func (v noticesView) ledgerURL(skip int) templ.SafeURL {
	q := v.ledgerQuery()
	q.Set("skip", strconv.Itoa(max(0, skip)))
	return incidentURL(v.State.ID) + templ.SafeURL("/notices?"+q.Encode()+"#ledger")
}

// ledgerFileURL is all of its rows as a file.
func (v noticesView) ledgerFileURL() templ.SafeURL {
	return incidentURL(v.State.ID) + templ.SafeURL("/notices.csv?"+v.ledgerQuery().Encode())
}

// ledgerFile is the ledger of a notice as a file for a spreadsheet, with the same choice of rows.
func (c *Console) ledgerFile(w http.ResponseWriter, r *http.Request) error {
	s, err := c.desk.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	q := r.URL.Query()
	i := slices.IndexFunc(s.Notices, func(n *incident.Notice) bool { return n.ID == q.Get("notice") })
	if i < 0 {
		return desk.ErrNotFound
	}
	n := s.Notices[i]
	rows := ledgerOf(n, q.Get("state"), short(q.Get("q")), q.Get("sort"))
	out := make([][]string, 0, len(rows))
	for _, d := range rows {
		out = append(out, []string{s.ID, n.ID, n.Duty, d.Recipient, string(d.State), strconv.Itoa(d.Attempts), d.Code, stamp(d.At), d.Channel, d.MessageID, d.Digest, d.Fact})
	}
	return serveCSV(w, s.ID+"-"+n.ID+".csv", []string{"incident", "notice", "duty", "recipient", "state", "attempts", "code", "changed_utc", "channel", "message_id", "digest", "fact"}, out)
}
