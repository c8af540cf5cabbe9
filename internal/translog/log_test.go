package translog_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tocsin-ir/tocsin/internal/translog"
)

const origin = "example.org/facts"

func keys(t *testing.T) (note.Signer, note.Verifier) {
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

func open(t *testing.T, dir string, s note.Signer) *translog.Log {
	t.Helper()
	l, err := translog.Open(t.Context(), dir, s, translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// treeOf computes the root with an implementation that shares nothing with the one under test.
func treeOf(t *testing.T, leaves [][]byte) tlog.Hash {
	t.Helper()
	var stored []tlog.Hash
	for i, leaf := range leaves {
		h, err := tlog.StoredHashes(int64(i), leaf, tlog.HashReaderFunc(func(idx []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(idx))
			for j, x := range idx {
				out[j] = stored[x]
			}
			return out, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, h...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), tlog.HashReaderFunc(func(idx []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(idx))
		for j, x := range idx {
			out[j] = stored[x]
		}
		return out, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// promise: INV-3
func TestLogAgreesWithTheGoChecksumDatabaseImplementation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s, v := keys(t)
	l := open(t, dir, s)
	ctx := t.Context()

	var want [][]byte
	for _, n := range []int{1, 3, 300, 7} {
		var batch [][]byte
		for range n {
			batch = append(batch, fmt.Appendf(nil, "leaf %d", len(want)+len(batch)))
		}
		idx, err := l.AppendMany(ctx, batch)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range idx {
			if x != uint64(len(want)+i) {
				t.Fatalf("leaf %d of the batch stands at %d, want %d", i, x, len(want)+i)
			}
		}
		want = append(want, batch...)
	}
	raw, size, err := l.CheckpointNow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if size != uint64(len(want)) {
		t.Fatalf("the checkpoint covers %d leaves, want %d", size, len(want))
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		t.Fatalf("the checkpoint is not signed by the log's key: %v", err)
	}
	root := treeOf(t, want)
	if text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, root); n.Text != text {
		t.Fatalf("checkpoint %q, want %q", n.Text, text)
	}
	for i, w := range want {
		got, err := l.Leaf(ctx, uint64(i))
		if err != nil || !bytes.Equal(got, w) {
			t.Fatalf("leaf %d: %q, %v, want %q", i, got, err, w)
		}
	}
	hashes, err := l.LeafHashes(ctx, size)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if h := sha256.Sum256(append([]byte{0}, w...)); !bytes.Equal(h[:], hashes[i]) {
			t.Fatalf("hash of leaf %d differs", i)
		}
	}
	if err := fsckLog(ctx, dir, v); err != nil {
		t.Fatalf("the library's own check: %v", err)
	}
}

func fsckLog(ctx context.Context, dir string, v note.Verifier) error {
	f := fsck.New(v.Name(), v, client.FileFetcher{Root: dir}, func(b []byte) ([][]byte, error) {
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
	}, fsck.Opts{})
	return f.Check(ctx)
}

func TestLogIsReopenedWhereItStood(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	s, v := keys(t)
	l := open(t, dir, s)
	if _, err := l.Append(t.Context(), []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), []byte("late")); !errors.Is(err, translog.ErrClosed) {
		t.Fatalf("append after close: %v", err)
	}
	l = open(t, dir, s)
	if idx, err := l.Append(t.Context(), []byte("two")); err != nil || idx != 1 {
		t.Fatalf("second leaf at %d, %v", idx, err)
	}
	if _, size, err := l.CheckpointNow(t.Context()); err != nil || size != 2 {
		t.Fatalf("checkpoint over %d, %v", size, err)
	}
	if err := fsckLog(t.Context(), dir, v); err != nil {
		t.Fatal(err)
	}
}

func TestReaderSeesWhatIsPublishedAndWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if _, err := translog.OpenReader(dir, origin); err == nil {
		t.Fatal("a log that is not there was opened")
	}
	if _, err := os.Stat(dir); err == nil {
		t.Fatal("the reader made the folder")
	}
	s, _ := keys(t)
	l := open(t, dir, s)
	if _, err := l.Append(t.Context(), []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := translog.OpenReader(dir, origin)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Leaf(t.Context(), 0); err != nil || string(got) != "one" {
		t.Fatalf("leaf %q, %v", got, err)
	}
	if _, err := r.Leaf(t.Context(), 1); !errors.Is(err, translog.ErrNotFound) {
		t.Fatalf("leaf beyond the end: %v", err)
	}
	if _, err := r.Append(t.Context(), []byte("two")); !errors.Is(err, translog.ErrReadOnly) {
		t.Fatalf("append: %v", err)
	}
}

func TestLeafThatIsTooLargeIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	s, _ := keys(t)
	l := open(t, filepath.Join(t.TempDir(), "log"), s)
	_, err := l.AppendMany(t.Context(), [][]byte{[]byte("small"), make([]byte, translog.MaxLeaf+1)})
	if !errors.Is(err, translog.ErrTooLarge) {
		t.Fatalf("error %v", err)
	}
	if n, err := l.Size(t.Context()); err != nil || n != 0 {
		t.Fatalf("size %d, %v", n, err)
	}
}
