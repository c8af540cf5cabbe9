package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// keyboard is a person without a mouse. After the first address everything is Tab, Enter, Space and letters.
type keyboard struct {
	visit
	file atomic.Value // the path that the next file dialogue is answered with
	keys int          // Tab and Enter; each takes as long as a letter
}

// to presses Tab until something has the focus, and requires that each focus on the way can be seen.
func (k *keyboard) to(selector string) {
	k.t.Helper()
	var on struct {
		There, Page, Seen bool
		What              string
	}
	look, err := json.Marshal(selector)
	if err != nil {
		k.t.Fatal(err)
	}
	k.do(chromedp.WaitReady(selector, chromedp.ByQuery))
	for range 100 {
		k.keys++
		k.do(chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(fmt.Sprintf(`(() => {
			const e = document.activeElement, box = e.getBoundingClientRect(), lined = x => !!x && getComputedStyle(x).outlineStyle !== "none";
			return {there: e.matches(%s), page: e === document.body, what: e.outerHTML.slice(0, 160),
				seen: (lined(e) || lined(e.closest("label"))) && box.width > 0 && box.bottom > 0 && box.top < innerHeight};
		})()`, look), &on))
		if !on.Page && !on.Seen {
			k.t.Errorf("the focus cannot be seen on %s", on.What)
		}
		if on.There {
			return
		}
	}
	k.t.Fatalf("Tab does not reach %s; it stands at %s", selector, on.What)
}

// write types over what a field holds.
func (k *keyboard) write(name, text string) {
	k.t.Helper()
	k.choose(name, text, text)
}

// choose types the first letters of a choice of a list, and requires what the list holds then.
func (k *keyboard) choose(name, letters, want string) {
	k.t.Helper()
	selector := fmt.Sprintf("main [name=%q]", name)
	k.to(selector)
	k.did.fields++
	k.did.letters += len(letters)
	var holds string
	k.do(chromedp.KeyEvent(letters), chromedp.Value(selector, &holds, chromedp.ByQuery)) // Tab selects what a field holds
	if holds != want {
		k.t.Fatalf("%s holds %q after %q was typed", name, holds, letters)
	}
}

// enter presses Enter on a link or button and reads what comes.
func (k *keyboard) enter(selector string) (text string) {
	k.t.Helper()
	k.to(selector)
	k.keys++
	k.do(chromedp.Evaluate(`document.documentElement.dataset.old = "yes"`, nil), chromedp.KeyEvent(kb.Enter),
		chromedp.WaitReady("html:not([data-old]) main"), chromedp.Text("main", &text))
	return text
}

// step goes on to the next step by its link, and requires that it is the one.
func (k *keyboard) step(id string) {
	k.t.Helper()
	k.did.pages++
	k.enter(`main a[href="/setup/` + id + `"]`)
}

// shows waits until the page, which refreshes itself, says something.
func (k *keyboard) shows(want string) (text string) {
	k.t.Helper()
	quoted, err := json.Marshal(want)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := chromedp.Run(k.ctx, chromedp.Poll(`document.querySelector("main").innerText.includes(`+string(quoted)+`)`, nil,
		chromedp.WithPollingInterval(100*time.Millisecond), chromedp.WithPollingTimeout(time.Minute))); err != nil {
		k.do(chromedp.Text("main", &text))
		k.t.Fatalf("the page never says %q by itself: %s", want, text)
	}
	k.do(chromedp.Text("main", &text))
	return text
}

