package app

import (
	"net"
	"strings"
	"testing"
	"time"
)

// A relay that takes the connection and says nothing ends a test message after the time somebody may sit
// before the page, which is said and remembered; the sender's own patience with a relay is longer.
func TestATestMessageIsNotWaitedForLongerThanItsLimit(t *testing.T) {
	relay, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	left := make(chan struct{})
	go func() {
		defer close(left)
		conn, err := relay.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Read(make([]byte, 1)) // until the sender gives up
	}()
	dir := folder(t, "production", configuration+"mail: { relay: \""+relay.Addr().String()+"\", from: \"Acme <security@acme.shop>\", tls: none }\n")
	began := time.Now()
	err = mailWithin(t.Context(), Options{Dir: dir}, "lena@acme.shop", began, 200*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "it did not answer in time") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took < 200*time.Millisecond || took > testWait {
		t.Errorf("it took %v", took)
	}
	if p, err := readProgress(dir); err != nil || !strings.Contains(p.MailFailed, "it did not answer in time") {
		t.Errorf("remembered: %+v %v", p, err)
	}
	<-left
}
