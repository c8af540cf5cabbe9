package drill

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"slices"
	"testing"
)

// A picture is compared with the approved one in squares, because a word that changed is a small
// share of a page and a large one of the place where it stands.
const (
	square    = 80    // pixels
	mayDiffer = 0.005 // of the pixels of any one square
	sameShade = 64    // of 255, in each channel: what smoothing of edges and a palette may come to
)

// differ says where two pictures differ by more than they may; "" when they do not.
func differ(got, want image.Image) string {
	if got.Bounds().Size() != want.Bounds().Size() {
		return fmt.Sprintf("it is %v pixels large, and the approved one %v", got.Bounds().Size(), want.Bounds().Size())
	}
	a, b := plain(got), plain(want)
	worst, where := 0, image.Point{}
	for y := 0; y < a.Rect.Dy(); y += square {
		for x := 0; x < a.Rect.Dx(); x += square {
			n := 0
			part := image.Rect(x, y, x+square, y+square).Intersect(a.Rect)
			for v := part.Min.Y; v < part.Max.Y; v++ {
				for i := a.PixOffset(part.Min.X, v); i < a.PixOffset(part.Max.X-1, v)+4; i += 4 {
					if apart(a.Pix[i], b.Pix[i]) || apart(a.Pix[i+1], b.Pix[i+1]) || apart(a.Pix[i+2], b.Pix[i+2]) {
						n++
					}
				}
			}
			if n > worst {
				worst, where = n, part.Min
			}
		}
	}
	if share := float64(worst) / (square * square); share > mayDiffer {
		return fmt.Sprintf("%.1f %% of the pixels differ in the square of %d pixels at %v, and %.1f %% may", 100*share, square, where, 100*mayDiffer)
	}
	return ""
}

func apart(a, b uint8) bool { return abs(a, b) > sameShade }

func abs(a, b uint8) uint8 { return max(a, b) - min(a, b) }

func plain(m image.Image) *image.RGBA {
	out := image.NewRGBA(image.Rectangle{Max: m.Bounds().Size()})
	draw.Draw(out, out.Rect, m, m.Bounds().Min, draw.Src)
	return out
}

// small is a picture in the 256 colours that it uses most, as PNG: a page has few colours, and the rest
// are shades at the edges of letters. Of shades that hardly differ one is enough, so that there is room for
// those of a word in a colour of its own.
func small(m image.Image) ([]byte, error) {
	src := plain(m)
	count := map[color.RGBA]int{}
	for i := 0; i < len(src.Pix); i += 4 {
		count[color.RGBA{src.Pix[i], src.Pix[i+1], src.Pix[i+2], 255}]++
	}
	colours := make([]color.RGBA, 0, len(count))
	for c := range count {
		colours = append(colours, c)
	}
	slices.SortFunc(colours, func(a, b color.RGBA) int {
		return cmp.Or(count[b]-count[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	})
	var palette color.Palette
	for _, c := range colours {
		alike := func(p color.Color) bool {
			k := p.(color.RGBA)
			return abs(k.R, c.R) < 10 && abs(k.G, c.G) < 10 && abs(k.B, c.B) < 10
		}
		if len(palette) < 256 && !slices.ContainsFunc(palette, alike) {
			palette = append(palette, c)
		}
	}
	nearest := make(map[color.RGBA]uint8, len(colours))
	for _, c := range colours {
		nearest[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(src.Rect, palette)
	for i := range out.Pix { // both are packed without gaps between lines
		out.Pix[i] = nearest[color.RGBA{src.Pix[4*i], src.Pix[4*i+1], src.Pix[4*i+2], 255}]
	}
	var b bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestCompression}
	err := enc.Encode(&b, out)
	return b.Bytes(), err
}

// The comparison sees a word and a shade that moved far, and forgives what smoothing does.
func TestTwoPicturesAreComparedWhereTheyDiffer(t *testing.T) {
	page := func(word image.Rectangle, shade uint8) image.Image {
		m := image.NewRGBA(image.Rect(0, 0, 1280, 800))
		draw.Draw(m, m.Rect, image.White, image.Point{}, draw.Src)
		draw.Draw(m, word, image.NewUniform(color.Gray{shade}), image.Point{}, draw.Src)
		return m
	}
	approved := page(image.Rect(100, 100, 110, 110), 0)
	for what, c := range map[string]struct {
		got  image.Image
		same bool
	}{
		"the same page":           {page(image.Rect(100, 100, 110, 110), 0), true},
		"a word a little lighter": {page(image.Rect(100, 100, 110, 110), 60), true},
		"a word that is gone":     {page(image.Rectangle{}, 0), false},
		"a word that moved":       {page(image.Rect(300, 100, 310, 110), 0), false},
		"another size":            {image.NewRGBA(image.Rect(0, 0, 1280, 801)), false},
	} {
		if got := differ(c.got, approved); (got == "") != c.same {
			t.Errorf("%s: %q", what, got)
		}
	}
	packed, err := small(approved)
	if err != nil {
		t.Fatal(err)
	}
	again, err := png.Decode(bytes.NewReader(packed))
	if err != nil || differ(again, approved) != "" {
		t.Errorf("the small picture differs: %v", err)
	}
}
