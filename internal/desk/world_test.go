package desk

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/clock"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/notify/email"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/probe"
	"github.com/tocsin-ir/tocsin/scope"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

var (
	lena  = Caller{Principal: "person:lena", Name: "Lena", Access: incident.Responder, Roles: []string{"lead"}}
	mark  = Caller{Principal: "person:mark", Name: "Mark", Access: incident.Responder, Roles: []string{"comms"}}
	nadia = Caller{Principal: "person:nadia", Name: "Nadia", Access: incident.Responder, Roles: []string{"engineer"}}
	boss  = Caller{Principal: "person:boss", Name: "Boss", Access: incident.Owner}
	guest = Caller{Principal: "person:guest", Name: "Guest", Access: incident.Viewer}
)

// ground is what the tests of this package stand on and do not change: the keys, a policy, and an
// access log in which a stolen token has read the orders of five merchants.
type ground struct {
	dir       string
	keys      *keyring.Ring
	program   *policy.Program
	eventsLog *translog.Log
	events    *accesslog.Store
	signer    note.Signer
	verifiers []string
	blank     string // an empty, migrated database
}

var (
	groundOnce sync.Once
	groundIs   *ground
	groundErr  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if groundIs != nil {
		groundIs.events.Close()
		groundIs.eventsLog.Close()
		groundIs.keys.Close()
		os.RemoveAll(groundIs.dir)
	}
	os.Exit(code)
}

const factsOrigin, eventsOrigin = "javabeanai/facts", "javabeanai/events"

func theGround(t testing.TB) *ground {
	t.Helper()
	groundOnce.Do(func() { groundIs, groundErr = newGround() })
	if groundErr != nil {
		t.Fatal(groundErr)
	}
	return groundIs
}

func newGround() (g *ground, err error) {
	g = &ground{}
	if g.dir, err = os.MkdirTemp("", "desk-*"); err != nil {
		return nil, err
	}
	if g.keys, err = keyring.Open(filepath.Join(g.dir, "keys")); err != nil {
		return nil, err
	}
	file := "../../policies/pickandpack.yaml"
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p, diags := policy.Compile(file, src)
	if policy.HasErrors(diags) {
		return nil, errors.New(policy.Format(diags, src))
	}
	g.program = p
	for _, origin := range []string{factsOrigin, eventsOrigin} {
		_, vkey, err := g.keys.Verifier(origin)
		if err != nil {
			return nil, err
		}
		g.verifiers = append(g.verifiers, vkey)
	}
	if g.signer, err = g.keys.Signer(factsOrigin); err != nil {
		return nil, err
	}
	g.eventsLog, g.events, err = openEvents(g.dir, g.keys, noon)
	if err != nil {
		return nil, err
	}
	var lines strings.Builder
	for i := range 20 {
		fmt.Fprintf(&lines, `{"id":"e%d","time":%q,"actor":{"type":"service","id":"worker"},"credential":"tok_9f","action":"read","merchant":"m_%d","records":3,"data_types":["customer.email"],"subjects":[{"kind":"account","id":"c%d"}],"source":{"ip":"203.0.113.9","user_agent":"curl/8"}}`+"\n",
			i, noon.Add(time.Duration(i-60)*time.Minute).Format(time.RFC3339), i%5+1, i)
	}
	ctx := context.Background()
	if _, err := g.events.Ingest(ctx, accesslog.Source{Name: "app", App: "pickandpack"}, "b1", "auto", strings.NewReader(lines.String())); err != nil {
		return nil, err
	}
	if _, _, err := g.events.Sealed(ctx); err != nil {
		return nil, err
	}
	g.blank = filepath.Join(g.dir, "blank", "tocsin.db")
	if err := os.MkdirAll(filepath.Dir(g.blank), 0o700); err != nil {
		return nil, err
	}
	store, err := sqlite.Open(g.blank, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	return g, store.Close()
}

func openEvents(dir string, keys *keyring.Ring, now time.Time) (*translog.Log, *accesslog.Store, error) {
	signer, err := keys.Signer(eventsOrigin)
	if err != nil {
		return nil, nil, err
	}
	log, err := translog.Open(context.Background(), filepath.Join(dir, "log", "events"), signer, translog.Options{})
	if err != nil {
		return nil, nil, err
	}
	events, err := accesslog.Open(context.Background(), accesslog.Options{
		Dir: dir, Keys: keys, Log: log, Now: func() time.Time { return now }, Env: "production", FlushAge: 5 * time.Millisecond,
	})
	return log, events, err
}

// stolen is the scope of the attack.
var stolen = scope.Query{From: noon.Add(-2 * time.Hour), To: noon.Add(time.Hour), Any: []scope.Clause{{Credential: []string{"tok_9f"}}}}

// alarm is the signal the attack raises.
var alarm = incident.Signal{
	ID: "sig-1", Class: "unusual_volume", Subject: "credential:tok_9f", App: "pickandpack", At: noon, From: noon.Add(-time.Hour), To: noon,
	Sentence: "tok_9f read 60 records of 5 merchants in an hour",
}

// memoryLog is a facts log that survives the death of a desk: signed checkpoints over leaves.
type memoryLog struct {
	signer note.Signer

	mu     sync.Mutex
	leaves [][]byte
}

func (l *memoryLog) Origin() string { return l.signer.Name() }

func (l *memoryLog) AppendMany(_ context.Context, data [][]byte) ([]uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var index []uint64
	for _, d := range data {
		index = append(index, uint64(len(l.leaves)))
		l.leaves = append(l.leaves, slices.Clone(d))
	}
	return index, nil
}

func (l *memoryLog) Size(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.leaves)), nil
}

