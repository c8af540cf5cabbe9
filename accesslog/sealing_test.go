package accesslog

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog/spool"
	"github.com/tocsin-ir/tocsin/leaf"
)

// A guess at how well events pack that was too high must be mended by the first leaf that does not
// fit: one that stays too high has every event packed several times.
func TestLeavesThatWereTooFullTeachTheNextOnes(t *testing.T) {
	var r run
	plain := map[uint64]int{} // bytes of the events up to a position
	for i := range 12_000 {
		e := &leaf.Event{ID: fmt.Sprintf("ev-%d", i*7919), Kind: PIIAccess, Session: fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)})), Endpoint: "GET /orders", Time: time.UnixMilli(int64(i))}
		m := member{seq: uint64(i + 1), time: e.Time, canonical: appendCanonical(nil, e, "2026-11-22T11:00:00Z")}
		plain[m.seq] = plain[m.seq-1] + len(m.canonical) + 1
		r.members = append(r.members, m)
	}
	r.epoch = "2026-11-22"
	fresh := func() *sealer {
		return &sealer{s: &Store{o: Options{Keys: fixedKeys(make([]byte, 32))}}, ratio: maxRatio, perLeaf: 500}
	}
	w := fresh()
	data, headers, err := w.leavesOf(r, true)
	if err != nil || len(data) < 4 {
		t.Fatalf("%d leaves, %v", len(data), err)
	}
	best := 0.0
	for i, h := range headers {
		best = max(best, float64(plain[h.Last]-plain[h.First-1])/float64(len(data[i])))
		if len(data[i]) < leaf.MaxSize/2 {
			t.Errorf("leaf %d of %d has only %d bytes, and more events follow", i, len(data), len(data[i]))
		}
	}
	last := headers[len(headers)-1].Last
	if int(last) == len(r.members) {
		t.Error("no event was left for what follows")
	}
	first := fresh() // has seen one leaf
	if one, _, err := first.leavesOf(run{r.epoch, r.members[:headers[0].Last+headers[0].Last/4]}, true); err != nil || len(one) != 1 || first.ratio > best*1.01 {
		t.Errorf("after %d leaves events are expected to pack to a part in %.1f; the best leaf had %.1f (%v)", len(one), first.ratio, best, err)
	}
	rest := run{r.epoch, r.members[last:]}
	if data, headers, err = w.leavesOf(rest, false); err != nil || headers[len(headers)-1].Last != 12_000 {
		t.Errorf("the rest went to %d leaves, %v", len(data), err)
	}
}

// What stands in the spool is durable before the committer has said so. Sealing takes nothing of it until
// then: the log would hold what nobody was told, and the mark of its leaf is refused.
func TestWhatIsNotAcknowledgedYetIsNotSealed(t *testing.T) {
	sp, err := spool.Open(t.TempDir(), 0, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	s := &Store{spool: sp, frames: newFrameKeys(fixedKeys(make([]byte, 32)))}
	for first := uint64(1); first < 9; first += 3 {
		var members []member
		for seq := first; seq < first+3; seq++ {
			members = append(members, member{seq: seq, canonical: []byte(`{}`)})
		}
		body, err := s.frames.pack(nil, "2026-11-22", []packed{{source: "web", members: members}}, &room{})
		if err == nil {
			err = sp.Append([]spool.Record{{First: first, Count: 3, Body: body}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &sealer{s: s}
	for acked := uint64(3); acked <= 9; acked += 3 {
		runs, err := w.spooled(2, acked)
		if err != nil || len(runs) != 1 || runs[0].members[0].seq != 2 || runs[0].members[len(runs[0].members)-1].seq != acked {
			t.Errorf("acknowledged up to %d: %+v, %v", acked, runs, err)
		}
	}
}
