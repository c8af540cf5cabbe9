package format

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/valyala/fastjson"
)

// The formats of a batch. Auto recognises each of the others.
const (
	Auto       = "auto"
	Native     = "native"     // access events as JSON, one a line or an array
	OCSF       = "ocsf"       // classes 6003, 6005 and 3002
	OTLP       = "otlp"       // an export request of OpenTelemetry logs
	CloudTrail = "cloudtrail" // AWS
	GCP        = "gcp"        // Google Cloud audit logs
	Combined   = "access"     // nginx, Apache: common and combined log format
	Postgres   = "pgaudit"    // PostgreSQL: csvlog or standard error, with or without pgaudit
	Shopify    = "shopify"    // an export of the Dev Dashboard's logs, CSV or JSON
	GitHub     = "github"     // the audit log of an organisation or an enterprise
	Okta       = "okta"       // the System Log

	// Protobuf is OTLP in protobuf. Only a content type tells it from other bytes, so it is not
	// among Names.
	Protobuf = "otlp+protobuf"
)

// Names are the formats a sender may name.
func Names() []string {
	return []string{Auto, Native, OCSF, OTLP, CloudTrail, GCP, Combined, Postgres, Shopify, GitHub, Okta}
}

// MaxRaw is the largest entry as sent, in bytes.
const MaxRaw = 128 << 10

// FormatError says why a whole batch cannot be read; its text names no value.
type FormatError struct{ Reason string }

func (e *FormatError) Error() string { return "the batch " + e.Reason }

// TooMany says that a batch has more entries than it may.
type TooMany struct{ Most int }

func (e *TooMany) Error() string { return fmt.Sprintf("the batch has more than %d entries", e.Most) }

// Batch is a body cut into entries.
type Batch struct {
	Format string

	pieces []piece
	broken *Invalid // of the last piece, when an array breaks there
	header []string // of a CSV file, else nil

	records []record // of OTLP, instead of pieces
	arena   fastjson.Arena
}

// piece is one entry as it was sent.
type piece struct {
	line   int // from 1; in an array, the line on which the entry begins
	offset int // of its first byte
	raw    []byte
}

// Len is the number of entries.
func (b *Batch) Len() int { return max(len(b.pieces), len(b.records)) }

// Line is the line on which the i-th entry begins, from 1; of OTLP, its place among the records.
func (b *Batch) Line(i int) int {
	if b.records != nil {
		return i + 1
	}
	return b.pieces[i].line
}

// Offset is the position of the i-th entry in the body, in bytes; of OTLP, among the records.
func (b *Batch) Offset(i int) int {
	if b.records != nil {
		return i
	}
	return b.pieces[i].offset
}

// Raw is the i-th entry as sent; nothing for OTLP.
func (b *Batch) Raw(i int) []byte {
	if b.records != nil {
		return nil
	}
	return b.pieces[i].raw
}

// Cut cuts a body into entries, at most most of them. With Auto or nothing as the format it
// recognises one. The batch keeps using body. The error is a *FormatError or a *TooMany.
func Cut(body []byte, format string, most int) (*Batch, error) {
	b := &Batch{Format: format}
	if format == Protobuf {
		b.Format = OTLP
		return b, b.protobuf(body, most)
	}
	start := len(body) - len(bytes.TrimLeft(bytes.TrimPrefix(body, bom), " \t\r\n"))
	if start == len(body) {
		b.Format = Native
		return b, nil
	}
	if format == "" || format == Auto {
		b.Format = Recognise(body[start:])
	}
	switch b.Format {
	case OTLP:
		return b, b.otlpJSON(body[start:], most)
	case Postgres:
		return b, b.entries(body, start, most, func(line []byte) bool { return pgBegins.Match(line) })
	case Combined:
		return b, b.entries(body, start, most, nil)
	case Native, OCSF, CloudTrail, GCP, Shopify, GitHub, Okta:
	default:
		return nil, &FormatError{"is in a format that is not one of native, ocsf, otlp, cloudtrail, gcp, access, pgaudit, shopify, github, okta"}
	}
	if open := container(body[start:]); open >= 0 {
		return b, b.array(body, start+open, most)
	}
	if b.Format == Shopify && body[start] != '{' {
		return b, b.csv(body, start, most)
	}
	return b, b.entries(body, start, most, nil)
}

var bom = []byte("\xef\xbb\xbf")

// entries cuts a body at line ends. When begins is given, a line that does not begin an entry
// belongs to the one before it, as the later lines of a logged statement do.
func (b *Batch) entries(body []byte, start, most int, begins func([]byte) bool) error {
	line, at := 1+bytes.Count(body[:start], newline), start
	b.pieces = make([]piece, 0, min(most, 1+bytes.Count(body[start:], newline)))
	for at < len(body) {
		end := bytes.IndexByte(body[at:], '\n')
		next := at + end + 1
		if end < 0 {
			next = len(body)
		}
		raw := bytes.TrimRight(body[at:next], "\r\n")
		switch {
		case len(bytes.TrimSpace(raw)) == 0:
		case begins != nil && len(b.pieces) > 0 && !begins(raw):
			last := &b.pieces[len(b.pieces)-1]
			last.raw = body[last.offset : at+len(raw)]
		case len(b.pieces) == most:
			return &TooMany{most}
		default:
			b.pieces = append(b.pieces, piece{line: line, offset: at, raw: raw})
		}
		line++
		at = next
	}
	return nil
}

