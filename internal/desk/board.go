package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/policy"
)

const boardProjection = "board"

// Board lists incidents, open ones first, the most urgent clock first. It reads a projection and
// opens no incident, so a thousand incidents cost one indexed read.
func (d *Desk) Board(ctx context.Context) ([]BoardRow, error) {
	var rows []BoardRow
	err := d.o.Store.View(ctx, func(r ledger.Reader) error {
		found, err := r.Rows(boardProjection, "", "", 1000)
		if err != nil {
			return err
		}
		rows, err = d.seen(ctx, found)
		return err
	})
	return rows, err
}

// boardRank orders the board: open incidents before those that are over; the open ones by the next
// instant that matters, the others with the newest end first.
func boardRank(b BoardRow) string {
	if b.Status != incident.StatusOpen {
		end := b.Updated
		for _, name := range []string{"closed", "dismissed"} {
			if at, ok := b.Milestones[name]; ok {
				end = at
				break
			}
		}
		return fmt.Sprintf("1%013d", lastMilli-end.UnixMilli())
	}
	at := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	if b.Next != nil {
		at = urgency(b.Next.Due, b.Next.Target)
	}
	return "0" + at.UTC().Format("2006-01-02T15:04:05.000")
}

// lastMilli is the end of the time a rank can turn round: in the year 2286.
const lastMilli = 9_999_999_999_999

// urgency is the instant a clock is pressing towards: its limit, else its target.
func urgency(due, target time.Time) time.Time {
	switch {
	case !due.IsZero():
		return due
	case !target.IsZero():
		return target
	}
	return time.Date(9998, 1, 1, 0, 0, 0, 0, time.UTC)
}

func boardRow(p *policy.Program, s *incident.State, now time.Time) BoardRow {
	b := BoardRow{
		ID: s.ID, Title: s.Title, Class: s.Class, Severity: s.Severity, Status: s.Status, Env: s.Env,
		Apps: s.Apps, Opened: s.Opened, Updated: s.Updated, Milestones: map[string]time.Time{}, Correctives: len(s.Review.Corrective), Notices: len(s.Notices),
	}
	for name, m := range s.Milestones {
		b.Milestones[name] = m.At
	}
	if s.Private != nil {
		b.Private = true
		for _, r := range s.Private.Readers {
			b.Readers = append(b.Readers, r.Person)
		}
	}
	if who, ok := s.Roles["lead"]; ok {
		b.Lead = strings.TrimPrefix(string(who), "person:")
	}
	b.Into = incident.Into(s)
	if t := incident.Totals(s); t != nil {
		b.People, b.Merchants = t.Customers, t.Merchants
	}
	// A row is written with every command. It shows clocks that run and nothing of the others, so
	// they are not asked why they do not, and only the most urgent one is put into words.
	recipients := make(map[clockGroup]int, len(p.Duties))
	var first *incident.DutyInstance
	for _, o := range s.Owing() {
		g := groupOf(o.Of)
		if recipients[g] == 0 && o.Of.State == incident.DutyMissed {
			b.Missed++
		}
		if recipients[g] += o.N; first == nil || compareDuties(o.Of, first) < 0 {
			first = o.Of
		}
	}
	if first != nil {
		b.Next = clockRow(p, s.ID, first)
		if n := recipients[groupOf(first)]; n > 1 {
			b.Next.Count, b.Next.Recipient = n, ""
		}
		b.Next.Say = saySomething(p, b.Next)
		b.Next.Called, b.Next.CalledTo = called(s, b.Next.Duty)
		b.MoreClocks = len(recipients) - 1
	}
	if s.Status == incident.StatusOpen {
		b.Closed = incident.Shut(p, s)
	}
	return b
}

func running(s incident.DutyState) bool {
	switch s {
	case incident.DutyRunning, incident.DutyProvisional, incident.DutyAtRisk, incident.DutyMissed:
		return true
	}
	return false
}

// Clocks lists every duty of an incident: running ones by urgency, then the rest with the reason
// why they do not run.
func (d *Desk) Clocks(ctx context.Context, id string) ([]ClockRow, error) {
	s, err := d.Incident(ctx, id)
	if err != nil {
		return nil, notFound(err)
	}
	return clockRows(d.program(s), s), nil
}

