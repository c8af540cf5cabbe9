package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/soaktest"
)

// clickhouse is the version of ClickHouse's form as a library, from npm, that reads the table.
const clickhouse = "chdb@3.4.0"

// otherEngine returns a folder in which node finds ClickHouse: the one that TOCSIN_TEST_CHDB names,
// or one in which npm installs it, some 550 MB.
func otherEngine(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("TOCSIN_TEST_CHDB"); dir != "" {
		return dir
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", dir, clickhouse)
	if out, err := cmd.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("npm install %s: %v\n%s", clickhouse, err, out)
		}
		t.Skipf("npm install %s: %v", clickhouse, err)
	}
	return dir
}

// What another engine reads in the table is what was written, whichever of its snapshots is the
// newest: nobody depends on this program to read their own log.
func TestSoakAnotherEngineReadsTheSameTable(t *testing.T) {
	s := soaktest.Start(t)
	engine := otherEngine(t)
	parent := t.TempDir()
	tab := openAt(t, filepath.Join(parent, "table"), Options{})
	n := int64(5000 + s.Rand().IntN(5000))
	fill(t, tab, n/500*500, 500)
	n = n / 500 * 500
	var erased []Tombstone
	for _, step := range []func() error{func() error { return nil }, func() error { return tab.Merge(t.Context()) }, func() error {
		erased = someTombstones
		tab.Erase(erased)
		return tab.Merge(t.Context())
	}} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		type sums struct {
			Events, Records, Customers, First, Last int64
		}
		want, customers := map[string]sums{}, map[string]map[[TokenLen]byte]bool{}
		narrow, forms := map[string]int64{}, map[int32]int64{}
		first := rowAt(1)
		firstDay := first.day()
		for _, r := range wantOf(n, erased) {
			if r.Outcome == "denied" && r.day() == firstDay {
				narrow[r.Credential] += r.Bytes
			}
			w := r
			w.pack()
			forms[w.IDForm]++
			x, ok := want[r.Merchant]
			if !ok {
				x.First, customers[r.Merchant] = r.nanos(), map[[TokenLen]byte]bool{}
			}
			x.Events, x.Records, x.First, x.Last = x.Events+1, x.Records+r.Records, min(x.First, r.nanos()), max(x.Last, r.nanos())
			for _, c := range r.Customers {
				customers[r.Merchant][c] = true
			}
			x.Customers = int64(len(customers[r.Merchant]))
			want[r.Merchant] = x
		}
		const at = "toUnixTimestamp64Micro(time) * 1000 + time_rest"
		query := "SELECT merchant, count() AS events, sum(records) AS records, length(groupUniqArrayArray(customers)) AS customers, min(" + at + ") AS first, max(" + at +
			") AS last FROM icebergLocal('table') GROUP BY merchant"
		ask := func(query string) []byte {
			cmd := exec.CommandContext(t.Context(), "node", "-e", `console.log(require("chdb").query(process.argv[1], "JSONEachRow"))`, query)
			cmd.Dir = parent // it reads below the folder it runs in
			cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(engine, "node_modules"))
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return out
		}
		pairs := func(query string) map[string]int64 {
			out := map[string]int64{}
			for line := range strings.Lines(string(ask(query))) {
				var r struct {
					K string
					N json.Number
				}
				if strings.TrimSpace(line) == "" {
					continue
				}
				if err := json.Unmarshal([]byte(line), &r); err != nil {
					t.Fatal(err, line)
				}
				n, err := json.Number(strings.Trim(r.N.String(), `"`)).Int64()
				if err != nil {
					t.Fatal(err)
				}
				out[r.K] = n
			}
			return out
		}
		if got := pairs("SELECT credential AS k, sum(bytes) AS n FROM icebergLocal('table') WHERE outcome = 'denied' AND toDate(time, 'UTC') = '" + first.At().Format("2006-01-02") + "' GROUP BY k"); !maps.Equal(got, narrow) {
			t.Errorf("bytes that were refused on a day: it reads %v, written was %v", got, narrow)
		}
		wantForms := map[string]int64{}
		for form, n := range forms {
			wantForms[fmt.Sprint(form)] = n
		}
		if got := pairs("SELECT toString(event_form) AS k, uniqExact(event, event_rest) AS n FROM icebergLocal('table') GROUP BY k"); !maps.Equal(got, wantForms) {
			t.Errorf("ids by form: it reads %v, written was %v", got, wantForms)
		}
		out := ask(query)
		got := 0
		dec := json.NewDecoder(bytes.NewReader(out))
		for {
			var r struct {
				Merchant                                string
				Events, Records, Customers, First, Last json.Number
			}
			if err := dec.Decode(&r); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err, string(out))
			}
			var x sums
			for _, f := range []struct {
				to   *int64
				from json.Number
			}{{&x.Events, r.Events}, {&x.Records, r.Records}, {&x.Customers, r.Customers}, {&x.First, r.First}, {&x.Last, r.Last}} {
				var err error
				if *f.to, err = json.Number(strings.Trim(f.from.String(), `"`)).Int64(); err != nil {
					t.Fatal(err)
				}
			}
			if got++; x != want[r.Merchant] {
				t.Errorf("%s: it reads %+v, written was %+v", r.Merchant, x, want[r.Merchant])
			}
		}
		if got != len(want) {
			t.Errorf("it finds %d merchants of %d", got, len(want))
		}
	}
}
