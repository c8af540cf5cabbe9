package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/tocsin-ir/tocsin/ledger"
)

// BoardPage is one page of the open incidents, and what all of them add up to.
type BoardPage struct {
	Rows    []BoardRow
	Open    int   // open incidents
	Running int   // clocks that run
	Missed  int   // duties whose limit passed and that are still owed
	People  int64 // customer accounts in the newest scopes, an upper bound on people
}

// decodedRow is a row of the projection, and what its text says. Most rows are as they were when
// the board was looked at the last time, and comparing text is cheaper than reading it. Rows are
// shared between readers: nobody may change one.
type decodedRow struct {
	body []byte
	row  BoardRow
}

// OpenBoard returns the open incidents after the first skip, at most limit of them, the most urgent
// clock first. It reads a projection and opens no incident.
func (d *Desk) OpenBoard(ctx context.Context, skip, limit int) (BoardPage, error) {
	var page BoardPage
	found, err := d.boardRows(ctx, "0", "1", ledger.MaxRows)
	if err != nil {
		return page, err
	}
	rows, err := d.seen(ctx, found)
	if err != nil {
		return page, err
	}
	page.Open = len(rows)
	for i, b := range rows {
		if i >= skip && i < skip+limit {
			page.Rows = append(page.Rows, b)
		}
		page.Missed += b.Missed
		page.People += b.People
		if b.Next != nil {
			page.Running += 1 + b.MoreClocks
		}
	}
	return page, nil
}

// SettledBoard returns incidents that are over, the newest end first, after the first skip; more
// says that there are others after these.
func (d *Desk) SettledBoard(ctx context.Context, skip, limit int) (rows []BoardRow, more bool, err error) {
	// Some may be none of the reader's: more are asked for until the page is full.
	for ask := min(skip+limit+1, ledger.MaxRows); ; ask = min(2*ask, ledger.MaxRows) {
		found, err := d.boardRows(ctx, "1", "", ask)
		if err != nil {
			return nil, false, err
		}
		if rows, err = d.seen(ctx, found); err != nil {
			return nil, false, err
		}
		if len(rows) > skip+limit || len(found) < ask || ask == ledger.MaxRows {
			break
		}
	}
	rows = rows[min(skip, len(rows)):]
	if more = len(rows) > limit; more {
		rows = rows[:limit]
	}
	return rows, more, nil
}

func (d *Desk) boardRows(ctx context.Context, from, to string, limit int) (found []ledger.Row, err error) {
	err = d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		found, err = r.Rows(boardProjection, from, to, limit)
		return err
	})
	return found, err
}

func (d *Desk) decodeBoardRow(row ledger.Row) (BoardRow, error) {
	if known, ok := d.board.get(row.Key); ok && bytes.Equal(known.body, row.Body) {
		return known.row, nil
	}
	var b BoardRow
	if err := json.Unmarshal(row.Body, &b); err != nil {
		return b, fmt.Errorf("desk: board row %s: %w: run tocsin rebuild", row.Key, err)
	}
	d.board.put(row.Key, decodedRow{row.Body, b})
	return b, nil
}
