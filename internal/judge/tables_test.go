package judge

import (
	"maps"
	"os"
	"slices"
	"testing"
	"time"
)

func TestEveryScenarioHasATable(t *testing.T) {
	folders, err := os.ReadDir("../../scenarios")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range folders {
		if f.IsDir() {
			names = append(names, f.Name())
		}
	}
	if got := slices.Sorted(maps.Keys(tables)); !slices.Equal(got, names) {
		t.Errorf("tables of %v, scenarios %v", got, names)
	}
	for name, table := range tables {
		for id, c := range table.checks {
			if c == nil {
				t.Errorf("%s: %s has no check", name, id)
			}
		}
		if table.trials == 0 {
			t.Errorf("%s: the evidence is not tried", name)
		}
	}
}

// dismissed is a story in which an alarm was looked at and dismissed.
func dismissed(t *testing.T) *story {
	t.Helper()
	s := newStory(t)
	s.scenario = "false-alarm"
	s.manifest = "scenario: false-alarm\npolicies: { pickandpack: { CLS-3: { expect: kept } } }\n"
	s.facts, s.tree, s.mails, s.mailAt, s.rcpt, s.ids, s.truth = nil, nil, nil, nil, nil, nil, Truth{}
	s.fact("incident.opened", "service:detect", 5*time.Minute, `{"class":"unauthorized_access"}`, `{"title":"x"}`)
	s.fact("signal.linked", "service:detect", 5*time.Minute, `{}`, `{"signal":{"id":"s"}}`)
	s.fact("duty.started", "service:detect", 5*time.Minute, `{"duty":"judge"}`, ``)
	s.fact("duty.started", "service:detect", 5*time.Minute, `{"duty":"start_containment"}`, ``)
	return s
}

// end writes the dismissal: the decision is met by it, and the other clock is stopped.
func (s *story) end(reason string) {
	s.fact("incident.dismissed", "person:lena", time.Hour, `{}`, `{"reason":"`+reason+`"}`)
	s.fact("duty.met", "person:lena", time.Hour, `{"duty":"judge"}`, ``)
}

const stopped = `{"duty":"start_containment","state":"stopped"}`

// promise: CLS-3
func TestADismissalEndsEveryClockByName(t *testing.T) {
	t.Run("every clock", func(t *testing.T) {
		s := dismissed(t)
		s.end("it was the mailing")
		s.fact("duty.stopped", "service:desk", time.Hour, stopped, ``)
		s.expect()
		if f := s.judged().Findings; len(f) > 0 {
			t.Errorf("findings %v", f)
		}
	})
	t.Run("one is forgotten", func(t *testing.T) {
		s := dismissed(t)
		s.end("it was the mailing")
		s.expect("CLS-3")
	})
	t.Run("without a reason", func(t *testing.T) {
		s := dismissed(t)
		s.end("")
		s.fact("duty.stopped", "service:desk", time.Hour, stopped, ``)
		s.expect("CLS-3")
	})
	t.Run("a merchant hears of it", func(t *testing.T) {
		s := dismissed(t)
		s.end("it was the mailing")
		s.fact("duty.stopped", "service:desk", time.Hour, stopped, ``)
		s.mail("m_001", "owner@one.example", "id-0@x", 2, "Shop One")
		if card := s.judged(); card.OK || len(card.Findings) != 1 {
			t.Errorf("ok %v, findings %v", card.OK, card.Findings)
		}
	})
	t.Run("a clock is missed afterwards", func(t *testing.T) {
		s := dismissed(t)
		s.end("it was the mailing")
		s.fact("duty.stopped", "service:desk", time.Hour, stopped, ``)
		s.fact("duty.missed", "clock", 2*time.Hour, `{"duty":"start_containment"}`, ``)
		if card := s.judged(); card.OK || len(card.Findings) != 1 {
			t.Errorf("ok %v, findings %v", card.OK, card.Findings)
		}
	})
}
