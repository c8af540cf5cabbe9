//go:build !race

package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// promise: REV-1
func TestAReviewIsWrittenPickedAndPublishedByKeyboardWithoutJavaScript(t *testing.T) {
	ctx, address, d := phone(t, 320)
	given := make(chan incident.Command, 8)
	d.Answer = func(r desk.Request) (desk.Outcome, error) {
		given <- r.Command
		return desk.Outcome{}, nil
	}
	next := func() incident.Command {
		t.Helper()
		select {
		case c := <-given:
			return c
		case <-ctx.Done():
			t.Fatal("nothing was given")
			return nil
		}
	}
	d.States["INC-1"].Assessment = &incident.Assessment{}
	d.States["INC-1"].Review.Parts["root_cause"] = &incident.Signed{Text: "no scanning", By: "person:omar", Fact: "01C"}
	run(t, ctx, emulation.SetScriptExecutionDisabled(true), chromedp.Navigate(address+reviewAt), chromedp.WaitReady("main"))
	tabTo(t, ctx, "#log + details > summary")
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	tabTo(t, ctx, ".pickline button")
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	if c, ok := next().(incident.PickEntry); !ok || c.Of != "01J00039" || c.Show != "internal" || !c.At.Equal(now.Add(-time.Minute)) {
		t.Errorf("picked %+v", c)
	}
	run(t, ctx, chromedp.WaitReady("#t-root_cause"))
	tabTo(t, ctx, "#t-root_cause")
	run(t, ctx, chromedp.KeyEvent(kb.End), chromedp.KeyEvent(" at all"))
	tabTo(t, ctx, "button[value=write]")
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	if c, ok := next().(incident.EditReview); !ok || c.Part != "root_cause" || c.Text != "no scanning at all" || c.Was != "01C" {
		t.Errorf("wrote %+v", c)
	}
	run(t, ctx, chromedp.WaitReady("#t-root_cause"), chromedp.Navigate(address+reviewAt+"/plan"), chromedp.WaitReady("button.danger"))
	tabTo(t, ctx, "button.danger")
	run(t, ctx, chromedp.KeyEvent(kb.Enter))
	if c, ok := next().(incident.PublishReview); !ok || !strings.HasPrefix(c.Digest, "sha256:") || c.Version != "internal" {
		t.Errorf("published %+v", c)
	}
}

// What was typed and not saved comes back after a reload, over the text that was seen when it was typed.
func TestUnsavedTextComesBackAfterAReload(t *testing.T) {
	ctx, address, d := phone(t, 1280)
	var text, was, said, stored string
	run(t, ctx, chromedp.Navigate(address+reviewAt), chromedp.WaitReady("main"), chromedp.SendKeys("#t-root_cause", "half a sentence"))
	d.States["INC-1"].Review.Parts["root_cause"] = &incident.Signed{Text: "somebody else's", By: "person:omar", Fact: "01OTHER"}
	run(t, ctx, chromedp.Reload(), chromedp.WaitReady("#t-root_cause"),
		chromedp.Value("#t-root_cause", &text), chromedp.Value("form:has(#t-root_cause) [name=was]", &was), chromedp.Text("form:has(#t-root_cause) [data-kept]", &said))
	if text != "half a sentence" || was != incident.NoText || !strings.Contains(said, "Not saved yet") {
		t.Errorf("after a reload: %q over %q, and the page says %q", text, was, said)
	}
	d.States["INC-1"].Review.Parts["root_cause"] = &incident.Signed{Text: "half a sentence", By: "person:lena", Fact: "01MINE"}
	run(t, ctx, chromedp.Reload(), chromedp.WaitReady("#t-root_cause"), chromedp.Evaluate(`String(sessionStorage.length)`, &stored), chromedp.Value("form:has(#t-root_cause) [name=was]", &was))
	if stored != "0" || was != "01MINE" {
		t.Errorf("a saved text is kept in the browser: %s, over %s", stored, was)
	}
}

// A line of the log is dragged onto the timeline, as its button does it. Dropped elsewhere it does nothing.
func TestALineOfTheLogIsDraggedOntoTheTimeline(t *testing.T) {
	ctx, address, d := phone(t, 1280)
	given := make(chan incident.Command, 8)
	d.Answer = func(r desk.Request) (desk.Outcome, error) {
		given <- r.Command
		return desk.Outcome{}, nil
	}
	caught := make(chan *input.DragData, 1)
	chromedp.ListenTarget(ctx, func(ev any) {
		if e, ok := ev.(*input.EventDragIntercepted); ok {
			caught <- e.Data
		}
	})
	drag := func(onto string) {
		t.Helper()
		at := func(selector string) (x, y float64) {
			var box [2]float64
			run(t, ctx, chromedp.Evaluate(`(() => { const b = document.querySelector(`+quote(selector)+`).getBoundingClientRect(); return [b.left + 12, b.top + 8]; })()`, &box))
			return box[0], box[1]
		}
		run(t, ctx, chromedp.Navigate(address+reviewAt), chromedp.WaitReady("main"), emulation.SetDeviceMetricsOverride(1280, 6000, 1, false), input.SetInterceptDrags(true),
			chromedp.Evaluate(`document.querySelector("#log + details").open = true`, nil))
		x, y := at(".pickline bdi")
		run(t, ctx, input.DispatchMouseEvent(input.MousePressed, x, y).WithButton(input.Left).WithClickCount(1), input.DispatchMouseEvent(input.MouseMoved, x+9, y+9).WithButton(input.Left).WithButtons(1))
		var data *input.DragData
		select {
		case data = <-caught:
		case <-ctx.Done():
			t.Fatal("no drag began")
		}
		x, y = at(onto)
		run(t, ctx, input.DispatchDragEvent(input.DragEnter, x, y, data), input.DispatchDragEvent(input.DragOver, x, y, data), input.DispatchDragEvent(input.Drop, x, y, data),
			input.DispatchMouseEvent(input.MouseReleased, x, y).WithButton(input.Left))
	}
	drag("#document")
	drag("#curated")
	select {
	case c := <-given:
		if p, ok := c.(incident.PickEntry); !ok || p.Of != "01J00039" || p.Entry != "" {
			t.Errorf("picked %+v", c)
		}
	case <-ctx.Done():
		t.Fatal("nothing was picked")
	}
	run(t, ctx, chromedp.WaitReady("#curated"))
	if len(given) != 0 {
		t.Errorf("%d more were picked", len(given))
	}
}
