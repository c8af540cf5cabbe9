package sigma

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// part is what one piece of a pattern stands for.
type part uint8

const (
	literal part = iota
	anyRun       // *: any number of characters
	anyOne       // ?: one character
	anyDash      // a dash of windash: one of - / – — ―
)

// piece is a piece of a pattern; text is that of a literal.
type piece struct {
	part part
	text string
}

// pattern is a string value of a rule with its wildcards.
type pattern []piece

// dashes are what windash makes interchangeable.
const dashes = "-/–—―"

// parsePattern reads a string value: * and ? are wildcards, a backslash takes the meaning from
// the wildcard or the backslash that follows it and stands for itself before anything else.
func parsePattern(s string) pattern {
	var p pattern
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			p = append(p, piece{literal, b.String()})
			b.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			if i+1 < len(s) && (s[i+1] == '\\' || s[i+1] == '*' || s[i+1] == '?') {
				i++
			}
			b.WriteByte(s[i])
		case '*':
			flush()
			if len(p) == 0 || p[len(p)-1].part != anyRun {
				p = append(p, piece{part: anyRun})
			}
		case '?':
			flush()
			p = append(p, piece{part: anyOne})
		default:
			b.WriteByte(c)
		}
	}
	flush()
	return p
}

func plainPattern(s string) pattern {
	if s == "" {
		return nil
	}
	return pattern{{literal, s}}
}

// plain gives the text of a pattern without wildcards.
func (p pattern) plain() (string, bool) {
	switch {
	case len(p) == 0:
		return "", true
	case len(p) == 1 && p[0].part == literal:
		return p[0].text, true
	}
	return "", false
}

func (p pattern) starts() bool { return len(p) > 0 && p[0].part == anyRun }
func (p pattern) ends() bool   { return len(p) > 0 && p[len(p)-1].part == anyRun }

// open lets anything stand before, after or on both sides of the pattern.
func (p pattern) open(before, after bool) pattern {
	out := make(pattern, 0, len(p)+2)
	if before && !p.starts() {
		out = append(out, piece{part: anyRun})
	}
	out = append(out, p...)
	if after && !out.ends() {
		out = append(out, piece{part: anyRun})
	}
	return out
}

