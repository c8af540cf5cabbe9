package columns

import (
	"fmt"
	"math"
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

// worker reads groups of rows and adds up what is in them. Merchants, and pairs of an address and an
// agent, have a sum each; which stores, lists of types and merchants go with them are sets beside it. To
// group by all of these at once would have a sum for almost every row, each far from the last.
type worker struct {
	s      *scan
	g      group
	sender sender

	sums     []sum // by merchant
	stores   keys  // of merchants
	types    keys  // lists, of merchants
	files    keys  // supplied later, of merchants
	supplied []int64
	pairs    keys // address and agent, and side
	pairSums []sum
	visits   marks // pairs and merchants
	hours    map[int64]*sum

	side []byte      // of each row of the group
	rows []int32     // those that count
	in   []int32     // and are inside
	own  []int32     // room of in when that are others than rows
	hits []int32     // tokens of the group that were not seen yet, and then whose
	lot  []uint64    // visits that are not in the set yet
	day  []sum       // hours of the group
	ids  [6][]uint32 // of the values of its columns, in merchants and in names
	seen []uint64    // of each token of the group, who had it last
	memo memo
}

// memo is what the rows of a group say again and again.
type memo struct {
	store []uint32   // of each store, whose it was last
	types []uint64   // of each merchant of the group, which lists it had, when there are few
	pairs [][2]int32 // of each address and side: its last agent, and the number of the pair
	visit [1 << 12]uint64
}

// The sides of a row.
const (
	nowhere = iota // it does not count
	outside        // the wide question has it, and the question not
	inside
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
		names := w.s.names
		if i == 0 {
			names = w.s.merchants
		}
		w.ids[i], bytes = names.add(w.ids[i][:0], t.values)
		index[i], more = t.index, more+bytes
	}
	if g.counts, err = g.numbers("records", g.counts); err != nil {
		return err
	}
	regions, err := w.regions(&more)
	if err != nil {
		return err
	}
	before := w.held()
	if err := w.add(index, regions); err != nil {
		return err
	}
	return w.s.room(more + w.held() - before)
}

// held is about how many bytes the sums have.
func (w *worker) held() int64 {
	sums, sets := len(w.sums)+len(w.pairSums), len(w.stores.keys)+len(w.types.keys)+len(w.files.keys)+len(w.pairs.keys)
	return int64(sums)*2*48 + int64(sets)*2*24 + int64(len(w.visits.slots))*8
}

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
	// What an outcome showed without customers, and with some.
	showed := make([][2]byte, len(outcome.values))
	for i, v := range outcome.values {
		switch v {
		case "denied":
		case "error":
			showed[i][1] = inside
		default:
			showed[i] = [2]byte{inside, inside}
		}
	}
	if err := g.readTimes(); err != nil {
		return false, err
	}
	if err := g.readCustomers(); err != nil {
		return false, err
	}
	// The next loops are many and short on purpose: whether a row counts is hard to guess for a processor, and
	// these have nothing to guess.
	w.side = filled(w.side, n, nowhere)
	for i, o := range outcome.index {
		w.side[i] = showed[o][one(g.starts[i] != g.starts[i+1])]
	}
	only := func(holds func(row int) bool) {
		for i := range w.side {
			if w.side[i] != nowhere && !holds(i) {
				w.side[i] = nowhere
			}
		}
	}
	if len(kind.values) > 1 {
		only(func(row int) bool { return kind.index[row] == asked })
	}
	if !ok || least*1000 < f.from || most*1000+999 >= f.to {
		only(func(row int) bool { return g.times[row] >= f.from && g.times[row] < f.to })
	}
	if !known || newest > w.s.q.UpTo {
		if g.seqs, err = g.numbers("seq", g.seqs); err != nil {
			return false, err
		}
		only(func(row int) bool { return g.seqs[row] <= w.s.q.UpTo })
	}
	if len(f.wide) > 0 {
		only(wide.match)
	}
	w.rows = chosen(w.rows, w.side, outside)
	w.in = w.rows
	if len(f.any) > 0 || len(f.not) > 0 {
		for _, i := range w.rows {
			if len(f.any) > 0 && !narrow.match(int(i)) || not.match(int(i)) {
				w.side[i] = outside
			}
		}
		w.in = chosen(w.own, w.side, inside)
		w.own = w.in
	}
	return len(w.rows) > 0, nil
}

