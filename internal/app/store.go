package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/backup"
	"github.com/tocsin-ir/tocsin/internal/postgres"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/ledger"
)

// storeFile remembers the address of a store outside the folder, so that a later start without
// --store opens the same facts and not an empty database beside them. There is no password in it.
const storeFile = "store"

// drillSchemas is how the schemas of drills begin. Each drill has its own, so that it touches
// nothing else on a shared server.
const drillSchemas = "tocsin_drill_"

// openStore opens the store that the command line names, else the one this folder has used, else
// SQLite in the folder. The caller holds the folder's lock, which is what makes it safe to call
// everything dead that an earlier process left running.
func (a *App) openStore(ctx context.Context, lock *sqlite.FolderLock) (ledger.Store, error) {
	used, err := usedStore(a.o.Dir)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(a.o.Dir, "tocsin.db")
	switch {
	case a.o.Store == "":
		a.o.Store = used
	case used != "" && !sameStore(used, a.o.Store):
		return nil, fmt.Errorf("--store: the facts of %s are in %s: leave --store out, or if the database has moved write its new address into %s", a.o.Dir, used, filepath.Join(a.o.Dir, storeFile))
	case used == "":
		if _, err := os.Stat(file); err == nil {
			return nil, fmt.Errorf("--store: the facts of %s are in %s: leave --store out, or begin a new folder with tocsin init", a.o.Dir, file)
		}
	}
	if a.o.Store == "" {
		return sqlite.Open(file, sqlite.Options{ReadOnly: a.readOnly(), Lock: lock, Log: a.o.Log})
	}
	return a.openPostgres(ctx, used == "")
}

func usedStore(dir string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, storeFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(raw)), err
}

// sameStore says whether two addresses name one database, whoever signs in and however.
func sameStore(x, y string) bool {
	a, err := url.Parse(x)
	if err != nil {
		return false
	}
	b, err := url.Parse(y)
	return err == nil && a.Host == b.Host && strings.Trim(a.Path, "/") == strings.Trim(b.Path, "/")
}

// schemaNote is the comment on a schema: whose it is. A schema without one is never touched.
type schemaNote struct {
	Installation string `json:"installation"`
	Env          string `json:"env"`
	Host         string `json:"host"`
	Folder       string `json:"folder"`
}

func (a *App) openPostgres(ctx context.Context, first bool) (_ ledger.Store, err error) {
	schema := postgres.DefaultSchema
	if a.in.Env == "drill" {
		schema = drillSchemas + strings.ToLower(a.in.ID)
	}
	store, err := postgres.Open(ctx, a.o.Store, postgres.Options{Schema: schema, Log: a.o.Log})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	text, err := store.Note(ctx)
	if err != nil {
		return nil, err
	}
	if text != "" {
		var owner schemaNote
		if json.Unmarshal([]byte(text), &owner) != nil || owner.Installation != a.in.ID {
			return nil, fmt.Errorf("--store: schema %s of this database belongs to another installation (folder %s on %s): give each its own database", schema, owner.Folder, owner.Host)
		}
	}
	if a.readOnly() {
		return store, nil
	}
	mine := schemaNote{Installation: a.in.ID, Env: a.in.Env, Folder: a.o.Dir}
	if mine.Host, err = os.Hostname(); err != nil {
		return nil, err
	}
	if mine.Folder, err = filepath.Abs(a.o.Dir); err != nil {
		return nil, err
	}
	note, err := json.Marshal(mine)
	if err != nil {
		return nil, err
	}
	if text != string(note) {
		// A crash before this leaves a schema that no note claims; this folder's next start claims it.
		if err := store.SetNote(ctx, string(note)); err != nil { // only the schema's owner may
			a.o.Log.Warn("the schema carries no note of whose it is", "error", err)
		}
	}
	if first {
		// A crash before this: the next start is given --store again, and finds its own schema. It is whole
		// and on the disk afterwards: without it a start would begin an empty database.
		if err := backup.Folder(a.o.Dir).Write(ctx, storeFile, []byte(a.o.Store+"\n")); err != nil {
			return nil, err
		}
	}
	if a.in.Env == "drill" {
		dropped, err := store.DropSchemas(ctx, drillSchemas, func(note string) bool { return abandoned(note, mine.Host) })
		if err != nil { // tidying: never a reason not to start
			a.o.Log.Warn("the schemas of earlier drills could not be dropped", "error", err)
		}
		for _, name := range dropped {
			a.o.Log.Info("dropped the schema of an earlier drill whose folder is gone", "schema", name)
		}
	}
	return store, nil
}

// abandoned says that nobody can open a drill's schema again: its folder was on this machine, and
// is gone or belongs to another installation by now. The keys are in the folder, so without it the
// facts cannot be read any more.
func abandoned(text, host string) bool {
	var n schemaNote
	if json.Unmarshal([]byte(text), &n) != nil || n.Env != "drill" || n.Host != host || n.Folder == "" || n.Installation == "" {
		return false
	}
	body, err := os.ReadFile(filepath.Join(n.Folder, installationFile))
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	var in Installation
	return err == nil && json.Unmarshal(body, &in) == nil && in.ID != "" && in.ID != n.Installation
}

// checkEnv refuses a folder whose facts were made in another environment than installation.json
// says: with the file altered, a production folder could otherwise be opened as a drill.
func checkEnv(ctx context.Context, store ledger.Store, keys ledger.Keys, chain string, in Installation) error {
	return store.View(ctx, func(r ledger.Reader) error {
		records, err := r.Records(chain, 0, 1)
		if errors.Is(err, ledger.ErrNotFound) || err == nil && len(records) == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		var f incident.Fact
		if f, err = ledger.Open(records[0], keys); err != nil {
			return err
		}
		if f.Env != in.Env {
			return fmt.Errorf("%s says that this is a %s folder, and its facts were made in %s: restore the file", installationFile, in.Env, f.Env)
		}
		return nil
	})
}
