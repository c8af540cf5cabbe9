// Package s3 is a table's place in an object store that speaks S3.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Options say which store and which place in it.
type Options struct {
	URL       string            // s3://bucket/prefix
	Endpoint  string            // https://host[:port]; default that of AWS in the region
	Region    string            // default us-east-1
	File      string            // of credentials, in the form of AWS's; "" for AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment
	Transport http.RoundTripper // what requests go out by; default the library's
}

// Bucket is a place in a store. It is safe for use by several goroutines.
type Bucket struct {
	client *minio.Client
	bucket string
	prefix string // without a slash at either end; may be ""
}

// New checks the options. Nothing is asked of the store yet.
func New(o Options) (*Bucket, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("url: has to be s3://BUCKET/PREFIX, without anything else")
	}
	if o.Endpoint == "" {
		o.Endpoint = "https://s3.amazonaws.com"
	}
	at, err := url.Parse(o.Endpoint)
	if err != nil || at.Scheme != "https" && at.Scheme != "http" || at.Host == "" || at.User != nil || strings.Trim(at.Path, "/") != "" {
		return nil, errors.New("endpoint: has to be https://HOST or https://HOST:PORT")
	}
	var who *credentials.Credentials
	if o.File != "" {
		who = credentials.NewFileAWSCredentials(o.File, "default")
	} else {
		who = credentials.NewEnvAWS()
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	// Whoever asks tries again by himself and says so; the library's ten tries take minutes.
	c, err := minio.New(at.Host, &minio.Options{Creds: who, Secure: at.Scheme == "https", Region: o.Region, Transport: o.Transport, MaxRetries: 2, BucketLookup: minio.BucketLookupAuto})
	if err != nil {
		return nil, fmt.Errorf("endpoint: %w", err)
	}
	return &Bucket{client: c, bucket: u.Host, prefix: strings.Trim(path.Clean("/"+u.Path), "/")}, nil
}

// URL is the place as Iceberg names it.
func (b *Bucket) URL() string { return "s3://" + path.Join(b.bucket, b.prefix) }

func (b *Bucket) key(name string) string { return path.Join(b.prefix, name) }

// List gives the bytes of everything below a folder.
func (b *Bucket) List(ctx context.Context, folder string) (map[string]int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := map[string]int64{}
	for o := range b.client.ListObjects(ctx, b.bucket, minio.ListObjectsOptions{Prefix: b.key(folder) + "/", Recursive: true}) {
		if o.Err != nil {
			return nil, plain(o.Err)
		}
		out[strings.TrimPrefix(strings.TrimPrefix(o.Key, b.prefix), "/")] = o.Size
	}
	return out, ctx.Err()
}

// Get opens an object for reading. fs.ErrNotExist when there is none.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	o, err := b.client.GetObject(ctx, b.bucket, b.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, plain(err)
	}
	if _, err := o.Stat(); err != nil { // the library asks for it at the first read
		return nil, errors.Join(plain(err), o.Close())
	}
	return o, nil
}

// Put makes an object. A fresh one is refused with fs.ErrExist when it is there.
func (b *Bucket) Put(ctx context.Context, name string, data io.Reader, size int64, fresh bool) error {
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: size <= 64<<20}
	if fresh {
		o.SetMatchETagExcept("*")
	}
	_, err := b.client.PutObject(ctx, b.bucket, b.key(name), data, size, o)
	return plain(err)
}

// Remove takes an object away, if it is there.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	err := plain(b.client.RemoveObject(ctx, b.bucket, b.key(name), minio.RemoveObjectOptions{}))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// plain names the two answers that are no failures. What else a store says is its code and no more:
// its message may repeat what was sent.
func plain(err error) error {
	if err == nil {
		return nil
	}
	r := minio.ToErrorResponse(err)
	switch {
	case r.Code == minio.NoSuchKey:
		return fs.ErrNotExist
	case r.StatusCode == http.StatusPreconditionFailed, r.Code == "PreconditionFailed", r.StatusCode == http.StatusConflict && r.Code == "ConditionalRequestConflict":
		return fs.ErrExist
	case r.StatusCode != 0:
		return fmt.Errorf("the object store answers %d %s", r.StatusCode, r.Code)
	}
	return err
}
