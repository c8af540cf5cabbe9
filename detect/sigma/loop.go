package sigma

import (
	"bytes"
	"slices"
)

// Loop asks each rule of an event by itself, test by test, as one would without a shared matcher:
// no test is remembered, no literal is searched for together with others. It is what the matcher
// is measured against, and a second opinion on it.
func (e *Engine) Loop(ev *Event) (matched []*Rule) {
	for i := range e.rules {
		l := &e.rules[i]
		about := ev.source == e.unknown || slices.ContainsFunc(ev.source.belongs, l.rule.Logsource.holds)
		if about && l.expr.holds(ev) {
			matched = append(matched, l.rule)
		}
	}
	return matched
}

func (x *expr) holds(ev *Event) bool {
	switch x.op {
	case opTest:
		return x.test.holds(ev)
	case opAnd:
		for _, k := range x.kids {
			if !k.holds(ev) {
				return false
			}
		}
		return true
	case opOr:
		for _, k := range x.kids {
			if k.holds(ev) {
				return true
			}
		}
		return false
	}
	return !x.kids[0].holds(ev)
}

func (t *test) holds(ev *Event) bool {
	if t.field == "" {
		for i := range ev.leaves {
			if l := &ev.leaves[i]; l.kind != objectLeaf && t.holdsFor(ev, l) {
				return true
			}
		}
		return false
	}
	h := ev.field(ev.engine.fieldIDs[t.field])
	switch t.kind {
	case existsTest:
		return (h >= 0) == t.want
	case nullTest:
		if h < 0 {
			return true
		}
	}
	if h < 0 {
		return false
	}
	for i := ev.heads[h].first; i >= 0; i = ev.leaves[i].next {
		l := &ev.leaves[i]
		if t.kind == nullTest {
			if l.kind == nullLeaf {
				return true
			}
		} else if t.holdsFor(ev, l) {
			return true
		}
	}
	return false
}

func (t *test) holdsFor(ev *Event, l *leaf) bool {
	if l.kind == nullLeaf || l.kind == emptyLeaf {
		return false
	}
	texts := [][]byte{ev.text(l)}
	if l.kind == numberLeaf {
		texts = append(texts, appendCanonical(nil, texts[0]))
	}
	for _, text := range texts {
		ok := false
		switch t.kind {
		case textTest:
			if !t.cased {
				text = fold(nil, text)
			}
			ok, _ = t.pattern.glob(t.cased).match(text)
		case reTest:
			ok = t.re.Match(text)
		case cidrTest:
			a, is := parseAddress(text)
			ok = is && l.kind == stringLeaf && t.network.Contains(a)
		case numberTest:
			v, is := parseNumber(text)
			ok = is && (l.kind == numberLeaf || l.kind == stringLeaf) && compare(t.compare, v, t.number)
		case timeTest:
			at, is := eventTime(text, l.kind)
			ok = is && compare(t.compare, timePart(t.part, at), t.number)
		case refTest:
			ok = t.refers(ev, text)
		}
		if ok {
			return true
		}
	}
	return false
}

func (t *test) refers(ev *Event, x []byte) bool {
	h := ev.field(ev.engine.fieldIDs[t.other])
	if h < 0 {
		return false
	}
	for i := ev.heads[h].first; i >= 0; i = ev.leaves[i].next {
		l := &ev.leaves[i]
		if l.kind == nullLeaf || l.kind == emptyLeaf {
			continue
		}
		x, y := x, ev.text(l)
		if !t.cased {
			x, y = fold(nil, x), fold(nil, y)
		}
		switch {
		case t.before && t.after && bytes.Contains(x, y), t.before && !t.after && bytes.HasPrefix(x, y), t.after && !t.before && bytes.HasSuffix(x, y), !t.before && !t.after && bytes.Equal(x, y):
			return true
		}
	}
	return false
}
