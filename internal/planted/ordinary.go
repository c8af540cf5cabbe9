package planted

import (
	"fmt"
	"math"
	"time"
)

// busy is how busy an hour of the week is: 1 at the busiest.
func busy(h int) float64 {
	hour, day := h%24, h/24%7
	b := 0.12 + 0.88*math.Pow(math.Max(0, math.Sin(float64(hour-5)/24*math.Pi*1.4)), 2)
	if day >= 5 {
		b *= 0.6
	}
	return b
}

// shop draws a merchant: a few have most of the orders, and one with a sale has more.
func (m *maker) shop() int {
	for _, s := range m.sales {
		if m.r.Float64() < 0.0005*s.factor {
			return s.shop
		}
	}
	return int(float64(m.w.Merchants) * math.Pow(m.r.Float64(), 2))
}

func (m *maker) poisson(mean float64) int {
	if m.w.Light {
		mean /= 10
	}
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*m.r.NormFloat64())))
	}
	n, p := 0, math.Exp(-mean)
	for x := m.r.Float64(); x > p; x *= m.r.Float64() {
		n++
	}
	return n
}

// event makes one access with customers of a merchant, who has as many as it is large.
func (m *maker) event(at time.Time, shop, customers int) Event {
	m.next++
	e := Event{ID: fmt.Sprintf("%x", m.next), Time: at, Merchant: fmt.Sprintf("m_%d", shop), Records: int64(customers), Bytes: int64(customers) * 900}
	e.Customers = make([][]byte, customers)
	size := 200 + 20_000_000/(1000+shop*shop)
	for i := range e.Customers {
		x := m.r.IntN(size)
		e.Customers[i] = []byte{byte(x), byte(x >> 8), byte(x >> 16)}
	}
	return e
}

func (m *maker) within(hour time.Time) time.Time {
	return hour.Add(time.Duration(m.r.Int64N(int64(time.Hour))))
}

// hour makes everything that happens in one hour.
func (m *maker) hour(h int, hour time.Time) (out []Event) {
	week, day := h/(7*24), h/24
	if h%24 == 0 {
		m.sales = m.sales[:0]
		for range 3 { // every day some merchants have a sale
			m.sales = append(m.sales, sale{m.r.IntN(m.w.Merchants), 3 + 20*m.r.Float64()})
		}
	}
	all := 1.0
	if day%91 >= 60 && day%91 < 62 {
		all = 3 // the days on which everybody has one
	}
	deploy := h%24 == 14 && (day%7 == 1 || day%7 == 3)
	for i := range m.integrations {
		out = m.integrate(out, i, h, hour, all, deploy)
	}
	for i := range m.staff {
		if m.staff[i].started <= week {
			out = m.work(out, m.staff[i], h, hour)
		}
	}
	for range m.poisson(60 * busy(h) * all) { // merchants look at their own
		s := m.shop()
		e := m.event(m.within(hour), s, 1+m.r.IntN(5))
		e.Actor, e.Credential, e.Endpoint = fmt.Sprintf("merchant-%d", s), fmt.Sprintf("tok_m_%d", s), "GET /my/orders"
		e.IP, e.Agent = fmt.Sprintf("100.%d.%d.%d", 64+s%64, s/64%256, 1+m.r.IntN(2)), "Mozilla/5.0"
		e.Failed = m.r.IntN(50) == 0
		out = append(out, e)
	}
	for range m.poisson(3) { // lost links and typing errors
		e := m.event(m.within(hour), m.shop(), 0)
		e.Endpoint, e.IP, e.Agent, e.Failed = "GET /orders", fmt.Sprintf("100.%d.%d.%d", m.r.IntN(64), m.r.IntN(256), m.r.IntN(256)), "Mozilla/5.0", true
		out = append(out, e)
	}
	if h%24 == 10 && m.r.IntN(3) == 0 { // a new merchant's past is imported
		s, at := m.w.Merchants*9/10+m.r.IntN(m.w.Merchants/10), m.within(hour)
		w := m.integrations[1]
		for i := range 25 {
			e := m.event(at.Add(time.Duration(i)*8*time.Second), s, 4)
			m.by(&e, w, 1)
			e.Records, e.Bytes = 40, 36_000
			out = append(out, e)
		}
	}
	for _, a := range m.attacks {
		if !a.From.Before(hour) && a.From.Before(hour.Add(time.Hour)) {
			out = m.attack(out, a)
		}
	}
	return out
}

func (m *maker) by(e *Event, w integration, i int) {
	e.Actor, e.Credential, e.Endpoint = w.name, w.credential, w.endpoint
	e.IP, e.Agent = w.hosts[m.r.IntN(len(w.hosts))], fmt.Sprintf("%s/1.%d", w.agent, m.versions[i])
}

func (m *maker) integrate(out []Event, i, h int, hour time.Time, all float64, deploy bool) []Event {
	w := &m.integrations[i]
	mean := w.perHour * busy(h) * all * math.Pow(1+w.growth, float64(h)/(7*24))
	for range m.poisson(mean) {
		e := m.event(m.within(hour), m.shop(), 1+m.r.IntN(w.customers))
		m.by(&e, *w, i)
		e.Failed = m.r.IntN(200) == 0
		out = append(out, e)
	}
	if i == 0 && h%24 == 3 { // the nightly batch
		for k := range 400 {
			e := m.event(hour.Add(time.Duration(k)*4*time.Second), (k*13+h)%m.w.Merchants, 2)
			m.by(&e, *w, i)
			out = append(out, e)
		}
	}
	if i == 2 && h%(7*24) == 26 { // the weekly report
		for k := range 700 {
			e := m.event(hour.Add(time.Duration(k)*2*time.Second), (k*7)%m.w.Merchants, 1)
			m.by(&e, *w, i)
			out = append(out, e)
		}
	}
	if deploy && i == h/24%len(m.integrations) {
		m.versions[i]++
		for range 20 { // fails for some minutes
			e := m.event(hour.Add(time.Duration(m.r.IntN(240))*time.Second), m.shop(), 0)
			m.by(&e, *w, i)
			e.Failed = true
			out = append(out, e)
		}
		if m.r.IntN(3) == 0 { // and a machine is replaced
			w.hosts[m.r.IntN(len(w.hosts))] = fmt.Sprintf("198.51.%d.%d", 100+i, 20+m.r.IntN(200))
		}
	}
	return out
}

func (m *maker) work(out []Event, s staff, h int, hour time.Time) []Event {
	at, day := h%24, h/24%7
	mean := 0.0
	switch {
	case day < 5 && at >= s.from && at < s.to:
		mean = s.perHour
	case m.r.IntN(200) == 0: // on call
		mean = 5
	}
	ip, agent := s.ip, s.agent
	if m.r.IntN(400) == 0 {
		ip = fmt.Sprintf("100.%d.%d.9", 130+m.r.IntN(60), m.r.IntN(250)) // on the road
	}
	for range m.poisson(mean) {
		e := m.event(m.within(hour), m.shop(), 1+m.r.IntN(3))
		e.Actor, e.Credential, e.Endpoint, e.IP, e.Agent = s.name, s.credential, "GET /tickets", ip, agent
		out = append(out, e)
	}
	if mean > 0 && m.r.IntN(60) == 0 { // an export for a merchant who asked for it
		shop, start := m.shop(), m.within(hour)
		for k := range 10 {
			e := m.event(start.Add(time.Duration(k)*5*time.Second), shop, 8)
			e.Actor, e.Credential, e.Endpoint, e.IP, e.Agent = s.name, s.credential, "GET /export", ip, agent
			out = append(out, e)
		}
	}
	return out
}
