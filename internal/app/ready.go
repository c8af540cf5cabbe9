package app

import (
	"fmt"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/policy"
)

// unready names what a policy promises and this configuration cannot do, each with what to add. A
// promise that nobody can keep is better read in the log of a quiet day than in a refusal at night.
func unready(p *policy.Program, connectors map[string]contain.Connector, switches map[string]bool, checks map[string]desk.Check, mail notify.Sender) []string {
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, action := range p.Actions {
		if connectors[action.Uses] == nil && !switches[action.Uses] {
			add("action %s needs a connector named %s: add it under connectors", action.ID, action.Uses)
		}
	}
	for _, check := range p.Checks {
		if check.Probe != "connector" && checks[check.ID] == nil {
			add("check %s is not configured: add it under checks", check.ID)
		}
	}
	for _, duty := range p.Duties {
		if duty.Do == policy.Notify && mail == nil {
			add("duty %s needs mail, which is off: add mail", duty.ID)
		}
	}
	return all
}
