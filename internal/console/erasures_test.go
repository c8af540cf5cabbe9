package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/org"
)

// An erasure is planned, then confirmed. Nobody whom the form names is on a page or in an address
// afterwards, not when it is refused either; the refusal names the hold.
//
// promise: PRO-6
func TestAnErasureIsPlannedAndConfirmedAndShowsNobody(t *testing.T) {
	b := signedIn(t, console.Options{})
	if !strings.Contains(b.get("/accesses").body, `href="/erasures"`) {
		t.Error("the access log does not lead to erasures")
	}
	form := func() url.Values {
		return url.Values{"do": {"plan"}, "merchant": {"m_1"}, "account": {"10010077\n\n 10020077 "}, "email": {"ann@shop.example"}, "phone": {"+49 171 5550199"},
			"basis": {"Art. 17 GDPR, request of 2026-11-20"}, "reason": {"the customer asked"}}
	}
	secrets := []string{"10010077", "10020077", "ann@shop.example", "5550199"}
	silent := func(what string, got shown) {
		t.Helper()
		for _, s := range secrets {
			if strings.Contains(got.body, s) || strings.Contains(got.header.Get("Location"), s) {
				t.Errorf("%s shows %s", what, s)
			}
		}
	}
	before := len(b.desk.Erased)
	plan := b.submit("/erasures", "/erasures", form())
	silent("the plan", plan)
	for _, want := range []string{"3 access events of merchant", "known by 4 different identifiers", "Nothing brings the rows back", `name="known"`, `name="plan" value="plan-`, "Art. 17 GDPR", "the customer asked", "Erase 4 identifiers of"} {
		if !strings.Contains(plan.body, want) {
			t.Errorf("the plan does not say %q", want)
		}
	}
	if len(b.desk.Erased) != before {
		t.Fatal("the plan has erased")
	}
	b.desk.Holding = []org.Held{{Incident: "INC-7", Hold: "HLD-1"}}
	refused := b.submit("/erasures", "/erasures", form())
	silent("a refusal", refused)
	for _, want := range []string{"HLD-1 of INC-7 keeps what is about this merchant", "Whom you named is not shown again", "Art. 17 GDPR"} {
		if !strings.Contains(refused.body, want) {
			t.Errorf("the refusal does not say %q", want)
		}
	}
	if refused.status != http.StatusConflict {
		t.Errorf("under a hold: %d", refused.status)
	}
	b.desk.Holding = nil
	if got := b.post("/erasures", form()); got.status != http.StatusForbidden {
		t.Errorf("a form of another sign-in: %d", got.status)
	} else {
		silent("a form of another sign-in", got)
	}
	both := form()
	both.Set("all", "yes")
	if got := b.submit("/erasures", "/erasures", both); got.status != http.StatusConflict || !strings.Contains(got.body, "leave one of the two out") {
		t.Errorf("everything and somebody: %d", got.status)
	}
	got := b.submit("/erasures", "/erasures", url.Values{"do": {"erase"}, "merchant": {"m_1"}, "known": {strings.Repeat("0", 31) + "1", strings.Repeat("0", 31) + "2"}, "basis": {"Art. 17 GDPR"}, "reason": {"the customer asked"}})
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/erasures#ERS-3" || len(b.desk.Erased) != before+1 || b.desk.Erased[before].Names != 2 {
		t.Fatalf("confirmed: %d %s, %+v", got.status, got.header.Get("Location"), b.desk.Erased[before:])
	}
	if list := b.get("/erasures").body; !strings.Contains(list, `id="ERS-3"`) || !strings.Contains(list, "done: in no file of the table") {
		t.Error("the list does not have it, or does not say how far it is")
	}
}

func TestErasingIsForOwners(t *testing.T) {
	b, _ := open(t, console.Options{})
	for name, access := range map[string]incident.Access{"omar": incident.Responder, "vera": incident.Viewer} {
		token := b.desk.Join(name, name, access)
		if got := b.post("/signin", url.Values{"token": {token}, "next": {"/"}}); got.status != http.StatusSeeOther {
			t.Fatal(got.status)
		}
		if got := b.get("/erasures"); got.status != http.StatusForbidden || strings.Contains(got.body, "ERS-2") {
			t.Errorf("%s reads erasures: %d", access, got.status)
		}
		if got := b.post("/erasures", url.Values{"do": {"erase"}, "merchant": {"m_1"}, "all": {"yes"}}); got.status != http.StatusForbidden || len(b.desk.Erased) != 2 {
			t.Errorf("%s erases: %d", access, got.status)
		}
		if strings.Contains(b.get("/accesses").body, "/erasures") {
			t.Errorf("%s is led to erasures", access)
		}
	}
}

// A merchant of a recorded scope that was erased since is named where the scope is read.
func TestARecordedScopeNamesWhoWasErasedSince(t *testing.T) {
	b := signedIn(t, console.Options{})
	const says = "they can no longer be matched with a list"
	if strings.Contains(b.get("/incidents/INC-1/scope").body, says) {
		t.Error("it says so of nobody")
	}
	owner := desk.Caller{Principal: "person:lena", Access: incident.Owner}
	for _, merchant := range []string{"m_1", "m_77"} { // of which one is in the scope
		if _, err := b.desk.SubmitOrg(t.Context(), "", owner, org.OrderErasure{Merchant: merchant, All: true, Basis: "shop/redact", Reason: "the shop left"}); err != nil {
			t.Fatal(err)
		}
	}
	if page := b.get("/incidents/INC-1/scope").body; strings.Count(page, says) != 1 || !strings.Contains(page, "Merchant <bdi>m_1</bdi> was erased (ERS-1)") {
		t.Error("the scope does not name the erased merchant, or names another")
	}
}
