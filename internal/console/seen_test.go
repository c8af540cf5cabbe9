package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"

	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/played"
)

// firstHour is an installation in its first hour: one step taken, one put off, the rest open.
type firstHour struct{ console.Hour }

func (firstHour) Checkup(context.Context) (doctor.Report, error) {
	return doctor.Report{At: now, Served: true, Findings: []doctor.Finding{
		{ID: "mail.relay", State: "fail", Say: "no relay is set " + hostile, Do: "set one: tocsin setup mail"},
		{ID: "events.silent", State: "warn", Say: "no event yet", Do: "send one"}}}, nil
}

func (firstHour) Steps(doctor.Report) ([]doctor.Step, error) {
	var out []doctor.Step
	for i, id := range hourSteps {
		out = append(out, doctor.Step{ID: id, State: []string{"done", "skipped", "open"}[min(i, 2)], Say: "What it is for, in a sentence.", Do: "tocsin setup " + id})
	}
	return out, nil
}

func (firstHour) Mail() (console.Relay, error) {
	return console.Relay{Relay: "smtp.example.com:587", From: hostile, TLS: "tls"}, nil
}

func (firstHour) Apps() []console.App                  { return []console.App{{ID: "pickandpack", Name: hostile}} }
func (firstHour) Drills() ([]played.Run, error)        { return nil, nil }
func (firstHour) Scenarios() []string                  { return []string{"stolen-token"} }
func (firstHour) Drilling() (time.Time, string)        { return time.Time{}, "" }
func (firstHour) Integrations() []console.Integration  { return nil }
func (firstHour) SkipStep(id string, again bool) error { return nil }

var hourSteps = []string{"name", "owner", "policy", "mail", "key", "events", "merchants", "away", "drill"}

// firstPages are the pages of the first hour.
func firstPages() []string {
	out := []string{"/setup"}
	for _, id := range hourSteps {
		out = append(out, "/setup/"+id)
	}
	return out
}

// begun is a console in its first hour, with the owner signed in, and the page of an empty folder.
func begun(t *testing.T) (address, token, founding string) {
	t.Helper()
	d, token := desktest.New(now)
	fill(d)
	server := httptest.NewServer(console.New(d, console.Options{Now: func() time.Time { return now }, Organisation: "PickAndPack", Hour: firstHour{}}))
	t.Cleanup(server.Close)
	first := httptest.NewServer(console.NewFounding(console.Founding{Code: "abc", Until: time.Now().Add(time.Hour), Policies: []string{"shopify-app"}}))
	t.Cleanup(first.Close)
	return server.URL, token, first.URL + "/setup?code=abc"
}

// seen is a Chromium in which somebody is signed in.
func seen(t *testing.T, address, token string, width int64) context.Context {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx := browserOf(t, width)
	run(t, ctx, network.SetCookie("tocsin", token).WithDomain(at.Hostname()).WithPath("/").WithHTTPOnly(true))
	return ctx
}

// wide lists what sticks out of the page to the right, or is cut off inside a box that hides it.
const wide = `(() => {
	const out = [];
	const root = document.documentElement;
	if (root.scrollWidth > root.clientWidth) out.push("page " + (root.scrollWidth - root.clientWidth) + " px");
	for (const e of document.querySelectorAll("body *")) {
		if (e.closest(".scroll, .hide, .skip, svg, option, details:not([open]) > :not(summary)") || getComputedStyle(e).display === "none") continue;
		const box = e.getBoundingClientRect();
		if (box.width && box.right > root.clientWidth + 1) out.push(e.tagName + "." + e.className + " sticks out");
		const style = getComputedStyle(e);
		if (!e.matches("textarea, input, select") && style.overflowX === "hidden" && style.textOverflow !== "ellipsis" && e.scrollWidth > e.clientWidth + 1) out.push(e.tagName + "." + e.className + " is cut");
	}
	return out.slice(0, 4).join("; ");
})()`

// At 200 % a window of 1280 by 800 has 640 by 400 of the page's own pixels: nothing scrolls sideways, and
// nothing is cut. The pages of the first hour are looked at on the narrowest phone too.
func TestPagesAtTwiceTheSize(t *testing.T) {
	address, token, founding := begun(t)
	ctx := seen(t, address, token, 1280)
	for _, width := range []int64{640, 320} {
		run(t, ctx, emulation.SetDeviceMetricsOverride(width, 400, 2, false))
		look := []string{founding}
		for _, path := range firstPages() {
			look = append(look, address+path)
		}
		if width == 640 {
			for _, path := range pages {
				look = append(look, address+path)
			}
		}
		for _, at := range look {
			var found string
			run(t, ctx, chromedp.Navigate(at), chromedp.WaitReady("main"), chromedp.Evaluate(wide, &found))
			if found != "" {
				t.Errorf("%s at %d px: %s", strings.TrimPrefix(at, address), width, found)
			}
		}
	}
}

