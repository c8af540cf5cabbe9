// Package otlp holds no Go: its test runs the examples beside it against the server.
package otlp

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// server is the API over a real access log.
func server(t *testing.T) (url, key string, store *accesslog.Store) {
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
	s := httptest.NewServer(httpapi.New(d, httpapi.Options{}))
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
	url, key, store := server(t)
	for _, x := range []struct{ program, file, merchant string }{
		{"node", "accesslog.js", "m_node"}, {"python3", "accesslog.py", "m_python"}, {"php", "accesslog.php", "m_php"}, {"ruby", "accesslog.rb", "m_ruby"},
	} {
		t.Run(x.program, func(t *testing.T) {
			program, err := exec.LookPath(x.program)
			if err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is missing: make test-deps installs it", x.program)
				}
				t.Skipf("%s is missing: make test-deps installs it", x.program)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, x.file)
			cmd.Env = append(os.Environ(), "TOCSIN_URL="+url, "TOCSIN_KEY="+key, "TOCSIN_APP=pickandpack")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
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
