package table

import (
	"cmp"
	"iter"
	"slices"
)

// pieceRows is how many rows a piece of a tail takes, some 440 KB.
const pieceRows = 1024

// tail is rows in memory, in order of Seq, in pieces that follow one another: it grows, and is let go
// of at its front, without a row being copied, which for a hundred thousand rows would take their
// memory twice. Nothing of it is ever altered but that rows are added behind the last; a copy of the
// list of pieces is therefore the tail at one instant.
type tail [][]Row

func (t tail) len() int {
	n := 0
	for _, p := range t {
		n += len(p)
	}
	return n
}

// add puts a row behind the others. Only one of the tails that share a piece may be added to.
func (t *tail) add(r *Row) {
	if n := len(*t); n == 0 || len((*t)[n-1]) == cap((*t)[n-1]) {
		*t = append(*t, make([]Row, 0, pieceRows))
	}
	last := &(*t)[len(*t)-1]
	*last = append(*last, *r)
}

// after is the rows past a position, as they are now.
func (t tail) after(seq int64) tail {
	for i, p := range t {
		if len(p) == 0 || p[len(p)-1].Seq <= seq {
			continue
		}
		at, _ := slices.BinarySearchFunc(p, seq+1, func(r Row, seq int64) int { return cmp.Compare(r.Seq, seq) })
		rest := slices.Clone(t[i:])
		rest[0] = p[at:]
		return rest
	}
	return nil
}

func (t tail) all() iter.Seq[*Row] {
	return func(yield func(*Row) bool) {
		for _, p := range t {
			for i := range p {
				if !yield(&p[i]) {
					return
				}
			}
		}
	}
}
