package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
)

// certificate writes a certificate for 127.0.0.1 and its key into a folder.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tocsin test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

func TestOnlyTLS13IsSpoken(t *testing.T) { // promise: PRO-1
	dir := folder(t, "production", strings.Replace(configuration, "127.0.0.1:0", "0.0.0.0:0", 1)+"tls: { cert: cert.pem, key: key.pem }\n")
	pool := certificate(t, dir)
	a, _ := start(t, Options{Dir: dir})
	if !strings.HasPrefix(a.URL(), "https://127.0.0.1:") || !strings.HasPrefix(a.Link(), a.URL()+"/join?code=") {
		t.Errorf("announced as %s, link %q", a.URL(), a.Link())
	}
	host := strings.TrimPrefix(a.URL(), "https://")
	for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12} {
		c, err := tls.Dial("tcp", host, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: old})
		if err == nil || !strings.Contains(err.Error(), "protocol version") {
			t.Errorf("%s: %v", tls.VersionName(old), err)
		}
		if err == nil {
			c.Close()
		}
	}
	c, err := tls.Dial("tcp", host, &tls.Config{RootCAs: pool})
	if err != nil || c.ConnectionState().Version != tls.VersionTLS13 {
		t.Fatalf("TLS 1.3: %v", err)
	}
	c.Close()

	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	r, err := browser.Get(a.URL() + "/healthz")
	if err != nil || r.StatusCode != http.StatusOK || r.ProtoMajor != 2 {
		t.Errorf("healthz: %+v %v", r, err)
	}
	if r, err := http.Get("http://" + host + "/healthz"); err == nil && r.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP on the TLS address is answered with %s", r.Status)
	}
}

func TestACertificateThatCannotBeUsedIsNamed(t *testing.T) {
	dir := folder(t, "production", configuration+"tls: { cert: cert.pem, key: key.pem }\n")
	certificate(t, dir)
	write(t, dir, "key.pem", "not a key")
	a, err := New(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "tocsin.yaml:5: tls: certificate and key cannot be used") {
		t.Errorf("%v", err)
	}
}

func TestAnotherAddressThanLoopbackNeedsTLSOrAProxy(t *testing.T) { // promise: PRO-1
	dir := folder(t, "production", configuration)
	for _, listen := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.com:0"} {
		if _, err := New(t.Context(), Options{Dir: dir, Listen: listen}); err == nil || !strings.Contains(err.Error(), "is not loopback") || !strings.Contains(err.Error(), "--listen") {
			t.Errorf("--listen %s: %v", listen, err)
		}
	}
	for _, listen := range []string{"127.0.0.1:0", "127.0.0.2:0", "localhost:0", "[::1]:0"} {
		cfg, err := LoadConfig(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Listen = listen
		if err := cfg.check(); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	write(t, dir, "tocsin.yaml", strings.Replace(configuration, "127.0.0.1:0", "0.0.0.0:0", 1)+"trusted_proxies: [ 192.0.2.7 ]\n")
	if _, err := LoadConfig(dir, ""); err != nil {
		t.Errorf("behind a named proxy: %v", err)
	}
}

func TestAnAddressInUseSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := folder(t, "production", configuration)
	a, err := New(t.Context(), Options{Dir: dir, Listen: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "cannot listen on "+l.Addr().String()) || !strings.Contains(err.Error(), "address already in use") || !strings.Contains(err.Error(), "--listen") {
		t.Errorf("%v", err)
	}
}

func TestForwardedHeadersAreBelievedOfTheProxyAlone(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		from     string
		headers  []string // of X-Forwarded-For
		client   string   // address the handlers see
		answered bool
	}{
		{"10.1.2.3:4000", []string{"198.51.100.9"}, "198.51.100.9:0", true},
		{"10.1.2.3:4000", []string{"203.0.113.1, 198.51.100.9"}, "198.51.100.9:0", true},   // the first is the client's own word
		{"10.1.2.3:4000", []string{"203.0.113.1", "198.51.100.9"}, "198.51.100.9:0", true}, // in two headers
		{"10.1.2.3:4000", []string{"198.51.100.9, nonsense"}, "10.1.2.3:4000", true},       // not an address: nobody's word
		{"10.1.2.3:4000", nil, "10.1.2.3:4000", true},                                      // the proxy itself
		{"[::ffff:10.1.2.3]:4000", []string{"198.51.100.9"}, "198.51.100.9:0", true},       // a v4 address on a v6 socket
		{"[2001:db8::5]:4000", []string{"198.51.100.9"}, "198.51.100.9:0", true},           //
		{"127.0.0.1:4000", []string{"198.51.100.9"}, "127.0.0.1:4000", true},               // this machine, and no proxy
		{"192.0.2.5:4000", []string{"10.1.2.3"}, "", false},                                // in the clear, from a stranger
		{"@", []string{"198.51.100.9"}, "@", true},                                         // the socket in the folder
	} {
		var seen *http.Request
		h := trust(proxies, false, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r }))
		q := httptest.NewRequest(http.MethodGet, "/", nil)
		q.RemoteAddr = c.from
		for _, v := range c.headers {
			q.Header.Add("X-Forwarded-For", v)
		}
		for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "Forwarded"} {
			q.Header.Set(name, "https")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, q)
		if (seen != nil) != c.answered {
			t.Errorf("from %s: answered %v, status %d", c.from, seen != nil, w.Code)
			continue
		}
		if seen == nil {
			continue
		}
		if seen.RemoteAddr != c.client {
			t.Errorf("from %s with %q: the handlers see %s, want %s", c.from, c.headers, seen.RemoteAddr, c.client)
		}
		for name := range seen.Header {
			t.Errorf("from %s: header %s reached the handlers", c.from, name)
		}
	}
	// With TLS of its own the server answers everybody, and believes nobody.
	seen := ""
	h := trust(nil, true, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.RemoteAddr }))
	q := httptest.NewRequest(http.MethodGet, "/", nil)
	q.RemoteAddr = "192.0.2.5:4000"
	q.Header.Set("X-Forwarded-For", "127.0.0.1")
	if h.ServeHTTP(httptest.NewRecorder(), q); seen != "192.0.2.5:4000" {
		t.Errorf("with TLS, the handlers see %q", seen)
	}
}

