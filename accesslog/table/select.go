package table

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// Selection says which rows a question may be about. Fields that are not set choose everything.
type Selection struct {
	From, To    int64    // microseconds, both inclusive
	After       int64    // positions beyond it
	UpTo        int64    // newest position that counts
	Credentials []string // one of these
	// Values are, by the name of a column of text, those one of which a row has to hold.
	Values map[string][]string
}

// Paths returns the files of the view that may hold rows of a selection, and how many rows they have.
// They can be read until Release.
func (v *View) Paths(s Selection) (paths []string, rows int64, err error) {
	for i := range v.Files {
		f := &v.Files[i]
		if !f.may(s) {
			continue
		}
		name, done, err := v.t.at.local(f.Name, f.Size)
		if err != nil {
			v.t.Report(err)
			return nil, 0, err
		}
		v.lent = append(v.lent, done)
		paths = append(paths, name)
		rows += f.Rows
	}
	return paths, rows, nil
}

func (f *File) may(s Selection) bool {
	if f.To < s.From || f.From > s.To || f.First > s.UpTo || f.Last <= s.After {
		return false
	}
	for _, c := range s.Credentials {
		if f.LeastCredential <= c && c <= f.MostCredential {
			return true
		}
	}
	return len(s.Credentials) == 0
}

// Span is the smallest range of positions that holds every row of a selection as far as whole files
// say; ok is false when no file and no row in memory can hold one.
func (v *View) Span(s Selection) (first, last int64, ok bool) {
	widen := func(a, b int64) {
		if !ok {
			first, last, ok = a, b, true
		}
		first, last = min(first, a), max(last, b)
	}
	for i := range v.Files {
		if f := &v.Files[i]; f.may(s) {
			widen(f.First, f.Last)
		}
	}
	for r := range v.tail.all() {
		if r.Time >= s.From && r.Time <= s.To {
			widen(r.Seq, r.Seq)
		}
	}
	return first, last, ok
}

// Scan calls fn with every row that a selection may be about and some that it is not: what whole
// files, groups of rows and, of credentials, their order do not rule out. It goes day by day, in no
// order within a day, and calls dayEnds after each with the time, in microseconds, at which the next
// begins. fn must not keep the row. An error of reading a file is reported to Damage.
func (v *View) Scan(s Selection, fn func(*Row) error, dayEnds func(next int64) error) error {
	files, tail := map[int32][]*File{}, map[int32][]*Row{}
	days := map[int32]bool{}
	for i := range v.Files {
		if f := &v.Files[i]; f.may(s) {
			files[f.Day], days[f.Day] = append(files[f.Day], f), true
		}
	}
	for r := range v.tail.all() {
		if r.Time >= s.From && r.Time <= s.To {
			tail[r.day()], days[r.day()] = append(tail[r.day()], r), true
		}
	}
	for _, day := range slices.Sorted(maps.Keys(days)) {
		for _, f := range files[day] {
			if err := f.scan(v.t.at, s, v.unerased(f, fn)); err != nil {
				v.t.Report(err)
				return err
			}
		}
		for _, r := range tail[day] {
			if err := fn(r); err != nil {
				return err
			}
		}
		if err := dayEnds((int64(day) + 1) * dayLength); err != nil {
			return err
		}
	}
	return nil
}

// scan reads those groups of rows of a file that a selection may be about.
func (f *File) scan(p place, s Selection, fn func(*Row) error) error {
	file, done, err := f.openParquet(p)
	if err != nil {
		return err
	}
	defer done()
	damaged := func(err error) error { return fmt.Errorf("table: %s %w: %w", f.Name, errDamaged, err) }
	for _, g := range file.RowGroups() {
		list, err := narrow(g, s)
		if err != nil {
			return damaged(err)
		}
		if len(list) == 0 {
			continue
		}
		in := parquet.NewGenericRowGroupReader[Row](g, rowSchema)
		rows := make([]Row, 512)
		var values rowValues
		for _, part := range list {
			if err = in.SeekToRow(part.from); err != nil {
				break
			}
			for part.from < part.to && err == nil {
				clear(rows)
				var n int
				n, err = values.read(in, rows[:min(int64(len(rows)), part.to-part.from)])
				part.from += int64(n)
				for i := range n {
					rows[i].unpack()
					if err := fn(&rows[i]); err != nil {
						return errors.Join(err, in.Close())
					}
				}
				if err == nil && n == 0 {
					err = io.ErrUnexpectedEOF
				}
			}
			if errors.Is(err, io.EOF) && part.from >= part.to {
				err = nil
			}
			if err != nil {
				break
			}
		}
		if err = errors.Join(err, in.Close()); err != nil {
			return damaged(err)
		}
	}
	return nil
}

// stretch is rows of a group that stand together: from is one of them, to is not.
type stretch struct{ from, to int64 }

// fewRows is how many rows between two stretches are read rather than gone over.
const fewRows = 1024

