package main

import (
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/played"
)

// A drill of a running installation runs in an environment of its own: while it is played nothing leaves
// the installation by mail, to its app or by a switch, and no fact is added to its record. Its result
// stays on the Policy page; one that a crash interrupts stays as interrupted.
//
// promise: PRO-7
func TestADrillAgainstARunningInstallationTouchesNothingOfIt(t *testing.T) {
	program, data := initialised(t)
	short := filepath.Dir(data)
	mailbox := t.TempDir()
	relay := mailServer(t, mailbox)
	real, touched := counting(t)
	config := filepath.Join(data, "tocsin.yaml")
	body, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	written, _, found := strings.Cut(string(body), "connectors:\n")
	if !found {
		t.Fatalf("%s has no connectors", config)
	}
	body = []byte(written + `
mail: { relay: "` + relay.Addr() + `", from: "Acme <security@acme.example>", tls: none }
network: { allow: ["127.0.0.0/8"] }
connectors:
  app_tokens:
    type: http.revoke
    revoke: { method: POST, url: "` + real.URL + `/revoke", expect: [200] }
    probe: { method: GET, url: "` + real.URL + `/probe", header: { Authorization: "Bearer ${secret}" }, refused: [401], within: 1s }
  shop_switch: { type: switch }
`)
	if err := os.WriteFile(config, body, 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() (*process, string) {
		p, said, err := launch(program, short, append(os.Environ(), "TMPDIR="+short), nil, "--data", data)
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(short, "serve.log"))
			t.Fatalf("%v: %s", err, log)
		}
		t.Cleanup(func() { p.halt(syscall.SIGKILL) })
		return p, address.FindStringSubmatch(said)[1]
	}
	p, url := start()
	socket := socketClient(t, data)
	imported := merchantsIn(t, socket, "merchant,name,email\nshop_1,Corner Shop,owner@corner.example\n")

	token := func(access string) string {
		file := filepath.Join(short, access+".token")
		if err := os.WriteFile(file, []byte(joined(t, socket, url, access)), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	viewer, owner := token("viewer"), token("owner")
	before := factsIn(t, data)
	against := func(more ...string) (string, error) {
		cmd := exec.Command(program, append([]string{"drill", "--against", url, "--scenario", "supplier"}, more...)...)
		cmd.Env = append(os.Environ(), "TOCSIN_DATA="+filepath.Join(short, "nowhere"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for name, try := range map[string]struct {
		more []string
		want string
	}{
		"no token":            {nil, "token"},
		"a viewer's token":    {[]string{"--token-file", viewer}, "owner"},
		"what is not its own": {[]string{"--token-file", owner, "--kills", "3"}, "leave out --kills"},
		"no such scenario":    {[]string{"--token-file", owner, "--scenario", "earthquake"}, "there is no scenario"},
	} {
		if out, err := against(try.more...); err == nil || !strings.Contains(out, try.want) {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}

	out, err := against("--token-file", owner, "--json")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var run played.Run
	if err := json.Unmarshal([]byte(out), &run); err != nil || !run.Card.OK || run.Card.Kept() < 4 || run.By != "person:owner" {
		t.Fatalf("%v: %s", err, out)
	}
	if letters, err := filepath.Glob(filepath.Join(mailbox, "*.eml")); err != nil || len(letters) != 0 {
		t.Errorf("%d mails left by the installation's relay (%v)", len(letters), err)
	}
	if n := touched.Load(); n != 0 {
		t.Errorf("the app was asked %d times", n)
	}
	if after := factsIn(t, data); after != before {
		t.Errorf("the record went on from %d facts to %d", before, after)
	}
	if n := merchantsIn(t, socket, ""); n != imported {
		t.Errorf("%d merchants, %d were imported", n, imported)
	}
	if page := fetched(t, url+"/policy"); !strings.Contains(page, `id="last-drill"`) || !strings.Contains(page, "promises were kept") ||
		!strings.Contains(page, "CLS-3") || !strings.Contains(page, " left</td>") || strings.Contains(page, "Reasons and proofs") {
		t.Errorf("the published page: %.2000s", page[strings.Index(page, `id="last-drill"`):])
	}

	// A crash in the middle.
	var begun struct{ Began time.Time }
	if err := socket.Do(t.Context(), http.MethodPost, "/v1/drills", map[string]string{"scenario": "stolen-token"}, &begun); err != nil {
		t.Fatal(err)
	}
	if err := socket.Do(t.Context(), http.MethodPost, "/v1/drills", map[string]string{"scenario": "stolen-token"}, nil); err == nil || !strings.Contains(err.Error(), "is being played") {
		t.Errorf("two at a time: %v", err)
	}
	if code, err := p.halt(syscall.SIGKILL); err != nil || code != -1 {
		t.Fatal(code, err)
	}
	_, url = start()
	socket = socketClient(t, data)
	var list struct{ Drills []played.Run }
	if err := socket.Do(t.Context(), http.MethodGet, "/v1/drills", nil, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Drills) != 2 || list.Drills[0].Failed != played.Interrupted || !list.Drills[0].Began.Equal(begun.Began) || list.Drills[0].Card.Scenario != "stolen-token" {
		t.Errorf("after the crash: %d drills, the newest %+v", len(list.Drills), list.Drills[0])
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for late := time.After(30 * time.Second); ; {
		left, err := filepath.Glob(filepath.Join(short, "tocsin-drill-*"))
		if err == nil && len(left) == 0 {
			break
		}
		select {
		case <-late:
			t.Fatalf("its folder is still there: %v %v", left, err)
		case <-again.C:
		}
	}
	if page := fetched(t, url+"/policy"); !strings.Contains(page, "The story: supplier") {
		t.Error("an interrupted drill took the place of the one with a result")
	}
}

// factsIn is how many facts the installation's store holds.
func factsIn(t *testing.T, data string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, "tocsin.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM facts").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func fetched(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, answer.StatusCode, err)
	}
	return string(body)
}

// merchantsIn imports a list, or none, and says how many merchants there are.
func merchantsIn(t *testing.T, c *client.Client, list string) int {
	t.Helper()
	if list != "" {
		if _, err := c.ImportMerchants(t.Context(), []byte(list)); err != nil {
			t.Fatal(err)
		}
	}
	var out struct{ Merchants []struct{ ID string } }
	if err := c.Do(t.Context(), http.MethodGet, "/v1/merchants", nil, &out); err != nil {
		t.Fatal(err)
	}
	return len(out.Merchants)
}

// joined invites somebody and gives the token they join with.
func joined(t *testing.T, c *client.Client, url, access string) string {
	t.Helper()
	var invited struct{ Link string }
	if err := c.Do(t.Context(), http.MethodPost, "/v1/people", map[string]any{"id": access, "name": access, "access": access, "roles": []string{}}, &invited); err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(invited.Link, "code=")
	var out struct{ Token string }
	if err := c.Do(t.Context(), http.MethodPost, "/v1/join", map[string]string{"code": code}, &out); err != nil {
		t.Fatal(err)
	}
	return out.Token
}
