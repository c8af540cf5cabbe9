package attack

import (
	"bytes"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// marker stands in every text of the private incident.
const marker = "Zanzibar"

// private opens an incident that only responder and second may know of, and leaves a trace of it
// wherever an incident can leave one.
func (s *target) private() (incident string) {
	s.t.Helper()
	s.must("owner", "POST", "/v1/people/second/change", map[string]any{"access": "responder", "roles": []string{"lead"}}, nil)
	s.must("owner", "POST", "/v1/people/responder/change", map[string]any{"access": "responder", "roles": []string{"comms", "engineer"}}, nil)
	var out struct{ Incident string }
	s.must("responder", "POST", "/v1/incidents", map[string]any{"class": "unauthorized_access", "title": marker + " is read by one of us", "summary": marker, "private": true, "readers": []string{"person:second"}, "about": []string{"person:owner"},
		"signal": map[string]any{"id": "sig-" + marker, "class": "report", "subject": "person:" + marker, "at": time.Now().Add(-time.Hour), "from": time.Now().Add(-time.Hour), "to": time.Now().Add(-time.Hour), "sentence": marker + " was seen"}}, &out)
	at := "/v1/incidents/" + out.Incident + "/"
	for _, c := range []struct {
		as, command string
		body        any
	}{
		{"responder", "acknowledge", map[string]any{}},
		{"responder", "note", map[string]any{"text": marker}},
		{"responder", "answer", map[string]any{"fact": "personal_data", "value": true, "reason": marker}},
		{"responder", "confirm", map[string]any{"reason": marker}},
		{"responder", "adjust-scope", map[string]any{"merchant": "m_1", "include": true, "reason": marker}},
		{"responder", "draft", map[string]any{"duty": "tell_merchants", "subject": marker, "content": map[string]string{"what_happened": marker, "data_involved": "x", "our_measures": "x", "your_actions": "x"}}},
		{"second", "approve-notice", map[string]any{"notice": "NTC-1", "attest": true}},
		{"responder", "hold", map[string]any{"what": marker, "basis": marker}},
		{"responder", "assess", map[string]any{"vector": marker, "root_cause": marker, "risk": marker}},
		{"responder", "review", map[string]any{"part": "timeline", "text": marker}},
		{"responder", "assign", map[string]any{"role": "lead", "person": "person:second"}},
	} {
		s.must(c.as, "POST", at+c.command, c.body, nil)
	}
	s.must("responder", "POST", "/v1/switches", map[string]any{"merchant": "m_2", "state": "off", "reason": marker, "incident": out.Incident}, nil)
	return out.Incident
}

// pages lists every route of the console, as its own source registers them.
func pages(t *testing.T) (routes []string) {
	t.Helper()
	source, err := os.ReadFile("../console/console.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`c\.(?:page|acting|public)\("([A-Z]+ [^"]+)"`).FindAllSubmatch(source, -1) {
		routes = append(routes, string(m[1]))
	}
	if len(routes) < 25 {
		t.Fatalf("only %d routes are found in the console's source", len(routes))
	}
	return routes
}

// ask makes a request as a person does: of a page by their cookie, of the API by their token.
func (s *target) ask(as, method, path string, body []byte) (status int, answer []byte) {
	s.t.Helper()
	headers := []string{"Sec-Fetch-Site", "same-origin"}
	if !strings.HasPrefix(path, "/v1/") {
		headers = append(headers, "Cookie", "tocsin="+s.token[as])
		as = ""
	}
	return s.unhurried(as, method, path, body, headers...)
}

// Whoever is not on the list of a private incident learns nothing of it by any route, not even that it
// exists: each answers as it does of an incident that does not exist. The owner is no exception.
func TestAPrivateIncidentIsNotThereForAnybodyElse(t *testing.T) {
	s := serve(t, "")
	s.open() // INC-1 stands in examples; the private one is another
	incident, missing := s.private(), "INC-77"
	if _, body := s.ask("second", "GET", "/", nil); !bytes.Contains(body, []byte(marker)) {
		t.Fatal("the people on the list do not see it either: this test shows nothing")
	}
	fill := func(path, id string) string {
		return strings.NewReplacer("{id}", id, "{notice}", "NTC-1", "{attachment}", "ATT-1", "{command}", "note", "{event}", "x", "{name}", "x", "{$}", "", "{log}", "facts", "{file...}", "checkpoint").Replace(path)
	}
	var routes []string
	for op := range s.operations() {
		if !strings.HasSuffix(op, "/v1/signout") && !strings.HasSuffix(op, "/stream") {
			routes = append(routes, op)
		}
	}
	for _, route := range pages(t) {
		if !strings.HasSuffix(route, "/signout") {
			routes = append(routes, route)
		}
	}
	slices.Sort(routes)
	for _, as := range []string{"owner", "viewer"} {
		for _, route := range routes {
			method, path, _ := strings.Cut(route, " ")
			status, body := s.ask(as, method, fill(path, incident), []byte("{}"))
			if bytes.Contains(body, []byte(marker)) {
				t.Errorf("%s tells %s of it: %.300s", route, as, body)
			}
			if !strings.Contains(path, "/incidents/{id}") {
				if named := regexp.MustCompile(`\b` + incident + `\b`); named.Match(body) {
					t.Errorf("%s names it to %s at %v", route, as, named.FindIndex(body))
				}
				continue
			}
			none, other := s.ask(as, method, fill(path, missing), []byte("{}"))
			same := bytes.Equal(fresh(bytes.ReplaceAll(body, []byte(incident), []byte(missing))), fresh(other))
			if status != none || !same {
				t.Errorf("%s answers %d to %s and %d of an incident that does not exist:\n%.300s\n%.300s", route, status, as, none, body, other)
			}
			if method == http.MethodGet && status < 400 {
				t.Errorf("%s answers %d to %s", route, status, as)
			}
		}
		for _, path := range []string{"/find?q=" + marker, "/find?q=" + incident, "/incidents/" + incident + "?source=fact", "/clocks?sort=incident", "/v1/clocks?excluded=true"} {
			if _, body := s.ask(as, "GET", path, nil); bytes.Contains(body, []byte("is read by one of us")) || bytes.Contains(body, []byte("/incidents/"+incident+`"`)) {
				t.Errorf("%s tells %s of it", path, as)
			}
		}
	}
	if _, body := s.ask("switch", "GET", "/v1/switches", nil); bytes.Contains(body, []byte(marker)) || !bytes.Contains(body, []byte("m_2")) {
		t.Errorf("a machine is told: %s", body)
	}
	// The commands themselves, with bodies that an incident which is not private would take.
	for command, body := range map[string]any{
		"note": map[string]any{"text": "x"}, "confirm": map[string]any{"reason": "x"}, "grant": map[string]any{"person": "person:owner", "reason": "x"}, "restrict": map[string]any{"reason": "x", "readers": []string{"person:owner"}},
		"break-glass": map[string]any{"reason": "x"}, "merge": map[string]any{"from": "INC-78", "reason": "x"}, "split": map[string]any{"signals": []string{"sig-" + marker}, "reason": "x"}, "link-signal": map[string]any{"signal": "sig-" + marker, "from": "INC-78", "reason": "x"}, "export": map[string]any{"recipient": "me"},
	} {
		got, text := s.call("owner", "POST", "/v1/incidents/"+incident+"/"+command, body, nil)
		none, other := s.call("owner", "POST", "/v1/incidents/"+missing+"/"+command, body, nil)
		if got != none || got < 400 || string(fresh([]byte(strings.ReplaceAll(text, incident, missing)))) != string(fresh([]byte(other))) {
			t.Errorf("%s answers %d %s, and %d %s of an incident that does not exist", command, got, text, none, other)
		}
	}
	var run struct{ ID string }
	s.must("responder", "POST", "/v1/scope/runs", map[string]any{"incident": incident, "reason": marker, "query": map[string]any{"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z", "any": []map[string]any{{"credential": []string{"tok_1"}}}}}, &run)
	for _, path := range []string{"", "/progress", "/file"} {
		if status, body := s.ask("owner", "GET", "/v1/scope/runs/"+run.ID+path, nil); status != http.StatusNotFound {
			t.Errorf("a run of its scope answers %d to the owner: %s", status, body)
		}
	}
	s.must("second", "GET", "/v1/scope/runs/"+run.ID, nil, nil)
	var shown struct {
		Version int
		Private struct{ Readers []struct{ Person string } }
	}
	s.must("second", "GET", "/v1/incidents/"+incident, nil, &shown)
	if len(shown.Private.Readers) != 2 {
		t.Errorf("on the list: %+v", shown.Private.Readers)
	}
	// Who comes on the list sees it, and who is taken off does not any more.
	s.must("second", "POST", "/v1/incidents/"+incident+"/grant", map[string]any{"person": "person:viewer", "reason": "counsel"}, nil)
	s.must("viewer", "GET", "/v1/incidents/"+incident, nil, nil)
	s.must("second", "POST", "/v1/incidents/"+incident+"/revoke-access", map[string]any{"person": "person:viewer", "reason": "done"}, nil)
	if status, _ := s.ask("viewer", "GET", "/v1/incidents/"+incident, nil); status != http.StatusNotFound {
		t.Errorf("who was taken off the list is answered %d", status)
	}
	if status, text := s.call("second", "POST", "/v1/incidents/"+incident+"/grant", map[string]any{"person": "person:owner", "reason": "x"}, nil); status < 400 {
		t.Errorf("the person it is about came on the list: %s", text)
	}
}

// fresh takes out what differs from one answer to the next.
func fresh(body []byte) []byte {
	return regexp.MustCompile(`(name="(csrf|key)" value="[^"]*"|[0-9]{2}:[0-9]{2}(:[0-9]{2})?)`).ReplaceAll(body, nil)
}
