package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// Export writes the evidence of an incident into one file that anyone can verify, and records that
// it was handed out, to whom and with which digest. The fact comes after the file: an export that
// nobody got is no custody entry, and a crash between the two leaves a file nobody was given.
func (d *Desk) Export(ctx context.Context, id string, who Caller, inc, recipient string) (string, error) {
	if d.o.ReadOnly {
		return "", ErrReadOnly
	}
	if recipient == "" || len(recipient) > 500 {
		return "", fmt.Errorf("%w: recipient: say who gets the evidence, in 1 to 500 characters", ErrInvalid)
	}
	c := incident.RecordExport{Recipient: recipient}
	req := Request{ID: id, Incident: inc, Command: c, Caller: who, asked: c}
	if out, found, err := d.answered(ctx, req); err != nil {
		return "", err
	} else if found {
		return d.exported(ctx, inc, out)
	}
	written, err := d.writeExport(ctx, inc)
	if gone := (*accesslog.PrunedError)(nil); errors.As(err, &gone) {
		written, err = d.writeExport(ctx, inc) // a day was removed after its facts were looked for: now they are there
	}
	if err != nil {
		return "", err
	}
	c.Digest, c.Bytes = written.Digest, written.Bytes
	req.Command = c
	if _, err = d.Submit(ctx, req); err != nil {
		return "", err
	}
	return written.Path, nil
}

func (d *Desk) writeExport(ctx context.Context, inc string) (evidence.Written, error) {
	gather := func() (evidence.Input, error) { return d.exportInput(ctx, inc) }
	var in evidence.Input
	var err error
	if d.o.Gathered != nil {
		in, err = d.o.Gathered(ctx, inc, gather)
	} else {
		in, err = gather()
	}
	if err != nil {
		return evidence.Written{}, notFound(err)
	}
	return evidence.Export(ctx, d.o.Exports, in)
}

// exported finds the file of an export that was recorded before.
func (d *Desk) exported(ctx context.Context, inc string, out Outcome) (string, error) {
	var body incident.ExportedBody
	err := d.o.Store.View(ctx, func(r ledger.Reader) error {
		for _, ref := range out.Facts {
			if ref.Kind != incident.KindExported {
				continue
			}
			rec, err := r.RecordByID(ref.ID)
			if err != nil {
				return err
			}
			f, err := ledger.Open(rec, d.o.Keys)
			if err != nil {
				return err
			}
			return json.Unmarshal(f.Body, &body)
		}
		return ledger.ErrNotFound
	})
	if err != nil {
		return "", notFound(err)
	}
	path, err := evidence.Find(d.o.Exports, inc, body.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: this export was made and its file is gone: make another", ErrNotFound)
	}
	return path, err
}

// exportInput gathers what an export says. Everything acknowledged is in the logs before it is read.
func (d *Desk) exportInput(ctx context.Context, inc string) (evidence.Input, error) {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return evidence.Input{}, err
	}
	if err := d.complete(ctx); err != nil {
		return evidence.Input{}, err
	}
	if _, _, err := d.o.Events.Sealed(ctx); err != nil {
		return evidence.Input{}, err
	}
	p := d.program(s)
	in := evidence.Input{
		Incident: inc, Organisation: d.o.Org, Created: d.o.Clock.Now(), Signer: d.o.Signer,
		FactsLog: d.o.Logs.Facts, EventsLog: d.o.Logs.Events, Events: d.o.Disclosed,
		Policy: evidence.Policy{Hash: p.Hash, Source: p.Source, Markdown: p.Markdown(), HTML: p.HTML()},
	}
	copy(in.Keys[:], d.o.Verifiers)
	if in.Facts, in.Published, err = d.exportFacts(ctx, inc, s.Version); err != nil {
		return in, err
	}
	if in.Scopes, in.Removed, err = d.exportScopes(ctx, s); err != nil {
		return in, err
	}
	for _, e := range s.Exports {
		in.Custody = append(in.Custody, evidence.Custody{At: e.At, By: string(e.By), Recipient: e.Recipient, Digest: e.Digest, Bytes: e.Bytes})
	}
	if in.Publications, err = d.publications(s); err != nil {
		return in, err
	}
	for _, a := range s.Attachments {
		raw, err := d.files().Get(a.Digest)
		if err != nil {
			return in, fmt.Errorf("desk: %s of %s: %w: nothing is exported without it", a.ID, inc, err)
		}
		in.Attachments = append(in.Attachments, evidence.Attachment{ID: a.ID, Data: raw})
	}
	if in.Review, err = d.review(ctx, s, "md"); err != nil {
		return in, err
	}
	in.ReviewPDF, err = d.review(ctx, s, "pdf")
	return in, err
}

