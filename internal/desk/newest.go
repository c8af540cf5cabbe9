package desk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// LogLine is a line of the timeline read backwards. Lines that say the same thing one after the
// other are one.
type LogLine struct {
	TimelineLine
	Count int    // lines folded into this one, at least 1
	From  string // names this line to Newest: a page can begin at it
}

// The sources Newest tells apart beside those of TimelineLine: deliveries are the facts about
// single letters, three a recipient, which drown everything else while a notice is sent.
const (
	SourceFact     = "fact"
	SourceDelivery = "delivery"
	SourceEvent    = "event"
	SourceLog      = "log"
)

var deliveryKinds = []incident.Kind{
	incident.KindNoticeAttempted, incident.KindNoticeAccepted, incident.KindNoticeDeferred,
	incident.KindNoticeBounced, incident.KindNoticeUncertain,
}

// LineSource is the source of a line as Newest tells them apart.
func LineSource(l TimelineLine) string {
	if l.Source != SourceFact {
		return l.Source
	}
	return sourceOf(l.Kind)
}

func sourceOf(kind string) string {
	if slices.Contains(deliveryKinds, incident.Kind(kind)) {
		return SourceDelivery
	}
	return SourceFact
}

// mostScanned bounds how many records one page looks at for the lines it wants.
const mostScanned = 20_000

// Newest returns lines of the incident with the newest on top: facts in the order they were
// recorded in, accesses and logs at the time they happened. from is the From of a line to begin at,
// "" for the newest; next is the From of the first line after these, "" at the end. No source means
// every source. It reads what it returns and no more of the record, so the first page of a long
// incident costs what that of a short one does.
func (d *Desk) Newest(ctx context.Context, inc, from string, limit int, sources []string) (lines []LogLine, next string, err error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return nil, "", notFound(err)
	}
	limit = min(max(limit, 1), 1000)
	at, err := parsePlace(from, s)
	if err != nil {
		return nil, "", err
	}
	wants := func(source string) bool { return len(sources) == 0 || slices.Contains(sources, source) }
	t := tail{limit: limit, unread: true}
	if wants(SourceFact) || wants(SourceDelivery) {
		if err := d.factTail(ctx, s.ID, at.n, &t, wants); err != nil {
			return nil, "", err
		}
	}
	if d.o.Events != nil && (wants(SourceEvent) || wants(SourceLog)) {
		if err := d.eventTail(ctx, s, at, &t, wants); err != nil {
			return nil, "", err
		}
	}
	lines, next = t.merge(at)
	return lines, next, nil
}

// place is a position in the timeline read backwards: the fact at n and those before it, and the
// accesses up to an instant.
type place struct {
	n  int
	at time.Time // zero: no bound
	id string    // of the last access at that instant that belongs to it; "" is all of them
}

func (p place) String() string {
	return fmt.Sprintf("%d.%d.%s", p.n, p.at.UnixNano(), p.id)
}

func parsePlace(text string, s *incident.State) (place, error) {
	if text == "" {
		return place{n: s.Version}, nil
	}
	bad := fmt.Errorf("%w: from: this is no line of the timeline: begin again without it", ErrInvalid)
	parts := strings.SplitN(text, ".", 3)
	if len(parts) != 3 || len(text) > 500 {
		return place{}, bad
	}
	n, err := strconv.Atoi(parts[0])
	if err != nil || n < 0 {
		return place{}, bad
	}
	nano, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return place{}, bad
	}
	return place{n: min(n, s.Version), at: time.Unix(0, nano).UTC(), id: parts[2]}, nil
}

// tail is what a page is made of before it is merged.
type tail struct {
	limit  int
	facts  []factLine // newest first
	events []TimelineLine
	since  time.Time // accesses before it have not been read; zero: none has
	older  bool      // there may be accesses before since
	left   int       // the newest fact that has not been looked at; 0: there is none
	unread bool      // no fact is wanted: pages go on at the fact they began with
}

// factLine is a fact's line with its position in the chain; the newest of those folded into it.
type factLine struct {
	TimelineLine
	n, count int
}

