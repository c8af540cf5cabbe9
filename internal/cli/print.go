package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
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
	a.folded(plain)
	return nil
}

// exact is show for what another program, or a person's eye, takes letter by letter: a signed note, a
// difference, a mail. Its lines are never broken.
func (a *app) exact(v any, plain func(w io.Writer)) error {
	if a.asJSON {
		return a.show(v, nil)
	}
	plain(a.deps.Out)
	return nil
}

// folded prints what write writes, with lines that are too long for the terminal broken between words.
func (a *app) folded(write func(w io.Writer)) {
	Folded(a.deps.Out, a.deps.Getenv, write)
}

// width is how many columns the terminal has: COLUMNS where it is set, else what the terminal says.
func (a *app) width() int {
	if n := columnsOf(a.deps.Out, a.deps.Getenv); n >= 40 {
		return min(n, 400)
	}
	return 100
}

// narrow says that it is known how wide lines may be.
func (a *app) narrow() bool { return columnsOf(a.deps.Out, a.deps.Getenv) > 0 }

// colours are the escape sequences of states; everything else is printed as it is. A colour always
// stands beside a word and a shape.
var colours = map[string]string{
	"ok": "32", "met": "32", "warn": "33", "at_risk": "33", "fail": "31", "missed": "31", "met_late": "31",
	"waiting": "90", "critical": "31", "dim": "90", "bold": "1",
}

// paint gives a function that colours text by a state, or leaves it as it is where the output
// is no terminal or NO_COLOR is set (no-color.org).
func (a *app) paint() func(state, text string) string {
	if !a.colour() {
		return func(_, text string) string { return text }
	}
	return func(state, text string) string {
		if code, ok := colours[state]; ok {
			return "\x1b[" + code + "m" + text + "\x1b[0m"
		}
		return text
	}
}

func (a *app) colour() bool {
	_, on := terminalSize(a.deps.Out)
	return on > 0 && a.deps.Getenv("NO_COLOR") == "" && a.deps.Getenv("TERM") != "dumb"
}

// table prints rows under a header, within the terminal's width: the column numbered flex gives way
// first, and its text is cut with an ellipsis. Nothing wraps.
func (a *app) table(w io.Writer, flex int, header []string, rows [][]string) {
	a.painted(w, a.paint(), []int{flex}, header, rows, nil)
}

// painted is table with several columns that give way, and rows that may have the colour of a state.
func (a *app) painted(w io.Writer, paint func(state, text string) string, flex []int, header []string, rows [][]string, states []string) {
	widths := make([]int, len(header))
	for i, h := range header {
		widths[i] = cells(h)
	}
	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
			widths[i] = max(widths[i], cells(row[i]))
		}
	}
	if a.narrow() { // else nobody knows: what is piped into another program is better long than cut
		whole := slices.Clone(widths)
		fit(widths, flex, a.width()-2*(len(header)-1))
		for i, n := range widths {
			if n < whole[i] && a.width() < 60 && !slices.Contains(flex, i) {
				a.stacked(w, paint, header, rows, states)
				return
			}
		}
	}
	line := func(row []string) string {
		var b strings.Builder
		for i, text := range row {
			text = cut(text, widths[i])
			b.WriteString(text)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", max(0, widths[i]-cells(text))+2))
			}
		}
		return strings.TrimRight(b.String(), " ")
	}
	fmt.Fprintln(w, paint("dim", line(header)))
	for i, row := range rows {
		state := ""
		if i < len(states) {
			state = states[i]
		}
		fmt.Fprintln(w, paint(state, line(row)))
	}
}

// stacked prints each row as a few lines, a column on each: a terminal that is too narrow for the table would cut
// the times and names that the table is there for.
func (a *app) stacked(w io.Writer, paint func(state, text string) string, header []string, rows [][]string, states []string) {
	label := 0
	for _, h := range header {
		label = max(label, cells(h))
	}
	for i, row := range rows {
		state := ""
		if i < len(states) {
			state = states[i]
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		for j, text := range row {
			if text == "" {
				continue
			}
			head := header[j] + strings.Repeat(" ", label-cells(header[j]))
			for _, part := range wrapped(text, max(8, a.width()-label-2)) {
				fmt.Fprintln(w, paint("dim", head)+"  "+paint(state, part))
				head = strings.Repeat(" ", label)
			}
		}
	}
}

// fit makes columns narrower until they have room: those that give way down to 8, then whichever is
// the widest down to 4.
func fit(widths, flex []int, room int) {
	total := 0
	for _, n := range widths {
		total += n
	}
	widest := func(among []int, least int) int {
		best := -1
		for _, i := range among {
			if widths[i] > least && (best < 0 || widths[i] > widths[best]) {
				best = i
			}
		}
		return best
	}
	all := make([]int, len(widths))
	for i := range all {
		all[i] = i
	}
	for ; total > room; total-- {
		i := -1
		for _, f := range flex { // in their order, so that what matters more stays longer
			if i < 0 && widths[f] > 8 {
				i = f
			}
		}
		if i < 0 {
			i = widest(all, 4)
		}
		if i < 0 {
			return // nothing gives way, or it is a terminal that has not room for a letter of each
		}
		widths[i]--
	}
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
