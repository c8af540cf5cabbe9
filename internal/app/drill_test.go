package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
)

// What a drill may differ in arrives over its pipe and has no other way in: no field of the
// configuration and no option of the command line carries the domain clock, a sabotage or a
// schedule of milliseconds under another name.
func TestNoOptionAndNoKeyCarriesWhatADrillMayChange(t *testing.T) { // promise: PRO-7
	keys := map[string]reflect.Type{}
	fieldsOf(reflect.TypeFor[Config](), keys)
	for _, word := range []string{"now", "clock", "time", "simulated", "simulate", "sabotage", "drill", "env", "environment", "mail_retry"} {
		if _, ok := keys[word]; ok {
			t.Errorf("the configuration has a key %q", word)
		}
		if err := CheckConfig([]byte(configuration + word + ": x\n")); err == nil || !strings.Contains(err.Error(), word+": there is no such field") {
			t.Errorf("key %s: %v", word, err)
		}
	}
	for i := range reflect.TypeFor[Options]().NumField() {
		if name := reflect.TypeFor[Options]().Field(i).Name; !slices.Contains([]string{"Dir", "Config", "Listen", "Store", "Log"}, name) {
			t.Errorf("a new option of the command line, %s: can it set what only the drill's pipe may?", name)
		}
	}
}

