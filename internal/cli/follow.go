package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/format"
)

const (
	followPoll   = 250 * time.Millisecond
	followWindow = 1 << 20 // bytes looked at between two requests
)

// place is how far a followed file was sent. It is written before a request goes out and after its
// answer, so that a restart in between sends exactly the same bytes under the same key, which the
// server recognises.
type place struct {
	File    string `json:"file"`
	Offset  int64  `json:"offset"`            // everything before it was taken in
	Pending int64  `json:"pending,omitempty"` // up to here a request was under way; 0: none
	Head    string `json:"head"`              // the file's first bytes in hexadecimal: another file under the name has others
}

// headLen is how much of a file tells it from the next one under its name.
const headLen = 256

// follow sends a file as it grows. A file that takes the name of this one is read from its
// beginning, once this one was read to its end.
func (in *ingestion) follow(path, position string) error {
	at, err := readPlace(position)
	if err != nil {
		return err
	}
	for {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) { // between two files of a rotation
			if err := in.pause(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return &failure{text: err.Error()}
		}
		err = in.followOne(f, path, position, &at)
		f.Close()
		if err != nil {
			return err
		}
		at = place{} // the next file under the name
	}
}

// followOne sends what a file has and gets until another one has its name.
func (in *ingestion) followOne(f *os.File, path, position string, at *place) error {
	if at.File != path || !sameHead(f, at.Head) {
		*at = place{File: path}
	}
	var header []byte
	named := in.named
	for {
		info, err := f.Stat()
		if err != nil {
			return &failure{text: err.Error()}
		}
		if info.Size() < at.Offset { // cut back to its beginning by whoever rotates it
			*at = place{File: path}
		}
		end := info.Size()
		if at.Pending > at.Offset && at.Pending <= end {
			end = at.Pending
		}
		window := make([]byte, min(end-at.Offset, followWindow))
		n, err := f.ReadAt(window, at.Offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return &failure{text: err.Error()}
		}
		complete := window[:bytes.LastIndexByte(window[:n], '\n')+1]
		if len(complete) == 0 && n == followWindow {
			return &failure{text: fmt.Sprintf("%s has a line longer than %d bytes at byte %d", path, followWindow, at.Offset)}
		}
		if len(complete) == 0 {
			if renamed(f, path) && info.Size() == at.Offset {
				return nil
			}
			if err := in.pause(); err != nil {
				return err
			}
			continue
		}
		if named == format.Auto {
			named = format.Recognise(complete)
			in.named = named
		}
		p, used, err := in.window(complete, at.Offset, named, &header)
		if err != nil {
			return err
		}
		at.Head, at.Pending = headOf(f), at.Offset+used
		// A crash before this: nothing was sent. After it: the same bytes are sent again.
		if err := writePlace(position, *at); err != nil {
			return err
		}
		if err := in.send(p, named); err != nil {
			return err
		}
		at.Offset, at.Pending = at.Pending, 0
		if err := writePlace(position, *at); err != nil {
			return err
		}
	}
}

// window makes one request of whole lines and says how many bytes of them it holds.
func (in *ingestion) window(lines []byte, offset int64, named string, header *[]byte) (*parcel, int64, error) {
	entries, err := in.entriesOf(lines, named, header)
	if err != nil {
		return nil, 0, err
	}
	p := &parcel{header: *header}
	used := int64(len(lines))
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return p, used, nil
		}
		if err != nil {
			return nil, 0, &failure{text: err.Error()}
		}
		if p.full(e) {
			return p, e.Offset, nil
		}
		e.Offset += offset
		p.add(e)
	}
}

// entriesOf reads lines that may be from the middle of a file: the column names of CSV stand at its
// beginning only.
func (in *ingestion) entriesOf(lines []byte, named string, header *[]byte) (*format.Reader, error) {
	r := io.Reader(bytes.NewReader(lines))
	if *header != nil {
		named = format.Native // rows, one a line
	} else if in.mapping != nil {
		named = format.Native
	}
	entries, err := format.NewReader(r, named)
	if err != nil {
		return nil, &failure{text: err.Error()}
	}
	if h := entries.Header(); h != nil {
		*header = h
	}
	return entries, nil
}

func (in *ingestion) pause() error {
	t := time.NewTimer(followPoll)
	defer t.Stop()
	select {
	case <-in.ctx.Done():
		return in.ctx.Err()
	case <-t.C:
		return nil
	}
}

// renamed says whether the name belongs to another file now, or to none.
func renamed(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	now, err := os.Stat(path)
	return err != nil || !os.SameFile(mine, now)
}

func headOf(f *os.File) string {
	b := make([]byte, headLen)
	n, _ := f.ReadAt(b, 0)
	return fmt.Sprintf("%x", b[:n])
}

// sameHead says whether a file begins as it did; it may have been shorter then.
func sameHead(f *os.File, head string) bool {
	now := headOf(f)
	return head != "" && len(now) >= len(head) && now[:len(head)] == head
}

func readPlace(path string) (place, error) {
	var at place
	if path == "" {
		return at, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, &failure{text: err.Error()}
	}
	if json.Unmarshal(text, &at) != nil {
		return at, &failure{text: path + " is no file of this command's", hint: "name another one with --position, or remove it to send the log from its beginning"}
	}
	return at, nil
}

// writePlace replaces the file as a whole. A crash leaves the old one or the new one.
func writePlace(path string, at place) error {
	if path == "" {
		return nil
	}
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return &failure{text: err.Error()}
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return &failure{text: err.Error()}
	}
	return nil
}
