package desk

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/sink"
	"github.com/tocsin-ir/tocsin/internal/mint"
	"github.com/tocsin-ir/tocsin/notify/email"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
)

const callingPolicy = `policy: small
title: Security Incident Response Policy
owner: Acme Ltd
time: { zone: Europe/Berlin, promptly: 4h, starts: detected }
roles:
  lead: { does: decides and signs, holder: lena }
  counsel: { does: signs what merchants are told, holder: carl }
duties:
  judge: { who: lead, do: decide, of: [confirmed, dismissed], due: 4h after detected, late: { 0min: lead, 30min: counsel } }
  tell: { who: lead, do: notify, to: merchants.affected, due: 72h after confirmed, content: what_happened }
gates:
  - { id: signed, guards: notify, sign: counsel }
parties:
  merchants: { affected: scope.merchants, via: email }
contact: { email: security@example.com }
`

// hire invites a person and lets them join.
func (s *site) hire(id string, address org.Address, roles ...string) {
	s.t.Helper()
	code, token := mint.New(mint.Code), mint.New(mint.Token)
	_, err := s.SubmitOrg(s.t.Context(), "", boss, org.Invite{Person: id, FullName: strings.ToUpper(id[:1]) + id[1:], Access: incident.Responder, Roles: roles, Email: address, CodeHash: org.Hash(code.Reveal())})
	s.must(err)
	_, err = s.SubmitOrg(s.t.Context(), "", Caller{Principal: "service:join", Access: incident.Service},
		org.Join{CodeHash: org.Hash(code.Reveal()), TokenID: token.ID, TokenHash: org.Hash(token.Reveal())})
	s.must(err)
}

// callingSite is a desk with a real mail server: lena and nora lead, carl is counsel, and nora has no
// address.
func callingSite(t *testing.T, c sink.Config) (s *site, mails func() []sink.Kept, read func(sink.Kept) string) {
	t.Helper()
	p, diags := policy.Compile("small.yaml", []byte(callingPolicy))
	if policy.HasErrors(diags) {
		t.Fatal(policy.Format(diags, []byte(callingPolicy)))
	}
	c.Listen, c.Dir = "127.0.0.1:0", t.TempDir()
	server, err := sink.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	s, _ = founded(t, func(o *Options) {
		o.Programs = append(o.Programs, p)
		o.Mail = email.New(email.Config{Relay: server.Addr(), TLS: "none"})
		o.MailRetry = []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, time.Second, time.Second}
		o.PublicURL = "https://tocsin.example"
	})
	s.hire("lena", "lena@staff.example", "lead")
	s.hire("nora", "", "lead")
	s.hire("carl", "", "counsel")
	s.must(s.PublishPolicy(t.Context()))
	s.start()
	mails = func() (out []sink.Kept) {
		b, err := os.ReadFile(filepath.Join(c.Dir, "index.ndjson"))
		s.must(err)
		for line := range strings.Lines(string(b)) {
			var k sink.Kept
			s.must(json.Unmarshal([]byte(line), &k))
			out = append(out, k)
		}
		return out
	}
	return s, mails, func(k sink.Kept) string {
		b, err := os.ReadFile(filepath.Join(c.Dir, k.File))
		s.must(err)
		return string(b)
	}
}

