package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/policy"
)

// Who finds something reads whom to tell, without an account, and until when that holds.
func TestSecurityTxtIsThePolicysContact(t *testing.T) {
	b, _ := open(t, console.Options{PublicURL: "https://ir.example.com"})
	if got := b.get("/.well-known/security.txt"); got.status != http.StatusOK || !strings.HasPrefix(got.body, "Contact: https://ir.example.com/report\nExpires") {
		t.Errorf("without a contact in the policy: %d %s", got.status, got.body)
	}
	if inside, _ := open(t, console.Options{}); inside.get("/.well-known/security.txt").status != http.StatusNotFound {
		t.Error("there is a file without any contact")
	}
	b.desk.Program.Contact = policy.Contact{Email: "security@example.com", URL: "https://example.com/report"}
	want := "Contact: mailto:security@example.com\nContact: https://example.com/report\nContact: https://ir.example.com/report\nExpires: 2027-05-21T00:00:00Z\n" +
		"Canonical: https://ir.example.com/.well-known/security.txt\nPolicy: https://ir.example.com/policy\n"
	got := b.get("/.well-known/security.txt")
	if got.status != http.StatusOK || got.body != want || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %q", got.status, got.body)
	}
}
