package columns

// marks is a set of numbers above 0.
type marks struct {
	slots []uint64
	n     int
}

func (m *marks) add(v uint64) {
	if 2*m.n >= len(m.slots) {
		old := m.slots
		m.slots, m.n = make([]uint64, max(2*len(old), 1024)), 0
		for _, x := range old {
			if x > 0 {
				m.put(x)
			}
		}
	}
	m.put(v)
}

func (m *marks) put(v uint64) {
	mask := uint64(len(m.slots) - 1)
	at := hashOf([2]uint64{v, 0}) & mask
	for ; m.slots[at] != 0; at = (at + 1) & mask {
		if m.slots[at] == v {
			return
		}
	}
	m.slots[at] = v
	m.n++
}

// keys gives keys consecutive numbers.
type keys struct {
	keys  [][2]uint64
	slots []uint32 // one more than a number
	last  int
}

func (k *keys) of(key [2]uint64) int {
	if k.last < len(k.keys) && k.keys[k.last] == key {
		return k.last
	}
	if 2*len(k.keys) >= len(k.slots) {
		k.grow()
	}
	mask := uint64(len(k.slots) - 1)
	at := hashOf(key) & mask
	for ; k.slots[at] != 0; at = (at + 1) & mask {
		if n := int(k.slots[at] - 1); k.keys[n] == key {
			k.last = n
			return n
		}
	}
	k.keys = append(k.keys, key)
	k.slots[at] = uint32(len(k.keys))
	k.last = len(k.keys) - 1
	return k.last
}

func (k *keys) grow() {
	k.slots = make([]uint32, max(2*len(k.slots), 1024))
	mask := uint64(len(k.slots) - 1)
	for i, key := range k.keys {
		at := hashOf(key) & mask
		for k.slots[at] != 0 {
			at = (at + 1) & mask
		}
		k.slots[at] = uint32(i + 1)
	}
}

func hashOf(key [2]uint64) uint64 {
	h := (key[0] ^ key[1]*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	h ^= h >> 32
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>29
}
