//go:build !race

package console_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tocsin-ir/tocsin/internal/console"
)

// watchFocus opens whatever is folded away, lists what somebody can use on a page, and from then on keeps at each
// release of Tab what has the focus and how that looks. A group of radio buttons is one stop.
const watchFocus = `(() => {
	for (const d of document.querySelectorAll("details")) d.open = true;
	const look = e => { const s = getComputedStyle(e); return s.outlineStyle + s.outlineWidth + s.outlineColor + s.boxShadow; };
	const drawn = e => { const s = getComputedStyle(e); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== "none"; };
	const ring = e => e.matches("[type=radio]") ? e.closest("label") : e;
	const seen = e => e.checkVisibility({visibilityProperty: true, opacityProperty: true});
	const all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0'], [role=button]")]
		.filter(e => seen(e) && !e.disabled && !e.matches("[name=website]"))
		.filter(e => !e.matches("[type=radio]") || e.checked || ![...document.getElementsByName(e.name)].some(o => o.form === e.form && o.checked) && e === [...document.getElementsByName(e.name)].find(o => o.form === e.form));
	const was = all.map(e => look(ring(e)));
	window.focuses = [];
	addEventListener("keyup", ev => {
		if (ev.key !== "Tab") return;
		const e = document.activeElement, nth = all.indexOf(e), rect = e.getClientRects()[0] ?? new DOMRect();
		if (nth < 0) { focuses.push({Nth: -1, What: e.outerHTML.slice(0, 160), Stray: e !== document.body && e !== document.documentElement}); return; }
		const bar = document.querySelector(".bar"), top = bar && getComputedStyle(bar).position === "sticky" && !bar.contains(e) ? bar.getBoundingClientRect().top : innerHeight;
		const line = e.matches("textarea") ? Math.min(rect.height, 40) : rect.height; // Chromium brings the line that is written into sight
		const fits = line < top - 16, bottom = Math.min(rect.bottom, top);
		const x = Math.min(Math.max(rect.left + rect.width / 2, 0), innerWidth - 1), y = (Math.max(rect.top, 0) + bottom) / 2, over = document.elementFromPoint(x, y);
		focuses.push({Nth: nth, What: e.outerHTML.slice(0, 160),
			Plain: !drawn(ring(e)) || look(ring(e)) === was[nth],
			Hidden: rect.width === 0 || (fits ? rect.top < -1 || rect.top + line > top + 1 : rect.top > top - 16 || rect.bottom < 16) || rect.left > innerWidth - 1 || rect.right < 1,
			Under: over && !e.contains(over) && !over.contains(e) ? over.outerHTML.slice(0, 80) : "",
			At: Math.round(rect.top) + " to " + Math.round(rect.bottom) + " of " + Math.round(top), Top: rect.top + scrollY, Bottom: rect.bottom + scrollY, Row: [...document.querySelectorAll("tr")].indexOf(e.closest("tr")), Flows: !e.closest(".bar, .skip")});
	}, true);
	return all.map(e => e.outerHTML.slice(0, 160));
})()`

// focused is what has the focus after a key.
type focused struct {
	Nth                  int
	What, Under, At      string
	Plain, Hidden, Stray bool
	Top, Bottom          float64
	Row                  int  // of all rows of tables, -1 outside of them
	Flows                bool // it stands where the page puts it, and not at an edge of the window
}

