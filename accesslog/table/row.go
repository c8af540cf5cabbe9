// Package table keeps access events as columns: Parquet files in an Apache Iceberg table in one
// folder, written from the log, in the log's order, each event exactly once. The table is derived.
// It is never trusted over the log: what is damaged or missing is made again from there.
//
// docs/design/storage.md says what a crash, a lost file and a lost disk mean for it.
package table

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/parquet-go/parquet-go"
)

// TokenLen is the length of a customer's pseudonym.
const TokenLen = 16

// Row is one access event as the table holds it: pseudonyms, no free text. The tags fix the
// columns; their numbers are those of the Iceberg schema and are never given to another column.
//
// Iceberg's second version knows microseconds. What a time has beyond them stands in time_rest, so
// that an answer computed here is the one that the sealed events give.
type Row struct {
	Seq        int64            `parquet:"seq,delta,id(1)"`
	ID         string           `parquet:"event,delta,id(2)"`                           // "" in a file when the last three columns have it
	Time       int64            `parquet:"time,timestamp(microsecond:utc),delta,id(3)"` // microseconds
	TimeRest   int32            `parquet:"time_rest,dict,id(4)"`                        // nanoseconds beyond them
	Received   int64            `parquet:"received,timestamp(microsecond:utc),delta,id(5)"`
	Source     string           `parquet:"source,dict,id(6)"`
	Kind       string           `parquet:"kind,dict,id(7)"`
	App        string           `parquet:"app,dict,id(8)"`
	Env        string           `parquet:"env,dict,id(9)"`
	ActorType  string           `parquet:"actor_type,dict,id(10)"`
	Actor      string           `parquet:"actor,dict,id(11)"`
	Credential string           `parquet:"credential,dict,id(12)"`
	Session    string           `parquet:"session,dict,id(13)"`
	Action     string           `parquet:"action,dict,id(14)"`
	Endpoint   string           `parquet:"endpoint,dict,id(15)"`
	Purpose    string           `parquet:"purpose,dict,id(16)"`
	Merchant   string           `parquet:"merchant,dict,id(17)"`
	Store      string           `parquet:"store,dict,id(18)"`
	Customers  [][TokenLen]byte `parquet:"customers,list,id(19)" parquet-element:",uuid,dict,id(20)"` // pseudonyms that count
	DataTypes  string           `parquet:"data_types,dict,id(21)"`                                    // JSON array, sorted
	Records    int64            `parquet:"records,dict,id(22)"`
	Bytes      int64            `parquet:"bytes,dict,id(23)"`
	Outcome    string           `parquet:"outcome,dict,id(24)"`
	IP         string           `parquet:"ip,dict,id(25)"`
	Agent      string           `parquet:"agent,dict,id(26)"`
	Late       bool             `parquet:"late,id(27)"`
	Skewed     bool             `parquet:"skewed,id(28)"`
	Supplied   string           `parquet:"supplied,dict,id(29)"`
	Regions    string           `parquet:"regions,dict,id(30)"` // where the customers live: a code for all, or one for each with commas between

	// How files have an id of 128 bits: 1 a ULID, 2 a UUID; milliseconds of its first six bytes beyond
	// those of the event; its last ten bytes. The table fills them in when it writes.
	IDForm  int32         `parquet:"event_form,dict,id(31)"`
	IDAfter int64         `parquet:"event_after,delta,id(32)"`
	IDRest  [restLen]byte `parquet:"event_rest,id(33)"`
}

// At is the time of the event.
func (r *Row) At() time.Time { return time.Unix(0, r.nanos()).UTC() }

func (r *Row) nanos() int64 { return r.Time*1000 + int64(r.TimeRest) }

// SetTime sets the time of the event.
func (r *Row) SetTime(t time.Time) {
	n := t.UnixNano()
	r.Time = floorDiv(n, 1000)
	r.TimeRest = int32(n - r.Time*1000)
}

// day is the UTC day of the event, in days since 1970.
func (r *Row) day() int32 { return int32(floorDiv(r.Time, dayLength)) }

