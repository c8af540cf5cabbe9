package accesslog

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/leaf"
)

// Misfit is a file beside the event log that is not what log and facts say.
type Misfit struct {
	File string // relative to the data folder
	What string
}

// Depth says how much Inspect reads. The zero value is all of it.
type Depth struct {
	Newest, Sample uint64            // bundles of 256 leaves: the newest, and as many others at random
	Removed        map[string]string // day and fact, of the days that facts say were removed
	Served         bool              // the store takes events: the newest file of refused entries may be written to
	Progress       func(done, total uint64)
}

// Inspect compares what is kept beside the event log with the log and with the facts: where each leaf and
// day stands, which days were removed, the keys that leaves are sealed with, and refused entries. With
// all of the log it opens every leaf, and otherwise one of each day.
func (s *Store) Inspect(ctx context.Context, d Depth) (out []Misfit, err error) {
	s.mu.Lock()
	leaves := s.leaves
	s.mu.Unlock()
	find := func(file, format string, args ...any) { out = append(out, Misfit{file, fmt.Sprintf(format, args...)}) }
	var n, max, unlike int64
	err = s.read.QueryRowContext(ctx, `SELECT count(*), coalesce(max(idx), -1), (SELECT count(*) FROM (
			SELECT min(idx), count(*), min(first), max(last), epoch FROM (
				SELECT idx, first, last, epoch, idx - row_number() OVER (PARTITION BY epoch ORDER BY idx) AS run FROM leaf)
			GROUP BY epoch, run EXCEPT SELECT idx, leaves, first, last, epoch FROM stretch)) FROM leaf`).Scan(&n, &max, &unlike)
	if err != nil {
		return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	if uint64(n) < leaves || max+1 != n {
		find(fileName, "knows %d leaves, and the log has more", n)
	} else if unlike > 0 {
		find(fileName, "says of days that they stand where their leaves do not")
	}
	days, err := s.Days(ctx)
	if err != nil {
		return nil, err
	}
	for _, day := range days {
		if day.Pruned != "" && d.Removed[day.Day] != day.Pruned {
			find(fileName, "says that %s was removed by the fact %s, and no such fact says so", day.Day, day.Pruned)
		}
		if day.Pruned == "" && d.Removed[day.Day] == "" {
			last := day.Stretches[len(day.Stretches)-1]
			l, _, err := s.open(ctx, last.Leaf+last.Leaves-1)
			if misfit := s.unopened(ctx, l.Index, l.Stored, day.Day, err); misfit != nil {
				find(misfit.File, "%s", misfit.What)
			}
		}
	}
	if err := s.inspectLeaves(ctx, leaves, d, find); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(s.o.Dir, rejectFolder, "*"))
	if err != nil {
		return nil, err
	}
	if d.Served && len(names) > 0 {
		names = names[:len(names)-1]
	}
	for _, path := range names {
		if err := s.rejectsOf(path, true, func(Rejected) error { return ctx.Err() }); ctx.Err() != nil {
			return nil, ctx.Err()
		} else if err != nil {
			find(rejectFolder+"/"+filepath.Base(path), "cannot be read to its end: it was altered, or a crash cut its last entry")
		}
	}
	return out, nil
}

const keysFile = "keys/keys.db"

// unopened says what is wrong where a leaf of a day does not open: the leaf when it is not the one that
// the log was signed over, and its key otherwise. nil when it is neither.
func (s *Store) unopened(ctx context.Context, index uint64, stored []byte, day string, err error) *Misfit {
	switch {
	case errors.Is(err, errKeyGone) && s.signedOver(ctx, index, stored):
		return &Misfit{keysFile, fmt.Sprintf("has no key any more under which the events of %s are sealed", day)}
	case errors.Is(err, errNoKey) && s.signedOver(ctx, index, stored):
		return &Misfit{keysFile, fmt.Sprintf("has another key than the one under which the events of %s are sealed", day)}
	case errors.Is(err, errKeyGone), errors.Is(err, errNoKey):
		return alteredLeaf(index)
	}
	return nil
}

func alteredLeaf(index uint64) *Misfit {
	return &Misfit{"log/events", fmt.Sprintf("holds a leaf %d that is not the one its checkpoint was signed over", index)}
}

// prover is a log that proves what stands in it.
type prover interface {
	Checkpoint(ctx context.Context) ([]byte, uint64, error)
	Inclusion(ctx context.Context, index, size uint64) ([][]byte, error)
}

// signedOver says whether a leaf is the one that the newest checkpoint is over; the checkpoint's signature
// is looked at by the event log's own check.
func (s *Store) signedOver(ctx context.Context, index uint64, stored []byte) bool {
	p, ok := s.o.Log.(prover)
	if !ok {
		return true
	}
	checkpoint, size, err := p.Checkpoint(ctx)
	if err != nil {
		return false
	}
	if index >= size {
		return true // not signed yet, so nothing says otherwise
	}
	lines := strings.SplitN(string(checkpoint), "\n", 4)
	root, err := base64.StdEncoding.DecodeString(lines[min(2, len(lines)-1)])
	if err != nil {
		return false
	}
	path, err := p.Inclusion(ctx, index, size)
	return err == nil && proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, rfc6962.DefaultHasher.HashLeaf(stored), path, root) == nil
}

