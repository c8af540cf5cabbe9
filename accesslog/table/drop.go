package table

import (
	"context"
	"errors"
	"slices"
)

// Positions are consecutive positions in the log, both ends inclusive.
type Positions struct{ First, Last int64 }

// dropped is the operation of a commit after which no earlier snapshot is kept.
const dropped = "delete"

// Drop takes the rows of positions out of the files, for good: when it returns no snapshot of the table
// names a file that holds one. Rows in memory are written first. A crash leaves some of the files as
// they were, and the next call does the rest.
func (t *Table) Drop(ctx context.Context, gone []Positions) error {
	if err := t.Flush(); err != nil {
		return err
	}
	t.merges.Lock()
	defer t.merges.Unlock()
	within := func(f File) bool {
		return slices.ContainsFunc(gone, func(p Positions) bool { return f.First <= p.Last && f.Last >= p.First })
	}
	v := t.View()
	defer v.Release()
	t.mu.Lock()
	epoch := t.epoch
	t.mu.Unlock()
	anew := map[string]File{}
	for i := range v.Files {
		if f := &v.Files[i]; within(*f) {
			left, changed, err := t.rewritten(ctx, f, func(r *Row) (bool, bool) {
				goes := slices.ContainsFunc(gone, func(p Positions) bool { return p.First <= r.Seq && r.Seq <= p.Last })
				return !goes, goes
			})
			if err != nil {
				t.Report(err)
				return err
			}
			if !changed {
				continue
			}
			left.follows = f.follows
			anew[f.Name] = left
		}
	}
	if len(anew) == 0 {
		return nil
	}
	return t.commit(epoch, 0, dropped, func(files []File) ([]File, error) {
		out := files[:0]
		found := 0
		for _, f := range files {
			left, ok := anew[f.Name]
			if !ok {
				out = append(out, f)
				continue
			}
			if found++; left.Rows > 0 {
				out = append(out, left)
			}
		}
		if found != len(anew) {
			return nil, errors.New("table: files of a day that goes are not in the table any more")
		}
		return out, nil
	})
}

// rewritten writes what is left of a file's rows; changed is false when that is all of them as they are, and then
// nothing is written. The new file has no rows when nothing is left. left may alter a row, says whether it
// stays and whether it is another one than before.
func (t *Table) rewritten(ctx context.Context, f *File, left func(*Row) (stays, changed bool)) (_ File, changed bool, err error) {
	r, err := f.open(t.at)
	if err != nil {
		return File{}, false, err
	}
	defer r.close()
	w, err := newWriter(t.o.Dir, smallCodec)
	if err != nil {
		return File{}, false, err
	}
	for n := 0; ; n++ {
		if n%10_000 == 0 && ctx.Err() != nil {
			return File{}, false, errors.Join(ctx.Err(), w.abandon())
		}
		row, err := r.next()
		if err != nil {
			return File{}, false, errors.Join(err, w.abandon())
		}
		if row == nil {
			break
		}
		stays, other := left(row)
		changed = changed || other
		if !stays {
			continue
		}
		if err := w.add(row); err != nil {
			return File{}, false, errors.Join(err, w.abandon())
		}
	}
	if !changed || w.file.Rows == 0 {
		return File{}, changed, w.abandon()
	}
	file, err := w.finish(t.at, t.nextNumber())
	return file, true, err
}
