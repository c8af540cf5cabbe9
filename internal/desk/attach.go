package desk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/incident"
)

func (d *Desk) files() evidence.Files { return evidence.Files{Dir: d.o.Attachments, Keys: d.o.Keys} }

// Attach keeps a file as evidence of an incident. The fact comes after the file: a crash between the
// two leaves a file that no incident names, and never a fact whose file is missing.
func (d *Desk) Attach(ctx context.Context, id string, who Caller, inc, name, note string, body io.Reader) (Outcome, error) {
	if d.o.ReadOnly {
		return Outcome{}, ErrReadOnly
	}
	// What would be refused is refused before the file is kept.
	probe := incident.Attach{File: name, Note: note, Digest: "sha256:" + emptyDigest}
	if _, err := d.Foresee(ctx, Request{Incident: inc, Command: probe, Caller: who}); err != nil {
		return Outcome{}, err
	}
	digest, size, err := d.files().Put(body)
	if errors.Is(err, evidence.ErrFileTooLarge) {
		return Outcome{}, fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if err != nil {
		return Outcome{}, err
	}
	return d.Submit(ctx, Request{ID: id, Incident: inc, Caller: who, Command: incident.Attach{File: name, Note: note, Digest: digest, Bytes: size}})
}

const emptyDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Attachment returns a file that was attached to an incident, by its id such as ATT-1.
func (d *Desk) Attachment(ctx context.Context, inc, id string) (incident.Attachment, []byte, error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return incident.Attachment{}, nil, err
	}
	i := slices.IndexFunc(s.Attachments, func(a incident.Attachment) bool { return a.ID == id })
	if i < 0 {
		return incident.Attachment{}, nil, fmt.Errorf("%w: %s has no attachment of this name", ErrNotFound, inc)
	}
	raw, err := d.files().Get(s.Attachments[i].Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return incident.Attachment{}, nil, fmt.Errorf("%w: the file of %s is gone from the data folder: put it back from a copy", ErrNotFound, id)
	}
	return s.Attachments[i], raw, err
}
