// Package desktest is a desk for the tests of the faces: the real org engine, a fixed incident, and
// a record of everything that was asked. It decides nothing about incidents; tests script its
// answers. Production code does not import it.
package desktest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/mint"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/scope"
)

// Desk answers as a desk would. The exported fields may be set before it is used.
type Desk struct {
	Now        time.Time
	Program    *policy.Program
	Before     *policy.Program // what was in force until Since
	Since      time.Time
	Days       []desk.LogDay   // of the access log, newest first; nil: three of them
	Yearly     *incident.State // the programme; its clocks are Running[desk.OrgChain]
	States     map[string]*incident.State
	Rows       []desk.BoardRow
	Watched    []desk.ProbeRow
	Running    map[string][]desk.ClockRow
	Shut       map[string][]desk.GateRow
	Lines      map[string][]desk.TimelineLine
	Known      []ledger.Merchant
	Log        []desk.Access     // newest first
	Erased     []desk.ErasureRow // what was ordered, oldest first
	Holding    []org.Held        // refuse an erasure
	Guarded    []desk.SourceState
	Shown      []integrity.Shown // of a source that has changed
	Letter     desk.Letter
	Result     scope.Result
	Comparison scope.Comparison
	Run        *desk.ScopeRun // the run that was begun last
	ExportFile string
	Others     []incident.Line // what other people did meanwhile

	// Answer scripts Submit; nil accepts everything.
	Answer func(desk.Request) (desk.Outcome, error)
	// Taken scripts Ingest; nil counts lines.
	Taken func(desk.Key, desk.Delivery, io.Reader) (desk.Receipt, error)

	mu       sync.Mutex
	watching map[chan struct{}]bool
	asked    []desk.Request
	org      *org.State
	answers  map[string]org.Outcome
	switches []desk.Switch
	version  int64
	watchers []chan struct{}
	secrets  map[string]int // bytes by name
	seen     []string
	facts    int
}

// New makes a desk whose organisation is founded and has an owner, lena, and gives her token.
func New(now time.Time) (*Desk, string) {
	d := &Desk{
		Now: now, States: map[string]*incident.State{}, Running: map[string][]desk.ClockRow{}, Shut: map[string][]desk.GateRow{},
		Lines: map[string][]desk.TimelineLine{}, answers: map[string]org.Outcome{}, secrets: map[string]int{},
	}
	code := mint.New(mint.Code)
	server := desk.Caller{Principal: "service:setup", Access: incident.Service}
	must(d.SubmitOrg(context.Background(), "", server, org.Found{ID: "javabeanai", Title: "PickAndPack", Owner: "lena", OwnerName: "Lena", CodeHash: org.Hash(code.Reveal())}))
	token := mint.New(mint.Token)
	must(d.SubmitOrg(context.Background(), "", server, org.Join{CodeHash: org.Hash(code.Reveal()), TokenID: token.ID, TokenHash: org.Hash(token.Reveal())}))
	return d, token.Reveal()
}

func must(_ org.Outcome, err error) {
	if err != nil {
		panic(err) // a broken fixture ends the test run where it stands
	}
}

// Join invites a person and lets them join; it gives their token.
func (d *Desk) Join(id, name string, access incident.Access, roles ...string) string {
	code, token := mint.New(mint.Code), mint.New(mint.Token)
	owner := desk.Caller{Principal: "person:lena", Access: incident.Owner}
	must(d.SubmitOrg(context.Background(), "", owner, org.Invite{Person: id, FullName: name, Access: access, Roles: roles, CodeHash: org.Hash(code.Reveal())}))
	must(d.SubmitOrg(context.Background(), "", owner, org.Join{CodeHash: org.Hash(code.Reveal()), TokenID: token.ID, TokenHash: org.Hash(token.Reveal())}))
	return token.Reveal()
}

