package policy

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// inside is the place in the source of line and col (line counts from 1, col from 0, both in
// characters) of the text src, which begins offset bytes into t. Where the way YAML wrote the text
// leaves the place open, it is where the text begins.
func (r *reader) inside(t text, offset int, src string, line, col int) Pos {
	index := offset
	for rest := src; line > 1; line-- {
		_, after, ok := strings.Cut(rest, "\n")
		if !ok {
			break
		}
		index += len(rest) - len(after)
		rest = after
	}
	for ; col > 0 && index < len(t.s); col-- {
		_, size := utf8.DecodeRuneInString(t.s[index:])
		index += size
	}
	if t.node == nil || t.node.Line < 1 || t.node.Line > len(r.lines) {
		return t.pos
	}
	if t.pos.Line != t.node.Line || t.pos.Col != t.node.Column {
		return t.pos // an alias: the place the author looks at is where it is used
	}
	switch {
	case t.node.Style&yaml.LiteralStyle != 0:
		return r.insideLiteral(t, index)
	case t.node.Style&yaml.FoldedStyle != 0:
		return t.pos
	}
	return r.insideLine(t, index)
}

// insideLine finds index in a plain or quoted text that stands on one line.
func (r *reader) insideLine(t text, index int) Pos {
	line := string(r.lines[t.node.Line-1])
	at := 0
	for i := 1; i < t.node.Column && at < len(line); i++ {
		_, size := utf8.DecodeRuneInString(line[at:])
		at += size
	}
	quote := byte(0)
	switch {
	case t.node.Style&yaml.SingleQuotedStyle != 0:
		quote = '\''
	case t.node.Style&yaml.DoubleQuotedStyle != 0:
		quote = '"'
	}
	if quote != 0 {
		if at >= len(line) || line[at] != quote {
			return t.pos
		}
		at++
	}
	for _, want := range t.s[:index] {
		if at >= len(line) {
			return t.pos // it goes on on the next line
		}
		got, size := utf8.DecodeRuneInString(line[at:])
		switch {
		case quote == '\'' && got == '\'':
			size = 2
		case quote == '"' && got == '\\':
			if at+1 >= len(line) || !strings.ContainsRune(`"\/`, rune(line[at+1])) {
				return t.pos // an escape this does not follow
			}
			size = 2
		case got != want:
			return t.pos
		}
		at += size
	}
	if at > len(line) {
		return t.pos
	}
	return Pos{File: t.pos.File, Line: t.node.Line, Col: utf8.RuneCountInString(line[:at]) + 1}
}

// insideLiteral finds index in a literal block, whose lines follow the one with the mark.
func (r *reader) insideLiteral(t text, index int) Pos {
	down := strings.Count(t.s[:index], "\n") + 1
	if t.node.Line-1+down >= len(r.lines) {
		return t.pos
	}
	line := string(r.lines[t.node.Line-1+down])
	first := t.s[strings.LastIndexByte(t.s[:index], '\n')+1:]
	first, _, _ = strings.Cut(first, "\n")
	indent := strings.Index(line, first)
	if indent < 0 {
		return t.pos
	}
	col := utf8.RuneCountInString(t.s[strings.LastIndexByte(t.s[:index], '\n')+1 : index])
	return Pos{File: t.pos.File, Line: t.node.Line + down, Col: indent + col + 1}
}
