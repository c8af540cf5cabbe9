package paper_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/policy/paper"
)

const source = `
policy: printed
title: Security Incident Response Policy
owner: Ümlaut Überraschung GmbH
updated: 2026-11-22
time: { zone: Europe/Berlin, business: "Mon-Fri 09:00-17:30", promptly: 4h }
scales: { severity: { critical: { means: Data has leaked. }, low: { means: Anything else. } } }
roles: { lead: { does: decides, holder: lena }, comms: { does: writes, holder: omar } }
parties: { merchants: { affected: scope.merchants, name: merchants } }
duties:
  judge: { who: lead, do: decide, of: [confirmed, dismissed], due: 8h after detected }
  stop: { who: lead, do: contain, due: 1 business d after detected }
  tell: { who: comms, do: notify, to: merchants.affected, due: 72h after confirmed, content: what_happened, approve: lead, promise: NOT-1 }
tables: [ { by: severity, critical: { stop: 1h..2h business }, low: { stop: none } } ]
contact: { email: security@example.com }
`

func sheet(t *testing.T) policy.Sheet {
	t.Helper()
	p, diags := policy.Compile("p.yaml", []byte(source))
	if p == nil {
		t.Fatal(policy.Format(diags, []byte(source)))
	}
	return p.Sheet(nil)
}

// The page on paper says what the page on the screen says, and can be copied out of it.
// promise: PUB-1
func TestThePaperSaysWhatThePageSays(t *testing.T) {
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("pdftotext is not installed: apt-get install poppler-utils")
		}
		t.Skip("pdftotext is not installed")
	}
	made := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	b, err := paper.PDF(sheet(t), made)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := paper.PDF(sheet(t), made); !bytes.Equal(b, again) {
		t.Error("the same sheet gives two files")
	}
	file := filepath.Join(t.TempDir(), "policy.pdf")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(tool, "-layout", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	for _, want := range []string{
		"Security Incident Response Policy", "Ümlaut Überraschung GmbH", "Last updated: 22 November 2026",
		"We tell every affected merchant by e-mail within 72 hours of confirming it, saying what happened. [tell · NOT-1]",
		"Clocks by severity", "not due", sheet(t).Hash,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the paper lacks %q:\n%s", want, page)
		}
	}
}
