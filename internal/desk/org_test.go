package desk

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/mint"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/scope"
)

// founded is a site whose organisation has the owner boss; it gives their token.
func founded(t *testing.T, change func(*Options)) (*site, string) {
	t.Helper()
	s := newSite(t, change)
	code, err := s.Found(t.Context())
	s.must(err)
	token := mint.New(mint.Token)
	_, err = s.SubmitOrg(t.Context(), "", Caller{Principal: "service:join", Access: incident.Service},
		org.Join{CodeHash: org.Hash(code), TokenID: token.ID, TokenHash: org.Hash(token.Reveal())})
	s.must(err)
	return s, token.Reveal()
}

// promise: PRO-4
func TestWhoeverHoldsASecretIsWhoItSays(t *testing.T) {
	s, owner := founded(t, nil)
	s.Admit("local secret", Caller{Principal: "service:local", Access: incident.Owner, Token: "local"})
	key := mint.New(mint.Key)
	_, err := s.SubmitOrg(t.Context(), "", boss, org.IssueKey{KeyID: key.ID, KeyHash: org.Hash(key.Reveal()), Purpose: "ingest", Source: "app", App: "pickandpack"})
	s.must(err)
	for secret, want := range map[string]string{owner: "person:owner", "local secret": "service:local", key.Reveal(): "key " + key.ID, "wrong": "", "": "", strings.Repeat("x", 1000): ""} {
		id, err := s.Authenticate(t.Context(), secret)
		got := ""
		switch {
		case err == nil && id.Person != nil && id.Key == nil:
			got = string(id.Person.Principal)
		case err == nil && id.Key != nil && id.Person == nil:
			got = "key " + id.Key.ID
		case !errors.Is(err, ErrUnauthenticated):
			t.Errorf("error %v", err)
		}
		if got != want {
			t.Errorf("a secret is of %q, want %q", got, want)
		}
		if err != nil && secret != "" && strings.Contains(err.Error(), secret) {
			t.Error("the error repeats the secret")
		}
	}
	_, err = s.SubmitOrg(t.Context(), "", boss, org.RevokeKey{KeyID: key.ID})
	s.must(err)
	if _, err := s.Authenticate(t.Context(), key.Reveal()); !errors.Is(err, ErrUnauthenticated) {
		t.Errorf("a revoked key: %v", err)
	}
}

func TestTheFirstLinkIsMadeAnewUntilAnOwnerHasJoined(t *testing.T) {
	s := newSite(t, nil)
	first, err := s.Found(t.Context())
	s.must(err)
	second, err := s.Found(t.Context())
	s.must(err)
	if first == "" || second == "" || first == second {
		t.Fatal("no new link")
	}
	join := func(code string) error {
		token := mint.New(mint.Token)
		_, err := s.SubmitOrg(t.Context(), "", Caller{Principal: "service:join", Access: incident.Service},
			org.Join{CodeHash: org.Hash(code), TokenID: token.ID, TokenHash: org.Hash(token.Reveal())})
		return err
	}
	if join(first) == nil {
		t.Error("the lost link still works")
	}
	s.must(join(second))
	if code, err := s.Found(t.Context()); err != nil || code != "" {
		t.Errorf("a link is made although there is an owner: %v", err)
	}
	s.must(s.PublishPolicy(t.Context()))
	before := len(s.records(OrgChain))
	s.must(s.PublishPolicy(t.Context()))
	if len(s.records(OrgChain)) != before {
		t.Error("the same policy was published twice")
	}
}

// What the first owner is called may be corrected in the configuration until they have joined, and is not
// taken back by a start without it.
func TestTheFirstOwnerIsCalledByTheirName(t *testing.T) {
	s := newSite(t, nil)
	for _, c := range [][2]string{{"", "Owner"}, {"Lena Berg", "Lena Berg"}, {"", "Lena Berg"}, {"Lena Berger", "Lena Berger"}} {
		s.o.FirstOwner = c[0]
		_, err := s.Found(t.Context())
		s.must(err)
		state, err := s.Org(t.Context())
		s.must(err)
		if got := state.People["owner"].Name; got != c[1] {
			t.Errorf("configured as %q, the owner is called %q and not %q", c[0], got, c[1])
		}
	}
}

