package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/policy"
)

// ClockSheet is every clock of everything that is open, the programme included.
type ClockSheet struct {
	Clocks   []ClockRow `json:"clocks"`             // those that run, the most urgent first
	Excluded []ClockRow `json:"excluded,omitempty"` // duties that were ruled out, each with why not
	Running  int        `json:"running"`
	AtRisk   int        `json:"at_risk"`
	Missed   int        `json:"missed"`
	People   int64      `json:"people"`           // customer accounts in the newest scopes, an upper bound on people
	Unread   []string   `json:"unread,omitempty"` // incidents that cannot be read: their clocks are not here
}

// EveryClock lists the clocks of all open incidents and of the programme. Each says who has to be
// told, whose it is and what is missing before it can be met.
func (d *Desk) EveryClock(ctx context.Context) (ClockSheet, error) {
	var sheet ClockSheet
	take := func(rows []ClockRow) {
		for _, row := range rows {
			switch row.State {
			case incident.DutyNot:
				sheet.Excluded = append(sheet.Excluded, row)
				continue
			case incident.DutyAtRisk:
				sheet.AtRisk++
			case incident.DutyMissed:
				sheet.Missed++
			}
			if running(row.State) {
				sheet.Running++
				sheet.Clocks = append(sheet.Clocks, row)
			}
		}
	}
	yearly, err := d.ProgrammeClocks(ctx)
	if err != nil {
		return sheet, err
	}
	take(yearly)
	err = d.o.Store.View(ctx, func(r ledger.Reader) error {
		found, err := r.Rows(boardProjection, "0", "1", ledger.MaxRows)
		if err != nil {
			return err
		}
		for _, row := range found {
			b, err := d.decodeBoardRow(row)
			if err != nil {
				return err
			}
			if !d.seesRow(ctx, b) {
				continue
			}
			s, err := d.read(r, row.Key)
			if errors.Is(err, errUnreadable) {
				sheet.Unread = append(sheet.Unread, row.Key) // the clocks of the others are shown all the same
				continue
			}
			if err != nil {
				return err
			}
			if n := len(s.Scopes); n > 0 {
				sheet.People += s.Scopes[n-1].Customers
			}
			take(wholeRows(d.program(s), s))
		}
		return nil
	})
	slices.SortStableFunc(sheet.Clocks, func(a, b ClockRow) int {
		return cmp.Or(urgency(a.Due, a.Target).Compare(urgency(b.Due, b.Target)), cmp.Compare(a.Incident, b.Incident))
	})
	return sheet, err
}

// wholeRows are the clocks of an incident with what stands in the incident's room beside them.
func wholeRows(p *policy.Program, s *incident.State) []ClockRow {
	rows := clockRows(p, s)
	for i := range rows {
		row := &rows[i]
		decl := dutyDecl(p, row.Duty)
		row.Title = s.Title
		row.Person = strings.TrimPrefix(string(s.Roles[decl.Who]), "person:")
		if decl.Do == policy.Notify {
			row.To = whomTo(p, decl, row)
			if running(row.State) {
				row.Missing = append(row.Missing, toSend(s, decl)...)
			}
		}
	}
	return rows
}

// whomTo says who is told.
func whomTo(p *policy.Program, decl *policy.Duty, row *ClockRow) string {
	switch decl.To {
	case "merchants.affected", "merchants.all":
		if row.Count > 0 {
			return count(row.Count, "merchant")
		}
		return strings.Replace(decl.To, "merchants.", "merchants: ", 1)
	}
	return partyName(p, decl.To)
}

// toSend is what is missing before the newest notice of a duty can leave.
func toSend(s *incident.State, decl *policy.Duty) []incident.Missing {
	var newest *incident.Notice
	for _, n := range s.Notices {
		if n.Duty == decl.ID {
			newest = n
		}
	}
	if newest == nil {
		return []incident.Missing{{What: "no notice is written", Do: fmt.Sprintf("write it: tocsin notify draft %s --duty %s", s.ID, decl.ID), Rule: decl.ID}}
	}
	var missing []incident.Missing
	switch newest.State {
	case incident.NoticeDraft:
		for _, item := range decl.Content {
			if strings.TrimSpace(newest.Content[item]) == "" {
				missing = append(missing, incident.Missing{What: newest.ID + " does not say " + strings.ReplaceAll(item, "_", " "),
					Do: fmt.Sprintf("write it: tocsin notify draft %s --duty %s --notice %s", s.ID, decl.ID, newest.ID), Rule: decl.ID})
			}
		}
		if len(missing) == 0 {
			missing = append(missing, incident.Missing{What: newest.ID + " is not approved", Do: fmt.Sprintf("approve it: tocsin notify approve %s %s", s.ID, newest.ID), Rule: decl.ID})
		}
	case incident.NoticeApproved:
		missing = append(missing, incident.Missing{What: newest.ID + " is not sent", Do: fmt.Sprintf("send it: tocsin notify send %s %s", s.ID, newest.ID), Rule: decl.ID})
	}
	return missing
}
