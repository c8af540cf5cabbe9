package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/clock"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/probe"
)

var update = flag.Bool("update", false, "write docs/design/faults.md again")

// A fault is what goes wrong at one write.
type fault string

const (
	failed    fault = "fails"       // nothing happened, the process hears so and lives on
	lost      fault = "answer lost" // it happened, the process hears of an error and lives on
	diesFirst fault = "dies before" // the process ends before the write
	diesThen  fault = "dies after"  // the process ends when the write is durable
)

var allFaults = []fault{failed, lost, diesFirst, diesThen}

var (
	errFault = errors.New("the write failed")
	errDead  = errors.New("this process has died")
)

// steps counts the writes of a run, whatever they are written to, and lets one of them go wrong.
type steps struct {
	mu     sync.Mutex
	n      int
	at     int // the write that goes wrong; 0: none
	fault  fault
	dead   bool
	died   func()
	doing  string   // what the script is at
	writes []string // what each write was
}

// write does one write, unless it is the one that goes wrong. what is asked after the write.
func (s *steps) write(what func() string, do func() error) error {
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return errDead
	}
	s.n++
	doing, hit := s.doing, s.n == s.at
	s.mu.Unlock()
	var err error
	if !hit || s.fault == lost || s.fault == diesThen {
		err = do()
	}
	s.mu.Lock()
	s.writes = append(s.writes, fmt.Sprintf("%s | %s", doing, what()))
	s.mu.Unlock()
	if !hit || err != nil {
		return err
	}
	if s.fault == failed || s.fault == lost {
		return errFault
	}
	s.mu.Lock()
	s.dead = true
	s.mu.Unlock()
	s.died()
	return errDead
}

func (s *steps) isDead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// frailStore is a real store whose commits can go wrong. Its queue of jobs is in memory and dies
// with the process, which is the least a runner may promise; the script runs the jobs one by one,
// so that the order of all writes is the same each time.
type frailStore struct {
	ledger.Store
	steps *steps

	mu    sync.Mutex
	queue []ledger.Job
}

func (s *frailStore) Update(ctx context.Context, fn func(ledger.Tx) error) error {
	var tx *frailTx
	said := ""
	do := func() error {
		err := s.Store.Update(ctx, func(inner ledger.Tx) error {
			tx = &frailTx{Tx: inner}
			return fn(tx)
		})
		if err == nil {
			s.enqueue(tx.jobs)
		}
		return err
	}
	describe := func() string {
		if tx == nil {
			return said
		}
		return tx.String()
	}
	s.steps.mu.Lock()
	hit := s.steps.n+1 == s.steps.at && !s.steps.dead && (s.steps.fault == failed || s.steps.fault == diesFirst)
	s.steps.mu.Unlock()
	if hit {
		// The transaction runs up to its commit, so that what it did to caches is done.
		err := s.Store.Update(ctx, func(inner ledger.Tx) error {
			tx = &frailTx{Tx: inner}
			if err := fn(tx); err != nil {
				return err
			}
			return errFault
		})
		if !errors.Is(err, errFault) {
			return err // it would not have been committed anyhow
		}
	}
	return s.steps.write(describe, do)
}

func (s *frailStore) View(ctx context.Context, fn func(ledger.Reader) error) error {
	if s.steps.isDead() {
		return errDead
	}
	return s.Store.View(ctx, fn)
}

func (s *frailStore) enqueue(jobs []ledger.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range jobs {
		if !slices.ContainsFunc(s.queue, func(q ledger.Job) bool { return q.ID == j.ID }) {
			s.queue = append(s.queue, j)
		}
	}
}

func (s *frailStore) next() (j ledger.Job, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return j, false
	}
	j, s.queue = s.queue[0], s.queue[1:]
	return j, true
}

// frailTx notes what a transaction writes.
type frailTx struct {
	ledger.Tx
	jobs     []ledger.Job
	kinds    []string
	anchored int
	wakes    int
	memo     bool
}

func (t *frailTx) Append(chain string, expect int, records []ledger.Record) error {
	for _, r := range records {
		t.kinds = append(t.kinds, r.Kind)
	}
	return t.Tx.Append(chain, expect, records)
}

func (t *frailTx) Enqueue(j ledger.Job) error {
	t.jobs = append(t.jobs, j)
	return ledger.CheckJob(j)
}

