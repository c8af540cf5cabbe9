// Package driver opens transparency logs by URL: in a folder, in MySQL, in an object store beside
// MySQL, or in Google's object store beside Spanner. It is the one place that knows what a URL of a
// log means; what opens is a translog.Log, the same whatever keeps it.
package driver

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/translog"
)

// Config says where a log is kept. Secrets are in files or in the environment, never in the URL.
type Config struct {
	// URL is a folder, posix:FOLDER, mysql://USER@HOST/DATABASE,
	// s3://BUCKET/PREFIX?mysql=USER@HOST/DATABASE or
	// gcs://BUCKET/PREFIX?spanner=projects/P/instances/I/databases/D.
	URL             string `yaml:"url"`
	Endpoint        string `yaml:"endpoint"`         // of the object store, https://HOST; AWS when absent
	Region          string `yaml:"region"`           // us-east-1 when absent
	CredentialsFile string `yaml:"credentials_file"` // in the form of AWS's; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment when absent
	PasswordFile    string `yaml:"password_file"`    // of the MySQL account; MYSQL_PWD of the environment when absent
}

// Place is a place of a log that has been checked. Nothing was asked of it yet.
type Place struct {
	cfg    Config
	dir    string // what relative names start from
	kind   string // posix, mysql, s3 or gcs
	folder string
	mysql  server
	bucket string
	prefix string // in the bucket, without a slash at either end
	db     string // of Spanner
}

// server is a database of a MySQL server.
type server struct{ user, network, address, database string }

// The kinds of places.
const (
	kindFolder = "posix"
	kindMySQL  = "mysql"
	kindS3     = "s3"
	kindGCS    = "gcs"
)

// forms is what may stand in a configuration.
const forms = "a folder, posix:FOLDER, mysql://USER@HOST/DATABASE, s3://BUCKET/PREFIX?mysql=USER@HOST/DATABASE or gcs://BUCKET/PREFIX?spanner=projects/P/instances/I/databases/D"

// Parse checks where a log is to be kept. An error begins with the name of the field and a colon, and
// never repeats what stands in the URL: it may be a secret that does not belong there. Relative names
// start from dir.
func Parse(c Config, dir string) (Place, error) {
	p := Place{cfg: c, dir: dir}
	var err error
	scheme, rest, ok := strings.Cut(c.URL, ":")
	switch {
	case c.URL == "":
		return p, errors.New("url: is missing: it has to be " + forms)
	case !ok || strings.ContainsAny(scheme, "/.") || filepath.IsAbs(c.URL):
		p.kind, p.folder = kindFolder, c.URL
	case scheme == kindFolder:
		p.kind, p.folder = kindFolder, rest
	default:
		p.kind = scheme
		err = p.parse()
	}
	if err != nil {
		return p, err
	}
	if p.kind == kindFolder {
		if p.folder == "" || strings.HasPrefix(p.folder, "//") {
			return p, errors.New("url: has to name a folder, such as posix:/var/lib/tocsin-log")
		}
		if !filepath.IsAbs(p.folder) {
			p.folder = filepath.Join(dir, p.folder)
		}
		p.folder = filepath.Clean(p.folder)
	}
	return p, p.fields()
}

