package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"

	"github.com/tocsin-ir/tocsin/internal/desk"
)

const (
	// scopeRows is how many merchants of a computed scope one page shows.
	scopeRows = 500
	// lateAfter is how late a line is recorded before the page says so.
	lateAfter = 5 * time.Minute
)

// moreActs are the commands that are always possible and seldom next.
var moreActs = []string{"note", "mark", "correct", "answer", "adjust-scope", "hand-over", "link-signal", "merge", "split", "attach", "hold", "assess", "snapshot", "switch", "sign", "waive", "pick", "corrective", "move-corrective", "close", "dismiss"}

// incidentURL is the room of an incident.
func incidentURL(id string) templ.SafeURL { return templ.SafeURL("/incidents/" + url.PathEscape(id)) }

// number10 is a number as a machine reads it.
func number10(n int) string { return strconv.Itoa(n) }

func urlPath(s string) string { return url.PathEscape(s) }

// actURL is the page of a command.
func actURL(id, command string) templ.SafeURL {
	return incidentURL(id) + templ.SafeURL("/do/"+command)
}

// noticeURL is the page of notices, with a choice.
func noticeURL(id, key, value string) templ.SafeURL {
	u := incidentURL(id) + "/notices"
	if key != "" {
		u += templ.SafeURL("?" + key + "=" + url.QueryEscape(value))
	}
	return u
}

// htmxConfig turns off what the console does not use, and first of all whatever would want the
// Content-Security-Policy to be weaker: htmx writes no styles and keeps no history. Attributes are
// written as data-hx-, which HTML allows; an opened details element stays open when its page is
// refreshed.
const htmxConfig = `{"includeIndicatorCSS":false,"history":false,"prefix":"data-hx-","mode":"same-origin","defaultTimeout":8000,"extensions":"none","morphIgnore":["data-htmx-powered","open"]}`

// described ties a field to its help text.
func described(n input) templ.Attributes {
	if n.Help == "" {
		return nil
	}
	return templ.Attributes{"aria-describedby": "h-" + n.Name}
}

// suggests ties a text field to what it suggests.
func suggests(n input) templ.Attributes {
	if len(n.Options) == 0 {
		return nil
	}
	return templ.Attributes{"list": "l-" + n.Name}
}

// rowsOf is how high a text field is: a reason is a sentence.
func rowsOf(n input) string {
	if n.Name == "reason" || n.Name == "target" {
		return "2"
	}
	return "4"
}

// clockNote is what stands below a clock: when, why or why not, and whose it is.
func clockNote(f frame, c desk.ClockRow) string {
	var parts []string
	if due := dueOf(c); !due.IsZero() {
		by := "by "
		if c.Due.IsZero() {
			by = "aims for "
		}
		parts = append(parts, by+absolute(f, due))
	}
	if !c.Met.IsZero() {
		parts = append(parts, "met "+absolute(f, c.Met))
	}
	if c.From != "" {
		parts = append(parts, "from "+c.From+", which is a part of this")
	}
	if c.Why != "" {
		parts = append(parts, c.Why)
	}
	if c.Holder != "" {
		parts = append(parts, "held by "+word(c.Holder))
	}
	if c.Called != "" {
		parts = append(parts, f.called(c))
	}
	return strings.Join(parts, " · ")
}

func severityWord(s string) string {
	if s == "" {
		return "no severity yet"
	}
	return word(s)
}

// yesNo writes an answer as people say it.
func yesNo(value any) string {
	switch value {
	case true:
		return "yes"
	case false:
		return "no"
	}
	return fmt.Sprint(value)
}

func has(list []string, s string) bool { return slices.Contains(list, s) }

func list(values []string) string { return strings.Join(values, ", ") }

// isolated writes somebody's name where no element can stand, as in an option: marked so that a
// name in another direction turns round nothing but itself, and without the marks that would.
func isolated(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x061c {
			return -1
		}
		return r
	}, name)
	return "\u2068" + name + "\u2069"
}

// names lists people's names.
func names(list []string) string {
	out := make([]string, len(list))
	for i, name := range list {
		out[i] = isolated(name)
	}
	return strings.Join(out, ", ")
}

// recordButton says what recording does, with the numbers when they are known.
func recordButton(v scopeView) string {
	if v.Result == nil {
		return "Compute and record on " + v.State.ID
	}
	return "Record " + count(int64(len(v.Result.Rows)), "merchant", "merchants") + " on " + v.State.ID
}
