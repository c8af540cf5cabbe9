package judge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// encrypted: the address at which people, the application, its events and its stream of switches are
// served takes TLS 1.3, refuses anything older, and tells nothing to whoever speaks in the clear; and
// each mail came to the mail server over TLS 1.3.
func (b *bench) encrypted(p *row) error {
	ctx := b.ctx
	pem, err := os.ReadFile(b.c.Roots)
	if err != nil {
		return fmt.Errorf("the authority of the drill: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return errors.New("the authority of the drill cannot be read")
	}
	shake := func(least, most uint16) (uint16, error) {
		d := tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: least, MaxVersion: most}}
		c, err := d.DialContext(ctx, "tcp", b.c.Server)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		return c.(*tls.Conn).ConnectionState().Version, nil
	}
	if _, err := shake(tls.VersionTLS13, tls.VersionTLS13); err != nil {
		return fmt.Errorf("the server speaks no TLS 1.3: %w", err)
	}
	if v, err := shake(tls.VersionTLS10, tls.VersionTLS12); err == nil {
		return fmt.Errorf("the server speaks %s", tls.VersionName(v))
	}
	client := &http.Client{Timeout: 3 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.c.Server+"/policy", nil)
	if err != nil {
		return err
	}
	if resp, err := client.Do(req); err == nil {
		resp.Body.Close()
		if resp.StatusCode < http.StatusBadRequest {
			return fmt.Errorf("the server answers %d to a request in the clear", resp.StatusCode)
		}
	}
	if len(b.mails) == 0 {
		return errors.New("there is no mail, so nothing is shown of how mail travels")
	}
	for _, l := range b.mails {
		if l.TLS != "TLS 1.3" {
			return fmt.Errorf("%s came over %q", l.File, l.TLS)
		}
	}
	p.Trigger = "system"
	p.Proof = fmt.Sprintf("handshakes of the judge, and %d mails by the mail server's own index", len(b.mails))
	return nil
}
