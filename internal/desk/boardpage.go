package desk

import (
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

// boardSums is the part of a row that is added up.
type boardSums struct {
	Next       *struct{} `json:"next"`
	MoreClocks int       `json:"more_clocks"`
	Missed     int       `json:"missed"`
	People     int64     `json:"people"`
}

// OpenBoard returns the open incidents after the first skip, at most limit of them, the most urgent
// clock first. It reads a projection and opens no incident.
func (d *Desk) OpenBoard(ctx context.Context, skip, limit int) (BoardPage, error) {
	var page BoardPage
	found, err := d.boardRows(ctx, "0", "1", ledger.MaxRows)
	if err != nil {
		return page, err
	}
	page.Open = len(found)
	for i, row := range found {
		var sums boardSums
		if i >= skip && i < skip+limit {
			b, err := decodeBoardRow(row)
			if err != nil {
				return page, err
			}
			page.Rows = append(page.Rows, b)
			sums = boardSums{MoreClocks: b.MoreClocks, Missed: b.Missed, People: b.People}
			if b.Next != nil {
				sums.Next = &struct{}{}
			}
		} else if err := json.Unmarshal(row.Body, &sums); err != nil {
			return page, damagedRow(row, err)
		}
		page.Missed += sums.Missed
		page.People += sums.People
		if sums.Next != nil {
			page.Running += 1 + sums.MoreClocks
		}
	}
	return page, nil
}

// SettledBoard returns incidents that are over, the newest end first, after the first skip; more
// says that there are others after these.
func (d *Desk) SettledBoard(ctx context.Context, skip, limit int) (rows []BoardRow, more bool, err error) {
	found, err := d.boardRows(ctx, "1", "", min(skip+limit+1, ledger.MaxRows))
	if err != nil || skip >= len(found) {
		return nil, false, err
	}
	found = found[skip:]
	if more = len(found) > limit; more {
		found = found[:limit]
	}
	for _, row := range found {
		b, err := decodeBoardRow(row)
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, b)
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

func decodeBoardRow(row ledger.Row) (BoardRow, error) {
	var b BoardRow
	if err := json.Unmarshal(row.Body, &b); err != nil {
		return b, damagedRow(row, err)
	}
	return b, nil
}

func damagedRow(row ledger.Row, err error) error {
	return fmt.Errorf("desk: board row %s: %w: run tocsin rebuild", row.Key, err)
}
