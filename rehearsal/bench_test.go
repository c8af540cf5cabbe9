package rehearsal_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/rehearsal"
)

// forty is a policy with forty duties to every affected merchant: every fourth under a condition
// that reads the recipient, every fourth under a fact that nobody has answered.
func forty() string {
	var b strings.Builder
	b.WriteString(`policy: forty
title: Security Incident Response Policy
owner: Acme Ltd
contact: { email: security@acme.example }
time: { zone: Europe/Berlin, promptly: 4h }
facts: { personal_data: { ask: "Is personal data involved?", by: lead, say: personal data is involved } }
parties: { merchants: { affected: scope.merchants } }
roles: { lead: { does: decides, holder: lena }, comms: { does: writes, holder: ida } }
duties:
`)
	for i := range 40 {
		when := ""
		switch i % 4 {
		case 1:
			when = ", when: recipient.customers > " + fmt.Sprint(i)
		case 2:
			when = ", when: fact.personal_data"
		case 3:
			when = ", when: \"recipient.country == 'DE'\""
		}
		fmt.Fprintf(&b, "  tell_%d: { who: comms, do: notify, to: merchants.affected%s, due: %dh after confirmed, content: [item_%d], approve: lead }\n", i, when, 24+i, i)
	}
	return b.String()
}

// BenchmarkExplain explains an incident of 5,000 merchants under forty duties.
func BenchmarkExplain(b *testing.B) {
	p, diags := policy.Compile("forty.yaml", []byte(forty()))
	if p == nil {
		b.Fatal(diags)
	}
	story, err := rehearsal.Read("facts", []byte("milestones: { detected: 2026-06-16T08:00:00Z, confirmed: 2026-06-16T09:00:00Z }\nmerchants: 5000\nscope: all\n"), p)
	if err != nil {
		b.Fatal(err)
	}
	r := rehearsal.New(p, story)
	if err := r.To(time.Date(2026, 6, 16, 10, 0, 0, 0, time.UTC)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := r.Explain(); len(got.Duties) == 0 {
			b.Fatal("nothing is due")
		}
	}
}
