package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cosignature "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/tessera/api"
	tessera "github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"github.com/transparency-dev/witness/config"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/verify"
)

// logged runs a server that has taken in events in several batches, each in leaves of its own.
func logged(t *testing.T) (a *App, responder *client.Client, token client.Token, since client.Checkpoints) {
	t.Helper()
	a, _ = start(t, Options{Dir: folder(t, "production", configuration)})
	responder, token = member(t, a, "omar", "responder")
	ingest := sender(t, a)
	for batch := range 3 {
		var body bytes.Buffer
		for i := range 5 {
			fmt.Fprintf(&body, `{"id":"e-%d-%d","time":%q,"kind":"pii_access","actor":{"type":"service","id":"worker"},"credential":"tok_1","action":"read","merchant":"m_1","records":1}`+"\n",
				batch, i, a.desk.Now().UTC().Format("2006-01-02T15:04:05Z"))
		}
		got, err := ingest.Ingest(t.Context(), fmt.Sprint("batch ", batch), "native", body.Bytes())
		if err != nil || got.Accepted != 5 {
			t.Fatalf("taken in: %+v, %v", got, err)
		}
		// A proof waits until its event is sealed.
		if err := responder.ProveEvent(t.Context(), fmt.Sprintf("e-%d-0", batch), 0, io.Discard); err != nil {
			t.Fatal(err)
		}
		if batch == 0 {
			if since, err = responder.Checkpoints(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return a, responder, token, since
}

// sender is an application with an ingest key.
func sender(t *testing.T, a *App) *client.Client {
	t.Helper()
	_, key, err := local(t, a.o.Dir).NewMachineKey(t.Context(), "ingest", "app", "example_app")
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(a.URL(), client.WithToken(key), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// promise: INV-3
func TestOneEventIsProvenAndNothingElseDisclosed(t *testing.T) {
	_, c, _, since := logged(t)
	var proof bytes.Buffer
	if err := c.ProveEvent(t.Context(), "e-1-3", since.EventsSize, &proof); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(proof.String(), "e-1-2") {
		t.Error("the proof shows another event")
	}
	brought := verify.Options{Keys: []string{since.FactsKey, since.EventsKey}, Since: [][]byte{[]byte(since.Facts), []byte(since.Events)}}
	r, err := verify.Event(proof.Bytes(), brought)
	if err != nil || !r.OK || r.Verdict != fmt.Sprintf("verified against %s %d", r.Log, since.EventsSize) || !strings.Contains(string(r.Event), `"e-1-3"`) {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := verify.Event(proof.Bytes(), verify.Options{}); err != nil || !r.OK || r.Verdict != "internally consistent only" {
		t.Errorf("without anything kept: %+v, %v", r, err)
	}

	// An implementation that shares nothing with the one under test agrees.
	var p verify.EventProof
	if err := json.Unmarshal(proof.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(p.Checkpoint, "\n")
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		t.Fatal(err)
	}
	var path tlog.RecordProof
	for _, h := range p.Leaf.Path {
		path = append(path, tlog.Hash(h))
	}
	if err := tlog.CheckRecord(path, int64(r.Size), root, int64(p.Leaf.Index), tlog.RecordHash(p.Leaf.Stored)); err != nil {
		t.Errorf("the Go checksum database's check: %v", err)
	}

	change := func(name string, fn func(*verify.EventProof)) {
		t.Helper()
		altered := p
		altered.Leaf.Stored, altered.Event.Salt = bytes.Clone(p.Leaf.Stored), bytes.Clone(p.Event.Salt)
		later := *p.Since
		altered.Since = &later
		fn(&altered)
		raw, err := json.Marshal(altered)
		if err != nil {
			t.Fatal(err)
		}
		r, err := verify.Event(raw, brought)
		if err != nil || r.OK || len(r.Findings) == 0 || r.Event != nil {
			t.Errorf("%s was not found: %+v, %v", name, r, err)
		}
	}
	change("another event", func(p *verify.EventProof) {
		p.Event.Event = json.RawMessage(strings.Replace(string(p.Event.Event), "tok_1", "tok_2", 1))
	})
	change("another place in the leaf", func(p *verify.EventProof) { p.Event.N++ })
	change("another salt", func(p *verify.EventProof) { p.Event.Salt[0] ^= 1 })
	change("another leaf", func(p *verify.EventProof) { p.Leaf.Stored[len(p.Leaf.Stored)-1] ^= 1 })
	change("another place in the log", func(p *verify.EventProof) { p.Leaf.Index++ })
	change("another path", func(p *verify.EventProof) { p.Leaf.Path = p.Leaf.Path[1:] })
	change("another size", func(p *verify.EventProof) {
		p.Checkpoint = strings.Replace(p.Checkpoint, "\n"+lines[1]+"\n", "\n1"+lines[1]+"\n", 1)
	})
	change("another key", func(p *verify.EventProof) { p.Key = since.FactsKey })
	change("a proof that starts elsewhere", func(p *verify.EventProof) { p.Since.Size++ })
	change("no proof from the kept checkpoint", func(p *verify.EventProof) { p.Since = nil })

	if err := c.ProveEvent(t.Context(), "nobody", 0, io.Discard); err == nil || !strings.Contains(err.Error(), "no event with this id") {
		t.Errorf("an event that is not there: %v", err)
	}
}

// promise: INV-3
func TestAnybodysToolsCanFollowTheLogs(t *testing.T) {
	a, c, token, _ := logged(t)
	points, err := c.Checkpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for log, key := range map[string]string{"events": points.EventsKey, "facts": points.FactsKey} {
		v, err := note.NewVerifier(key)
		if err != nil {
			t.Fatal(err)
		}
		root, err := url.Parse(a.URL() + "/v1/log/" + log + "/")
		if err != nil {
			t.Fatal(err)
		}
		files, err := tessera.NewHTTPFetcher(root, nil)
		if err != nil {
			t.Fatal(err)
		}
		check := func() error {
			return fsck.New(v.Name(), v, files, func(raw []byte) (hashes [][]byte, err error) {
				var bundle api.EntryBundle
				if err := bundle.UnmarshalText(raw); err != nil {
					return nil, err
				}
				for _, leaf := range bundle.Entries {
					h := sha256.Sum256(append([]byte{0}, leaf...))
					hashes = append(hashes, h[:])
				}
				return hashes, nil
			}, fsck.Opts{}).Check(t.Context())
		}
		if err := check(); err == nil {
			t.Errorf("%s: somebody without a token has read the leaves", log)
		}
		files.SetAuthorizationHeader("Bearer " + string(token))
		if err := check(); err != nil {
			t.Errorf("%s: the reference check says: %v", log, err)
		}
	}
	for path, want := range map[string]int{
		"/v1/log/events/checkpoint":                 http.StatusOK,
		"/v1/log/events/tile/0/000.p/1":             http.StatusOK,
		"/v1/log/events/tile/entries/000.p/1":       http.StatusUnauthorized,
		"/v1/log/events/tile%2Fentries%2F000.p%2F1": http.StatusNotFound,
		"/v1/log/events/..%2F..%2Fkeys":             http.StatusNotFound,
		"/v1/log/events/.state/treeState":           http.StatusNotFound,
		"/v1/log/others/checkpoint":                 http.StatusNotFound,
	} {
		got, err := http.Get(a.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		if got.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, got.Status, want)
		}
	}
}

// promise: DET-1
func TestWhatWasRefusedCanBeReadMendedAndSentAgain(t *testing.T) {
	a, _ := start(t, Options{Dir: folder(t, "production", configuration)})
	owner, _ := member(t, a, "lena", "owner")
	ingest := sender(t, a)
	const bad = `{"id":"e-1","time":"yesterday","kind":"pii_access","actor":{"type":"service","id":"w"},"action":"read","merchant":"m_1"}`
	got, err := ingest.Ingest(t.Context(), "b", "native", []byte(bad+"\n"))
	if err != nil || got.Accepted != 0 || len(got.Rejected) != 1 {
		t.Fatalf("taken in: %+v, %v", got, err)
	}
	for _, raw := range []bool{false, true} {
		var list bytes.Buffer
		if err := owner.Rejected(t.Context(), raw, &list); err != nil {
			t.Fatal(err)
		}
		var r struct {
			Source, Field, Raw string
			Line               int
		}
		if err := json.Unmarshal(list.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, list.String())
		}
		if r.Source != "app" || r.Line != 1 || r.Field != "time" || raw != (r.Raw == bad) {
			t.Errorf("raw %v: %s", raw, list.String())
		}
	}
}

// promise: INV-3
func TestAWitnessInTheConfigurationSignsWhatTheServerPublishes(t *testing.T) {
	dir := folder(t, "production", configuration)
	_, stop := start(t, Options{Dir: dir})
	points, err := local(t, dir).Checkpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop()
	logs := map[string]note.Verifier{}
	for _, key := range []string{points.FactsKey, points.EventsKey} {
		v, err := note.NewVerifier(key)
		if err != nil {
			t.Fatal(err)
		}
		logs[v.Name()] = v
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, "witness.example.org")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cosignature.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	if vkey, err = cosignature.VKeyToCosignatureV1(vkey); err != nil {
		t.Fatal(err)
	}
	states := inmemory.New()
	for name, v := range logs {
		if err := states.AddLogs(t.Context(), []config.Log{{Verifier: v, Origin: name}}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := witness.New(t.Context(), witness.Opts{Persistence: states, Signers: []note.Signer{signer},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			v, ok := logs[origin]
			return v, ok, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	server := httptest.NewServer(mux)
	defer server.Close()

	more := fmt.Sprintf("evidence: { witnesses: [ { key: %q, url: %q } ] }\nnetwork: { allow: [127.0.0.1/32] }\n", vkey, server.URL)
	if err := os.WriteFile(filepath.Join(dir, "tocsin.yaml"), []byte(configuration+more), 0o600); err != nil {
		t.Fatal(err)
	}
	a, _ := start(t, Options{Dir: dir})
	responder, _ := member(t, a, "omar", "responder")
	event := fmt.Sprintf(`{"id":"e-1","time":%q,"kind":"pii_access","actor":{"type":"service","id":"w"},"action":"read","merchant":"m_1"}`, a.desk.Now().UTC().Format("2006-01-02T15:04:05Z"))
	if got, err := sender(t, a).Ingest(t.Context(), "b", "native", []byte(event)); err != nil || got.Accepted != 1 {
		t.Fatalf("taken in: %+v, %v", got, err)
	}
	var proof bytes.Buffer
	if err := responder.ProveEvent(t.Context(), "e-1", 0, &proof); err != nil {
		t.Fatal(err)
	}
	r, err := verify.Event(proof.Bytes(), verify.Options{Keys: []string{points.EventsKey}, Witnesses: []string{vkey}})
	if err != nil || !r.OK || !strings.HasPrefix(r.Verdict, "verified, signed by witness.example.org") {
		t.Fatalf("%+v, %v", r, err)
	}
}
