package ledger

import "crypto/sha256"

// HashSize is the size of every hash here in bytes (SHA-256).
const HashSize = sha256.Size

// leafHash is the RFC 6962 hash of a leaf.
func leafHash(data []byte) [HashSize]byte {
	h := sha256.New()
	h.Write([]byte{0x00})
	h.Write(data)
	return [HashSize]byte(h.Sum(nil))
}

// treeHash is the RFC 6962 Merkle tree hash over leaf hashes. It overwrites leaves.
func treeHash(leaves [][HashSize]byte) [HashSize]byte {
	if len(leaves) == 0 {
		return sha256.Sum256(nil)
	}
	// Hashing neighbours level by level, and carrying a last odd one up unchanged, gives the same
	// tree as RFC 6962's split at the largest power of two.
	var node [1 + 2*HashSize]byte
	node[0] = 0x01
	for len(leaves) > 1 {
		n := 0
		for i := 0; i < len(leaves); i += 2 {
			if i+1 == len(leaves) {
				leaves[n] = leaves[i]
			} else {
				copy(node[1:], leaves[i][:])
				copy(node[1+HashSize:], leaves[i+1][:])
				leaves[n] = sha256.Sum256(node[:])
			}
			n++
		}
		leaves = leaves[:n]
	}
	return leaves[0]
}
