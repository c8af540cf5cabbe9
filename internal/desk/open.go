package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/policy"
)

// OpenIncident starts an incident under the next free id.
func (d *Desk) OpenIncident(ctx context.Context, id string, who Caller, c incident.Open) (Outcome, error) {
	if d.o.ReadOnly {
		return Outcome{}, ErrReadOnly
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	if len(c.Apps) == 0 {
		c.Apps = d.o.Apps
	}
	var out Outcome
	var refused *incident.Refusal
	err := d.o.Store.Update(ctx, func(tx ledger.Tx) (err error) {
		now := d.o.Clock.Now()
		req := Request{ID: id, Command: c, Caller: who}
		memo, err := replay(tx, req)
		if err != nil {
			return err
		}
		if memo != nil {
			out, refused = memo.Outcome, memo.Refusal
			out.Replayed = true
			return nil
		}
		out, refused, err = d.openNext(tx, who, c, now, nil)
		if err != nil {
			return err
		}
		return d.remember(tx, req, now, out, refused)
	})
	if err != nil {
		return Outcome{}, err
	}
	if refused != nil {
		return out, refused
	}
	return out, nil
}

// openNext opens an incident under the next id inside a transaction. Two openings at once cannot
// get the same id: the second finds the chain taken, and its transaction runs again.
func (d *Desk) openNext(tx ledger.Tx, who Caller, c incident.Open, now time.Time, causes []string) (Outcome, *incident.Refusal, error) {
	n, err := nextIncident(tx)
	if err != nil {
		return Outcome{}, nil, err
	}
	req := Request{Incident: "INC-" + strconv.Itoa(n), Command: c, Caller: who, Causes: causes}
	out, refused, err := d.decide(tx, req, now, nil)
	if err != nil || refused != nil {
		return out, refused, err
	}
	return out, nil, tx.PutRow(sequenceProjection, ledger.Row{Key: "incident", Body: []byte(strconv.Itoa(n))})
}

const sequenceProjection = "sequence"

func nextIncident(r ledger.Reader) (int, error) {
	row, err := r.Row(sequenceProjection, "incident")
	if err == nil {
		n, err := strconv.Atoi(string(row.Body))
		return n + 1, err
	}
	if !errors.Is(err, ledger.ErrNotFound) {
		return 0, err
	}
	// The projection was dropped by a rebuild: the chains themselves say which ids are taken.
	last, after := 0, ""
	for {
		heads, err := r.Heads(after, 1000)
		if err != nil {
			return 0, err
		}
		if len(heads) == 0 {
			return last + 1, nil
		}
		for _, h := range heads {
			if n, err := strconv.Atoi(strings.TrimPrefix(h.Chain, "INC-")); err == nil {
				last = max(last, n)
			}
			after = h.Chain
		}
	}
}

// signalWindow is how long a finding about the same subject belongs to the same incident.
const signalWindow = 7 * 24 * time.Hour

// Signal takes in a detector's finding: a finding about the same subject as an open incident's
// joins it, whatever it is that was found, for one credential in wrong hands is one matter; any
// other opens one. The signal's id makes taking it in twice harmless.
func (d *Desk) Signal(ctx context.Context, sig incident.Signal) (Outcome, error) {
	return d.signal(ctx, worker("detect"), sig)
}

func (d *Desk) signal(ctx context.Context, who Caller, sig incident.Signal) (Outcome, error) {
	if d.o.ReadOnly {
		return Outcome{}, ErrReadOnly
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	var out Outcome
	err := d.o.Store.Update(ctx, func(tx ledger.Tx) error {
		now := d.o.Clock.Now()
		req := Request{ID: "signal/" + sig.ID, Incident: "", Command: incident.AddSignal{Signal: sig}, Caller: who, asked: sig.ID}
		memo, err := replay(tx, req)
		if err != nil {
			return err
		}
		if memo != nil {
			out = memo.Outcome
			out.Replayed = true
			return nil
		}
		var refused *incident.Refusal
		if s, err := d.openWith(tx, sig, now); err != nil {
			return err
		} else if s != "" {
			out, refused, err = d.decide(tx, Request{Incident: s, Command: incident.AddSignal{Signal: sig}, Caller: who, Causes: []string{sig.ID}}, now, nil)
			if err != nil {
				return err
			}
		} else {
			c := incident.Open{Class: d.classOf(sig), Title: d.titleOf(sig), Apps: d.o.Apps, Suspect: sig.From, Signal: &sig}
			if !sig.Noticed.IsZero() {
				c.Suspect = time.Time{} // nobody suspected it while nobody had the log
			}
			if out, refused, err = d.openNext(tx, who, c, now, []string{sig.ID}); err != nil {
				return err
			}
		}
		if refused != nil {
			return fmt.Errorf("desk: signal %s: %w", sig.ID, refused)
		}
		return d.remember(tx, req, now, out, nil)
	})
	return out, err
}

// A storm is more than stormAfter incidents of one class and app within stormWindow. Whoever can make
// events can make alarms, from as many addresses as they like; the next ones join the newest
// incident, where each is still a fact, instead of burying the board and what else stands on it.
const (
	stormAfter  = 20
	stormWindow = time.Hour
)

// changeWindow is how far apart changes of files may be found that are one incident. Whoever has got in
// changes what they reach in one go, and sources are looked at by the hour.
const changeWindow = 24 * time.Hour

// sameChange says that two signals are changes of files of one service, found close together: a theme and
// a template changed in one night are one matter. A source that cannot be read is no change.
func sameChange(a, b incident.Signal) bool {
	changed := func(s incident.Signal) bool { return s.Class == templateChanged && s.Facets[facetFound] != "" }
	return changed(a) && changed(b) && a.App == b.App && a.Facets[facetService] == b.Facets[facetService] && a.At.Sub(b.At).Abs() < changeWindow
}

// openWith finds the open incident that a signal belongs to: one about the same subject, else one about files
// of the same service that changed meanwhile, else in a storm the newest. Nobody outside would learn of a
// change that joined a private incident about something else, so that one opens its own.
func (d *Desk) openWith(tx ledger.Tx, sig incident.Signal, now time.Time) (string, error) {
	rows, err := tx.Rows(boardProjection, "0", "1", ledger.MaxRows)
	if err != nil {
		return "", err
	}
	var newest *incident.State
	var together string
	recent := 0
	for _, row := range rows {
		s, err := d.read(tx, row.Key)
		if errors.Is(err, errUnreadable) {
			continue // one incident that cannot be read must not keep alarms from being raised
		}
		if err != nil {
			return "", err
		}
		if s.Status != incident.StatusOpen {
			continue
		}
		for _, known := range signalsOf(s) {
			if known.App == sig.App && known.Subject == sig.Subject && sig.At.Sub(known.At).Abs() < signalWindow {
				return s.ID, nil
			}
			if s.Private == nil && together == "" && sameChange(known, sig) {
				together = s.ID
			}
		}
		if len(s.Signals) > 0 && s.Signals[0].Class == sig.Class && s.Signals[0].App == sig.App && now.Sub(s.Opened) < stormWindow {
			recent++
			if newest == nil || s.Opened.After(newest.Opened) {
				newest = s
			}
		}
	}
	if together != "" {
		return together, nil
	}
	if recent >= stormAfter {
		return newest.ID, nil
	}
	return "", nil
}

// signalsOf are the signals of an incident, and of those that were merged into it.
func signalsOf(s *incident.State) []incident.Signal {
	all := slices.Clip(s.Signals)
	for _, m := range s.Merged {
		for _, g := range m.Signals {
			all = append(all, g.Signal)
		}
	}
	return all
}

// classOf is the class of the policy that lists this signal, else the one that its rule opens or that a
// probe's signal is named after, or unclassified.
func (d *Desk) classOf(sig incident.Signal) string {
	for _, c := range d.current.Classes {
		if slices.Contains(c.Signals, sig.Class) {
			return c.ID
		}
	}
	for _, c := range d.current.Classes {
		if c.ID == sig.Facets[detect.Opens] {
			return c.ID
		}
	}
	if sig.Facets[incident.Probed] != "" && slices.ContainsFunc(d.current.Classes, func(c policy.Class) bool { return c.ID == sig.Class }) {
		return sig.Class
	}
	return "unclassified"
}

func (d *Desk) titleOf(sig incident.Signal) string {
	kind, name, ok := strings.Cut(sig.Subject, ":")
	if !ok {
		return strings.ReplaceAll(sig.Class, "_", " ")
	}
	if kind == serviceSubject {
		return fmt.Sprintf("%s of %s", strings.ReplaceAll(sig.Class, "_", " "), name)
	}
	return fmt.Sprintf("%s by %s %s", strings.ReplaceAll(sig.Class, "_", " "), kind, name)
}
