package sigma

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
	"time"
)

// match fills m.matched with the rules, by their numbers in the matcher, that an event matches.
func (m *matcher) match(ev *Event) {
	if m.gen++; m.gen == 0 {
		clear(m.stamp)
		clear(m.asked)
		clear(m.headOf)
		m.gen = 1
	}
	m.candidate, m.matched = m.candidate[:0], m.matched[:0]
	for i := range ev.heads {
		h := &ev.heads[i]
		m.headOf[h.field] = slot{m.gen, int32(i)}
		f := m.fields[h.field]
		if f == nil {
			continue
		}
		m.hits(f.there)
		for l := h.first; l >= 0; l = ev.leaves[l].next {
			m.value(f, ev, &ev.leaves[l])
		}
	}
	if m.keywords != nil {
		for l := range ev.leaves {
			// An object's own text is that of its values, which stand for themselves.
			if ev.leaves[l].kind != objectLeaf {
				m.value(m.keywords, ev, &ev.leaves[l])
			}
		}
	}
	for _, r := range m.always {
		m.ask(ev, r)
	}
	for _, r := range m.candidate {
		m.ask(ev, r)
	}
}

// ask evaluates a rule and charges it for what that took.
func (m *matcher) ask(ev *Event, r int32) {
	c := &m.rules[r]
	rule := &m.engine.rules[c.rule]
	if rule.stopped {
		return
	}
	m.work = 0
	if m.truthOf(ev, c.root) {
		m.matched = append(m.matched, c.rule)
	}
	m.engine.charge(rule, m.work)
}

// hits marks atoms as true and their rules as candidates.
func (m *matcher) hits(atoms []int32) {
	for _, a := range atoms {
		if m.stamp[a] == m.gen {
			continue
		}
		m.stamp[a] = m.gen
		for _, r := range m.atoms[a].rules {
			if m.asked[r] != m.gen {
				m.asked[r] = m.gen
				m.candidate = append(m.candidate, r)
			}
		}
	}
}

// value asks everything about one value of a field that is found by reading it.
func (m *matcher) value(f *fieldMatcher, ev *Event, l *leaf) {
	if l.kind == nullLeaf || l.kind == emptyLeaf {
		return
	}
	m.hits(f.any)
	if !f.reads {
		return
	}
	text := ev.text(l)
	m.literals(f, text)
	if l.kind == numberLeaf && !plainNumber(text) {
		// 1.0 and 1e0 are 1.
		var room [64]byte
		if c := appendCanonical(room[:0], text); !bytes.Equal(c, text) {
			m.literals(f, c)
		}
	}
	if f.numeric && (l.kind == numberLeaf || l.kind == stringLeaf) {
		if v, ok := parseNumber(text); ok {
			for _, n := range f.numbers {
				if compare(n.test.compare, v, n.test.number) {
					m.hits([]int32{n.atom})
				}
			}
		}
	}
	if len(f.networks) > 0 && l.kind == stringLeaf {
		if a, ok := parseAddress(text); ok {
			for _, n := range f.networks {
				if n.test.network.Contains(a) {
					m.hits([]int32{n.atom})
				}
			}
		}
	}
}

func (m *matcher) literals(f *fieldMatcher, text []byte) {
	if len(f.exactCased) > 0 {
		m.hits(f.exactCased[string(text)])
	}
	if !f.folds || !f.parts && len(text) > 4*f.longest { // no letter is four times as long in the other case
		return
	}
	if !ascii(text) {
		m.folded = fold(m.folded[:0], text)
		text = m.folded
	}
	for _, a := range f.search {
		s, width := int32(0), a.width
		for _, b := range text {
			s = a.next[int(s)*width+int(a.class[b])]
			for t := a.first[s]; t > 0; t = a.other[t] {
				m.hits(a.outs[t])
			}
		}
	}
	// Only as much is brought to lower case as the longest literal has.
	if len(text) <= f.longest {
		text = m.fold(text, &m.folded2)
		if len(f.exact) > 0 {
			m.hits(f.exact[string(text)])
		}
	}
	if len(f.prefix) > 0 {
		begin := m.fold(text[:min(len(text), f.prefix[len(f.prefix)-1].length)], &m.folded2)
		for i := range f.prefix {
			p := &f.prefix[i]
			if p.length > len(begin) {
				break
			}
			m.hits(p.atoms[string(begin[:p.length])])
		}
	}
	if len(f.suffix) > 0 {
		end := m.fold(text[len(text)-min(len(text), f.suffix[len(f.suffix)-1].length):], &m.folded2)
		for i := range f.suffix {
			p := &f.suffix[i]
			if p.length > len(end) {
				break
			}
			m.hits(p.atoms[string(end[len(end)-p.length:])])
		}
	}
}

