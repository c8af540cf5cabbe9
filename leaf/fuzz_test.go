package leaf_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tocsin-ir/tocsin/leaf"
)

// Whatever was stored, Parse refuses it or has read exactly the bytes that Marshal writes: there
// are no two texts for one header.
func FuzzParse(f *testing.F) {
	f.Add(append(sample().Marshal(), "sealed"...))
	f.Add([]byte(leaf.Magic + "\n\n"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		h, sealed, err := leaf.Parse(stored)
		if err != nil {
			if !errors.Is(err, leaf.ErrFormat) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if again := append(h.Marshal(), sealed...); !bytes.Equal(again, stored) {
			t.Fatalf("%q was read, and is written as %q", stored, again)
		}
		if h.Events() < 1 || h.To.Before(h.From) {
			t.Fatalf("a header that says nothing was accepted: %+v", h)
		}
	})
}
