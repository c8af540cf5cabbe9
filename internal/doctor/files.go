package doctor

import (
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// FileSource is a set of files that are compared with what somebody approved.
type FileSource struct {
	Name     string
	State    string    // no_baseline, not_looked, as_approved, changed or unreadable
	Approved time.Time // zero: never
	Two      bool      // two people have to approve a state
	Changed  int       // files that are not as approved
	Trouble  string    // why nobody could look
	Damage   string    // what of the approved state is not kept whole, "" when all is
}

// templateChanged is the signal of a file that is not as approved.
const templateChanged = "template_changed"

// files judges whether a change of templates, themes and scripts would be noticed.
func (e *examination) files() {
	promises := []string{}
	raised := false
	for _, c := range e.seen.Policy.Classes {
		if slices.Contains(c.Signals, templateChanged) {
			raised = true
			promises = merged(promises, slices.DeleteFunc(slices.Clone(c.Promise), func(p string) bool { return !strings.HasPrefix(p, "DET-") }))
		}
	}
	if len(e.seen.Files) == 0 {
		if raised {
			e.add("files.sources", promises, Fail, "name a folder or a theme under integrity in tocsin.yaml", "The policy has a class for changed templates, and no files are looked after.")
		}
		return
	}
	if !slices.ContainsFunc(e.seen.Policy.Actions, func(a policy.ActionDecl) bool { return e.seen.Connectors[a.Uses] == "integrity.restore" }) {
		e.add("files.restore", promises, Warn, "add a connector of the type integrity.restore, and an action of the policy that uses it", "Files are looked after, and no action of the policy can put them back.")
	}
	for _, f := range e.seen.Files {
		id := "files." + f.Name
		if f.Damage != "" {
			e.add(id+".kept", merged([]string{"REC-3"}, promises), Fail, "bring the folder baselines back from a backup, or approve "+f.Name+" anew", "What was approved of %s cannot be put back whole: %s.", f.Name, strings.TrimSuffix(f.Damage, "."))
		}
		if f.Two && e.seen.Org != nil {
			id := id + ".approvals"
			switch people := acting(e.seen.Org); len(people) {
			case 0, 1:
				e.add(id, promises, Warn, "tocsin people invite NAME --access responder --email ADDRESS, or write approvals: 1 under integrity."+f.Name+" in tocsin.yaml", "Two people have to approve a state of %s, and one person alone could: no change of it can be made known good.", f.Name)
			default:
				e.add(id, promises, OK, "", "Two people have to approve a state of %s, and %d can.", f.Name, len(people))
			}
		}
		switch f.State {
		case "no_baseline":
			e.add(id, promises, Fail, "tocsin integrity baseline "+f.Name, "Nobody has approved a state of %s, so no change of it is noticed.", f.Name)
		case "unreadable":
			e.add(id, promises, Fail, "see tocsin integrity check "+f.Name, "%s cannot be looked at: %s.", f.Name, strings.TrimSuffix(f.Trouble, "."))
		case "changed":
			e.add(id, promises, Warn, "tocsin integrity diff "+f.Name, "In %s %s not as approved.", f.Name, isAre(f.Changed))
		case "not_looked":
			e.add(id, promises, OK, "", "%s was approved %s ago, and has not been looked at since the server started.", f.Name, ago(e.seen.Now.Sub(f.Approved)))
		default:
			e.add(id, promises, OK, "", "Every file of %s is as approved %s ago.", f.Name, ago(e.seen.Now.Sub(f.Approved)))
		}
	}
}

func isAre(n int) string {
	if n == 1 {
		return "1 file is"
	}
	return count(n, "file") + " are"
}
