// Package scenarios holds the drills that ship with Tocsin: what is expected of each, written before
// it runs. What people and attackers do in them stands in internal/drill, and how they are judged in
// internal/judge. A manifest that is changed to fit a result is worth nothing; not-reached.txt may
// only shrink.
package scenarios

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed */manifest.yaml not-reached.txt promised.yaml
var files embed.FS

// Manifest is what one scenario expects: of every promise there is, under every policy.
type Manifest struct {
	Scenario string                            `yaml:"scenario"`
	Title    string                            `yaml:"title"`
	Class    string                            `yaml:"class,omitempty"` // the class that it opens, where only some policies have it
	Policies map[string]map[string]Expectation `yaml:"policies"`
	Sabotage map[string][]string               `yaml:"sabotage"` // name to the promises it must break
	Played   string                            `yaml:"sabotage_policy"`
}

// SabotagePolicy is the policy under which the sabotages are played: one that promises what they break.
func (m Manifest) SabotagePolicy() string {
	if m.Played == "" {
		return "pickandpack"
	}
	return m.Played
}

// Expectation is what is expected of one promise.
type Expectation struct {
	Expect string `yaml:"expect"`           // kept, missed, not_applicable or not_reached
	Within string `yaml:"within,omitempty"` // limit that the judge measures by, such as 72h; "" for none
	Duty   string `yaml:"duty,omitempty"`   // whose clock gives the limit; only where it was derived from a policy of one's own
	Reason string `yaml:"reason"`
}

// The expectations.
const (
	Kept          = "kept"
	Missed        = "missed"
	NotApplicable = "not_applicable"
	NotReached    = "not_reached"
)

// NotPromised is the reason of what a policy does not promise. A promise that a policy makes is not
// applicable for another reason: the scenario is about a class that the policy lacks.
const NotPromised = "not promised by this policy"

// Default is the scenario that is played when none is named.
const Default = "stolen-token"

// short is the readable form of a manifest: what is expected of every policy that makes a promise,
// and where a policy differs. What is said nowhere is not reached, for the reason in Otherwise.
type short struct {
	Scenario  string                            `yaml:"scenario"`
	Title     string                            `yaml:"title"`
	Class     string                            `yaml:"class"`
	Otherwise string                            `yaml:"otherwise"`
	Promises  map[string]Expectation            `yaml:"promises"`
	Policies  map[string]map[string]Expectation `yaml:"policies"`
	Sabotage  map[string][]string               `yaml:"sabotage"`
	Played    string                            `yaml:"sabotage_policy"`
}

// Names lists the scenarios.
func Names() []string {
	found, _ := fs.Glob(files, "*/manifest.yaml") // the pattern is valid
	for i := range found {
		found[i] = path.Dir(found[i])
	}
	slices.Sort(found)
	return found
}

// List is the name and the title of each scenario, for a terminal of 80 columns.
func List() string {
	var b strings.Builder
	for _, name := range Names() {
		title := ""
		if m, err := Load(name); err == nil { // one that does not load fails where it is played
			title = m.Title
		}
		fmt.Fprintf(&b, "%s\n  %s\n", name, title)
	}
	return b.String()
}

// Load reads, expands and checks a manifest.
func Load(name string) (Manifest, error) {
	b, err := source(name)
	if err != nil {
		return Manifest{}, err
	}
	m, err := parse(b)
	if err != nil {
		return Manifest{}, fmt.Errorf("scenarios/%s/manifest.yaml: %w", name, err)
	}
	return m, nil
}

// Expanded is the manifest as YAML with every expectation written out, as the judge reads it.
func (m Manifest) Expanded() ([]byte, error) { return yaml.Marshal(m) }

