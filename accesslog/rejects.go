package accesslog

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/format"
)

// Entries that were refused are kept for a week, sealed under a key of their day, so that a sender
// who lost them can be helped. They are a courtesy and not evidence: they are written without an
// fsync and only up to a size, beyond which they are counted.
const (
	keepRejects   = 7 * 24 * time.Hour
	rejectFolder  = "rejects"
	rejectsOfDay  = 64 << 20 // bytes of a day's file, when Options names no other
	rejectsOfOne  = 256 << 10
	rejectPurpose = "reject"
	maxRecord     = 128 << 20 // bytes of a record; what is longer is none

	unkeptEvery  = time.Minute // after which counts are written
	unkeptCauses = 256         // that are counted by themselves
)

// Rejected is what was refused of one batch.
type Rejected struct {
	Source   string          `json:"source"`
	Batch    string          `json:"batch,omitempty"`
	Received time.Time       `json:"received"`
	Entries  []RejectedEntry `json:"entries"`
	Unkept   []Unkept        `json:"unkept,omitempty"` // there are no Entries then
}

// Unkept counts entries that were refused for one reason after so much of their day was kept that
// they were not.
type Unkept struct {
	Field   string `json:"field"`
	Reason  string `json:"reason"`
	Entries int    `json:"entries"`
}

// cause is why entries of a source are refused.
type cause struct{ source, field, reason string }

// RejectedEntry is one entry as it was sent, which may hold anything.
type RejectedEntry struct {
	Reject
	Raw []byte `json:"raw,omitempty"` // left out when there were too many
}

type rejectFile struct {
	mu   sync.Mutex
	day  string
	file *os.File
	size int64

	unkept  map[cause]int // not written yet: a crash loses the counts of a minute
	counted time.Time     // when unkept was written last
	newest  time.Time     // when the newest of unkept came
}

// keepRejected seals what was refused of a batch. It returns no error: the receipt says what is
// wrong, and a batch is not refused because this could not be kept.
func (s *Store) keepRejected(b *batch, cut *format.Batch, refused []Reject) {
	r := Rejected{Source: b.source, Batch: b.key, Received: b.received}
	byLine := map[int]int{}
	for i := range cut.Len() {
		byLine[cut.Line(i)] = i
	}
	size := 0
	for _, x := range refused {
		e := RejectedEntry{Reject: x}
		if i, ok := byLine[x.Line]; ok && size < rejectsOfOne {
			raw := cut.Raw(i)
			e.Raw = raw[:min(len(raw), MaxEvent)]
			size += len(e.Raw)
		}
		r.Entries = append(r.Entries, e)
	}
	if err := s.writeRejected(r); err != nil {
		s.log.Warn("rejected entries were not kept", "error", err, "entries", len(r.Entries))
	}
}

func (s *Store) writeRejected(r Rejected) error {
	day := r.Received.UTC().Format(time.DateOnly)
	sealed, err := s.sealRejected(day, r)
	if err != nil {
		return err
	}
	f := &s.rejects
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.day != day {
		if err := errors.Join(s.endRejects(), f.begin(filepath.Join(s.o.Dir, rejectFolder), day, r.Received)); err != nil {
			return err
		}
	}
	most := s.o.Rejects
	if most <= 0 {
		most = rejectsOfDay
	}
	if f.size+int64(len(sealed)) <= most {
		return f.append(sealed)
	}
	f.count(r)
	if r.Received.Sub(f.counted) < unkeptEvery {
		return nil
	}
	f.counted = r.Received
	return s.writeUnkept()
}

// count notes entries that are not kept. There are few reasons, but a field may have any name.
func (f *rejectFile) count(r Rejected) {
	if f.unkept == nil {
		f.unkept = map[cause]int{}
	}
	f.newest = r.Received
	for _, e := range r.Entries {
		c := cause{r.Source, e.Field, e.Reason}
		if _, ok := f.unkept[c]; !ok && len(f.unkept) >= unkeptCauses {
			c = cause{source: r.Source, reason: "something else was wrong"}
		}
		f.unkept[c]++
	}
}

// waiting are the counts that are not written yet, by source.
func (f *rejectFile) waiting() (out []Rejected) {
	by := map[string]int{}
	for c, n := range f.unkept {
		i, ok := by[c.source]
		if !ok {
			i, by[c.source] = len(out), len(out)
			out = append(out, Rejected{Source: c.source, Received: f.newest})
		}
		out[i].Unkept = append(out[i].Unkept, Unkept{c.field, c.reason, n})
	}
	for _, r := range out {
		slices.SortFunc(r.Unkept, func(a, b Unkept) int {
			return cmp.Or(b.Entries-a.Entries, strings.Compare(a.Field+" "+a.Reason, b.Field+" "+b.Reason))
		})
	}
	slices.SortFunc(out, func(a, b Rejected) int { return strings.Compare(a.Source, b.Source) })
	return out
}

// writeUnkept appends the counts to the file of their day: a few hundred bytes a minute, beyond what
// the day may hold. A crash here loses them.
func (s *Store) writeUnkept() error {
	f := &s.rejects
	for _, r := range f.waiting() {
		sealed, err := s.sealRejected(f.day, r)
		if err != nil {
			return err
		}
		if err := f.append(sealed); err != nil {
			return err
		}
	}
	f.unkept = nil
	return nil
}

// endRejects closes the file of refused entries with its counts.
func (s *Store) endRejects() error {
	f := &s.rejects
	if f.file == nil {
		return nil
	}
	err := errors.Join(s.writeUnkept(), f.file.Close())
	f.file, f.day, f.unkept, f.counted = nil, "", nil, time.Time{}
	return err
}

