package storefront

import (
	"crypto/tls"
	"net"
	"os"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/authority"
)

// listenTLS listens with a certificate for the shop's name, from an authority that is made here and
// written to a file for those who shall trust it.
func (s *shop) listenTLS(roots string) (net.Listener, error) {
	ca, err := authority.New()
	if err != nil {
		return nil, err
	}
	cert, key, err := ca.Issue(Name)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(roots, ca.Roots(), 0o600); err != nil {
		return nil, err
	}
	return tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}})
}

// shakeHands takes connections until the listener is closed. A visitor that is slow is let go.
func (s *shop) shakeHands(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second)) // a connection that is gone says so below
			if t, ok := c.(*tls.Conn); ok {
				if err := t.Handshake(); err != nil {
					s.note(Line{Kind: "tls", Answer: "failed"})
					return
				}
				s.note(Line{Kind: "tls", What: t.ConnectionState().ServerName, Answer: "ok"})
				_, _ = t.Read(make([]byte, 1)) // until the visitor leaves
			}
		}()
	}
}
