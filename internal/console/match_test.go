package console_test

import (
	"bufio"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/scope"
)

const (
	scopeOf  = "/incidents/INC-1/scope"
	matchOf  = scopeOf + "/match"
	ownList  = "merchant,email,region\nm_1,ann@shop.example,DE\nm_1,bob@shop.example,FR\n"
	oneOfOwn = "ann@shop.example"
)

// promise: INV-1
func TestAListOfTheVendorsOwnIsComparedOnThePageOfTheScope(t *testing.T) {
	b := signedIn(t, console.Options{})
	b.desk.States["INC-1"].Scopes = append(slices.Clone(b.desk.States["INC-1"].Scopes), incident.ScopeVersion{N: 2, Merchants: 3, At: now})
	page := b.get(scopeOf).body
	for _, want := range []string{"Compare with your own list of customers", "Nothing is stored", `<option value="2">version 2, 3 merchants</option>`, `<option value="1">version 1, 214 merchants</option>`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	csrf := csrfField.FindStringSubmatch(page)[1]
	fields := func(csrf, version, show string) [][2]string {
		return [][2]string{{"csrf", csrf}, {"key", "k"}, {"version", version}, {"show", show}}
	}

	got := b.upload(matchOf, fields(csrf, "1", "numbers"), ownList)
	if got.status != http.StatusOK || !strings.Contains(got.body, "2 of 2 lines read are affected: 2 customer accounts") || strings.Contains(got.body, oneOfOwn) {
		t.Errorf("the numbers: %d %s", got.status, got.body)
	}
	if !strings.Contains(got.body, "Version 1 of the scope holds") || !strings.Contains(got.body, `<option value="1" selected>`) {
		t.Error("the answer does not say which version it is about, or the form does not keep it")
	}
	got = b.upload(matchOf, fields(csrf, "1", "lines"), ownList)
	if got.status != http.StatusOK || got.body != ownList || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "text/csv; charset=utf-8" ||
		got.header.Get("Content-Disposition") != `attachment; filename="INC-1-affected-1.csv"` {
		t.Errorf("the lines: %d %v %q", got.status, got.header, got.body)
	}

	for _, bad := range []struct {
		why, csrf, version, list, says string
		status                         int
	}{
		{"a form of another session", "x", "1", ownList, "Choose the file again", http.StatusForbidden},
		{"what is no CSV", csrf, "1", "merchant,email\nm_1,\"" + oneOfOwn + "\n", "Line 1: no CSV header.", http.StatusUnprocessableEntity},
		{"a scope that is not there", csrf, "9", ownList, "Version: INC-1 has 1 recorded scopes.", http.StatusUnprocessableEntity},
		{"no scope", csrf, "the newest", ownList, "Version: has to be the number of a recorded scope.", http.StatusUnprocessableEntity},
	} {
		got := b.upload(matchOf, fields(bad.csrf, bad.version, "lines"), bad.list)
		if got.status != bad.status || !strings.Contains(got.body, bad.says) || strings.Contains(got.body, oneOfOwn) || strings.Contains(got.body, `id="matched"`) {
			t.Errorf("%s: %d %s", bad.why, got.status, got.body)
		}
		if bad.version == "1" && !strings.Contains(got.body, `<option value="1" selected>`) || !strings.Contains(got.body, `name="show" value="lines" checked`) {
			t.Errorf("%s: the page does not keep what was chosen", bad.why)
		}
	}
	if got := b.submit(scopeOf, matchOf, url.Values{"version": {"1"}}); got.status != http.StatusUnprocessableEntity && got.status != http.StatusForbidden || strings.Contains(got.body, `id="matched"`) {
		t.Errorf("a form without a file: %d", got.status)
	}
	none := "--x\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n" + csrf + "\r\n--x\r\nContent-Disposition: form-data; name=\"version\"\r\n\r\n1\r\n" +
		"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--x--\r\n"
	sent, err := http.NewRequestWithContext(t.Context(), "POST", b.url+matchOf, strings.NewReader(none))
	if err != nil {
		t.Fatal(err)
	}
	sent.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	answer, err := b.http.Do(sent)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(text), "Choose a CSV file.") {
		t.Errorf("no file was chosen: %d %v", answer.StatusCode, err)
	}
	if got := b.get(matchOf); got.status != http.StatusSeeOther || got.header.Get("Location") != scopeOf+"#match" {
		t.Errorf("its address: %d %s", got.status, got.header.Get("Location"))
	}
	if len(b.desk.Asked()) != 0 {
		t.Errorf("something was recorded: %+v", b.desk.Asked())
	}
}

