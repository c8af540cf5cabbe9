package doctor

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// watched is the promise that outages are noticed by probes on a schedule.
const watched = "DET-6"

// probes judges whether what the policy says is watched from outside is, and whether the probes that
// do it have ever worked.
func (e *examination) probes() {
	opens := func(c *policy.Class, p Probe) bool { return slices.Contains(c.Signals, p.Signal) || c.ID == p.Signal }
	classes := e.seen.Policy.Classes
	for i := range classes {
		c := &classes[i]
		if !slices.Contains(c.Promise, watched) {
			continue
		}
		var by []string
		for _, p := range e.seen.Probes {
			if opens(c, p) {
				by = append(by, p.Name)
			}
		}
		signal := c.ID
		if len(c.Signals) > 0 {
			signal = c.Signals[0]
		}
		if len(by) == 0 {
			e.add("watch."+c.ID, c.Promise, Fail, "write probes: { NAME: { type: http-journey, signal: "+signal+", … } } in tocsin.yaml; docs/operator.md shows each kind",
				"The policy says that %s is noticed, and no probe looks for it.", strings.ReplaceAll(c.ID, "_", " "))
			continue
		}
		e.add("watch."+c.ID, c.Promise, OK, "", "The probes that look for %s: %s.", strings.ReplaceAll(c.ID, "_", " "), several(by))
	}
	for _, p := range e.seen.Probes {
		var promises []string
		known := false
		for i := range classes {
			if opens(&classes[i], p) {
				known, promises = true, merged(promises, classes[i].Promise)
			}
		}
		look := "tocsin probe check " + p.Name
		switch {
		case !known:
			e.add("probe."+p.Name, []string{"CLS-1"}, Warn, "name the signal "+p.Signal+" under signals: of a class of the policy, or write signal: with one that is there", "An outage that the probe %s sees opens an incident of no class: the policy knows no signal %s.", p.Name, p.Signal)
		case p.Ran.IsZero() && e.seen.Served:
			e.add("probe."+p.Name, promises, Warn, look, "The probe %s has not run yet.", p.Name)
		case p.Ran.IsZero():
			e.add("probe."+p.Name, promises, OK, "", "The probe %s runs while the server does.", p.Name)
		case e.seen.Served && e.seen.Now.Sub(p.Ran) > 3*p.Every+5*time.Minute:
			e.add("probe."+p.Name, promises, Fail, "look at the server's log", "The probe %s last ran %s ago and should run every %s.", p.Name, ago(e.seen.Now.Sub(p.Ran)), p.Every)
		case p.Code == "refused_address" || p.Code == "config":
			e.add("probe."+p.Name, promises, Fail, "correct it in tocsin.yaml, or allow its address under network.allow", "The probe %s cannot ask: %s.", p.Name, strings.TrimSuffix(p.Saw, "."))
		case p.Failing:
			e.add("probe."+p.Name, promises, Warn, look, "The probe %s fails: %s.", p.Name, strings.TrimSuffix(p.Saw, "."))
		default:
			e.add("probe."+p.Name, promises, OK, "", "The probe %s passed %s ago.", p.Name, ago(max(e.seen.Now.Sub(p.Ran), 0)))
		}
	}
}
