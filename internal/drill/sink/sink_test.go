package sink

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, c Config) *Server {
	t.Helper()
	c.Listen, c.Dir = "127.0.0.1:0", t.TempDir()
	s, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func send(s *Server, to, id string) error {
	return smtp.SendMail(s.Addr(), nil, "security@vendor.example", []string{to}, []byte("Message-ID: <"+id+">\r\nSubject: x\r\n\r\n.dotted\r\nbody\r\n"))
}

func index(t *testing.T, s *Server) []Kept {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.c.Dir, "index.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	var out []Kept
	for line := range strings.Lines(string(data)) {
		var k Kept
		if err := json.Unmarshal([]byte(line), &k); err != nil {
			t.Fatal(err)
		}
		out = append(out, k)
	}
	return out
}

func TestTheFirstAttemptIsDeferredAndALaterOneTaken(t *testing.T) {
	s := start(t, Config{Greylist: "30ms", Now: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)})
	if err := send(s, "a@shop.example", "1@x"); err == nil || !strings.Contains(err.Error(), "450") {
		t.Fatalf("first attempt: %v, want 450", err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := send(s, "a@shop.example", "1@x")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	kept := index(t, s)
	if len(kept) != 1 || kept[0].MessageID != "1@x" || kept[0].Rcpt[0] != "a@shop.example" || kept[0].At.Hour() != 3 {
		t.Fatalf("%+v", kept)
	}
	body, err := os.ReadFile(filepath.Join(s.c.Dir, kept[0].File))
	if err != nil || !strings.Contains(string(body), "\r\n.dotted\r\n") {
		t.Fatalf("the message came out as %q, %v", body, err)
	}
}

func TestADeadAddressIsRefusedForGood(t *testing.T) {
	s := start(t, Config{Dead: []string{"Gone@dead.example"}})
	for range 2 {
		if err := send(s, "gone@dead.example", "1@x"); err == nil || !strings.Contains(err.Error(), "550") {
			t.Fatalf("%v, want 550", err)
		}
	}
}

func TestADroppedMessageIsKeptMarkedAndTakenTheSecondTime(t *testing.T) {
	s := start(t, Config{DropEach: 2})
	if err := send(s, "a@shop.example", "1@x"); err != nil {
		t.Fatal(err)
	}
	if err := send(s, "b@shop.example", "2@x"); err == nil {
		t.Fatal("the second message was answered, want a dropped connection")
	}
	if err := send(s, "b@shop.example", "2@x"); err != nil {
		t.Fatal(err)
	}
	if err := send(s, "b@shop.example", "2@x"); err != nil {
		t.Fatalf("a message seen before was dropped again: %v", err)
	}
	kept := index(t, s)
	if len(kept) != 4 || kept[0].Dropped || !kept[1].Dropped || kept[2].Dropped || kept[1].Digest != kept[2].Digest {
		t.Fatalf("%+v", kept)
	}
}

func TestTheProcessStopsWhenStandardInputEnds(t *testing.T) {
	in, give := io.Pipe()
	take, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Main(context.Background(), in, out); out.Close() }()
	answers := json.NewDecoder(take)
	give.Write([]byte(`{"listen":"127.0.0.1:0","dir":` + quote(t.TempDir()) + `}`))
	var ready struct {
		Ready bool
		Addr  string
	}
	if err := answers.Decode(&ready); err != nil || !ready.Ready {
		t.Fatal(err, ready)
	}
	give.Write([]byte(`{"id":4,"now":"2026-11-22T03:00:00Z"}`))
	var ok struct {
		ID int
		OK bool
	}
	if err := answers.Decode(&ok); err != nil || ok.ID != 4 || !ok.OK {
		t.Fatal(err, ok)
	}
	c, err := net.Dial("tcp", ready.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	give.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func quote(s string) string { b, _ := json.Marshal(s); return string(b) }
