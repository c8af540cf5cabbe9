package probe

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/egress"
)

// TLS is a check of the certificate that a server shows (type tls).
type TLS struct {
	Address string        `yaml:"address"` // host:port
	Name    string        `yaml:"name"`    // the name the certificate must be for; default the host of the address
	Roots   string        `yaml:"roots"`   // PEM file of the authorities that are trusted; default the system's
	Days    int           `yaml:"days"`    // how many days it must have left; default 0: valid now
	Issuer  string        `yaml:"issuer"`  // common name or organisation of its issuer; empty: any
	Pins    []string      `yaml:"pins"`    // sha256/BASE64 of public keys, of which one must be in its chain; none: any
	Timeout time.Duration `yaml:"timeout"` // default 10 s, at most 1 min
}

const (
	maxRoots = 1 << 20 // bytes of a PEM file: the lists of authorities that systems ship take a quarter
	maxDays  = 3650
)

// Validate checks the check; field names it in errors, such as "checks.shop_tls".
func (c TLS) Validate(field string) error {
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil || host == "" || !isPort(port) {
		return fmt.Errorf("%s.address: it is not host:port, such as shop.example.com:443", field)
	}
	if c.Name != "" && (!isName(c.Name) || strings.ContainsAny(c.Name, "*:/")) {
		return fmt.Errorf("%s.name: it is not a name such as shop.example.com", field)
	}
	if c.Days < 0 || c.Days > maxDays {
		return fmt.Errorf("%s.days: %d is not between 0 and %d", field, c.Days, maxDays)
	}
	if len(c.Issuer) > 256 {
		return fmt.Errorf("%s.issuer: it is longer than 256 bytes", field)
	}
	if len(c.Pins) > maxValues {
		return fmt.Errorf("%s.pins: there are more than %d", field, maxValues)
	}
	for i, p := range c.Pins {
		if b, ok := strings.CutPrefix(p, "sha256/"); !ok || len(decoded(b)) != sha256.Size {
			return fmt.Errorf("%s.pins[%d]: it is not sha256/ and 44 characters of base64, as the check itself reports a key", field, i)
		}
	}
	if c.Timeout < 0 || c.Timeout > time.Minute {
		return fmt.Errorf("%s.timeout: %v is not between 0 and 1m", field, c.Timeout)
	}
	return nil
}

func decoded(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

// Pin is how a public key is written in a check: the SHA-256 of its SubjectPublicKeyInfo.
func Pin(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return "sha256/" + base64.StdEncoding.EncodeToString(sum[:])
}

// Run shakes hands once. It sends nothing else.
func (c TLS) Run(ctx context.Context, out *egress.Client) Result {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Name == "" {
		c.Name, _, _ = net.SplitHostPort(c.Address)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	result := func(code, format string, args ...any) Result {
		return Result{Code: code, Observed: c.Address + " " + fmt.Sprintf(format, args...), At: time.Now().UTC()}
	}
	roots, err := pool(c.Roots)
	if err != nil {
		return result("config", "was not asked: roots: %v", err)
	}
	raw, err := out.Dialer().DialContext(ctx, "tcp", c.Address)
	if err != nil {
		code := egress.CodeOf(err)
		return result(code, "gave no answer: %s", code)
	}
	defer raw.Close()
	conn := tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: c.Name})
	if err := conn.HandshakeContext(ctx); err != nil {
		code, say := refusal(err, c.Name)
		if ctx.Err() != nil {
			code, say = "timeout", "the handshake did not end in time"
		}
		return result(code, "is not trusted: %s", say)
	}
	state := conn.ConnectionState()
	until, chain := longest(state.VerifiedChains)
	leaf, now := chain[0], time.Now()
	saw := fmt.Sprintf("shows a certificate for %s by %s, valid until %s, key %s", c.Name, issuer(leaf), until.UTC().Format("2006-01-02 15:04 UTC"), Pin(leaf))
	var code string
	var wrong []string
	fault := func(word, format string, args ...any) {
		if code == "" {
			code = word
		}
		wrong = append(wrong, fmt.Sprintf(format, args...))
	}
	if left := until.Sub(now); left < time.Duration(c.Days)*24*time.Hour {
		fault("near_expiry", "it ends in %d days, expected %d or more", int(left/(24*time.Hour)), c.Days)
	}
	if c.Issuer != "" && c.Issuer != leaf.Issuer.CommonName && !slices.Contains(leaf.Issuer.Organization, c.Issuer) {
		fault("wrong_issuer", "expected one by %q", c.Issuer)
	}
	pinned := func(c2 *x509.Certificate) bool { return slices.Contains(c.Pins, Pin(c2)) }
	if len(c.Pins) > 0 && !slices.ContainsFunc(state.VerifiedChains, func(chain []*x509.Certificate) bool { return slices.ContainsFunc(chain, pinned) }) {
		fault("wrong_pin", "no key of its chain is one of the pins")
	}
	if len(wrong) > 0 {
		return result(code, "%s; %s", saw, strings.Join(wrong, "; "))
	}
	res := result("tls ok", "%s", saw)
	res.Passed = true
	return res
}

// refusal says why a certificate was not accepted, without words of the server's choice.
func refusal(err error, name string) (code, say string) {
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && time.Now().Before(invalid.Cert.NotBefore):
		return "not_yet_valid", "a certificate of its chain is valid only from " + invalid.Cert.NotBefore.UTC().Format("2006-01-02 15:04 UTC")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "expired", "a certificate of its chain ended on " + invalid.Cert.NotAfter.UTC().Format("2006-01-02 15:04 UTC")
	case errors.As(err, &host):
		return "wrong_name", "its certificate is not for " + name
	case errors.As(err, &authority):
		return "unknown_authority", "no trusted authority signed its certificate"
	}
	return "tls", "the handshake failed"
}

// longest is the chain that stays valid longest, and until when: a chain ends with the first of its
// certificates that does.
func longest(chains [][]*x509.Certificate) (until time.Time, best []*x509.Certificate) {
	for _, chain := range chains {
		end := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
		if best == nil || end.After(until) {
			until, best = end, chain
		}
	}
	return until, best
}

func issuer(c *x509.Certificate) string {
	if name := c.Issuer.CommonName; name != "" {
		return fmt.Sprintf("%q", name)
	}
	return fmt.Sprintf("%q", strings.Join(c.Issuer.Organization, ", "))
}

// pool reads the trusted authorities anew for each run, because a file of them is replaced while the
// server runs; nil means the system's.
func pool(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRoots+1))
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if len(b) > maxRoots || !p.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate in PEM, or is larger than %d bytes", file, maxRoots)
	}
	return p, nil
}
