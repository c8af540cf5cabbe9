package attack

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Guessing codes or tokens is slow at every door, not only at the API's.
func TestGuessingIsSlowInTheConsoleToo(t *testing.T) {
	s := serve(t, "")
	for path, field := range map[string]string{"/signin": "token", "/join": "code", "/v1/join": ""} {
		statuses := map[int]int{}
		for range 150 {
			kind, body := "application/x-www-form-urlencoded", url.Values{field: {"tsc_guess"}}.Encode()
			if field == "" {
				kind, body = "application/json", `{"code":"tsc_guess"}`
			}
			status, _ := s.raw("", "POST", path, kind, []byte(body))
			statuses[status]++
		}
		if statuses[http.StatusTooManyRequests] == 0 {
			t.Errorf("%s: 150 guesses at once were all answered: %v", path, statuses)
		}
	}
}

// operations lists every operation of the API with who it is for, as its document says.
func (s *target) operations() map[string]string {
	s.t.Helper()
	var doc struct {
		Paths map[string]map[string]struct{ Description string }
	}
	s.must("", "GET", "/openapi.json", nil, &doc)
	out := map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			out[strings.ToUpper(method)+" "+path] = strings.TrimSuffix(strings.TrimPrefix(op.Description, "For: "), ".")
		}
	}
	if len(out) < 40 {
		s.t.Fatalf("only %d operations", len(out))
	}
	return out
}

// Each operation refuses every kind of token but the ones its description names, whatever the body.
func TestNoTokenOpensAnotherKindOfDoor(t *testing.T) {
	s := serve(t, "")
	incident := s.open()
	may := map[string][]string{
		"viewer":     {"viewer", "responder", "owner"},
		"responder":  {"responder", "owner"},
		"owner":      {"owner"},
		"ingest key": {"ingest"},
		"switch key": {"switch", "viewer", "responder", "owner"},
	}
	fill := strings.NewReplacer("{id}", incident, "{notice}", "NTC-1", "{name}", "x")
	for op, needs := range s.operations() {
		method, path, _ := strings.Cut(op, " ")
		for _, as := range []string{"", "viewer", "responder", "ingest", "switch"} {
			if needs == "public" || slices.Contains(may[needs], as) {
				continue
			}
			status, body := s.unhurried(as, method, fill.Replace(path), []byte("{}"))
			if status != http.StatusUnauthorized && status != http.StatusForbidden {
				t.Errorf("%s, which is for a %s, answers %d to %q: %s", op, needs, status, as, body)
			}
		}
	}
}

// Commands of the system's own workers have no path, under any name.
func TestWorkersCommandsHaveNoDoor(t *testing.T) {
	s := serve(t, "")
	incident := s.open()
	for _, name := range []string{"report-attempt", "report-result", "record-scope", "record-switch", "record-export", "tick", "signal", "end-signal", "found"} {
		for _, as := range []string{"owner", "responder"} {
			if status, body := s.raw(as, "POST", "/v1/incidents/"+incident+"/"+name, "application/json", []byte("{}")); status != http.StatusNotFound {
				t.Errorf("%s as %s: %d %s", name, as, status, body)
			}
		}
	}
	// Nor have the organisation's facts a page as if they were an incident.
	for _, path := range []string{"", "/timeline", "/clocks", "/review"} {
		if status, body := s.raw("owner", "GET", "/v1/incidents/org"+path, "", nil); status != http.StatusNotFound {
			t.Errorf("incidents/org%s: %d %s", path, status, body)
		}
	}
}

// An idempotency key is its owner's: another person who uses it, or the same person for something
// else, is not told what came of the first request.
func TestAnIdempotencyKeyIsOnePersonsAndOneRequests(t *testing.T) {
	s := serve(t, "")
	incident := s.open()
	note := func(as, key, text string) (int, string) {
		body, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		status, answer := s.raw(as, "POST", "/v1/incidents/"+incident+"/note", "application/json", body, "Idempotency-Key", key)
		return status, string(answer)
	}
	_, first := note("responder", "k1", "one")
	if _, again := note("responder", "k1", "one"); !strings.Contains(again, `"replayed":true`) {
		t.Errorf("the same request again: %s", again)
	}
	if status, other := note("second", "k1", "one"); status != http.StatusOK || strings.Contains(other, "replayed") || other == first {
		t.Errorf("another person's key: %d %s", status, other)
	}
	if status, other := note("responder", "k1", "two"); status != http.StatusUnprocessableEntity {
		t.Errorf("another request under the key: %d %s", status, other)
	}
}

// An invitation works once, also when many try at the same time, and a revoked person's tokens and
// links are void at once.
func TestAnInvitationIsUsedOnceAndEndsWithItsPerson(t *testing.T) {
	s := serve(t, "")
	code := s.invite("nina", "responder")
	answers := make(chan int)
	for range 8 {
		go func() {
			resp, err := http.Post("http://"+s.app.Addr()+"/v1/join", "application/json", strings.NewReader(`{"code":"`+code+`"}`))
			if err != nil {
				answers <- 0
				return
			}
			resp.Body.Close()
			answers <- resp.StatusCode
		}()
	}
	joined := 0
	for range 8 {
		if <-answers == http.StatusOK {
			joined++
		}
	}
	if joined != 1 {
		t.Errorf("%d joined with one link", joined)
	}

	s.token["omar"] = s.join(s.invite("omar", "responder"))
	again := s.invite("omar", "responder")
	s.must("owner", "POST", "/v1/people/omar/revoke", map[string]string{"reason": "left"}, nil)
	if status, _ := s.raw("omar", "GET", "/v1/whoami", "", nil); status != http.StatusUnauthorized {
		t.Errorf("a revoked person's token: %d", status)
	}
	if status, _ := s.call("", "POST", "/v1/join", map[string]string{"code": again}, nil); status != http.StatusForbidden {
		t.Errorf("a revoked person's link: %d", status)
	}
}

// One person with two tokens is one person.
func TestTwoTokensOfOnePersonAreOneSignature(t *testing.T) {
	s := serve(t, "")
	s.token["responder again"] = s.join(s.invite("responder", "responder"))
	incident := s.open()
	s.must("responder", "POST", "/v1/incidents/"+incident+"/fix", map[string]string{"what": "closed the hole"}, nil)
	if status, body := s.call("responder again", "POST", "/v1/incidents/"+incident+"/verify-fix", map[string]string{"how": "looked"}, nil); status != http.StatusConflict && status != http.StatusForbidden {
		t.Errorf("who fixed verifies with another token: %d %s", status, body)
	}
}

// Names that leave their folder are refused before anything is written.
func TestNamesDoNotLeaveTheirFolder(t *testing.T) {
	s := serve(t, "")
	for _, name := range []string{"..%2fowned", "..", "a%2fb", "%2e%2e%2fkeys%2fx", "rotation.x", ".hidden", "a%00b", strings.Repeat("n", 200)} {
		if status, body := s.raw("responder", "PUT", "/v1/secrets/"+name, "application/octet-stream", []byte("value")); status < 300 {
			t.Errorf("secret %s: %d %s", name, status, body)
		}
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "secrets"))
	if err != nil || len(entries) != 0 {
		t.Errorf("secrets holds %v, %v", entries, err)
	}
	for _, id := range []string{"..%2f..%2fetc", "INC-1%2f..", "%00"} {
		for _, path := range []string{"", "/timeline", "/review"} {
			if status, body := s.raw("viewer", "GET", "/v1/incidents/"+id+path, "", nil); status != http.StatusNotFound && status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
				t.Errorf("incident %s%s: %d %s", id, path, status, body)
			}
		}
	}
}