var newline = []byte{'\n'}

// csv cuts a file of CSV with a header into rows; a quoted value may hold line ends.
func (b *Batch) csv(body []byte, start, most int) error {
	line, at := 1+bytes.Count(body[:start], newline), start
	for at < len(body) {
		next := rowEnd(body, at)
		raw := bytes.TrimRight(body[at:next], "\r\n")
		if len(bytes.TrimSpace(raw)) > 0 {
			switch {
			case b.header == nil:
				header, err := csvRecord(raw)
				if err != nil {
					return &FormatError{"does not begin with a row of column names"}
				}
				b.header = header
			case len(b.pieces) == most:
				return &TooMany{most}
			default:
				b.pieces = append(b.pieces, piece{line: line, offset: at, raw: raw})
			}
		}
		line += bytes.Count(body[at:next], newline)
		at = next
	}
	return nil
}

// rowEnd is where the row that begins at at ends: after the line end outside of quotes.
func rowEnd(body []byte, at int) int {
	in := false
	for i := at; i < len(body); i++ {
		switch body[i] {
		case '"':
			in = !in
		case '\n':
			if !in {
				return i + 1
			}
		}
	}
	return len(body)
}

// array cuts the elements of the JSON array that begins at open, and of those in the documents that
// follow, as in files that were put one behind the other; what follows and is no such document is
// read line by line. An element that breaks the array ends it: what came before is taken, and the
// broken element is refused by its line.
func (b *Batch) array(body []byte, open, most int) error {
	line, counted := 1, 0
	add := func(at, end int) error {
		if len(b.pieces) == most {
			return &TooMany{most}
		}
		line += bytes.Count(body[counted:at], newline)
		counted = at
		b.pieces = append(b.pieces, piece{line: line, offset: at, raw: bytes.TrimRight(body[at:end], " \t\r\n")})
		return nil
	}
	for at := open + 1; ; {
		at = skip(body, at)
		if at < len(body) && body[at] == ']' {
			end := documentEnd(body, open, at)
			if at = skip(body, end); at == len(body) {
				return nil
			}
			next := container(body[at:])
			if next < 0 {
				before := b.pieces
				err := b.entries(body, at, most-len(before), nil)
				b.pieces = append(before, b.pieces...)
				return err
			}
			open = at + next
			at = open + 1
			continue
		}
		end := valueEnd(body, at)
		if end < 0 {
			b.broken = &Invalid{"event", "breaks the array: what follows it was not read"}
			return add(at, len(body))
		}
		if err := add(at, end); err != nil {
			return err
		}
		if at = skip(body, end); at < len(body) && body[at] == ',' {
			at++
		}
	}
}

// documentEnd is where the document ends whose array begins at open and ends at closed: there, or
// with the object that the array is a member of.
func documentEnd(body []byte, open, closed int) int {
	if before := bytes.TrimRight(body[:open], " \t\r\n"); len(before) == 0 || before[len(before)-1] != ':' {
		return closed + 1
	}
	for at := closed + 1; ; at++ {
		if at = valueEnd(body, at); at < 0 {
			return len(body)
		}
		if body[at] != ',' {
			return at + 1
		}
	}
}

func skip(body []byte, at int) int {
	for at < len(body) && (body[at] == ' ' || body[at] == '\t' || body[at] == '\r' || body[at] == '\n') {
		at++
	}
	return at
}

// valueEnd is the end of the JSON value at at: before the comma or the bracket that follows it on
// its own level. -1 when there is none.
func valueEnd(body []byte, at int) int {
	level := 0
	for i := at; i < len(body); i++ {
		switch body[i] {
		case '"':
			for i++; i < len(body) && body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			level++
		case '}', ']':
			if level == 0 {
				return i
			}
			level--
		case ',':
			if level == 0 {
				return i
			}
		}
	}
	return -1
}

// container finds the array of entries: the body itself, or the member that CloudTrail's files
// (Records) and answers of Google's API (entries) and other exports have it in. -1 when the body
// is no such document.
func container(body []byte) int {
	if body[0] == '[' {
		return 0
	}
	if body[0] != '{' {
		return -1
	}
	at := skip(body, 1)
	for at < len(body) && body[at] == '"' {
		end := valueEnd(body, at) // the name and its value
		if end < 0 {
			end = len(body)
		}
		for _, name := range []string{"Records", "entries", "logs", "events"} {
			rest, ok := bytes.CutPrefix(body[at:], []byte(`"`+name+`"`))
			if !ok {
				continue
			}
			rest = bytes.TrimLeft(rest, " \t\r\n")
			if rest, ok = bytes.CutPrefix(rest, []byte{':'}); !ok {
				continue
			}
			if rest = bytes.TrimLeft(rest, " \t\r\n"); len(rest) > 0 && rest[0] == '[' {
				return len(body) - len(rest)
			}
		}
		if at = skip(body, end); at >= len(body) || body[at] != ',' {
			return -1
		}
		at = skip(body, at+1)
	}
	return -1
}