// Invite makes an invitation and gives its code.
func (d *Desk) Invite(id, name string, access incident.Access) string {
	code := mint.New(mint.Code)
	must(d.SubmitOrg(context.Background(), "", desk.Caller{Principal: "person:lena", Access: incident.Owner},
		org.Invite{Person: id, FullName: name, Access: access, CodeHash: org.Hash(code.Reveal())}))
	return code.Reveal()
}

// MachineKey makes a key.
func (d *Desk) MachineKey(purpose, source, app string) string {
	key := mint.New(mint.Key)
	must(d.SubmitOrg(context.Background(), "", desk.Caller{Principal: "person:lena", Access: incident.Owner},
		org.IssueKey{KeyID: key.ID, KeyHash: org.Hash(key.Reveal()), Purpose: purpose, Source: source, App: app}))
	return key.Reveal()
}

// Asked is every request Submit got, in order.
func (d *Desk) Asked() []desk.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]desk.Request(nil), d.asked...)
}

// SecretSize is how many bytes the named secret had, or 0.
func (d *Desk) SecretSize(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.secrets[name]
}

// Seen is what instances said, as "KEY INSTANCE VERSION".
func (d *Desk) Seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.seen...)
}

func (d *Desk) Submit(_ context.Context, r desk.Request) (desk.Outcome, error) {
	d.mu.Lock()
	d.asked = append(d.asked, r)
	answer := d.Answer
	d.mu.Unlock()
	if d.States[r.Incident] == nil {
		return desk.Outcome{}, fmt.Errorf("there is no incident %q: %w", r.Incident, desk.ErrNotFound)
	}
	if answer != nil {
		return answer(r)
	}
	return desk.Outcome{Incident: r.Incident, Version: 7, Reason: "recorded", Facts: []desk.FactRef{{ID: "01J0FACT", Kind: "note.added", Recorded: d.Now}}}, nil
}

// Foresee scripts a plan of one sentence; what Answer refuses is refused here too.
func (d *Desk) Foresee(_ context.Context, r desk.Request) (desk.Foreseen, error) {
	if d.States[r.Incident] == nil {
		return desk.Foreseen{}, fmt.Errorf("there is no incident %q: %w", r.Incident, desk.ErrNotFound)
	}
	if d.Answer != nil {
		if _, err := d.Answer(r); err != nil {
			return desk.Foreseen{}, err
		}
	}
	return desk.Foreseen{Reason: "recorded", Says: []string{"The deadline of tell merchants moves from Tue 24 Nov 2026 20:19 CET to Tue 24 Nov 2026 20:02 CET"}}, nil
}

// Meanwhile gives Others to whoever looked at an older version than that of the state.
func (d *Desk) Meanwhile(_ context.Context, inc string, version int, _ desk.Caller) ([]incident.Line, error) {
	if s := d.States[inc]; s != nil && version < s.Version {
		return d.Others, nil
	}
	return nil, nil
}

func (d *Desk) Attach(_ context.Context, id string, by desk.Caller, inc, name, note string, body io.Reader) (desk.Outcome, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return desk.Outcome{}, err
	}
	return d.Submit(context.Background(), desk.Request{ID: id, Incident: inc, Caller: by, Command: incident.Attach{File: name, Note: note, Bytes: int64(len(raw))}})
}

func (d *Desk) Attachment(_ context.Context, inc, id string) (incident.Attachment, []byte, error) {
	if s := d.States[inc]; s != nil {
		for _, a := range s.Attachments {
			if a.ID == id {
				return a, []byte("<script>alert(1)</script>"), nil
			}
		}
	}
	return incident.Attachment{}, nil, desk.ErrNotFound
}

// WatchIncidents and WatchIncident receive at every Moved.
func (d *Desk) WatchIncidents(ctx context.Context) <-chan struct{} { return d.watch(ctx) }

func (d *Desk) WatchIncident(ctx context.Context, _ string) <-chan struct{} { return d.watch(ctx) }

func (d *Desk) watch(ctx context.Context) <-chan struct{} {
	ch := make(chan struct{}, 1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watching == nil {
		d.watching = map[chan struct{}]bool{}
	}
	d.watching[ch] = true
	context.AfterFunc(ctx, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watching, ch)
	})
	return ch
}

