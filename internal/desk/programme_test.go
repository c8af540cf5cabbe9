package desk

import (
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

const programmePolicy = `policy: small
title: Security Incident Response Policy
owner: Acme Ltd
time: { zone: UTC, promptly: 4h, starts: detected }
events: { subprocessor_added: { means: "another company gets data" } }
parties:
  merchants: { affected: scope.merchants, via: email }
roles:
  lead: { does: decides and signs, holder: lena }
  comms: { does: writes to merchants, holder: mark }
duties:
  judge: { who: lead, do: decide, of: [confirmed, dismissed], due: 4h after detected }
  tell_merchants:
    who: comms
    do: notify
    to: merchants.affected
    due: [72h after confirmed, as contract]
    content: [what_happened]
    approve: lead
  reread: { for: programme, who: lead, do: review_policy, every: year }
  drill: { for: programme, who: lead, do: perform, task: run a drill, every: 90d }
contact: { email: security@example.com }
`

// programmeSite is a desk whose policy owes something without an incident.
func programmeSite(t *testing.T) *site {
	t.Helper()
	p, diags := policy.Compile("small.yaml", []byte(programmePolicy))
	if policy.HasErrors(diags) {
		t.Fatal(policy.Format(diags, []byte(programmePolicy)))
	}
	s, _ := founded(t, func(o *Options) { o.Programs = append(o.Programs, p) })
	s.must(s.PublishPolicy(t.Context()))
	return s.start()
}

func (s *site) programmeClock(duty string) ClockRow {
	s.t.Helper()
	rows, err := s.ProgrammeClocks(s.t.Context())
	s.must(err)
	for _, r := range rows {
		if r.Duty == duty && running(r.State) {
			return r
		}
	}
	s.t.Fatalf("no clock of %s runs: %+v", duty, rows)
	return ClockRow{}
}

func TestTheProgrammeBeginsWithThePolicyWakesAndIsSettledByWord(t *testing.T) {
	s := programmeSite(t)
	due := noon.AddDate(0, 0, 90)
	if c := s.programmeClock("drill"); !c.Due.Equal(due) || c.Incident != "programme" || c.Say != "Run a drill" {
		t.Fatalf("%+v", c)
	}
	next, ok, err := s.NextDomainWake(t.Context())
	if s.must(err); !ok || next.After(due) {
		t.Fatalf("the desk sleeps until %s", next)
	}
	s.clock.Set(due.Add(time.Hour))
	s.quiet()
	if c := s.programmeClock("drill"); c.State != incident.DutyMissed {
		t.Fatalf("ninety days without a drill: %+v", c)
	}
	out, err := s.SubmitProgramme(t.Context(), "key-1", lena, incident.Complete{Duty: "drill", Note: "done, see the wiki"})
	s.must(err)
	again, err := s.SubmitProgramme(t.Context(), "key-1", lena, incident.Complete{Duty: "drill", Note: "done, see the wiki"})
	s.must(err)
	if !again.Replayed || again.Version != out.Version {
		t.Fatalf("the same key did it twice: %+v", again)
	}
	if c := s.programmeClock("drill"); !c.Due.Equal(due.Add(time.Hour).AddDate(0, 0, 90)) {
		t.Fatalf("the next drill: %+v", c)
	}
	if _, err := s.SubmitProgramme(t.Context(), "", guest, incident.Complete{Duty: "drill", Note: "x"}); err == nil {
		t.Fatal("who may only read cannot settle a duty")
	}
	// Publishing the same policy again changes nothing, and neither does a start: what the fold of
	// the chain says is what the desk decided on.
	before := len(s.records(OrgChain))
	s.must(s.PublishPolicy(t.Context()))
	if after := len(s.records(OrgChain)); after != before {
		t.Fatalf("%d facts more", after-before)
	}
	if _, err := s.Submit(t.Context(), Request{Incident: OrgChain, Command: incident.Tick{}, Caller: worker("x")}); err == nil {
		t.Fatal("the chain of the organisation is no incident")
	}
}

func TestWhatTheDirectorySaysIsAFactAndAChangeMovesTheClock(t *testing.T) {
	s := programmeSite(t)
	header := "merchant,name,email,country,contract_hours\n"
	_, rejected, err := s.ImportMerchants(t.Context(), boss, strings.NewReader(header+"m_1,One,one@shop.example,DE,24\nm_2,Two,two@shop.example,FR,\n"))
	if s.must(err); len(rejected) > 0 {
		t.Fatalf("%+v", rejected)
	}
	inc := s.openUnclassified()
	s.give(lena, inc, incident.Confirm{Reason: "seen"})
	for _, m := range []string{"m_1", "m_2"} {
		s.give(lena, inc, incident.AdjustScope{Merchant: m, Include: true, Reason: "named by the vendor"})
	}
	due := func(m string) time.Time { return s.state(inc).Duties["tell_merchants/"+m].Due }
	if !due("m_1").Equal(noon.Add(24 * time.Hour)) {
		t.Fatalf("the contract of m_1: due %s", due("m_1"))
	}
	if !due("m_2").Equal(noon.Add(72 * time.Hour)) {
		t.Fatalf("m_2 has no term: due %s", due("m_2"))
	}
	if r := s.state(inc).Directory["m_1"]; r == nil || r.Country != "DE" || r.ContractHours != 24 {
		t.Fatalf("what was decided on is no fact: %+v", r)
	}
	if _, _, err = s.ImportMerchants(t.Context(), boss, strings.NewReader(header+"m_2,Two,two@shop.example,FR,12\n")); err != nil {
		t.Fatal(err)
	}
	if !due("m_2").Equal(noon.Add(12 * time.Hour)) {
		t.Fatalf("the new term of m_2: due %s", due("m_2"))
	}
	n := s.state(inc).Version
	if _, _, err = s.ImportMerchants(t.Context(), boss, strings.NewReader(header+"m_2,Two,two@shop.example,FR,12\n")); err != nil {
		t.Fatal(err)
	}
	if s.state(inc).Version != n {
		t.Fatal("the same directory again is no news")
	}
}

func (s *site) openUnclassified() string {
	s.t.Helper()
	out, err := s.OpenIncident(s.t.Context(), "", lena, incident.Open{Title: "a token was stolen"})
	s.must(err)
	return out.Incident
}
