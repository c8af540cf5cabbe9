package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/org"
)

// SourceDiff is what of a source is not as approved, with what can be shown of it. Without a baseline,
// everything is as yet to be approved.
type SourceDiff struct {
	Source   string              `json:"source"`
	Approval *integrity.Approval `json:"approval,omitempty"`
	Two      bool                `json:"two,omitempty" doc:"two people have to approve a state of it"`
	Signed   *integrity.Approval `json:"signed,omitempty" doc:"by the first of two people: it is in force when another person approves the same state"`
	Found    string              `json:"found"` // digest of the manifest: what approving it names
	Files    int64               `json:"files"`
	Changes  []integrity.Shown   `json:"changes"`
}

// Diff looks at a source and shows what is not as approved.
func (d *Desk) Diff(ctx context.Context, name string) (SourceDiff, error) {
	if _, err := d.source(name); err != nil {
		return SourceDiff{}, err
	}
	if d.o.ReadOnly {
		return SourceDiff{}, ErrReadOnly
	}
	out := SourceDiff{Source: name, Changes: []integrity.Shown{}, Two: d.o.Integrity.Two[name]}
	var err error
	if out.Signed, err = d.signed(ctx, name); err != nil {
		return out, err
	}
	k := d.o.Integrity.Keeper
	f, err := k.Look(ctx, name)
	if errors.Is(err, integrity.ErrNoBaseline) {
		m, err := k.Take(ctx, name)
		if err != nil {
			return out, fmt.Errorf("%w: %s: %w", ErrUnavailable, name, err)
		}
		out.Found, out.Files = m.Digest(), int64(len(m.Files))
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("%w: %s: %w", ErrUnavailable, name, err)
	}
	out.Approval, out.Found, out.Files = &f.Approval, f.Found, f.Files
	if len(f.Changes) == 0 {
		return out, nil
	}
	out.Changes, err = k.Show(f.Approval.Digest, f.Found, mostShown)
	return out, err
}

// Approve records the present state of a source as its known good. found is the digest of the manifest
// that whoever approves has seen; it may be absent the first time, when there is nothing to compare.
// The bytes are kept before the fact, so no fact names a baseline whose files are missing.
func (d *Desk) Approve(ctx context.Context, id string, who Caller, name, found, reason string) (SourceState, error) {
	if _, err := d.source(name); err != nil {
		return SourceState{}, err
	}
	if d.o.ReadOnly {
		return SourceState{}, ErrReadOnly
	}
	if strings.TrimSpace(reason) == "" {
		return SourceState{}, fmt.Errorf("%w: reason: is missing: say why this state is good, such as the deploy it comes from", ErrInvalid)
	}
	if who.Access == incident.Viewer {
		return SourceState{}, fmt.Errorf("%w: approving files needs a responder", ErrForbidden)
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	_, had, err := d.Approved(ctx, name)
	if err != nil {
		return SourceState{}, err
	}
	if had && found == "" {
		return SourceState{}, fmt.Errorf("%w: found: is missing: look at what changed first, with tocsin integrity diff %s, and give the digest it prints", ErrInvalid, name)
	}
	m, err := d.o.Integrity.Keeper.Take(ctx, name)
	if err != nil {
		return SourceState{}, fmt.Errorf("%w: %s: %w", ErrUnavailable, name, err)
	}
	digest := m.Digest()
	if found != "" && found != digest {
		return SourceState{}, fmt.Errorf("%w: found: the files changed since you looked at them: look again with tocsin integrity diff %s", ErrInvalid, name)
	}
	if d.o.Integrity.Two[name] {
		first, err := d.signed(ctx, name)
		switch {
		case err != nil:
			return SourceState{}, err
		case first != nil && first.Digest == digest && first.By == string(who.Principal):
			return SourceState{}, fmt.Errorf("%w: you have approved this state of %s already: it is in force when another person approves it too", ErrForbidden, name)
		case first == nil || first.Digest != digest:
			if _, err := d.SubmitOrg(ctx, id, who, org.Report{Kind: org.BaselineSigned, Subject: name, State: "signed", Digest: digest, Count: int64(len(m.Files)), Detail: reason}); err != nil {
				return SourceState{}, err
			}
			return d.sourceState(ctx, name)
		}
	}
	if _, err := d.SubmitOrg(ctx, id, who, org.Report{Kind: org.BaselineRecorded, Subject: name, State: "approved", Digest: digest, Count: int64(len(m.Files)), Detail: reason}); err != nil {
		return SourceState{}, err
	}
	return d.lookAt(ctx, name, false)
}

// RestoreSource plans that a source is put back as approved, as an action of an incident: people see
// which files are written and removed, and sign, before anything happens.
func (d *Desk) RestoreSource(ctx context.Context, id string, who Caller, name, inc, reason string) (Outcome, error) {
	if _, err := d.source(name); err != nil {
		return Outcome{}, err
	}
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return Outcome{}, err
	}
	for _, a := range d.program(s).Actions {
		if !d.o.Integrity.Restores[a.Uses] {
			continue
		}
		return d.Plan(ctx, id, who, inc, a.ID, map[string]string{"source": name}, "", reason)
	}
	return Outcome{}, fmt.Errorf("%w: the policy has no action that puts files back: add one under actions that uses a connector of the type integrity.restore", ErrInvalid)
}

// pinned is the target of a plan with the state that it would put back: what is signed is this state, and
// no later one.
func (d *Desk) pinned(ctx context.Context, uses string, target map[string]string) (map[string]string, error) {
	if d.o.Integrity == nil || !d.o.Integrity.Restores[uses] || target["approved"] != "" {
		return target, nil
	}
	now, ok, err := d.Approved(ctx, target["source"])
	if err != nil || !ok {
		return target, err
	}
	with := maps.Clone(target)
	with["approved"] = now.Digest
	return with, nil
}

// FilesChanged is what an incident's signals say of one source.
type FilesChanged struct {
	Source   string            `json:"source"`
	Signal   string            `json:"signal"`
	At       time.Time         `json:"at"`
	Approved string            `json:"approved"`
	Found    string            `json:"found,omitempty"`
	Changes  []integrity.Shown `json:"changes"`
	Trouble  string            `json:"trouble,omitempty"` // why they cannot be shown
}

// IncidentChanges shows what changed in the sources that an incident is about, newest first.
func (d *Desk) IncidentChanges(ctx context.Context, inc string) ([]FilesChanged, error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return nil, err
	}
	out := []FilesChanged{}
	for _, sig := range s.Signals {
		name, approved, found := sig.Facets[facetSource], sig.Facets[facetApproved], sig.Facets[facetFound]
		if !strings.HasPrefix(sig.Subject, "files:") || approved == "" || d.o.Integrity == nil {
			continue
		}
		c := FilesChanged{Source: name, Signal: sig.ID, At: sig.At, Approved: approved, Found: found, Changes: []integrity.Shown{}}
		if found == "" {
			c.Trouble = sig.Sentence
		} else if c.Changes, err = d.o.Integrity.Keeper.Show(approved, found, mostShown); err != nil {
			c.Changes, c.Trouble = []integrity.Shown{}, err.Error()
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b FilesChanged) int { return cmp.Compare(b.At.UnixNano(), a.At.UnixNano()) })
	return out, nil
}
