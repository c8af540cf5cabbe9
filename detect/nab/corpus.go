package nab

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// File is one metric of the benchmark.
type File struct {
	Name    string // as its labels name it: folder/file.csv
	Times   []time.Time
	Values  []float64
	Windows []Window
}

// Folder is the folder of the corpus that the file lies in.
func (f File) Folder() string { return path.Dir(f.Name) }

// Range is the smallest and the largest value of the file, which the benchmark lets a detector know.
func (f File) Range() (low, high float64) {
	if len(f.Values) == 0 {
		return 0, 0
	}
	return slices.Min(f.Values), slices.Max(f.Values)
}

// Bounds of what is read.
const (
	maxRows = 2_000_000
	maxLine = 4096
)

const (
	rowTime    = "2006-01-02 15:04:05"
	windowTime = "2006-01-02 15:04:05.000000"
)

// Load reads a corpus: data/FOLDER/FILE.csv with the columns timestamp and value, and
// labels/combined_windows.json. Times have no zone and are taken as UTC. A file without labels is an
// error, for its alarms would all count as false.
func Load(root fs.FS) ([]File, error) {
	text, err := fs.ReadFile(root, "labels/combined_windows.json")
	if err != nil {
		return nil, fmt.Errorf("nab: %w: a corpus holds data/ and labels/combined_windows.json", err)
	}
	var labels map[string][][2]string
	if err := json.Unmarshal(text, &labels); err != nil {
		return nil, fmt.Errorf("nab: labels/combined_windows.json: %w: it names for each file a list of [from, to]", err)
	}
	names, err := fs.Glob(root, "data/*/*.csv")
	if err != nil {
		return nil, fmt.Errorf("nab: %w", err)
	}
	if len(names) == 0 {
		return nil, errors.New("nab: there is no data/FOLDER/FILE.csv in the folder")
	}
	var corpus []File
	for _, name := range names {
		f, err := load(root, name)
		if err != nil {
			return nil, err
		}
		windows, ok := labels[f.Name]
		if !ok {
			return nil, fmt.Errorf("nab: labels/combined_windows.json does not name %s: add it, with [] if nothing is unusual there", f.Name)
		}
		if f.Windows, err = f.rows(windows); err != nil {
			return nil, err
		}
		corpus = append(corpus, f)
	}
	return corpus, nil
}

func load(root fs.FS, name string) (f File, err error) {
	f.Name = strings.TrimPrefix(name, "data/")
	r, err := root.Open(name)
	if err != nil {
		return f, fmt.Errorf("nab: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxLine), maxLine)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || n == 1 && strings.HasPrefix(line, "timestamp") {
			continue
		}
		if len(f.Values) >= maxRows {
			return f, fmt.Errorf("nab: %s:%d: a file has at most %d rows", name, n, maxRows)
		}
		at, value, _ := strings.Cut(line, ",")
		t, err := time.Parse(rowTime, at)
		if err != nil {
			return f, fmt.Errorf("nab: %s:%d: %q is no time: write it as %s", name, n, at, rowTime)
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return f, fmt.Errorf("nab: %s:%d: %q is no finite number", name, n, value)
		}
		f.Times, f.Values = append(f.Times, t), append(f.Values, v)
	}
	if err := lines.Err(); err != nil {
		return f, fmt.Errorf("nab: %s: %w", name, err)
	}
	return f, nil
}

// rows turns windows of time into windows of rows.
func (f File) rows(windows [][2]string) ([]Window, error) {
	var out []Window
	for _, w := range windows {
		from, err := time.Parse(windowTime, w[0])
		to, err2 := time.Parse(windowTime, w[1])
		if err = cmp.Or(err, err2); err != nil {
			return nil, fmt.Errorf("nab: labels/combined_windows.json: %s: %w", f.Name, err)
		}
		first := slices.IndexFunc(f.Times, func(t time.Time) bool { return !t.Before(from) })
		last := len(f.Times) - 1
		for last >= 0 && f.Times[last].After(to) {
			last--
		}
		if first < 0 || last < first {
			return nil, fmt.Errorf("nab: labels/combined_windows.json: %s: no row lies in the window %s to %s", f.Name, w[0], w[1])
		}
		out = append(out, Window{first, last})
	}
	slices.SortFunc(out, func(a, b Window) int { return a.First - b.First })
	for i := 1; i < len(out); i++ {
		if out[i].First <= out[i-1].Last {
			return nil, fmt.Errorf("nab: labels/combined_windows.json: %s: two windows overlap: join them", f.Name)
		}
	}
	return out, nil
}
