// Package scenarios holds the drills that ship with Tocsin: what happens in each, and what is
// expected of it, written before it runs. A manifest that is changed to fit a result is worth
// nothing; not-reached.txt may only shrink.
package scenarios

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed */manifest.yaml not-reached.txt
var files embed.FS

// Manifest is what one scenario expects.
type Manifest struct {
	Scenario string                            `yaml:"scenario"`
	Title    string                            `yaml:"title"`
	Policies map[string]map[string]Expectation `yaml:"policies"`
	Sabotage map[string][]string               `yaml:"sabotage"` // name to the promises it must break
}

// Expectation is what is expected of one promise.
type Expectation struct {
	Expect string `yaml:"expect"` // kept, missed, not_applicable or not_reached
	Within string `yaml:"within"` // limit that the judge measures by, such as 72h; "" for none
	Reason string `yaml:"reason"`
}

// The expectations.
const (
	Kept          = "kept"
	Missed        = "missed"
	NotApplicable = "not_applicable"
	NotReached    = "not_reached"
)

// Names lists the scenarios.
func Names() []string {
	found, _ := fs.Glob(files, "*/manifest.yaml") // the pattern is valid
	for i := range found {
		found[i] = path.Dir(found[i])
	}
	slices.Sort(found)
	return found
}

// Source is the manifest as it stands in the file.
func Source(name string) ([]byte, error) {
	if strings.ContainsAny(name, `/\`) {
		return nil, fmt.Errorf("scenario %q: a name has no slashes", name)
	}
	b, err := files.ReadFile(name + "/manifest.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("scenario %q does not exist: there are %s", name, strings.Join(Names(), ", "))
	}
	return b, err
}

// Load reads and checks a manifest.
func Load(name string) (Manifest, error) {
	b, err := Source(name)
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("scenarios/%s/manifest.yaml: %w", name, err)
	}
	for policy, promises := range m.Policies {
		for id, e := range promises {
			switch e.Expect {
			case Kept, Missed:
			case NotApplicable, NotReached:
				if e.Reason == "" {
					return Manifest{}, fmt.Errorf("scenarios/%s/manifest.yaml: %s: %s: %s needs a reason", name, policy, id, e.Expect)
				}
			default:
				return Manifest{}, fmt.Errorf("scenarios/%s/manifest.yaml: %s: %s: expect: %q is not kept, missed, not_applicable or not_reached", name, policy, id, e.Expect)
			}
		}
	}
	for sabotage, broken := range m.Sabotage {
		if len(broken) == 0 {
			return Manifest{}, fmt.Errorf("scenarios/%s/manifest.yaml: sabotage: %s breaks no promise", name, sabotage)
		}
	}
	return m, nil
}

// Unreached is not-reached.txt: a line for each promise of a policy that no scenario shows yet,
// "SCENARIO POLICY PROMISE". A test keeps it equal to the manifests, and it may only shrink.
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
