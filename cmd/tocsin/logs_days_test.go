package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/mysqltest"
)

// conducted is a server on the folder of a drill, whose clock the test moves over the drill's pipe.
type conducted struct {
	*process
	in  *os.File
	out *bufio.Reader
	ids int
}

// conduct starts a server whose clock shows a time.
func conduct(t *testing.T, program, data string, at time.Time) *conducted {
	t.Helper()
	toServer, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, fromServer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	if _, err := fmt.Fprintf(in, `{"hello":"tocsin-drill/1","now":%q,"mail_retry":["1ms"],"listen":"127.0.0.1:0"}`+"\n", at.Format(time.RFC3339)); err != nil {
		t.Fatal(err)
	}
	p, _, err := launch(program, filepath.Dir(data), os.Environ(), []*os.File{toServer, fromServer}, "--data", data)
	toServer.Close()
	fromServer.Close()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(filepath.Dir(data), "serve.log")) // only to say why
		t.Fatalf("%v: %s", err, log)
	}
	t.Cleanup(func() { p.halt(syscall.SIGKILL) })
	c := &conducted{process: p, in: in, out: bufio.NewReader(out)}
	c.answer(t) // that it is ready
	return c
}

func (c *conducted) answer(t *testing.T) {
	t.Helper()
	line, err := c.out.ReadBytes('\n')
	var said struct{ Error string }
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err != nil || said.Error != "" {
		t.Fatalf("the pipe: %v %s", err, said.Error)
	}
}

// advance moves the clock and returns when nothing is left to do there.
func (c *conducted) advance(t *testing.T, to time.Time) {
	t.Helper()
	c.ids++
	if _, err := fmt.Fprintf(c.in, `{"id":%d,"advance":%q}`+"\n", c.ids, to.Format(time.RFC3339)); err != nil {
		t.Fatal(err)
	}
	c.answer(t)
}

// dayIs waits until a day of the access log has a state, and nothing is left of it when it is removed.
func dayIs(t *testing.T, c *client.Client, day, state string) client.LogDay {
	t.Helper()
	var last any
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		all, err := c.LogDays(t.Context())
		last = fmt.Sprint(all, err)
		if i := slices.IndexFunc(all.Days, func(d client.LogDay) bool { return d.Day == day }); err == nil && i >= 0 && all.Days[i].State == state && !all.Days[i].Left {
			return all.Days[i]
		}
	}
	t.Fatalf("%s does not become %s: %v", day, state, last)
	return client.LogDay{}
}

