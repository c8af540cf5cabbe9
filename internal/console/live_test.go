package console_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desktest"
)

// team is a console with two people signed in, by their tokens.
func team(t *testing.T) (address string, d *desktest.Desk, lena, omar string) {
	t.Helper()
	d, lena = desktest.New(now)
	fill(d)
	omar = d.Join("omar", "Omar <b>", incident.Responder)
	server := httptest.NewServer(console.New(d, console.Options{Now: func() time.Time { return now }, Organisation: "PickAndPack"}))
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections) // streams never end by themselves
	return server.URL, d, lena, omar
}

func (e events) next(t *testing.T, want string) (id, data string) {
	t.Helper()
	for {
		event, id, data := "", "", ""
		for {
			line, err := e.ReadString('\n')
			if err != nil {
				t.Fatalf("the stream ended before %s: %v", want, err)
			}
			line = strings.TrimSpace(line)
			if line == "" {
				break
			}
			key, value, _ := strings.Cut(line, ": ")
			switch key {
			case "event":
				event = value
			case "id":
				id = value
			case "data":
				data = value
			}
		}
		if event == want {
			return id, data
		}
	}
}

type events struct{ *bufio.Reader }

// listen opens a stream; end closes it.
func listen(t *testing.T, address, token, last string) (e events, end func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	r.AddCookie(&http.Cookie{Name: "tocsin", Value: token})
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { got.Body.Close() })
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s answers %s", address, got.Status)
	}
	return events{bufio.NewReader(got.Body)}, cancel
}

func TestAStreamSaysWhatAPageHasNotSeen(t *testing.T) {
	address, d, lena, _ := team(t)
	d.Moved("INC-1", func(*incident.State) {}) // version 1
	room := address + "/incidents/INC-1/stream"
	live, end := listen(t, room+"?seen=1", lena, "")
	live.next(t, "still")
	d.Moved("INC-1", func(*incident.State) {})
	if id, _ := live.next(t, "moved"); id != "2" {
		t.Fatalf("moved to %q", id)
	}
	end()
	// While nobody listened, or slept, it moved on: the next stream says so at once. What the browser saw
	// last counts, and not what the page showed when it was made.
	d.Moved("INC-1", func(*incident.State) {})
	live, end = listen(t, room+"?seen=1", lena, "2")
	if id, _ := live.next(t, "moved"); id != "3" {
		t.Fatalf("moved to %q", id)
	}
	end()
	live, end = listen(t, room+"?seen=1", lena, "3")
	live.next(t, "still")
	end()
	board, _ := listen(t, address+"/stream?seen=nothing", lena, "")
	_, mark := board.next(t, "moved")
	board, _ = listen(t, address+"/stream?seen="+mark, lena, "")
	board.next(t, "still")
	d.Moved("INC-1", func(*incident.State) {})
	board.next(t, "moved")
}

func TestWhoElseHasAnIncidentOpenIsSaidByNameAndEndsWithTheirPage(t *testing.T) {
	address, _, lena, omar := team(t)
	room := address + "/incidents/INC-1/stream"
	first, _ := listen(t, room, lena, "")
	if _, who := first.next(t, "here"); who != "[]" {
		t.Fatalf("here are %s", who)
	}
	_, leave := listen(t, room, omar, "")
	if _, who := first.next(t, "here"); !strings.Contains(who, "Omar") || strings.Contains(who, "<b>") {
		t.Fatalf("here are %s", who)
	}
	_, second := listen(t, room, omar, "") // a second tab of the same person
	leave()
	second()
	if _, who := first.next(t, "here"); who != "[]" {
		t.Fatalf("after they left here are %s", who)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	address, _, lena, omar := team(t)
	for range 24 {
		live, _ := listen(t, address+"/stream", lena, "")
		live.next(t, "moved")
	}
	get := func(token, accept string) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", address+"/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		r.AddCookie(&http.Cookie{Name: "tocsin", Value: token})
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		return got.StatusCode
	}
	if status := get(lena, "text/event-stream"); status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		t.Errorf("the 25th stream of one person is answered %d", status)
	}
	if status := get(omar, "text/html"); status < 400 || status >= 500 {
		t.Errorf("a page that does not listen is answered %d", status)
	}
}
