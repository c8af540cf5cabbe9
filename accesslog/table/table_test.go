package table

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rowAt is an event of a small world that the position decides.
func rowAt(seq int64) Row {
	r := rand.New(rand.NewPCG(uint64(seq), 7))
	row := Row{
		Seq: seq, ID: fmt.Sprintf("ev-%06d", seq), Source: "app", Kind: "pii_access", App: "shop", Env: "production", ActorType: "staff",
		Actor: fmt.Sprintf("staff-%d", r.IntN(5)), Credential: fmt.Sprintf("tok_%d", r.IntN(7)), Session: fmt.Sprint(r.IntN(50)),
		Action: "read", Endpoint: "GET /orders", Merchant: fmt.Sprintf("m_%d", r.IntN(9)), Store: fmt.Sprintf("s_%d", r.IntN(9)),
		DataTypes: `["customer.email"]`, Records: r.Int64N(3), Bytes: r.Int64N(5000), Outcome: []string{"ok", "denied", "error", ""}[r.IntN(4)],
		IP: fmt.Sprintf("192.0.2.%d", r.IntN(20)), Agent: "curl", Late: r.IntN(9) == 0, Skewed: r.IntN(9) == 0,
	}
	switch seq % 4 { // ids of every form, and some that only look like one
	case 1:
		row.ID = ulid.MustNew(uint64(noon.UnixMilli()+seq), bytes.NewReader(binary.BigEndian.AppendUint64([]byte("xy"), uint64(seq)))).String()
	case 2:
		row.ID = uuid.NewSHA1(uuid.NameSpaceURL, binary.BigEndian.AppendUint64(nil, uint64(seq))).String()
	case 3:
		if seq%8 == 3 {
			row.ID = strings.ToLower(ulid.MustNew(1, bytes.NewReader(binary.BigEndian.AppendUint64([]byte("ab"), uint64(seq)))).String())
		}
	}
	row.SetTime(noon.Add(time.Duration(r.Int64N(int64(72*time.Hour))) - 36*time.Hour))
	row.Received = row.Time + 5
	for range r.IntN(4) {
		var c [TokenLen]byte
		binary.BigEndian.PutUint64(c[:], uint64(r.IntN(40)))
		row.Customers = append(row.Customers, c)
	}
	if len(row.Customers) > 1 && seq%3 == 0 {
		row.Regions = strings.TrimSuffix(strings.Repeat("DE,", len(row.Customers)-1), ",") + ",US-CA"
	}
	return row
}

func rowsFrom(seq int64, n int) []Row {
	out := make([]Row, n)
	for i := range out {
		out[i] = rowAt(seq + int64(i))
	}
	return out
}

func openAt(t testing.TB, dir string, o Options) *Table {
	t.Helper()
	o.Dir, o.Origin = dir, "test/events"
	if o.FlushAge == 0 {
		o.FlushAge = time.Hour
	}
	tab, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tab.Close() })
	return tab
}

func all(t testing.TB, tab *Table) []Row {
	t.Helper()
	v := tab.View()
	defer v.Release()
	var out []Row
	for i := range v.Files {
		f := &v.Files[i]
		var last *Row
		err := f.rows(v.t.at, func(r *Row) error {
			c := *r
			if c.day() != f.Day {
				t.Fatalf("%s holds an event of %s", f.Name, c.At())
			}
			if last != nil && order(last, &c) > 0 {
				t.Fatalf("%s is not sorted", f.Name)
			}
			last = &c
			out = append(out, c)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for r := range v.tail.all() {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Row) int { return int(a.Seq - b.Seq) })
	for i := range out {
		if len(out[i].Customers) == 0 {
			out[i].Customers = nil
		}
	}
	return out
}

func same(t testing.TB, tab *Table, n int64) {
	t.Helper()
	got := all(t, tab)
	if int64(len(got)) != n || tab.UpTo() != n {
		t.Fatalf("the table has %d rows up to %d, want %d", len(got), tab.UpTo(), n)
	}
	for i := range got {
		if want := rowAt(int64(i + 1)); !reflect.DeepEqual(got[i], want) {
			t.Fatalf("row %d\n%+v, want\n%+v", i, got[i], want)
		}
	}
}

func fill(t testing.TB, tab *Table, n int64, each int) {
	t.Helper()
	for seq := int64(1); seq <= n; seq += int64(each) {
		if err := tab.Append(t.Context(), seq-1, rowsFrom(seq, each), seq+int64(each)-1); err != nil {
			t.Fatal(err)
		}
		if err := tab.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// promise: DET-1
func TestMergesAtTheSameTimeDoNotDoubleAnything(t *testing.T) {
	tab := openAt(t, t.TempDir(), Options{})
	var n int64
	for range 2 {
		for range 2 * fanIn {
			if err := tab.Append(t.Context(), n, rowsFrom(n+1, 200), n+200); err != nil {
				t.Fatal(err)
			}
			n += 200
			if err := tab.Flush(); err != nil { // which sends the merging of the background off, too
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := tab.Merge(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		same(t, tab, n)
	}
}

// leftOf is what a row of a model table has after tombstones, in plain words.
func leftOf(r Row, list []Tombstone) (Row, bool) {
	for _, x := range list {
		if r.Merchant != x.Merchant || r.Seq > x.UpTo && r.Time >= x.Before {
			continue
		}
		if x.Customers == nil {
			return r, false
		}
		var kept [][TokenLen]byte
		var places []string
		each := strings.Split(r.Regions, ",")
		for i, c := range r.Customers {
			if !slices.Contains(x.Customers, c) {
				kept = append(kept, c)
				if len(each) > 1 {
					places = append(places, each[i])
				}
			}
		}
		if len(each) > 1 {
			r.Regions = strings.Join(places, ",")
		}
		if len(r.Customers) > 0 && kept == nil {
			return r, false
		}
		r.Customers = kept
	}
	return r, true
}

func wantOf(n int64, list []Tombstone) []Row {
	var want []Row
	for _, r := range rowsFrom(1, int(n)) {
		if r, ok := leftOf(r, list); ok {
			want = append(want, r)
		}
	}
	return want
}

func customer(n byte) [TokenLen]byte { return [TokenLen]byte{7: n} }

var someTombstones = []Tombstone{
	{ID: "F1", Merchant: "m_3", Customers: [][TokenLen]byte{customer(1), customer(2), customer(3), customer(4), customer(5), customer(6)}, UpTo: 350},
	{ID: "F2", Merchant: "m_5", UpTo: 400},
	{ID: "F3", Merchant: "m_3", Customers: [][TokenLen]byte{customer(7), customer(1)}, UpTo: 420, Before: noon.UnixMicro()},
}

func TestRowsAreSortedByTheOrderOfFiles(t *testing.T) {
	rows := rowsFrom(1, 3000)
	for i := range rows { // equal places too, which the position decides
		rows[i].SetTime(noon.Add(time.Duration(i%7) * time.Second).Add(time.Duration(i % 3)))
	}
	var got []*Row
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(len(rows)) {
		got = append(got, &rows[i])
	}
	want := slices.SortedFunc(slices.Values(got), order)
	if sortRows(got); !slices.Equal(got, want) {
		t.Error("rows are in another order than that of files")
	}
}