// Both logs are in MySQL, and a day of the access log comes to its end: a hold with its basis keeps it,
// and when that is released its bundle leaves the database, its key the folder and its events every
// question, on the running program and over a kill. All of it are facts; what is left is proven, and
// agrees with a checkpoint of before.
//
// promise: INV-3
func TestADayOfALogInMySQLEndsWhenNoHoldKeepsIt(t *testing.T) {
	program, data := initialised(t)
	dir := filepath.Dir(data)
	events := inMySQL(t, data)
	config, err := os.OpenFile(filepath.Join(data, "tocsin.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintln(config, "evidence: { keep: 30 days }"); err != nil {
		t.Fatal(err)
	}
	config.Close()
	marker := filepath.Join(data, "installation.json")
	body, err := os.ReadFile(marker)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(marker, bytes.Replace(body, []byte("production"), []byte("drill"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 10, 20, 12, 0, 0, 0, time.UTC)
	server := conduct(t, program, data, noon)
	c := socketClient(t, data)
	_, key, err := c.NewMachineKey(t.Context(), "ingest", "orders", "example_app")
	if err != nil {
		t.Fatal(err)
	}
	app, err := client.New("unix://"+filepath.Join(data, "tocsin.sock"), client.WithTries(1, 0), client.WithToken(key))
	if err != nil {
		t.Fatal(err)
	}
	// noise does not compress: two such events fill a leaf, so that few of them fill a bundle.
	send := func(name string, n, noise int, at time.Time) {
		t.Helper()
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.~!*=:;,/|"
		var b strings.Builder
		for i := range n {
			text := make([]byte, noise)
			for k := range text {
				text[k] = letters[rand.IntN(len(letters))]
			}
			fmt.Fprintf(&b, `{"id":"%s-%d","time":%q,"kind":"pii_access","actor":{"type":"service","id":"worker"},"credential":"tok","action":"read","merchant":"m_1","records":1,"attributes":{"noise":%q}}`+"\n",
				name, i, at.Format(time.RFC3339), text)
		}
		if got, err := app.Ingest(t.Context(), name, "native", []byte(b.String())); err != nil || got.Accepted != n {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	for i := range 4 {
		send(fmt.Sprint("old", i), 140, 30_000, noon)
	}
	opened, err := c.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "orders read at night"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Command(t.Context(), opened.Incident, "hold", map[string]any{"what": "all of it", "basis": "a claim is pending"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Command(t.Context(), opened.Incident, "dismiss", map[string]any{"reason": "a test by our own staff"}); err != nil {
		t.Fatal(err)
	}
	next := noon.AddDate(0, 0, 2) // whose day outlives the hold on the first one
	server.advance(t, next)
	send("new", 9, 0, next)
	if page, err := c.Accesses(t.Context(), client.AccessQuery{Kind: "pii_access"}); err != nil || len(page.Accesses) == 0 {
		t.Fatalf("%+v, %v", page, err)
	}
	first := dayIs(t, c, "2026-10-20", "kept")
	if first.Leaves < 256 || first.Events != 560 || first.Closed == "" {
		t.Fatalf("the first day: %+v", first)
	}
	kept := filepath.Join(dir, "kept")
	said, err := command(t, program, "evidence", "checkpoint", "--data", data)
	if err != nil || os.WriteFile(kept, []byte(said), 0o600) != nil {
		t.Fatalf("%v: %s", err, said)
	}
	db, err := mysqltest.Open(events)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	bundles := func() (n int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM TiledLeaves WHERE tile_index = 0").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}

	over := noon.AddDate(0, 0, 31)
	server.advance(t, over)
	if day := dayIs(t, c, "2026-10-20", "held"); !strings.Contains(day.Why, "HLD-1 of "+opened.Incident+": a claim is pending") {
		t.Errorf("why it is held: %q", day.Why)
	}
	if bundles() != 1 {
		t.Fatal("the bundle of a day that is held is gone")
	}
	if said, err := command(t, program, "evidence", "prove", "old1-7", "--out", filepath.Join(dir, "held.json"), "--data", data); err != nil {
		t.Errorf("an event of a day that is held: %v: %s", err, said)
	}
	if _, err := c.Command(t.Context(), opened.Incident, "release-hold", map[string]any{"hold": "HLD-1", "reason": "settled"}); err != nil {
		t.Fatal(err)
	}
	over = over.AddDate(0, 0, 1) // days are looked at once a day
	server.advance(t, over)
	day := dayIs(t, c, "2026-10-20", "removed")
	if day.Fact == "" || bundles() != 0 {
		t.Fatalf("after it was removed: %+v, %d rows of its bundle", day, bundles())
	}
	if _, err := server.halt(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	conduct(t, program, data, over)
	c = socketClient(t, data)
	dayIs(t, c, "2026-10-20", "removed")
	if bundles() != 0 {
		t.Error("the bundle came back")
	}
	said, err = command(t, program, "doctor", "--all", "--full", "--json", "--data", data)
	if strings.Contains(said, "altered") || !strings.Contains(said, "Facts say of 1 day that their events were removed") {
		t.Errorf("doctor: %v: %s", err, said)
	}
	if said, err := command(t, program, "evidence", "prove", "old1-7", "--data", data); err == nil || !strings.Contains(said, "were removed") || !strings.Contains(said, "2026-10-20") {
		t.Errorf("an event of a removed day: %v: %s", err, said)
	}
	proof := filepath.Join(dir, "proof.json")
	if said, err := command(t, program, "evidence", "prove", "new-3", "--since", kept, "--out", proof, "--data", data); err != nil {
		t.Fatalf("prove: %v: %s", err, said)
	}
	if said, err := command(t, filepath.Join(filepath.Dir(program), "tocsin-verify"), "--since", kept, proof); err != nil || !strings.Contains(said, "verified against") {
		t.Errorf("tocsin-verify: %v: %s", err, said)
	}
	if got, err := c.Access(t.Context(), "new-3"); err != nil {
		t.Errorf("an event of the day that is left: %+v, %v", got, err)
	}
	if _, err := c.Access(t.Context(), "old1-7"); err == nil {
		t.Error("an event of a removed day is found")
	}
}
