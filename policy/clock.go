package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/calendar"
)

// reference is a name used somewhere, to be checked when everything is read.
type reference struct {
	name string
	pos  Pos
}

// clock reads a clock. What cannot be read is said once, and in the words of the language where it is
// clear what was meant.
func (c *compiler) clock(t text) (Clock, bool) {
	said, anchors := len(c.diags), len(c.anchors)
	k, ok := c.readClock(t)
	if ok || len(c.diags) == said {
		return k, ok
	}
	c.anchors = c.anchors[:anchors] // what an unreadable clock names is not missed
	if d := c.diags[said]; d.Code != "bad-clock" || strings.HasPrefix(d.Hint, "did you mean") {
		return k, ok
	}
	if meant := reworded(t.s, c.instant); meant != "" && meant != strings.TrimSpace(t.s) {
		c.diags = c.diags[:said]
		c.errorf(t.pos, "bad-clock", "write "+meant, "%q cannot be read as a clock", short(strings.TrimSpace(t.s)))
	}
	return k, ok
}

// instant reports whether a clock may count from n. Duties are read when most clocks are, so one of
// theirs is believed.
func (c *compiler) instant(n string) bool {
	_, at, dotted := strings.Cut(n, ".")
	return slices.Contains(Universal, n) || n == "applies" || dotted && slices.Contains(dutyInstants, at) ||
		slices.ContainsFunc(c.p.Milestones, func(m MilestoneDecl) bool { return m.ID == n })
}

// readClock reads LENGTH after|before ANCHOR, by ANCHOR, promptly after ANCHOR, or open.
func (c *compiler) readClock(t text) (Clock, bool) {
	k := Clock{Text: strings.Join(strings.Fields(t.s), " "), Pos: t.pos}
	s := strings.TrimSpace(t.s)
	word, _, _ := strings.Cut(s, " ")
	switch {
	case s == "":
		c.errorf(t.pos, "bad-clock", clockHint, "a clock is empty")
		return k, false
	case word == "as":
		return c.imported(t, s, k)
	case isPlaceholder(s):
		// Somebody still has to say: it is shown as open, and runs promptly so that it is not lost.
		target := c.p.Promptly
		k.Kind, k.Prompt, k.Span.Target, k.Anchor = "after", true, &target, Anchor{Names: []string{c.starting()}}
		return k, true
	case strings.Contains(s, ","):
		c.errorf(t.pos, "bad-clock", "several clocks are a list: [72h after confirmed, 5d after detected]", "%q is not one clock", short(s))
		return k, false
	case word == "open":
		k.Kind = "open"
		rest := strings.TrimSpace(strings.TrimPrefix(s, "open"))
		if rest == "" {
			k.Anchor = Anchor{Names: []string{c.starting()}}
			return k, true
		}
		anchor, ok := strings.CutPrefix(rest, "after ")
		if !ok {
			c.errorf(t.pos, "bad-clock", clockHint, "%q: open stands alone or before after", short(s))
			return k, false
		}
		k.Anchor, ok = c.anchor(t, strings.LastIndex(t.s, anchor), anchor)
		return k, ok
	case word == "by":
		k.Kind = "by"
		anchor := strings.TrimSpace(strings.TrimPrefix(s, "by"))
		var ok bool
		k.Anchor, ok = c.anchor(t, strings.LastIndex(t.s, anchor), anchor)
		return k, ok
	}
	length, anchor := s, ""
	for _, kind := range []string{"after", "before"} {
		if i := strings.Index(" "+s+" ", " "+kind+" "); i >= 0 {
			k.Kind, length, anchor = kind, s[:max(0, i-1)], strings.TrimSpace(s[min(len(s), i+len(kind)):])
			break
		}
	}
	if k.Kind != "" && strings.TrimSpace(length) == "" {
		c.errorf(t.pos, "bad-clock", clockHint, "%q does not say how long %s it", short(s), k.Kind)
		return k, false
	}
	ok := c.span(t, length, &k)
	if k.Kind == "" {
		// Without after or before it starts where the policy's clocks start.
		k.Kind = "after"
		k.Anchor, k.From = Anchor{Names: []string{c.starting()}}, true
		if ok && c.start == "" {
			c.warnf(t.pos, "no-start", fmt.Sprintf("write %s after %s", k.Text, c.p.Starts), "%q names no start: it counts from %s", short(s), c.p.Starts)
		}
		return k, ok
	}
	var anchored bool
	k.Anchor, anchored = c.anchor(t, strings.LastIndex(t.s, anchor), anchor)
	return k, ok && anchored
}