func (t *frailTx) SetWake(chain string, c ledger.WakeClock, at time.Time) error {
	t.wakes++
	return t.Tx.SetWake(chain, c, at)
}

func (t *frailTx) Command(id string, outcome []byte, at time.Time) error {
	t.memo = true
	return t.Tx.Command(id, outcome, at)
}

func (t *frailTx) Anchored(seq, index int64) error {
	t.anchored++
	return t.Tx.Anchored(seq, index)
}

func (t *frailTx) String() string {
	var parts []string
	if len(t.kinds) > 0 {
		list := slices.Compact(slices.Sorted(slices.Values(t.kinds)))
		if len(list) > 3 {
			list = append(list[:2], fmt.Sprintf("%d more kinds", len(list)-2))
		}
		parts = append(parts, "facts: "+strings.Join(list, ", "))
	}
	if n := len(t.jobs); n > 0 {
		parts = append(parts, count(n, "job"))
	}
	if t.anchored > 0 {
		parts = append(parts, "indexes of anchored facts")
	}
	if len(parts) == 0 && t.wakes > 0 {
		parts = append(parts, "a wake-up")
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing")
	}
	return strings.Join(parts, "; ")
}

// The ports of the outside, each of whose effects is a write that can go wrong.

type frailLog struct {
	*memoryLog
	steps *steps
}

func (l *frailLog) AppendMany(ctx context.Context, data [][]byte) (index []uint64, err error) {
	err = l.steps.write(func() string { return "leaves of the facts log" }, func() (err error) {
		index, err = l.memoryLog.AppendMany(ctx, data)
		return err
	})
	return index, err
}

type frailPost struct {
	*post
	steps *steps
}

func (p *frailPost) Send(ctx context.Context, l notify.Letter) notify.Receipt {
	r := notify.Receipt{Outcome: incident.Deferred, Code: "connect", At: noon}
	err := p.steps.write(func() string { return "the letter" }, func() error {
		r = p.post.Send(ctx, l)
		return nil
	})
	if errors.Is(err, errFault) && p.steps.fault == lost && r.Outcome == incident.Done {
		r = notify.Receipt{Outcome: incident.Uncertain, Code: "timeout", At: noon}
	}
	return r
}

type frailApp struct {
	*app
	steps *steps
}

func (a *frailApp) Apply(ctx context.Context, t contain.Target, secret contain.Secret, id string) contain.Result {
	r := contain.Result{Outcome: incident.Deferred, Code: "connect", At: noon}
	err := a.steps.write(func() string { return "the revocation" }, func() error {
		r = a.app.Apply(ctx, t, secret, id)
		return nil
	})
	if errors.Is(err, errFault) && a.steps.fault == lost {
		r = contain.Result{Outcome: incident.Uncertain, Code: "timeout", At: noon}
	}
	return r
}

func (a *frailApp) Confirm(ctx context.Context, t contain.Target, secret contain.Secret) contain.Result {
	r := contain.Result{Outcome: incident.Deferred, Code: "connect", At: noon}
	err := a.steps.write(func() string { return "the probe" }, func() error {
		r = a.app.Confirm(ctx, t, secret)
		return nil
	})
	if errors.Is(err, errFault) && a.steps.fault == lost {
		r = contain.Result{Outcome: incident.Deferred, Code: "timeout", At: noon}
	}
	return r
}

type frailCheck struct{ steps *steps }

func (c frailCheck) Run(ctx context.Context) probe.Result {
	r := probe.Result{Code: "connect", Observed: "it gave no answer", At: noon}
	err := c.steps.write(func() string { return "the check" }, func() error {
		r = passes{}.Run(ctx)
		return nil
	})
	if err != nil {
		r.Passed = false
	}
	return r
}

// night is one run of the scripted incident over processes that may die.
type night struct {
	t     *testing.T
	g     *ground
	steps *steps
	dir   string
	file  string // of the database of the process that lives
	lives int

	clock *clock.Drill
	facts *memoryLog
	post  *post
	app   *app

	store    *frailStore
	desk     *Desk
	anchorer *ledger.Anchorer
	life     context.Context
	end      context.CancelFunc

	acked  map[string]string // hashes of facts that a caller was told of, by id
	before []ledger.Record   // what was in the database when the process died
}

