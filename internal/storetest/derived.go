package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/ledger"
)

func commands(t *testing.T, p Place) {
	s := open(t, p)
	update(t, s, func(tx ledger.Tx) error { return tx.Command("key-1", []byte(`{"a":1}`), start) })
	err := s.Update(t.Context(), func(tx ledger.Tx) error { return tx.Command("key-1", []byte(`{"a":2}`), start) })
	if !errors.Is(err, ledger.ErrDuplicate) {
		t.Errorf("the same command again: %v", err)
	}
	outcome := func(id string) (got string, err error) {
		view(t, s, func(r ledger.Reader) error {
			body, e := r.Outcome(id)
			got, err = string(body), e
			return nil
		})
		return got, err
	}
	if got, err := outcome("key-1"); err != nil || got != `{"a":1}` {
		t.Errorf("outcome: %q, %v", got, err)
	}
	if _, err := outcome("key-2"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("outcome of a command never given: %v", err)
	}
	day := 24 * time.Hour
	update(t, s, func(tx ledger.Tx) error { return tx.Command("key-2", nil, start.Add(30*day)) })
	if _, err := outcome("key-1"); err != nil {
		t.Errorf("forgotten on the thirtieth day: %v", err)
	}
	update(t, s, func(tx ledger.Tx) error { return tx.Command("key-3", nil, start.Add(31*day)) })
	if _, err := outcome("key-1"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("still remembered after 31 days: %v", err)
	}
	if got, err := outcome("key-2"); err != nil || got != "" {
		t.Errorf("an empty outcome: %q, %v", got, err)
	}
}

func wakes(t *testing.T, p Place) {
	s := open(t, p)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	update(t, s, func(tx ledger.Tx) error {
		return errors.Join(
			tx.SetWake("INC-1", ledger.Domain, at(3)),
			tx.SetWake("INC-2", ledger.Domain, at(1)),
			tx.SetWake("INC-3", ledger.Domain, at(2)),
			tx.SetWake("INC-1", ledger.Protocol, at(9)),
		)
	})
	look := func(clock ledger.WakeClock, before time.Time, want ...string) {
		t.Helper()
		view(t, s, func(r ledger.Reader) error {
			found, err := r.Wakes(clock, before, 0)
			got := []string{}
			for _, w := range found {
				if w.Clock != clock {
					t.Errorf("a wake of clock %s among those of %s", w.Clock, clock)
				}
				got = append(got, w.Chain+" "+w.At.Format(time.RFC3339Nano))
			}
			if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("wakes of %s until %s: %v, want %v", clock, before, got, want)
			}
			return err
		})
	}
	line := func(chain string, minutes int) string { return chain + " " + at(minutes).Format(time.RFC3339Nano) }
	look(ledger.Domain, at(0))
	look(ledger.Domain, at(2), line("INC-2", 1), line("INC-3", 2)) // one that is due now is due
	look(ledger.Domain, at(9), line("INC-2", 1), line("INC-3", 2), line("INC-1", 3))
	look(ledger.Protocol, at(9), line("INC-1", 9))
	next := func(want time.Time) {
		t.Helper()
		view(t, s, func(r ledger.Reader) error {
			got, ok, err := r.NextWake(ledger.Domain)
			if ok == want.IsZero() || !got.Equal(want) {
				t.Errorf("next wake %s, %v; want %s", got, ok, want)
			}
			return err
		})
	}
	next(at(1))
	update(t, s, func(tx ledger.Tx) error {
		return errors.Join(tx.SetWake("INC-2", ledger.Domain, at(5)), tx.SetWake("INC-3", ledger.Domain, time.Time{}))
	})
	next(at(3))
	look(ledger.Domain, at(9), line("INC-1", 3), line("INC-2", 5))
	update(t, s, func(tx ledger.Tx) error {
		return errors.Join(tx.SetWake("INC-1", ledger.Domain, time.Time{}), tx.SetWake("INC-2", ledger.Domain, time.Time{}),
			tx.SetWake("INC-9", ledger.Domain, time.Time{})) // clearing what is not set is no error
	})
	next(time.Time{})
	look(ledger.Protocol, at(9), line("INC-1", 9))
}

