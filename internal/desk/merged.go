package desk

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// EntryQuery chooses entries of the merged timeline. Fields that are set must all match.
type EntryQuery struct {
	After    string   // Next of the page before, or From of an entry to begin at; "" begins at the beginning
	Limit    int      // from 1 to MaxEntries
	Sources  []string // fact, delivery, event, log
	Kinds    []string // of facts and of events
	Text     string   // entries that hold it, in whichever case
	From, To time.Time
}

// MaxEntries is how many entries one page has at most.
const MaxEntries = 5000

// Entry is one fact or one event: nothing is folded together.
type Entry struct {
	TimelineLine
	From string `json:"from"` // a page that begins here begins with this entry
}

// EntryPage is a page of the merged timeline in the order in which things happened.
type EntryPage struct {
	Entries []Entry   `json:"entries" nullable:"false"`
	Next    string    `json:"next,omitempty"` // After of the next page; "" at the end
	Until   time.Time `json:"until,omitzero"` // how far was looked, when the page ends before it is full
}

// key is the place of an entry in the order: its time, then facts before accesses before logs, then the
// order in which they came. No two entries have the same.
type key struct {
	at   int64 // nanoseconds
	rank int
	tie  int64
}

func (k key) compare(l key) int {
	return cmp.Or(cmp.Compare(k.at, l.at), cmp.Compare(k.rank, l.rank), cmp.Compare(k.tie, l.tie))
}

// The ranks of sources.
const (
	rankFact = iota
	rankEvent
	rankLog
)

// cursor is where a page begins, after a key, and how wide a window of the access log held about a page
// before.
type cursor struct {
	key
	window time.Duration
}

func (c cursor) String() string {
	return fmt.Sprintf("%d.%d.%d.%d", c.at, c.rank, c.tie, int64(c.window/time.Second))
}

// before is the cursor of the page that begins with an entry.
func (k key) before(window time.Duration) string {
	k.tie--
	return cursor{k, window}.String()
}

const (
	firstWindow = 10 * time.Second // a busy log has a page in it, and one of a year is reached in a few steps
	leastWindow = time.Second
	mostWindow  = 366 * 24 * time.Hour
	entryWait   = 4 * time.Second // protocol time that a page looks for entries before it says how far it came
	entryChunk  = 50_000          // events held at a time when most of them are left out
)

func parseCursor(text string) (cursor, error) {
	none := cursor{key{math.MinInt64, 0, math.MinInt64}, firstWindow}
	if text == "" {
		return none, nil
	}
	bad := fmt.Errorf("%w: after: this is no place in the timeline: begin again without it", ErrInvalid)
	parts := strings.Split(text, ".")
	if len(parts) != 4 || len(text) > 100 {
		return none, bad
	}
	var n [4]int64
	for i, p := range parts {
		var err error
		if n[i], err = strconv.ParseInt(p, 10, 64); err != nil {
			return none, bad
		}
	}
	if n[1] < rankFact || n[1] > rankLog+1 || n[3] < 1 || n[3] > int64(mostWindow/time.Second) {
		return none, bad
	}
	return cursor{key{n[0], int(n[1]), n[2]}, time.Duration(n[3]) * time.Second}, nil
}

// keyed is an entry with its place.
type keyed struct {
	key
	Entry
}

// stream is one source of entries: some of them, in order, and until where there are no others. cut says
// that there may be more from there on.
type stream struct {
	list  []keyed
	until key
	cut   bool
}

