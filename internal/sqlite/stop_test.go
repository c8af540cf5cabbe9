package sqlite_test

import (
	"context"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/ledger"
)

func TestCloseCancelsAJobThatOutlastsTheGrace(t *testing.T) {
	s, err := sqlite.Open(newPlace(t).Address(), sqlite.Options{StopGrace: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	running, cancelled := make(chan struct{}), make(chan struct{})
	if err := s.Run(t.Context(), 1, func(ctx context.Context, _ ledger.Job) error {
		close(running)
		<-ctx.Done()
		close(cancelled)
		return ctx.Err()
	}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), func(tx ledger.Tx) error { return tx.Enqueue(ledger.Job{Kind: "notice.send", ID: "slow"}) }); err != nil {
		t.Fatal(err)
	}
	<-running
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	select {
	case <-cancelled:
	default:
		t.Error("the job was not cancelled")
	}
}

func TestCloseWaitsForAJobWithinTheGrace(t *testing.T) {
	p := newPlace(t)
	s, err := p.Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	running, release := make(chan struct{}), make(chan struct{})
	var outcome error
	if err := s.Run(ctx, 1, func(ctx context.Context, _ ledger.Job) error {
		close(running)
		<-release
		outcome = ctx.Err()
		return nil
	}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), func(tx ledger.Tx) error { return tx.Enqueue(ledger.Job{Kind: "notice.send", ID: "brief"}) }); err != nil {
		t.Fatal(err)
	}
	<-running
	stop() // the end of the runner's context is the start of the grace, not the end of the job
	close(release)
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if outcome != nil {
		t.Errorf("the job's context was already done: %v", outcome)
	}
	if s, err = p.Open(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Busy(t.Context()); err != nil || n != 0 {
		t.Errorf("busy after an orderly stop: %d, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
