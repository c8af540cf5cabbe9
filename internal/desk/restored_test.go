package desk

import (
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/org"
)

// Mail that the lost machine may have sent is left to a person. promise: REC-3
func TestARestoreSendsNoMailThatMayHaveGoneOut(t *testing.T) {
	for name, c := range map[string]struct {
		unsure bool
		told   map[string]int
	}{
		"with the copy":    {false, map[string]int{"m_1": 0, "m_2": 1, "m_3": 1, "m_4": 2, "m_5": 1}},
		"without the copy": {true, map[string]int{"m_1": 0, "m_2": 0, "m_3": 0, "m_4": 0, "m_5": 0}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			_, err := s.Found(t.Context())
			s.must(err)
			inc := s.open()
			s.tell(inc)
			for _, eff := range incident.Owed(s.state(inc)) {
				if eff.Kind == incident.EffectSend && eff.Party == "m_1" { // under way when the machine was lost
					_, err := s.asWorker(inc, incident.ReportAttempt{Effect: eff})
					s.must(err)
				}
			}
			s.must(s.Restored(t.Context(), org.Report{Kind: org.InstallationRestored, Subject: "installation", State: "restored", Detail: "Restored."}, c.unsure))
			s.start().quiet()
			n := s.state(inc).Notices[0]
			for party, want := range c.told {
				state := incident.DeliveryAccepted
				if want == 0 {
					state = incident.DeliveryUncertain
				}
				if got := s.mail.letters()[party]; got != want || n.Deliveries[party].State != state {
					t.Errorf("%s got %d letters and is %s, want %d and %s", party, got, n.Deliveries[party].State, want, state)
				}
			}
			o, err := s.Org(t.Context())
			s.must(err)
			if r, ok := o.Reported(org.InstallationRestored, "installation"); !ok || r.Detail != "Restored." || r.By != "service:desk" {
				t.Errorf("recorded: %+v", r)
			}
		})
	}
}

// asWorker gives a command of a worker.
func (s *site) asWorker(inc string, c incident.Command) (Outcome, error) {
	return s.Desk.give(s.t.Context(), Request{Incident: inc, Command: c, Caller: worker("notify")})
}