func newNight(t *testing.T, at int, f fault) *night {
	g := theGround(t)
	n := &night{t: t, g: g, dir: quickDir(t), clock: clock.NewDrill(noon), facts: &memoryLog{signer: g.signer}, post: &post{}, app: &app{}, acked: map[string]string{}}
	n.steps = &steps{fault: f, died: func() { n.end() }}
	n.file = filepath.Join(n.dir, "0", "tocsin.db")
	n.fail(os.MkdirAll(filepath.Dir(n.file), 0o700))
	copyFile(t, g.blank, n.file)
	n.boot()
	// The directory and the organisation are there before the night begins.
	n.fail(n.store.Store.Update(context.Background(), func(tx ledger.Tx) error { return tx.PutMerchants(merchants) }))
	_, err := n.desk.Found(context.Background())
	n.fail(err)
	// One of those who lead can be called by mail; the owner has no address.
	_, err = n.desk.SubmitOrg(context.Background(), "", boss, org.Invite{Person: "lena", FullName: "Lena", Access: incident.Responder, Roles: []string{"lead"}, Email: "lena@staff.example", CodeHash: org.Hash("code")})
	n.fail(err)
	_, err = n.desk.SubmitOrg(context.Background(), "", Caller{Principal: "service:join", Access: incident.Service}, org.Join{CodeHash: org.Hash("code"), TokenID: "tok-1", TokenHash: org.Hash("token")})
	n.fail(err)
	n.steps.n, n.steps.writes = 0, nil
	n.steps.at = at
	return n
}

func (n *night) fail(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatalf("write %d %s: %v", n.steps.at, n.steps.fault, err)
	}
}

// boot starts a process: a new desk over the database file, reconciled.
func (n *night) boot() {
	n.t.Helper()
	real, err := sqlite.Open(n.file, sqlite.Options{StopGrace: time.Second})
	n.fail(err)
	n.store = &frailStore{Store: real, steps: n.steps}
	n.life, n.end = context.WithCancel(context.Background())
	o := n.g.options(n.store, n.clock, n.facts, &frailPost{n.post, n.steps}, &frailApp{n.app, n.steps}, frailCheck{n.steps})
	o.Exports = filepath.Join(n.dir, "exports")
	n.anchorer = ledger.NewAnchorer(n.store, &frailLog{n.facts, n.steps})
	o.Anchor = n.anchorer.Pass
	n.desk, err = New(o)
	n.fail(err)
	n.desk.life = n.life
	n.desk.again.first = time.Millisecond
	real.Listen(n.desk.committed)
	n.fail(n.desk.reconcile(n.life))
}

// restart leaves the dead process as it is and starts another on a copy of what the disk held.
func (n *night) restart() {
	n.t.Helper()
	if n.lives++; n.lives > 1 {
		n.t.Fatalf("write %d %s: the process died twice", n.steps.at, n.steps.fault)
	}
	next := filepath.Join(n.dir, fmt.Sprint(n.lives), "tocsin.db")
	n.fail(os.MkdirAll(filepath.Dir(next), 0o700))
	for _, suffix := range []string{"", "-wal"} {
		copyFile(n.t, n.file+suffix, next+suffix)
	}
	n.fail(n.store.Close())
	n.file = next
	n.steps.mu.Lock()
	n.steps.dead = false // the count goes on, so nothing goes wrong a second time
	n.steps.mu.Unlock()
	n.boot()
	n.before = recordsOf(n.t, n.store.Store, "INC-1")
}

// act gives one command until it was answered, as a client does: with the same key.
func (n *night) act(doing string, do func(key string) (Outcome, error)) {
	n.t.Helper()
	n.steps.doing = doing
	n.clock.Set(n.clock.Now().Add(time.Minute))
	for {
		out, err := do("key " + doing)
		switch {
		case err == nil:
			for _, f := range out.Facts {
				n.acked[f.ID] = f.Hash
			}
			n.settle(doing)
			return
		case errors.Is(err, errDead):
			n.restart()
		case errors.Is(err, errFault):
		default:
			n.fail(fmt.Errorf("%s: %w", doing, err))
		}
	}
}

func (n *night) give(doing string, who Caller, c incident.Command) {
	n.t.Helper()
	n.act(doing, func(key string) (Outcome, error) {
		return n.desk.Submit(n.life, Request{ID: key, Incident: "INC-1", Command: c, Caller: who})
	})
}

