// Package columns counts a scope from Parquet files by itself: it reads the columns that a question is
// about, group of rows by group of rows, and works with the numbers that their dictionaries give to
// values instead of the values. It keeps nothing beside the files, so that there is nothing to take an
// erased customer out of, and nothing that could say something else than they do.
//
// It counts what a question without a narrow choice of rows asks of everything. What it cannot count
// within its memory it says, and a general engine does.
package columns

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"

	"github.com/tocsin-ir/tocsin/scope/ask"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// Options say what counting may take.
type Options struct {
	Dir     string // the only folder that is read
	Spill   string // where customers are put beside the memory
	Memory  int64  // bytes for what is counted; what a group of rows takes while it is read comes on top
	Threads int    // default: as many as there are processors
	Tell    func(ask.Progress)
}

// ErrMemory says that sums alone, of merchants, stores, addresses and agents, would take more than the
// memory there is.
var ErrMemory = errors.New("columns: the sums take more memory than there is")

// Shares of the memory: for customers, and for sums and texts.
const (
	customerShare = 2 // one part in so many
	sumShare      = 4
)

// Count answers a question that ask.Question.Check accepts.
func Count(q *ask.Question, o Options) (_ *ask.Answer, err error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	if o.Threads <= 0 {
		o.Threads = runtime.NumCPU()
	}
	if o.Tell == nil {
		o.Tell = func(ask.Progress) {}
	}
	filter, err := newFilter(q)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("columns: %w", err)
	}
	defer root.Close()
	s := &scan{q: q, o: o, filter: filter, root: root, merchants: newNames(), names: newNames(), distinct: newDistinct(o.Spill, o.Memory/customerShare)}
	defer func() {
		for _, x := range s.files {
			if x.left > 0 || len(x.of.RowGroups()) == 0 {
				_ = x.file.Close() // it was read only
			}
		}
		err = errors.Join(err, s.distinct.close())
	}()
	workers := make([]*worker, o.Threads)
	var work sync.WaitGroup
	for i := range workers {
		w := newWorker(s)
		workers[i] = w
		work.Go(func() { s.fail(guarded(w.run)) })
	}
	work.Wait()
	if s.failed != nil {
		return nil, s.failed
	}
	return s.answer(workers)
}

// guarded turns the panic of a library over bytes that are not what they should be into an error.
func guarded(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("columns: a file is not what it should be: %v", r)
		}
	}()
	return fn()
}

// scan is one question on its way.
type scan struct {
	q                *ask.Question
	o                Options
	filter           *filter
	root             *os.Root
	merchants, names *names // numbers of merchants are small, because sums stand by them
	distinct         *distinct

	mu     sync.Mutex
	failed error
	begun  int       // files
	files  []*source // that were opened
	open   *source
	group  int // of open, the next
	sums   int64
}

// source is an open file, closed when the last of its groups was read, or at the end.
type source struct {
	name string
	file *os.File
	of   *parquet.File
	left int
}

func (s *scan) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// next returns a group of rows that nobody has read yet; nil when there is none, or no need.
func (s *scan) next() (*source, parquet.RowGroup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.failed == nil {
		if s.open != nil && s.group < len(s.open.of.RowGroups()) {
			s.group++
			return s.open, s.open.of.RowGroups()[s.group-1], nil
		}
		if s.open = nil; s.begun == len(s.q.Files) {
			return nil, nil, nil
		}
		s.o.Tell(ask.Progress{What: "reads the columns", Done: int64(s.begun), Of: int64(len(s.q.Files)) + 1, Unit: "steps"})
		name := s.q.Files[s.begun]
		s.begun++
		open, err := s.openFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("columns: %s: %w", filepath.Base(name), err)
		}
		s.open, s.group = open, 0
	}
	return nil, nil, nil
}

// openFile opens a file below the folder, and none elsewhere, wherever links lead.
func (s *scan) openFile(name string) (*source, error) {
	below, err := filepath.Rel(s.o.Dir, name)
	if err != nil {
		return nil, err
	}
	f, err := s.root.Open(below)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	of, err := parquet.OpenFile(f, info.Size(), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(readAhead))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	x := &source{name: filepath.Base(name), file: f, of: of, left: len(of.RowGroups())}
	s.files = append(s.files, x)
	return x, nil
}

const readAhead = 1 << 18

func (s *scan) done(x *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.left--; x.left == 0 {
		_ = x.file.Close() // it was read only
	}
}

// room says whether so many more bytes of sums fit.
func (s *scan) room(bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sums += bytes; s.sums > s.o.Memory/sumShare {
		return ErrMemory
	}
	return nil
}

// names gives every text that is grouped by one number, whatever dictionaries say of it.
type names struct {
	mu    sync.RWMutex
	of    map[string]uint32
	texts []string
	bytes int64
}

func newNames() *names { return &names{of: map[string]uint32{}} }

// add appends the numbers of texts to a list, and says by how many bytes there are more names now.
func (n *names) add(list []uint32, texts []string) ([]uint32, int64) {
	var missing []int
	n.mu.RLock()
	for i, text := range texts {
		id, ok := n.of[text]
		if !ok {
			missing = append(missing, len(list))
			id = uint32(i)
		}
		list = append(list, id)
	}
	n.mu.RUnlock()
	if len(missing) == 0 {
		return list, 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.bytes
	for _, at := range missing {
		text := texts[list[at]]
		id, ok := n.of[text]
		if !ok {
			id = uint32(len(n.texts))
			text = string([]byte(text)) // a part of a dictionary would keep all of it
			n.of[text], n.texts = id, append(n.texts, text)
			n.bytes += int64(len(text)) + nameBytes
		}
		list[at] = id
	}
	return list, n.bytes - before
}

func (n *names) text(id uint32) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.texts[id]
}

