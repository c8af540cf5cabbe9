package desk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/verify"
)

func opened(t *testing.T, s *site, title string, sig *incident.Signal) string {
	t.Helper()
	out, err := s.OpenIncident(context.Background(), "", lena, incident.Open{Title: title, Class: "unclassified", Signal: sig})
	if err != nil {
		t.Fatal(err)
	}
	return out.Incident
}

func TestALinkedSignalBelongsToOneIncident(t *testing.T) {
	s := newSite(t, nil)
	ctx := context.Background()
	sig := incident.Signal{ID: "sig1", Class: "unusual_volume", Subject: "credential:tok_1", At: noon, From: noon, To: noon, Sentence: "much"}
	first, second := opened(t, s, "one", &sig), opened(t, s, "two", nil)
	if _, err := s.LinkSignal(ctx, "k1", mark, second, "sig1", first, "it is the other matter"); err != nil {
		t.Fatal(err)
	}
	if out, err := s.LinkSignal(ctx, "k1", mark, second, "sig1", first, "it is the other matter"); err != nil || !out.Replayed {
		t.Fatalf("asked again with the same key: %+v %v", out, err)
	}
	a, _ := s.Incident(ctx, first)
	b, _ := s.Incident(ctx, second)
	if len(a.Signals) != 0 || len(a.Unlinked) != 1 || a.Unlinked[0].To != second || len(b.Signals) != 1 {
		t.Fatalf("%v %v %v", a.Signals, a.Unlinked, b.Signals)
	}
	// The detector says the same again: it joins the incident that has the signal, and opens none.
	if out, err := s.Signal(ctx, sig); err != nil || out.Incident != second {
		t.Fatalf("%+v %v", out, err)
	}
	// Refused in the second incident, it is not taken out of the first.
	third := opened(t, s, "three", nil)
	if _, err := s.Submit(ctx, Request{Incident: third, Command: incident.Dismiss{Reason: "no"}, Caller: lena}); err != nil {
		t.Fatal(err)
	}
	var refused *incident.Refusal
	if _, err := s.LinkSignal(ctx, "", mark, second, "sig1", third, "x"); !errors.As(err, &refused) || refused.Reason != incident.RefusedUnknown {
		t.Fatalf("%v", err)
	}
	if _, err := s.LinkSignal(ctx, "", guest, third, "sig1", second, "x"); !errors.As(err, &refused) {
		t.Fatalf("%v", err)
	}
	if b, _ := s.Incident(ctx, second); len(b.Signals) != 1 {
		t.Fatal("a refused link took the signal out")
	}
}

func TestForeseeingRecordsNothing(t *testing.T) {
	s := newSite(t, nil)
	ctx := context.Background()
	inc := opened(t, s, "one", nil)
	if _, err := s.Submit(ctx, Request{Incident: inc, Command: incident.Confirm{Reason: "seen it"}, Caller: lena}); err != nil {
		t.Fatal(err)
	}
	before, _ := s.Incident(ctx, inc)
	s.clock.Set(noon.Add(time.Hour))
	seen, err := s.Foresee(ctx, Request{Incident: inc, Caller: lena, Command: incident.Correct{Milestone: "confirmed", At: noon.Add(-time.Hour), Reason: "it was said on the phone before"}})
	if err != nil || len(seen.Says) == 0 || !strings.Contains(seen.Says[0], "moves from") {
		t.Fatalf("%+v %v", seen, err)
	}
	if after, _ := s.Incident(ctx, inc); after.Version != before.Version {
		t.Fatal("looking at a plan recorded something")
	}
	var refused *incident.Refusal
	if _, err := s.Foresee(ctx, Request{Incident: inc, Caller: guest, Command: incident.Note{Text: "x"}}); !errors.As(err, &refused) {
		t.Fatalf("who may not do it was shown the plan: %v", err)
	}
}

