//go:build !race

package console_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The published page, with its table of clocks and what has changed, on a narrow phone, for axe-core,
// by keyboard without JavaScript, and on paper.
// promise: PUB-1
func TestThePublishedPolicyIsForEverybody(t *testing.T) {
	axe := axeCore(t)
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
	run(t, ctx, chromedp.Evaluate(axe, nil))
	for _, width := range []int64{320, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			rules := `{resultTypes: ["violations"]}`
			if width != 320 || scheme != "light" { // what depends on the width and on colours alone
				rules = `{resultTypes: ["violations"], runOnly: ["color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block"]}`
			}
			run(t, ctx, emulation.SetDeviceMetricsOverride(width, 640, 1, width < 700),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
			for _, said := range broken(t, ctx, rules) {
				t.Errorf("at %d px, %s: %s", width, scheme, said)
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
