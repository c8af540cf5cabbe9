package org_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/org"
)

// A plan is confirmed as long as it says what would be erased, and each reason why it does not is
// named.
//
// promise: PRO-6
func TestAStalePlanOfAnErasureIsRefusedAndSaysWhy(t *testing.T) {
	somebody, another := strings.Repeat("0", 31)+"1", strings.Repeat("0", 31)+"2"
	order := func(customers ...string) org.OrderErasure {
		return org.OrderErasure{Merchant: "m_1", Customers: customers, Basis: "Art. 17 GDPR", Reason: "the customer asked", UpTo: 7}
	}
	for _, c := range []struct {
		name   string
		then   func(t *testing.T, c *chain)
		order  org.OrderErasure
		reason string // "": it is taken
	}{
		{"confirmed", nil, order(somebody), ""},
		{"the log has grown", nil, func() org.OrderErasure { o := order(somebody); o.UpTo = 9; return o }(), ""},
		{"somebody else is named", nil, order(another), "it was made for others"},
		{"somebody more is named", nil, order(somebody, another), "it was made for others"},
		{"all of the merchant", nil, org.OrderErasure{Merchant: "m_1", All: true, Basis: "b", Reason: "r", UpTo: 7}, "it was made for others"},
		{"another merchant", nil, func() org.OrderErasure { o := order(somebody); o.Merchant = "m_2"; return o }(), "it was made for others"},
		{"another erasure came first", func(t *testing.T, c *chain) {
			if _, err := c.give("person:lena", incident.Owner, order(another)); err != nil {
				t.Fatal(err)
			}
		}, order(somebody), "something was erased since"},
		{"an hour", func(_ *testing.T, c *chain) { c.now = c.now.Add(org.PlanLasts) }, order(somebody), ""},
		{"more than an hour", func(_ *testing.T, c *chain) { c.now = c.now.Add(org.PlanLasts + time.Second) }, order(somebody), "is good for an hour"},
		{"a day was removed", func(_ *testing.T, c *chain) {
			c.state.Epochs = map[string]*org.Epoch{"2026-11-19": {Day: "2026-11-19", Pruned: &org.Pruned{}}}
		}, order(somebody), "days of the access log were removed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			chain := founded(t)
			id := org.PlanErasure(chain.state, order(somebody), chain.now).String()
			plan, err := org.ParseErasurePlan(id)
			if err != nil {
				t.Fatal(err)
			}
			if c.then != nil {
				c.then(t, chain)
			}
			c.order.Plan = &plan
			before := len(chain.facts)
			_, err = chain.give("person:lena", incident.Owner, c.order)
			if c.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var no *incident.Refusal
			if !errors.As(err, &no) || no.Reason != org.StalePlan || len(no.Missing) != 1 || !strings.Contains(no.Missing[0].What, c.reason) || len(chain.facts) != before {
				t.Errorf("%v, want %q", err, c.reason)
			}
		})
	}
	for _, id := range []string{"", "plan", "plan-1-2-3-4-x y", "plan-01-2-3-4-00", "plan-1-2-3-4-00 ", " plan-1-2-3-4-00", "plan-1-2-3-4-00\n"} {
		if _, err := org.ParseErasurePlan(id); reasonOf(err) != org.InvalidField {
			t.Errorf("%q is taken for a plan: %v", id, err)
		}
	}
}
