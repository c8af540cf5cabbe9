package columns

import (
	"fmt"
	"strings"
)

// sum is what events add up to.
type sum struct {
	events, records int64
	first, last     int64 // nanoseconds
	atLeast         bool
}

func (s *sum) take(o *sum) {
	if s.events == 0 {
		*s = *o
		return
	}
	s.events += o.events
	s.records = plus(s.records, o.records)
	s.first, s.last = min(s.first, o.first), max(s.last, o.last)
	s.atLeast = s.atLeast || o.atLeast
}

// worker reads groups of rows and adds up what is in them.
type worker struct {
	s      *scan
	g      group
	sender sender

	parts    keys // merchant and store, list of types and file
	partSums []sum
	pairs    keys // address and agent, side and merchant
	pairSums []sum
	hours    map[int64]*sum

	side []byte      // of each row of the group
	ids  [6][]uint32 // of the values of its columns, in names
	seen []uint64    // of each token of the group, who had it last
}

// The sides of a row.
const (
	nowhere = iota // it does not count
	outside        // the wide question has it, and the question not
	inside
)

// outcomes, by the dictionary of a group.
const (
	shown = iota
	denied
	failed
)

func newWorker(s *scan) *worker {
	return &worker{s: s, g: group{text: map[string]*texts{}, have: map[string]bool{}}, sender: sender{to: s.distinct}, hours: map[int64]*sum{}}
}

func (w *worker) run() error {
	for {
		x, rows, err := w.s.next()
		if err != nil {
			return err
		}
		if rows == nil {
			return w.sender.flush()
		}
		w.g.of, w.g.rows = x.of, rows
		clear(w.g.have)
		err = w.count()
		w.s.done(x)
		if err != nil {
			return fmt.Errorf("columns: %s: %w", x.name, err)
		}
	}
}

// grouped are the columns that a question groups by, in the order of worker.ids.
var grouped = []string{"merchant", "store", "data_types", "supplied", "ip", "agent"}

// count adds up one group of rows.
func (w *worker) count() error {
	any, err := w.choose()
	if !any || err != nil {
		return err
	}
	g := &w.g
	var index [6][]int32
	var more int64
	for i, name := range grouped {
		t, err := g.column(name)
		if err != nil {
			return err
		}
		var bytes int64
		w.ids[i], bytes = w.s.names.add(w.ids[i][:0], t.values)
		index[i], more = t.index, more+bytes
	}
	if g.counts, err = g.numbers("records", g.counts); err != nil {
		return err
	}
	regions, err := w.regions(&more)
	if err != nil {
		return err
	}
	before := len(w.parts.keys) + len(w.pairs.keys)
	if err := w.add(index, regions); err != nil {
		return err
	}
	return w.s.room(more + int64(len(w.parts.keys)+len(w.pairs.keys)-before)*sumBytes)
}

const sumBytes = 160 // of a sum with its key and its place, twice while they grow

// choose says on which side every row of the group is, and whether any counts. It reads as little as
// it can before it knows that none does.
func (w *worker) choose() (bool, error) {
	g, f, n := &w.g, w.s.filter, int(w.g.rows.NumRows())
	least, most, ok, err := g.bounds("time")
	if err != nil {
		return false, err
	}
	if ok && (most*1000+999 < f.from || least*1000 >= f.to) {
		return false, nil
	}
	first, newest, known, err := g.bounds("seq")
	if err != nil {
		return false, err
	}
	if known && first > w.s.q.UpTo {
		return false, nil
	}
	kind, err := g.column("kind")
	if err != nil {
		return false, err
	}
	asked := int32(-1)
	for i, v := range kind.values {
		if v == w.s.q.Query.Kind {
			asked = int32(i)
		}
	}
	if asked < 0 {
		return false, nil
	}
	column := map[string]*texts{}
	for _, name := range f.columns {
		if column[name], err = g.column(name); err != nil {
			return false, err
		}
	}
	by := func(name string) *texts { return column[name] }
	wide, err := compile(f.wide, by)
	if err != nil || len(f.wide) > 0 && len(wide) == 0 {
		return false, err
	}
	narrow, err := compile(f.any, by)
	if err != nil {
		return false, err
	}
	not, err := compile(f.not, by)
	if err != nil {
		return false, err
	}
	outcome, err := g.column("outcome")
	if err != nil {
		return false, err
	}
	what := make([]byte, len(outcome.values))
	for i, v := range outcome.values {
		switch v {
		case "denied":
			what[i] = denied
		case "error":
			what[i] = failed
		}
	}
	if err := g.readTimes(); err != nil {
		return false, err
	}
	if newer := !known || newest > w.s.q.UpTo; newer {
		if g.seqs, err = g.numbers("seq", g.seqs); err != nil {
			return false, err
		}
	} else {
		g.seqs = g.seqs[:0]
	}
	if err := g.readCustomers(); err != nil {
		return false, err
	}
	if cap(w.side) < n {
		w.side = make([]byte, n)
	}
	w.side = w.side[:n]
	any := false
	for i := range w.side {
		w.side[i] = nowhere
		switch at := g.times[i]; {
		case kind.index[i] != asked || at < f.from || at >= f.to:
			continue
		case len(g.seqs) > 0 && g.seqs[i] > w.s.q.UpTo:
			continue
		case what[outcome.index[i]] == denied || what[outcome.index[i]] == failed && g.starts[i] == g.starts[i+1]:
			continue
		case len(f.wide) > 0 && !wide.match(i):
			continue
		}
		any = true
		if w.side[i] = outside; (len(f.any) == 0 || narrow.match(i)) && !not.match(i) {
			w.side[i] = inside
		}
	}
	return any, nil
}

