package drill

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-ir/tocsin/internal/judge"
	"github.com/tocsin-ir/tocsin/scenarios"
	"go.yaml.in/yaml/v3"
)

// expectOfOwn has the judge derive what is expected of a policy of one's own from its text, before the
// run. A policy that has the id of a shipped one and is written otherwise is one's own.
func (r *run) expectOfOwn() error {
	if _, ok := r.manifest.Policies[r.program.ID]; ok {
		shipped, err := r.shipped(r.program.ID)
		if err != nil || shipped == nil || bytes.Equal(shipped, r.source) {
			return err
		}
	}
	promises, withClass, err := scenarios.ForAny(r.o.Scenario)
	if err != nil {
		return err
	}
	derived, err := judge.Derive(r.source, judge.Story{
		Name: r.o.Scenario, Promises: asJudged(promises), Class: r.manifest.Class, WithClass: asJudged(withClass),
	})
	if err != nil {
		return fmt.Errorf("drill: %w", err)
	}
	expected := map[string]scenarios.Expectation{}
	for id, e := range derived {
		expected[id] = scenarios.Expectation(e)
	}
	r.own, r.tell.from = true, "that was derived from the policy"
	r.manifest.Policies = map[string]map[string]scenarios.Expectation{r.program.ID: expected}
	return nil
}

func asJudged(in map[string]scenarios.Expectation) map[string]judge.Expectation {
	out := map[string]judge.Expectation{}
	for id, e := range in {
		out[id] = judge.Expectation(e)
	}
	return out
}

// shipped is the source of a shipped policy; nil: none has this id.
func (r *run) shipped(id string) ([]byte, error) {
	if r.o.Policies == nil {
		return nil, nil
	}
	for _, name := range []string{id, strings.ReplaceAll(id, "_", "-")} {
		b, err := fs.ReadFile(r.o.Policies, name+".yaml")
		if !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
	}
	return nil, nil
}

// saveExpected leaves what was derived beside the drill before anything runs, and says how much it is.
func (r *run) saveExpected() error {
	if !r.own {
		return nil
	}
	expected := r.manifest.Policies[r.program.ID]
	b, err := yaml.Marshal(expected)
	if err != nil {
		return err
	}
	count := map[string]int{}
	for _, e := range expected {
		count[e.Expect]++
	}
	file := filepath.Join(r.o.Dir, "drill", "expected.yaml")
	r.tell.say("policy", "%s is your own: from its text %d expectations to be kept, %d to be missed, %d that cannot be judged; see %s", r.program.ID,
		count[scenarios.Kept], count[scenarios.Missed], count[scenarios.NotReached], file)
	return os.WriteFile(file, b, 0o600)
}
