package console_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

var now = time.Date(2026, 11, 22, 3, 45, 0, 0, time.UTC)

// hostile is text as an attacker would write it into a name.
const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(1)> {{7*7}} ` + "\u202Eevil"

var berlin = func() *time.Location {
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return time.FixedZone("CET", 3600)
	}
	return z
}()

// fill gives a desk one incident in the middle of things, with something of everything.
func fill(d *desktest.Desk) {
	d.Program = &policy.Program{
		ID: "pickandpack", Title: "Security Incident Response Policy", Hash: "sha256:abc", Zone: berlin,
		Severities: []policy.Level{{ID: "critical", Means: "customer data left"}, {ID: "low", Means: "nothing left"}},
		Classes:    []policy.Class{{ID: "unauthorised_access", Means: "somebody read what is not theirs", Promise: []string{"SCO-1"}}},
		Facts:      []policy.FactDecl{{ID: "personal_data", Type: "bool", Ask: "Was personal data read?"}},
		Roles:      []policy.Role{{ID: "lead", Does: "decides"}},
		Duties: []policy.Duty{{ID: "tell_merchants", Do: policy.Notify, To: "merchants.affected", Content: []string{"what_happened", "what_data", "what_we_do", "what_you_can_do"},
			Due: []policy.Clock{{Text: "72h after confirmed", Anchor: policy.Anchor{Names: []string{"confirmed"}}}}, Promise: []string{"NOT-1"}, Say: "We tell affected merchants within 72 hours.", Pos: policy.Pos{Line: 40}}},
		Gates:   []policy.Gate{{ID: "g_restore", Guards: "restore", Need: []*policy.Condition{policy.NewCondition("fix.verified", "the fix is verified", nil)}, Promise: []string{"REC-1"}}},
		Actions: []policy.ActionDecl{{ID: "revoke_token", Uses: "http.revoke", Means: "revoke one token", Promise: []string{"CON-1"}}},
		Checks:  []policy.CheckDecl{{ID: "checkout", Means: "the checkout answers"}},
		Review:  []string{"timeline", "root_cause"},
		Page: []policy.PageLine{{Text: "# Security Incident Response Policy"}, {Text: "We tell affected merchants within **72 hours**. <script>alert(1)</script>", Promise: []string{"NOT-1"}, Rule: "tell_merchants"},
			{Text: "- [a link](javascript:alert(1))"}, {Text: "- two"}, {Text: "We never sleep.", Promise: []string{"ZZZ-1"}}},
	}
	s := incident.NewState("INC-1")
	s.Title, s.Class, s.Severity, s.Status, s.Opened = hostile, "unauthorised_access", "critical", incident.StatusOpen, now.Add(-43*time.Minute)
	at := func(minutes int) *incident.Milestone {
		return &incident.Milestone{At: now.Add(-time.Duration(minutes) * time.Minute), By: "person:lena"}
	}
	s.Milestones = map[string]*incident.Milestone{"suspected": at(43), "detected": at(43), "acknowledged": at(30), "confirmed": at(26), "contained": at(14)}
	s.Roles = map[string]incident.Principal{"lead": "person:lena"}
	s.Signals = []incident.Signal{{ID: "sig_1", Class: "unusual_volume", Subject: "credential:" + hostile, Sentence: "9,000 records in 4 minutes " + hostile, At: now.Add(-43 * time.Minute)},
		{ID: "sig_2", Class: "unusual_volume", Subject: "credential:tok_9f", Sentence: "orders of 40 merchants in 4 minutes", At: now.Add(-42 * time.Minute)}}
	s.Offers = map[string]*incident.Offer{"lead": {Role: "lead", Person: "person:omar", By: "person:lena", At: now.Add(-2 * time.Minute), Note: hostile}}
	s.Holds = []*incident.Hold{{ID: "HLD-1", What: hostile, Basis: "litigation " + hostile, By: "person:lena", At: now},
		{ID: "HLD-2", What: "mails", Basis: "order of a court", By: "person:lena", At: now, Until: now.Add(time.Hour), Released: &incident.Signed{By: "person:lena", At: now, Text: hostile}}}
	s.Attachments = []incident.Attachment{{ID: "ATT-1", Name: hostile, Note: hostile, Bytes: 24, Digest: "sha256:abcd0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab", By: "person:lena", At: now}}
	s.Actions = []*incident.Action{
		{ID: "ACT-1", Decl: "revoke_token", Target: map[string]string{"credential": "tok_9f"}, State: incident.ActionProven, PlannedBy: "person:lena",
			Approvals: []incident.Signed{{By: "person:omar", Role: "lead"}}, Proof: "old token refused with 401", ProvenAt: now.Add(-14 * time.Minute), UndoText: "issue a new token"},
		{ID: "ACT-2", Decl: "revoke_token", Target: map[string]string{"credential": hostile}, State: incident.ActionPlanned, PlannedBy: "person:omar",
			Steps: []string{"Revoke 214 tokens of acme-app"}, Blast: "stops sync for 214 merchants, about 3 orders a minute", UndoText: "merchants sign in again"},
	}
	s.Scopes = []incident.ScopeVersion{{N: 1, Merchants: 214, Customers: 18211, Events: 90210, AtLeast: true, By: "person:lena", At: now.Add(-5 * time.Minute), Digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Size: 120,
		Gaps: []incident.Gap{{Source: "nginx", From: now.Add(-2 * time.Hour), To: now.Add(-time.Hour)}}}}
	s.Exposures = map[string]*incident.Exposure{"m_1": {Merchant: "m_1", Customers: 4}}
	s.Checks = map[string]*incident.Check{"checkout": {ID: "checkout", State: "failed", Observe: "status 503"}}
	deliveries := map[string]*incident.Delivery{}
	for i := range 12 {
		id := fmt.Sprint("m_", i)
		deliveries[id] = &incident.Delivery{Recipient: id, State: incident.DeliveryAccepted, Attempts: 1, Code: "250", At: now.Add(-time.Minute)}
	}
	deliveries["m_3"].State, deliveries["m_3"].Code = incident.DeliveryBounced, "550"
	deliveries["m_4"].State = incident.DeliveryUncertain
	s.Notices = []*incident.Notice{
		{ID: "NTC-1", Duty: "tell_merchants", Subject: "An incident concerns your customers", State: incident.NoticeSending, DraftedBy: "person:lena", Approvals: []incident.Signed{{By: "person:omar"}}, Deliveries: deliveries},
		{ID: "NTC-2", Duty: "tell_merchants", Subject: hostile, State: incident.NoticeDraft, DraftedBy: "person:lena", Content: map[string]string{"what_happened": hostile}},
		{ID: "NTC-3", Duty: "tell_merchants", Subject: "Ready", State: incident.NoticeApproved, DraftedBy: "person:lena", Content: map[string]string{"what_happened": "x"}},
	}
	s.Splits = []incident.SplitTo{{SplitBody: incident.SplitBody{Into: "INC-4", Signals: []string{"sig_4"}}, By: "person:lena", At: now, Why: hostile}}
	s.SplitOf = &incident.SplitFrom{SplitFromBody: incident.SplitFromBody{From: "INC-5"}, By: "person:lena", At: now,
		SplitFromText: incident.SplitFromText{Reason: hostile, Actions: []incident.ActionIn{{In: "INC-5", ID: "ACT-1", Decl: "revoke_token", Target: map[string]string{"credential": hostile}, State: incident.ActionProven}}}}
	s.Merged = []*incident.Merged{{By: "person:omar", At: now, Fact: "01J0MERGED", MergedInBody: incident.MergedInBody{Incident: "INC-3", Also: []string{"INC-6"}},
		Exposures: map[string]*incident.Exposure{"m_2": {Merchant: "m_2", Customers: 1}},
		MergedInText: incident.MergedInText{Title: hostile, Reason: hostile, Signals: []incident.SignalIn{{In: "INC-3", Signal: s.Signals[0]}},
			Actions: []incident.ActionIn{{In: "INC-3", ID: "ACT-1", Decl: "revoke_token", State: incident.ActionProven, Proof: hostile}},
			Notices: []incident.NoticeIn{{In: "INC-3", ID: "NTC-1", Subject: hostile, State: incident.NoticeSent, Told: 2}},
			Holds:   []incident.HoldIn{{In: "INC-3", Hold: *s.Holds[0]}}, Attachments: []incident.AttachmentIn{{In: "INC-3", Attachment: s.Attachments[0]}}}}}
	s.Review = incident.ReviewState{Written: 9, Picked: 3, Parts: map[string]*incident.Signed{
		"timeline":      {By: "person:omar", At: now.Add(-time.Hour), Fact: "01REVIEW", Text: "Then **this** happened.\n\n- one\n  1. two\n\n" + hostile},
		"client/impact": {By: "person:omar", At: now.Add(-time.Hour), Fact: "01CLIENT", Text: "Omar wrote to anna@example.com about it."}},
		Entries: []incident.Picked{{ID: "TL-1", At: now.Add(-40 * time.Minute), Text: "412 customer accounts were read. " + hostile, Of: "01J00001", Show: "client", By: "person:lena", Fact: "01E"},
			{ID: "TL-2", At: now.Add(-20 * time.Minute), Text: "We called the provider.", Show: "internal", By: "person:omar", Fact: "01G"}},
		Corrective: []incident.Corrective{{ID: "CA-1", Text: "Shorter tokens " + hostile, Owner: "person:omar", Due: now.Add(-time.Hour), State: "open", At: now.Add(-2 * time.Hour)},
			{ID: "CA-2", Text: "A second check", Owner: "person:lena", Due: now.Add(90 * time.Hour), State: "done", At: now.Add(-2 * time.Hour), Note: "see the wiki", Reopened: 1}},
		Published: []incident.Publication{{Version: "internal", N: 1, Digest: "sha256:" + strings.Repeat("ab", 32), Kept: "sha256:" + strings.Repeat("cd", 32), By: "person:lena", At: now.Add(-time.Hour)},
			{Version: "internal", N: 2, Digest: "sha256:" + strings.Repeat("ef", 32), Kept: "sha256:" + strings.Repeat("cd", 32), By: "person:lena", At: now.Add(-time.Minute)}}}
	d.States["INC-1"] = s
	part := incident.NewState("INC-3")
	part.Title, part.Class, part.Status, part.Opened = "A part of it", "unauthorised_access", incident.StatusClosed, now
	part.Milestones = map[string]*incident.Milestone{"suspected": at(43), "detected": at(43)}
	part.Into = &incident.MergedTo{Into: "INC-1", By: "person:omar", At: now, Why: hostile}
	d.States["INC-3"] = part
	tell := desk.ClockRow{Incident: "INC-1", Duty: "tell_merchants", Count: 214, State: incident.DutyRunning, Say: "Tell 214 merchants", Started: now.Add(-26 * time.Minute),
		Due: now.Add(41*time.Hour + 12*time.Minute), Why: "72 hours after confirmed", Holder: "lead", Missing: []incident.Missing{{What: "personal_data is not decided", Do: "decide it: tocsin incident answer INC-1 personal_data"}}}
	missed := desk.ClockRow{Incident: "INC-1", Duty: "contain", State: incident.DutyMissed, Say: "Contain", Due: now.Add(-time.Minute), Why: "2 hours after detected"}
	not := desk.ClockRow{Incident: "INC-1", Duty: "tell_authority", State: incident.DutyNot, Say: "Tell the authority", Why: "not due because no personal data was read"}
	d.Running["INC-1"] = []desk.ClockRow{missed, tell, not}
	d.Yearly = &incident.State{Programme: true, Done: []incident.DoneOf{{Duty: "drill", At: now.AddDate(0, 0, -100), By: "person:lena", Note: "see the wiki " + hostile}}}
	d.Running[desk.OrgChain] = []desk.ClockRow{
		{Incident: "programme", Duty: "drill", State: incident.DutyMissed, Say: "Run a drill", Due: now.AddDate(0, 0, -10), Why: "90 days after it was last done", Holder: "lead", Called: "lead called by mail: lena", CalledTo: []incident.Principal{"person:lena"}},
		{Incident: "programme", Duty: "reread", State: incident.DutyRunning, Say: "Read the policy again", Due: now.AddDate(0, 3, 0), Why: "once in each year", Holder: "lead"},
	}
	d.Rows = []desk.BoardRow{
		{ID: "INC-1", Title: hostile, Class: "unauthorised_access", Severity: "critical", Status: incident.StatusOpen, Opened: s.Opened, Lead: "Lena",
			Milestones: map[string]time.Time{"suspected": now.Add(-43 * time.Minute), "confirmed": now.Add(-26 * time.Minute)}, Next: &tell, MoreClocks: 2, Missed: 1, Closed: []string{"restore"}, People: 18211, Merchants: 214},
		{ID: "INC-2", Title: "A false alarm", Severity: "low", Status: incident.StatusDismissed},
	}
	d.Shut["INC-1"] = []desk.GateRow{{Command: "restore", Missing: []incident.Missing{
		{What: "the fix is not verified", Do: "verify it, as another person: tocsin incident verify-fix INC-1", Rule: "g_restore"},
		{What: "check checkout has not passed", Do: "run it: tocsin incident check INC-1 checkout"}, {What: "third", Do: "do"}}}, {Command: "close", Open: true}}
	for i := range 40 {
		d.Lines["INC-1"] = append(d.Lines["INC-1"], desk.TimelineLine{ID: fmt.Sprintf("01J%05d", i), At: now.Add(time.Duration(i-40) * time.Minute), Recorded: now,
			Source: []string{"fact", "event", "log"}[i%3], Kind: "note.added", Principal: "person:lena", Text: fmt.Sprintf("line %d %s", i, hostile), Fact: fmt.Sprintf("01J%05d", i)})
	}
	d.Guarded = []desk.SourceState{
		{Name: "theme", Kind: "shopify-theme", Place: "example.myshopify.com, the published theme", Every: "1h0m0s", State: desk.SourceChanged, Looked: now, Found: "sha256:" + strings.Repeat("b", 64), Files: 75,
			Approval: &integrity.Approval{Digest: "sha256:" + strings.Repeat("a", 64), Files: 75, By: "person:lena", At: now.Add(-48 * time.Hour), Reason: "release 41 " + hostile},
			Changes:  []integrity.Change{{Path: "layout/" + hostile, Kind: integrity.Changed}}},
		{Name: "templates", Kind: "folder", Place: "/srv/app/templates", Every: "10m0s", State: desk.SourceNoBaseline},
	}
	was, is := integrity.File{Path: "layout/" + hostile, Size: 180, Digest: "sha256:" + strings.Repeat("c", 64)}, integrity.File{Path: "layout/" + hostile, Size: 232, Digest: "sha256:" + strings.Repeat("d", 64)}
	d.Shown = []integrity.Shown{
		{Change: integrity.Change{Path: "layout/" + hostile, Kind: integrity.Changed, Before: &was, After: &is}, Diff: "--- approved\n+++ found\n+<script src=\"https://evil.example\"></script>" + hostile + "\n"},
		{Change: integrity.Change{Path: "assets/logo.png", Kind: integrity.Changed, Before: &was, After: &is}, Binary: true},
	}
	d.Watched = []desk.ProbeRow{
		{Name: "shop_checkout", Kind: "http-journey", Service: hostile, Signal: "checkout_failure", Every: "1m0s", After: 3, State: "out", Since: now.Add(-43 * time.Minute), Failures: 40, Ran: now,
			Saw: "step pay as phone: " + hostile, Incident: "INC-1", Began: now.Add(-43 * time.Minute)},
		{Name: "shop_dns", Kind: "dns", Service: "shop", Signal: "dns_failure", Every: "1m0s", After: 1, State: "passing", Since: now.Add(-time.Hour), Ran: now, Saw: "A record of shop.example", Incident: "INC-1", Began: now.Add(-2 * time.Hour), Ended: now.Add(-time.Hour)},
		{Name: "shop_tls", Kind: "tls", Service: "shop", Signal: "tls_failure", Every: "1h0m0s", After: 3, State: "unknown"},
	}
	d.Letter = desk.Letter{From: "PickAndPack Security <security@example.com>", To: "anna@example.com", Subject: "An incident concerns your customers", Text: "Dear " + hostile + "\n\n4 of your customers are concerned.\n"}
	d.Comparison = scope.Comparison{Since: now.Add(-400 * time.Hour), Every: 86400, Windows: 16, Now: scope.Amounts{Events: 900, Merchants: 214, Customers: 4210},
		Usual: scope.Amounts{Events: 12, Merchants: 3, Customers: 12}, Most: scope.Amounts{Events: 41, Merchants: 4, Customers: 40},
		New: []scope.Novelty{{Sort: "address", N: 2, Values: []string{"203.0.113.9", "203.0.113.10"}}}}
	d.Erased = []desk.ErasureRow{{ID: "ERS-1", Merchant: hostile, Names: 2, At: now.Add(-time.Hour), By: "person:lena", Basis: hostile, Reason: hostile, Fact: "01ERASED"},
		{ID: "ERS-2", Merchant: "m_9", All: true, At: now, By: "person:lena", Basis: "shop/redact", Reason: "the shop left", Fact: "01ERASED2"}}
	for i := range 230 {
		d.Log = append(d.Log, desk.Access{Seq: int64(230 - i), ID: fmt.Sprint("evt-a", 230-i), Time: now.Add(-time.Duration(i) * time.Minute), Received: now, Source: "shop", Kind: "pii_access", ActorType: "service",
			Actor: hostile, Credential: "tok_9f", Action: "read", Endpoint: "GET /orders", Merchant: "m_1", Customers: 3, Records: 9, Bytes: 90, Outcome: "ok", IP: "203.0.113.9"})
	}
	d.Log = append(d.Log, desk.Access{Seq: 0, ID: "evt-2", Time: now.AddDate(0, 0, -9), Received: now, Source: "shop", Kind: "auth", Outcome: "denied", Late: true, Skewed: true, Supplied: "sha256:0123456789abcdef"})
	d.Result = scope.Result{Log: "javabeanai/events", Size: 120, Digest: "sha256:abc", Events: 900, Customers: 18211,
		Rows: []incident.Exposure{{Merchant: "m_1", Stores: []string{"s_1"}, DataTypes: []string{"customer.email", hostile}, Customers: 4, Events: 9, First: now, Last: now,
			Supplied: []incident.Supplied{{File: "sha256:" + strings.Repeat("ab", 32), Events: 2}}}},
		Regions: []incident.Residents{{Region: "US-CA", Customers: 3}, {Region: "", Customers: 1}}, Supplied: []incident.Supplied{{File: "sha256:" + strings.Repeat("ab", 32), Events: 2}},
		Step: 3600, Timeline: []tally.Bucket{{From: now.Truncate(time.Hour).Add(-600 * time.Hour), Events: 1, Records: 1}, {From: now.Truncate(time.Hour), Events: 8, Records: 9}},
		Gaps: []incident.Gap{{Source: hostile, From: now.Add(-300 * time.Hour), To: now.Add(-200 * time.Hour)}}, RowsRead: 900,
		Included: []scope.Seen{{IP: "203.0.113.9", Agent: hostile, Events: 9, Merchants: 1}}, Excluded: []scope.Seen{{IP: "198.51.100.7", Agent: "PickAndPack/1.0", Events: 7}}}
}

// absent skips a test whose tool is not on this machine, and fails it where CI promised the tool.
func absent(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}