// places is where the customers of rows live, by the value that a row has: one for all, or one for each.
type places struct {
	index []int32
	of    [][]uint32 // one more than the number of a name; 0: not said
}

// regions reads where customers live; nil when no row says so.
func (w *worker) regions(more *int64) (*places, error) {
	t, err := w.g.column("regions")
	if err != nil {
		return nil, err
	}
	if len(t.values) == 1 && t.values[0] == "" {
		return nil, nil
	}
	p := &places{index: t.index}
	for _, value := range t.values {
		each := strings.Split(value, ",")
		ids, bytes := w.s.names.add(nil, each)
		*more += bytes
		for i := range ids {
			if ids[i]++; each[i] == "" {
				ids[i] = 0
			}
		}
		p.of = append(p.of, ids)
	}
	return p, nil
}

const hour = 3600_000_000_000

// add adds up the rows that count.
func (w *worker) add(index [6][]int32, regions *places) error {
	g := &w.g
	if cap(w.seen) < len(g.tokens) {
		w.seen = make([]uint64, len(g.tokens))
	}
	w.seen = w.seen[:len(g.tokens)]
	for i := range w.seen {
		w.seen[i] = ^uint64(0)
	}
	id := func(column, row int) uint64 { return uint64(w.ids[column][index[column][row]]) }
	var hours *sum
	hourly := int64(-1)
	for i, side := range w.side {
		if side == nowhere {
			continue
		}
		at, merchant := g.times[i], id(0, i)
		pair := w.pairs.of([2]uint64{id(4, i)<<32 | id(5, i), uint64(side-outside)<<32 | merchant})
		if pair == len(w.pairSums) {
			w.pairSums = append(w.pairSums, sum{first: at, last: at})
		}
		p := &w.pairSums[pair]
		p.events++
		p.first, p.last = min(p.first, at), max(p.last, at)
		if side != inside {
			continue
		}
		records := g.counts[i]
		part := w.parts.of([2]uint64{merchant<<32 | id(1, i), id(2, i)<<32 | id(3, i)})
		if part == len(w.partSums) {
			w.partSums = append(w.partSums, sum{first: at, last: at})
		}
		p = &w.partSums[part]
		p.events++
		p.records = plus(p.records, records)
		p.first, p.last = min(p.first, at), max(p.last, at)
		from, to := g.starts[i], g.starts[i+1]
		if records > int64(to-from) {
			p.atLeast = true
		}
		if h := at / hour; h != hourly || hours == nil {
			if hourly, hours = h, w.hours[h]; hours == nil {
				hours = &sum{}
				w.hours[h] = hours
			}
		}
		hours.events++
		hours.records = plus(hours.records, records)
		var lives []uint32
		if regions != nil {
			if lives = regions.of[regions.index[i]]; len(lives) > 1 && len(lives) != int(to-from) {
				lives = nil
			}
		}
		for k, token := range g.customers[from:to] {
			c := customer{merchant: uint32(merchant)}
			switch {
			case len(lives) == 1:
				c.region = lives[0]
			case len(lives) > 1:
				c.region = lives[k]
			}
			who := merchant<<32 | uint64(c.region)
			if w.seen[token] == who {
				continue
			}
			w.seen[token] = who
			c.hi, c.lo = g.tokens[token][0], g.tokens[token][1]
			if err := w.sender.add(c); err != nil {
				return err
			}
		}
	}
	return nil
}

// take adds what another worker has counted.
func (w *worker) take(o *worker) {
	merge := func(into *keys, sums *[]sum, from *keys, add []sum) {
		for i, key := range from.keys {
			at := into.of(key)
			if at == len(*sums) {
				*sums = append(*sums, sum{})
			}
			(*sums)[at].take(&add[i])
		}
	}
	merge(&w.parts, &w.partSums, &o.parts, o.partSums)
	merge(&w.pairs, &w.pairSums, &o.pairs, o.pairSums)
	for at, h := range o.hours {
		if mine := w.hours[at]; mine != nil {
			mine.take(h)
		} else {
			w.hours[at] = h
		}
	}
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
