package desk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/contain/vault"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
)

// switchBoard remembers who has seen which version. It is a measurement, not a record: a restart
// starts it afresh and every connected instance reports again.
type switchBoard struct {
	mu   sync.Mutex
	seen map[string]SwitchSeen
}

// Switches returns the whole set and its version. Switches that were never flipped are on.
func (d *Desk) Switches(ctx context.Context) (int64, []Switch, error) {
	s, err := d.Org(ctx)
	if err != nil || s == nil {
		return 0, nil, err
	}
	d.switches.mu.Lock()
	seen := slices.SortedFunc(maps.Values(d.switches.seen), func(a, b SwitchSeen) int { return strings.Compare(a.Instance, b.Instance) })
	d.switches.mu.Unlock()
	var list []Switch
	for _, key := range slices.Sorted(maps.Keys(s.Switches)) {
		sw := *s.Switches[key]
		if sw.Incident != "" {
			// What cannot be read is kept as what may not be known is: the switch itself is obeyed either way.
			if _, err := d.Incident(ctx, sw.Incident); err != nil {
				sw.Incident, sw.Reason = "", "for a reason that is kept to those who have to know it"
			}
		}
		list = append(list, Switch{Merchant: sw.Merchant, State: sw.State, Reason: sw.Reason, Since: sw.Since, Incident: sw.Incident, Seen: seen})
	}
	return s.Flips, list, nil
}