// Entries is the merged timeline of an incident, one entry for each fact and each event: what the
// credentials and clauses of the incident's scope and signals took in, and the logs of servers, databases
// and clouds in that time. A page costs what it shows and what it looks through, however long the
// timeline is, and holds no more than some ten thousand events.
func (d *Desk) Entries(ctx context.Context, inc string, q EntryQuery) (EntryPage, error) {
	page := EntryPage{Entries: []Entry{}}
	if q.Limit < 1 || q.Limit > MaxEntries {
		return page, fmt.Errorf("%w: limit: from 1 to %d", ErrInvalid, MaxEntries)
	}
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return page, notFound(err)
	}
	c, err := parseCursor(q.After)
	if err != nil {
		return page, err
	}
	q.Text = strings.ToLower(strings.TrimSpace(q.Text))
	wants := func(source string) bool { return len(q.Sources) == 0 || slices.Contains(q.Sources, source) }
	var windows []time.Duration // as wide as each source needs it
	var streams []stream
	if wants(SourceFact) || wants(SourceDelivery) {
		facts, err := d.factEntries(ctx, s, q, c.key, wants)
		if err != nil {
			return page, err
		}
		streams = append(streams, facts)
	}
	if d.o.Events != nil {
		deadline := time.Now().Add(entryWait) // protocol time
		for i, source := range []string{SourceEvent, SourceLog} {
			rank := rankEvent + i
			if !wants(source) {
				continue
			}
			r := d.eventReader(s, q, rank)
			if r == nil {
				continue
			}
			for _, s := range streams { // nothing beyond where another ends is shown on this page
				if s.cut && s.until.at < r.to.UnixNano() {
					r.to = time.Unix(0, s.until.at+1).UTC()
				}
			}
			one, err := r.read(ctx, d.o.Events, c, deadline)
			if err != nil {
				return page, err
			}
			windows = append(windows, r.window)
			streams = append(streams, one)
		}
	}
	window := c.window
	if len(windows) > 0 {
		window = slices.Min(windows)
	}
	list, last, more := mergeStreams(streams, q.Limit)
	for _, e := range list {
		e.From = e.key.before(window)
		page.Entries = append(page.Entries, e.Entry)
	}
	if more {
		page.Next = cursor{last, window}.String()
		if len(list) < q.Limit {
			page.Until = time.Unix(0, last.at).UTC()
		}
	}
	return page, nil
}

// mergeStreams puts what several sources hold into one order, at most limit entries, and none that lies
// beyond what one of them has been read to. last is the key to go on after.
func mergeStreams(streams []stream, limit int) (out []keyed, last key, more bool) {
	end, bounded := key{}, false
	for _, s := range streams {
		if s.cut && (!bounded || s.until.compare(end) < 0) {
			end, bounded = s.until, true
		}
	}
	at := make([]int, len(streams))
	for {
		best := -1
		for i, s := range streams {
			if at[i] < len(s.list) && (best < 0 || s.list[at[i]].compare(streams[best].list[at[best]].key) < 0) {
				best = i
			}
		}
		switch {
		case best < 0 || bounded && streams[best].list[at[best]].compare(end) > 0:
			if bounded {
				return out, end, true
			}
			return out, last, false
		case len(out) == limit:
			return out, last, true
		}
		e := streams[best].list[at[best]]
		at[best]++
		out, last = append(out, e), e.key
	}
}

// matches says whether an entry has the kind and the text that are asked for.
func (q *EntryQuery) matches(e *TimelineLine) bool {
	if len(q.Kinds) > 0 && !slices.Contains(q.Kinds, e.Kind) {
		return false
	}
	return q.Text == "" || strings.Contains(strings.ToLower(e.Text), q.Text) || strings.Contains(strings.ToLower(e.Principal), q.Text)
}

// latest is a heap of entries with the greatest on top: what is kept are the first ones after a key.
type latest []keyed

func (l latest) Len() int           { return len(l) }
func (l latest) Less(i, j int) bool { return l[i].compare(l[j].key) > 0 }
func (l latest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *latest) Push(x any)        { *l = append(*l, x.(keyed)) }
func (l *latest) Pop() any {
	old := *l
	x := old[len(old)-1]
	*l = old[:len(old)-1]
	return x
}

