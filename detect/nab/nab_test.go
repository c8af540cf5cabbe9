package nab_test

import (
	"math"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tocsin-ir/tocsin/detect/nab"
	"pgregory.net/rapid"
)

var profiles = []nab.Profile{nab.Standard, nab.LowFP, nab.LowFN}

func file(n int, windows []nab.Window, alarms ...int) nab.Scored {
	s := nab.Scored{Scores: make([]float64, n), Windows: windows}
	for _, i := range alarms {
		s.Scores[i] = 1
	}
	return s
}

// corpus draws files with windows that lie apart, behind the probation.
func corpus(t *rapid.T) []nab.Scored {
	var out []nab.Scored
	for range rapid.IntRange(1, 4).Draw(t, "files") {
		n := rapid.IntRange(100, 400).Draw(t, "rows")
		f := file(n, nil)
		at := nab.Probation(n) + rapid.IntRange(0, 20).Draw(t, "first")
		for at < n-30 {
			w := nab.Window{First: at, Last: at + rapid.IntRange(1, 20).Draw(t, "width")}
			f.Windows = append(f.Windows, w)
			at = w.Last + rapid.IntRange(1, 100).Draw(t, "gap")
		}
		out = append(out, f)
	}
	return append(out, file(200, []nab.Window{{First: 100, Last: 120}}))
}

func TestADetectorThatNeverSpeaksHasNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := corpus(t)
		for _, p := range profiles {
			if s := nab.Score(p, c, 0.5); s != 0 {
				t.Fatalf("%s: %v", p.Name, s)
			}
		}
	})
}

func TestADetectorThatSpeaksAtTheFirstRowOfEachWindowIsPerfect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := corpus(t)
		for _, f := range c {
			for _, w := range f.Windows {
				f.Scores[w.First] = 0.7
			}
		}
		for _, p := range profiles {
			if s := nab.Score(p, c, 0.7); math.Abs(s-100) > 0.001 {
				t.Fatalf("%s: %v", p.Name, s)
			}
			if at, s := nab.Best(p, c); at != 0.7 || math.Abs(s-100) > 0.001 {
				t.Fatalf("%s: best %v at %v", p.Name, s, at)
			}
		}
	})
}

// Worked by hand from the formulas: S inside is (2/(1+e^(5p))-1)/0.98661 with p = -(r-i+1)/w,
// outside 2/(1+e^(5p))-1 with p = (i-r)/(w-1).
func TestScoresWorkedByHand(t *testing.T) {
	one := []nab.Window{{First: 50, Last: 59}}
	two := []nab.Window{{First: 50, Last: 59}, {First: 150, Last: 159}}
	for name, c := range map[string]struct {
		f    nab.Scored
		p    nab.Profile
		want float64
	}{
		"the first row of the window":                     {file(100, one, 50), nab.Standard, 100},
		"half way: p = -0.5, S = 0.848284/0.98661":        {file(100, one, 55), nab.Standard, 100 * (0.859797 + 1) / 2},
		"the last row: p = -0.1, S = 0.244919/0.98661":    {file(100, one, 59), nab.Standard, 100 * (0.248243 + 1) / 2},
		"only the best in a window counts":                {file(100, one, 55, 56, 59), nab.Standard, 100 * (0.859797 + 1) / 2},
		"before any window":                               {file(100, one, 40), nab.Standard, 100 * -0.11 / 2},
		"each false alarm costs":                          {file(100, one, 40, 41, 42), nab.Standard, 100 * -0.33 / 2},
		"a false alarm costs twice":                       {file(100, one, 40), nab.LowFP, 100 * -0.22 / 2},
		"just after: p = 1/9, S = -0.270732":              {file(100, one, 60), nab.Standard, 100 * -0.11 * 0.270732 / 2},
		"after: p = 5/9, S = -0.882924":                   {file(100, one, 64), nab.Standard, 100 * -0.11 * 0.882924 / 2},
		"far after: p = 28/9 is over 3":                   {file(100, one, 87), nab.Standard, 100 * -0.11 / 2},
		"in the probation nothing is scored":              {file(100, one, 0, 14), nab.Standard, 0},
		"the first row behind it is":                      {file(100, one, 15), nab.Standard, 100 * -0.11 / 2},
		"one of two, a miss costs twice":                  {file(200, two, 150), nab.LowFN, 100 * (1 - 2 + 4) / 6.0},
		"the last window before counts: p = 10/9":         {file(200, two, 169), nab.Standard, 100 * -0.11 * 0.992302 / 4},
		"between two windows the one before it, p = 40/9": {file(200, two, 99), nab.Standard, 100 * -0.11 / 4},
	} {
		if got := nab.Score(c.p, []nab.Scored{c.f}, 1); math.Abs(got-c.want) > 0.001 {
			t.Errorf("%s: %.4f, by hand %.4f", name, got, c.want)
		}
	}
}

