package judge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// promise: REV-4
func TestAPolicyThatIsReadEveryYearIsReadInTimeAndOwedAgain(t *testing.T) {
	const begins = "2026-11-18T00:00:00Z"
	clock := func(state, due string) string {
		return `{"since":"` + begins + `","clocks":[{"duty":"reread","state":"` + state + `","due":"` + due + `"}],"done":[`
	}
	const done = `{"duty":"reread","at":"2026-12-20T00:00:00Z","by":"person:ada","note":"It holds."}`
	honest := []string{clock("running", "2026-12-31T23:59:59Z") + `]}`, `{"since":"` + begins + `","clocks":[],"done":[` + done + `]}`, clock("running", "2027-12-31T23:59:59Z") + done + `]}`}
	for name, c := range map[string]struct {
		at       int
		old, now string
		missed   bool
	}{
		"as it should be":            {0, "", "", false},
		"no clock runs":              {0, "running", "waived", true},
		"due after more than a year": {0, "2026-12-31", "2027-12-31", true},
		"nobody read it":             {1, done, "", true},
		"a machine read it":          {1, "person:ada", "service:x", true},
		"nothing is said of it":      {1, "It holds.", "", true},
		"read too late":              {1, "2026-12-20", "2027-01-20", true},
		"its clock still runs":       {1, `"clocks":[]`, `"clocks":[{"duty":"reread","state":"running","due":"2026-12-31T23:59:59Z"}]`, true},
		"never owed again":           {2, "running", "waived", true},
		"owed again in two years":    {2, "2027-12-31", "2028-12-31", true},
		"looked at once":             {-1, "", "", true},
	} {
		b := &bench{c: Case{Tries: filepath.Join(t.TempDir(), "tries.ndjson")}}
		if err := yaml.Unmarshal([]byte("duties: { reread: { for: programme, do: review_policy, every: year, promise: REV-4 } }"), &b.policy); err != nil {
			t.Fatal(err)
		}
		var file strings.Builder
		for i, text := range honest {
			if i == c.at && c.old != "" {
				changed := strings.Replace(text, c.old, c.now, 1)
				if changed == text {
					t.Fatalf("%s: nothing was changed", name)
				}
				text = changed
			}
			if c.at < 0 && i > 0 {
				break
			}
			if err := json.NewEncoder(&file).Encode(Try{Level: LevelOwner, Method: "GET", Path: ProgrammePath, Status: 200, Text: text}); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(b.c.Tries, []byte(file.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		p := &row{Promise: Promise{ID: "REV-4"}, within: 366 * 24 * time.Hour}
		if err := b.policyReread(p); (err != nil) != c.missed {
			t.Errorf("%s: %v", name, err)
		}
	}
}
