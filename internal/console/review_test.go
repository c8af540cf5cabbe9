package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

const reviewAt = "/incidents/INC-1/review"

// promise: REV-1
func TestAPartIsSavedOverTheTextThatWasSeenAndARefusedOneIsKept(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.Answer = func(r desk.Request) (desk.Outcome, error) { return desk.Outcome{}, nil }
	got := b.submit(reviewAt, reviewAt, url.Values{"do": {"write"}, "part": {"timeline"}, "text": {"a\r\n\r\n- b"}, "was": {"01REVIEW"}, "version": {"internal"}})
	if got.status != http.StatusSeeOther || got.header.Get("Location") != reviewAt+"?version=internal#p-timeline" {
		t.Fatalf("%d %s", got.status, got.header.Get("Location"))
	}
	asked := b.desk.Asked()
	if c, ok := asked[len(asked)-1].Command.(incident.EditReview); !ok || c != (incident.EditReview{Part: "timeline", Version: "internal", Text: "a\n\n- b", Was: "01REVIEW"}) {
		t.Errorf("asked for %+v", asked[len(asked)-1].Command)
	}
	b.desk.Answer = func(r desk.Request) (desk.Outcome, error) {
		return desk.Outcome{}, &incident.Refusal{Reason: incident.RefusedStale, Message: "the part timeline was written by person:omar in the meantime: nothing was overwritten"}
	}
	mine := "my own text <b>"
	got = b.submit(reviewAt, reviewAt, url.Values{"do": {"write"}, "part": {"timeline"}, "text": {mine}, "was": {"01OLD"}, "version": {"internal"}})
	for _, want := range []string{"nothing was overwritten", "my own text &lt;b&gt;</textarea>", "What omar wrote there meanwhile", "Then **this** happened.", `name="was" value="01REVIEW"`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the refused page lacks %q", want)
		}
	}
	if got.status != http.StatusConflict {
		t.Errorf("status %d", got.status)
	}
}

// promise: REV-1, REV-3
func TestTheReviewSaysWhatIsMissingAndWhatIsOverdue(t *testing.T) {
	b := signedIn(t, console.Options{})
	page := b.get(reviewAt).body
	for _, want := range []string{"The part &#34;Root cause&#34; is not written.", "The assessment (way in, cause, risk) is not recorded.", "Shorter tokens", "overdue", "opened again 1 time", "Publication 2",
		"What changed since", "sha256:efef", "In the log", "/incidents/INC-1/timeline?from=2026-11-22T03%3A05%3A00Z#l-01J00001", "<strong>this</strong>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	client := b.get(reviewAt + "?version=client").body
	for _, want := range []string{"not in this version", "What we recommend you do", "the part recommendations of the client version is empty", `href="/incidents/INC-1/review?version=client#p-recommendations"`} {
		if !strings.Contains(client, want) {
			t.Errorf("the client version lacks %q", want)
		}
	}
	plan := b.get(reviewAt + "/plan?version=client").body
	if strings.Contains(plan, "anna@example.com") || strings.Contains(plan, "Omar wrote") || !strings.Contains(plan, "E-mail address, 1 time, in What it means for you") {
		t.Errorf("the plan shows what was to be left out, or does not say that it was: %s", plan[strings.Index(plan, "<h1>"):])
	}
	year := b.get("/programme").body
	if !strings.Contains(year, "Shorter tokens") || !strings.Contains(year, `href="/incidents/INC-1/review#CA-1"`) {
		t.Error("the programme does not list the corrective actions of all incidents")
	}
	file := b.get("/correctives.csv")
	if !strings.HasPrefix(file.body, "incident,action,what,owner,due,state") || strings.Count(file.body, "INC-1,CA-") != 2 {
		t.Errorf("the file: %s", file.body)
	}
	for form, kind := range map[string]string{"md": "text/markdown", "html": "text/html", "pdf": "application/pdf"} {
		got := b.get(reviewAt + "/file?version=client&form=" + form)
		if !strings.HasPrefix(got.header.Get("Content-Type"), kind) || got.header.Get("Content-Disposition") != `attachment; filename="review-client.`+form+`"` || strings.Contains(got.body, "anna@") {
			t.Errorf("%s: %v", form, got.header)
		}
	}
	if got := b.get(reviewAt + "/file?form=exe"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("an unknown form: %d", got.status)
	}
}

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

// Who only reads finds the document open, and is not told to publish it; a publication has an address.
func TestWhoOnlyReadsTheReviewFindsItOpen(t *testing.T) {
	b := looking(t, console.Options{})
	got := b.get(reviewAt).body
	if strings.Contains(got, "then publish it") || !strings.Contains(got, "Read the very text") || strings.Count(got, "<details open>") < 2 {
		t.Errorf("the review of a reader:\n%s", got)
	}
	if !strings.Contains(got, `<li id="internal-2">`) || !strings.Contains(got, `version=internal#internal-2"`) {
		t.Error("a publication has no address")
	}
}
