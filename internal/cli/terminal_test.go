package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/internal/cli"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
)

// terminal runs commands in this process against a filled desk.
func terminal(t *testing.T) func(args ...string) (code int, out, errs string) {
	run, _ := terminalOf(t)
	return run
}

// terminalOf is terminal with the width that it says it has.
func terminalOf(t *testing.T) (run func(args ...string) (code int, out, errs string), columns *string) {
	t.Helper()
	run, _, columns = terminalAndDesk(t)
	return run, columns
}

// terminalAndDesk is terminalOf with the desk that it asks.
func terminalAndDesk(t *testing.T) (run func(args ...string) (code int, out, errs string), d *desktest.Desk, columns *string) {
	t.Helper()
	wide := "72"
	d, owner := desktest.New(now)
	fill(d)
	d.Lines["INC-1"] = append(d.Lines["INC-1"], desk.TimelineLine{ID: "l9", At: now, Source: "log", Principal: "arn:aws:iam::123456789012:user/bert from 192.168.10.20", Text: "arn:aws:iam::123456789012:user/bert from 192.168.10.20: s3.amazonaws.com:GetObject, 3 events; supplied later in the file sha256:ab", Supplied: "sha256:ab"})
	d.Yearly = incident.NewState(desk.OrgChain)
	d.Guarded = []desk.SourceState{{Name: "theme", Kind: "shopify-theme", Place: "example.myshopify.com, the published theme", State: desk.SourceChanged, Looked: now, Approval: &integrity.Approval{Digest: "sha256:aa", By: "person:lena", At: now, Files: 2}, Found: "sha256:bb"}}
	d.Shown = []integrity.Shown{{Change: integrity.Change{Path: "layout/theme.liquid", Kind: integrity.Changed}, Diff: "-a\n+\x1b[31mb\n"}}
	server := httptest.NewServer(httpapi.New(d, httpapi.Options{Doctor: func(context.Context, bool) (doctor.Report, error) {
		return doctor.Report{At: now, Served: true, Findings: []doctor.Finding{{ID: "mail", State: doctor.OK, Say: "It is.", Promises: []string{}}}}, nil
	}}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(owner), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		env := map[string]string{"COLUMNS": wide, "TOCSIN_SERVER": server.URL, "TOCSIN_TOKEN_FILE": token}
		root := cli.New(cli.Deps{Out: &out, Err: &errs, Now: func() time.Time { return now }, Getenv: func(k string) string { return env[k] }})
		code := cli.Run(t.Context(), root, args)
		return code, out.String(), errs.String()
	}, d, &wide
}

// reads are the commands that read from a server, with arguments that they can be given. A command
// of the tree stands here or in writes, or it needs no server.
var reads = map[string][]string{
	"clocks": {}, "doctor": {}, "key list": {}, "people tokens": {}, "watch": {"--once"}, "whoami": {}, "probes": {}, "programme": {}, "rejected": {}, "integrity list": {}, "integrity diff": {"theme"}, "incident files": {"INC-1"},
	"scope":       {"--merchant", "shop_1", "--from", "2026-11-21", "--to", "2026-11-23"},
	"access list": {}, "access show": {"evt-1"}, "access erasures": {},
	"incident list": {}, "incident scopes": {"INC-1"}, "incident show": {"INC-1"}, "incident timeline": {"INC-1"}, "incident review": {"INC-1"},
	"review show": {"INC-1"}, "review plan": {"INC-1"}, "review entries": {"INC-1"}, "review published": {"INC-1"}, "review actions": {}, "review diff": {"INC-1", "--from", "0"},
	"notify preview": {"INC-1", "NTC-1", "shop_1"}, "evidence checkpoint": {}, "evidence days": {}, "merchants list": {}, "people list": {}, "switch list": {},
}

// offline are groups whose commands have scripts of their own, and commands of other programs.
var offline = []string{"policy", "law", "detect", "completion", "help", "man", "ingest", "evidence verify", "evidence export", "evidence prove", "incident attachment"}

// writes change something; their answer to --json is an outcome, which the scripts look at.
func isWrite(path string, c *cobra.Command) bool {
	group, _, ok := strings.Cut(path, " ")
	return ok && slices.Contains([]string{"incident", "notify", "review", "probes", "programme", "switch", "merchants", "people", "key", "secret", "evidence"}, group) && c.Short != "" || path == "access erase" || path == "report" || slices.Contains([]string{"integrity check", "integrity baseline", "integrity restore"}, path)
}

func TestEveryReadingCommandAnswersInJSON(t *testing.T) {
	run := terminal(t)
	var walk func(c *cobra.Command)
	var seen []string
	walk = func(c *cobra.Command) {
		path := strings.TrimPrefix(c.CommandPath(), "tocsin ")
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if args, ok := reads[path]; ok {
			seen = append(seen, path)
			code, out, errs := run(append(append(strings.Fields(path), "--json"), args...)...)
			if code != 0 || !json.Valid([]byte(out)) {
				t.Errorf("tocsin %s --json: exit %d: %s%s", path, code, out, errs)
			}
			return
		}
		if c.HasSubCommands() || slices.ContainsFunc(offline, func(o string) bool { return path == o || strings.HasPrefix(path, o+" ") }) || isWrite(path, c) {
			return
		}
		t.Errorf("tocsin %s: say in this test whether it reads or writes", path)
	}
	root := cli.New(cli.Deps{})
	for _, c := range root.Commands() {
		walk(c)
	}
	if len(seen) != len(reads) {
		t.Errorf("of %d reading commands %d are in the tree: %v", len(reads), len(seen), seen)
	}
}

func TestEveryReadingCommandFitsTheTerminalAndHasNoColourElsewhere(t *testing.T) {
	run, wide := terminalOf(t)
	for _, columns := range []string{"40", "72", "200"} {
		*wide = columns
		limit, _ := strconv.Atoi(columns)
		for path, args := range reads {
			if slices.Contains(exact, path) {
				continue
			}
			code, out, errs := run(append(strings.Fields(path), args...)...)
			if code != 0 {
				t.Errorf("%s: %s", path, errs)
			}
			for line := range strings.Lines(out) {
				line = strings.TrimRight(line, "\n")
				if n := cells(line); n > limit && longestWord(line) < limit-2 {
					t.Errorf("%s: a line of %d cells on a terminal of %d: %s", path, n, limit, line)
				}
				if strings.Contains(line, "\x1b") {
					t.Errorf("%s: an escape sequence where there is no terminal: %q", path, line)
				}
			}
		}
	}
}

// exact are commands whose lines are taken letter by letter, and are never broken.
var exact = []string{"evidence checkpoint", "integrity diff", "review diff", "notify preview", "incident review", "review show"}

// cells counts the columns of a terminal by itself, for the scripts that these tests print.
func cells(line string) int {
	n := 0
	for _, r := range line {
		switch {
		case unicode.Is(unicode.Mn, r):
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul):
			n += 2
		default:
			n++
		}
	}
	return n
}

