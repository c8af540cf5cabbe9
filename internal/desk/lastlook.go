package desk

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
)

// lookProjection holds, for each source, the newest look that found every file as approved. It is a row and
// no fact: sources are looked at by the hour, and a fact for each look would bury the others. It follows from
// no fact either, so that a rebuild keeps it. Who loses it has a wider window, never a narrower one.
const lookProjection = "look"

// goodLook is such a look.
type goodLook struct {
	At       time.Time `json:"at"` // when it began: what a look has read may change before it ends
	Approval string    `json:"approval"`
}

func (d *Desk) lookRows(ctx context.Context) (rows []ledger.Row, err error) {
	err = d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		rows, err = r.Rows(lookProjection, "", "", ledger.MaxRows)
		return err
	})
	return rows, err
}

// lookedGood keeps that a look which began at `began` found every file as approved.
func (d *Desk) lookedGood(ctx context.Context, name string, began time.Time, a integrity.Approval) error {
	body, err := json.Marshal(goodLook{At: began, Approval: a.Fact})
	if err != nil {
		return err
	}
	return d.o.Store.Update(ctx, func(tx ledger.Tx) error {
		return tx.PutRow(lookProjection, ledger.Row{Key: name, Body: body})
	})
}

// changedAfter is the beginning of the window in which a change that is found now happened: the newest look
// that found every file as approved, else the approval.
func (d *Desk) changedAfter(ctx context.Context, s *org.State, name string, a integrity.Approval, now time.Time) (time.Time, error) {
	from := a.At
	later := func(t time.Time) {
		if t.After(from) && !t.After(now) {
			from = t
		}
	}
	if l, ok := s.Reported(org.ProbeTurned, turnSubject(name)); ok && l.State == "as_approved" {
		later(l.At)
	}
	var row ledger.Row
	err := d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		row, err = r.Row(lookProjection, name)
		return err
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return from, nil
	}
	var l goodLook
	if err == nil && json.Unmarshal(row.Body, &l) == nil && l.Approval == a.Fact {
		later(l.At)
	}
	return from, err
}
