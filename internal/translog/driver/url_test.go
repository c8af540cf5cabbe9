package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlacesAreReadFromURLs(t *testing.T) {
	for at, want := range map[string]string{
		"log/events":                "/srv/tocsin/log/events",
		"/mnt/log":                  "/mnt/log",
		"/mnt/log:1":                "/mnt/log:1",
		"./a:b":                     "/srv/tocsin/a:b",
		"posix:/mnt/log":            "/mnt/log",
		"posix:log/facts":           "/srv/tocsin/log/facts",
		"mysql://t@db/logs":         "mysql://db:3306/logs",
		"mysql://t@[::1]:3307/logs": "mysql://[::1]:3307/logs",
		"mysql://t@/logs?socket=/run/mysqld/mysqld.sock":            "mysql:///logs?socket=/run/mysqld/mysqld.sock",
		"s3://bucket/a/b?mysql=t@db:3307/logs":                      "s3://bucket/a/b with mysql://db:3307/logs",
		"s3://bucket?mysql=t@db/logs":                               "s3://bucket/ with mysql://db:3306/logs",
		"gcs://bucket/a?spanner=projects/p/instances/i/databases/d": "gcs://bucket/a with projects/p/instances/i/databases/d",
	} {
		p, err := Parse(Config{URL: at}, "/srv/tocsin")
		if err != nil || p.String() != want {
			t.Errorf("%s: %s, %v, want %s", at, p, err, want)
		}
	}
}

func TestBadPlacesAreRefusedInOneLineThatRepeatsNoSecret(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "url: is missing"},
		{Config{Region: "eu"}, "url: is missing"},
		{Config{URL: "posix:"}, "url: has to name a folder"},
		{Config{URL: "posix://host/log"}, "url: has to name a folder"},
		{Config{URL: "oracle://hunter2@db/logs"}, "url: is of no kind that is known"},
		{Config{URL: "mysql://t:hunter2@db/logs"}, "url: holds a password"},
		{Config{URL: "s3://b/x?mysql=t:hunter2@db/logs"}, "url: holds a password"},
		{Config{URL: "s3://key:hunter2@b/x?mysql=t@db/logs"}, "url: holds a password"},
		{Config{URL: "s3://hunter2@b/x?mysql=t@db/logs"}, "url: has to be s3://"},
		{Config{URL: "mysql://db/logs"}, "url: has to name an account and a database"},
		{Config{URL: "mysql://t@db"}, "url: has to name an account and a database"},
		{Config{URL: "mysql://t@db/a/b"}, "url: has to name an account and a database"},
		{Config{URL: "mysql://t@/logs"}, "url: names no host"},
		{Config{URL: "mysql://t@db/logs?socket=/run/x"}, "url: with a socket"},
		{Config{URL: "mysql://t@/logs?socket=run/x"}, "url: with a socket"},
		{Config{URL: "mysql://t@db/logs?password=hunter2"}, "url: has something after the question mark"},
		{Config{URL: "mysql://t@db/logs#hunter2"}, "url: cannot be read"},
		{Config{URL: "mysql://t@db:port hunter2/logs"}, "url: cannot be read"},
		{Config{URL: "s3://b/x"}, "url: has to say which database"},
		{Config{URL: "s3:///x?mysql=t@db/logs"}, "url: has to be s3://"},
		{Config{URL: "s3://b/x?mysql=t@db/logs&mysql=t@db/logs"}, "url: says mysql twice"},
		{Config{URL: "s3://b/x?mysql=t@db/logs", Endpoint: "s3.example.com"}, "endpoint: has to be https://HOST"},
		{Config{URL: "s3://b/x?mysql=t@db/logs", Endpoint: "http://s3.example.com"}, "endpoint: has to start with https://"},
		{Config{URL: "s3://b/x?mysql=t@db/logs", Endpoint: "https://k:hunter2@s3.example.com"}, "endpoint: has to be https://HOST"},
		{Config{URL: "gcs://b/x"}, "url: has to be gcs://"},
		{Config{URL: "gcs://b/x?spanner=projects/p/instances/i"}, "url: has to be gcs://"},
		{Config{URL: "gcs://b/x?spanner=projects//instances/i/databases/d"}, "url: has to be gcs://"},
		{Config{URL: "gcs://b/x?spanner=projects/p/instances/i/databases/d", CredentialsFile: "x"}, "credentials_file: is for s3://"},
		{Config{URL: "log", PasswordFile: "x"}, "password_file: has no meaning for posix"},
		{Config{URL: "mysql://t@db/logs", Endpoint: "https://s3.example.com"}, "endpoint: has no meaning for mysql"},
	} {
		_, err := Parse(c.cfg, "/srv/tocsin")
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v, want %s…", c.cfg, err, c.want)
		}
	}
}

