package attack

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

// scopeOf records the scope of one credential on the incident.
func (s *target) scopeOf(incident, credential string) (int, string) {
	s.t.Helper()
	return s.call("responder", "POST", "/v1/incidents/"+incident+"/scope", map[string]any{
		"reason": "what the token reached",
		"query": map[string]any{
			"from": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "to": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
			"any": []map[string]any{{"credential": []string{credential}}},
		},
	}, nil)
}

func (s *target) open() (incident string) {
	s.t.Helper()
	var out struct{ Incident string }
	s.must("responder", "POST", "/v1/incidents", map[string]any{"class": "unclassified", "title": "a token was stolen"}, &out)
	return out.Incident
}

// Whoever took over an app also holds its ingest key. Nothing sent with it may keep the responders
// from recording who is affected, because without a scope nobody is told.
func TestNoEventKeepsAScopeFromBeingRecorded(t *testing.T) {
	s := serve(t, "")
	incident := s.open()
	for name, change := range map[string]func(i int) map[string]any{
		"a merchant with a space": func(int) map[string]any { return map[string]any{"merchant": "m 1"} },
		"a hostile merchant":      func(int) map[string]any { return map[string]any{"merchant": `../"><b>` + "\u202e" + `='x'`} },
		"numbers that overflow": func(int) map[string]any {
			return map[string]any{"records": int64(1)<<53 - 1, "bytes": int64(1)<<53 - 1}
		},
		"stores without end": func(i int) map[string]any {
			return map[string]any{"store": fmt.Sprintf("%d", i) + strings.Repeat(`"`, 190)}
		},
		"data types without end": func(i int) map[string]any { return map[string]any{"data_types": manyTypes(i)} },
		"a user agent of two thousand bytes": func(int) map[string]any {
			return map[string]any{"source": map[string]any{"ip": "203.0.113.9", "user_agent": strings.Repeat("x", 2000)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			credential := fmt.Sprintf("tok_%d", time.Now().UnixNano())
			var events []map[string]any
			for i := range 1100 {
				events = append(events, event(i, credential, "m_1", change(i)))
			}
			if r := s.send(events...); r.Accepted != len(events) {
				t.Fatalf("receipt %+v", r)
			}
			if status, body := s.scopeOf(incident, credential); status != http.StatusOK {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

func manyTypes(i int) (types []string) {
	for k := range 60 {
		types = append(types, fmt.Sprintf("e%d.%s", i*60+k, strings.Repeat("f", 50)))
	}
	return types
}

// The switch for everybody has a name that is no merchant's.
func TestNoEventIsOfTheMerchantThatStandsForAll(t *testing.T) {
	s := serve(t, "")
	r := s.send(event(0, "tok", "*", nil))
	if r.Accepted != 0 || len(r.Rejected) != 1 || r.Rejected[0].Field != "merchant" {
		t.Errorf("receipt %+v", r)
	}
	if status, body := s.raw("owner", "POST", "/v1/merchants", "text/csv", []byte("merchant,name,email\n*,All,a@shop.example\n")); status != http.StatusOK || !strings.Contains(string(body), `"imported":0`) {
		t.Errorf("import: %d %s", status, body)
	}
}

// A number that no JSON reader keeps is refused by name, and what is near it is not.
func TestNumbersOfEventsAreExact(t *testing.T) {
	s := serve(t, "")
	for _, n := range []any{-1, math.MaxInt64, 1e300, 1.5, "7"} {
		if r := s.send(event(0, "tok", "m_1", map[string]any{"records": n})); r.Accepted != 0 || len(r.Rejected) != 1 {
			t.Errorf("records %v: %+v", n, r)
		}
	}
}
