package sigma

import (
	"slices"
	"sort"
	"strings"
	"time"
)

// link is a correlation at work.
type link struct {
	c      *Correlation
	report bool
	feeds  []feed
	steps  []step
	groups map[string]*window
}

// step says where a correlation finds its fields in the events of one of its rules.
type step struct {
	group, values []string // field names as the events have them
}

// hit is a rule that an event matched, or a correlation that it completed.
type hit struct {
	at       time.Time
	id       string
	position int64
	ev       *Event
	rule     *Rule
	given    map[string]string // group of a correlation
}

// entry is a hit in a window. Its fields are exported for the snapshot alone.
type entry struct {
	At    int64 // Unix nanoseconds
	Seq   int64 // number of the event
	Step  uint8
	Value uint64  // what value_count counts, hashed
	Num   float64 // what the other values are made of
	Event string
}

// window is what a correlation remembers of one group: entries in the order of their times.
type window struct {
	Key     []string
	Entries []entry
	Fired   int64 // end of the window that was reported last
	On      bool  // it held at the newest event
	Ever    bool  // it was reported before
	Touched int64 // number of the event that came last

	from int // first entry of the window that ends at the newest
	sum  tally
}

// Bounds of what is remembered of a group.
const (
	maxWindow  = 65_536
	maxEventID = 128 // bytes
	maxNamed   = 50  // events that a detection names
	maxKey     = 1024
)

func newLink(c *Correlation) *link {
	return &link{c: c, report: true, steps: make([]step, len(c.Rules)), groups: map[string]*window{}}
}

// resolve finds the names that the fields of a correlation have in the events of one rule: by its
// aliases, then by what the pipelines renamed for that rule.
func (l *link) resolve(e *Engine, at int, m *Meta, index map[*Meta]int) {
	name := func(f string) string {
		if alias, ok := l.c.Aliases[f]; ok {
			if to, ok := alias[l.c.Rules[at]]; ok {
				f = to
			}
		}
		if i, ok := index[m]; ok {
			for _, rename := range e.rules[i].rule.renames {
				f = rename(f)
			}
		}
		e.field(f)
		return f
	}
	s := &l.steps[at]
	for _, f := range l.c.GroupBy {
		s.group = append(s.group, name(f))
	}
	for _, f := range l.c.Values {
		s.values = append(s.values, name(f))
	}
}

// value gives the value of a field: of the group that a correlation found, else of the event.
// Several values of a list are one value, joined.
func (h *hit) value(field string) (string, bool) {
	if v, ok := h.given[field]; ok {
		return v, true
	}
	id, ok := h.ev.engine.fieldIDs[field]
	if !ok {
		return "", false
	}
	head := h.ev.field(id)
	if head < 0 {
		return "", false
	}
	var b strings.Builder
	found := false
	for i := h.ev.heads[head].first; i >= 0; i = h.ev.leaves[i].next {
		if l := &h.ev.leaves[i]; l.kind != nullLeaf && l.kind != emptyLeaf {
			if found {
				b.WriteByte(',')
			}
			text := h.ev.text(l)
			b.Write(text[:min(len(text), maxKey)])
			found = true
		}
	}
	return b.String(), found
}