// String writes the pattern as a rule would.
func (p pattern) String() string {
	var b strings.Builder
	for _, e := range p {
		switch e.part {
		case anyRun:
			b.WriteByte('*')
		case anyOne:
			b.WriteByte('?')
		case anyDash:
			b.WriteByte('-')
		default:
			for _, c := range []byte(e.text) {
				if c == '*' || c == '?' || c == '\\' {
					b.WriteByte('\\')
				}
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}

// windash replaces each dash that begins a word, which is how an option of a command line is
// written, with any dash that command lines take.
func (p pattern) windash() pattern {
	var out pattern
	for _, e := range p {
		if e.part != literal {
			out = append(out, e)
			continue
		}
		from, before := 0, ' '
		for i, r := range e.text {
			size := utf8.RuneLen(r)
			if size > 0 && strings.ContainsRune(dashes, r) && !wordRune(before) {
				if next, _ := utf8.DecodeRuneInString(e.text[i+size:]); i+size < len(e.text) && wordRune(next) {
					if i > from {
						out = append(out, piece{literal, e.text[from:i]})
					}
					out = append(out, piece{part: anyDash})
					from = i + size
				}
			}
			before = r
		}
		if from < len(e.text) {
			out = append(out, piece{literal, e.text[from:]})
		}
	}
	return out
}

func wordRune(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// errTooMany refuses an expansion that would not end.
var errTooMany = errors.New("this value expands into too many variants: write fewer dashes")

// spell writes out the dashes of a pattern, for modifiers that encode text.
func (p pattern) spell() ([]pattern, error) {
	all := []pattern{nil}
	for _, e := range p {
		if e.part != anyDash {
			for i := range all {
				all[i] = append(all[i][:len(all[i]):len(all[i])], e)
			}
			continue
		}
		var next []pattern
		for _, q := range all {
			for _, d := range dashes {
				next = append(next, append(q[:len(q):len(q)], piece{literal, string(d)}))
			}
		}
		if all = next; len(all) > maxExpansion {
			return nil, errTooMany
		}
	}
	for i := range all {
		all[i] = all[i].join()
	}
	return all, nil
}

// join makes neighbouring literals one.
func (p pattern) join() pattern {
	var out pattern
	for _, e := range p {
		if n := len(out); n > 0 && e.part == literal && out[n-1].part == literal {
			out[n-1].text += e.text
		} else {
			out = append(out, e)
		}
	}
	return out
}

// wide encodes the literals as UTF-16.
func (p pattern) wide(bigEndian, mark bool) pattern {
	var out pattern
	if mark {
		out = append(out, piece{literal, "\xff\xfe"})
	}
	for _, e := range p {
		if e.part == literal {
			var b []byte
			for _, u := range utf16Units(e.text) {
				if bigEndian {
					b = append(b, byte(u>>8), byte(u))
				} else {
					b = append(b, byte(u), byte(u>>8))
				}
			}
			e.text = string(b)
		}
		out = append(out, e)
	}
	return out.join()
}

func utf16Units(s string) (units []uint16) {
	for _, r := range s {
		if r > 0xffff {
			r -= 0x10000
			units = append(units, uint16(0xd800+(r>>10)), uint16(0xdc00+(r&0x3ff)))
			continue
		}
		units = append(units, uint16(r))
	}
	return units
}

// base64Offsets are the three forms that a text takes inside Base64, without the characters that
// depend on what stands beside it.
func base64Offsets(s string) []string {
	from, to := [3]int{0, 2, 3}, [3]int{0, 3, 2}
	out := make([]string, 3)
	for i := range 3 {
		enc := base64.StdEncoding.EncodeToString(append(bytes.Repeat([]byte{' '}, i), s...))
		end := len(enc) - to[(len(s)+i)%3]
		out[i] = enc[min(from[i], end):end]
	}
	return out
}

// fold appends s in lower case. Bytes that are no UTF-8 stay as they are.
func fold(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, c)
		} else {
			dst = utf8.AppendRune(dst, foldRune(r))
		}
		i += size
	}
	return dst
}

// foldRune gives letters that differ in their case alone the same one: σ and ς are one Σ, and ſ is an s.
func foldRune(r rune) rune {
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return unicode.ToLower(least)
}

func folded(s string) string { return string(fold(nil, []byte(s))) }

// glob is a compiled pattern. Its literals are folded unless it is cased.
type glob []piece

func (p pattern) glob(cased bool) glob {
	g := make(glob, len(p))
	for i, e := range p {
		if !cased {
			e.text = folded(e.text)
		}
		g[i] = e
	}
	return g
}

// match reports whether all of s is matched, and how many bytes were looked at to find out. It
// goes back to the last * only, so the work is bounded by the product of the lengths.
func (g glob) match(s []byte) (bool, int) {
	work := 1
	i, at := 0, 0       // next piece, next byte
	star, mark := -1, 0 // piece after the last *, where it was last tried
	for {
		if i < len(g) && g[i].part == anyRun {
			if i++; i == len(g) {
				return true, work
			}
			star, mark = i, at
			continue
		}
		if i == len(g) {
			if at == len(s) {
				return true, work
			}
		} else if n := g[i].prefix(s[at:]); n >= 0 {
			work += n + 1
			at += n
			i++
			continue
		}
		if star < 0 || mark >= len(s) {
			return false, work
		}
		// Try the piece after the * further on; a literal can only be where it is found.
		_, size := utf8.DecodeRune(s[mark:])
		mark += size
		if g[star].part == literal {
			n := bytes.Index(s[mark:], []byte(g[star].text))
			if n < 0 {
				return false, work + len(s) - mark
			}
			work += n
			mark += n
		}
		work++
		i, at = star, mark
	}
}

// prefix gives the number of bytes that the piece takes at the start of s, -1 for none.
func (e piece) prefix(s []byte) int {
	switch e.part {
	case literal:
		if len(s) >= len(e.text) && string(s[:len(e.text)]) == e.text {
			return len(e.text)
		}
		return -1
	case anyOne:
		if len(s) == 0 {
			return -1
		}
		_, size := utf8.DecodeRune(s)
		return size
	case anyDash:
		r, size := utf8.DecodeRune(s)
		if len(s) > 0 && strings.ContainsRune(dashes, r) && (r != utf8.RuneError) {
			return size
		}
	}
	return -1
}

// needs gives the literals of the pattern, folded: a text that it matches has all of them.
func (p pattern) needs() (out []string) {
	for _, e := range p {
		if e.part == literal {
			out = append(out, folded(e.text))
		}
	}
	return out
}
