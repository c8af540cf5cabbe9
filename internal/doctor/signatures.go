package doctor

import (
	"fmt"
	"slices"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
)

// signatures judges whether there are people enough for what nobody does alone: whoever wrote a notice,
// planned an action or recorded a fix is never the one who signs it.
func (e *examination) signatures() {
	state, p := e.seen.Org, e.seen.Policy
	if state == nil {
		return
	}
	act := acting(state)
	if len(act) == 0 {
		return // nobody can do anything yet: account.owner says so
	}
	var notices, actions, lackNotice, lackAction []string
	var noticeRole, actionRole string
	promised := []string{}
	for i := range p.Duties {
		d := &p.Duties[i]
		if d.Do != policy.Notify {
			continue
		}
		notices = append(notices, d.ID)
		if role, ok := e.signable(act, d.Approve); !ok {
			lackNotice, noticeRole = append(lackNotice, d.ID), role
		}
	}
	for i := range p.Actions {
		a := &p.Actions[i]
		actions, promised = append(actions, a.ID), merged(promised, a.Promise)
		if role, ok := e.signable(act, a.Approve); !ok {
			lackAction, actionRole = append(lackAction, a.ID), role
		}
	}
	e.signed("signatures.notices", e.promisesOf(func(d *policy.Duty) bool { return d.Do == policy.Notify }), "wrote a notice", notices, lackNotice, noticeRole)
	e.signed("signatures.actions", promised, "planned an action", actions, lackAction, actionRole)
	for i := range p.Gates {
		g := &p.Gates[i]
		if !slices.ContainsFunc(g.Need, func(c *policy.Condition) bool { return slices.Contains(c.Reads(), "fix.verified") }) {
			continue
		}
		var lack []string
		if len(act) < 2 {
			lack = []string{"the fix"}
		}
		e.signed("signatures.fix", g.Promise, "recorded a fix", []string{g.Guards}, lack, "")
		break
	}
}

// signed is one finding about signatures. lack are those of all that too few people could sign.
func (e *examination) signed(id string, promises []string, does string, all, lack []string, role string) {
	switch {
	case len(all) == 0:
	case len(lack) == 0:
		e.add(id, promises, OK, "", "There are people enough: who %s is not needed for its signatures.", does)
	case role == "":
		e.add(id, promises, Warn, "tocsin people invite NAME --access responder --email ADDRESS", "One person alone can act here, and who %s cannot sign it, so this waits for a second one: %s.", does, several(lack))
	default:
		e.add(id, promises, Warn, fmt.Sprintf("tocsin people invite NAME --role %s --email ADDRESS", role), "Who %s cannot sign it, and without them the role %s has too few people for its signature: %s.", does, role, several(lack))
	}
}

// signable reports whether somebody can do a thing that others have to sign, one person for each of the
// roles that are asked for, and names a role that lacks people when nobody can.
func (e *examination) signable(act, roles []string) (lacks string, ok bool) {
	if len(roles) == 0 {
		return "", len(act) > 1
	}
	holders := make([][]string, len(roles))
	for i, id := range roles {
		var named []string
		for j := range e.seen.Policy.Roles {
			if r := &e.seen.Policy.Roles[j]; r.ID == id {
				named = slices.Concat(r.Holders, r.Backup)
			}
		}
		all, _ := active(e.seen.Org, id, named)
		holders[i] = slices.DeleteFunc(all, func(p string) bool { return !slices.Contains(act, p) })
	}
	for _, does := range act {
		if lacks = unfilled(roles, holders, does); lacks == "" {
			return "", true
		}
	}
	return lacks, false
}

// unfilled is a role for whose signature nobody is left when somebody does the thing and each person signs
// for one role; "" when each has somebody.
func unfilled(roles []string, holders [][]string, does string) string {
	signs := map[string]int{} // which role somebody signs for
	var place func(role int, seen map[string]bool) bool
	place = func(role int, seen map[string]bool) bool {
		for _, p := range holders[role] {
			if p == does || seen[p] {
				continue
			}
			seen[p] = true
			if other, taken := signs[p]; !taken || place(other, seen) {
				signs[p] = role
				return true
			}
		}
		return false
	}
	for i, role := range roles {
		if !place(i, map[string]bool{}) {
			return role
		}
	}
	return ""
}

// acting are the accounts that can sign anything.
func acting(state *org.State) []string {
	var all []string
	for id, p := range state.People {
		if p.Active() && p.Access != incident.Viewer {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}
