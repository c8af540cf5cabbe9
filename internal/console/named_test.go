package console_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
)

// Whoever reads a page at night knows people and not ids. The page of people lists both, because an id is what
// the command line asks for.
func TestPeopleAreNamedOnEveryPage(t *testing.T) {
	b := signedIn(t, console.Options{Hour: firstHour{}})
	b.desk.Join("omar", "Omar Farouk", incident.Responder, "lead")
	tags, ids := regexp.MustCompile(`(?s)<head>.*?</head>|<[^>]*>`), regexp.MustCompile(`.{0,30}\b(lena|omar)\b.{0,20}`)
	named := 0
	for _, path := range append(pages, "/incidents/INC-1/notices?notice=NTC-1&state=accepted", "/integrity/theme") {
		if strings.HasPrefix(path, "/people") {
			continue
		}
		text := tags.ReplaceAllString(b.get(path).body, " ")
		named += strings.Count(text, "Omar Farouk") + strings.Count(text, "Lena")
		for _, found := range ids.FindAllString(text, -1) {
			t.Errorf("%s: somebody is called by an id: %q", path, found)
		}
	}
	if named < 30 {
		t.Errorf("people are named %d times on all pages together", named)
	}
}