func (l *memoryLog) Leaves(_ context.Context, first, n uint64, fn func(uint64, []byte) error) error {
	l.mu.Lock()
	leaves := l.leaves[first : first+n]
	l.mu.Unlock()
	for i, leaf := range leaves {
		if err := fn(first+uint64(i), leaf); err != nil {
			return err
		}
	}
	return nil
}

func (l *memoryLog) LeafHashes(_ context.Context, size uint64) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list [][]byte
	for _, leaf := range l.leaves[:size] {
		list = append(list, leafHash(leaf))
	}
	return list, nil
}

func (l *memoryLog) Checkpoint(ctx context.Context) ([]byte, uint64, error) {
	size, _ := l.Size(ctx)
	return l.Await(ctx, size)
}

func (l *memoryLog) Await(ctx context.Context, _ uint64) ([]byte, uint64, error) {
	size, _ := l.Size(ctx)
	hashes, _ := l.LeafHashes(ctx, size)
	text := fmt.Sprintf("%s\n%d\n%s\n", l.Origin(), size, base64.StdEncoding.EncodeToString(rootOf(hashes)))
	signed, err := note.Sign(&note.Note{Text: text}, l.signer)
	return signed, size, err
}

func leafHash(leaf []byte) []byte {
	h := sha256.Sum256(append([]byte{0}, leaf...))
	return h[:]
}

// rootOf is the Merkle tree head of RFC 6962.
func rootOf(hashes [][]byte) []byte {
	switch len(hashes) {
	case 0:
		h := sha256.Sum256(nil)
		return h[:]
	case 1:
		return hashes[0]
	}
	k := 1
	for 2*k < len(hashes) {
		k *= 2
	}
	h := sha256.Sum256(slices.Concat([]byte{1}, rootOf(hashes[:k]), rootOf(hashes[k:])))
	return h[:]
}

// post is the world's mail: m_2 is greylisted once, the first address of m_3 is dead, and the
// connection to m_4's server breaks after the letter was taken. It remembers every letter that
// arrived.
type post struct {
	mu      sync.Mutex
	tried   map[string]int
	arrived []notify.Letter
}