// Moved changes an incident, for whoever watches.
func (d *Desk) Moved(id string, change func(*incident.State)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := *d.States[id]
	s.Version++
	change(&s)
	d.States[id] = &s
	for ch := range d.watching {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Merge keeps the request, and scripts a plan.
func (d *Desk) Merge(ctx context.Context, id string, by desk.Caller, ask desk.MergeAsk) (desk.Outcome, error) {
	if d.States[ask.From] == nil {
		return desk.Outcome{}, fmt.Errorf("there is no incident %q: %w", ask.From, desk.ErrNotFound)
	}
	if ask.Dry {
		return desk.Outcome{Incident: ask.Into, DryRun: true, Plan: []string{ask.From + " ends as a part of " + ask.Into, "The clock of contain is carried from " + ask.From}}, nil
	}
	return d.Submit(ctx, desk.Request{ID: id, Incident: ask.Into, Caller: by, Command: incident.Merge{From: ask.From, Reason: ask.Reason}})
}

// Split keeps the request, and scripts a plan.
func (d *Desk) Split(ctx context.Context, id string, by desk.Caller, ask desk.SplitAsk) (desk.Outcome, error) {
	if ask.Dry {
		return desk.Outcome{Incident: ask.Of, DryRun: true, Plan: []string{"A new incident opens with 1 signal", ask.Of + " keeps its clocks"}}, nil
	}
	return d.Submit(ctx, desk.Request{ID: id, Incident: ask.Of, Caller: by, Command: incident.SplitOff{Into: "INC-9", Signals: ask.Signals, Reason: ask.Reason}})
}

func (d *Desk) LinkSignal(_ context.Context, id string, by desk.Caller, inc, signal, from, reason string) (desk.Outcome, error) {
	return d.Submit(context.Background(), desk.Request{ID: id, Incident: inc, Caller: by, Command: incident.AddSignal{Signal: incident.Signal{ID: signal, Sentence: reason}, Of: from}})
}

func (d *Desk) OpenIncident(_ context.Context, id string, by desk.Caller, open incident.Open) (desk.Outcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, desk.Request{ID: id, Command: open, Caller: by})
	return desk.Outcome{Incident: "INC-9", Version: 1, Reason: "opened", Facts: []desk.FactRef{{ID: "01J0OPEN", Kind: "incident.opened", Recorded: d.Now}}}, nil
}

func (d *Desk) Board(context.Context) ([]desk.BoardRow, error) { return d.Rows, nil }

// Signal keeps what was reported as a request to no incident.
func (d *Desk) Signal(_ context.Context, sig incident.Signal) (desk.Outcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, desk.Request{ID: sig.ID, Command: incident.AddSignal{Signal: sig}})
	return desk.Outcome{Incident: "INC-9", Version: 1, Reason: "opened"}, nil
}

func (d *Desk) OpenBoard(_ context.Context, skip, limit int) (desk.BoardPage, error) {
	var page desk.BoardPage
	for _, r := range d.Rows {
		if r.Status != incident.StatusOpen {
			continue
		}
		page.Open++
		page.Missed += r.Missed
		page.People += r.People
		if r.Next != nil {
			page.Running += 1 + r.MoreClocks
		}
		if page.Open > skip && len(page.Rows) < limit {
			page.Rows = append(page.Rows, r)
		}
	}
	return page, nil
}

func (d *Desk) SettledBoard(_ context.Context, skip, limit int) ([]desk.BoardRow, bool, error) {
	rows := slices.DeleteFunc(slices.Clone(d.Rows), func(r desk.BoardRow) bool { return r.Status == incident.StatusOpen })
	rows = rows[min(skip, len(rows)):]
	return rows[:min(limit, len(rows))], len(rows) > limit, nil
}

