package driver

import (
	"context"
	"crypto/rand"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	cosignature "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/config"
	"github.com/transparency-dev/witness/persistence/inmemory"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/translog"
)

// The tests mostly wait for the library's second: more of them run at a time than there are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// promise: INV-3
func TestAWitnessSignsWhatAnyPlaceKeeps(t *testing.T) {
	everywhere(t, func(t *testing.T, p Place) {
		s, v := keys(t)
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
		if err := states.AddLogs(t.Context(), []config.Log{{Verifier: v, Origin: origin}}); err != nil {
			t.Fatal(err)
		}
		w, err := witness.New(t.Context(), witness.Opts{Persistence: states, Signers: []note.Signer{signer},
			VerifierForLog: func(_ context.Context, o string) (note.Verifier, bool, error) { return v, o == origin, nil }})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		l := open(t, p, s, translog.Options{Witnesses: []translog.Witness{{Key: vkey, URL: server.URL}}, HTTP: server.Client()})
		cosigner, err := cosignature.NewVerifierForCosignatureV1(vkey)
		if err != nil {
			t.Fatal(err)
		}
		var want [][]byte
		for range 2 { // the second is proven to grow out of the first, from the tiles of the place
			want = add(t, l, want, 300)
			raw, size, err := l.CheckpointNow(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n, err := note.Open(raw, note.VerifierList(cosigner)); err != nil || len(n.Sigs) != 1 {
				t.Fatalf("the witness has not signed the state of %d leaves: %v\n%s", size, err, raw)
			}
		}
	})
}
