package baseline

import (
	"math"
	"math/bits"
	"slices"
)

// Sketch counts distinct members: exactly while they are few, then as a HyperLogLog of 2,048
// registers, whose standard error is 2.3 %. Sketches of one kind can be united.
//
// Source: Flajolet, Fusy, Gandouet and Meunier, HyperLogLog (2007); linear counting for the small.
type Sketch struct {
	Few   []uint64 // sorted; nil once there are registers
	Many  []uint8
	Count int64 // of the registers, when it is known; 0 when one was raised since
}

const (
	fewest    = 256 // members that are kept exactly: they take as much as the registers
	registers = 1 << 11
)

// add counts a member by its hash, which has to be mixed well.
func (s *Sketch) add(hash uint64) {
	if s.Many != nil {
		s.raise(hash)
		return
	}
	i, ok := slices.BinarySearch(s.Few, hash)
	if ok {
		return
	}
	if len(s.Few) < fewest {
		s.Few = slices.Insert(s.Few, i, hash)
		return
	}
	s.spread()
	s.raise(hash)
}

// spread goes over to registers.
func (s *Sketch) spread() {
	s.Many = make([]uint8, registers)
	for _, h := range s.Few {
		s.raise(h)
	}
	s.Few = nil
}

func (s *Sketch) raise(hash uint64) {
	i := hash % registers
	rank := uint8(bits.LeadingZeros64(hash)) + 1
	if r := min(rank, 64-11+1); r > s.Many[i] {
		s.Many[i], s.Count = r, 0
	}
}

// unite adds the members of another sketch.
func (s *Sketch) unite(o *Sketch) {
	for _, h := range o.Few {
		s.add(h)
	}
	if o.Many == nil {
		return
	}
	if s.Many == nil {
		s.spread()
	}
	s.Count = 0
	for i, r := range o.Many {
		s.Many[i] = max(s.Many[i], r)
	}
}

// count is the number of distinct members, exact up to 256.
func (s *Sketch) count() int64 {
	if s.Many == nil {
		return int64(len(s.Few))
	}
	if s.Count > 0 {
		return s.Count
	}
	sum, empty := 0.0, 0
	for _, r := range s.Many {
		sum += 1 / float64(uint64(1)<<r)
		if r == 0 {
			empty++
		}
	}
	const m = registers
	estimate := 0.7213 / (1 + 1.079/m) * m * m / sum
	if estimate <= 2.5*m && empty > 0 {
		estimate = m * math.Log(m/float64(empty))
	}
	s.Count = int64(math.Round(estimate))
	return s.Count
}

// reset empties a sketch and keeps its room.
func (s *Sketch) reset() { s.Few, s.Many, s.Count = s.Few[:0], nil, 0 }

// hash mixes parts into 64 bits: FNV-1a with a finaliser, the same in every process.
func hash(parts ...string) uint64 {
	h := uint64(14695981039346656037)
	for _, p := range parts {
		for i := range len(p) {
			h = (h ^ uint64(p[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return mix(h)
}

// mix is the finaliser of SplitMix64.
func mix(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}
