package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// disk is a file system in which the n-th call fails.
type disk struct {
	calls  int
	failAt int
	err    error
	tear   bool // a write that fails leaves half of what it was given
	reach  bool // a sync that fails has done its work all the same
	names  []string
}

func (d *disk) fail(name string) bool {
	d.calls++
	d.names = append(d.names, name)
	return d.calls == d.failAt
}

type diskFile struct {
	*os.File
	d *disk
}

func (f *diskFile) Write(b []byte) (int, error) {
	if f.d.fail("write") {
		n := 0
		if f.d.tear {
			n, _ = f.File.Write(b[:len(b)/2])
		}
		return n, f.d.err
	}
	return f.File.Write(b)
}

func (f *diskFile) Sync() error {
	if f.d.fail("sync") {
		return f.d.err
	}
	return nil // this process does not crash, so nothing has to reach the disk
}

func (f *diskFile) Truncate(n int64) error {
	if f.d.fail("truncate") || f.d.reach {
		return f.d.err
	}
	return f.File.Truncate(n)
}

func (d *disk) options() Options {
	return Options{
		Segment: 600,
		Create: func(path string) (File, error) {
			if d.fail("create") {
				return nil, d.err
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			return &diskFile{f, d}, err
		},
		SyncDir: func(dir string) error {
			if d.fail("syncdir") {
				return d.err
			}
			return nil
		},
	}
}

func open(t testing.TB, dir string, o Options) *Spool {
	t.Helper()
	s, err := Open(dir, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// contents reads everything after a position and checks that positions follow each other.
func contents(t testing.TB, s *Spool, after uint64) []string {
	t.Helper()
	var out []string
	next := uint64(0)
	if err := s.Read(after, func(r Record) error {
		if next != 0 && r.First != next {
			return fmt.Errorf("a record from %d where %d was expected", r.First, next)
		}
		next = r.First + uint64(r.Count)
		out = append(out, string(r.Body))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every call to the disk fails once, with each error, torn or whole: what was answered is there
// once and in order, what was not answered is there at most once, and the spool goes on.
func TestEveryCallToTheDiskFailsOnce(t *testing.T) {
	run := func(d *disk, dir string) (answered, refused []string) {
		s, err := Open(dir, 0, d.options())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 14 {
			body := fmt.Sprintf("record %d of some length", i)
			err := s.Append([]Record{{First: s.Next(), Count: 1 + i%3, Body: []byte(body)}})
			if err == nil {
				answered = append(answered, body)
				continue
			}
			if !errors.Is(err, d.err) {
				t.Fatalf("an error of another kind: %v", err)
			}
			refused = append(refused, body)
		}
		if got := contents(t, s, 0); !slices.Equal(got, answered) {
			t.Fatalf("the running spool holds %q, answered %q", got, answered)
		}
		s.Close()
		return answered, refused
	}
	plain := &disk{}
	if _, refused := run(plain, t.TempDir()); len(refused) != 0 || plain.calls < 30 {
		t.Fatalf("%d calls without a failure, refused %q", plain.calls, refused)
	}
	for at := 1; at <= plain.calls; at++ {
		for _, err := range []error{syscall.ENOSPC, syscall.EIO} {
			for variant := range 3 {
				d := &disk{failAt: at, err: err, tear: variant == 1, reach: variant == 2}
				dir := t.TempDir()
				answered, refused := run(d, dir)
				if len(refused) != 1 {
					t.Fatalf("call %d (%s): %d appends were refused", at, d.names[at-1], len(refused))
				}
				again := open(t, dir, Options{})
				// A record whose sync failed although it reached the disk may come back, when nothing
				// was appended after it: it was not answered, and not denied for good either.
				got := contents(t, again, 0)
				if variant == 2 && len(got) == len(answered)+1 && got[len(got)-1] == refused[0] {
					got = got[:len(answered)]
				}
				if !slices.Equal(got, answered) {
					t.Fatalf("call %d (%s), variant %d: after a restart %q, answered %q", at, d.names[at-1], variant, got, answered)
				}
			}
		}
	}
}

// A crash cuts or alters the tail at any byte: what came before it is there, and appending goes on.
func TestATornTailIsDroppedAndNothingBeforeIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "spool")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		s, err := Open(dir, 0, Options{Segment: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(1, 8).Draw(t, "records")
		var ends []int64
		for i := range n {
			body := make([]byte, rapid.IntRange(0, 300).Draw(t, "size"))
			for k := range body {
				body[k] = byte(i)
			}
			if err := s.Append([]Record{{First: s.Next(), Count: 1, Body: body}}); err != nil {
				t.Fatal(err)
			}
			ends = append(ends, s.Size())
		}
		s.Close()
		names, _ := filepath.Glob(filepath.Join(dir, "*"))
		raw, err := os.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		from := int64(0)
		if n > 1 {
			from = ends[n-2]
		}
		at := rapid.Int64Range(from, ends[n-1]-1).Draw(t, "at")
		if rapid.Bool().Draw(t, "cut") {
			raw = raw[:at]
		} else {
			raw[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			raw = append(raw, make([]byte, rapid.IntRange(0, 5000).Draw(t, "zeroes"))...)
		}
		if err := os.WriteFile(names[0], raw, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dir, 0, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := again.Next(); got != uint64(n) {
			t.Fatalf("the next position is %d after %d records, the last of them torn at byte %d", got, n, at)
		}
		if err := again.Append([]Record{{First: uint64(n), Count: 1, Body: []byte("x")}}); err != nil {
			t.Fatal(err)
		}
		var bodies int
		if err := again.Read(0, func(Record) error { bodies++; return nil }); err != nil || bodies != n {
			t.Fatalf("%d records, %v", bodies, err)
		}
	})
}

func TestReleasedSegmentsGoAndTheRestIsReadFromAnyPosition(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Segment: 4096})
	chance := rand.New(rand.NewPCG(1, 2))
	var firsts []uint64
	for range 400 {
		firsts = append(firsts, s.Next())
		if err := s.Append([]Record{{First: s.Next(), Count: 1 + chance.IntN(5), Body: make([]byte, chance.IntN(200))}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, after := range []uint64{0, 1, firsts[200] - 1, firsts[200], firsts[399], s.Next() - 1} {
		want := 0
		for i, f := range firsts {
			end := s.Next()
			if i+1 < len(firsts) {
				end = firsts[i+1]
			}
			if f <= after && end-1 <= after {
				want = i + 1
			}
		}
		if got := len(contents(t, s, after)); got != 400-want {
			t.Errorf("after %d: %d records, want %d", after, got, 400-want)
		}
	}
	size := s.Size()
	if err := s.Release(firsts[200]); err != nil {
		t.Fatal(err)
	}
	if s.Size() >= size || s.First() > firsts[200] || s.First() == 1 {
		t.Errorf("%d bytes of %d are kept, from %d on", s.Size(), size, s.First())
	}
	if err := s.Read(0, func(Record) error { return nil }); !errors.Is(err, ErrReleased) {
		t.Errorf("what was released is read: %v", err)
	}
	s.Close()
	if again := open(t, dir, Options{}); again.Next() != s.Next() {
		t.Errorf("after a restart the next position is %d, want %d", again.Next(), s.Next())
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Segment: 100})
	for range 10 {
		if err := s.Append([]Record{{First: s.Next(), Count: 1, Body: make([]byte, 100)}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	if err := os.Remove(names[4]); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, 0, Options{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a missing file: %v", err)
	}
	// What others took over already need not be there.
	if _, err := Open(dir, 5, Options{}); err != nil {
		t.Errorf("a missing file of what was taken over: %v", err)
	}
}
