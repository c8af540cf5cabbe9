package storefront

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/authority"
)

// otherName is what a certificate is for that whoever took the name over has of their own.
const otherName = "parked.example"

// certificates are what the shop can show: its own, one for another name, and its own when it has run out.
type certificates struct{ good, other, expired tls.Certificate }

// certify makes the certificates, from an authority that is made here and written to a file for those who
// shall trust it.
func certify(roots string) (c certificates, err error) {
	ca, err := authority.New()
	if err != nil {
		return c, err
	}
	pair := func(cert, key []byte, e error) (t tls.Certificate) {
		if e == nil {
			t, e = tls.X509KeyPair(cert, key)
		}
		err = errors.Join(err, e)
		return t
	}
	c.good, c.other, c.expired = pair(ca.Issue(Name)), pair(ca.Issue(otherName)), pair(ca.IssueExpired(Name))
	return c, errors.Join(err, os.WriteFile(roots, ca.Roots(), 0o600))
}

// shown is the certificate that a visitor is shown now, and what the log says of a handshake with it.
func (s *shop) shown(c *certificates) (*tls.Certificate, string) {
	switch {
	case s.is(PartName):
		return &c.other, "for " + otherName
	case s.is(PartExpired):
		return &c.expired, "expired"
	}
	return &c.good, "ok"
}

// shakeHands takes connections until the listener is closed. A visitor that is slow is let go.
func (s *shop) shakeHands(l net.Listener, all *certificates) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second)) // a connection that is gone says so below
			line := Line{Kind: "tls", Answer: "no greeting"}
			t := tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				show, said := s.shown(all)
				line.What, line.Answer, line.Real = h.ServerName, said, time.Now().UTC() // the visitor may be done before we are
				return show, nil
			}})
			err := t.Handshake()
			if err != nil && line.Answer == "ok" {
				line.Answer = "failed"
			}
			s.note(line)
			if err == nil {
				_, _ = t.Read(make([]byte, 1)) // until the visitor leaves
			}
		}()
	}
}
