package leaf

import (
	"crypto/sha256"
	"errors"
	"math/bits"
)

// EventHash is the RFC 6962 leaf hash of one event in a leaf's inner tree: SHA-256 of a zero
// byte, the event's salt and its canonical bytes. The salt keeps anyone who holds the header from
// guessing an event that was not shown.
func EventHash(salt, event []byte) [HashLen]byte {
	var room [1024]byte // most events fit, and then nothing is allocated
	return sha256.Sum256(append(append(append(room[:0], 0), salt...), event...))
}

// Node is the RFC 6962 hash of two subtrees.
func Node(left, right [HashLen]byte) [HashLen]byte {
	var b [1 + 2*HashLen]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+HashLen:], right[:])
	return sha256.Sum256(b[:])
}

// Tree is the inner tree of one leaf. Level 0 holds the event hashes; a node without a sibling
// stands unchanged in the level above, which is the shape RFC 6962 gives a tree.
type Tree struct {
	levels [][][HashLen]byte
}

// NewTree computes the tree over event hashes.
func NewTree(hashes [][HashLen]byte) *Tree {
	t := &Tree{levels: [][][HashLen]byte{hashes}}
	for level := hashes; len(level) > 1; {
		up := make([][HashLen]byte, 0, (len(level)+1)/2)
		for i := 0; i+1 < len(level); i += 2 {
			up = append(up, Node(level[i], level[i+1]))
		}
		if len(level)%2 == 1 {
			up = append(up, level[len(level)-1])
		}
		t.levels = append(t.levels, up)
		level = up
	}
	return t
}

// Root is the tree's hash; of no events, the hash of nothing.
func (t *Tree) Root() [HashLen]byte {
	if len(t.levels[0]) == 0 {
		return sha256.Sum256(nil)
	}
	return t.levels[len(t.levels)-1][0]
}

// Path is the audit path of the n-th event, counted from 0, leaf to root.
func (t *Tree) Path(n int) [][HashLen]byte {
	var out [][HashLen]byte
	for _, level := range t.levels {
		if sibling := n ^ 1; sibling < len(level) {
			out = append(out, level[sibling])
		}
		n /= 2
	}
	return out
}

// ErrPath says that an audit path does not have the length its position needs.
var ErrPath = errors.New("leaf: the path does not fit the position")

// RootFromPath computes the root that hash, standing at position n of a tree of the given size,
// has with this audit path.
func RootFromPath(hash [HashLen]byte, n, size int, path [][HashLen]byte) ([HashLen]byte, error) {
	if n < 0 || n >= size {
		return hash, ErrPath
	}
	if size == 1 {
		if len(path) != 0 {
			return hash, ErrPath
		}
		return hash, nil
	}
	if len(path) == 0 {
		return hash, ErrPath
	}
	k, top := split(size), path[len(path)-1]
	if n < k {
		left, err := RootFromPath(hash, n, k, path[:len(path)-1])
		return Node(left, top), err
	}
	right, err := RootFromPath(hash, n-k, size-k, path[:len(path)-1])
	return Node(top, right), err
}

// split is the largest power of two smaller than n, for n > 1.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }
