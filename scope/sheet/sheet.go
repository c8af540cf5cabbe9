// Package sheet writes a scope as a file for other programs: CSV for a spreadsheet, Parquet for a data
// tool. A row is a merchant: stores, data types, distinct customer accounts, records, accesses, first and
// last access, and how much of it rests on logs that were supplied later. Times are UTC.
package sheet

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/scope"
)

// CSV and Parquet are the forms.
const (
	CSV     = "csv"
	Parquet = "parquet"
)

// Type is the media type of a form; "" when there is no such form.
func Type(form string) string {
	switch form {
	case CSV:
		return "text/csv; charset=utf-8"
	case Parquet:
		return "application/vnd.apache.parquet"
	}
	return ""
}

// Write writes a scope in a form.
func Write(w io.Writer, form string, r scope.Result) error {
	switch form {
	case CSV:
		return writeCSV(w, r)
	case Parquet:
		return writeParquet(w, r)
	}
	return fmt.Errorf("sheet: a scope is written as csv or parquet")
}

var columns = []string{"merchant", "stores", "data_types", "customers", "at_least", "records", "events", "first", "last", "supplied_events", "supplied_files", "scope_digest"}

func writeCSV(w io.Writer, r scope.Result) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns); err != nil {
		return err
	}
	for _, x := range r.Rows {
		events, files := supplied(x)
		row := []string{
			x.Merchant, strings.Join(x.Stores, " "), strings.Join(x.DataTypes, " "), strconv.FormatInt(x.Customers, 10), strconv.FormatBool(x.AtLeast),
			strconv.FormatInt(x.Records, 10), strconv.FormatInt(x.Events, 10), stamp(x.First), stamp(x.Last), strconv.FormatInt(events, 10), strings.Join(files, " "), r.Digest,
		}
		for i := range row {
			row[i] = Inert(row[i])
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Inert keeps a spreadsheet from taking a text for a formula: whoever sends events chooses the names of
// merchants and stores.
func Inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) {
		return "'" + s
	}
	return s
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func supplied(x incident.Exposure) (events int64, files []string) {
	for _, s := range x.Supplied {
		events += s.Events
		files = append(files, s.File)
	}
	return events, files
}

// row is a merchant in Parquet.
type row struct {
	Merchant       string    `parquet:"merchant"`
	Stores         []string  `parquet:"stores,list"`
	DataTypes      []string  `parquet:"data_types,list"`
	Customers      int64     `parquet:"customers"`
	AtLeast        bool      `parquet:"at_least"`
	Records        int64     `parquet:"records"`
	Events         int64     `parquet:"events"`
	First          time.Time `parquet:"first,timestamp(nanosecond:utc)"`
	Last           time.Time `parquet:"last,timestamp(nanosecond:utc)"`
	SuppliedEvents int64     `parquet:"supplied_events"`
	SuppliedFiles  []string  `parquet:"supplied_files,list"`
}

// writeParquet puts beside the rows what proves them: query, log, size, checkpoint and digest stand in
// the metadata of the file.
func writeParquet(w io.Writer, r scope.Result) error {
	query, err := json.Marshal(r.Query)
	if err != nil {
		return err
	}
	out := parquet.NewGenericWriter[row](w, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("tocsin", "1", "scope"),
		parquet.KeyValueMetadata("tocsin.query", string(query)), parquet.KeyValueMetadata("tocsin.digest", r.Digest),
		parquet.KeyValueMetadata("tocsin.log", r.Log), parquet.KeyValueMetadata("tocsin.size", strconv.FormatUint(r.Size, 10)),
		parquet.KeyValueMetadata("tocsin.checkpoint", r.Checkpoint))
	for _, x := range r.Rows {
		events, files := supplied(x)
		one := row{
			Merchant: x.Merchant, Stores: x.Stores, DataTypes: x.DataTypes, Customers: x.Customers, AtLeast: x.AtLeast, Records: x.Records, Events: x.Events,
			First: x.First, Last: x.Last, SuppliedEvents: events, SuppliedFiles: files,
		}
		if _, err := out.Write([]row{one}); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return out.Close()
}