func (s *Store) sealRejected(day string, r Rejected) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	key, err := s.o.Keys.Key(rejectPurpose, day)
	if err != nil {
		return nil, err
	}
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, ivLen)
	rand.Read(iv)
	return aead.Seal(iv, iv, encoder.EncodeAll(text, nil), []byte(day)), nil
}

func (f *rejectFile) append(sealed []byte) error {
	// A crash here leaves a part of the record, at which reading ends.
	n, err := f.file.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(sealed))), sealed...))
	f.size += int64(n)
	return err
}

// begin opens the file of a day and removes those that were kept long enough.
func (f *rejectFile) begin(dir, day string, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := removeOld(dir, now); err != nil {
		return err
	}
	var err error
	if f.file, err = os.OpenFile(filepath.Join(dir, day), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return err
	}
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	f.day, f.size = day, info.Size()
	return nil
}

// sweepRejects removes the files that were kept long enough, also where nothing is refused any more.
func (s *Store) sweepRejects(now time.Time) error {
	f := &s.rejects
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if f.day != now.UTC().Format(time.DateOnly) {
		err = s.endRejects() // of a day that is over, and it may be old
	}
	return errors.Join(err, removeOld(filepath.Join(s.o.Dir, rejectFolder), now))
}

func removeOld(dir string, now time.Time) error {
	old, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range old {
		of, err := time.Parse(time.DateOnly, e.Name())
		if err == nil && of.Add(24*time.Hour+keepRejects).Before(now) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Rejects calls fn with what was refused and is kept, oldest day first.
func (s *Store) Rejects(fn func(Rejected) error) error {
	names, err := filepath.Glob(filepath.Join(s.o.Dir, rejectFolder, "????-??-??"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, path := range names {
		if err := s.rejectsOf(path, false, fn); err != nil {
			return err
		}
	}
	for _, r := range s.unwritten() {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// unwritten are the counts that are not in a file yet.
func (s *Store) unwritten() []Rejected {
	s.rejects.mu.Lock()
	defer s.rejects.mu.Unlock()
	return s.rejects.waiting()
}

// Refusal is what was refused most often of a source: Most of its Entries, by this field and reason.
type Refusal struct {
	Source  string
	Entries int
	Field   string
	Reason  string
	Most    int
}

// Refused sums up what was refused since then, by source. What it returns holds nothing
// that was sent.
func (s *Store) Refused(ctx context.Context, since time.Time) ([]Refusal, error) {
	entries, causes := map[string]int{}, map[cause]int{}
	add := func(r Rejected) error {
		if r.Received.Before(since) {
			return ctx.Err()
		}
		entries[r.Source] += len(r.Entries)
		for _, e := range r.Entries {
			causes[cause{r.Source, e.Field, e.Reason}]++
		}
		for _, u := range r.Unkept {
			entries[r.Source] += u.Entries
			causes[cause{r.Source, u.Field, u.Reason}] += u.Entries
		}
		return ctx.Err()
	}
	last := s.o.Now().UTC().Format(time.DateOnly)
	for day := since.UTC().Truncate(24 * time.Hour); day.Format(time.DateOnly) <= last; day = day.AddDate(0, 0, 1) {
		err := s.rejectsOf(filepath.Join(s.o.Dir, rejectFolder, day.Format(time.DateOnly)), false, add)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			// What was kept is a courtesy: the sum of the rest stands, and Inspect names the file.
			s.log.Warn("rejected entries were not read to the end", "error", err)
		}
	}
	for _, r := range s.unwritten() {
		if err := add(r); err != nil {
			return nil, err
		}
	}
	var all []Refusal
	for name, n := range entries {
		all = append(all, Refusal{Source: name, Entries: n})
	}
	slices.SortFunc(all, func(a, b Refusal) int { return strings.Compare(a.Source, b.Source) })
	for c, n := range causes {
		i, _ := slices.BinarySearchFunc(all, c.source, func(r Refusal, name string) int { return strings.Compare(r.Source, name) })
		r := &all[i]
		if n > r.Most || n == r.Most && c.field+" "+c.reason < r.Field+" "+r.Reason {
			r.Field, r.Reason, r.Most = c.field, c.reason, n
		}
	}
	return all, nil
}

// rejectsOf reads the file of a day; an entry at its end that is not whole, as a crash leaves it, is an
// error when all of it is asked for.
func (s *Store) rejectsOf(path string, all bool, fn func(Rejected) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	day := filepath.Base(path)
	key, err := s.o.Keys.Key(rejectPurpose, day)
	if err != nil {
		return err
	}
	aead, err := newGCM(key)
	if err != nil {
		return err
	}
	in := bufio.NewReader(f)
	for {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			if all && err != io.EOF {
				return err
			}
			return nil // the end, or a record that a crash cut
		}
		n := binary.BigEndian.Uint32(head[:])
		if n < ivLen || n > maxRecord {
			return fmt.Errorf("accesslog: the rejects of %s are damaged", day)
		}
		sealed := make([]byte, n)
		if _, err := io.ReadFull(in, sealed); err != nil {
			if all {
				return err
			}
			return nil
		}
		packed, err := aead.Open(nil, sealed[:ivLen], sealed[ivLen:], []byte(day))
		if err != nil {
			return fmt.Errorf("accesslog: the rejects of %s cannot be opened", day)
		}
		text, err := decoder.DecodeAll(packed, nil)
		if err != nil {
			return fmt.Errorf("accesslog: the rejects of %s are damaged", day)
		}
		var r Rejected
		if err := json.Unmarshal(text, &r); err != nil {
			return fmt.Errorf("accesslog: the rejects of %s are damaged", day)
		}
		if err := fn(r); err != nil {
			return err
		}
	}
}
