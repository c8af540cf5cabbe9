package rehearsal_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
	"github.com/tocsin-ir/tocsin/rehearsal"
)

var update = flag.Bool("update", false, "write what is found to the files of testdata")

// TestExplain reads testdata/explain/*.txtar. A file holds a policy (policy.yaml, or a line "policy
// ID" of a shipped one in its comment) and cases NAME.facts with NAME.want. A want has lines
//
//	at INSTANT
//	DUTY[/RECIPIENT][#ROUND] STATE [due INSTANT] [target INSTANT] [met INSTANT] [missed INSTANT] [atonce INSTANT] [unknown A,B]
//	why DUTY[/RECIPIENT][#ROUND] WORDS that its reason contains
//	begins DUTY[/RECIPIENT][#ROUND] WORDS of the line that says from when on it may be done
//	there DUTY[/RECIPIENT] WORDS that the due time in the recipient's zone contains
//	cell DUTY WORDS that one of its cells contains
//	absent DUTY[/RECIPIENT]
//	question FACT N
//	first FACT: the question that decides most
//	severity LEVEL
//	shut COMMAND, free COMMAND: a gate would refuse it now, or none would
//	paged DUTY ROLE, unpaged DUTY: who has been called until now
//	refused WORDS: a command of the file has been refused with them
//	warns WORDS: the compiler warns of the policy with them
//	error WORDS: reading or playing the facts fails with them
//
// Instants are RFC 3339; what a line does not name is not compared.
func TestExplain(t *testing.T) {
	files, err := filepath.Glob("testdata/explain/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	cases := 0
	shown := map[string]bool{}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := map[string][]byte{}
		for _, f := range a.Files {
			parts[f.Name] = f.Data
		}
		p, warnings := programOf(t, file, string(a.Comment), parts["policy.yaml"])
		for _, f := range a.Files {
			name, isWant := strings.CutSuffix(f.Name, ".want")
			if !isWant {
				continue
			}
			cases++
			for line := range strings.Lines(string(f.Data)) {
				if row, ok := strings.CutPrefix(line, "# row: "); ok {
					shown[strings.TrimSpace(row)] = true
				}
			}
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+name, func(t *testing.T) {
				facts, ok := parts[name+".facts"]
				if !ok {
					facts, ok = parts["facts"]
				}
				if !ok {
					t.Fatalf("there is no %s.facts", name)
				}
				expect(t, p, warnings, facts, string(f.Data))
			})
		}
	}
	if cases < 150 {
		t.Errorf("there are %d cases; the language promises 150", cases)
	}
	for row, says := range rows {
		if !shown[row] {
			t.Errorf("no case says \"# row: %s\": %s", row, says)
		}
		delete(shown, row)
	}
	for row := range shown {
		t.Errorf("%s is no row of the language", row)
	}
}

// rows are what the language says of the unknown, of time, and of things that move. Every row has a
// case that names it.
var rows = map[string]string{
	"unknown.instants":    "an instant that is not recorded has not happened yet",
	"unknown.facts":       "a fact that is not recorded is unknown",
	"unknown.negation":    "and so is its negation",
	"unknown.no":          "only a recorded no makes a duty not due",
	"unknown.provisional": "under an unknown condition the clock runs provisionally",
	"unknown.ask":         "asking is itself a duty",
	"unknown.gate":        "for a gate, unknown is shut",
	"unknown.recipient":   "for a filter of recipients, unknown is in",
	"unknown.pages":       "only what is proved calls people",
	"unknown.absorb":      "&& and || absorb what is unknown",
	"unknown.names":       "what is unknown is named",
	"unknown.declared":    "a name that is not declared is an error",
	"unknown.judge":       "a clock on a milestone that nobody is obliged to decide is named",
	"time.elapsed":        "minutes and hours are elapsed",
	"time.wall":           "days and more move the local date and keep the wall clock",
	"time.gap":            "in a gap, the first instant after it",
	"time.overlap":        "in an overlap, the first of the two",
	"time.month":          "no such day is the last of the month",
	"time.business_hours": "business hours count open time",
	"time.business_days":  "n business days end at the close of the n-th working day after",
	"time.met":            "met means at or before",
	"time.law":            "clocks of law count by the law's own rules, from the milestone the catalogue names",
	"time.passed":         "a condition reads time only by passed, whose turning point wakes the engine",
	"moves.discovery":     "a limit already past is due at once, late by discovery, both times shown",
	"moves.severity":      "when the severity moves: the same anchors, new spans",
	"moves.earlier":       "an anchor moves earlier freely",
	"moves.later":         "and later, and both stay",
	"moves.gate":          "a gate never stops a clock: it calls its signers",
	"moves.check":         "a limit that can fall before its gate opens is named",
	"moves.dismissal":     "a dismissal stops clocks by name",
	"moves.reopening":     "reopening resumes them from the old anchors",
	"moves.decided_again": "and what the dismissal met is owed again, counted from the reopening",
}

