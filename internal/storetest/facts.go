package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

func appendReadsBack(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	var want []ledger.Record
	update(t, s, func(tx ledger.Tx) error {
		facts := []incident.Fact{Fact("INC-1", 1), Fact("INC-1", 2, "m_2", "m_1", "m_10")}
		var err error
		if want, err = ledger.Encode(facts, ledger.Head{Chain: "INC-1"}, keys); err != nil {
			return err
		}
		if err := tx.Append("INC-1", 0, want); err != nil {
			return err
		}
		head, err := tx.Head("INC-1")
		if err == nil && head.N != 2 {
			err = fmt.Errorf("inside the transaction the head is at %d", head.N)
		}
		return err
	})
	if want[0].Seq != 1 || want[1].Seq != 2 {
		t.Errorf("append gave seqs %d and %d, want 1 and 2", want[0].Seq, want[1].Seq)
	}
	view(t, s, func(r ledger.Reader) error {
		for name, read := range map[string]func() ([]ledger.Record, error){
			"Records":      func() ([]ledger.Record, error) { return r.Records("INC-1", 0, 10) },
			"RecordsSince": func() ([]ledger.Record, error) { return r.RecordsSince(0, 10) },
			"Unanchored":   func() ([]ledger.Record, error) { return r.Unanchored(10) },
			"RecordByID": func() ([]ledger.Record, error) {
				a, errA := r.RecordByID(want[0].ID)
				b, errB := r.RecordByID(want[1].ID)
				return []ledger.Record{a, b}, errors.Join(errA, errB)
			},
		} {
			got, err := read()
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s returned something else than was appended:\n%v\n%v", name, got, want)
			}
		}
		if got, err := r.Records("INC-1", 1, 10); err != nil || len(got) != 1 || got[0].N != 2 || len(got[0].Parts) != 4 {
			t.Errorf("records after 1: %v, %v", got, err)
		}
		if got, err := r.Records("INC-1", 0, 1); err != nil || len(got) != 1 || got[0].N != 1 || len(got[0].Parts) != 1 {
			t.Errorf("one record: %v, %v", got, err)
		}
		if got, err := r.Records("INC-2", 0, 10); err != nil || len(got) != 0 {
			t.Errorf("records of an empty chain: %v, %v", got, err)
		}
		if _, err := r.RecordByID("01J00000000000000000000000"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a fact that is not there: %v", err)
		}
		if _, err := r.Head("INC-2"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("head of an empty chain: %v", err)
		}
		return nil
	})
	f, err := ledger.Open(want[1], keys)
	if err != nil || len(f.Parts) != 4 || f.Parts[1].Merchant != "m_1" || f.Parts[2].Merchant != "m_10" {
		t.Errorf("opened: %v, %v", f, err)
	}
}

func appendConflicts(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	add(t, s, keys, "INC-1", 2)
	for _, expect := range []int{0, 1, 3} {
		err := s.Update(t.Context(), func(tx ledger.Tx) error {
			head, err := tx.Head("INC-1")
			if err != nil {
				return err
			}
			head.N = expect
			records, err := ledger.Encode([]incident.Fact{Fact("INC-1", 9)}, head, keys)
			if err != nil {
				return err
			}
			return tx.Append("INC-1", expect, records)
		})
		if !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("append at %d to a chain at 2: %v", expect, err)
		}
	}
	if n := len(verify(t, s)); n != 2 {
		t.Errorf("%d facts after refused appends, want 2", n)
	}
}

func appendRefuses(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	add(t, s, keys, "INC-1", 1)
	for name, spoil := range map[string]func(*ledger.Record){
		"another chain": func(r *ledger.Record) { r.Chain = "INC-2" },
		"position":      func(r *ledger.Record) { r.N = 7 },
		"prev":          func(r *ledger.Record) { r.Prev = make([]byte, 32) },
		"hash":          func(r *ledger.Record) { r.Hash = nil },
	} {
		err := s.Update(t.Context(), func(tx ledger.Tx) error {
			head, err := tx.Head("INC-1")
			if err != nil {
				return err
			}
			records, err := ledger.Encode([]incident.Fact{Fact("INC-1", 2)}, head, keys)
			if err != nil {
				return err
			}
			spoil(&records[0])
			return tx.Append("INC-1", 1, records)
		})
		if err == nil || errors.Is(err, ledger.ErrConflict) {
			t.Errorf("a record with a wrong %s: %v", name, err)
		}
	}
	verify(t, s)
}