// link takes a hit into a correlation, reports what it completes and passes it on.
func (e *Engine) link(f feed, h hit) {
	l := e.links[f.correlation]
	c := l.c
	if h.at.IsZero() {
		e.stats.Untimed++
		return
	}
	s := &l.steps[f.step]
	key := make([]string, len(c.GroupBy))
	some := len(key) == 0
	for i := range key {
		// The group is looked up by its own name too: a chained correlation may have the same alias.
		v, ok := h.given[c.GroupBy[i]]
		if !ok {
			v, ok = h.value(s.group[i])
		}
		key[i] = v
		some = some || ok
	}
	if !some {
		e.stats.Ungrouped++
		return
	}
	in := entry{At: h.at.UnixNano(), Seq: e.events, Step: uint8(f.step), Event: h.id[:min(len(h.id), maxEventID)]}
	if len(c.Values) > 0 {
		ok := true
		hash := uint64(14695981039346656037)
		var text string
		for i := range c.Values {
			var has bool
			if text, has = h.value(s.values[i]); !has {
				ok = false
				break
			}
			for _, b := range []byte(text) {
				hash = (hash ^ uint64(b)) * 1099511628211
			}
			hash = (hash ^ 0xff) * 1099511628211
		}
		if !ok {
			return
		}
		in.Value = hash
		if c.Type != "value_count" && !(c.Type == "value_percentile" && c.percentile < 0) {
			n, ok := parseNumber([]byte(text))
			if !ok {
				return
			}
			in.Num = n
		}
	}
	id := strings.Join(key, "\x00")
	w := l.groups[id]
	if w == nil {
		w = &window{Key: key}
		l.groups[id] = w
		e.groups++
	}
	w.Touched = e.events
	before := len(w.Entries)
	end, value, fire := w.add(c, in, int64(e.o.Lateness), &e.stats)
	e.entries += len(w.Entries) - before
	e.shed(w)
	if !fire {
		return
	}
	d := w.detection(c, end, value)
	d.Position = h.position
	if l.report {
		e.out = append(e.out, d)
	}
	for _, next := range l.feeds {
		given := d.Group
		if given == nil {
			given = map[string]string{}
		}
		e.link(next, hit{at: d.Time, id: h.id, position: h.position, ev: h.ev, rule: h.rule, given: given})
	}
}

// add takes an entry into its place and looks at every window that it is in. end is that of the
// window to report.
func (w *window) add(c *Correlation, in entry, lateness int64, stats *Stats) (end int64, value float64, fire bool) {
	span := int64(c.Timespan)
	n := len(w.Entries)
	if n > 0 && in.At < w.Entries[n-1].At {
		if in.At < w.Entries[n-1].At-span-lateness {
			stats.Late++
			return 0, 0, false
		}
		if over := n - maxWindow; over > 0 { // they count no more, and no window that late makes may find them
			clear(w.Entries[:over])
			w.Entries = w.Entries[over:]
			w.from, n = w.from-over, maxWindow
		}
		at := sort.Search(n, func(i int) bool { return w.Entries[i].At > in.At })
		w.Entries = slices.Insert(w.Entries, at, in)
		n++
		end, value, fire = w.late(c, at)
	} else {
		w.Entries = append(w.Entries, in)
		n++
		w.sum.add(c, in)
		for w.Entries[w.from].At < in.At-span {
			w.sum.remove(c, w.Entries[w.from])
			w.from++
		}
		v, ok := w.sum.value(c, w.Entries[w.from:], in)
		if ok && (!w.On || in.At-w.Fired >= span) {
			end, value, fire = in.At, v, true
		}
		w.On = ok
	}
	if fire {
		if !w.Ever || end > w.Fired {
			w.Fired = end
		}
		w.Ever = true
	}
	// Forget what no window can reach any more.
	newest := w.Entries[n-1].At
	drop := 0
	for drop < w.from && w.Entries[drop].At < newest-span-lateness {
		drop++
	}
	if over := n - maxWindow; over > drop {
		for w.from < over {
			w.sum.remove(c, w.Entries[w.from])
			w.from++
		}
		drop = over
	}
	if drop > 64 || drop > 0 && drop >= n/2 {
		w.Entries = append(w.Entries[:0], w.Entries[drop:]...)
		clear(w.Entries[len(w.Entries):n])
		w.from -= drop
	}
	return end, value, fire
}

