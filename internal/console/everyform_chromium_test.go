//go:build !race

package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"golang.org/x/net/html"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
)

// answered is how the console answered a request of the browser.
type answered struct {
	method, path string
	status       int
	saved        bool // a file to be saved: the page stays
	query        url.Values
}

// clerk fills in forms with a keyboard.
type clerk struct {
	t      *testing.T
	ctx    context.Context
	desk   *listening
	answer chan answered
	key    string
	page   string // where the form was found
	file   string
	token  string // to sign in with
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// told tells the channel of every form that comes, after it was answered.
func told(h http.Handler, answer chan answered) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &statusWriter{w, http.StatusOK}
		h.ServeHTTP(s, r)
		if !strings.HasPrefix(r.URL.Path, "/static/") && r.URL.Path != "/favicon.ico" {
			answer <- answered{r.Method, r.URL.RequestURI(), s.status, strings.HasPrefix(s.Header().Get("Content-Disposition"), "attachment"), r.URL.Query()}
		}
	})
}

// field is what a form has, as the browser sees it.
type field struct {
	Name, Type, Value string
	Required, Many    bool // many: there is something to choose
	Checked           bool
}

// script is said before every question to a page: f is the form that has the key, and the fields of it that
// somebody can fill in or press.
const script = `(() => {
	const key = %s;
	const names = f => [...f.elements].filter(e => e.name && e.type !== "submit" && !["csrf", "key"].includes(e.name)).map(e => e.name === "do" ? "do=" + e.value : e.name).filter((n, i, all) => n !== all[i-1]);
	const nameOf = (f, b) => {
		const to = (f.getAttribute("action") || location.pathname).replaceAll(/INC-\d+/g, "INC").replace(/#.*/, "");
		const label = b.name === "line" ? "line" : b.name ? b.name + "=" + b.value : "";
		return f.method.toUpperCase() + " " + to + " (" + names(f).join(" ") + ")" + (label ? " " + label : "");
	};
	let f = null, button = null;
	for (const form of document.forms) for (const b of form.elements)
		if (!f && b.type === "submit" && nameOf(form, b) === key) { f = form; button = b; }
	if (!f) return null;
	const fields = [...f.elements].filter(e => e.type !== "hidden" && e.type !== "submit" && e.tagName !== "FIELDSET" && e.tabIndex >= 0);
	%s
})()`

func (h *clerk) ask(js string, out any) {
	h.t.Helper()
	run(h.t, h.ctx, chromedp.Evaluate(fmt.Sprintf(script, quote(h.key), js), out))
}

// fields are what can be filled in.
func (h *clerk) fields() (out []field) {
	h.t.Helper()
	h.ask(`return fields.map((e, i) => ({Name: e.name, Type: e.type, Value: e.value, Required: e.required, Many: e.tagName === "SELECT" && e.options.length > 1, Checked: !!e.checked}))`, &out)
	return out
}

func (h *clerk) press(key string) { h.t.Helper(); run(h.t, h.ctx, chromedp.KeyEvent(key)) }

// fill goes through a form with Tab, from before it to its button, and fills in what it comes to. When it was
// filled in before, that is only what no page may keep.
func (h *clerk) fill(again bool) (ok bool) {
	h.t.Helper()
	fields := h.fields()
	if fields == nil {
		h.t.Errorf("%s: the page does not have it in the browser", h.key)
		return false
	}
	// As if somebody had read to here: Tab goes on from before the form, or from what it is folded away in.
	// The second time that is where something is left to do.
	from := "f.contains(button) ? f : button"
	if again && !slices.ContainsFunc(fields, unkept) {
		from = "button"
	}
	h.ask(`let from = `+from+`; for (let e = from; e; e = e.parentElement) if (e.tagName === "DETAILS" && !e.open) from = e;
		document.activeElement.blur(); const p = document.createElement("p"); p.tabIndex = -1; from.before(p); p.focus(); p.remove(); return true`, nil)
	done := map[int]bool{}
	for range 100 {
		h.press(kb.Tab)
		var at struct {
			Field          int
			Folded, Button bool
		}
		h.ask(`const a = document.activeElement; return {Field: fields.indexOf(a), Button: a === button,
			Folded: a.tagName === "SUMMARY" && !a.parentElement.open && (a.parentElement.contains(button) || fields.some(e => a.parentElement.contains(e)))}`, &at)
		switch {
		case at.Folded:
			h.press(kb.Enter)
		case at.Button:
			for i, f := range fields {
				if f.Required && !done[i] && from != "button" && f.Type != "radio" {
					h.t.Errorf("%s: Tab comes to the button and did not come to %s", h.key, f.Name)
					return false
				}
			}
			return true
		case at.Field >= 0 && !done[at.Field]:
			done[at.Field] = true
			if again && !unkept(fields[at.Field]) {
				continue
			}
			if !h.write(fields[at.Field]) {
				return false
			}
		}
	}
	h.t.Errorf("%s: Tab does not come to its button", h.key)
	return false
}

