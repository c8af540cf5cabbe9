package app

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-ir/tocsin/internal/pgtest"
	"github.com/tocsin-ir/tocsin/ledger"
)

// database is a PostgreSQL database of its own for one test, dropped after it.
func database(t *testing.T) (address string, conn *pgx.Conn) {
	t.Helper()
	address = pgtest.Database(t)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return address, conn
}

func schemas(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'tocsin') ORDER BY nspname`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestAFolderWithItsFactsInPostgreSQLIsLockedToo(t *testing.T) {
	address, _ := database(t)
	dir := folder(t, "production", configuration)
	_, stop := start(t, Options{Dir: dir, Store: address})
	for _, store := range []string{address, ""} {
		if _, err := New(t.Context(), Options{Dir: dir, Store: store}); !errors.Is(err, ledger.ErrLocked) || !strings.Contains(err.Error(), "process ") {
			t.Errorf("a second server, --store %q: %v", store, err)
		}
	}
	stop()
	// A later start without --store opens the same facts.
	a, stop := start(t, Options{Dir: dir})
	if a.o.Store != address {
		t.Errorf("without --store it opened %q", a.o.Store)
	}
	if _, err := os.Stat(filepath.Join(dir, "tocsin.db")); !os.IsNotExist(err) {
		t.Errorf("a second store was made beside: %v", err)
	}
	stop()
	if _, err := New(t.Context(), Options{Dir: dir, Store: "postgres://postgres@127.0.0.1/elsewhere"}); err == nil || !strings.Contains(err.Error(), "leave --store out") {
		t.Errorf("another database: %v", err)
	}
	// Another folder on the same database would find facts it has no keys for.
	other := folder(t, "production", configuration)
	if _, err := New(t.Context(), Options{Dir: other, Store: address}); err == nil || !strings.Contains(err.Error(), "belongs to another installation (folder "+dir) {
		t.Errorf("another folder: %v", err)
	}
}

func TestAFolderThatBeganInSQLiteStaysThere(t *testing.T) {
	dir := folder(t, "production", configuration)
	_, stop := start(t, Options{Dir: dir})
	stop()
	if _, err := New(t.Context(), Options{Dir: dir, Store: "postgres://postgres@127.0.0.1/elsewhere"}); err == nil || !strings.Contains(err.Error(), "tocsin.db: leave --store out") {
		t.Errorf("%v", err)
	}
}

// The schemas of finished drills are dropped by the next drill once nobody can open them any
// more; those of other drills, of production and of strangers are not.
func TestSchemasOfDrillsThatAreGoneAreDropped(t *testing.T) {
	address, conn := database(t)
	drill := func(dir string) string {
		t.Helper()
		finishedDrillOn(t, dir, address)
		in, err := ReadFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		return drillSchemas + strings.ToLower(in.ID)
	}
	production := folder(t, "production", configuration)
	_, stop := start(t, Options{Dir: production, Store: address})
	stop()

	kept := folder(t, "drill", configuration)
	first := drill(kept)
	removed := folder(t, "drill", configuration)
	second := drill(removed)
	for _, note := range []string{"", `{"installation":"X","env":"drill","host":"another.example","folder":"/nowhere"}`} {
		name := drillSchemas + "stranger" + map[bool]string{true: "_far", false: ""}[note != ""]
		if _, err := conn.Exec(t.Context(), "CREATE SCHEMA "+name); err != nil {
			t.Fatal(err)
		}
		if note != "" {
			if _, err := conn.Exec(t.Context(), "COMMENT ON SCHEMA "+name+" IS '"+note+"'"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.RemoveAll(removed); err != nil {
		t.Fatal(err)
	}
	third := drill(folder(t, "drill", configuration))
	want := strings.Join([]string{"tocsin", first, third, drillSchemas + "stranger", drillSchemas + "stranger_far"}, " ")
	if got := strings.Join(schemas(t, conn), " "); got != want {
		t.Errorf("schemas\n%s, want\n%s (without %s)", got, want, second)
	}

	// A folder that the next drill emptied holds another installation.
	a, stop := start(t, Options{Dir: kept}) // somebody is looking at it
	if !a.ReadOnly() {
		t.Fatal("not read-only")
	}
	body, err := json.Marshal(Installation{ID: "01ANOTHERDRILL", Env: "drill"})
	if err != nil {
		t.Fatal(err)
	}
	write(t, kept, installationFile, string(body))
	drill(folder(t, "drill", configuration))
	if got := schemas(t, conn); !strings.Contains(strings.Join(got, " "), first) {
		t.Errorf("a schema was dropped under somebody who reads it: %v", got)
	}
	stop()
	drill(folder(t, "drill", configuration))
	if got := schemas(t, conn); strings.Contains(strings.Join(got, " "), first) {
		t.Errorf("the schema of the emptied folder is still there: %v", got)
	}
}
