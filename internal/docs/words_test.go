package docs

import (
	"regexp"
	"strings"
	"testing"
)

// machine are places that exist on one machine only. They are put together here, so that this file
// is not one that names them.
var machine = []*regexp.Regexp{
	regexp.MustCompile(`(^|[^A-Za-z0-9_./-])/` + `work/`),
	regexp.MustCompile(`\.\./` + `shared\b`),
	regexp.MustCompile(`/tmp/` + `brief`),
	regexp.MustCompile(`(^|[^A-Za-z0-9_./-])/` + `root/`),
}

func TestNoFileNamesAPlaceOnOneMachine(t *testing.T) {
	for _, f := range tree(t) {
		if f.name == ".ci/run" {
			continue // CI says for itself what lies beside its checkout
		}
		for _, m := range machine {
			if at := m.FindStringIndex(f.text); at != nil {
				t.Errorf("%s:%d: names %q, which exists on one machine only", f.name, lineOf([]byte(f.text), at[0]), strings.TrimSpace(f.text[at[0]:at[1]]))
			}
		}
	}
}

// Somebody who reads these pages at three in the morning is told, not shouted at.
func TestDocumentsAreCalm(t *testing.T) {
	for _, p := range parsePages(t) {
		for _, s := range p.prose {
			if strings.Contains(s.text, "!") {
				t.Errorf("%s:%d: an exclamation mark in %q", p.name, s.line, s.text)
			}
		}
	}
}

// What is not there yet is said as such, in a sentence, and not left as a mark for later.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|T` + `BD)\b`)

func TestNothingIsLeftAsAMarkForLater(t *testing.T) {
	for _, f := range tree(t) {
		if strings.HasSuffix(f.name, ".sum") || strings.HasPrefix(f.name, "LICENSE") || strings.Contains(f.name, "testdata/") || strings.Contains(f.name, "package-lock") {
			continue
		}
		if at := unfinished.FindStringIndex(f.text); at != nil {
			t.Errorf("%s:%d: %s", f.name, lineOf([]byte(f.text), at[0]), f.text[at[0]:at[1]])
		}
	}
}
