package incident

import (
	"strings"
	"testing"
	"time"
)

func signalOf(id string) Signal {
	return Signal{ID: id, Class: "unusual_volume", Subject: "credential:tok_9f", At: t0.Add(-time.Minute), From: t0.Add(-time.Hour), To: t0, Sentence: "9,000 records in 4 minutes"}
}

func TestASignalIsTakenOutWithItsReasonAndStaysOnRecord(t *testing.T) {
	w := newWorld(t)
	w.open()
	w.must(worker, AddSignal{Signal: signalOf("s1")}, ReasonSignalLinked)
	w.must(worker, AddSignal{Signal: signalOf("s2")}, ReasonSignalLinked)
	if _, err := w.give(lena, UnlinkSignal{Signal: "s1"}); err == nil {
		t.Fatal("it went without a reason")
	}
	w.refused(lena, UnlinkSignal{Signal: "s9", Reason: "x"}, RefusedUnknown)
	before := w.s
	after, err := Apply(before) // a reader has the state
	if err != nil {
		t.Fatal(err)
	}
	w.must(lena, UnlinkSignal{Signal: "s1", To: "INC-2", Reason: "another credential"}, ReasonSignalUnlinked)
	w.must(lena, UnlinkSignal{Signal: "s1", Reason: "again"}, ReasonNothingChanged)
	if len(w.s.Signals) != 1 || w.s.Signals[0].ID != "s2" || len(w.s.Unlinked) != 1 || w.s.Unlinked[0].Why != "another credential" || w.s.Unlinked[0].To != "INC-2" {
		t.Fatalf("signals %v, taken out %v", w.s.Signals, w.s.Unlinked)
	}
	if len(after.Signals) != 2 {
		t.Fatal("the state of a reader changed")
	}
	if line := Render(w.facts[len(w.facts)-1]); !strings.Contains(line.Text, "s1 taken out, to INC-2: another credential") {
		t.Fatal(line.Text)
	}
}

func TestARoleIsHeldUntilTheOtherAcceptsIt(t *testing.T) {
	w := newWorld(t)
	w.open()
	offer := HandOver{Role: "lead", Person: mark.Principal, Note: "the token is revoked, the merchants are not told"}
	w.refused(lena, offer, RefusedState) // nobody holds it
	w.must(lena, Assign{Role: "lead", Person: lena.Principal}, ReasonAssigned)
	w.refused(mark, offer, RefusedLead)
	w.refused(mark, AcceptRole{Role: "lead"}, RefusedState)
	w.must(lena, offer, ReasonOffered)
	if w.s.Roles["lead"] != lena.Principal || w.s.Offers["lead"] == nil || w.s.Offers["lead"].Person != mark.Principal {
		t.Fatalf("roles %v, offers %v", w.s.Roles, w.s.Offers)
	}
	calls := w.owed(EffectPage)
	if len(calls) != 1 || PageOf(w.s, calls[0]) == nil || PageOf(w.s, calls[0]).For[0] != mark.Principal {
		t.Fatalf("nobody is told of the offer: %v", calls)
	}
	w.must(lena, offer, ReasonNothingChanged)
	w.refused(nadia, AcceptRole{Role: "lead"}, RefusedAccess)
	w.must(mark, AcceptRole{Role: "lead"}, ReasonAssigned)
	if w.s.Roles["lead"] != mark.Principal || len(w.s.Offers) != 0 {
		t.Fatalf("roles %v, offers %v", w.s.Roles, w.s.Offers)
	}
	w.must(mark, HandOver{Role: "lead", Person: lena.Principal, Note: "back"}, ReasonOffered)
	w.must(mark, HandOver{Role: "lead", Person: mark.Principal, Note: "I stay"}, ReasonOfferWithdrawn)
	w.refused(lena, AcceptRole{Role: "lead"}, RefusedState)
}

