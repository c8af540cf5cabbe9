package policy_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tocsin-ir/tocsin/policy"
)

var update = flag.Bool("update", false, "write what is found to the files of testdata")

// rest are sections a bad policy does not write: they are appended, so that each file shows one
// mistake and its places stay its own.
var rest = []string{
	"policy: bad", "title: Policy", "owner: Acme", "contact: { email: security@example.com }",
	"scales: { severity: { high: { means: much }, low: { means: little } } }",
	"roles: { lead: { does: decides, holder: lena }, comms: { does: writes, holder: omar } }",
}

func completed(src string) string {
	if !strings.HasSuffix(src, "\n") {
		src += "\n"
	}
	for _, line := range rest {
		key, _, _ := strings.Cut(line, ":")
		if !regexp.MustCompile(`(?m)^` + key + `:`).MatchString(src) {
			src += line + "\n"
		}
	}
	return src
}

// Each file of testdata/bad is a policy with a mistake and everything that is said about it:
// place, message, hint and code.
func TestBadPoliciesAreExplained(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(files) < 120 {
		t.Fatalf("%d bad policies, want at least 120 (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil || len(a.Files) < 1 {
				t.Fatalf("%s has no policy: %v", file, err)
			}
			src := string(a.Files[0].Data)
			if a.Files[0].Name == "policy.yaml" {
				src = completed(src)
			}
			p, diags := policy.Compile("policy.yaml", []byte(src), badOptions(a)...)
			var b strings.Builder
			for _, d := range diags {
				b.WriteString(d.String() + " #" + d.Code + "\n")
			}
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "want", Data: []byte(b.String())})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(a.Files) != 2 || b.String() != string(a.Files[1].Data) {
				t.Errorf("found\n%swant\n%s", &b, a.Files[len(a.Files)-1].Data)
			}
			if len(diags) == 0 {
				t.Errorf("%s: nothing is said about it", file)
			}
			if (p == nil) != policy.HasErrors(diags) {
				t.Errorf("a program: %v, errors: %v; want one of the two", p != nil, policy.HasErrors(diags))
			}
		})
	}
}

func TestFormatPutsACaretUnderThePlace(t *testing.T) {
	src := []byte("policy: bad\ntitle: \"Überschrift\"\nownr: Acme\n\tx: 1\n")
	d := policy.Diagnostic{Pos: policy.Pos{File: "p.yaml", Line: 3, Col: 1}, Severity: policy.Error, Message: "the policy has no key ownr", Hint: "did you mean owner?"}
	want := "p.yaml:3:1: error: the policy has no key ownr (did you mean owner?)\n    3 | ownr: Acme\n      | ^\n"
	if got := policy.Format([]policy.Diagnostic{d}, src); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	d.Pos = policy.Pos{Line: 2, Col: 9}
	if got := policy.Format([]policy.Diagnostic{d}, src); !strings.HasSuffix(got, "    2 | title: \"Überschrift\"\n      |         ^\n") {
		t.Errorf("characters, not bytes, are counted:\n%s", got)
	}
	d.Pos = policy.Pos{Line: 4, Col: 2}
	if got := policy.Format([]policy.Diagnostic{d}, src); !strings.HasSuffix(got, "    4 | \tx: 1\n      | \t^\n") {
		t.Errorf("a tab stays a tab:\n%q", got)
	}
}

func TestFormatLetsNoPolicyWriteToTheTerminal(t *testing.T) {
	src := []byte("policy: \"\x1b[2Jx\"\n" + strings.Repeat("a", 500) + ": 1\n")
	_, diags := policy.Compile("p.yaml", src)
	got := policy.Format(append(diags, policy.Diagnostic{Pos: policy.Pos{Line: 2, Col: 450}}), src)
	if strings.ContainsRune(got, 0x1b) {
		t.Errorf("an escape reaches the terminal: %q", got)
	}
	for line := range strings.Lines(got) {
		if strings.Contains(line, " | ") && len(line) > 140 {
			t.Errorf("a line of %d characters is shown", len(line))
		}
	}
}

func TestEverythingIsReportedAtOnce(t *testing.T) {
	src := completed("titel: x\nduties:\n  a: { who: laed, do: contain, due: soon after detected }\n  b: { who: lead, do: contain, due: 4h after detectd }\ncolour: red\n")
	_, diags := policy.Compile("p.yaml", []byte(src))
	var codes []string
	for _, d := range diags {
		codes = append(codes, d.Code)
	}
	if got, want := strings.Join(codes, " "), "unknown-key unknown-reference bad-clock unknown-reference unknown-key"; got != want {
		t.Errorf("found %q in one run, want %q", got, want)
	}
}

func TestWhatIsReportedIsBounded(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		b.WriteString("k" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i) + ": 1\n")
	}
	_, diags := policy.Compile("p.yaml", []byte(b.String()))
	if len(diags) > 201 || diags[len(diags)-1].Code != "more" {
		t.Errorf("%d findings, the last with code %s; want at most 201, the last saying how many more", len(diags), diags[len(diags)-1].Code)
	}
	for _, d := range diags {
		if len(d.String()) > 1500 {
			t.Errorf("a finding of %d bytes", len(d.String()))
		}
	}
}
