package incident

import (
	"strings"
	"testing"
	"time"
)

// reviewed is a world whose internal review could be published.
func reviewed(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.confirmed()
	w.must(lena, SetSeverity{Severity: "low", Reason: "one record"}, ReasonSeveritySet)
	w.must(lena, Assess{Vector: "a", RootCause: "b", Risk: "c"}, ReasonAssessed)
	w.must(lena, EditReview{Part: "timeline", Text: "then"}, ReasonEdited)
	w.must(lena, EditReview{Part: "prevention", Text: "never"}, ReasonEdited)
	return w
}

// promise: REV-1
func TestWhoWritesOverATextTheyNeverSawIsRefusedAndNothingIsLost(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	w.must(lena, EditReview{Part: "timeline", Text: "first", Was: NoText}, ReasonEdited)
	seen := w.s.Review.Parts["timeline"].Fact
	w.must(mark, EditReview{Part: "timeline", Text: "second", Was: seen}, ReasonEdited)
	r := w.refused(lena, EditReview{Part: "timeline", Text: "third", Was: seen}, RefusedStale)
	if !strings.Contains(r.Error(), "person:mark") || w.s.Review.Parts["timeline"].Text != "second" {
		t.Fatalf("%v; the part is %+v", r, w.s.Review.Parts["timeline"])
	}
	w.refused(lena, EditReview{Part: "timeline", Text: "third", Was: NoText}, RefusedStale)
	w.must(lena, EditReview{Part: "timeline", Text: "third", Was: w.s.Review.Parts["timeline"].Fact}, ReasonEdited)
	w.must(lena, EditReview{Part: "timeline", Text: "for clients", Version: VersionClient, Was: NoText}, ReasonEdited)
	if w.s.Review.Parts["timeline"].Text != "third" || w.s.Review.Parts["client/timeline"].Text != "for clients" {
		t.Errorf("one version writes over another: %+v", w.s.Review.Parts)
	}
}

// promise: REV-1
func TestTheCuratedTimelineIsInTheOrderOfItsTimes(t *testing.T) {
	w := newWorld(t)
	w.confirmed()
	at := func(n int) time.Time { return t0.Add(time.Duration(n-60) * time.Minute) }
	w.must(lena, PickEntry{At: at(3), Text: "The token was revoked.", Of: "01F"}, ReasonEntryPicked)
	w.must(lena, PickEntry{At: at(1), Text: "412 accounts were read.", Of: "01E", Show: VersionClient}, ReasonEntryPicked)
	w.must(mark, PickEntry{At: at(2), Text: "Lena was called.", Show: VersionPublic}, ReasonEntryPicked)
	w.must(lena, PickEntry{At: at(3), Text: "The token was revoked.", Of: "01F"}, ReasonNothingChanged)
	order := func() (out string) {
		for _, e := range w.s.Review.Entries {
			out += e.ID + " "
		}
		return out
	}
	if got := order(); got != "TL-2 TL-3 TL-1 " {
		t.Fatalf("the order is %s", got)
	}
	shown := map[string]int{}
	for _, e := range w.s.Review.Entries {
		for _, v := range ReviewVersions {
			if e.Shows(v) {
				shown[v]++
			}
		}
	}
	if shown[VersionInternal] != 3 || shown[VersionClient] != 2 || shown[VersionPublic] != 1 {
		t.Errorf("shown: %v", shown)
	}
	w.must(lena, PickEntry{Entry: "TL-2", At: at(9), Text: "Later."}, ReasonEntryPicked)
	if got := order(); got != "TL-3 TL-1 TL-2 " {
		t.Errorf("after a change the order is %s", got)
	}
	w.must(lena, DropEntry{Entry: "TL-3"}, ReasonEntryDropped)
	w.must(lena, DropEntry{Entry: "TL-3"}, ReasonNothingChanged)
	w.must(lena, PickEntry{At: at(4), Text: "A new one."}, ReasonEntryPicked)
	if got := order(); got != "TL-1 TL-4 TL-2 " {
		t.Errorf("an id was given twice: %s", got)
	}
	w.refused(lena, PickEntry{Entry: "TL-9", At: at(1), Text: "x"}, RefusedUnknown)
}