func programOf(t *testing.T, file, comment string, src []byte) (*policy.Program, string) {
	t.Helper()
	for line := range strings.Lines(comment) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "policy "); ok {
			shipped, err := policies.FS.ReadFile(id + ".yaml")
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			src = shipped
		}
	}
	p, diags := policy.Compile(file, src)
	if p == nil {
		t.Fatalf("%s: the policy does not compile:\n%v", file, diags)
	}
	p.Laws = regimes.Catalogue()
	var warnings strings.Builder
	for _, d := range diags {
		warnings.WriteString(d.String() + "\n")
	}
	return p, warnings.String()
}

func expect(t *testing.T, p *policy.Program, warnings string, facts []byte, want string) {
	var at time.Time
	var run *rehearsal.Run
	var got *rehearsal.Answer
	var failed error
	for line := range strings.Lines(want) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if rest, ok := strings.CutPrefix(line, "at "); ok {
			at = instant(t, rest)
			run, failed = played(p, facts, at)
			if failed == nil {
				got = run.Explain()
			}
			continue
		}
		if words, ok := strings.CutPrefix(line, "warns "); ok {
			if !strings.Contains(warnings, words) {
				t.Errorf("no warning with %q:\n%s", words, warnings)
			}
			continue
		}
		if words, ok := strings.CutPrefix(line, "error "); ok {
			if at.IsZero() {
				_, failed = explain(p, facts, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
			}
			if failed == nil || !strings.Contains(failed.Error(), words) {
				t.Errorf("error %v, want one with %q", failed, words)
			}
			continue
		}
		if failed != nil {
			t.Fatal(failed)
		}
		if got == nil {
			t.Fatalf("%q stands before the first at", line)
		}
		problem, about := checkRun(run, line)
		if !about {
			problem = check(got, line)
		}
		if problem != "" {
			var b bytes.Buffer
			_ = got.Write(&b, time.UTC)
			t.Errorf("at %s: %s: %s\n%s", at.Format(time.RFC3339), line, problem, b.String())
		}
	}
}

func explain(p *policy.Program, facts []byte, at time.Time) (*rehearsal.Answer, error) {
	r, err := played(p, facts, at)
	if err != nil {
		return nil, err
	}
	return r.Explain(), nil
}

func played(p *policy.Program, facts []byte, at time.Time) (*rehearsal.Run, error) {
	story, err := rehearsal.Read("facts", facts, p)
	if err != nil {
		return nil, err
	}
	r := rehearsal.New(p, story)
	return r, r.To(at)
}

