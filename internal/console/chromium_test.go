//go:build !race

package console_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/desktest"
)

// browserOf is a Chromium whose window has a width, such as a phone's.
func browserOf(t *testing.T, width int64) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		absent(t, "Chromium is not installed: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(int(width), 640))
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil && ctx.Err() == nil { // waits until the browser is gone
			t.Log(err)
		}
	})
	run(t, ctx, emulation.SetDeviceMetricsOverride(width, 640, 2, width < 700))
	return ctx
}

// phone is a Chromium on a console of its own, with the owner signed in.
func phone(t *testing.T, width int64) (ctx context.Context, address string, d *desktest.Desk) {
	t.Helper()
	d, token := desktest.New(now)
	fill(d)
	server := httptest.NewServer(console.New(d, console.Options{Now: func() time.Time { return now }, Organisation: "PickAndPack", Env: "drill", Hour: firstHour{}}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx = browserOf(t, width)
	run(t, ctx, network.SetCookie("tocsin", token).WithDomain(at.Hostname()).WithPath("/").WithHTTPOnly(true))
	return ctx, server.URL, d
}

func run(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// picture keeps what the screen shows in the folder TOCSIN_SCREENSHOTS names, for people to look at.
func picture(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	folder := os.Getenv("TOCSIN_SCREENSHOTS")
	if folder == "" {
		return
	}
	var png []byte
	run(t, ctx, chromedp.FullScreenshot(&png, 100))
	name = strings.NewReplacer("/", "_", "?", "_", "&", "_").Replace(name) + ".png"
	if err := os.WriteFile(filepath.Join(folder, name), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Nothing but a table's own box scrolls sideways on the narrowest phone, and nothing ran.
func TestPagesFitAPhone(t *testing.T) {
	ctx, address, _ := phone(t, 320)
	for _, path := range pages {
		fits(t, ctx, address, path)
		picture(t, ctx, "320"+path)
	}
}

// fits opens a page and says whether anything but a table's own box is wider than the window.
func fits(t *testing.T, ctx context.Context, address, path string) {
	t.Helper()
	var overflow, alien float64
	var wide string
	run(t, ctx, chromedp.Navigate(address+path), chromedp.WaitReady("main"),
		chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &overflow),
		chromedp.Evaluate(`document.querySelectorAll("img, iframe, script:not([src])").length`, &alien),
		chromedp.Evaluate(`[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll") && !e.closest(".hide")).slice(0, 3).map(e => e.tagName + "." + e.className).join(" ")`, &wide))
	if overflow > 0 || alien > 0 || wide != "" {
		t.Errorf("%s: %v px too wide (%s), %v alien elements", path, overflow, wide, alien)
	}
}

// The rules of axe-core (WCAG 2.2 A and AA, and good practice) on every page, wide and narrow, light
// and dark.
func TestPagesAreAccessible(t *testing.T) {
	axe := axeCore(t)
	ctx, address, _ := phone(t, 320)
	for _, path := range slices.Concat(pages, firstPages(), []string{"/settled", "/no/such"}) {
		run(t, ctx, chromedp.Navigate(address+path), chromedp.WaitReady("main"), chromedp.Evaluate(axe, nil),
			// What lies under the bar at this instant is not small: it scrolls out from there. A rule and
			// not a style of the element, because a refresh of the page brings the element anew.
			chromedp.Evaluate(`document.styleSheets[0].insertRule(".bar { position: static !important }", document.styleSheets[0].cssRules.length)`, nil))
		for _, width := range []int64{320, 390, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				if width == 390 && scheme == "dark" {
					continue // 320 and 1280 have the same colours
				}
				rules := `{resultTypes: ["violations"], rules: {"target-size": {enabled: true}}}`
				switch {
				case scheme == "dark": // what depends on colours
					rules = `{resultTypes: ["violations"], runOnly: ["color-contrast", "link-in-text-block"]}`
				case width != 320: // and on the width
					rules = `{resultTypes: ["violations"], runOnly: ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]}`
				}
				run(t, ctx, emulation.SetDeviceMetricsOverride(width, 640, 1, width < 700),
					emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
				for _, said := range broken(t, ctx, rules) {
					t.Errorf("%s at %d px, %s: %s", path, width, scheme, said)
				}
			}
		}
	}
}

// axeCore is the source of axe-core, to be run in a page.
func axeCore(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		absent(t, "axe-core is not installed: npm ci --prefix internal/console")
	}
	return string(source) + ";0"
}

// broken runs rules of axe-core, which is in the page already, and lists those that the page breaks.
func broken(t *testing.T, ctx context.Context, rules string) (out []string) {
	t.Helper()
	run(t, ctx, chromedp.Evaluate(`axe.run(document, `+rules+`).then(r => r.violations.map(v => v.id + " (" + v.help + ")\n" + v.nodes.slice(0, 3).map(n => n.html.slice(0, 200) + " " + n.failureSummary).join("\n")))`, &out, awaited))
	return out
}

// tabTo presses Tab until the focused element matches, and fails when it never does.
func tabTo(t *testing.T, ctx context.Context, selector string) {
	t.Helper()
	var at string
	for range 120 {
		var there bool
		run(t, ctx, chromedp.KeyEvent(kb.Tab),
			chromedp.Evaluate(`document.activeElement.matches(`+quote(selector)+`)`, &there),
			chromedp.Evaluate(`document.activeElement.outerHTML.slice(0, 120)`, &at))
		if there {
			return
		}
	}
	t.Fatalf("the keyboard does not reach %s; it stands at %s", selector, at)
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// A tired person with a keyboard and no JavaScript: skip link, board, room, note, approval.
func TestKeyboardOnlyWithoutJavaScript(t *testing.T) {
	ctx, address, d := phone(t, 320)
	given := make(chan incident.Command, 8)
	d.Answer = func(r desk.Request) (desk.Outcome, error) {
		given <- r.Command
		return desk.Outcome{}, nil
	}
	expect := func(want incident.Command) {
		t.Helper()
		select {
		case got := <-given:
			if got != want {
				t.Errorf("the keyboard gave %+v, want %+v", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%+v was never given", want)
		}
	}
	run(t, ctx, emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(address+"/"), chromedp.WaitReady("main"))
	tabTo(t, ctx, "a.skip")
	var outline string
	run(t, ctx, chromedp.Evaluate(`getComputedStyle(document.activeElement).outlineStyle`, &outline))
	if outline == "none" {
		t.Error("the focus cannot be seen")
	}
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	tabTo(t, ctx, `a.title[href="/incidents/INC-1"]`)
	run(t, ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitReady("#note"))
	tabTo(t, ctx, `a[href="/incidents/INC-1/do/approve?action=ACT-2"]`)
	run(t, ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitReady("button.danger"))
	tabTo(t, ctx, "button.danger")
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	expect(incident.ApproveAction{Action: "ACT-2"})
	run(t, ctx, chromedp.WaitReady("#note"))
	tabTo(t, ctx, "#note")
	run(t, ctx, chromedp.KeyEvent("by keyboard"))
	tabTo(t, ctx, "form.note button")
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	expect(incident.Note{Text: "by keyboard"})
}

// The small script: ? lists the keys, and a refusal takes the focus.
func TestKeysAreListed(t *testing.T) {
	ctx, address, _ := phone(t, 1280)
	var text string
	run(t, ctx, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady("main"), chromedp.KeyEvent("?"),
		chromedp.Text(".keys", &text), chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent(".keys"),
		chromedp.KeyEvent("n"))
	if !strings.Contains(text, "write a note") {
		t.Errorf("%q", text)
	}
	var id string
	run(t, ctx, chromedp.Evaluate(`document.activeElement.id`, &id))
	if id != "note" {
		t.Errorf("n leads to %q", id)
	}
}

// The bar stays in sight, and on a phone the state of the incident comes before its timeline.
func TestRoomOnAPhone(t *testing.T) {
	ctx, address, _ := phone(t, 320)
	var bar, aside, lines, next, body float64
	run(t, ctx, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady(".bar"),
		chromedp.Evaluate(`innerHeight - document.querySelector(".bar").getBoundingClientRect().bottom`, &bar),
		chromedp.Evaluate(`document.querySelector("aside").getBoundingClientRect().top`, &aside),
		chromedp.Evaluate(`document.querySelector(".timeline").getBoundingClientRect().top`, &lines),
		chromedp.Evaluate(`parseFloat(getComputedStyle(document.querySelector(".next .left")).fontSize)`, &next),
		chromedp.Evaluate(`Math.max(...[...document.querySelectorAll("main *")].filter(e => !e.matches(".next .left, .next .left *")).map(e => parseFloat(getComputedStyle(e).fontSize)))`, &body))
	if bar < -1 || bar > 1 {
		t.Errorf("the bar ends %v px above the edge", bar)
	}
	if aside >= lines {
		t.Errorf("the timeline (%v) comes before the state (%v)", lines, aside)
	}
	if next <= body {
		t.Errorf("the next clock (%v px) is not the largest text (%v px)", next, body)
	}
}

// awaited waits for the promise an expression gives.
func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// A refresh keeps what somebody is in the middle of, asks nothing of the Content-Security-Policy,
// and when it fails the page says since when it is old.
func TestRefreshDisturbsNobody(t *testing.T) {
	ctx, address, _ := phone(t, 390)
	var note, focus, stale, again string
	var open, violations float64
	refresh := chromedp.Evaluate(`new Promise(done => {
		document.addEventListener("htmx:finally:request", () => setTimeout(() => done(true)), {once: true});
		document.getElementById("live").dispatchEvent(new Event("every"));
	})`, nil, awaited)
	run(t, ctx, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady("main"),
		chromedp.Evaluate(`window.violations = 0; document.addEventListener("securitypolicyviolation", () => window.violations++)`, nil),
		chromedp.Evaluate(`document.querySelector("aside details").open = true`, nil),
		chromedp.Focus("#note"), chromedp.KeyEvent("half a no"), chromedp.Evaluate(`document.querySelector(".next .say").textContent = "changed"`, nil),
		refresh, chromedp.KeyEvent("te"),
		chromedp.Value("#note", &note), chromedp.Evaluate(`document.activeElement.id`, &focus),
		chromedp.Evaluate(`document.querySelectorAll("aside details[open]").length`, &open),
		chromedp.Text(".next .say", &again), chromedp.Evaluate(`window.violations`, &violations))
	if note != "half a note" || focus != "note" || open != 1 || violations != 0 {
		t.Errorf("after a refresh the note is %q, the focus on %q, %v details open, %v violations", note, focus, open, violations)
	}
	if again == "changed" {
		t.Error("nothing was refreshed")
	}
	run(t, ctx, network.ClearBrowserCookies(), refresh, chromedp.Text("#stale", &stale), chromedp.Value("#note", &note))
	if !strings.Contains(stale, "Not refreshed since") || !strings.Contains(stale, "signed out") || note != "half a note" {
		t.Errorf("a page that cannot refresh says %q and keeps %q", stale, note)
	}
}

// Another recipient is shown without leaving the page.
func TestPreviewWithoutReload(t *testing.T) {
	ctx, address, _ := phone(t, 390)
	var letter string
	var same bool
	run(t, ctx, chromedp.Navigate(address+"/incidents/INC-1/notices?notice=NTC-1"), chromedp.WaitReady("main"),
		chromedp.Evaluate(`window.same = true`, nil),
		chromedp.Evaluate(`(() => { const s = document.getElementById("party"); s.value = "m_4"; s.dispatchEvent(new Event("change", {bubbles: true})); })()`, nil),
		chromedp.WaitReady("#letter article"), chromedp.Text("#letter", &letter), chromedp.Evaluate(`window.same === true`, &same))
	if !same || !strings.Contains(letter, "4 of your customers are concerned") {
		t.Errorf("reloaded: %v; %s", !same, letter)
	}
}