func TestAKeyOfTheOrganisationsNamesOneRequest(t *testing.T) {
	s, _ := founded(t, nil)
	invite := func(id string, person string) (org.Outcome, error) {
		code := mint.New(mint.Code) // another process would make another
		return s.SubmitOrg(t.Context(), id, boss, org.Invite{Person: person, FullName: "P", Access: incident.Viewer, CodeHash: org.Hash(code.Reveal())})
	}
	first, err := invite("k", "pia")
	s.must(err)
	again, err := invite("k", "pia")
	if err != nil || !again.Replayed || again.Fact != first.Fact {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if _, err := invite("k", "quinn"); !errors.Is(err, ErrInvalid) {
		t.Errorf("another request under the same key: %v", err)
	}
	if out, err := s.SubmitOrg(t.Context(), "k", lena, org.FlipSwitch{Merchant: "m_1", State: "off", Reason: "r"}); err != nil || out.Replayed {
		t.Errorf("the key of somebody else: %+v, %v", out, err)
	}
}

func TestASecretIsKeptAndThatItWasPutIsAFact(t *testing.T) {
	s, _ := founded(t, nil)
	const value = "hunter2-hunter2"
	s.must(s.PutSecret(t.Context(), lena, "shop", []byte(value)))
	if got, err := s.vault.Get("shop"); err != nil || got.Reveal() != value {
		t.Errorf("the vault: %v", err)
	}
	for _, r := range s.records(OrgChain) {
		f, err := ledger.Open(r, s.g.keys)
		s.must(err)
		if strings.Contains(fmt.Sprintf("%s %v", f.Body, f.Parts), value) {
			t.Error("a fact holds the secret")
		}
	}
	if _, err := s.vault.Get("other"); !errors.Is(err, contain.ErrNoSecret) {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		who   Caller
		value string
	}{"empty": {lena, ""}, "too long": {lena, strings.Repeat("x", 1<<20)}, "a viewer": {guest, "v"}} {
		if err := s.PutSecret(t.Context(), c.who, "other", []byte(c.value)); err == nil {
			t.Errorf("%s: it was put", name)
		}
	}
	if _, err := s.vault.Get("other"); !errors.Is(err, contain.ErrNoSecret) {
		t.Error("a secret that was refused is kept")
	}
}

func TestTheDirectoryTakesGoodRowsAndNamesTheBad(t *testing.T) {
	s, _ := founded(t, nil)
	const head = "merchant,name,store,domain,email,email_2,phone,language,zone,country,contract_hours,installed,uninstalled\n"
	file := "\ufeff" + head + strings.Join([]string{
		"a_1,Alpha,s1,a.example,a@a.example,b@a.example,,de,Europe/Berlin,de,48,2026-01-02,",
		"a_1,Alpha,s2,b.example,a@a.example,,,,,,,,",
		",No Id,,,x@x.example,,,,,,,,",
		"b_1,Beta,,,no address,,,,,,,,",
		"c_1,Gamma,,,c@c.example,,,,Mars/Olympus,,,,",
		"d_1,Delta,,,d@d.example,,,,,,many,,",
		"e_1,Epsilon,,,e@e.example,,,,,,,yesterday,",
		`"f_1"x,Zeta,,,f@f.example,,,,,,,,`,
		`bare"quote,Eta,,,h@h.example,,,,,,,,`,
		"*,All,,,s@s.example,,,,,,,,",
		"g_1,Гамма,,,g@g.example,,,,,,,,",
	}, "\n") + "\n"
	n, rejected, err := s.ImportMerchants(t.Context(), boss, strings.NewReader(file))
	s.must(err)
	if n != 2 {
		t.Errorf("%d merchants, want 2", n)
	}
	var got []string
	for _, r := range rejected {
		got = append(got, fmt.Sprintf("%d %s", r.Line, r.Field))
		if r.Reason == "" || strings.Contains(r.Reason, "no address") || strings.Contains(r.Reason, "Olympus") {
			t.Errorf("line %d: reason %q is empty or quotes the row", r.Line, r.Reason)
		}
	}
	if want := []string{"4 merchant", "5 email", "6 zone", "7 contract_hours", "8 installed", "9 ", "10 ", "11 merchant"}; !slices.Equal(got, want) {
		t.Errorf("rejected %q, want %q", got, want)
	}
	list, err := s.Merchants(t.Context(), "", 1000)
	s.must(err)
	i := slices.IndexFunc(list, func(m ledger.Merchant) bool { return m.ID == "a_1" })
	if i < 0 || len(list[i].Stores) != 2 || len(list[i].Emails) != 2 || list[i].Country != "DE" || list[i].ContractHours != 48 {
		t.Errorf("a_1 is %+v", list[max(i, 0)])
	}
	for name, bad := range map[string]string{"empty": "", "no header": "x\n", "a column is missing": "merchant,name\n"} {
		if _, _, err := s.ImportMerchants(t.Context(), boss, strings.NewReader(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, rejected, err = s.ImportMerchants(t.Context(), boss, strings.NewReader(head+"h_1,\"Eta,,,h@h.example,,,,,,,,\ni_1,Iota,,,i@i.example,,,,,,,,\n"))
	if err != nil || len(rejected) != 1 || !strings.Contains(rejected[0].Reason, "lines 2 to") {
		t.Errorf("a quote that is not closed: %+v, %v", rejected, err)
	}
	// What spreadsheets write where the comma is in numbers, and what they write when nobody chose UTF-8.
	for name, text := range map[string]string{"semicolons": "merchant;name;email\r\nj_1;Jota, GmbH;j@j.example\r\n", "tabs": "\ufeffmerchant\tname\temail\nj_1\tJota, GmbH\tj@j.example\n"} {
		n, rejected, err := s.ImportMerchants(t.Context(), boss, strings.NewReader(text))
		if err != nil || n != 1 || len(rejected) != 0 {
			t.Errorf("%s: %d taken, %+v, %v", name, n, rejected, err)
		}
	}
	for name, text := range map[string]string{
		"Latin-1": "merchant,name,email\nk_1,Kappa,k@k.example\nl_1,L\xe4den,l@l.example\n",
		"UTF-16":  "\xff\xfem\x00e\x00r\x00",
	} {
		n, _, err := s.ImportMerchants(t.Context(), boss, strings.NewReader(text))
		if n != 0 || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "CSV UTF-8") || strings.Contains(err.Error(), "den") {
			t.Errorf("%s: %d taken, %v", name, n, err)
		}
	}
	if _, err := s.Merchants(t.Context(), "k_0", 1); err != nil {
		t.Error(err)
	} else if list, _ := s.Merchants(t.Context(), "k_0", 1); len(list) > 0 && list[0].ID == "k_1" {
		t.Error("of a file in another encoding the lines without umlauts were taken")
	}
	n, rejected, err = s.ImportMerchants(t.Context(), boss, strings.NewReader("merchant,name,email,store\nm_1,My,m@m.example,s1\nm_1,My,other@m.example,s2\nm_1,My,m@m.example,s3\n"))
	if err != nil || n != 1 || len(rejected) != 1 || rejected[0].Line != 3 || rejected[0].Field != "email" {
		t.Errorf("a merchant with two addresses in two lines: %d, %+v, %v", n, rejected, err)
	}
	noise := strings.Repeat(",,,,\n", maxRejected+10)
	if _, _, err := s.ImportMerchants(t.Context(), boss, strings.NewReader(head+noise)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a file of something else: %v", err)
	}
}

// promise: CON-3
func TestASwitchAnIncidentTurnedOffStaysOffUntilItIsRestored(t *testing.T) {
	s, _ := founded(t, nil)
	inc := s.open()
	s.give(lena, inc, incident.Confirm{Reason: "seen"})
	flip := func(merchant, state, in string) error {
		return s.FlipSwitch(t.Context(), "", lena, merchant, state, "because", in)
	}
	s.must(flip("m_1", "off", inc))
	s.must(flip("*", "off", inc))
	s.must(flip("m_2", "off", ""))
	var refused *incident.Refusal
	for _, in := range []string{"", inc} {
		if err := flip("m_1", "on", in); !errors.As(err, &refused) || refused.Reason != "held_by_incident" || len(refused.Missing) == 0 {
			t.Errorf("on for %q: %v", in, err)
		}
	}
	s.must(flip("m_2", "on", ""))
	if err := flip("m_9", "off", ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("a merchant nobody knows: %v", err)
	}
	if err := s.FlipSwitch(t.Context(), "", guest, "m_3", "off", "x", inc); err == nil {
		t.Error("a viewer flipped a switch")
	}
	if s.state(inc).Switches["m_3"] != nil {
		t.Error("the incident says that a switch was flipped which was not")
	}
	version, list, err := s.Switches(t.Context())
	s.must(err)
	if version == 0 || !off(list, "m_1") || !off(list, "*") || off(list, "m_2") {
		t.Errorf("switches %+v", list)
	}

	// The restore and the switches are one transaction.
	s.give(nadia, inc, incident.RecordFix{What: "fixed"})
	s.give(lena, inc, incident.VerifyFix{How: "tried"})
	s.start()
	s.give(nadia, inc, incident.RunChecks{Checks: []string{"orders_api"}})
	s.quiet()
	failure := errors.New("no")
	_, err = s.submit(t.Context(), Request{Incident: inc, Command: incident.RestoreService{Reason: "done"}, Caller: lena},
		func(tx ledger.Tx, st *incident.State, now time.Time) error {
			s.must(s.turnOn(lena)(tx, st, now))
			return failure
		})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	if _, list, _ := s.Switches(t.Context()); !off(list, "m_1") || s.state(inc).Milestones["restored"] != nil {
		t.Error("half of a restore happened")
	}
	s.give(lena, inc, incident.RestoreService{Reason: "done"})
	if _, list, _ := s.Switches(t.Context()); off(list, "m_1") || off(list, "*") {
		t.Errorf("restored, and the switches are %+v", list)
	}
}

func off(list []Switch, merchant string) bool {
	return slices.ContainsFunc(list, func(s Switch) bool { return s.Merchant == merchant && s.State == "off" })
}

func TestAReadOnlyDeskChangesNothing(t *testing.T) {
	live, _ := founded(t, nil)
	inc := live.open()
	live.must(live.store.Close())
	ro, err := sqlite.Open(filepath.Join(live.dir, "tocsin.db"), sqlite.Options{ReadOnly: true})
	live.must(err)
	asked := &app{}
	s := newSite(t, func(o *Options) {
		o.Store, o.ReadOnly, o.Anchor = ro, true, nil
		o.Connectors = map[string]contain.Connector{"app_tokens": plansNothing{asked, t}}
		o.Scope = func(context.Context, scope.Query, scope.Options) (scope.Result, error) {
			t.Error("a scope was computed for something that is refused")
			return scope.Result{}, nil
		}
	})
	defer ro.Close()
	ctx := t.Context()
	for name, do := range map[string]func() error{
		"submit": func() error {
			_, err := s.Submit(ctx, Request{Incident: inc, Command: incident.Acknowledge{}, Caller: lena})
			return err
		},
		"open": func() error {
			_, err := s.OpenIncident(ctx, "", lena, incident.Open{Class: "data_breach", Title: "t"})
			return err
		},
		"signal":   func() error { _, err := s.Signal(ctx, alarm); return err },
		"scope":    func() error { _, _, err := s.RecordScope(ctx, "", lena, inc, stolen, ""); return err },
		"plan":     func() error { _, err := s.Plan(ctx, "", lena, inc, "revoke_token", nil, "", ""); return err },
		"snapshot": func() error { _, err := s.Snapshot(ctx, "", lena, inc); return err },
		"export":   func() error { _, err := s.Export(ctx, "", boss, inc, "me"); return err },
		"switch":   func() error { return s.FlipSwitch(ctx, "", lena, "*", "off", "x", "") },
		"secret":   func() error { return s.PutSecret(ctx, lena, "n", []byte("v")) },
		"import": func() error {
			_, _, err := s.ImportMerchants(ctx, boss, strings.NewReader("merchant,name,email\n"))
			return err
		},
		"ingest": func() error {
			_, err := s.Ingest(ctx, Key{Purpose: "ingest"}, Delivery{Format: "auto"}, strings.NewReader("{}"))
			return err
		},
		"organisation": func() error { _, err := s.SubmitOrg(ctx, "", boss, org.RevokePerson{Person: "x"}); return err },
	} {
		if err := do(); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v, want read-only", name, err)
		}
	}
	if st, err := s.Incident(ctx, inc); err != nil || st.ID != inc {
		t.Errorf("reading: %v", err)
	}
	if rows, err := s.Board(ctx); err != nil || len(rows) != 1 {
		t.Errorf("the board: %v", err)
	}
	s.Admit("code", Caller{Principal: "person:reader", Access: incident.Viewer})
	if _, err := s.SubmitOrg(ctx, "", guest, org.Join{CodeHash: org.Hash("code"), TokenHash: org.Hash("token")}); err != nil {
		t.Errorf("a reader joins: %v", err)
	}
	if id, err := s.Authenticate(ctx, "token"); err != nil || id.Person.Access != incident.Viewer {
		t.Errorf("the reader: %v", err)
	}
	if _, err := s.Authenticate(ctx, "code"); err == nil {
		t.Error("the code lets in after it was used")
	}
}

// plansNothing fails the test when it is asked.
type plansNothing struct {
	*app
	t *testing.T
}

func (p plansNothing) Plan(context.Context, contain.Target, contain.Secret) (contain.Plan, error) {
	p.t.Error("a connector was asked for something that is refused")
	return contain.Plan{}, nil
}

func TestInstancesThatReportSwitchesAreBounded(t *testing.T) {
	s, _ := founded(t, nil)
	for i := range 3 * mostInstances {
		s.must(s.SwitchSeen(t.Context(), "key-1", fmt.Sprint("pod-", i), int64(i)))
	}
	s.switches.mu.Lock()
	n := len(s.switches.seen)
	_, newest := s.switches.seen["key-1/"+fmt.Sprint("pod-", 3*mostInstances-1)]
	s.switches.mu.Unlock()
	if n > mostInstances || !newest {
		t.Errorf("%d instances are remembered, the newest: %v", n, newest)
	}
	if err := s.SwitchSeen(t.Context(), "key-1", strings.Repeat("x", 200), 1); !errors.Is(err, ErrInvalid) {
		t.Errorf("a long name: %v", err)
	}
}