// FlipSwitch flips one kill switch. The flip is a fact of the organisation and, when it belongs to
// an incident, of that incident too, in one transaction; everyone who watches is told right after
// the commit. A crash before the commit: nothing happened. A crash after it: watchers read the new
// set when they connect again.
//
// A switch that an open incident has turned off stays off until the incident is restored: turning
// it on earlier would go round the restore gate.
func (d *Desk) FlipSwitch(ctx context.Context, id string, who Caller, merchant, state, reason, inc string) error {
	if d.o.ReadOnly {
		return ErrReadOnly
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	req := Request{ID: id, Incident: inc, Caller: who, Command: incident.RecordSwitch{Merchant: merchant, State: state, Reason: reason}}
	var refused *incident.Refusal
	err := d.o.Store.Update(ctx, func(tx ledger.Tx) error {
		refused = nil
		now := d.o.Clock.Now()
		m, err := replay(tx, req)
		if err != nil {
			return err
		}
		if m != nil {
			refused = m.Refusal
			return nil
		}
		if merchant != "*" {
			if _, err := tx.Merchant(merchant); errors.Is(err, ledger.ErrNotFound) {
				return fmt.Errorf("%w: merchant: there is no merchant %q in the directory: import it first, or use * for all", ErrInvalid, merchant)
			} else if err != nil {
				return err
			}
		}
		if err := d.holdSwitch(tx, who, merchant, state); err != nil {
			return err
		}
		out, ref, err := d.flip(tx, req, now)
		if err != nil {
			return err
		}
		refused = ref
		return d.remember(tx, req, now, out, ref)
	})
	if err != nil {
		return err
	}
	if refused != nil {
		return refused
	}
	return nil
}

func (d *Desk) flip(tx ledger.Tx, req Request, now time.Time) (Outcome, *incident.Refusal, error) {
	c := req.Command.(incident.RecordSwitch)
	if req.Incident != "" {
		out, ref, err := d.decide(tx, req, now, nil)
		if err != nil || ref != nil {
			return out, ref, err
		}
	}
	// A refusal here is an error of the transaction: the incident must not say that a switch was
	// flipped which the organisation has not.
	_, err := d.decideOrg(tx, req.Caller, org.FlipSwitch{Merchant: c.Merchant, State: c.State, Reason: c.Reason, Incident: req.Incident}, now)
	return Outcome{Incident: req.Incident, Reason: "switch_flipped"}, nil, err
}

// holdSwitch refuses to turn a switch on while the open incident that turned it off has not been
// restored.
func (d *Desk) holdSwitch(tx ledger.Tx, who Caller, merchant, state string) error {
	s, _, err := d.readOrg(tx)
	if err != nil || s == nil || state != "on" {
		return err
	}
	sw, ok := s.Switches[merchant]
	if !ok || sw.State != "off" || sw.Incident == "" {
		return nil
	}
	st, err := d.read(tx, sw.Incident)
	if err != nil {
		return err
	}
	if st, err = d.leadsTo(tx, st); err != nil {
		return err
	}
	if st.Status != incident.StatusOpen {
		return nil
	}
	if _, restored := st.Milestones["restored"]; restored {
		return nil
	}
	if !incident.Sees(st, who.Principal, who.Access) {
		return &incident.Refusal{
			Reason: "held_by_incident", Message: "the switch stays off: it was turned off for a reason that is kept to those who have to know it",
			Missing: []incident.Missing{{What: "the end of what it was turned off for", Do: "wait: it is turned on with that"}},
		}
	}
	return &incident.Refusal{
		Reason:  "held_by_incident",
		Message: "the switch stays off: incident " + sw.Incident + " turned it off and is not restored",
		Missing: []incident.Missing{{What: sw.Incident + " is not restored", Do: "restore it, which turns its switches on: tocsin incident restore " + sw.Incident}},
	}
}

// turnOn turns on every switch of a restored incident, in the transaction of the restore: service
// returns by the same fact that let it through the gate.
func (d *Desk) turnOn(who Caller) func(ledger.Tx, *incident.State, time.Time) error {
	return func(tx ledger.Tx, st *incident.State, now time.Time) error {
		s, _, err := d.readOrg(tx)
		if err != nil || s == nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(s.Switches)) {
			sw := s.Switches[key]
			if sw.State != "off" || sw.Incident != st.ID && !partOf(st, sw.Incident) {
				continue
			}
			_, err := d.decideOrg(tx, who, org.FlipSwitch{Merchant: sw.Merchant, State: "on", Reason: "restored", Incident: st.ID}, now)
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// partOf reports whether an incident was merged into another.
func partOf(st *incident.State, id string) bool {
	return slices.ContainsFunc(st.Merged, func(m *incident.Merged) bool { return m.Incident == id || slices.Contains(m.Also, id) })
}

// SwitchSeen notes that an instance obeys a version of the switches.
func (d *Desk) SwitchSeen(ctx context.Context, key, instance string, version int64) error {
	if instance == "" || len(instance) > 128 {
		return fmt.Errorf("%w: instance: 1 to 128 characters", ErrInvalid)
	}
	d.switches.mu.Lock()
	defer d.switches.mu.Unlock()
	if d.switches.seen == nil {
		d.switches.seen = map[string]SwitchSeen{}
	}
	id := key + "/" + instance
	if _, known := d.switches.seen[id]; !known {
		d.switches.makeRoom(key)
	}
	d.switches.seen[id] = SwitchSeen{Instance: instance, Version: version, At: time.Now().UTC()}
	return nil
}

// mostInstances is how many instances of one key are remembered. Instances come and go under new
// names, so the one that was heard of longest ago gives way. A key that invents names fills its
// own share and nobody else's.
const mostInstances = 500

// makeRoom drops a tenth of a key's instances when there are too many, so that a flood of new
// names costs little each. Its caller holds mu.
func (b *switchBoard) makeRoom(key string) {
	var ids []string
	for id := range b.seen {
		if strings.HasPrefix(id, key+"/") {
			ids = append(ids, id)
		}
	}
	if len(ids) < mostInstances {
		return
	}
	slices.SortFunc(ids, func(x, y string) int { return b.seen[x].At.Compare(b.seen[y].At) })
	for _, id := range ids[:len(ids)/10] {
		delete(b.seen, id)
	}
}

// WatchSwitches receives whenever the switches may have changed, until ctx ends.
func (d *Desk) WatchSwitches(ctx context.Context) <-chan struct{} {
	ch, cancel := d.watch.subscribe(func(chains []string) bool { return slices.Contains(chains, OrgChain) })
	context.AfterFunc(ctx, cancel)
	return ch
}

// WatchIncidents receives whenever any incident has changed, until ctx ends.
func (d *Desk) WatchIncidents(ctx context.Context) <-chan struct{} {
	ch, cancel := d.watch.subscribe(func(chains []string) bool { return d.watches(ctx, chains) })
	context.AfterFunc(ctx, cancel)
	return ch
}

// WatchIncident receives whenever one incident has changed, until ctx ends. Whether its reader may know
// of it is asked when it is read.
func (d *Desk) WatchIncident(ctx context.Context, id string) <-chan struct{} {
	ch, cancel := d.watch.subscribe(func(chains []string) bool { return slices.Contains(chains, id) })
	context.AfterFunc(ctx, cancel)
	return ch
}

// loadSwitches fails the start when the switches cannot be read: an app that asks must never be
// told "on" because a read failed.
func (d *Desk) loadSwitches(ctx context.Context) error {
	_, _, err := d.Switches(ctx)
	return err
}

// PutSecret keeps a named secret in the vault. The value is never a fact; that it was put is one.
func (d *Desk) PutSecret(ctx context.Context, who Caller, name string, value []byte) error {
	if d.o.ReadOnly {
		return ErrReadOnly
	}
	if len(value) == 0 || len(value) > 64<<10 {
		return fmt.Errorf("%w: the secret has to have 1 byte to 64 KiB", ErrInvalid)
	}
	if vault.Reserved(name) {
		return fmt.Errorf("%w: name: names that begin with rotation. are the system's: choose another", ErrInvalid)
	}
	if _, err := d.SubmitOrg(ctx, "", who, org.PutSecret{Secret: name}); err != nil {
		return err
	}
	// A crash here leaves a fact that the secret was put and no secret: the plan that names it is
	// refused for want of it, and putting it again is harmless.
	return d.o.Vault.Put(name, egress.NewSecret(string(value)))
}
