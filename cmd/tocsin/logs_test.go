package main

import (
	"bytes"
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

	"filippo.io/age"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/mysqltest"
)

// inMySQL adds the places of both logs to a configuration, and returns that of the event log.
func inMySQL(t *testing.T, data string) (events string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(data, "tocsin.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	events = mysqltest.Database(t)
	if _, err := fmt.Fprintf(f, "logs: { facts: { url: %q }, events: { url: %q } }\n", "mysql://"+mysqltest.Database(t), "mysql://"+events); err != nil {
		t.Fatal(err)
	}
	return events
}

// Both logs are kept in MySQL. The server is killed again and again while events stream in; each that
// was acknowledged is in the log once, and proven. Then the machine is lost: a backup is restored
// elsewhere, takes what the logs hold beyond it, and goes on with them.
//
// promise: DET-1
// promise: INV-3
// promise: REC-3
func TestAKilledServerWhoseLogsAreInMySQLLosesAndDoublesNothing(t *testing.T) {
	program, data := initialised(t)
	inMySQL(t, data)
	dir := filepath.Dir(data)
	var p *process
	var listening string
	start := func(data string) {
		t.Helper()
		var err error
		if p, listening, err = launch(program, dir, os.Environ(), nil, "--data", data); err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "serve.log")) // only to say why
			t.Fatalf("%v: %s", err, log)
		}
	}
	start(data)
	defer func() { p.halt(syscall.SIGKILL) }()
	_, key, err := socketClient(t, data).NewMachineKey(t.Context(), "ingest", "orders", "example_app")
	if err != nil {
		t.Fatal(err)
	}
	const each = 40
	at := time.Now().UTC().Format(time.RFC3339) // what is sent again has to be the same bytes
	send := func(batch int) error {
		c, err := client.New("unix://"+filepath.Join(data, "tocsin.sock"), client.WithTries(1, 0), client.WithToken(key))
		if err != nil {
			return err
		}
		var body bytes.Buffer
		for i := range each {
			fmt.Fprintf(&body, `{"id":"e-%d-%d","time":%q,"kind":"pii_access","actor":{"type":"service","id":"worker"},"credential":"tok","action":"read","merchant":"m_1","records":1}`+"\n",
				batch, i, at)
		}
		r, err := c.Ingest(t.Context(), fmt.Sprint("batch-", batch), "native", body.Bytes())
		if err == nil && r.Accepted+r.Duplicates != each {
			err = fmt.Errorf("batch %d: %+v", batch, r)
		}
		return err
	}
	const batches, lives = 60, 3
	for life := range lives {
		var sent atomic.Int64
		done := make(chan struct{})
		go func() { // the stream goes on until the server is gone
			defer close(done)
			for i := life * batches / lives; i < (life+1)*batches/lives; i++ {
				if send(i) != nil {
					return
				}
				sent.Add(1)
			}
		}()
		for tick := time.NewTicker(time.Millisecond); sent.Load() < int64(batches/lives/2+life); <-tick.C {
			select {
			case <-done:
				t.Fatalf("life %d: the stream ended after %d batches", life, sent.Load())
			default:
			}
		}
		if _, err := p.halt(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-done
		start(data)
		for i := range (life + 1) * batches / lives { // whatever was not answered, and what was
			if err := send(i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := counted(t, data, "tok"); got != fmt.Sprint(batches*each) {
		t.Fatalf("counted %s events, want %d", got, batches*each)
	}

	// Nothing of a log is in the folder, and everything that reads one works.
	for _, name := range []string{"facts", "events"} {
		if _, err := os.Stat(filepath.Join(data, "log", name)); !os.IsNotExist(err) {
			t.Errorf("log/%s: %v", name, err)
		}
	}
	// Anybody's tools follow the logs over HTTP.
	address := strings.TrimSpace(address.FindStringSubmatch(listening)[1])
	for name, want := range map[string]int{"log/events/checkpoint": http.StatusOK, "log/events/tile/0/000.p/1": http.StatusOK, "log/facts/tile/0/000.p/2": http.StatusOK, "log/events/tile/0/999": http.StatusNotFound} {
		res, err := http.Get(address + "/v1/" + name)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(res.Body)
		if res.Body.Close(); err != nil || res.StatusCode != want || want == http.StatusOK && strings.Contains(name, "tile/0/") && len(raw) != 32*int(name[len(name)-1]-'0') {
			t.Errorf("%s: %d, %d bytes, %v", name, res.StatusCode, len(raw), err)
		}
	}
	if said, err := command(t, program, "doctor", "--all", "--full", "--json", "--data", data); strings.Contains(said, "altered") {
		t.Errorf("doctor: %v: %s", err, said)
	}
	proof := filepath.Join(dir, "proof.json")
	said, err := command(t, program, "evidence", "prove", "e-59-7", "--out", proof, "--data", data)
	if err != nil {
		t.Fatalf("prove: %v: %s", err, said)
	}
	if said, err := command(t, program, "evidence", "verify", proof); err != nil {
		t.Errorf("verify: %v: %s", err, said)
	}
	opened, err := socketClient(t, data).Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "a token is used from elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "export.tocsin")
	if said, err := command(t, program, "evidence", "export", "--incident", opened.Incident, "--recipient", "a merchant", "--out", file, "--data", data); err != nil {
		t.Fatalf("export: %v: %s", err, said)
	}
	if said, err := command(t, filepath.Join(filepath.Dir(program), "tocsin-verify"), file); err != nil {
		t.Errorf("tocsin-verify: %v: %s", err, said)
	}
	saved := filepath.Join(dir, "saved")
	if said, err := command(t, program, "backup", "--data", data, "--to", saved); err != nil || !strings.Contains(said, "verified") {
		t.Fatalf("backup: %v: %s", err, said)
	}
	taken(t, data, "late", 9) // what the backup has not
	if got := counted(t, data, "late"); got != "9" {
		t.Fatalf("counted %s late events", got)
	}
	if code, err := p.halt(syscall.SIGTERM); err != nil || code != 0 {
		t.Fatalf("it ended with %d, %v", code, err)
	}
	// The same folder with another configuration does not begin an empty log.
	config := filepath.Join(data, "tocsin.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, text[:bytes.Index(text, []byte("logs: {"))], 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := command(t, program, "serve", "--data", data); err == nil || !strings.Contains(said, "the log of this folder is in mysql://") {
		t.Fatalf("serve without the places of the logs: %v: %s", err, said)
	}

	elsewhere := filepath.Join(dir, "elsewhere")
	said, err = command(t, program, "restore", "--from", saved, "--keys", data, "--data", elsewhere)
	// The facts log has what came after the backup, and the facts themselves are on the lost machine.
	if err == nil || !strings.Contains(said, "restore with the off-box copy too") {
		t.Fatalf("restore without the newest facts: %v: %s", err, said)
	}
	if said, err = command(t, program, "restore", "--from", saved, "--keys", data, "--data", elsewhere, "--logs-lost"); err != nil || !strings.Contains(said, "tocsin move-logs") {
		t.Fatalf("restore: %v: %s", err, said)
	}
	if said, err := command(t, program, "serve", "--data", elsewhere); err == nil || !strings.Contains(said, "tocsin move-logs") {
		t.Fatalf("serve before the logs were moved: %v: %s", err, said)
	}
	// What the databases hold is not cut.
	if said, err := command(t, program, "move-logs", "--data", elsewhere); err == nil || !strings.Contains(said, "or the log was cut") {
		t.Fatalf("move-logs over longer logs: %v: %s", err, said)
	}
	restored, err := os.ReadFile(filepath.Join(elsewhere, "tocsin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(elsewhere, "tocsin.yaml"), restored[:bytes.Index(restored, []byte("logs: {"))], 0o600); err != nil {
		t.Fatal(err)
	}
	events := inMySQL(t, elsewhere) // in databases of their own
	if said, err := command(t, program, "move-logs", "--data", elsewhere); err != nil || strings.Count(said, "all of them checked") != 2 {
		t.Fatalf("move-logs: %v: %s", err, said)
	}
	if said, err := command(t, program, "move-logs", "--data", elsewhere); err != nil || !strings.Contains(said, "nothing was changed") {
		t.Fatalf("move-logs again: %v: %s", err, said)
	}
	start(elsewhere)
	if got := counted(t, elsewhere, "tok"); got != fmt.Sprint(batches*each) {
		t.Fatalf("counted %s events after the restore, want %d", got, batches*each)
	}
	taken(t, elsewhere, "after", 3)
	if got := counted(t, elsewhere, "after"); got != "3" {
		t.Fatalf("counted %s events after the restore", got)
	}
	// A row that somebody changed is named.
	if said, err := command(t, program, "doctor", "--full", "--json", "--data", elsewhere); strings.Contains(said, "tile/entries") {
		t.Fatalf("doctor: %v: %s", err, said)
	}
	db, err := mysqltest.Open(events)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "UPDATE TiledLeaves SET data = CONCAT(LEFT(data, LENGTH(data) - 1), CHAR(ASCII(RIGHT(data, 1)) ^ 1)) WHERE tile_index = 0"); err != nil {
		t.Fatal(err)
	}
	if said, err := command(t, program, "doctor", "--full", "--json", "--data", elsewhere); err == nil || !strings.Contains(said, "tile/entries/000") || !strings.Contains(said, "mysql://") {
		t.Fatalf("doctor after a row was changed: %v: %s", err, said)
	}
}

// Both logs are in MySQL and copied off the machine, which is then lost with its folder; the database
// is not. What is restored from the copy alone has what the database holds, moves onto the same logs
// and goes on with them: one history. Without the database the copy alone is enough, too.
//
// promise: REC-3
// promise: PRO-8
func TestACopyOffTheMachineOfLogsInMySQLGoesOn(t *testing.T) {
	program, data := initialised(t)
	inMySQL(t, data)
	dir := filepath.Dir(data)
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	identityFile, copied := filepath.Join(dir, "identity"), filepath.Join(dir, "copy")
	if err := os.WriteFile(identityFile, []byte(identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(data, "tocsin.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, fmt.Appendf(text, "copy: { to: %q, recipients: [%q] }\n", copied, identity.Recipient()), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _, err := launch(program, dir, os.Environ(), nil, "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.halt(syscall.SIGKILL) }()
	taken(t, data, "tok", 700)
	opened, err := socketClient(t, data).Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "a token is used from elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	if got := counted(t, data, "tok"); got != "700" { // sealed now
		t.Fatalf("counted %s events", got)
	}
	point, err := socketClient(t, data).Checkpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	covered(t, data, point)
	kept := filepath.Join(dir, "kept")
	if err := os.WriteFile(kept, []byte(point.Facts+"\n"+point.Events), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := command(t, program, "doctor", "--json", "--data", data); !strings.Contains(said, "kept elsewhere too: a copy of ") {
		t.Errorf("doctor: %v: %s", err, said)
	}
	if _, err := p.halt(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		lost  bool // the database too
		flags []string
	}{{"the machine and the database are lost", true, []string{"--logs-lost"}}, {"the machine is lost", false, nil}} {
		t.Run(c.name, func(t *testing.T) {
			elsewhere := filepath.Join(dir, fmt.Sprint("elsewhere-", c.lost))
			again := filepath.Join(dir, fmt.Sprint("copy-", c.lost)) // each goes on with a copy of its own
			if err := os.CopyFS(again, os.DirFS(copied)); err != nil {
				t.Fatal(err)
			}
			said, err := command(t, program, append([]string{"restore", "--copy", again, "--identity", identityFile, "--data", elsewhere}, c.flags...)...)
			if err != nil || !strings.Contains(said, "tocsin move-logs") {
				t.Fatalf("restore: %v: %s", err, said)
			}
			config := filepath.Join(elsewhere, "tocsin.yaml")
			text, err := os.ReadFile(config)
			if err != nil {
				t.Fatal(err)
			}
			text = bytes.Replace(text, []byte(copied), []byte(again), 1)
			if c.lost { // into databases of their own
				for _, name := range []string{"facts", "events"} {
					text = regexp.MustCompile("("+name+": \\{ url: \")[^\"]*").ReplaceAll(text, []byte("${1}mysql://"+mysqltest.Database(t)))
				}
			}
			if err := os.WriteFile(config, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if said, err := command(t, program, "move-logs", "--data", elsewhere); err != nil || strings.Count(said, "all of them checked") != 2 {
				t.Fatalf("move-logs: %v: %s", err, said)
			}
			p, _, err := launch(program, dir, os.Environ(), nil, "--data", elsewhere)
			if err != nil {
				t.Fatal(err)
			}
			defer p.halt(syscall.SIGKILL)
			client := socketClient(t, elsewhere)
			taken(t, elsewhere, "after", 3)
			for credential, want := range map[string]string{"tok": "700", "after": "3"} {
				if got := counted(t, elsewhere, credential); got != want {
					t.Errorf("counted %s events of %s, want %s", got, credential, want)
				}
			}
			now, err := client.Checkpoints(t.Context())
			if err != nil || now.EventsKey != point.EventsKey || now.EventsSize <= point.EventsSize || now.FactsSize <= point.FactsSize {
				t.Errorf("the logs do not go on: %+v, %v", now, err)
			}
			covered(t, elsewhere, now) // and the copy goes on with them
			file := filepath.Join(dir, fmt.Sprint("export-", c.lost))
			if said, err := command(t, program, "evidence", "export", "--incident", opened.Incident, "--recipient", "a merchant", "--out", file, "--data", elsewhere); err != nil {
				t.Fatalf("export: %v: %s", err, said)
			}
			if said, err := command(t, filepath.Join(filepath.Dir(program), "tocsin-verify"), "--since", kept, file); err != nil || !strings.Contains(said, "verified against") {
				t.Errorf("tocsin-verify: %v: %s", err, said)
			}
			if said, err := command(t, program, "doctor", "--full", "--json", "--data", elsewhere); strings.Contains(said, "altered") {
				t.Errorf("doctor: %v: %s", err, said)
			}
			if code, err := p.halt(syscall.SIGTERM); err != nil || code != 0 {
				t.Errorf("exit %d, %v", code, err)
			}
		})
	}
}
