package desk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/clock"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
)

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
	o.Exports, o.Attachments = filepath.Join(n.dir, "exports"), filepath.Join(n.dir, "attachments")
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