func longestWord(line string) int {
	n := 0
	for word := range strings.FieldsSeq(line) {
		n = max(n, len(word))
	}
	return n
}

// What is piped into another program is not broken: nobody knows how wide it may be.
func TestLinesOfAPipeAreLeftWhole(t *testing.T) {
	run, wide := terminalOf(t)
	*wide = "40"
	_, narrow, _ := run("incident", "show", "INC-1")
	*wide = ""
	_, piped, errs := run("incident", "show", "INC-1")
	// Tables above are cut to fit, which is another matter.
	_, narrow, _ = strings.Cut(narrow, "Actions")
	_, piped, _ = strings.Cut(piped, "Actions")
	if strings.Count(narrow, "\n") <= strings.Count(piped, "\n") || strings.Join(strings.Fields(narrow), " ") != strings.Join(strings.Fields(piped), " ") {
		t.Errorf("on 40 columns:\n%s\npiped:\n%s%s", narrow, piped, errs)
	}
}

// A line of a log that was brought in later is marked as that from 72 columns on; a pipe has all
// of it.
func TestALineThatWasSuppliedLaterIsMarkedInTheTerminal(t *testing.T) {
	run, columns := terminalOf(t)
	for _, args := range [][]string{{"incident", "timeline", "INC-1"}, {"incident", "timeline", "INC-1", "--each"}} {
		for _, *columns = range []string{"72", "80", "200", ""} {
			_, out, errs := run(args...)
			i := strings.Index(out, "arn:aws")
			if i < 0 {
				t.Fatalf("%v: %s%s", args, out, errs)
			}
			line, _, _ := strings.Cut(out[i:], "\n")
			if !strings.HasSuffix(line, "  supplied later") || *columns == "" && !strings.Contains(line, "GetObject, 3 events; supplied later in the file sha256:ab") {
				t.Errorf("%v at %q columns: %s", args, *columns, line)
			}
		}
	}
}

