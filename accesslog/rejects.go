package accesslog

import (
	"bufio"
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
// fsync and only up to a size.
const (
	keepRejects   = 7 * 24 * time.Hour
	rejectFolder  = "rejects"
	rejectsOfDay  = 64 << 20 // bytes of a day's file
	rejectsOfOne  = 256 << 10
	rejectPurpose = "reject"
)

// Rejected is what was refused of one batch.
type Rejected struct {
	Source   string          `json:"source"`
	Batch    string          `json:"batch,omitempty"`
	Received time.Time       `json:"received"`
	Entries  []RejectedEntry `json:"entries"`
}

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
}

// keepRejected seals what was refused of a batch. It returns no error: the receipt says what is
// wrong, and a batch is not refused because this could not be kept.
func (s *Store) keepRejected(b *batch, cut *format.Batch) {
	r := Rejected{Source: b.source, Batch: b.key, Received: b.received}
	byLine := map[int]int{}
	for i := range cut.Len() {
		byLine[cut.Line(i)] = i
	}
	size := 0
	for _, x := range b.receipt.Rejected {
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
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	day := r.Received.UTC().Format(time.DateOnly)
	key, err := s.o.Keys.Key(rejectPurpose, day)
	if err != nil {
		return err
	}
	aead, err := newGCM(key)
	if err != nil {
		return err
	}
	iv := make([]byte, ivLen)
	rand.Read(iv)
	sealed := aead.Seal(iv, iv, encoder.EncodeAll(text, nil), []byte(day))
	f := &s.rejects
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.day != day {
		if err := f.begin(filepath.Join(s.o.Dir, rejectFolder), day, r.Received); err != nil {
			return err
		}
	}
	if f.size+int64(len(sealed)) > rejectsOfDay {
		return fmt.Errorf("%d MiB were kept of this day already", rejectsOfDay>>20)
	}
	// A crash here leaves a part of the record, at which reading ends.
	n, err := f.file.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(sealed))), sealed...))
	f.size += int64(n)
	return err
}

// begin opens the file of a day and removes those that were kept long enough.
func (f *rejectFile) begin(dir, day string, now time.Time) error {
	if f.file != nil {
		_ = f.file.Close()
		f.file, f.day = nil, ""
	}
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

// sweep removes the files that were kept long enough, also where nothing is refused any more.
func (f *rejectFile) sweep(dir string, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil && f.day != now.UTC().Format(time.DateOnly) {
		_ = f.file.Close() // of a day that is over, and it may be old
		f.file, f.day = nil, ""
	}
	return removeOld(dir, now)
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
	return nil
}

// Refusal is what was refused most often of a source: Most of its Entries, by this field and reason.
type Refusal struct {
	Source  string
	Entries int
	Field   string
	Reason  string
	Most    int
}

// Refused sums up what was refused since then and is kept, by source. What it returns holds nothing
// that was sent.
func (s *Store) Refused(ctx context.Context, since time.Time) ([]Refusal, error) {
	type cause struct{ source, field, reason string }
	entries, causes := map[string]int{}, map[cause]int{}
	last := s.o.Now().UTC().Format(time.DateOnly)
	for day := since.UTC().Truncate(24 * time.Hour); day.Format(time.DateOnly) <= last; day = day.AddDate(0, 0, 1) {
		err := s.rejectsOf(filepath.Join(s.o.Dir, rejectFolder, day.Format(time.DateOnly)), false, func(r Rejected) error {
			if r.Received.Before(since) {
				return ctx.Err()
			}
			entries[r.Source] += len(r.Entries)
			for _, e := range r.Entries {
				causes[cause{r.Source, e.Field, e.Reason}]++
			}
			return ctx.Err()
		})
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			// What was kept is a courtesy: the sum of the rest stands, and Inspect names the file.
			s.log.Warn("rejected entries were not read to the end", "error", err)
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
		if n < ivLen || n > 2*rejectsOfDay {
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