// narrow says which rows of a group a selection may be about: none when the bounds of a column rule
// the group out, else those of its credentials, its values, its time and its positions. Rows are in order
// of credential, actor and time, so that those of a question often stand together or nearly so. Of a
// column that a question is about all values are read: that is far less than whole rows.
func narrow(g parquet.RowGroup, s Selection) ([]stretch, error) {
	chunks := g.ColumnChunks()
	for name, values := range s.Values {
		column, ok := rowSchema.Lookup(name)
		if !ok || len(values) == 0 {
			continue
		}
		index, err := chunks[column.ColumnIndex].ColumnIndex()
		if err != nil {
			return nil, err
		}
		if !bounds(index, values) {
			return nil, nil
		}
	}
	var out []bool // rows that are not asked for
	left := g.NumRows()
	leave := func(column int, not func(parquet.Value) bool) error {
		if out == nil {
			out = make([]bool, g.NumRows())
		}
		n, err := leaveOut(out, chunks[column], not)
		left -= n
		return err
	}
	for _, c := range []struct {
		name     string
		from, to int64
	}{{"time", s.From, s.To}, {"seq", s.After + 1, s.UpTo}} {
		column, ok := rowSchema.Lookup(c.name)
		if !ok {
			continue
		}
		index, err := chunks[column.ColumnIndex].ColumnIndex()
		if err != nil {
			return nil, err
		}
		if !during(index, c.from, c.to) {
			return nil, nil
		}
		if out != nil && left <= fewRows || whole(index, c.from, c.to) {
			continue
		}
		if err := leave(column.ColumnIndex, func(v parquet.Value) bool { return v.Int64() < c.from || v.Int64() > c.to }); err != nil {
			return nil, err
		}
	}
	if column, ok := rowSchema.Lookup("credential"); ok && len(s.Credentials) > 0 {
		if err := leave(column.ColumnIndex, func(v parquet.Value) bool { return !slices.Contains(s.Credentials, string(v.ByteArray())) }); err != nil {
			return nil, err
		}
	}
	for name, values := range s.Values {
		column, ok := rowSchema.Lookup(name)
		if !ok || len(values) == 0 || out != nil && left <= fewRows { // so few are read sooner than a column of the whole group
			continue
		}
		if err := leave(column.ColumnIndex, func(v parquet.Value) bool { return !slices.Contains(values, string(v.ByteArray())) }); err != nil {
			return nil, err
		}
	}
	if out == nil {
		return []stretch{{0, g.NumRows()}}, nil
	}
	var list []stretch
	for i, not := range out {
		switch row := int64(i); {
		case not:
		case len(list) > 0 && row-list[len(list)-1].to <= fewRows:
			list[len(list)-1].to = row + 1
		default:
			list = append(list, stretch{row, row + 1})
		}
	}
	return list, nil
}

// leaveOut marks those rows of a group whose value in a column is not asked for, and says how many it
// marked that were not yet.
func leaveOut(out []bool, chunk parquet.ColumnChunk, not func(parquet.Value) bool) (marked int64, err error) {
	pages := chunk.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	row := 0
	values := make([]parquet.Value, 1024)
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return marked, nil
		}
		if err != nil {
			return marked, err
		}
		in := page.Values()
		for {
			n, err := in.ReadValues(values)
			for i := range n {
				if row < len(out) && !out[row] && not(values[i]) {
					out[row] = true
					marked++
				}
				row++
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				parquet.Release(page)
				return marked, err
			}
		}
		parquet.Release(page)
	}
}

// whole says whether every row of a group lies within a window, both ends included.
func whole(index parquet.ColumnIndex, from, to int64) bool {
	for page := range index.NumPages() {
		if index.MinValue(page).Int64() < from || index.MaxValue(page).Int64() > to {
			return false
		}
	}
	return true
}

// during says whether a page of the times of a group overlaps a window, both ends included.
func during(index parquet.ColumnIndex, from, to int64) bool {
	for page := range index.NumPages() {
		if index.MinValue(page).Int64() <= to && index.MaxValue(page).Int64() >= from {
			return true
		}
	}
	return index.NumPages() == 0
}

// bounds says whether one of the values lies within what the pages of a column hold.
func bounds(index parquet.ColumnIndex, values []string) bool {
	for page := range index.NumPages() {
		least, most := index.MinValue(page).ByteArray(), index.MaxValue(page).ByteArray()
		for _, v := range values {
			if string(least) <= v && (len(most) == 0 || v <= string(most) || strings.HasPrefix(v, string(most))) {
				return true
			}
		}
	}
	return index.NumPages() == 0
}

// Loose writes those rows of the memory that keep chooses to a file beside the table, for whoever
// reads files only, and returns its path; "" when there are none. remove takes it away; one that a
// crash leaves goes at the next start.
func (v *View) Loose(keep func(*Row) bool) (path string, rows int64, remove func() error, err error) {
	var kept []*Row
	for r := range v.tail.all() {
		if keep(r) {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		return "", 0, func() error { return nil }, nil
	}
	sortRows(kept)
	w, err := newWriter(v.t.o.Dir, fastCodec)
	if err != nil {
		return "", 0, nil, err
	}
	for _, r := range kept {
		if err = w.add(r); err != nil {
			break
		}
	}
	if err == nil {
		err = w.close()
	}
	if err != nil {
		return "", 0, nil, errors.Join(err, w.abandon())
	}
	return w.temp, int64(len(kept)), func() error { return os.Remove(w.temp) }, nil
}
