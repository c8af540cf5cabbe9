//go:build !race

package console_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

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
