package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

func TestTheSameKeyGivesTheSameAnswer(t *testing.T) {
	s := newSite(t, nil)
	inc := s.open()
	ask := func(key string, who Caller, in string, c incident.Command) (Outcome, error) {
		return s.Submit(t.Context(), Request{ID: key, Incident: in, Command: c, Caller: who})
	}
	first, err := ask("k1", lena, inc, incident.Note{Text: "hello"})
	s.must(err)
	for name, c := range map[string]struct {
		key      string
		who      Caller
		in       string
		command  incident.Command
		replayed bool
		refused  error
	}{
		"the same again":             {"k1", lena, inc, incident.Note{Text: "hello"}, true, nil},
		"another text":               {"k1", lena, inc, incident.Note{Text: "goodbye"}, false, ErrInvalid},
		"another command":            {"k1", lena, inc, incident.Acknowledge{}, false, ErrInvalid},
		"another incident":           {"k1", lena, "INC-2", incident.Note{Text: "hello"}, false, ErrInvalid},
		"the key of somebody else":   {"k1", mark, inc, incident.Note{Text: "hello"}, false, nil},
		"no key":                     {"", lena, inc, incident.Note{Text: "hello"}, false, nil},
		"a key that begins the same": {"k1/2", lena, inc, incident.Note{Text: "hello"}, false, nil},
	} {
		before := s.state(inc).Version
		out, err := ask(c.key, c.who, c.in, c.command)
		if !errors.Is(err, c.refused) {
			t.Errorf("%s: error %v, want %v", name, err, c.refused)
			continue
		}
		if out.Replayed != c.replayed {
			t.Errorf("%s: replayed is %v", name, out.Replayed)
		}
		if c.replayed && (out.Version != first.Version || !slices.Equal(out.Facts, first.Facts)) {
			t.Errorf("%s: %+v, want %+v", name, out, first)
		}
		if changed := s.state(inc).Version != before; changed != (err == nil && !c.replayed) {
			t.Errorf("%s: the incident changed: %v", name, changed)
		}
	}
}

func TestARefusalIsRememberedUnderItsKey(t *testing.T) {
	s := newSite(t, nil)
	inc := s.open()
	ask := func() *incident.Refusal {
		_, err := s.Submit(t.Context(), Request{ID: "r", Incident: inc, Command: incident.VerifyFix{How: "looked"}, Caller: lena})
		var refused *incident.Refusal
		if !errors.As(err, &refused) {
			t.Fatalf("got %v, want a refusal", err)
		}
		return refused
	}
	first := ask()
	s.give(nadia, inc, incident.RecordFix{What: "fixed"})
	again := ask() // now it would be let through, but the same request has had its answer
	if again.Reason != first.Reason || len(again.Missing) != len(first.Missing) {
		t.Errorf("got %+v, want %+v", again, first)
	}
	if s.state(inc).FixProof != nil {
		t.Error("a repeated request did what its first answer refused")
	}
}

// promise: REC-1
func TestARefusalByAGateIsAFact(t *testing.T) {
	s := newSite(t, nil)
	inc := s.open()
	s.give(lena, inc, incident.Confirm{Reason: "seen"})
	out, err := s.Submit(t.Context(), Request{Incident: inc, Command: incident.RestoreService{Reason: "hurry"}, Caller: lena})
	var refused *incident.Refusal
	if !errors.As(err, &refused) || len(refused.Missing) == 0 {
		t.Fatalf("got %v, want a refusal that says what is missing", err)
	}
	if len(out.Facts) != 1 || out.Facts[0].Kind != incident.KindGateRefused {
		t.Errorf("facts %+v, want one gate.refused", out.Facts)
	}
	st := s.state(inc)
	if len(st.Refusals) != 1 || st.Refusals[0].By != lena.Principal || st.Milestones["restored"] != nil {
		t.Errorf("refusals %+v", st.Refusals)
	}
	gates, err := s.Gates(t.Context(), inc)
	s.must(err)
	shut := slices.ContainsFunc(gates, func(g GateRow) bool { return g.Command == "restore" && !g.Open && len(g.Missing) > 0 })
	if !shut {
		t.Errorf("gates %+v do not show that restore is shut", gates)
	}
}

