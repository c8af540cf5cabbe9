package judge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// promise: DET-4 DET-5 DET-8 DET-9 DET-10
func TestAnAlarmHasToNameWhatWasPlanted(t *testing.T) {
	planted := map[string]Planted{
		"DET-4": {Subject: "app:pickandpack"}, "DET-5": {Subject: "credential:llm_key"}, "DET-8": {Events: []string{"card-1", "card-2"}}, "DET-9": {Events: []string{"secret-1"}}, "DET-10": {Events: []string{"trail-1"}},
	}
	class := map[string]string{"DET-4": "error_rate", "DET-5": "cost_velocity", "DET-8": "order_fraud", "DET-9": "secret_scanning", "DET-10": "cloud_alert"}
	type signal struct {
		class, subject, sentence string
		events                   []string
		at                       time.Duration
	}
	for id, x := range planted {
		honest := func() *signal {
			s := &signal{class: class[id], subject: x.Subject, sentence: "It is not as it was.", events: x.Events}
			if s.subject == "" {
				s.subject = "actor:somebody"
			}
			return s
		}
		for name, c := range map[string]struct {
			spoil  func(s *signal, all *Case)
			missed bool
		}{
			"as it should be":        {func(*signal, *Case) {}, false},
			"no signal":              {func(s *signal, _ *Case) { s.class = "" }, true},
			"of another class":       {func(s *signal, _ *Case) { s.class = "unusual_volume" }, true},
			"naming something else":  {func(s *signal, _ *Case) { s.subject, s.events = "app:other", []string{"e-9"} }, true},
			"saying nothing":         {func(s *signal, _ *Case) { s.sentence = " " }, true},
			"before anything":        {func(s *signal, _ *Case) { s.at = -time.Hour }, true},
			"too late":               {func(s *signal, _ *Case) { s.at = time.Hour }, true},
			"after a false alarm":    {func(_ *signal, c *Case) { c.FalseAlarms = 1 }, true},
			"where none was planted": {func(_ *signal, c *Case) { c.Truth = []byte(`{"planted":[]}`) }, true},
		} {
			x.Promise, x.At = id, night
			sig, all := honest(), Case{}
			c.spoil(sig, &all)
			b := &bench{c: all, export: &export{}, truth: Truth{Planted: []Planted{x}}}
			if all.Truth != nil {
				b.truth.Planted = nil
			}
			if sig.class != "" {
				own := fmt.Sprintf(`{"signal":{"id":"s-1","class":%q,"subject":%q,"sentence":%q,"at":%q,"events":["%s"]}}`,
					sig.class, sig.subject, sig.sentence, night.Add(sig.at).Format(time.RFC3339), strings.Join(sig.events, `","`))
				b.export.facts = []fact{{ID: "F1", Kind: "signal.linked", parts: []factPart{{Body: json.RawMessage(own)}}}}
			}
			p := &row{Promise: Promise{ID: id}, within: 10 * time.Minute}
			if err := b.alarmed(p); (err != nil) != c.missed {
				t.Errorf("%s, %s: %v", id, name, err)
			}
		}
	}
}