// settle lets the desk's own workers and loops do what there is to do, one thing at a time.
func (n *night) settle(doing string) {
	n.t.Helper()
	for range 1000 {
		busy, err := n.settleOne(doing)
		switch {
		case n.steps.isDead():
			n.restart()
		case err != nil && !errors.Is(err, errFault):
			n.fail(fmt.Errorf("after %s: %w", doing, err))
		case err == nil && !busy:
			return
		}
	}
	n.t.Fatalf("write %d %s: the desk never becomes quiet after %s", n.steps.at, n.steps.fault, doing)
}

func (n *night) settleOne(doing string) (busy bool, err error) {
	if job, ok := n.store.next(); ok {
		n.steps.doing = "worker: " + job.ID
		if n.desk.work(n.life, job) != nil {
			n.desk.failed(job) // the runner drops it; the desk has to come back to it
		}
		return true, nil
	}
	if anchorAfter[doing] {
		n.steps.doing = "anchoring after " + doing
		if anchored, err := n.anchorer.Pass(n.life); err != nil || anchored > 0 {
			return true, err
		}
	}
	n.steps.doing = "clocks after " + doing
	next, ok, err := n.desk.nextWake(n.life, ledger.Domain)
	if err != nil {
		return true, err
	}
	if ok && !next.After(n.clock.Now()) {
		return true, n.desk.tickDue(n.life)
	}
	n.steps.doing = "retries after " + doing
	next, ok, err = n.desk.nextWake(n.life, ledger.Protocol)
	if err != nil {
		return true, err
	}
	if at, failed := n.desk.again.next(); failed && (!ok || at.Before(next)) {
		next, ok = at, true
	}
	if ok {
		time.Sleep(time.Until(next)) // a retry is on the machine's clock, a few milliseconds off
		return true, n.desk.queueDue(n.life)
	}
	return false, nil
}

// anchorAfter are the steps of the script after which the facts log catches up. It does so after
// every commit in production; here each pass is two writes more that may go wrong.
var anchorAfter = map[string]bool{"signal": true, "approve": true, "send tell_merchants": true, "restore": true, "close": true}

// quickDir is a folder in memory where there is one: processes die here, and no machine loses its
// power, so nothing is learned from waiting for a disk.
func quickDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "desk-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// content is what every notice says.
var content = map[string]string{
	"what_happened": "A token was stolen.", "data_involved": "E-mail addresses.", "our_measures": "We revoked it.", "your_actions": "Nothing.",
}

// play is the incident, from the first signal to the end.
func (n *night) play() {
	n.act("signal", func(string) (Outcome, error) { return n.desk.Signal(n.life, alarm) })
	n.give("acknowledge", lena, incident.Acknowledge{})
	n.give("confirm", lena, incident.Confirm{Reason: "seen in the log"})
	n.act("scope", func(key string) (Outcome, error) {
		out, _, err := n.desk.RecordScope(n.life, key, nadia, "INC-1", stolen, "the stolen token")
		return out, err
	})
	for _, fact := range []string{"personal_data", "shopify_data"} {
		n.give("answer "+fact, lena, incident.Answer{Fact: fact, Value: true, Reason: "the scope shows it"})
	}
	n.act("switch off", func(key string) (Outcome, error) {
		return Outcome{}, n.desk.FlipSwitch(n.life, key, lena, "m_1", "off", "to be safe", "INC-1")
	})
	n.act("plan", func(key string) (Outcome, error) {
		return n.desk.Plan(n.life, key, nadia, "INC-1", "revoke_token", map[string]string{"credential": "tok_9f"}, "", "it was stolen")
	})
	n.give("approve", lena, incident.ApproveAction{Action: "ACT-1"})
	n.clock.Set(n.clock.Now().Add(73 * time.Hour)) // a limit passes, and people are called
	n.settle("73 hours")
	for i, duty := range []string{"tell_merchants", "tell_platform"} {
		notice := fmt.Sprintf("NTC-%d", i+1)
		n.give("draft "+duty, mark, incident.DraftNotice{Duty: duty, Subject: "A security incident", Content: content})
		n.give("approve "+duty, lena, incident.ApproveNotice{Notice: notice, Attest: true})
		n.give("send "+duty, mark, incident.SendNotice{Notice: notice})
	}
	// A person decides what the machine may not: mails that were uncertain twice.
	for _, d := range n.unsettled() {
		n.give("resend "+d.recipient, mark, incident.ResendNotice{Notice: d.notice, Party: d.recipient, Reason: "no answer twice"})
	}
	n.act("restore too early", func(key string) (Outcome, error) {
		out, err := n.desk.Submit(n.life, Request{ID: key, Incident: "INC-1", Command: incident.RestoreService{Reason: "in a hurry"}, Caller: lena})
		var refused *incident.Refusal
		if errors.As(err, &refused) && refused.Reason == incident.RefusedGate {
			return out, nil
		}
		return out, err
	})
	n.give("fix", nadia, incident.RecordFix{What: "tokens are bound to an address"})
	n.give("verify", lena, incident.VerifyFix{How: "tried the attack again"})
	for i := 1; i == 1 || n.checksFailed(); i++ {
		n.give(fmt.Sprint("check ", i), nadia, incident.RunChecks{})
	}
	n.give("restore", lena, incident.RestoreService{Reason: "it is fixed"})
	n.give("assess", lena, incident.Assess{Vector: "a stolen token", RootCause: "it was in a log", Risk: "low"})
	for _, part := range n.g.program.Review {
		n.give("review "+part, lena, incident.EditReview{Part: part, Text: "text about " + part})
	}
	n.give("publish", lena, incident.PublishReview{})
	n.act("export", func(key string) (Outcome, error) {
		_, err := n.desk.Export(n.life, key, boss, "INC-1", "the authority")
		return Outcome{}, err
	})
	n.give("close", lena, incident.Close{Reason: "done"})
}

