// Package spool is an append-only file of records in front of slower stores: an append returns
// when its record is durable, and whoever works through the records reads them in order, also
// after a restart.
//
// Records carry positions: a record holds count of them from first on, and the next record begins
// where it ended. Segments are files named after the first position they may hold. A process never
// appends to a file of an earlier one, and after a failed write or sync it never appends to that
// file again: what the disk holds of it is unknown. It goes on in a new segment that begins at the
// position that failed, and what an older segment holds from there on counts as never written.
//
// What a crash means: of a record that was being written, all of it is there or it is dropped,
// because its checksum tells. A record whose append had returned is there.
package spool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tocsin-ir/tocsin/internal/fsync"
)

// Errors of a spool.
var (
	ErrDamaged  = errors.New("spool: damaged")                   // a record that was durable is not there
	ErrReleased = errors.New("spool: the position was released") // it is older than what is kept
)

// File is what a segment is written through. Tests give one that fails.
type File interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Close() error
}

// Options tune a spool.
type Options struct {
	Segment int64                           // bytes at which a new segment is begun; default 64 MiB
	Create  func(path string) (File, error) // default: a new file, private to its owner
	SyncDir func(dir string) error          // default: fsync of the folder
}

const (
	magic     = "tocsin-spool/2\n\x00"
	frameHead = 4 + 4 + 8 + 4 // length, checksum, first, count
	maxRecord = 64 << 20
	indexStep = 64 << 10
	suffix    = ".spool"
)

var table = crc32.MakeTable(crc32.Castagnoli)

// Spool is safe for use by several goroutines; one appends at a time.
type Spool struct {
	dir string
	o   Options

	write sync.Mutex // held by Append
	file  File       // of the newest segment; nil: the next append begins one
	buf   []byte

	mu       sync.Mutex
	segments []*segment // oldest first
	next     uint64     // position of the next record
	closed   bool
}

// segment is one file. Its fields are guarded by the spool's mu.
type segment struct {
	path  string
	first uint64
	next  uint64 // position after its last durable record
	size  int64  // bytes up to there
	index []mark
}

// mark says where a record begins, so that reading need not begin at the front.
type mark struct {
	first  uint64
	offset int64
}

