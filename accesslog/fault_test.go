package accesslog_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/spool"
)

// sickDisk fails one call in four of the spool while it is sick.
type sickDisk struct {
	sick   atomic.Bool
	chance *rand.Rand // the committer's
	err    error
	tear   bool
}

type sickFile struct {
	*os.File
	d *sickDisk
}

func (d *sickDisk) fails() bool { return d.sick.Load() && d.chance.IntN(4) == 0 }

func (f *sickFile) Write(b []byte) (int, error) {
	if f.d.fails() {
		n := 0
		if f.d.tear {
			n, _ = f.File.Write(b[:len(b)*2/3])
		}
		return n, f.d.err
	}
	return f.File.Write(b)
}

func (f *sickFile) Sync() error {
	if f.d.fails() {
		return f.d.err
	}
	return f.File.Sync()
}

// A disk that is full or fails in between: the door refuses those batches and says that the disk
// did, takes others meanwhile, and in the end every event is in table and log once.
//
// promise: DET-1
func TestADiskThatRefusesLosesNothingAndDoublesNothing(t *testing.T) {
	for name, d := range map[string]*sickDisk{
		"full": {err: syscall.ENOSPC}, "full and torn": {err: syscall.ENOSPC, tear: true}, "failing": {err: syscall.EIO, tear: true},
	} {
		t.Run(name, func(t *testing.T) {
			d.chance = rand.New(rand.NewPCG(7, 11))
			s := newSite(t)
			s.close()
			s.spool = spool.Options{Segment: 2000, Create: func(path string) (spool.File, error) {
				if d.fails() {
					return nil, d.err
				}
				f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				return &sickFile{f, d}, err
			}}
			s.open(t)
			d.sick.Store(true)
			refused := 0
			want := map[string]bool{}
			for i := range 60 {
				var b strings.Builder
				for k := range 1 + i%4 {
					id := fmt.Sprintf("e%d-%d", i, k)
					want[id] = true
					fmt.Fprintln(&b, line(id, noon, ""))
				}
				for {
					r, err := s.Ingest(t.Context(), app, fmt.Sprint("b", i), "", strings.NewReader(b.String()))
					if err == nil {
						if r.Accepted != 1+i%4 {
							t.Fatalf("batch %d: %+v", i, r)
						}
						break
					}
					if !errors.Is(err, accesslog.ErrDisk) || !errors.Is(err, d.err) {
						t.Fatalf("an error of another kind: %v", err)
					}
					refused++
				}
				if i == 30 { // a restart in the middle of it
					d.sick.Store(false)
					s.close()
					s.open(t)
					d.sick.Store(true)
				}
			}
			d.sick.Store(false)
			if refused < 10 {
				t.Fatalf("only %d batches were refused", refused)
			}
			for range 2 { // and once more after a restart
				table := map[string]int{}
				for _, e := range s.all(t) {
					table[e.ID]++
				}
				logged := map[string]int{}
				for _, id := range s.sealedIDs(t) {
					logged[id]++
				}
				for id := range want {
					if table[id] != 1 || logged[id] != 1 {
						t.Fatalf("%s is in the table %d times and in the log %d times", id, table[id], logged[id])
					}
				}
				if len(table) != len(want) || len(logged) != len(want) {
					t.Fatalf("%d events in the table and %d in the log, want %d", len(table), len(logged), len(want))
				}
				s.close()
				s.open(t)
			}
		})
	}
}
