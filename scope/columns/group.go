package columns

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// texts is a column of text of one group of rows: its values, each once, and which of them every row has.
type texts struct {
	index  []int32
	values []string
}

// group reads columns of one group of rows. Its memory is used for the next.
type group struct {
	of     *parquet.File
	rows   parquet.RowGroup
	text   map[string]*texts
	have   map[string]bool // of text: those of this group
	times  []int64         // nanoseconds
	rest   []int64
	seqs   []int64
	counts []int64 // records

	starts    []int32 // of each row and after the last: where its customers begin in customers
	customers []int32 // numbers of tokens
	tokens    [][2]uint64
}

func (g *group) chunk(path ...string) (parquet.ColumnChunk, error) {
	column, ok := g.of.Schema().Lookup(path...)
	if !ok {
		return nil, fmt.Errorf("there is no column %s", path[0])
	}
	return g.rows.ColumnChunks()[column.ColumnIndex], nil
}

// bounds is the smallest and the largest number of a column; ok is false when that is not known.
func (g *group) bounds(name string) (least, most int64, ok bool, err error) {
	chunk, err := g.chunk(name)
	if err != nil {
		return 0, 0, false, err
	}
	index, err := chunk.ColumnIndex()
	if err != nil {
		return 0, 0, false, err
	}
	for page := range index.NumPages() {
		if index.NullPage(page) {
			return 0, 0, false, nil
		}
		a, b := index.MinValue(page).Int64(), index.MaxValue(page).Int64()
		if page == 0 {
			least, most = a, b
		}
		least, most, ok = min(least, a), max(most, b), true
	}
	return least, most, ok, nil
}

// pages calls fn with each page of a column.
func pages(chunk parquet.ColumnChunk, fn func(parquet.Page) error) (err error) {
	in := chunk.Pages()
	defer func() { err = errors.Join(err, in.Close()) }()
	for {
		page, err := in.ReadPage()
		if ended(err) {
			return nil
		}
		if err != nil {
			return err
		}
		err = fn(page)
		parquet.Release(page)
		if err != nil {
			return err
		}
	}
}

// column returns a column of text, which is read once.
func (g *group) column(name string) (*texts, error) {
	t := g.text[name]
	if t == nil {
		t = &texts{}
		g.text[name] = t
	}
	if g.have[name] {
		return t, nil
	}
	chunk, err := g.chunk(name)
	if err != nil {
		return nil, err
	}
	t.index, t.values = t.index[:0], t.values[:0]
	var dictionary parquet.Dictionary
	var numbers map[string]int32 // of values without a dictionary
	err = pages(chunk, func(page parquet.Page) error {
		data := page.Data()
		if d := page.Dictionary(); d != nil {
			if dictionary == nil {
				if len(t.values) > 0 {
					return fmt.Errorf("column %s: a dictionary follows plain values", name)
				}
				dictionary, t.values = d, split(t.values, d.Page().Data())
			}
			t.index = append(t.index, data.Int32()...)
			return nil
		}
		if numbers == nil {
			numbers = make(map[string]int32, len(t.values))
			for i, v := range t.values {
				numbers[v] = int32(i)
			}
		}
		for _, v := range split(nil, data) {
			n, ok := numbers[v]
			if !ok {
				n = int32(len(t.values))
				numbers[v], t.values = n, append(t.values, v)
			}
			t.index = append(t.index, n)
		}
		return nil
	})
	if err == nil && int64(len(t.index)) != g.rows.NumRows() {
		err = fmt.Errorf("column %s has %d values of %d", name, len(t.index), g.rows.NumRows())
	}
	g.have[name] = err == nil
	return t, err
}

// split appends the texts of a page, which share one copy of it.
func split(into []string, v encoding.Values) []string {
	data, offsets := v.ByteArray()
	all := string(data)
	for i := 1; i < len(offsets); i++ {
		into = append(into, all[offsets[i-1]:offsets[i]])
	}
	return into
}

