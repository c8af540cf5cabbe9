package driver

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/translog"
)

// Import puts a log into a place that holds none, or the beginning of the same one, and returns how far
// it goes there. Everything is checked against the signed checkpoint on the way; leaves that are gone
// may be missing. A crash leaves a place that holds what it held before, or that the next Import goes
// on with. Nobody may write to either meanwhile.
func (p Place) Import(ctx context.Context, from translog.Source, signer note.Signer, key note.Verifier, client *http.Client, gone ...translog.Range) (done translog.Copied, err error) {
	if p.kind == kindFolder || p.kind == kindGCS {
		return done, fmt.Errorf("a log is not moved to %s by this program: begin a new installation there, or move the folder yourself", p)
	}
	if p.kind == kindS3 {
		// The library makes its tables when a log is opened.
		l, err := p.Open(ctx, signer, translog.Options{HTTP: client})
		if err != nil {
			return done, err
		}
		if err := l.Close(); err != nil {
			return done, err
		}
	}
	at, err := p.storage(ctx, client)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, at.Close()) }()
	if _, err := at.Driver(ctx, signer, client); err != nil {
		return done, err
	}
	put := func(to translog.Place) error {
		if _, err := translog.Copy(ctx, from, to, key, gone...); err != nil {
			return err
		}
		done, err = translog.Verify(ctx, to, key, gone...)
		return err
	}
	switch at := at.(type) {
	case tiles:
		err = at.replace(ctx, put, &done)
	case *objects:
		if err = put(bucketPlace{at}); err == nil {
			err = at.adopt(ctx, done)
		}
	}
	return done, err
}

// transaction writes the files of a log as rows.
type transaction struct {
	*sql.Tx
	now time.Time
}

// replace fills the tables in one transaction, so that the tree's size and its rows change together.
func (t tiles) replace(ctx context.Context, put func(translog.Place) error, done *translog.Copied) error {
	tx, err := t.pool.BeginTx(ctx, nil)
	if err != nil {
		return plain(err)
	}
	defer tx.Rollback() // after Commit it does nothing
	var have uint64
	if err := tx.QueryRowContext(ctx, "SELECT `size` FROM `TreeState` WHERE `id` = 0 FOR UPDATE").Scan(&have); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return plain(err)
	}
	if err := put(transaction{tx, time.Now()}); err != nil {
		return err
	}
	if have > done.Size {
		return fmt.Errorf("%s holds %d leaves, and the log that is moved there %d: it would be cut", t, have, done.Size)
	}
	if _, err := tx.ExecContext(ctx, "REPLACE INTO `TreeState` (`id`, `size`, `root`) VALUES (0, ?, ?)", done.Size, done.Root); err != nil {
		return plain(err)
	}
	return plain(tx.Commit())
}

func (t transaction) Read(ctx context.Context, name string) ([]byte, error) {
	return readRow(ctx, t.Tx, name)
}

func (t transaction) Write(ctx context.Context, name string, data []byte) error {
	if name == layout.CheckpointPath {
		_, err := t.ExecContext(ctx, "REPLACE INTO `Checkpoint` (`id`, `note`, `published_at`) VALUES (0, ?, ?)", data, t.now.UnixMilli())
		return plain(err)
	}
	a, err := parseAddress(name)
	if err != nil {
		return err
	}
	if !a.entries {
		_, err := t.ExecContext(ctx, "REPLACE INTO `Subtree` (`level`, `index`, `nodes`) VALUES (?, ?, ?)", a.level, a.index, data)
		return plain(err)
	}
	var b api.EntryBundle
	if err := b.UnmarshalText(data); err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, "REPLACE INTO `TiledLeaves` (`tile_index`, `size`, `data`) VALUES (?, ?, ?)", a.index, len(b.Entries), data)
	return plain(err)
}

// bucketPlace writes the files of a log as objects.
type bucketPlace struct{ *objects }

func (b bucketPlace) Write(ctx context.Context, name string, data []byte) error {
	return b.bucket.Put(ctx, name, bytes.NewReader(data), int64(len(data)), false)
}

// adopt lets the tables go on after the objects. A crash before: they still say how far the log went
// before, and the objects after that are written again.
func (o *objects) adopt(ctx context.Context, done translog.Copied) error {
	tx, err := o.pool.BeginTx(ctx, nil)
	if err != nil {
		return plain(err)
	}
	defer tx.Rollback() // after Commit it does nothing
	var next uint64
	if err := tx.QueryRowContext(ctx, "SELECT `next` FROM `SeqCoord` WHERE `id` = 0 FOR UPDATE").Scan(&next); err != nil {
		return plain(err)
	}
	if next > done.Size {
		return fmt.Errorf("%s holds %d leaves, and the log that is moved there %d: it would be cut", o, next, done.Size)
	}
	for _, do := range []struct {
		query string
		args  []any
	}{
		{"UPDATE `IntCoord` SET `seq` = ?, `rootHash` = ? WHERE `id` = 0", []any{done.Size, done.Root}},
		{"UPDATE `SeqCoord` SET `next` = ? WHERE `id` = 0", []any{done.Size}},
		{"UPDATE `PubCoord` SET `publishedAt` = ?, `size` = ? WHERE `id` = 0", []any{time.Now().Unix(), done.Size}},
	} {
		if _, err := tx.ExecContext(ctx, do.query, do.args...); err != nil {
			return plain(err)
		}
	}
	return plain(tx.Commit())
}
