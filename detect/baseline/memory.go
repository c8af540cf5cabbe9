package baseline

import (
	"cmp"
	"slices"
)

// state is what a detector has learned.
type state struct {
	Index  map[uint64]*entity
	Live   map[uint64]*live
	Alarms map[uint64]map[string]alarm // by entity and class
	Known  map[uint64]*known           // by credential
	Groups []group                     // of app and kind
	Over   map[string]uint32           // by app: the minute in which somebody was last over a limit
	Minute uint32                      // of the newest sweep
	Stats  Stats
}

// group is one kind of entities of one app. An app that invents entities loses its own and no other's.
type group struct {
	App   string
	Kind  Kind
	Count int
}

// alarm is a class that was reported and has not calmed down, in Unix minutes, and the credential whose
// event began it, zero for none.
type alarm struct {
	Since, Last uint32
	For         uint64
}

// known are the addresses and programs of a credential.
type known struct{ Networks, Programs map[uint64]span }

// span is when one was seen, in Unix minutes.
type span struct{ First, Last uint32 }

func (s *state) mend() {
	if s.Index == nil {
		s.Index = map[uint64]*entity{}
	}
	if s.Live == nil {
		s.Live = map[uint64]*live{}
	}
	if s.Alarms == nil {
		s.Alarms = map[uint64]map[string]alarm{}
	}
	if s.Known == nil {
		s.Known = map[uint64]*known{}
	}
	if s.Over == nil {
		s.Over = map[string]uint32{}
	}
}

// enter finds an entity and its window, and moves both on to the minute.
func (d *Detector) enter(kind Kind, key uint64, minute uint32, app string) *live {
	e := d.s.Index[key]
	if e == nil {
		e = &entity{Key: key, First: minute, Minute: minute, Hour: minute / 60, Group: d.group(app, kind)}
		d.s.Index[key] = e
		d.s.Groups[e.Group].Count++
		d.forget(key)
	}
	l := d.s.Live[key]
	if l == nil {
		l = &live{E: e, Kind: kind}
		d.s.Live[key] = l
		d.shed(key)
	}
	l.Stranger, l.Touched = 0, max(d.s.Minute, minute)
	if minute > e.Minute || l.Bounds.Hour != e.Hour+1 {
		if hour := minute / 60; hour > e.Hour {
			d.close(e, hour)
		}
		if minute > e.Minute {
			e.Minute = minute
			l.turn()
		}
		if l.Bounds.Hour != e.Hour+1 {
			l.Bounds = d.bounds(kind, e)
		}
	}
	return l
}

func (d *Detector) group(app string, kind Kind) uint16 {
	for i, g := range d.s.Groups {
		if g.App == app && g.Kind == kind {
			return uint16(i)
		}
	}
	if len(d.s.Groups) >= 1<<15 { // apps are configured; nobody has so many
		return 0
	}
	d.s.Groups = append(d.s.Groups, group{App: app, Kind: kind})
	return uint16(len(d.s.Groups) - 1)
}

// forget drops the quietest eighth of the largest group when there are too many entities. The one
// that just came stays.
func (d *Detector) forget(newest uint64) {
	if len(d.s.Index) <= d.o.MaxEntities {
		return
	}
	largest := 0
	for i, g := range d.s.Groups {
		if g.Count > d.s.Groups[largest].Count {
			largest = i
		}
	}
	type quiet struct {
		key    uint64
		minute uint32
	}
	all := make([]quiet, 0, d.s.Groups[largest].Count)
	for k, e := range d.s.Index {
		if int(e.Group) == largest && k != newest {
			all = append(all, quiet{k, e.Minute})
		}
	}
	slices.SortFunc(all, func(a, b quiet) int { return cmp.Or(cmp.Compare(a.minute, b.minute), cmp.Compare(a.key, b.key)) })
	for _, q := range all[:(len(all)+7)/8] {
		delete(d.s.Index, q.key)
		delete(d.s.Live, q.key)
		delete(d.s.Alarms, q.key)
		delete(d.s.Known, q.key)
		d.s.Groups[largest].Count--
		d.s.Stats.Forgotten++
	}
}

// shed drops the windows that were quiet for longest when too many are open at once. What they held
// is not counted any more; the levels stay.
func (d *Detector) shed(newest uint64) {
	if len(d.s.Live) <= d.o.MaxWindows {
		return
	}
	type quiet struct {
		key    uint64
		minute uint32
		events int64
	}
	all := make([]quiet, 0, len(d.s.Live))
	for k, l := range d.s.Live {
		if k != newest {
			all = append(all, quiet{k, l.Touched, l.All.Events})
		}
	}
	slices.SortFunc(all, func(a, b quiet) int {
		return cmp.Or(cmp.Compare(a.events, b.events), cmp.Compare(a.minute, b.minute), cmp.Compare(a.key, b.key))
	})
	for _, q := range all[:(len(all)+7)/8] {
		delete(d.s.Live, q.key)
	}
}

// sweep gives back the windows of entities that nothing was heard of for twice a window.
func (d *Detector) sweep(minute uint32) {
	if minute <= d.s.Minute {
		return
	}
	d.s.Minute = minute
	for k, l := range d.s.Live {
		if l.Touched+2*windowMinutes <= minute {
			delete(d.s.Live, k)
		}
	}
	if minute%60 == 0 {
		for k, classes := range d.s.Alarms {
			for c, a := range classes {
				if a.Last+2*uint32(d.o.Calm.Minutes()) <= minute {
					delete(classes, c)
				}
			}
			if len(classes) == 0 {
				delete(d.s.Alarms, k)
			}
		}
	}
}

// sources notes the address and the program of a credential's event and says how strange they are: 2
// when the network and the program have been known for less than a day, 1 when the network alone has,
// else 0; 0 too while the credential itself is new.
func (d *Detector) sources(l *live, e Event, minute uint32) (weight int) {
	k := d.s.Known[l.E.Key]
	if k == nil {
		k = &known{map[uint64]span{}, map[uint64]span{}}
		d.s.Known[l.E.Key] = k
	}
	newNetwork := e.IP != "" && note(k.Networks, hash(network(e.IP)), minute)
	newProgram := e.Agent == "" || note(k.Programs, hash(program(e.Agent)), minute)
	if !d.own(l.E) {
		return 0
	}
	if newNetwork {
		l.New, weight = remember(l.New, e.IP), 1
		if newProgram {
			weight = 2
		}
	}
	if newProgram && e.Agent != "" {
		l.New = remember(l.New, e.Agent)
	}
	return weight
}

// note files a source and reports whether it is new: first seen less than a day ago.
func note(seen map[uint64]span, source uint64, minute uint32) bool {
	s, ok := seen[source]
	switch {
	case ok:
		seen[source] = span{min(s.First, minute), max(s.Last, minute)}
		return minute < s.First+24*60
	case len(seen) >= maxSources:
		oldest, when := uint64(0), uint32(0)
		for k, s := range seen {
			if when == 0 || s.Last < when || s.Last == when && k < oldest {
				oldest, when = k, s.Last
			}
		}
		delete(seen, oldest)
	}
	seen[source] = span{minute, minute}
	return true
}

func remember(names []string, name string) []string {
	name = cut(name)
	if slices.Contains(names, name) {
		return names
	}
	if len(names) == 10 {
		names = append(names[:0], names[1:]...)
	}
	return append(names, name)
}