func TestManyCallersOfOneIncidentLoseNoFact(t *testing.T) {
	s := newSite(t, nil).start()
	inc := s.open()
	const callers, each = 32, 6
	var all sync.WaitGroup
	ids := make(chan string, callers*each)
	for i := range callers {
		all.Go(func() {
			for j := range each {
				out, err := s.Submit(context.Background(), Request{
					ID: fmt.Sprint(j), Incident: inc, Command: incident.Note{Text: fmt.Sprintf("note %d of %d", j, i)},
					Caller: Caller{Principal: incident.Principal(fmt.Sprint("person:p", i)), Access: incident.Responder},
				})
				if err != nil || len(out.Facts) != 1 {
					t.Errorf("note %d of %d: %v, facts %v", j, i, err, out.Facts)
					return
				}
				ids <- out.Facts[0].ID
				if _, err := s.Incident(context.Background(), inc); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	close(ids)
	records := s.records(inc)
	if err := ledger.VerifyChain(records); err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, r := range records {
		have[r.ID] = true
	}
	for id := range ids {
		if !have[id] {
			t.Errorf("fact %s was acknowledged and is not in the chain", id)
		}
	}
	// What readers see is what the facts fold to.
	var folded *incident.State
	s.must(s.store.View(t.Context(), func(r ledger.Reader) (err error) {
		folded, err = s.fold(r, inc)
		return err
	}))
	if st := s.state(inc); st.Version != len(records) || folded.Version != st.Version || folded.Head != st.Head {
		t.Errorf("version %d, folded %d, records %d", st.Version, folded.Version, len(records))
	}
}

func TestADecisionOnAStaleStateIsMadeAgain(t *testing.T) {
	s := newSite(t, nil)
	inc := s.open()
	// Another desk on the same database moves the chain on behind the back of this one's cache.
	other, err := New(s.o)
	s.must(err)
	if _, err := other.Submit(t.Context(), Request{Incident: inc, Command: incident.Acknowledge{}, Caller: lena}); err != nil {
		t.Fatal(err)
	}
	out := s.give(lena, inc, incident.Acknowledge{})
	if out.Reason != incident.ReasonAlreadyAck {
		t.Errorf("reason %s: it was decided on an old state", out.Reason)
	}
	s.give(lena, inc, incident.Note{Text: "after"})
	s.must(ledger.VerifyChain(s.records(inc)))
}

func TestATransactionThatFailsLeavesNoTrace(t *testing.T) {
	s := newSite(t, nil)
	inc := s.open()
	before := s.state(inc)
	failure := errors.New("the disk is full")
	_, err := s.submit(t.Context(), Request{ID: "k", Incident: inc, Command: incident.Acknowledge{}, Caller: lena},
		func(ledger.Tx, *incident.State, time.Time) error { return failure })
	if !errors.Is(err, failure) {
		t.Fatalf("error %v", err)
	}
	if st := s.state(inc); st.Version != before.Version || st.Milestones["acknowledged"] != nil {
		t.Error("a reader sees what was rolled back")
	}
	out, err := s.Submit(t.Context(), Request{ID: "k", Incident: inc, Command: incident.Acknowledge{}, Caller: lena})
	if err != nil || out.Replayed || out.Reason != incident.ReasonAcknowledged {
		t.Errorf("the command after it: %+v, %v", out, err)
	}
}

func TestIncidentsOpenedAtOnceGetIdsOfTheirOwn(t *testing.T) {
	s := newSite(t, nil)
	const many = 24
	var all sync.WaitGroup
	ids := make([]string, many)
	for i := range many {
		all.Go(func() {
			out, err := s.OpenIncident(context.Background(), fmt.Sprint("key", i), lena, incident.Open{Class: "data_breach", Title: "t"})
			if err != nil {
				t.Error(err)
			}
			ids[i] = out.Incident
		})
	}
	all.Wait()
	slices.Sort(ids)
	if got := slices.Compact(slices.Clone(ids)); len(got) != many {
		t.Fatalf("ids %v are not all different", ids)
	}
	again, err := s.OpenIncident(t.Context(), "key3", lena, incident.Open{Class: "data_breach", Title: "t"})
	if err != nil || !again.Replayed {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	rows, err := s.Board(t.Context())
	if err != nil || len(rows) != many {
		t.Errorf("the board has %d rows: %v", len(rows), err)
	}
}

func TestNobodyChoosesAnIncidentsIdOrWritesToTheOrganisation(t *testing.T) {
	s := newSite(t, nil)
	_, err := s.Found(t.Context())
	s.must(err)
	for in, c := range map[string]incident.Command{
		"INC-77": incident.Open{Class: "data_breach", Title: "t"},
		OrgChain: incident.Note{Text: "x"},
	} {
		if _, err := s.Submit(t.Context(), Request{Incident: in, Command: c, Caller: boss}); err == nil {
			t.Errorf("%s to %s was accepted", c.Name(), in)
		}
	}
	for _, id := range []string{OrgChain, "INC-77", ""} {
		if _, err := s.Incident(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("incident %q: %v, want not found", id, err)
		}
		if _, err := s.Timeline(t.Context(), id, "", 0, nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("timeline %q: %v, want not found", id, err)
		}
	}
	var refused *incident.Refusal
	if _, err := s.Submit(t.Context(), Request{Incident: "INC-9", Command: incident.Note{Text: "x"}, Caller: lena}); !errors.As(err, &refused) || refused.Reason != incident.RefusedNoIncident {
		t.Errorf("a note to an incident that is not there: %v", err)
	}
}

func TestStatesOfIncidentsDoNotPileUp(t *testing.T) {
	s := newSite(t, nil)
	s.deciding, s.reading = newCache[*entry](8), newCache[*incident.State](8)
	var ids []string
	for range 12 {
		ids = append(ids, s.open())
	}
	for i := range 200 {
		_, _ = s.Submit(t.Context(), Request{Incident: fmt.Sprint("NOT-", i), Command: incident.Acknowledge{}, Caller: lena})
	}
	for _, id := range ids {
		s.give(lena, id, incident.Acknowledge{})
		s.state(id)
	}
	if n, m := s.deciding.len(), s.reading.len(); n > 8 || m > 8 {
		t.Errorf("%d and %d states are kept, the limit is 8", n, m)
	}
}

func TestRebuildMakesTheSameBoardAndTheNextId(t *testing.T) {
	s := newSite(t, nil).start()
	for range 3 {
		inc := s.open()
		s.give(lena, inc, incident.Confirm{Reason: "seen"})
		s.give(lena, inc, incident.Answer{Fact: "personal_data", Value: true, Reason: "seen"})
		s.give(lena, inc, incident.Note{Text: "n"})
	}
	s.quiet()
	dump := func() (list []string) {
		s.must(s.store.View(t.Context(), func(r ledger.Reader) error {
			rows, err := r.Rows(boardProjection, "", "", 0)
			for _, row := range rows {
				list = append(list, row.Rank+" "+row.Key+" "+string(row.Body))
			}
			return err
		}))
		return list
	}
	s.must(s.store.Update(t.Context(), func(tx ledger.Tx) error {
		return tx.PutRow(boardProjection, ledger.Row{Key: "INC-99", Rank: "0", Body: []byte(`{"id":"INC-99"}`)})
	}))
	s.must(s.Rebuild(t.Context()))
	first := dump()
	if len(first) != 3 {
		t.Fatalf("%d rows, want those of 3 incidents", len(first))
	}
	s.must(s.Rebuild(t.Context()))
	if again := dump(); !slices.Equal(first, again) {
		t.Errorf("a second rebuild differs:\n%v\n%v", first, again)
	}
	if id := s.open(); id != "INC-4" {
		t.Errorf("the next incident after a rebuild is %s, want INC-4", id)
	}
	live := dump()
	s.must(s.Rebuild(t.Context()))
	if rebuilt := dump(); !slices.Equal(live[:3], rebuilt[:3]) && !slices.Equal(live, rebuilt) {
		t.Errorf("the rebuilt board is not the live one:\n%v\n%v", live, rebuilt)
	}
}

func TestASignalJoinsOpensOrIsTheSame(t *testing.T) {
	s := newSite(t, nil)
	raise := func(change func(*incident.Signal)) Outcome {
		t.Helper()
		sig := alarm
		if change != nil {
			change(&sig)
		}
		out, err := s.Signal(t.Context(), sig)
		s.must(err)
		return out
	}
	first := raise(nil)
	if first.Incident != "INC-1" || s.state("INC-1").Class != "unauthorized_access" {
		t.Fatalf("the first signal: %+v", first)
	}
	for name, c := range map[string]struct {
		change func(*incident.Signal)
		want   string
	}{
		"the same signal in other words": {func(g *incident.Signal) { g.Sentence = "worded otherwise" }, "INC-1"},
		"the same matter a day later":    {func(g *incident.Signal) { g.ID, g.At = "sig-2", noon.Add(24*time.Hour) }, "INC-1"},
	} {
		if out := raise(c.change); out.Incident != c.want {
			t.Errorf("%s: %s, want %s", name, out.Incident, c.want)
		}
	}
	if n := len(s.state("INC-1").Signals); n != 2 {
		t.Errorf("%d signals, want 2", n)
	}
	if out := raise(func(g *incident.Signal) { g.ID, g.Subject = "sig-3", "credential:other" }); out.Incident != "INC-2" {
		t.Errorf("another subject: %s", out.Incident)
	}
	if out := raise(func(g *incident.Signal) { g.ID, g.At = "sig-4", noon.Add(9*24*time.Hour) }); out.Incident != "INC-3" {
		t.Errorf("the same subject after the window: %s", out.Incident)
	}
	s.give(lena, "INC-1", incident.Dismiss{Reason: "it was us"})
	if out := raise(func(g *incident.Signal) { g.ID = "sig-5" }); out.Incident == "INC-1" {
		t.Error("a signal joined an incident that was dismissed")
	}
	if out := raise(func(g *incident.Signal) { g.ID, g.Class, g.Subject = "sig-6", "never_heard_of", "nothing" }); s.state(out.Incident).Class != "unclassified" {
		t.Errorf("a class of no policy: %s", s.state(out.Incident).Class)
	}
}

func TestAnIncidentThatCannotBeReadDoesNotStopTheOthers(t *testing.T) {
	s := newSite(t, nil)
	bad, good := s.open(), s.open()
	s.must(s.store.Update(t.Context(), func(tx ledger.Tx) error {
		return tx.PutSnapshot(bad, 1, EngineVersion, []byte(`{"id":7}`))
	}))
	again, err := New(s.o)
	s.must(err)
	s.Desk = again
	s.start()
	if _, err := s.Incident(t.Context(), bad); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("reading it: %v", err)
	}
	s.give(lena, good, incident.Acknowledge{})
	if out, err := s.Signal(t.Context(), alarm); err != nil || out.Incident != "INC-3" {
		t.Errorf("a signal beside it: %+v, %v", out, err)
	}
	s.clock.Set(noon.Add(100 * time.Hour))
	waitFor(t, "the clocks of the other incident", func() bool { return s.state(good).Duties["judge"].State != incident.DutyRunning })
}

// waitFor waits until something holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// Of an event that was supplied later the detector knows when it was received, and the incident it raises
// is suspected and detected then.
func TestALogSuppliedLaterOpensAnIncidentOfToday(t *testing.T) {
	s := newSite(t, nil)
	if e := Observed(accesslog.Entry{Event: accesslog.Event{Supplied: "sha256:ab", Received: noon}}, false); !e.Supplied || !e.Received.Equal(noon) {
		t.Fatalf("observed as %+v", e)
	}
	then := noon.AddDate(-3, 0, 0)
	out, err := s.Signal(t.Context(), incident.Signal{ID: "sig-later", Class: "rule_match", Subject: "actor:a", App: "pickandpack", At: then, From: then, To: then, Noticed: noon, Sentence: "x"})
	if err != nil {
		t.Fatal(err)
	}
	state := s.state(out.Incident)
	for _, name := range []string{"suspected", "detected"} {
		if got := state.Milestones[name].At; !got.Equal(noon) {
			t.Errorf("%s at %s, want %s", name, got, noon)
		}
	}
	if !state.Signals[0].At.Equal(then) {
		t.Errorf("the event is of %s", state.Signals[0].At)
	}
}
