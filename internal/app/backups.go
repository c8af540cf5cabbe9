package app

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/org"
)

// scheduled is the subject of the facts about backups that were taken by themselves.
const scheduled = "scheduled"

const (
	backupEvery = 24 * time.Hour
	backupKeep  = 14
)

func (b *Backup) check(add func(field, format string, args ...any)) {
	if b.To == "" {
		if b.Every != 0 || b.Keep != 0 || len(b.Recipients) > 0 {
			add("backup.to", "is missing: it says where backups are kept")
		}
		return
	}
	b.Every, b.Keep = cmp.Or(b.Every, backupEvery), cmp.Or(b.Keep, backupKeep)
	if !filepath.IsAbs(b.To) {
		add("backup.to", "has to be a folder by its whole path, such as /mnt/elsewhere/backups")
	}
	if b.Every < time.Hour || b.Every > 31*24*time.Hour {
		add("backup.every", "has to be 1h to 744h")
	}
	if b.Keep < 1 || b.Keep > 10_000 {
		add("backup.keep", "has to be 1 to 10000")
	}
	switch _, err := backup.Recipients(b.Recipients); {
	case err != nil:
		add("backup.recipients", "%v", err)
	case len(b.Recipients) == 0:
		add("backup.recipients", "is missing: a backup holds addresses of merchants, and is encrypted to an age identity that you keep elsewhere")
	}
}

// startBackups takes backups by themselves, as the configuration asks for.
func (a *App) startBackups(ctx context.Context) error {
	s, done, err := a.backups(ctx)
	if err != nil || s == nil {
		return err
	}
	a.onClose(done)
	a.copying.Go(func() { s.Run(ctx) })
	return nil
}

// backups makes the schedule; nil when none is asked for.
func (a *App) backups(ctx context.Context) (*backup.Schedule, func() error, error) {
	b := a.cfg.Backup
	if b.To == "" {
		return nil, nil, nil
	}
	recipients, err := backup.Recipients(b.Recipients)
	if err != nil {
		return nil, nil, err
	}
	logs, done, err := a.cfg.Sources(ctx)
	if err != nil {
		return nil, nil, err
	}
	report := func(ctx context.Context, r org.Report) error {
		r.Subject = scheduled
		_, err := a.desk.SubmitOrg(ctx, "", desk.Caller{Principal: "service:backup", Name: "backup", Access: incident.Service}, r)
		return err
	}
	return backup.NewSchedule(backup.ScheduleOptions{
		Create: backup.CreateOptions{Dir: a.o.Dir, Facts: logs["facts"], Events: logs["events"], Installation: a.in.ID, Organisation: a.cfg.Organisation.ID,
			Engine: desk.EngineVersion, Recipients: recipients},
		To: b.To, Every: b.Every, Keep: b.Keep, Clock: a.domain, Log: a.o.Log,
		Last: func(ctx context.Context) (time.Time, error) {
			s, err := a.desk.Org(ctx)
			if err != nil {
				return time.Time{}, err
			}
			last, _ := s.Reported(org.BackupTaken, scheduled)
			return last.At, nil
		},
		Taken: func(ctx context.Context, t backup.Taken) error {
			say := fmt.Sprintf("%s, %d bytes, facts log of %d leaves, event log of %d leaves; verified.", t.Name, t.Bytes, t.FactsLog, t.EventsLog)
			if t.Store == "postgres" {
				say += " The facts are in PostgreSQL and not in it."
			}
			return report(ctx, org.Report{Kind: org.BackupTaken, State: "verified", Digest: t.Digest, Count: int64(len(t.Files)), Detail: say})
		},
		Failed: func(ctx context.Context, why error) error {
			s, err := a.desk.Org(ctx)
			if err != nil {
				return err
			}
			taken, _ := s.Reported(org.BackupTaken, scheduled)
			if failed, ok := s.Reported(org.BackupFailed, scheduled); ok && failed.At.After(taken.At) {
				return nil // one fact for one row of failures
			}
			return report(ctx, org.Report{Kind: org.BackupFailed, State: "failed", Detail: clip(why.Error(), 1500)})
		},
	}), done, nil
}

// clip shortens a text to so many bytes at most, at the edge of a character.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && text[most]&0xC0 == 0x80 {
		most--
	}
	return text[:most]
}

// seeBackups says how old the newest backup of the schedule is.
func (a *App) seeBackups(s *org.State) (b doctor.Backups) {
	if a.cfg.Backup.To == "" {
		return b
	}
	b.Every = a.cfg.Backup.Every
	last, ok := s.Reported(org.BackupTaken, scheduled)
	if ok {
		b.Last, b.What = last.At, last.Detail
	}
	if failed, ok := s.Reported(org.BackupFailed, scheduled); ok && failed.At.After(last.At) {
		b.Failing = failed.Detail
	}
	return b
}