// Whoever presses Tab comes to everything on a page that can be used, each once and in its order, and from the
// end to the beginning; always sees where they are, and everything they come to has a name. It is so for every
// page of the console, with all that is folded away opened, in the smallest window that has a bar.
func TestTabComesToEverythingOnEveryPage(t *testing.T) {
	l, token := everything(t)
	server := httptest.NewServer(console.New(l, console.Options{Now: func() time.Time { return now }, Organisation: "PickAndPack", Env: "drill", Hour: hearing{l: l}}))
	t.Cleanup(server.Close)
	founding := httptest.NewServer(console.NewFounding(console.Founding{Code: "abc", Until: time.Now().Add(time.Hour), Policies: []string{"shopify-app"}}))
	t.Cleanup(founding.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx := browserOf(t, 320)
	run(t, ctx, network.SetCookie("tocsin", token).WithDomain(at.Hostname()).WithPath("/").WithHTTPOnly(true))
	stops := 0
	for _, path := range slices.Concat(pages, firstPages(), morePages, []string{"/settled", "/no/such", founding.URL + "/setup?code=abc"}) {
		var all []string
		run(t, ctx, chromedp.Navigate(whole(server.URL, path)), chromedp.WaitReady("footer", chromedp.ByQuery), chromedp.Evaluate(watchFocus, &all))
		stops += len(all)
		walkFocus(t, ctx, path, all)
		nameless(t, ctx, path)
	}
	t.Logf("%d stops", stops)
}

// walkFocus presses Tab until what had the focus first has it again, and says what was wrong on the way. A page
// may begin in its middle: a refusal and the field of a search take the focus.
func walkFocus(t *testing.T, ctx context.Context, path string, all []string) {
	t.Helper()
	var way []focused
	round := -1 // where the way begins again
	for presses := 0; round < 0; presses += 40 {
		if presses > 8*len(all)+40 {
			t.Errorf("%s: after %d presses of Tab the focus is not round; it stands at %s", path, presses, way[len(way)-1].What)
			break
		}
		var more []focused
		run(t, ctx, chromedp.KeyEvent(strings.Repeat(kb.Tab, min(40, len(all)+4))), chromedp.Evaluate(`window.focuses.splice(0)`, &more))
		way = append(way, more...)
		for i := range way {
			if i > 0 && way[i].Nth == way[0].Nth && way[i-1].Nth != way[0].Nth {
				round = i
				break
			}
		}
	}
	if round >= 0 {
		way = way[:round]
	}
	met := map[int]bool{}
	var before focused
	for i, f := range way {
		switch {
		case f.Stray:
			t.Errorf("%s: the focus comes to what nobody can use: %s", path, f.What)
		case f.Nth < 0: // the browser's own bar
		case i > 0 && f.Nth == before.Nth: // a field of a date has several stops
		case met[f.Nth]:
			t.Errorf("%s: the focus comes a second time to %s", path, f.What)
		default:
			met[f.Nth] = true
			begins := i == 0 || f.Nth == 0 && before.Nth == len(all)-1
			if !begins && (f.Nth < before.Nth || before.Flows && f.Flows && f.Bottom <= before.Top && (f.Row < 0 || f.Row != before.Row)) {
				t.Errorf("%s: the focus goes back from %s to %s", path, before.What, f.What)
			}
			if f.Plain || f.Hidden || f.Under != "" {
				t.Errorf("%s: the focus cannot be seen (without a line %v, out of sight at %s %v, under %q) on %s", path, f.Plain, f.At, f.Hidden, f.Under, f.What)
			}
		}
		if f.Nth >= 0 {
			before = f
		}
	}
	for i, what := range all {
		if !met[i] {
			t.Errorf("%s: Tab does not come to %s", path, what)
		}
	}
}

// axSay is something that the browser tells a screen reader.
type axSay struct {
	Value any `json:"value"`
}

// nameless asks the browser what it tells a screen reader, and finds what can have the focus and has no name.
func nameless(t *testing.T, ctx context.Context, path string) {
	t.Helper()
	var tree struct { // the protocol's own types know no names that Chromium added since
		Nodes []struct {
			Ignored    bool  `json:"ignored"`
			Role       axSay `json:"role"`
			Name       axSay `json:"name"`
			Properties []struct {
				Name  string `json:"name"`
				Value axSay  `json:"value"`
			} `json:"properties"`
			BackendDOMNodeID cdp.BackendNodeID `json:"backendDOMNodeId"`
		} `json:"nodes"`
	}
	var missing []cdp.BackendNodeID
	run(t, ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		return cdp.Execute(ctx, accessibility.CommandGetFullAXTree, nil, &tree)
	}))
	looked := 0
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role.Value == "RootWebArea" || n.Role.Value == "main" { // which are called by the title and by what they are
			continue
		}
		for _, p := range n.Properties {
			if p.Name != "focusable" || p.Value.Value != true {
				continue
			}
			looked++
			if name, _ := n.Name.Value.(string); strings.TrimSpace(name) == "" {
				missing = append(missing, n.BackendDOMNodeID)
			}
		}
	}
	if looked == 0 {
		t.Errorf("%s: a screen reader is told of nothing", path)
	}
	for _, id := range missing {
		var what string
		run(t, ctx, chromedp.ActionFunc(func(ctx context.Context) (err error) {
			what, err = dom.GetOuterHTML().WithBackendNodeID(id).Do(ctx)
			return err
		}))
		t.Errorf("%s: a screen reader is told no name of %s", path, fmt.Sprintf("%.160s", what))
	}
}