func projections(t *testing.T, p Place) {
	s := open(t, p)
	update(t, s, func(tx ledger.Tx) error {
		for _, r := range []struct{ key, rank string }{{"k1", "b"}, {"k2", "a"}, {"k3", "b"}, {"k4", "c"}, {"K0", "B"}, {"k5", "ä"}} {
			if err := tx.PutRow("board", ledger.Row{Key: r.key, Rank: r.rank, Body: fmt.Appendf(nil, `{"key":%q}`, r.key)}); err != nil {
				return err
			}
		}
		return tx.PutRow("other", ledger.Row{Key: "k1", Rank: "b", Body: []byte(`{}`)})
	})
	keys := func(from, to string, limit int, want string) {
		t.Helper()
		view(t, s, func(r ledger.Reader) error {
			rows, err := r.Rows("board", from, to, limit)
			got := ""
			for _, row := range rows {
				got += row.Key + " "
			}
			if got != want {
				t.Errorf("rows from %q to %q: %q, want %q", from, to, got, want)
			}
			return err
		})
	}
	keys("", "", 0, "K0 k2 k1 k3 k4 k5 ") // by bytes, whatever the locale of the database
	keys("b", "", 0, "k1 k3 k4 k5 ")
	keys("b", "c", 0, "k1 k3 ")
	keys("", "b", 0, "K0 k2 ")
	keys("", "", 2, "K0 k2 ")
	update(t, s, func(tx ledger.Tx) error {
		if err := tx.PutRow("board", ledger.Row{Key: "k1", Rank: "d", Body: []byte(`{"new":true}`)}); err != nil {
			return err
		}
		return tx.DeleteRow("board", "k4")
	})
	keys("b", "z", 0, "k3 k1 ")
	view(t, s, func(r ledger.Reader) error {
		row, err := r.Row("board", "k1")
		if row.Rank != "d" || string(row.Body) != `{"new":true}` {
			t.Errorf("row: %v", row)
		}
		if _, err := r.Row("board", "k4"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a deleted row: %v", err)
		}
		return err
	})
}

func snapshots(t *testing.T, p Place) {
	s := open(t, p)
	update(t, s, func(tx ledger.Tx) error { return tx.PutSnapshot("INC-1", 7, "1.0", []byte(`{"id":"INC-1"}`)) })
	update(t, s, func(tx ledger.Tx) error { return tx.PutSnapshot("INC-1", 9, "1.1", []byte(`{"id":"INC-1","v":2}`)) })
	view(t, s, func(r ledger.Reader) error {
		n, engine, body, err := r.Snapshot("INC-1")
		if n != 9 || engine != "1.1" || string(body) != `{"id":"INC-1","v":2}` {
			t.Errorf("snapshot: %d %s %s", n, engine, body)
		}
		if _, _, _, err := r.Snapshot("INC-2"); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("a snapshot never made: %v", err)
		}
		return err
	})
}

func merchants(t *testing.T, p Place) {
	s := open(t, p)
	all := []ledger.Merchant{
		{ID: "m_1", Name: "Fleur & Fils", Phone: "+33 1", Language: "fr", Zone: "Europe/Paris", Country: "FR",
			Stores: []ledger.MerchantStore{{ID: "s_2", Domain: "two.example"}, {ID: "s_1", Domain: "one.example"}},
			Emails: []string{"b@example.com", "a@example.com"}, Channels: map[string]string{"slack": "C0123ABCD", "basecamp": "1042"}, ContractHours: 24, Installed: start},
		{ID: "m_10", Name: "株式会社 <b>", Installed: start, Uninstalled: start.Add(time.Hour)},
		{ID: "m_2", Name: "Robert'); DROP TABLE merchants;--", Stores: []ledger.MerchantStore{{ID: "s_3", Domain: "three.example"}}},
	}
	for i := range all { // reading gives an empty list, not none
		if all[i].Emails == nil {
			all[i].Emails = []string{}
		}
	}
	update(t, s, func(tx ledger.Tx) error { return tx.PutMerchants(all) })
	check := func() {
		t.Helper()
		view(t, s, func(r ledger.Reader) error {
			got, err := r.Merchants("", 0)
			if err != nil {
				return err
			}
			if !reflect.DeepEqual(got, all) {
				t.Errorf("merchants:\n%v\n%v", got, all)
			}
			for _, m := range all {
				if one, err := r.Merchant(m.ID); err != nil || !reflect.DeepEqual(one, m) {
					t.Errorf("merchant %s: %v, %v", m.ID, one, err)
				}
			}
			if page, err := r.Merchants("m_1", 1); err != nil || len(page) != 1 || page[0].ID != "m_10" {
				t.Errorf("the page after m_1: %v, %v", page, err)
			}
			if n, err := r.CountMerchants(); err != nil || n != len(all) {
				t.Errorf("count: %d, %v", n, err)
			}
			if _, err := r.Merchant("m_9"); !errors.Is(err, ledger.ErrNotFound) {
				t.Errorf("an unknown merchant: %v", err)
			}
			return nil
		})
	}
	check()
	all[0].Stores = all[0].Stores[:1]
	all[0].Emails = []string{"c@example.com"}
	all[0].Channels = nil
	all[0].Installed = time.Time{}
	update(t, s, func(tx ledger.Tx) error { return tx.PutMerchants(all[:1]) })
	check()
}