// maxInstants bounds how many instants one clock names.
const maxInstants = 16

const clockHint = "write 72h after confirmed, promptly after detected, by restored, or open"

// span reads the length of a clock into k.
func (c *compiler) span(t text, length string, k *Clock) bool {
	s := strings.TrimSpace(length)
	if rest, ok := strings.CutPrefix(s, "promptly"); ok {
		target := c.p.Promptly
		k.Prompt = true
		c.usesPromptly = true
		k.Span.Target = &target
		rest = strings.TrimSpace(rest)
		if rest == "" {
			return true
		}
		limit, ok := strings.CutPrefix(rest, "..")
		if !ok {
			c.errorf(t.pos, "bad-clock", "write promptly or promptly..30h", "%q is not a length of time", short(s))
			return false
		}
		l, err := calendar.ParseLength(limit)
		if err != nil {
			c.parseError(t.pos, "bad-clock", err)
			return false
		}
		k.Span.Limit = &l
		return c.business(t.pos, k.Span)
	}
	span, err := calendar.ParseSpan(s)
	if err != nil {
		c.parseError(t.pos, "bad-clock", err)
		return false
	}
	if l := span.Limit; l != nil && l.Business && l.N == 0 {
		c.errorf(t.pos, "bad-clock", "the close of business on the same day is: by end of business day of confirmed", "%s is no time at all", l)
		return false
	}
	k.Span = span
	return c.business(t.pos, span)
}

// business reports business time in a policy that has no opening hours.
func (c *compiler) business(pos Pos, s calendar.Span) bool {
	for _, l := range []*calendar.Length{s.Target, s.Limit} {
		if l != nil && l.Business && c.p.Hours.Never() {
			c.errorf(pos, "no-hours", hoursHint, "%s counts business time, and the policy has no opening hours", l)
			return false
		}
	}
	return true
}

const hoursHint = `write time: { business: "Mon-Fri 09:00-17:30" }`

// parseError reports what the calendar could not read.
func (c *compiler) parseError(pos Pos, code string, err error) {
	var p *calendar.ParseError
	if errors.As(err, &p) {
		c.errorf(pos, code, p.Hint, "%s", p.Message)
		return
	}
	c.errorf(pos, code, "", "%v", err)
}

// imported reads a clock that stands elsewhere: as law, as contract, or as contract after ANCHOR.
func (c *compiler) imported(t text, s string, k Clock) (Clock, bool) {
	words := strings.Fields(s)
	target := c.p.Promptly
	k.Span.Target = &target
	switch {
	case len(words) > 1 && (words[1] == "law" || words[1] == "contract"):
		k.Kind = words[1]
	default:
		c.errorf(t.pos, "bad-clock", "write as law, or as contract", "%q does not say where the clock stands", short(s))
		return k, false
	}
	switch {
	case len(words) == 2:
		return k, true
	case k.Kind == "law":
		hint := "write as law alone"
		if two := clocksMeant(s, c.instant); two != "" {
			hint = "several clocks are a list: " + two
		}
		c.errorf(t.pos, "bad-clock", hint, "%q: a law says itself from when its clock counts", short(s))
		return k, false
	case words[2] != "after" || len(words) == 3:
		c.errorf(t.pos, "bad-clock", "write as contract, or as contract after confirmed", "%q is not a clock of a contract", short(s))
		return k, false
	}
	anchor := strings.TrimSpace(s[strings.Index(s, " after ")+len(" after "):])
	var ok bool
	k.Anchor, ok = c.anchor(t, strings.LastIndex(t.s, anchor), anchor)
	return k, ok
}