// chosen are the rows on a side or one further in.
func chosen(into []int32, side []byte, least byte) []int32 {
	if cap(into) < len(side)+1 {
		into = make([]int32, len(side)+1)
	}
	into = into[:len(side)+1]
	n := 0
	for i, s := range side {
		into[n] = int32(i)
		n += one(s >= least)
	}
	return into[:n]
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
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

// add adds up the rows that count.
func (w *worker) add(index [6][]int32, regions *places) error {
	w.begin()
	w.addPairs(index[0], index[4], index[5])
	w.addMerchants(index[0], index[1], index[2], index[3])
	w.addHours()
	return w.addCustomers(index[0], regions)
}

// addPairs adds up what addresses and agents did, on either side.
func (w *worker) addPairs(merchants, ips, agents []int32) {
	times := w.g.times
	for _, i := range w.rows {
		at := times[i]
		pair := w.pair(ips[i], agents[i], w.side[i])
		p := &w.pairSums[pair]
		if p.events == 0 {
			p.first, p.last = at, at
		}
		p.events++
		p.first, p.last = min(p.first, at), max(p.last, at)
		visit := (uint64(pair)<<32 | uint64(w.ids[0][merchants[i]])) + 1
		if v := &w.memo.visit[visit*0x9e3779b97f4a7c15>>52]; *v != visit {
			*v = visit
			w.lot = append(w.lot, visit)
		}
	}
	for _, visit := range w.lot { // at once: the next is looked for while the memory is waited for
		w.visits.add(visit)
	}
	w.lot = w.lot[:0]
}

// addMerchants adds up what happened at each merchant.
func (w *worker) addMerchants(merchants, stores, types, files []int32) {
	g := &w.g
	few := len(w.ids[2]) <= 64
	live := len(w.ids[3]) == 1 && w.s.names.text(w.ids[3][0]) == ""
	for _, i := range w.in {
		at, merchant, records := g.times[i], w.ids[0][merchants[i]], g.counts[i]
		p := &w.sums[merchant]
		if p.events == 0 {
			p.first, p.last = at, at
		}
		p.events++
		p.records = plus(p.records, records)
		p.first, p.last = min(p.first, at), max(p.last, at)
		if records > int64(g.starts[i+1]-g.starts[i]) {
			p.atLeast = true
		}
		if of := &w.memo.store[stores[i]]; *of != merchant {
			*of = merchant
			w.stores.of([2]uint64{uint64(merchant), uint64(w.ids[1][stores[i]])})
		}
		if of, bit := &w.memo.types[merchants[i]], uint64(1)<<(types[i]&63); !few || *of&bit == 0 {
			*of |= bit
			w.types.of([2]uint64{uint64(merchant), uint64(w.ids[2][types[i]])})
		}
		if !live {
			n := w.files.of([2]uint64{uint64(merchant), uint64(w.ids[3][files[i]])})
			if n == len(w.supplied) {
				w.supplied = append(w.supplied, 0)
			}
			w.supplied[n]++
		}
	}
}

const (
	hour  = 3600_000_000_000
	spans = 10_000 // hours that a group may go over and have a place each
)

// addHours adds up what happened in each hour.
func (w *worker) addHours() {
	g := &w.g
	if len(w.in) == 0 {
		return
	}
	least, most := g.times[w.in[0]], g.times[w.in[0]]
	for _, i := range w.in {
		least, most = min(least, g.times[i]), max(most, g.times[i])
	}
	first, last := least/hour, most/hour
	into := func(at int64, s *sum) {
		if w.hours[at] == nil {
			w.hours[at] = &sum{}
		}
		w.hours[at].events += s.events
		w.hours[at].records = plus(w.hours[at].records, s.records)
	}
	if last-first > spans {
		for _, i := range w.in {
			into(g.times[i]/hour, &sum{events: 1, records: g.counts[i]})
		}
		return
	}
	w.day = filled(w.day, int(last-first)+1, sum{})
	for _, i := range w.in {
		h := &w.day[g.times[i]/hour-first]
		h.events++
		h.records = plus(h.records, g.counts[i])
	}
	for i := range w.day {
		if w.day[i].events > 0 {
			into(first+int64(i), &w.day[i])
		}
	}
}

// addCustomers passes on the customers of the rows inside, each once for a group, its merchant and where it lives.
func (w *worker) addCustomers(merchants []int32, regions *places) error {
	g := &w.g
	if regions != nil {
		return w.addResidents(merchants, regions)
	}
	w.hits = filledUp(w.hits, 2*len(g.customers)+2)
	n := 0
	for _, i := range w.in {
		merchant := w.ids[0][merchants[i]]
		for _, token := range g.customers[g.starts[i]:g.starts[i+1]] {
			w.hits[n], w.hits[n+1] = token, int32(merchant)
			who := uint64(merchant) << 32
			n += 2 * one(w.seen[token] != who)
			w.seen[token] = who
		}
	}
	for k := 0; k < n; k += 2 {
		t := &g.tokens[w.hits[k]]
		if err := w.sender.add(customer{hi: t[0], lo: t[1], merchant: uint32(w.hits[k+1])}); err != nil {
			return err
		}
	}
	return nil
}

// addResidents is the same where rows say where somebody lives.
func (w *worker) addResidents(merchants []int32, regions *places) error {
	g := &w.g
	for _, i := range w.in {
		list := g.customers[g.starts[i]:g.starts[i+1]]
		lives := regions.of[regions.index[i]]
		if len(lives) > 1 && len(lives) != len(list) {
			lives = nil
		}
		for k, token := range list {
			c := customer{merchant: w.ids[0][merchants[i]]}
			switch {
			case len(lives) == 1:
				c.region = lives[0]
			case len(lives) > 1:
				c.region = lives[k]
			}
			who := uint64(c.merchant)<<32 | uint64(c.region)
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

const never = math.MaxUint32

// begin makes room for a group, and forgets what was said of the numbers of the last one.
func (w *worker) begin() {
	w.seen = filled(w.seen, len(w.g.tokens), ^uint64(0))
	w.memo.store = filled(w.memo.store, len(w.ids[1]), never)
	w.memo.types = filled(w.memo.types, len(w.ids[0]), 0)
	w.memo.pairs = filled(w.memo.pairs, 2*len(w.ids[4]), [2]int32{-1, 0})
	for _, id := range w.ids[0] {
		if n := int(id) + 1 - len(w.sums); n > 0 {
			w.sums = append(w.sums, make([]sum, n)...)
		}
	}
}

func filled[T any](list []T, n int, with T) []T {
	if cap(list) < n {
		list = make([]T, n)
	}
	list = list[:n]
	for i := range list {
		list[i] = with
	}
	return list
}

// filledUp is a list of so many, with whatever is in it.
func filledUp[T any](list []T, n int) []T {
	if cap(list) < n {
		return make([]T, n)
	}
	return list[:n]
}

// pair is the number of an address with an agent on a side.
func (w *worker) pair(ip, agent int32, side byte) int32 {
	m := &w.memo.pairs[2*int(ip)+int(side-outside)]
	if m[0] == agent {
		return m[1]
	}
	n := w.pairs.of([2]uint64{uint64(w.ids[4][ip])<<32 | uint64(w.ids[5][agent]), uint64(side)})
	if n == len(w.pairSums) {
		w.pairSums = append(w.pairSums, sum{})
	}
	*m = [2]int32{agent, int32(n)}
	return m[1]
}

// take adds what another worker has counted.
func (w *worker) take(o *worker) {
	if n := len(o.sums) - len(w.sums); n > 0 {
		w.sums = append(w.sums, make([]sum, n)...)
	}
	for i := range o.sums {
		if o.sums[i].events > 0 {
			w.sums[i].take(&o.sums[i])
		}
	}
	for _, key := range o.stores.keys {
		w.stores.of(key)
	}
	for _, key := range o.types.keys {
		w.types.of(key)
	}
	for i, key := range o.files.keys {
		n := w.files.of(key)
		if n == len(w.supplied) {
			w.supplied = append(w.supplied, 0)
		}
		w.supplied[n] += o.supplied[i]
	}
	mine := make([]uint64, len(o.pairs.keys))
	for i, key := range o.pairs.keys {
		n := w.pairs.of(key)
		if n == len(w.pairSums) {
			w.pairSums = append(w.pairSums, sum{})
		}
		w.pairSums[n].take(&o.pairSums[i])
		mine[i] = uint64(n)
	}
	for _, v := range o.visits.slots {
		if v > 0 {
			w.visits.add((mine[(v-1)>>32]<<32 | (v-1)&never) + 1)
		}
	}
	for at, h := range o.hours {
		if mine := w.hours[at]; mine != nil {
			mine.take(h)
		} else {
			w.hours[at] = h
		}
	}
}
