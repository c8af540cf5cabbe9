// Package storetest is the suite that every ledger.Store passes. A database's tests call Run with
// a function that makes stores, and nothing here knows which database it is.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// Place is where stores of one test live. Opening it again finds what the last one left.
type Place interface {
	// Open opens the store. A test closes what it opens.
	Open() (ledger.Store, error)
	// OpenPolling opens it with a queue that looks for jobs only so often, unless a commit wakes it.
	OpenPolling(every time.Duration) (ledger.Store, error)
}

// Run runs the suite. place makes an empty place that is removed when its test ends.
func Run(t *testing.T, place func(t *testing.T) Place) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Place)
	}{
		{"AppendReadsBackWhatWasWritten", appendReadsBack},
		{"AppendRefusesAChainThatMovedOn", appendConflicts},
		{"AppendRefusesWhatDoesNotFollow", appendRefuses},
		{"SeqHasNoGapsAndChainsHaveTheirOwnOrder", seqWithoutGaps},
		{"AFailingCommandUndoesOnlyItsOwnWrites", savepoints},
		{"APanicReachesItsCallerAndNobodyElse", panics},
		{"WhatWasAcknowledgedIsThereAfterReopening", durable},
		{"AViewIsASnapshot", snapshotIsolation},
		{"ACommandIsRememberedOnceForThirtyDays", commands},
		{"WakesComeInOrderAndClear", wakes},
		{"ProjectionsReadByRank", projections},
		{"RebuildMakesTheSameRows", rebuild},
		{"SnapshotsOfAChain", snapshots},
		{"Merchants", merchants},
		{"AFactIsAnchoredOnce", anchored},
		{"TheAnchorerAppendsEachFactOnce", anchorer},
		{"ListenHearsEachCommit", listen},
		{"AGivenUpUpdateDoesNothing", givenUp},
		{"AClosedStoreRefuses", closed},
		{"ConcurrentCallersKeepChainsWhole", hammer},
		{"JobsRunOnce", jobsRun},
		{"JobsOfAnUndoneCommandNeverRun", jobsUndone},
		{"AJobIsQueuedOnceUntilItHasEnded", jobsUnique},
		{"AFailedJobIsDropped", jobsFailed},
		{"AFailedJobIsQueuedAgainByWhoeverIsTold", jobsQueuedAgain},
		{"UrgentJobsDoNotWaitForUsualOnes", jobsUrgent},
		{"ACommitWakesTheQueueOfItsJobs", jobsWoken},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, place(t)) })
	}
}

// open opens a store that the test closes at its end.
func open(t *testing.T, p Place) ledger.Store {
	t.Helper()
	s, err := p.Open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t *testing.T, s ledger.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// start is the now of every test that does not care.
var start = time.Date(2026, 11, 20, 3, 2, 0, 123456789, time.UTC)

// Keys is a set of keys in memory.
type Keys struct {
	mu   sync.Mutex
	keys map[string][]byte
}

// Key returns a key that follows from its name: a test's keys protect nothing.
func (k *Keys) Key(purpose, id string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = map[string][]byte{}
	}
	name := purpose + "/" + id
	if k.keys[name] == nil {
		k.keys[name] = bytes.Repeat([]byte{byte(len(k.keys) + 1)}, 32)
	}
	return k.keys[name], nil
}

// Lookup is Key here.
func (k *Keys) Lookup(purpose, id string) ([]byte, error) { return k.Key(purpose, id) }

// Fact makes a fact with its own part and one for each merchant.
func Fact(chain string, n int, merchants ...string) incident.Fact {
	f := incident.Fact{
		Kind: "test.happened", Chain: chain, Env: "drill", Principal: "person:lena",
		Occurred: start, Recorded: start.Add(time.Duration(n) * time.Millisecond),
		Body:  fmt.Appendf(nil, `{"n":%d}`, n),
		Parts: []incident.Part{{Body: fmt.Appendf(nil, `{"text":"fact %d"}`, n)}},
	}
	for _, m := range merchants {
		f.Parts = append(f.Parts, incident.Part{Merchant: m, Body: fmt.Appendf(nil, `{"customers":%d}`, n)})
	}
	return f
}

// Append encodes and appends one fact to whatever the head is.
func Append(tx ledger.Tx, keys ledger.Keys, f incident.Fact) ([]ledger.Record, error) {
	head, err := tx.Head(f.Chain)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return nil, err
	}
	head.Chain = f.Chain
	records, err := ledger.Encode([]incident.Fact{f}, head, keys)
	if err != nil {
		return nil, err
	}
	return records, tx.Append(f.Chain, head.N, records)
}

func update(t *testing.T, s ledger.Store, fn func(ledger.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func view(t *testing.T, s ledger.Store, fn func(ledger.Reader) error) {
	t.Helper()
	if err := s.View(t.Context(), fn); err != nil {
		t.Fatalf("view: %v", err)
	}
}

// add appends n facts to a chain, each in an update of its own.
func add(t *testing.T, s ledger.Store, keys ledger.Keys, chain string, n int) {
	t.Helper()
	for i := range n {
		update(t, s, func(tx ledger.Tx) error {
			_, err := Append(tx, keys, Fact(chain, i, "m_1", "m_2"))
			return err
		})
	}
}

// Verify reads every record and checks all chains, the gapless Seq and the heads. It returns the
// records in order of Seq.
func Verify(ctx context.Context, s ledger.Store) ([]ledger.Record, error) {
	var all []ledger.Record
	chains := map[string][]ledger.Record{}
	err := s.View(ctx, func(r ledger.Reader) error {
		for {
			page, err := r.RecordsSince(int64(len(all)), 100)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			for _, record := range page {
				all = append(all, record)
				if record.Seq != int64(len(all)) {
					return fmt.Errorf("record %d has seq %d", len(all), record.Seq)
				}
				chains[record.Chain] = append(chains[record.Chain], record)
			}
		}
		heads, err := r.Heads("", 0)
		if err != nil {
			return err
		}
		if len(heads) != len(chains) {
			return fmt.Errorf("there are %d heads and %d chains", len(heads), len(chains))
		}
		for _, h := range heads {
			records := chains[h.Chain]
			last := records[len(records)-1]
			if h.N != last.N || h.ID != last.ID || !bytes.Equal(h.Hash, last.Hash) {
				return fmt.Errorf("the head of %s is %d and its last fact %d", h.Chain, h.N, last.N)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, records := range chains {
		if records[0].N != 1 {
			return nil, fmt.Errorf("chain %s starts at %d", records[0].Chain, records[0].N)
		}
		if err := ledger.VerifyChain(records); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func verify(t *testing.T, s ledger.Store) []ledger.Record {
	t.Helper()
	records, err := Verify(t.Context(), s)
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	return records
}