// anchor reads "A", "A or B", "A and B" or "end of month of A", which stands offset bytes into t.
func (c *compiler) anchor(t text, offset int, s string) (Anchor, bool) {
	offset = min(max(0, offset), len(t.s))
	var a Anchor
	words := strings.Fields(s)
	if len(words) == 0 {
		c.errorf(t.pos, "bad-clock", "name a milestone, such as detected or confirmed", "%q does not say after what", short(t.s))
		return a, false
	}
	if len(words) > 2*maxInstants {
		c.errorf(t.pos, "bad-clock", "a milestone of your own can stand for many", "%q names more than %d instants", short(t.s), maxInstants)
		return a, false
	}
	place := func(w string) Pos { // of the next word w
		at := strings.Index(t.s[offset:], w)
		if at < 0 {
			return t.pos
		}
		offset += at
		pos := c.inside(t, 0, t.s, 1, len([]rune(t.s[:offset])))
		offset += len(w)
		return pos
	}
	if words[0] == "end" {
		place("end")
		if len(words) < 3 || words[1] != "of" {
			c.errorf(t.pos, "bad-clock", "write end of month of confirmed", "%q does not say the end of what", short(t.s))
			return a, false
		}
		pos := place(words[2])
		if a.End = words[2]; a.End == "business" && len(words) > 3 && words[3] == "day" {
			place("day")
			a.End, words = string(calendar.BusinessDay), slices.Delete(words, 3, 4)
			if c.p.Hours.Never() {
				c.errorf(pos, "no-hours", hoursHint, "%q counts business time, and the policy has no opening hours", short(t.s))
				return a, false
			}
		} else if !calendar.Period(a.End).Known() {
			c.errorf(pos, "bad-clock", didYouMean(a.End, []string{"day", "week", "month", "quarter", "year", "business day"}, "periods are business day, day, week, month, quarter and year"), "%q: %s is no period", short(t.s), short(a.End))
			return a, false
		}
		switch {
		case len(words) == 3:
			a.Names = []string{c.starting()}
			return a, true
		case len(words) == 4 || words[3] != "of":
			c.errorf(t.pos, "bad-clock", "write end of "+a.End+" of confirmed", "%q does not say the end of which %s", short(t.s), a.End)
			return a, false
		}
		words = words[4:]
	}
	join, before := "", len(c.anchors)
	for i, w := range words {
		pos := place(w)
		if i%2 == 1 {
			switch {
			case w != "or" && w != "and":
				hint := "join instants with or (the first of them) or and (the last)"
				if two := clocksMeant(t.s, c.instant); two != "" {
					hint = "several clocks are a list: " + two
				} else if meant := instantMeant(s); meant != "" && !c.instant(words[0]) {
					hint = "write " + meant
				}
				c.anchors = c.anchors[:before]
				c.errorf(t.pos, "bad-clock", hint, "%q: there is no %q between two instants", short(t.s), short(w))
				return a, false
			case join != "" && w != join:
				c.errorf(t.pos, "bad-clock", "use one of them; a milestone of your own can stand for the other", "%q mixes or with and", short(t.s))
				return a, false
			}
			join = w
			continue
		}
		name := strings.TrimPrefix(w, "duty.")
		a.Names = append(a.Names, name)
		if name != "applies" {
			c.anchors = append(c.anchors, reference{name, pos})
		}
	}
	if len(words)%2 == 0 {
		c.errorf(t.pos, "bad-clock", "", "%q ends with %q", short(t.s), words[len(words)-1])
		return a, false
	}
	a.All = join == "and"
	return a, len(a.Names) > 0
}
