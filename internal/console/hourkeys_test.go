//go:build !race

package console_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// What an owner comes to in the first hour is reached with Tab alone: every field, button and link of each
// of its pages, in the order in which it stands there, and each focus can be seen.
func TestTheFirstHourIsReachedByKeyboardAlone(t *testing.T) {
	address, token, founding := begun(t)
	ctx := seen(t, address, token, 390)
	for _, path := range append(firstPages(), founding) {
		if !strings.HasPrefix(path, "http") {
			path = address + path
		}
		var want []string
		run(t, ctx, chromedp.Navigate(path), chromedp.WaitReady("main"), chromedp.Evaluate(`[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")]
			.filter(e => e.checkVisibility() && !e.closest("details:not([open]) > :not(summary)")).map((e, i) => { e.dataset.nth = i; return e.outerHTML.slice(0, 120); })`, &want))
		var order []float64
		for range 2 * len(want) {
			var on struct {
				There, Lined, Inside, Covered bool
				What                          string
			}
			var nth float64
			run(t, ctx, chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(fmt.Sprintf(at, `"*"`), &on), chromedp.Evaluate(`Number(document.activeElement.dataset.nth ?? -1)`, &nth))
			if nth < 0 {
				break // through, and back at the browser's own bar
			}
			if n := len(order); n == 0 || order[n-1] != nth { // a field of a date has several stops
				order = append(order, nth)
			}
			if !on.Lined || !on.Inside || on.Covered {
				t.Errorf("%s: the focus cannot be seen (line %v, inside %v, covered %v) on %s", path, on.Lined, on.Inside, on.Covered, on.What)
			}
		}
		if len(order) != len(want) || !slices.IsSorted(order) {
			t.Errorf("%s: Tab comes to %d of %d in the order %v", path, len(order), len(want), order)
		}
	}
}
