package accesslog

import (
	"hash/maphash"
	"time"
)

// recent remembers, for a time and up to a number, which names came: ids of events, keys of
// batches. It holds hashes of 64 bits under a seed that no sender knows, so that nobody can make
// two names collide; by chance it takes a new name for a known one once in some 10^12 events.
//
// When more names come than it holds it forgets the oldest half, and says from when on it is
// complete. It is used by one goroutine at a time.
type recent struct {
	seed  maphash.Seed
	keep  time.Duration
	most  int // names in one generation
	young generation
	old   generation
	since time.Time // everything after it is remembered
}

// generation is a table of hashes with the minute in which each came, open addressing.
type generation struct {
	hashes  []uint64
	minutes []uint32
	n       int
}

func newRecent(keep time.Duration, most int) *recent {
	return &recent{seed: maphash.MakeSeed(), keep: keep, most: most}
}

// hash is the number a name of a source is remembered by.
func (r *recent) hash(source, name string) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.WriteString(source)
	h.WriteByte(0)
	h.WriteString(name)
	return max(1, h.Sum64()) // 0 is an empty place
}

func minuteOf(t time.Time) uint32 { return uint32(max(0, t.Unix()/60)) }

// has says whether a name came within the time that is kept.
func (r *recent) has(hash uint64, now time.Time) bool {
	oldest := minuteOf(now.Add(-r.keep))
	for _, g := range [...]*generation{&r.young, &r.old} {
		if at, ok := g.find(hash); ok && at > oldest {
			return true
		}
	}
	return false
}

// add notes a name.
func (r *recent) add(hash uint64, now time.Time) {
	if r.young.n >= r.most {
		// What is dropped now came before the older of the two generations ended.
		if newest := r.old.newest(); newest > 0 {
			r.since = time.Unix(int64(newest+1)*60, 0)
		}
		r.old, r.young = r.young, generation{}
	}
	r.young.put(hash, minuteOf(now))
}

// remove takes a name back whose event was not stored after all.
func (r *recent) remove(hash uint64) {
	for _, g := range [...]*generation{&r.young, &r.old} {
		if i, ok := g.place(hash); ok {
			g.minutes[i] = 0 // a place that was used stays used, and its time is long past
		}
	}
}

// complete says whether everything that came within the time that is kept is remembered.
func (r *recent) complete(now time.Time) bool { return r.since.Before(now.Add(-r.keep)) }

func (g *generation) place(hash uint64) (int, bool) {
	if len(g.hashes) == 0 {
		return 0, false
	}
	mask := uint64(len(g.hashes) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		switch g.hashes[i] {
		case hash:
			return int(i), true
		case 0:
			return int(i), false
		}
	}
}

func (g *generation) find(hash uint64) (uint32, bool) {
	i, ok := g.place(hash)
	if !ok {
		return 0, false
	}
	return g.minutes[i], true
}

func (g *generation) put(hash uint64, minute uint32) {
	if 4*(g.n+1) > 3*len(g.hashes) {
		bigger := generation{hashes: make([]uint64, max(1024, 2*len(g.hashes))), minutes: make([]uint32, max(1024, 2*len(g.hashes)))}
		for i, h := range g.hashes {
			if h != 0 {
				bigger.put(h, g.minutes[i])
			}
		}
		*g = bigger
	}
	i, ok := g.place(hash)
	if !ok {
		g.hashes[i] = hash
		g.n++
	}
	g.minutes[i] = max(g.minutes[i], minute)
}

func (g *generation) newest() uint32 {
	var newest uint32
	for _, m := range g.minutes {
		newest = max(newest, m)
	}
	return newest
}
