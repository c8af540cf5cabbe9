package regime_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tocsin-ir/tocsin/regime"
)

const about = "as_of: \"2026-11-22\"\n"

const law = `regimes:
- id: xx-law
  name: A law
  jurisdiction: [XX]
  citation: Act 1
  status: in_force
  applies_when: always
  confidence: high
  as_of: "2026-11-22"
  authority: { name: Office, portal: a form }
  sources: [https://example.com]
  duties:
  - { id: xx-office, from: controller, to: authority, anchor: aware, span: 72h, threshold: any, when: [personal_data, "people > 500"], citation: s 1, verification: seen }
`

func load(files ...string) (*regime.Catalogue, error) {
	dir := fstest.MapFS{}
	for i, f := range files {
		dir[[]string{"about.yaml", "laws.yaml"}[i]] = &fstest.MapFile{Data: []byte(f)}
	}
	return regime.Load(dir)
}

func TestAFaultOfTheDataIsNamedWithItsPlace(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"span: 72h", "span: 72 hrs", `laws.yaml: xx-law: xx-office: span: "hrs" is not a unit of time`},
		{"anchor: aware", "anchor: after_report", `xx-office: anchor "after_report" is no milestone`},
		{"anchor: aware, span: 72h", "anchor: aware", "neither a span nor a qualifier"},
		{"when: [personal_data", "when: [Personal Data", `"Personal Data" is not NAME`},
		{`, when: [personal_data, "people > 500"]`, "", "nothing says when it applies"},
		{"verification: seen", "verification: sure", `verification "sure" is not`},
		{"confidence: high", "confidence: great", `confidence "great" is not`},
		{"jurisdiction: [XX]", "jurisdiction: [Xland]", `"Xland" is not a code of ISO 3166`},
		{"id: xx-office", "id: xx-law", "xx-law is named twice"},
		{"status: in_force", "statut: in_force", "field statut not found"},
		{"as_of: \"2026-11-22\"", "as_of: lately", "as_of"},
		{"sources: [https://example.com]", "sources: []", "sources are needed"},
		{"span: 72h,", "span: 72h, not_run: later,", "not_run and when exclude each other"},
		{"status: in_force", "status: in_force\n  zone: Europe/Nowhere", "zone"},
	} {
		_, err := load(about, strings.Replace(law, tt.old, tt.new, 1))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("with %q the error is %v, want %q in it", tt.new, err, tt.want)
		}
	}
	if _, err := load(about, law); err != nil {
		t.Errorf("the law itself: %v", err)
	}
	if _, err := load(about); err == nil {
		t.Error("a catalogue without a law was loaded")
	}
}

func TestTheVersionNamesTheData(t *testing.T) {
	a, err := load(about, law)
	if err != nil {
		t.Fatal(err)
	}
	b, err := load(about, strings.Replace(law, "72h", "71h", 1))
	if err != nil {
		t.Fatal(err)
	}
	if a.Version() == b.Version() || !strings.HasPrefix(a.Version(), "regimes-2026-11-22-") {
		t.Errorf("versions %s and %s", a.Version(), b.Version())
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(law)
	f.Add(strings.Replace(law, "when: [", "when: [[", 1))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := load(about, text)
		if err == nil && len(c.Regimes) == 0 {
			t.Error("no error and no law")
		}
	})
}
