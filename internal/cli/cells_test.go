package cli

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestTheWidthOfTextIsCountedInCells(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "shop": 4, "商店": 4, "한국": 4, "ｱｲ": 2, "été": 3, "e\u0301te\u0301": 3, "…—✓": 3, "🚨": 2,
		"a\u200db": 2, "\x1b[31mred\x1b[0m": 3, "\u1112\u1161\u11ab": 2, " a  b ": 6,
	} {
		if got := cells(text); got != want {
			t.Errorf("%q takes %d cells, not %d", text, got, want)
		}
	}
	for _, c := range []struct {
		text string
		n    int
		want string
	}{{"商店街", 5, "商店…"}, {"商店街", 4, "商…"}, {"e\u0301te\u0301s", 3, "e\u0301t…"}, {"shop", 4, "shop"}, {"shops", 4, "sho…"}} {
		if got := cut(c.text, c.n); got != c.want || cells(got) > c.n {
			t.Errorf("%q cut to %d is %q, not %q", c.text, c.n, got, c.want)
		}
	}
}

func TestLinesAreBrokenBetweenWordsAndWideCharacters(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want []string
	}{
		{"one two three", 7, []string{"one two", "three"}},
		{"商店街の店", 4, []string{"商店", "街の", "店"}},
		{"a 商店街", 5, []string{"a 商", "店街"}},
		{"e\u0301te\u0301 e\u0301te\u0301", 7, []string{"e\u0301te\u0301 e\u0301te\u0301"}},
		{"https://example.com/long", 8, []string{"https://example.com/long"}},
	} {
		if got := wrapped(c.text, c.n); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d: %q, not %q", c.text, c.n, got, c.want)
		}
	}
	var out bytes.Buffer
	Folded(&out, func(string) string { return "40" }, func(w io.Writer) {
		io.WriteString(w, "  three  columns   "+strings.Repeat("word ", 8)+"\n\nshort")
	})
	if want := "  three  columns   word word word word\n    word word word word \n\nshort"; out.String() != want {
		t.Errorf("folded to\n%q, not\n%q", out.String(), want)
	}
}