// promise: REV-1, REV-2
func TestAVersionIsPublishedOnItsOwnAndWhatWasPublishedStays(t *testing.T) {
	w := reviewed(t)
	digest := "sha256:" + strings.Repeat("ab", 32)
	r := w.refused(lena, PublishReview{Version: VersionClient}, RefusedReview)
	if len(r.Missing) != 3 || !strings.Contains(r.Error(), "recommendations") {
		t.Fatalf("the client version lacks %v", r.Missing)
	}
	w.refused(lena, PublishReview{Written: 1}, RefusedStale)
	w.must(lena, PublishReview{Digest: digest, Written: w.s.Review.Written}, ReasonPublished)
	first := w.s.Review.PublishedAt
	w.must(lena, PublishReview{}, ReasonAlreadyPublish)
	for _, part := range []string{"impact", "response", "recommendations"} {
		w.must(lena, EditReview{Part: part, Text: "for you", Version: VersionClient}, ReasonEdited)
	}
	w.tickTo(w.now.Add(48 * h))
	w.must(lena, PublishReview{Version: VersionClient}, ReasonPublished)
	w.must(lena, EditReview{Part: "timeline", Text: "then, but later"}, ReasonEdited)
	w.must(lena, PublishReview{}, ReasonPublished)
	if got := w.s.Review.LastPublished(VersionInternal); got.N != 2 || w.s.Review.Published[0].Digest != digest {
		t.Errorf("published: %+v", w.s.Review.Published)
	}
	if !w.s.Review.PublishedAt.Equal(first) || !w.s.Milestones["reviewed"].At.Equal(first) {
		t.Error("the first publication is what the review's clock counts; it moved")
	}
}

// promise: REV-3
func TestACorrectiveActionIsFollowedUntilItIsDoneAndItsOwnerIsCalledWhenItIsLate(t *testing.T) {
	w := reviewed(t)
	due := w.now.Add(48 * h)
	w.must(lena, AddCorrective{Text: "shorter tokens", Owner: "person:omar", Due: due}, ReasonCorrectiveAdded)
	calls := func() (n int) {
		for _, p := range w.s.Pages {
			if p.CallsOwner() == "CA-1" {
				n++
				if len(p.For) != 1 || p.For[0] != "person:omar" {
					t.Errorf("called for %v", p.For)
				}
			}
		}
		return n
	}
	if domain, _ := NextWake(w.p, w.s); domain.IsZero() || domain.After(due.Add(time.Second)) {
		t.Errorf("nothing wakes when it is due: %v", domain)
	}
	w.tickTo(w.now.Add(47 * h))
	if calls() != 0 {
		t.Fatal("called before it was due")
	}
	w.tickTo(w.now.Add(2 * h))
	w.tickTo(w.now.Add(2 * h))
	if calls() != 1 || !w.s.Review.Corrective[0].Overdue(w.now) {
		t.Fatalf("called %d times", calls())
	}
	w.must(omar, MoveCorrective{Corrective: "CA-1", State: CorrectiveDone, Note: "see the pull request"}, ReasonCorrectiveMoved)
	w.refused(omar, MoveCorrective{Corrective: "CA-1", State: CorrectiveDropped, Note: "x"}, RefusedState)
	w.must(lena, MoveCorrective{Corrective: "CA-1", State: CorrectiveOpen, Due: w.now.Add(24 * h), Note: "one app still has a long one"}, ReasonCorrectiveMoved)
	c := w.s.Review.Corrective[0]
	if c.State != CorrectiveOpen || c.Reopened != 1 || c.Owner != "person:omar" || !c.Due.Equal(w.now.Add(24*h)) {
		t.Errorf("opened again: %+v", c)
	}
	w.tickTo(w.now.Add(25 * h))
	if calls() != 2 {
		t.Errorf("the second date passed and %d calls were made", calls())
	}
	w.refused(lena, MoveCorrective{Corrective: "CA-2", State: CorrectiveDone, Note: "x"}, RefusedUnknown)
}
