package columns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"unsafe"
)

// customer is one customer of a merchant, and where an event says that it lives. Numbers are those of
// names; region is one more than its name's, and 0 when nothing is said.
type customer struct {
	hi, lo           uint64 // the pseudonym
	merchant, region uint32
}

const customerBytes = int64(unsafe.Sizeof(customer{}))

func (c *customer) hash() uint64 {
	h := (c.lo ^ uint64(c.merchant)*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	h ^= h>>32 ^ c.hi
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>29
}

// Customers are divided by their hash into parts, so that the distinct ones of a part are found in
// little memory that is near, and parts that outgrow the memory go to a file each.
const (
	partBits  = 8
	partCount = 1 << partBits
	chunkLen  = 512
)

// distinct counts distinct customers, exactly, in bounded memory.
type distinct struct {
	dir   string
	limit int // customers that a part keeps in memory
	parts [partCount]part
}

type part struct {
	mu     sync.Mutex
	chunks [][]customer
	held   int
	file   *os.File // what did not fit
	beside int64    // customers in it
}

func newDistinct(dir string, bytes int64) *distinct {
	return &distinct{dir: dir, limit: max(int(bytes/customerBytes/partCount), chunkLen)}
}

// sender collects what one goroutine finds, so that parts are locked once a chunk.
type sender struct {
	to     *distinct
	chunks [partCount][]customer
	set    set
}

func (s *sender) add(c customer) error {
	p := c.hash() >> (64 - partBits)
	chunk := s.chunks[p]
	if chunk == nil {
		chunk = make([]customer, 0, chunkLen)
	}
	chunk = append(chunk, c)
	if s.chunks[p] = chunk; len(chunk) < chunkLen {
		return nil
	}
	s.chunks[p] = nil
	return s.to.take(int(p), chunk, &s.set)
}

func (s *sender) flush() error {
	for p, chunk := range s.chunks {
		if len(chunk) > 0 {
			if err := s.to.take(p, chunk, &s.set); err != nil {
				return err
			}
			s.chunks[p] = nil
		}
	}
	return nil
}

// take adds a chunk to a part. A part that is full is freed of what it holds twice; when that is not
// much, it goes to its file.
func (d *distinct) take(at int, chunk []customer, with *set) error {
	p := &d.parts[at]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chunks = append(p.chunks, chunk)
	if p.held += len(chunk); p.held < d.limit {
		return nil
	}
	with.only(p.chunks, p.held)
	if p.held = len(with.list); p.held < d.limit*3/4 {
		p.chunks = fill(p.chunks[:0], with.list)
		return nil
	}
	if err := p.spill(d.dir, with.list); err != nil {
		return fmt.Errorf("columns: customers beside the memory: %w", err)
	}
	p.chunks, p.held = nil, 0
	return nil
}

// fill makes chunks of a list, in those that are there.
func fill(into [][]customer, list []customer) [][]customer {
	room := into[:cap(into)]
	for len(list) > 0 {
		var chunk []customer
		if n := len(into); n < len(room) && cap(room[n]) >= chunkLen {
			chunk = room[n][:0]
		} else {
			chunk = make([]customer, 0, chunkLen)
		}
		n := min(chunkLen, len(list))
		into, list = append(into, append(chunk, list[:n]...)), list[n:]
	}
	clear(room[len(into):])
	return into
}

// spill appends a list to the part's file, which has no name, so that it goes with this process.
func (p *part) spill(dir string, list []customer) error {
	if p.file == nil {
		f, err := os.CreateTemp(dir, "customers-")
		if err != nil {
			return err
		}
		p.file = f
		// Where an open file keeps its name, close takes it away, and after a kill the parent.
		_ = os.Remove(f.Name())
	}
	buffer := make([]byte, 0, int64(len(list))*customerBytes)
	for i := range list {
		c := &list[i]
		buffer = binary.LittleEndian.AppendUint64(buffer, c.hi)
		buffer = binary.LittleEndian.AppendUint64(buffer, c.lo)
		buffer = binary.LittleEndian.AppendUint32(buffer, c.merchant)
		buffer = binary.LittleEndian.AppendUint32(buffer, c.region)
	}
	p.beside += int64(len(list))
	_, err := p.file.Write(buffer)
	return err
}

// load returns what the part has in its file, as chunks.
func (p *part) load() ([][]customer, error) {
	if p.file == nil {
		return nil, nil
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	buffer := make([]byte, chunkLen*customerBytes)
	var out [][]customer
	for left := p.beside; left > 0; {
		n := min(left, chunkLen)
		b := buffer[:n*customerBytes]
		if _, err := io.ReadFull(p.file, b); err != nil {
			return nil, err
		}
		chunk := make([]customer, n)
		for i := range chunk {
			at := b[int64(i)*customerBytes:]
			chunk[i] = customer{binary.LittleEndian.Uint64(at), binary.LittleEndian.Uint64(at[8:]), binary.LittleEndian.Uint32(at[16:]), binary.LittleEndian.Uint32(at[20:])}
		}
		out, left = append(out, chunk), left-n
	}
	return out, nil
}

func (d *distinct) close() error {
	var err error
	for i := range d.parts {
		if f := d.parts[i].file; f != nil {
			err = errors.Join(err, f.Close())
			_ = os.Remove(f.Name()) // it has no name, where that is possible
		}
	}
	return err
}

// count says how many distinct customers each merchant has and live in each region, by their numbers, of
// which there are so many, and of how many a region is known.
func (d *distinct) count(of, in, threads int) (merchants, regions []int64, known int64, err error) {
	merchants, regions = make([]int64, of), make([]int64, in)
	var mu sync.Mutex
	var work sync.WaitGroup
	next := 0
	for range threads {
		work.Go(func() {
			has, lives, sum := make([]int64, of), make([]int64, in), int64(0)
			var s set
			var failed error
			for failed == nil {
				mu.Lock()
				at := next
				next++
				mu.Unlock()
				if at >= partCount {
					break
				}
				failed = d.parts[at].count(&s, has, lives, &sum)
			}
			mu.Lock()
			defer mu.Unlock()
			for i, n := range has {
				merchants[i] += n
			}
			for i, n := range lives {
				regions[i] += n
			}
			known += sum
			err = errors.Join(err, failed)
		})
	}
	work.Wait()
	if err != nil {
		return nil, nil, 0, fmt.Errorf("columns: customers beside the memory: %w", err)
	}
	return merchants, regions, known, nil
}

func (p *part) count(s *set, merchants, regions []int64, known *int64) error {
	chunks, err := p.load()
	if err != nil {
		return err
	}
	chunks = append(chunks, p.chunks...)
	p.chunks = nil
	s.only(chunks, p.held+int(p.beside))
	for i := range s.list {
		c := &s.list[i]
		if s.how[i]&another == 0 {
			merchants[c.merchant]++
		}
		if c.region > 0 {
			regions[c.region-1]++
			if s.how[i]&anotherKnown == 0 {
				*known++
			}
		}
	}
	return nil
}

// set finds the distinct ones of many customers. It is used again and again.
type set struct {
	list  []customer
	how   []byte   // of each: whether the same customer came before with another region
	slots []uint32 // one more than a place in list
}

const (
	another      = 1 << iota // the same customer of the same merchant stands before it
	anotherKnown             // and with a region
)

// only makes list the distinct ones of chunks, of which there are n at most.
func (s *set) only(chunks [][]customer, n int) {
	size := 1 << 10
	for size < 2*n {
		size *= 2
	}
	if size > len(s.slots) {
		s.slots = make([]uint32, size)
	} else {
		clear(s.slots[:size])
	}
	slots, mask := s.slots[:size], uint64(size-1)
	s.list, s.how = s.list[:0], s.how[:0]
	for _, chunk := range chunks {
	next:
		for i := range chunk {
			c := &chunk[i]
			how := byte(0)
			at := c.hash() & mask
			for ; slots[at] != 0; at = (at + 1) & mask {
				x := &s.list[slots[at]-1]
				if x.lo != c.lo || x.hi != c.hi || x.merchant != c.merchant {
					continue
				}
				if x.region == c.region {
					continue next
				}
				if how |= another; x.region > 0 {
					how |= anotherKnown
				}
			}
			s.list, s.how = append(s.list, *c), append(s.how, how)
			slots[at] = uint32(len(s.list))
		}
	}
}