func TestPlacesThatAreOneAreSeen(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"log", "posix:/srv/tocsin/log", true},
		{"log/a", "log/b", false},
		{"/srv/a", "/srv/a/", true},
		{"/srv/a", "posix:/srv/x/../a", true},
		{"mysql://a@db/x", "mysql://b@db:3306/x", true},
		{"mysql://a@db/x", "mysql://a@db/y", false},
		{"mysql://a@db/x", "s3://b/p?mysql=a@db/x", true},
		{"s3://b/p?mysql=a@db/x", "s3://b/p?mysql=a@db/y", true},
		{"s3://b/p?mysql=a@db/x", "s3://b/q?mysql=a@db/y", false},
		{"gcs://b/p?spanner=projects/p/instances/i/databases/d", "gcs://b/q?spanner=projects/p/instances/i/databases/d", true},
		{"gcs://b/p?spanner=projects/p/instances/i/databases/d", "gcs://b/p?spanner=projects/p/instances/i/databases/e", true},
		{"gcs://b/p?spanner=projects/p/instances/i/databases/d", "mysql://a@db/x", false},
	} {
		a, errA := Parse(Config{URL: c.a}, "/srv/tocsin")
		b, errB := Parse(Config{URL: c.b}, "/srv/tocsin")
		if errA != nil || errB != nil || a.Overlaps(b) != c.want || b.Overlaps(a) != c.want {
			t.Errorf("%s and %s: %v, want %v (%v, %v)", c.a, c.b, a.Overlaps(b), c.want, errA, errB)
		}
	}
}

func TestAFolderIsOnePlaceByWhateverLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(dir, "again")); err != nil {
		t.Fatal(err)
	}
	for b, want := range map[string]bool{"again": false, "again/log": true, "again/again/log": true, "again/other": false} {
		a, errA := Parse(Config{URL: "log"}, dir)
		b2, errB := Parse(Config{URL: b}, dir)
		if errA != nil || errB != nil || a.Overlaps(b2) != want {
			t.Errorf("log and %s: %v, want %v (%v, %v)", b, !want, want, errA, errB)
		}
	}
}

func TestPasswordsComeFromAFileOrTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good", "hunter2\n")
	write("empty", "\n")
	write("two", "a\nb\n")
	at := func(file string) Place {
		p, err := Parse(Config{URL: "mysql://t@db/logs", PasswordFile: file}, dir)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	t.Setenv("MYSQL_PWD", "of-the-environment")
	for file, want := range map[string]string{"good": "hunter2", filepath.Join(dir, "good"): "hunter2", "": "of-the-environment", "absent": "of-the-environment"} {
		if got, err := at(file).password(); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", file, got, err, want)
		}
	}
	t.Setenv("MYSQL_PWD", "")
	for _, file := range []string{"empty", "two", "absent"} {
		if got, err := at(file).password(); err == nil || !strings.HasPrefix(err.Error(), "password_file: ") {
			t.Errorf("%s: %q, %v", file, got, err)
		}
	}
}
