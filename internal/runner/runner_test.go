package runner

import (
	"testing"
	"time"

	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
)

// River rebuilds its indexes at midnight in PostgreSQL. In SQLite it never tries to: it cannot, and would
// say so in the log of each night.
func TestIndexesAreRebuiltInPostgreSQLAlone(t *testing.T) {
	never := reindexing(riversqlite.New(nil).DatabaseName())
	if never == nil {
		t.Fatal("SQLite's indexes are rebuilt at midnight")
	}
	if in := time.Until(never.Next(time.Now())); in < 100*365*24*time.Hour {
		t.Errorf("SQLite's indexes are rebuilt in %v", in)
	}
	if at := reindexing(riverpgxv5.New(nil).DatabaseName()); at != nil {
		t.Errorf("PostgreSQL's indexes are rebuilt as %T says, not at River's midnight", at)
	}
}
