package sigma

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// File is a rule file or a pipeline as it was read.
type File struct {
	Name string
	Data []byte
}

// Options tune an Engine. The zero value of a field is its default.
type Options struct {
	Pipelines []*Pipeline
	// Keep names further fields that Event.Get is to know.
	Keep []string
	// Logsource is that of all events, for logs that are not recognised by what stands in them.
	Logsource Logsource
	// Trust lets an event name its log source itself, as {"logsource": {"product": …}}. Whoever
	// writes such an event chooses which rules see it.
	Trust bool
	// Budget is what a rule may cost for each event on average, in steps of its evaluation; a step is
	// a test, or eight bytes of text that were searched. A rule beyond it is stopped. Default 2,000.
	Budget int
	// Lateness is how much later than its window an event may come and still be counted in its
	// place. Default 15 minutes.
	Lateness time.Duration
	// Ahead is how far the time of an event may be before that of its arrival. Default 10 minutes.
	Ahead time.Duration
	// MaxGroups and MaxEntries bound the memory of correlations; the quietest groups are forgotten
	// beyond them. Defaults 200,000 and 1,000,000, some 100 MB.
	MaxGroups, MaxEntries int
}

func (o Options) withDefaults() Options {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&o.Budget, 2000)
	def(&o.MaxGroups, 200_000)
	def(&o.MaxEntries, 1_000_000)
	if o.Lateness <= 0 {
		o.Lateness = 15 * time.Minute
	}
	if o.Ahead <= 0 {
		o.Ahead = 10 * time.Minute
	}
	return o
}

// burst is how many events' worth of budget a rule may save up.
const burst = 5000

// loaded is a rule in an engine.
type loaded struct {
	rule    *Rule
	expr    *expr
	report  bool
	feeds   []feed
	stopped bool
	credit  int64
	asked   int64 // number of the event at which credit was last counted
	spent   int64
}

// feed is a place in a correlation that a rule leads to.
type feed struct {
	correlation int
	step        int
}

// Engine asks all rules of each event.
type Engine struct {
	o        Options
	rules    []loaded
	links    []*link
	fields   []string
	fieldIDs map[string]int32
	root     *trie
	keywords bool
	slots    []slot
	gen      uint32
	known    [knownFields]int32

	timeFields, idFields []int32
	sources              []*source
	unknown, given       *source

	events   int64 // seen
	position int64
	stats    Stats
	entries  int
	groups   int
	out      []Detection
	stops    []Stopped
}

// Stats counts what an engine did with its events.
type Stats struct {
	Events     int64 `json:"events"`
	Repeated   int64 `json:"repeated"`   // at or before the position it had reached
	Unknown    int64 `json:"unknown"`    // not recognised: all rules were asked
	Detections int64 `json:"detections"` // that were reported
	Untimed    int64 `json:"untimed"`    // matched a correlation's rule and had no time
	Late       int64 `json:"late"`       // came too late for their correlation
	Ahead      int64 `json:"ahead"`      // said to be of the future; counted as of their arrival
	Ungrouped  int64 `json:"ungrouped"`  // had none of the fields that a correlation groups by
	Forgotten  int64 `json:"forgotten"`  // groups dropped beyond MaxGroups or MaxEntries
}

// Stopped is a rule that cost too much.
type Stopped struct {
	Rule  *Meta
	Event int64 // the number of the event at which it was stopped, from 1
	Spent int64 // steps
}

// Error says which rule was stopped and why.
func (s *Stopped) Error() string {
	return fmt.Sprintf("%s: the rule %s was stopped at event %d: it took %d steps, more than its budget", s.Rule.At, quote(s.Rule.Label()), s.Event, s.Spent)
}

// Detection is a rule or a correlation that an event made true.
type Detection struct {
	Rule        *Rule        // one of the two
	Correlation *Correlation //
	Time        time.Time    // of the event, or of the end of the correlation's window
	Event       string       // id of the event
	Position    int64

	// Of a correlation:
	From   time.Time         // of the first event of the window
	Group  map[string]string // values of group-by
	Count  float64           // what was compared: a count, a sum, …
	Events []string          // ids of the window's events, the newest 50
}

// Meta gives what the rule or the correlation says of itself.
func (d *Detection) Meta() *Meta {
	if d.Rule != nil {
		return &d.Rule.Meta
	}
	return &d.Correlation.Meta
}

// Load reads rule files and makes an engine of all rules that have no error. Problems come in the
// order of the files; the caller decides whether it goes on with the rest.
func Load(files []File, o Options) (*Engine, []*Problem) {
	e := &Engine{o: o.withDefaults(), fieldIDs: map[string]int32{}, root: newTrie()}
	var problems []*Problem
	var docs []document
	for _, f := range files {
		d, p := parseFile(f.Name, f.Data)
		docs, problems = append(docs, d...), append(problems, p...)
		if len(docs) > maxRules {
			problems = append(problems, &Problem{At: Position{File: f.Name}, Text: fmt.Sprintf("more than %d rules", maxRules), Hint: "load fewer"})
			docs = docs[:maxRules]
			break
		}
	}
	problems = append(problems, e.assemble(docs)...)
	e.finish()
	return e, problems
}