// Open reads what a folder holds and makes it when there is none. Positions go on after the last
// record, or after floor when that is greater: floor is what others know to have existed.
func Open(dir string, floor uint64, o Options) (*Spool, error) {
	if o.Segment <= 0 {
		o.Segment = 64 << 20
	}
	if o.Create == nil {
		o.Create = func(path string) (File, error) {
			return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		}
	}
	if o.SyncDir == nil {
		o.SyncDir = fsync.Dir
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &Spool{dir: dir, o: o, next: floor + 1}
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	slices.Sort(names)
	for _, path := range names {
		g, err := scan(path)
		if err != nil {
			return nil, err
		}
		s.segments = append(s.segments, g)
	}
	if err := s.join(floor); err != nil {
		return nil, err
	}
	return s, nil
}

// join lets each segment end where the next begins, and finds where the last one ends.
func (s *Spool) join(floor uint64) error {
	for i, g := range s.segments {
		if i+1 < len(s.segments) {
			if after := s.segments[i+1]; g.next > after.first {
				g.cut(after.first)
			}
			if after := s.segments[i+1]; g.next < after.first && after.first > floor+1 {
				return fmt.Errorf("%w: %s ends before position %d, where %s begins", ErrDamaged, filepath.Base(g.path), after.first, filepath.Base(after.path))
			}
		}
		s.next = max(s.next, g.next)
	}
	return nil
}

// cut forgets what a segment holds from a position on.
func (g *segment) cut(at uint64) {
	g.next = at
	for len(g.index) > 0 && g.index[len(g.index)-1].first >= at {
		g.index = g.index[:len(g.index)-1]
	}
}

// name of the n-th file that begins at a position: after a failure two may begin at the same.
func (s *Spool) name(first uint64) string {
	for n := 0; ; n++ {
		path := filepath.Join(s.dir, fmt.Sprintf("%020d-%04d%s", first, n, suffix))
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
}

// scan reads the records of a file up to its end or the first one that is not whole.
func scan(path string) (*segment, error) {
	number, _, _ := strings.Cut(filepath.Base(path), "-")
	first, err := strconv.ParseUint(number, 10, 64)
	if err != nil || first == 0 {
		return nil, fmt.Errorf("%w: %s is no file of a spool", ErrDamaged, filepath.Base(path))
	}
	g := &segment{path: path, first: first, next: first}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	defer f.Close()
	err = frames(bufio.NewReaderSize(f, 1<<20), 0, func(r Record, offset, end int64) error {
		if r.First != g.next {
			return errStop
		}
		g.note(r.First, offset)
		g.next, g.size = r.First+uint64(r.Count), end
		return nil
	})
	if err != nil && !errors.Is(err, errStop) && !errors.Is(err, errTorn) {
		return nil, fmt.Errorf("spool: read %s: %w", filepath.Base(path), err)
	}
	return g, nil
}

func (g *segment) note(first uint64, offset int64) {
	if n := len(g.index); n == 0 || offset-g.index[n-1].offset >= indexStep {
		g.index = append(g.index, mark{first, offset})
	}
}

// Record is what one append carried.
type Record struct {
	First uint64
	Count int
	Body  []byte
}

var (
	errStop = errors.New("stop")
	errTorn = errors.New("torn")
)

// frames calls fn with each whole record; offset and end are its place in the file. It begins at
// the file's front, or at a record when at is greater than zero.
func frames(r io.Reader, at int64, fn func(rec Record, offset, end int64) error) error {
	if at == 0 {
		head := make([]byte, len(magic))
		if _, err := io.ReadFull(r, head); err != nil || string(head) != magic {
			return errTorn
		}
		at = int64(len(magic))
	}
	var body []byte
	head := make([]byte, frameHead)
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return torn(err)
		}
		length := binary.LittleEndian.Uint32(head)
		if length > maxRecord {
			return errTorn
		}
		if cap(body) < int(length) {
			body = make([]byte, length)
		}
		body = body[:length]
		if _, err := io.ReadFull(r, body); err != nil {
			return torn(err)
		}
		sum := crc32.Update(crc32.Checksum(head[8:], table), table, body)
		if sum != binary.LittleEndian.Uint32(head[4:]) {
			return errTorn
		}
		rec := Record{First: binary.LittleEndian.Uint64(head[8:]), Count: int(binary.LittleEndian.Uint32(head[16:])), Body: body}
		end := at + frameHead + int64(length)
		if err := fn(rec, at, end); err != nil {
			return err
		}
		at = end
	}
}

func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}

// Append makes records durable, all of them or, when it returns an error, none: a crash after an
// error may bring them back, as any write that was not answered. Their First must follow on from
// Next; Count is at least 1.
func (s *Spool) Append(records []Record) error {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	at, closed := s.next, s.closed
	s.mu.Unlock()
	if closed {
		return errors.New("spool: closed")
	}
	b := s.buf[:0]
	for _, r := range records {
		if r.First != at || r.Count < 1 || len(r.Body) > maxRecord {
			return fmt.Errorf("spool: a record of %d positions and %d bytes from %d on was given where %d was expected", r.Count, len(r.Body), r.First, at)
		}
		at += uint64(r.Count)
		var head [frameHead]byte
		binary.LittleEndian.PutUint32(head[:], uint32(len(r.Body)))
		binary.LittleEndian.PutUint64(head[8:], r.First)
		binary.LittleEndian.PutUint32(head[16:], uint32(r.Count))
		binary.LittleEndian.PutUint32(head[4:], crc32.Update(crc32.Checksum(head[8:], table), table, r.Body))
		b = append(append(b, head[:]...), r.Body...)
	}
	if s.buf = b; cap(s.buf) > 4<<20 {
		s.buf = nil
	}
	g, err := s.current()
	if err != nil {
		return err
	}
	// A crash in the write or before the sync: part of it is there, or nothing; it was not answered.
	if _, err = s.file.Write(b); err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.abandon(g)
		return fmt.Errorf("spool: write %s: %w", filepath.Base(g.path), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	offset := g.size
	for _, r := range records {
		g.note(r.First, offset)
		offset += frameHead + int64(len(r.Body))
	}
	g.size, g.next, s.next = offset, at, at
	return nil
}

// abandon ends a segment that did not take a write. That the tail is cut off is a courtesy to the
// sender, who will send it again; that nothing follows it is what counts.
func (s *Spool) abandon(g *segment) {
	_ = s.file.Truncate(g.size)
	_ = s.file.Sync()
	_ = s.file.Close()
	s.file = nil
}

// current is the segment that is written to; it begins one when there is none or it is full.
func (s *Spool) current() (*segment, error) {
	s.mu.Lock()
	next := s.next
	var g *segment
	if s.file != nil {
		g = s.segments[len(s.segments)-1]
	}
	s.mu.Unlock()
	if g != nil && g.size < s.o.Segment {
		return g, nil
	}
	if g != nil {
		// It is complete and synced; an error of closing it changes nothing.
		_ = s.file.Close()
		s.file = nil
	}
	g = &segment{path: s.name(next), first: next, next: next, size: int64(len(magic))}
	f, err := s.o.Create(g.path)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	// A crash before the folder is synced: the file may be gone, and nothing in it was answered.
	if _, err = f.Write([]byte(magic)); err == nil {
		if err = f.Sync(); err == nil {
			err = s.o.SyncDir(s.dir)
		}
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(g.path)
		return nil, fmt.Errorf("spool: begin %s: %w", filepath.Base(g.path), err)
	}
	s.file = f
	s.mu.Lock()
	defer s.mu.Unlock()
	// What an older segment holds from here on was never answered.
	for _, old := range s.segments {
		if old.next > next {
			old.cut(next)
		}
	}
	s.segments = append(s.segments, g)
	return g, nil
}

// Next is the position of the next record.
func (s *Spool) Next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// First is the oldest position that can be read; Next when there is none.
func (s *Spool) First() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments {
		if g.next > g.first {
			return g.first
		}
	}
	return s.next
}

