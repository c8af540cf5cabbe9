package console_test

import (
	"strings"

	"github.com/tocsin-ir/tocsin/policies"
)

// writtenDay and writtenHour are the keys of 2026-11-21T10:30 in a field of a date and a time.
const writtenDay, writtenHour = "11212026", "1030AM"

// unticked are boxes that would make what is asked another thing. website is a trap for programs.
var unticked = []string{"all"}

// unmoved are choices that are left as they stand, by the form and the name.
var unmoved = [][2]string{{"POST /incidents/INC/do/move-corrective", "state"}}

// unsaid are fields that do not come further, by the form and by its button and the name: a question that
// records nothing needs no reason, how it is answered is not the desk's, what is taken away needs no text, and a policy words its answers.
var unsaid = [][2]string{
	{"POST /incidents/INC/scope ", " do=compute reason"}, {"POST /incidents/INC/scope ", " do=compare reason"}, {"POST /incidents/INC/scope/match ", " show"},
	{"POST /incidents/INC/review ", " do=unpick at"}, {"POST /incidents/INC/review ", " do=unpick show"}, {"POST /incidents/INC/review ", " do=unpick text"},
	{"POST /setup/policy ", " jurisdictions"}, {"POST /setup/policy ", " platform"}, {"POST /setup/policy ", " severities"},
}

// startsOver are forms that a refusal takes away on purpose: whom a plan names is not given back, so it is made anew.
var startsOver = []string{"POST /erasures (do=erase "}

// namesNobody are fields that a page that was refused gives back empty on purpose: who is to be erased stands
// nowhere, and a declaration is made anew.
var namesNobody = []string{"account", "email", "phone", "attest"}

// typed is what somebody writes into a field: by the form and the name where they differ from others of the
// name, else by the name. Nothing is written into what is known and empty.
func typed(key, name string) (string, bool) {
	for _, one := range typedIn {
		if strings.HasPrefix(key, one.form) && one.name == name {
			return one.text, true
		}
	}
	if strings.HasPrefix(name, "item.") {
		return "the item " + strings.TrimPrefix(name, "item."), true
	}
	text, ok := values[name]
	return text, ok
}

var values = map[string]string{
	"account": "8812, 8813", "action": "read", "actor": "helpdesk", "agent": "curl/8", "answer.how_many": "412", "at": "2026-11-21T10:30", "basis": "order of a court", "because": "the files are not ours",
	"about": "vera", "app": "pickandpack", "app_name": "Pick and pack", "channel": "phone", "copy": "/mnt/elsewhere/tocsin", "credential": "tok_9f", "data_type": "customer.email", "detected": "2026-11-21T10:30",
	"due": "2026-11-21T10:30", "email": "nadia@example.com", "endpoint": "GET /orders", "entry": "TL-1", "event": "evt-1", "from": "2026-11-21T10:30", "heartbeat": "https://example.com/beat", "how": "the old token is refused",
	"id": "nadia", "incident": "INC-1", "ip": "203.0.113.0/24", "kind": "pii_access", "merchant": "m_1", "name": "Nadia", "not_actor": "backup", "not_agent": "PickAndPack/1.0", "not_ip": "198.51.100.7", "note": "a note of the test",
	"of": "01J00001", "saw": "an invoice of a stranger", "organisation": "javabeanai", "outcome": "ok", "party": "m_3", "password": "correct horse", "phone": "+49 30 1234", "q": "e", "readers": "omar", "reason": "the log shows why", "recipient": "a regulator",
	"relay": "smtp.example.com:587", "risk": "letters that pretend", "root_cause": "tokens without an end", "secret": "stolen", "selector": "mail2026", "signal": "sig_2", "source": "shop", "store": "s_1", "subject": "What happened",
	"summary": "orders were read", "suspected": "2026-11-21T10:30", "target": "credential=tok_9f", "text": "a text of the test", "title": "A stolen token", "to": "2026-11-21T10:30", "until": "2026-11-21T10:30",
	"username": "postman", "value": "4", "vector": "a stolen token", "what": "what it is about", "when": "this morning", "where": "on the page of orders", "why": "it is release 42",
	"witness_key": "witness.example.org+1a2b3c4d+AAAA", "witness_url": "https://witness.example.org",
	// What a policy is made from.
	"business": "Mon-Fri 09:00-17:00", "comms": "omar", "contact": "security@example.com", "deadline": "72h", "engineer": "nadia", "holds": "personal_data", "jurisdictions": "eu, uk", "lead": "lena",
	"owner": "PickAndPack GmbH", "owner_name": "Lena Berg", "platform": "Bazaar <security@example.net>", "severities": "critical, low", "zone": "Europe/Berlin",
}

