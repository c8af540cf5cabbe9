package pdf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-fonts/dejavu/dejavusans"
	"github.com/go-fonts/dejavu/dejavusansbold"
	"github.com/go-fonts/dejavu/dejavusansmono"
	"github.com/go-text/typesetting/font"
)

// Style chooses a font.
type Style int

// The styles. Each is DejaVu, which has Latin, Greek, Cyrillic, Armenian, Georgian, Arabic and
// Hebrew; Mono falls back to Regular for what it lacks.
const (
	Regular Style = iota
	Bold
	Mono
	styles
)

var sources = [styles]struct {
	name string
	ttf  []byte
}{
	{"DejaVuSans", dejavusans.TTF}, {"DejaVuSans-Bold", dejavusansbold.TTF}, {"DejaVuSansMono", dejavusansmono.TTF},
}

// parsed are the fonts, read once. A font.Font may be shared; a font.Face belongs to one document.
var parsed = sync.OnceValues(func() ([styles]*font.Font, error) {
	var out [styles]*font.Font
	for i, s := range sources {
		face, err := font.ParseTTF(bytes.NewReader(s.ttf))
		if err != nil {
			return out, fmt.Errorf("pdf: font %s: %w", s.name, err)
		}
		out[i] = face.Font
	}
	return out, nil
})

// table finds a table of a TrueType file.
func table(ttf []byte, tag string) ([]byte, error) {
	n := int(binary.BigEndian.Uint16(ttf[4:]))
	for i := range n {
		rec := ttf[12+16*i:]
		if string(rec[:4]) == tag {
			from, size := binary.BigEndian.Uint32(rec[8:]), binary.BigEndian.Uint32(rec[12:])
			return ttf[from : from+size], nil
		}
	}
	return nil, fmt.Errorf("pdf: the font has no table %s", tag)
}

// subset makes a TrueType file with the outlines of the glyphs used and nothing of the others.
// Glyph ids stay, so the text refers to them as they are.
func subset(ttf []byte, used map[uint16]string) ([]byte, error) {
	tables := map[string][]byte{}
	for _, tag := range []string{"head", "hhea", "maxp", "hmtx", "loca", "glyf", "cvt ", "fpgm", "prep"} {
		t, err := table(ttf, tag)
		if err != nil {
			return nil, err
		}
		tables[tag] = t
	}
	loca, err := offsets(tables["loca"], tables["head"])
	if err != nil {
		return nil, err
	}
	keep := []uint16{0}
	for g := range used {
		keep = append(keep, g)
	}
	wanted := map[uint16]bool{}
	for len(keep) > 0 { // a composed glyph brings its parts
		g := keep[len(keep)-1]
		keep = keep[:len(keep)-1]
		if wanted[g] || int(g)+1 >= len(loca) {
			continue
		}
		wanted[g] = true
		keep = append(keep, parts(tables["glyf"][loca[g]:loca[g+1]])...)
	}
	var glyf bytes.Buffer
	place := make([]byte, 4*len(loca))
	for g := range len(loca) - 1 {
		binary.BigEndian.PutUint32(place[4*g:], uint32(glyf.Len()))
		if wanted[uint16(g)] {
			glyf.Write(tables["glyf"][loca[g]:loca[g+1]])
			for glyf.Len()%4 != 0 {
				glyf.WriteByte(0)
			}
		}
	}
	binary.BigEndian.PutUint32(place[4*(len(loca)-1):], uint32(glyf.Len()))
	tables["glyf"], tables["loca"] = glyf.Bytes(), place
	head := bytes.Clone(tables["head"])
	binary.BigEndian.PutUint16(head[50:], 1) // loca has four bytes an entry now
	tables["head"] = head
	return assemble(tables), nil
}

func offsets(loca, head []byte) ([]uint32, error) {
	if len(head) < 54 {
		return nil, errors.New("pdf: the font's head table is short")
	}
	var out []uint32
	if binary.BigEndian.Uint16(head[50:]) == 0 {
		for i := 0; i+2 <= len(loca); i += 2 {
			out = append(out, 2*uint32(binary.BigEndian.Uint16(loca[i:])))
		}
		return out, nil
	}
	for i := 0; i+4 <= len(loca); i += 4 {
		out = append(out, binary.BigEndian.Uint32(loca[i:]))
	}
	return out, nil
}

// parts lists the glyphs a composed glyph is made of.
func parts(glyph []byte) []uint16 {
	if len(glyph) < 10 || int16(binary.BigEndian.Uint16(glyph)) >= 0 {
		return nil
	}
	var out []uint16
	for at := 10; at+4 <= len(glyph); {
		flags := binary.BigEndian.Uint16(glyph[at:])
		out = append(out, binary.BigEndian.Uint16(glyph[at+2:]))
		at += 4 + 2
		if flags&1 != 0 { // arguments are words
			at += 2
		}
		switch {
		case flags&8 != 0: // one scale
			at += 2
		case flags&0x40 != 0: // two
			at += 4
		case flags&0x80 != 0: // a matrix
			at += 8
		}
		if flags&0x20 == 0 { // no more
			break
		}
	}
	return out
}

func assemble(tables map[string][]byte) []byte {
	var tags []string
	for t := range tables {
		tags = append(tags, t)
	}
	slices.Sort(tags)
	n := len(tags)
	pow := 1
	sel := 0
	for pow*2 <= n {
		pow, sel = pow*2, sel+1
	}
	var head, body bytes.Buffer
	_ = binary.Write(&head, binary.BigEndian, uint32(0x00010000))
	_ = binary.Write(&head, binary.BigEndian, []uint16{uint16(n), uint16(16 * pow), uint16(sel), uint16(16*n - 16*pow)})
	for _, t := range tags {
		data := tables[t]
		head.WriteString(t)
		_ = binary.Write(&head, binary.BigEndian, []uint32{checksum(data), uint32(12 + 16*n + body.Len()), uint32(len(data))})
		body.Write(data)
		for body.Len()%4 != 0 {
			body.WriteByte(0)
		}
	}
	return append(head.Bytes(), body.Bytes()...)
}

func checksum(b []byte) (sum uint32) {
	for len(b) >= 4 {
		sum += binary.BigEndian.Uint32(b)
		b = b[4:]
	}
	if len(b) > 0 {
		var last [4]byte
		copy(last[:], b)
		sum += binary.BigEndian.Uint32(last[:])
	}
	return sum
}
