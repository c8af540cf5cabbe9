package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/internal/storetest"
	"github.com/tocsin-ir/tocsin/ledger"
)

// callers runs do b.N times from n goroutines and reports how many a second.
func callers(b *testing.B, n int, do func(caller int) error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ResetTimer()
	for c := range n {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := do(c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
}

// BenchmarkSubmit appends one fact durably: encode, seal, chain, insert, move the head, a board
// row and a wake, as the desk does for each command.
func BenchmarkSubmit(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := sqlite.Open(filepath.Join(b.TempDir(), "tocsin.db"), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			keys := &storetest.Keys{}
			callers(b, n, func(caller int) error {
				chain := fmt.Sprintf("INC-%d", caller)
				return s.Update(b.Context(), func(tx ledger.Tx) error {
					if _, err := storetest.Append(tx, keys, storetest.Fact(chain, 1)); err != nil {
						return err
					}
					return tx.PutRow("board", ledger.Row{Key: chain, Rank: "a", Body: []byte(`{"severity":"critical"}`)})
				})
			})
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkAppend appends one fact durably and nothing else: the same payload as the baseline.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := sqlite.Open(filepath.Join(b.TempDir(), "tocsin.db"), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			keys := &storetest.Keys{}
			callers(b, n, func(caller int) error {
				chain := fmt.Sprintf("INC-%d", caller)
				return s.Update(b.Context(), func(tx ledger.Tx) error {
					_, err := storetest.Append(tx, keys, storetest.Fact(chain, 1))
					return err
				})
			})
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkPlain is the baseline: one insert of the same bytes in a transaction of its own, same
// pragmas, same durability.
func BenchmarkPlain(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "plain.db")+
				"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)&_pragma=busy_timeout(10000)"+
				"&_pragma=temp_store(MEMORY)&_pragma=cache_size(-16000)&_pragma=wal_autocheckpoint(4000)&_txlock=immediate")
			if err != nil {
				b.Fatal(err)
			}
			db.SetMaxOpenConns(1)
			if _, err := db.Exec(`CREATE TABLE facts (seq INTEGER PRIMARY KEY, chain TEXT, n INTEGER, id TEXT, kind TEXT,
				header BLOB, prev BLOB, hash BLOB, sealed BLOB)`); err != nil {
				b.Fatal(err)
			}
			insert, err := db.Prepare(`INSERT INTO facts (chain, n, id, kind, header, prev, hash, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
			if err != nil {
				b.Fatal(err)
			}
			records, err := ledger.Encode([]incident.Fact{storetest.Fact("INC-1", 1)}, ledger.Head{Chain: "INC-1"}, &storetest.Keys{})
			if err != nil {
				b.Fatal(err)
			}
			r := records[0]
			callers(b, n, func(int) error {
				_, err := insert.Exec(r.Chain, r.N, r.ID, r.Kind, r.Header, r.Prev, r.Hash, r.Parts[0].Sealed)
				return err
			})
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
