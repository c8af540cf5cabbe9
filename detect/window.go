package detect

import (
	"hash/fnv"
	"time"
	"unicode/utf8"
)

// distinct counts distinct members over the window. Each member is filed under the newest bucket
// it was seen in, so that a bucket that leaves the window takes its members with it.
type distinct struct {
	Last map[uint64]int64 // member to bucket
	Per  map[int64]int32  // bucket to number of members filed there
	Live int
}

func newDistinct() distinct { return distinct{Last: map[uint64]int64{}, Per: map[int64]int32{}} }

// add files a member and reports whether it is new in the window that begins at cut.
func (s *distinct) add(member uint64, at, cut int64) bool {
	old, ok := s.Last[member]
	if ok && old >= cut {
		if at > old {
			s.Per[old]--
			s.Per[at]++
			s.Last[member] = at
		}
		return false
	}
	if !ok && len(s.Last) >= maxSet {
		return true
	}
	s.Last[member] = at
	s.Per[at]++
	s.Live++
	return true
}

// expire forgets what is older than cut.
func (s *distinct) expire(cut int64) {
	for b, n := range s.Per {
		if b < cut {
			s.Live -= int(n)
			delete(s.Per, b)
		}
	}
	if len(s.Last) > 2*s.Live+64 { // members of buckets that have left are swept now and then
		for m, b := range s.Last {
			if b < cut {
				delete(s.Last, m)
			}
		}
	}
}

// sum adds up over the window.
type sum struct {
	Per   map[int64]int64
	Total int64
}

func newSum() sum { return sum{Per: map[int64]int64{}} }

func (s *sum) add(n, at int64) {
	if n <= 0 {
		return
	}
	n = min(n, maxAmount)
	s.Per[at] += n
	s.Total += n
}

func (s *sum) expire(cut int64) {
	for b, n := range s.Per {
		if b < cut {
			s.Total -= n
			delete(s.Per, b)
		}
	}
}

// past is what is known of one credential. Its fields are exported for the snapshot alone.
type past struct {
	Subject string
	First   int64 // Unix seconds of the first event
	Now     int64 // Unix seconds of the newest event

	Bucket             int64 // of Now
	Cut                int64 // oldest bucket of the window as it was last expired
	IDs                distinct
	Customers          distinct
	Merchants          distinct
	Records, Bytes     sum
	Requests, Refusals sum
	Recent             []string // ids in order of arrival, at most maxEvents

	Hour   int64          // Unix hours that Peak belongs to
	Peak   [metrics]int64 // the largest value of each metric in this hour, while nothing was unusual
	Hours  []hour         // earlier hours in which anything happened, oldest first
	Bounds bounds         // for Hour

	Addresses, Agents map[string]span
	Alarms            map[string]alarm // by class
}

// hour is the largest value of each metric in an hour.
type hour struct {
	At   int64 // Unix hours
	Peak [metrics]int64
}

// span is when an address or an agent was seen, in Unix seconds.
type span struct{ First, Last int64 }

// alarm is a class that was reported and has not calmed down.
type alarm struct {
	Since int64 // Unix seconds
	Last  int64 // Unix seconds at which it was last over its limit
}

func newPast(subject string, first time.Time) *past {
	return &past{
		Subject: subject, First: first.Unix(), Now: first.Unix(), Bucket: bucketOf(first), Hour: hourOf(first),
		IDs: newDistinct(), Customers: newDistinct(), Merchants: newDistinct(),
		Records: newSum(), Bytes: newSum(), Requests: newSum(), Refusals: newSum(),
		Addresses: map[string]span{}, Agents: map[string]span{}, Alarms: map[string]alarm{},
	}
}

func bucketOf(t time.Time) int64 { return t.Unix() / int64(bucket/time.Second) }
func hourOf(t time.Time) int64   { return t.Unix() / 3600 }

func member(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p))
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

type fate int

const (
	taken fate = iota
	duplicate
	late
)

// take files one event.
func (d *Detector) take(p *past, o Observation) fate {
	at := bucketOf(o.Time)
	if at > p.Bucket {
		p.Bucket = at
		d.turn(p, hourOf(o.Time))
	}
	p.Now = max(p.Now, o.Time.Unix())
	cut := p.Bucket - int64(d.o.Window/bucket)
	if at < cut {
		return late
	}
	if cut > p.Cut {
		p.expire(cut)
		p.Cut = cut
	}
	if o.ID != "" && !p.IDs.add(member(o.ID), at, cut) {
		return duplicate
	}
	if o.Merchant != "" {
		p.Merchants.add(member(o.Merchant), at, cut)
	}
	for _, c := range o.Customers {
		p.Customers.add(member(o.Merchant, string(c)), at, cut)
	}
	p.Records.add(max(o.Records, int64(len(o.Customers))), at)
	p.Bytes.add(o.Bytes, at)
	p.Requests.add(1, at)
	if o.Denied {
		p.Refusals.add(1, at)
	}
	if o.ID != "" {
		if len(p.Recent) == maxEvents {
			p.Recent = append(p.Recent[:0], p.Recent[1:]...)
		}
		p.Recent = append(p.Recent, o.ID)
	}
	remember(p.Addresses, o.IP, o.Time.Unix())
	remember(p.Agents, o.Agent, o.Time.Unix())
	return taken
}

func (p *past) expire(cut int64) {
	for _, s := range []*distinct{&p.IDs, &p.Customers, &p.Merchants} {
		s.expire(cut)
	}
	for _, s := range []*sum{&p.Records, &p.Bytes, &p.Requests, &p.Refusals} {
		s.expire(cut)
	}
}

// remember notes a source; when there are too many the one not seen for longest gives way.
func remember(seen map[string]span, name string, at int64) {
	if name == "" {
		return
	}
	name = cut(name, maxSource)
	s, ok := seen[name]
	if ok {
		seen[name] = span{min(s.First, at), max(s.Last, at)}
		return
	}
	if len(seen) >= maxSources {
		oldest, when := "", int64(0)
		for n, s := range seen {
			if oldest == "" || s.Last < when || s.Last == when && n < oldest {
				oldest, when = n, s.Last
			}
		}
		delete(seen, oldest)
	}
	seen[name] = span{at, at}
}

// cut shortens a name to at most limit bytes without parting a character: a sender chooses these
// names, and half a character would make the signal that names it unacceptable.
func cut(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	for limit > 0 && !utf8.RuneStart(name[limit]) {
		limit--
	}
	return name[:limit]
}

// values reads every metric of the window.
func (p *past) values() [metrics]int64 {
	return [metrics]int64{
		Merchants: int64(p.Merchants.Live), Customers: int64(p.Customers.Live),
		Records: p.Records.Total, Bytes: p.Bytes.Total, Requests: p.Requests.Total, Denied: p.Refusals.Total,
	}
}
