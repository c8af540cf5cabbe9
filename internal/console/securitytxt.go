package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

// securityLife is how long the file says that it holds. It is made anew with each request, so a
// finder who keeps it for half a year still has the right address.
const securityLife = 180 * 24 * time.Hour

// securityTxt tells finders whom to write to (RFC 9116), as the policy's contact says. Addresses on
// the web have to be https; without any contact there is no file.
func (c *Console) securityTxt(w http.ResponseWriter, r *http.Request) error {
	p := c.desk.PolicyProgram(r.Context())
	if p == nil {
		return desk.ErrNotFound
	}
	var b strings.Builder
	if p.Contact.Email != "" {
		b.WriteString("Contact: mailto:" + oneWord(p.Contact.Email) + "\n")
	}
	if strings.HasPrefix(p.Contact.URL, "https://") {
		b.WriteString("Contact: " + oneWord(p.Contact.URL) + "\n")
	}
	if strings.HasPrefix(c.opt.PublicURL, "https://") {
		b.WriteString("Contact: " + c.opt.PublicURL + "/report\n")
	}
	if b.Len() == 0 {
		return desk.ErrNotFound
	}
	b.WriteString("Expires: " + c.opt.Now().UTC().Truncate(24*time.Hour).Add(securityLife).Format(time.RFC3339) + "\n")
	if strings.HasPrefix(c.opt.PublicURL, "https://") {
		b.WriteString("Canonical: " + c.opt.PublicURL + "/.well-known/security.txt\n")
		b.WriteString("Policy: " + c.opt.PublicURL + "/policy\n")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(b.String())) // a failed write means that the reader is gone
	return nil
}

// oneWord keeps a line of the file from becoming two.
func oneWord(s string) string { return strings.Join(strings.Fields(s), "") }
