//go:build !race

package console_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/internal/console"
)

// oddNames are what pages read of their address.
var oddNames = []string{"page", "skip", "tokens", "after", "order", "sort", "from", "to", "version", "n", "q", "text", "state", "kind", "source", "rows", "run", "form", "notice", "party", "duty", "merchant", "credential",
	"action", "entry", "corrective", "fact", "incident", "finding", "day", "code", "event", "show", "at", "of"}

// oddValues are what a link that was cut, an old bookmark or somebody hostile has in it.
var oddValues = []string{"-1", "99999999999999999999", "garbage", "2026-99-99", "2026-11-20T10:00:99Z", strings.Repeat("a", 10_000), "a\x00b", "\xff\xfe", `"><script>odd(1)</script>'`}

// An address may hold anything: no page fails over it, and none repeats it unescaped.
func TestNoPageFailsOverAnOddAddress(t *testing.T) {
	b := signedIn(t, console.Options{Hour: firstHour{}})
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var paths []string
	for _, p := range slices.Concat(pages, firstPages(), morePages) {
		path, _, _ := strings.Cut(p, "?")
		paths = append(paths, path)
	}
	for _, path := range []string{"/clocks", "/notices", "/incidents", "/accesses", "/evidence/days", "/programme", "/tokens", "/erasures"} {
		paths = append(paths, path+".csv")
	}
	slices.Sort(paths)
	asked, answered := 0, 0
	for _, path := range slices.Compact(paths) {
		plain := b.get(path)
		for _, value := range oddValues {
			all := url.Values{}
			for _, name := range oddNames {
				all.Set(name, value)
			}
			if len(value) > 1000 { // a longer line is refused before any page sees it
				all = url.Values{}
			}
			queries := []url.Values{all}
			for _, name := range oddNames {
				queries = append(queries, url.Values{name: {value}})
			}
			for _, query := range queries {
				got := b.get(path + "?" + query.Encode())
				asked++
				if got.status < http.StatusBadRequest {
					answered++
				}
				if got.status >= http.StatusInternalServerError && got.status != plain.status {
					t.Errorf("%s?%.100s: %d", path, query.Encode(), got.status)
				}
				if strings.Contains(got.body, "<script>odd") || strings.Contains(got.body, "\x00") || !utf8.ValidString(got.body) {
					t.Errorf("%s?%.100s is repeated unescaped", path, query.Encode())
				}
			}
		}
	}
	if answered < asked/4 {
		t.Errorf("only %d of %d were answered", answered, asked)
	}
}
