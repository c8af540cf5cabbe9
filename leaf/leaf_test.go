package leaf_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/leaf"
)

func sample() leaf.Header {
	h := leaf.Header{
		Epoch: "2026-11-22", First: 701, Last: 1400,
		From: time.Date(2026, 11, 22, 3, 2, 11, 482_000_000, time.UTC),
		To:   time.Date(2026, 11, 22, 3, 9, 0, 0, time.UTC),
	}
	for i := range h.Nonce {
		h.Nonce[i], h.Root[i] = byte(i), byte(255-i)
	}
	return h
}

func TestHeaderHasOneEncodingOnly(t *testing.T) {
	h := sample()
	stored := append(h.Marshal(), "sealed\n\nbytes"...)
	got, sealed, err := leaf.Parse(stored)
	if err != nil {
		t.Fatal(err)
	}
	if got != h || string(sealed) != "sealed\n\nbytes" {
		t.Fatalf("got %+v and %q", got, sealed)
	}
	text := string(h.Marshal())
	for name, bad := range map[string]string{
		"other version":   strings.Replace(text, "/v1", "/v2", 1),
		"leading zero":    strings.Replace(text, "spool 701", "spool 0701", 1),
		"plus sign":       strings.Replace(text, "spool 701", "spool +701", 1),
		"wrong count":     strings.Replace(text, "events 700", "events 699", 1),
		"range reversed":  strings.Replace(text, "spool 701 1400", "spool 1400 701", 1),
		"zone":            strings.Replace(text, "03:09:00Z", "04:09:00+01:00", 1),
		"fraction":        strings.Replace(text, ".482Z", ".4820Z", 1),
		"line missing":    strings.Replace(text, "events 700\n", "", 1),
		"line added":      strings.Replace(text, "\nroot", "\nmore 1\nroot", 1),
		"carriage return": strings.Replace(text, "\nroot", "\r\nroot", 1),
		"no end":          strings.TrimSuffix(text, "\n"),
		"empty":           "",
	} {
		if _, _, err := leaf.Parse([]byte(bad)); !errors.Is(err, leaf.ErrFormat) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// promise: INV-3
func TestInnerTreeAgreesWithTheGoChecksumDatabaseImplementation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 70).Draw(t, "events")
		var hashes [][leaf.HashLen]byte
		var stored []tlog.Hash
		read := tlog.HashReaderFunc(func(idx []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(idx))
			for i, x := range idx {
				out[i] = stored[x]
			}
			return out, nil
		})
		for i := range n {
			salt, event := bytes.Repeat([]byte{byte(i)}, leaf.SaltLen), fmt.Appendf(nil, `{"n":%d}`, i)
			hashes = append(hashes, leaf.EventHash(salt, event))
			h, err := tlog.StoredHashes(int64(i), append(salt, event...), read)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, h...)
		}
		want, err := tlog.TreeHash(int64(n), read)
		if err != nil {
			t.Fatal(err)
		}
		tree := leaf.NewTree(hashes)
		root := tree.Root()
		if tlog.Hash(root) != want {
			t.Fatalf("root of %d events differs", n)
		}
		i := rapid.IntRange(0, n-1).Draw(t, "position")
		path := tree.Path(i)
		var independent tlog.RecordProof
		for _, p := range path {
			independent = append(independent, tlog.Hash(p))
		}
		if err := tlog.CheckRecord(independent, int64(n), want, int64(i), tlog.Hash(hashes[i])); err != nil {
			t.Fatalf("path of %d in %d: %v", i, n, err)
		}
		got, err := leaf.RootFromPath(hashes[i], i, n, path)
		if err != nil || got != root {
			t.Fatalf("root from path of %d in %d: %v", i, n, err)
		}
		if _, err := leaf.RootFromPath(hashes[i], i, n, append(path, root)); err == nil {
			t.Fatal("a path that is too long was taken")
		}
		if other := (i + 1) % n; other != i {
			if got, err := leaf.RootFromPath(hashes[i], other, n, path); err == nil && got == root {
				t.Fatal("an event proved a position that is not its own")
			}
		}
	})
}

func TestRootOfNothingIsTheHashOfNothing(t *testing.T) {
	if leaf.NewTree(nil).Root() != sha256.Sum256(nil) {
		t.Fatal("empty root differs from RFC 6962")
	}
}
