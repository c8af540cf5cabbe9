package evidence

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/verify"
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