func TestOneThresholdIsSearchedForTheWholeCorpus(t *testing.T) {
	a := file(100, []nab.Window{{First: 50, Last: 59}})
	a.Scores[50], a.Scores[20] = 0.9, 0.3
	b := file(100, []nab.Window{{First: 50, Last: 59}})
	b.Scores[50], b.Scores[20] = 0.4, 0.6
	// At 0.4 both windows are found and one false alarm is paid for; at 0.3 there are two.
	at, score := nab.Best(nab.Standard, []nab.Scored{a, b})
	if want := 100 * (2 - 0.11 + 2) / 4; at != 0.4 || math.Abs(score-want) > 0.001 {
		t.Errorf("best %v at %v, want %v at 0.4", score, at, want)
	}
	rapid.Check(t, func(t *rapid.T) {
		c := corpus(t)
		for _, f := range c {
			for i := range f.Scores {
				f.Scores[i] = float64(rapid.IntRange(0, 20).Draw(t, "score")) / 20
			}
		}
		_, best := nab.Best(nab.Standard, c)
		for i := range 21 {
			if s := nab.Score(nab.Standard, c, float64(i)/20); s > best+1e-9 {
				t.Fatalf("%v at %v is more than the best %v", s, float64(i)/20, best)
			}
		}
	})
}

func TestAFolderLeftOutIsScoredAtTheThresholdOfTheOthers(t *testing.T) {
	window := []nab.Window{{First: 50, Last: 59}}
	a, b := file(100, window), file(100, window)
	a.Scores[50], a.Scores[20] = 0.9, 0.5 // best at 0.9
	b.Scores[50], b.Scores[20] = 0.6, 0.5 // best at 0.6
	// a at 0.6 is perfect; b at 0.9 is silent.
	if got := nab.LeaveOneOut(nab.Standard, map[string][]nab.Scored{"a": {a}, "b": {b}}); math.Abs(got-50) > 0.001 {
		t.Errorf("%v, by hand 50", got)
	}
}

func TestACorpusIsReadAndWhatIsWrongIsNamed(t *testing.T) {
	good := "timestamp,value\n2014-04-01 00:00:00,20.0\n2014-04-01 00:05:00,21\n2014-04-01 00:10:00,-3e2\n"
	labels := `{"a/x.csv":[["2014-04-01 00:05:00.000000","2014-04-01 00:10:00.000000"]]}`
	read := func(csv, labels string) ([]nab.File, error) {
		return nab.Load(fstest.MapFS{"data/a/x.csv": {Data: []byte(csv)}, "labels/combined_windows.json": {Data: []byte(labels)}})
	}
	c, err := read(good, labels)
	if err != nil {
		t.Fatal(err)
	}
	low, high := c[0].Range()
	if len(c) != 1 || c[0].Folder() != "a" || len(c[0].Values) != 3 || low != -300 || high != 21 || c[0].Windows[0] != (nab.Window{First: 1, Last: 2}) {
		t.Errorf("%+v", c)
	}
	for _, bad := range []struct{ csv, labels, want string }{
		{good, `{}`, "does not name a/x.csv"},
		{good, `[`, "labels/combined_windows.json"},
		{good, `{"a/x.csv":[["2015-04-01 00:05:00.000000","2015-04-01 00:10:00.000000"]]}`, "no row lies"},
		{good, `{"a/x.csv":[["2014-04-01 00:00:00.000000","2014-04-01 00:05:00.000000"],["2014-04-01 00:05:00.000000","2014-04-01 00:10:00.000000"]]}`, "overlap"},
		{"2014-04-01 00:00:00,NaN\n", labels, "data/a/x.csv:1"},
		{"timestamp,value\nyesterday,1\n", labels, "data/a/x.csv:2"},
		{"timestamp,value\n2014-04-01 00:00:00,1,2\n", labels, "no finite number"},
		{strings.Repeat("9", 5000), labels, "data/a/x.csv"},
	} {
		if _, err := read(bad.csv, bad.labels); err == nil || !strings.Contains(err.Error(), bad.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.30q %.30q: %v", bad.csv, bad.labels, err)
		}
	}
	if _, err := nab.Load(os.DirFS(t.TempDir())); err == nil || !strings.Contains(err.Error(), "combined_windows.json") {
		t.Errorf("an empty folder: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("timestamp,value\n2014-04-01 00:00:00,20.0\n", `{"a/x.csv":[]}`)
	f.Fuzz(func(t *testing.T, csv, labels string) {
		c, err := nab.Load(fstest.MapFS{"data/a/x.csv": {Data: []byte(csv)}, "labels/combined_windows.json": {Data: []byte(labels)}})
		if err != nil {
			return
		}
		for _, file := range c {
			s := nab.Scored{Scores: make([]float64, len(file.Values)), Windows: file.Windows}
			for i := range s.Scores {
				s.Scores[i] = float64(i%3) / 2
			}
			if _, got := nab.Best(nab.Standard, []nab.Scored{s}); math.IsNaN(got) || got < 0 {
				t.Errorf("best score %v", got)
			}
		}
	})
}
