package sigma

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Decode reads the JSON object of an event. It is one pass over the text: it checks the syntax of
// RFC 8259, files the values of the fields that rules ask, and keeps the place of every other
// value for keywords. A key that stands twice has both values, so that nobody hides one behind
// the other. On an error the event must not be used.
func (e *Engine) Decode(src []byte, ev *Event) error {
	if len(src) > maxEvent {
		return ErrTooLarge
	}
	ev.src, ev.arena, ev.leaves, ev.heads, ev.engine = src, ev.arena[:0], ev.leaves[:0], ev.heads[:0], e
	d := decoder{src: src, ev: ev, slots: e.slots, all: e.keywords}
	if e.gen++; e.gen == 0 {
		clear(e.slots)
		e.gen = 1
	}
	d.gen = e.gen
	at := d.space(0)
	if at >= len(src) || src[at] != '{' {
		return syntaxError(at, "an object is expected")
	}
	at, err := d.object(at, e.root, 0)
	if err != nil {
		return err
	}
	if at = d.space(at); at < len(src) {
		return syntaxError(at, "something follows the object")
	}
	ev.source = e.recognise(ev)
	return nil
}

// slot remembers which head of the present event a field has.
type slot struct {
	gen  uint32
	head int32
}

type decoder struct {
	src   []byte
	ev    *Event
	slots []slot
	gen   uint32
	all   bool // keep values that no field asks
}

func (d *decoder) space(i int) int {
	for i < len(d.src) {
		if c := d.src[i]; c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
			break
		}
		i++
	}
	return i
}

func (d *decoder) object(at int, node *trie, depth int) (int, error) {
	if depth > maxNest {
		return 0, ErrTooLarge
	}
	src := d.src
	i := d.space(at + 1)
	if i < len(src) && src[i] == '}' {
		return i + 1, nil
	}
	for {
		if i >= len(src) || src[i] != '"' {
			return 0, syntaxError(i, "a key is expected")
		}
		end, escaped, err := d.string(i)
		if err != nil {
			return 0, err
		}
		key := src[i+1 : end-1]
		mark := len(d.ev.arena)
		if escaped {
			d.ev.arena = unescape(d.ev.arena, key)
			key = d.ev.arena[mark:]
		}
		child := node.child(key)
		d.ev.arena = d.ev.arena[:mark]
		if i = end; i >= len(src) || src[i] != ':' {
			if i = d.space(i); i >= len(src) || src[i] != ':' {
				return 0, syntaxError(i, "a colon is expected")
			}
		}
		i++
		if i, err = d.value(i, child, depth); err != nil {
			return 0, err
		}
		if i < len(src) && src[i] <= ' ' {
			i = d.space(i)
		}
		if i < len(src) && src[i] == ',' {
			if i++; i < len(src) && src[i] != '"' {
				i = d.space(i)
			}
			continue
		}
		if i < len(src) && src[i] == '}' {
			return i + 1, nil
		}
		return 0, syntaxError(i, "a comma or the end of the object is expected")
	}
}

// value reads one value and gives the place behind it.
func (d *decoder) value(at int, node *trie, depth int) (int, error) {
	src := d.src
	i := at
	if i < len(src) && src[i] <= ' ' {
		i = d.space(i)
	}
	if i >= len(src) {
		return 0, syntaxError(i, "a value is expected")
	}
	keep := d.all || node != nil && node.field >= 0
	switch c := src[i]; {
	case c == '"':
		end, escaped, err := d.string(i)
		if err != nil {
			return 0, err
		}
		if !keep {
			return end, nil
		}
		if !escaped {
			return end, d.leaf(leaf{from: uint32(i + 1), to: uint32(end - 1), kind: stringLeaf}, node)
		}
		from := len(d.ev.arena)
		d.ev.arena = unescape(d.ev.arena, src[i+1:end-1])
		return end, d.leaf(leaf{from: uint32(from), to: uint32(len(d.ev.arena)), kind: stringLeaf, arena: true}, node)
	case c == '{':
		// The object's own value goes before those of its fields.
		var l int32 = -1
		if node != nil && node.field >= 0 {
			l = int32(len(d.ev.leaves))
			if err := d.leaf(leaf{kind: objectLeaf, arena: true}, node); err != nil {
				return 0, err
			}
		}
		end, err := d.object(i, node, depth+1)
		if err == nil && l >= 0 {
			from := len(d.ev.arena)
			d.ev.arena = compact(d.ev.arena, src[i:end])
			for n := range 1 + int32(len(node.also)) {
				d.ev.leaves[l+n].from, d.ev.leaves[l+n].to = uint32(from), uint32(len(d.ev.arena))
			}
		}
		return end, err
	case c == '[':
		return d.list(i, node, depth+1)
	case c == '-' || '0' <= c && c <= '9':
		end := d.number(i)
		if end < 0 {
			return 0, syntaxError(i, "this is no number")
		}
		return end, d.leaf(leaf{from: uint32(i), to: uint32(end), kind: numberLeaf}, node)
	case c == 't' && has(src, i, "true"):
		return i + 4, d.leaf(leaf{from: uint32(i), to: uint32(i + 4), kind: boolLeaf}, node)
	case c == 'f' && has(src, i, "false"):
		return i + 5, d.leaf(leaf{from: uint32(i), to: uint32(i + 5), kind: boolLeaf}, node)
	case c == 'n' && has(src, i, "null"):
		return i + 4, d.leaf(leaf{from: uint32(i), to: uint32(i + 4), kind: nullLeaf}, node)
	}
	return 0, syntaxError(i, "a value is expected")
}

