package doctor

import (
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/policy"
)

// Beyond is what a promise rests on and nobody can check from here.
type Beyond struct {
	Promises []string `json:"promises" nullable:"false" doc:"promises of the policy that rest on it"`
	Say      string   `json:"say" doc:"what cannot be checked from here, and who can look at it"`
}

// beyond says for promises what of them no look at this installation can show. A promise that is here and
// has checks as well is checked in part.
var beyond = []Beyond{
	{[]string{"DET-8"}, "whether orders are among the access events that come in; send them, and the rules in rules/orders look at them."},
	{[]string{"DET-9"}, "whether the audit log of your code's host is sent here: its alerts of secret scanning are noticed when it is, and there is no webhook for them. Who gets one by mail opens the incident: tocsin incident open."},
	{[]string{"DET-10"}, "whether the audit logs of your cloud are sent here: rules look at those that are, and there is no webhook for alerts. Who gets one by mail opens the incident: tocsin incident open."},
	{[]string{"DET-12"}, "whether somebody reads the activity logs of the platform; that the audits were held stands on the word of whoever settles tocsin programme."},
	{[]string{"CON-4"}, "whether one endpoint of your app can be switched off alone, and how fast a hotfix goes out; only what is an action of the policy is looked at."},
	{[]string{"CON-5"}, "whether access to your storage and your cloud can be cut: no connector for it is built; only what is an action of the policy is looked at."},
	{[]string{"CON-7", "PUB-3"}, "what clients do on their side: the page asks it of them, and nothing shows it to them during an incident."},
	{[]string{"INV-2"}, "whether the logs of your servers and databases are complete; what is sent here is one timeline."},
	{[]string{"REC-2"}, "whether a fix was tried in staging: nothing here records it. Write it into the review."},
	{[]string{"REC-3"}, "whether backups of your app's data can be restored; restore one, and write down when. Tocsin's own: tocsin backup, tocsin restore."},
	{[]string{"REC-5"}, "whether the threat comes back after the watch is over; during it the detection of the access log is what watches."},
	{[]string{"REC-6"}, "whether the support of the platform and of others answers. Note what was asked and answered in the incident."},
	{[]string{"PRO-1"}, "how your app's own connections are encrypted; what is looked at is this server's public address."},
	{[]string{"PRO-2"}, "how your databases and object stores are encrypted and where their keys are; Tocsin's own keys lie in a folder, with no key management service."},
	{[]string{"PRO-3"}, "whether the rows of your app's database are kept apart; attack it by a test of your own."},
	{[]string{"PRO-4"}, "how your app's own tokens and sessions are made. Those of Tocsin are random, stored as digests, and refused once revoked."},
	{[]string{"PRO-5"}, "how your merchants and your team sign in; Tocsin itself has no second factor yet."},
	{[]string{"PRO-6"}, "whether your app records every access; a source that fell silent is named."},
	{[]string{"PRO-7"}, "whether your app's test and production are apart. A data folder of Tocsin is one environment for ever."},
	{[]string{"PRO-9"}, "whether your app answers the compliance webhooks of the platform: nothing here takes them in."},
	{[]string{"PRO-10"}, "what your vendors have signed: there is no register of them here."},
	{[]string{"PRO-11"}, "who can reach your app's own systems, and when that was last looked at."},
	{[]string{"PRO-12"}, "where your app keeps the tokens of the platform."},
}

// ownSystems is what a promise says of which the policy has no rule at all.
const ownSystems = "what the policy's page says of your own systems and agreements, without a rule of the policy behind it: ask whoever runs them."

// promised are the promises that a policy makes anywhere, sorted.
func promised(p *policy.Program) []string {
	var all []string
	for i := range p.Page {
		all = merged(all, p.Page[i].Promise)
		for _, t := range p.Page[i].Tags {
			all = merged(all, t.Promise)
		}
		if t := p.Page[i].Table; t != nil {
			for _, row := range t.Rows {
				for _, tag := range row.Tags {
					all = merged(all, tag.Promise)
				}
			}
		}
	}
	for i := range p.Classes {
		all = merged(all, p.Classes[i].Promise)
	}
	for i := range p.Duties {
		all = merged(all, p.Duties[i].Promise)
	}
	for i := range p.Gates {
		all = merged(all, p.Gates[i].Promise)
	}
	for i := range p.Actions {
		all = merged(all, p.Actions[i].Promise)
	}
	for i := range p.Phases {
		all = merged(all, p.Phases[i].Promise)
	}
	for i := range p.Events {
		all = merged(all, p.Events[i].Promise)
	}
	slices.Sort(all)
	return all
}

