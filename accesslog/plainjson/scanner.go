// Package plainjson reads JSON as events mostly are: texts without escapes, counts, little else. It is
// several times faster than a general parser and gives up on whatever it does not know, so that a
// caller has both: this first, and the general one for the rest. What it reads it reads as that one
// does.
package plainjson

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Scanner walks one JSON text from front to end.
//
//	for s.Enter('{'); s.More('}'); {
//		switch string(s.Key()) {
//		case "id":
//			id = s.Text()
//		default:
//			s.Skip()
//		}
//	}
//	if !s.Done() { … the general parser … }
type Scanner struct {
	b     []byte
	at    int
	lost  bool // it met something it does not read; what it gave counts for nothing
	begun bool // of the object or array at hand, a member was read
}

// Of returns a scanner of a text. What it gives are parts of the text.
func Of(b []byte) Scanner { return Scanner{b: b} }

// Done says whether all of the text was read and understood.
func (s *Scanner) Done() bool {
	s.blank()
	return !s.lost && s.at == len(s.b)
}

// Lose gives up.
func (s *Scanner) Lose() { s.lost = true }

// blank goes over white space.
func (s *Scanner) blank() {
	for s.at < len(s.b) && s.b[s.at] <= ' ' {
		switch s.b[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			s.lost = true
			return
		}
	}
}

func (s *Scanner) expect(c byte) {
	if s.at < len(s.b) && s.b[s.at] <= ' ' {
		s.blank()
	}
	if s.at >= len(s.b) || s.b[s.at] != c {
		s.lost = true
		return
	}
	s.at++
}

// Enter goes into an object, which open is '{' for, or an array.
func (s *Scanner) Enter(open byte) {
	s.expect(open)
	s.begun = false
}

// More says whether another member or element follows, and leaves the object or array when none does.
func (s *Scanner) More(end byte) bool {
	if !s.lost && s.at < len(s.b) && s.b[s.at] <= ' ' {
		s.blank()
	}
	if s.lost || s.at >= len(s.b) {
		s.lost = true
		return false
	}
	if s.b[s.at] == end {
		s.at++
		s.begun = true // the one around it has had this member
		return false
	}
	if s.begun {
		s.expect(',')
	}
	s.begun = true
	return !s.lost
}

// Key reads the name of a member.
func (s *Scanner) Key() []byte {
	k := s.Text()
	s.expect(':')
	return k
}

// Text reads a string without escapes.
func (s *Scanner) Text() []byte {
	s.expect('"')
	if s.lost {
		return nil
	}
	b := s.b[s.at:]
	n := 0
	for ; n+8 <= len(b); n += 8 {
		if m := special(binary.LittleEndian.Uint64(b[n:])); m != 0 {
			n += bits.TrailingZeros64(m) / 8
			break
		}
	}
	for ; n < len(b); n++ {
		switch c := b[n]; {
		case c == '"':
			s.at += n + 1
			return b[:n:n]
		case c == '\\' || c < ' ':
			s.lost = true
			return nil
		}
	}
	s.lost = true
	return nil
}

// special marks the first of eight bytes that is a quote, a backslash or a control character by the high
// bit of its place; 0 when none is. What it marks behind the first may be wrong.
func special(x uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, slash := x^ones*'"', x^ones*'\\'
	return ((x-ones*' ')&^x | (quote-ones)&^quote | (slash-ones)&^slash) & high
}

// Count reads a whole number of up to 18 digits that is not negative.
func (s *Scanner) Count() (n int64) {
	if s.at < len(s.b) && s.b[s.at] <= ' ' {
		s.blank()
	}
	from := s.at
	for s.at < len(s.b) && s.b[s.at] >= '0' && s.b[s.at] <= '9' {
		n = n*10 + int64(s.b[s.at]-'0')
		s.at++
	}
	length := s.at - from
	switch {
	case length == 0, length > 18, length > 1 && s.b[from] == '0':
		s.lost = true
	case s.at < len(s.b) && (s.b[s.at] == '.' || s.b[s.at] == 'e' || s.b[s.at] == 'E'):
		s.lost = true
	}
	return n
}

// Yes reads true.
func (s *Scanner) Yes() bool {
	if s.lost || !bytes.HasPrefix(s.b[s.at:], []byte("true")) {
		s.lost = true
		return false
	}
	s.at += len("true")
	return true
}

// Skip goes over a value of any kind and returns it. It only looks for its end: of a text that is not
// JSON it may find one.
func (s *Scanner) Skip() []byte {
	s.blank()
	from, depth := s.at, 0
	for ; s.at < len(s.b); s.at++ {
		switch s.b[s.at] {
		case '"':
			for s.at++; s.at < len(s.b) && s.b[s.at] != '"'; s.at++ {
				if s.b[s.at] == '\\' {
					s.at++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth < 0 {
				return s.b[from:s.at]
			}
		case ',':
			if depth == 0 {
				return s.b[from:s.at]
			}
		}
	}
	s.lost = true
	return nil
}
