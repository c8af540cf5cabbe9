// Package pdf sets plain documents — headings, paragraphs, lists, tables — as PDF in pure Go, with
// fonts inside and real shaping, so that names in Arabic, Hebrew, Greek or Cyrillic stand as they
// are written and can be copied and searched.
//
// It writes the file itself: the shaper (go-text/typesetting) gives glyph ids and positions, and
// the PDF writers that are kept up take strings. The same input gives the same bytes.
package pdf

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
)

// A4 in points, and its margins.
const (
	pageWidth, pageHeight = 595.28, 841.89
	margin                = 56.0
	footerRoom            = 40.0
	contentWidth          = pageWidth - 2*margin
)

// Limits of a document.
const (
	maxPages = 2000
	maxText  = 200_000 // runes of one paragraph or cell
)

// Document is being set, from top to bottom.
type Document struct {
	title, footer string
	created       time.Time

	faces  [styles]*font.Face
	used   [styles]map[uint16]string // glyph to the text it stands for; "" when it stands for several
	shaper shaping.HarfbuzzShaper
	split  shaping.Segmenter
	wrap   shaping.LineWrapper

	pages []*strings.Builder // content streams
	y     float64            // baseline room left on the page, from its bottom
	err   error
}

// New starts a document. created goes into the file; footer stands at the foot of each page.
func New(title, footer string, created time.Time) (*Document, error) {
	fonts, err := parsed()
	if err != nil {
		return nil, err
	}
	d := &Document{title: title, footer: footer, created: created.UTC()}
	for i, f := range fonts {
		d.faces[i] = font.NewFace(f)
		d.used[i] = map[uint16]string{}
	}
	d.newPage()
	return d, nil
}

func (d *Document) newPage() {
	if len(d.pages) >= maxPages {
		d.err = fmt.Errorf("pdf: the document is longer than %d pages", maxPages)
		return
	}
	d.pages = append(d.pages, &strings.Builder{})
	d.y = pageHeight - margin
}

func (d *Document) page() *strings.Builder { return d.pages[len(d.pages)-1] }

// room begins a new page unless so much height is left.
func (d *Document) room(height float64) {
	if d.y-height < margin+footerRoom-20 {
		d.newPage()
	}
}

// Space leaves some height free.
func (d *Document) Space(points float64) { d.y -= points }

// Heading sets a heading of level 1 (largest) to 3 and keeps it with what follows.
func (d *Document) Heading(level int, text string) {
	size := []float64{18, 13, 11}[min(max(level, 1), 3)-1]
	d.Space(size * 0.6)
	d.room(size*1.4 + 40)
	d.block(text, Bold, size, margin, contentWidth)
	d.Space(size * 0.3)
}

// Paragraph sets text; its line breaks are kept.
func (d *Document) Paragraph(text string, style Style) {
	d.block(text, style, 10, margin, contentWidth)
	d.Space(5)
}

// Small sets text in a small size, such as a checkpoint.
func (d *Document) Small(text string, style Style) {
	d.block(text, style, 7.5, margin, contentWidth)
	d.Space(4)
}

// Bullet sets one item of a list.
func (d *Document) Bullet(text string) {
	d.room(14)
	y, p := d.y, len(d.pages)
	d.block(text, Regular, 10, margin+14, contentWidth-14)
	page := d.pages[p-1]
	d.draw(page, d.lines("•", Regular, 10, 14)[0], 10, margin+2, y-10)
	d.Space(2)
}

// Table sets rows of cells; widths are shares of the page's width. The first row is the head; it is
// left out when it is empty.
func (d *Document) Table(rows [][]string, widths []float64) {
	const size, leading, gap = 8.5, 12.0, 6.0
	total := 0.0
	for _, w := range widths {
		total += w
	}
	for i, row := range rows {
		style := Regular
		if i == 0 {
			if strings.Join(row, "") == "" {
				continue
			}
			style = Bold
		}
		cells := make([][]line, len(widths))
		tallest := 0
		for c := range widths {
			if c < len(row) {
				cells[c] = d.lines(row[c], style, size, contentWidth*widths[c]/total-gap)
				tallest = max(tallest, len(cells[c]))
			}
		}
		d.room(min(float64(tallest), 4)*leading + 4)
		for n := range tallest {
			d.room(leading)
			x := margin
			for c, w := range widths {
				if n < len(cells[c]) {
					d.draw(d.page(), cells[c][n], size, d.start(cells[c][n], x, contentWidth*w/total-gap), d.y-size)
				}
				x += contentWidth * w / total
			}
			d.y -= leading
		}
		d.rule(d.y + 2)
		d.Space(3)
	}
	d.Space(5)
}

func (d *Document) rule(y float64) {
	fmt.Fprintf(d.page(), "0.8 G 0.5 w %.2f %.2f m %.2f %.2f l S\n", margin, y, pageWidth-margin, y)
}

// block sets wrapped text and moves down.
func (d *Document) block(text string, style Style, size, x, width float64) {
	leading := size * 1.4
	for _, l := range d.lines(text, style, size, width) {
		d.room(leading)
		d.draw(d.page(), l, size, d.start(l, x, width), d.y-size)
		d.y -= leading
	}
}

// start is where a line begins: at the right for text that runs to the left.
func (d *Document) start(l line, x, width float64) float64 {
	if l.rtl {
		return x + width - l.width
	}
	return x
}

// line is one line of shaped text.
type line struct {
	text  []rune
	runs  []shaping.Output
	rtl   bool
	width float64
}

// lines shapes text and breaks it to a width.
func (d *Document) lines(text string, style Style, size, width float64) []line {
	var out []line
	if utf8.RuneCountInString(text) > maxText {
		text = string([]rune(text)[:maxText-1]) + "…"
	}
	for para := range strings.SplitSeq(printable(text), "\n") {
		out = append(out, d.paragraph([]rune(para), style, size, width)...)
	}
	return out
}