func (d *Desk) MerchantNames(_ context.Context, ids []string) (map[string]string, error) {
	names := map[string]string{}
	for _, m := range d.Known {
		if slices.Contains(ids, m.ID) {
			names[m.ID] = m.Name
		}
	}
	return names, nil
}

// Newest gives the lines from their end; the From of a line is its id.
func (d *Desk) Newest(_ context.Context, id, from string, limit int, sources []string) (lines []desk.LogLine, next string, err error) {
	skip := from != ""
	for _, l := range slices.Backward(d.Lines[id]) {
		if skip && l.ID != from || len(sources) > 0 && !slices.Contains(sources, l.Source) {
			continue
		}
		skip = false
		if len(lines) == limit {
			return lines, l.ID, nil
		}
		lines = append(lines, desk.LogLine{TimelineLine: l, Count: 1, From: l.ID})
	}
	return lines, "", nil
}

func (d *Desk) Incident(_ context.Context, id string) (*incident.State, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.States[id]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("there is no incident %q: %w", id, desk.ErrNotFound)
}

func (d *Desk) Clocks(_ context.Context, id string) ([]desk.ClockRow, error) {
	if id != "" {
		return d.Running[id], nil
	}
	var all []desk.ClockRow
	for _, r := range d.Rows {
		all = append(all, d.Running[r.ID]...)
	}
	return all, nil
}

// Programme is not there while the fake policy has not been published, which is when Yearly is nil.
// EveryClock lists the clocks of open incidents and of the programme.
// EveryNotice lists the notices of all incidents, by their ids.
func (d *Desk) EveryNotice(context.Context) (out []desk.NoticeRow, cut bool, err error) {
	for _, id := range slices.Sorted(maps.Keys(d.States)) {
		out = append(out, desk.NoticesOf(d.Program, d.States[id])...)
	}
	return out, false, nil
}

func (d *Desk) EveryClock(context.Context) (desk.ClockSheet, error) {
	var sheet desk.ClockSheet
	take := func(rows []desk.ClockRow) {
		for _, row := range rows {
			switch row.State {
			case incident.DutyNot:
				sheet.Excluded = append(sheet.Excluded, row)
				continue
			case incident.DutyAtRisk:
				sheet.AtRisk++
			case incident.DutyMissed:
				sheet.Missed++
			case incident.DutyMet, incident.DutyMetLate, incident.DutyWaived, incident.DutyStopped, incident.DutyWaiting:
				continue
			}
			sheet.Running++
			sheet.Clocks = append(sheet.Clocks, row)
		}
	}
	take(d.Running[desk.OrgChain])
	for _, row := range d.Rows {
		if row.Status == incident.StatusOpen {
			sheet.People += row.People
			take(d.Running[row.ID])
		}
	}
	slices.SortStableFunc(sheet.Clocks, func(a, b desk.ClockRow) int {
		switch {
		case a.Due.IsZero() == b.Due.IsZero():
			return a.Due.Compare(b.Due)
		case a.Due.IsZero():
			return 1
		}
		return -1
	})
	return sheet, nil
}

func (d *Desk) Programme(context.Context) (*incident.State, error) {
	if d.Yearly == nil {
		return nil, desk.ErrNotFound
	}
	return d.Yearly, nil
}

func (d *Desk) ProgrammeClocks(context.Context) ([]desk.ClockRow, error) {
	return d.Running[desk.OrgChain], nil
}

func (d *Desk) SubmitProgramme(ctx context.Context, id string, by desk.Caller, c incident.Command) (desk.Outcome, error) {
	return d.Submit(ctx, desk.Request{ID: id, Incident: desk.OrgChain, Command: c, Caller: by})
}

func (d *Desk) Gates(_ context.Context, id string) ([]desk.GateRow, error) { return d.Shut[id], nil }

func (d *Desk) Outdated(s *incident.State) map[string][]string {
	return incident.OutdatedByDuty(d.Program, s)
}

