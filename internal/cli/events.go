package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/format"
)

// maxEventLine is the longest line, or the longest JSON value, that is read as one event.
const maxEventLine = 64 << 20

// readEvents cuts a stream into events and calls each with its line: JSON values one on a line or
// over several, arrays of them, CloudTrail files, answers of Google Cloud, lines of a web server's log.
// A line that is none of these is given as it is, so that what reads it says what is wrong with it.
func readEvents(in io.Reader, each func(line int, raw []byte) error) error {
	r := bufio.NewReaderSize(in, 1<<20)
	for line := 1; ; line++ {
		raw, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return &failure{text: fmt.Sprintf("line %d: the events cannot be read to their end", line), hint: "is the file complete, and no line longer than 64 MiB?"}
		}
		body := bytes.TrimSpace(raw)
		switch {
		case len(body) == 0:
		case (body[0] == '{' || body[0] == '[') && !json.Valid(body) && opens(body):
			// A value that goes on over the next lines: the rest is read value by value.
			return values(io.MultiReader(bytes.NewReader(raw), r), line, each)
		default:
			if e := event(line, body, each); e != nil {
				return e
			}
		}
		if err != nil {
			return nil
		}
	}
}

// opens reports whether a text ends inside a JSON value rather than being a broken one.
func opens(body []byte) bool {
	var v json.RawMessage
	err := json.NewDecoder(bytes.NewReader(body)).Decode(&v)
	return errors.Is(err, io.ErrUnexpectedEOF)
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxEventLine {
			return nil, bufio.ErrTooLong
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// event gives one value: an object, the records of a file of them, the elements of an array, or a line
// of a web server's log.
func event(line int, body []byte, each func(line int, raw []byte) error) error {
	switch body[0] {
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(body, &list) == nil {
			for _, raw := range list {
				if err := event(line, bytes.TrimSpace(raw), each); err != nil {
					return err
				}
			}
			return nil
		}
	case '{':
		rest := bytes.TrimLeft(body[1:], " \t\r\n")
		for _, member := range []string{"Records", "entries"} { // files of CloudTrail, answers of Google Cloud
			if !bytes.HasPrefix(rest, []byte(`"`+member+`"`)) {
				continue
			}
			var file map[string]json.RawMessage
			var list []json.RawMessage
			if json.Unmarshal(body, &file) == nil && json.Unmarshal(file[member], &list) == nil {
				for _, raw := range list {
					if err := each(line, bytes.TrimSpace(raw)); err != nil {
						return err
					}
				}
				return nil
			}
		}
		body = format.Inner(body)
	default:
		if raw := webLine(body); raw != nil {
			return each(line, raw)
		}
	}
	return each(line, body)
}

func values(in io.Reader, line int, each func(line int, raw []byte) error) error {
	lines := &lineCounter{r: in}
	dec := json.NewDecoder(lines)
	for {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &failure{text: fmt.Sprintf("line %d: the events are no JSON from here on", line+lines.before(dec.InputOffset())), hint: "write one event on a line, and only what is wrong is left out"}
		}
		at := line + lines.before(dec.InputOffset()-int64(len(raw)))
		if err := event(at, bytes.TrimSpace(raw), each); err != nil {
			return err
		}
	}
}

// lineCounter remembers where the lines of a stream end.
type lineCounter struct {
	r    io.Reader
	read int64
	ends []int64
}

func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// before counts the lines that end before an offset.
func (l *lineCounter) before(offset int64) (n int) {
	for n < len(l.ends) && l.ends[n] < offset {
		n++
	}
	return n
}

// webForm is a line of the common or the combined log format of web servers.
var webForm = regexp.MustCompile(`^(\S+) \S+ (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?`)

// webLine turns such a line into an event with the field names of Sigma's web server rules, nil
// when it is none.
func webLine(line []byte) []byte {
	m := webForm.FindStringSubmatch(string(line))
	if m == nil {
		return nil
	}
	plain := func(s string) string { return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(s) }
	out := map[string]any{"c-ip": m[1], "sc-status": json.Number(m[5])}
	if m[2] != "-" {
		out["cs-username"] = m[2]
	}
	if at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[3]); err == nil {
		out["time"] = at.Format(time.RFC3339)
	}
	request := strings.SplitN(plain(m[4]), " ", 3)
	out["cs-method"] = request[0]
	if len(request) > 1 {
		stem, query, _ := strings.Cut(request[1], "?")
		out["cs-uri"], out["cs-uri-stem"], out["cs-uri-query"] = request[1], stem, query
	}
	if len(request) > 2 {
		out["cs-version"] = request[2]
	}
	if m[6] != "-" {
		out["sc-bytes"] = json.Number(m[6])
	}
	for i, name := range map[int]string{7: "cs-referer", 8: "cs-user-agent"} {
		if v := plain(m[i]); v != "" && v != "-" {
			out[name] = v
		}
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil
	}
	return raw
}
