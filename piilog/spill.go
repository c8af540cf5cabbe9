package piilog

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// spill keeps batches as files named KEY.N.ndjson, N being the number of events. A file is written
// beside its place and renamed, so that a file with that name is whole. The folder belongs to one
// process at a time.
type spill struct{ dir string }

const suffix = ".ndjson"

// open makes the folder and gives the batches in it, oldest first.
func (p spill) open() ([]*batch, error) {
	if p.dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, fmt.Errorf("piilog: Options.SpillDir: %w", err)
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return nil, fmt.Errorf("piilog: Options.SpillDir: %w", err)
	}
	var found []*batch
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, ".tmp") {
			_ = os.Remove(filepath.Join(p.dir, name)) // a crash before the rename: the batch was never counted as kept
			continue
		}
		key, count, ok := strings.Cut(strings.TrimSuffix(name, suffix), ".")
		n, err := strconv.Atoi(count)
		info, infoErr := e.Info()
		if !ok || err != nil || n <= 0 || infoErr != nil || !strings.HasSuffix(name, suffix) {
			continue // not ours
		}
		found = append(found, &batch{key: key, n: n, file: name, size: info.Size()})
	}
	slices.SortFunc(found, func(a, b *batch) int { return cmp.Compare(a.key, b.key) })
	return found, nil
}

// write puts a batch in its file and returns the file's name. A crash before the rename loses
// nothing that was counted as kept; after it, the next start finds the batch.
func (p spill) write(b *batch) (string, error) {
	if p.dir == "" {
		return "", errors.New("piilog: there is no spill folder")
	}
	name := fmt.Sprintf("%s.%d%s", b.key, b.n, suffix)
	tmp := filepath.Join(p.dir, name+".tmp")
	const anew = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	f, err := os.OpenFile(tmp, anew, 0o600)
	if errors.Is(err, os.ErrNotExist) && os.MkdirAll(p.dir, 0o700) == nil {
		f, err = os.OpenFile(tmp, anew, 0o600) // somebody removed the folder: what comes now need not go with it
	}
	if err != nil {
		return "", fmt.Errorf("piilog: spill: %w", err)
	}
	_, err = f.Write(b.lines)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(tmp, filepath.Join(p.dir, name))
	}
	if err != nil {
		_ = os.Remove(tmp)
		return "", fmt.Errorf("piilog: spill: %w", err)
	}
	return name, nil
}

func (p spill) read(b *batch) ([]byte, error) {
	lines, err := os.ReadFile(filepath.Join(p.dir, b.file))
	if err != nil {
		return nil, fmt.Errorf("piilog: spill: %w", err)
	}
	if bytes.Count(lines, []byte{'\n'}) != b.n {
		_ = os.Rename(filepath.Join(p.dir, b.file), filepath.Join(p.dir, b.file+".damaged"))
		return nil, fmt.Errorf("piilog: spill file %s does not hold the %d events its name says: it is left aside as .damaged", b.file, b.n)
	}
	return lines, nil
}

func (p spill) remove(b *batch) {
	if b.file != "" {
		_ = os.Remove(filepath.Join(p.dir, b.file)) // one that stays is posted again under its key, which the server recognises
	}
}

// shelveDelay is how long an event waits for company on its way to disk: with every one in a file of its own
// a day without a server would be hundreds of thousands of files.
const shelveDelay = time.Second

// shelve moves batches to disk, newest last: all of them while the server is away, and else what is more
// than half of the memory.
func (s *sender) shelve(ctx context.Context) {
	defer s.done.Done()
	var due <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.low:
		case <-due:
		}
		keep, left := s.shelving()
		for s.shelveOne(keep) {
			if ctx.Err() != nil {
				return
			}
		}
		if due = nil; left > 0 {
			due = time.After(left)
		}
	}
}

// shelving says how many bytes may stay in memory, and in how long to look again: when the open batch, which
// is cut here, has waited for company.
func (s *sender) shelving() (keep int64, left time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.away || s.o.SpillDir == "" {
		return s.o.MaxMemory / 2, 0
	}
	if s.open.n > 0 {
		if left = shelveDelay - time.Since(s.since); left <= 0 {
			s.cut()
		}
	}
	return 0, max(left, 0)
}

// shelveOne moves the oldest batch that is in memory and not in flight to disk, when more than
// keep bytes are in memory. It reports whether it did.
func (s *sender) shelveOne(keep int64) bool {
	s.mu.Lock()
	if s.memory <= keep || s.o.SpillDir == "" {
		s.mu.Unlock()
		return false
	}
	i := slices.IndexFunc(s.queue, func(b *batch) bool { return b.file == "" && b != s.flying })
	if i < 0 || s.st.Spilled+s.queue[i].size > s.o.MaxSpill {
		s.mu.Unlock()
		return false
	}
	old := s.queue[i]
	moved := *old
	s.mu.Unlock()

	name, err := s.spill.write(&moved)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.st.LastError = err.Error()
		return false
	}
	// While the file was written the batch may have been posted or be in flight: then the file is
	// one too many. A crash here repeats the batch under its key, which the server recognises.
	i = slices.Index(s.queue, old)
	if i < 0 || old == s.flying {
		s.spill.remove(&batch{file: name})
		return i >= 0
	}
	moved.file, moved.lines = name, nil
	s.queue[i] = &moved
	s.memory -= moved.size
	s.st.Spilled += moved.size
	return true
}

// shelveAll moves everything left to disk at the end. Both goroutines have stopped.
func (s *sender) shelveAll() (kept, lost int64) {
	for s.shelveOne(0) {
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.queue {
		if b.file != "" {
			kept += int64(b.n)
			continue
		}
		lost += int64(b.n)
		s.settle(b.n, &s.st.Lost)
	}
	return kept, lost
}