// field gives the number of a field.
func (e *Engine) field(name string) int32 {
	if id, ok := e.fieldIDs[name]; ok {
		return id
	}
	id := int32(len(e.fields))
	e.fields = append(e.fields, name)
	e.fieldIDs[name] = id
	return id
}

// finish numbers the fields and builds what Decode and recognise need.
func (e *Engine) finish() {
	for i := range e.rules {
		e.number(e.rules[i].expr)
		for _, f := range e.rules[i].rule.Fields {
			e.field(f)
		}
		for _, f := range placeholdersOf(e.rules[i].rule.Says) {
			e.field(f)
		}
	}
	for _, f := range e.o.Keep {
		e.field(f)
	}
	for i, name := range recognised {
		e.known[i] = e.field(name)
	}
	for _, name := range []string{"eventTime", "time", "@timestamp", "published", "timestamp", "receiveTimestamp", "id.time", "created_at", "UtcTime", "TimeCreated"} {
		e.timeFields = append(e.timeFields, e.field(name))
	}
	for _, name := range []string{"eventID", "id", "uuid", "insertId", "_document_id", "id.uniqueQualifier"} {
		e.idFields = append(e.idFields, e.field(name))
	}
	for id, name := range e.fields {
		e.root.add(name).field = int32(id)
	}
	for _, name := range sortedKeys(alternatives) {
		if id, ok := e.fieldIDs[name]; ok {
			for _, p := range alternatives[name] {
				if n := e.root.add(p); n.field < 0 {
					n.field = id
				} else if n.field != id {
					n.also = append(n.also, id)
				}
			}
		}
	}
	e.slots = make([]slot, len(e.fields))
	all := &source{}
	for i := range e.rules {
		all.rules = append(all.rules, int32(i))
	}
	e.unknown = all
	if e.o.Logsource != (Logsource{}) {
		e.given = e.sourceOf([]Logsource{e.o.Logsource})
	}
}

func (e *Engine) number(x *expr) {
	if x.op == opTest {
		if x.test.field == "" {
			e.keywords = true
		} else {
			e.field(x.test.field)
		}
		if x.test.other != "" {
			e.field(x.test.other)
		}
	}
	for _, k := range x.kids {
		e.number(k)
	}
}

// charge takes what a rule cost from its budget and stops it when nothing is left.
func (e *Engine) charge(r *loaded, work int) {
	budget := int64(e.o.Budget)
	r.credit = min(r.credit+budget*(e.events-r.asked), budget*burst) - int64(work)
	r.asked = e.events
	r.spent += int64(work)
	if r.credit < 0 {
		r.stopped = true
		e.stops = append(e.stops, Stopped{&r.rule.Meta, e.events, r.spent})
	}
}

// Stopped lists the rules that cost too much, in the order in which they were stopped.
func (e *Engine) Stopped() []Stopped { return slices.Clone(e.stops) }

// Stats gives the counts so far.
func (e *Engine) Stats() Stats { return e.stats }

// Position is how far in its log the engine has come.
func (e *Engine) Position() int64 { return e.position }

// Rules lists the rules that are in use, and Correlations the correlations.
func (e *Engine) Rules() []*Rule {
	out := make([]*Rule, len(e.rules))
	for i := range e.rules {
		out[i] = e.rules[i].rule
	}
	return out
}

// Correlations lists the correlations that are in use.
func (e *Engine) Correlations() []*Correlation {
	var out []*Correlation
	for _, l := range e.links {
		out = append(out, l.c)
	}
	return out
}

// Observe takes the next event of the log and gives what it completes, in memory that the next
// call uses again. position is its place in the log, counted from 1; an event at or before the place that was reached is not looked at
// again, and 0 is an event without a place. now is when the event arrived, zero when that is not
// known; an event without a time of its own is of then.
func (e *Engine) Observe(position int64, now time.Time, ev *Event) []Detection {
	if position > 0 {
		if position <= e.position {
			e.stats.Repeated++
			return nil
		}
		e.position = position
	}
	e.events++
	e.stats.Events++
	if ev.source == e.unknown {
		e.stats.Unknown++
	}
	m := e.matcher(ev.source)
	m.match(ev)
	e.out = e.out[:0]
	if len(m.matched) == 0 {
		return nil
	}
	slices.Sort(m.matched)
	at := ev.Time()
	if !now.IsZero() && (at.IsZero() || at.After(now.Add(e.o.Ahead))) {
		if !at.IsZero() {
			e.stats.Ahead++
		}
		at = now
	}
	id := ev.ID()
	for _, r := range m.matched {
		if l := &e.rules[r]; l.report {
			e.out = append(e.out, Detection{Rule: l.rule, Time: at, Event: id, Position: position})
		}
	}
	for _, r := range m.matched {
		for _, f := range e.rules[r].feeds {
			e.link(f, hit{at: at, id: id, position: position, ev: ev, rule: e.rules[r].rule})
		}
	}
	e.stats.Detections += int64(len(e.out))
	return e.out
}

// placeholdersOf lists the fields in the braces of a sentence.
func placeholdersOf(s string) (out []string) {
	for {
		from := strings.IndexByte(s, '{')
		if from < 0 {
			return out
		}
		end := strings.IndexByte(s[from:], '}')
		if end < 0 {
			return out
		}
		out = append(out, s[from+1:from+end])
		s = s[from+end+1:]
	}
}