func seqWithoutGaps(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	boom := errors.New("boom")
	for i := range 12 {
		chain := fmt.Sprintf("INC-%d", 1+i%3)
		err := s.Update(t.Context(), func(tx ledger.Tx) error {
			if _, err := Append(tx, keys, Fact(chain, i)); err != nil {
				return err
			}
			if i%4 == 3 {
				return boom // its seq has to be given back
			}
			return nil
		})
		if (i%4 == 3) != errors.Is(err, boom) {
			t.Fatal(err)
		}
	}
	records := verify(t, s)
	if len(records) != 9 {
		t.Errorf("%d facts, want 9", len(records))
	}
	view(t, s, func(r ledger.Reader) error {
		heads, err := r.Heads("INC-1", 1)
		if err == nil && (len(heads) != 1 || heads[0].Chain != "INC-2") {
			t.Errorf("heads after INC-1: %v", heads)
		}
		return err
	})
}

func savepoints(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	boom := errors.New("boom")
	// Many at once, so that failing and good commands share groups.
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			err := s.Update(t.Context(), func(tx ledger.Tx) error {
				if _, err := Append(tx, keys, Fact(fmt.Sprintf("INC-%02d", i), i)); err != nil {
					return err
				}
				if err := tx.PutRow("board", ledger.Row{Key: fmt.Sprint(i), Rank: "a", Body: []byte(`{}`)}); err != nil {
					return err
				}
				if err := tx.SetWake(fmt.Sprintf("INC-%02d", i), ledger.Domain, start); err != nil {
					return err
				}
				if i%3 == 0 {
					return boom
				}
				return nil
			})
			if (i%3 == 0) != errors.Is(err, boom) || err != nil && i%3 != 0 {
				t.Errorf("command %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := len(verify(t, s)); n != 40 {
		t.Errorf("%d facts, want 40", n)
	}
	view(t, s, func(r ledger.Reader) error {
		rows, err := r.Rows("board", "", "", 0)
		if err != nil {
			return err
		}
		wakes, err := r.Wakes(ledger.Domain, start, 0)
		if len(rows) != 40 || len(wakes) != 40 {
			t.Errorf("%d rows and %d wakes, want 40 of each", len(rows), len(wakes))
		}
		return err
	})
}

func panics(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	func() {
		defer func() {
			if got := recover(); got != "boom" {
				t.Errorf("recovered %v, want boom", got)
			}
		}()
		_ = s.Update(t.Context(), func(tx ledger.Tx) error {
			if _, err := Append(tx, keys, Fact("INC-1", 1)); err != nil {
				return err
			}
			panic("boom")
		})
	}()
	add(t, s, keys, "INC-2", 1)
	if n := len(verify(t, s)); n != 1 {
		t.Errorf("%d facts after a panic, want 1", n)
	}
}

func durable(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	add(t, s, keys, "INC-1", 5)
	before := verify(t, s)
	shut(t, s)
	after := verify(t, open(t, p))
	if !reflect.DeepEqual(before, after) {
		t.Error("the facts changed over a restart")
	}
}

func snapshotIsolation(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	add(t, s, keys, "INC-1", 1)
	view(t, s, func(r ledger.Reader) error {
		before, err := r.Head("INC-1")
		if err != nil {
			return err
		}
		add(t, s, keys, "INC-1", 1)
		after, err := r.Head("INC-1")
		if err == nil && before.N != after.N {
			t.Errorf("the head moved from %d to %d inside a view", before.N, after.N)
		}
		return err
	})
}

func anchored(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	add(t, s, keys, "INC-1", 3)
	update(t, s, func(tx ledger.Tx) error { return tx.Anchored(2, 17) })
	update(t, s, func(tx ledger.Tx) error { return tx.Anchored(2, 17) }) // the same again is no error
	for name, call := range map[string]func(ledger.Tx) error{
		"another index": func(tx ledger.Tx) error { return tx.Anchored(2, 18) },
		"no such fact":  func(tx ledger.Tx) error { return tx.Anchored(99, 1) },
		"no index":      func(tx ledger.Tx) error { return tx.Anchored(1, -1) },
	} {
		if err := s.Update(t.Context(), call); err == nil {
			t.Errorf("anchoring with %s was accepted", name)
		}
	}
	view(t, s, func(r ledger.Reader) error {
		pending, err := r.Unanchored(0)
		if err == nil && (len(pending) != 2 || pending[0].Seq != 1 || pending[1].Seq != 3) {
			t.Errorf("pending: %v", pending)
		}
		if one, err := r.Unanchored(1); err != nil || len(one) != 1 {
			t.Errorf("one pending: %v, %v", one, err)
		}
		for below, want := range map[int64]int{0: 0, 17: 0, 18: 1, 1000: 1} {
			if n, err := r.CountAnchored(below); err != nil || n != want {
				t.Errorf("facts with an index less than %d: %d, %v; want %d", below, n, err, want)
			}
		}
		return err
	})
	if got := verify(t, s)[1].Anchor; got != 17 {
		t.Errorf("anchored at %d, want 17", got)
	}
}

func listen(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	heard := make(chan []string, 100)
	s.Listen(func(chains []string) {
		// What is told is committed: a view must see it, but not from here, which must not block.
		heard <- chains
	})
	update(t, s, func(tx ledger.Tx) error {
		if _, err := Append(tx, keys, Fact("INC-1", 1)); err != nil {
			return err
		}
		_, err := Append(tx, keys, Fact("org", 1))
		return err
	})
	if got := strings.Join(<-heard, " "); got != "INC-1 org" {
		t.Errorf("heard %q", got)
	}
	update(t, s, func(tx ledger.Tx) error { return tx.SetWake("INC-1", ledger.Domain, start) })
	_ = s.Update(t.Context(), func(tx ledger.Tx) error {
		_, err := Append(tx, keys, Fact("INC-1", 2))
		return errors.Join(err, errors.New("undone"))
	})
	update(t, s, func(tx ledger.Tx) error { _, err := Append(tx, keys, Fact("INC-3", 1)); return err })
	if got := strings.Join(<-heard, " "); got != "INC-3" {
		t.Errorf("heard %q, want INC-3: what wrote no fact, or was undone, is not told", got)
	}
}

func givenUp(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Update(ctx, func(tx ledger.Tx) error { _, err := Append(tx, keys, Fact("INC-1", 1)); return err })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an update given up: %v", err)
	}
	if n := len(verify(t, s)); n != 0 {
		t.Errorf("an update that was given up wrote %d facts", n)
	}
}

