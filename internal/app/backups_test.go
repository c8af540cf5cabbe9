package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/clock"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/org"
)

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A server takes a backup by itself, the facts say so, the doctor says how old it is, and it can be restored.
//
// promise: PRO-8 REC-3
func TestABackupIsTakenByItself(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "backups")
	a, _ := start(t, Options{Dir: folder(t, "production", configuration+"\nbackup:\n  to: "+to+"\n  recipients: ["+id.Recipient().String()+"]\n")})
	var last org.Reported
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		s, err := a.desk.Org(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := s.Reported(org.BackupTaken, scheduled); ok {
			last = r
			break
		}
		if r, ok := s.Reported(org.BackupFailed, scheduled); ok || time.Now().After(deadline) {
			t.Fatalf("no backup was taken: %s", r.Detail)
		}
	}
	names := namesIn(t, to)
	if len(names) != 1 || last.State != "verified" || !strings.HasPrefix(last.Detail, names[0]+", ") {
		t.Fatalf("%v; the fact: %+v", names, last)
	}
	report, err := a.Checkup(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(report.Findings, func(f doctor.Finding) bool { return f.ID == "evidence.backup" }); i < 0 || report.Findings[i].State != doctor.OK || !strings.Contains(report.Findings[i].Say, "The last backup is a moment old: "+names[0]) {
		t.Errorf("the doctor: %+v", report.Findings)
	}
	r, err := backup.Restore(t.Context(), backup.RestoreOptions{Dir: filepath.Join(t.TempDir(), "new"), From: filepath.Join(to, names[0]), Identities: []age.Identity{id}, Organisation: a.cfg.Organisation.ID, Now: time.Now()})
	if err != nil || r.Facts == 0 {
		t.Fatalf("restored: %+v, %v", r, err)
	}
}

// Days pass: a backup is taken on each, so many are kept, a failure removes none, and what a crash leaves
// is cleared away without being taken for a backup.
//
// promise: PRO-8
func TestBackupsAreTakenByTheClockAndOldOnesGoAfterANewOne(t *testing.T) {
	a, _ := start(t, Options{Dir: folder(t, "production", configuration)})
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "backups")
	day := time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	c := clock.NewDrill(day)
	var last time.Time
	done := make(chan string)
	refuse := false
	o := backup.ScheduleOptions{
		Create: backup.CreateOptions{Dir: a.o.Dir, Installation: a.in.ID, Organisation: a.cfg.Organisation.ID, Engine: desk.EngineVersion, Recipients: []age.Recipient{id.Recipient()}},
		To:     to, Every: 24 * time.Hour, Keep: 2, Clock: c, Log: slog.New(slog.DiscardHandler),
		Last: func(context.Context) (time.Time, error) { return last, nil },
		Taken: func(_ context.Context, b backup.Taken) error {
			if refuse {
				return errors.New("the database is away")
			}
			last = b.Created
			done <- b.Name
			return nil
		},
		Failed: func(_ context.Context, err error) error { done <- err.Error(); return nil },
	}
	if err := errors.Join(os.MkdirAll(to, 0o700), os.WriteFile(filepath.Join(to, "by-hand.tar.age"), []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	over := make(chan struct{})
	go func() { backup.NewSchedule(o).Run(ctx); close(over) }()
	name := func(at time.Time) string {
		return "tocsin-" + a.in.ID + "-" + at.Format("20060102T150405Z") + ".tar.age"
	}
	next := func(at time.Time) string { c.Set(at); return <-done }
	for n := range 3 {
		at := day.AddDate(0, 0, n)
		if got := next(at); got != name(at) {
			t.Fatalf("on day %d: %s", n, got)
		}
	}
	// The database cannot take the fact on the fourth day: the older two stay.
	refuse = true
	if got := next(day.AddDate(0, 0, 3)); !strings.Contains(got, "could not be recorded: the database is away") {
		t.Fatalf("a failure: %s", got)
	}
	if got, want := namesIn(t, to), []string{"by-hand.tar.age", name(day.AddDate(0, 0, 1)), name(day.AddDate(0, 0, 2)), name(day.AddDate(0, 0, 3))}; !slices.Equal(got, want) {
		t.Fatalf("after a failure: %v", got)
	}
	// It is tried again within the hour; a process that was killed in the midst of it left its pieces.
	stop()
	<-over
	refuse = false
	half, work := filepath.Join(to, ".unfinished-"+a.in.ID+".tar.age"), filepath.Join(a.o.Dir, "backing-up", ".backup-1")
	if err := errors.Join(os.WriteFile(half, []byte("half"), 0o600), os.MkdirAll(work, 0o700)); err != nil {
		t.Fatal(err)
	}
	again := day.AddDate(0, 0, 3).Add(time.Hour)
	c.Set(again)
	ctx, stop = context.WithCancel(t.Context())
	over = make(chan struct{})
	go func() { backup.NewSchedule(o).Run(ctx); close(over) }()
	if got := <-done; got != name(again) {
		t.Fatalf("after a crash: %s", got)
	}
	stop()
	<-over
	if got, want := namesIn(t, to), []string{"by-hand.tar.age", name(day.AddDate(0, 0, 3)), name(again)}; !slices.Equal(got, want) {
		t.Errorf("kept: %v", got)
	}
	if _, err := os.Stat(filepath.Join(a.o.Dir, "backing-up")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the working folder is left: %v", err)
	}
}