// From an empty folder to the first drill's result without a mouse, in one go: the link of the terminal is
// the only address that is entered; every page after it is reached by Tab and Enter from the one before.
func TestTheFirstHourByKeyboardAlone(t *testing.T) {
	ctx := chromium(t)
	short := shortFolder(t)
	relay := mailServer(t, t.TempDir())
	elsewhere, beats := counting(t)
	data := filepath.Join(short, "data")
	p, said, err := launch(filepath.Join(bin(t), "tocsin"), short, append(os.Environ(), "TMPDIR="+short), nil, "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.halt(syscall.SIGKILL) })
	invited := regexp.MustCompile(`http\S+/setup\?code=\S+`).FindString(said)
	if invited == "" {
		t.Fatalf("no link was printed: %q", said)
	}
	k := &keyboard{visit: visit{t, ctx, address.FindStringSubmatch(said)[1], &effort{}}}
	// The dialogue of a file belongs to the desktop: it is answered for the person who opened it by a key.
	chromedp.ListenTarget(ctx, func(event any) {
		opened, ok := event.(*page.EventFileChooserOpened)
		if !ok {
			return
		}
		go func() {
			c := chromedp.FromContext(ctx)
			err := dom.SetFileInputFiles([]string{k.file.Load().(string)}).WithBackendNodeID(opened.BackendNodeID).Do(cdp.WithExecutor(ctx, c.Target))
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}()
	})
	began := time.Now()
	k.do(chromedp.Navigate(invited), chromedp.WaitReady("main"))
	k.do(chromedp.ActionFunc(func(ctx context.Context) error { return page.SetInterceptFileChooserDialog(true).Do(ctx) }))
	for _, f := range [][2]string{{"name", "Acme"}, {"organisation", "acme"}} {
		k.write(f[0], f[1])
	}
	k.write("app_name", "Orders")
	k.write("app", "orders")
	if text := k.enter("form.form button"); !strings.Contains(text, "Joining uses the link up") {
		t.Fatalf("made: %s", text)
	}
	if text := k.enter("form.form button"); !strings.Contains(text, "as owner") {
		t.Fatalf("joined: %s", text)
	}
	if text := k.enter("main a.button"); !strings.Contains(text, "Next: Policy") {
		t.Fatalf("the first hour: %s", text)
	}
	config := filepath.Join(data, "tocsin.yaml")
	if body, err := os.ReadFile(config); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(config, append(body, "network: { allow: [\"127.0.0.0/8\"], dns: \"127.0.0.1:1\" }\n"...), 0o600); err != nil {
		t.Fatal(err)
	}

	k.step("policy")
	k.write("contact", "security@acme.shop")
	if text := k.enter("form.form button"); !strings.Contains(text, "done") {
		t.Fatalf("the policy: %s", text)
	}
	k.step("mail")
	k.write("relay", relay.Addr())
	k.write("from", "Acme <security@acme.invalid>")
	k.choose("tls", "none", "none")
	k.write("to", "me@acme.invalid")
	if text := k.enter("form.form button"); !strings.Contains(text, "took a test message") {
		t.Fatalf("the mail: %s", text)
	}
	k.step("key")
	k.write("source", "web")
	if text := k.enter("form.form button"); !strings.Contains(text, "shown this once") {
		t.Fatalf("the key: %s", text)
	}
	var key string
	k.do(chromedp.Value("main input.mono", &key))
	k.step("events")
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.url+"/v1/events",
		strings.NewReader(`{"time":"`+time.Now().UTC().Format(time.RFC3339)+`","actor":{"type":"user","id":"me"},"action":"read","merchant":"shop_1","records":1}`))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+key)
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	k.shows("The source web sent an event")

	list := filepath.Join(t.TempDir(), "merchants.csv")
	if err := os.WriteFile(list, []byte("merchant,name,email\nshop_1,Corner Shop,owner@corner.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.step("merchants")
	k.file.Store(list)
	k.to("main input[type=file]")
	k.do(chromedp.KeyEvent(" "), chromedp.Poll(`document.querySelector("main input[type=file]").files.length === 1`, nil, chromedp.WithPollingTimeout(20*time.Second)))
	if text := k.enter("form.form button"); !strings.Contains(text, "1 merchant was imported") {
		t.Fatalf("the merchants: %s", text)
	}
	k.step("away")
	k.write("copy", t.TempDir())
	k.write("heartbeat", elsewhere.URL+"/ping")
	if text := k.enter("form.form button"); !strings.Contains(text, "A folder that is kept elsewhere") {
		t.Fatalf("away: %s", text)
	}
	k.shows("A heartbeat arrived")
	k.step("drill")
	k.choose("scenario", "false", "false-alarm")
	if text := k.enter("form.form button"); !strings.Contains(text, "A drill is being played") {
		t.Fatalf("the drill: %s", text)
	}
	if text := k.shows("promises were kept"); !strings.Contains(text, "✓ as expected") {
		t.Errorf("its result: %s", text)
	}
	if text := k.enter("#result a"); !strings.Contains(text, "CLS-1") || !strings.Contains(text, "Margin") {
		t.Errorf("promise by promise: %s", text)
	}
	if beats.Load() == 0 {
		t.Error("no heartbeat came")
	}
	machine, did := time.Since(began), *k.did
	did.pages += 3 // of the folder, of the owner, and the list of steps
	did.letters += k.keys
	t.Logf("by keyboard alone: %d pages, %d fields, %d letters and keys: %v of a person and %v of the machine",
		did.pages, did.fields, did.letters, did.takes().Round(time.Second), machine.Round(time.Second))
	if all := did.takes() + machine; all > 15*time.Minute {
		t.Errorf("%v from an empty folder to the first drill: a quarter of an hour is promised", all.Round(time.Second))
	}
}