// Size is the number of bytes that are kept.
func (s *Spool) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	for _, g := range s.segments {
		n += g.size
	}
	return n
}

// Read calls fn with every durable record that holds a position after the given one, in order. A
// record's body is fn's only until it returns. It ends without error at the last durable record.
func (s *Spool) Read(after uint64, fn func(Record) error) error {
	for {
		g, at, next, err := s.find(after + 1)
		if err != nil || g == "" {
			return err
		}
		before := after
		err = readFrom(g, at, func(r Record) error {
			if r.First >= next {
				return errStop
			}
			if last := r.First + uint64(r.Count) - 1; last > after {
				if err := fn(r); err != nil {
					return err
				}
				after = last
			}
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) {
			return ErrReleased
		}
		if err != nil && !errors.Is(err, errStop) && !errors.Is(err, errTorn) {
			return err
		}
		if after == before {
			return fmt.Errorf("%w: position %d is not in %s", ErrDamaged, after+1, filepath.Base(g))
		}
	}
}

// find says which file holds a position, where to begin in it and where its records end. No file:
// the position is not durable yet.
func (s *Spool) find(position uint64) (path string, offset int64, next uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if position >= s.next {
		return "", 0, 0, nil
	}
	for _, g := range s.segments {
		if position >= g.first && position < g.next {
			for _, m := range g.index {
				if m.first <= position {
					offset = m.offset
				}
			}
			return g.path, offset, g.next, nil
		}
	}
	return "", 0, 0, ErrReleased
}

// readers are buffers for reading, which is done often and mostly of little.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 256<<10) }}

func readFrom(path string, at int64, fn func(Record) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if at > 0 {
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return err
		}
	}
	br := readers.Get().(*bufio.Reader)
	br.Reset(f)
	defer func() {
		br.Reset(nil)
		readers.Put(br)
	}()
	return frames(br, at, func(r Record, _, _ int64) error { return fn(r) })
}

// Release removes the segments that hold nothing after a position. A crash on the way leaves some
// of them; the next call removes them.
func (s *Spool) Release(upTo uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keep []*segment
	var errs []error
	for i, g := range s.segments {
		newest := i == len(s.segments)-1
		if g.next-1 > upTo || newest {
			keep = append(keep, g)
			continue
		}
		if err := os.Remove(g.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			keep = append(keep, g)
		}
	}
	s.segments = keep
	return errors.Join(errs...)
}

// Turn removes every file, the newest too, when all of them are past a position; the next append begins
// one. It does nothing while something is not. A crash leaves some of the files, which are past it still.
func (s *Spool) Turn(upTo uint64) error {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.next-1 > upTo {
		return nil
	}
	if s.file != nil {
		_ = s.file.Close() // it is complete and synced
		s.file = nil
	}
	for len(s.segments) > 0 {
		if err := os.Remove(s.segments[0].path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("spool: %w", err)
		}
		s.segments = s.segments[1:]
	}
	return s.o.SyncDir(s.dir)
}

// Close ends appending. What was appended is durable already.
func (s *Spool) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
