package judge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const outagePolicy = `
policy: pickandpack
title: Outages
updated: 2026-11-22
time: { zone: UTC, business: "Mon-Fri 09:00-17:00", promptly: 1h }
classes: { dns_or_tls_failure: { means: "DNS fails." } }
parties: { merchants: { affected: scope.merchants } }
duties:
  start_containment: { do: contain, due: 2h business after detected }
  tell_clients: { do: notify, to: merchants.affected, due: promptly after confirmed, content: [status], promise: [NOT-8] }
  keep_informed: { do: update, to: merchants.affected, due: 4h after confirmed, every: 2h..4h, content: [status], promise: [NOT-8] }
checks: { shop_checkout: { probe: http-journey } }
contact: { email: security@vendor.example }
`

// minute is an instant of the story: so many minutes after three in the night.
func minute(n int) time.Duration { return time.Duration(n) * time.Minute }

func (s *story) line(n int, l shopLine) {
	l.Time, l.Real = night.Add(minute(n)), night.Add(minute(n))
	s.shop = append(s.shop, l)
}

// visits are what one run of the checks shows in the shop's log.
func (s *story) visits(n int, address, tablet string) {
	s.line(n, shopLine{Kind: "dns", Answer: address})
	s.line(n, shopLine{Kind: "tls", What: shopName, Answer: "ok"})
	for _, agent := range []string{"iPhone", "iPad", "Linux"} {
		answer := "200"
		if agent == "iPad" {
			answer = tablet
		}
		s.line(n, shopLine{Kind: "http", What: "POST /pay", Agent: agent, Answer: answer})
	}
}

// update is a notice or an update to both merchants.
func (s *story) update(n int, notice, duty string) {
	s.fact("notice.drafted", "person:omar", minute(n), fmt.Sprintf(`{"notice":%q,"duty":%q}`, notice, duty), `{"content":{"status":"A token was stolen."}}`)
	for _, m := range []struct{ id, to string }{{"m_001", "owner@one.example"}, {"m_002", "owner@two.example"}} {
		id := notice + "-" + m.id + "@x"
		s.append("notice.attempted", "service:desk", minute(n), fmt.Sprintf(`{"notice":%q}`, notice), m.id, fmt.Sprintf(`{"message_id":%q}`, id))
		s.mail(m.id, m.to, id, 1, "Shop")
		s.mailAt[len(s.mailAt)-1] = night.Add(minute(n))
	}
}

// outage is the story as it should be; spoil is called at the moment it names and may leave it out.
func outage(t *testing.T, spoil func(s *story, moment string) bool) *story {
	s := newStory(t)
	s.scenario = "storefront-outage"
	s.manifest = "scenario: storefront-outage\npolicies: { pickandpack: { DET-6: { expect: kept, within: 1h }, NOT-8: { expect: kept, within: 4h }, REC-4: { expect: kept } } }\n"
	s.files["policy/policy.yaml"] = outagePolicy
	s.facts, s.tree, s.mails, s.mailAt, s.rcpt, s.ids = nil, nil, nil, nil, nil, nil
	s.truth = Truth{Events: []TruthEvent{{ID: "a", Merchant: "m_001"}, {ID: "b", Merchant: "m_002"}}}
	do := func(moment string, f func()) {
		if spoil == nil || !spoil(s, moment) {
			f()
		}
	}
	signal := func(n int, kind, name string) {
		s.fact("signal.linked", "service:probe", minute(n), `{}`, fmt.Sprintf(`{"signal":{"id":"probe-%s","sentence":"It failed.","facets":{"probe":%q,"kind":%q,"code":"x"}}}`, name, name, kind))
	}
	s.line(2, shopLine{Kind: "state", Broken: []string{"dns", "checkout", "tls-name"}})
	do("asked", func() {
		for _, n := range []int{10, 20} {
			s.line(n, shopLine{Kind: "dns", Answer: "203.0.113.66"})
			s.line(n, shopLine{Kind: "http", What: "POST /pay", Agent: "iPhone", Answer: "502"})
			s.line(n, shopLine{Kind: "tls", What: shopName, Answer: "expired"})
		}
	})
	do("opened", func() {
		s.fact("incident.opened", "service:probe", minute(20), `{"class":"dns_or_tls_failure"}`, `{"title":"x"}`)
	})
	s.fact("milestone.set", "policy:x", minute(20), fmt.Sprintf(`{"milestone":"detected","at":%q}`, night.Add(minute(20)).Format(time.RFC3339)), `{"reason":"a signal"}`)
	signal(20, "dns", "shop_dns")
	do("signal of the certificate", func() { signal(20, "tls", "shop_tls") })
	do("second signal", func() { signal(20, "http-journey", "shop_checkout") })
	s.fact("duty.started", "policy:x", minute(20), `{"duty":"start_containment"}`, ``)
	s.fact("milestone.set", "person:lena", minute(30), fmt.Sprintf(`{"milestone":"confirmed","at":%q}`, night.Add(minute(30)).Format(time.RFC3339)), `{"reason":"it is one"}`)
	s.update(60, "NTC-1", "tell_clients")
	do("healed", func() { s.line(100, shopLine{Kind: "state", Broken: []string{"tablet"}}) })
	s.line(101, shopLine{Kind: "dns", Answer: shopAddress})
	do("certificate asked", func() { s.line(101, shopLine{Kind: "tls", What: shopName, Answer: "ok"}) })
	s.fact("signal.ended", "service:probe", minute(102), `{"signal":"probe-shop_tls"}`, `{"text":"x"}`)
	do("ended", func() {
		s.fact("signal.ended", "service:probe", minute(102), `{"signal":"probe-shop_dns"}`, `{"text":"x"}`)
	})
	do("update", func() { s.update(240, "NTC-2", "keep_informed") })
	s.fact("check.attempted", "service:check", minute(300), `{"check":"shop_checkout"}`, ``)
	s.visits(300, shopAddress, "502")
	do("failed", func() { s.fact("check.failed", "service:check", minute(301), `{"check":"shop_checkout"}`, ``) })
	do("refused", func() { s.fact("gate.refused", "person:lena", minute(302), `{"command":"restore"}`, ``) })
	do("tablets", func() { s.line(310, shopLine{Kind: "state", Broken: []string{}}) })
	s.visits(311, shopAddress, "200")
	s.fact("signal.ended", "service:probe", minute(312), `{"signal":"probe-shop_checkout"}`, `{"text":"x"}`)
	for i, name := range []string{"shop_checkout", "shop_dns", "shop_tls"} {
		s.fact("check.attempted", "service:check", minute(330+i), fmt.Sprintf(`{"check":%q}`, name), ``)
		do("check of "+name, func() { s.visits(330+i, shopAddress, "200") })
		s.fact("check.passed", "service:check", minute(330+i), fmt.Sprintf(`{"check":%q}`, name), ``)
	}
	s.fact("duty.met", "person:lena", minute(340), `{"duty":"start_containment"}`, ``)
	s.fact("service.restored", "person:lena", minute(345), `{}`, `{"reason":"all pay"}`)
	do("over", func() {})
	return s
}