const nameBytes = 64 // of a text beside its own

// answer puts together what the workers have counted.
func (s *scan) answer(workers []*worker) (*ask.Answer, error) {
	s.o.Tell(ask.Progress{What: "distinct customers", Done: int64(len(s.q.Files)), Of: int64(len(s.q.Files)) + 1, Unit: "steps"})
	a := &ask.Answer{Parts: []ask.Part{}, Customers: map[string]int64{}, Regions: map[string]int64{}, Hours: []ask.Hour{}, In: []ask.Pair{}, Out: []ask.Pair{}}
	first := workers[0]
	for _, w := range workers[1:] {
		first.take(w)
	}
	var err error
	if a.Parts, err = s.parts(first); err != nil {
		return nil, err
	}
	for at, h := range first.hours {
		a.Hours = append(a.Hours, ask.Hour{At: at, Events: h.events, Records: h.records})
	}
	slices.SortFunc(a.Hours, func(a, b ask.Hour) int { return cmp.Compare(a.At, b.At) })
	a.In, a.Out = s.pairs(first)
	merchants, regions, known, err := s.distinct.count(len(s.merchants.texts), len(s.names.texts), s.o.Threads)
	if err != nil {
		return nil, err
	}
	for id, n := range merchants {
		if n > 0 {
			a.Customers[s.merchants.texts[id]] = n
		}
	}
	for id, n := range regions {
		if n > 0 {
			a.Regions[s.names.texts[id]] = n
		}
	}
	a.Known = known
	return a, nil
}

// parts are the sums of merchants: one part with all events of one that were logged live, and its stores,
// lists of types and files spread over that and as many more as are needed, which add no events but those of
// a file.
func (s *scan) parts(w *worker) ([]ask.Part, error) {
	of := make([][]ask.Part, len(w.sums))
	for i := range w.sums {
		if x := &w.sums[i]; x.events > 0 {
			of[i] = []ask.Part{{Merchant: s.merchants.texts[i], Types: []string{}, Events: x.events, Records: x.records, AtLeast: x.atLeast, First: x.first, Last: x.last}}
		}
	}
	at := func(merchant uint64, n int) *ask.Part {
		for list := of[merchant]; n >= len(list); list = of[merchant] {
			of[merchant] = append(list, ask.Part{Merchant: list[0].Merchant, Types: []string{}, First: list[0].First, Last: list[0].First})
		}
		return &of[merchant][n]
	}
	place := func(list keys, put func(p *ask.Part, i int) error) error {
		used := make([]int, len(of))
		for i, key := range list.keys {
			if err := put(at(key[0], used[key[0]]), i); err != nil {
				return err
			}
			used[key[0]]++
		}
		return nil
	}
	types := map[uint64][]string{}
	err := errors.Join(place(w.stores, func(p *ask.Part, i int) error {
		p.Store = s.names.texts[w.stores.keys[i][1]]
		return nil
	}), place(w.types, func(p *ask.Part, i int) error {
		id := w.types.keys[i][1]
		list, ok := types[id]
		if !ok {
			if err := json.Unmarshal([]byte(s.names.texts[id]), &list); err != nil {
				return fmt.Errorf("columns: a list of data types: %w", err)
			}
			types[id] = list
		}
		p.Types = list
		return nil
	}))
	used := make([]int, len(of))
	for i, key := range w.files.keys {
		if file := s.names.texts[key[1]]; file != "" {
			used[key[0]]++
			p := at(key[0], used[key[0]])
			p.Supplied, p.Events = file, w.supplied[i]
			of[key[0]][0].Events -= w.supplied[i]
		}
	}
	return slices.Concat(of...), err
}

// pairs lists the busiest addresses and agents on either side.
func (s *scan) pairs(w *worker) (in, out []ask.Pair) {
	merchants := make([]int64, len(w.pairSums))
	for _, v := range w.visits.slots {
		if v > 0 {
			merchants[(v-1)>>32]++
		}
	}
	in, out = []ask.Pair{}, []ask.Pair{}
	for i, key := range w.pairs.keys {
		p := &w.pairSums[i]
		x := ask.Pair{IP: s.names.texts[key[0]>>32], Agent: s.names.texts[uint32(key[0])], Events: p.events, Merchants: merchants[i], First: p.first, Last: p.last}
		if key[1] == inside {
			in = append(in, x)
		} else {
			out = append(out, x)
		}
	}
	busiest := func(list []ask.Pair) []ask.Pair {
		slices.SortFunc(list, func(a, b ask.Pair) int {
			return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.IP, b.IP), cmp.Compare(a.Agent, b.Agent))
		})
		return list[:min(len(list), s.q.Pairs)]
	}
	return busiest(in), busiest(out)
}

// ended says whether reading has come to the end of the pages.
func ended(err error) bool { return errors.Is(err, io.EOF) }

// plus adds counts as scopes do, which stop at the greatest that JSON keeps.
func plus(a, b int64) int64 {
	if b > tally.MaxCount-a {
		return tally.MaxCount
	}
	return a + b
}
