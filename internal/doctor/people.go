package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
)

// promisesOf are the promises of the duties that a test picks, each once, in the policy's order.
func (e *examination) promisesOf(pick func(*policy.Duty) bool) []string {
	var all []string
	for i := range e.seen.Policy.Duties {
		if d := &e.seen.Policy.Duties[i]; pick(d) {
			all = merged(all, d.Promise)
		}
	}
	return all
}

func merged(all, more []string) []string {
	for _, p := range more {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

func (e *examination) policy() {
	p := e.seen.Policy
	contact := e.promisesOf(func(d *policy.Duty) bool { return slices.Contains(d.Promise, "PUB-2") })
	if contact == nil {
		contact = []string{"PUB-2"}
	}
	do := "write contact: { email: … } in the policy, then restart"
	switch {
	case p.Contact.Email == "" && p.Contact.URL == "":
		e.add("policy.contact", contact, Fail, do, "The policy names nowhere to report a problem to.")
	case example(p.Contact.Email):
		e.add("policy.contact", contact, Fail, do, "The policy's contact, %s, is an example's address.", p.Contact.Email)
	default:
		e.add("policy.contact", contact, OK, "", "Problems are reported to %s.", strings.TrimSpace(p.Contact.Email+" "+p.Contact.URL))
	}
	if n := len(p.Open); n > 0 {
		var places []string
		for _, o := range p.Open {
			places = append(places, fmt.Sprintf("%q in line %d", o.Text, o.Pos.Line))
		}
		e.add("policy.open", []string{"PUB-1"}, Warn, "fill them in: tocsin policy check FILE names each", "The policy still has %s to be filled in: %s.", count(n, "text"), several(places))
	} else {
		e.add("policy.open", []string{"PUB-1"}, OK, "", "The page of the policy has no text that is still to be filled in.")
	}
}

// example says that an address is one that documents use and nobody has.
func example(address string) bool {
	_, domain, _ := strings.Cut(strings.ToLower(address), "@")
	for _, reserved := range []string{"example", "test", "invalid", "example.com", "example.org", "example.net"} {
		if domain == reserved || strings.HasSuffix(domain, "."+reserved) {
			return true
		}
	}
	return false
}

// people judges whether each role that owes or signs something is held by somebody who can be called.
func (e *examination) people() {
	state := e.seen.Org
	if state == nil {
		return
	}
	if state.Owners() == 0 {
		e.add("account.owner", nil, Fail, "open the link that tocsin serve prints, or: tocsin people join", "Nobody has joined as owner.")
	}
	for i := range e.seen.Policy.Roles {
		role := &e.seen.Policy.Roles[i]
		promises := e.promisesOf(func(d *policy.Duty) bool { return d.Who == role.ID || slices.Contains(d.Approve, role.ID) })
		if !e.needed(role.ID) {
			continue
		}
		invite := fmt.Sprintf("tocsin people invite NAME --role %s --email ADDRESS", role.ID)
		holders, silent := active(state, role.ID, role.Holders)
		switch {
		case len(holders) == 0 && len(role.Holders) == 0:
			e.add("people."+role.ID, promises, Fail, invite, "Nobody holds the role %s: the policy leaves it open and no account has it.", role.ID)
		case len(holders) == 0:
			e.add("people."+role.ID, promises, Fail, invite, "Nobody who holds the role %s has an account; the policy names %s.", role.ID, several(role.Holders))
		case len(silent) == len(holders):
			e.add("people."+role.ID, promises, Fail, fmt.Sprintf("tocsin people email %s ADDRESS", silent[0]), "Nobody who holds the role %s has an address, so nobody is called when its clocks press.", role.ID)
		case len(silent) > 0:
			e.add("people."+role.ID, promises, Warn, fmt.Sprintf("tocsin people email %s ADDRESS", silent[0]), "Of those who hold the role %s, %s cannot be called: no address.", role.ID, several(silent))
		default:
			e.add("people."+role.ID, promises, OK, "", "The role %s is held by %s, who can be called.", role.ID, several(holders))
		}
		backup, _ := active(state, "", role.Backup)
		switch {
		case len(role.Backup) == 0 && len(holders) < 2:
			e.add("backup."+role.ID, promises, Warn, fmt.Sprintf("name a backup for %s in the policy, or give the role to a second person", role.ID), "The role %s has no backup: while its one holder is away nobody answers.", role.ID)
		case len(holders) < 2 && len(backup) == 0:
			e.add("backup."+role.ID, promises, Warn, fmt.Sprintf("tocsin people invite %s --role %s --email ADDRESS", role.Backup[0], role.ID), "The backup of the role %s, %s, has no account.", role.ID, several(role.Backup))
		}
	}
}

// needed says that a role owes something, signs something or answers something.
func (e *examination) needed(role string) bool {
	p := e.seen.Policy
	for i := range p.Duties {
		if d := &p.Duties[i]; d.Who == role || slices.Contains(d.Approve, role) {
			return true
		}
	}
	for i := range p.Actions {
		if slices.Contains(p.Actions[i].Approve, role) {
			return true
		}
	}
	return false
}

// active are the accounts that hold a role or are named, and those of them without an address.
func active(state *org.State, role string, named []string) (holders, silent []string) {
	for _, p := range state.People {
		if p.Active() && (role != "" && slices.Contains(p.Roles, role) || slices.Contains(named, p.ID)) {
			holders = append(holders, p.ID)
			if p.Email == "" {
				silent = append(silent, p.ID)
			}
		}
	}
	slices.Sort(holders)
	slices.Sort(silent)
	return holders, silent
}
