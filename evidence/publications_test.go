package evidence

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/verify"
)

// A published text of the review goes into the export and is the one that its fact records: another text,
// none at all, one under the name of another version and one that no fact records are found.
//
// promise: INV-3
func TestAPublishedTextIsComparedWithItsFact(t *testing.T) {
	text := []byte("# Security incident\n\nWe revoked it.\n")
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(text))
	h := newHouse(t, newSigners(t), func(list []incident.Fact) []incident.Fact {
		out := list[0]
		out.Kind, out.Body, out.Parts = incident.KindPublished, json.RawMessage(`{"version":"client","n":1,"digest":"`+digest+`","kept":"sha256:`+strings.Repeat("ab", 32)+`"}`), nil
		return append(list, out)
	})
	for what, c := range map[string]struct {
		kept  []Publication
		found bool
	}{
		"as it was published": {[]Publication{{1, "client", text}}, false},
		"another text":        {[]Publication{{1, "client", []byte("# Nothing happened\n")}}, true},
		"no text":             {nil, true},
		"another version":     {[]Publication{{1, "public", text}}, true},
		"one more":            {[]Publication{{1, "client", text}, {2, "internal", text}}, true},
	} {
		h.in.Publications = c.kept
		r := check(t, h.export(t), verify.Options{})
		if r.OK == c.found || !c.found && r.Publications != 1 {
			t.Errorf("%s: %+v", what, r.Findings)
		}
		for _, f := range r.Findings {
			if f.Code != verify.CodePublication && f.Code != verify.CodeContents {
				t.Errorf("%s is found as %s", what, f.Code)
			}
		}
	}
}