// factTail reads facts backwards until there are more lines than the page has, or none are left.
func (d *Desk) factTail(ctx context.Context, inc string, n int, t *tail, wants func(string) bool) error {
	const step = 200
	return d.o.Store.View(ctx, func(r ledger.Reader) error {
		t.facts, t.left, t.unread = nil, n, false
		for scanned := 0; t.left > 0 && len(t.facts) <= t.limit && scanned < mostScanned; {
			after := max(0, t.left-step)
			records, err := r.Records(inc, after, t.left-after)
			if err != nil {
				return err
			}
			for _, rec := range slices.Backward(records) {
				scanned++
				t.left = rec.N - 1
				if !wants(sourceOf(rec.Kind)) {
					continue
				}
				f, err := ledger.OpenForLine(rec, d.o.Keys)
				if err != nil {
					return err
				}
				t.add(incident.Render(f), rec.N)
				if len(t.facts) > t.limit {
					return nil
				}
			}
			t.left = after
		}
		return nil
	})
}

// add appends a line, or folds it into the one above that says the same.
func (t *tail) add(l incident.Line, n int) {
	if k := len(t.facts) - 1; k >= 0 {
		if last := &t.facts[k]; last.Text == l.Text && last.Kind == string(l.Kind) && last.Principal == string(l.Principal) {
			last.count++
			return
		}
	}
	t.facts = append(t.facts, factLine{n: n, count: 1, TimelineLine: TimelineLine{
		ID: l.ID, At: l.At, Recorded: l.Recorded, Source: "fact", Kind: string(l.Kind),
		Principal: string(l.Principal), Text: l.Text, Fact: l.ID,
	}})
}

// eventTail reads the accesses of the time that the facts of the page span.
func (d *Desk) eventTail(ctx context.Context, s *incident.State, at place, t *tail, wants func(string) bool) error {
	from, to := scopeWindow(s)
	start := from
	// Lines are bundles of a minute: whole minutes are read, so that a bundle is the same on every page.
	if !at.at.IsZero() && at.at.Before(to) {
		to = at.at.Truncate(time.Minute).Add(time.Minute)
	}
	if n := len(t.facts); n > 0 && t.left > 0 {
		if oldest := t.facts[n-1].Recorded.Truncate(time.Minute); oldest.After(from) {
			from = oldest
		}
	}
	for from.Before(to) {
		lines, cut, err := d.eventLinesBetween(ctx, s, from, to)
		if err != nil {
			return err
		}
		half := from.Add(to.Sub(from) / 2).Truncate(time.Minute)
		if cut && half.After(from) {
			from = half // the newest are wanted, and those were left out
			continue
		}
		t.since, t.older = from, from.After(start)
		t.events = slices.DeleteFunc(lines, func(l TimelineLine) bool {
			return !wants(l.Source) || at.before(l)
		})
		slices.SortFunc(t.events, func(a, b TimelineLine) int {
			return cmp.Or(b.At.Compare(a.At), strings.Compare(b.ID, a.ID))
		})
		return nil
	}
	return nil
}

// before reports whether the place is further back than an access, which then is on an earlier page.
func (p place) before(l TimelineLine) bool {
	if p.at.IsZero() || l.At.Before(p.at) {
		return false
	}
	return l.At.After(p.at) || p.id != "" && l.ID > p.id
}

// merge puts facts and accesses into one list. next is the place of the first line that found no
// room, or of what has not been read yet.
func (t *tail) merge(at place) (lines []LogLine, next string) {
	f, e := 0, 0
	for {
		here, isEvent, ok := t.place(at, f, e)
		switch {
		case !ok && (t.left > 0 || t.older):
			return lines, here.String()
		case !ok:
			return lines, ""
		case len(lines) == t.limit:
			return lines, here.String()
		case isEvent:
			lines = append(lines, LogLine{TimelineLine: t.events[e], Count: 1, From: here.String()})
			e++
		default:
			lines = append(lines, LogLine{TimelineLine: t.facts[f].TimelineLine, Count: t.facts[f].count, From: here.String()})
			f++
		}
	}
}

// place is where the line after f facts and e accesses stands, and which of the two it is; ok is
// false when neither is left, and the place is that of what has not been read.
func (t *tail) place(at place, f, e int) (here place, isEvent, ok bool) {
	here = at
	switch {
	case f < len(t.facts):
		here.n = t.facts[f].n
	case !t.unread:
		here.n = t.left
	}
	switch {
	case e < len(t.events):
		here.at, here.id = t.events[e].At, t.events[e].ID
	case !t.since.IsZero():
		here.at, here.id = t.since.Add(-1), ""
	case f < len(t.facts):
		here.at, here.id = t.facts[f].Recorded, ""
	}
	if f == len(t.facts) {
		return here, true, e < len(t.events)
	}
	return here, e < len(t.events) && t.events[e].At.After(t.facts[f].Recorded), true
}
