package console_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
)

func TestTheGlassIsBrokenWithAReasonAfterThePlanWasShown(t *testing.T) {
	b := signedIn(t, console.Options{})
	const page = "/break-glass"
	form := url.Values{"incident": {"INC-1"}}
	if got := b.submit(page, page, form); got.status < 400 || len(b.desk.Asked()) != 0 {
		t.Fatalf("without a reason it is answered %d, asked %v", got.status, b.desk.Asked())
	}
	form.Set("reason", "Mark is ill and nobody else is on the list")
	got := b.submit(page, page, form)
	if got.status != http.StatusOK || len(b.desk.Asked()) != 0 {
		t.Fatalf("%d, asked %v", got.status, b.desk.Asked())
	}
	for _, want := range []string{"Everybody on its list is told by mail at once", "You come on the list of", "Break the glass of INC-1", "Mark is ill"} {
		if !strings.Contains(html.UnescapeString(got.body), want) {
			t.Errorf("the plan lacks %q", want)
		}
	}
	// The plan says the same of a number that no incident has, so that it tells nobody of one.
	unknown := url.Values{"incident": {"INC-99"}, "reason": form["reason"]}
	other := b.submit(page, page, unknown)
	if other.status != http.StatusOK || !strings.Contains(other.body, "Break the glass of INC-99") {
		t.Fatalf("%d", other.status)
	}
	unknown.Set("planned", plannedField.FindStringSubmatch(other.body)[1])
	if other = b.submit(page, page, unknown); other.status != http.StatusNotFound {
		t.Fatalf("%d", other.status)
	}
	before := len(b.desk.Asked())
	form.Set("planned", plannedField.FindStringSubmatch(got.body)[1])
	got = b.submit(page, page, form)
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/incidents/INC-1" {
		t.Fatalf("%d %s", got.status, got.header.Get("Location"))
	}
	asked := b.desk.Asked()[before:]
	if c, ok := asked[0].Command.(incident.BreakGlass); len(asked) != 1 || !ok || c.Reason != form.Get("reason") || asked[0].Incident != "INC-1" {
		t.Fatalf("%+v", asked)
	}
}

func TestOnlyOwnersAreShownHowTheGlassIsBroken(t *testing.T) {
	address, _, _, omar := team(t)
	r, err := http.NewRequestWithContext(t.Context(), "GET", address+"/break-glass", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "tocsin", Value: omar})
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	got.Body.Close()
	if got.StatusCode != http.StatusForbidden {
		t.Fatalf("a responder is answered %d", got.StatusCode)
	}
}
