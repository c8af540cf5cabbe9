package driver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tocsin-ir/tocsin/internal/mysqltest"
	"github.com/tocsin-ir/tocsin/internal/translog"
)

const origin = "example.org/events"

func keys(t testing.TB) (note.Signer, note.Verifier) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

// places are the kinds of places that can be tried here, each with a way to make an empty one.
var places = map[string]func(t testing.TB) Config{
	"folder": func(t testing.TB) Config { return Config{URL: "posix:" + filepath.Join(t.TempDir(), "log")} },
	"mysql":  func(t testing.TB) Config { return Config{URL: "mysql://" + mysqltest.Database(t)} },
	"s3+mysql": func(t testing.TB) Config {
		file := filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = test\naws_secret_access_key = test-secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return Config{URL: "s3://logs/one/events?mysql=" + mysqltest.Database(t), Endpoint: objectStore(t), Region: "eu-central-1", CredentialsFile: file}
	},
}

// objectStore is one over HTTP.
func objectStore(t testing.TB) string {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("logs"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	return server.URL
}

func everywhere(t *testing.T, test func(t *testing.T, p Place)) {
	t.Parallel()
	for name, make := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, parsed(t, make(t)))
		})
	}
}

func parsed(t testing.TB, c Config) Place {
	t.Helper()
	p, err := Parse(c, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t testing.TB, p Place, s note.Signer, o translog.Options) *translog.Log {
	t.Helper()
	l, err := p.Open(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// add appends leaves in batches of the given sizes and returns all that are in the log then.
func add(t testing.TB, l *translog.Log, have [][]byte, sizes ...int) [][]byte {
	t.Helper()
	for _, n := range sizes {
		var batch [][]byte
		for range n {
			batch = append(batch, fmt.Appendf(nil, "leaf %d", len(have)+len(batch)))
		}
		at, err := l.AppendMany(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range at {
			if x != uint64(len(have)+i) {
				t.Fatalf("leaf %d of the batch stands at %d, want %d", i, x, len(have)+i)
			}
		}
		have = append(have, batch...)
		// An append has returned: its leaves are in the tree and can be read.
		if size, err := l.Size(t.Context()); err != nil || size != uint64(len(have)) {
			t.Fatalf("%d leaves, %v, want %d", size, err, len(have))
		}
		if got, err := l.Leaf(t.Context(), uint64(len(have)-1)); err != nil || !bytes.Equal(got, have[len(have)-1]) {
			t.Fatalf("the last leaf: %q, %v", got, err)
		}
	}
	return have
}

// treeOf computes the root with an implementation that shares nothing with the one under test.
func treeOf(t testing.TB, leaves [][]byte) tlog.Hash {
	t.Helper()
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(idx []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(idx))
		for j, x := range idx {
			out[j] = stored[x]
		}
		return out, nil
	})
	for i, leaf := range leaves {
		h, err := tlog.StoredHashes(int64(i), leaf, read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, h...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), read)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// served gives the files of a log over HTTP as the API does, so that others' tools can be asked.
func served(t testing.TB, l *translog.Log) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := l.File(strings.TrimPrefix(r.URL.Path, "/"))
		if errors.Is(err, fs.ErrNotExist) {
			http.NotFound(w, r)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(raw) // the reader may be gone
	}))
	t.Cleanup(server.Close)
	return server
}

