package drill

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// teller writes what happens as it happens, with simulated time in front. It uses no colour and
// no character a plain terminal does not have; on a terminal a progress line is redrawn in place.
type teller struct {
	mu       sync.Mutex
	out      io.Writer // progress
	card     io.Writer // the scorecard
	terminal bool
	json     bool
	blind    bool   // a replay without truth: there is nothing to compare a scope with
	from     string // where the expectations come from
	clock    time.Time
	open     bool // a progress line stands unfinished
	last     time.Time
	moved    time.Time // the machine's time of the newest sign that the drill goes on
}

func newTeller(o Options) *teller {
	return &teller{out: o.Err, card: o.Out, terminal: o.Terminal, json: o.JSON, blind: o.Events != "" && o.Truth == "", from: "of the manifest"}
}

// movedAt is when the drill was last seen to go on.
func (t *teller) movedAt() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.moved
}

func (t *teller) now(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moved = time.Now()
	t.clock = at
}

// say writes one line: simulated time, who or what, and the words.
func (t *teller) say(who, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moved = time.Now()
	t.clear()
	stamp := strings.Repeat(" ", len("Mon 02 Jan 15:04:05"))
	if !t.clock.IsZero() {
		stamp = t.clock.UTC().Format("Mon 02 Jan 15:04:05")
	}
	fmt.Fprintf(t.out, "%s  %-8s %s\n", stamp, who, printable(fmt.Sprintf(format, args...)))
}

// progress redraws a line on a terminal, and says nothing elsewhere: a log needs no heartbeat.
func (t *teller) progress(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moved = time.Now()
	if !t.terminal || time.Since(t.last) < 50*time.Millisecond {
		return
	}
	t.last = time.Now()
	line := printable(fmt.Sprintf(format, args...))
	if utf8.RuneCountInString(line) > 78 {
		line = string([]rune(line)[:78])
	}
	fmt.Fprintf(t.out, "\r%-78s", line)
	t.open = true
}

func (t *teller) clear() {
	if t.open {
		fmt.Fprintf(t.out, "\r%78s\r", "")
		t.open = false
	}
}

// printable keeps names that people chose from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '.'
		}
		return r
	}, s)
}

// scorecard writes the table, or the JSON alone.
func (t *teller) scorecard(c Scorecard, command string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	if t.json {
		e := json.NewEncoder(t.card)
		e.SetIndent("", "  ")
		_ = e.Encode(c) // a closed output has nobody to tell
		return
	}
	w := t.card
	fmt.Fprintf(w, "\nScorecard: %s, %s, seed %d", c.Scenario, c.Policy, c.Seed)
	if c.Sabotage != "" {
		fmt.Fprintf(w, ", sabotage %s", c.Sabotage)
	}
	fmt.Fprintf(w, "\n\n%-18s %-14s %-14s %-22s %-10s %-8s %s\n", "promise", "expected", "got", "time / limit", "clock", "trigger", "proof or reason")
	hidden, unjudged := 0, 0
	for _, p := range c.Promises {
		if p.Expected == "not_applicable" && p.Got == "not_applicable" {
			hidden++
			continue
		}
		if p.Got == "not_reached" {
			unjudged++
		}
		mark := " "
		if p.Expected != p.Got {
			mark = "*"
		}
		proof := p.Proof
		if proof == "" || p.Got != "kept" {
			proof = p.Reason
		}
		fmt.Fprintf(w, "%s%-17s %-14s %-14s %-22s %-10s %-8s %s\n", mark, p.ID, p.Expected, p.Got, span(p), p.Clock, p.Trigger, printable(proof))
	}
	fmt.Fprintf(w, "\n%d further promises are not made by this policy, and %d of its own were not judged. A star marks what was not as expected.\n", hidden, unjudged)
	judged := fmt.Sprintf("precision %.3f, recall %.3f", c.Scope.Precision, c.Scope.Recall)
	if t.blind {
		judged = "not judged, because no truth was given"
	}
	fmt.Fprintf(w, "scope     %s; %d merchants, %d customer accounts\n", judged, c.Scope.Merchants, c.Scope.Customers)
	fmt.Fprintf(w, "evidence  verified %v, %d of %d alterations found, witnessed %v\n", c.Evidence.Verified, c.Evidence.TamperFound, c.Evidence.TamperTrials, c.Evidence.Witnessed)
	fmt.Fprintf(w, "crash     %d kills: %d missed, %d duplicated, %d uncertain\n", c.Crash.Kills, c.Crash.Missed, c.Crash.Duplicated, c.Crash.Uncertain)
	fmt.Fprintf(w, "drill     %d accesses, %.1f s\n", c.Events, c.Elapsed)
	switch {
	case c.OK && c.Sabotage == "":
		fmt.Fprintf(w, "result    every expectation %s held\n", t.from)
	case c.Sabotage != "":
		fmt.Fprintf(w, "result    broken by %s: %s (its manifest names %s)\n", c.Sabotage, list(c.Broken), list(c.SabotageExpected))
	default:
		fmt.Fprintf(w, "result    not as expected: %s\n", list(c.Broken))
	}
	fmt.Fprintf(w, "\nOpen this incident in the console:\n  %s\n", command)
}

func list(ids []string) string {
	if len(ids) == 0 {
		return "nothing"
	}
	return strings.Join(ids, ", ")
}

func span(p Promise) string {
	if p.TookSeconds == nil {
		return "-"
	}
	took := length(*p.TookSeconds)
	if p.DueSeconds == nil {
		return took
	}
	return took + " / " + length(*p.DueSeconds)
}

// length writes seconds as people read them.
func length(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()+0.5))
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}
