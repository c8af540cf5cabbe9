package translog_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"testing"

	cosignature "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/config"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/translog"
)

// witnessed runs the reference witness for one log and returns where it is and its verifier key.
func witnessed(t *testing.T, log note.Verifier) (*httptest.Server, string) {
	t.Helper()
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
	if err := states.AddLogs(t.Context(), []config.Log{{Verifier: log, Origin: log.Name()}}); err != nil {
		t.Fatal(err)
	}
	w, err := witness.New(t.Context(), witness.Opts{
		Persistence: states, Signers: []note.Signer{signer},
		VerifierForLog: func(_ context.Context, origin string) (note.Verifier, bool, error) {
			return log, origin == log.Name(), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server, vkey
}

func signedBy(t *testing.T, raw []byte, vkey string) bool {
	t.Helper()
	v, err := cosignature.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(raw, note.VerifierList(v))
	return err == nil && len(n.Sigs) == 1
}

// promise: INV-3
func TestAWitnessSignsEveryStateOfTheLogAndNoOtherHistory(t *testing.T) {
	signer, verifier := keys(t)
	server, vkey := witnessed(t, verifier)
	o := translog.Options{Witnesses: []translog.Witness{{Key: vkey, URL: server.URL}}, HTTP: server.Client()}
	start := func(dir string) *translog.Log {
		l, err := translog.Open(t.Context(), dir, signer, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	dir := t.TempDir()
	l := start(dir)
	for _, leaf := range []string{"one", "two", "three"} {
		at, err := l.Append(t.Context(), []byte(leaf))
		if err != nil {
			t.Fatal(err)
		}
		raw, size, err := l.Await(t.Context(), at+1)
		if err != nil {
			t.Fatal(err)
		}
		if !signedBy(t, raw, vkey) {
			t.Fatalf("the witness has not signed the state of %d leaves:\n%s", size, raw)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	// The same key, another history: the log goes on, and the witness signs none of it.
	forged := start(t.TempDir())
	for _, leaf := range []string{"one", "2", "three", "four"} {
		if _, err := forged.Append(t.Context(), []byte(leaf)); err != nil {
			t.Fatal(err)
		}
	}
	raw, _, err := forged.Await(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	if signedBy(t, raw, vkey) {
		t.Fatalf("the witness has signed another history:\n%s", raw)
	}
	if err := forged.Close(); err != nil {
		t.Fatal(err)
	}

	// A restart goes on where the witness stands.
	l = start(dir)
	if _, err := l.Append(t.Context(), []byte("four")); err != nil {
		t.Fatal(err)
	}
	if raw, _, err = l.Await(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if !signedBy(t, raw, vkey) {
		t.Fatalf("the witness does not go on after a restart:\n%s", raw)
	}
}

// promise: INV-3
func TestALogGoesOnWhileItsWitnessIsAway(t *testing.T) {
	signer, verifier := keys(t)
	server, vkey := witnessed(t, verifier)
	address := server.URL
	server.Close()
	l, err := translog.Open(t.Context(), t.TempDir(), signer, translog.Options{Witnesses: []translog.Witness{{Key: vkey, URL: address}}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Append(t.Context(), []byte("one")); err != nil {
		t.Fatal(err)
	}
	raw, _, err := l.Await(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(raw, note.VerifierList(verifier)); err != nil {
		t.Fatalf("the log's own signature: %v", err)
	}
	if signedBy(t, raw, vkey) {
		t.Fatal("a witness that is away has signed")
	}
}

func TestAKeyThatIsNoWitnessKeyIsRefused(t *testing.T) {
	signer, _ := keys(t)
	_, err := translog.Open(t.Context(), t.TempDir(), signer, translog.Options{Witnesses: []translog.Witness{{Key: "witness.example.org+12345678+AAAA", URL: "https://witness.example.org"}}})
	if err == nil {
		t.Fatal("a key that is none was taken")
	}
}
