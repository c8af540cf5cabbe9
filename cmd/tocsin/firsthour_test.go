package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium is a browser, as the tests of the console have it.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("Chromium is not installed: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WindowSize(1000, 800))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) }) // waits until the browser is gone
	return ctx
}

// visit is a person at the browser.
type visit struct {
	t   *testing.T
	ctx context.Context
	url string
	did *effort
}

// effort counts what somebody at the browser does.
type effort struct{ pages, fields, letters, presses int }

// takes is how long an owner would take who reads each page, thinks about each field and types with two
// fingers: half a minute a page, ten seconds a field.
func (e effort) takes() time.Duration {
	return time.Duration(e.pages)*30*time.Second + time.Duration(e.fields)*10*time.Second + time.Duration(e.letters)*400*time.Millisecond + time.Duration(e.presses)*time.Second
}

func (v visit) do(actions ...chromedp.Action) {
	v.t.Helper()
	if err := chromedp.Run(v.ctx, actions...); err != nil {
		v.t.Fatal(err)
	}
}

// fill writes into a field by its name, and chooses in a list.
func (v visit) fill(name, text string) {
	v.t.Helper()
	v.did.fields++
	v.did.letters += len(text)
	v.do(chromedp.Evaluate(fmt.Sprintf(`(() => { const f = document.querySelector('main [name=%q]'); f.value = %q; })()`, name, text), nil))
}

// press submits the form of the page and reads what comes: the address, and the text of the page.
func (v visit) press(selector string) (at, text string) {
	v.t.Helper()
	v.did.presses++
	v.do(chromedp.Evaluate(`document.documentElement.dataset.old = "yes"`, nil), chromedp.Click(selector), chromedp.WaitReady("html:not([data-old]) main"),
		chromedp.Location(&at), chromedp.Text("main", &text))
	return strings.TrimPrefix(at, v.url), text
}

func (v visit) open(path string) (text string) {
	v.t.Helper()
	v.did.pages++
	v.do(chromedp.Navigate(v.url+path), chromedp.WaitReady("main"), chromedp.Text("main", &text))
	return text
}

// until opens a page again until it says something, for at most a minute.
func (v visit) until(path, want string) string {
	v.t.Helper()
	v.did.pages++
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		text := v.open(path)
		v.did.pages-- // the page refreshes itself: a person looks once
		if strings.Contains(text, want) {
			return text
		}
		if time.Now().After(end) {
			v.t.Fatalf("%s never says %q: %s", path, want, text)
		}
	}
}

