package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// show prints v as JSON when --json was given, and otherwise calls plain.
func (a *app) show(v any, plain func(w io.Writer)) error {
	if a.asJSON {
		e := json.NewEncoder(a.deps.Out)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}
	plain(a.deps.Out)
	return nil
}

// width is how many columns the terminal has: COLUMNS where it is set, else what the terminal says.
func (a *app) width() int {
	n, err := strconv.Atoi(a.deps.Getenv("COLUMNS"))
	if err != nil {
		n, _ = terminalSize(a.deps.Out)
	}
	if n >= 40 {
		return min(n, 400)
	}
	return 100
}

// colours are the escape sequences of states; everything else is printed as it is. A colour always
// stands beside a word and a shape.
var colours = map[string]string{
	"ok": "32", "met": "32", "warn": "33", "at_risk": "33", "fail": "31", "missed": "31", "met_late": "31",
	"waiting": "90", "critical": "31", "dim": "90", "bold": "1",
}

// paint gives a function that colours text by a state, or leaves it as it is where w is no terminal
// or NO_COLOR is set (no-color.org).
func (a *app) paint(w io.Writer) func(state, text string) string {
	if !a.colour(w) {
		return func(_, text string) string { return text }
	}
	return func(state, text string) string {
		if code, ok := colours[state]; ok {
			return "\x1b[" + code + "m" + text + "\x1b[0m"
		}
		return text
	}
}

func (a *app) colour(w io.Writer) bool {
	_, on := terminalSize(w)
	return on > 0 && a.deps.Getenv("NO_COLOR") == "" && a.deps.Getenv("TERM") != "dumb"
}

// table prints rows under a header, within the terminal's width: the column named flex gives way,
// and its text is cut with an ellipsis. Nothing wraps.
func (a *app) table(w io.Writer, flex int, header []string, rows [][]string) {
	widths := make([]int, len(header))
	for i, h := range header {
		widths[i] = utf8.RuneCountInString(h)
	}
	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	total := 2 * (len(header) - 1)
	for _, n := range widths {
		total += n
	}
	if over := total - a.width(); over > 0 {
		widths[flex] = max(widths[flex]-over, 8)
	}
	line := func(cells []string) {
		var b strings.Builder
		for i, cell := range cells {
			cell = cut(cell, widths[i])
			b.WriteString(cell)
			if i < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	line(header)
	for _, row := range rows {
		line(row)
	}
}

func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// oneLine makes text from elsewhere safe for a terminal: control characters and characters that
// turn the direction of text round become spaces, so that a merchant's name cannot forge a line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return ' '
		}
		return r
	}, s)
}

// lines makes text of several lines safe for a terminal.
func lines(s string) string {
	parts := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i := range parts {
		parts[i] = oneLine(parts[i])
	}
	return strings.Join(parts, "\n")
}

// when prints an instant with its zone and how far it is from now.
func (a *app) when(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC") + " (" + relative(t.Sub(a.deps.Now())) + ")"
}

func relative(d time.Duration) string {
	if d < 0 {
		return span(-d) + " ago"
	}
	return "in " + span(d)
}

// span prints a length of time with its two largest units.
func span(d time.Duration) string {
	d = d.Round(time.Minute)
	days, hours, minutes := int(d/(24*time.Hour)), int(d/time.Hour), int(d/time.Minute)%60
	switch {
	case d < time.Minute:
		return "less than a minute"
	case hours >= 96:
		return fmt.Sprintf("%d d %d h", days, hours%24)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	}
	return fmt.Sprintf("%d min", minutes)
}

// number groups the digits of a count.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}
