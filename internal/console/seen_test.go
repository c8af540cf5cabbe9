package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

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