func TestAHoldStandsUntilItsTimeOrItsRelease(t *testing.T) {
	w := newWorld(t)
	w.open()
	if _, err := w.give(nadia, PlaceHold{What: "the access log", Basis: "litigation", Until: t0}); err == nil {
		t.Fatal("a hold that has ended was placed")
	}
	w.must(nadia, PlaceHold{What: "the access log of acme", Basis: "litigation"}, ReasonHeld)
	w.must(nadia, PlaceHold{What: "mails", Basis: "order of the court", Until: t0.Add(time.Hour)}, ReasonHeld)
	for _, c := range []struct {
		at   time.Time
		want [2]bool
	}{{t0, [2]bool{true, true}}, {t0.Add(time.Hour), [2]bool{true, false}}} {
		for i, want := range c.want {
			if w.s.Holds[i].Stands(c.at) != want {
				t.Errorf("%s at %s: stands is not %v", w.s.Holds[i].ID, c.at, want)
			}
		}
	}
	w.refused(nadia, ReleaseHold{Hold: "HLD-1", Reason: "over"}, RefusedLead)
	w.refused(lena, ReleaseHold{Hold: "HLD-9", Reason: "over"}, RefusedUnknown)
	w.must(lena, ReleaseHold{Hold: "HLD-1", Reason: "settled"}, ReasonReleased)
	w.must(lena, ReleaseHold{Hold: "HLD-1", Reason: "settled"}, ReasonNothingChanged)
	if h := w.s.Holds[0]; h.Stands(t0) || h.Released.By != lena.Principal || h.Released.Text != "settled" {
		t.Fatalf("%+v", h)
	}
}

func TestAFileIsAttachedOnceUnderItsDigest(t *testing.T) {
	w := newWorld(t)
	w.open()
	digest := "sha256:" + strings.Repeat("ab", 32)
	if _, err := w.give(lena, Attach{File: "dump.bin", Digest: "md5:1", Note: "x"}); err == nil {
		t.Fatal("a digest of another kind was taken")
	}
	w.must(lena, Attach{File: "dump.bin", Digest: digest, Bytes: 10, Note: "from the proxy"}, ReasonAttached)
	w.must(mark, Attach{File: "other.bin", Digest: digest, Bytes: 10, Note: "again"}, ReasonAlreadyAttached)
	w.refused(lena, Attach{File: "big.bin", Digest: "sha256:" + strings.Repeat("cd", 32), Bytes: maxAttached, Note: "x"}, RefusedState)
	if a := w.s.Attachments; len(a) != 1 || a[0].ID != "ATT-1" || a[0].Name != "dump.bin" || a[0].By != lena.Principal {
		t.Fatalf("%+v", a)
	}
	if body := string(w.facts[len(w.facts)-2].Body); strings.Contains(body, "dump.bin") {
		t.Fatal("the name of a file stands in the clear: " + body)
	}
}

// promise: NOT-1
func TestACorrectionSaysBeforehandWhichDeadlinesMove(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, scopeOf("d1", "m_1", "m_2"), ReasonScopeRecorded)
	w.after(time.Hour)
	at := w.s.Milestones["confirmed"].At.Add(-30 * time.Minute)
	d, err := Decide(w.p, w.s, Correct{Milestone: "confirmed", At: at, Reason: "the clock of the ticket was wrong"}, w.ctx(lena))
	if err != nil {
		t.Fatal(err)
	}
	after, err := Apply(w.s, d.Facts...)
	if err != nil {
		t.Fatal(err)
	}
	var told *Move
	for _, m := range Moves(w.p, w.s, after) {
		if m.Duty == "tell_merchants" {
			told = &m
		}
	}
	if told == nil || told.N != 2 || told.DueBefore.Sub(told.DueAfter) != 30*time.Minute {
		t.Fatalf("%+v", told)
	}
	if says := told.Says(time.UTC); !strings.Contains(says, "tell merchants (2 recipients) moves from Mon 23 Nov 2026 03:02 UTC to Mon 23 Nov 2026 02:32 UTC") {
		t.Fatal(says)
	}
	if len(Moves(w.p, w.s, w.s)) != 0 {
		t.Fatal("nothing happened, and clocks moved")
	}
	w.must(lena, Correct{Milestone: "confirmed", At: at, Reason: "the clock of the ticket was wrong"}, ReasonCorrected)
	m := w.s.Milestones["confirmed"]
	if len(m.Before) != 1 || !m.At.Equal(at) || !m.Set.Equal(w.now) || m.Before[0].At.Equal(at) {
		t.Fatalf("%+v", m)
	}
}