func (n *night) state() *incident.State {
	n.t.Helper()
	s, err := n.desk.Incident(n.life, "INC-1")
	n.fail(err)
	return s
}

type unsettled struct{ notice, recipient string }

func (n *night) unsettled() (list []unsettled) {
	for _, notice := range n.state().Notices {
		for _, r := range slices.Sorted(maps.Keys(notice.Deliveries)) {
			if notice.Deliveries[r].State == incident.DeliveryUncertain {
				list = append(list, unsettled{notice.ID, r})
			}
		}
	}
	return list
}

func (n *night) checksFailed() bool {
	for _, c := range n.state().Checks {
		if c.State != incident.CheckPassed {
			return true
		}
	}
	return false
}

// outcome is what is left of a state without ids, times, counts of attempts and codes.
func outcome(s *incident.State, orgSwitches string) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("status %s, class %s, severity %s, %d signals", s.Status, s.Class, s.Severity, len(s.Signals))
	for _, name := range slices.Sorted(maps.Keys(s.Milestones)) {
		say("milestone %s", name)
	}
	for _, v := range s.Scopes {
		say("scope %d: %s", v.N, v.Digest)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Duties)) {
		d := s.Duties[key]
		say("duty %s: %s, missed %v", key, d.State, !d.Missed.IsZero())
	}
	for _, a := range s.Actions {
		say("action %s: %s", a.Decl, a.State)
	}
	for _, notice := range s.Notices {
		say("notice %s: %s", notice.Duty, notice.State)
		for _, r := range slices.Sorted(maps.Keys(notice.Deliveries)) {
			say("delivery to %s: %s at address %d", r, notice.Deliveries[r].State, notice.Deliveries[r].Address)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Checks)) {
		say("check %s: %s", id, s.Checks[id].State)
	}
	for _, id := range slices.Sorted(maps.Keys(s.Pages)) {
		say("page %s: %s", id, s.Pages[id].State)
	}
	for _, r := range s.Refusals {
		say("refused %s: %s", r.Command, r.Reason)
	}
	say("fix by %s, proved by %s", s.Fix.By, s.FixProof.By)
	say("review of %d parts published by %s", len(s.Review.Parts), s.Review.PublishedBy)
	say("%d exports", len(s.Exports))
	say("%s", orgSwitches)
	return b.String()
}

func (n *night) outcome() string {
	n.t.Helper()
	org, err := n.desk.Org(n.life)
	n.fail(err)
	switches := ""
	for _, key := range slices.Sorted(maps.Keys(org.Switches)) {
		switches += fmt.Sprintf("switch %s %s; ", key, org.Switches[key].State)
	}
	return outcome(n.state(), switches)
}

