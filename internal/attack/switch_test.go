package attack

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// set is the switches as somebody reads them.
type set struct {
	Version  int64
	Switches []struct {
		Merchant, State string
		Seen            []struct{ Instance string }
	}
}

func (s *target) off(merchant string) {
	s.t.Helper()
	s.must("responder", "POST", "/v1/switches", map[string]any{"merchant": merchant, "state": "off", "reason": "test"}, nil)
}

// Every instance of every app reads the set to the end or obeys nothing new. One switch key that
// reports under ever new names must not make it too large to be read.
func TestOneKeyDoesNotMakeTheSwitchesUnreadable(t *testing.T) {
	s := serve(t, "")
	s.off("m_1")
	s.off("*")
	for i := range 700 { // through the door behind the API, which would slow the flood down to fifty a second
		if err := s.app.Desk().SwitchSeen(t.Context(), "key-1", fmt.Sprintf("%0100d", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	var machine, person set
	s.must("switch", "GET", "/v1/switches", nil, &machine)
	s.must("viewer", "GET", "/v1/switches", nil, &person)
	if len(machine.Switches) != 2 || len(machine.Switches[0].Seen) != 0 || machine.Switches[0].State != "off" {
		t.Errorf("a machine is given %d switches with %d instances", len(machine.Switches), len(machine.Switches[0].Seen))
	}
	if n := len(person.Switches[0].Seen); n == 0 || n > 500 {
		t.Errorf("a person is shown %d instances", n)
	}

	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.app.Addr()+"/v1/switches/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token["switch"])
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data:") {
	}
	if got := lines.Text(); strings.Contains(got, "seen") || !strings.Contains(got, `"m_1"`) {
		t.Errorf("the stream's set is %d bytes: %.200s", len(got), got)
	}
}