func TestWhoOnlyLooksComparesNoList(t *testing.T) {
	b, _ := open(t, console.Options{})
	token := b.desk.Join("vera", "Vera", incident.Viewer)
	if got := b.post("/signin", url.Values{"token": {token}, "next": {"/"}}); got.status != http.StatusSeeOther {
		t.Fatal(got.status)
	}
	if page := b.get(scopeOf); page.status != http.StatusOK || strings.Contains(page.body, matchOf) {
		t.Errorf("a viewer is offered it: %d", page.status)
	}
	if got := b.upload(matchOf, [][2]string{{"version", "1"}}, ownList); got.status != http.StatusForbidden || strings.Contains(got.body, "affected:") {
		t.Errorf("a viewer compares: %d", got.status)
	}
}

// readsLines is a desk that says when the first line of a list is there, and reads the rest of it.
type readsLines struct {
	*desktest.Desk
	first chan string
}

func (d readsLines) MatchLines(_ context.Context, _ string, _ int, list io.Reader, _ io.Writer) (scope.Matched, error) {
	in := bufio.NewReader(list)
	line, err := in.ReadString('\n')
	if err != nil {
		return scope.Matched{}, err
	}
	d.first <- line
	_, err = io.Copy(io.Discard, in)
	return scope.Matched{}, err
}

// A list is compared while it is sent, so that it is nowhere as a whole, and ends at the bound of the API.
func TestAListIsReadAsItComesAndIsBounded(t *testing.T) {
	d, token := desktest.New(now)
	fill(d)
	lines := readsLines{d, make(chan string, 1)}
	server := httptest.NewServer(console.New(lines, console.Options{Now: func() time.Time { return now }}))
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, desk: d, url: server.URL, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if got := b.post("/signin", url.Values{"token": {token}, "next": {"/"}}); got.status != http.StatusSeeOther {
		t.Fatal(got.status)
	}
	csrf := csrfField.FindStringSubmatch(b.get(scopeOf).body)[1]
	send := func(rest func(w io.Writer) error) (int, string) {
		t.Helper()
		body, w := io.Pipe()
		form := multipart.NewWriter(w)
		go func() {
			err := form.WriteField("csrf", csrf)
			if err == nil {
				err = form.WriteField("version", "1")
			}
			part, fileErr := form.CreateFormFile("file", "customers.csv")
			if err == nil && fileErr == nil {
				if _, err = io.WriteString(part, "merchant,email\n"+strings.Repeat("m_1,x\n", 20000)); err == nil {
					err = rest(part)
				}
			}
			if err == nil {
				err = form.Close()
			}
			w.CloseWithError(err)
		}()
		r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+matchOf, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", form.FormDataContentType())
		got, err := b.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		text, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		return got.StatusCode, string(text)
	}
	status, _ := send(func(io.Writer) error {
		select { // the rest is sent when the desk has the beginning, and not before
		case line := <-lines.first:
			if line != "merchant,email\n" {
				t.Errorf("the desk reads %q", line)
			}
		case <-time.After(20 * time.Second):
			t.Error("the desk has nothing of a list that is being sent")
		}
		return nil
	})
	if status != http.StatusOK {
		t.Errorf("a list that came slowly: %d", status)
	}
	chunk := make([]byte, 1<<20)
	status, page := send(func(w io.Writer) error {
		for range desk.MaxList/len(chunk) + 1 {
			if _, err := w.Write(chunk); err != nil {
				return err
			}
		}
		return nil
	})
	if status != http.StatusRequestEntityTooLarge || !strings.Contains(page, "at most 256 MiB: compare it in parts") {
		t.Errorf("a list beyond the bound: %d", status)
	}
}

// What nothing can come of is not asked for.
func TestASplitWithoutTwoSignalsSaysWhatIsMissing(t *testing.T) {
	b := signedIn(t, console.Options{})
	const page = "/incidents/INC-1/do/split"
	if got := b.get(page).body; !strings.Contains(got, `name="signal"`) || strings.Contains(got, "It cannot be done yet") {
		t.Error("two signals cannot be split")
	}
	signals := b.desk.States["INC-1"].Signals
	for n, says := range []string{"two signals, one that leaves and one that stays", "a second signal: one leaves and one stays"} {
		b.desk.States["INC-1"].Signals = signals[:n]
		got := b.get(page).body
		if !strings.Contains(got, says) || !strings.Contains(got, `href="/incidents/INC-1/do/link-signal"`) || strings.Contains(got, `action="`+page) {
			t.Errorf("with %d: %s", n, got)
		}
	}
}
