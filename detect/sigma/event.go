package sigma

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The limits of an event.
const (
	maxEvent  = 8 << 20 // bytes of JSON
	maxNest   = 200     // objects and lists inside each other
	maxLeaves = 1 << 20 // values
)

// leafKind is what JSON says a value is.
type leafKind uint8

const (
	stringLeaf leafKind = iota
	numberLeaf
	boolLeaf
	nullLeaf
	objectLeaf // its text is its JSON without spaces
	emptyLeaf  // a list without elements: the field is there and has no value
)

// leaf is one value of an event. Values of one field are chained in the order they stand.
type leaf struct {
	from, to uint32 // of the text, in the JSON or in the arena
	next     int32  // leaf of the same field, -1 at the end
	kind     leafKind
	arena    bool
}

// head is a field of an event that some rule asks.
type head struct {
	field       int32
	first, last int32
}

// Event is a decoded event. Decode fills it and may fill it again; its memory is used again. It
// refers to the JSON it was decoded from, which must not change while it is in use.
type Event struct {
	src    []byte
	arena  []byte
	leaves []leaf
	heads  []head
	source *source
	engine *Engine
}

func (ev *Event) text(l *leaf) []byte {
	if l.arena {
		return ev.arena[l.from:l.to]
	}
	return ev.src[l.from:l.to]
}

// field finds a field by its number, -1 for one that is not there.
func (ev *Event) field(id int32) int32 {
	for i := range ev.heads {
		if ev.heads[i].field == id {
			return int32(i)
		}
	}
	return -1
}

// Get gives the values of a field as text, null as "null". It knows the fields that some rule,
// correlation or Options.Keep names.
func (ev *Event) Get(field string) []string {
	id, ok := ev.engine.fieldIDs[field]
	if !ok {
		return nil
	}
	h := ev.field(id)
	if h < 0 {
		return nil
	}
	var out []string
	for i := ev.heads[h].first; i >= 0; i = ev.leaves[i].next {
		switch l := &ev.leaves[i]; l.kind {
		case emptyLeaf:
		case nullLeaf:
			out = append(out, "null")
		default:
			out = append(out, string(ev.text(l)))
		}
	}
	return out
}

// first gives the first value of the first field of ids that has a string or a number.
func (ev *Event) first(ids []int32) ([]byte, leafKind) {
	for _, id := range ids {
		if h := ev.field(id); h >= 0 {
			if l := &ev.leaves[ev.heads[h].first]; (l.kind == stringLeaf || l.kind == numberLeaf) && l.from < l.to {
				return ev.text(l), l.kind
			}
		}
	}
	return nil, nullLeaf
}

// Time is when the event happened, zero when it does not say.
func (ev *Event) Time() time.Time {
	t, _ := eventTime(ev.first(ev.engine.timeFields))
	return t
}

// ID is the event's own id, "" when it has none.
func (ev *Event) ID() string {
	b, _ := ev.first(ev.engine.idFields)
	return string(b)
}

// Logsource says what the event was taken for: every log source that it belongs to. None means
// that it was not recognised, and all rules are asked.
func (ev *Event) Logsource() []Logsource { return ev.source.belongs }

// trie finds the number of a field while its path is read.
type trie struct {
	field int32   // -1: the path is no field
	also  []int32 // fields of other names that are found here too
	kids  map[string]*trie
}

func newTrie() *trie { return &trie{field: -1} }

// add files a path and gives the node where it ends.
func (t *trie) add(path string) *trie {
	for name := range strings.SplitSeq(path, ".") {
		k := t.kids[name]
		if k == nil {
			if t.kids == nil {
				t.kids = map[string]*trie{}
			}
			k = newTrie()
			t.kids[name] = k
		}
		t = k
	}
	return t
}

// child steps down by one key of an object. A key that holds dots is several steps.
func (t *trie) child(key []byte) *trie {
	if t == nil || t.kids == nil {
		return nil
	}
	if k := t.kids[string(key)]; k != nil {
		return k
	}
	for i := 0; i < len(key); i++ {
		if key[i] != '.' {
			continue
		}
		for from := 0; ; {
			end := from
			for end < len(key) && key[end] != '.' {
				end++
			}
			if t.kids == nil {
				return nil
			}
			if t = t.kids[string(key[from:end])]; t == nil || end == len(key) {
				return t
			}
			from = end + 1
		}
	}
	return nil
}

// ErrTooLarge refuses an event of more than 8 MiB, a million values or 200 levels.
var ErrTooLarge = errors.New("sigma: the event is too large: at most 8 MiB, a million values, 200 levels")

func syntaxError(at int, what string) error {
	return fmt.Errorf("sigma: the event is no JSON object: byte %d: %s", at, what)
}