// verdict checks what has to hold after any fault, and says in a few words how the run differed
// from the undisturbed one.
func (n *night) verdict(undisturbed string) string {
	n.t.Helper()
	where := fmt.Sprintf("write %d %s", n.steps.at, n.steps.fault)
	if got := n.outcome(); undisturbed != "" && got != undisturbed {
		n.t.Errorf("%s: the outcome differs\n%s", where, diff(undisturbed, got))
	}
	records := recordsOf(n.t, n.store.Store, "INC-1")
	if err := ledger.VerifyChain(records); err != nil {
		n.t.Errorf("%s: %v", where, err)
	}
	hashes, unsure := map[string]string{}, map[string]bool{}
	unsureApply, uncertain := false, 0
	for _, r := range records {
		hashes[r.ID] = ledger.HashText(r.Hash)
		f, err := ledger.Open(r, n.g.keys)
		n.fail(err)
		switch f.Kind {
		case incident.KindNoticeUncertain:
			uncertain++
			var b incident.DeliveryBody
			n.fail(json.Unmarshal(f.Body, &b))
			unsure[b.Party] = true
			for _, p := range f.Parts {
				unsure[p.Merchant] = true
			}
		case incident.KindActionUncertain:
			uncertain++
			unsureApply = true
		case incident.KindCheckUncertain, incident.KindPageUncertain:
			uncertain++
		}
	}
	for id, hash := range n.acked {
		if hashes[id] != hash {
			n.t.Errorf("%s: fact %s was acknowledged and is not there as it was", where, id)
		}
	}
	for i, r := range n.before {
		if !bytes.Equal(r.Header, records[i].Header) || !bytes.Equal(r.Hash, records[i].Hash) {
			n.t.Errorf("%s: fact %d was durable when the process died and has changed", where, i+1)
		}
	}
	twice := 0
	letters := n.post.letters()
	for _, party := range []string{"m_1", "m_2", "m_3", "m_4", "m_5", "shopify"} {
		switch count := letters[party]; {
		case count == 0:
			n.t.Errorf("%s: the letter to %s was lost", where, party)
		case count > 1 && !unsure[party]:
			n.t.Errorf("%s: %s got %d letters and none is listed as uncertain", where, party, count)
		case count > 1 && party != "m_4":
			twice++
		}
	}
	for _, l := range n.post.arrived {
		first := slices.IndexFunc(n.post.arrived, func(x notify.Letter) bool { return x.Recipient == l.Recipient })
		if n.post.arrived[first].MessageID != l.MessageID {
			n.t.Errorf("%s: %s got letters with different Message-IDs", where, l.Recipient)
		}
	}
	if !n.app.revoked || n.app.applied > 1 && !unsureApply {
		n.t.Errorf("%s: the token was revoked %d times", where, n.app.applied)
	}
	n.anchoredOnce(where)
	if n.steps.at == 0 && n.steps.fault == "" {
		return ""
	}
	words := []string{"the same"}
	if uncertain > 1 { // one mail of every run is uncertain
		words = append(words, fmt.Sprintf("%d more listed uncertain", uncertain-1))
	}
	if twice > 0 {
		words = append(words, "that letter arrived twice")
	}
	if n.app.applied > 1 {
		words = append(words, "revoked twice, which is harmless")
	}
	return strings.Join(words, ", ")
}

// anchoredOnce checks that every fact of every chain is in the facts log once, where it says.
func (n *night) anchoredOnce(where string) {
	n.t.Helper()
	var all []ledger.Record
	n.fail(n.store.Store.View(n.life, func(r ledger.Reader) (err error) {
		all, err = r.RecordsSince(0, 0)
		return err
	}))
	if len(all) != len(n.facts.leaves) {
		n.t.Errorf("%s: %d facts and %d leaves", where, len(all), len(n.facts.leaves))
	}
	for _, r := range all {
		if r.Anchor < 0 || int(r.Anchor) >= len(n.facts.leaves) || !bytes.Equal(n.facts.leaves[r.Anchor], ledger.LeafData(r.ID, r.Hash)) {
			n.t.Errorf("%s: fact %s is not in the facts log at %d", where, r.ID, r.Anchor)
		}
	}
}

func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for _, l := range w {
		if !slices.Contains(g, l) {
			b.WriteString("- " + l + "\n")
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) {
			b.WriteString("+ " + l + "\n")
		}
	}
	return b.String()
}

// result is what a run came to.
type result struct {
	writes  []string
	outcome string
	verdict string
}

