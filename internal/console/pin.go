package console

import (
	"net/url"
	"strings"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// A line of the log is put on the timeline of the review by one button on it. All buttons of a page belong
// to one form, and the value of each is the line: a form for each of a hundred lines would be half the page.

// pinValue is a line as its button gives it.
func pinValue(l desk.TimelineLine, sentence string) string {
	return url.Values{"of": {l.ID}, "at": {machine(l.At)}, "text": {pickable(sentence)}}.Encode()
}

// pinned says under which entry of the review each line stands.
func pinned(s *incident.State) map[string]string {
	out := map[string]string{}
	for _, e := range s.Review.Entries {
		if e.Of != "" {
			out[e.Of] = e.ID
		}
	}
	return out
}

// takePin turns what a button gave into the fields of the form that puts something on the timeline of the
// review: what is refused can be read and mended there. It says where the reader goes back to.
func takePin(in url.Values, id string) (back string, err error) {
	line, err := url.ParseQuery(in.Get("line"))
	if err != nil {
		return "", desk.ErrInvalid
	}
	for _, name := range []string{"of", "at", "text"} {
		in.Set(name, line.Get(name))
	}
	in.Set("show", incident.VersionInternal)
	in.Del("entry")
	if key := in.Get("key"); key != "" {
		in.Set("key", key+"/"+line.Get("of")) // two lines of one page are two commands, one line twice is one
	}
	room := string(incidentURL(id))
	back = in.Get("back")
	if back != room && !strings.HasPrefix(back, room+"?") && !strings.HasPrefix(back, room+"/timeline") || strings.ContainsAny(back, "\\\r\n#") {
		back = room
	}
	return back + "#l-" + url.PathEscape(line.Get("of")), nil
}

// pinPlace is where on the page of the review an entry stands.
func pinPlace(id, entry string) string { return reviewAddress(id) + "#" + url.PathEscape(entry) }
