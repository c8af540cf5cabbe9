package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/verify"
)

// From the request of a person to the bytes: what is erased is found by no question, not after a
// restart and not after the table was made again from the log; a hold keeps it; the identifiers that
// were given are nowhere in the folder; and the evidence of an incident stays whole.
//
// promise: PRO-6
func TestACustomerIsErasedFromTheTableAndStaysSealedInTheLog(t *testing.T) {
	dir := folder(t, "production", configuration)
	a, stop := start(t, Options{Dir: dir})
	responder, token := member(t, a, "omar", "responder")
	owner, _ := member(t, a, "olga", "owner")
	now := a.desk.Now().UTC()
	event := func(id, merchant, subjects string) string {
		return fmt.Sprintf(`{"id":%q,"time":%q,"kind":"pii_access","actor":{"type":"service","id":"w"},"action":"read","credential":"tok_1","merchant":%q,"records":2,"subjects":[%s]}`,
			id, now.Format(time.RFC3339Nano), merchant, subjects)
	}
	body := strings.Join([]string{
		event("e-1", "m_1", `{"kind":"account","id":"10010077"},{"kind":"account","id":"10020077"}`),
		event("e-2", "m_1", `{"kind":"email","id":"Ann@Shop.Example"}`),
		event("e-3", "m_2", `{"kind":"account","id":"10010077"}`),
		event("e-4", "m_3", `{"kind":"account","id":"10010077"}`),
	}, "\n")
	if got, err := sender(t, a).Ingest(t.Context(), "b", "native", []byte(body)); err != nil || got.Accepted != 4 {
		t.Fatalf("taken in: %+v, %v", got, err)
	}
	opened, err := responder.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "orders read at night"})
	if err != nil {
		t.Fatal(err)
	}
	q := client.Query{From: now.Add(-time.Hour), To: now.Add(time.Hour), Any: []client.Clause{{Credential: []string{"tok_1"}}}}
	if _, _, err := responder.RecordScope(t.Context(), opened.Incident, q, "all of the token"); err != nil {
		t.Fatal(err)
	}
	request := client.Erasure{Merchant: "m_1", Basis: "Art. 17 GDPR", Reason: "a customer asked", People: []client.Erased{{Account: "10010077"}, {Email: " ann@shop.example"}}}
	var refused *client.Error
	if _, err := responder.Erase(t.Context(), request); !errors.As(err, &refused) || refused.Status != 403 {
		t.Errorf("without an owner: %v", err)
	}
	held, err := responder.Command(t.Context(), opened.Incident, "hold", map[string]any{"what": "everything", "basis": "litigation"})
	if err != nil {
		t.Fatal(err, held)
	}
	if _, err := owner.Erase(t.Context(), request); !errors.As(err, &refused) || refused.Reason != "under_hold" || len(refused.Missing) != 1 || !strings.Contains(refused.Missing[0].What, "HLD-1 of "+opened.Incident) {
		t.Fatalf("under a hold: %v", err)
	}
	olga, omar := desk.Caller{Principal: "person:olga", Access: incident.Owner}, desk.Caller{Principal: "person:omar", Access: incident.Responder}
	planned := desk.Erasure{Merchant: "m_1", Basis: "Art. 17 GDPR", Reason: "a customer asked", People: []desk.Erased{{Account: "10010077"}, {Email: " ann@shop.example"}}}
	var no *incident.Refusal
	if plan, err := a.desk.PlanErasure(t.Context(), olga, planned); err != nil || !errors.As(plan.InTheWay(), &no) || no.Reason != "under_hold" || plan.Plan != "" || plan.Events != 2 {
		t.Errorf("a plan under a hold: %+v, %v", plan, err)
	}
	if _, err := a.desk.PlanErasure(t.Context(), omar, planned); !errors.As(err, &no) || no.Reason == "under_hold" {
		t.Errorf("a plan without an owner: %v", err)
	}
	if out, err := owner.Erase(t.Context(), client.Erasure{Merchant: "m_9", Basis: "x", Reason: "y", People: []client.Erased{{Account: "10010077"}}}); err != nil || out.Erasure != "" || out.Unknown != 1 {
		t.Errorf("of a merchant that nothing was logged of: %+v, %v", out, err)
	}
	if _, err := owner.Command(t.Context(), opened.Incident, "release-hold", map[string]any{"hold": "HLD-1", "reason": "settled"}); err != nil {
		t.Fatal(err)
	}
	plan, err := a.desk.PlanErasure(t.Context(), olga, planned)
	if err != nil || plan.Events != 2 || plan.AtLeast || len(plan.Customers) != 2 || plan.People != 2 {
		t.Fatalf("the plan: %+v, %v", plan, err)
	}
	if whole, err := a.desk.PlanErasure(t.Context(), olga, desk.Erasure{Merchant: "m_3", All: true, Basis: "shop/redact", Reason: "the shop left"}); err != nil || whole.Events != 1 {
		t.Errorf("the plan of all of a merchant: %+v, %v", whole, err)
	}
	if list, err := owner.Erasures(t.Context()); err != nil || len(list.Erasures) != 0 {
		t.Fatalf("plans have erased: %+v, %v", list, err)
	}
	// What was looked at is confirmed; the same plan with other people, or again, is refused.
	dry, err := owner.PlanErasure(t.Context(), request)
	if err != nil || dry.Events != 2 || dry.Whole != 1 || dry.Names != 2 || dry.Plan == "" || !dry.First.Equal(now) || len(dry.Holds) != 0 {
		t.Fatalf("the plan over the API: %+v, %v", dry, err)
	}
	confirmed := request
	confirmed.Plan = dry.Plan
	other := confirmed
	other.People = other.People[:1]
	if _, err := owner.Erase(t.Context(), other); !errors.As(err, &refused) || refused.Reason != "stale_plan" || refused.Status != 409 {
		t.Errorf("a plan for somebody else: %v", err)
	}
	if out, err := owner.Erase(t.Context(), confirmed); err != nil || out.Erasure != "ERS-1" || out.People != 2 {
		t.Fatalf("erased: %+v, %v", out, err)
	}
	if _, err := owner.Erase(t.Context(), confirmed); !errors.As(err, &refused) || refused.Reason != "stale_plan" {
		t.Errorf("a plan that was confirmed, again: %v", err)
	}
	if out, err := owner.Erase(t.Context(), client.Erasure{Merchant: "m_3", All: true, Basis: "shop/redact", Reason: "the shop left"}); err != nil || out.Erasure != "ERS-2" {
		t.Fatalf("erased: %+v, %v", out, err)
	}
	look := func(when string) {
		t.Helper()
		r, err := responder.Scope(t.Context(), q)
		if err != nil || r.Events != 2 || r.Customers != 2 || !r.AtLeast || len(r.Rows) != 2 {
			t.Errorf("%s a scope counts %d events, %d customers, at least %v, %d merchants: %v", when, r.Events, r.Customers, r.AtLeast, len(r.Rows), err)
		}
		page, err := responder.Accesses(t.Context(), client.AccessQuery{Kind: "pii_access"})
		if err != nil || len(page.Accesses) != 2 {
			t.Errorf("%s %d accesses are listed: %v", when, len(page.Accesses), err)
		}
		if _, err := responder.Access(t.Context(), "e-2"); err == nil {
			t.Errorf("%s an erased event is found by its id", when)
		}
	}
	look("at once")
	list, err := owner.Erasures(t.Context())
	if err != nil || len(list.Erasures) != 2 || list.Erasures[0].Merchant != "m_3" || !list.Erasures[0].All || list.Erasures[1].Names != 2 || list.Erasures[1].Basis != "Art. 17 GDPR" {
		t.Errorf("listed: %+v, %v", list, err)
	}
	stop()
	if err := os.RemoveAll(filepath.Join(dir, "table")); err != nil {
		t.Fatal(err)
	}
	a, stop = start(t, Options{Dir: dir})
	if responder, err = client.New(a.URL(), client.WithToken(token), client.WithTries(1, 0)); err != nil {
		t.Fatal(err)
	}
	look("after a restart, and made again from the log,")
	if rows, err := a.access.RebuildTable(t.Context()); err != nil || rows > 3 {
		t.Errorf("made again by hand it has %d rows: %v", rows, err)
	}
	look("made again by hand")
	// What was counted before can still be shown: the export has the events as they stand in the log.
	file, err := os.Create(filepath.Join(t.TempDir(), "export"))
	if err == nil {
		_, err = responder.Export(t.Context(), opened.Incident, "the insurer", file)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if report, err := verify.File(file.Name(), verify.Options{}); err != nil || len(report.Findings) > 0 || report.Events != 4 {
		t.Errorf("an export after it: %+v, %v", report, err)
	}
	stop()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, secret := range []string{"10010077", "ann@shop.example", "Ann@Shop.Example"} {
			if strings.Contains(string(raw), secret) {
				t.Errorf("%s holds %s", path, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// With a whole merchant goes the key of its pseudonyms: after the fact, again on a start that finds it
// (a crash between the two, or older keys that were put back), and never the key that later events of the
// merchant were given. What was recorded of it stays counted, and says that it can no longer be matched.
//
// promise: PRO-6
func TestTheKeyOfAnErasedMerchantGoesAndStaysAway(t *testing.T) {
	dir := folder(t, "production", configuration)
	a, stop := start(t, Options{Dir: dir})
	responder, token := member(t, a, "omar", "responder")
	owner, _ := member(t, a, "olga", "owner")
	now := a.desk.Now().UTC()
	send := func(id, merchant string) {
		t.Helper()
		event := fmt.Sprintf(`{"id":%q,"time":%q,"kind":"pii_access","actor":{"type":"service","id":"w"},"action":"read","credential":"tok_1","merchant":%q,"records":1,"subjects":[{"kind":"account","id":"10010077"}]}`,
			id, a.desk.Now().UTC().Format(time.RFC3339Nano), merchant)
		if got, err := sender(t, a).Ingest(t.Context(), id, "native", []byte(event)); err != nil || got.Accepted != 1 {
			t.Fatalf("taken in: %+v, %v", got, err)
		}
	}
	key := func(merchant string) string {
		t.Helper()
		name, err := a.access.PseudonymKey(merchant)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	send("e-1", "m_1")
	send("e-2", "m_3")
	opened, err := responder.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "orders read at night"})
	if err != nil {
		t.Fatal(err)
	}
	q := client.Query{From: now.Add(-time.Hour), To: now.Add(time.Hour), Any: []client.Clause{{Credential: []string{"tok_1"}}}}
	if _, _, err := responder.RecordScope(t.Context(), opened.Incident, q, "all of the token"); err != nil {
		t.Fatal(err)
	}
	list := []byte("merchant,account\nm_1,10010077\nm_3,10010077\nm_3,10020077\n")
	if m, err := responder.MatchScope(t.Context(), opened.Incident, 0, list); err != nil || m.Affected != 2 || len(m.Erased) != 0 {
		t.Fatalf("matched before: %+v, %v", m, err)
	}
	kept, old := key("m_1"), key("m_3")
	person, err := a.access.Pseudonym("m_3", "account", "10010077")
	if err != nil || person == "" || kept == "" || old == "" || kept == old {
		t.Fatal("there are no keys", err)
	}
	keys := filepath.Join(dir, "keys", "keys.db")
	before, err := os.ReadFile(keys)
	if err != nil {
		t.Fatal(err)
	}
	order := client.Erasure{Merchant: "m_3", All: true, Basis: "shop/redact", Reason: "the shop left"}
	held, err := responder.Command(t.Context(), opened.Incident, "hold", map[string]any{"what": "everything", "basis": "litigation"})
	if err != nil {
		t.Fatal(err, held)
	}
	if _, err := owner.Erase(t.Context(), order); err == nil || key("m_3") != old {
		t.Fatalf("under a hold the key went: %v", err)
	}
	if _, err := owner.Command(t.Context(), opened.Incident, "release-hold", map[string]any{"hold": "HLD-1", "reason": "settled"}); err != nil {
		t.Fatal(err)
	}
	if out, err := owner.Erase(t.Context(), order); err != nil || out.Erasure != "ERS-1" {
		t.Fatalf("erased: %+v, %v", out, err)
	}
	gone := func(when string) {
		t.Helper()
		if got, err := a.access.Pseudonym("m_3", "account", "10010077"); err != nil || got == person || key("m_3") == old {
			t.Errorf("%s the pseudonyms can be made again: %v", when, err)
		}
		if key("m_1") != kept {
			t.Errorf("%s another merchant's key is another", when)
		}
	}
	gone("at once")
	if name := key("m_3"); name != "" {
		t.Errorf("there is a key before there is an event: %s", name)
	}
	rec, err := responder.ScopeRecord(t.Context(), opened.Incident, 1)
	if err != nil || rec.Version.Merchants != 2 || len(rec.Erased) != 1 || rec.Erased[0].Merchant != "m_3" || rec.Erased[0].Erasure != "ERS-1" {
		t.Errorf("the recorded scope: %+v, %v", rec.Erased, err)
	}
	if m, err := responder.MatchScope(t.Context(), opened.Incident, 0, list); err != nil || m.Affected != 1 || len(m.Erased) != 1 || m.Erased[0].Lines != 2 {
		t.Errorf("matched after it: %+v, %v", m, err)
	}
	stop()

	// As a crash between the fact and the key leaves it, and as older keys that were put back.
	if err := os.WriteFile(keys, before, 0o600); err != nil {
		t.Fatal(err)
	}
	a, stop = start(t, Options{Dir: dir})
	gone("after a start that finds the key")
	send("e-3", "m_3")
	fresh := key("m_3")
	if fresh == "" || fresh == old {
		t.Fatal("a later event was given no key of its own")
	}
	stop()
	a, stop = start(t, Options{Dir: dir})
	defer stop()
	gone("after another start")
	if key("m_3") != fresh {
		t.Error("a start destroyed the key of later events")
	}
	if responder, err = client.New(a.URL(), client.WithToken(token), client.WithTries(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := responder.Access(t.Context(), "e-3"); err != nil {
		t.Errorf("the later event is not found: %v", err)
	}
	if err := a.access.DestroyKey("m_3", old); err != nil || key("m_3") != fresh {
		t.Errorf("destroying again took the later key: %v", err)
	}
}

// A hold of a private incident refuses an erasure as any other does, and tells an owner who is not on
// the list neither which hold nor which incident it is.
//
// promise: INV-3
func TestAHoldOfAPrivateIncidentRefusesAnErasureAndIsNotNamed(t *testing.T) {
	a, _ := start(t, Options{Dir: folder(t, "production", configuration)})
	responder, _ := member(t, a, "omar", "responder")
	owner, _ := member(t, a, "olga", "owner")
	take(t, a, sender(t, a), "d0", 6)
	opened, err := responder.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "somebody of ours"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		in   map[string]any
	}{
		{"hold", map[string]any{"what": "everything", "basis": "litigation"}},
		{"restrict", map[string]any{"reason": "it is about an owner"}},
	} {
		if _, err := responder.Command(t.Context(), opened.Incident, c.name, c.in); err != nil {
			t.Fatal(err)
		}
	}
	order := client.Erasure{Merchant: "m_1", All: true, Basis: "shop/redact", Reason: "the shop left"}
	plan, err := owner.PlanErasure(t.Context(), order)
	if err != nil || len(plan.Holds) != 1 || plan.Plan != "" || plan.Events != 2 {
		t.Fatalf("the plan: %+v, %v", plan, err)
	}
	_, err = owner.Erase(t.Context(), order)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Reason != "under_hold" || len(refused.Missing) != 1 {
		t.Fatalf("under a hold: %v", err)
	}
	if said := fmt.Sprint(plan.Holds, refused.Missing, refused); strings.Contains(said, "HLD-") || strings.Contains(said, opened.Incident) || strings.Contains(said, "litigation") {
		t.Errorf("it tells of a private incident: %s", said)
	}
}
