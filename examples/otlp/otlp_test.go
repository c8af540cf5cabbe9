// Package otlp holds no Go: its test runs the examples beside it against the server.
package otlp

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
	"github.com/tocsin-ir/tocsin/internal/translog"
)

type keys struct{}

func (keys) Key(purpose, id string) ([]byte, error) {
	sum := sha256.Sum256([]byte(purpose + "/" + id))
	return sum[:], nil
}

// server is the API over a real access log, behind what may stand between.
func server(t *testing.T, between func(http.Handler) http.Handler) (url, key string, store *accesslog.Store) {
	t.Helper()
	skey, _, err := note.GenerateKey(nil, "example/events")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log, err := translog.Open(context.Background(), filepath.Join(dir, "log"), signer, translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err = accesslog.Open(context.Background(), accesslog.Options{Dir: dir, Keys: keys{}, Log: log, Now: time.Now, Env: "production"})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := desktest.New(time.Now())
	d.Taken = func(k desk.Key, how desk.Delivery, body io.Reader) (desk.Receipt, error) {
		r, err := store.Ingest(context.Background(), accesslog.Source{Name: k.Source, App: k.App}, how.Batch, how.Format, body)
		out := desk.Receipt{Accepted: r.Accepted, Duplicates: r.Duplicates, Skipped: r.Skipped}
		for _, x := range r.Rejected {
			out.Rejected = append(out.Rejected, desk.Reject(x))
		}
		return out, err
	}
	s := httptest.NewServer(between(httpapi.New(d, httpapi.Options{})))
	t.Cleanup(func() {
		s.Close()
		store.Close()
		log.Close()
	})
	return s.URL, d.MachineKey("ingest", "app", "pickandpack"), store
}

// Each example sends one access with its language's own standard library, and ends well only when
// the server has said that it is durable.
//
// promise: DET-1
func TestEachExampleDeliversAnAccess(t *testing.T) {
	url, key, store := server(t, func(h http.Handler) http.Handler { return h })
	for _, x := range []struct{ program, file, merchant string }{
		{"node", "accesslog.js", "m_node"}, {"python3", "accesslog.py", "m_python"}, {"php", "accesslog.php", "m_php"}, {"ruby", "accesslog.rb", "m_ruby"},
	} {
		t.Run(x.program, func(t *testing.T) {
			play(t, x.program, x.file, url, key)
			list, err := store.EventsAfter(t.Context(), 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(list, func(e accesslog.Event) bool { return e.Merchant == x.merchant })
			if i < 0 {
				t.Fatalf("no access of %s among %d events", x.merchant, len(list))
			}
			e := list[i]
			if e.Kind != accesslog.PIIAccess || e.App != "pickandpack" || e.ActorID != "worker-3" || e.ActorType != "user" || e.Action != "read" || e.Endpoint != "GET /orders/{id}" ||
				len(e.Subjects) != 1 || len(e.DataTypes) != 1 || e.Records != 1 || e.IP != "203.0.113.9" || time.Since(e.Time) > 5*time.Minute || e.Skewed {
				t.Errorf("it arrived as %+v", e)
			}
		})
	}
}

// play runs a program to its end, which has to be a good one.
func play(t *testing.T, program, file, url, key string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: make test-deps installs it", program)
		}
		t.Skipf("%s is missing: make test-deps installs it", program)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, file)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "TOCSIN_URL="+url, "TOCSIN_KEY="+key, "TOCSIN_APP=pickandpack", "EXAMPLES="+here)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// programs use each example as an application does: thirty accesses one after the other, from a client
// whose name is no text, and in those that fork their workers one more in a worker.
var programs = []struct{ program, file, text string }{
	{"node", "busy.js", `const { AccessLog } = require(process.env.EXAMPLES + "/accesslog.js");
const log = new AccessLog({ url: process.env.TOCSIN_URL, key: process.env.TOCSIN_KEY, app: process.env.TOCSIN_APP });
(async () => {
  for (let i = 0; i < 30; i++) {
    log.access({ actor: "w", action: "read", merchant: "m", account: String(i), userAgent: "\uDCFF\t" });
    await new Promise((done) => setTimeout(done, 30));
  }
  for (const ends = Date.now() + 60000; log.waiting.length > 0 && Date.now() < ends; ) await new Promise((done) => setTimeout(done, 50));
  process.exit(log.waiting.length + log.rejected + log.lost);
})();
`},
	{"python3", "busy.py", `import os, sys, time
sys.path.insert(0, os.environ["EXAMPLES"])
from accesslog import AccessLog
log = AccessLog(os.environ["TOCSIN_URL"], os.environ["TOCSIN_KEY"], os.environ["TOCSIN_APP"])
worker = os.fork()
if worker == 0:
    log.access(actor="w", action="read", merchant="m", account="worker")
    os._exit(log.close(60) + log.rejected + log.lost)
for i in range(30):
    log.access(actor="w", action="read", merchant="m", account=i, user_agent="\udcff\t")
    time.sleep(0.03)
sys.exit(log.close(60) + log.rejected + log.lost + os.waitpid(worker, 0)[1])
`},
	{"php", "busy.php", `<?php
require getenv('EXAMPLES') . '/accesslog.php';
$log = new AccessLog(getenv('TOCSIN_URL'), getenv('TOCSIN_KEY'), getenv('TOCSIN_APP'));
for ($i = 0; $i < 30; $i++) {
    $log->access(actor: 'w', action: 'read', merchant: 'm', account: (string) $i, userAgent: "\xff\t");
}
$log->flush();
exit($log->rejected + $log->lost);
`},
	{"ruby", "busy.rb", `require ENV["EXAMPLES"] + "/accesslog.rb"
log = AccessLog.new(ENV["TOCSIN_URL"], ENV["TOCSIN_KEY"], ENV["TOCSIN_APP"])
log.access(actor: "w", action: "read", merchant: "m", account: "first")
worker = fork do
  log.access(actor: "w", action: "read", merchant: "m", account: "worker")
  exit!(log.close(60) + log.rejected + log.lost)
end
29.times do |i|
  log.access(actor: "w", action: "read", merchant: "m", account: i, user_agent: "\xff\t".b)
  sleep 0.03
end
_, status = Process.wait2(worker)
exit(log.close(60) + log.rejected + log.lost + status.exitstatus)
`},
}

// What stands between may answer in the server's place, the server may be slow, and a client may call
// itself what is no text: nothing of that loses an access, and none is counted twice.
//
// promise: DET-1
func TestNoExampleLosesAnAccessToASlowServerAStrangeAnswerOrAHostileClient(t *testing.T) {
	for _, x := range programs {
		t.Run(x.program, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			url, key, store := server(t, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch n := asked.Add(1); {
					case n == 1:
						_, _ = io.WriteString(w, "<html>Welcome to our network</html>")
						return
					case n == 2:
						http.Error(w, "no", http.StatusBadGateway)
						return
					}
					time.Sleep(300 * time.Millisecond) // longer than the senders wait for company
					h.ServeHTTP(w, r)
				})
			})
			file := filepath.Join(t.TempDir(), x.file)
			if err := os.WriteFile(file, []byte(x.text), 0o600); err != nil {
				t.Fatal(err)
			}
			play(t, x.program, file, url, key)
			list, err := store.EventsAfter(t.Context(), 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			want := 30
			if strings.Contains(x.text, "fork") {
				want++
			}
			if len(list) != want {
				t.Errorf("%d accesses of %d are in the log", len(list), want)
			}
		})
	}
}
