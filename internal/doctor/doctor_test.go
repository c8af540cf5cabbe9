package doctor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// sound is an installation in which nothing is amiss.
func sound() Seen {
	day := now.Add(-24 * time.Hour)
	person := func(id string, access incident.Access, roles ...string) *org.Person {
		return &org.Person{ID: id, Access: access, Roles: roles, Email: org.Address(id + "@acme.shop"), Joined: day}
	}
	return Seen{
		Now: now, Served: true, Dir: "data", PublicURL: "https://security.acme.shop",
		Policy: &policy.Program{
			ID: "acme", Contact: policy.Contact{Email: "security@acme.shop"},
			Roles:   []policy.Role{{ID: "lead", Holder: "lena", Holders: []string{"lena"}, Backup: []string{"omar"}}},
			Duties:  []policy.Duty{{ID: "tell", Who: "lead", Do: policy.Notify, Due: []policy.Clock{{Kind: "after"}}, To: "merchants.affected", Promise: []string{"NOT-1", "NOT-2"}}},
			Parties: []policy.Party{{ID: "merchants", Via: []string{"slack", "basecamp"}, Fallback: []string{"email"}}},
			Actions: []policy.ActionDecl{{ID: "revoke", Uses: "app_tokens", Promise: []string{"CON-1"}}},
			Checks:  []policy.CheckDecl{{ID: "checkout"}},
			Classes: []policy.Class{{ID: "outage", Signals: []string{"checkout_failure"}, Promise: []string{"DET-6"}}},
			Gates:   []policy.Gate{{Guards: "restore", Promise: []string{"REC-1"}}},
		},
		Org: &org.State{
			People:  map[string]*org.Person{"lena": person("lena", incident.Owner, "lead"), "omar": person("omar", incident.Responder)},
			Keys:    map[string]*org.Key{"k": {ID: "k", Purpose: org.PurposeIngest, Source: "web"}},
			Imports: []org.Import{{Count: 3, At: day}},
		},
		Channels: map[string]bool{"slack": true, "basecamp": true}, Connectors: map[string]string{"app_tokens": "http.revoke"}, Checks: map[string]bool{"checkout": true},
		Rehearsed: map[string]time.Time{"app_tokens": day},
		Probes:    []Probe{{Name: "shop", Signal: "checkout_failure", Every: time.Minute, Ran: now.Add(-time.Minute), Code: "http 200"}},
		Mail: Mail{Relay: "smtp.acme.shop:587", From: "security@acme.shop", Tested: day, Domain: &Domain{
			Name: "acme.shop", Selector: "s1", SPF: []string{"v=spf1 mx -all"}, DMARC: []string{"v=DMARC1; p=reject"}, DKIM: []string{"v=DKIM1; p=MIIB"}}},
		Sources: []Source{{Name: "web", Newest: now.Add(-time.Minute)}}, Directory: Directory{Merchants: 3, In: map[string]int{"slack": 2, "basecamp": 1}},
		Machine: Machine{Free: 90 << 30, Disk: 100 << 30, Clock: "synchronised"},
		Logs:    Logs{Looked: true, Facts: 12, Witnesses: 1, Heartbeat: Heartbeat{Configured: true, Newest: now}, Backups: Backups{Every: 24 * time.Hour, Last: now.Add(-5 * time.Hour), What: "one file; verified."}}, LastDrill: Drill{At: day, Kept: true},
		Corrective: Corrective{Looked: true, Open: 1},
	}
}

func TestASoundInstallationHasNothingToMend(t *testing.T) {
	for _, f := range Examine(sound()).Findings {
		if f.State != OK || f.Do != "" {
			t.Errorf("%s: %s: %s", f.ID, f.State, f.Say)
		}
	}
}