// An owner goes from an empty folder to the first drill's result in the browser alone, and nobody
// without the link from the terminal begins it.
func TestTheFirstHourInTheBrowser(t *testing.T) {
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
	v := visit{t, ctx, address.FindStringSubmatch(said)[1], &effort{}}
	began := time.Now()
	invited := regexp.MustCompile(`http\S+/setup\?code=(\S+)`).FindStringSubmatch(said)
	if invited == nil {
		t.Fatalf("no link was printed: %q", said)
	}
	for _, path := range []string{"/", "/setup", "/setup?code=" + invited[1][1:]} {
		if text := v.open(path); !strings.Contains(text, "Open the link that tocsin serve printed") || strings.Contains(text, "company") {
			t.Errorf("%s without the code: %s", path, text)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("something was made before anybody proved that the machine is theirs")
	}

	v.open("/setup?code=" + invited[1])
	v.fill("name", "Acme")
	v.fill("organisation", "NOT AN ID")
	v.fill("owner_name", "Lena Berg")
	v.fill("app_name", "Orders")
	v.fill("app", "orders")
	if _, text := v.press("form.form button"); !strings.Contains(text, "organisation.id: has to be") {
		t.Errorf("an id that is none: %s", text)
	}
	v.fill("organisation", "acme")
	if at, _ := v.press("form.form button"); !strings.HasPrefix(at, "/join?code=") {
		t.Fatalf("made, it leads to %s", at)
	}
	if _, text := v.press("form.form button"); !strings.Contains(text, "as owner") {
		t.Fatalf("joined: %s", text)
	}
	if _, text := v.press("a.button"); !strings.Contains(text, "Next: Policy") {
		t.Fatalf("the first hour: %s", text)
	}
	// The name was kept when the form came back. To look is the test's, and does not count as an owner's.
	if text := (visit{t, ctx, v.url, &effort{}}).open("/people"); !strings.Contains(text, "Lena Berg") {
		t.Errorf("the owner is not called by their name: %s", text)
	}

	// A resolver that is not there answers at once that it is not, and the heartbeat may stay here.
	config := filepath.Join(data, "tocsin.yaml")
	if body, err := os.ReadFile(config); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(config, append(body, "network: { allow: [\"127.0.0.0/8\"], dns: \"127.0.0.1:1\" }\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	v.open("/setup/policy")
	v.fill("contact", "security@acme.shop")
	if _, text := v.press("form.form button"); !strings.Contains(text, "done") || !strings.Contains(text, "Next: Mail") {
		t.Fatalf("the policy: %s", text)
	}
	if text := v.open("/policy"); !strings.Contains(text, "how Acme notices") || !strings.Contains(text, "security@acme.shop") {
		t.Errorf("the policy in force: %.300s", text)
	} else if !strings.Contains(text, "The first version that Acme has published") || strings.Contains(text, "in place of version") {
		t.Errorf("the first policy of one's own is compared with an example: %.300s", text)
	}

	v.open("/setup/mail")
	v.fill("relay", "127.0.0.1:1")
	v.fill("from", "Acme <security@acme.invalid>")
	v.fill("tls", "none")
	v.fill("to", "me@acme.invalid")
	if _, text := v.press("form.form button"); !strings.Contains(text, "did not take the message") {
		t.Errorf("a relay that is not there: %s", text)
	}
	v.fill("relay", relay.Addr())
	if _, text := v.press("form.form button"); !strings.Contains(text, "took a test message") || !strings.Contains(text, "could not be looked up") {
		t.Errorf("the mail: %s", text)
	}

	v.open("/setup/key")
	v.fill("source", "web")
	_, text := v.press("form.form button")
	var key string
	v.do(chromedp.Value("main input.mono", &key))
	if !strings.Contains(text, "shown this once") || !strings.HasPrefix(key, "tck_") && len(key) < 40 {
		t.Fatalf("the key: %s", text)
	}
	if text := v.open("/setup/key"); strings.Contains(text, key) {
		t.Error("the key is shown again")
	}
	event := `{"time":"` + time.Now().UTC().Format(time.RFC3339) + `","actor":{"type":"user","id":"me"},"action":"read","merchant":"shop_1","records":1}`
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.url+"/v1/events", strings.NewReader(event))
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
	v.until("/setup/events", "The source web sent an event")

	list := filepath.Join(t.TempDir(), "merchants.csv")
	if err := os.WriteFile(list, []byte("merchant,name,email\nshop_1,Corner Shop,owner@corner.example\nshop_2,No Address,nowhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v.open("/setup/merchants")
	v.do(chromedp.SetUploadFiles("main input[type=file]", []string{list}))
	if _, text := v.press("form.form button"); !strings.Contains(text, "1 merchant was imported; line 3 was not read") {
		t.Errorf("the merchants: %s", text)
	}

	// Put off and taken up again, also after the server was killed in between.
	v.open("/setup/away")
	if _, text := v.press("button.plain:not(.top *)"); strings.Contains(text, "Next: Off this machine") {
		t.Errorf("put off: %s", text)
	}
	if code, err := p.halt(syscall.SIGKILL); err != nil || code != -1 {
		t.Fatal(code, err)
	}
	body, err := os.ReadFile(config)
	if err != nil || !strings.Contains(string(body), "# connectors: how a token is revoked") {
		t.Errorf("what a person wrote into the configuration is gone: %v %s", err, body)
	}
	p, said, err = launch(filepath.Join(bin(t), "tocsin"), short, append(os.Environ(), "TMPDIR="+short), nil, "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.halt(syscall.SIGKILL) })
	v.url = address.FindStringSubmatch(said)[1]
	if text := v.open("/setup"); !strings.Contains(text, "put off 8.") || !strings.Contains(text, "Next: First drill") {
		t.Errorf("after a restart: %s", text)
	}
	v.open("/setup/away")
	v.fill("copy", filepath.Join(short, "no-such-folder"))
	if _, text := v.press("form.form button"); !strings.Contains(text, "has to be there already") {
		t.Errorf("a folder that is not there: %s", text)
	}
	v.fill("copy", t.TempDir())
	v.fill("heartbeat", elsewhere.URL+"/ping")
	if _, text := v.press("form.form button"); !strings.Contains(text, "A folder that is kept elsewhere") {
		t.Errorf("away: %s", text)
	}
	v.until("/setup/away", "A heartbeat arrived")
	if beats.Load() == 0 {
		t.Error("no heartbeat came")
	}

	// A false alarm is the shortest story there is.
	v.open("/setup/drill")
	v.fill("scenario", "false-alarm")
	if _, text := v.press("form.form button"); !strings.Contains(text, "A drill is being played") {
		t.Errorf("the drill: %s", text)
	}
	if text := v.until("/setup/drill", "promises were kept"); !strings.Contains(text, "✓ as expected") || !strings.Contains(text, "scenario false-alarm") {
		t.Errorf("its result: %s", text)
	}
	machine, did := time.Since(began), *v.did
	t.Logf("from an empty folder to the first drill's result: %d pages, %d fields, %d letters, %d presses: %v of a person and %v of the machine",
		did.pages, did.fields, did.letters, did.presses, did.takes().Round(time.Second), machine.Round(time.Second))
	if all := did.takes() + machine; all > 15*time.Minute {
		t.Errorf("%v from an empty folder to the first drill: a quarter of an hour is promised", all.Round(time.Second))
	}
	v.do(chromedp.Click("#result a"), chromedp.WaitReady("table"), chromedp.Text("main", &text))
	if !strings.Contains(text, "CLS-1") || !strings.Contains(text, "Margin") {
		t.Errorf("promise by promise: %s", text)
	}
	if text := v.open("/settings"); !strings.Contains(text, "took a test message") || !strings.Contains(text, "heartbeat") {
		t.Errorf("the settings: %s", text)
	}
	out, err := exec.Command(filepath.Join(bin(t), "tocsin"), "setup", "--data", data, "--json").Output()
	var terminal struct{ Steps []struct{ ID, State string } }
	if err := json.Unmarshal(out, &terminal); err != nil {
		t.Fatal(err)
	}
	for _, s := range terminal.Steps {
		if s.State != "done" {
			t.Errorf("in the terminal, %s is %s (%v)", s.ID, s.State, err)
		}
	}
	log, err := os.Open(filepath.Join(short, "serve.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), invited[1]) || strings.Contains(lines.Text(), key) || strings.Contains(lines.Text(), "/ping") {
			t.Errorf("a secret is in the log: %s", lines.Text())
		}
	}
}
