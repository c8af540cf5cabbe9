package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// BenchmarkSubmit is the subject of the benchmark submit, for a profile:
// go test -bench Submit/64 -cpuprofile cpu.out ./internal/bench
func BenchmarkSubmit(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			ctx := context.Background()
			d, done, err := bare(filepath.Join(b.TempDir(), "desk"))
			if err != nil {
				b.Fatal(err)
			}
			who := desk.Caller{Principal: "person:bench", Name: "Bench", Access: incident.Owner, Roles: []string{"lead"}}
			ids := make([]string, callers)
			for i := range ids {
				out, err := d.OpenIncident(ctx, "", who, incident.Open{Class: "exposure", Title: "bench"})
				if err != nil {
					b.Fatal(err)
				}
				ids[i] = out.Incident
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			err = together(callers, func(c int) error {
				for left.Add(-1) >= 0 {
					if _, err := d.Submit(ctx, desk.Request{Incident: ids[c], Command: incident.Note{Text: "The token of the packing worker was seen from an address nobody knows."}, Caller: who}); err != nil {
						return err
					}
				}
				return nil
			})
			b.StopTimer()
			if err != nil {
				b.Fatal(err)
			}
			if err := done(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkBoard renders the board of 1,000 incidents, for a profile.
func BenchmarkBoard(b *testing.B) {
	ctx := context.Background()
	d, done, err := bare(filepath.Join(b.TempDir(), "desk"))
	if err != nil {
		b.Fatal(err)
	}
	w, err := newWall(ctx, d, 1000, 1000)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := w.get(ctx, "/"); err != nil {
			b.Fatal(err)
		}
	}
	w.server.Close()
	if err := done(); err != nil {
		b.Fatal(err)
	}
}