// inspectLeaves compares what the database says of leaves with what stands in them.
func (s *Store) inspectLeaves(ctx context.Context, leaves uint64, d Depth, find func(string, string, ...any)) error {
	total := (leaves + bundle - 1) / bundle
	chosen := map[uint64]bool{}
	whole := d.Newest == 0
	for i := range total {
		if whole || total <= d.Newest+d.Sample || i >= total-d.Newest {
			chosen[i] = true
		}
	}
	for !whole && uint64(len(chosen)) < min(total, d.Newest+d.Sample) {
		chosen[rand.Uint64N(total)] = true
	}
	done := uint64(0)
	for i := range total {
		if !chosen[i] {
			continue
		}
		misfit, err := s.inspectBundle(ctx, i*bundle, min(bundle, leaves-i*bundle), whole)
		if err != nil {
			return err
		}
		if misfit != nil {
			find(misfit.File, "%s", misfit.What)
			return nil // the first one says it
		}
		if done++; d.Progress != nil {
			d.Progress(done, uint64(len(chosen)))
		}
	}
	return nil
}

func (s *Store) inspectBundle(ctx context.Context, first, n uint64, open bool) (*Misfit, error) {
	type place struct {
		first, last uint64
		epoch       string
	}
	known := map[uint64]place{}
	rows, err := s.read.QueryContext(ctx, `SELECT idx, first, last, epoch FROM leaf WHERE idx >= ? AND idx < ?`, first, first+n)
	if err != nil {
		return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	for rows.Next() {
		var at uint64
		var p place
		if err := rows.Scan(&at, &p.first, &p.last, &p.epoch); err != nil {
			return nil, errors.Join(fmt.Errorf("accesslog: read %s: %w", fileName, err), rows.Close())
		}
		known[at] = p
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	var misfit *Misfit
	err = s.o.Log.Leaves(ctx, first, n, func(index uint64, stored []byte) error {
		h, _, err := leaf.Parse(stored)
		if err != nil {
			return nil // the event log's own check names it
		}
		if known[index] != (place{h.First, h.Last, h.Epoch}) {
			if misfit = alteredLeaf(index); s.signedOver(ctx, index, stored) {
				misfit = &Misfit{fileName, fmt.Sprintf("says other events of leaf %d than stand in it", index)}
			}
			return errEnough
		}
		if gone, _, err := s.goneAt(ctx, index); !open || err != nil || gone != nil {
			return err
		}
		_, _, err = s.unseal(stored)
		if misfit = s.unopened(ctx, index, stored, h.Epoch, err); misfit != nil {
			return errEnough
		}
		return ctx.Err()
	})
	if err != nil && ctx.Err() == nil { // removed, or damaged and named by the log's own check
		err = nil
	}
	return misfit, err
}

// tallied is what a day's events add up to: as many hashes as there are events, added up, so that their
// order does not count.
type tallied struct {
	events int64
	sum    [4]uint64
}

func (t *tallied) add(e *Event) error {
	e.Time, e.Received = e.Time.UTC(), time.UnixMicro(e.Received.UnixMicro()).UTC() // what the columns keep of it
	if len(e.Subjects) == 0 {
		e.Subjects = nil
	}
	if len(e.DataTypes) == 0 {
		e.DataTypes = nil
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	h := sha256.Sum256(raw)
	for i := range t.sum {
		t.sum[i] += binary.LittleEndian.Uint64(h[8*i:])
	}
	t.events++
	return nil
}

// CompareTable counts every event of the log and of the table of columns again, and lists the days whose
// events are not the same in both. Nothing of the table is trusted for it: neither digests, which whoever
// alters a file can make again, nor sums. It takes some twenty microseconds an event.
func (s *Store) CompareTable(ctx context.Context, progress func(done, total uint64)) ([]Misfit, error) {
	upTo := s.Acked()
	v := s.view(ctx, upTo)
	if v == nil {
		return []Misfit{{"table", "is being made again from the log, or cannot be read: questions are answered from the log"}}, ctx.Err()
	}
	defer v.Release()
	upTo = min(upTo, v.UpTo)
	days := [2]map[string]*tallied{{}, {}}
	done := uint64(0)
	count := func(which int) func(Event) error {
		return func(e Event) error {
			if done++; progress != nil && done%4096 == 0 {
				progress(min(done, 2*uint64(upTo)), 2*uint64(upTo))
			}
			day := e.Time.UTC().Format("2006-01-02")
			if days[which][day] == nil {
				days[which][day] = &tallied{}
			}
			return days[which][day].add(&e)
		}
	}
	c := &choice{fn: count(0)}
	if err := s.selectLog(ctx, c, 0, upTo); err != nil {
		return nil, err
	}
	take := count(1)
	types := map[string][]string{}
	f := Filter{UpToSeq: upTo}
	err := v.Scan(f.selection(), func(r *table.Row) error {
		if done%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e, err := ofRow(r, types)
		if err != nil || !f.matches(&e) {
			return err
		}
		return take(e)
	}, func(int64) error { return nil })
	if table.Damaged(err) {
		// This look is what found it: it is said here, because the table heals by itself and the next look
		// finds nothing.
		s.columns.Report(err)
		name, what, _ := strings.Cut(strings.TrimPrefix(err.Error(), "table: "), " ")
		return []Misfit{{"table/" + name, what + ". The table is made again from the log, which is not concerned"}}, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Misfit
	for day, t := range days[0] {
		if other := days[1][day]; other == nil || *other != *t {
			out = append(out, Misfit{"table/data/time_day=" + day, "does not hold the events that the log holds"})
		}
	}
	for day := range days[1] {
		if days[0][day] == nil {
			out = append(out, Misfit{"table/data/time_day=" + day, "holds events that the log does not hold"})
		}
	}
	slices.SortFunc(out, func(a, b Misfit) int {
		if a.File < b.File {
			return -1
		}
		return 1
	})
	return out, nil
}
