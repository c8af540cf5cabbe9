package drill

import (
	"encoding/xml"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// measured is what a drill prints of the machine it ran on and not of the story: real times, sizes, and
// how many facts, mails and checkpoints a fast or a slow machine comes to. What stands instead is a
// drill that was once recorded.
var measured = []struct{ was, is string }{
	{`HTTP 200 in [0-9]+ ms`, "HTTP 200 in 1 ms"},
	{`after [0-9.]+m?s \(real time\)`, "after 3ms (real time)"},
	{`[0-9.]+m?s / ([0-9]s) +real `, "3ms / $1               real "}, // in a column of 22
	{`\b[0-9]+(\.[0-9]+)? [KM]iB\b`, "739 KiB"},
	{`, [0-9]+\.[0-9] s\n`, ", 16.0 s\n"},
	{`\b[0-9]+ facts`, "1036 facts"},
	{`\b[0-9]+ earlier checkpoints`, "34 earlier checkpoints"},
	{`\b[0-9]+ mails`, "191 mails"},
	{`\b[0-9]+ uncertain`, "3 uncertain"},
	{`events in [0-9]+ leaves`, "events in 5 leaves"},
}

// asRecorded is what a drill in a folder said, as it would have said it in .drill/last and on any machine.
func asRecorded(told, dir string) string {
	s := steady(strings.ReplaceAll(told, dir, ".drill/last"))
	for _, m := range measured {
		s = regexp.MustCompile(m.was).ReplaceAllString(s, m.is)
	}
	return regexp.MustCompile(` +\n`).ReplaceAllString(s, "\n")
}

const (
	columns, rows = 132, 36
	letter, line  = 7.83, 18.0 // pixels
	margin        = 16.0
	hold          = 10.0 // seconds for which the end stays
)

// film draws what a terminal of some size shows while a text is printed, as an SVG that plays by itself
// and stands at its end for whoever wants no motion. Between two lines it waits longer the longer the
// drill's clock went on: an hour is a second and a half, and nothing is longer than two.
func film(text string) []byte {
	var lines []string
	var at []float64 // seconds from the beginning
	var clock time.Time
	now := 0.0
	for l := range strings.Lines(strings.TrimSpace(text) + "\n") {
		l = strings.TrimRight(l, "\n")
		pause := 0.12
		if len(l) > len(time.Stamp) {
			if t, err := time.Parse("Mon 02 Jan 15:04:05 2006", l[:min(len(l), 19)]+" 2026"); err == nil {
				if pause = 0.25; !clock.IsZero() {
					pause = min(2, 0.25+0.21*math.Log2(1+t.Sub(clock).Minutes()))
				}
				clock = t
			}
		}
		now += pause
		for first := true; first || l != ""; first = false { // a terminal wraps
			r := []rune(l)
			n := min(len(r), columns)
			lines, at = append(lines, string(r[:n])), append(at, now)
			l = string(r[n:])
		}
	}
	end := now + hold
	// The screen fills from the top and then rolls; what is not printed yet lies under a cover that goes down.
	roll := func(printed int) float64 { return -line * float64(max(0, printed-rows)) }
	cover := func(printed int) float64 { return line * float64(min(printed, rows)) }

	var b strings.Builder
	width, height := columns*letter+2*margin, rows*line+2*margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f">`+"\n", width, height, width, height)
	b.WriteString("<title>A terminal in which tocsin drill plays a breach and prints its scorecard</title>\n<style>\n")
	b.WriteString("text { font: 13px ui-monospace, \"DejaVu Sans Mono\", Menlo, Consolas, monospace; white-space: pre; fill: #e6e9ec }\nrect { fill: #14171a }\n")
	for _, part := range []struct {
		name string
		y    func(printed int) float64
	}{{"roll", roll}, {"cover", cover}} {
		fmt.Fprintf(&b, ".%s { transform: translateY(%.0fpx); animation: %s %.2fs step-end infinite }\n@keyframes %s {\n", part.name, part.y(len(lines)), part.name, end-at[0], part.name)
		for i := range lines {
			if i == len(lines)-1 || at[i+1] > at[i] { // what is printed at once is seen at once
				fmt.Fprintf(&b, "%.3f%% { transform: translateY(%.0fpx) }\n", 100*(at[i]-at[0])/(end-at[0]), part.y(i+1))
			}
		}
		b.WriteString("}\n")
	}
	b.WriteString("@media (prefers-reduced-motion: reduce) { .roll, .cover { animation: none } }\n</style>\n")
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" rx="8"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<svg x="%.0f" y="%.0f" width="%.0f" height="%.0f"><g class="roll" xml:space="preserve">`+"\n", margin, margin, columns*letter, rows*line)
	for i, l := range lines {
		if l == "" {
			continue
		}
		fmt.Fprintf(&b, `<text y="%.0f">`, line*float64(i+1)-5)
		_ = xml.EscapeText(&b, []byte(l)) // a builder takes everything
		b.WriteString("</text>\n")
	}
	fmt.Fprintf(&b, `</g><rect class="cover" width="%.0f" height="%.0f"/></svg>`+"\n</svg>\n", columns*letter, rows*line)
	return []byte(b.String())
}

// keepFilm writes the recording when it is being approved, and otherwise holds it against the approved one.
func keepFilm(t *testing.T, said string) {
	t.Helper()
	got, file := film(said), filepath.Join(pictures, "drill.svg")
	want, err := os.ReadFile(file)
	if err == nil && string(got) == string(want) {
		return
	}
	if *approve {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Log("drill.svg: written")
		return
	}
	a, b := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			old := ""
			if i < len(b) {
				old = b[i]
			}
			if strings.HasPrefix(a[i], "<text") {
				t.Fatalf("docs/pictures/drill.svg is not what the drill prints: line %d is\n%s\nand was\n%s\nmake pictures writes it again", i+1, a[i], old)
			}
		}
	}
	t.Fatal("docs/pictures/drill.svg is not what the drill prints: lines are missing, or the pace is another; make pictures writes it again")
}

// A recording shows every line within its window, in order, and stands at its end without motion.
func TestARecordingShowsWhatWasPrinted(t *testing.T) {
	said := "Fri 20 Nov 03:10:00  alarm    INC-1 is open: <b>&\nFri 20 Nov 04:10:00  person   " + strings.Repeat("long ", 40) + "\n" + strings.Repeat("row\n", 50) + "the end\n"
	svg := film(said)
	var doc struct {
		Inner struct {
			G struct {
				Text []struct {
					Y    float64 `xml:"y,attr"`
					Said string  `xml:",chardata"`
				} `xml:"text"`
			} `xml:"g"`
		} `xml:"svg"`
	}
	if err := xml.Unmarshal(svg, &doc); err != nil {
		t.Fatal(err)
	}
	var shown []string
	for i, l := range doc.Inner.G.Text {
		if len([]rune(l.Said)) > columns || l.Y != line*float64(i+1)-5 {
			t.Errorf("%q stands at %v", l.Said, l.Y)
		}
		shown = append(shown, l.Said)
	}
	if got := strings.Join(shown, ""); got != strings.ReplaceAll(said, "\n", "") {
		t.Errorf("it shows %q", got)
	}
	if len(shown) != 2+1+51 { // the long line is wrapped once
		t.Errorf("%d lines", len(shown))
	}
	last := fmt.Sprintf("translateY(%.0fpx)", line*float64(rows-len(shown)))
	if n := strings.Count(string(svg), last); n != 2 {
		t.Errorf("the end, %s, is shown %d times: without motion and at the end of it", last, n)
	}
}