// ascii reports whether a text has no byte beyond ASCII.
func ascii(text []byte) bool {
	for len(text) >= 8 {
		if binary.LittleEndian.Uint64(text)&high != 0 {
			return false
		}
		text = text[8:]
	}
	for _, c := range text {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// fold gives a text in lower case: itself when it is already, else a copy in a buffer.
func (m *matcher) fold(text []byte, buffer *[]byte) []byte {
	for _, c := range text {
		if c >= 0x80 || 'A' <= c && c <= 'Z' {
			*buffer = fold((*buffer)[:0], text)
			return *buffer
		}
	}
	return text
}

// truthOf evaluates a node of a condition.
func (m *matcher) truthOf(ev *Event, i int32) bool {
	n := &m.nodes[i]
	m.work++
	switch n.op {
	case opTest:
		a := &m.atoms[n.atom]
		if a.lazy == nil && a.search == nil {
			return m.stamp[n.atom] == m.gen
		}
		if m.stamp[n.atom] != m.gen {
			m.stamp[n.atom] = m.gen
			m.truth[n.atom] = m.compute(ev, a)
		}
		return m.truth[n.atom]
	case opAnd:
		for _, k := range n.kids {
			if !m.truthOf(ev, k) {
				return false
			}
		}
		return true
	case opOr:
		for _, k := range n.kids {
			if m.truthOf(ev, k) {
				return true
			}
		}
		return false
	}
	return !m.truthOf(ev, n.kids[0])
}

// head gives the first value of a field, -1 when it is not there.
func (m *matcher) head(ev *Event, field int32) int32 {
	if s := &m.headOf[field]; s.gen == m.gen {
		return ev.heads[s.head].first
	}
	return -1
}

// compute finds out whether a lazy atom is true.
func (m *matcher) compute(ev *Event, a *atom) bool {
	t := a.lazy
	if t == nil {
		for l := m.head(ev, a.field); l >= 0; l = ev.leaves[l].next {
			if lf := &ev.leaves[l]; lf.kind != nullLeaf && lf.kind != emptyLeaf && m.within(a, ev.text(lf), lf.kind) {
				return true
			}
		}
		return false
	}
	if a.field < 0 {
		for l := range ev.leaves {
			if lf := &ev.leaves[l]; lf.kind != objectLeaf && lf.kind != nullLeaf && lf.kind != emptyLeaf && m.matches(a, ev.text(lf), lf.kind) {
				return true
			}
		}
		return false
	}
	first := m.head(ev, a.field)
	switch t.kind {
	case existsTest:
		return (first >= 0) == t.want
	case nullTest:
		if first < 0 {
			return true
		}
		for l := first; l >= 0; l = ev.leaves[l].next {
			if ev.leaves[l].kind == nullLeaf {
				return true
			}
		}
		return false
	}
	for l := first; l >= 0; l = ev.leaves[l].next {
		lf := &ev.leaves[l]
		if lf.kind == nullLeaf || lf.kind == emptyLeaf {
			continue
		}
		if t.kind == refTest {
			for o := m.head(ev, a.other); o >= 0; o = ev.leaves[o].next {
				if of := &ev.leaves[o]; of.kind != nullLeaf && of.kind != emptyLeaf && m.refers(t, ev, lf, of) {
					return true
				}
			}
		} else if m.matches(a, ev.text(lf), lf.kind) {
			return true
		}
	}
	return false
}

// within looks for the literals of an atom that is not found while the event is read.
func (m *matcher) within(a *atom, text []byte, kind leafKind) bool {
	m.work += len(text) / 8
	if !ascii(text) {
		m.folded = fold(m.folded[:0], text)
		text = m.folded
	}
	for _, s := range a.search {
		if s.within(text) {
			return true
		}
	}
	var room [64]byte
	if c := shortest(room[:0], text, kind); c != nil {
		for _, s := range a.search {
			if s.within(c) {
				return true
			}
		}
	}
	return false
}

// refers compares two values as fieldref asks; a number also as it is written at its shortest, so
// that 1.0 is 1 on either side.
func (m *matcher) refers(t *test, ev *Event, x, y *leaf) bool {
	var xRoom, yRoom [64]byte
	xText, yText := ev.text(x), ev.text(y)
	xShort, yShort := shortest(xRoom[:0], xText, x.kind), shortest(yRoom[:0], yText, y.kind)
	return m.related(t, xText, yText) || xShort != nil && m.related(t, xShort, yText) ||
		yShort != nil && (m.related(t, xText, yShort) || xShort != nil && m.related(t, xShort, yShort))
}

// shortest is another way to write a number; nil when there is none.
func shortest(room, text []byte, kind leafKind) []byte {
	if kind != numberLeaf || plainNumber(text) {
		return nil
	}
	if c := appendCanonical(room, text); !bytes.Equal(c, text) {
		return c
	}
	return nil
}

// related compares two texts as fieldref asks.
func (m *matcher) related(t *test, x, y []byte) bool {
	m.work += (len(x) + len(y)) / 16
	if !t.cased {
		x, y = m.fold(x, &m.folded), m.fold(y, &m.folded2)
	}
	switch {
	case t.before && t.after:
		m.work += len(x) / 8
		return bytes.Contains(x, y)
	case t.before:
		return bytes.HasPrefix(x, y)
	case t.after:
		return bytes.HasSuffix(x, y)
	}
	return bytes.Equal(x, y)
}

func (m *matcher) matches(a *atom, text []byte, kind leafKind) bool {
	if m.matchesText(a, text, kind) {
		return true
	}
	var room [64]byte
	c := shortest(room[:0], text, kind)
	return c != nil && m.matchesText(a, c, kind)
}

func (m *matcher) matchesText(a *atom, text []byte, kind leafKind) bool {
	switch t := a.lazy; t.kind {
	case textTest:
		if !t.cased {
			text = m.fold(text, &m.folded)
		}
		ok, work := a.glob.match(text)
		m.work += work / 8
		return ok
	case reTest:
		// What a text costs an automaton without backtracking is its length times the program's size.
		m.work += 4 + len(text)*(1+t.size/16)/8
		return t.re.Match(text)
	case timeTest:
		m.work += 4
		at, ok := eventTime(text, kind)
		if !ok {
			return false
		}
		return compare(t.compare, timePart(t.part, at), t.number)
	}
	return false
}

func compare(op string, x, y float64) bool {
	switch op {
	case "<":
		return x < y
	case "<=":
		return x <= y
	case ">":
		return x > y
	case ">=":
		return x >= y
	}
	return x == y
}

// plainNumber reports whether the text of a JSON number is its canonical form.
func plainNumber(text []byte) bool {
	for i, c := range text {
		if (c < '0' || c > '9') && !(i == 0 && c == '-') {
			return false
		}
	}
	return string(text) != "-0"
}

func appendCanonical(dst, text []byte) []byte {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || f > 1e40 || f < -1e40 || f != 0 && f < 1e-40 && f > -1e-40 {
		return append(dst, text...)
	}
	return strconv.AppendFloat(dst, f+0, 'f', -1, 64)
}

// parseNumber reads the text of a number, or of a string that spells one.
func parseNumber(text []byte) (float64, bool) {
	if len(text) == 0 || len(text) > 64 {
		return 0, false
	}
	for _, c := range text { // no hexadecimal, no underscores, no Inf: what JSON has
		if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	return f, err == nil
}

// parseAddress reads an address. What cannot be one is refused before the parser would make an
// error of it.
func parseAddress(text []byte) (netip.Addr, bool) {
	if len(text) < 2 || len(text) > 64 {
		return netip.Addr{}, false
	}
	if i := bytes.IndexByte(text, '%'); i >= 0 { // a zone is no part of the address
		text = text[:i]
	}
	marks := 0
	for _, c := range text {
		switch {
		case c == '.' || c == ':':
			marks++
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return netip.Addr{}, false
		}
	}
	if marks < 2 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(string(text))
	return a.Unmap(), err == nil
}

var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02 15:04:05 -0700 MST", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04", "02/Jan/2006:15:04:05 -0700", time.RFC1123Z, time.RFC1123, "2006-01-02"}

// eventTime reads a time as logs write it: RFC 3339 and its relatives, the form of web servers, or
// the time since 1970 in seconds, milliseconds, microseconds or nanoseconds.
func eventTime(text []byte, kind leafKind) (time.Time, bool) {
	if len(text) < 8 || len(text) > 64 || kind != stringLeaf && kind != numberLeaf {
		return time.Time{}, false
	}
	if f, ok := parseNumber(text); ok {
		if f < 1e6 || f > 9e18 {
			return time.Time{}, false
		}
		whole := int64(f)
		switch {
		case f > 1e17:
			return time.Unix(0, whole).UTC(), true
		case f > 1e14:
			return time.UnixMicro(whole).UTC(), true
		case f > 1e11:
			return time.UnixMilli(whole).UTC(), true
		}
		return time.Unix(whole, int64((f-float64(whole))*1e9)).UTC(), true
	}
	if c := text[0]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
		return time.Time{}, false
	}
	s := string(text)
	for _, form := range timeForms {
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// timePart takes a part of a time as it is written, in its own zone.
func timePart(part string, t time.Time) float64 {
	switch part {
	case "minute":
		return float64(t.Minute())
	case "hour":
		return float64(t.Hour())
	case "day":
		return float64(t.Day())
	case "week":
		_, w := t.ISOWeek()
		return float64(w)
	case "month":
		return float64(t.Month())
	}
	return float64(t.Year())
}
