package accesslog_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/spool"
)

// Whoever follows the events page by page meets each of them once and in order, although the table
// takes them and the spool lets go of them all the time.
//
// promise: DET-1
func TestFollowingMeetsEveryEventOnceWhileTheSpoolLetsGo(t *testing.T) {
	s := newSite(t)
	s.close()
	s.spool, s.flush = spool.Options{Segment: 500}, 1
	s.open(t)
	const batches, each = 150, 4
	sent := make(chan error, 1)
	go func() {
		for i := range batches {
			var b strings.Builder
			for k := range each {
				fmt.Fprintln(&b, line(fmt.Sprintf("e%d", i*each+k), noon, ""))
			}
			if _, err := s.Ingest(t.Context(), app, "", "", strings.NewReader(b.String())); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	var at int64
	for met, page := 0, 1; met < batches*each; page = page%7 + 1 {
		if met > 0 && page == 3 { // from the front again: what is old is in the table alone
			list, err := s.EntriesAfter(t.Context(), 0, met)
			if err == nil && slices.ContainsFunc(list, func(e accesslog.Entry) bool { return e.Canonical == nil }) {
				t.Fatal("an event that is in the table has no canonical form")
			}
			if err != nil || len(list) != met || list[met-1].Seq != at {
				t.Fatalf("%d of the %d events that were met: %v", len(list), met, err)
			}
		}
		list, err := s.EntriesAfter(t.Context(), at, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if !bytes.Contains(e.Canonical, []byte(`"id":"`+e.ID+`"`)) {
				t.Fatalf("%s has %q as its canonical form", e.ID, e.Canonical)
			}
			if want := fmt.Sprintf("e%d", met); e.ID != want || e.Seq <= at {
				t.Fatalf("%s at %d after %d, want %s", e.ID, e.Seq, at, want)
			}
			at = e.Seq
			met++
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}