func TestMeanwhileNamesWhatOthersDid(t *testing.T) {
	s := newSite(t, nil)
	ctx := context.Background()
	inc := opened(t, s, "one", nil)
	before, _ := s.Incident(ctx, inc)
	for _, who := range []Caller{lena, mark} {
		if _, err := s.Submit(ctx, Request{Incident: inc, Command: incident.Note{Text: "note of " + who.Name}, Caller: who}); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := s.Meanwhile(ctx, inc, before.Version, lena)
	if err != nil || len(lines) != 1 || lines[0].Principal != mark.Principal {
		t.Fatalf("%+v %v", lines, err)
	}
}

// promise: INV-3
func TestAnAttachedFileIsKeptSealedAndExportedUnderItsDigest(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Events = theGround(t).events })
	ctx := context.Background()
	inc := opened(t, s, "one", nil)
	file := []byte("<script>alert('a dump with anna@example.com')</script>")
	var refused *incident.Refusal
	if _, err := s.Attach(ctx, "", guest, inc, "dump.html", "from the proxy", bytes.NewReader(file)); !errors.As(err, &refused) {
		t.Fatalf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "attachments")); !os.IsNotExist(err) {
		t.Fatal("what was refused was kept")
	}
	if _, err := s.Attach(ctx, "k", lena, inc, "../../dump.html", "from the proxy", bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Attach(ctx, "", lena, inc, "big", "x", bytes.NewReader(make([]byte, 32<<20+1))); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("%v", err)
	}
	kept, err := os.ReadDir(filepath.Join(s.dir, "attachments"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v %v", kept, err)
	}
	raw, err := os.ReadFile(filepath.Join(s.dir, "attachments", kept[0].Name()))
	if err != nil || bytes.Contains(raw, []byte("script")) {
		t.Fatal("the file lies there in the clear")
	}
	at, got, err := s.Attachment(ctx, inc, "ATT-1")
	if err != nil || !bytes.Equal(got, file) || at.Name != "../../dump.html" {
		t.Fatalf("%+v %v", at, err)
	}
	// A published text of the review is kept as sealed, and the export has it under the digest that is recorded.
	s.give(lena, inc, incident.Assess{Vector: "a", RootCause: "b", Risk: "c"})
	for _, part := range []string{"impact", "response", "recommendations"} {
		s.give(mark, inc, incident.EditReview{Part: part, Version: incident.VersionClient, Text: "The shop of Annabelle was read."})
	}
	s.give(mark, inc, incident.PublishReview{Version: incident.VersionClient})
	files, err := os.ReadDir(filepath.Join(s.dir, "attachments"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v %v", files, err)
	}
	for _, f := range files {
		if sealed, err := os.ReadFile(filepath.Join(s.dir, "attachments", f.Name())); err != nil || bytes.Contains(sealed, []byte("Annabelle")) {
			t.Fatalf("a published text lies there in the clear (%v)", err)
		}
	}
	path, err := s.Export(ctx, "", lena, inc, "the insurer")
	if err != nil {
		t.Fatal(err)
	}
	report, err := verify.File(path, verify.Options{Keys: []string{s.g.verifiers[0]}})
	if err != nil || !report.OK || report.Attachments != 1 || report.Publications != 1 {
		t.Fatalf("%+v %v", report, err)
	}
	// A file that was changed on the disk is neither shown nor exported as if it were the one.
	raw[len(raw)-1] ^= 1
	if err := os.WriteFile(filepath.Join(s.dir, "attachments", kept[0].Name()), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Attachment(ctx, inc, "ATT-1"); err == nil {
		t.Fatal("a changed file was given out")
	}
	if _, err := s.Export(ctx, "", lena, inc, "the insurer"); err == nil {
		t.Fatal("an export was made without the file")
	}
}

// A review that is published and a file that is attached while an export is made are of the next export.
//
// promise: INV-3
func TestWhatComesWhileAnExportIsMadeIsOfTheNext(t *testing.T) {
	var s *site
	var inc string
	during := false
	s = newSite(t, func(o *Options) {
		o.Events = theGround(t).events
		pass := o.Anchor
		o.Anchor = func(ctx context.Context) (int, error) {
			if during {
				during = false
				s.give(mark, inc, incident.PublishReview{Version: incident.VersionClient})
				if _, err := s.Attach(ctx, "", lena, inc, "late.txt", "came late", strings.NewReader("late")); err != nil {
					t.Error(err)
				}
			}
			return pass(ctx)
		}
	})
	inc = opened(t, s, "one", nil)
	s.give(lena, inc, incident.Assess{Vector: "a", RootCause: "b", Risk: "c"})
	for _, part := range []string{"impact", "response", "recommendations"} {
		s.give(mark, inc, incident.EditReview{Part: part, Version: incident.VersionClient, Text: "The shop was read."})
	}
	for _, want := range []int{0, 1} {
		during = want == 0
		path, err := s.Export(t.Context(), "", lena, inc, "the insurer")
		s.must(err)
		rep, err := verify.File(path, verify.Options{Keys: []string{s.g.verifiers[0]}})
		if err != nil || !rep.OK || rep.Publications != want || rep.Attachments != want {
			t.Fatalf("%d published texts, %d files, want %d; %+v %v", rep.Publications, rep.Attachments, want, rep.Findings, err)
		}
	}
}
