package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity says whether a diagnostic keeps a policy from compiling.
type Severity string

// The severities of a diagnostic.
const (
	Error   Severity = "error"   // there is no Program
	Warning Severity = "warning" // it compiles, and a reader should look
)

// Diagnostic is one thing that is wrong with a policy or that its reader would miss. Code is
// stable; Message says what is wrong in one line, Hint what to do about it.
type Diagnostic struct {
	Pos      Pos      `json:"pos"`
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`
	Message  string   `json:"message"`
	Hint     string   `json:"hint,omitempty"`
}

// String is "FILE:LINE:COL: error: message (hint)", the form editors jump to.
func (d Diagnostic) String() string {
	s := fmt.Sprintf("%s: %s: %s", d.Pos, d.Severity, d.Message)
	if d.Hint != "" {
		s += " (" + d.Hint + ")"
	}
	return s
}

// HasErrors reports whether one of the diagnostics keeps the policy from compiling.
func HasErrors(diags []Diagnostic) bool {
	return slices.ContainsFunc(diags, func(d Diagnostic) bool { return d.Severity == Error })
}

// Format prints diagnostics for a terminal: each with the line it is about and a caret under the
// place. Columns count characters.
func Format(diags []Diagnostic, src []byte) string {
	lines := bytes.Split(src, []byte("\n"))
	var b strings.Builder
	for _, d := range diags {
		fmt.Fprintln(&b, d)
		if d.Pos.Line < 1 || d.Pos.Line > len(lines) {
			continue
		}
		text := []rune(strings.ToValidUTF8(strings.TrimRight(string(lines[d.Pos.Line-1]), "\r"), "�"))
		text, col := excerpt(text, d.Pos.Col)
		fmt.Fprintf(&b, "%5d | %s\n      | ", d.Pos.Line, string(text))
		for i := range min(col-1, len(text)) {
			if text[i] == '\t' {
				b.WriteByte('\t') // the caret stands under its place whatever a tab is worth
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteString("^\n")
	}
	return b.String()
}

// excerpt cuts a long line down to what is around col, and makes other control characters visible
// as spaces, so that a hostile policy cannot write to the terminal.
func excerpt(text []rune, col int) ([]rune, int) {
	const width = 120
	text = slices.Clone(text)
	for i, r := range text {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			text[i] = ' '
		}
	}
	col = max(col, 1)
	if len(text) <= width {
		return text, col
	}
	start := min(max(0, col-1-width/2), len(text)-width)
	return text[start : start+width], col - start
}

// maxDiagnostics bounds what one compile reports.
const maxDiagnostics = 200

// report collects diagnostics.
type report struct {
	file  string
	last  int // the last line of the text; YAML places what is absent after it
	diags []Diagnostic
	full  int // how many more there were
}

func (r *report) add(pos Pos, severity Severity, code, hint, message string) {
	d := Diagnostic{Pos: pos, Severity: severity, Code: code, Message: oneLine(message), Hint: oneLine(hint)}
	d.Pos.File = r.file
	if d.Pos.Line > r.last {
		d.Pos.Line, d.Pos.Col = r.last, 1
	}
	d.Pos.Line, d.Pos.Col = max(1, d.Pos.Line), max(1, d.Pos.Col)
	if slices.Contains(r.diags, d) {
		return
	}
	if len(r.diags) >= maxDiagnostics {
		r.full++
		if severity == Error && !HasErrors(r.diags) {
			r.diags[len(r.diags)-1] = d // an error is never hidden by warnings
		}
		return
	}
	r.diags = append(r.diags, d)
}

// errorf reports an error; hint is "" where there is none.
func (r *report) errorf(pos Pos, code, hint, format string, args ...any) {
	r.add(pos, Error, code, hint, fmt.Sprintf(format, args...))
}

// warnf reports a warning.
func (r *report) warnf(pos Pos, code, hint, format string, args ...any) {
	r.add(pos, Warning, code, hint, fmt.Sprintf(format, args...))
}

// sorted gives the diagnostics in the order of the source.
func (r *report) sorted() []Diagnostic {
	slices.SortStableFunc(r.diags, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col), cmp.Compare(a.Severity, b.Severity))
	})
	if r.full > 0 {
		last := r.diags[len(r.diags)-1].Pos
		return append(r.diags, Diagnostic{Pos: last, Severity: Warning, Code: "more", Message: fmt.Sprintf("%d further findings are not shown", r.full)})
	}
	return r.diags
}

// oneLine keeps a message on one line and without control characters, however hostile the source.
func oneLine(s string) string {
	const most = 400
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	if len(s) > most {
		cut := most
		for cut > 0 && s[cut]&0xc0 == 0x80 {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}

// didYouMean is a hint naming the candidate nearest to name, or other where none is near.
func didYouMean(name string, candidates []string, other string) string {
	if near := nearest(name, candidates); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return other
}

// nearest is the candidate that name was most likely meant to be, or "".
func nearest(name string, candidates []string) string {
	if len(name) > 64 {
		return ""
	}
	folded := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	best, distance := "", 4 // as many letters as may differ, and one more
	switch {
	case len(folded) < 4:
		distance = 2
	case len(folded) < 9:
		distance = 3
	}
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if d := editDistance(folded, strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	if best != "" || len(folded) < 3 {
		return best
	}
	for _, c := range slices.Sorted(slices.Values(candidates)) { // duty for duties
		if singular(folded) == singular(strings.ToLower(c)) {
			return c
		}
	}
	for _, c := range slices.Sorted(slices.Values(candidates)) {
		if strings.HasPrefix(c, folded) {
			return c
		}
	}
	return ""
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours between a and b.
func editDistance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		now, last, before := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(now[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}

// list writes names as a sentence does: "a, b or c".
func list(names []string, last string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " " + last + " " + names[len(names)-1]
}
