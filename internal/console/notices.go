package console

import (
	"cmp"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/policy"
)

// noticesView is the page of an incident's notices: the composer, the preview and the ledger.
type noticesView struct {
	Frame   frame
	State   *incident.State
	Duties  []dutyOption // duties that tell somebody
	Compose *composer
	Notice  *incident.Notice // the one that is looked at
	Ledger  []*incident.Delivery
	Counts  []ledgerCount
	Skip    int    // rows of the ledger before this page
	More    int    // rows of the ledger after this page
	Filter  string // state of the rows that are shown; "": all
	Text    string // what stands in their recipient or code
	Sort    string // "": what needs a person first
	Preview *desk.Letter
	Party   string
	Parties []option          // recipients that a preview can be of
	Names   map[string]string // of recipients, by id
	Signed  []string
	Stale   map[string]int // merchants that were told something that is not so any more, by duty
	Key     string
	Trouble *trouble
	Refused url.Values // the form that was refused
}

// again is why a letter may go again, as it was written before that was refused.
func (v noticesView) again(party string) string {
	if v.Refused.Get("do") == "resend" && v.Refused.Get("party") == party {
		return v.Refused.Get("reason")
	}
	return ""
}

// dutyOption is a duty that can have a notice.
type dutyOption struct {
	ID, Say string
	Clock   *desk.ClockRow
}

// composer is the form of one draft.
type composer struct {
	Duty, Notice, Subject string
	Corrects              string // the notice that was sent and is corrected; "" for a first one
	Items                 []item
	Done, Of              int
	Approvers             []string
}

// item is one content item a notice must carry.
type item struct {
	ID, Ask, Text string
}

// asks words the content items that policies name most; any other id is shown as words.
var asks = map[string]string{
	"what_happened":      "What happened",
	"what_data":          "What data was involved",
	"what_we_do":         "What we are doing",
	"what_you_can_do":    "What you should do",
	"what_you_should_do": "What you should do",
	"contact":            "Who to ask",
	"when":               "When it happened",
	"consequences":       "What may follow from it",
}

func ask(id string) string {
	if text, ok := asks[id]; ok {
		return text
	}
	return title(id)
}

type ledgerCount struct {
	State incident.DeliveryState
	Look  look
	N     int
}

const (
	// ledgerRows is how many rows of the delivery ledger one page shows.
	ledgerRows = 100
	// mostParties is how many recipients one can choose between for a preview; another is found by id.
	mostParties = 300
)

func (c *Console) noticesPage(w http.ResponseWriter, r *http.Request) error {
	return c.showNotices(w, r, http.StatusOK, r.URL.Query(), nil)
}

// showNotices renders the page. in is the query, or the submitted form when something was refused:
// what was written stays.
func (c *Console) showNotices(w http.ResponseWriter, r *http.Request, status int, in url.Values, t *trouble) error {
	look, err := c.look(r, r.PathValue("id"))
	if err != nil {
		return err
	}
	s := look.State
	v := noticesView{Frame: c.frame(r, "Notices · "+s.ID), State: s, Key: rand.Text(), Trouble: t, Filter: in.Get("state"), Text: short(in.Get("q")), Sort: in.Get("sort")}
	for _, d := range look.Policy.Duties {
		if d.Do != policy.Notify && d.Do != policy.Announce {
			continue
		}
		o := dutyOption{ID: d.ID, Say: word(d.ID)}
		for i := range look.Clocks {
			if look.Clocks[i].Duty == d.ID && (o.Clock == nil || running(look.Clocks[i].State) && !running(o.Clock.State)) {
				o.Clock, o.Say = &look.Clocks[i], look.Clocks[i].Say
			}
		}
		v.Duties = append(v.Duties, o)
	}
	v.Stale = map[string]int{}
	for duty, list := range incident.OutdatedByDuty(look.Policy, s) {
		v.Stale[duty] = len(list)
	}
	for _, n := range s.Notices {
		if n.ID == in.Get("notice") || in.Get("notice") == "" && in.Get("duty") == "" {
			v.Notice = n // without a choice, the newest
		}
	}
	duty := in.Get("duty")
	if v.Notice != nil {
		duty = v.Notice.Duty
		v.Skip = skipOf(r)
		v.fillLedger()
		v.Signed = signatures(v.Frame, v.Notice.Approvals)
		v.Frame.Live = v.Notice.State == incident.NoticeSending
		if err := c.nameParties(r, look.Policy, &v); err != nil {
			return err
		}
	}
	if t != nil {
		v.Refused = in
	}
	v.Compose = compose(look.Policy, duty, v.Notice, in, t != nil && in.Get("do") == "draft")
	if v.Compose != nil && v.Notice == nil {
		v.Compose.correct(s, in.Get("corrects"))
	}
	if v.Party = strings.TrimSpace(in.Get("party")); v.Party == "other" {
		v.Party = strings.TrimSpace(in.Get("other"))
	}
	if v.Notice != nil && v.Party != "" && in.Get("do") != "resend" {
		letter, err := c.desk.Preview(r.Context(), s.ID, v.Notice.ID, v.Party)
		if err != nil {
			if v.Trouble = troubleOf(err); v.Trouble.Status >= http.StatusInternalServerError {
				return err
			}
			v.Trouble.Title = "No preview"
		} else {
			v.Preview = &letter
		}
	}
	return c.render(w, r, status, noticesPage(v))
}