func TestAGreetingThatDoesNotFitIsRefused(t *testing.T) {
	const good = `{"hello":"tocsin-drill/1","now":"2026-10-20T00:00:00Z","mail_retry":["150ms"],"sabotage":"","listen":"127.0.0.1:0"}`
	for name, c := range map[string]struct{ line, says string }{
		"closed":                           {"", "closed before the greeting"},
		"not JSON":                         {"hello\n", "is no greeting"},
		"another hello":                    {strings.Replace(good, "drill/1", "drill/2", 1) + "\n", "is no greeting"},
		"every address":                    {strings.Replace(good, "127.0.0.1:0", "0.0.0.0:0", 1) + "\n", "loopback only"},
		"no address":                       {strings.Replace(good, "127.0.0.1:0", "", 1) + "\n", "loopback only"},
		"no clock":                         {strings.Replace(good, `"now":"2026-10-20T00:00:00Z",`, "", 1) + "\n", "now: is missing"},
		"a bad schedule":                   {strings.Replace(good, "150ms", "soon", 1) + "\n", "is no greeting"},
		"a longer line than a line may be": {`{"hello":"` + strings.Repeat("x", 1<<17) + "\"}\n", "closed before the greeting"},
	} {
		if _, err := readDrill(strings.NewReader(c.line), &bytes.Buffer{}, func() {}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d, err := readDrill(strings.NewReader(good+"\n"), &bytes.Buffer{}, func() {})
	if err != nil || !d.clock.Now().Equal(time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)) || !d.clock.Simulated() {
		t.Errorf("a good one: %v", err)
	}
}

func TestAnUnknownSabotageIsRefused(t *testing.T) {
	dir := folder(t, "drill", configuration)
	d, err := readDrill(strings.NewReader(`{"hello":"tocsin-drill/1","now":"2026-10-20T00:00:00Z","sabotage":"gate-shut","listen":"127.0.0.1:0"}`+"\n"), &bytes.Buffer{}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	in, err := ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := assemble(t.Context(), Options{Dir: dir}, in, cfg, d); err == nil || !strings.Contains(err.Error(), `there is no sabotage "gate-shut"`) {
		t.Errorf("%v", err)
	}
}

// A desk that has a wake-up every hour, counting how often it was asked whether it is quiet.
type hourly struct {
	d     *Drill
	quiet int
	seen  []time.Time
}

func (h *hourly) Quiet(context.Context) error { h.quiet++; return nil }
func (h *hourly) NextDomainWake(context.Context) (time.Time, bool, error) {
	now := h.d.clock.Now()
	h.seen = append(h.seen, now)
	return now.Truncate(time.Hour).Add(time.Hour), true, nil
}

func TestDomainTimeStopsAtEveryWakeOnItsWay(t *testing.T) {
	const greeting = `{"hello":"tocsin-drill/1","now":"2026-10-20T00:00:00Z","listen":"127.0.0.1:0"}`
	var out bytes.Buffer
	closed := false
	d, err := readDrill(strings.NewReader(greeting+"\n"+`{"id":1,"advance":"2026-10-20T02:30:00Z"}`+"\n"+`{"id":2,"quiet":true}`+"\n"), &out, func() { closed = true })
	if err != nil {
		t.Fatal(err)
	}
	h := &hourly{d: d}
	if err := d.serve(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	var answers []drillAnswer
	for dec := json.NewDecoder(&out); dec.More(); {
		var a drillAnswer
		if err := dec.Decode(&a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	at := func(h, m int) time.Time { return time.Date(2026, 10, 20, h, m, 0, 0, time.UTC) }
	if len(answers) != 2 || answers[0].ID != 1 || !answers[0].Now.Equal(at(2, 30)) || answers[1].ID != 2 || !answers[1].Now.Equal(at(2, 30)) {
		t.Errorf("answers %+v", answers)
	}
	if !slices.EqualFunc(h.seen, []time.Time{at(0, 0), at(1, 0), at(2, 0)}, time.Time.Equal) {
		t.Errorf("time stood at %v", h.seen)
	}
	if !closed {
		t.Error("the pipe was not closed at its end")
	}
}

// A drill's folder without the pipes is shown, marked, and nothing in it can be changed.
func TestAFinishedDrillIsReadOnly(t *testing.T) {
	dir := folder(t, "drill", configuration)
	finishedDrill(t, dir)
	a, _ := start(t, Options{Dir: dir})
	if !a.ReadOnly() || a.Link() == "" {
		t.Fatalf("read-only %v, link %q", a.ReadOnly(), a.Link())
	}
	stranger, err := client.New(a.URL(), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := stranger.Join(t.Context(), code(a.Link()))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := client.New(a.URL(), client.WithToken(token), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := reader.Board(t.Context()); err != nil || len(rows) != 1 {
		t.Errorf("the reader sees %d incidents: %v", len(rows), err)
	}
	for _, c := range []*client.Client{reader, local(t, dir)} {
		if who, err := c.Whoami(t.Context()); err != nil || who.Access != "viewer" {
			t.Errorf("who: %+v %v", who, err)
		}
		for what, err := range map[string]error{
			"open":   second(c.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "x"})),
			"note":   second(c.Command(t.Context(), "INC-1", "note", map[string]any{"text": "x"})),
			"switch": second(c.FlipSwitch(t.Context(), "*", "off", "x", "")),
			"import": second(c.ImportMerchants(t.Context(), []byte("merchant,name\nm_1,x\n"))),
			"secret": c.PutSecret(t.Context(), "x", []byte("x")),
			"invite": c.Do(t.Context(), http.MethodPost, "/v1/people", map[string]any{"id": "eve", "name": "Eve", "access": "owner"}, nil),
			"key":    c.Do(t.Context(), http.MethodPost, "/v1/keys", map[string]any{"purpose": "ingest", "app": "example_app", "source": "app"}, nil),
			"export": c.Do(t.Context(), http.MethodPost, "/v1/incidents/INC-1/export", map[string]any{"recipient": "x"}, nil),
			"ingest": second(c.Ingest(t.Context(), "b", "native", []byte("{}"))),
		} {
			var refused *client.Error
			if !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if _, err := New(t.Context(), Options{Dir: dir}); err != nil {
		t.Errorf("a second reader: %v", err)
	}
}

// The reader's link works in the console once; the pages are marked, and take nothing.
func TestTheReaderOfADrillSignsInToTheConsole(t *testing.T) {
	dir := folder(t, "drill", configuration)
	finishedDrill(t, dir)
	a, _ := start(t, Options{Dir: dir})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path string, form url.Values) (status int, body string) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, a.URL()+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if method == http.MethodPost {
			q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			q.Header.Set("Origin", a.URL())
		}
		r, err := browser.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(text)
	}
	if status, _ := ask(http.MethodGet, "/incidents/INC-1", nil); status == http.StatusOK {
		t.Error("a stranger sees the incident")
	}
	form := url.Values{"code": {code(a.Link())}}
	if status, body := ask(http.MethodPost, "/join", form); status >= 400 {
		t.Fatalf("join: %d %s", status, body)
	}
	for _, path := range []string{"/", "/incidents/INC-1", "/incidents/INC-1/notices"} {
		if status, body := ask(http.MethodGet, path, nil); status != http.StatusOK || !strings.Contains(body, `class="drill"`) || !strings.Contains(body, "finished drill") {
			t.Errorf("%s: %d, not marked as a drill", path, status)
		}
	}
	for _, command := range []string{"note", "confirm", "close"} {
		if status, _ := ask(http.MethodPost, "/incidents/INC-1/"+command, url.Values{"text": {"x"}, "reason": {"x"}}); status < 400 {
			t.Errorf("%s was taken: %d", command, status)
		}
	}
	if s, err := local(t, dir).Timeline(t.Context(), "INC-1", "", 1000, "fact"); err != nil || len(s) == 0 {
		t.Errorf("timeline: %v", err)
	}
	jar, _ = cookiejar.New(nil)
	browser.Jar = jar
	if status, _ := ask(http.MethodPost, "/join", form); status < 400 {
		t.Errorf("the link worked twice: %d", status)
	}
}

func second[T any](_ T, err error) error { return err }

// finishedDrill plays a drill of one incident in the folder: a server with pipes, and its end.
func finishedDrill(t *testing.T, dir string) { finishedDrillOn(t, dir, "") }

func finishedDrillOn(t *testing.T, dir, store string) {
	t.Helper()
	in, err := ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString(`{"hello":"tocsin-drill/1","now":"2026-10-20T00:00:00Z","listen":"127.0.0.1:0"}` + "\n"); err != nil {
		t.Fatal(err)
	}
	d, err := readDrill(r, &bytes.Buffer{}, func() { r.Close() })
	if err != nil {
		t.Fatal(err)
	}
	a, err := assemble(t.Context(), Options{Dir: dir, Store: store}, in, cfg, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := local(t, dir).Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "x"}); err != nil {
		t.Error(err)
	}
	w.Close() // the end of the pipe stops the server in order
	if err := a.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := a.Stop(); err != nil {
		t.Error(err)
	}
}