// Who did something is called by name, as in the console; of two with one name it is said who.
func TestTheTimelineCallsPeopleByTheirNames(t *testing.T) {
	run, d, columns := terminalAndDesk(t)
	d.Join("zoe", "Zoë Abel", incident.Responder)
	d.Join("omar", "Omar", incident.Responder)
	d.Join("omar2", "Omar", incident.Viewer)
	*columns = ""
	d.Lines["INC-1"] = []desk.TimelineLine{
		{ID: "l1", At: now, Source: "fact", Principal: "person:zoe", Text: "lead is given to person:omar"},
		{ID: "l2", At: now, Source: "fact", Principal: "person:gone", Text: "a note"},
		{ID: "l3", At: now, Source: "log", Principal: "service:web", Text: "person:zoe read 3 records"},
	}
	for _, args := range [][]string{{"incident", "timeline", "INC-1"}, {"incident", "timeline", "INC-1", "--each"}} {
		_, out, errs := run(args...)
		for _, want := range []string{"Zoë Abel ", "lead is given to Omar (omar)\n", " gone ", "person:zoe read 3 records"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v lacks %q:\n%s%s", args, want, out, errs)
			}
		}
		if n := strings.Count(out, "person:"); n != 1 {
			t.Errorf("%v shows %d ids:\n%s", args, n, out)
		}
	}
	d.States["INC-1"].Milestones["confirmed"].By = "person:zoe"
	if _, out, _ := run("incident", "show", "INC-1"); !strings.Contains(out, "  Zoë Abel\n") {
		t.Errorf("who confirmed it is not named:\n%s", out)
	}
	if _, out, _ := run("incident", "timeline", "INC-1", "--json"); !strings.Contains(out, `"principal": "person:zoe"`) {
		t.Errorf("a program is not told the id: %s", out)
	}
}

// Wherever the terminal says who, it says their names; a program is told the ids.
func TestEveryTableCallsPeopleByTheirNames(t *testing.T) {
	run, d, columns := terminalAndDesk(t)
	*columns = ""
	d.Join("zoe", "Zoë Abel", incident.Responder)
	s := d.States["INC-1"]
	s.Review.Corrective = []incident.Corrective{{ID: "CA-1", Text: "end access with the contract", Owner: "person:zoe", Due: now, State: incident.CorrectiveOpen, At: now}}
	s.Review.Published = []incident.Publication{{Version: "internal", N: 1, Digest: "sha256:ab", By: "person:zoe", At: now}}
	s.Scopes = []incident.ScopeVersion{{N: 1, At: now, By: "person:zoe", Why: "the stolen token"}}
	s.Adjusted = map[string]*incident.Adjusted{"m_1": {Include: true, By: "person:zoe", At: now, Why: "they called"}}
	d.Running[desk.OrgChain] = d.Running["INC-1"]
	d.Yearly.Events = []incident.EventOf{{ID: "EVT-1", Event: "subprocessor_added", At: now, Recorded: now, By: "person:zoe", Note: "a new one"}}
	d.Erased = []desk.ErasureRow{{ID: "ERS-1", Merchant: "m_1", All: true, At: now, By: "person:zoe", Basis: "GDPR 17"}}
	d.Guarded[0].Approval.By = "person:zoe"
	s.Private = &incident.Privacy{Readers: []incident.Reader{{Person: "person:zoe"}, {Person: "person:gone"}}, About: []incident.Principal{"person:zoe"}}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"incident", "show", "INC-1"}, "On its list: Zoë Abel, gone\nIt is about Zoë Abel, who"},
		{[]string{"incident", "scopes", "INC-1"}, "included by hand: m_1, by Zoë Abel, "},
		{[]string{"review", "actions"}, "2026-11-22  Zoë Abel  end access"},
		{[]string{"review", "published", "INC-1"}, "Z  Zoë Abel  sha256:ab"},
		{[]string{"programme"}, "Z  Zoë Abel  a new one"},
		{[]string{"access", "erasures"}, "all   Zoë Abel  GDPR 17"},
		{[]string{"integrity", "list"}, "  Zoë Abel  "},
	} {
		code, out, errs := run(c.args...)
		if code != 0 || !strings.Contains(out, c.want) || strings.Contains(out, "person:") || strings.Contains(out, "zoe") {
			t.Errorf("%v: exit %d, want %q:\n%s%s", c.args, code, c.want, out, errs)
		}
		if _, out, _ := run(append(c.args, "--json")...); !strings.Contains(out, `"person:zoe"`) || strings.Contains(out, "Zoë") {
			t.Errorf("%v: a program is not told the id alone: %s", c.args, out)
		}
	}
}

