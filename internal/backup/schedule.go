package backup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/internal/fsync"
)

// ScheduleOptions says which backups are taken by themselves.
type ScheduleOptions struct {
	Create CreateOptions // what each is made of; Take sets To, Work and Now
	To     string        // the folder that keeps them
	Every  time.Duration
	Keep   int // how many are kept
	Clock  interface {
		Now() time.Time
		Until(time.Time) (<-chan struct{}, func())
	}
	// Last is when the newest one was taken, by the facts; zero: none was.
	Last func(context.Context) (time.Time, error)
	// Taken records one that is whole. Older ones go only after it.
	Taken func(context.Context, Taken) error
	// Failed records that none could be taken.
	Failed func(context.Context, error) error
	Log    *slog.Logger
}

// Taken is a backup that was taken and verified.
type Taken struct {
	Name   string // of the file
	Digest string // sha256:HEX of it
	Bytes  int64
	Manifest
}

// Schedule takes backups. Whatever it is killed in the midst of, there is no file under a backup's name that is
// not whole, and no older one is gone before a newer one was verified and recorded.
type Schedule struct {
	o ScheduleOptions
}

// NewSchedule makes one.
func NewSchedule(o ScheduleOptions) *Schedule { return &Schedule{o: o} }

// retry is how long after a failure the next one is tried, at most.
const retry = time.Hour

// Run takes a backup whenever one is due, until ctx ends. When one is due follows from the facts, so a restart
// takes none too many and a server that was off takes one at once.
func (s *Schedule) Run(ctx context.Context) {
	var failed time.Time
	for {
		last, err := s.o.Last(ctx)
		now := s.o.Clock.Now()
		due := now
		if !last.IsZero() {
			due = last.Add(s.o.Every)
			if most := now.Add(s.o.Every); due.After(most) { // the clock was ahead when that one was taken
				due = most
			}
		}
		if again := failed.Add(min(s.o.Every, retry)); !failed.IsZero() && due.Before(again) {
			due = again
		}
		// Also after an error of Last: what cannot be read now is asked again later, not at once and for ever.
		wait, giveUp := s.o.Clock.Until(due)
		select {
		case <-ctx.Done():
			giveUp()
			return
		case <-wait:
		}
		if err == nil {
			_, err = s.Take(ctx)
		}
		if err == nil {
			failed = time.Time{}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		failed = s.o.Clock.Now()
		s.o.Log.ErrorContext(ctx, "the backup of the schedule was not taken", "to", s.o.To, "error", err)
		if err := s.o.Failed(ctx, err); err != nil && ctx.Err() == nil {
			s.o.Log.ErrorContext(ctx, "that a backup failed was not recorded", "error", err)
		}
	}
}

// Take takes one now: into a file under no backup's name, verified, moved to its name, recorded; and then the
// oldest beyond those that are kept are removed.
func (s *Schedule) Take(ctx context.Context) (Taken, error) {
	c := s.o.Create
	if err := os.MkdirAll(s.o.To, 0o700); err != nil {
		return Taken{}, err
	}
	unfinished := filepath.Join(s.o.To, ".unfinished-"+c.Installation+".tar.age")
	c.Work = filepath.Join(c.Dir, "backing-up")
	// Left by a crash. Both names are of this schedule alone, and there is one of an installation.
	if err := errors.Join(os.RemoveAll(c.Work), os.RemoveAll(unfinished)); err != nil {
		return Taken{}, err
	}
	if err := os.MkdirAll(c.Work, 0o700); err != nil {
		return Taken{}, err
	}
	c.To, c.Now = unfinished, s.o.Clock.Now().UTC()
	m, err := Create(ctx, c)
	if err = errors.Join(err, os.RemoveAll(c.Work)); err != nil {
		return Taken{}, errors.Join(err, os.RemoveAll(unfinished))
	}
	t := Taken{Name: "tocsin-" + c.Installation + "-" + c.Now.Format("20060102T150405Z") + ".tar.age", Manifest: m}
	if t.Digest, t.Bytes, err = digestFile(unfinished); err != nil {
		return t, err
	}
	name := filepath.Join(s.o.To, t.Name)
	if err := errors.Join(os.Rename(unfinished, name), fsync.Dir(s.o.To)); err != nil {
		return t, err
	}
	if err := s.o.Taken(ctx, t); err != nil {
		return t, fmt.Errorf("%s was taken and could not be recorded: %w", name, err)
	}
	return t, s.prune()
}

// prune removes the oldest of this installation's. Names that no schedule gives are left alone.
func (s *Schedule) prune() error {
	own := regexp.MustCompile(`^tocsin-` + regexp.QuoteMeta(s.o.Create.Installation) + `-[0-9]{8}T[0-9]{6}Z\.tar\.age$`)
	entries, err := os.ReadDir(s.o.To)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && own.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names) // by time
	for _, name := range names[:max(0, len(names)-s.o.Keep)] {
		err = errors.Join(err, os.Remove(filepath.Join(s.o.To, name)))
	}
	return err
}
