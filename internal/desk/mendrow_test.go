package desk

import (
	"bytes"
	"testing"

	"github.com/tocsin-ir/tocsin/ledger"
)

// A row of the board that an earlier version wrote does not say that the incident has notices, so their list
// would pass over them until the incident changes. The next start writes the row again from the facts, and
// leaves one that is right as it is.
//
// promise: NOT-1
func TestAStartMendsTheRowsOfAnEarlierVersion(t *testing.T) {
	s := newSite(t, nil)
	old, sound := s.open(), s.open()
	s.tell(old)
	row := func(id string) (r ledger.Row) {
		t.Helper()
		s.must(s.store.View(t.Context(), func(reader ledger.Reader) (err error) {
			r, err = reader.Row(boardProjection, id)
			return err
		}))
		return r
	}
	want, other := row(old), row(sound)
	before := bytes.Replace(want.Body, []byte(`"notices":1`), []byte(`"is_old":1`), 1)
	if bytes.Equal(before, want.Body) {
		t.Fatalf("the row says nothing of notices: %s", want.Body)
	}
	s.must(s.store.Update(t.Context(), func(tx ledger.Tx) error {
		return tx.PutRow(boardProjection, ledger.Row{Key: old, Rank: want.Rank, Body: before})
	}))
	if list, _, err := s.EveryNotice(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("with the old row %d notices are found: the test shows nothing (%v)", len(list), err)
	}
	for _, chain := range []string{old, sound} {
		if mended, err := s.reconcileOne(t.Context(), chain); err != nil || mended != (chain == old) {
			t.Errorf("%s: mended %v, %v", chain, mended, err)
		}
	}
	list, _, err := s.EveryNotice(t.Context())
	if err != nil || len(list) != 1 || list[0].Incident != old {
		t.Errorf("after a start the list has %+v, %v", list, err)
	}
	if got := row(old); got.Rank != want.Rank || !bytes.Equal(got.Body, want.Body) {
		t.Errorf("the row became %s, want %s", got.Body, want.Body)
	}
	if got := row(sound); !bytes.Equal(got.Body, other.Body) {
		t.Errorf("a sound row became %s", got.Body)
	}
}