const dayLength = 86_400_000_000 // microseconds

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// order is the order of rows in a file: what one credential did stands together, so that a question
// about it reads little.
func order(a, b *Row) int {
	return cmp.Or(cmp.Compare(a.Credential, b.Credential), cmp.Compare(a.Actor, b.Actor), cmp.Compare(a.Time, b.Time),
		cmp.Compare(a.TimeRest, b.TimeRest), cmp.Compare(a.Seq, b.Seq))
}

// sortRows brings rows into order. Texts are compared once for each that there is, and numbers after that.
func sortRows(rows []*Row) {
	credentials := ranks(rows, func(r *Row) string { return r.Credential })
	actors := ranks(rows, func(r *Row) string { return r.Actor })
	type place struct {
		who  uint64 // credential and actor
		time int64
		row  *Row
	}
	places := make([]place, len(rows))
	for i, r := range rows {
		places[i] = place{uint64(credentials[r.Credential])<<32 | uint64(actors[r.Actor]), r.Time, r}
	}
	slices.SortFunc(places, func(a, b place) int {
		switch {
		case a.who != b.who:
			return cmp.Compare(a.who, b.who)
		case a.time != b.time:
			return cmp.Compare(a.time, b.time)
		}
		return order(a.row, b.row)
	})
	for i := range places {
		rows[i] = places[i].row
	}
}

// ranks says of each text that rows have where it stands among them.
func ranks(rows []*Row, text func(*Row) string) map[string]uint32 {
	rank := map[string]uint32{}
	for _, r := range rows {
		rank[text(r)] = 0
	}
	for i, s := range slices.Sorted(maps.Keys(rank)) {
		rank[s] = uint32(i)
	}
	return rank
}

var rowSchema = parquet.SchemaOf(Row{})

// The numbers of columns that the code names.
const (
	seqColumn        = 1
	timeColumn       = 3
	actorColumn      = 11
	credentialColumn = 12
	lastColumn       = 33
)

// icebergSchema describes Row's columns to other engines.
var icebergSchema = func() *iceberg.Schema {
	text, whole, when, yes := iceberg.PrimitiveTypes.String, iceberg.PrimitiveTypes.Int64, iceberg.PrimitiveTypes.TimestampTz, iceberg.PrimitiveTypes.Bool
	customers := &iceberg.ListType{ElementID: 20, Element: iceberg.PrimitiveTypes.UUID, ElementRequired: true}
	columns := []struct {
		id   int
		name string
		of   iceberg.Type
	}{
		{1, "seq", whole}, {2, "event", text}, {3, "time", when}, {4, "time_rest", iceberg.PrimitiveTypes.Int32}, {5, "received", when},
		{6, "source", text}, {7, "kind", text}, {8, "app", text}, {9, "env", text}, {10, "actor_type", text}, {11, "actor", text},
		{12, "credential", text}, {13, "session", text}, {14, "action", text}, {15, "endpoint", text}, {16, "purpose", text},
		{17, "merchant", text}, {18, "store", text}, {19, "customers", customers}, {21, "data_types", text}, {22, "records", whole},
		{23, "bytes", whole}, {24, "outcome", text}, {25, "ip", text}, {26, "agent", text}, {27, "late", yes}, {28, "skewed", yes}, {29, "supplied", text},
		{30, "regions", text},
		{31, "event_form", iceberg.PrimitiveTypes.Int32}, {32, "event_after", whole}, {33, "event_rest", iceberg.FixedTypeOf(restLen)},
	}
	var fields []iceberg.NestedField
	for _, c := range columns {
		fields = append(fields, iceberg.NestedField{ID: c.id, Name: c.name, Type: c.of, Required: true})
	}
	return iceberg.NewSchema(0, fields...)
}()

// dayField is the number of the partition: files hold events of one UTC day.
const dayField = 1000

var daySpec = iceberg.NewPartitionSpecID(0, iceberg.PartitionField{
	SourceIDs: []int{timeColumn}, FieldID: dayField, Name: "time_day", Transform: iceberg.DayTransform{},
})
