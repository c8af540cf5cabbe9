package table

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func chosen(r *Row, s Selection) bool {
	return r.Time >= s.From && r.Time <= s.To && (len(s.Credentials) == 0 || slices.Contains(s.Credentials, r.Credential)) &&
		r.Seq > s.After && r.Seq <= s.UpTo && (len(s.Values["merchant"]) == 0 || slices.Contains(s.Values["merchant"], r.Merchant))
}

// Whichever rows a scan leaves out of a file, it gives every one that is asked for, once.
func TestAScanGivesEveryRowThatIsAskedForOnce(t *testing.T) {
	const n = 30_000
	tab := openAt(t, t.TempDir(), Options{})
	fill(t, tab, n, n/2)
	if err := tab.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := tab.View()
	defer v.Release()
	scan := func(s Selection) (got []int64) {
		err := v.Scan(s, func(r *Row) error {
			if chosen(r, s) {
				got = append(got, r.Seq)
			}
			return nil
		}, func(int64) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		return got
	}
	rows := rowsFrom(1, n)
	rapid.Check(t, func(rt *rapid.T) {
		hour := rapid.IntRange(-40, 40)
		from := noon.Add(time.Duration(hour.Draw(rt, "from")) * time.Hour)
		s := Selection{From: from.UnixMicro(), To: from.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(rt, "seconds")) * time.Second).UnixMicro(), UpTo: math.MaxInt64,
			Credentials: rapid.SampledFrom([][]string{nil, {"tok_3"}, {"tok_1", "tok_5"}, {"tok_9"}}).Draw(rt, "credentials"),
			Values:      map[string][]string{"merchant": rapid.SampledFrom([][]string{nil, {rows[7].Merchant}, {rows[1].Merchant, rows[2].Merchant}, {"nobody"}}).Draw(rt, "merchants")}}
		if rapid.Bool().Draw(rt, "positions") {
			s.After = rapid.Int64Range(0, n).Draw(rt, "after")
			s.UpTo = s.After + rapid.Int64Range(1, n).Draw(rt, "as many")
		}
		var want []int64
		for i := range rows {
			if chosen(&rows[i], s) {
				want = append(want, rows[i].Seq)
			}
		}
		if got := scan(s); !slices.Equal(got, want) {
			rt.Fatalf("%d rows of %d that are asked for", len(got), len(want))
		}
	})
}

func TestAWindowOfWhatOneCredentialDidIsReadAlone(t *testing.T) {
	tab := openAt(t, t.TempDir(), Options{})
	rows := rowsFrom(1, 20_000)
	for i := range rows {
		rows[i].Credential, rows[i].Actor = "tok_1", "staff-1"
		rows[i].SetTime(noon.Add(time.Duration(i) * time.Second))
	}
	if err := tab.Append(t.Context(), 0, rows, 20_000); err != nil {
		t.Fatal(err)
	}
	if err := tab.Flush(); err != nil {
		t.Fatal(err)
	}
	v := tab.View()
	defer v.Release()
	for _, credentials := range [][]string{nil, {"tok_1"}} {
		read := 0
		s := Selection{From: noon.Add(time.Hour).UnixMicro(), To: noon.Add(time.Hour + 10*time.Minute).UnixMicro(), UpTo: math.MaxInt64, Credentials: credentials}
		if err := v.Scan(s, func(*Row) error { read++; return nil }, func(int64) error { return nil }); err != nil || read != 601 {
			t.Errorf("credentials %v: %d rows were read of 601 in the window, %v", credentials, read, err)
		}
	}
}

// A merged file holds a day in the order of credentials: the newest page of the log is spread over all of
// it, and what is read has to be that page, however large the file is.
func TestOfAMergedFileTheNewestPositionsAreReadAlone(t *testing.T) {
	const n, newest = 60_000, 100
	tab := openAt(t, t.TempDir(), Options{})
	fill(t, tab, n, n/3)
	if err := tab.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := tab.View()
	defer v.Release()
	for name, s := range map[string]Selection{
		"newest":            {From: math.MinInt64, To: math.MaxInt64, After: n - newest, UpTo: n},
		"an unknown source": {From: math.MinInt64, To: math.MaxInt64, UpTo: n, Values: map[string][]string{"merchant": {rowsFrom(1, 1)[0].Merchant + "!"}}},
	} {
		read := 0
		if err := v.Scan(s, func(*Row) error { read++; return nil }, func(int64) error { return nil }); err != nil || read > n/2 {
			t.Errorf("%s: %d rows of %d were read, %v", name, read, n, err)
		}
	}
}