// memoryLog is a facts log that can fail between a write and its report.
type memoryLog struct {
	leaves [][]byte
	fail   int // the next append keeps this many leaves and fails; -1: none
}

var errLog = errors.New("the log failed")

func (l *memoryLog) AppendMany(_ context.Context, data [][]byte) ([]uint64, error) {
	if l.fail >= 0 {
		keep := min(l.fail, len(data))
		l.leaves, l.fail = append(l.leaves, data[:keep]...), -1
		return nil, errLog
	}
	var index []uint64
	for _, d := range data {
		index = append(index, uint64(len(l.leaves)))
		l.leaves = append(l.leaves, d)
	}
	return index, nil
}

func (l *memoryLog) Size(context.Context) (uint64, error) { return uint64(len(l.leaves)), nil }

func (l *memoryLog) Leaves(_ context.Context, first, n uint64, fn func(uint64, []byte) error) error {
	for i := first; i < first+n; i++ {
		if err := fn(i, l.leaves[i]); err != nil {
			return err
		}
	}
	return nil
}

// anchorer is a fault table: whatever fails, and however much of it was kept, every fact ends up
// in the log once and in order, and the store knows where.
func anchorer(t *testing.T, p Place) {
	s, keys := open(t, p), &Keys{}
	log := &memoryLog{fail: -1}
	total := 0
	settle := func(a *ledger.Anchorer) {
		t.Helper()
		for {
			n, err := a.Pass(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
		records := verify(t, s)
		if len(log.leaves) != len(records) {
			t.Fatalf("the log has %d leaves for %d facts", len(log.leaves), len(records))
		}
		for i, r := range records {
			if r.Anchor != int64(i) || string(log.leaves[i]) != string(ledger.LeafData(r.ID, r.Hash)) {
				t.Fatalf("fact %d is anchored at %d, leaf %q", r.Seq, r.Anchor, log.leaves[i])
			}
		}
	}
	write := func(n int) {
		update(t, s, func(tx ledger.Tx) error {
			for i := range n {
				if _, err := Append(tx, keys, Fact("INC-1", i)); err != nil {
					return err
				}
			}
			return nil
		})
		total += n
	}
	a := ledger.NewAnchorer(s, log)
	settle(a) // nothing to do
	for _, c := range []struct {
		name    string
		facts   int
		keep    int // leaves kept by an append that reports failure; -1: it works
		restart bool
		store   bool // the store fails after the log was written
	}{
		{"nothing fails", 3, -1, false, false},
		{"the append fails and keeps nothing", 4, 0, false, false},
		{"the append fails and keeps some", 5, 2, false, false},
		{"the append fails and keeps all", 6, 6, false, false},
		{"a crash after a partial append", 7, 3, true, false},
		{"a crash after a whole append", 8, 8, true, false},
		{"a crash between the log and the store", 300, -1, true, true},
		{"a restart with nothing pending", 0, -1, true, false},
	} {
		write(c.facts)
		log.fail = c.keep
		if c.store {
			a = ledger.NewAnchorer(brokenUpdates{s}, log)
		}
		_, err := a.Pass(t.Context())
		if (err != nil) != (c.keep >= 0 || c.store) {
			t.Fatalf("%s: %v", c.name, err)
		}
		if c.restart {
			a = ledger.NewAnchorer(s, log)
		}
		settle(a)
	}
}

// brokenUpdates is a store whose writes fail.
type brokenUpdates struct{ ledger.Store }

func (brokenUpdates) Update(context.Context, func(ledger.Tx) error) error {
	return errors.New("the store failed")
}