// write fills in the field that has the focus.
func (h *clerk) write(f field) bool {
	h.t.Helper()
	text, known := typed(h.key, f.Name)
	if f.Name == "token" {
		text, known = h.token, true
	}
	switch f.Type {
	case "checkbox", "radio":
		if !slices.Contains(unticked, f.Name) && !f.Checked {
			h.press(" ")
		}
		return true
	case "select-one":
		if (f.Many || f.Value == "") && !slices.ContainsFunc(unmoved, func(x [2]string) bool { return strings.HasPrefix(h.key, x[0]) && x[1] == f.Name }) {
			h.press(kb.ArrowDown)
		}
		return true
	case "file":
		run(h.t, h.ctx, chromedp.SetUploadFiles(`main [type=file]`, []string{h.file}, chromedp.ByQuery))
		return true
	}
	if !known {
		h.t.Errorf("%s: what is a plausible %s (%s, required %v)? Say it in the table of values", h.key, f.Name, f.Type, f.Required)
		return !f.Required
	}
	switch {
	case text == "":
	case f.Type == "datetime-local":
		run(h.t, h.ctx, chromedp.KeyEvent(writtenDay+kb.Tab+writtenHour))
	case f.Type == "date":
		run(h.t, h.ctx, chromedp.KeyEvent(writtenDay))
	default:
		run(h.t, h.ctx, chromedp.ActionFunc(func(ctx context.Context) error { // what stood there is written over
			return input.DispatchKeyEvent(input.KeyDown).WithKey("a").WithModifiers(input.ModifierCtrl).WithCommands([]string{"selectAll"}).Do(ctx)
		}), chromedp.ActionFunc(func(ctx context.Context) error { return input.InsertText(text).Do(ctx) }))
	}
	return true
}

// send presses Enter on the button that has the focus, and waits for the answer and for its page.
func (h *clerk) send() (answered, bool) {
	h.t.Helper()
	run(h.t, h.ctx, chromedp.Evaluate(`document.documentElement.dataset.old = "yes"`, nil), chromedp.KeyEvent(kb.Enter))
	var a answered
	var refused []string
	select {
	case a = <-h.answer:
	case <-time.After(5 * time.Second):
		h.ask(`return fields.filter(e => !e.checkValidity()).map(e => e.name + ": " + e.validationMessage)`, &refused)
		h.t.Errorf("%s: Enter on its button sends nothing; the browser says %q", h.key, refused)
		return a, false
	}
	if !a.saved {
		ctx, cancel := context.WithTimeout(h.ctx, 10*time.Second)
		defer cancel()
		if err := chromedp.Run(ctx, chromedp.WaitReady("html:not([data-old]) footer", chromedp.ByQuery)); err != nil {
			h.t.Errorf("%s: no page came after %d: %v", h.key, a.status, err)
			return a, false
		}
	}
	return a, true
}

// unkept says that a browser or a page gives a field back empty, and has to.
func unkept(f field) bool {
	return f.Type == "file" || f.Type == "password" || slices.Contains(namesNobody, f.Name)
}

// again finds a form on the page that came when it was refused: it may be the page of the command alone, or have
// no plan yet. One that asks nothing may be away, and is found where it was.
func (h *clerk) again(asks bool) bool {
	h.t.Helper()
	if h.fields() != nil {
		return true
	}
	plain := func(key string) string {
		return strings.NewReplacer("(planned ", "(", " planned ", " ", "(seen ", "(", "(seen)", "()", "(back) line", "(text at show of entry)").Replace(key)
	}
	var page, where string
	run(h.t, h.ctx, chromedp.OuterHTML("html", &page, chromedp.ByQuery), chromedp.Location(&where))
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		h.t.Fatal(err)
	}
	at, err := url.Parse(where)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range formsOf(at.Path, root) {
		if plain(plain(f.key)) == plain(plain(h.key)) {
			h.key = f.key
			return true
		}
	}
	if asks && h.page != "" {
		run(h.t, h.ctx, chromedp.Navigate(h.page), chromedp.WaitReady("footer", chromedp.ByQuery))
		h.quiet()
		return true
	}
	h.t.Errorf("%s: refused, and the page does not have it any more", h.key)
	return false
}