// clockRows folds duties that differ in their recipient alone into one row with a count.
func clockRows(p *policy.Program, s *incident.State) []ClockRow {
	rows := clockGroups{}
	clocks := incident.Clocks(p, s)
	named := map[string]bool{} // duties that have recipients by name
	for i := range clocks {
		named[clocks[i].Duty] = named[clocks[i].Duty] || clocks[i].Recipient != ""
	}
	for i := range clocks {
		// The clock that stood for merchants nobody knew yet is over once they have clocks of their own.
		if c := &clocks[i]; c.Recipient == "" && c.State == incident.DutyNot && named[c.Duty] {
			continue
		}
		rows.add(p, s.ID, &clocks[i])
	}
	list := make([]ClockRow, 0, len(rows))
	for _, row := range slices.SortedFunc(maps.Values(rows), compareClocks) {
		row.Say = saySomething(p, row)
		if running(row.State) {
			row.Called, row.CalledTo = called(s, row.Duty)
		}
		list = append(list, *row)
	}
	return list
}

// clockGroups collects duties that differ in their recipient alone.
type clockGroups map[clockGroup]*ClockRow

type clockGroup struct {
	duty        string
	state       incident.DutyState
	due, target int64
	from        string // the incident a carried clock comes from
}

// groupOf names the row that an instance belongs to. Instances with limits of their own are rows of
// their own: day one of a running clock is shown as the earliest promise that still holds.
func groupOf(di *incident.DutyInstance) clockGroup {
	return clockGroup{di.Duty, di.State, di.Due.Unix(), di.Target.Unix(), di.From}
}

func (rows clockGroups) add(p *policy.Program, id string, di *incident.DutyInstance) {
	g := groupOf(di)
	row := rows[g]
	if row == nil {
		rows[g] = clockRow(p, id, di)
		return
	}
	if di.Recipient != "" {
		row.Count++
		row.Recipient = ""
	}
	if di.Met.After(row.Met) {
		row.Met = di.Met
	}
}

// clockRow is the row of one instance, not yet put into words.
func clockRow(p *policy.Program, id string, di *incident.DutyInstance) *ClockRow {
	row := &ClockRow{
		Incident: id, Duty: di.Duty, State: di.State, Due: di.Due, Target: di.Target,
		Started: di.Started, Met: di.Met, Why: di.Why, Holder: dutyDecl(p, di.Duty).Who, Recipient: di.Recipient, Law: di.Law, From: di.From,
	}
	if di.Recipient != "" {
		row.Count = 1
	}
	for _, name := range di.Unknown {
		row.Missing = append(row.Missing, incident.Missing{
			What: name + " is not decided", Do: "decide it: tocsin incident answer " + id + " " + strings.TrimPrefix(name, "fact."), Rule: di.Duty,
		})
	}
	return row
}

// compareClocks puts running clocks first, and the most urgent of them at the top.
func compareClocks(a, b *ClockRow) int {
	return cmp.Or(
		-boolOrder(running(a.State), running(b.State)),
		urgency(a.Due, a.Target).Compare(urgency(b.Due, b.Target)),
		cmp.Compare(a.Duty, b.Duty),
		cmp.Compare(string(a.State), string(b.State)),
	)
}

