package table

import (
	"fmt"

	"github.com/parquet-go/parquet-go"
)

// rowValues makes rows of the values of columns. The library's own way goes through reflection for each
// value and copies each text, also the one that the row before it had; merging files took a third longer
// with it. It is one reader's and not safe for use by several goroutines.
type rowValues struct {
	values []parquet.Row
	texts  [lastColumn][32]string // by column and a little of the text, those that came last
}

// read fills rows from in and says how many; it ends before when in does, and the error may be io.EOF
// beside the last rows. What rows hold is theirs and is not written to again.
func (v *rowValues) read(in *parquet.GenericReader[Row], rows []Row) (int, error) {
	if len(v.values) < len(rows) {
		v.values = make([]parquet.Row, len(rows))
	}
	var tokens [][TokenLen]byte // of all rows, in one piece of memory
	total := 0
	for total < len(rows) {
		n, err := in.ReadRows(v.values[:len(rows)-total])
		if tokens == nil {
			tokens = make([][TokenLen]byte, 0, countTokens(v.values[:n]))
		}
		for i, values := range v.values[:n] {
			if err := v.row(&rows[total+i], values, &tokens); err != nil {
				return total + i, err
			}
		}
		if total += n; n == 0 || err != nil {
			return total, err
		}
	}
	return total, nil
}

func countTokens(rows []parquet.Row) (n int) {
	for _, values := range rows {
		n += len(values) - numLeaves + 1
	}
	return n
}

// row reads one row: a value for each column, and for customers as many as there are, or a null.
func (v *rowValues) row(r *Row, values parquet.Row, tokens *[][TokenLen]byte) error {
	first := len(*tokens)
	for i := range values {
		x := &values[i]
		switch x.Column() {
		case 0:
			r.Seq = x.Int64()
		case 1:
			r.ID = v.text(x)
		case 2:
			r.Time = x.Int64()
		case 3:
			r.TimeRest = x.Int32()
		case 4:
			r.Received = x.Int64()
		case 5:
			r.Source = v.text(x)
		case 6:
			r.Kind = v.text(x)
		case 7:
			r.App = v.text(x)
		case 8:
			r.Env = v.text(x)
		case 9:
			r.ActorType = v.text(x)
		case 10:
			r.Actor = v.text(x)
		case 11:
			r.Credential = v.text(x)
		case 12:
			r.Session = v.text(x)
		case 13:
			r.Action = v.text(x)
		case 14:
			r.Endpoint = v.text(x)
		case 15:
			r.Purpose = v.text(x)
		case 16:
			r.Merchant = v.text(x)
		case 17:
			r.Store = v.text(x)
		case 18:
			if x.IsNull() {
				continue
			}
			token := x.ByteArray()
			if len(token) != TokenLen {
				return fmt.Errorf("a customer's pseudonym has %d bytes", len(token))
			}
			*tokens = append(*tokens, [TokenLen]byte(token))
		case 19:
			r.DataTypes = v.text(x)
		case 20:
			r.Records = x.Int64()
		case 21:
			r.Bytes = x.Int64()
		case 22:
			r.Outcome = v.text(x)
		case 23:
			r.IP = v.text(x)
		case 24:
			r.Agent = v.text(x)
		case 25:
			r.Late = x.Boolean()
		case 26:
			r.Skewed = x.Boolean()
		case 27:
			r.Supplied = v.text(x)
		case 28:
			r.Regions = v.text(x)
		case 29:
			r.IDForm = x.Int32()
		case 30:
			r.IDAfter = x.Int64()
		case 31:
			copy(r.IDRest[:], x.ByteArray())
		}
	}
	if last := len(*tokens); last > first {
		r.Customers = (*tokens)[first:last:last]
	}
	return nil
}

// numLeaves is the number of columns that hold values; a test holds the order in row to that of Row.
const numLeaves = 32

// text copies a text, or gives the copy of an equal one of the same column: most repeat.
func (v *rowValues) text(x *parquet.Value) string {
	b := x.ByteArray()
	if len(b) == 0 {
		return ""
	}
	at := &v.texts[x.Column()][(uint(b[0])+uint(b[len(b)/2])*5+uint(b[len(b)-1])*3+uint(len(b)))%32]
	if *at != string(b) {
		*at = string(b)
	}
	return *at
}