// change sends a form that changes something: refused first, then taken. One that came as an answer is filled
// in already.
func (h *clerk) change(want string, filled bool) {
	h.t.Helper()
	if !h.fill(filled) {
		return
	}
	if want != "" && !slices.ContainsFunc(startsOver, func(form string) bool { return strings.HasPrefix(h.key, form) }) {
		before := h.fields()
		h.desk.refuse(true)
		a, ok := h.send()
		h.desk.refuse(false)
		if !ok {
			return
		}
		var says string
		run(h.t, h.ctx, chromedp.Evaluate(`(document.querySelector(".trouble") ?? {}).innerText ?? ""`, &says))
		if a.status < 400 || a.status > 499 || says == "" {
			h.t.Errorf("%s: refused, and the page (%d) says %q", h.key, a.status, says)
		}
		planned := strings.Contains(h.key, " planned ") || strings.Contains(h.key, "(planned ")
		if !h.again(len(before) == 0) {
			return
		}
		after := h.fields()
		for _, f := range before {
			if !unkept(f) && !slices.ContainsFunc(after, func(x field) bool { return x.Name == f.Name && x.Value == f.Value && x.Checked == f.Checked }) {
				h.t.Errorf("%s: refused, and the page does not keep %s (%q, checked %v)", h.key, f.Name, f.Value, f.Checked)
			}
		}
		if !h.fill(true) {
			return
		}
		if planned { // the plan is shown again before it is done
			if _, ok := h.send(); !ok || !h.again(false) || !h.fill(true) {
				return
			}
		}
	}
	fields := h.fields()
	h.desk.heard()
	a, ok := h.send()
	if !ok {
		return
	}
	if a.method != http.MethodPost || a.status >= 400 {
		h.t.Errorf("%s: %s %s was answered with %d", h.key, a.method, a.path, a.status)
	}
	var names, all []string
	for _, g := range h.desk.heard() {
		if h.meant(g.what, want) {
			names, all = append(names, g.what), append(all, g.all)
		}
	}
	if got := strings.Join(names, " "); got != want {
		h.t.Errorf("%s gave %q, want %q", h.key, got, want)
	}
	said := strings.Join(all, "\n")
	for _, f := range fields {
		h.inside(f, said, want)
	}
}

// meant leaves out what a page asks to show itself and nobody meant.
func (h *clerk) meant(what, want string) bool {
	return what != "CheckSource" || strings.Contains(want, what)
}

// inside checks that what a field held came where it belongs.
func (h *clerk) inside(f field, said, want string) {
	h.t.Helper()
	if want == "" || f.Value == "" || slices.ContainsFunc(unsaid, func(x [2]string) bool {
		return strings.HasPrefix(h.key, x[0]) && strings.HasSuffix(h.key+" "+f.Name, x[1])
	}) || (f.Type == "checkbox" || f.Type == "radio") && (!f.Checked || f.Value == "yes") {
		return
	}
	text := strings.TrimSpace(f.Value)
	if f.Type == "file" {
		text = "m_1,One"
	}
	if strings.Contains(said, text) || strings.Contains(said, strings.ReplaceAll(text, "=", ":")) {
		return
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339} {
		if when, err := time.ParseInLocation(layout, text, berlin); err == nil && strings.Contains(said, when.UTC().Format(time.DateTime)) {
			return
		}
	}
	h.t.Errorf("%s: %s is not what was written (%q) in %s", h.key, f.Name, text, said)
}

// look sends a form that asks: its answer is a page that keeps what was asked, and the files that it offers come.
func (h *clerk) look(address string, get func(string) (int, string, *html.Node)) {
	h.t.Helper()
	if !h.fill(false) {
		return
	}
	before := h.fields()
	a, ok := h.send()
	if !ok {
		return
	}
	if elsewhere := everyForm[h.key] == elsewhere; a.method != http.MethodGet || a.status != http.StatusOK && !elsewhere {
		h.t.Errorf("%s: %s %s was answered with %d", h.key, a.method, a.path, a.status)
		return
	}
	for _, f := range before {
		if (f.Type == "checkbox" && !f.Checked) || f.Value == "" {
			continue
		}
		if !slices.Contains(a.query[f.Name], f.Value) {
			h.t.Errorf("%s: %s was asked without %s=%q", h.key, a.path, f.Name, f.Value)
		}
	}
	var trouble string
	var files []string
	run(h.t, h.ctx, chromedp.Evaluate(`(document.querySelector(".trouble") ?? {}).innerText ?? ""`, &trouble),
		chromedp.Evaluate(`[...document.querySelectorAll("main a[href*='.csv'], main a[href*='.ndjson'], main a[href*='form=csv'], main a[href*='form=parquet'], main a[href*='form=ndjson']")].map(e => e.getAttribute("href"))`, &files))
	if trouble != "" {
		h.t.Errorf("%s: %s says %q", h.key, a.path, trouble)
	}
	var after []field
	if everyForm[h.key] == elsewhere {
		before = nil
	} else {
		after = h.fields()
	}
	for i, f := range before {
		if i >= len(after) || after[i].Name != f.Name || after[i].Value != f.Value || after[i].Checked != f.Checked {
			h.t.Errorf("%s: %s does not keep %s (%q, checked %v)", h.key, a.path, f.Name, f.Value, f.Checked)
		}
	}
	h.quiet()
	for _, file := range files {
		if status, kind, _ := get(file); status != http.StatusOK || strings.HasPrefix(kind, "text/html") {
			h.t.Errorf("%s: %s offers the file %s, which is answered with %d %s", h.key, a.path, file, status, kind)
		}
	}
}

