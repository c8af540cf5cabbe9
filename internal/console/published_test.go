package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
)

// publish puts a policy with a table of clocks into force, in place of one that promised less.
func publish(t *testing.T, d *desktest.Desk) {
	t.Helper()
	source, err := policies.FS.ReadFile("shopstars.yaml")
	if err != nil {
		t.Fatal(err)
	}
	source = bytes.Replace(source, []byte("\npage:\n"), []byte("\npage:\n  - \"{tables}\"\n"), 1)
	older := bytes.Replace(source, []byte("critical: { start_containment: 1h..2h business"), []byte("critical: { start_containment: 1h..4h business"), 1)
	if bytes.Equal(older, source) || !bytes.Contains(source, []byte("{tables}")) {
		t.Fatal("the policy has no clock to be changed, or no page to show its tables on")
	}
	compile := func(b []byte) *policy.Program {
		p, diags := policy.Compile("shopstars.yaml", b, policy.WithLaws(regimes.Catalogue()))
		if p == nil {
			t.Fatal(policy.Format(diags, b))
		}
		return p
	}
	d.Program, d.Before, d.Since = compile(source), compile(older), now.Add(-40*time.Hour)
}

// What is published is one text in three forms, each of which says which version it is and what has
// changed; who holds the newest gets no bytes again.
// promise: PUB-1
func TestThePublishedPolicyIsOneTextInThreeForms(t *testing.T) {
	b, _ := open(t, console.Options{})
	publish(t, b.desk)
	changed := "instead of 4 business hours where the severity is critical"
	shown := b.get("/policy")
	for _, want := range []string{"in place of version <code>" + b.desk.Before.Version(), `href="#changes">1 stricter<`, `id="changes"`, changed, `href="/policy.pdf"`} {
		if !strings.Contains(shown.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for path, kind := range map[string]string{"/policy.md": "text/markdown; charset=utf-8", "/policy.pdf": "application/pdf"} {
		got := b.get(path)
		if got.status != http.StatusOK || got.header.Get("Content-Type") != kind || got.header.Get("Tocsin-Policy") != b.desk.Program.Hash {
			t.Errorf("%s: %d %v", path, got.status, got.header)
		}
		tag := got.header.Get("ETag")
		if again := b.send("GET", path, nil, "If-None-Match", tag); tag == "" || again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("%s: asked again with %q: %d and %d bytes", path, tag, again.status, len(again.body))
		}
		if path == "/policy.md" && !strings.Contains(got.body, changed) {
			t.Errorf("the Markdown does not say %q", changed)
		}
		if path == "/policy.pdf" {
			if text := textOf(t, []byte(got.body)); !strings.Contains(text, changed) || !strings.Contains(text, "Version "+b.desk.Program.Version()) {
				t.Errorf("the paper does not say %q and its version:\n%s", changed, text)
			}
		}
		b.desk.Before = nil
		first := b.send("GET", path, nil, "If-None-Match", tag)
		if first.status != http.StatusOK || strings.Contains(first.body, "What has changed") {
			t.Errorf("%s without a version before: %d", path, first.status)
		}
		publish(t, b.desk)
	}
}

// textOf is the text of a PDF, with every run of blanks as one.
func textOf(t *testing.T, pdf []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		absent(t, "pdftotext is not installed: apt-get install poppler-utils")
	}
	file := filepath.Join(t.TempDir(), "page.pdf")
	if err := os.WriteFile(file, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(tool, "-layout", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// The published page, with its table of clocks and what has changed, on a narrow phone, for axe-core,
// by keyboard without JavaScript, and on paper.
// promise: PUB-1
func TestThePublishedPolicyIsForEverybody(t *testing.T) {
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		absent(t, "axe-core is not installed: npm ci --prefix internal/console")
	}
	ctx, address, d := phone(t, 320)
	publish(t, d)
	var overflow float64
	var wide string
	run(t, ctx, chromedp.Navigate(address+"/policy"), chromedp.WaitReady("#changes"),
		chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &overflow),
		chromedp.Evaluate(`[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest(".scroll") && !e.closest(".hide")).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join(" ")`, &wide))
	if overflow > 0 || wide != "" {
		t.Errorf("%v px too wide: %s", overflow, wide)
	}
	picture(t, ctx, "320/policy-published")
	run(t, ctx, chromedp.Evaluate(string(axe)+";0", nil))
	for _, width := range []int64{320, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			var raw string
			rules := `{resultTypes: ["violations"]}`
			if width != 320 || scheme != "light" { // what depends on the width and on colours alone
				rules = `{resultTypes: ["violations"], runOnly: ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]}`
			}
			run(t, ctx, emulation.SetDeviceMetricsOverride(width, 640, 1, width < 700),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
				chromedp.Evaluate(`axe.run(document, `+rules+`).then(r => JSON.stringify(r.violations.map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.html.slice(0, 200)).join("\n"))))`, &raw, awaited))
			var violations []string
			if err := json.Unmarshal([]byte(raw), &violations); err != nil {
				t.Fatal(err)
			}
			for _, v := range violations {
				t.Errorf("at %d px, %s: %s", width, scheme, v)
			}
		}
	}

	// Paper: what is for the screen is gone, and the table is there to its last column.
	var paper []byte
	run(t, ctx, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		paper, _, err = page.PrintToPDF().WithPaperWidth(8.27).WithPaperHeight(11.69).Do(ctx)
		return err
	}))
	text := textOf(t, paper)
	for _, want := range []string{d.Program.Title, "instead of 4 business hours where the severity is critical", d.Program.Hash} {
		if !strings.Contains(text, want) {
			t.Errorf("the print lacks %q", want)
		}
	}
	for _, e := range d.Program.Sheet(d.Before).Elements {
		if e.Table == nil {
			continue
		}
		for _, head := range e.Table.Head {
			if !strings.Contains(text, head) {
				t.Errorf("the printed table lacks the column %q", head)
			}
		}
	}
	if strings.Contains(text, "Sign out") {
		t.Error("the navigation is printed")
	}

	run(t, ctx, emulation.SetDeviceMetricsOverride(320, 640, 1, true), emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(address+"/policy"), chromedp.WaitReady("main"))
	tabTo(t, ctx, `a[href="#changes"]`)
	var at string
	run(t, ctx, chromedp.KeyEvent(kb.Enter), chromedp.Location(&at))
	if !strings.HasSuffix(at, "/policy#changes") {
		t.Errorf("the link to what has changed leads to %s", at)
	}
	tabTo(t, ctx, `a[href="/policy.pdf"]`)
	run(t, ctx, chromedp.Navigate(address+"/policy"), chromedp.WaitReady("main"))
	tabTo(t, ctx, `.scroll[role="region"]`)
	var before, after float64
	run(t, ctx, chromedp.Evaluate(`document.activeElement.scrollLeft`, &before), chromedp.KeyEvent(kb.ArrowRight),
		emulation.SetScriptExecutionDisabled(false), // for the test's own eyes
		chromedp.Poll(`document.activeElement.scrollLeft > 0`, nil, chromedp.WithPollingTimeout(5*time.Second)),
		chromedp.Evaluate(`document.activeElement.scrollLeft`, &after))
	if before != 0 || after <= before {
		t.Errorf("the table is not moved by the arrow keys: %v, then %v", before, after)
	}
}
