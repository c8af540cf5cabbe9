package app

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// A resolver that takes questions and answers none keeps no page waiting; what was found last is shown with
// the time at which it was asked.
func TestAPageDoesNotWaitForAResolverThatDoesNotAnswer(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	life, end := context.WithCancel(t.Context())
	a := &App{cfg: &Config{}, life: life}
	a.cfg.Mail.From, a.cfg.Network.DNS = "Security <security@example.test>", silent.LocalAddr().String()
	began := time.Now()
	if d := a.published(t.Context(), true); !d.Waiting || d.Name != "example.test" {
		t.Fatalf("%+v", d)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Fatalf("the page waited %s", took)
	}
	r := doctor.Examine(doctor.Seen{Mail: doctor.Mail{Domain: &doctor.Domain{Name: "example.test", Waiting: true}}})
	for _, f := range r.Findings {
		if strings.HasPrefix(f.ID, "mail.spf") {
			t.Errorf("what is not known yet was judged: %+v", f)
		}
	}
	a.lookups.mu.Lock()
	asking := a.lookups.asking
	a.lookups.mu.Unlock()
	if asking == nil {
		t.Fatal("nobody asks")
	}
	end()
	<-asking
	a.running.Wait()
	if d := a.published(t.Context(), true); d.Waiting || d.Problem == "" || d.Asked.IsZero() {
		t.Fatalf("%+v", d)
	}
	// The resolver answers again: a page shows the old answer at once, and the next one the new.
	a.life = t.Context()
	a.cfg.Network.DNS = nameserver(t, map[string][]string{"example.test.": {"v=spf1 -all"}})
	a.lookups.mu.Lock()
	a.lookups.known.Asked = time.Now().Add(-2 * askedAgain)
	a.lookups.mu.Unlock()
	if d := a.published(t.Context(), true); d.Problem == "" {
		t.Fatalf("%+v", d)
	}
	a.running.Wait()
	if d := a.published(t.Context(), true); d.Problem != "" || len(d.SPF) != 1 {
		t.Fatalf("%+v", d)
	}
}
