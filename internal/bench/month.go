package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/table"
)

// monthForm names what month makes up. Whoever changes that changes it, so that no kept table is taken
// for one of another make.
const monthForm = "1"

// made is what is known of a table of a month once it is whole. It lies beside the table when that is
// kept for another run.
type made struct {
	Form    string  `json:"form"`
	Rows    int     `json:"rows"`
	Size    int64   `json:"size"`    // bytes of its files
	Line    float64 `json:"line"`    // bytes of an event as a line of JSON
	Written float64 `json:"written"` // events a second

	kept string // what is to be said of a table that was there
}

// table is the table of a month in a folder: the one that is there, when it was made of the same month
// and has not changed, else a new one.
func (m *month) table(ctx context.Context, dir string) (*table.Table, made, error) {
	note := filepath.Join(dir, "made.json")
	var about made
	text, err := os.ReadFile(note)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, made{}, err
	}
	if err == nil {
		if err := json.Unmarshal(text, &about); err != nil {
			return nil, made{}, fmt.Errorf("%s: %w: remove the folder, and it is made again", note, err)
		}
		if about.Form != monthForm || about.Rows != m.n {
			return nil, made{}, fmt.Errorf("%s was made of another month: name another folder, or remove it", dir)
		}
	} else if err := os.RemoveAll(dir); err != nil { // half of one
		return nil, made{}, err
	}
	tab, err := table.Open(table.Options{Dir: dir, Origin: "bench/events"})
	if err != nil {
		return nil, made{}, err
	}
	if about.Rows == 0 {
		if about, err = m.fill(ctx, tab); err == nil {
			text, err = json.Marshal(about)
		}
		if err == nil {
			err = os.WriteFile(note, text, 0o600)
		}
	} else {
		about.kept = "; measured when the table was made, in an earlier run"
	}
	if err != nil {
		return nil, made{}, errors.Join(err, tab.Close())
	}
	if size, rows := tab.Bytes(); rows != int64(m.n) || size != about.Size {
		return nil, made{}, errors.Join(fmt.Errorf("the table in %s has %d rows of %d, and %d bytes of %d", dir, rows, m.n, size, about.Size), tab.Close())
	}
	return tab, about, nil
}

// fill writes all rows of a month and merges them.
func (m *month) fill(ctx context.Context, tab *table.Table) (made, error) {
	lines, sampled, began := 0, 0, time.Now()
	var making time.Duration
	for from := 0; from < m.n; {
		at := time.Now()
		rows := make([]table.Row, 0, 20_000)
		for len(rows) < 20_000 && from+len(rows) < m.n {
			rows = append(rows, m.row(from+len(rows)))
		}
		lines, sampled = lines+len(native(&rows[0])), sampled+1
		making += time.Since(at)
		if err := tab.Append(ctx, int64(from), rows, int64(from+len(rows))); err != nil {
			return made{}, err
		}
		from += len(rows)
	}
	if err := tab.Flush(); err != nil {
		return made{}, err
	}
	written := perSecond(m.n, time.Since(began)-making)
	if err := tab.Merge(ctx); err != nil {
		return made{}, err
	}
	size, _ := tab.Bytes()
	return made{Form: monthForm, Rows: m.n, Size: size, Line: float64(lines) / float64(sampled), Written: written}, nil
}
