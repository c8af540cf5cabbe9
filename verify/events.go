package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/tocsin-ir/tocsin/leaf"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// shownEvent is a disclosed event that its leaf proves.
type shownEvent struct {
	leaf  uint64
	event tally.Event
}

const eventsFile = "events.ndjson"

// checkEvents checks the leaves against the log and the events against their leaves.
func (c *checker) checkEvents() error {
	headers := map[uint64]leaf.Header{}
	used := map[uint64]bool{}
	for _, name := range c.archive.order {
		if !leafName.MatchString(name) {
			continue
		}
		stored, ok := c.read(name)
		if !ok {
			continue
		}
		c.report.Leaves++
		index := number(name)
		h, _, err := leaf.Parse(stored)
		switch {
		case err != nil:
			c.find(CodeLeaf, name, "%v", err)
			continue
		case index >= uint64(len(c.events.leaves)):
			c.find(CodeLeaf, name, "the log has only %d leaves", len(c.events.leaves))
		case !bytes.Equal(rfc6962.DefaultHasher.HashLeaf(stored), c.events.leaves[index]):
			c.find(CodeLeaf, name, "the log has another leaf there")
		}
		headers[index] = h
	}
	var lastLeaf uint64
	lastN := -1
	c.lines(eventsFile, CodeEvent, func(n int, line []byte) {
		var e eventLine
		if err := strict(line, &e); err != nil {
			c.find(CodeEvent, eventsFile, "line %d is not an event with its proof", n)
			return
		}
		if n > 1 && (e.Leaf < lastLeaf || e.Leaf == lastLeaf && e.N <= lastN) {
			c.find(CodeEvent, eventsFile, "line %d is not in its place", n)
		}
		lastLeaf, lastN = e.Leaf, e.N
		h, ok := headers[e.Leaf]
		if !ok {
			c.find(CodeEvent, eventsFile, "line %d: leaf %d is not in the export", n, e.Leaf)
			return
		}
		used[e.Leaf] = true
		event, err := e.check(h)
		if err != nil {
			c.find(CodeEvent, eventsFile, "line %d, event %d of leaf %d: %v", n, e.N, e.Leaf, err)
			return
		}
		c.shown = append(c.shown, shownEvent{e.Leaf, event})
	})
	for index := range headers {
		if !used[index] {
			c.find(CodeLeaf, "leaves/"+strconv.FormatUint(index, 10), "no event of it is shown")
		}
	}
	c.report.Events = len(c.shown)
	return nil
}

// eventLine is one line of events.ndjson.
type eventLine struct {
	Leaf  uint64          `json:"leaf"`
	N     int             `json:"n"`
	Of    int             `json:"of"`
	Salt  []byte          `json:"salt"`
	Path  [][]byte        `json:"path"`
	Event json.RawMessage `json:"event"`
}

// check proves the event by its leaf's header.
func (e *eventLine) check(h leaf.Header) (tally.Event, error) {
	var none tally.Event
	if e.Of != h.Events() || len(e.Salt) != leaf.SaltLen {
		return none, fmt.Errorf("the leaf has %d events, or the salt has another length", h.Events())
	}
	path := make([][leaf.HashLen]byte, len(e.Path))
	for i, p := range e.Path {
		if len(p) != leaf.HashLen {
			return none, leaf.ErrPath
		}
		path[i] = [leaf.HashLen]byte(p)
	}
	root, err := leaf.RootFromPath(leaf.EventHash(e.Salt, e.Event), e.N, e.Of, path)
	if err != nil {
		return none, err
	}
	if root != h.Root {
		return none, fmt.Errorf("the leaf does not hold it")
	}
	var stored leaf.Event
	if err := strict(e.Event, &stored); err != nil {
		return none, fmt.Errorf("it is not an event")
	}
	if stored.Time.Before(h.From) || stored.Time.After(h.To) || stored.Received.Format(time.DateOnly) != h.Epoch {
		return none, fmt.Errorf("its times are not within those of the leaf")
	}
	return tally.FromLeaf(stored), nil
}

// scopeFile is what is checked of a scope.
type scopeFile struct {
	Query      json.RawMessage `json:"query"`
	Log        string          `json:"log"`
	Size       uint64          `json:"size"`
	Checkpoint string          `json:"checkpoint"`
	Digest     string          `json:"digest"`
	Events     int64           `json:"events"`
	Records    int64           `json:"records"`
	Customers  int64           `json:"customers"`
	AtLeast    bool            `json:"at_least"`
	DataTypes  []string        `json:"data_types"`
	First      time.Time       `json:"first"`
	Last       time.Time       `json:"last"`
	Rows       json.RawMessage `json:"rows"`

	Regions  []tally.Region   `json:"regions"`
	Supplied []tally.Supplied `json:"supplied"`
	Step     int64            `json:"step"` // 0 where there is no timeline: in files of early versions, and beside removed days
	Timeline []tally.Bucket   `json:"timeline"`
}

