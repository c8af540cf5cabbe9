package sheet_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/sheet"
)

var result = scope.Result{Digest: "sha256:ff", Log: "org/events", Size: 7, Checkpoint: "note", Rows: []incident.Exposure{
	{Merchant: `=HYPERLINK("http://evil.example")`, Stores: []string{"@s", "s_2"}, DataTypes: []string{"customer.email"}, Customers: 3, Records: 4, Events: 5, AtLeast: true,
		First: time.Date(2026, 11, 22, 3, 2, 11, 123456789, time.FixedZone("", 3600)), Last: time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC),
		Supplied: []incident.Supplied{{File: "sha256:aa", Events: 1}, {File: "sha256:bb", Events: 2}}},
	{Merchant: "m_2", Customers: 1, Events: 1},
}}

func TestACSVFileHasEveryColumnAndNoFormula(t *testing.T) {
	var b bytes.Buffer
	if err := sheet.Write(&b, sheet.CSV, result); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	want := []string{`'=HYPERLINK("http://evil.example")`, "'@s s_2", "customer.email", "3", "true", "4", "5", "2026-11-22T02:02:11.123456789Z", "2026-11-22T04:00:00Z", "3", "sha256:aa sha256:bb", "sha256:ff"}
	if strings.Join(rows[1], "|") != strings.Join(want, "|") {
		t.Errorf("%q\nwant %q", rows[1], want)
	}
	for _, s := range []string{"=1", "+1", "-1", "@x", "\tx", "\rx", "\nx"} {
		if got := sheet.Inert(s); got != "'"+s {
			t.Errorf("%q becomes %q", s, got)
		}
	}
	if sheet.Inert("m_1") != "m_1" || sheet.Inert("") != "" {
		t.Error("a plain name is changed")
	}
}

func TestAParquetFileHasTypesAndWhatProvesIt(t *testing.T) {
	var b bytes.Buffer
	if err := sheet.Write(&b, sheet.Parquet, result); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || f.NumRows() != 2 {
		t.Fatalf("%v", err)
	}
	for name, want := range map[string]string{"tocsin.digest": "sha256:ff", "tocsin.log": "org/events", "tocsin.size": "7", "tocsin.checkpoint": "note"} {
		if got, ok := f.Lookup(name); !ok || got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	type row struct {
		Merchant      string    `parquet:"merchant"`
		Stores        []string  `parquet:"stores,list"`
		Customers     int64     `parquet:"customers"`
		First         time.Time `parquet:"first,timestamp(nanosecond:utc)"`
		SuppliedFiles []string  `parquet:"supplied_files,list"`
	}
	rows, err := parquet.Read[row](bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || len(rows) != 2 || rows[0].Merchant != result.Rows[0].Merchant || len(rows[0].Stores) != 2 || rows[0].Customers != 3 || !rows[0].First.Equal(result.Rows[0].First) || len(rows[0].SuppliedFiles) != 2 {
		t.Fatalf("%+v, %v", rows, err)
	}
	if err := sheet.Write(&b, "xlsx", result); err == nil {
		t.Error("another form is written")
	}
}
