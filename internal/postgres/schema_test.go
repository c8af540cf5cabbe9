package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tocsin-ir/tocsin/internal/pgtest"
	"github.com/tocsin-ir/tocsin/internal/postgres"
)

func TestANoteIsReadBackAsItWasWritten(t *testing.T) {
	s, err := newPlace(t).Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	store := s.(*postgres.Store)
	for _, note := range []string{"", "plain", `it's '' a \ "note"; DROP SCHEMA public; --`, "größer\nzweite Zeile"} {
		if err := store.SetNote(t.Context(), note); err != nil {
			t.Fatalf("%q: %v", note, err)
		}
		if got, err := store.Note(t.Context()); err != nil || got != note {
			t.Errorf("wrote %q, read %q: %v", note, got, err)
		}
	}
}

func TestSchemasAreDroppedOnlyWhenNamedNotedGoneAndFree(t *testing.T) {
	address := pgtest.Database(t)
	open := func(schema, note string) *postgres.Store {
		t.Helper()
		s, err := postgres.Open(context.WithoutCancel(t.Context()), address, postgres.Options{Schema: schema})
		if err != nil {
			t.Fatal(err)
		}
		if note != "" {
			if err := s.SetNote(t.Context(), note); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	for schema, note := range map[string]string{"d_gone": "gone", "d_here": "here", "d_without": "", "other_gone": "gone"} {
		if err := open(schema, note).Close(); err != nil {
			t.Fatal(err)
		}
	}
	served := open("d_served", "gone")
	defer served.Close()
	own := open("d_own", "gone")
	defer own.Close()
	dropped, err := own.DropSchemas(t.Context(), "d_", func(note string) bool { return note == "gone" })
	if err != nil || !slices.Equal(dropped, []string{"d_gone"}) {
		t.Errorf("dropped %v: %v", dropped, err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, err := conn.Query(t.Context(), `SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'd_') OR starts_with(nspname, 'other') ORDER BY nspname`)
	if err != nil {
		t.Fatal(err)
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if got := strings.Join(left, " "); err != nil || got != "d_here d_own d_served d_without other_gone" {
		t.Errorf("left %s: %v", got, err)
	}
}
