package format

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Entry is one entry of a stream as it was written.
type Entry struct {
	Line   int   // from 1
	Offset int64 // of its first byte
	End    int64 // of the byte after it and its line end
	Raw    []byte
}

// Limits of a stream.
const (
	maxDocument = 256 << 20 // one JSON document, which has to be held as a whole
	peeked      = 256 << 10 // looked at to recognise a format
)

// Reader reads the entries of a stream of any length, so that a file can be sent in parts without
// cutting an entry in two.
type Reader struct {
	in     *bufio.Reader
	format string
	header []byte // of CSV

	doc    *Batch // when the stream is one JSON document
	next   int
	line   int
	offset int64
	ahead  *Entry // the first line of the entry after this one
}

// NewReader looks at the beginning of a stream. With Auto as the format it recognises one. The
// error is a *FormatError or one of the stream.
func NewReader(r io.Reader, format string) (*Reader, error) {
	in := bufio.NewReaderSize(r, peeked)
	start, err := in.Peek(peeked)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	out := &Reader{in: in, format: format, line: 1}
	if format == Auto || format == "" {
		out.format = Recognise(start)
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(start, bom), " \t\r\n")
	one := len(text) > 0 && (container(text) >= 0 || out.format == OTLP && text[0] == '{' && !json.Valid(firstLine(text)))
	if out.format == Postgres || out.format == Combined || !one {
		if out.format == Shopify && len(text) > 0 && text[0] != '{' {
			e, err := out.line1(true)
			if err != nil {
				return nil, err
			}
			out.header = bytes.TrimPrefix(e.Raw, bom)
		}
		return out, nil
	}
	body, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxDocument {
		return nil, &FormatError{"is one JSON document larger than 256 MiB: write one entry a line, then any size goes"}
	}
	if out.format == OTLP {
		out.doc = &Batch{Format: OTLP, pieces: []piece{{line: 1, raw: body}}}
		return out, nil
	}
	out.doc, err = Cut(body, out.format, 1<<31)
	return out, err
}

func firstLine(b []byte) []byte {
	line, _, _ := bytes.Cut(b, newline)
	return line
}

// Format is the format that was named or recognised.
func (r *Reader) Format() string { return r.format }

// Header is the row of column names of a CSV file; each part of the file needs it in front.
func (r *Reader) Header() []byte { return r.header }

// Next returns the next entry, and io.EOF after the last one. An entry that is longer than any may
// be is returned cut, which the door refuses; what belongs to it is read over.
func (r *Reader) Next() (Entry, error) {
	if r.doc != nil {
		if r.next == len(r.doc.pieces) {
			return Entry{}, io.EOF
		}
		p := r.doc.pieces[r.next]
		r.next++
		var flat bytes.Buffer
		if json.Compact(&flat, p.raw) == nil { // on one line
			p.raw = flat.Bytes()
		} else {
			p.raw = bytes.ReplaceAll(p.raw, newline, []byte{' '})
		}
		return Entry{Line: p.line, Offset: int64(p.offset), End: int64(p.offset + len(p.raw)), Raw: p.raw}, nil
	}
	if r.format != Postgres {
		return r.line1(r.header != nil)
	}
	e := r.ahead
	if r.ahead = nil; e == nil {
		first, err := r.line1(false)
		if err != nil {
			return first, err
		}
		e = &first
	}
	for {
		more, err := r.line1(false)
		if errors.Is(err, io.EOF) {
			return *e, nil
		}
		if err != nil {
			return *e, err
		}
		if pgBegins.Match(more.Raw) {
			r.ahead = &more
			return *e, nil
		}
		if e.End = more.End; len(e.Raw) <= MaxRaw {
			e.Raw = append(append(e.Raw, '\n'), more.Raw...)
		}
	}
}

// line1 reads one line that is not empty; of CSV, a row, whose quoted values may hold line ends.
func (r *Reader) line1(csv bool) (Entry, error) {
	for {
		e := Entry{Line: r.line, Offset: r.offset}
		quotes := 0
		for {
			part, err := r.in.ReadSlice('\n')
			r.offset += int64(len(part))
			if len(e.Raw) <= MaxRaw {
				e.Raw = append(e.Raw, part...)
			}
			if csv {
				quotes += bytes.Count(part, []byte{'"'})
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if len(part) > 0 && part[len(part)-1] == '\n' {
				r.line++
			}
			if err != nil && (!errors.Is(err, io.EOF) || len(bytes.TrimSpace(e.Raw)) == 0) {
				return e, err
			}
			if err != nil || quotes%2 == 0 {
				break
			}
		}
		e.End = r.offset
		if e.Raw = bytes.TrimRight(e.Raw, "\r\n"); len(bytes.TrimSpace(e.Raw)) > 0 {
			return e, nil
		}
	}
}
