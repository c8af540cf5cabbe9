package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every benchmark runs from end to end with a small share of its work, so that none is broken when
// somebody wants its figures.
func TestEveryBenchmarkGivesItsFiguresAndLeavesNothingBehind(t *testing.T) {
	want := map[string][]string{
		"engine": {"tick", "fold"}, "policy": {"compile", "explain-5000", "wake", "hostile"}, "submit": {"submit-1", "submit-64"}, "ingest": {"acked", "sustained", "single", "single-p50", "ack-p99", "bytes-log", "rss-ingest"},
		"scope": {"scope", "scope-credential-1d", "scope-rare-30d", "scope-busy-30d", "scope-exact-all", "bytes-table", "table-write", "rss-query"}, "detect": {"nab-standard", "nab-low-fp", "nab-low-fn", "nab-leave-one-out", "sigma", "sigma-decode", "sigma-3000", "sigma-3000-slower", "rss-1m", "planted-found", "planted-delay", "false-per-week"}, "console": {"page-p50", "page-p99", "rss", "sse-delay"},
	}
	corpus := smallCorpus(t)
	for _, b := range All() {
		t.Run(b.Name, func(t *testing.T) {
			dir := t.TempDir()
			results, err := Measure(t.Context(), b, Options{Short: true, Dir: dir, NAB: corpus})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, r := range results {
				names = append(names, r.Name)
				if r.Value < 0 || r.Value == 0 && r.Name != "false-per-week" || r.Unit == "" || r.Machine == "" || r.Notes == "" || (r.Better != "higher" && r.Better != "lower") {
					t.Errorf("%s is incomplete: %+v", r.Name, r)
				}
				if r.Low > r.Value || r.High < r.Value {
					t.Errorf("%s: the median %v is outside of %v to %v", r.Name, r.Value, r.Low, r.High)
				}
				if r.Baseline != nil && r.Name != "false-per-week" && (r.Baseline.Name == "" || r.Baseline.Value <= 0 || r.Ratio <= 0) {
					t.Errorf("%s: baseline %+v, ratio %v", r.Name, r.Baseline, r.Ratio)
				}
			}
			if got := strings.Join(names, " "); got != strings.Join(want[b.Name], " ") {
				t.Errorf("figures %s, want %v", got, want[b.Name])
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestTheJSONHasTheShapeThatToolsRead(t *testing.T) {
	var b bytes.Buffer
	r := figure("tick", "ms", "lower", series{3, 1, 2}, "polling", series{30, 10, 20}, "words")
	if err := WriteJSON(&b, []Result{r, figure("page-p50", "ms", "lower", series{1}, "", nil, "words")}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Results []map[string]any `json:"results"`
	}
	d := json.NewDecoder(&b)
	if err := d.Decode(&got); err != nil || len(got.Results) != 2 {
		t.Fatalf("%d results, %v", len(got.Results), err)
	}
	for _, field := range []string{"name", "value", "unit", "better", "baseline", "ratio", "machine", "notes", "low", "high"} {
		if got.Results[0][field] == nil {
			t.Errorf("%s is missing", field)
		}
	}
	base, _ := got.Results[0]["baseline"].(map[string]any)
	if base["name"] != "polling" || base["value"] != 20.0 || got.Results[0]["value"] != 2.0 || got.Results[0]["ratio"] != 10.0 {
		t.Errorf("got %v", got.Results[0])
	}
	if _, ok := got.Results[1]["baseline"]; ok {
		t.Error("a figure without a baseline has one")
	}
}

func TestTheRatioComparesWhatRanSideBySide(t *testing.T) {
	// The machine was ten times slower in the second round: the medians would say 2 to 1.
	if got := ratio("higher", series{400, 40, 200}, series{100, 10, 50}); got != 4 {
		t.Errorf("ratio %v, want 4", got)
	}
	if got := ratio("lower", series{1, 10}, series{4, 40}); got != 4 {
		t.Errorf("ratio %v, want 4", got)
	}
}

func TestRoundsAlternateAndEndWhenTheTimeIsSpent(t *testing.T) {
	var order strings.Builder
	side := func(name string) func() (float64, error) {
		return func() (float64, error) { order.WriteString(name); return 1, nil }
	}
	both, err := alternate(t.Context(), Options{}, 3, side("a"), side("b"))
	if err != nil || order.String() != "abababab" || len(both[0]) != 3 || len(both[1]) != 3 {
		t.Errorf("order %s, %d and %d values, %v", order.String(), len(both[0]), len(both[1]), err)
	}
	both, err = alternate(t.Context(), Options{Spend: time.Nanosecond}, 1000, side("a"))
	if err != nil || len(both[0]) != leastRounds {
		t.Errorf("%d rounds after the time was spent, want %d; %v", len(both[0]), leastRounds, err)
	}
}

func TestABenchmarkThatHangsIsStoppedAndCleanedUp(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("too late")
	hang := Benchmark{Name: "hang", Run: func(ctx context.Context, o Options) ([]Result, error) {
		if err := os.WriteFile(o.Dir+"/file", nil, 0o600); err != nil {
			return nil, err
		}
		cancel(late)
		_, err := alternate(ctx, o, 10, func() (float64, error) { return 0, nil })
		return nil, err
	}}
	if _, err := Measure(ctx, hang, Options{Dir: dir}); !errors.Is(err, late) {
		t.Errorf("got %v, want the reason", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAnUnknownBenchmarkIsRefusedWithTheNamesThereAre(t *testing.T) {
	_, err := Find("speed")
	if err == nil || !strings.Contains(err.Error(), "console, detect, engine, ingest, policy, scope, submit") {
		t.Errorf("got %v", err)
	}
}

// smallCorpus is two folders in the form of the Numenta benchmark, each with a spike.
func smallCorpus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	labels := map[string][][2]string{}
	at := func(row int) string {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(row) * time.Hour).Format(time.DateTime)
	}
	for k, folder := range []string{"a", "b"} {
		var b strings.Builder
		b.WriteString("timestamp,value\n")
		spike := 250 + 30*k
		for i := range 400 {
			v := i % (5 + k)
			if i == spike {
				v = 90
			}
			fmt.Fprintf(&b, "%s,%d\n", at(i), v)
		}
		labels[folder+"/x.csv"] = [][2]string{{at(spike-10) + ".000000", at(spike+10) + ".000000"}}
		put(t, filepath.Join(dir, "data", folder, "x.csv"), []byte(b.String()))
	}
	text, err := json.Marshal(labels)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "labels", "combined_windows.json"), text)
	return dir
}

func put(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheThresholdComesFromTheCorpusThatIsNamed(t *testing.T) {
	dir := smallCorpus(t)
	b, err := Find("detect")
	if err != nil {
		t.Fatal(err)
	}
	same, err := nabFigures(t.Context(), Options{NAB: dir})
	if err != nil {
		t.Fatal(err)
	}
	other, err := nabFigures(t.Context(), Options{NAB: dir, ThresholdFrom: dir})
	if err != nil {
		t.Fatal(err)
	}
	if same[0].Value != other[0].Value || !strings.Contains(other[0].Notes, "--threshold-from") {
		t.Errorf("%+v, and with the same corpus as --threshold-from %+v", same[0], other[0])
	}
	for _, o := range []Options{{NAB: t.TempDir()}, {ThresholdFrom: dir}, {NAB: dir, ThresholdFrom: filepath.Join(dir, "none")}} {
		if _, err := Measure(t.Context(), b[0], o); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
