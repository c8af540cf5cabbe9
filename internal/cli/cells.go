package cli

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// cells is how many columns of a terminal text takes: two for a letter of Chinese, Japanese or Korean and
// for most emoji, none for a mark that stands on another letter and for a colour.
func cells(s string) int {
	n := 0
	for _, p := range pieces(s) {
		n += p.gap + p.cells
	}
	return n
}

// cell is how many columns one character takes.
func cell(r rune) int {
	switch {
	case r >= 0x1160 && r <= 0x11ff: // vowels and finals that join the consonant before them to one syllable
		return 0
	case r != '\u00ad' && unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// piece is text that stays on one line, and the spaces before it.
type piece struct {
	gap   int
	text  string
	cells int
}

// pieces are the words of a text, and each wide character by itself: scripts that have no spaces are
// broken between characters. A mark and an escape sequence stay with what they follow.
func pieces(s string) []piece {
	var all []piece
	var now piece
	wide := false
	flush := func() {
		if now.text != "" {
			all, now, wide = append(all, now), piece{}, false
		}
	}
	escape := false
	for _, r := range s {
		n := cell(r)
		switch {
		case escape || r == '\x1b':
			escape = r != 'm'
			n = 0
		case r == ' ':
			flush()
			now.gap++
			continue
		case n == 2 || n == 1 && wide:
			flush()
			wide = n == 2
		}
		now.text += string(r)
		now.cells += n
	}
	if now.text != "" || now.gap > 0 {
		all = append(all, now)
	}
	return all
}

// cut shortens text to n cells, with an ellipsis for what is left out.
func cut(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	at := 0
	for i, r := range s {
		if at += cell(r); at > n-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// wrapped breaks a sentence into lines of at most n cells.
func wrapped(s string, n int) []string { return broken(strings.Join(strings.Fields(s), " "), n, n) }

// broken breaks a line into a first one and others, none with more cells than it may have unless a
// word has. Spaces inside a line stay as they are: they may be columns.
func broken(s string, first, rest int) []string {
	var lines []string
	var b strings.Builder
	at, room, begun := 0, first, false
	for _, p := range pieces(s) {
		if begun && at+p.gap+p.cells > room {
			lines = append(lines, b.String())
			b.Reset()
			at, room, p.gap = 0, rest, 0
		}
		b.WriteString(strings.Repeat(" ", p.gap))
		b.WriteString(p.text)
		at += p.gap + p.cells
		begun = true
	}
	return append(lines, b.String())
}

// columnsOf is how wide lines may be on what out writes to: COLUMNS where it is set, else what the
// terminal says; 0: nobody knows.
func columnsOf(out io.Writer, getenv func(string) string) int {
	if n, err := strconv.Atoi(getenv("COLUMNS")); err == nil {
		return max(n, 0)
	}
	n, _ := terminalSize(out)
	return n
}

// Folded prints what write writes. Where it is known how wide lines may be, those that are longer go on
// below, two columns further in; elsewhere they are left whole, for the program that reads them.
func Folded(out io.Writer, getenv func(string) string, write func(w io.Writer)) {
	columns := columnsOf(out, getenv)
	if columns < 40 {
		write(out)
		return
	}
	var all bytes.Buffer
	write(&all)
	var folded bytes.Buffer
	for line := range strings.Lines(all.String()) {
		text, end := strings.CutSuffix(line, "\n")
		in := min(len(text)-len(strings.TrimLeft(text, " "))+2, columns/2)
		folded.WriteString(strings.Join(broken(text, columns, columns-in), "\n"+strings.Repeat(" ", in)))
		if end {
			folded.WriteByte('\n')
		}
	}
	out.Write(folded.Bytes())
}