func has(src []byte, at int, word string) bool {
	return at+len(word) <= len(src) && string(src[at:at+len(word)]) == word
}

func (d *decoder) list(at int, node *trie, depth int) (int, error) {
	if depth > maxNest {
		return 0, ErrTooLarge
	}
	i := d.space(at + 1)
	if i < len(d.src) && d.src[i] == ']' {
		return i + 1, d.leaf(leaf{from: uint32(at), to: uint32(at), kind: emptyLeaf}, node)
	}
	for {
		var err error
		if i, err = d.value(i, node, depth); err != nil {
			return 0, err
		}
		if i = d.space(i); i < len(d.src) && d.src[i] == ',' {
			i++
			continue
		}
		if i < len(d.src) && d.src[i] == ']' {
			return i + 1, nil
		}
		return 0, syntaxError(i, "a comma or the end of the list is expected")
	}
}

// leaf keeps a value, once for each field that is found at its path.
func (d *decoder) leaf(l leaf, node *trie) error {
	if node == nil || node.field < 0 {
		if d.all {
			return d.keep(l, -1)
		}
		return nil
	}
	if err := d.keep(l, node.field); err != nil {
		return err
	}
	for _, f := range node.also {
		if err := d.keep(l, f); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) keep(l leaf, field int32) error {
	n := int32(len(d.ev.leaves))
	if n >= maxLeaves {
		return ErrTooLarge
	}
	l.next = -1
	d.ev.leaves = append(d.ev.leaves, l)
	if field < 0 {
		return nil
	}
	if s := &d.slots[field]; s.gen == d.gen {
		h := &d.ev.heads[s.head]
		d.ev.leaves[h.last].next = n
		h.last = n
	} else {
		*s = slot{d.gen, int32(len(d.ev.heads))}
		d.ev.heads = append(d.ev.heads, head{field, n, n})
	}
	return nil
}

const (
	low  = 0x0101010101010101
	high = 0x8080808080808080
)

// string finds the end of the string that begins at the quote at i.
func (d *decoder) string(i int) (end int, escaped bool, err error) {
	src := d.src
	i++
	for {
		// Eight bytes at a time as long as none of them is a quote, a backslash or a control.
		for i+8 <= len(src) {
			w := binary.LittleEndian.Uint64(src[i:])
			q, b := w^(low*'"'), w^(low*'\\')
			stop := ((q - low) &^ q) | ((b - low) &^ b) | ((w - low*0x20) &^ w)
			if stop &= high; stop != 0 {
				i += bits.TrailingZeros64(stop) / 8
				break
			}
			i += 8
		}
		if i >= len(src) {
			return 0, false, syntaxError(i, "a string does not end")
		}
		switch c := src[i]; {
		case c == '"':
			return i + 1, escaped, nil
		case c == '\\':
			escaped = true
			if i+1 >= len(src) {
				return 0, false, syntaxError(i, "a string does not end")
			}
			switch src[i+1] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				if i+6 > len(src) || hex4(src[i+2:]) < 0 {
					return 0, false, syntaxError(i, "an escape is broken")
				}
				i += 6
			default:
				return 0, false, syntaxError(i, "an escape is not known")
			}
		case c < 0x20:
			return 0, false, syntaxError(i, "a control character in a string")
		default:
			i++
		}
	}
}

func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape appends a string without its escapes. A surrogate that stands alone becomes U+FFFD.
func unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			dst = append(dst, s[i])
			i++
			continue
		}
		switch c := s[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(s[i+2:])
			i += 6
			if utf16.IsSurrogate(r) {
				second := rune(-1)
				if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
					second = hex4(s[i+2:])
				}
				if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
			continue
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
}

// number finds the end of a number, -1 when it is none.
func (d *decoder) number(i int) int {
	src := d.src
	digits := func() bool {
		from := i
		for i < len(src) && '0' <= src[i] && src[i] <= '9' {
			i++
		}
		return i > from
	}
	if src[i] == '-' {
		i++
	}
	if i < len(src) && src[i] == '0' {
		i++
	} else if !digits() {
		return -1
	}
	if i < len(src) && src[i] == '.' {
		if i++; !digits() {
			return -1
		}
	}
	if i < len(src) && (src[i] == 'e' || src[i] == 'E') {
		if i++; i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		if !digits() {
			return -1
		}
	}
	return i
}

// compact appends JSON that was checked before, without the spaces between its parts.
func compact(dst, s []byte) []byte {
	quoted := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quoted && c == '\\':
			dst = append(dst, c)
			i++
			c = s[i]
		case c == '"':
			quoted = !quoted
		case !quoted && c <= ' ':
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
