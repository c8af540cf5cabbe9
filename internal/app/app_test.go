package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/policies"
)

// configuration is the least that is accepted.
const configuration = `organisation: { id: example, name: Example }
listen: 127.0.0.1:0
apps: [ { id: example_app, name: Example } ]
policy: policies/policy.yaml
`

// folder makes a data folder with a short path: a socket's path has little room.
func folder(t *testing.T, env, config string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tocsin-app-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if _, err := CreateFolder(dir, env, time.Now()); err != nil {
		t.Fatal(err)
	}
	source, err := policies.FS.ReadFile("pickandpack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "policies/policy.yaml", string(source))
	write(t, dir, "tocsin.yaml", config)
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// start runs a server until the test ends or stop is called.
func start(t *testing.T, o Options) (a *App, stop func()) {
	t.Helper()
	a, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		if err := a.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	t.Cleanup(stop)
	return a, stop
}

// local is a client over the socket in the data folder: the account that owns the folder.
func local(t *testing.T, dir string) *client.Client {
	t.Helper()
	c, err := client.New("unix://"+filepath.Join(dir, "tocsin.sock"), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// member invites a person and joins as that person.
func member(t *testing.T, a *App, id, access string) (*client.Client, client.Token) {
	t.Helper()
	link, _, err := local(t, a.o.Dir).Invite(t.Context(), id, id, access, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := client.New(a.URL(), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := stranger.Join(t.Context(), code(link))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(a.URL(), client.WithToken(token), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	return c, token
}

func code(link string) string {
	_, code, _ := strings.Cut(link, "code=")
	return code
}

func TestTheLinkIsPrintedUntilAnOwnerHasJoined(t *testing.T) {
	dir := folder(t, "production", configuration)
	a, stop := start(t, Options{Dir: dir})
	lost := a.Link()
	stop()
	a, stop = start(t, Options{Dir: dir})
	if a.Link() == "" || a.Link() == lost {
		t.Errorf("nobody has joined, and the second start prints %q", a.Link())
	}
	stranger, err := client.New(a.URL(), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := stranger.Join(t.Context(), code(lost)); err == nil {
		t.Error("the link of the first start still works beside the new one")
	}
	who, _, err := stranger.Join(t.Context(), code(a.Link()))
	if err != nil || !strings.Contains(who, "owner") {
		t.Fatalf("joined as %q: %v", who, err)
	}
	if _, _, err := stranger.Join(t.Context(), code(a.Link())); err == nil {
		t.Error("the link worked twice")
	}
	stop()
	if a, _ = start(t, Options{Dir: dir}); a.Link() != "" {
		t.Errorf("an owner has joined, and a link is printed: %q", a.Link())
	}
}

func TestARevokedTokenIsRefusedOnTheNextRequest(t *testing.T) { // promise: PRO-4
	dir := folder(t, "production", configuration)
	a, _ := start(t, Options{Dir: dir})
	c, _ := member(t, a, "lena", "responder")
	if _, err := c.Board(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := local(t, dir).Do(t.Context(), http.MethodPost, "/v1/people/lena/revoke", map[string]string{"reason": "left"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Board(t.Context()); !isStatus(err, http.StatusUnauthorized) {
		t.Errorf("the revoked token: %v", err)
	}
}

func isStatus(err error, status int) bool {
	e, ok := err.(*client.Error)
	return ok && e.Status == status
}

func TestASecondServerOnTheFolderIsRefused(t *testing.T) {
	dir := folder(t, "production", configuration)
	start(t, Options{Dir: dir})
	_, err := New(t.Context(), Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("the second server got: %v", err)
	}
	if _, err := local(t, dir).Board(t.Context()); err != nil {
		t.Errorf("the first is disturbed by the second: %v", err)
	}
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	dir := folder(t, "production", configuration)
	for _, name := range []string{"tocsin.sock", "tocsin.sock.new"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close() // as a kill leaves it: a name that nobody listens on
	}
	start(t, Options{Dir: dir})
	if _, err := local(t, dir).Board(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestStopEndsOpenStreams(t *testing.T) {
	dir := folder(t, "production", configuration)
	a, stop := start(t, Options{Dir: dir})
	key := struct{ Key string }{}
	if err := local(t, dir).Do(t.Context(), http.MethodPost, "/v1/keys", map[string]string{"purpose": "switch", "app": "example_app", "source": "app"}, &key); err != nil {
		t.Fatal(err)
	}
	q, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+"/v1/switches/stream", nil)
	q.Header.Set("Authorization", "Bearer "+key.Key)
	r, err := http.DefaultClient.Do(q)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("stream: %v %v", r, err)
	}
	defer r.Body.Close()
	began := time.Now()
	stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v to stop with a stream open", took)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Errorf("the stream was cut and not ended: %v", err)
	}
}

func TestTheLogHoldsNoSecretAndNoPerson(t *testing.T) { // promise: PRO-12
	var log bytes.Buffer
	var mu sync.Mutex
	dir := folder(t, "production", configuration)
	a, stop := start(t, Options{Dir: dir, Log: slog.New(slog.NewTextHandler(locked{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	link := a.Link()
	c, token := member(t, a, "lena", "owner")
	csv := "merchant,name,store,domain,email,email_2,phone,language,zone,country,contract_hours,installed,uninstalled\n" +
		"m_1,Very Secret Shop,s_1,secret-shop.example,mona@secret-shop.example,,+15550123,en,Europe/London,GB,,,\n"
	if _, err := c.ImportMerchants(t.Context(), []byte(csv)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "Mona's orders were read"}); err != nil {
		t.Fatal(err)
	}
	q, _ := http.NewRequest(http.MethodGet, a.URL()+"/join?code=hunter2code", nil)
	if r, err := http.DefaultClient.Do(q); err == nil {
		r.Body.Close()
	}
	stop()
	mu.Lock()
	defer mu.Unlock()
	for what, secret := range map[string]string{
		"the one-time code": code(link), "a token": string(token), "an address": "mona@", "a phone number": "15550123",
		"a merchant's name": "Secret Shop", "a title": "Mona", "a code in a query": "hunter2code", "a person's id": "lena",
	} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %s:\n%s", what, log.String())
		}
	}
	for _, say := range []string{"msg=serving", "msg=stopping", "msg=stopped", a.Addr(), "policy=pickandpack"} {
		if !strings.Contains(log.String(), say) {
			t.Errorf("the log does not say %s:\n%s", say, log.String())
		}
	}
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

func TestAFolderIsMadeOnceAndNamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadFolder(dir); err == nil || !strings.Contains(err.Error(), "tocsin init --data") {
		t.Errorf("no folder: %v", err)
	}
	in, err := CreateFolder(dir, "drill", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CreateFolder(dir, "production", time.Now()); err == nil {
		t.Error("a drill became production")
	}
	if got, err := ReadFolder(dir); err != nil || got.ID != in.ID || got.Env != "drill" {
		t.Errorf("read back %+v: %v", got, err)
	}
	for _, text := range []string{"", "{", `{"env":"live"}`, `{"id":"x"}`} {
		write(t, dir, installationFile, text)
		if _, err := ReadFolder(dir); err == nil || !strings.Contains(err.Error(), installationFile) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestAFolderCannotChangeItsEnvironment(t *testing.T) { // promise: PRO-7
	dir := folder(t, "production", configuration)
	_, stop := start(t, Options{Dir: dir})
	stop()
	body, err := os.ReadFile(filepath.Join(dir, installationFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, env := range []string{"drill", "staging"} {
		write(t, dir, installationFile, strings.Replace(string(body), "production", env, 1))
		if a, err := New(t.Context(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "made in production") {
			t.Errorf("the production folder was opened as %s: %v", env, err)
			if err == nil {
				a.Stop()
			}
		}
	}
}

func TestWhatThePolicyPromisesAndTheConfigurationLacksIsSaidAtTheStart(t *testing.T) {
	var log bytes.Buffer
	dir := folder(t, "production", configuration+"connectors: { shop_switch: { type: switch } }\n")
	a, err := New(t.Context(), Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	for _, say := range []string{
		"action revoke_token needs a connector named app_tokens: add it under connectors", "action rotate_secret needs a connector named app_secret", "action put_back_files needs a connector named known_good",
		"check orders_api is not configured: add it under checks", "duty tell_merchants needs mail", "duty tell_platform needs mail",
	} {
		if !strings.Contains(log.String(), say) {
			t.Errorf("the log does not say %q:\n%s", say, log.String())
		}
	}
	if got := strings.Count(log.String(), "the policy promises what"); got != 6 {
		t.Errorf("%d are lacking:\n%s", got, log.String())
	}
}
