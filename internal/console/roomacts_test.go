//go:build !race

package console_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// Every action about the incident as a whole, in a browser, from the room to what the desk is given; with
// JavaScript and without. Where a plan is shown first, nothing is given before it was agreed to.
func TestRoomActionsInABrowser(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dump.txt")
	if err := os.WriteFile(file, []byte("what the proxy kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	fill := func(name, text string) chromedp.Action {
		return chromedp.SendKeys(`main form.form [name="`+name+`"]`, text, chromedp.ByQuery)
	}
	choose := func(name, value string) chromedp.Action {
		return chromedp.SetValue(`main form.form select[name="`+name+`"]`, value, chromedp.ByQuery)
	}
	for _, scripts := range []bool{true, false} {
		ctx, address, d := phone(t, 390)
		d.Rows = append(d.Rows, desk.BoardRow{ID: "INC-3", Title: "A part of it", Status: incident.StatusOpen, Opened: now})
		if !scripts {
			run(t, ctx, emulation.SetScriptExecutionDisabled(true))
		}
		for _, step := range []struct {
			from, link string // the page that has the link, "" for the room
			fields     []chromedp.Action
			plan       string // what the page says it will do before it is done
			want       incident.Command
		}{
			{link: "do/hand-over", fields: []chromedp.Action{choose("person", "person:lena"), fill("note", "the token is revoked")},
				want: incident.HandOver{Role: "lead", Person: "person:lena", Note: "the token is revoked"}},
			{link: "do/unlink-signal?signal=sig_1", fields: []chromedp.Action{fill("reason", "another credential")},
				want: incident.UnlinkSignal{Signal: "sig_1", Reason: "another credential"}},
			{link: "do/link-signal", fields: []chromedp.Action{fill("from", "INC-3"), fill("signal", "sig_2"), fill("reason", "the same thief")},
				want: incident.AddSignal{Signal: incident.Signal{ID: "sig_2", Sentence: "the same thief"}, Of: "INC-3"}},
			{link: "do/correct", fields: []chromedp.Action{choose("milestone", "confirmed"), chromedp.SetValue(`main form.form [name="at"]`, "2026-11-22T03:02", chromedp.ByQuery), fill("reason", "the call came first")},
				plan: "The deadline of tell merchants moves", want: incident.Correct{Milestone: "confirmed", At: time.Date(2026, 11, 22, 2, 2, 0, 0, time.UTC), Reason: "the call came first"}},
			{link: "do/hold", fields: []chromedp.Action{fill("what", "the access log"), fill("basis", "litigation")},
				want: incident.PlaceHold{What: "the access log", Basis: "litigation"}},
			{link: "do/attach", fields: []chromedp.Action{fill("note", "from the proxy"), chromedp.SetUploadFiles(`main form.form [name="file"]`, []string{file}, chromedp.ByQuery)},
				want: incident.Attach{File: "dump.txt", Note: "from the proxy", Bytes: 19}},
			{link: "do/merge", fields: []chromedp.Action{choose("from", "INC-3"), fill("reason", "one thief")},
				plan: "INC-3 ends as a part of INC-1", want: incident.Merge{From: "INC-3", Reason: "one thief"}},
			{link: "do/split", fields: []chromedp.Action{chromedp.Click(`main form.form [name="signal"]`, chromedp.ByQuery), fill("reason", "two thieves")},
				plan: "INC-1 keeps its clocks", want: incident.SplitOff{Into: "INC-9", Signals: []string{"sig_1"}, Reason: "two thieves"}},
		} {
			before := len(d.Asked())
			var linked bool
			run(t, ctx, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady("#note"),
				chromedp.Evaluate(`document.querySelector('main a[href="/incidents/INC-1/`+step.link+`"]') !== null`, &linked))
			if !linked {
				t.Errorf("the room has no link to %s", step.link)
				continue
			}
			run(t, ctx, chromedp.Navigate(address+"/incidents/INC-1/"+step.link), chromedp.WaitReady("main form.form"))
			run(t, ctx, step.fields...)
			submit := chromedp.Click(`main form.form button[type="submit"]`, chromedp.ByQuery)
			if step.plan != "" {
				var will, button string
				run(t, ctx, submit, chromedp.WaitReady("#will"), chromedp.Text(".planbox", &will), chromedp.Text(`main form.form button[type="submit"]`, &button))
				if !strings.Contains(will, step.plan) || len(d.Asked()) != before || strings.HasPrefix(button, "Show") {
					t.Errorf("%s: before it was agreed to the page says %q with %q, and %d were given", step.link, will, button, len(d.Asked())-before)
				}
			}
			run(t, ctx, submit, chromedp.WaitReady("#note"))
			asked := d.Asked()
			if len(asked) != before+1 || !reflect.DeepEqual(asked[before].Command, step.want) {
				t.Errorf("%s (JavaScript %v) gave %+v, want %+v", step.link, scripts, asked[before:], step.want)
			}
		}
	}
}

func TestAMergedIncidentLeadsOn(t *testing.T) {
	ctx, address, _ := phone(t, 390)
	var href, text string
	run(t, ctx, chromedp.Navigate(address+"/incidents/INC-3"), chromedp.WaitReady("main"), chromedp.Text(`section[aria-labelledby="merged"]`, &text),
		chromedp.Evaluate(`document.querySelector("#merged a").getAttribute("href")`, &href))
	if href != "/incidents/INC-1" || !strings.Contains(text, "Its clocks go on there") {
		t.Errorf("%q leads to %q", text, href)
	}
	run(t, ctx, chromedp.Navigate(address+"/incidents/INC-1"), chromedp.WaitReady("main"), chromedp.Text(`section[aria-labelledby="parts"]`, &text))
	for _, want := range []string{"INC-3", "INC-3 ACT-1", "INC-3 NTC-1", "INC-3 HLD-1", "INC-3 ATT-1", "INC-4", "INC-5", "With it INC-6"} {
		if !strings.Contains(text, want) {
			t.Errorf("the room does not show %q of what was merged: %s", want, text)
		}
	}
}
