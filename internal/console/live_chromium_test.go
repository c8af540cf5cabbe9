//go:build !race

package console_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/tocsin-ir/tocsin/incident"
)

// someone is a browser in which a person is signed in.
func someone(t *testing.T, address, token string) context.Context {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx := browserOf(t, 1000)
	run(t, ctx, network.SetCookie("tocsin", token).WithDomain(at.Hostname()).WithPath("/").WithHTTPOnly(true))
	return ctx
}

func TestTwoPeopleOnOneIncidentSeeEachOther(t *testing.T) {
	address, d, lena, omar := team(t)
	one, two := someone(t, address, lena), someone(t, address, omar)
	shows := func(ctx context.Context, selector, want string) {
		t.Helper()
		run(t, ctx, chromedp.Poll(`document.querySelector(`+"`"+selector+"`"+`)?.textContent.includes("`+want+`")`, nil, chromedp.WithPollingTimeout(20*time.Second)))
	}
	run(t, one, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady("#note"))
	run(t, two, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady("#note"))
	shows(one, "#here", "Omar")
	shows(two, "#here", "Lena")

	// What happens is on the screen without anybody asking for it.
	d.Moved("INC-1", func(s *incident.State) { s.Title = "Moved while you looked" })
	shows(one, "h1", "Moved while you looked")
	shows(two, "h1", "Moved while you looked")

	// A form that the incident left behind says so, and keeps what was written.
	run(t, two, chromedp.Navigate(address+"/incidents/INC-1/do/dismiss"), chromedp.WaitReady("main form.form"), chromedp.SendKeys(`main form.form [name="reason"]`, "it was our own back", chromedp.ByQuery))
	shows(two, "#here", "Lena")
	d.Moved("INC-1", func(*incident.State) {})
	shows(two, "#stale", "The incident moved on")
	d.Others = []incident.Line{{Principal: "person:lena", Text: "Confirmed", Recorded: now}}
	var kept string
	run(t, two, chromedp.SendKeys(`main form.form [name="reason"]`, "up", chromedp.ByQuery), chromedp.Click(`main form.form button[type="submit"]`, chromedp.ByQuery),
		chromedp.WaitReady("#trouble"), chromedp.Value(`main form.form [name="reason"]`, &kept, chromedp.ByQuery))
	if kept != "it was our own backup" || len(d.Asked()) != 0 {
		t.Errorf("the form keeps %q, and %d commands were given", kept, len(d.Asked()))
	}
	run(t, two, chromedp.Navigate(address+"/policy"), chromedp.WaitReady("main"))
	run(t, one, chromedp.Poll(`document.getElementById("here").textContent === ""`, nil, chromedp.WithPollingTimeout(20*time.Second)))

	// Away from the network, and back: what happened meanwhile is on the screen.
	offline := func(yes bool) chromedp.Action {
		return chromedp.ActionFunc(func(ctx context.Context) error {
			return network.EmulateNetworkConditions(yes, 0, -1, -1).Do(ctx)
		})
	}
	run(t, one, network.Enable(), offline(true))
	d.Moved("INC-1", func(s *incident.State) { s.Title = "Moved while you slept" })
	run(t, one, offline(false))
	shows(one, "h1", "Moved while you slept")
}

// A browser keeps six connections to one server that has no HTTP/2. Pages that nobody looks at hold none.
func TestPagesThatNobodyLooksAtLeaveTheConnectionsToThoseThatAreRead(t *testing.T) {
	address, d, lena, omar := team(t)
	one, two := someone(t, address, lena), someone(t, address, omar)
	const look = `Object.defineProperty(document, "hidden", {configurable: true, get: () => %v}); document.dispatchEvent(new Event("visibilitychange"))`
	var first context.Context
	for i := range 6 {
		tab, end := chromedp.NewContext(one)
		t.Cleanup(end)
		run(t, tab, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady("#note"), chromedp.Evaluate(fmt.Sprintf(look, true), nil))
		if i == 0 {
			first = tab
		}
	}
	ctx, cancel := context.WithTimeout(one, 20*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady("#note")); err != nil {
		t.Fatalf("with six pages open the seventh does not load: %v", err)
	}
	run(t, one, chromedp.Navigate(address+"/policy"), chromedp.WaitReady("main"))

	// Nobody looks at an incident whose pages are all hidden. One that is looked at again knows what came.
	shows := func(ctx context.Context, js string) {
		t.Helper()
		run(t, ctx, chromedp.Poll(js, nil, chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(20*time.Second)))
	}
	run(t, two, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady("#note"))
	shows(two, `document.getElementById("here").textContent === ""`)
	d.Moved("INC-1", func(s *incident.State) { s.Title = "Moved behind another page" })
	run(t, first, chromedp.Evaluate(fmt.Sprintf(look, false), nil))
	shows(first, `document.querySelector("h1").textContent.includes("Moved behind another page")`)
	shows(two, `document.getElementById("here").textContent.includes("Lena")`)
}

// Who is answering the policy's questions while the incident moves on keeps the answers that are chosen, the
// reason that is half written and the place in it; the page around the form is the new one, and what is then
// sent is what was chosen.
func TestAnswersThatAreBeingGivenSurviveALiveRefresh(t *testing.T) {
	address, d, lena, _ := team(t)
	ctx := someone(t, address, lena)
	const yes, reason = `[name="answer.personal_data"][value="true"]`, "#f-reason"
	run(t, ctx, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady(yes, chromedp.ByQuery), chromedp.Focus(yes, chromedp.ByQuery), chromedp.KeyEvent(" "),
		chromedp.Focus(reason), chromedp.KeyEvent("orders were "))
	for n := range 3 {
		title := fmt.Sprint("Moved while you answered ", n)
		d.Moved("INC-1", func(s *incident.State) { s.Title = title })
		run(t, ctx, chromedp.Poll(`document.querySelector("h1").textContent === `+quote(title), nil, chromedp.WithPollingTimeout(20*time.Second)))
	}
	var chosen bool
	var text, focus string
	run(t, ctx, chromedp.KeyEvent("read"), chromedp.Evaluate(`document.querySelector(`+quote(yes)+`).checked`, &chosen), chromedp.Value(reason, &text), chromedp.Evaluate(`document.activeElement.id`, &focus))
	if !chosen || text != "orders were read" || focus != "f-reason" {
		t.Fatalf("after three refreshes the answer is chosen: %v, the reason is %q and the focus on %q", chosen, text, focus)
	}
	run(t, ctx, chromedp.Evaluate(`document.documentElement.dataset.old = "yes"`, nil), chromedp.Click("form.asked button"), chromedp.WaitReady("html:not([data-old]) #note"))
	if asked := d.Asked(); len(asked) != 1 || asked[0].Command != (incident.Answer{Fact: "personal_data", Value: true, Reason: "orders were read"}) {
		t.Errorf("given: %+v", asked)
	}
}
