package accesslog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/table"
)

// inColumns counts each id in the columns, files and memory, once they have everything.
func (s *site) inColumns(t testing.TB) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var v *table.View
	for ok := false; !ok; {
		if v, ok = s.View(ctx, s.Acked()); !ok && ctx.Err() != nil {
			t.Fatal("the columns do not catch up")
		}
	}
	defer v.Release()
	n := map[string]int{}
	last := map[int64]bool{}
	if err := v.Each(func(r *table.Row) error {
		if last[r.Seq] {
			t.Errorf("position %d is there twice", r.Seq)
		}
		last[r.Seq] = true
		n[r.ID]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func (s *site) sameInColumns(t testing.TB) {
	t.Helper()
	n, want := s.inColumns(t), s.all(t)
	for _, e := range want {
		if n[e.ID] != 1 {
			t.Fatalf("%s is in the columns %d times", e.ID, n[e.ID])
		}
	}
	if len(n) != len(want) {
		t.Fatalf("the columns hold %d events and %d were acknowledged", len(n), len(want))
	}
}

func (s *site) takeSome(t testing.TB, prefix string, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, line(fmt.Sprintf("%s-%d", prefix, i), noon.Add(-time.Duration(i)*time.Minute), fmt.Sprintf(`"credential":"tok_%d"`, i%3)))
	}
	s.take(t, b.String())
}

// promise: DET-1
func TestColumnsHaveEveryEventOnceAndAreMadeAgainFromTheLog(t *testing.T) {
	s := newSite(t)
	s.table = table.Options{FlushRows: 64}
	s.close()
	s.open(t)
	s.takeSome(t, "a", 300)
	s.sameInColumns(t)
	s.takeSome(t, "b", 50)
	s.sameInColumns(t)
	s.close()
	files, err := filepath.Glob(filepath.Join(s.dir, "table", "data", "*", "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files of the table", err)
	}
	for _, spoil := range []func() error{
		func() error { return nil },
		func() error { return os.RemoveAll(filepath.Join(s.dir, "table")) },
		func() error { return os.RemoveAll(filepath.Join(s.dir, "table", "data")) },
		func() error { return os.RemoveAll(filepath.Join(s.dir, "table", "metadata")) },
		func() error { return alter(s.dir) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		s.open(t)
		s.sameInColumns(t)
		s.close()
	}
	s.open(t)
	rows, err := s.RebuildTable(t.Context())
	if err != nil || rows != 350 {
		t.Fatalf("rebuilt %d rows: %v", rows, err)
	}
	s.sameInColumns(t)
}

// alter changes one byte in the middle of a file of the table, which only reading it all finds.
func alter(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "table", "data", "*", "*.parquet"))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		return err
	}
	data[len(data)/3] ^= 4
	return os.WriteFile(files[0], data, 0o600)
}