func run(t *testing.T, at int, f fault, undisturbed string) result {
	t.Helper()
	n := newNight(t, at, f)
	defer func() {
		n.end()
		n.store.Close()
	}()
	n.play()
	return result{n.steps.writes, n.outcome(), n.verdict(undisturbed)}
}

// Every write of an incident goes wrong in every way, and the incident ends the same.
//
// promise: INV-3
func TestEveryWriteMayFailOrBeTheLast(t *testing.T) {
	base := run(t, 0, "", "")
	every := 1
	switch {
	case raceEnabled:
		every = 25
	case testing.Short():
		every = 9
	}
	if *update {
		every = 1
	}
	table := make([]map[fault]string, len(base.writes)+1)
	var mu sync.Mutex
	t.Run("at", func(t *testing.T) {
		for at := 1; at <= len(base.writes); at++ {
			table[at] = map[fault]string{}
			for i, f := range allFaults {
				if (at*len(allFaults)+i)%every != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%d %s", at, f), func(t *testing.T) {
					t.Parallel()
					r := run(t, at, f, base.outcome)
					if len(r.writes) < at || r.writes[at-1] != base.writes[at-1] {
						t.Errorf("write %d is not the same write as in the undisturbed run: %q", at, r.writes[min(at, len(r.writes))-1])
					}
					mu.Lock()
					defer mu.Unlock()
					table[at][f] = r.verdict
				})
			}
		}
	})
	if t.Failed() {
		return
	}
	const golden = "../../docs/design/faults.md"
	if *update {
		if err := os.WriteFile(golden, []byte(faultsPage(base.writes, table)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	page, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(page), "\n")
	for at := 1; at < len(table); at++ {
		row := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, fmt.Sprintf("| %d | ", at)) })
		if row < 0 {
			t.Fatalf("%s has no row for write %d: make it again with -update", golden, at)
		}
		cells := strings.Split(lines[row], " | ")
		if got := strings.Join(cells[1:3], " | "); got != base.writes[at-1] {
			t.Errorf("%s: write %d is %q and is now %q: make it again with -update", golden, at, got, base.writes[at-1])
		}
		for i, f := range allFaults {
			want := strings.TrimSuffix(cells[3+i], " |")
			if got, ran := table[at][f]; ran && got != want {
				t.Errorf("%s: write %d, %s: it says %q and is now %q: make it again with -update", golden, at, f, want, got)
			}
		}
	}
}

func faultsPage(writes []string, table []map[fault]string) string {
	var b strings.Builder
	b.WriteString(faultsIntro)
	b.WriteString("| # | what goes on | the write |")
	for _, f := range allFaults {
		b.WriteString(" " + string(f) + " |")
	}
	b.WriteString("\n|---|---|---|" + strings.Repeat("---|", len(allFaults)) + "\n")
	for at := 1; at < len(table); at++ {
		fmt.Fprintf(&b, "| %d | %s |", at, writes[at-1])
		for _, f := range allFaults {
			b.WriteString(" " + table[at][f] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

const faultsIntro = `# What a fault does

This table is made by a test: go test ./internal/desk -run EveryWrite -update. An incident is played from its first signal to its end, and each write of it goes wrong in four ways: it **fails** (nothing happened, and the process lives on), its **answer is lost** (it happened, the process hears of an error and lives on), the process **dies before** it, or **dies after** it. A new process starts on the same file where one died, callers repeat what they were not answered, with the same key, and the incident goes on to its end.

After each run the test checks:

* the outcome is that of the undisturbed run: status, milestones, scope, duties with their misses, actions, deliveries, checks, pages, refusals, review, exports, switches, without ids, times and numbers of attempts;
* the chain verifies; every fact that a caller was told of is there under its hash; every fact that was durable when the process died is there byte for byte; every fact is in the facts log exactly once;
* no letter is lost; a letter that arrived twice is listed as uncertain and has the same Message-ID; the token is revoked, and asked for twice only after an uncertain attempt.

Jobs are kept in memory here and die with the process, which is less than a runner promises: what is owed follows from the facts alone. In the undisturbed run one mail is greylisted, one goes to a second address because the first is dead, and one is uncertain because the connection breaks when the letter is over; that one arrives twice in every run and is not counted here.

"The same" is the outcome of the undisturbed run. "Listed uncertain" counts attempts that the facts call uncertain beyond the one of every run: the process died, or the answer was lost, between an attempt and its result.

`