// compareDuties is compareClocks for instances that run.
func compareDuties(a, b *incident.DutyInstance) int {
	return cmp.Or(
		urgency(a.Due, a.Target).Compare(urgency(b.Due, b.Target)),
		cmp.Compare(a.Duty, b.Duty),
		cmp.Compare(string(a.State), string(b.State)),
	)
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func dutyDecl(p *policy.Program, id string) *policy.Duty {
	for i := range p.Duties {
		if p.Duties[i].ID == id {
			return &p.Duties[i]
		}
	}
	return &policy.Duty{ID: id}
}

// saySomething words what is owed, for the largest line of a page read at three in the morning.
func saySomething(p *policy.Program, c *ClockRow) string {
	decl := dutyDecl(p, c.Duty)
	switch decl.Do {
	case policy.Contain:
		return "Contain"
	case policy.Decide:
		return decisionWords(decl.Of)
	case policy.Assess:
		return "Assess the cause and the risk"
	case policy.Scope:
		return "Work out who is affected"
	case policy.Notify:
		if decl.To == "merchants.affected" || decl.To == "merchants.all" {
			switch c.Count {
			case 0:
				if decl.To == "merchants.all" {
					return "Tell every merchant"
				}
				return "Tell the merchants affected (scope not computed)"
			case 1:
				return "Tell 1 merchant"
			}
			return fmt.Sprintf("Tell %d merchants", c.Count)
		}
		return "Tell " + partyName(p, decl.To)
	case policy.Verify:
		return "Prove the fix"
	case policy.Restore:
		return "Restore service"
	case policy.Review:
		return "Publish the review"
	case policy.Announce:
		return "Send an update"
	case policy.Answer:
		for _, f := range p.Facts {
			if len(decl.Of) > 0 && f.ID == decl.Of[0] && f.Ask != "" {
				return f.Ask
			}
		}
	case policy.Perform:
		if decl.Task != "" {
			return incident.Capital(decl.Task) // in any script
		}
	case policy.ReRead:
		return "Read the policy again"
	}
	return strings.ReplaceAll(c.Duty, "_", " ")
}

// decisionWords asks for a decision by its verbs, such as "Confirm or dismiss".
func decisionWords(milestones []string) string {
	verbs := make([]string, len(milestones))
	for i, name := range milestones {
		verb, known := map[string]string{"acknowledged": "acknowledge", "confirmed": "confirm", "dismissed": "dismiss"}[name]
		if !known {
			return "Decide: " + strings.ReplaceAll(strings.Join(milestones, " or "), "_", " ")
		}
		verbs[i] = verb
	}
	text := strings.Join(verbs, " or ")
	if text == "" {
		return "Decide"
	}
	return incident.Capital(text)
}

func partyName(p *policy.Program, id string) string {
	for _, x := range p.Parties {
		if x.ID == id && x.Name != "" {
			return x.Name
		}
	}
	return id
}

// Gates says for each guarded command whether it would be let through now, and what is missing.
func (d *Desk) Gates(ctx context.Context, id string) ([]GateRow, error) {
	s, err := d.Incident(ctx, id)
	if err != nil {
		return nil, notFound(err)
	}
	var rows []GateRow
	for _, g := range incident.Gates(d.program(s), s) {
		rows = append(rows, GateRow{Command: g.Command, Open: len(g.Missing) == 0, Missing: g.Missing})
	}
	return rows, nil
}

// Rebuild makes every projection again from the facts. What the detector has learned follows from
// the events, and is kept when it can be read: learning it again would raise old alarms anew. So is
// how the probes stand, which follows from nothing that is kept.
func (d *Desk) Rebuild(ctx context.Context) error {
	learned, err := d.learned(ctx)
	if err != nil {
		return err
	}
	seen, err := d.probeRows(ctx)
	if err != nil {
		return err
	}
	looked, err := d.lookRows(ctx)
	if err != nil {
		return err
	}
	states := map[string]*incident.State{}
	err = d.o.Store.Rebuild(ctx, func(tx ledger.Tx, rec ledger.Record) error {
		if rec.Seq == 1 { // the first record, also when the transaction runs again
			clear(states)
			if learned.Body != nil {
				if err := tx.PutRow(detectorProjection, learned); err != nil {
					return err
				}
			}
			for _, row := range seen {
				if err := tx.PutRow(probeProjection, row); err != nil {
					return err
				}
			}
			for _, row := range looked {
				if err := tx.PutRow(lookProjection, row); err != nil {
					return err
				}
			}
		}
		f, err := ledger.Open(rec, d.o.Keys)
		if err != nil {
			return err
		}
		if rec.Chain == OrgChain {
			return nil
		}
		s, err := incident.Fold(states[rec.Chain], f)
		if err != nil {
			return err
		}
		states[rec.Chain] = s
		return d.project(tx, s, f.Recorded)
	})
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("desk: rebuild was stopped: run tocsin rebuild again: %w", err)
	}
	return err
}