// promise: DET-6
// promise: REC-4
// promise: NOT-8
func TestAnOutageIsJudgedByWhatTheShopSawItself(t *testing.T) {
	outage(t, nil).expect()
	if f := outage(t, nil).judged().Findings; len(f) > 0 {
		t.Fatalf("findings %v", f)
	}
	leave := func(moment string) func(*story, string) bool {
		return func(_ *story, m string) bool { return m == moment }
	}
	instead := func(moment string, f func(s *story)) func(*story, string) bool {
		return func(s *story, m string) bool {
			if m != moment {
				return false
			}
			f(s)
			return true
		}
	}
	for name, c := range map[string]struct {
		spoil  func(*story, string) bool
		broken []string
	}{
		"nobody saw the certificate":             {leave("signal of the certificate"), []string{"DET-6"}},
		"nobody asked for the certificate again": {leave("certificate asked"), []string{"DET-6"}},
		"a person opened it": {instead("opened", func(s *story) {
			s.fact("incident.opened", "person:lena", minute(20), `{"class":"dns_or_tls_failure"}`, `{"title":"x"}`)
		}), []string{"DET-6"}},
		"nobody had asked":                {leave("asked"), []string{"DET-6"}},
		"the checkout is not seen":        {leave("second signal"), []string{"DET-6"}},
		"its end is not told":             {leave("ended"), []string{"DET-6"}},
		"its end is told too early":       {leave("healed"), []string{"DET-6"}},
		"an update is skipped":            {leave("update"), []string{"NOT-8"}},
		"an update comes after the end":   {instead("over", func(s *story) { s.update(400, "NTC-9", "keep_informed") }), []string{"NOT-8"}},
		"the failing device was not seen": {leave("failed"), []string{"REC-4"}},
		"nothing held service back":       {leave("refused"), []string{"REC-4"}},
		"tablets still fail":              {leave("tablets"), []string{"DET-6", "REC-4"}},
		"no check was run":                {func(_ *story, m string) bool { return strings.HasPrefix(m, "check of ") }, []string{"REC-4"}},
	} {
		t.Run(name, func(t *testing.T) {
			outage(t, c.spoil).expect(c.broken...)
		})
	}
}

func TestServiceThatReturnsBeforeItsProbesPassIsAFinding(t *testing.T) {
	s := outage(t, nil)
	i := slices.IndexFunc(s.facts, func(f storedFact) bool { return strings.Contains(string(f.Header), `"check.passed"`) })
	s.facts, s.tree = s.facts[:i], s.tree[:i]
	s.fact("service.restored", "person:lena", minute(345), `{}`, `{"reason":"hurry"}`)
	card := s.judged()
	if card.OK || !slices.ContainsFunc(card.Findings, func(f string) bool {
		return strings.Contains(f, "the probe shop_dns had not passed") || strings.Contains(f, "the probe shop_checkout had not passed")
	}) {
		t.Errorf("findings %v", card.Findings)
	}
}

func TestABusinessClockThatRanOutIsAFinding(t *testing.T) {
	s := outage(t, nil)
	s.fact("duty.missed", "clock", minute(400), `{"duty":"start_containment"}`, ``)
	card := s.judged()
	if card.OK || !slices.ContainsFunc(card.Findings, func(f string) bool { return strings.Contains(f, "a clock was missed") }) {
		t.Errorf("findings %v", card.Findings)
	}
	c := s.file()
	c.Now = night.Add(48 * time.Hour)
	s.facts = slices.DeleteFunc(s.facts, func(f storedFact) bool { return strings.Contains(string(f.Header), `"duty.m`) })
	b := &bench{c: c, table: tables["storefront-outage"]}
	if err := b.read(); err != nil {
		t.Fatal(err)
	}
	b.export.facts = slices.DeleteFunc(b.export.facts, func(f fact) bool { return f.Kind == "duty.met" || f.Kind == "duty.missed" })
	// Detected at 03:20 on a Friday, two hours of business time end at 11:00.
	if err := b.clocksInTime(); err == nil || !strings.Contains(err.Error(), "2026-11-20T11:00:00Z") {
		t.Errorf("%v", err)
	}
}