// amiss takes one precondition away in each line.
var amiss = []struct {
	id, promise string
	state       State
	take        func(*Seen)
}{
	{"policy.contact", "PUB-2", Fail, func(s *Seen) { s.Policy.Contact = policy.Contact{} }},
	{"policy.contact", "PUB-2", Fail, func(s *Seen) { s.Policy.Contact.Email = "security@Example.com" }},
	{"policy.open", "", Warn, func(s *Seen) { s.Policy.Open = []policy.Placeholder{{Text: "[company]"}} }},
	{"account.owner", "", Fail, func(s *Seen) { s.Org.People["lena"].Joined = time.Time{} }},
	{"people.lead", "NOT-1", Fail, func(s *Seen) { delete(s.Org.People, "lena") }},
	{"people.lead", "NOT-1", Fail, func(s *Seen) { s.Org.People["lena"].Email = "" }},
	{"backup.lead", "NOT-1", Warn, func(s *Seen) { s.Policy.Roles[0].Backup = nil }},
	{"backup.lead", "NOT-1", Warn, func(s *Seen) { delete(s.Org.People, "omar") }},
	{"mail.relay", "NOT-1", Fail, func(s *Seen) { s.Mail.Relay = "" }},
	{"mail.relay", "NOT-1", Warn, func(s *Seen) { s.Mail.Tested = time.Time{} }},
	{"mail.relay", "NOT-1", Warn, func(s *Seen) { s.Mail.Tested = now.AddDate(-1, 0, 0) }},
	{"mail.relay", "NOT-1", Fail, func(s *Seen) { s.Mail.TestFailed = "535 no" }},
	{"mail.links", "NOT-1", Warn, func(s *Seen) { s.PublicURL = "" }},
	{"mail.domain", "NOT-1", Warn, func(s *Seen) { s.Mail.Domain.Problem = "timeout" }},
	{"mail.spf", "NOT-1", Fail, func(s *Seen) { s.Mail.Domain.SPF = nil }},
	{"mail.spf", "NOT-1", Fail, func(s *Seen) { s.Mail.Domain.SPF = []string{"v=spf1 +all"} }},
	{"mail.spf", "NOT-1", Fail, func(s *Seen) { s.Mail.Domain.SPF = []string{"v=spf1 -all", "v=spf1 mx -all"} }},
	{"mail.dkim", "NOT-1", Warn, func(s *Seen) { s.Mail.Domain.Selector = "" }},
	{"mail.dkim", "NOT-1", Fail, func(s *Seen) { s.Mail.Domain.DKIM = nil }},
	{"mail.dkim", "NOT-1", Fail, func(s *Seen) { s.Mail.Domain.DKIM = []string{"v=DKIM1; p="} }},
	{"mail.dmarc", "NOT-1", Warn, func(s *Seen) { s.Mail.Domain.DMARC = nil }},
	{"mail.dmarc", "NOT-1", Warn, func(s *Seen) { s.Mail.Domain.DMARC = []string{"v=DMARC1; p=none"} }},
	{"events.key", "DET-1", Fail, func(s *Seen) { s.Org.Keys["k"].Revoked = now }},
	{"events.sources", "DET-1", Fail, func(s *Seen) { s.Sources = nil }},
	{"events.source.web", "DET-1", Fail, func(s *Seen) { s.Sources[0].Newest = now.Add(-25 * time.Hour) }},
	{"events.source.web", "DET-1", Warn, func(s *Seen) { s.Sources[0].Newest = now.Add(time.Hour) }},
	{"events.source.web", "DET-1", Warn, func(s *Seen) { s.Sources[0].Quiet = now.Add(-30 * time.Minute) }},
	{"events.refused.web", "DET-1", Warn, func(s *Seen) {
		s.Refused = []Refusal{{Source: "web", Entries: 12, Field: "actor", Reason: "is missing", Most: 9}}
	}},
	{"events.quota.web", "DET-1", Warn, func(s *Seen) {
		s.Quotas = []Quota{{Source: "web", Requests: 3, Last: now.Add(-time.Minute), PerSecond: 500}}
	}},
	{"events.source.jobs", "DET-1", Warn, func(s *Seen) {
		s.Org.Keys["j"] = &org.Key{Purpose: org.PurposeIngest, Source: "jobs"}
	}},
	{"merchants.import", "NOT-1", Fail, func(s *Seen) { s.Org.Imports = nil }},
	{"merchants.import", "NOT-1", Warn, func(s *Seen) { s.Org.Imports[0].At = now.AddDate(0, -2, 0) }},
	{"channel.slack", "NOT-1", Warn, func(s *Seen) { s.Channels["slack"] = false }},
	{"channel.basecamp", "NOT-1", Warn, func(s *Seen) { s.Directory.In["basecamp"] = 0 }},
	{"merchants.contacts", "NOT-1", Warn, func(s *Seen) { s.Directory.NoMail = 1 }},
	{"action.revoke", "CON-1", Fail, func(s *Seen) { s.Connectors = nil }},
	{"action.revoke", "CON-1", Fail, func(s *Seen) { s.Connectors["app_tokens"] = "switch" }},
	{"action.revoke", "CON-1", Warn, func(s *Seen) { s.Rehearsed = nil }},
	{"action.revoke", "CON-1", Warn, func(s *Seen) { s.Rehearsed["app_tokens"] = now.AddDate(-1, 0, 0) }},
	{"check.checkout", "REC-1", Fail, func(s *Seen) { s.Checks = nil }},
	{"watch.outage", "DET-6", Fail, func(s *Seen) { s.Probes = nil }},
	{"probe.shop", "", Warn, func(s *Seen) { s.Probes[0].Signal = "another" }},
	{"probe.shop", "DET-6", Warn, func(s *Seen) { s.Probes[0].Ran = time.Time{} }},
	{"probe.shop", "DET-6", Fail, func(s *Seen) { s.Probes[0].Ran = now.Add(-time.Hour) }},
	{"probe.shop", "DET-6", Fail, func(s *Seen) { s.Probes[0].Failing, s.Probes[0].Code = true, "refused_address" }},
	{"probe.shop", "DET-6", Warn, func(s *Seen) { s.Probes[0].Failing, s.Probes[0].Code = true, "http 502" }},
	{"table.store", "INV-1", Warn, func(s *Seen) { s.Machine.Table = "connection refused" }},
	{"folder.keys", "INV-3", Fail, func(s *Seen) { s.Machine.NoKeys = "none" }},
	{"folder.data", "INV-3", Fail, func(s *Seen) { s.Machine.Open = []Mode{{"data", "0755"}} }},
	{"disk.space", "DET-1", Fail, func(s *Seen) { s.Machine.Free = 1 << 20 }},
	{"disk.space", "DET-1", Warn, func(s *Seen) { s.Machine.Free = 2 << 30 }},
	{"clock", "NOT-1", Warn, func(s *Seen) { s.Machine.Clock = "unsynchronised" }},
	{"evidence.verify", "INV-3", Fail, func(s *Seen) { s.Logs.Altered = "fact 3 of org" }},
	{"evidence.verify", "INV-3", Fail, func(s *Seen) { s.Logs.Unsealed = "no file" }},
	{"evidence.away", "PRO-8", Warn, func(s *Seen) { s.Logs.Witnesses = 0 }},
	{"evidence.backup", "PRO-8", Warn, func(s *Seen) { s.Logs.Backups.Last = time.Time{} }},
	{"evidence.backup", "PRO-8", Warn, func(s *Seen) { s.Logs.Backups.Failing = "no room" }},
	{"evidence.backup", "REC-3", Fail, func(s *Seen) { s.Logs.Backups.Last, s.Logs.Backups.Failing = time.Time{}, "no room" }},
	{"evidence.backup", "PRO-8", Fail, func(s *Seen) { s.Logs.Backups.Last = now.Add(-49 * time.Hour) }},
	{"machine.heartbeat", "", Warn, func(s *Seen) { s.Logs.Heartbeat = Heartbeat{} }},
	{"machine.heartbeat", "", Warn, func(s *Seen) { s.Logs.Heartbeat = Heartbeat{Configured: true} }},
	{"machine.heartbeat", "", Fail, func(s *Seen) { s.Logs.Heartbeat.Failing = "timeout" }},
	{"drill", "", Warn, func(s *Seen) { s.LastDrill = Drill{} }},
	{"drill", "", Fail, func(s *Seen) { s.LastDrill.Kept = false }},
	{"drill", "", Warn, func(s *Seen) { s.LastDrill.At = now.AddDate(-1, 0, 0) }},
	{"folder.open", "", Fail, func(s *Seen) { s.Trouble, s.TroubleDo = "no folder", "make one" }},
	{"folder.open", "CLS-1", Fail, func(s *Seen) {
		s.Trouble, s.TroubleDo, s.TroubleOf = "no policy", "mend it", []string{"CLS-1", "CLS-2"}
	}},
	{"folder.open", "CLS-2", Fail, func(s *Seen) {
		s.Trouble, s.TroubleDo, s.TroubleOf = "no policy", "mend it", []string{"CLS-1", "CLS-2"}
	}},
	{"policy.open", "PUB-1", Warn, func(s *Seen) { s.Policy.Open = []policy.Placeholder{{Text: "[company]"}} }},
	{"public.address", "PUB-2", Fail, func(s *Seen) { s.PublicURL = "" }},
	{"public.address", "DET-11", Fail, func(s *Seen) { s.PublicURL = "" }},
	{"public.address", "PRO-1", Fail, func(s *Seen) { s.PublicURL = "http://security.acme.shop" }},
	{"account.access", "PRO-11", Warn, func(s *Seen) {
		for _, id := range []string{"lena", "omar", "ines"} {
			s.Org.People[id] = &org.Person{ID: id, Access: incident.Owner, Email: "a@acme.shop", Joined: now}
		}
	}},
	{"probe.shop", "CLS-1", Warn, func(s *Seen) { s.Probes[0].Signal = "another" }},
	{"detect.budgets", "DET-5", Fail, func(s *Seen) {
		s.Policy.Classes = append(s.Policy.Classes, policy.Class{ID: "cost", Promise: []string{"DET-5"}})
	}},
	{"programme.again", "REV-4", Fail, func(s *Seen) {
		s.Policy.Duties = append(s.Policy.Duties, policy.Duty{ID: "again", Do: policy.ReRead, Promise: []string{"REV-4"}})
		s.Programme = []Owed{{Duty: "again", Say: "Read the policy again", Missed: true}}
	}},
	{"programme.again", "REV-4", Warn, func(s *Seen) {
		s.Policy.Duties = append(s.Policy.Duties, policy.Duty{ID: "again", Do: policy.ReRead, Promise: []string{"REV-4"}})
		s.Programme = []Owed{{Duty: "again", Say: "Read the policy again", AtRisk: true}}
	}},
	{"policy.classes", "CLS-1", Warn, func(s *Seen) { s.Policy.Classes = nil }},
	{"signatures.notices", "NOT-1", Warn, func(s *Seen) { delete(s.Org.People, "omar") }},
	{"signatures.actions", "CON-1", Warn, func(s *Seen) { delete(s.Org.People, "omar") }},
	{"files.theme.approvals", "", Warn, func(s *Seen) {
		delete(s.Org.People, "omar")
		s.Files = []FileSource{{Name: "theme", State: "as_approved", Approved: now, Two: true}}
	}},
	{"files.theme", "", Fail, func(s *Seen) { s.Files = []FileSource{{Name: "theme", State: "no_baseline"}} }},
	{"review.corrective", "REV-3", Fail, func(s *Seen) { s.Corrective.Overdue = 1 }},
	{"review.corrective", "REV-3", Warn, func(s *Seen) { s.Corrective.NoOwner = 1 }},
	{"folder.keys", "PRO-2", Fail, func(s *Seen) { s.Machine.NoKeys = "none" }},
	{"folder.data", "PRO-12", Fail, func(s *Seen) { s.Machine.Open = []Mode{{"data", "0755"}} }},
	{"evidence.verify", "PRO-6", Fail, func(s *Seen) { s.Logs.Altered = "fact 3 of org" }},
	{"evidence.away", "REC-3", Warn, func(s *Seen) { s.Logs.Witnesses = 0 }},
}

// Each line takes one precondition away; the finding has to name it, its promises and what to do.
func TestEachMissingPreconditionIsNamedWithItsPromises(t *testing.T) {
	for _, c := range amiss {
		s := sound()
		c.take(&s)
		r := Examine(s)
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.ID == c.id && f.State == c.state })
		if i < 0 {
			t.Errorf("%s is not said to %s", c.id, c.state)
			continue
		}
		f := r.Findings[i]
		if c.promise != "" && !slices.Contains(f.Promises, c.promise) {
			t.Errorf("%s: promises %v, without %s", c.id, f.Promises, c.promise)
		}
		if f.Do == "" || !strings.HasSuffix(f.Say, ".") {
			t.Errorf("%s: says %q, and to do %q", c.id, f.Say, f.Do)
		}
		if rank(r.Findings[0].State) < rank(c.state) || rank(r.Worst()) < rank(c.state) {
			t.Errorf("%s: the worst does not come first", c.id)
		}
	}
}
