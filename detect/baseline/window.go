package baseline

import (
	"math"
	"slices"
)

// entity is what is kept of one actor, credential, merchant, endpoint or address, some 64 bytes
// while it is quiet. The fields of all that is kept are exported for the snapshot alone.
type entity struct {
	Key    uint64
	First  uint32 // Unix minutes
	Minute uint32 // of its newest event
	Hour   uint32 // Unix hours that Peak belongs to
	Group  uint16 // of app and kind
	Usual  [metrics]uint8
	Most   [metrics]uint8 // ever
	Peak   [metrics]uint8 // of this hour, while nothing was unusual
	Slots  []slot         // by hour of the week, those alone that reached a level worth keeping
}

// slot is the level of each metric at one hour of the week.
type slot struct {
	Hour  uint8
	Level [metrics]uint8
}

// level writes a count in eighths of an octave: a byte from 0 to 2^31 in steps of 9 %.
func level(v int64) uint8 { return uint8(min(math.Round(8*math.Log2(1+float64(max(v, 0)))), 255)) }

// amount is the count at a level.
func amount(l uint8) float64 { return math.Exp2(float64(l)/8) - 1 }

// step is how far a week moves a level: two eighths of an octave, a fifth.
const step = 2

// counts are what an entity did in some time.
type counts struct {
	Events, Errors, Records, Bytes int64
	Wholly                         int64 // events of strangers with a program that is new too
	Customers, Merchants           Sketch
}

func (c *counts) add(f fact) {
	c.Events++
	c.Records += f.records
	c.Bytes += f.bytes
	if f.failed {
		c.Errors++
	}
	if f.merchant != 0 {
		c.Merchants.add(f.merchant)
	}
	for _, h := range f.customers {
		c.Customers.add(h)
	}
}

func (c *counts) unite(o *counts) {
	c.Events += o.Events
	c.Errors += o.Errors
	c.Records += o.Records
	c.Bytes += o.Bytes
	c.Wholly += o.Wholly
	c.Customers.unite(&o.Customers)
	c.Merchants.unite(&o.Merchants)
}

func (c *counts) reset() {
	c.Customers.reset()
	c.Merchants.reset()
	*c = counts{Customers: c.Customers, Merchants: c.Merchants}
}

func (c *counts) values() (v [metrics]int64) {
	v[Customers], v[Merchants] = c.Customers.count(), c.Merchants.count()
	v[Records], v[Bytes], v[Events], v[Errors] = c.Records, c.Bytes, c.Events, c.Errors
	return v
}

// minute is what an entity did in one minute, and what strangers did of it.
type minute struct {
	At      uint32 // Unix minutes
	All     counts
	Strange *counts // nil without strangers
}

// live is the window of an entity that did something in the last ten minutes.
type live struct {
	E       *entity
	Kind    Kind
	Touched uint32   // the detector's newest minute when it was last looked at
	Minutes []minute // at most windowMinutes
	// The sum of the minutes: it is made once a minute and added to in between.
	All      counts
	Strange  *counts
	IDs      map[uint64]uint32 // to minute
	Recent   []string          // ids, at most maxNamed
	New      []string          // addresses and programs that were not known, newest last
	Stranger int               // how strange the event at hand is: 0, 1 or 2
	Sole     uint64            // hash of the credential that all events of the window came with, 0 for none yet
	Mixed    bool              // they came with several, or without
	Bounds   bounds
}

// with notes the credential of an event at an address.
func (l *live) with(credential string) {
	h := hash(credential)
	l.Mixed = l.Mixed || credential == "" || l.Sole != 0 && l.Sole != h
	l.Sole = h
}

func (l *live) at(at uint32) *minute {
	for i := range l.Minutes {
		if l.Minutes[i].At == at {
			return &l.Minutes[i]
		}
	}
	l.Minutes = append(l.Minutes, minute{At: at})
	return &l.Minutes[len(l.Minutes)-1]
}

// turn moves the window on to the newest minute of the entity.
func (l *live) turn() {
	l.Minutes = slices.DeleteFunc(l.Minutes, func(m minute) bool { return m.At+windowMinutes <= l.E.Minute })
	if len(l.Minutes) == 0 { // what is named belongs to what is counted
		l.Recent, l.New, l.Sole, l.Mixed = nil, nil, 0, false
	}
	l.All.reset()
	l.Strange = nil
	for i := range l.Minutes {
		m := &l.Minutes[i]
		l.All.unite(&m.All)
		if m.Strange != nil {
			if l.Strange == nil {
				l.Strange = &counts{}
			}
			l.Strange.unite(m.Strange)
		}
	}
	for id, at := range l.IDs {
		if at+windowMinutes <= l.E.Minute {
			delete(l.IDs, id)
		}
	}
}

// once notes an id and reports whether it is new in the window.
func (l *live) once(id uint64, minute uint32) bool {
	if _, ok := l.IDs[id]; ok {
		return false
	}
	if l.IDs == nil {
		l.IDs = map[uint64]uint32{}
	}
	l.IDs[id] = minute
	return true
}

func (l *live) name(id string) {
	if id == "" {
		return
	}
	if len(l.Recent) == maxNamed {
		l.Recent = append(l.Recent[:0], l.Recent[1:]...)
	}
	l.Recent = append(l.Recent, id)
}

// count adds an event to its minute and to the sum.
func (l *live) count(f fact) {
	m := l.at(f.minute)
	m.All.add(f)
	l.All.add(f)
	if l.Stranger == 0 {
		return
	}
	if m.Strange == nil {
		m.Strange = &counts{}
	}
	if l.Strange == nil {
		l.Strange = &counts{}
	}
	m.Strange.add(f)
	l.Strange.add(f)
	if l.Stranger == 2 {
		m.Strange.Wholly++
		l.Strange.Wholly++
	}
}

// close learns from an hour that has ended and begins the one of the newest event.
func (d *Detector) close(e *entity, hour uint32) {
	if e.Peak != ([metrics]uint8{}) {
		at := uint8(e.Hour % week)
		i, ok := slices.BinarySearchFunc(e.Slots, at, func(s slot, h uint8) int { return int(s.Hour) - int(h) })
		switch {
		case ok:
			for m, p := range e.Peak {
				e.Slots[i].Level[m] = toward(e.Slots[i].Level[m], p, step)
			}
		case d.worth(e.Peak):
			e.Slots = slices.Insert(e.Slots, i, slot{at, e.Peak})
		}
		for m, p := range e.Peak {
			if e.Usual[m] == 0 {
				e.Usual[m] = p
			}
			e.Usual[m] = toward(e.Usual[m], p, 1)
			e.Most[m] = max(e.Most[m], p)
		}
	}
	e.Hour, e.Peak = hour, [metrics]uint8{}
}

// toward moves a level to a peak, by so much at most.
func toward(l, peak uint8, most int) uint8 {
	return uint8(int(l) + max(-most, min(most, int(peak)-int(l))))
}

// worth reports whether an hour is worth a slot: a level so low that the floors hold anyway is not.
func (d *Detector) worth(peak [metrics]uint8) bool {
	for m, l := range d.o.Limits {
		if amount(peak[m]) > l.Floor/l.Factor/2 {
			return true
		}
	}
	return false
}
