package app

import (
	"database/sql"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// nameserver is a DNS server on loopback that answers TXT questions from zone.
func nameserver(t *testing.T, zone map[string][]string) string {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	s := &dns.Server{PacketConn: udp, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		texts, known := zone[strings.ToLower(q.Question[0].Name)]
		if !known {
			a.Rcode = dns.RcodeNameError
		}
		for _, text := range texts {
			a.Answer = append(a.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{text}})
		}
		_ = w.WriteMsg(a)
	})}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return udp.LocalAddr().String()
}

func finding(t *testing.T, r doctor.Report, id string) doctor.Finding {
	t.Helper()
	i := slices.IndexFunc(r.Findings, func(f doctor.Finding) bool { return f.ID == id })
	if i < 0 {
		t.Fatalf("%s was not looked at: %v", id, r.Findings)
	}
	return r.Findings[i]
}

// promise: NOT-1
func TestTheDoctorLooksUpWhatTheSendersDomainPublishes(t *testing.T) {
	at := nameserver(t, map[string][]string{
		"acme.shop.":               {"verification=1", "v=spf1 include:relay.example -all"},
		"_dmarc.acme.shop.":        {"v=DMARC1; p=none"},
		"s1._domainkey.acme.shop.": {"v=DKIM1; p=MIIBIjANBg"},
	})
	dir := folder(t, "production", configuration+"mail: { relay: \"127.0.0.1:1\", from: \"Acme <security@acme.shop>\", tls: none, dkim_selector: s1 }\nnetwork: { dns: \""+at+"\" }\n")
	start(t, Options{Dir: dir})
	var r doctor.Report
	if err := local(t, dir).Do(t.Context(), http.MethodGet, "/v1/doctor", nil, &r); err != nil {
		t.Fatal(err)
	}
	if !r.Served || r.Policy != "pickandpack" {
		t.Errorf("served %v, policy %q", r.Served, r.Policy)
	}
	for id, want := range map[string]doctor.State{"mail.spf": doctor.OK, "mail.dkim": doctor.OK, "mail.dmarc": doctor.Warn, "mail.relay": doctor.Warn} {
		if f := finding(t, r, id); f.State != want {
			t.Errorf("%s is %s: %s", id, f.State, f.Say)
		}
	}
}

// promise: INV-3
func TestTheDoctorNamesAnAlteredFactOfAFolderNobodyServes(t *testing.T) {
	dir := folder(t, "production", configuration)
	_, stop := start(t, Options{Dir: dir})
	stop()
	r, err := Examine(t.Context(), Options{Dir: dir}, Depth{})
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, r, "evidence.verify"); f.State != doctor.OK || r.Served {
		t.Fatalf("before: %+v", f)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "tocsin.db"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'trigger'`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	rows.Close()
	for _, name := range names { // whoever owns the file can take them away
		if _, err := db.Exec(`DROP TRIGGER "` + name + `"`); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(`UPDATE facts SET header = replace(header, 'founded', 'fouNded') WHERE seq = 1`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r, err = Examine(t.Context(), Options{Dir: dir}, Depth{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool {
		return f.State == doctor.Fail && (f.ID == "evidence.verify" || f.ID == "folder.open")
	}) {
		t.Errorf("an altered fact was not found: %v", r.Findings)
	}
}

func TestTheDoctorNamesAFolderThatOthersMayEnter(t *testing.T) {
	dir := folder(t, "production", configuration)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := Examine(t.Context(), Options{Dir: dir}, Depth{})
	if err != nil {
		t.Fatal(err)
	}
	if f := finding(t, r, "folder."+dir); f.State != doctor.Fail || !strings.Contains(f.Do, "chmod go-rwx") {
		t.Errorf("%+v", f)
	}
}