// Nothing moves by itself, whatever is asked for; with colours of the reader's own, every control still has
// an edge and every text a colour of its own; on paper there is no control, and dark stays off it.
func TestPagesForWhoeverAsksForLessMotionOwnColoursOrPaper(t *testing.T) {
	address, token, founding := begun(t)
	ctx := seen(t, address, token, 1280)
	look := []string{founding, address + "/setup/mail"}
	for _, path := range []string{"/", "/incidents/INC-1", "/incidents/INC-1/review", "/incidents/INC-1/scope", "/incidents/INC-1/notices", "/clocks", "/accesses", "/programme", "/settings", "/policy", "/report", "/status"} {
		look = append(look, address+path)
	}
	media := func(features ...*emulation.MediaFeature) chromedp.Action {
		return emulation.SetEmulatedMedia().WithFeatures(features)
	}
	for _, at := range look {
		var moving, edges, same, paper string
		run(t, ctx, media(&emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"}), chromedp.Navigate(at), chromedp.WaitReady("main"),
			chromedp.Evaluate(`[...document.querySelectorAll("*")].filter(e => { const s = getComputedStyle(e); return parseFloat(s.animationDuration) > 0 || parseFloat(s.transitionDuration) > 0 || s.scrollBehavior === "smooth"; }).map(e => e.tagName).slice(0, 3).join(" ") + document.getAnimations().length`, &moving),
			media(&emulation.MediaFeature{Name: "forced-colors", Value: "active"}),
			chromedp.Evaluate(`matchMedia("(forced-colors: active)").matches ? [...document.querySelectorAll("button, a.button, input:not([type=hidden], [type=checkbox], [type=radio]), select, textarea")].filter(e => e.checkVisibility() && parseFloat(getComputedStyle(e).borderTopWidth) < 1).map(e => e.outerHTML.slice(0, 80)).slice(0, 3).join(" ") : "forced colours are not emulated"`, &edges),
			chromedp.Evaluate(`[...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && getComputedStyle(e).color === getComputedStyle(e).backgroundColor).map(e => e.outerHTML.slice(0, 80)).slice(0, 3).join(" ")`, &same),
			emulation.SetEmulatedMedia().WithMedia("print").WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}, {Name: "forced-colors", Value: "none"}}),
			chromedp.Evaluate(`[...document.querySelectorAll("button, input:not([type=hidden]), select, textarea, nav a")].filter(e => !e.closest("main nav, main details") && e.checkVisibility()).map(e => e.outerHTML.slice(0, 80)).concat(getComputedStyle(document.body).backgroundColor === "rgb(255, 255, 255)" ? [] : ["the paper is dark"]).slice(0, 3).join(" ")`, &paper),
			emulation.SetEmulatedMedia())
		if moving != "0" || edges != "" || same != "" || paper != "" {
			t.Errorf("%s: moves %q; without an edge: %s; not told from its ground: %s; on paper: %s", strings.TrimPrefix(at, address), moving, edges, same, paper)
		}
	}
}

// Somebody else's text may run from right to left, or turn its surroundings round: wherever it stands, it
// stands in an element that keeps its direction to itself.
func TestOtherPeoplesTextKeepsItsDirectionToItself(t *testing.T) {
	b := signedIn(t, console.Options{Hour: firstHour{}})
	for _, path := range append(pages, firstPages()...) {
		root, err := html.Parse(strings.NewReader(b.get(path).body))
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			if n.Type != html.TextNode || !strings.Contains(n.Data, "{{7*7}}") {
				continue
			}
			alone := false
			for up := n.Parent; up != nil; up = up.Parent {
				alone = alone || up.Data == "bdi" || slices.Contains([]string{"option", "title", "textarea"}, up.Data) || attribute(up, "dir") != ""
			}
			if !alone {
				t.Errorf("%s: <%s> holds somebody else's text without a direction of its own: %.60s", path, n.Parent.Data, strings.TrimSpace(n.Data))
			}
		}
	}
}

// The pages of the first hour hold to the same rules as the others.
func TestThePagesOfTheFirstHourAreValidAndLeadSomewhere(t *testing.T) {
	b := signedIn(t, console.Options{Hour: firstHour{}})
	for _, path := range firstPages() {
		got := b.get(path)
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d", path, got.status)
		}
		valid(t, path, got.body)
		links, ids := linksOf(t, got.body)
		for _, link := range links {
			at, anchor, _ := strings.Cut(link, "#")
			if at == "" && !ids[anchor] {
				t.Errorf("%s: #%s is not there", path, anchor)
			}
			if at != "" && at != "/signout" && !strings.HasPrefix(at, "/static/") {
				if found := b.get(at); found.status >= http.StatusBadRequest {
					t.Errorf("%s leads to %s, which answers %d", path, at, found.status)
				}
			}
		}
	}
}