func TestTheShellCompletesIncidents(t *testing.T) {
	run := terminal(t)
	for _, args := range [][]string{{"incident", "show", ""}, {"clocks", "I"}, {"notify", "send", ""}, {"scope", "--incident", ""}} {
		code, out, errs := run(append([]string{"__complete"}, args...)...)
		if code != 0 || !strings.HasPrefix(out, "INC-1\t") {
			t.Errorf("%v completes to %q %s", args, out, errs)
		}
	}
	if _, out, _ := run("__complete", "incident", "show", "INC-1", ""); strings.Contains(out, "INC-1") {
		t.Errorf("a second incident is offered: %q", out)
	}
}

func TestEveryCommandHasAManualPage(t *testing.T) {
	run := terminal(t)
	dir := t.TempDir()
	if code, _, errs := run("man", dir); code != 0 {
		t.Fatal(errs)
	}
	for _, name := range []string{"tocsin.1", "tocsin-watch.1", "tocsin-incident-show.1", "tocsin-doctor.1"} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.HasPrefix(bytes.TrimLeft(page, "\n"), []byte(".nh\n.TH")) {
			t.Errorf("%s: %v: %.60q", name, err, page)
		}
		// Readers of pages warn of tabs in text and of a date that is no day.
		if bytes.Contains(page, []byte("\n\t")) || !regexp.MustCompile(`(?m)^\.TH "[^"]+" "1" "\d{4}-\d\d-\d\d" `).Match(page) || name != "tocsin.1" && !bytes.Contains(page, []byte("\n.TP\n")) {
			t.Errorf("%s is not set as readers of pages want it: %.400s", name, page)
		}
	}
}

// On a terminal of half the width a table would cut the very times that it is there for: each row is a few lines.
func TestANarrowTerminalStillSaysWhenAndWho(t *testing.T) {
	run, columns := terminalOf(t)
	for _, args := range [][]string{{"clocks"}, {"clocks", "INC-1"}, {"incident", "list"}, {"watch", "--once"}, {"incident", "timeline", "INC-1", "--limit", "5"}} {
		*columns = "40"
		code, narrow, errs := run(args...)
		if code != 0 {
			t.Fatalf("%v: %s", args, errs)
		}
		for line := range strings.Lines(narrow) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > 40 && strings.Contains(strings.TrimSpace(line[10:]), " ") {
				t.Errorf("%v: %d columns: %s", args, n, line)
			}
		}
		if strings.Contains(narrow, "202…") || strings.Contains(narrow, "2026-…") || strings.Contains(narrow, "2026…") || !regexp.MustCompile(`2026-11-2\d\s`).MatchString(narrow) {
			t.Errorf("%v does not say when:\n%s", args, narrow)
		}
		if args[0] == "clocks" && (!regexp.MustCompile(`(?m)^DUTY +Tell`).MatchString(narrow) || !strings.Contains(narrow, "\nHOLDER ")) {
			t.Errorf("%v:\n%s", args, narrow)
		}
	}
}