// complete refuses to export from a database that holds fewer facts than the log. A chain whose
// newest facts were deleted is a valid chain, and no leaf of the log says which chain it belongs
// to: who checks the export could not notice. We can, because each fact is in the log once and was
// in the database before. When it returns, every fact that was durable at its start is in the log.
func (d *Desk) complete(ctx context.Context) error {
	_, leaves, err := d.o.FactLog.Checkpoint(ctx)
	if err != nil {
		return err
	}
	// What the log held by then came from facts that are durable, and after this the database knows
	// of each of them where it is. Facts that come meanwhile are further on and do not count.
	if err := d.anchorAll(ctx); err != nil {
		return err
	}
	facts := 0
	err = d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		facts, err = r.CountAnchored(int64(leaves))
		return err
	})
	if err == nil && uint64(facts) != leaves {
		err = fmt.Errorf("desk: the log holds %d facts and the database %d of them: facts were deleted or an older database was put back: nothing is exported from it", leaves, facts)
	}
	return err
}

// anchorAll waits until every fact that is durable now is in the facts log.
func (d *Desk) anchorAll(ctx context.Context) error {
	if d.o.Anchor == nil {
		return nil
	}
	for {
		n, err := d.o.Anchor(ctx)
		if err != nil || n == 0 {
			return err
		}
	}
}

// exportFacts discloses the first `upto` facts of an incident's chain, and lists the checkpoints that its mails
// carried. Facts that came after the state was read are of the next export: the texts, files and scopes
// that they name are not in this one.
func (d *Desk) exportFacts(ctx context.Context, inc string, upto int) (facts []evidence.Fact, published []evidence.Published, err error) {
	seen := map[string]bool{}
	publish := func(log string, size uint64, note, where string) {
		if note != "" && !seen[note] {
			seen[note] = true
			published = append(published, evidence.Published{Log: log, Size: size, Note: note, Where: where})
		}
	}
	err = d.o.Store.View(ctx, func(r ledger.Reader) error {
		head, err := r.Head(inc)
		if err != nil {
			return err
		}
		for n := 0; ; {
			records, err := r.Records(inc, n, 500)
			if err != nil {
				return err
			}
			if len(records) == 0 {
				if n != head.N {
					return fmt.Errorf("desk: chain %s has %d facts and its head says %d: nothing is exported from it", inc, n, head.N)
				}
				return nil
			}
			for _, rec := range records {
				if n = rec.N; n > upto {
					continue
				}
				f, err := ledger.Open(rec, d.o.Keys)
				if err != nil {
					return err
				}
				shown, err := ledger.Disclose(rec, d.o.Keys)
				if err != nil {
					return err
				}
				out := evidence.Fact{ID: rec.ID, Header: rec.Header, Hash: rec.Hash, Anchor: rec.Anchor, Recorded: f.Recorded}
				for _, x := range shown {
					out.Parts = append(out.Parts, evidence.Part{Merchant: x.Merchant, Index: x.Index, Commit: x.Commit, Salt: x.Salt, Body: x.Body})
				}
				facts = append(facts, out)
				note, where := checkpointIn(f)
				if size, ok := noteSize(note); ok {
					publish(noteOrigin(note), size, note, where)
				}
			}
		}
	})
	if err == nil && len(facts) == 0 {
		err = ledger.ErrNotFound
	}
	return facts, published, err
}

// checkpointIn finds the checkpoint a fact says has left the house, in a mail or a snapshot.
func checkpointIn(f incident.Fact) (note, where string) {
	switch f.Kind {
	case incident.KindNoticeAttempted:
		for _, p := range f.Parts {
			var part incident.DeliveryPart
			if json.Unmarshal(p.Body, &part) == nil && part.Point != "" {
				return part.Point, "mail " + part.MessageID
			}
		}
	case incident.KindSnapshot:
		var body incident.SnapshotBody
		if json.Unmarshal(f.Body, &body) == nil {
			return body.Checkpoint, "snapshot " + f.ID
		}
	}
	return "", ""
}
