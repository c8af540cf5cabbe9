package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
)

// openCopy makes the copier that the configuration asks for.
func (a *App) openCopy(store ledger.Store, keys *keyring.Ring) error {
	if a.cfg.Copy.To == "" {
		return nil
	}
	recipients, err := backup.Recipients(a.cfg.Copy.Recipients)
	if err != nil {
		return err
	}
	if len(recipients) == 0 {
		a.o.Log.Warn("the off-box copy holds no keys: without DATA/keys nothing in it can be read (copy.recipients encrypts them to an age identity)")
	}
	factsKey, _, err := keys.Verifier(a.cfg.Organisation.ID + "/facts")
	if err != nil {
		return err
	}
	eventsKey, _, err := keys.Verifier(a.cfg.Organisation.ID + "/events")
	if err != nil {
		return err
	}
	a.copier = backup.NewCopier(backup.CopyOptions{
		Place: backup.Folder(a.cfg.Copy.To), Dir: a.o.Dir, Installation: a.in.ID, Store: store, Keys: keys,
		Facts: a.facts, Events: a.events, FactsKey: factsKey, EventsKey: eventsKey, Recipients: recipients, Log: a.o.Log,
	})
	store.Listen(func([]string) { a.copier.Nudge() })
	return nil
}

// lateCopy is how old the newest pass of the copy of a running server may be.
const lateCopy = time.Minute

// seeCopy says how far the off-box copy goes, which of a server that does not run is what it wrote last.
func (a *App) seeCopy(l *doctor.Logs, served bool) {
	if a.cfg.Copy.To == "" {
		return
	}
	s, err := backup.ReadStatus(a.o.Dir)
	if err != nil || s.Failing != "" || served && time.Since(s.Copied) > lateCopy {
		return
	}
	l.Copy = true
	l.Away = fmt.Sprintf("a copy of %d facts and %d leaves of the event log, %d facts behind, as of %s", s.Facts, s.Events, s.Behind, s.Copied.Format("2006-01-02 15:04:05Z"))
	if !s.Keys {
		l.Away += ", without keys"
	}
}

// takeUp lets a folder that was restored go on, once. A crash before the mark is removed does it
// again, which records the restore twice and nothing else.
func (a *App) takeUp(ctx context.Context) error {
	r, ok, err := backup.ReadMark(a.o.Dir)
	if err != nil || !ok {
		return err
	}
	if err := a.desk.Restored(ctx, restoredNote(r), !r.Whole); err != nil {
		return err
	}
	a.o.Log.Info("taken up after a restore", "facts", r.Facts, "newer_than_the_backup", r.Newer, "events", r.Events)
	return backup.Unmark(a.o.Dir)
}

func restoredNote(r backup.Restored) org.Report {
	from := []string{}
	if !r.Backup.IsZero() {
		from = append(from, "the backup of "+r.Backup.Format(time.RFC3339))
	}
	if r.Whole {
		from = append(from, fmt.Sprintf("the off-box copy, which had %d newer facts", r.Newer))
	}
	say := "Restored from " + strings.Join(from, " and ") + "."
	if !r.Whole {
		say += " What was done after the backup is not known: mail that was owed is uncertain and left to a person."
	}
	return org.Report{Kind: org.InstallationRestored, Subject: "installation", State: "restored", Count: r.Facts, Detail: say}
}
