package table

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
)

const (
	rowGroup  = 64 << 10 // rows; small, so that a question about one credential reads little
	digestLen = 32       // hex digits of a file's digest in its name
	dayDir    = "time_day="
)

// File is one Parquet file of the table: sorted events of one UTC day. Its name holds the digest
// of its bytes.
type File struct {
	Name     string // below the table's folder: data/time_day=2026-11-22/00000017-DIGEST.parquet
	Day      int32  // since 1970
	Rows     int64
	Size     int64
	First    int64 // smallest and largest position in the log
	Last     int64
	From, To int64 // earliest and latest time, in microseconds

	LeastCredential, MostCredential string

	sequence, snapshot int64 // of the commit that brought it
	follows            int   // tombstones that were applied to it
}

func dayName(day int32) string {
	return time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly)
}

// extent widens what the file says of its rows by one row.
func (f *File) extent(r *Row) {
	if f.Rows == 0 {
		f.Day, f.First, f.Last, f.From, f.To = r.day(), r.Seq, r.Seq, r.Time, r.Time
		f.LeastCredential, f.MostCredential = r.Credential, r.Credential
	}
	f.Rows++
	f.First, f.Last = min(f.First, r.Seq), max(f.Last, r.Seq)
	f.From, f.To = min(f.From, r.Time), max(f.To, r.Time)
	f.LeastCredential, f.MostCredential = min(f.LeastCredential, r.Credential), max(f.MostCredential, r.Credential)
}

// writer writes one file of rows, sorted by order. A crash before the commit that names it leaves a file that nothing names;
// the next Open removes it.
type writer struct {
	temp     string
	out      *os.File
	buffered *bufio.Writer
	hash     interface {
		io.Writer
		Sum([]byte) []byte
	}
	parquet *parquet.GenericWriter[Row]
	file    File
	rows    []Row
}

// The two ways of writing: what has just come in is written fast, what was merged is written once
// and read often. Pages of what has just come in are small, because files are merged with a page of each
// column of each of them in memory; small ones do not pack as well.
var (
	fastCodec  = newCodec(zstd.SpeedFastest, 64<<10)
	smallCodec = newCodec(zstd.SpeedBetterCompression, 256<<10)
)

func newWriter(dir string, with *codec) (*writer, error) {
	out, err := os.CreateTemp(filepath.Join(dir, "tmp"), "file-")
	if err != nil {
		return nil, err
	}
	w := &writer{temp: out.Name(), out: out, hash: sha256.New()}
	w.buffered = bufio.NewWriterSize(io.MultiWriter(out, w.hash), 1<<18)
	w.parquet = parquet.NewGenericWriter[Row](w.buffered, rowSchema,
		parquet.Compression(with), parquet.PageBufferSize(with.page), parquet.MaxRowsPerRowGroup(rowGroup), parquet.DictionaryMaxBytes(2<<20), parquet.DataPageStatistics(false), // the column index has them
		parquet.CreatedBy("tocsin", "1", "table"), parquet.SortingWriterConfig(parquet.SortingColumns(
			parquet.Ascending("credential"), parquet.Ascending("actor"), parquet.Ascending("time"))))
	return w, nil
}

// add appends a row, which must come in order and be of the same day as the others.
func (w *writer) add(r *Row) error {
	w.file.extent(r)
	if w.rows = append(w.rows, *r); len(w.rows) < 1024 {
		return nil
	}
	return w.pass()
}

func (w *writer) pass() error {
	for i := range w.rows {
		w.rows[i].pack()
	}
	_, err := w.parquet.Write(w.rows)
	clear(w.rows)
	w.rows = w.rows[:0]
	return err
}

// end writes what is left of the file.
func (w *writer) end() error {
	if err := w.pass(); err != nil {
		return err
	}
	if err := w.parquet.Close(); err != nil {
		return err
	}
	return w.buffered.Flush()
}

// close ends the file, which is not durable yet and has no name that counts.
func (w *writer) close() error {
	if err := w.end(); err != nil {
		return err
	}
	return w.out.Close()
}

// finish makes the file durable under its name. number makes names of equal files differ.
func (w *writer) finish(to place, number int64) (File, error) {
	err := w.end()
	if err == nil {
		// The commit that names the file must not be on the disk before the file is.
		err = w.out.Sync()
	}
	info, statErr := w.out.Stat()
	if err = errors.Join(err, statErr, w.out.Close()); err != nil {
		return File{}, errors.Join(err, os.Remove(w.temp))
	}
	w.file.Size = info.Size()
	w.file.Name = "data/" + dayDir + dayName(w.file.Day) + fmt.Sprintf("/%08d-%s.parquet", number, hex.EncodeToString(w.hash.Sum(nil))[:digestLen])
	return w.file, to.keep(w.temp, w.file.Name)
}