// checkScopes recomputes every scope from the disclosed events.
func (c *checker) checkScopes() error {
	var facts []scopeFact
	var bodies []json.RawMessage
	for _, f := range c.chain {
		if f.kind == "scope.computed" {
			var s scopeFact
			if json.Unmarshal(f.body, &s) != nil {
				c.find(CodeScopeFact, factsFile, "%s: its body is not a scope's", safe(f.id))
				continue
			}
			facts, bodies = append(facts, s), append(bodies, f.body)
		}
	}
	next := uint64(1)
	for _, name := range c.archive.order {
		if !scopeName.MatchString(name) {
			continue
		}
		n := number(name)
		if n != next {
			c.find(CodeScope, name, "version %d is missing", next)
		}
		next = n + 1
		raw, ok := c.read(name)
		if !ok {
			continue
		}
		c.report.Scopes++
		var s scopeFile
		if unambiguous(raw) != nil || json.Unmarshal(raw, &s) != nil {
			c.find(CodeScope, name, "it is not a scope")
			continue
		}
		var body json.RawMessage
		if n <= uint64(len(bodies)) {
			body = bodies[n-1]
		}
		c.checkScope(name, &s, body)
		if n > uint64(len(facts)) || !facts[n-1].same(&s) {
			c.find(CodeScopeFact, name, "the facts do not record it as version %d", n)
		}
	}
	if int(next-1) != len(facts) {
		c.find(CodeScopeFact, "", "the facts record %d scopes and the export shows %d", len(facts), next-1)
	}
	return nil
}

// scopeFact is what a fact records of a scope.
type scopeFact struct {
	Log       string `json:"log"`
	Size      uint64 `json:"size"`
	Digest    string `json:"digest"`
	Customers int64  `json:"customers"`
	Events    int64  `json:"events"`
	Records   int64  `json:"records"`
}

func (f scopeFact) same(s *scopeFile) bool {
	return f == scopeFact{s.Log, s.Size, s.Digest, s.Customers, s.Events, s.Records}
}

// checkScope checks a scope; fact is the body of the fact that records it, if there is one.
func (c *checker) checkScope(name string, s *scopeFile, fact json.RawMessage) {
	if digest, err := tally.Digest(s.Query, s.Rows, s.Size); err != nil || digest != s.Digest {
		c.find(CodeScope, name, "its digest is not that of its query, size and rows")
	}
	cp, err := c.openCheckpoint([]byte(s.Checkpoint))
	switch {
	case err != nil:
		c.find(CodeScope, name, "its checkpoint: %v", err)
	case cp.origin != c.events.origin || s.Log != c.events.origin:
		c.find(CodeScope, name, "it is not defined on the event log")
	case cp.size < s.Size:
		c.find(CodeScope, name, "its checkpoint covers %d leaves and it is defined on %d", cp.size, s.Size)
	default:
		c.consistent([]earlier{{cp, name, "its checkpoint", nil}})
	}
	var q tally.Query
	if err := strict(s.Query, &q); err != nil {
		c.find(CodeScope, name, "its query cannot be read")
		return
	}
	m, err := tally.NewMatcher(q)
	if err != nil {
		c.find(CodeScope, name, "its query: %v", err)
		return
	}
	var sums tally.Tally
	for i := range c.shown {
		if e := &c.shown[i]; e.leaf < s.Size && m.Candidate(&e.event) && !m.Excluded(&e.event) && e.event.Exposes() {
			sums.Add(&e.event)
		}
	}
	if c.checkShort(name, s, fact, &q, &sums) {
		return
	}
	rows, err := json.Marshal(sums.Rows())
	if err == nil {
		rows, err = jcs.Transform(rows)
	}
	shown, err2 := jcs.Transform(s.Rows)
	if err != nil || err2 != nil || !bytes.Equal(rows, shown) {
		c.find(CodeScopeRows, name, "recomputing it from the events gives other merchants or numbers")
	}
	t := sums.Totals()
	if t.Events < s.Events {
		c.find(CodeScopeRows, name, "%d of the %d events that it counts are missing, and no fact says that their day was removed", s.Events-t.Events, s.Events)
	} else if t.Events != s.Events || t.Records != s.Records || t.Customers != s.Customers || t.AtLeast != s.AtLeast ||
		!slices.Equal(t.DataTypes, s.DataTypes) || !t.First.Equal(s.First) || !t.Last.Equal(s.Last) {
		c.find(CodeScopeRows, name, "recomputing it from the events gives other totals: %d events, %d customers", t.Events, t.Customers)
	}
	if !slices.Equal(t.Supplied, s.Supplied) {
		c.find(CodeScopeRows, name, "recomputing it from the events gives other files that were supplied later")
	}
	if s.Step == 0 && len(s.Timeline) == 0 && len(s.Regions) == 0 {
		return
	}
	if !slices.Equal(sums.Regions(), s.Regions) {
		c.find(CodeScopeRows, name, "recomputing it from the events gives other regions")
	}
	if s.Step == 0 && len(s.Timeline) == 0 {
		return // as a fact has it, which records none
	}
	step, timeline := sums.Timeline()
	if step != time.Duration(s.Step)*time.Second || !slices.EqualFunc(timeline, s.Timeline, func(a, b tally.Bucket) bool {
		return a.From.Equal(b.From) && a.Events == b.Events && a.Records == b.Records
	}) {
		c.find(CodeScopeRows, name, "recomputing it from the events gives another timeline")
	}
}
