package sigma_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/detect/sigma"
)

func rulesOf(t testing.TB, dir string) (files []sigma.File) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yml") || strings.Contains(path, "specification-tests") {
			return err
		}
		b, err := os.ReadFile(path)
		files = append(files, sigma.File{Name: path, Data: b})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func trailOf(t testing.TB, dir string) (records []json.RawMessage) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		var f struct{ Records []json.RawMessage }
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		records = append(records, f.Records...)
	}
	return records
}

func outside(t testing.TB, name, what string) string {
	t.Helper()
	dir := os.Getenv(name)
	if dir == "" {
		t.Skipf("%s names no folder of %s", name, what)
	}
	return dir
}

// Rules that others wrote load, and the matcher finds on real records what asking each rule by
// itself finds.
func TestRulesOfOthersAgreeWithTheLoop(t *testing.T) {
	e, problems := sigma.Load(rulesOf(t, outside(t, "TOCSIN_TEST_SIGMA", "Sigma rules")), sigma.Options{})
	for _, p := range problems {
		t.Error(p)
	}
	if len(e.Rules()) == 0 {
		t.Fatal("no rule was loaded")
	}
	found := 0
	var ev sigma.Event
	for i, r := range trailOf(t, outside(t, "TOCSIN_TEST_CLOUDTRAIL", "CloudTrail files")) {
		if err := e.Decode(r, &ev); err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, d := range e.Observe(int64(i+1), time.Time{}, &ev) {
			got = append(got, d.Meta().Title)
		}
		for _, r := range e.Loop(&ev) {
			want = append(want, r.Title)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("record %d: the matcher finds %q and the loop %q", i, got, want)
		}
		found += len(got)
	}
	if s := e.Stats(); found == 0 || s.Unknown > 0 || len(e.Stopped()) > 0 {
		t.Errorf("%d detections, %+v, %v", found, s, e.Stopped())
	}
}

func BenchmarkMatch(b *testing.B) {
	e, _ := sigma.Load(rulesOf(b, outside(b, "TOCSIN_TEST_SIGMA", "Sigma rules")), sigma.Options{})
	records := trailOf(b, outside(b, "TOCSIN_TEST_CLOUDTRAIL", "CloudTrail files"))
	events := make([]sigma.Event, len(records))
	for i := range records {
		e.Decode(records[i], &events[i])
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		e.Observe(0, time.Time{}, &events[n%len(events)])
		n++
	}
}

func BenchmarkDecode(b *testing.B) {
	e, _ := sigma.Load(rulesOf(b, outside(b, "TOCSIN_TEST_SIGMA", "Sigma rules")), sigma.Options{})
	records := trailOf(b, outside(b, "TOCSIN_TEST_CLOUDTRAIL", "CloudTrail files"))
	b.ReportAllocs()
	n := 0
	var ev sigma.Event
	for b.Loop() {
		e.Decode(records[n%len(records)], &ev)
		e.Observe(0, time.Time{}, &ev)
		n++
	}
}
