//go:build !race

package console_test

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// With a keyboard and without JavaScript, on the narrowest phone: the form, its plan, the list.
//
// promise: PRO-6
func TestAnErasureByKeyboardWithoutJavaScript(t *testing.T) {
	ctx, address, d := phone(t, 320)
	var url, body, list string
	var wide float64
	run(t, ctx, emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(address+"/accesses"), chromedp.WaitReady("main"))
	tabTo(t, ctx, `a[href="/erasures"]`)
	run(t, ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitReady("#f-merchant"))
	for _, field := range []struct{ id, text string }{{"#f-merchant", "m_1"}, {"#f-email", "ann@shop.example"}, {"#f-basis", "Art. 17 GDPR"}, {"#f-reason", "the customer asked"}} {
		tabTo(t, ctx, field.id)
		run(t, ctx, chromedp.KeyEvent(field.text))
	}
	tabTo(t, ctx, `form.form button`)
	run(t, ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitReady("#plan"), chromedp.Location(&url), chromedp.OuterHTML("html", &body),
		chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide))
	if strings.Contains(body, "ann@shop.example") || strings.Contains(url, "ann") || wide > 0 {
		t.Errorf("the plan shows who was named, or is %v px too wide (%s)", wide, url)
	}
	picture(t, ctx, "320-erasure-plan")
	if len(d.Erased) != 2 {
		t.Fatal("the plan has erased")
	}
	tabTo(t, ctx, "button.danger")
	run(t, ctx, chromedp.KeyEvent(kb.Enter), chromedp.WaitReady("#ERS-3"), chromedp.Location(&url), chromedp.OuterHTML("html", &list))
	if strings.Contains(list, "ann@shop.example") || !strings.HasSuffix(url, "/erasures#ERS-3") || len(d.Erased) != 3 || d.Erased[2].Names != 1 || d.Erased[2].Reason != "the customer asked" {
		t.Errorf("confirmed at %s: %+v", url, d.Erased[2:])
	}
}

// The plan is a page that no address leads to: it is looked at after the form, in both colours.
func TestThePlanOfAnErasureIsAccessible(t *testing.T) {
	axe := axeCore(t)
	ctx, address, _ := phone(t, 320)
	run(t, ctx, chromedp.Navigate(address+"/erasures"), chromedp.WaitReady("#f-merchant"),
		chromedp.SendKeys("#f-merchant", "m_1"), chromedp.SendKeys("#f-account", "10010077"), chromedp.SendKeys("#f-basis", "Art. 17 GDPR"), chromedp.SendKeys("#f-reason", "the customer asked"),
		chromedp.Click("form.form button"), chromedp.WaitReady("#plan"), chromedp.Evaluate(axe, nil),
		chromedp.Evaluate(`document.styleSheets[0].insertRule(".bar { position: static !important }", document.styleSheets[0].cssRules.length)`, nil))
	for _, scheme := range []string{"light", "dark"} {
		run(t, ctx, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
		for _, said := range broken(t, ctx, `{resultTypes: ["violations"]}`) {
			t.Errorf("%s: %s", scheme, said)
		}
	}
}
