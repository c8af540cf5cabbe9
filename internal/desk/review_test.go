package desk

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
)

// promise: REV-1, REV-2, REV-3
func TestAReviewIsPublishedAsItWasLookedAtAndTellsNothingOfAPrivateIncident(t *testing.T) {
	s := newSite(t, nil).start()
	inc := s.open()
	out, err := s.OpenIncident(t.Context(), "", lena, incident.Open{Class: incident.Unclassified, Title: "The bookkeeper downloads", Private: true})
	s.must(err)
	private := out.Incident
	s.give(lena, private, incident.AddCorrective{Text: "no downloads", Owner: "person:lena", Due: s.Now()})
	s.give(lena, inc, incident.AddCorrective{Text: "shorter tokens", Owner: "person:mark", Due: s.Now()})
	for who, want := range map[incident.Principal]int{lena.Principal: 2, mark.Principal: 1} {
		list, err := s.Correctives(As(t.Context(), Caller{Principal: who, Access: incident.Responder}))
		s.must(err)
		if len(list) != want {
			t.Errorf("%s sees %d corrective actions, want %d", who, len(list), want)
		}
	}

	s.give(lena, inc, incident.Assess{Vector: "a", RootCause: "b", Risk: "c"})
	for _, part := range []string{"impact", "response", "recommendations"} {
		s.give(mark, inc, incident.EditReview{Part: part, Version: incident.VersionClient, Text: "See " + private + ", The bookkeeper downloads, and ask mark."})
	}
	plan, err := s.PlanReview(As(t.Context(), mark), inc, incident.VersionClient)
	s.must(err)
	if strings.Contains(plan.Markdown, private) || strings.Contains(plan.Markdown, "bookkeeper") || strings.Contains(plan.Markdown, "mark") || len(plan.Withheld) < 6 {
		t.Errorf("the version for clients says\n%s\nand leaves out %v", plan.Markdown, plan.Withheld)
	}
	s.give(mark, inc, incident.EditReview{Part: "impact", Version: incident.VersionClient, Text: "Another text."})
	publish := Request{ID: "once", Incident: inc, Caller: mark, Command: incident.PublishReview{Version: incident.VersionClient, Digest: plan.Digest}}
	var refused *incident.Refusal
	if _, err := s.Submit(t.Context(), publish); !errors.As(err, &refused) || refused.Reason != incident.RefusedStale {
		t.Fatalf("a text that nobody looked at was published: %v", err)
	}
	plan, err = s.PlanReview(t.Context(), inc, incident.VersionClient)
	s.must(err)
	publish.ID, publish.Command = "twice", incident.PublishReview{Version: incident.VersionClient, Digest: plan.Digest}
	for range 2 { // the same request again does nothing again
		if _, err := s.Submit(t.Context(), publish); err != nil {
			t.Fatal(err)
		}
	}
	s.give(mark, inc, incident.EditReview{Part: "impact", Version: incident.VersionClient, Text: "Written later."})
	got := s.state(inc).Review.Published
	if len(got) != 1 || got[0].Digest != plan.Digest {
		t.Fatalf("published: %+v", got)
	}
	text, err := s.Review(t.Context(), inc, ReviewQuery{Version: incident.VersionClient, N: 1, Format: "md"})
	s.must(err)
	if string(text) != plan.Markdown || digestOf(text) != got[0].Digest {
		t.Errorf("what was published is another text:\n%s", text)
	}
	changes, err := s.ReviewDiff(t.Context(), inc, incident.VersionClient, 1, 0)
	s.must(err)
	if !strings.Contains(changes, "-Another text.") || !strings.Contains(changes, "+Written later.") {
		t.Errorf("changed:\n%s", changes)
	}
	if _, err := s.Review(t.Context(), inc, ReviewQuery{Version: incident.VersionClient, N: 2, Format: "md"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a publication that is none: %v", err)
	}
	if _, err := s.PlanReview(As(t.Context(), mark), private, incident.VersionClient); !errors.Is(err, ErrNotFound) {
		t.Errorf("the review of a private incident is there for others: %v", err)
	}
}

// promise: REV-1, REV-2
func TestWhatPeopleOutsideReadNamesNobodyOfAMergedIncident(t *testing.T) {
	s := newSite(t, nil)
	sig := incident.Signal{ID: "sig1", Class: "unusual_volume", Subject: "credential:backoffice-key", At: noon, From: noon, To: noon, Sentence: "much", Facets: map[string]string{"actor": "nightly-job"}}
	a, b := s.open(), opened(t, s, "two", &sig)
	scoped := func(inc string, merchants ...string) {
		c := incident.RecordScope{Query: []byte(`{"from":"x"}`), Log: "o/events", Size: 7, Checkpoint: "note", Digest: "sha256:" + strings.Repeat("0", 64), Events: 9, Records: 9, Customers: 9}
		for _, m := range merchants {
			c.Merchants = append(c.Merchants, incident.Exposure{Merchant: m, Customers: 3, Records: 3, DataTypes: []string{"customer.email"}})
		}
		s.give(nadia, inc, c)
	}
	scoped(b, "m_1")
	if _, err := s.Merge(t.Context(), "", boss, MergeAsk{Into: a, From: b, Reason: "one thief"}); err != nil {
		t.Fatal(err)
	}
	scoped(a, "m_2", "m_3")
	scoped(a, "m_2") // m_3 was in the scope once, and is not any more
	secret := "m_1, m_2 and m_3 were read with backoffice-key by nightly-job."
	s.give(mark, a, incident.EditReview{Part: "impact", Version: incident.VersionClient, Text: secret})
	plan, err := s.PlanReview(t.Context(), a, incident.VersionClient)
	s.must(err)
	for _, bad := range []string{"m_1", "m_2", "m_3", "backoffice", "nightly"} {
		if strings.Contains(strings.ReplaceAll(plan.Markdown, `\`, ""), bad) {
			t.Errorf("the version for clients says %q:\n%s", bad, plan.Markdown)
		}
	}
}

// promise: REV-2
func TestAReviewDoesNotTellWhichNumbersArePrivateIncidents(t *testing.T) {
	s := newSite(t, nil)
	inc := s.open()
	out, err := s.OpenIncident(t.Context(), "", lena, incident.Open{Class: incident.Unclassified, Title: "The bookkeeper downloads", Private: true})
	s.must(err)
	other, nobody := s.open(), "INC-9"
	shown := func(id string) string {
		s.give(mark, inc, incident.EditReview{Part: "impact", Version: incident.VersionClient, Text: "See " + id + "."})
		plan, err := s.PlanReview(As(t.Context(), mark), inc, incident.VersionClient)
		s.must(err)
		return fmt.Sprintf("%s %v", plan.Markdown, plan.Withheld)
	}
	if private, none := shown(out.Incident), shown(nobody); private != none {
		t.Errorf("the number of a private incident is told from one that no incident has:\n%s\n%s", private, none)
	}
	if private, none := shown("*inc*  0"+strings.TrimPrefix(out.Incident, "INC-")), shown("*inc*  09"); private != none {
		t.Errorf("the number of a private incident is told from one that no incident has:\n%s\n%s", private, none)
	}
	for _, id := range []string{inc, other} {
		if text := shown(id); !strings.Contains(text, id+".") {
			t.Errorf("%s, which everybody knows, was taken out:\n%s", id, text)
		}
	}
}