// checkRun checks a line about gates, pages and refusals; false for any other line.
func checkRun(r *rehearsal.Run, line string) (problem string, about bool) {
	verb, rest, _ := strings.Cut(line, " ")
	duty, role, _ := strings.Cut(rest, " ")
	switch verb {
	case "shut", "free":
		if shut := incident.Shut(r.Program(), r.State()); slices.Contains(shut, rest) != (verb == "shut") {
			return fmt.Sprintf("shut are %v", shut), true
		}
	case "paged", "unpaged":
		var calls []string
		for _, p := range r.State().Pages {
			if p.Duty == duty {
				calls = append(calls, p.Role)
			}
		}
		if verb == "paged" && !slices.Contains(calls, role) || verb == "unpaged" && len(calls) > 0 {
			return fmt.Sprintf("called are %v", calls), true
		}
	case "refused":
		for _, s := range r.Steps() {
			if strings.Contains(s.Refused, rest) && s.Refused != "" {
				return "", true
			}
		}
		return "nothing was refused so", true
	default:
		return "", false
	}
	return "", true
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// find gives the line of DUTY[/RECIPIENT][#ROUND].
func find(a *rehearsal.Answer, name string) *rehearsal.Duty {
	name, round, _ := strings.Cut(name, "#")
	duty, recipient, named := strings.Cut(name, "/")
	for _, list := range [][]rehearsal.Duty{a.Duties, a.Excluded, a.Programme} {
		for i := range list {
			d := &list[i]
			if d.Duty != duty || round != "" && fmt.Sprint(max(1, d.Round)) != round || round == "" && d.Round > 1 {
				continue
			}
			if !named && len(d.Recipients) == 0 || named && slices.Contains(d.Recipients, recipient) {
				return d
			}
		}
	}
	return nil
}

func check(a *rehearsal.Answer, line string) string {
	verb, rest, _ := strings.Cut(line, " ")
	name, words, _ := strings.Cut(rest, " ")
	switch verb {
	case "severity":
		if a.Severity != rest {
			return "the severity is " + a.Severity
		}
		return ""
	case "first":
		if len(a.Questions) == 0 || a.Questions[0].Fact != rest {
			return fmt.Sprintf("the first question is %v", a.Questions)
		}
		return ""
	case "question":
		for _, q := range a.Questions {
			if q.Fact == name && fmt.Sprint(q.Decides) == words {
				return ""
			}
		}
		return fmt.Sprintf("the questions are %v", a.Questions)
	case "absent":
		if d := find(a, rest); d != nil {
			return "it is there, " + string(d.State)
		}
		return ""
	case "why", "there", "cell", "begins":
		d := find(a, name)
		if d == nil {
			return "there is no such instance"
		}
		text := d.Why
		if verb == "there" {
			text = d.DueThere
		} else if verb == "cell" {
			text = strings.Join(d.Cells, "\n")
		} else if verb == "begins" {
			text = rehearsal.Begins(*d, a.At, time.UTC)
		}
		if !strings.Contains(text, words) {
			return "it says " + text
		}
		return ""
	}
	d := find(a, verb)
	if d == nil {
		return "there is no such instance"
	}
	fields := strings.Fields(rest)
	if len(fields) == 0 || string(d.State) != fields[0] {
		return "its state is " + string(d.State)
	}
	for i := 1; i+1 < len(fields); i += 2 {
		got := ""
		switch at := (map[string]time.Time{"due": d.Due, "target": d.Target, "met": d.Met, "missed": d.Missed, "atonce": d.AtOnce, "started": d.Started, "earliest": d.Earliest, "floor": d.Floor, "applies": d.Applies}[fields[i]]); {
		case fields[i] == "unknown":
			got = strings.Join(d.Unknown, ",")
		case at.IsZero():
			got = "never"
		default:
			got = at.UTC().Format(time.RFC3339)
		}
		if got != fields[i+1] {
			return fields[i] + " is " + got
		}
	}
	if len(fields)%2 == 0 {
		return "the line ends with a word that has no value"
	}
	return ""
}

func TestAStoryAndItsDrawingTellWhatTheClocksDid(t *testing.T) {
	src, err := policies.FS.ReadFile("pickandpack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, _ := policy.Compile("pickandpack.yaml", src)
	facts, err := os.ReadFile("testdata/night.yaml")
	if err != nil {
		t.Fatal(err)
	}
	story, err := rehearsal.Read("night.yaml", facts, p)
	if err != nil {
		t.Fatal(err)
	}
	r := rehearsal.New(p, story)
	if err := r.To(time.Date(2026, 12, 10, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.WriteStory(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/night.txt", b.Bytes())
	golden(t, "testdata/night.svg", []byte(r.SVG()))
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; go test ./rehearsal -update writes it anew. Got:\n%s", file, got)
	}
}

// TestTheFilesOfTheManualAreRead plays every file of facts that docs/policy/rehearse.md shows.
func TestTheFilesOfTheManualAreRead(t *testing.T) {
	src, err := policies.FS.ReadFile("pickandpack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, _ := policy.Compile("pickandpack.yaml", src)
	manual, err := os.ReadFile("../docs/policy/rehearse.md")
	if err != nil {
		t.Fatal(err)
	}
	files := strings.Split(string(manual), "```yaml facts\n")[1:]
	if len(files) < 3 {
		t.Fatalf("the manual shows %d files", len(files))
	}
	for i, f := range files {
		f, _, _ = strings.Cut(f, "```")
		a, err := explain(p, []byte(f), time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC))
		if err != nil {
			t.Errorf("file %d: %v", i+1, err)
		} else if len(a.Duties) == 0 || len(a.Milestones) == 0 {
			t.Errorf("file %d: nothing is due", i+1)
		}
	}
}
