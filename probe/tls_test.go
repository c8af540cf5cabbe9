package probe_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/probe"
)

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func issue(t *testing.T, by *authority, name string, from, until time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Test"}}, NotBefore: from, NotAfter: until}
	parent, signer := form, key
	if by == nil {
		form.IsCA, form.BasicConstraintsValid, form.KeyUsage = true, true, x509.KeyUsageCertSign
	} else {
		form.DNSNames, form.ExtKeyUsage = []string{name}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, form, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func newAuthority(t *testing.T, name string) *authority {
	cert, key := issue(t, nil, name, time.Now().Add(-time.Hour), time.Now().Add(1000*24*time.Hour))
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, file}
}

// listen gives every connection to serve, until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); serve(c) }()
		}
	}()
	return l.Addr().String()
}

// promise: REC-4
func TestATLSCheckSaysWhatIsWrongWithACertificate(t *testing.T) {
	ours, theirs := newAuthority(t, "Our CA"), newAuthority(t, "Their CA")
	now := time.Now()
	pins := map[string]string{}
	server := func(by *authority, name string, from, until time.Time) string {
		cert, key := issue(t, by, name, from, until)
		config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}}
		address := listen(t, func(c net.Conn) { _ = tls.Server(c, config).Handshake() })
		pins[address] = probe.Pin(cert)
		return address
	}
	days := func(n int) time.Time { return now.Add(time.Duration(n)*24*time.Hour + time.Hour) }
	good := server(ours, "shop.test", days(-2), days(20))
	mute := listen(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<16)); _, _ = c.Read(make([]byte, 1)) })
	garbled := listen(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 hunter2\r\n\r\n")) })
	out := loopback(t)
	for name, c := range map[string]struct {
		check probe.TLS
		code  string
		saw   string
	}{
		"good":             {probe.TLS{Address: good, Days: 20, Issuer: "Our CA", Pins: []string{pins[good]}}, "tls ok", `for shop.test by "Our CA", valid until ` + days(20).UTC().Format("2006-01-02 15:04 UTC")},
		"by organisation":  {probe.TLS{Address: good, Issuer: "Test"}, "tls ok", pins[good]},
		"authority pinned": {probe.TLS{Address: good, Pins: []string{probe.Pin(theirs.cert), probe.Pin(ours.cert)}}, "tls ok", ""},
		"wrong pin":        {probe.TLS{Address: good, Pins: []string{probe.Pin(theirs.cert)}}, "wrong_pin", "no key of its chain"},
		"wrong issuer":     {probe.TLS{Address: good, Issuer: "Their CA"}, "wrong_issuer", `expected one by "Their CA"`},
		"near expiry":      {probe.TLS{Address: good, Days: 21, Issuer: "Their CA"}, "near_expiry", "ends in 20 days, expected 21 or more; expected one by"},
		"expired":          {probe.TLS{Address: server(ours, "shop.test", days(-9), days(-2))}, "expired", "ended on " + days(-2).UTC().Format("2006-01-02")},
		"too early":        {probe.TLS{Address: server(ours, "shop.test", days(2), days(9))}, "not_yet_valid", "valid only from"},
		"wrong name":       {probe.TLS{Address: server(ours, "other.test", days(-2), days(20))}, "wrong_name", "not for shop.test"},
		"unknown":          {probe.TLS{Address: server(theirs, "shop.test", days(-2), days(20))}, "unknown_authority", "no trusted authority"},
		"system's roots":   {probe.TLS{Address: good, Roots: "system"}, "unknown_authority", "no trusted authority"},
		"no such file":     {probe.TLS{Address: good, Roots: filepath.Join(t.TempDir(), "absent.pem")}, "config", "roots: "},
		"mute":             {probe.TLS{Address: mute, Timeout: 50 * time.Millisecond}, "timeout", "in time"},
		"no TLS":           {probe.TLS{Address: garbled}, "tls", "the handshake failed"},
		"nobody listens":   {probe.TLS{Address: "127.0.0.1:1"}, "connect", "gave no answer"},
	} {
		c.check.Name = "shop.test"
		switch c.check.Roots {
		case "":
			c.check.Roots = ours.file
		case "system":
			c.check.Roots = ""
		}
		if err := c.check.Validate("checks.x"); err != nil {
			t.Fatal(err)
		}
		res := c.check.Run(t.Context(), out)
		if res.Passed != (c.code == "tls ok") || res.Code != c.code || !strings.Contains(res.Observed, c.saw) || res.At.IsZero() || strings.Contains(res.Observed, "hunter2") {
			t.Errorf("%s: %+v", name, res)
		}
	}

	closed := egress.New(egress.Options{})
	defer closed.Close()
	if res := (probe.TLS{Address: good, Name: "shop.test", Roots: ours.file}).Run(t.Context(), closed); res.Passed || res.Code != "refused_address" {
		t.Errorf("a private address was reached without leave: %+v", res)
	}
}

func TestAMisspeltTLSCheckNamesItsField(t *testing.T) {
	for want, c := range map[string]probe.TLS{
		"checks.x.address": {Address: "shop.test"},
		"checks.x.name":    {Address: "shop.test:443", Name: "https://shop.test"},
		"checks.x.days":    {Address: "shop.test:443", Days: -1},
		"checks.x.pins[0]": {Address: "shop.test:443", Pins: []string{"sha256/abc"}},
		"checks.x.timeout": {Address: "shop.test:443", Timeout: time.Hour},
	} {
		if err := c.Validate("checks.x"); err == nil || !strings.HasPrefix(err.Error(), want+": ") {
			t.Errorf("error %v does not begin with %s", err, want)
		}
	}
}
