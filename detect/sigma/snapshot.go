package sigma

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/detect/saved"
)

// memory is what a snapshot keeps.
type memory struct {
	Events int64
	Stats  Stats
	Links  []savedLink
	Rules  []savedRule
}

type savedLink struct {
	ID      string
	Windows []savedWindow
}

type savedWindow struct {
	Window window
}

type savedRule struct {
	ID      string
	Credit  int64
	Asked   int64
	Spent   int64
	Stopped int64 // number of the event, 0: it runs
}

// version changes with any change of meaning.
const version = 2

// identity names a rule across restarts: what it is called, and what it says, so that a rule that
// was changed begins anew.
func identity(m *Meta, what string) string {
	sum := sha256.Sum256([]byte(what))
	return m.ID + "/" + m.Name + "/" + m.Title + "/" + hex.EncodeToString(sum[:8])
}

func (l *link) identity() string {
	c := l.c
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q %q %d %v %q %v %v", c.Type, c.Rules, c.GroupBy, c.Timespan, c.Aliases, c.Values, c.limits, c.percentile)
	if c.condition != nil {
		c.condition.write(&b)
	}
	fmt.Fprintf(&b, "%v", l.steps)
	return identity(&c.Meta, b.String())
}

func (r *loaded) identity() string {
	var b strings.Builder
	r.expr.write(&b)
	return identity(&r.rule.Meta, r.rule.Logsource.String()+b.String())
}

// write spells an expression out.
func (e *expr) write(b *strings.Builder) {
	fmt.Fprintf(b, "(%d %q", e.op, e.name)
	if e.test != nil {
		b.WriteString(e.test.id())
	}
	for _, k := range e.kids {
		k.write(b)
	}
	b.WriteByte(')')
}

// Snapshot saves what the engine remembers, with its place in the log. An engine of the same rules
// that is restored from it and goes on with the next event gives what this one would.
func (e *Engine) Snapshot() ([]byte, error) {
	s := memory{Events: e.events, Stats: e.stats}
	for _, l := range e.links {
		sl := savedLink{ID: l.identity()}
		for _, k := range sortedKeys(l.groups) {
			sl.Windows = append(sl.Windows, savedWindow{Window: *l.groups[k]})
		}
		s.Links = append(s.Links, sl)
	}
	stopped := map[*Meta]int64{}
	for _, st := range e.stops {
		stopped[st.Rule] = st.Event
	}
	for i := range e.rules {
		if r := &e.rules[i]; r.spent > 0 {
			s.Rules = append(s.Rules, savedRule{r.identity(), r.credit, r.asked, r.spent, stopped[&r.rule.Meta]})
		}
	}
	return saved.Write("sigma", version, e.position, s)
}

// Restore replaces what the engine remembers and gives the place in the log at which it goes on:
// the events after it are the ones to observe. Correlations that were changed since begin anew. On
// an error the engine is left as it was, and the log has to be read again from the longest
// timespan ago.
func (e *Engine) Restore(b []byte) (position int64, err error) {
	position, s, err := saved.Read[memory]("sigma", version, b, "the log of the longest timespan")
	if err != nil {
		return 0, err
	}
	e.position, e.events, e.stats, e.stops, e.groups, e.entries = position, s.Events, s.Stats, nil, 0, 0
	for _, l := range e.links {
		l.groups = map[string]*window{}
		id := l.identity()
		i := slices.IndexFunc(s.Links, func(sl savedLink) bool { return sl.ID == id })
		if i < 0 {
			continue
		}
		for _, sw := range s.Links[i].Windows {
			w := sw.Window
			if len(w.Key) != len(l.c.GroupBy) || slices.ContainsFunc(w.Entries, func(x entry) bool { return int(x.Step) >= len(l.steps) }) {
				continue
			}
			on := w.On
			w.rebuild(l.c)
			w.On = on
			l.groups[strings.Join(w.Key, "\x00")] = &w
			e.groups++
			e.entries += len(w.Entries)
		}
	}
	known := map[string]savedRule{}
	for _, r := range s.Rules {
		known[r.ID] = r
	}
	for i := range e.rules {
		r := &e.rules[i]
		r.credit, r.asked, r.spent, r.stopped = 0, 0, 0, false
		if k, ok := known[r.identity()]; ok {
			r.credit, r.asked, r.spent, r.stopped = k.Credit, k.Asked, k.Spent, k.Stopped > 0
			if r.stopped {
				e.stops = append(e.stops, Stopped{&r.rule.Meta, k.Stopped, k.Spent})
			}
		}
	}
	slices.SortStableFunc(e.stops, func(a, b Stopped) int { return int(a.Event - b.Event) })
	return e.position, nil
}