// numbers reads a column of numbers.
func (g *group) numbers(name string, into []int64) ([]int64, error) {
	chunk, err := g.chunk(name)
	if err != nil {
		return nil, err
	}
	into = into[:0]
	err = pages(chunk, func(page parquet.Page) error {
		data := page.Data()
		d := page.Dictionary()
		if d == nil {
			into = appendNumbers(into, data)
			return nil
		}
		values := appendNumbers(nil, d.Page().Data())
		for _, n := range data.Int32() {
			into = append(into, values[n])
		}
		return nil
	})
	if err == nil && int64(len(into)) != g.rows.NumRows() {
		err = fmt.Errorf("column %s has %d values of %d", name, len(into), g.rows.NumRows())
	}
	return into, err
}

func appendNumbers(into []int64, v encoding.Values) []int64 {
	if v.Kind() == encoding.Int32 {
		for _, n := range v.Int32() {
			into = append(into, int64(n))
		}
		return into
	}
	return append(into, v.Int64()...)
}

// readTimes reads when every row was.
func (g *group) readTimes() (err error) {
	if g.times, err = g.numbers("time", g.times); err != nil {
		return err
	}
	least, most, ok, err := g.rest32()
	if err != nil {
		return err
	}
	if ok && least == most {
		for i := range g.times {
			g.times[i] = g.times[i]*1000 + least
		}
		return nil
	}
	if g.rest, err = g.numbers("time_rest", g.rest); err != nil {
		return err
	}
	for i := range g.times {
		g.times[i] = g.times[i]*1000 + g.rest[i]
	}
	return nil
}

// rest32 is bounds of what times have beyond microseconds, a column of 32 bits.
func (g *group) rest32() (least, most int64, ok bool, err error) {
	chunk, err := g.chunk("time_rest")
	if err != nil {
		return 0, 0, false, err
	}
	index, err := chunk.ColumnIndex()
	if err != nil {
		return 0, 0, false, err
	}
	for page := range index.NumPages() {
		a, b := int64(index.MinValue(page).Int32()), int64(index.MaxValue(page).Int32())
		if page == 0 {
			least, most = a, b
		}
		least, most, ok = min(least, a), max(most, b), true
	}
	return least, most, ok, nil
}

// readCustomers reads the lists of customers.
func (g *group) readCustomers() error {
	chunk, err := g.chunk("customers", "list", "element")
	if err != nil {
		return err
	}
	g.starts, g.customers, g.tokens = g.starts[:0], g.customers[:0], g.tokens[:0]
	var dictionary parquet.Dictionary
	err = pages(chunk, func(page parquet.Page) error {
		data, before := page.Data(), len(g.customers)
		if d := page.Dictionary(); d != nil {
			if dictionary == nil {
				if len(g.tokens) > 0 {
					return errors.New("column customers: a dictionary follows plain values")
				}
				dictionary = d
				if err := g.appendTokens(d.Page().Data()); err != nil {
					return err
				}
			}
			g.customers = append(g.customers, data.Int32()...)
		} else {
			first := len(g.tokens)
			if err := g.appendTokens(data); err != nil {
				return err
			}
			for i := first; i < len(g.tokens); i++ {
				g.customers = append(g.customers, int32(i))
			}
		}
		repeats, defined := page.RepetitionLevels(), page.DefinitionLevels()
		if len(repeats) != len(defined) {
			return errors.New("column customers: its levels do not fit")
		}
		at := int32(before)
		for i, r := range repeats {
			if r == 0 {
				g.starts = append(g.starts, at)
			}
			at += int32(defined[i]) // of a list that must be there 1 is a value and 0 that it has none
		}
		if int(at) != len(g.customers) {
			return errors.New("column customers: its levels do not fit")
		}
		return nil
	})
	if err == nil && int64(len(g.starts)) != g.rows.NumRows() {
		err = fmt.Errorf("column customers has %d lists of %d", len(g.starts), g.rows.NumRows())
	}
	g.starts = append(g.starts, int32(len(g.customers)))
	return err
}

func (g *group) appendTokens(v encoding.Values) error {
	data, size := v.FixedLenByteArray()
	if size != 16 {
		return fmt.Errorf("column customers: a pseudonym of %d bytes", size)
	}
	for ; len(data) >= 16; data = data[16:] {
		g.tokens = append(g.tokens, [2]uint64{binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])})
	}
	return nil
}
