package policy

import (
	"regexp"
	"strings"
)

// flowTrap finds what inside { } or [ ] the YAML library stumbled over: it says only on which line
// the mapping begins. The texts of a policy are sentences, and those have commas, colons and
// question marks.
func flowTrap(lines [][]byte, first int) (pos Pos, hint string, ok bool) {
	const most = 60 // lines of one mapping in braces
	var open []Pos
	var openKind []byte
	for n := first; n < len(lines) && n < first+most; n++ {
		line := []rune(string(lines[n]))
		if n > first && len(open) > 0 && keyForm.MatchString(string(lines[n])) {
			return open[0], "close this " + bracketName(openKind[0]) + " before the next key begins", true
		}
		start := -1     // of the plain text we are in
		valued := false // behind a key's colon
		for i := 0; i < len(line); i++ {
			c := line[i]
			next := rune(' ')
			if i+1 < len(line) {
				next = line[i+1]
			}
			at := Pos{Line: n + 1, Col: i + 1}
			switch {
			case start < 0 && (c == '"' || c == '\''):
				end := endOfQuoted(line, i)
				if end < 0 {
					if n == first || len(open) > 0 {
						return at, "close this quote", true
					}
					return Pos{}, "", false
				}
				after := end + 1
				for after < len(line) && line[after] == ' ' {
					after++
				}
				if valued && len(open) > 0 && after < len(line) && !strings.ContainsRune(",}]#\r", line[after]) {
					return at, "quotes go around the whole text: " + inQuotes(string(upTo(line, i))), true
				}
				i = end
			case start < 0 && c == '#' && (i == 0 || line[i-1] == ' '):
				i = len(line)
			case len(open) == 0 && (c == '{' || c == '[') && start < 0, len(open) > 0 && start < 0 && (c == '{' || c == '['):
				open, openKind = append(open, at), append(openKind, byte(c))
				valued = false
			case len(open) == 0:
				if c == ':' && next == ' ' {
					start = -1
					continue
				}
				if c != ' ' && start < 0 && c != '-' {
					start = i
				}
			case c == '}' || c == ']':
				open, openKind = open[:len(open)-1], openKind[:len(openKind)-1]
				start, valued = -1, true
			case c == ',':
				if start >= 0 && i > 0 && line[i-1] == '?' {
					return Pos{Line: n + 1, Col: start + 1}, "inside { } a text with a question mark needs quotes: " + inQuotes(string(line[start:i])), true
				}
				start, valued = -1, false
			case c == ':' && (next == ' ' || i+1 == len(line)):
				if valued && start >= 0 {
					return Pos{Line: n + 1, Col: start + 1}, "inside { } a text with a colon needs quotes: " + inQuotes(string(upTo(line, start))), true
				}
				start, valued = -1, true
			case start >= 0 && (c == '[' || c == '{'):
				return Pos{Line: n + 1, Col: start + 1}, "inside { } a text with a bracket needs quotes: \"" + strings.TrimSpace(string(line[start:i])) + " " + string(c) + "…\"", true
			case start < 0 && strings.ContainsRune("!&*@%`|>", c):
				return at, "a text that begins with " + string(c) + " needs quotes: " + inQuotes(string(upTo(line, i))), true
			case start < 0 && c != ' ' && c != '\r':
				start = i
			}
		}
		if len(open) == 0 {
			return Pos{}, "", false
		}
	}
	if len(open) > 0 {
		return open[len(open)-1], "close this " + bracketName(openKind[len(openKind)-1]), true
	}
	return Pos{}, "", false
}

var keyForm = regexp.MustCompile(`^ *(?:- )?[A-Za-z_]\w*: *(?:[{\["'|>#]|$)`)

func bracketName(c byte) string {
	if c == '[' {
		return "bracket"
	}
	return "brace"
}

// endOfQuoted is the index of the quote that ends the one at i, -1 for none on this line.
func endOfQuoted(line []rune, i int) int {
	for j := i + 1; j < len(line); j++ {
		switch {
		case line[i] == '"' && line[j] == '\\':
			j++
		case line[j] != line[i]:
		case line[i] == '\'' && j+1 < len(line) && line[j+1] == '\'':
			j++
		default:
			return j
		}
	}
	return -1
}

// upTo is a text inside braces up to where the next key or the end begins.
func upTo(line []rune, start int) []rune {
	for i := start; i < len(line); i++ {
		if line[i] == '}' || line[i] == ',' || line[i] == ']' {
			return line[start:i]
		}
	}
	return line[start:]
}

func inQuotes(text string) string {
	return "\"" + short(strings.TrimSpace(strings.ReplaceAll(text, "\"", "'"))) + "\""
}

var (
	secondColon = regexp.MustCompile(`^( *(?:- +)?[A-Za-z_][\w-]*: +)([^"'{\[|>#].*?: .*)$`)
	noColon     = regexp.MustCompile(`^ *(?:- +)?([A-Za-z_]\w*) +[{\[]`)
	noSpace     = regexp.MustCompile(`^ *(?:- +)?([A-Za-z_]\w*):([^ /].*)$`)
)

// blockTrap finds what in a line without braces is not YAML.
func blockTrap(line string) (col int, hint string, ok bool) {
	if m := noColon.FindStringSubmatchIndex(line); m != nil {
		return len([]rune(line[:m[3]])) + 1, "write a colon behind " + line[m[2]:m[3]], true
	}
	if m := noSpace.FindStringSubmatchIndex(line); m != nil {
		return len([]rune(line[:m[4]])) + 1, "write a space behind the colon: " + line[m[2]:m[3]] + ": " + short(strings.TrimSpace(line[m[4]:m[5]])), true
	}
	if m := secondColon.FindStringSubmatchIndex(line); m != nil {
		return len([]rune(line[:m[4]])) + 1, "put quotes around a text that contains a colon: " + inQuotes(strings.TrimSpace(line[m[4]:m[5]])), true
	}
	return 0, "", false
}
