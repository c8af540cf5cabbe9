package planted

import (
	"fmt"
	"time"
)

// attack makes the events of one attack. Rates are drawn: a thief may be in a hurry or not.
func (m *maker) attack(out []Event, a Attack) []Event {
	gap := time.Duration(200+m.r.IntN(1800)) * time.Millisecond // between two requests
	shop, first := 0, m.r.IntN(m.w.Merchants)
	for at, k := a.From, 0; at.Before(a.To); at, k = at.Add(gap), k+1 {
		var e Event
		switch a.Kind {
		case StolenToken, Mimic:
			shop = (first + k) % m.w.Merchants
			e = m.event(at, shop, 3+m.r.IntN(5))
			e.Endpoint, e.Agent = "GET /customers", "python-requests/2.31"
			if a.Kind == Mimic {
				e.Agent = a.program + "/1.1"
			}
		case Insider:
			shop = (first + k/3) % m.w.Merchants
			e = m.event(at, shop, 4+m.r.IntN(4))
			e.Endpoint, e.Agent = "GET /tickets", "Mozilla/5.0 helpdesk"
		case OutOfHours:
			shop = (first + k/5) % m.w.Merchants
			e = m.event(at, shop, 2+m.r.IntN(3))
			e.Endpoint, e.Agent = "GET /tickets", "Mozilla/5.0 helpdesk"
		case MerchantDump:
			shop = a.shop
			e = m.event(at, shop, 50)
			for i := range e.Customers { // page after page, nobody twice
				x := k*50 + i
				e.Customers[i] = []byte{byte(x), byte(x >> 8), byte(x >> 16), 1}
			}
			e.Records, e.Bytes = 250, 250*900
			e.Endpoint, e.Agent = "GET /my/customers", "curl/8.5"
		case Guessing:
			e = m.event(at, m.r.IntN(m.w.Merchants), 0)
			e.Endpoint, e.Agent, e.Failed = "GET /orders", "curl/8.5", true
		case Spray:
			shop = (first + k) % m.w.Merchants
			e = m.event(at, shop, 2+m.r.IntN(4))
			e.Credential, e.Actor = fmt.Sprintf("tok_m_%d", shop), fmt.Sprintf("merchant-%d", shop)
			e.Endpoint, e.Agent = "GET /my/orders", "Mozilla/5.0"
		}
		if a.Credential != "" {
			e.Credential, e.Actor = a.Credential, a.Actor
		}
		e.IP, e.Attack = a.IP, a.Name
		out = append(out, e)
	}
	return out
}