// Recognise says which format a body is in by its first entries; Native when nothing else fits,
// because a first line that is not JSON may be one bad line among good ones.
func Recognise(body []byte) string {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, bom), " \t\r\n")
	if len(body) == 0 {
		return Native
	}
	b := &Batch{}
	if open := container(body); open >= 0 {
		if bytes.HasPrefix(bytes.TrimLeft(body[1:], " \t\r\n"), []byte(`"Records"`)) {
			return CloudTrail
		}
		_ = b.array(body, open, 8)
	} else {
		_ = b.entries(body[:min(len(body), 1<<20)], 0, 8, nil)
	}
	var p fastjson.Parser
	for i, piece := range b.pieces {
		if name := recogniseOne(&p, piece.raw, i == 0); name != "" {
			return name
		}
	}
	if bytes.HasPrefix(body, []byte{'{'}) && bytes.Contains(body[:min(len(body), 4096)], []byte(`"resourceLogs"`)) {
		return OTLP // over several lines
	}
	return Native
}

func recogniseOne(p *fastjson.Parser, raw []byte, top bool) string {
	if len(raw) > 0 && raw[0] != '{' {
		header, err := csvRecord(raw)
		switch {
		case top && err == nil && looksShopify(header):
			return Shopify
		case pgLine.Match(raw), isCSVLog(raw):
			return Postgres
		case looksCombined(raw):
			return Combined
		}
		return ""
	}
	v, err := p.ParseBytes(raw)
	if err != nil {
		return ""
	}
	switch {
	case v.Exists("resourceLogs"):
		return OTLP
	case v.Exists("class_uid"):
		return OCSF
	case v.Exists("eventName") && v.Exists("eventSource"):
		return CloudTrail
	case v.Exists("protoPayload"):
		return GCP
	case looksOkta(v), looksOkta(v.Get("detail")):
		return Okta
	case looksGitHub(v), looksGitHub(v.Get("event")):
		return GitHub
	case v.Exists("time") && (v.Exists("actor") || v.Exists("kind") || v.Exists("merchant")):
		return Native
	case looksShopify(objectNames(v)):
		return Shopify
	}
	return ""
}

func objectNames(v *fastjson.Value) []string {
	var out []string
	if o, err := v.Object(); err == nil {
		o.Visit(func(key []byte, _ *fastjson.Value) { out = append(out, string(key)) })
	}
	return out
}

// Decoder turns the entries of one batch into events, one after the other.
type Decoder struct {
	batch   *Batch
	parser  fastjson.Parser
	arena   fastjson.Arena
	event   Event
	ignored func(name string)
}

// Reset gives the decoder a batch. ignored hears the names of fields that no event has; it may be
// nil.
func (d *Decoder) Reset(b *Batch, ignored func(name string)) { d.batch, d.ignored = b, ignored }

func (d *Decoder) ignore(name string) {
	if d.ignored != nil {
		d.ignored(name)
	}
}

// Decode reads the i-th entry. The event and everything in it ends with the next call; an entry
// that is none is an *Invalid, or a *Skip when nothing is wrong with it. What it says is not
// checked yet: see Check.
func (d *Decoder) Decode(i int) (*Event, error) {
	d.event.reset()
	d.arena.Reset()
	err := d.decode(i)
	var bad *Invalid
	if errors.As(err, &bad) {
		err = &Invalid{strings.Clone(bad.Field), bad.Reason} // the name may live in the buffers too
	}
	return &d.event, err
}

func (d *Decoder) decode(i int) error {
	if d.batch.records != nil {
		return d.otlp(&d.batch.records[i])
	}
	if d.batch.broken != nil && i == len(d.batch.pieces)-1 {
		return d.batch.broken
	}
	raw := d.batch.pieces[i].raw
	if len(raw) > MaxRaw {
		return &Invalid{"event", fmt.Sprintf("is larger than %d KiB as sent", MaxRaw>>10)}
	}
	switch d.batch.Format {
	case Native:
		return d.native(raw)
	case OCSF:
		return d.ocsf(raw)
	case CloudTrail:
		return d.cloudTrail(raw)
	case GCP:
		return d.gcp(raw)
	case Combined:
		return d.combined(raw)
	case Postgres:
		return d.postgres(raw)
	case Shopify:
		return d.shopify(raw)
	case GitHub:
		return d.github(raw)
	case Okta:
		return d.okta(raw)
	}
	return &FormatError{"is in a format that was not cut"}
}
