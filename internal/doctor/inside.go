package doctor

import (
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// containment judges whether what the policy says it does to an attacker can be done from here.
func (e *examination) containment() {
	p := e.seen.Policy
	for i := range p.Actions {
		a := &p.Actions[i]
		promises := a.Promise
		kind, ok := e.seen.Connectors[a.Uses]
		if !ok {
			e.add("action."+a.ID, promises, Fail, "write connectors: { "+a.Uses+": { type: … } } in tocsin.yaml; docs/operator.md shows each kind", "The action %s has no connector: %s is not configured.", a.ID, a.Uses)
			continue
		}
		last := e.seen.Rehearsed[a.Uses]
		practise := "contain a made-up target in an incident you open for it"
		switch {
		case kind == "switch" && !e.switchKey():
			e.add("action."+a.ID, promises, Fail, "tocsin key new --purpose switch --app APP --out switch.key", "The action %s turns a switch, and no application can read it: there is no switch key.", a.ID)
		case last.IsZero():
			e.add("action."+a.ID, promises, Warn, practise, "The connector %s of the action %s has never proven anything here.", a.Uses, a.ID)
		case e.seen.Now.Sub(last) > stale:
			e.add("action."+a.ID, promises, Warn, practise, "The connector %s last proved an action %s ago.", a.Uses, ago(e.seen.Now.Sub(last)))
		default:
			e.add("action."+a.ID, promises, OK, "", "The connector %s proved an action %s ago.", a.Uses, ago(e.seen.Now.Sub(last)))
		}
	}
}

func (e *examination) switchKey() bool {
	if e.seen.Org == nil {
		return true // it cannot be said
	}
	for _, k := range e.seen.Org.Keys {
		if k.Purpose == "switch" && k.Revoked.IsZero() {
			return true
		}
	}
	return false
}

// restoring judges whether the checks before a return to service can run.
func (e *examination) restoring() {
	p := e.seen.Policy
	var promises []string
	for i := range p.Gates {
		if p.Gates[i].Guards == "restore" {
			promises = merged(promises, p.Gates[i].Promise)
		}
	}
	for _, c := range p.Checks {
		if c.Probe == "connector" {
			continue
		}
		if e.seen.Checks[c.ID] {
			e.add("check."+c.ID, promises, OK, "", "The check %s is configured.", c.ID)
		} else {
			e.add("check."+c.ID, promises, Fail, "write checks: { "+c.ID+": { type: http, … } } in tocsin.yaml", "The check %s cannot run, so service could never be restored: it is not configured.", c.ID)
		}
	}
}

// lagging is how many events behind the table is worth a word: more than a burst.
const lagging = 1_000_000

func (e *examination) machine() {
	m := e.seen.Machine
	for _, o := range m.Open {
		e.add("folder."+o.Name, []string{"PRO-12", "INV-3"}, Fail, "chmod go-rwx "+o.Name, "Others on this machine may read %s (mode %s).", o.Name, o.Mode)
	}
	if len(m.Open) == 0 && e.seen.Dir != "" && e.seen.Trouble == "" {
		e.add("folder.permissions", []string{"PRO-12", "INV-3"}, OK, "", "Nobody else on this machine can read the data folder.")
	}
	if m.NoKeys != "" {
		e.add("folder.keys", []string{"INV-3", "PRO-2"}, Fail, "bring keys/ back from where you keep a copy", "The keys cannot be used: %s.", m.NoKeys)
	}
	if m.Disk > 0 {
		const gib = 1 << 30
		free := float64(m.Free) / gib
		switch {
		case m.Free < gib/2:
			e.add("disk.space", []string{"DET-1"}, Fail, "make room, or move the data folder", "%.1f GiB are left on the disk: access events will be refused soon.", free)
		case m.Free < 5*gib || m.Free < m.Disk/20:
			e.add("disk.space", []string{"DET-1"}, Warn, "make room, or move the data folder", "%.1f GiB are left on the disk.", free)
		default:
			e.add("disk.space", []string{"DET-1"}, OK, "", "%.0f GiB are free on the disk.", free)
		}
	}
	if m.Table != "" {
		e.add("table.store", []string{"INV-1"}, Warn, "mend what it says, or what table: and network: { allow: … } in tocsin.yaml say of the store", "The object store of the table cannot be used, and the table is %d events behind: questions are whole, and answered from the log, slowly. Last: %s.", m.Behind, m.Table)
	} else if m.Behind > lagging {
		e.add("table.behind", []string{"INV-1"}, Warn, "look in the server's log for why", "The table of access events is %d events behind: questions are whole, and answered from the log, slowly.", m.Behind)
	}
	timed := []string{}
	if e.seen.Policy != nil {
		timed = e.promisesOf(func(d *policy.Duty) bool { return len(d.Due) > 0 && d.Do == policy.Notify })
	}
	switch m.Clock {
	case "synchronised":
		e.add("clock", timed, OK, "", "The system's clock is kept in step with a time server.")
	case "unsynchronised":
		e.add("clock", timed, Warn, "start chronyd or systemd-timesyncd", "The system's clock is not kept in step with a time server: deadlines may be wrong.")
	}
}

// altered names what in the data folder is not as it was written.
func (e *examination) altered() {
	for _, f := range e.seen.Altered {
		state, do := Fail, f.Do
		if f.Mild {
			state = Warn
		}
		if do == "" {
			do = "stop, copy the folder aside, and compare it with a backup, an export or a checkpoint that was sent out"
		}
		e.add("file."+f.Name, []string{"INV-3"}, state, do, "%s %s.", f.Name, strings.TrimSuffix(f.What, "."))
	}
}

func (e *examination) evidence() {
	l := e.seen.Logs
	if !l.Looked {
		return
	}
	kept := []string{"INV-3", "PRO-6"}
	switch {
	case l.Altered != "":
		e.add("evidence.verify", kept, Fail, "stop, copy the folder aside, and compare it with an export or a checkpoint that was sent out", "The evidence was altered: %s.", l.Altered)
	case l.Unsealed != "":
		e.add("evidence.verify", kept, Fail, "look at the server's log", "A log has no signed checkpoint: %s.", l.Unsealed)
	default:
		removed := ""
		if l.Removed > 0 {
			removed = fmt.Sprintf(" Facts say of %s that their events were removed.", count(l.Removed, "day"))
		}
		if l.Table {
			removed = " Every access event of the table is the one that the log holds." + removed
		}
		if l.Sampled > 0 || l.Chains > 0 {
			e.add("evidence.verify", kept, OK, "", "%s, and of the %s of access events the newest %d and %d others at random, were recomputed and are as they were written. The rest was not looked at: tocsin doctor --full reads all of it.%s",
				count(l.Facts, "fact"), leavesOf(l.Of), l.Leaves-l.Sampled, l.Sampled, removed)
			break
		}
		e.add("evidence.verify", kept, OK, "", "%s and %s of access events were recomputed and are as they were written.%s", count(l.Facts, "fact"), leavesOf(l.Leaves), removed)
	}
	if l.Witnesses == 0 && !l.Copy {
		e.add("evidence.away", []string{"PRO-8", "REC-3", "INV-3"}, Warn, "name a witness under evidence: in tocsin.yaml, and a folder on another machine under copy: (docs/operator.md)", "Nothing leaves this machine by itself: whoever takes it over can rewrite what it holds.")
	} else {
		away := l.Away
		if away == "" {
			away = count(l.Witnesses, "witness")
		}
		e.add("evidence.away", []string{"PRO-8", "REC-3", "INV-3"}, OK, "", "The state of the evidence is kept elsewhere too: %s.", away)
	}
}

// backups judges whether the newest backup is as young as the schedule says.
func (e *examination) backups() {
	b, promises := e.seen.Logs.Backups, []string{"PRO-8", "REC-3"}
	if b.Every == 0 {
		return
	}
	failing, do := "", "look at the folder of backup.to in tocsin.yaml: is it there, and is there room?"
	if b.Failing != "" {
		failing = " The next one failed: " + strings.TrimSuffix(b.Failing, ".") + "."
	}
	old := e.seen.Now.Sub(b.Last)
	switch {
	case b.Last.IsZero() && b.Failing == "":
		e.add("evidence.backup", promises, Warn, "let the server run: it takes the first one by itself", "No backup has been taken yet; one is due every %s.", ago(b.Every))
	case b.Last.IsZero():
		e.add("evidence.backup", promises, Fail, do, "No backup has been taken yet.%s", failing)
	case old > 2*b.Every:
		e.add("evidence.backup", promises, Fail, do, "The last backup is %s old, and one is due every %s.%s", ago(old), ago(b.Every), failing)
	case b.Failing != "":
		e.add("evidence.backup", promises, Warn, do, "The last backup is %s old.%s", ago(old), failing)
	default:
		e.add("evidence.backup", promises, OK, "", "The last backup is %s old: %s", ago(old), b.What)
	}
}

// heartbeat judges whether somebody elsewhere notices when this machine stops: clocks that nobody
// watches are missed in silence.
func (e *examination) heartbeat() {
	if !e.seen.Logs.Looked {
		return
	}
	h := e.seen.Logs.Heartbeat
	do := "write heartbeat: { url: https://… } in tocsin.yaml, the address of a service that calls you when it hears nothing"
	switch {
	case !h.Configured:
		e.add("machine.heartbeat", nil, Warn, do, "Nobody elsewhere notices when this machine stops: clocks would be missed in silence.")
	case h.Failing != "":
		e.add("machine.heartbeat", nil, Fail, "look at the address under heartbeat: in tocsin.yaml, and at network.allow", "The last heartbeat did not arrive: %s.", strings.TrimSuffix(h.Failing, "."))
	case h.Newest.IsZero() && e.seen.Served:
		e.add("machine.heartbeat", nil, Warn, "wait a minute and look again", "No heartbeat was sent yet.")
	case h.Newest.IsZero():
		e.add("machine.heartbeat", nil, OK, "", "A heartbeat is configured; it beats while the server runs.")
	default:
		e.add("machine.heartbeat", nil, OK, "", "A heartbeat arrived %s ago.", ago(max(e.seen.Now.Sub(h.Newest), 0)))
	}
}

// leavesOf is a number of leaves in words.
func leavesOf(n uint64) string {
	if n == 1 {
		return "1 leaf"
	}
	return fmt.Sprintf("%d leaves", n)
}

func (e *examination) drill() {
	if e.seen.Policy == nil {
		return
	}
	d := e.seen.LastDrill
	age := e.seen.Now.Sub(d.At)
	do := "tocsin drill --against ADDRESS, the address of this server, or Drills in the console: it plays the policy in force"
	switch {
	case d.At.IsZero():
		e.add("drill", nil, Warn, do, "This policy was never drilled: that its promises can be kept is not shown.")
	case !d.Kept:
		e.add("drill", nil, Fail, do, "The last drill, %s ago, did not keep every promise.", ago(age))
	case age > 100*24*time.Hour:
		e.add("drill", nil, Warn, do, "The last drill was %s ago.", ago(age))
	default:
		e.add("drill", nil, OK, "", "The last drill, %s ago, kept every promise.", ago(age))
	}
}