// late looks at every window that has changed by an entry that came late, at a place: those that end at an entry
// within the timespan after it. It goes back from the newest window one entry at a time, and then forth again:
// servers send in batches, so that most events are a little late, and counting a window anew for each of them
// would cost the square of what a busy window holds. The first window that holds is the one to report.
func (w *window) late(c *Correlation, at int) (end int64, value float64, fire bool) {
	span, n := int64(c.Timespan), len(w.Entries)
	in := w.Entries[at]
	if in.At < w.Entries[n-1].At-span {
		w.from++ // it is before the newest window
	} else {
		w.sum.add(c, in)
		_, w.On = w.sum.value(c, w.Entries[w.from:], w.Entries[n-1])
	}
	last := sort.Search(n, func(i int) bool { return w.Entries[i].At > in.At+span }) - 1 // entry that the last such window ends with
	if w.Ever && abs(in.At-w.Fired) < span && abs(w.Entries[last].At-w.Fired) < span {
		return 0, 0, false // all of them end too soon before or after what was reported
	}
	t, from := w.sum, w.from // the counts go back, and the sum and the sets go back and forth
	for i := n - 1; ; i-- {
		if i <= last && (!w.Ever || abs(w.Entries[i].At-w.Fired) >= span) {
			if v, ok := t.value(c, w.Entries[from:i+1], w.Entries[i]); ok {
				end, value, fire = w.Entries[i].At, v, true
			}
		}
		if i == at {
			break
		}
		t.remove(c, w.Entries[i])
		for from > 0 && w.Entries[from-1].At >= w.Entries[i-1].At-span {
			from--
			t.add(c, w.Entries[from])
		}
	}
	for i := at + 1; i < n; i++ {
		for t.add(c, w.Entries[i]); w.Entries[from].At < w.Entries[i].At-span; from++ {
			t.remove(c, w.Entries[from])
		}
	}
	w.sum.values, w.sum.sorted = t.values, t.sorted
	return end, value, fire
}

// rebuild computes the window that ends at the newest entry from nothing.
func (w *window) rebuild(c *Correlation) {
	w.sum, w.from = tally{}, 0
	n := len(w.Entries)
	if n == 0 {
		return
	}
	w.from = sort.Search(n, func(i int) bool { return w.Entries[i].At >= w.Entries[n-1].At-int64(c.Timespan) })
	w.from = max(w.from, n-maxWindow)
	for _, x := range w.Entries[w.from:] {
		w.sum.add(c, x)
	}
	_, w.On = w.sum.value(c, w.Entries[w.from:], w.Entries[n-1])
}

func abs(x int64) int64 {
	if x < 0 {
		return -x
	}
	return x
}

func (w *window) detection(c *Correlation, end int64, value float64) Detection {
	d := Detection{Correlation: c, Time: time.Unix(0, end).UTC(), Count: value}
	if len(c.GroupBy) > 0 {
		d.Group = map[string]string{}
		for i, f := range c.GroupBy {
			d.Group[f] = w.Key[i]
		}
	}
	d.From = d.Time
	for i := len(w.Entries) - 1; i >= 0; i-- {
		x := &w.Entries[i]
		if x.At > end {
			continue
		}
		if x.At < end-int64(c.Timespan) {
			break
		}
		d.From = time.Unix(0, x.At).UTC()
		if d.Event == "" {
			d.Event = x.Event
		}
		if x.Event != "" && len(d.Events) < maxNamed && !slices.Contains(d.Events, x.Event) {
			d.Events = append(d.Events, x.Event)
		}
	}
	slices.Reverse(d.Events)
	return d
}

// shed forgets the quietest groups when there are too many, or they hold too much; never the one
// that was just used.
func (e *Engine) shed(keep *window) {
	if e.groups <= e.o.MaxGroups && e.entries <= e.o.MaxEntries {
		return
	}
	type quiet struct {
		link *link
		id   string
		w    *window
	}
	var all []quiet
	for _, l := range e.links {
		for id, w := range l.groups {
			if w != keep {
				all = append(all, quiet{l, id, w})
			}
		}
	}
	slices.SortFunc(all, func(a, b quiet) int {
		if a.w.Touched != b.w.Touched {
			return int(min(max(a.w.Touched-b.w.Touched, -1), 1))
		}
		return strings.Compare(a.link.c.Title+"\x00"+a.id, b.link.c.Title+"\x00"+b.id)
	})
	for _, q := range all {
		if e.groups <= e.o.MaxGroups*9/10 && e.entries <= e.o.MaxEntries*9/10 {
			break
		}
		delete(q.link.groups, q.id)
		e.groups--
		e.entries -= len(q.w.Entries)
		e.stats.Forgotten++
	}
}