// compose makes the form of a duty's notice: from what was just written, else from the draft.
func compose(p *policy.Program, duty string, n *incident.Notice, in url.Values, written bool) *composer {
	for _, d := range p.Duties {
		if d.ID != duty {
			continue
		}
		c := &composer{Duty: d.ID, Of: len(d.Content), Approvers: d.Approve}
		if n != nil {
			if n.State != incident.NoticeDraft && n.State != incident.NoticeApproved {
				return nil // sent: it can be read, not rewritten
			}
			c.Notice, c.Subject = n.ID, n.Subject
		}
		if written {
			c.Subject = in.Get("subject")
		}
		for _, id := range d.Content {
			it := item{ID: id, Ask: ask(id)}
			if n != nil {
				it.Text = n.Content[id]
			}
			if written {
				it.Text = in.Get("item." + id)
			}
			if strings.TrimSpace(it.Text) != "" {
				c.Done++
			}
			c.Items = append(c.Items, it)
		}
		return c
	}
	return nil
}

// correct begins a correction with the words it corrects. What was just written stays.
func (c *composer) correct(s *incident.State, notice string) {
	for _, n := range s.Notices {
		if n.ID != notice || n.Duty != c.Duty {
			continue
		}
		c.Corrects = n.ID
		c.Subject = cmp.Or(c.Subject, n.Subject)
		c.Done = 0
		for i := range c.Items {
			c.Items[i].Text = cmp.Or(c.Items[i].Text, n.Content[c.Items[i].ID])
			if strings.TrimSpace(c.Items[i].Text) != "" {
				c.Done++
			}
		}
	}
}

// sent is the newest notice of a duty that was sent and can be corrected, or "".
func (v noticesView) sent(duty string) (id string) {
	for _, n := range v.State.Notices {
		if n.Duty == duty && (n.State == incident.NoticeSending || n.State == incident.NoticeSent) {
			id = n.ID
		}
	}
	return id
}

func signatures(f frame, signed []incident.Signed) []string {
	var out []string
	for _, s := range signed {
		text := f.who(s.By)
		if s.Role != "" {
			text += " as " + word(s.Role)
		}
		out = append(out, text)
	}
	return out
}

// order of the ledger: what needs a person first.
var deliveryOrder = []incident.DeliveryState{incident.DeliveryBounced, incident.DeliveryNoAddress, incident.DeliveryUncertain,
	incident.DeliveryDeferred, incident.DeliveryTrying, incident.DeliveryOwed, incident.DeliveryAccepted}

func (v *noticesView) fillLedger() {
	n := map[incident.DeliveryState]int{}
	for _, d := range v.Notice.Deliveries {
		n[d.State]++
	}
	for _, s := range deliveryOrder {
		if n[s] > 0 {
			v.Counts = append(v.Counts, ledgerCount{s, deliveryLook(s), n[s]})
		}
	}
	v.Ledger = ledgerOf(v.Notice, v.Filter, v.Text, v.Sort)
	v.Ledger = v.Ledger[min(v.Skip, len(v.Ledger)):]
	if len(v.Ledger) > ledgerRows {
		v.More = len(v.Ledger) - ledgerRows
		v.Ledger = v.Ledger[:ledgerRows]
	}
}

