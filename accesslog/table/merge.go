package table

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	fanIn    = 8       // files of one size that are merged to one; each takes 2 to 7 MB while it is read
	maxMerge = 8 << 20 // rows of the largest file that is still merged with others
	maxFiles = 64      // beyond which merging goes first
)

// mergeLoop merges files of a day until ctx is done: eight of one size to one of the next, and all
// of a day to one when nothing new comes.
func (t *Table) mergeLoop(ctx context.Context) {
	look := time.NewTicker(quietFor)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.tidy:
		case <-look.C:
		}
		t.mu.Lock()
		quiet := time.Since(t.grown) >= quietFor
		t.mu.Unlock()
		for ctx.Err() == nil {
			did, err := t.eraseOnce(ctx)
			if err == nil && !did {
				did, err = t.mergeOnce(ctx, quiet, t.o.Pause)
			}
			if err != nil && ctx.Err() == nil {
				t.log.Error("files of the table were not merged", "error", err)
				t.Report(err)
			}
			if !did || err != nil {
				break
			}
		}
	}
}

// Merge merges every day to as few files as it may have, after writing those anew that hold what is
// erased.
func (t *Table) Merge(ctx context.Context) error {
	for {
		did, err := t.eraseOnce(ctx)
		if err == nil && !did {
			did, err = t.mergeOnce(ctx, true, nil)
		}
		if !did || err != nil {
			return err
		}
	}
}

func sizeClass(rows int64) int {
	class := 0
	for at := int64(16 << 10); rows >= at; at *= fanIn {
		class++
	}
	return class
}

// choose picks files of one day that are worth merging; nil when there are none. quiet says that
// there is time for all of it.
func choose(files []File, quiet bool) []File {
	days := map[int32][]File{}
	for _, f := range files {
		if f.Rows < maxMerge {
			days[f.Day] = append(days[f.Day], f)
		}
	}
	var best []File
	most := 0 // files of the class it is of
	for _, list := range days {
		classes := map[int][]File{}
		var all []File
		var rows int64
		slices.SortFunc(list, func(a, b File) int { return int(min(max(a.Rows-b.Rows, -1), 1)) })
		for _, f := range list {
			classes[sizeClass(f.Rows)] = append(classes[sizeClass(f.Rows)], f)
			if rows += f.Rows; rows <= maxMerge && len(all) < fanIn {
				all = append(all, f)
			}
		}
		for _, c := range classes {
			if len(c) >= fanIn && len(c) > most {
				best, most = c[:fanIn], len(c)
			}
		}
		if quiet && len(all) > 1 && len(all) > len(best) {
			best = all
		}
	}
	return best
}

// mergeOnce puts one file in the place of several, and pauses on the way when there is a pause. A crash before its commit leaves both the files
// and what names them as they were.
func (t *Table) mergeOnce(ctx context.Context, quiet bool, pause func(context.Context, time.Duration)) (bool, error) {
	t.merges.Lock()
	defer t.merges.Unlock()
	v := t.View()
	defer v.Release()
	t.mu.Lock()
	epoch, tombs := t.epoch, t.tombs
	t.mu.Unlock()
	group := choose(v.Files, quiet)
	if len(group) == 0 {
		return false, nil
	}
	if len(v.Files) > maxFiles || pause == nil {
		pause = func(context.Context, time.Duration) {}
	}
	merged, err := t.merge(ctx, group, tombs, pause)
	if err != nil {
		return false, err
	}
	err = t.commit(epoch, 0, "replace", func(files []File) ([]File, error) {
		gone := map[string]bool{}
		for i := range group {
			gone[group[i].Name] = true
		}
		before := len(files)
		files = slices.DeleteFunc(files, func(f File) bool { return gone[f.Name] })
		if before-len(files) != len(group) {
			return nil, errors.New("table: files that were merged are not in the table any more")
		}
		if merged.Rows > 0 {
			files = append(files, merged)
		}
		return files, nil
	})
	return err == nil, err
}

func (t *Table) merge(ctx context.Context, group []File, tombs *Tombstones, pause func(context.Context, time.Duration)) (_ File, err error) {
	var m merging
	defer func() {
		for _, r := range m {
			r.close()
		}
	}()
	var want int64
	for i := range group {
		r, err := group[i].open(t.at)
		if err != nil {
			return File{}, err
		}
		in := &input{reader: r, follows: group[i].follows}
		if in.row, err = r.next(); err != nil || in.row == nil {
			r.close()
			return File{}, errors.Join(err, fmt.Errorf("table: %s %w: it has no rows", group[i].Name, errDamaged))
		}
		m = append(m, in)
		want += group[i].Rows
	}
	heap.Init(&m)
	w, err := newWriter(t.o.Dir, smallCodec)
	if err != nil {
		return File{}, err
	}
	began := time.Now()
	for n := 0; len(m) > 0; n++ {
		if n%10_000 == 0 {
			if ctx.Err() != nil {
				return File{}, errors.Join(ctx.Err(), w.abandon())
			}
			pause(ctx, time.Since(began))
			began = time.Now()
		}
		if !tombs.row(m[0].row, m[0].follows) {
			want--
		} else if err := w.add(m[0].row); err != nil {
			return File{}, errors.Join(err, w.abandon())
		}
		if m[0].row, err = m[0].next(); err != nil {
			return File{}, errors.Join(err, w.abandon())
		}
		if m[0].row == nil {
			m[0].close()
			heap.Pop(&m)
		} else {
			heap.Fix(&m, 0)
		}
	}
	if w.file.Rows != want {
		return File{}, errors.Join(fmt.Errorf("table: merged files have %d rows and should have %d", w.file.Rows, want), w.abandon())
	}
	if w.file.Rows == 0 { // all of it is erased
		return File{}, w.abandon()
	}
	f, err := w.finish(t.at, t.nextNumber())
	f.follows = tombs.Len()
	return f, err
}

// merging is a heap of the files that are being merged, by their next row.
type merging []*input

type input struct {
	*reader
	row     *Row
	follows int
}

func (m merging) Len() int           { return len(m) }
func (m merging) Less(i, j int) bool { return order(m[i].row, m[j].row) < 0 }
func (m merging) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merging) Push(x any)        { *m = append(*m, x.(*input)) }
func (m *merging) Pop() any {
	old := *m
	x := old[len(old)-1]
	*m = old[:len(old)-1]
	return x
}
