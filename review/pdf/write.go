package pdf

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"
)

// file collects numbered objects.
type file struct {
	buf     bytes.Buffer
	offsets []int
}

func (f *file) reserve() int {
	f.offsets = append(f.offsets, 0)
	return len(f.offsets)
}

func (f *file) put(id int, body string) {
	f.offsets[id-1] = f.buf.Len()
	fmt.Fprintf(&f.buf, "%d 0 obj\n%s\nendobj\n", id, body)
}

func (f *file) add(body string) int {
	id := f.reserve()
	f.put(id, body)
	return id
}

func (f *file) stream(dict string, data []byte) (int, error) {
	var z bytes.Buffer
	zw := zlib.NewWriter(&z)
	if _, err := zw.Write(data); err != nil {
		return 0, fmt.Errorf("pdf: compress: %w", err)
	}
	if err := zw.Close(); err != nil {
		return 0, fmt.Errorf("pdf: compress: %w", err)
	}
	return f.add(fmt.Sprintf("<<%s /Filter /FlateDecode /Length %d>>\nstream\n%s\nendstream", dict, z.Len(), z.Bytes())), nil
}

func (d *Document) write() ([]byte, error) {
	f := &file{}
	f.buf.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	catalog, tree := f.reserve(), f.reserve()
	var fonts []string
	for s := range styles {
		if len(d.used[s]) == 0 {
			continue
		}
		id, err := d.font(f, s)
		if err != nil {
			return nil, err
		}
		fonts = append(fonts, fmt.Sprintf("/F%d %d 0 R", s, id))
	}
	resources := f.add("<</Font <<" + strings.Join(fonts, " ") + ">>>>")
	var kids []string
	for _, p := range d.pages {
		content, err := f.stream("", []byte(p.String()))
		if err != nil {
			return nil, err
		}
		id := f.add(fmt.Sprintf("<</Type /Page /Parent %d 0 R /MediaBox [0 0 %.2f %.2f] /Resources %d 0 R /Contents %d 0 R>>", tree, pageWidth, pageHeight, resources, content))
		kids = append(kids, fmt.Sprintf("%d 0 R", id))
	}
	f.put(tree, fmt.Sprintf("<</Type /Pages /Count %d /Kids [%s]>>", len(kids), strings.Join(kids, " ")))
	f.put(catalog, fmt.Sprintf("<</Type /Catalog /Pages %d 0 R /Lang (en) /ViewerPreferences <</DisplayDocTitle true>>>>", tree))
	info := f.add(fmt.Sprintf("<</Title %s /Producer (Tocsin) /CreationDate (D:%s)>>", utf16Hex(d.title), d.created.Format("20060102150405Z")))

	id := sha256.Sum256(f.buf.Bytes())
	start := f.buf.Len()
	fmt.Fprintf(&f.buf, "xref\n0 %d\n0000000000 65535 f \n", len(f.offsets)+1)
	for _, at := range f.offsets {
		fmt.Fprintf(&f.buf, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&f.buf, "trailer\n<</Size %d /Root %d 0 R /Info %d 0 R /ID [<%X> <%X>]>>\nstartxref\n%d\n%%%%EOF\n", len(f.offsets)+1, catalog, info, id[:16], id[:16], start)
	return f.buf.Bytes(), nil
}

// font embeds the glyphs used of a style, with their widths and their text.
func (d *Document) font(f *file, s Style) (int, error) {
	used := d.used[s]
	data, err := subset(sources[s].ttf, used)
	if err != nil {
		return 0, err
	}
	embedded, err := f.stream(fmt.Sprintf("/Length1 %d", len(data)), data)
	if err != nil {
		return 0, err
	}
	name := fmt.Sprintf("TOCS%02d+%s", s, sources[s].name)
	name = strings.NewReplacer("0", "A", "1", "B", "2", "C").Replace(name[:6]) + name[6:]
	descriptor := f.add(fmt.Sprintf("<</Type /FontDescriptor /FontName /%s /Flags 4 /FontBBox [-1021 -463 1793 1232] /ItalicAngle 0 /Ascent 928 /Descent -236 /CapHeight 729 /StemV 80 /FontFile2 %d 0 R>>", name, embedded))
	var widths, texts strings.Builder
	ids := slices.Sorted(maps.Keys(used))
	for _, id := range ids {
		fmt.Fprintf(&widths, "%d [%d] ", id, d.width(s, id))
	}
	descendant := f.add(fmt.Sprintf("<</Type /Font /Subtype /CIDFontType2 /BaseFont /%s /CIDSystemInfo <</Registry (Adobe) /Ordering (Identity) /Supplement 0>> /FontDescriptor %d 0 R /CIDToGIDMap /Identity /DW 600 /W [%s]>>", name, descriptor, widths.String()))

	texts.WriteString("/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def\n/CMapName /Adobe-Identity-UCS def /CMapType 2 def\n1 begincodespacerange <0000> <FFFF> endcodespacerange\n")
	ids = slices.DeleteFunc(ids, func(id uint16) bool { return used[id] == "" })
	for chunk := range slices.Chunk(ids, 100) {
		fmt.Fprintf(&texts, "%d beginbfchar\n", len(chunk))
		for _, id := range chunk {
			fmt.Fprintf(&texts, "<%04X> <%s>\n", id, strings.TrimPrefix(strings.Trim(utf16Hex(used[id]), "<>"), "FEFF"))
		}
		texts.WriteString("endbfchar\n")
	}
	texts.WriteString("endcmap CMapName currentdict /CMap defineresource pop end end\n")
	unicode, err := f.stream("", []byte(texts.String()))
	if err != nil {
		return 0, err
	}
	return f.add(fmt.Sprintf("<</Type /Font /Subtype /Type0 /BaseFont /%s /Encoding /Identity-H /DescendantFonts [%d 0 R] /ToUnicode %d 0 R>>", name, descendant, unicode)), nil
}

// utf16Hex writes text as PDF wants it: big-endian UTF-16 with a mark.
func utf16Hex(s string) string {
	var b strings.Builder
	b.WriteString("<FEFF")
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	b.WriteString(">")
	return b.String()
}
