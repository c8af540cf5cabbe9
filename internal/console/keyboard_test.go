//go:build !race

package console_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// typist is somebody without a mouse: Tab, Enter, Space and letters are all there is.
type typist struct {
	t       *testing.T
	ctx     context.Context
	name    string
	presses int
	letters int
}

// at says what has the focus: whether it is what was looked for, whether that can be seen, and what it is.
// Something that stays in sight, such as the bar, must not lie over it.
const at = `(() => {
	const e = document.activeElement, style = getComputedStyle(e), box = e.getBoundingClientRect();
	const label = e.matches("input[type=radio]") ? getComputedStyle(e.closest("label")) : style;
	const over = document.elementFromPoint(Math.min(box.left + box.width / 2, innerWidth - 1), Math.min(box.top + Math.min(box.height, 40) / 2, innerHeight - 1));
	return {there: e.matches(%s), lined: style.outlineStyle !== "none" || label.outlineStyle !== "none",
		inside: box.width > 0 && box.top > -1 && box.top < innerHeight && box.left < innerWidth, covered: !!over && !e.contains(over) && !over.contains(e),
		what: e.outerHTML.slice(0, 160)};
})()`

// to presses Tab until something has the focus, and looks whether each focus on the way can be seen.
func (k *typist) to(selector string) {
	k.t.Helper()
	var on struct {
		There, Lined, Inside, Covered bool
		What                          string
	}
	run(k.t, k.ctx, chromedp.WaitReady(selector, chromedp.ByQuery))
	for range 150 {
		k.presses++
		run(k.t, k.ctx, chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(fmt.Sprintf(at, quote(selector)), &on))
		if strings.HasPrefix(on.What, "<body") {
			continue // the end of the page: the browser's own bar
		}
		if !on.Lined || !on.Inside || on.Covered {
			k.t.Errorf("%s: the focus cannot be seen (line %v, inside %v, covered %v) on %s", k.name, on.Lined, on.Inside, on.Covered, on.What)
		}
		if on.There {
			return
		}
	}
	k.t.Fatalf("%s: the keyboard does not reach %s; it stands at %s", k.name, selector, on.What)
}

// press presses a key on something, and waits for what that brings.
func (k *typist) press(selector, key, then string) {
	k.t.Helper()
	k.to(selector)
	k.presses++
	run(k.t, k.ctx, chromedp.KeyEvent(key))
	if then != "" {
		ctx, cancel := context.WithTimeout(k.ctx, 30*time.Second)
		defer cancel()
		if err := chromedp.Run(ctx, chromedp.WaitReady(then, chromedp.ByQuery)); err != nil {
			k.t.Fatalf("%s: %s does not lead to %s: %v", k.name, selector, then, err)
		}
	}
}

func (k *typist) write(selector, text string) {
	k.t.Helper()
	k.to(selector)
	k.letters += len(text)
	run(k.t, k.ctx, chromedp.KeyEvent(text))
}

// The walk of the night again, by keyboard alone: nothing of it needs a mouse or a finger, every focus on
// the way can be seen, and the order of the page is the order in which one comes through it.
//
// promise: CON-1
func TestFromTheAlarmToContainedByKeyboardAlone(t *testing.T) {
	address, lenaLink, omarLink, victim := night(t)
	sit := func(name, link string, width int64) *typist {
		_, code, _ := strings.Cut(link, "code=")
		k := &typist{t: t, ctx: browserOf(t, width), name: name}
		run(t, k.ctx, chromedp.Navigate(address+"/join?code="+code))
		k.press("form.form button", kb.Enter, "#token")
		k.presses = 0
		return k
	}
	lena, omar := sit("lena", lenaLink, 390), sit("omar", omarLink, 1280)
	room := "#timeline"

	run(t, lena.ctx, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady(room, chromedp.ByQuery))
	lena.press("a.skip", kb.Enter, room)
	lena.press(`a.button[href$="/do/acknowledge"]`, kb.Enter, "form.form:not(.asked) button")
	lena.press("form.form button", kb.Enter, room)
	for _, fact := range nightQuestions {
		lena.press(`[name="answer.`+fact+`"][value="true"]`, " ", "")
	}
	lena.write("#f-reason", "orders were read")
	lena.press("form.asked button", kb.Enter, `a[href$="/do/answer?fact=exposed"]`)
	lena.press(`a.button[href$="/do/confirm"]`, kb.Enter, "#f-reason")
	lena.write("#f-reason", "300 orders in five minutes")
	lena.press("form.form button", kb.Enter, room)
	lena.press(`a.button[href$="/scope"]`, kb.Enter, "#f-credential")
	lena.press(`button[value="record"]`, kb.Enter, room)
	before := lena.presses
	lena.press(`section[aria-labelledby="scope"] a[href*="/do/plan"]`, kb.Enter, "#f-secret")
	if n := lena.presses - before; n > 3 {
		t.Errorf("%d keys from the scope that was recorded to the plan: what comes next stands beside it", n)
	}
	lena.write("#f-secret", "stolen")
	lena.write("#f-reason", "it is in strange hands")
	lena.press("form.form button", kb.Enter, "#ACT-1")
	if victim.revoked.Load() {
		t.Fatal("the token was revoked by a plan")
	}

	run(t, omar.ctx, chromedp.Navigate(address+"/"), chromedp.WaitReady("main", chromedp.ByQuery))
	omar.press("a.skip", kb.Enter, "main")
	omar.press(".incident a.title", kb.Enter, room)
	omar.press(`a.button[href*="/do/approve"]`, kb.Enter, "button.danger")
	omar.press("button.danger", kb.Enter, room)
	ctx, cancel := context.WithTimeout(lena.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.WaitReady("#ACT-1 .sign.met", chromedp.ByQuery)); err != nil {
		t.Fatalf("the action is not proven on the page: %v", err)
	}
	if !victim.revoked.Load() {
		t.Error("proven, and the token works")
	}
	t.Logf("by keyboard alone: %d keys and %d letters by lena, %d keys by omar", lena.presses, lena.letters, omar.presses)
}