// printable replaces what cannot be set: control characters, and marks that only steer direction.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r), r >= 0x2066 && r <= 0x2069, r >= 0x202a && r <= 0x202e, r == 0xfeff, r == utf8.RuneError:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

func (d *Document) paragraph(text []rune, style Style, size, width float64) []line {
	if len(text) == 0 {
		return []line{{}}
	}
	dir := direction(text)
	input := shaping.Input{Text: text, RunEnd: len(text), Direction: dir, Size: fixed.Int26_6(size * 64), Language: language.NewLanguage("en")}
	var shaped []shaping.Output
	for _, in := range slices.Clone(d.split.Split(input, faceMap{d, style})) {
		shaped = append(shaped, d.shaper.Shape(in))
	}
	wrapped, _ := d.wrap.WrapParagraphF(shaping.WrapConfig{Direction: dir, BreakPolicy: shaping.WhenNecessary}, fixed.Int26_6(width*64), text, shaping.NewSliceIterator(shaped))
	var out []line
	for _, w := range wrapped {
		l := line{text: text, runs: slices.Clone(w), rtl: dir == di.DirectionRTL}
		slices.SortFunc(l.runs, func(a, b shaping.Output) int { return cmp.Compare(a.VisualIndex, b.VisualIndex) })
		for i := range l.runs {
			l.runs[i].Glyphs = slices.Clone(l.runs[i].Glyphs)
			l.width += float64(l.runs[i].Advance) / 64
		}
		out = append(out, l)
	}
	return out
}

// direction is that of the first letter that has one.
func direction(text []rune) di.Direction {
	for _, r := range text {
		if unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko) {
			return di.DirectionRTL
		}
		if unicode.IsLetter(r) {
			return di.DirectionLTR
		}
	}
	return di.DirectionLTR
}

// faceMap picks the face of a rune: of the style, else of the style with the most scripts.
type faceMap struct {
	d     *Document
	style Style
}

func (m faceMap) ResolveFace(r rune) *font.Face {
	for _, s := range []Style{m.style, Regular, Bold} {
		if _, ok := m.d.faces[s].NominalGlyph(r); ok {
			return m.d.faces[s]
		}
	}
	return m.d.faces[m.style]
}

func (d *Document) styleOf(f *font.Face) Style {
	for s := range styles {
		if d.faces[s] == f {
			return s
		}
	}
	return Regular
}

// lamAlef are the letters that Arabic always writes as one. Readers that turn text running to the
// left around turn the two letters of such a glyph as well; the one character for the pair has no
// order to lose, and means the same wherever text is compared by compatibility (NFKC).
var lamAlef = map[string]string{"\u0644\u0622": "\ufef5", "\u0644\u0623": "\ufef7", "\u0644\u0625": "\ufef9", "\u0644\u0627": "\ufefb"}

// draw writes a line at a baseline. Each glyph stands where the shaper put it. The text a glyph
// stands for is kept in the font's ToUnicode map, and where that cannot say it (several glyphs for
// some letters, one glyph for different letters, no glyph at all) beside the glyphs as ActualText.
func (d *Document) draw(w *strings.Builder, l line, size, x, y float64) {
	for _, run := range l.runs {
		style := d.styleOf(run.Face)
		fmt.Fprintf(w, "BT /F%d %.2f Tf\n", style, size)
		for i := 0; i < len(run.Glyphs); {
			g := run.Glyphs[i]
			n := 1
			for i+n < len(run.Glyphs) && run.Glyphs[i+n].TextIndex() == g.TextIndex() {
				n++
			}
			from := min(max(g.TextIndex(), 0), len(l.text))
			to := min(from+g.RunesCount(), len(l.text))
			text := string(l.text[from:to])
			if form, ok := lamAlef[text]; ok && n == 1 {
				text = form
			}
			x = d.cluster(w, style, run.Glyphs[i:i+n], text, x, y)
			i += n
		}
		w.WriteString("ET\n")
	}
}

func (d *Document) cluster(w *strings.Builder, style Style, glyphs []shaping.Glyph, text string, x, y float64) float64 {
	plain := len(glyphs) == 1 && glyphs[0].GlyphID != 0
	for _, g := range glyphs {
		id := uint16(g.GlyphID)
		known, seen := d.used[style][id]
		switch {
		case !seen && plain:
			d.used[style][id] = text
		case !seen:
			d.used[style][id] = ""
		case known != text:
			plain = false
		}
	}
	if !plain {
		fmt.Fprintf(w, "/Span <</ActualText %s>> BDC\n", utf16Hex(text))
	}
	for _, g := range glyphs {
		fmt.Fprintf(w, "1 0 0 1 %.2f %.2f Tm <%04X> Tj\n", x+float64(g.XOffset)/64, y+float64(g.YOffset)/64, uint16(g.GlyphID))
		x += float64(g.Advance) / 64
	}
	if !plain {
		w.WriteString("EMC\n")
	}
	return x
}

// Bytes ends the document and gives the file.
func (d *Document) Bytes() ([]byte, error) {
	for i, p := range d.pages {
		foot := fmt.Sprintf("%s · page %d of %d", d.footer, i+1, len(d.pages))
		lines := d.lines(foot, Regular, 7.5, contentWidth)
		d.draw(p, lines[0], 7.5, margin, margin-20)
	}
	if d.err != nil {
		return nil, d.err
	}
	return d.write()
}

// width is a glyph's advance in thousandths of the size.
func (d *Document) width(s Style, id uint16) int {
	return int(math.Round(float64(d.faces[s].HorizontalAdvance(font.GID(id))) * 1000 / float64(d.faces[s].Upem())))
}
