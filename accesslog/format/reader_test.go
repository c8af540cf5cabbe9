package format

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A file that is sent entry by entry comes to the same events as one that is sent as a whole.
func TestAStreamHasTheEntriesOfItsBody(t *testing.T) {
	samples, err := filepath.Glob("testdata/*.in")
	if err != nil || len(samples) == 0 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for _, path := range samples {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := Cut(body, Auto, 1000)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(body), Auto)
		if err != nil {
			t.Fatal(err)
		}
		if r.Format() != whole.Format {
			t.Errorf("%s: the stream is %s and the body %s", path, r.Format(), whole.Format)
		}
		var a, b Decoder
		a.Reset(whole, nil)
		n := 0
		for e := range entries(t, r) {
			part := e.Raw
			if r.Header() != nil {
				part = append(append(bytes.Clone(r.Header()), '\n'), part...)
			}
			one, err := Cut(part, r.Format(), 10)
			if err != nil {
				t.Fatalf("%s: entry on line %d: %v", path, e.Line, err)
			}
			b.Reset(one, nil)
			for i := range one.Len() {
				want, errA := a.Decode(n)
				got, errB := b.Decode(i)
				if (errA == nil) != (errB == nil) || errA == nil && (want.Time != got.Time || want.ID != got.ID || want.Endpoint != got.Endpoint) {
					t.Errorf("%s: entry on line %d is read in another way alone: %v, %v", path, e.Line, errA, errB)
				}
				if whole.records == nil && whole.Line(n) != e.Line {
					t.Errorf("%s: entry %d is on line %d and not %d", path, n, whole.Line(n), e.Line)
				}
				n++
			}
		}
		if n != whole.Len() {
			t.Errorf("%s: %d entries, want %d", path, n, whole.Len())
		}
	}
}

// entries are those of a stream up to its end.
func entries(t *testing.T, r *Reader) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !yield(e) {
				return
			}
		}
	}
}

// cat *.json | tocsin ingest - is what people do with a folder of CloudTrail's files.
func TestDocumentsOneBehindTheOtherAreReadToTheLast(t *testing.T) {
	record := func(id string) string {
		return `{"eventID":"` + id + `","eventName":"GetObject","eventSource":"s3.amazonaws.com","eventTime":"2026-11-22T11:00:00Z","note":"]}"}`
	}
	first := "{\"Records\": [\n" + record("a") + ",\n" + record("b") + "], \"next\": {\"x\": [\"}]\"]}}"
	for name, x := range map[string]struct {
		body  string
		lines []int
	}{
		"documents":         {first + `{"Records":[` + record("c") + "]}\n\n[" + record("d") + "]", []int{2, 3, 3, 5}},
		"lines after it":    {first + "\n" + record("c") + "\n" + record("d") + "\n", []int{2, 3, 4, 5}},
		"junk after it":     {"[" + record("a") + "] and so on\nto the end", []int{1, 1, 2}},
		"nothing but space": {first + " \n", []int{2, 3}},
	} {
		b, err := Cut([]byte(x.body), Auto, 100)
		if err != nil {
			t.Fatal(err)
		}
		var lines, streamed []int
		for i := range b.Len() {
			lines = append(lines, b.Line(i))
		}
		r, err := NewReader(strings.NewReader(x.body), Auto)
		if err != nil {
			t.Fatal(err)
		}
		for e := range entries(t, r) {
			streamed = append(streamed, e.Line)
		}
		if !slices.Equal(lines, x.lines) || !slices.Equal(streamed, x.lines) {
			t.Errorf("%s: entries on lines %v, as a stream %v, want %v", name, lines, streamed, x.lines)
		}
	}
	if _, err := Cut([]byte(first+first), Auto, 3); err == nil {
		t.Error("the second document is not counted against the limit")
	}
}

func TestALineOfAnyLengthIsReadOverAndNamed(t *testing.T) {
	r, err := NewReader(strings.NewReader("{}\n"+strings.Repeat("x", 3<<20)+"\n{}\n"), Native)
	if err != nil {
		t.Fatal(err)
	}
	var lines []int
	for e := range entries(t, r) {
		if lines = append(lines, e.Line); e.Line == 2 && (len(e.Raw) <= MaxRaw || len(e.Raw) > 1<<20) {
			t.Errorf("the long line is kept with %d bytes", len(e.Raw))
		}
	}
	if len(lines) != 3 || lines[2] != 3 {
		t.Errorf("lines %v", lines)
	}
}
