package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAKeptTableIsTakenAgainAndOneOfAnotherMonthIsNot(t *testing.T) {
	dir := t.TempDir()
	take := func() (made, error) {
		tab, about, err := newMonth(3000).table(t.Context(), dir)
		if err != nil {
			return about, err
		}
		return about, tab.Close()
	}
	first, err := take()
	if err != nil {
		t.Fatal(err)
	}
	again, err := take()
	if err != nil || first.kept != "" || again.kept == "" || again.Written != first.Written || again.Size != first.Size {
		t.Errorf("made as %+v and taken as %+v: %v", first, again, err)
	}
	note := filepath.Join(dir, "made.json")
	text, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	for what, other := range map[string]string{
		"another make":   strings.Replace(string(text), `"form":"`+monthForm, `"form":"0`, 1),
		"another length": strings.Replace(string(text), `"rows":3000`, `"rows":3001`, 1),
		"another weight": strings.Replace(string(text), `"size":`, `"size":1`, 1),
		"nothing":        "x",
	} {
		if other == string(text) {
			t.Fatalf("%s is the same note", what)
		}
		if err := os.WriteFile(note, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := take(); err == nil {
			t.Errorf("a table with a note of %s was taken", what)
		}
	}
}

func TestFiguresOfTheLargeMonthHaveItsName(t *testing.T) {
	large := months{name: "100m-"}
	for figure, want := range map[string]string{"scope-busy-30d": "scope-100m-busy-30d", "rss-query": "scope-100m-rss-query"} {
		if got := large.named(figure); got != want || (months{}).named(figure) != figure {
			t.Errorf("%s is called %s", figure, got)
		}
	}
}
