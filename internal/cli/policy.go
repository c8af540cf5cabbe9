package cli

import (
	"github.com/spf13/cobra"

	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
)

// policyCommands work on a policy's text. None of them talks to a server. Each verb has a file of
// its own.
func (a *app) policyCommands() *cobra.Command {
	return group("policy", "Write, check, render and compare policies", a.policyNew(), a.policyCheck(), a.policyFmt(), a.policySchema(), a.policyPage(), a.policyDiff(), a.policyExplain(), a.policySimulate())
}

func (a *app) policySource(file string) ([]byte, error) {
	src, err := readLimited(file, 1<<20)
	if err != nil {
		return nil, &failure{text: err.Error(), hint: "a policy is a YAML file of at most 1 MiB"}
	}
	return src, nil
}

// compile reads and compiles a policy. What is wrong with it is the error; warnings are check's.
func (a *app) compile(file string) (*policy.Program, error) {
	src, err := a.policySource(file)
	if err != nil {
		return nil, err
	}
	p, diags := policy.Compile(file, src, policy.WithLaws(regimes.Catalogue()))
	for _, d := range diags {
		if d.Severity == policy.Error {
			return nil, &failure{text: d.String(), hint: "all of it: tocsin policy check " + file}
		}
	}
	return p, nil
}
