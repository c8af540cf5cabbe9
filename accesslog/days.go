package accesslog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tocsin-ir/tocsin/accesslog/table"
)

// Stretch is consecutive leaves of one day, and the positions of their events.
type Stretch struct {
	Leaf, Leaves uint64
	First, Last  uint64
}

// Day is a UTC day in which events came, as far as they are sealed.
type Day struct {
	Day       string
	Stretches []Stretch
	Pruned    string // the fact that says that it is removed; "" when it is kept
	Gone      bool   // nothing is left of it
}

// PrunedError says that what was asked for was removed with its day.
type PrunedError struct{ Day, Fact string }

func (e *PrunedError) Error() string {
	return fmt.Sprintf("accesslog: the events of %s were removed when their time was over (fact %s)", e.Day, e.Fact)
}

// Days lists the days of the log, oldest first.
func (s *Store) Days(ctx context.Context) ([]Day, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT s.epoch, s.idx, s.leaves, s.first, s.last, coalesce(p.fact, ''), coalesce(p.done, 0)
		FROM stretch s LEFT JOIN pruned p ON p.epoch = s.epoch ORDER BY s.epoch, s.idx`)
	if err != nil {
		return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	defer rows.Close()
	var out []Day
	for rows.Next() {
		var d Day
		var x Stretch
		if err := rows.Scan(&d.Day, &x.Leaf, &x.Leaves, &x.First, &x.Last, &d.Pruned, &d.Gone); err != nil {
			return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
		}
		if n := len(out); n == 0 || out[n-1].Day != d.Day {
			out = append(out, d)
		}
		last := &out[len(out)-1]
		last.Stretches = append(last.Stretches, x)
	}
	return out, rows.Err()
}

// goneAt is the stretch that holds a leaf, when its day is removed; nil when it is kept.
func (s *Store) goneAt(ctx context.Context, index uint64) (*Stretch, *PrunedError, error) {
	var x Stretch
	var p PrunedError
	err := s.read.QueryRowContext(ctx, `SELECT s.idx, s.leaves, s.first, s.last, s.epoch, p.fact
		FROM (SELECT * FROM stretch WHERE idx <= ? ORDER BY idx DESC LIMIT 1) s JOIN pruned p ON p.epoch = s.epoch`, index).
		Scan(&x.Leaf, &x.Leaves, &x.First, &x.Last, &p.Day, &p.Fact)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	return &x, &p, nil
}

// Pruner is what a log may also be: one from which the data of leaves can be removed.
type Pruner interface {
	// Prune removes the data of those leaves, given as the first and how many, that are kept together
	// with no other, for good, and leaves their hashes. It may be repeated.
	Prune(ctx context.Context, leaves [][2]uint64) error
}

// destroyer is what Keys may also be: a ring from which keys can be removed for good.
type destroyer interface {
	Destroy(purpose, id string) error
}

// Prune removes what is kept of the events of a day, for which a fact was recorded before: its keys
// first, after which nobody can read what is sealed, then the rows of its events, the leaves, and the
// entries that were refused. Which leaves there were, how many events they held and when, stays. A crash
// at any point leaves some of it; called again it does the rest, and once more does no harm.
func (s *Store) Prune(ctx context.Context, day, fact string) error {
	if s.o.ReadOnly {
		return ErrReadOnly
	}
	pruner, ok := s.o.Log.(Pruner)
	keys, ok2 := s.o.Keys.(destroyer)
	if !ok || !ok2 {
		return errors.New("accesslog: a day cannot be removed: the event log or the keys do not allow it")
	}
	var own []Stretch
	days, err := s.Days(ctx)
	for _, d := range days {
		if d.Day == day {
			own = d.Stretches
		}
	}
	if err != nil || len(own) == 0 {
		return errors.Join(err, s.setPruned(ctx, day, fact, len(own) == 0 && err == nil))
	}
	if err := s.settled(own[len(own)-1].Last); err != nil {
		return fmt.Errorf("accesslog: %s cannot be removed yet: %w", day, err)
	}
	// From here on the day counts as removed: whoever misses a leaf of it finds out why.
	if err := s.setPruned(ctx, day, fact, false); err != nil {
		return err
	}
	for _, purpose := range []string{"epoch", rejectPurpose} {
		if err := keys.Destroy(purpose, day); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("accesslog: destroy the key of %s: %w", day, err)
		}
	}
	s.frames.forget()
	var rows []table.Positions
	for _, x := range own {
		rows = append(rows, table.Positions{First: int64(x.First), Last: int64(x.Last)})
	}
	if err := s.columns.Drop(ctx, rows); err != nil {
		return fmt.Errorf("accesslog: remove the rows of %s: %w", day, err)
	}
	near, err := s.goneNear(ctx, own)
	if err != nil {
		return err
	}
	if err := pruner.Prune(ctx, near); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.o.Dir, rejectFolder, day)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("accesslog: %w", err)
	}
	return s.setPruned(ctx, day, fact, true)
}

// KeepNoKeys destroys the keys of days of which nothing is left: a folder that was restored may have been
// given keys of before they went.
func (s *Store) KeepNoKeys(days []string) error {
	keys, ok := s.o.Keys.(destroyer)
	if s.o.ReadOnly || !ok {
		return nil
	}
	for _, day := range days {
		for _, purpose := range []string{"epoch", rejectPurpose} {
			if err := keys.Destroy(purpose, day); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("accesslog: destroy the key of %s: %w", day, err)
			}
		}
	}
	return nil
}

// settled is an error while an event is somewhere else than in log and columns.
func (s *Store) settled(last uint64) error {
	s.mu.Lock()
	sealed, fed := s.sealed, s.fed
	s.mu.Unlock()
	// A file of the spool may hold what came long ago, where little comes.
	if err := s.spool.Turn(min(sealed, fed, uint64(s.columns.UpTo()))); err != nil {
		return err
	}
	if sealed < last || fed < last || s.columns.UpTo() < int64(last) || s.spool.First() <= last {
		return errors.New("some of its events are on their way into the log")
	}
	return nil
}

func (s *Store) setPruned(ctx context.Context, day, fact string, done bool) error {
	_, err := s.write.ExecContext(ctx, `INSERT INTO pruned (epoch, fact, done) VALUES (?, ?, ?)
		ON CONFLICT (epoch) DO UPDATE SET fact = excluded.fact, done = max(done, excluded.done)`, day, fact, done)
	if err != nil {
		return fmt.Errorf("accesslog: note that %s is removed: %w", day, err)
	}
	return nil
}

// goneNear are the stretches of removed days that may share a bundle with some of a day: a bundle goes
// when the last of its leaves does.
func (s *Store) goneNear(ctx context.Context, own []Stretch) ([][2]uint64, error) {
	first, last := own[0], own[len(own)-1]
	rows, err := s.read.QueryContext(ctx, `SELECT s.idx, s.leaves FROM stretch s JOIN pruned p ON p.epoch = s.epoch
		WHERE s.idx + s.leaves + ? > ? AND s.idx < ? ORDER BY s.idx`, bundle, first.Leaf, last.Leaf+last.Leaves+bundle)
	if err != nil {
		return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
	}
	defer rows.Close()
	var out [][2]uint64
	for rows.Next() {
		var x [2]uint64
		if err := rows.Scan(&x[0], &x[1]); err != nil {
			return nil, fmt.Errorf("accesslog: read %s: %w", fileName, err)
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

// Pruned lists the leaves of removed days, as the database of a data folder that nobody need have open
// says; none when there is no database, or one of a version that removed nothing.
func Pruned(ctx context.Context, dir string) (_ []Stretch, err error) {
	if _, err := os.Stat(filepath.Join(dir, fileName)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s := &Store{o: Options{Dir: dir, ReadOnly: true}}
	if err := s.openDB(ctx); err != nil {
		return nil, errors.Join(err, s.closeDB())
	}
	defer func() { err = errors.Join(err, s.closeDB()) }()
	var known int
	if err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name IN ('stretch', 'pruned')`).Scan(&known); err != nil || known < 2 {
		return nil, err
	}
	days, err := s.Days(ctx)
	var out []Stretch
	for _, d := range days {
		if d.Pruned != "" {
			out = append(out, d.Stretches...)
		}
	}
	return out, err
}
