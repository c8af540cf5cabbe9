package columns

import (
	"os"
	"testing"

	"pgregory.net/rapid"
)

// promise: INV-2
func TestDistinctCustomersAreCountedExactlyInAnyMemory(t *testing.T) {
	spilled, compacted := 0, 0
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		d := newDistinct(dir, 0)
		d.limit = rapid.IntRange(1, 60).Draw(t, "limit")
		type who struct {
			token    uint64
			merchant uint32
		}
		all, known := map[who]bool{}, map[who]bool{}
		lives := map[uint32]map[who]bool{}
		most := rapid.SampledFrom([]uint64{1, 20}).Draw(t, "most") // few different ones are mostly held twice
		var with set
		for range rapid.IntRange(0, 30).Draw(t, "chunks") {
			of := map[int][]customer{}
			for range rapid.IntRange(1, 20).Draw(t, "customers") {
				c := customer{hi: rapid.Uint64Range(0, 1).Draw(t, "hi"), lo: rapid.Uint64Range(0, most).Draw(t, "lo"), merchant: rapid.Uint32Range(0, 3).Draw(t, "merchant"), region: rapid.Uint32Range(0, 3).Draw(t, "region")}
				w := who{c.hi<<32 | c.lo, c.merchant}
				if all[w] = true; c.region > 0 {
					known[w] = true
					if lives[c.region] == nil {
						lives[c.region] = map[who]bool{}
					}
					lives[c.region][w] = true
				}
				// A customer is always in one part, whichever: few parts make full ones.
				part := int(c.hash() >> 63)
				of[part] = append(of[part], c)
			}
			for part, chunk := range of {
				if err := d.take(part, chunk, &with); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range d.parts {
			if d.parts[i].beside > 0 {
				spilled++
			}
			for _, chunk := range d.parts[i].chunks {
				if cap(chunk) == chunkLen {
					compacted++
				}
			}
		}
		merchants, regions, n, err := d.count(4, 4, 2)
		if err != nil {
			t.Fatal(err)
		}
		var want [4]int64
		for w := range all {
			want[w.merchant]++
		}
		for i := range want {
			if merchants[i] != want[i] {
				t.Errorf("merchant %d has %d customers and should have %d", i, merchants[i], want[i])
			}
			if i > 0 && regions[i-1] != int64(len(lives[uint32(i)])) {
				t.Errorf("in region %d live %d and should %d", i, regions[i-1], len(lives[uint32(i)]))
			}
		}
		if n != int64(len(known)) {
			t.Errorf("a region is known of %d and should be of %d", n, len(known))
		}
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
	})
	if spilled == 0 || compacted == 0 {
		t.Errorf("%d parts were put beside the memory and %d were freed of what they held twice", spilled, compacted)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}