// nameParties looks up who the notice goes to: those it has gone to, else those it would go to now.
func (c *Console) nameParties(r *http.Request, p *policy.Program, v *noticesView) error {
	var ids []string
	for id := range v.Notice.Deliveries {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		ids = incident.RecipientsOf(p, v.State, v.Notice)
	}
	slices.Sort(ids)
	choice := ids[:min(len(ids), mostParties)]
	ask := slices.Clone(choice)
	for _, d := range v.Ledger {
		ask = append(ask, d.Recipient)
	}
	slices.Sort(ask)
	names, err := c.desk.MerchantNames(r.Context(), slices.Compact(ask))
	if err != nil {
		return err
	}
	for _, party := range p.Parties {
		if _, merchant := names[party.ID]; !merchant && party.Name != "" {
			names[party.ID] = party.Name
		}
	}
	v.Names = names
	for _, id := range choice {
		o := option{id, id}
		if names[id] != "" {
			o.Text += " — " + isolated(names[id])
		}
		v.Parties = append(v.Parties, o)
	}
	return nil
}

// recipients is how many people a duty's notice goes to, as far as is known now. A clock keeps the
// number it last had, also when a newer scope left nobody.
func (v noticesView) recipients() string {
	if v.Notice == nil || len(v.Parties) == 0 {
		return "nobody yet"
	}
	if n := len(v.Notice.Deliveries); n > 0 {
		return count(int64(n), "recipient", "recipients")
	}
	if v.Notice.Corrects != "" {
		return count(int64(v.Stale[v.Notice.Duty]), "merchant that was told otherwise", "merchants that were told otherwise")
	}
	for _, d := range v.Duties {
		if d.ID == v.Notice.Duty && d.Clock != nil && d.Clock.Count > 0 {
			return count(int64(d.Clock.Count), "recipient", "recipients")
		}
	}
	return "its recipients"
}

func (c *Console) actOnNotice(w http.ResponseWriter, r *http.Request) error {
	in, id := r.PostForm, r.PathValue("id")
	next := url.Values{}
	if n := in.Get("notice"); n != "" {
		next.Set("notice", n)
	} else {
		next.Set("duty", in.Get("duty"))
	}
	err := checkForm(r)
	if err == nil {
		var command incident.Command
		switch in.Get("do") {
		case "draft":
			content := map[string]string{}
			for name, values := range in {
				if item, ok := strings.CutPrefix(name, "item."); ok && len(values) > 0 {
					content[item] = strings.ReplaceAll(strings.TrimSpace(values[0]), "\r\n", "\n")
				}
			}
			command = incident.DraftNotice{Duty: in.Get("duty"), Notice: in.Get("notice"), Subject: strings.TrimSpace(in.Get("subject")), Content: content, Corrects: in.Get("corrects")}
		case "approve":
			command = incident.ApproveNotice{Notice: in.Get("notice"), Attest: in.Get("attest") == "yes"}
		case "send":
			command = incident.SendNotice{Notice: in.Get("notice")}
		case "resend":
			command = incident.ResendNotice{Notice: in.Get("notice"), Party: in.Get("party"), Reason: strings.TrimSpace(in.Get("reason"))}
		default:
			return desk.ErrNotFound
		}
		_, err = c.desk.Submit(r.Context(), desk.Request{ID: requestID(r), Incident: id, Command: command, Caller: callerOf(r.Context())})
	}
	if err != nil {
		t := troubleOf(err)
		if t.Status >= http.StatusInternalServerError {
			c.opt.Log.ErrorContext(r.Context(), "notice failed", "error", err)
		}
		return c.showNotices(w, r, t.Status, in, t)
	}
	if next.Get("notice") == "" {
		next = url.Values{} // a new draft is the newest notice, which is shown
	}
	http.Redirect(w, r, "/incidents/"+url.PathEscape(id)+"/notices?"+next.Encode(), http.StatusSeeOther)
	return nil
}
