package evidence

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/verify"
	"github.com/tocsin-ir/tocsin/verify/command"
)

// An export holds all that its recipient needs to check it alone: facts, leaves as they are stored,
// disclosed events with salts and inner paths, the hashes that proofs are made of, checkpoints, policy,
// scopes with query and result, who took what out before, and a page that says what each file is.
//
// promise: INV-3
func TestAnExportHoldsAllThatItsRecipientNeeds(t *testing.T) {
	const digest = "sha256:00ff"
	h := newHouse(t, newSigners(t), func(list []incident.Fact) []incident.Fact {
		handed := list[0]
		handed.Kind, handed.Body, handed.Parts = incident.KindExported, json.RawMessage(`{"recipient":"the insurer","digest":"`+digest+`","bytes":7}`), nil
		return append(list, handed)
	})
	h.in.Custody = []Custody{{At: noon, By: "person:lena", Recipient: "the insurer", Digest: digest, Bytes: 7}}
	raw := h.export(t)
	if r := check(t, raw, verify.Options{}); !r.OK {
		t.Fatalf("it does not verify: %v", r.Findings)
	}
	have := map[string][]byte{}
	leaves := 0
	for _, f := range unpack(t, raw) {
		have[f.name] = f.data
		if strings.HasPrefix(f.name, "leaves/") {
			leaves++
			if !bytes.HasPrefix(f.data, []byte("tocsin-leaf/v1\n")) {
				t.Errorf("%s is not a leaf as it is stored", f.name)
			}
		}
	}
	readme := string(have["README.txt"])
	for _, name := range []string{"keys.txt", "facts.ndjson", "facts.checkpoint", "facts.leaves", "events.checkpoint", "events.leaves", "checkpoints.ndjson",
		"events.ndjson", "scopes/1.json", "scopes/2.json", "policy/policy.yaml", "policy/page.md", "policy/page.html", "review.md", "custody.ndjson"} {
		if len(have[name]) == 0 {
			t.Errorf("%s is missing or empty", name)
		}
		of, _, _ := strings.Cut(name, "/")
		if _, ext, _ := strings.Cut(of, "."); !strings.Contains(readme, of) && !strings.Contains(readme, "*."+ext) && !strings.Contains(readme, strings.TrimSuffix(of, ext)+"*") {
			t.Errorf("README.txt does not say what %s is", name)
		}
	}
	for _, says := range []string{"incident INC-1 of ", noon.UTC().Format("2006-01-02T"), "manifest.json", "internally consistent only", "github.com/tocsin-ir/tocsin", "go build -trimpath -buildvcs=false -ldflags '-s -w' ./cmd/tocsin-verify", "--witness"} {
		if !strings.Contains(readme, says) {
			t.Errorf("README.txt does not say %q", says)
		}
	}
	if leaves == 0 || !strings.Contains(readme, "tocsin-verify --key") || !strings.Contains(readme, "--since") {
		t.Errorf("%d leaves; README.txt: %s", leaves, readme)
	}
	for line := range bytes.Lines(have["events.ndjson"]) {
		var e eventLine
		if err := json.Unmarshal(line, &e); err != nil || e.Salt == "" || len(e.Path) == 0 || len(e.Event) == 0 {
			t.Fatalf("an event without salt or path: %s", line)
		}
	}
	var s struct {
		Query map[string]any `json:"query"`
		Rows  []any          `json:"rows"`
	}
	if err := json.Unmarshal(have["scopes/1.json"], &s); err != nil || len(s.Query) == 0 || len(s.Rows) != 7 {
		t.Errorf("a scope without query or result: %+v, %v", s, err)
	}
	if !strings.Contains(string(have["custody.ndjson"]), "the insurer") {
		t.Errorf("custody: %s", have["custody.ndjson"])
	}
}

// A check that stops at the first thing that is wrong comes to the same yes or no, and says that it stopped.
func TestACheckThatStopsAtTheFirstFindingComesToTheSame(t *testing.T) {
	whole := newHouse(t, newSigners(t), nil).export(t)
	altered := bytes.Clone(whole)
	altered[len(altered)/2] ^= 1
	file := filepath.Join(t.TempDir(), "export")
	check := func(raw []byte, args ...string) (int, []string) {
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		code := command.Run(append(args, file), &out, &out)
		return code, strings.Split(strings.TrimSpace(out.String()), "\n")
	}
	full, said := check(altered)
	if full != 1 || len(said) < 3 {
		t.Fatalf("%d, %q", full, said)
	}
	if code, first := check(altered, "--first"); code != full || len(first) != 2 || first[0] != said[0] || first[1] != "NOT verified: the check stopped at what it found first" {
		t.Errorf("%d, %q", code, first)
	}
	_, want := check(whole)
	if code, got := check(whole, "--first"); code != 0 || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d, %q, want %q", code, got, want)
	}
}

// Whoever holds an earlier export needs no other checkpoint: a later one is checked against it, and a
// history that was rewritten with the real keys in between is caught.
//
// promise: INV-3
func TestALaterExportIsCheckedAgainstAnEarlierOne(t *testing.T) {
	s := newSigners(t)
	verified := func(earlier, later []byte) (code int, said string) {
		dir := t.TempDir()
		for name, raw := range map[string][]byte{"earlier": earlier, "later": later} {
			if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		return command.Run([]string{"--since", filepath.Join(dir, "earlier"), filepath.Join(dir, "later")}, &out, &out), out.String()
	}
	h := newHouse(t, s, nil)
	earlier := h.export(t)
	if code, said := verified(earlier, h.export(t)); code != 0 || !strings.Contains(said, "verified against javabeanai/facts ") || !strings.Contains(said, "javabeanai/events ") {
		t.Errorf("the same history: %d, %s", code, said)
	}
	rewritten := newHouse(t, s, func(list []incident.Fact) []incident.Fact {
		list[0].Principal = "person:paul"
		return list
	})
	if code, said := verified(earlier, rewritten.export(t)); code != 1 || !strings.Contains(said, "consistency: ") {
		t.Errorf("a rewritten history: %d, %s", code, said)
	}
	if code, said := verified(earlier[:len(earlier)/2], h.export(t)); code != 2 || !strings.Contains(said, "cannot be read") {
		t.Errorf("half of an earlier export: %d, %s", code, said)
	}
}
