package driver

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	"github.com/minio/minio-go/v7/pkg/credentials"
	tessera "github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"
	tesseraaws "github.com/transparency-dev/tessera/storage/aws"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/accesslog/table/s3"
	"github.com/tocsin-ir/tocsin/internal/translog"
)

// maxFile bounds a file of a log: a full bundle of the largest leaves.
const maxFile = minPacket

// objects is a log in an object store, to which a MySQL database gives leaves their places.
type objects struct {
	*database
	place  Place
	bucket *s3.Bucket
	creds  *credentials.Credentials
}

func (p Place) openS3(client *http.Client) (translog.Storage, error) {
	o := s3.Options{URL: "s3://" + p.bucket + "/" + p.prefix, Endpoint: p.cfg.Endpoint, Region: p.cfg.Region}
	who := credentials.NewEnvAWS()
	if file := p.path(p.cfg.CredentialsFile); p.cfg.CredentialsFile != "" && (there(file) || os.Getenv("AWS_ACCESS_KEY_ID") == "") {
		o.File = file
		who = credentials.NewFileAWSCredentials(o.File, "default")
	}
	if client != nil {
		o.Transport = client.Transport
	}
	bucket, err := s3.New(o)
	if err != nil {
		return nil, err
	}
	d, err := p.database()
	if err != nil {
		return nil, err
	}
	return &objects{database: d, place: p, bucket: bucket, creds: who}, nil
}

func there(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func (o *objects) String() string { return o.place.String() }

// Driver claims the database. The library makes its tables there, and keeps connections of its own,
// which end with the process or when they have idled for as long as the server lets them.
func (o *objects) Driver(ctx context.Context, signer note.Signer, client *http.Client) (tessera.Driver, error) {
	if err := o.claim(ctx, signer); err != nil {
		return nil, err
	}
	if err := mine(ctx, o, signer); err != nil {
		return nil, err
	}
	cfg := o.place.cfg
	region := cfg.Region
	if region == "" {
		region = "us-east-1"
	}
	sdk := aws.Config{
		Region: region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			v, err := o.creds.GetWithContext(nil)
			return aws.Credentials{AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, SessionToken: v.SessionToken}, err
		}),
		// Stores that are not AWS's do not know the checksums that newer clients add.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if client != nil {
		sdk.HTTPClient = client
	}
	return tesseraaws.New(ctx, tesseraaws.Config{
		SDKConfig: &sdk,
		S3Options: func(s *awss3.Options) {
			if cfg.Endpoint != "" {
				s.BaseEndpoint, s.UsePathStyle = aws.String(strings.TrimSuffix(cfg.Endpoint, "/")), true
			}
			s.APIOptions = append(s.APIOptions, under(o.place.prefix))
		},
		Bucket: o.place.bucket, DSN: o.cfg.FormatDSN(),
		MaxOpenConns: maxConns, MaxIdleConns: 2, HTTPClient: client,
	})
}

// under puts the objects of the library under a prefix. Its own setting for that is not used: in 1.0.4
// it puts the prefix on twice where it reads an object back that a crash had left, does not find it,
// and never puts another leaf into the tree. Nor is a store asked to delete nothing, which S3 calls
// malformed, and for which the library would not go on to tidy.
func under(prefix string) func(*middleware.Stack) error {
	key := func(name *string) *string { return aws.String(path.Join(prefix, aws.ToString(name))) }
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("under", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			switch p := in.Parameters.(type) {
			case *awss3.GetObjectInput:
				q := *p
				q.Key = key(p.Key)
				in.Parameters = &q
			case *awss3.PutObjectInput:
				q := *p
				q.Key = key(p.Key)
				in.Parameters = &q
			case *awss3.ListObjectsV2Input:
				q := *p
				q.Prefix = aws.String(*key(p.Prefix) + "/") // a folder: the library ends it so
				in.Parameters = &q
			case *awss3.DeleteObjectsInput: // of what was listed
				if p.Delete == nil || len(p.Delete.Objects) == 0 {
					return middleware.InitializeOutput{Result: &awss3.DeleteObjectsOutput{}}, middleware.Metadata{}, nil
				}
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	}
}

func (o *objects) Read(ctx context.Context, name string) ([]byte, error) {
	r, err := o.bucket.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	raw, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(raw) > maxFile {
		err = fs.ErrInvalid
	}
	return raw, err
}

// Settle counts the leaves that have a place: the library puts them into the tree afterwards.
func (o *objects) Settle(ctx context.Context) (uint64, error) {
	return o.settled(ctx, "SELECT `next` FROM `SeqCoord` WHERE `id` = 0 FOR UPDATE")
}

func (o *objects) Remove(ctx context.Context, bundle uint64) error {
	return o.bucket.Remove(ctx, layout.EntriesPath(bundle, 0))
}

func (o *objects) Published(ctx context.Context) (time.Time, error) {
	var at int64
	if err := o.pool.QueryRowContext(ctx, "SELECT `publishedAt` FROM `PubCoord` WHERE `id` = 0").Scan(&at); err != nil {
		return time.Time{}, plain(err)
	}
	return time.Unix(at, 0), nil
}

func (*objects) Poll() time.Duration { return 200 * time.Millisecond }
