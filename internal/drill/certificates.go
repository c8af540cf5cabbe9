package drill

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"

	"github.com/tocsin-ir/tocsin/internal/drill/authority"
)

// The server's certificate and its key, in its data folder.
const (
	certFile = "tls-cert.pem"
	certKey  = "tls-key.pem"
)

// trusting is the environment of a program that believes the drill's authority as it would believe one
// of the machine's own.
func trusting(roots string) []string { return []string{"SSL_CERT_FILE=" + roots} }

// certify makes the drill's authority, gives server and mail server a certificate each, and has the
// people's programs believe it.
func (r *run) certify() (mailCert, mailKey string, err error) {
	ca, err := authority.New()
	if err != nil {
		return "", "", err
	}
	in := func(name string) string { return filepath.Join(r.o.Dir, "drill", name) }
	mailCert, mailKey = in("mail-cert.pem"), in("mail-key.pem")
	for _, pair := range [][2]string{{mailCert, mailKey}, {filepath.Join(r.o.Dir, certFile), filepath.Join(r.o.Dir, certKey)}} {
		cert, key, err := ca.Issue("127.0.0.1")
		if err != nil {
			return "", "", err
		}
		if err := errors.Join(os.WriteFile(pair[0], cert, 0o600), os.WriteFile(pair[1], key, 0o600)); err != nil {
			return "", "", err
		}
	}
	r.roots = in("roots.pem")
	if err := os.WriteFile(r.roots, ca.Roots(), 0o600); err != nil {
		return "", "", err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.Roots())
	r.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	return mailCert, mailKey, nil
}