// factEntries are the first facts after a key. A fact may have been recorded long after what it tells
// of, so all of them are looked at; no more than a page of them is held.
func (d *Desk) factEntries(ctx context.Context, s *incident.State, q EntryQuery, after key, wants func(string) bool) (stream, error) {
	var held latest
	out := stream{}
	err := d.o.Store.View(ctx, func(r ledger.Reader) error {
		held, out = nil, stream{} // a transaction that is tried again begins anew
		for n := 0; ; {
			records, err := r.Records(s.ID, n, 500)
			if err != nil || len(records) == 0 {
				return err
			}
			for _, rec := range records {
				n = rec.N
				if !wants(sourceOf(rec.Kind)) || len(q.Kinds) > 0 && !slices.Contains(q.Kinds, rec.Kind) {
					continue
				}
				var when struct {
					Occurred time.Time `json:"occurred"`
				}
				if err := json.Unmarshal(rec.Header, &when); err != nil {
					return fmt.Errorf("desk: fact %s: %w", rec.ID, err)
				}
				k := key{when.Occurred.UnixNano(), rankFact, int64(rec.N)}
				if k.compare(after) <= 0 || !within(when.Occurred, q) || len(held) > q.Limit && k.compare(held[0].key) > 0 {
					if len(held) > q.Limit {
						out.cut = true
					}
					continue
				}
				f, err := ledger.OpenForLine(rec, d.o.Keys)
				if err != nil {
					return err
				}
				l := incident.Render(f)
				e := Entry{TimelineLine: TimelineLine{ID: l.ID, At: l.At, Recorded: l.Recorded, Source: sourceOf(rec.Kind), Kind: string(l.Kind), Principal: string(l.Principal), Text: l.Text, Fact: l.ID}}
				if !q.matches(&e.TimelineLine) {
					continue
				}
				if heap.Push(&held, keyed{k, e}); len(held) > q.Limit+1 {
					heap.Pop(&held)
					out.cut = true
				}
			}
		}
	})
	if err != nil {
		return out, err
	}
	slices.SortFunc(held, func(a, b keyed) int { return a.compare(b.key) })
	if out.list = held; out.cut && len(held) > 0 {
		out.until = held[len(held)-1].key
	}
	return out, nil
}

func within(t time.Time, q EntryQuery) bool {
	return (q.From.IsZero() || !t.Before(q.From)) && (q.To.IsZero() || t.Before(q.To))
}

// logKinds are the events that are shown as logs of servers, databases and clouds.
var logKinds = []string{accesslog.CloudAudit, accesslog.DBQuery, accesslog.ConfigChange, accesslog.HTTPAccess, accesslog.Auth}

// eventReader reads one rank of events in order.
type eventReader struct {
	q        EntryQuery
	rank     int
	source   string
	filter   accesslog.Filter
	takes    func(*accesslog.Event) bool
	from, to time.Time
	window   time.Duration
	scanned  int // windows that were read
}

// eventReader says which events of a rank belong to an incident; nil when none do.
func (d *Desk) eventReader(s *incident.State, q EntryQuery, rank int) *eventReader {
	r := &eventReader{q: q, rank: rank, takes: func(*accesslog.Event) bool { return true }}
	r.from, r.to = scopeWindow(s)
	if !q.From.IsZero() && q.From.After(r.from) {
		r.from = q.From
	}
	if !q.To.IsZero() && q.To.Before(r.to) {
		r.to = q.To
	}
	if rank == rankLog {
		r.source, r.filter.Kinds = SourceLog, logKinds
		if len(q.Kinds) > 0 {
			r.filter.Kinds = slices.DeleteFunc(slices.Clone(logKinds), func(k string) bool { return !slices.Contains(q.Kinds, k) })
		}
		if len(r.filter.Kinds) == 0 {
			return nil
		}
		return r
	}
	r.source, r.filter.Kinds = SourceEvent, []string{accesslog.PIIAccess}
	if n := len(s.Scopes); n > 0 { // what a person has decided counts, and not what was suspected before
		var asked scope.Query
		if json.Unmarshal(s.Scopes[n-1].Query, &asked) != nil {
			return nil
		}
		m, err := tally.NewMatcher(asked)
		if err != nil {
			return nil // a query that was recorded is one
		}
		r.takes = func(e *accesslog.Event) bool {
			t := e.Tally()
			return m.Candidate(&t) && !m.Excluded(&t)
		}
		r.filter.Kinds = []string{asked.Kind}
		for _, c := range asked.Any {
			if len(c.Credential) == 0 {
				r.filter.Credentials = nil
				break
			}
			r.filter.Credentials = append(r.filter.Credentials, c.Credential...)
		}
		return r
	}
	for _, sig := range s.Signals {
		if kind, name, ok := strings.Cut(sig.Subject, ":"); ok && kind == "credential" && !slices.Contains(r.filter.Credentials, name) {
			r.filter.Credentials = append(r.filter.Credentials, name)
		}
	}
	if len(r.filter.Credentials) == 0 {
		return nil
	}
	return r
}

