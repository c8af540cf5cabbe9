package accesslog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The limits of one batch.
const (
	MaxBatch      = 10_000  // events
	MaxBatchBytes = 8 << 20 // after decompression
)

// The errors of Ingest that refuse a whole batch; nothing of it was taken.
var (
	ErrTooLarge = fmt.Errorf("accesslog: the batch is larger than %d events or %d MiB: send it in parts", MaxBatch, MaxBatchBytes>>20)
	ErrFormat   = errors.New("accesslog: the batch is not in a known format: native NDJSON, a JSON array of events, or cloudtrail")
	ErrBusy     = errors.New("accesslog: more events are waiting for the disk than may: try again in a second")
	ErrClosed   = errors.New("accesslog: the store is closed")
	ErrReadOnly = errors.New("accesslog: the store was opened for reading only")
)

// The formats of a batch.
const (
	FormatAuto       = "auto"
	FormatNative     = "native"
	FormatCloudTrail = "cloudtrail"
)

// piece is one event of a batch as it was sent.
type piece struct {
	line   int // from 1; of an array, the line on which the event begins
	offset int // of its first byte in the batch
	raw    []byte
}

// readBody reads a batch, unpacking gzip, which it knows by its first bytes.
func readBody(r io.Reader) ([]byte, error) {
	br := bufio.NewReader(io.LimitReader(r, MaxBatchBytes+1))
	var src io.Reader = br
	if magic, _ := br.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("%w (damaged gzip)", ErrFormat)
		}
		src = z
	}
	body, err := io.ReadAll(io.LimitReader(src, MaxBatchBytes+1))
	if len(body) > MaxBatchBytes {
		return nil, ErrTooLarge
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) {
		return nil, fmt.Errorf("%w (the body ends early or is damaged)", ErrFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("accesslog: read the batch: %w", err)
	}
	return body, nil
}

// split cuts a batch into events and says which format they are in.
func split(body []byte, format string) ([]piece, string, error) {
	start := len(body) - len(bytes.TrimLeft(body, " \t\r\n"))
	if start == len(body) {
		return nil, FormatNative, nil
	}
	switch format {
	case "", FormatAuto:
		if body[start] == '{' && startsTrail(body[start:]) {
			return splitTrail(body, start)
		}
	case FormatCloudTrail:
		return splitTrail(body, start)
	case FormatNative:
	default:
		return nil, "", ErrFormat
	}
	switch body[start] {
	case '[':
		pieces, err := splitArray(body, start)
		return pieces, FormatNative, err
	case '{':
		pieces, err := splitLines(body)
		return pieces, FormatNative, err
	}
	// A first line that is not JSON may be one bad line among good ones.
	pieces, err := splitLines(body)
	return pieces, FormatNative, err
}

func startsTrail(b []byte) bool {
	b = bytes.TrimLeft(b[1:], " \t\r\n")
	return bytes.HasPrefix(b, []byte(`"Records"`))
}

func splitLines(body []byte) ([]piece, error) {
	var out []piece
	line, offset := 0, 0
	for raw := range bytes.Lines(body) {
		line++
		at := offset
		offset += len(raw)
		raw = bytes.TrimRight(raw, "\r\n")
		if len(bytes.TrimSpace(raw)) == 0 {
			continue
		}
		if len(out) == MaxBatch {
			return nil, ErrTooLarge
		}
		out = append(out, piece{line: line, offset: at, raw: raw})
	}
	return out, nil
}

// splitArray cuts the elements of the JSON array that begins at start.
func splitArray(body []byte, start int) ([]piece, error) {
	dec := json.NewDecoder(bytes.NewReader(body[start:]))
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w (not JSON)", ErrFormat)
	}
	var out []piece
	line, counted := 1, 0
	for dec.More() {
		if len(out) == MaxBatch {
			return nil, ErrTooLarge
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("%w (the array breaks at byte %d)", ErrFormat, start+int(dec.InputOffset()))
		}
		at := start + int(dec.InputOffset()) - len(raw)
		line += bytes.Count(body[counted:at], []byte("\n"))
		counted = at
		out = append(out, piece{line: line, offset: at, raw: raw})
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w (the array does not end)", ErrFormat)
	}
	return out, nil
}

// splitTrail cuts the records of a CloudTrail file, {"Records":[…]}.
func splitTrail(body []byte, start int) ([]piece, string, error) {
	open := bytes.IndexByte(body[start:], '[')
	if body[start] != '{' || !startsTrail(body[start:]) || open < 0 {
		return nil, "", fmt.Errorf("%w (a cloudtrail file begins with {\"Records\":[)", ErrFormat)
	}
	pieces, err := splitArray(body, start+open)
	return pieces, FormatCloudTrail, err
}
