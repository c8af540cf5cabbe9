package table

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"
)

// What rowValues makes of a file is what the library makes of it, column by column, also where texts
// repeat, fall into one place of its memory, and rows end in the middle of a read.
func TestRowsOfValuesAreTheRowsThatWereWritten(t *testing.T) {
	if len(rowSchema.Columns()) != numLeaves {
		t.Fatalf("rows have %d columns of values and row knows %d", len(rowSchema.Columns()), numLeaves)
	}
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) (r Row) {
			v := reflect.ValueOf(&r).Elem()
			for i := range v.NumField() {
				switch f := v.Field(i); f.Kind() {
				case reflect.String:
					f.SetString(rapid.OneOf(rapid.SampledFrom([]string{"", "a", "b", "tok_1", "tok_2"}), rapid.String()).Draw(t, v.Type().Field(i).Name))
				case reflect.Int64, reflect.Int32:
					f.SetInt(int64(rapid.Int32().Draw(t, v.Type().Field(i).Name)))
				case reflect.Bool:
					f.SetBool(rapid.Bool().Draw(t, v.Type().Field(i).Name))
				case reflect.Slice:
					for range rapid.IntRange(0, 3).Draw(t, "customers") {
						r.Customers = append(r.Customers, [TokenLen]byte(rapid.SliceOfN(rapid.Byte(), TokenLen, TokenLen).Draw(t, "customer")))
					}
				case reflect.Array:
					r.IDRest = [restLen]byte(rapid.SliceOfN(rapid.Byte(), restLen, restLen).Draw(t, "rest"))
				}
			}
			return r
		}), 0, 40).Draw(t, "rows")
		var file bytes.Buffer
		w := parquet.NewGenericWriter[Row](&file, rowSchema, parquet.PageBufferSize(64), parquet.MaxRowsPerRowGroup(int64(rapid.IntRange(1, 50).Draw(t, "group"))))
		if _, err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(1, 50).Draw(t, "at a time")
		var got []Row
		var values rowValues
		in := parquet.NewGenericReader[Row](bytes.NewReader(file.Bytes()), rowSchema)
		for {
			some := make([]Row, at)
			n, err := values.read(in, some)
			got = append(got, some[:n]...)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != len(rows) {
			t.Fatalf("read %d rows of %d", len(got), len(rows))
		}
		for i := range rows {
			if !reflect.DeepEqual(got[i], rows[i]) {
				t.Fatalf("row %d\n%+v\nwas written as\n%+v", i, got[i], rows[i])
			}
		}
	})
}