func (p *post) Send(_ context.Context, l notify.Letter) notify.Receipt {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tried == nil {
		p.tried = map[string]int{}
	}
	p.tried[l.To]++
	at := noon.Add(time.Hour)
	switch {
	case l.To == "two@shop.example" && p.tried[l.To] == 1:
		return notify.Receipt{Outcome: incident.Deferred, Code: "450", Detail: "rcpt", At: at}
	case l.To == "dead@shop.example":
		return notify.Receipt{Outcome: incident.Failed, Code: "550", Detail: "rcpt", At: at}
	}
	p.arrived = append(p.arrived, l)
	if l.To == "four@shop.example" && p.tried[l.To] == 1 {
		return notify.Receipt{Outcome: incident.Uncertain, Code: "timeout", Detail: "data", At: at}
	}
	return notify.Receipt{Outcome: incident.Done, Code: "250", At: at}
}

// letters counts the letters that arrived, by recipient.
func (p *post) letters() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := map[string]int{}
	for _, l := range p.arrived {
		count[l.Recipient]++
	}
	return count
}

// app is the app whose token was stolen: a connector that revokes it, and a check that it serves.
type app struct {
	mu      sync.Mutex
	revoked bool
	applied int // how often a revocation took effect or was asked for again
}

func (a *app) Plan(_ context.Context, t contain.Target, _ contain.Secret) (contain.Plan, error) {
	return contain.Plan{Steps: []string{"revoke " + t["credential"]}, Blast: "the app signs in again", Undo: "it cannot be undone"}, nil
}

func (a *app) Apply(context.Context, contain.Target, contain.Secret, string) contain.Result {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revoked = true
	a.applied++
	return contain.Result{Outcome: incident.Done, Code: "http 200", Proof: "the endpoint answered HTTP 200", At: noon}
}

func (a *app) Confirm(context.Context, contain.Target, contain.Secret) contain.Result {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.revoked {
		return contain.Result{Outcome: incident.Failed, Code: "http 200", Proof: "the old token was accepted", At: noon}
	}
	return contain.Result{Outcome: incident.Done, Code: "http 401", Proof: "the old token was refused with HTTP 401", At: noon}
}

func (a *app) Undo(context.Context, contain.Target, string) contain.Result {
	return contain.Result{Outcome: incident.Failed, Code: "cannot_undo", At: noon}
}

type passes struct{}

func (passes) Run(context.Context) probe.Result {
	return probe.Result{Passed: true, Code: "http 200", Observed: "it answered HTTP 200", At: noon}
}

var merchants = []ledger.Merchant{
	{ID: "m_1", Name: "One", Emails: []string{"one@shop.example"}},
	{ID: "m_2", Name: "Two", Emails: []string{"two@shop.example"}},
	{ID: "m_3", Name: "Three", Emails: []string{"dead@shop.example", "three@shop.example"}},
	{ID: "m_4", Name: "Four", Emails: []string{"four@shop.example"}},
	{ID: "m_5", Name: "Five", Emails: []string{"five@shop.example"}},
}

// memoryVault keeps secrets for a test.
type memoryVault struct {
	mu sync.Mutex
	of map[string]contain.Secret
}

func (v *memoryVault) Get(name string) (contain.Secret, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.of[name]
	if !ok {
		return s, contain.ErrNoSecret
	}
	return s, nil
}

func (v *memoryVault) Put(name string, s contain.Secret) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.of == nil {
		v.of = map[string]contain.Secret{}
	}
	v.of[name] = s
	return nil
}

func (v *memoryVault) Delete(name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.of, name)
	return nil
}

