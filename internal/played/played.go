// Package played keeps what came of the drills that were played for an installation, in
// DIR/drills, a file each. A drill is no fact of the installation: it happened in a folder of its
// own, and these files are all that is left of it.
package played

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Run is one drill and its result.
type Run struct {
	At     time.Time `json:"at"`             // when it ended, UTC; of one that was interrupted, when it began
	Began  time.Time `json:"began,omitzero"` // UTC
	By     string    `json:"by,omitempty"`
	Hash   string    `json:"policy_hash,omitempty"` // digest of the policy it was played with
	Failed string    `json:"failed,omitempty"`      // why it ended without a result
	Card   Card      `json:"card"`
}

// Interrupted is why a drill ended without a result when the server that played it stopped.
const Interrupted = "interrupted: the server stopped while it was being played"

// Card is the part of the judge's scorecard that people read.
type Card struct {
	Policy   string    `json:"policy"`
	Scenario string    `json:"scenario"`
	Seed     uint64    `json:"seed"`
	OK       bool      `json:"ok"` // every expectation held
	Elapsed  float64   `json:"elapsed_seconds"`
	Events   int       `json:"events"`
	Promises []Promise `json:"promises"`
	Broken   []string  `json:"broken"` // expected to be kept, and were not
}

// Promise is one promise of the policy in a drill.
type Promise struct {
	ID       string   `json:"id"`
	Expected string   `json:"expected"`
	Got      string   `json:"got"`
	Took     *float64 `json:"took_seconds,omitempty"`
	Due      *float64 `json:"due_seconds,omitempty"`
	Proof    string   `json:"proof,omitempty"`
	Reason   string   `json:"reason,omitempty"`
}

// Margin is how much of the promised time was left, and false where no time is promised or none was taken.
func (p Promise) Margin() (left time.Duration, ok bool) {
	if p.Took == nil || p.Due == nil {
		return 0, false
	}
	return time.Duration((*p.Due - *p.Took) * float64(time.Second)), true
}

// ID names a run.
func (r Run) ID() string { return r.At.UTC().Format(stamp) }

// Kept counts the promises that were kept.
func (c Card) Kept() int {
	n := 0
	for _, p := range c.Promises {
		if p.Got == "kept" {
			n++
		}
	}
	return n
}

const (
	stamp    = "20060102T150405.000Z"
	maxRuns  = 200     // the oldest go when there are more
	maxBytes = 4 << 20 // of one file
)

// Play is a drill that is being played.
type Play struct {
	Run
	Folder string `json:"folder"` // where its processes work, to be removed
}

const underWay = "under-way.json"

// Begin writes down that a drill is being played, before anything of it runs, so that a server which
// dies meanwhile leaves word of it.
func Begin(dir string, p Play) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, "drills"), underWay, body)
}

// End keeps what came of the drill that was begun. A crash between the two steps leaves the result and
// the note of the beginning; Resume then keeps the drill as interrupted beside its result, unless that
// names the same beginning.
func End(dir string, r Run) error {
	if err := Keep(dir, r); err != nil {
		return err
	}
	return forget(dir)
}

// Resume keeps the drill that was being played when a server died as interrupted, and gives its folder;
// "" when there was none.
func Resume(dir string) (folder string, err error) {
	body, err := os.ReadFile(filepath.Join(dir, "drills", underWay))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var p Play
	if err := json.Unmarshal(body, &p); err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(dir, "drills", underWay), err)
	}
	runs, err := Read(dir)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(runs, func(r Run) bool { return r.Began.Equal(p.Began) }) {
		p.At, p.Failed = p.Began, Interrupted
		if err := Keep(dir, p.Run); err != nil {
			return "", err
		}
	}
	return p.Folder, forget(dir)
}

func forget(dir string) error {
	err := os.Remove(filepath.Join(dir, "drills", underWay))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// write puts a whole file in the place of another, durable before it is seen.
func write(folder, name string, body []byte) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // the temporary name, when the rename did not happen
	_, err = f.Write(append(body, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(folder, name))
}

// Keep adds a run. A crash before the rename leaves a file that nobody reads, and the drill is lost.
func Keep(dir string, r Run) error {
	folder := filepath.Join(dir, "drills")
	r.At = r.At.UTC()
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := write(folder, r.ID()+".json", body); err != nil {
		return err
	}
	names, err := list(folder)
	for _, old := range names[min(len(names), maxRuns):] {
		err = errors.Join(err, os.Remove(filepath.Join(folder, old)))
	}
	return err
}

// Read gives the runs of a data folder, newest first. A file that cannot be read is an error that
// names it.
func Read(dir string) ([]Run, error) {
	folder := filepath.Join(dir, "drills")
	names, err := list(folder)
	if err != nil {
		return nil, err
	}
	var all []Run
	for _, name := range names {
		r, err := readOne(filepath.Join(folder, name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(folder, name), err)
		}
		all = append(all, r)
	}
	return all, nil
}

// list gives the files of runs, newest first.
func list(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, err := time.Parse(stamp, strings.TrimSuffix(e.Name(), ".json")); err == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

func readOne(name string) (Run, error) {
	var r Run
	f, err := os.Open(name)
	if err != nil {
		return r, err
	}
	defer f.Close()
	err = json.NewDecoder(io.LimitReader(f, maxBytes)).Decode(&r)
	return r, err
}
