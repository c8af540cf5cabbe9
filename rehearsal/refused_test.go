package rehearsal_test

import (
	"strings"
	"testing"
	"time"
)

// An author who asks what is due has to be told that part of the file did not happen: what is due then
// is not what they think of.
func TestAnAnswerNamesWhatOfTheFileWasNotTaken(t *testing.T) {
	p, _ := programOf(t, "refused", "", []byte(`
policy: x
title: Security Incident Response Policy
owner: Acme Ltd
contact: { email: security@acme.example }
roles: { lead: { does: decides, holder: lena } }
duties: { judge: { who: lead, do: decide, of: [confirmed, dismissed], due: 8h after detected } }
`))
	a, err := explain(p, []byte("milestones: { detected: 2026-06-16T08:00:00Z }\nthen: [{ at: 2026-06-16T09:00:00Z, do: dismiss, with: { reason: '' } }]\n"), time.Date(2026, 6, 16, 10, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := a.Write(&b, time.UTC); err != nil {
		t.Fatal(err)
	}
	if len(a.Refused) != 1 || !strings.Contains(b.String(), "Of the file, not taken\n  Tue 16 Jun 2026 09:00 UTC  dismiss: refused: reason: must not be empty\n") {
		t.Errorf("%+v\n%s", a.Refused, b.String())
	}
}
