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
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(salt)
	h.Write(event)
	return [HashLen]byte(h.Sum(nil))
}

// Node is the RFC 6962 hash of two subtrees.
func Node(left, right [HashLen]byte) [HashLen]byte {
	var b [1 + 2*HashLen]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+HashLen:], right[:])
	return sha256.Sum256(b[:])
}

// Root is the RFC 6962 tree hash over leaf hashes; of none, the hash of nothing.
func Root(hashes [][HashLen]byte) [HashLen]byte {
	switch len(hashes) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return hashes[0]
	}
	k := split(len(hashes))
	return Node(Root(hashes[:k]), Root(hashes[k:]))
}

// split is the largest power of two smaller than n, for n > 1.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Path is the RFC 6962 audit path of the n-th of the hashes, counted from 0, leaf to root.
func Path(hashes [][HashLen]byte, n int) [][HashLen]byte {
	if len(hashes) < 2 {
		return nil
	}
	k := split(len(hashes))
	if n < k {
		return append(Path(hashes[:k], n), Root(hashes[k:]))
	}
	return append(Path(hashes[k:], n-k), Root(hashes[:k]))
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
