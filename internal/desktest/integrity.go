package desktest

import (
	"context"
	"fmt"
	"slices"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/org"
)

// Sources are those that the test has put into Guarded.
func (d *Desk) Sources(context.Context) ([]desk.SourceState, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.Guarded), nil
}

func (d *Desk) watched(name string) (*desk.SourceState, error) {
	i := slices.IndexFunc(d.Guarded, func(s desk.SourceState) bool { return s.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: there is no source %q", desk.ErrNotFound, name)
	}
	return &d.Guarded[i], nil
}

// CheckSource finds a source as it is in Guarded.
func (d *Desk) CheckSource(_ context.Context, name string) (desk.SourceState, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.watched(name)
	if err != nil {
		return desk.SourceState{}, err
	}
	return *s, nil
}

// Diff shows what is in Shown.
func (d *Desk) Diff(_ context.Context, name string) (desk.SourceDiff, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.watched(name)
	if err != nil {
		return desk.SourceDiff{}, err
	}
	return desk.SourceDiff{Source: name, Approval: s.Approval, Two: s.Two, Signed: s.Signed, Found: s.Found, Files: s.Files, Changes: append([]integrity.Shown{}, d.Shown...)}, nil
}

// Approve makes the source as approved.
func (d *Desk) Approve(ctx context.Context, id string, by desk.Caller, name, found, reason string) (desk.SourceState, error) {
	if _, err := d.CheckSource(ctx, name); err != nil {
		return desk.SourceState{}, err
	}
	digest := "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	if _, err := d.SubmitOrg(ctx, id, by, org.Report{Kind: org.BaselineRecorded, Subject: name, State: "approved", Digest: digest, Detail: reason}); err != nil {
		return desk.SourceState{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.watched(name)
	if err != nil {
		return desk.SourceState{}, err
	}
	s.State, s.Changes = desk.SourceAsApproved, []integrity.Change{}
	s.Approval = &integrity.Approval{Digest: found, Files: s.Files, By: string(by.Principal), At: d.Now, Reason: reason}
	return *s, nil
}

// RestoreSource plans nothing and says that it was planned.
func (d *Desk) RestoreSource(ctx context.Context, id string, by desk.Caller, name, inc, reason string) (desk.Outcome, error) {
	if _, err := d.CheckSource(ctx, name); err != nil {
		return desk.Outcome{}, err
	}
	return d.Submit(ctx, desk.Request{ID: id, Incident: inc, Caller: by, Command: incident.PlanAction{Action: "put_back_files", Target: map[string]string{"source": name}, Reason: reason}})
}

// IncidentChanges shows what is in Shown of every source.
func (d *Desk) IncidentChanges(ctx context.Context, inc string) ([]desk.FilesChanged, error) {
	if _, err := d.Incident(ctx, inc); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []desk.FilesChanged{}
	for _, s := range d.Guarded {
		if s.State == desk.SourceChanged {
			out = append(out, desk.FilesChanged{Source: s.Name, Signal: "integrity-" + s.Name, At: s.Looked, Approved: s.Approval.Digest, Found: s.Found, Changes: append([]integrity.Shown{}, d.Shown...)})
		}
	}
	return out, nil
}
