//go:build !race

package console_test

import (
	"net/http/httptest"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desktest"
)

// By keyboard and without JavaScript, from the published page to the words of what a draft changes; both
// pages fit a phone.
func TestADraftIsComparedByKeyboardWithoutJavaScript(t *testing.T) {
	hour := &changing{}
	d, token := desktest.New(now)
	fill(d)
	publish(t, d)
	server := httptest.NewServer(console.New(d, console.Options{Hour: hour, Organisation: "PickAndPack"}))
	t.Cleanup(server.Close)
	ctx := seen(t, server.URL, token, 320)
	run(t, ctx, emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(server.URL+"/policy"), chromedp.WaitReady("main"))
	tabTo(t, ctx, `a[href="/policy/draft"]`)
	run(t, ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitReady("#text"))
	tabTo(t, ctx, "form:has(#text) button")
	run(t, ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitReady("#then"))
	var stuck string
	run(t, ctx, chromedp.Evaluate(wide, &stuck))
	if stuck != "" {
		t.Errorf("on a phone: %s", stuck)
	}
	picture(t, ctx, "320/policy-draft")
	run(t, ctx, emulation.SetDeviceMetricsOverride(1280, 800, 1, false))
	picture(t, ctx, "1280/policy-draft")
}