var typedIn = []struct{ form, name, text string }{
	{"POST /policy/draft", "text", draftOfPolicy},
	{"POST /incidents/INC/do/link-signal", "from", "INC-3"},
	{"POST /incidents/INC/do/merge", "from", "INC-3"},
	{"POST /incidents/INC/do/pick", "at", "2026-11-22T03:02:05"},
	{"POST /incidents/INC/review", "at", "2026-11-22T03:02:05"},
	{"POST /report", "from", "finder@example.org"},
	{"POST /setup/mail", "from", "security@example.com"},
	{"POST /setup/mail", "to", "lena@example.com"},
	{"POST /setup/away", "recipient", "age1qqqq"},
}

// draftOfPolicy is a policy that compiles.
var draftOfPolicy = func() string {
	src, err := policies.FS.ReadFile("shopify-app.yaml")
	if err != nil {
		return ""
	}
	return string(src)
}()

// elsewhere is said of a form that asks and leads to another page.
const elsewhere = "elsewhere"

// everyForm has a row for every form of the console with each of its buttons: what it gives to the desk or to
// the data folder, in the order in which it does, or nothing when it only asks.
var everyForm = map[string]string{
	"POST /join (code)": "org.Join",
	"POST /signout ()":  "",
	"POST /open (title class severity summary source detected suspected private readers about)":        "OpenIncident incident.Correct",
	"POST /incidents/INC/do/answers (answer.personal_data answer.source_of_it answer.how_many reason)": "incident.Answer incident.Answer incident.Answer",
	"GET /incidents/INC (source order)":       "",
	"POST /incidents/INC/do/note (text)":      "incident.Note",
	"POST /incidents/INC/do/pick (back) line": "incident.PickEntry",
	"POST /incidents/INC/scope (from to credential not_ip actor ip agent not_agent endpoint merchant action data_type not_actor reason) do=compare": "CompareScope",
	"POST /incidents/INC/scope (from to credential not_ip actor ip agent not_agent endpoint merchant action data_type not_actor reason) do=compute": "StartScope",
	"POST /incidents/INC/scope (from to credential not_ip actor ip agent not_agent endpoint merchant action data_type not_actor reason) do=record":  "StartScope",
	"POST /incidents/INC/scope/match (version show file)":                                                                               "MatchLines",
	"GET /incidents/INC/timeline (source text kind from to rows)":                                                                       "",
	"POST /incidents/INC/notices (duty notice subject item.what_happened item.what_data item.what_we_do item.what_you_can_do) do=draft": "incident.DraftNotice",
	"GET /incidents/INC/notices (notice party)":                                                                                         "",
	"POST /incidents/INC/notices (notice) do=send":                                                                                      "incident.SendNotice",
	"GET /incidents/INC/notices (notice q sort)":                                                                                        "",
	"POST /incidents/INC/notices (notice party reason) do=resend":                                                                       "incident.ResendNotice",
	"GET /incidents/INC/notices (notice state q sort)":                                                                                  "",
	"POST /incidents/INC/notices (notice attest) do=approve":                                                                            "incident.ApproveNotice",
	"POST /incidents/INC/do/confirm (seen reason)":                                                                                      "incident.Confirm",
	"POST /incidents/INC/do/dismiss (seen reason)":                                                                                      "incident.Dismiss",
	"POST /incidents/INC/do/plan (seen action target secret reason)":                                                                    "Plan",
	"POST /incidents/INC/do/approve (seen action)":                                                                                      "incident.ApproveAction",
	"POST /incidents/INC/do/restore (seen reason)":                                                                                      "incident.RestoreService",
	"POST /incidents/INC/do/note (seen text)":                                                                                           "incident.Note",
	"POST /incidents/INC/do/close (seen reason)":                                                                                        "incident.Close",
	"POST /incidents/INC/do/answer (seen fact value reason)":                                                                            "incident.Answer",
	"POST /incidents/INC/do/answers (seen answer.personal_data answer.source_of_it answer.how_many reason)":                             "incident.Answer incident.Answer incident.Answer",
	"POST /incidents/INC/do/correct (seen milestone at reason)":                                                                         "Foresee",
	"POST /incidents/INC/do/correct (seen planned milestone at reason)":                                                                 "incident.Correct",
	"POST /incidents/INC/do/waive (seen duty reason)":                                                                                   "incident.Waive",
	"POST /incidents/INC/do/corrective (seen text owner due)":                                                                           "incident.AddCorrective",
	"POST /incidents/INC/do/switch (seen merchant state reason)":                                                                        "FlipSwitch",
	"POST /incidents/INC/do/hand-over (seen role person note)":                                                                          "incident.HandOver",
	"POST /incidents/INC/do/accept-role (seen role)":                                                                                    "incident.AcceptRole",
	"POST /incidents/INC/do/unlink-signal (seen signal reason)":                                                                         "incident.UnlinkSignal",
	"POST /incidents/INC/do/attach (seen name note file)":                                                                               "Attach",
	"POST /incidents/INC/do/hold (seen what basis until)":                                                                               "incident.PlaceHold",
	"POST /incidents/INC/do/release-hold (seen hold reason)":                                                                            "incident.ReleaseHold",
	"POST /incidents/INC/do/merge (seen from reason)":                                                                                   "MergePlan",
	"POST /incidents/INC/do/merge (seen planned from reason)":                                                                           "Merge",
	"POST /incidents/INC/do/split (seen signal title reason)":                                                                           "SplitPlan",
	"POST /incidents/INC/do/split (seen planned signal title reason)":                                                                   "Split",
	"POST /incidents/INC/do/link-signal (seen from signal reason)":                                                                      "LinkSignal",
	"POST /break-glass (incident reason)":                                                                                               "",
	"POST /break-glass (planned incident reason)":                                                                                       "incident.BreakGlass",
	"POST /incidents/INC/review (version entry of at show text) do=pick":                                                                "incident.PickEntry",
	"POST /incidents/INC/review (version entry of at show text) do=unpick":                                                              "incident.DropEntry",
	"POST /incidents/INC/review (version at text) do=pick":                                                                              "incident.PickEntry",
	"GET /incidents/INC/review (version text)":                                                                                          "",
	"POST /incidents/INC/review (version of at text) do=pick":                                                                           "incident.PickEntry",
	"POST /incidents/INC/review (version part was text) do=write":                                                                       "incident.EditReview",
	"POST /incidents/INC/do/pick (seen text at show of entry)":                                                                          "incident.PickEntry",
	"POST /incidents/INC/do/move-corrective (seen corrective state owner due note)":                                                     "incident.MoveCorrective",
	"POST /incidents/INC/do/publish (seen version)":                                                                                     "incident.PublishReview",
	"GET /clocks (q state sort)":                                                                                                        "",
	"GET /notices (q state kind to incident sort)":                                                                                      "",
	"GET /find (q)": "",
	"GET /accesses (kind actor credential merchant ip outcome source store data_type endpoint from to)": "",
	"POST /erasures (do=plan merchant all account email phone basis reason)":                            "PlanErasure",
	"POST /erasures (do=erase plan merchant known basis reason)":                                        "Erase",
	"GET /erasures (q sort)":                                  "",
	"GET /evidence (q from to state sort)":                    "",
	"GET /evidence (event)":                                   elsewhere,
	"POST /evidence/export (incident recipient)":              "Export",
	"GET /programme (q state sort)":                           "",
	"POST /programme (duty note at)":                          "incident.Complete",
	"GET /incidents (q state class severity sort)":            "",
	"GET /settings (q state)":                                 "",
	"POST /probes (probe)":                                    "RunProbe",
	"POST /integrity (source)":                                "CheckSource",
	"POST /integrity/theme (do=approve found why)":            "Approve",
	"POST /integrity/theme (do=restore incident because)":     "RestoreSource",
	"POST /integrity/templates (do=approve found why)":        "Approve",
	"POST /report (what where when from website)":             "Signal",
	"POST /suspect (saw)":                                     "OpenIncident",
	"GET /people (q state bearer sort)":                       "",
	"POST /people/do/invite (name id access email role-lead)": "org.Invite",
	"POST /policy/draft (text)":                               "",
	"POST /policy/draft (do=publish of text)":                 "ChangePolicy",
	"POST /signin (next token)":                               "",
	"POST /setup/owner/skip () again=yes":                     "SkipStep",
	"POST /setup/policy (name owner contact zone business platform deadline severities lead comms engineer jurisdictions holds)": "ChangePolicy",
	"POST /setup/policy/skip ()":                                          "SkipStep",
	"POST /setup/mail (relay from tls username password selector to)":     "ChangeMail TestMail",
	"POST /setup/mail/skip ()":                                            "SkipStep",
	"POST /setup/key (app source)":                                        "org.IssueKey",
	"POST /setup/key/skip ()":                                             "SkipStep",
	"POST /setup/events/skip ()":                                          "SkipStep",
	"POST /setup/merchants (file)":                                        "ImportMerchants",
	"POST /setup/merchants/skip ()":                                       "SkipStep",
	"POST /setup/away (copy recipient heartbeat witness_key witness_url)": "ChangeAway",
	"POST /setup/away/skip ()":                                            "SkipStep",
	"POST /setup/drill (scenario)":                                        "StartDrill",
	"POST /setup/drill/skip ()":                                           "SkipStep",
	"POST /incidents/INC/scope (run) do=cancel":                           "CancelScope",
	"POST /incidents/INC/do/grant (seen person reason)":                   "incident.Grant",
	"POST /incidents/INC/do/revoke-access (seen person reason)":           "incident.RevokeAccess",
	"POST /incidents/INC/do/acknowledge (seen)":                           "incident.Acknowledge",
	"POST /incidents/INC/do/scale (seen scale level reason)":              "incident.SetScale",
	"POST /incidents/INC/do/done (seen duty at note)":                     "incident.Complete",
	"POST /incidents/INC/do/told (seen notice party channel reason)":      "incident.Told",
	"POST /incidents/INC/do/attest (seen gate)":                           "incident.Attest",
	"POST /incidents/INC/do/override (seen gate reason)":                  "incident.Override",
	"POST /incidents/INC/do/move-policy (seen reason)":                    "incident.MovePolicy",
	"POST /incidents/INC/do/review (seen version part text)":              "incident.EditReview",
	"POST /incidents/INC/do/unpick (seen entry)":                          "incident.DropEntry",
	"POST /incidents/INC/do/fix (seen what)":                              "incident.RecordFix",
	"POST /incidents/INC/do/assess (seen vector root_cause risk)":         "incident.Assess",
	"POST /incidents/INC/do/mark (seen milestone at reason)":              "incident.Mark",
	"POST /incidents/INC/do/adjust-scope (seen merchant include reason)":  "incident.AdjustScope",
	"POST /incidents/INC/do/snapshot (seen)":                              "Snapshot",
	"POST /incidents/INC/do/sign (seen gate)":                             "incident.Sign",
	"POST /incidents/INC/do/assign (seen role person)":                    "incident.Assign",
	"POST /incidents/INC/do/severity (seen severity reason)":              "incident.SetSeverity",
	"POST /incidents/INC/do/restrict (seen readers about reason)":         "incident.Restrict",
	"POST /incidents/INC/do/undo (seen action reason)":                    "incident.UndoActionCmd",
	"POST /incidents/INC/do/cancel (seen action reason)":                  "incident.CancelAction",
	"POST /incidents/INC/do/verify-fix (seen how)":                        "incident.VerifyFix",
	"POST /incidents/INC/do/check (seen)":                                 "incident.RunChecks",
	"GET /accesses (incident scope kind actor credential merchant ip outcome source store data_type endpoint from to)":                           "",
	"POST /incidents/INC/notices (duty notice corrects subject item.what_happened item.what_data item.what_we_do item.what_you_can_do) do=draft": "incident.DraftNotice",
	"POST /incidents/INC/do/reopen (seen reason)":                         "incident.Reopen",
	"GET /clocks (q state sort incident)":                                 "",
	"POST /people/do/revoke-person (id reason)":                           "org.RevokePerson",
	"POST /people/do/revoke-token (id)":                                   "org.RevokeToken",
	"GET /drills (q state sort)":                                          "",
	"POST /setup (code name organisation owner_name app_name app policy)": "Make",
	"POST /incidents/INC/review (version digest) do=publish":              "incident.PublishReview",
	"POST /people/do/revoke-key (id)":                                     "org.RevokeKey",
}