func closed(t *testing.T, p Place) {
	s := open(t, p)
	shut(t, s)
	if err := s.Update(t.Context(), func(ledger.Tx) error { return nil }); err == nil {
		t.Error("a closed store took an update")
	}
	if err := s.View(t.Context(), func(ledger.Reader) error { return nil }); err == nil {
		t.Error("a closed store was read")
	}
	shut(t, s) // a second close is no error
}

func hammer(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	const callers, each = 24, 8
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() { // a reader that must never see a broken chain
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := Verify(t.Context(), s); err != nil {
				t.Errorf("verify under load: %v", err)
				return
			}
		}
	})
	var writers sync.WaitGroup
	for c := range callers {
		writers.Go(func() {
			for i := range each {
				err := s.Update(t.Context(), func(tx ledger.Tx) error {
					_, err := Append(tx, keys, Fact(fmt.Sprintf("INC-%d", (c+i)%3), i, "m_1"))
					return err
				})
				if err != nil {
					t.Errorf("caller %d: %v", c, err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	wg.Wait()
	if n := len(verify(t, s)); n != callers*each {
		t.Errorf("%d facts, want %d", n, callers*each)
	}
}

func rebuild(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	project := func(tx ledger.Tx, r ledger.Record) error {
		return tx.PutRow("board", ledger.Row{Key: r.Chain, Rank: fmt.Sprintf("%05d", r.N), Body: fmt.Appendf(nil, `{"head":%q}`, r.ID)})
	}
	for i := range 300 { // more than one page
		update(t, s, func(tx ledger.Tx) error {
			records, err := Append(tx, keys, Fact(fmt.Sprintf("INC-%d", i%7), i))
			if err != nil {
				return err
			}
			return project(tx, records[0])
		})
	}
	rows := func() (rows []ledger.Row) {
		view(t, s, func(r ledger.Reader) (err error) { rows, err = r.Rows("board", "", "", 0); return err })
		return rows
	}
	want := rows()
	update(t, s, func(tx ledger.Tx) error {
		if err := tx.PutRow("board", ledger.Row{Key: "left over", Rank: "x", Body: []byte(`{}`)}); err != nil {
			return err
		}
		return tx.DeleteRow("board", "INC-1")
	})
	boom := errors.New("boom")
	if err := s.Rebuild(t.Context(), func(ledger.Tx, ledger.Record) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("a failing rebuild: %v", err)
	}
	if len(rows()) != 7 {
		t.Errorf("a failing rebuild left %d rows, want the 7 there were", len(rows()))
	}
	seq := int64(0)
	err := s.Rebuild(t.Context(), func(tx ledger.Tx, r ledger.Record) error {
		if seq++; r.Seq != seq {
			return fmt.Errorf("fact %d came at place %d", r.Seq, seq)
		}
		return project(tx, r)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := rows(); !reflect.DeepEqual(got, want) {
		t.Errorf("rebuilt rows differ:\n%v\n%v", got, want)
	}
}

// soon is how long something that should happen at once may take on a busy machine.
const soon = 20 * time.Second
