package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/backup"
)

// command runs the program and returns what it printed.
func command(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	return string(out), err
}

func taken(t *testing.T, data, credential string, n int) {
	t.Helper()
	_, key, err := socketClient(t, data).NewMachineKey(t.Context(), "ingest", "app-"+credential, "example_app")
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New("unix://"+filepath.Join(data, "tocsin.sock"), client.WithToken(key), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	for i := range n {
		fmt.Fprintf(&body, `{"id":"%s-%d","time":%q,"kind":"pii_access","actor":{"type":"service","id":"worker"},"credential":%q,"action":"read","merchant":"m_1","records":1}`+"\n",
			credential, i, time.Now().UTC().Format(time.RFC3339), credential)
	}
	if got, err := c.Ingest(t.Context(), "", "native", body.Bytes()); err != nil || got.Accepted != n {
		t.Fatalf("%+v, %v", got, err)
	}
}

// counted is how many events of a credential the access log has.
func counted(t *testing.T, data, credential string) string {
	t.Helper()
	var out struct {
		Events int `json:"events"`
	}
	err := socketClient(t, data).Do(t.Context(), "POST", "/v1/scope", map[string]any{"any": []map[string]any{{"credential": []string{credential}}},
		"from": time.Now().Add(-time.Hour).UTC(), "to": time.Now().Add(time.Hour).UTC()}, &out)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(out.Events)
}

// covered waits until the copy holds the leaves and facts that a server has.
func covered(t *testing.T, data string, want client.Checkpoints) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		s, err := backup.ReadStatus(data)
		if err == nil && s.Failing == "" && uint64(s.Facts) >= want.FactsSize && s.Events >= want.EventsSize && s.Behind == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the copy does not come up to %d facts and %d leaves: %+v, %v", want.FactsSize, want.EventsSize, s, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A server is killed in the middle of an incident and goes on in another folder from a backup that is
// older than what happened last, and its off-box copy. promise: REC-3, PRO-8
func TestAServerThatIsKilledGoesOnElsewhere(t *testing.T) {
	program, data := initialised(t)
	dir := filepath.Dir(data)
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	identityFile := filepath.Join(dir, "identity")
	if err := os.WriteFile(identityFile, []byte(identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "copy")
	config, err := os.OpenFile(filepath.Join(data, "tocsin.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(config, "copy: { to: %q, recipients: [%q] }\n", copied, identity.Recipient())
	config.Close()
	p, _, err := launch(program, dir, os.Environ(), nil, "--data", data, "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.halt(syscall.SIGKILL)
	c := socketClient(t, data)
	taken(t, data, "tok_before", 5)
	out, err := c.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "a token is used from elsewhere"})
	if err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(dir, "saved.tar")
	said, err := command(t, program, "backup", "--data", data, "--to", saved, "--recipient", identity.Recipient().String())
	if err != nil || !strings.Contains(said, "verified") || !strings.Contains(said, "encrypted with age to 1 recipient") {
		t.Fatalf("%v: %s", err, said)
	}
	// What is newer than the backup.
	taken(t, data, "tok_after", 7)
	if _, err := c.Command(t.Context(), out.Incident, "confirm", map[string]any{"reason": "seen in the log"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ImportMerchants(t.Context(), []byte("merchant,name,email\nm_1,Corner,corner@example.net\n")); err != nil {
		t.Fatal(err)
	}
	clocks, err := c.Clocks(t.Context(), out.Incident)
	if err != nil || len(clocks) == 0 {
		t.Fatalf("%d clocks, %v", len(clocks), err)
	}
	if got := counted(t, data, "tok_after"); got != "7" { // sealed now
		t.Fatalf("counted %s", got)
	}
	point, err := c.Checkpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	covered(t, data, point)
	if said, err := command(t, program, "doctor", "--json", "--data", data); !strings.Contains(said, "kept elsewhere too: a copy of ") {
		t.Errorf("%v: %s", err, said)
	}
	if _, err := p.halt(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(data, data+"-lost"); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string][]string{"both": {"--from", saved, "--copy", copied}, "the copy alone": {"--copy", copied}} {
		t.Run(name, func(t *testing.T) {
			elsewhere := filepath.Join(dir, "to-"+name[:4])
			kept := filepath.Join(dir, "copy-"+name[:4]) // each goes on with a copy of its own
			if err := os.CopyFS(kept, os.DirFS(copied)); err != nil {
				t.Fatal(err)
			}
			said, err := command(t, program, append([]string{"restore", "--data", elsewhere, "--identity", identityFile}, from...)...)
			if err != nil || !strings.Contains(said, "every digest, chain and log was checked") {
				t.Fatalf("%v: %s", err, said)
			}
			text, err := os.ReadFile(filepath.Join(elsewhere, "tocsin.yaml"))
			if err == nil {
				err = os.WriteFile(filepath.Join(elsewhere, "tocsin.yaml"), bytes.Replace(text, []byte(copied), []byte(kept), 1), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			p, _, err := launch(program, dir, os.Environ(), nil, "--data", elsewhere, "--listen", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer p.halt(syscall.SIGKILL)
			c := socketClient(t, elsewhere)
			again, err := c.Clocks(t.Context(), out.Incident)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := instants(t, again), instants(t, clocks); !reflect.DeepEqual(got, want) {
				t.Errorf("the clocks are\n%v\nand were\n%v", got, want)
			}
			for credential, want := range map[string]string{"tok_before": "5", "tok_after": "7"} {
				if got := counted(t, elsewhere, credential); got != want {
					t.Errorf("%s events of %s, want %s", got, credential, want)
				}
			}
			if list, _, err := c.Merchants(t.Context(), "", 10); err != nil || len(list) != 1 || list[0].Name != "Corner" {
				t.Errorf("merchants: %+v, %v", list, err)
			}
			now, err := c.Checkpoints(t.Context())
			if err != nil || now.FactsKey != point.FactsKey || now.FactsSize < point.FactsSize || now.EventsSize < point.EventsSize {
				t.Errorf("the logs do not go on: %+v, %v", now, err)
			}
			covered(t, elsewhere, now) // its copy goes on from where the old one ended: one history
			if _, err := os.Stat(filepath.Join(elsewhere, "restored.json")); err == nil {
				t.Error("the restore was not recorded")
			}
			if code, err := p.halt(syscall.SIGTERM); err != nil || code != 0 {
				t.Errorf("exit %d, %v", code, err)
			}
		})
	}
}

// instants are when clocks started and are due.
func instants(t *testing.T, list []client.Clock) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, c := range list {
		raw, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var row struct {
			Duty, Recipient, State   string
			Started, Due, Target, At string
		}
		if err := json.Unmarshal(raw, &row); err != nil {
			t.Fatal(err)
		}
		out[row.Duty+"/"+row.Recipient] = strings.Join([]string{row.State, row.Started, row.Due, row.Target}, " ")
	}
	return out
}