// uncheckable says of each promise of the policy what no look from here can show, so that no promise is
// passed over in silence: it is in a finding, in this list, or in both.
func (e *examination) uncheckable() []Beyond {
	if e.seen.Policy == nil {
		return nil
	}
	var all []Beyond
	made := promised(e.seen.Policy)
	checked := map[string]bool{}
	for _, f := range e.all {
		for _, p := range f.Promises {
			checked[p] = true
		}
	}
	for _, b := range beyond {
		ours := slices.DeleteFunc(slices.Clone(b.Promises), func(p string) bool { return !slices.Contains(made, p) })
		if len(ours) > 0 {
			all = append(all, Beyond{ours, b.Say})
			for _, p := range ours {
				checked[p] = true
			}
		}
	}
	rest := slices.DeleteFunc(made, func(p string) bool { return checked[p] })
	if len(rest) > 0 {
		all = append(all, Beyond{rest, ownSystems})
	}
	return all
}

// address judges whether those outside can reach what is published for them.
func (e *examination) address() {
	outside := []string{"PUB-1", "PUB-2", "DET-11"}
	do := "write public_url: https://… in tocsin.yaml, the address that outsiders reach this server by"
	switch url := e.seen.PublicURL; {
	case url == "":
		e.add("public.address", outside, Fail, do, "Nobody outside can read the policy or report a problem here: no public address is configured.")
	case !strings.HasPrefix(strings.ToLower(url), "https://"):
		e.add("public.address", merged([]string{"PRO-1"}, outside), Fail, do, "What outsiders send to %s is not encrypted on its way.", url)
	default:
		e.add("public.address", merged([]string{"PRO-1"}, outside), OK, "", "Outsiders read the policy and report problems at %s.", url)
	}
}

// Owed is a duty of the programme, which runs without an incident.
type Owed struct {
	Duty, Say string
	Missed    bool
	AtRisk    bool
}

// programme judges what the policy owes all the year round: drills, audits, the yearly reading.
func (e *examination) programme() {
	for _, o := range e.seen.Programme {
		promises := e.promisesOf(func(d *policy.Duty) bool { return d.ID == o.Duty })
		do := "do it, then: tocsin programme; it shows the command that settles it"
		switch {
		case o.Missed:
			e.add("programme."+o.Duty, promises, Fail, do, "Overdue of the programme: %s.", o.Say)
		case o.AtRisk:
			e.add("programme."+o.Duty, promises, Warn, do, "Due soon in the programme: %s.", o.Say)
		default:
			e.add("programme."+o.Duty, promises, OK, "", "In time in the programme: %s.", o.Say)
		}
	}
}

// Corrective counts what was to be changed after incidents.
type Corrective struct {
	Looked        bool
	Open, Overdue int
	NoOwner       int // open, and owned by nobody who can be called
}

// corrective judges whether what was to be changed after incidents is.
func (e *examination) corrective() {
	c, followed := e.seen.Corrective, []string{"REV-3"}
	switch {
	case !c.Looked:
	case c.Overdue > 0:
		e.add("review.corrective", followed, Fail, "tocsin review actions --overdue", "Overdue after incidents: %s.", count(c.Overdue, "corrective action"))
	case c.NoOwner > 0:
		e.add("review.corrective", followed, Warn, "tocsin review actions --open, then give each to somebody who has an account: tocsin incident move-corrective", "Owned by nobody who could be called: %s.", count(c.NoOwner, "open corrective action"))
	default:
		e.add("review.corrective", followed, OK, "", "No corrective action is overdue; %d in work.", c.Open)
	}
}

// budgets judges whether a cost that runs away would be noticed.
func (e *examination) budgets() {
	const costs = "DET-5"
	if !slices.Contains(promised(e.seen.Policy), costs) {
		return
	}
	if e.seen.Budgets == 0 {
		e.add("detect.budgets", []string{costs}, Fail, "write detection: { budgets: [ { credential: …, amount: …, unit: USD, period: 720h } ] } in tocsin.yaml", "The policy says that a runaway cost is noticed, and no credential has a budget.")
		return
	}
	e.add("detect.budgets", []string{costs}, OK, "", "What credentials cost is compared with %s.", count(e.seen.Budgets, "budget"))
}

// classes judges whether the policy says what an incident is.
func (e *examination) classes() {
	what := []string{"CLS-1"}
	if n := len(e.seen.Policy.Classes); n > 0 {
		e.add("policy.classes", what, OK, "", "The policy says what an incident is, in %d classes.", n)
		return
	}
	e.add("policy.classes", what, Warn, "write classes: in the policy, then restart", "The policy has no classes: every incident opens as unclassified, with default clocks.")
}

// access judges whether access is for those who need it.
func (e *examination) access() {
	if e.seen.Org == nil {
		return
	}
	joined, owners := 0, e.seen.Org.Owners()
	for _, p := range e.seen.Org.People {
		if p.Active() {
			joined++
		}
	}
	few := []string{"PRO-4", "PRO-11"}
	switch {
	case joined >= 3 && owners == joined:
		e.add("account.access", few, Warn, "tocsin people invite NAME --access responder, for whoever only answers incidents", "All %d with an account are owners, who may invite people, import and make keys.", joined)
	case joined > 0:
		e.add("account.access", few, OK, "", "Of those with an account, %d of %d may invite people and make keys.", owners, joined)
	}
}