// read collects the first entries after a cursor: window by window, each as wide as about a page needs.
func (r *eventReader) read(ctx context.Context, events *accesslog.Store, c cursor, deadline time.Time) (stream, error) {
	r.window = c.window
	out := stream{}
	chunk := r.q.Limit + 1
	if r.q.Text != "" || len(r.q.Kinds) > 0 || r.filter.Credentials == nil && r.rank == rankEvent {
		chunk = entryChunk
	}
	at, seq := r.from.UnixNano(), int64(0)
	if c.at >= at {
		at = c.at
		switch {
		case c.rank == r.rank && c.tie >= 0:
			seq = c.tie // at that instant those after it
		case c.rank > r.rank:
			at++
		}
	}
	end := r.to.UnixNano()
	for at < end {
		f := r.filter
		f.From, f.ByTime, f.Limit = time.Unix(0, at).UTC(), true, chunk
		width := r.window
		to := min(end, at+int64(width))
		if seq > 0 { // the rest of one instant
			f.AfterSeq, to = seq, at+1
		}
		f.To = time.Unix(0, to).UTC()
		n := 0
		var last key
		err := events.Select(ctx, f, func(e accesslog.Event) error {
			n++
			last = key{e.Time.UnixNano(), r.rank, e.Seq}
			if r.takes(&e) {
				if x := entryOf(&e, r.source); r.q.matches(&x.TimelineLine) {
					if out.list = append(out.list, keyed{last, x}); len(out.list) > r.q.Limit {
						return errEnough
					}
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return out, err
		}
		r.scanned++
		switch {
		case err != nil: // enough for a page: the next one looks no further than it has to
			out.cut, out.until = true, last
			if span := 2 * time.Duration(last.at-f.From.UnixNano()); f.AfterSeq == 0 && span < r.window {
				r.window = max(leastWindow, span)
			}
			return out, nil
		case n == chunk: // there are more in this window
			at, seq = last.at, last.tie
			if width > leastWindow && f.AfterSeq == 0 {
				r.window = max(leastWindow, time.Duration(last.at-f.From.UnixNano())*2)
			}
		default:
			at, seq = to, 0
			if n < chunk/4 && f.AfterSeq == 0 {
				r.window = min(mostWindow, r.window*8)
			}
		}
		if at < end && time.Now().After(deadline) { // protocol time: how long a person waits for a page
			out.cut, out.until = true, key{at - 1, rankLog + 1, math.MaxInt64}
			if seq > 0 {
				out.until = last
			}
			return out, nil
		}
	}
	return out, nil
}

// entryOf puts one event into words.
func entryOf(e *accesslog.Event, source string) Entry {
	who := e.Credential
	if who == "" || e.Kind == accesslog.CloudAudit {
		who = cmp.Or(e.ActorID, who)
	}
	if e.IP != "" {
		who = strings.TrimSpace(who + " from " + e.IP)
	}
	words := []string{strings.TrimSpace(e.Action + " " + e.Endpoint)}
	if e.Merchant != "" {
		words = append(words, "merchant "+e.Merchant)
	}
	if e.Records > 0 {
		words = append(words, count(int(e.Records), "record"))
	}
	words = append(words, e.Outcome)
	if e.Supplied != "" {
		words = append(words, "supplied later in the file "+e.Supplied)
	}
	text := strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), ", ")
	return Entry{TimelineLine: TimelineLine{Supplied: e.Supplied, ID: e.ID, At: e.Time, Recorded: e.Received, Source: source, Kind: e.Kind, Principal: who, Text: cmp.Or(text, e.Kind)}}
}