// check has everybody agree on a log: Go's checksum database on root and hashes, the library's fsck
// over HTTP, and our own verification.
func check(t testing.TB, l *translog.Log, v note.Verifier, want [][]byte) {
	t.Helper()
	ctx := t.Context()
	raw, size, err := l.CheckpointNow(ctx)
	if err != nil || size != uint64(len(want)) {
		t.Fatalf("the checkpoint covers %d leaves, %v, want %d", size, err, len(want))
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		t.Fatalf("the checkpoint is not signed by the log's key: %v", err)
	}
	root := treeOf(t, want)
	if text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, root); n.Text != text {
		t.Fatalf("checkpoint %q, want %q", n.Text, text)
	}
	i := 0
	if err := l.Leaves(ctx, 0, size, func(index uint64, data []byte) error {
		if index != uint64(i) || !bytes.Equal(data, want[i]) {
			return fmt.Errorf("leaf %d is %q, want %q", index, data, want[i])
		}
		i++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if done, err := translog.Verify(ctx, l, v); err != nil || done.Size != size || !bytes.Equal(done.Root, root[:]) {
		t.Fatalf("our own verification: %+v, %v", done, err)
	}
	fetch, err := client.NewHTTPFetcher(parseURL(t, served(t, l).URL+"/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	hash := func(b []byte) ([][]byte, error) {
		var e api.EntryBundle
		if err := e.UnmarshalText(b); err != nil {
			return nil, err
		}
		var out [][]byte
		for _, d := range e.Entries {
			h := sha256.Sum256(append([]byte{0}, d...))
			out = append(out, h[:])
		}
		return out, nil
	}
	if err := fsck.New(origin, v, fetch, hash, fsck.Opts{}).Check(ctx); err != nil {
		t.Fatalf("the library's own check, over HTTP: %v", err)
	}
	// Go's checksum database reads tiles too, and proves with what it reads.
	tree := tlog.Tree{N: int64(size), Hash: root}
	hashes := tlog.TileHashReader(tree, tileFiles{t, l})
	for _, index := range []int64{0, int64(size) / 2, int64(size) - 1} {
		p, err := tlog.ProveRecord(tree.N, index, hashes)
		if err != nil {
			t.Fatalf("prove leaf %d from the tiles: %v", index, err)
		}
		mine, err := l.Inclusion(ctx, uint64(index), size)
		if err != nil || len(mine) != len(p) {
			t.Fatalf("prove leaf %d: %v", index, err)
		}
		for i := range p {
			if !bytes.Equal(p[i][:], mine[i]) {
				t.Fatalf("two proofs of leaf %d differ", index)
			}
		}
		if err := tlog.CheckRecord(p, tree.N, root, index, tlog.RecordHash(want[index])); err != nil {
			t.Fatal(err)
		}
	}
	for _, smaller := range []uint64{1, size / 2, size} {
		path, err := l.Consistency(ctx, smaller, size)
		if err != nil {
			t.Fatal(err)
		}
		old := treeOf(t, want[:smaller])
		if err := proof.VerifyConsistency(rfc6962.DefaultHasher, smaller, size, path, old[:], root[:]); err != nil {
			t.Fatalf("the log did not grow from %d leaves: %v", smaller, err)
		}
	}
}

// tileFiles reads tiles for Go's checksum database.
type tileFiles struct {
	t testing.TB
	l *translog.Log
}

func (f tileFiles) Height() int { return 8 }
func (f tileFiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, tile := range list {
		// Of C2SP the names have no height and one level of groups less.
		name := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		raw, err := f.l.File(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(raw) != tile.W*sha256.Size {
			return nil, fmt.Errorf("%s has %d bytes, want %d", name, len(raw), tile.W*sha256.Size)
		}
		out = append(out, raw)
	}
	return out, nil
}
func (tileFiles) SaveTiles([]tlog.Tile, [][]byte) {}

// promise: INV-3
func TestALogIsTheSameWhateverKeepsIt(t *testing.T) {
	everywhere(t, func(t *testing.T, p Place) {
		s, v := keys(t)
		l := open(t, p, s, translog.Options{})
		want := add(t, l, nil, 1, 3, 300, 7)
		check(t, l, v, want)
		if _, err := l.File("tile/entries/999"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a bundle that is not there: %v", err)
		}
		if _, err := l.File("tile/0/001.p/200"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a partial tile that is not there yet: %v", err)
		}
		if at, err := l.Published(); err != nil || time.Since(at) > time.Minute || time.Until(at) > time.Second*2 {
			t.Errorf("published at %v, %v", at, err)
		}

		// Reopened it goes on where it stood, and a reader sees what is published.
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(t.Context(), []byte("late")); !errors.Is(err, translog.ErrClosed) {
			t.Errorf("append after close: %v", err)
		}
		r, err := p.OpenReader(t.Context(), origin, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		check(t, r, v, want)
		if _, err := r.Append(t.Context(), []byte("two")); !errors.Is(err, translog.ErrReadOnly) {
			t.Errorf("append to a reader: %v", err)
		}
		l = open(t, p, s, translog.Options{})
		want = add(t, l, want, 2, 256)
		check(t, l, v, want)
	})
}

func TestALogThatIsNotThereIsNotMadeByAReader(t *testing.T) {
	everywhere(t, func(t *testing.T, p Place) {
		for range 2 { // the first has made nothing that the second finds
			if _, err := p.OpenReader(t.Context(), origin, nil); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("a log that is not there: %v", err)
			}
		}
	})
}

func TestRemovedLeavesAreGoneAndTheirHashesStay(t *testing.T) {
	everywhere(t, func(t *testing.T, p Place) {
		s, v := keys(t)
		l := open(t, p, s, translog.Options{})
		want := add(t, l, nil, 256, 256, 20)
		for range 2 { // it may be repeated
			if err := l.Prune(t.Context(), [][2]uint64{{0, 300}, {512, 20}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Leaf(t.Context(), 17); !errors.Is(err, translog.ErrNotFound) {
			t.Errorf("a removed leaf: %v", err)
		}
		for _, at := range []uint64{256, 299, 512, 531} { // a bundle goes whole, and the last one stays
			if got, err := l.Leaf(t.Context(), at); err != nil || !bytes.Equal(got, want[at]) {
				t.Errorf("leaf %d: %q, %v", at, got, err)
			}
		}
		if _, _, err := l.CheckpointNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := translog.Verify(t.Context(), l, v); err == nil {
			t.Error("leaves are missing, and nothing says that they were removed: it was called whole")
		}
		if _, err := translog.Verify(t.Context(), l, v, translog.Range{First: 0, N: 256}); err != nil {
			t.Error(err)
		}
		want = add(t, l, want, 300)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = open(t, p, s, translog.Options{})
		add(t, l, want, 1)
		if _, _, err := l.CheckpointNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if done, err := translog.Verify(t.Context(), l, v, translog.Range{First: 0, N: 256}); err != nil || done.Size != 833 {
			t.Errorf("%d leaves, %v", done.Size, err)
		}
	})
}

func TestTheLogOfAnotherKeyIsRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, p Place) {
		if p.Folder() != "" {
			return // a folder lies in the data folder, with its keys
		}
		s, _ := keys(t)
		l := open(t, p, s, translog.Options{})
		if _, err := l.Append(t.Context(), []byte("one")); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		other, _ := keys(t)
		if _, err := p.Open(t.Context(), other, translog.Options{}); err == nil || !strings.Contains(err.Error(), "another installation") {
			t.Fatalf("the log of another key: %v", err)
		}
	})
}

// promise: INV-3
func TestOneProcessWritesAtATime(t *testing.T) {
	s, _ := keys(t)
	p := parsed(t, places["mysql"](t))
	l := open(t, p, s, translog.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := p.Open(ctx, s, translog.Options{}); err == nil || !strings.Contains(err.Error(), "another process writes to this log") {
		t.Fatalf("a second writer: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, p, s, translog.Options{})
}

func TestLargestLeavesFillABundle(t *testing.T) {
	everywhere(t, func(t *testing.T, p Place) {
		s, v := keys(t)
		l := open(t, p, s, translog.Options{})
		var batch [][]byte
		for range 256 {
			b := make([]byte, translog.MaxLeaf)
			_, _ = rand.Read(b) // never fails
			batch = append(batch, b)
		}
		if _, err := l.AppendMany(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		i := 0
		if err := l.Leaves(t.Context(), 0, 256, func(_ uint64, data []byte) error {
			if !slices.Equal(data, batch[i]) {
				return fmt.Errorf("leaf %d differs", i)
			}
			i++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.CheckpointNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := translog.Verify(t.Context(), l, v); err != nil {
			t.Fatal(err)
		}
	})
}

func parseURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