// parse reads the URL of a place that is no folder.
func (p *Place) parse() error {
	u, err := url.Parse(p.cfg.URL)
	if err != nil {
		return errors.New("url: cannot be read: it has to be " + forms)
	}
	if _, secret := u.User.Password(); secret {
		return errors.New("url: holds a password: put it into a file that password_file names, or into MYSQL_PWD")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Fragment != "" || u.Opaque != "" {
		return errors.New("url: cannot be read: it has to be " + forms)
	}
	one := func(allowed ...string) error {
		for name, values := range q {
			if !slices.Contains(allowed, name) {
				return errors.New("url: has something after the question mark that is not known there: " + forms)
			}
			if len(values) != 1 {
				return errors.New("url: says " + name + " twice")
			}
		}
		return nil
	}
	switch p.kind {
	case kindMySQL:
		if err := one("socket"); err != nil {
			return err
		}
		return p.server(u)
	case kindS3:
		if err := one("mysql"); err != nil {
			return err
		}
		if u.Host == "" || u.User != nil {
			return errors.New("url: has to be s3://BUCKET/PREFIX?mysql=USER@HOST/DATABASE, without keys")
		}
		at, err := url.Parse("mysql://" + q.Get("mysql"))
		if err != nil || q.Get("mysql") == "" {
			return errors.New("url: has to say which database gives leaves their places: s3://BUCKET/PREFIX?mysql=USER@HOST/DATABASE")
		}
		if _, secret := at.User.Password(); secret {
			return errors.New("url: holds a password: put it into a file that password_file names, or into MYSQL_PWD")
		}
		p.bucket, p.prefix = u.Host, strings.Trim(u.Path, "/")
		return p.server(at)
	case kindGCS:
		if err := one("spanner"); err != nil {
			return err
		}
		p.db = q.Get("spanner")
		part := strings.Split(p.db, "/")
		if u.Host == "" || u.User != nil || len(part) != 6 || part[0] != "projects" || part[2] != "instances" || part[4] != "databases" || slices.Contains(part, "") {
			return errors.New("url: has to be gcs://BUCKET/PREFIX?spanner=projects/P/instances/I/databases/D")
		}
		p.bucket, p.prefix = u.Host, strings.Trim(u.Path, "/")
		return nil
	}
	return errors.New("url: is of no kind that is known: it has to be " + forms)
}

// server reads the part that names a database.
func (p *Place) server(u *url.URL) error {
	s := server{user: u.User.Username(), network: "tcp", address: u.Host, database: strings.Trim(u.Path, "/")}
	if socket := u.Query().Get("socket"); socket != "" {
		if u.Host != "" || !filepath.IsAbs(socket) {
			return errors.New("url: with a socket it has to be mysql://USER@/DATABASE?socket=/run/mysqld/mysqld.sock")
		}
		s.network, s.address = "unix", socket
	} else if u.Hostname() == "" {
		return errors.New("url: names no host of the database: USER@HOST/DATABASE or USER@HOST:PORT/DATABASE")
	} else if u.Port() == "" {
		s.address = net.JoinHostPort(u.Hostname(), "3306")
	}
	if s.user == "" || s.database == "" || strings.ContainsAny(s.database, "/`") {
		return errors.New("url: has to name an account and a database: USER@HOST/DATABASE")
	}
	p.mysql = s
	return nil
}

// fields refuses settings that the kind has no use for, and those that would send in the clear.
func (p *Place) fields() error {
	c := p.cfg
	for _, f := range []struct {
		name, value string
		kinds       []string
	}{
		{"endpoint", c.Endpoint, []string{kindS3}},
		{"region", c.Region, []string{kindS3}},
		{"credentials_file", c.CredentialsFile, []string{kindS3}},
		{"password_file", c.PasswordFile, []string{kindMySQL, kindS3}},
	} {
		if f.value == "" || slices.Contains(f.kinds, p.kind) {
			continue
		}
		if p.kind == kindGCS && f.name == "credentials_file" {
			return errors.New("credentials_file: is for s3://: for gcs:// name the file in GOOGLE_APPLICATION_CREDENTIALS of the environment")
		}
		return fmt.Errorf("%s: has no meaning for %s: remove it", f.name, p.kind)
	}
	if c.Endpoint != "" {
		at, err := url.Parse(c.Endpoint)
		if err != nil || at.Scheme != "https" && at.Scheme != "http" || at.Host == "" || at.User != nil || strings.Trim(at.Path, "/") != "" || at.RawQuery != "" {
			return errors.New("endpoint: has to be https://HOST or https://HOST:PORT")
		}
		if at.Scheme == "http" && !loopback(at.Hostname()) {
			return errors.New("endpoint: has to start with https://: a log does not leave this machine in the clear")
		}
	}
	return nil
}

// String is the place in one line, without anything secret.
func (p Place) String() string {
	switch p.kind {
	case kindMySQL:
		return "mysql://" + p.mysql.String()
	case kindS3:
		return "s3://" + p.bucket + "/" + p.prefix + " with mysql://" + p.mysql.String()
	case kindGCS:
		return "gcs://" + p.bucket + "/" + p.prefix + " with " + p.db
	}
	return p.folder
}

func (s server) String() string {
	if s.network == "unix" {
		return "/" + s.database + "?socket=" + s.address
	}
	return s.address + "/" + s.database
}

// Folder is the folder of a log that is kept in one; "" for any other.
func (p Place) Folder() string { return p.folder }

// Overlaps says whether two logs would be kept in one place.
func (p Place) Overlaps(o Place) bool {
	switch {
	case p.folder != "" || o.folder != "":
		return resolved(p.folder) == resolved(o.folder)
	case p.mysql.database != "" && p.mysql.network == o.mysql.network && p.mysql.address == o.mysql.address && p.mysql.database == o.mysql.database:
		return true
	}
	return p.db != "" && p.db == o.db || p.kind == o.kind && p.bucket != "" && p.bucket == o.bucket && p.prefix == o.prefix && p.cfg.Endpoint == o.cfg.Endpoint
}

// resolved is a folder without links, as far as it is there.
func resolved(folder string) string {
	for at, rest := folder, ""; at != "" && at != "."; at, rest = filepath.Dir(at), filepath.Join(filepath.Base(at), rest) {
		if is, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(is, rest)
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	return folder
}

// Open opens the log for reading and writing, and makes it if it is not there. What is reached over
// HTTP is reached by opts.HTTP.
func (p Place) Open(ctx context.Context, signer note.Signer, opts translog.Options) (*translog.Log, error) {
	if p.kind == kindFolder {
		return translog.Open(ctx, p.folder, signer, opts)
	}
	at, err := p.storage(ctx, opts.HTTP)
	if err != nil {
		return nil, err
	}
	return translog.OpenIn(ctx, at, signer, opts)
}

// OpenReader opens the log for reading. Nothing is written, and what is not covered by the newest
// published checkpoint is not seen.
func (p Place) OpenReader(ctx context.Context, origin string, client *http.Client) (*translog.Log, error) {
	if p.kind == kindFolder {
		return translog.OpenReader(p.folder, origin)
	}
	at, err := p.storage(ctx, client)
	if err != nil {
		return nil, err
	}
	return translog.OpenReaderIn(ctx, at, origin)
}

// storage makes what keeps the log. Nothing is asked of it yet but a password of its file.
func (p Place) storage(ctx context.Context, client *http.Client) (translog.Storage, error) {
	switch p.kind {
	case kindMySQL:
		return p.openMySQL()
	case kindS3:
		return p.openS3(client)
	case kindGCS:
		return p.openGCS(ctx)
	}
	return nil, fmt.Errorf("%s is a folder", p)
}

// maxSecret bounds a file that holds a password.
const maxSecret = 4 << 10

// password is that of the MySQL account.
func (p Place) password() (string, error) {
	if p.cfg.PasswordFile == "" {
		return os.Getenv("MYSQL_PWD"), nil
	}
	f, err := os.Open(p.path(p.cfg.PasswordFile))
	if fromEnv := os.Getenv("MYSQL_PWD"); errors.Is(err, fs.ErrNotExist) && fromEnv != "" {
		return fromEnv, nil // in a folder that is being restored there is no such file yet
	}
	if err != nil {
		return "", fmt.Errorf("password_file: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("password_file: %w", err)
	}
	secret := strings.TrimRight(string(raw), "\r\n")
	if secret == "" || len(raw) > maxSecret || strings.ContainsAny(secret, "\r\n") {
		return "", fmt.Errorf("password_file: %s has to hold the password and nothing else", f.Name())
	}
	return secret, nil
}

func (p Place) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(p.dir, name)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// mine refuses a place that holds the log of another key.
func mine(ctx context.Context, at translog.Storage, signer note.Signer) error {
	raw, err := at.Read(ctx, layout.CheckpointPath)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(raw, []byte(signer.Name()+"\n")) || !signedBy(raw, signer) {
		return fmt.Errorf("%w: give each log a place of its own", errOther)
	}
	return nil
}

var errOther = errors.New("it holds the log of another installation, or another log of this one")

// signedBy says whether a note has a signature that says it is of this key.
func signedBy(raw []byte, signer note.Signer) bool {
	for line := range strings.Lines(string(raw)) {
		encoded, ok := strings.CutPrefix(line, "— "+signer.Name()+" ")
		if !ok {
			continue
		}
		sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
		if err == nil && len(sig) > 4 && binary.BigEndian.Uint32(sig) == signer.KeyHash() {
			return true
		}
	}
	return false
}
