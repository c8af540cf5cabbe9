package httpapi_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
)

var now = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

// fixture is an API over a desk with one incident, and everybody's tokens.
type fixture struct {
	desk                                        *desktest.Desk
	url                                         string
	api                                         *httpapi.API
	owner, responder, viewer, ingest, switchKey string
	log                                         *bytes.Buffer
}

func start(t *testing.T, opt httpapi.Options) *fixture {
	t.Helper()
	f := &fixture{log: &bytes.Buffer{}}
	f.desk, f.owner = desktest.New(now)
	f.responder = f.desk.Join("omar", "Omar", incident.Responder, "counsel")
	f.viewer = f.desk.Join("vic", "Vic", incident.Viewer)
	f.ingest = f.desk.MachineKey("ingest", "app", "pickandpack")
	f.switchKey = f.desk.MachineKey("switch", "", "pickandpack")
	f.desk.States["INC-1"] = incident.NewState("INC-1")
	if opt.Log == nil {
		opt.Log = slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	f.api = httpapi.New(f.desk, opt)
	server := httptest.NewServer(f.api)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) problem(t *testing.T) httpapi.Problem {
	t.Helper()
	var p httpapi.Problem
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("content type %q of status %d: %s", got, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return p
}

func (f *fixture) do(t *testing.T, method, path, token, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if strings.HasPrefix(body, "{") {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, string(text)}
}

// promise: PRO-11
func TestWhoMayCallWhat(t *testing.T) {
	f := start(t, httpapi.Options{})
	tokens := map[string]string{"nobody": "", "a made-up token": "tsc_token_x", "viewer": f.viewer, "responder": f.responder, "owner": f.owner, "ingest key": f.ingest, "switch key": f.switchKey}
	for _, c := range []struct {
		method, path, body string
		allowed            string
	}{
		{"GET", "/v1/incidents", "", "viewer responder owner"},
		{"GET", "/v1/incidents/INC-1", "", "viewer responder owner"},
		{"GET", "/v1/incidents/INC-1/timeline", "", "viewer responder owner"},
		{"GET", "/v1/clocks", "", "viewer responder owner"},
		{"GET", "/v1/accesses", "", "viewer responder owner"},
		{"GET", "/v1/accesses/evt-1", "", "viewer responder owner"},
		{"GET", "/v1/people", "", "viewer responder owner"},
		{"GET", "/v1/merchants", "", "viewer responder owner"},
		{"POST", "/v1/incidents/INC-1/confirm", `{"reason":"r"}`, "responder owner"},
		{"POST", "/v1/incidents/INC-1/plan", `{"action":"a","reason":"r"}`, "responder owner"},
		{"POST", "/v1/incidents", `{"class":"c","title":"t"}`, "responder owner"},
		{"POST", "/v1/switches", `{"merchant":"*","state":"off","reason":"r"}`, "responder owner"},
		{"PUT", "/v1/secrets/app_admin", "s", "responder owner"},
		{"POST", "/v1/merchants", "merchant\nm_1\n", "owner"},
		{"POST", "/v1/people", `{"id":"eve","name":"Eve","access":"viewer"}`, "owner"},
		{"POST", "/v1/keys", `{"purpose":"switch"}`, "owner"},
		{"POST", "/v1/people/nobody/revoke", `{}`, "owner"},
		{"POST", "/v1/events", "{}\n", "ingest key"},
		{"GET", "/v1/switches", "", "switch key viewer responder owner"},
		{"POST", "/v1/switches/seen", `{"instance":"web-1","version":3}`, "switch key"},
		{"GET", "/v1/log/facts/checkpoint", "", "nobody a made-up token viewer responder owner ingest key switch key"},
		{"GET", "/v1/log/facts/tile/entries/000.p/3", "", "viewer responder owner"},
		{"GET", "/v1/rejected", "", "owner"},
		{"GET", "/v1/events/evt-1/proof", "", "responder owner"},
		{"GET", "/v1/checkpoints", "", "nobody a made-up token viewer responder owner ingest key switch key"},
	} {
		for name, token := range tokens {
			got := f.do(t, c.method, c.path, token, c.body)
			allowed := strings.Contains(" "+c.allowed+" ", " "+name+" ")
			refused := got.status == http.StatusUnauthorized || got.status == http.StatusForbidden
			if allowed == refused {
				t.Errorf("%s %s by %s: status %d %s", c.method, c.path, name, got.status, got.body)
			}
			if refused {
				if want := map[bool]int{true: 401, false: 403}[name == "nobody" || name == "a made-up token"]; got.status != want {
					t.Errorf("%s %s by %s: status %d, want %d", c.method, c.path, name, got.status, want)
				}
				got.problem(t)
			}
		}
	}
}

// Every path of the document that is not public refuses a caller without a token: an operation
// that forgot its guard would be found here.
func TestNoOperationIsOpenByMistake(t *testing.T) {
	f := start(t, httpapi.Options{Rate: 1000, Burst: 1000})
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Security    []any  `json:"security"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(f.do(t, "GET", "/openapi.json", "", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	public := map[string]bool{"join": true, "checkpoints": true, "log-file": true}
	n := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			n++
			if public[op.OperationID] {
				continue
			}
			path := strings.NewReplacer("{id}", "INC-1", "{notice}", "NTC-1", "{name}", "n").Replace(path)
			if got := f.do(t, strings.ToUpper(method), path, "", "{}"); got.status != http.StatusUnauthorized || op.Security == nil {
				t.Errorf("%s %s without a token: status %d, security %v", method, path, got.status, op.Security)
			}
		}
	}
	if n < 50 {
		t.Errorf("the document has only %d operations", n)
	}
}

func TestCommandReachesTheDesk(t *testing.T) {
	f := start(t, httpapi.Options{})
	got := f.do(t, "POST", "/v1/incidents/INC-1/draft", f.responder,
		`{"duty":"tell_merchants","subject":"S","content":{"what_happened":"W"}}`, "Idempotency-Key", "k1")
	if got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	asked := f.desk.Asked()
	if len(asked) != 1 {
		t.Fatalf("asked %d times", len(asked))
	}
	r := asked[0]
	draft, ok := r.Command.(incident.DraftNotice)
	if !ok || draft.Content["what_happened"] != "W" || r.Caller.Principal != "person:omar" || r.ID != "person:omar/k1" || r.Incident != "INC-1" {
		t.Errorf("%+v", r)
	}
}

func TestWorkersCommandsAreNotReachable(t *testing.T) {
	f := start(t, httpapi.Options{})
	for _, name := range []string{"report-attempt", "report-result", "record-scope", "record-export", "record-switch", "signal", "end-signal", "tick", "open", ""} {
		got := f.do(t, "POST", "/v1/incidents/INC-1/"+name, f.owner, `{}`)
		if got.status != http.StatusNotFound || len(f.desk.Asked()) != 0 {
			t.Errorf("%s: status %d, asked %d", name, got.status, len(f.desk.Asked()))
		}
	}
}

// workers are the commands only the system itself gives.
var workers = map[string]bool{"report-attempt": true, "report-result": true, "record-scope": true, "record-export": true, "record-switch": true, "signal": true, "end-signal": true, "tick": true, "open": true,
	"attach":           true, // it takes a file, by another path
	"record-directory": true, "begin-programme": true, "event": true}

func TestEveryCommandOfPeopleIsReachable(t *testing.T) {
	f := start(t, httpapi.Options{})
	doc := f.do(t, "GET", "/openapi.json", "", "").body
	for _, name := range incident.CommandNames() {
		if has := strings.Contains(doc, `"/v1/incidents/{id}/`+name+`"`); has == workers[name] {
			t.Errorf("%s: reachable %v", name, has)
		}
	}
}

func TestRefusalListsWhatIsMissing(t *testing.T) {
	f := start(t, httpapi.Options{})
	f.desk.Answer = func(desk.Request) (desk.Outcome, error) {
		return desk.Outcome{}, &incident.Refusal{Reason: incident.RefusedGate, Message: "restore is refused",
			Missing: []incident.Missing{{What: "check checkout has not passed", Do: "run it: tocsin incident check INC-1", Rule: "g_restore"}, {What: "no fix is verified", Do: "verify"}}}
	}
	got := f.do(t, "POST", "/v1/incidents/INC-1/restore", f.responder, `{"reason":"now"}`)
	p := got.problem(t)
	if p.Status != http.StatusConflict || p.Reason != "gate_shut" || len(p.Missing) != 2 || p.Missing[0].Rule != "g_restore" {
		t.Errorf("%+v", p)
	}
}

// promise: PRO-12
func TestErrorsAndLogsHoldNoSecretsAndNoPersonalData(t *testing.T) {
	f := start(t, httpapi.Options{})
	f.desk.Answer = func(desk.Request) (desk.Outcome, error) {
		return desk.Outcome{}, errors.New("sqlite: disk I/O error at /srv/tocsin.db")
	}
	got := f.do(t, "POST", "/v1/incidents/INC-1/confirm", f.responder, `{"reason":"mail anna@example.com"}`)
	if p := got.problem(t); p.Status != 500 || strings.Contains(got.body, "sqlite") {
		t.Errorf("an internal error shows: %s", got.body)
	}
	bodies := got.body
	for _, body := range []string{`{"reason":["anna@example.com"]}`, `{"anna@example.com":1}`, `{"reason":"x","access":"anna@example.com"}`, "{anna@example.com"} {
		got := f.do(t, "POST", "/v1/incidents/INC-1/confirm?who=anna@example.com", f.responder, body)
		if got.status < 400 || got.status > 499 {
			t.Errorf("%s: status %d", body, got.status)
		}
		if strings.Contains(body, `["anna`) || strings.Contains(body, "{anna") {
			bodies += got.body
		}
	}
	f.do(t, "PUT", "/v1/secrets/app_admin", f.responder, "hunter2-secret")
	f.do(t, "POST", "/v1/join", "", `{"code":"tsc_join_leak"}`)
	for _, secret := range []string{"anna@example.com", "hunter2", f.responder, "tsc_join_leak"} {
		if strings.Contains(f.log.String(), secret) || strings.Contains(bodies, secret) {
			t.Errorf("%q stands in the log or in an error", secret)
		}
	}
	if !strings.Contains(f.log.String(), "disk I/O error") {
		t.Error("the log does not say what failed")
	}
	if f.desk.SecretSize("app_admin") != len("hunter2-secret") {
		t.Error("the secret did not arrive")
	}
}

func TestSizesAreLimited(t *testing.T) {
	f := start(t, httpapi.Options{MaxIngest: 1000})
	big := strings.Repeat("x", 2<<20)
	for name, got := range map[string]answer{
		"a command":     f.do(t, "POST", "/v1/incidents/INC-1/note", f.responder, `{"text":"`+big+`"}`),
		"events":        f.do(t, "POST", "/v1/events", f.ingest, strings.Repeat("{}\n", 500)),
		"a secret":      f.do(t, "PUT", "/v1/secrets/s", f.responder, big),
		"a zipped bomb": f.do(t, "POST", "/v1/events", f.ingest, zipped(t, strings.Repeat("{}\n", 20000)), "Content-Encoding", "gzip"),
	} {
		if got.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d %.200s", name, got.status, got.body)
		}
	}
}

func zipped(t *testing.T, s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestIngestStreamsAndAnswersTheReceipt(t *testing.T) {
	f := start(t, httpapi.Options{})
	f.desk.Taken = func(key desk.Key, how desk.Delivery, body io.Reader) (desk.Receipt, error) {
		text, err := io.ReadAll(body)
		if err != nil {
			return desk.Receipt{}, err
		}
		if key.Source != "app" || how.Batch != "b1" || how.Format != "native" || string(text) != "{}\n{}\n" {
			t.Errorf("key %+v, batch %q, format %q, %d bytes", key, how.Batch, how.Format, len(text))
		}
		return desk.Receipt{Accepted: 1, Duplicates: 1}, nil
	}
	got := f.do(t, "POST", "/v1/events?format=native", f.ingest, zipped(t, "{}\n{}\n"), "Content-Encoding", "gzip", "Tocsin-Batch", "b1")
	if got.status != 200 || strings.TrimSpace(got.body) != `{"accepted":1,"duplicates":1}` && strings.TrimSpace(got.body) != `{"accepted":1,"duplicates":1,"rejected":[]}` {
		t.Errorf("%d %s", got.status, got.body)
	}
	// tar and tapes fill a last block with zeros; gzip(1) takes them, and nothing else.
	if got := f.do(t, "POST", "/v1/events?format=native", f.ingest, zipped(t, "{}\n{}\n")+strings.Repeat("\x00", 9000), "Content-Encoding", "gzip", "Tocsin-Batch", "b1"); got.status != 200 {
		t.Errorf("gzip with zeros behind it: %d %s", got.status, got.body)
	}
	for _, rest := range []string{"x", "\x00x", "something else"} {
		if got := f.do(t, "POST", "/v1/events?format=native", f.ingest, zipped(t, "{}\n{}\n")+rest, "Content-Encoding", "gzip", "Tocsin-Batch", "b1"); got.status != 400 {
			t.Errorf("gzip with %q behind it: %d %s", rest, got.status, got.body)
		}
	}
	if got := f.do(t, "POST", "/v1/events?format=xml", f.ingest, "<a/>"); got.status != 422 {
		t.Errorf("an unknown format: %d", got.status)
	}
	if got := f.do(t, "POST", "/v1/events", f.ingest, "no gzip", "Content-Encoding", "gzip"); got.status != 422 || !strings.Contains(got.body, `"detail":"the body is not gzip although it says so"`) {
		t.Errorf("no gzip: %d %s", got.status, got.body)
	}
}

func TestIngestIsAnswered429WhenFull(t *testing.T) {
	f := start(t, httpapi.Options{Ingesting: 1})
	inside, leave := make(chan struct{}), make(chan struct{})
	f.desk.Taken = func(desk.Key, desk.Delivery, io.Reader) (desk.Receipt, error) {
		close(inside)
		<-leave
		return desk.Receipt{}, nil
	}
	first := make(chan int)
	go func() { first <- f.do(t, "POST", "/v1/events", f.ingest, "{}\n").status }()
	<-inside
	got := f.do(t, "POST", "/v1/events", f.ingest, "{}\n")
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	close(leave)
	if status := <-first; status != 200 {
		t.Errorf("the first got %d", status)
	}
}

func TestSenderOverItsQuotaIsToldHowLongToWaitAndTheDoctorWho(t *testing.T) {
	f := start(t, httpapi.Options{Quota: 2})
	f.desk.Taken = func(desk.Key, desk.Delivery, io.Reader) (desk.Receipt, error) {
		return desk.Receipt{Accepted: 30}, nil
	}
	if got := f.do(t, "POST", "/v1/events", f.ingest, "{}\n"); got.status != 200 {
		t.Fatalf("the first batch: %d", got.status)
	}
	if over := f.api.OverQuota(time.Now().Add(-time.Hour)); len(over) != 0 {
		t.Errorf("over quota before anything was refused: %+v", over)
	}
	for _, path := range []string{"/v1/events", "/v1/logs"} {
		got := f.do(t, "POST", path, f.ingest, "{}\n", "Content-Type", "application/json")
		if got.status != 429 || got.header.Get("Retry-After") != "5" || !strings.Contains(got.body, "quota of 2 events a second; nothing of the batch was taken: send it again after 5 s") {
			t.Errorf("%s: %d, Retry-After %q, %s", path, got.status, got.header.Get("Retry-After"), got.body)
		}
	}
	over := f.api.OverQuota(time.Now().Add(-time.Hour))
	if len(over) != 1 || over[0].Source != "app" || over[0].Requests != 2 || over[0].PerSecond != 2 || time.Since(over[0].Last) > time.Minute {
		t.Errorf("over quota: %+v", over)
	}
	if over := f.api.OverQuota(time.Now()); len(over) != 0 {
		t.Errorf("over quota since now: %+v", over)
	}
}

func TestBatchThatIsTooLargeIsToldHowLargeItMayBe(t *testing.T) {
	f := start(t, httpapi.Options{MaxIngest: 1 << 20})
	f.desk.Taken = func(_ desk.Key, _ desk.Delivery, body io.Reader) (desk.Receipt, error) {
		_, err := io.Copy(io.Discard, body)
		return desk.Receipt{}, errors.Join(err, desk.ErrTooLarge)
	}
	for name, body := range map[string]string{"as sent": strings.Repeat(" ", 1<<20+1), "as unpacked": "{}"} {
		got := f.do(t, "POST", "/v1/events", f.ingest, body)
		if got.status != 413 || !strings.Contains(got.body, "at most 10000 events, 8 MiB of text and 1 MiB as sent") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

func TestBatchThatTheDiskDoesNotTakeIsToldThatNothingOfItWasTaken(t *testing.T) {
	f := start(t, httpapi.Options{})
	f.desk.Taken = func(desk.Key, desk.Delivery, io.Reader) (desk.Receipt, error) {
		return desk.Receipt{}, fmt.Errorf("%w: no space", desk.ErrUnavailable)
	}
	got := f.do(t, "POST", "/v1/events", f.ingest, "{}")
	if got.status != 503 || got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "nothing of the batch was taken") {
		t.Errorf("%d, Retry-After %q, %s", got.status, got.header.Get("Retry-After"), got.body)
	}
}

func TestRateOfOneTokenIsLimited(t *testing.T) {
	f := start(t, httpapi.Options{Rate: 0.001, Burst: 3})
	for i := range 4 {
		got := f.do(t, "GET", "/v1/whoami", f.viewer, "")
		if want := map[bool]int{true: 200, false: 429}[i < 3]; got.status != want {
			t.Fatalf("request %d: status %d", i, got.status)
		}
		if got.status == 429 && got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if got := f.do(t, "GET", "/v1/whoami", f.responder, ""); got.status != 200 {
		t.Errorf("another token: %d", got.status)
	}
	for i := range 4 { // guessing tokens is counted by address
		got := f.do(t, "GET", "/v1/whoami", fmt.Sprint("guess", i), "")
		if want := map[bool]int{true: 401, false: 429}[i < 3]; got.status != want {
			t.Errorf("guess %d: status %d", i, got.status)
		}
	}
}

// promise: PRO-4
func TestInviteJoinRevoke(t *testing.T) {
	f := start(t, httpapi.Options{PublicURL: "https://security.example.com"})
	invite := `{"id":"eve","name":"Eve","access":"responder","roles":["counsel"]}`
	var made struct{ Link string }
	first := f.do(t, "POST", "/v1/people", f.owner, invite, "Idempotency-Key", "a")
	again := f.do(t, "POST", "/v1/people", f.owner, invite, "Idempotency-Key", "a")
	if first.status != 201 || again.body != first.body {
		t.Fatalf("the same key gave another answer: %d %s, %d %s", first.status, first.body, again.status, again.body)
	}
	if err := json.Unmarshal([]byte(first.body), &made); err != nil {
		t.Fatal(err)
	}
	code, ok := strings.CutPrefix(made.Link, "https://security.example.com/join?code=")
	if !ok {
		t.Fatalf("link %q", made.Link)
	}
	var joined struct{ Person, Token string }
	got := f.do(t, "POST", "/v1/join", "", `{"code":"`+code+`"}`, "Idempotency-Key", "j")
	if err := json.Unmarshal([]byte(got.body), &joined); err != nil || joined.Person != "person:eve" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if repeated := f.do(t, "POST", "/v1/join", "", `{"code":"`+code+`"}`, "Idempotency-Key", "j"); repeated.body != got.body {
		t.Errorf("a lost answer cannot be asked for again: %d %s", repeated.status, repeated.body)
	}
	if second := f.do(t, "POST", "/v1/join", "", `{"code":"`+code+`"}`); second.status != 403 || second.problem(t).Reason != "code_used" {
		t.Errorf("a second use: %d %s", second.status, second.body)
	}
	if me := f.do(t, "GET", "/v1/whoami", joined.Token, ""); me.status != 200 || !strings.Contains(me.body, `"person:eve"`) {
		t.Errorf("whoami: %d %s", me.status, me.body)
	}
	if got := f.do(t, "POST", "/v1/people/eve/revoke", f.owner, `{"reason":"left"}`); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if me := f.do(t, "GET", "/v1/whoami", joined.Token, ""); me.status != 401 {
		t.Errorf("after revocation: %d", me.status)
	}
	if people := f.do(t, "GET", "/v1/people", f.viewer, ""); strings.Contains(people.body, "sha256") || !strings.Contains(people.body, `"eve"`) {
		t.Errorf("people: %s", people.body)
	}
}

// promise: CON-3
func TestSwitchStreamSendsTheSetNowAndAfterEachFlip(t *testing.T) {
	f := start(t, httpapi.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", f.url+"/v1/switches/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+f.switchKey)
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	nextSet := func() httpapi.SwitchSet {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var set httpapi.SwitchSet
				if err := json.Unmarshal([]byte(data), &set); err != nil {
					t.Fatal(err)
				}
				return set
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return httpapi.SwitchSet{}
	}
	if set := nextSet(); set.Version != 0 || len(set.Switches) != 0 {
		t.Errorf("at first: %+v", set)
	}
	if got := f.do(t, "POST", "/v1/switches", f.responder, `{"merchant":"m_1","state":"off","reason":"stolen token"}`); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if set := nextSet(); set.Version != 1 || set.Switches[0].State != "off" {
		t.Errorf("after the flip: %+v", set)
	}
	if got := f.do(t, "POST", "/v1/switches/seen", f.switchKey, `{"instance":"web-1","version":1}`); got.status != 204 {
		t.Errorf("seen: %d %s", got.status, got.body)
	}
	if seen := f.desk.Seen(); len(seen) != 1 || !strings.HasSuffix(seen[0], " web-1 1") {
		t.Errorf("%q", seen)
	}
}

// One stolen key cannot take every connection; what it gave back it may take again.
func TestStreamsOfOneTokenAreLimited(t *testing.T) {
	f := start(t, httpapi.Options{Streams: 2})
	open := func(token string) (status int, end func()) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		r, err := http.NewRequestWithContext(ctx, "GET", f.url+"/v1/switches/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, func() { cancel(); resp.Body.Close() }
	}
	_, first := open(f.switchKey)
	_, second := open(f.switchKey)
	defer second()
	status, third := open(f.switchKey)
	defer third()
	if status != http.StatusTooManyRequests {
		t.Errorf("the third of two: %d", status)
	}
	status, other := open(f.responder)
	defer other()
	if status != http.StatusOK {
		t.Errorf("another token's first: %d", status)
	}
	first()
	for until := time.Now().Add(10 * time.Second); ; {
		status, again := open(f.switchKey)
		again()
		if status == http.StatusOK {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("after one ended: %d", status)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// promise: INV-3
func TestExportIsAFileForTheOneWhoAsked(t *testing.T) {
	f := start(t, httpapi.Options{})
	f.desk.ExportFile = filepath.Join(t.TempDir(), `INC-1 "x".tocsin`)
	if err := os.WriteFile(f.desk.ExportFile, []byte("tocsin-export/v1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := f.do(t, "POST", "/v1/incidents/INC-1/export", f.responder, `{"recipient":"the insurer"}`)
	if got.status != 200 || got.body != "tocsin-export/v1\n" || got.header.Get("Content-Disposition") != `attachment; filename="INC-1__x_.tocsin"` {
		t.Errorf("%d %q %s", got.status, got.body, got.header.Get("Content-Disposition"))
	}
	for _, body := range []string{`{}`, `{"recipient":"x","path":"/etc/passwd"}`, `[]`} {
		if got := f.do(t, "POST", "/v1/incidents/INC-1/export", f.responder, body); got.status != 422 && got.status != 415 {
			t.Errorf("%s: %d", body, got.status)
		}
	}
}

func TestTimelinePages(t *testing.T) {
	f := start(t, httpapi.Options{})
	for i := range 5 {
		f.desk.Lines["INC-1"] = append(f.desk.Lines["INC-1"], desk.TimelineLine{ID: fmt.Sprint("l", i), Source: "fact", Text: "<b>x</b>"})
	}
	got := f.do(t, "GET", "/v1/incidents/INC-1/timeline?after=l1&limit=2&source=fact", f.viewer, "")
	if !strings.Contains(got.body, `"l2"`) || !strings.Contains(got.body, `"l3"`) || strings.Contains(got.body, `"l4"`) || strings.Contains(got.body, `"l1"`) {
		t.Errorf("%s", got.body)
	}
	for _, q := range []string{"source=secret", "limit=0", "limit=100000"} {
		if got := f.do(t, "GET", "/v1/incidents/INC-1/timeline?"+q, f.viewer, ""); got.status != 422 {
			t.Errorf("%s: %d", q, got.status)
		}
	}
	if got := f.do(t, "GET", "/v1/incidents/INC-404/timeline", "", ""); got.status != 401 {
		t.Errorf("%d", got.status)
	}
	if got := f.do(t, "GET", "/v1/incidents/INC-404", f.viewer, ""); got.status != 404 {
		t.Errorf("%d", got.status)
	}
}