// options are those of a desk on this ground; store and what is outside may be changed.
func (g *ground) options(store ledger.Store, c Clock, facts *memoryLog, mail notify.Sender, service contain.Connector, check Check) Options {
	return Options{
		Store: store, Keys: g.keys, Clock: c, Events: g.events, EventLog: g.eventsLog, FactLog: facts,
		Logs: Logs{Facts: facts, Events: g.eventsLog}, Disclosed: g.events, Signer: g.signer,
		Scope: func(ctx context.Context, q scope.Query, o scope.Options) (scope.Result, error) {
			return scope.Compute(ctx, g.events, q, o)
		},
		Programs: []*policy.Program{g.program}, Connectors: map[string]contain.Connector{"app_tokens": service},
		Switches: map[string]bool{"shop_switch": true},
		Checks:   map[string]Check{"orders_api": check, "old_token_refused": check, "old_secret_refused": check},
		Mail:     mail, Digest: email.Digest, MailRetry: []time.Duration{time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond, 8 * time.Millisecond},
		Vault: &memoryVault{}, From: "PickAndPack Security <security@javabeanai.example>", PublicURL: "https://tocsin.example",
		Installation: "inst", Org: "javabeanai", OrgName: "PickAndPack", Env: "production", Apps: []string{"pickandpack"},
		Verifiers: g.verifiers, Mailers: 4,
	}
}

// site is a desk that runs: real loops, real job runner.
type site struct {
	*Desk
	t     *testing.T
	g     *ground
	clock *clock.Drill
	facts *memoryLog
	mail  *post
	app   *app
	vault *memoryVault
	store *sqlite.Store
	dir   string
}

// newSite makes a desk with five merchants that has not started. change may be nil.
func newSite(t *testing.T, change func(*Options)) *site {
	t.Helper()
	g := theGround(t)
	s := &site{t: t, g: g, clock: clock.NewDrill(noon), facts: &memoryLog{signer: g.signer}, mail: &post{}, app: &app{}, dir: t.TempDir()}
	path := filepath.Join(s.dir, "tocsin.db")
	copyFile(t, g.blank, path)
	var err error
	if s.store, err = sqlite.Open(path, sqlite.Options{StopGrace: time.Second}); err != nil {
		t.Fatal(err)
	}
	o := g.options(s.store, s.clock, s.facts, s.mail, s.app, passes{})
	o.Exports, o.Attachments = filepath.Join(s.dir, "exports"), filepath.Join(s.dir, "attachments")
	o.Anchor = ledger.NewAnchorer(s.store, s.facts).Pass
	o.Events, o.EventLog = nil, g.eventsLog // detection has tests of its own
	if change != nil {
		change(&o)
	}
	s.vault, _ = o.Vault.(*memoryVault)
	if s.Desk, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		s.store.Close()
	})
	if !o.ReadOnly {
		s.must(s.store.Update(t.Context(), func(tx ledger.Tx) error { return tx.PutMerchants(merchants) }))
	}
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) start() *site {
	s.t.Helper()
	s.must(s.Start(s.t.Context()))
	return s
}

func (s *site) quiet() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Quiet(ctx); err != nil {
		s.t.Fatalf("the desk does not become quiet: %v", err)
	}
}

// give submits a command that has to be accepted.
func (s *site) give(who Caller, inc string, c incident.Command) Outcome {
	s.t.Helper()
	out, err := s.Submit(s.t.Context(), Request{Incident: inc, Command: c, Caller: who})
	if err != nil {
		s.t.Fatalf("%s: %v", c.Name(), err)
	}
	return out
}

func (s *site) open() string {
	s.t.Helper()
	out, err := s.OpenIncident(s.t.Context(), "", lena, incident.Open{Class: "unauthorized_access", Title: "a token was stolen"})
	s.must(err)
	return out.Incident
}

func (s *site) state(inc string) *incident.State {
	s.t.Helper()
	st, err := s.Incident(s.t.Context(), inc)
	s.must(err)
	return st
}

func (s *site) records(chain string) []ledger.Record {
	s.t.Helper()
	return recordsOf(s.t, s.store, chain)
}

func recordsOf(t testing.TB, store ledger.Store, chain string) (list []ledger.Record) {
	t.Helper()
	err := store.View(context.Background(), func(r ledger.Reader) (err error) {
		list, err = r.Records(chain, 0, 0)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
