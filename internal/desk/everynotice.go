package desk

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/policy"
)

// The kinds of a notice.
const (
	NoticeFirst      = "notice"     // tells its recipients for the first time
	NoticeUpdate     = "update"     // is published to everybody who looks
	NoticeCorrection = "correction" // tells those again who were told what is not so any more
)

// NoticeRow is a notice of any incident, with how far it has come.
type NoticeRow struct {
	Incident  string
	Title     string // of the incident
	ID        string
	Duty      string
	Kind      string
	To        string // the group of recipients, as the policy names it
	Name      string // the same in words
	Subject   string
	State     incident.NoticeState
	Corrects  string
	DraftedBy incident.Principal
	At        time.Time // sent, or else drafted

	Recipients, Accepted, Needs int // Needs: deliveries that wait for a person
}

// NoticesOf are the notices of one incident, in the order in which they were written.
func NoticesOf(p *policy.Program, s *incident.State) []NoticeRow {
	out := make([]NoticeRow, 0, len(s.Notices))
	for _, n := range s.Notices {
		row := NoticeRow{Incident: s.ID, Title: s.Title, ID: n.ID, Duty: n.Duty, Kind: NoticeFirst, Subject: n.Subject, State: n.State, Corrects: n.Corrects,
			DraftedBy: n.DraftedBy, At: n.DraftedAt, Recipients: len(n.Deliveries)}
		if !n.SentAt.IsZero() {
			row.At = n.SentAt
		}
		if i := slices.IndexFunc(p.Duties, func(d policy.Duty) bool { return d.ID == n.Duty }); i >= 0 {
			row.To, row.Name = p.Duties[i].To, groupName(p, p.Duties[i].To)
			if p.Duties[i].Do == policy.Announce {
				row.Kind = NoticeUpdate
			}
		}
		if n.Corrects != "" {
			row.Kind = NoticeCorrection
		}
		for _, d := range n.Deliveries {
			switch d.State {
			case incident.DeliveryAccepted:
				row.Accepted++
			case incident.DeliveryBounced, incident.DeliveryUncertain, incident.DeliveryNoAddress:
				row.Needs++
			}
		}
		out = append(out, row)
	}
	return out
}

// groupName is a group of recipients in words.
func groupName(p *policy.Program, to string) string {
	switch to {
	case "merchants.affected":
		return "affected merchants"
	case "merchants.all":
		return "all merchants"
	}
	return partyName(p, to)
}

// EveryNotice lists the notices of all incidents that the reader may know of, the newest first. It reports
// whether there are more incidents with notices than are looked at.
func (d *Desk) EveryNotice(ctx context.Context) (out []NoticeRow, cut bool, err error) {
	var found []ledger.Row
	for _, from := range []string{"0", "1"} { // open ones, then settled ones
		rows, err := d.boardRows(ctx, from, map[string]string{"0": "1"}[from], ledger.MaxRows)
		if err != nil {
			return nil, false, err
		}
		found = append(found, rows...)
	}
	rows, err := d.seen(ctx, found)
	if err != nil {
		return nil, false, err
	}
	read := 0
	for _, b := range rows {
		if b.Notices == 0 {
			continue
		}
		if read++; read > mostCorrected {
			cut = true
			break
		}
		s, err := d.Incident(ctx, b.ID)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ledger.ErrNotFound) || errors.Is(err, errUnreadable) {
			continue // it became private in between, or its own page says what is wrong with it
		}
		if err != nil {
			return nil, false, err
		}
		out = append(out, NoticesOf(d.program(s), s)...)
	}
	slices.SortStableFunc(out, func(a, b NoticeRow) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Incident, b.Incident), cmp.Compare(a.ID, b.ID))
	})
	return out, cut, nil
}