// until gives the desk time to do what is owed in real time, such as a letter that was put off.
func (s *site) until(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

func (s *site) pagesOf(inc string) map[string]*incident.Page {
	s.t.Helper()
	state, err := s.Incident(s.t.Context(), inc)
	s.must(err)
	return state.Pages
}

// A clock that passes calls the people who hold the role, over a server that puts the first attempt
// off: each of them once, with what is owed, by when and where, and nothing of what happened.
func TestALateClockCallsThePeopleOfTheRoleByMail(t *testing.T) {
	s, mails, read := callingSite(t, sink.Config{Greylist: "1ms"})
	inc := s.openUnclassified()
	s.clock.Set(noon.Add(4*time.Hour + time.Minute))
	s.until("lead is called", func() bool {
		for _, p := range s.pagesOf(inc) {
			if p.Role == "lead" && p.State == incident.PageSent {
				return true
			}
		}
		return false
	})
	got := mails()
	if len(got) != 1 || len(got[0].Rcpt) != 1 || got[0].Rcpt[0] != "lena@staff.example" {
		t.Fatalf("mails: %+v", got)
	}
	text := strings.Join(strings.Fields(strings.ReplaceAll(read(got[0]), "=\r\n", "")), " ")
	for _, want := range []string{"[" + inc + "] Confirm or dismiss", "17:00 Europe/Berlin", "https://tocsin.example/incidents/" + inc, "the role lead"} {
		if !strings.Contains(text, want) {
			t.Errorf("the mail lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "stolen") {
		t.Errorf("the mail says what happened:\n%s", text)
	}
	// The next to be called has no address: that is said where the clock stands.
	s.clock.Set(noon.Add(4*time.Hour + 31*time.Minute))
	s.quiet()
	rows, err := s.Clocks(t.Context(), inc)
	s.must(err)
	for _, r := range rows {
		if r.Duty == "judge" && r.Called != "the call to counsel was not delivered: no address" {
			t.Errorf("the clock says %q", r.Called)
		}
	}
	// An address given later serves the next call, and who has left is not called.
	_, err = s.SubmitOrg(t.Context(), "", Caller{Principal: "person:carl", Access: incident.Responder}, org.SetAddress{Person: "carl", Email: "carl@staff.example"})
	s.must(err)
	_, err = s.SubmitOrg(t.Context(), "", boss, org.RevokePerson{Person: "lena", Reason: "left"})
	s.must(err)
	second := s.openUnclassified()
	s.clock.Set(noon.Add(9*time.Hour + 10*time.Minute))
	s.until("counsel is called", func() bool {
		for _, p := range s.pagesOf(second) {
			if p.Role == "counsel" && p.State == incident.PageSent {
				return true
			}
		}
		return false
	})
	for _, m := range mails()[1:] {
		if m.Rcpt[0] != "carl@staff.example" {
			t.Errorf("a mail went to %v", m.Rcpt)
		}
	}
}

// A call whose answer never came is made once more under the same Message-ID and no oftener.
func TestACallWithAnUnknownOutcomeIsMadeOnceMoreUnderTheSameID(t *testing.T) {
	s, mails, _ := callingSite(t, sink.Config{DropEach: 1})
	inc := s.openUnclassified()
	s.clock.Set(noon.Add(4*time.Hour + time.Minute))
	s.until("the call is settled", func() bool {
		for _, p := range s.pagesOf(inc) {
			if p.State == incident.PageSent || p.State == incident.PageFailed {
				return true
			}
		}
		return false
	})
	got := mails()
	if len(got) != 2 || got[0].MessageID != got[1].MessageID || !got[0].Dropped || got[1].Dropped {
		t.Fatalf("mails: %+v", got)
	}
}

// A gate that only signatures keep shut calls its signers when a clock waits behind it.
func TestAGateCallsItsSignersByMail(t *testing.T) {
	s, mails, read := callingSite(t, sink.Config{})
	_, err := s.SubmitOrg(t.Context(), "", boss, org.SetAddress{Person: "carl", Email: "carl@staff.example"})
	s.must(err)
	inc := s.openUnclassified()
	s.give(lena, inc, incident.Confirm{Reason: "seen"})
	for _, m := range merchants {
		s.give(nadia, inc, incident.AdjustScope{Merchant: m.ID, Include: true, Reason: "their log says so"})
	}
	s.give(mark, inc, incident.DraftNotice{Duty: "tell", Subject: "A security incident", Content: content})
	if s.quiet(); len(mails()) != 0 {
		t.Fatal("counsel is called before there is anything to sign")
	}
	s.give(lena, inc, incident.ApproveNotice{Notice: "NTC-1"})
	s.until("counsel is called", func() bool { return len(mails()) > 0 })
	got := mails()
	if len(got) != 1 || got[0].Rcpt[0] != "carl@staff.example" {
		t.Fatalf("mails: %+v", got)
	}
	text := strings.Join(strings.Fields(strings.ReplaceAll(read(got[0]), "=\r\n", "")), " ")
	if !strings.Contains(text, "The gate signed waits for a signature of the role counsel") || !strings.Contains(text, "Tell 5 merchants") {
		t.Errorf("%s", text)
	}
}

// Whoever has a new sign-in link for another person's account acts in that person's name, so the person
// is told where they were called so far, before the link is there.
func TestAPersonIsToldWhatAnOwnerDoesToTheirAccount(t *testing.T) {
	s, mails, read := callingSite(t, sink.Config{})
	again := func(who Caller, c org.Command) {
		t.Helper()
		_, err := s.SubmitOrg(t.Context(), "", who, c)
		s.must(err)
	}
	link := func(id string) org.Command {
		return org.Invite{Person: id, FullName: id, Access: incident.Responder, CodeHash: org.Hash(mint.New(mint.Code).Reveal())}
	}
	state, err := s.Org(t.Context())
	s.must(err)
	was := state.People["lena"].Email.Reveal()
	before := len(mails())
	again(boss, link("nora")) // has no address: nobody can be told
	again(boss, org.SetAddress{Person: "lena", Email: state.People["lena"].Email})
	if n := len(mails()); n != before {
		t.Fatalf("%d mails, and nothing was done to anybody who has an address", n-before)
	}
	again(boss, link("lena"))
	again(boss, org.SetAddress{Person: "lena", Email: "lena@elsewhere.example"})
	all := mails()[before:]
	if len(all) != 2 {
		t.Fatalf("%d mails, want one of the link and one of the address", len(all))
	}
	for i, want := range []string{"a new sign-in link for your account", "another address for the calls to you"} {
		if text := read(all[i]); !slices.Contains(all[i].Rcpt, was) || !strings.Contains(text, want) {
			t.Errorf("mail %d to %v, want %s: %s", i, all[i].Rcpt, was, text)
		}
	}
}