func (d *Desk) Timeline(_ context.Context, id, after string, limit int, sources []string) ([]desk.TimelineLine, error) {
	var out []desk.TimelineLine
	skip := after != ""
	for _, l := range d.Lines[id] {
		if skip {
			skip = l.ID != after
			continue
		}
		if len(sources) > 0 && !strings.Contains(strings.Join(sources, ","), l.Source) {
			continue
		}
		if len(out) < limit {
			out = append(out, l)
		}
	}
	return out, nil
}

func (d *Desk) Plan(ctx context.Context, id string, by desk.Caller, inc, action string, target map[string]string, secret, reason string) (desk.Outcome, error) {
	return d.Submit(ctx, desk.Request{ID: id, Incident: inc, Caller: by, Command: incident.PlanAction{Action: action, Target: target, Secret: secret, Reason: reason,
		Steps: []string{"revoke the token"}, Blast: "stops sync", Undo: "issue a new token"}})
}

func (d *Desk) Snapshot(ctx context.Context, id string, by desk.Caller, inc string) (desk.Outcome, error) {
	return d.Submit(ctx, desk.Request{ID: id, Incident: inc, Caller: by, Command: incident.Snapshot{Log: "javabeanai/events", Size: 3}})
}

// Backtest answers with one finding that names the first rule it was given.
func (d *Desk) Backtest(_ context.Context, q desk.BacktestQuery) (desk.Backtest, error) {
	return desk.Backtest{Rules: len(q.Rules), Events: 900, Total: 1200, Problems: []string{},
		Found: []desk.BacktestFind{{Time: q.From, Rule: q.Rules[0].Name, Level: "high", Sentence: "found by " + q.Rules[0].Name}}}, nil
}

func (d *Desk) Preview(_ context.Context, inc, notice, party string) (desk.Letter, error) {
	if d.Letter.To == "" {
		return desk.Letter{}, fmt.Errorf("there is no notice %q: %w", notice, desk.ErrNotFound)
	}
	return d.Letter, nil
}

func (d *Desk) Export(ctx context.Context, id string, by desk.Caller, inc, recipient string) (string, error) {
	if d.ExportFile == "" {
		return "", desk.ErrUnavailable
	}
	return d.ExportFile, nil
}

func (d *Desk) Switches(context.Context) (int64, []desk.Switch, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.version, append([]desk.Switch(nil), d.switches...), nil
}

func (d *Desk) FlipSwitch(_ context.Context, id string, by desk.Caller, merchant, state, reason, inc string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.version++
	flipped := desk.Switch{Merchant: merchant, State: state, Reason: reason, Since: d.Now, Incident: inc}
	for i := range d.switches {
		if d.switches[i].Merchant == merchant {
			d.switches[i] = flipped
			flipped.Merchant = ""
		}
	}
	if flipped.Merchant != "" {
		d.switches = append(d.switches, flipped)
	}
	for _, w := range d.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return nil
}

func (d *Desk) SwitchSeen(_ context.Context, key, instance string, version int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, fmt.Sprintf("%s %s %d", key, instance, version))
	return nil
}

func (d *Desk) WatchSwitches(context.Context) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := make(chan struct{}, 1)
	d.watchers = append(d.watchers, w)
	return w
}

// Watchers counts the streams that wait for a flip.
func (d *Desk) Watchers() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.watchers)
}

func (d *Desk) ImportMerchants(_ context.Context, by desk.Caller, csv io.Reader) (int, []desk.Reject, error) {
	lines := bufio.NewScanner(csv)
	n := -1
	for lines.Scan() {
		n++
	}
	return max(n, 0), []desk.Reject{{Line: 3, Field: "email", Reason: "is not an address"}}, lines.Err()
}

func (d *Desk) Merchants(_ context.Context, after string, limit int) ([]ledger.Merchant, error) {
	var out []ledger.Merchant
	for _, m := range d.Known {
		if m.ID > after && len(out) < limit {
			out = append(out, m)
		}
	}
	return out, nil
}

func (d *Desk) PutSecret(_ context.Context, by desk.Caller, name string, value []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.secrets[name] = len(value)
	return nil
}
