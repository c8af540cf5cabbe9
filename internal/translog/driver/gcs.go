//go:build gcp

package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"time"

	"cloud.google.com/go/spanner"
	gcs "cloud.google.com/go/storage"
	tessera "github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"
	tesseragcp "github.com/transparency-dev/tessera/storage/gcp"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/translog"
)

// cloud is a log in Google's object store, to which a Spanner database gives leaves their places.
// Credentials are those of the environment (GOOGLE_APPLICATION_CREDENTIALS, or the machine's own).
type cloud struct {
	place   Place
	store   *gcs.Client
	spanner *spanner.Client
}

func (p Place) openGCS(ctx context.Context) (translog.Storage, error) {
	store, err := gcs.NewClient(ctx, gcs.WithJSONReads())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	db, err := spanner.NewClient(ctx, p.db)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", p, err), store.Close())
	}
	return &cloud{place: p, store: store, spanner: db}, nil
}

func (c *cloud) String() string { return c.place.String() }

func (c *cloud) Driver(ctx context.Context, signer note.Signer, client *http.Client) (tessera.Driver, error) {
	if err := mine(ctx, c, signer); err != nil {
		return nil, err
	}
	return tesseragcp.New(ctx, tesseragcp.Config{
		GCSClient: c.store, SpannerClient: c.spanner, HTTPClient: client,
		Bucket: c.place.bucket, BucketPrefix: c.place.prefix, Spanner: c.place.db,
	})
}

func (c *cloud) object(name string) *gcs.ObjectHandle {
	return c.store.Bucket(c.place.bucket).Object(path.Join(c.place.prefix, name))
}

func (c *cloud) Read(ctx context.Context, name string) ([]byte, error) {
	r, err := c.object(name).NewReader(ctx)
	if errors.Is(err, gcs.ErrObjectNotExist) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxFile))
}

// Settle counts the leaves that have a place, in a transaction that writes nothing: it waits for one
// that is under way.
func (c *cloud) Settle(ctx context.Context) (uint64, error) {
	var next int64
	_, err := c.spanner.ReadWriteTransaction(ctx, func(ctx context.Context, tx *spanner.ReadWriteTransaction) error {
		row, err := tx.ReadRow(ctx, "SeqCoord", spanner.Key{0}, []string{"next"})
		if err != nil {
			return err
		}
		return row.Column(0, &next)
	})
	return uint64(next), err
}

func (c *cloud) Remove(ctx context.Context, bundle uint64) error {
	err := c.object(layout.EntriesPath(bundle, 0)).Delete(ctx)
	if errors.Is(err, gcs.ErrObjectNotExist) {
		return nil
	}
	return err
}

func (c *cloud) Published(ctx context.Context) (time.Time, error) {
	a, err := c.object(layout.CheckpointPath).Attrs(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return a.Updated, nil
}

func (*cloud) Poll() time.Duration { return 200 * time.Millisecond }

func (c *cloud) Close() error {
	c.spanner.Close()
	return c.store.Close()
}