func source(name string) ([]byte, error) {
	if strings.ContainsAny(name, `/\`) {
		return nil, fmt.Errorf("scenario %q: a name has no slashes", name)
	}
	b, err := files.ReadFile(name + "/manifest.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("scenario %q does not exist: there are %s", name, strings.Join(Names(), ", "))
	}
	return b, err
}

func parse(b []byte) (Manifest, error) {
	var s short
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil {
		return Manifest{}, err
	}
	m := Manifest{Scenario: s.Scenario, Title: s.Title, Class: s.Class, Policies: s.Policies, Sabotage: s.Sabotage, Played: s.Played}
	if s.Otherwise != "" {
		var err error
		if m.Policies, err = expand(s); err != nil {
			return Manifest{}, err
		}
	} else if len(s.Promises) > 0 {
		return Manifest{}, errors.New("promises: what is not named needs a reason: write otherwise")
	}
	for policy, promises := range m.Policies {
		for id, e := range promises {
			switch e.Expect {
			case Kept, Missed:
			case NotApplicable, NotReached:
				if e.Reason == "" {
					return Manifest{}, fmt.Errorf("%s: %s: %s needs a reason", policy, id, e.Expect)
				}
			default:
				return Manifest{}, fmt.Errorf("%s: %s: expect: %q is not kept, missed, not_applicable or not_reached", policy, id, e.Expect)
			}
		}
	}
	for sabotage, broken := range m.Sabotage {
		if len(broken) == 0 {
			return Manifest{}, fmt.Errorf("sabotage: %s breaks no promise", sabotage)
		}
	}
	return m, nil
}

// expand writes out every promise under every policy.
func expand(s short) (map[string]map[string]Expectation, error) {
	promised, all, err := Promised()
	if err != nil {
		return nil, err
	}
	for id := range s.Promises {
		if !slices.Contains(all, id) {
			return nil, fmt.Errorf("promises: %s is promised by no policy", id)
		}
	}
	out := map[string]map[string]Expectation{}
	for policy, ids := range promised {
		own := map[string]Expectation{}
		for _, id := range all {
			switch e, named := s.Promises[id]; {
			case !slices.Contains(ids, id):
				own[id] = Expectation{Expect: NotApplicable, Reason: NotPromised}
			case named:
				own[id] = e
			default:
				own[id] = Expectation{Expect: NotReached, Reason: s.Otherwise}
			}
		}
		out[policy] = own
	}
	for policy, differs := range s.Policies {
		for id, e := range differs {
			if !slices.Contains(promised[policy], id) {
				return nil, fmt.Errorf("policies: %s: %s is not promised by this policy", policy, id)
			}
			out[policy][id] = e
		}
	}
	return out, nil
}

// Promised is what each shipped policy promises, and every promise there is, in order.
func Promised() (map[string][]string, []string, error) {
	b, err := files.ReadFile("promised.yaml")
	if err != nil {
		return nil, nil, err
	}
	var promised map[string][]string
	if err := yaml.Unmarshal(b, &promised); err != nil {
		return nil, nil, fmt.Errorf("scenarios/promised.yaml: %w", err)
	}
	seen := map[string]bool{}
	for _, ids := range promised {
		for _, id := range ids {
			seen[id] = true
		}
	}
	all := slices.Collect(maps.Keys(seen))
	slices.SortFunc(all, ByNumber)
	return promised, all, nil
}

// ByNumber orders promises: DET-2 before DET-10.
func ByNumber(a, b string) int {
	pa, na, _ := strings.Cut(a, "-")
	pb, nb, _ := strings.Cut(b, "-")
	if pa != pb {
		return strings.Compare(pa, pb)
	}
	if len(na) != len(nb) {
		return len(na) - len(nb)
	}
	return strings.Compare(na, nb)
}

// Unreached is not-reached.txt: a line for each promise of a policy that no scenario shows yet,
// "POLICY PROMISE". A test keeps it equal to the manifests, and it may only shrink.
func Unreached() ([]string, error) {
	b, err := files.ReadFile("not-reached.txt")
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out, nil
}