func (w *writer) abandon() error { return errors.Join(w.out.Close(), os.Remove(w.temp)) }

// writeFile writes sorted rows of one day.
func writeFile(dir string, to place, rows []*Row, with *codec, number int64) (File, error) {
	w, err := newWriter(dir, with)
	if err != nil {
		return File{}, err
	}
	for _, r := range rows {
		if err := w.add(r); err != nil {
			return File{}, errors.Join(err, w.abandon())
		}
	}
	return w.finish(to, number)
}

// errDamaged says that a file of the table is not what was written.
var errDamaged = errors.New("is damaged or missing")

// stands checks at little cost that the file is there, whole in length, and ends as Parquet does. have
// are the files of the place.
func (f *File) stands(p place, have map[string]int64) error {
	size, ok := have[f.Name]
	if !ok {
		return fmt.Errorf("table: %s %w", f.Name, errDamaged)
	}
	if size != f.Size || f.Size < 12 {
		return fmt.Errorf("table: %s %w: it has another length", f.Name, errDamaged)
	}
	if _, away := p.(folder); !away {
		return nil // a file is compared with its digest when it is fetched
	}
	at, done, err := f.file(p)
	if err != nil {
		return err
	}
	defer done()
	var end [4]byte
	if _, err := at.ReadAt(end[:], f.Size-4); err != nil || string(end[:]) != "PAR1" {
		return fmt.Errorf("table: %s %w: it does not end as it was written", f.Name, errDamaged)
	}
	return nil
}

// file opens the file for reading.
func (f *File) file(p place) (*os.File, func(), error) {
	name, done, err := p.local(f.Name, f.Size)
	if err != nil {
		return nil, nil, err
	}
	at, err := os.Open(name)
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("table: %s %w: %w", f.Name, errDamaged, err)
	}
	return at, func() { _ = at.Close(); done() }, nil // it was read only
}

// verify reads the whole file and compares it with the digest in its name.
func (f *File) verify(p place) error {
	at, done, err := f.file(p)
	if err != nil {
		return err
	}
	defer done()
	hash := sha256.New()
	if _, err := io.Copy(hash, at); err != nil {
		return fmt.Errorf("table: %s %w: %w", f.Name, errDamaged, err)
	}
	if digestOf(f.Name) != hex.EncodeToString(hash.Sum(nil))[:digestLen] {
		return fmt.Errorf("table: %s %w: its bytes are not those that were written", f.Name, errDamaged)
	}
	return nil
}

// digestOf is the digest in the name of a file.
func digestOf(name string) string {
	_, rest, _ := strings.Cut(path.Base(name), "-")
	return strings.TrimSuffix(rest, ".parquet")
}

// rows calls fn with each row of the file, in its order. fn must not keep the row.
func (f *File) rows(p place, fn func(*Row) error) error {
	r, err := f.open(p)
	if err != nil {
		return err
	}
	defer r.close()
	for {
		row, err := r.next()
		if row == nil || err != nil {
			return err
		}
		if err := fn(row); err != nil {
			return err
		}
	}
}

// reader reads the rows of one file one by one.
type reader struct {
	name    string
	done    func()
	parquet *parquet.GenericReader[Row]
	values  rowValues
	rows    []Row
	have    int
	used    int
	ended   bool
}

func (f *File) open(p place) (*reader, error) {
	file, done, err := f.openParquet(p)
	if err != nil {
		return nil, err
	}
	return &reader{name: f.Name, done: done, parquet: parquet.NewGenericReader[Row](file, rowSchema), rows: make([]Row, 512)}, nil
}

func (f *File) openParquet(p place) (*parquet.File, func(), error) {
	at, done, err := f.file(p)
	if err != nil {
		return nil, nil, err
	}
	file, err := parquet.OpenFile(at, f.Size)
	if err != nil {
		done()
		return nil, nil, fmt.Errorf("table: %s %w: %w", f.Name, errDamaged, err)
	}
	return file, done, nil
}

// next returns the next row, which is valid until the call after the next; nil at the end.
func (r *reader) next() (*Row, error) {
	for r.used == r.have {
		if r.ended {
			return nil, nil
		}
		clear(r.rows)
		n, err := r.values.read(r.parquet, r.rows)
		for i := range n {
			r.rows[i].unpack()
		}
		if r.have, r.used = n, 0; errors.Is(err, io.EOF) {
			r.ended = true
		} else if err != nil {
			return nil, fmt.Errorf("table: %s %w: %w", r.name, errDamaged, err)
		}
	}
	r.used++
	return &r.rows[r.used-1], nil
}

func (r *reader) close() {
	_ = r.parquet.Close() // it was read only
	r.done()
}