// quiet forgets the answers to what the browser asked by itself, such as the page after a redirect.
func (h *clerk) quiet() {
	for {
		select {
		case <-h.answer:
		default:
			return
		}
	}
}

// whole is an address with the server's name.
func whole(server, path string) string {
	if strings.HasPrefix(path, "/") {
		return server + path
	}
	return path
}

// Every form of every page, found by reading the pages, is filled in and sent by keyboard in a window of a
// phone's width, without JavaScript. What changes something is refused first: the page has to say so and keep
// what was written, and sending that again, as it stands, has to give the desk what was meant and all that was
// written. A form that no row of the table knows fails the test, and so does a row that no page has.
func TestEveryFormByKeyboardOnAPhoneWithoutJavaScript(t *testing.T) {
	l, token := everything(t)
	answer := make(chan answered, 64)
	founding := httptest.NewServer(told(console.NewFounding(console.Founding{Code: "abc", Until: time.Now().Add(time.Hour), Policies: []string{"pickandpack", "shopify-app"},
		Make: func(_ context.Context, a console.FirstAnswers) (string, error) {
			return "/setup?code=abc", l.take("Make", a)
		}}), answer))
	t.Cleanup(founding.Close)
	server := httptest.NewServer(told(console.New(l, console.Options{Now: func() time.Time { return now }, Organisation: "PickAndPack", Env: "drill", Hour: hearing{l: l}}), answer))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "merchants.csv")
	if err := os.WriteFile(file, []byte("id,name\nm_1,One\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cookie := &http.Cookie{Name: "tocsin", Value: token}
	get := func(path string) (int, string, *html.Node) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", whole(server.URL, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(cookie)
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		<-answer
		if !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") {
			return got.StatusCode, got.Header.Get("Content-Type"), nil
		}
		root, err := html.Parse(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		return got.StatusCode, "text/html", root
	}
	todo := allForms(t, get, slices.Concat([]string{"/join?code=" + l.Desk.Invite("vera", "Vera", incident.Viewer)}, pages, firstPages(), morePages, []string{founding.URL + "/setup?code=abc"}))
	l.heard()
	h := &clerk{t: t, ctx: browserOf(t, 320), desk: l, answer: answer, file: file, token: token}
	run(t, h.ctx, emulation.SetScriptExecutionDisabled(true))
	met, shown := map[string]bool{}, map[string]bool{}
	for len(todo) > 0 {
		one := todo[0]
		todo = todo[1:]
		if met[one.key] {
			continue
		}
		met[one.key] = true
		want, known := everyForm[one.key]
		if !known {
			t.Errorf("%s has a form that no row of the table sends: %s", one.page, one.key)
		}
		h.key = one.key
		h.quiet()
		l.refuse(false)
		l.Desk.Run = counting()
		h.page = ""
		if one.page != "" {
			h.page = whole(server.URL, one.page)
			run(t, h.ctx, network.SetCookie("tocsin", token).WithDomain(at.Hostname()).WithPath("/").WithHTTPOnly(true),
				chromedp.Navigate(h.page), chromedp.WaitReady("footer", chromedp.ByQuery))
			h.quiet()
		}
		if strings.HasPrefix(one.key, "GET ") {
			h.look(server.URL, get)
			continue
		}
		h.change(want, one.page == "")
		h.quiet()
		// What the answer asks is looked at where it stands: only what was sent leads to it.
		var page string
		run(t, h.ctx, chromedp.OuterHTML("html", &page, chromedp.ByQuery))
		root, err := html.Parse(strings.NewReader(page))
		if err != nil {
			t.Fatal(err)
		}
		var where string
		run(t, h.ctx, chromedp.Location(&where))
		where = strings.TrimPrefix(where, server.URL)
		for _, f := range formsOf(where, root) {
			shown[f.key] = true
			if !met[f.key] && !slices.ContainsFunc(todo, func(x somewhere) bool { return x.key == f.key }) {
				f.page = ""
				todo = slices.Insert(todo, 0, f)
				break // it is sent from here; then the page is another one
			}
		}
	}
	for key := range shown {
		if !met[key] {
			t.Errorf("a page that came after a form has another one that was not sent: %s", key)
		}
	}
	for key := range everyForm {
		if !met[key] {
			t.Errorf("no page has the form of the table any more: %s", key)
		}
	}
	t.Logf("%d forms", len(met))
}