func TestAForgedHeaderDoesNotReachTheServer(t *testing.T) {
	a, _ := start(t, Options{Dir: folder(t, "production", configuration)})
	q, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+"/signin", nil)
	q.Header.Set("X-Forwarded-Proto", "https")
	q.Header.Set("X-Forwarded-Host", "evil.example")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	if strings.Contains(string(body), "evil.example") {
		t.Error("a forged host is on the page")
	}
}

func TestTheSocketLetsItsOwnerInAndNobodyElse(t *testing.T) { // promise: PRO-4
	dir := folder(t, "production", configuration)
	a, stop := start(t, Options{Dir: dir})
	path := filepath.Join(dir, "tocsin.sock")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Mode()&os.ModeSocket == 0 {
		t.Fatalf("socket: %v %v", info, err)
	}
	who, err := local(t, dir).Whoami(t.Context())
	if err != nil || who.Access != "owner" {
		t.Errorf("over the socket: %+v %v", who, err)
	}
	// What lets the socket's owner in is not a token that works anywhere else without it.
	r, err := http.Get(a.URL() + "/v1/incidents")
	if err != nil || r.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token over TCP: %v %v", r, err)
	}
	// Nobody can open the name that clients of the socket call it by: the link names the address.
	if link, _, err := local(t, dir).Invite(t.Context(), "kim", "Kim", "viewer", nil, ""); err != nil || !strings.HasPrefix(link, a.URL()+"/join?code=") {
		t.Errorf("an invitation over the socket: %q %v, server at %s", link, err, a.URL())
	}
	// A person's own token counts over the socket too: then it is that person and no owner.
	_, token := member(t, a, "vera", "viewer")
	vera, err := client.New("unix://"+path, client.WithToken(token), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if who, err := vera.Whoami(t.Context()); err != nil || who.Access != "viewer" {
		t.Errorf("a viewer over the socket: %+v %v", who, err)
	}
	stop()
	for _, name := range []string{"tocsin.sock", "tocsin.sock.new"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is left behind: %v", name, err)
		}
	}
}

func TestAPathTooLongForASocketIsNamed(t *testing.T) {
	full := "/" + strings.Repeat("d", 103-len("//tocsin.sock"))
	if path, err := SocketPath(full); err != nil || len(path) != 103 {
		t.Errorf("%d bytes: %v", len(path), err)
	}
	if _, err := SocketPath(full + "d"); err == nil || !strings.Contains(err.Error(), "by 1: "+full+"d/tocsin.sock: choose a shorter data folder") {
		t.Errorf("%v", err)
	}
}
