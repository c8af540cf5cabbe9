package table

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
)

// ByID returns the newest row of an event by its id; ok is false when there is none. It reads the
// column of ids of every file, about a second for ten million events.
func (v *View) ByID(id string) (found Row, ok bool, err error) {
	for r := range v.tail.all() {
		if r.ID == id && (!ok || r.Seq > found.Seq) {
			found, ok = *r, true
		}
	}
	if ok {
		return found, true, nil // newer than all files
	}
	for i := range v.Files {
		f := &v.Files[i]
		err := f.byID(v.t.at, id, v.unerased(f, func(r *Row) error {
			if !ok || r.Seq > found.Seq {
				found, ok = *r, true
			}
			return nil
		}))
		if err != nil {
			v.t.Report(err)
			return Row{}, false, err
		}
	}
	return found, ok, nil
}

// byID calls fn with each row of a file that has an id.
func (f *File) byID(p place, id string, fn func(*Row) error) error {
	file, done, err := f.openParquet(p)
	if err != nil {
		return err
	}
	defer done()
	damaged := func(err error) error { return fmt.Errorf("table: %s %w: %w", f.Name, errDamaged, err) }
	name, value := "event", id
	var raw [16]byte
	if formOf(id, &raw) != asText {
		name, value = "event_rest", string(raw[16-restLen:])
	}
	column, _ := rowSchema.Lookup(name)
	for _, g := range file.RowGroups() {
		numbers, err := holding(g.ColumnChunks()[column.ColumnIndex], value)
		if err != nil {
			return damaged(err)
		}
		if len(numbers) == 0 {
			continue
		}
		in := parquet.NewGenericRowGroupReader[Row](g, rowSchema)
		for _, n := range numbers {
			rows := make([]Row, 1)
			if err = in.SeekToRow(n); err != nil {
				break
			}
			if got, rerr := in.Read(rows); got == 0 {
				err = errors.Join(rerr, io.ErrUnexpectedEOF)
				break
			}
			if rows[0].unpack(); rows[0].ID != id {
				continue
			}
			if err = fn(&rows[0]); err != nil {
				break
			}
		}
		if err = errors.Join(err, in.Close()); err != nil {
			return damaged(err)
		}
	}
	return nil
}

// holding are the numbers of the rows whose value in a column of bytes is a given one.
func holding(c parquet.ColumnChunk, value string) (numbers []int64, err error) {
	pages := c.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	var row int64
	values := make([]parquet.Value, 1024)
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return numbers, nil
		}
		if err != nil {
			return nil, err
		}
		in := page.Values()
		for {
			n, err := in.ReadValues(values)
			for i := range n {
				if string(values[i].ByteArray()) == value {
					numbers = append(numbers, row)
				}
				row++
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				parquet.Release(page)
				return nil, err
			}
		}
		parquet.Release(page)
	}
}
