// Package knowngood puts files back as they were approved (type integrity.restore). What it is aimed at
// is a source of the configuration's integrity part: source=theme.
package knowngood

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
)

// Connector restores sources.
type Connector struct{ keeper *integrity.Keeper }

var _ contain.Connector = (*Connector)(nil)
var _ contain.Destroyer = (*Connector)(nil)

// New makes the connector.
func New(k *integrity.Keeper) *Connector { return &Connector{k} }

// mostSteps is how many files a plan names one by one.
const mostSteps = 100

// Plan looks, and says which files would be written and removed.
func (c *Connector) Plan(ctx context.Context, t contain.Target, _ contain.Secret) (contain.Plan, error) {
	f, err := c.look(ctx, t)
	if err != nil {
		return contain.Plan{}, err
	}
	if len(f.Changes) == 0 {
		return contain.Plan{}, fmt.Errorf("target: every file of %s is as approved: there is nothing to put back", f.Source)
	}
	place := c.keeper.Sources[f.Source].Place()
	p := contain.Plan{
		Steps: []string{"keep what is there and not as approved as evidence of the incident"},
		Blast: fmt.Sprintf("overwrites %s: %s", place, integrity.Summary(f.Changes)),
		Undo:  "the files as found are attached to the incident and can be put back by hand",
	}
	for i, x := range f.Changes {
		if i == mostSteps {
			p.Steps = append(p.Steps, fmt.Sprintf("and so for %d more files", len(f.Changes)-i))
			break
		}
		p.Steps = append(p.Steps, step(x, place))
	}
	p.Steps = append(p.Steps, "look again: every file has to be as approved")
	return p, nil
}

func step(x integrity.Change, place string) string {
	name := x.Path
	if len(name) > 300 {
		name = strings.ToValidUTF8(name[:300], "") + "…"
	}
	switch x.Kind {
	case integrity.Added:
		return fmt.Sprintf("remove %s from %s: it was added (%s)", name, place, short(x.After))
	case integrity.Removed:
		return fmt.Sprintf("write %s into %s: it was removed (approved %s)", name, place, short(x.Before))
	}
	return fmt.Sprintf("write %s into %s as approved (%s) over what is there (%s)", name, place, short(x.Before), short(x.After))
}

// short is enough of a digest to compare by eye, and the size.
func short(f *integrity.File) string {
	return fmt.Sprintf("%s…, %d bytes", f.Digest[:min(len(f.Digest), 19)], f.Size)
}

// look looks at the source of a target, and refuses when what was approved is not what was signed.
func (c *Connector) look(ctx context.Context, t contain.Target) (integrity.Finding, error) {
	f, err := c.keeper.Look(ctx, t["source"])
	switch {
	case errors.Is(err, integrity.ErrUnknown):
		return f, fmt.Errorf("target: source=%q: tocsin.yaml has no such source: there are %s", t["source"], strings.Join(c.keeper.Names(), ", "))
	case errors.Is(err, integrity.ErrNoBaseline):
		return f, fmt.Errorf("target: nobody has approved a state of %s that could be put back: tocsin integrity baseline %s", f.Source, f.Source)
	case err != nil:
		return f, err
	case t["approved"] != "" && t["approved"] != f.Approval.Digest:
		return f, integrity.ErrApproved
	}
	return f, nil
}

// Traces are the files that would be overwritten or removed.
func (c *Connector) Traces(ctx context.Context, t contain.Target) ([]contain.Trace, error) {
	if _, err := c.look(ctx, t); err != nil {
		return nil, err
	}
	f, changed, err := c.keeper.Evidence(ctx, t["source"])
	if err != nil {
		return nil, err
	}
	if len(changed) > mostTraces {
		return packed(f.Source, changed)
	}
	var out []contain.Trace
	for _, e := range changed {
		out = append(out, contain.Trace{Name: f.Source + ": " + e.Path, Note: "As found before it was put back as approved.", Bytes: e.Bytes})
	}
	return out, nil
}

// An incident keeps a bounded number of files. When more were changed they are kept in archives, each
// well within what one file may have; the same files make the same archives.
const (
	mostTraces = 40
	mostPacked = 16 << 20 // bytes of the files of one archive
)

func packed(source string, changed []integrity.Entry) ([]contain.Trace, error) {
	var out []contain.Trace
	for len(changed) > 0 {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		n, size := 0, 0
		for n < len(changed) && (n == 0 || size+len(changed[n].Bytes) <= mostPacked) {
			w, err := z.Create(changed[n].Path)
			if err == nil {
				_, err = w.Write(changed[n].Bytes)
			}
			if err != nil {
				return nil, err
			}
			size += len(changed[n].Bytes)
			n++
		}
		if err := z.Close(); err != nil {
			return nil, err
		}
		out = append(out, contain.Trace{Name: fmt.Sprintf("%s: %d files as found (%d).zip", source, n, len(out)+1),
			Note: "As found before they were put back as approved. The names in it were chosen by whoever changed them.", Bytes: b.Bytes()})
		changed = changed[n:]
	}
	return out, nil
}

// Apply puts back what was approved. It looks first, so a second attempt writes what is still missing and
// no more.
func (c *Connector) Apply(ctx context.Context, t contain.Target, _ contain.Secret, _ string) contain.Result {
	if _, err := c.look(ctx, t); err != nil {
		return failed(err)
	}
	f, err := c.keeper.Restore(ctx, t["source"], t["approved"])
	if err != nil {
		return failed(err)
	}
	r := contain.Result{Outcome: incident.Done, Code: "written", Proof: fmt.Sprintf("put back: %s", integrity.Summary(f.Changes)), At: time.Now().UTC()}
	if len(f.Changes) == 0 {
		r.Code, r.Proof = "already_so", "every file was as approved already"
	}
	return r
}

// Confirm looks again: done means that every file is as approved.
func (c *Connector) Confirm(ctx context.Context, t contain.Target, _ contain.Secret) contain.Result {
	f, err := c.keeper.Look(ctx, t["source"])
	now := time.Now().UTC()
	if err != nil {
		return contain.Result{Outcome: incident.Deferred, Code: "not looked at", Proof: err.Error(), At: now}
	}
	if len(f.Changes) > 0 {
		return contain.Result{Outcome: incident.Failed, Code: "changed", Proof: fmt.Sprintf("%s is not as approved: %s", f.Source, integrity.Summary(f.Changes)), At: now}
	}
	return contain.Result{Outcome: incident.Done, Code: "as_approved", Proof: fmt.Sprintf("all %d files of %s are as approved (manifest %s)", f.Files, f.Source, f.Approval.Digest), At: now}
}

// Undo is refused: nobody puts back files that were found to be wrong without looking at each.
func (c *Connector) Undo(context.Context, contain.Target, string) contain.Result {
	return contain.Result{Outcome: incident.Failed, Code: "cannot_undo", Proof: "the files as found are attached to the incident: put back by hand what was right", At: time.Now().UTC()}
}

func failed(err error) contain.Result {
	if contain.Sent(err) { // it may have been written: a look tells
		return contain.Result{Outcome: incident.Uncertain, Code: contain.CodeOf(err), Proof: err.Error(), At: time.Now().UTC()}
	}
	return contain.Result{Outcome: incident.Failed, Code: "not written", Proof: err.Error(), At: time.Now().UTC()}
}
