// Package pgtest gives tests a real PostgreSQL server. It is imported by tests only.
//
// Three ways are tried in this order: the server that TOCSIN_TEST_POSTGRES names, the one that
// listens on this machine, and one started for this test process from installed binaries. Without
// any of them a test is skipped, and says what is missing; where CI=true it fails, because there a
// skipped test is a test that nobody has.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Variable names the server to test with, as a postgres:// URL without a password (PGPASSWORD holds
// it) of an account that may create schemas and, better, databases. The value Start asks for a
// server of the tests' own even where another would answer.
const Variable = "TOCSIN_TEST_POSTGRES"

// Start is the value of Variable that starts a server.
const Start = "start"

// local are the servers tried when nothing is named. They are only asked, never changed outside
// schemas and databases that a test makes and drops.
var local = []string{
	"postgres://postgres@127.0.0.1:5432/test?sslmode=disable&connect_timeout=3",
	"postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable&connect_timeout=3",
}

// answerTime bounds one question to a server.
const answerTime = 20 * time.Second

// dropTime bounds the making and dropping of a schema or database, which waits for the disk behind
// whatever else the machine does.
const dropTime = 3 * time.Minute

// found is what this process tests with. One server is enough for all its tests, and it is looked
// for when the first of them asks.
var found = sync.OnceValues(func() (string, error) {
	address, _, err := search{named: os.Getenv(Variable), local: local, binaries: binaries}.find(context.Background())
	if err != nil {
		return "", err
	}
	// Processes that a test starts use the same server.
	return address, os.Setenv(Variable, address)
})

// Address returns the URL of a server to test with. A server started for it ends with this process,
// however the process ends.
func Address(t testing.TB) string {
	t.Helper()
	address, err := found()
	switch {
	case err == nil:
		return address
	case os.Getenv("CI") == "true" || os.Getenv(Variable) != "":
		t.Fatalf("no PostgreSQL to test with: %v", err)
	default:
		t.Skipf("no PostgreSQL to test with: %v", err)
	}
	return ""
}

// Schema returns the name of a schema that nobody has made yet, and drops it after the test.
func Schema(t testing.TB) string {
	t.Helper()
	address, name := Address(t), newName()
	dropAfter(t, address, "DROP SCHEMA IF EXISTS "+name+" CASCADE")
	return name
}

// Database makes an empty database, returns its URL and drops it after the test, whoever is still
// connected. With an account that may not create databases it is the server's own.
func Database(t testing.TB) string {
	t.Helper()
	address, name := Address(t), newName()
	err := exec(address, "CREATE DATABASE "+name)
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) && e.Code == "42501" { // insufficient privilege
		return address
	}
	if err != nil {
		t.Fatalf("create a database to test with: %v", err)
	}
	dropAfter(t, address, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("%s is no URL: write it as postgres://USER@HOST/DATABASE", Variable)
	}
	u.Path = "/" + name
	return u.String()
}

func newName() string { return "tocsin_test_" + strings.ToLower(rand.Text()[:16]) }

func dropAfter(t testing.TB, address, statement string) {
	t.Cleanup(func() {
		if err := exec(address, statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	})
}

// exec runs one statement on a connection of its own. It has its own deadline and not the test's,
// because what a test made is dropped after the test's context has ended.
func exec(address, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), dropTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// search is where to look for a server.
type search struct {
	named    string                 // the value of Variable
	local    []string               // URLs to ask when nothing is named
	binaries func() (string, error) // the folder of initdb and pg_ctl
}

// find returns the URL of a server that answers, and the server when it had to be started. The
// error tells what was tried and what each lacked.
func (s search) find(ctx context.Context) (string, *server, error) {
	var errs []error
	switch s.named {
	case Start:
	case "":
		for _, address := range s.local {
			err := ask(ctx, address)
			if err == nil {
				return address, nil, nil
			}
			errs = append(errs, err)
		}
	default:
		if err := ask(ctx, s.named); err != nil {
			return "", nil, fmt.Errorf("%s: %w", Variable, err)
		}
		return s.named, nil, nil
	}
	bin, err := s.binaries()
	if err != nil {
		return "", nil, errors.Join(append(errs, err)...)
	}
	started, err := startServer(ctx, bin)
	if err != nil {
		return "", nil, errors.Join(append(errs, err)...)
	}
	return started.address, started, nil
}

// ask says why a server cannot be used, if so: it does not answer, or the account may not make a
// schema.
func ask(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	var may bool
	err = conn.QueryRow(ctx, "SELECT has_database_privilege(current_database(), 'CREATE')").Scan(&may)
	if err == nil && !may {
		err = fmt.Errorf("account %s may not create schemas in database %s", conn.Config().User, conn.Config().Database)
	}
	return errors.Join(err, conn.Close(ctx))
}
