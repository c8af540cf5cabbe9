// Package mysqltest gives tests a real server that speaks MySQL's protocol. It is imported by tests
// only.
//
// It is the one that TOCSIN_TEST_MYSQL names, or a MariaDB started for this test process from
// installed binaries, with what a log asks of a server set. One that happens to listen on this machine
// is not used: its settings are its owner's. Without either a test is skipped, and says what is
// missing; where CI=true it fails.
package mysqltest

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Variable names the server to test with, as USER@HOST:PORT of an account that may create databases;
// MYSQL_PWD holds its password.
const Variable = "TOCSIN_TEST_MYSQL"

// startTime bounds making and starting a server, which takes about three seconds.
const startTime = time.Minute

var found = sync.OnceValues(func() (string, error) {
	if at := os.Getenv(Variable); at != "" {
		if err := exec(at, "SELECT 1"); err != nil {
			return "", fmt.Errorf("%s: %w", Variable, err)
		}
		return at, nil
	}
	at, err := start()
	if err != nil {
		return "", err
	}
	// Processes that a test starts use the same server.
	return at, os.Setenv(Variable, at)
})

// Address is USER@HOST:PORT of a server to test with. A server started for it ends with this process,
// however the process ends.
func Address(t testing.TB) string {
	t.Helper()
	at, err := found()
	switch {
	case err == nil:
		return at
	case os.Getenv("CI") == "true" || os.Getenv(Variable) != "":
		t.Fatalf("no MySQL or MariaDB to test with: %v", err)
	default:
		t.Skipf("no MySQL or MariaDB to test with: %v", err)
	}
	return ""
}

// Database makes an empty database, returns USER@HOST:PORT/NAME, and drops it after the test.
func Database(t testing.TB) string {
	t.Helper()
	at, name := Address(t), "tocsin_test_"+strings.ToLower(rand.Text()[:16])
	if err := exec(at, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create a database to test with: %v", err)
	}
	t.Cleanup(func() {
		if err := exec(at, "DROP DATABASE IF EXISTS "+name); err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	return at + "/" + name
}

// Open connects to a server or a database as the other functions name them.
func Open(at string) (*sql.DB, error) {
	who, rest, _ := strings.Cut(at, "@")
	host, database, _ := strings.Cut(rest, "/")
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName, c.Timeout = who, os.Getenv("MYSQL_PWD"), "tcp", host, database, 5*time.Second
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// exec has its own deadline and not the test's, because what a test made is dropped after the test's
// context has ended.
func exec(at, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	db, err := Open(at)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}

// program finds one of MariaDB's programs; Debian keeps the server out of the PATH of most people.
func program(name string) (string, error) {
	if path, err := osexec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/libexec"} {
		if path := filepath.Join(dir, name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed: install MariaDB (Debian: mariadb-server), or name a server in %s", name, Variable)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// holds refers to the inputs of the keepers, so that the collector does not close them.
var holds sync.Map

// keep runs the server until the end of its input, which comes when this process closes it or dies. A
// process killed by the tests' time limit cannot clean up; this can.
const keep = `
dir=$1; shift
"$@" >"$dir/log" 2>&1 &
read -r _
kill -KILL $!
wait $!
rm -rf "$dir"
`

func start() (_ string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	install, err := program("mariadb-install-db")
	if err != nil {
		return "", err
	}
	serverd, err := program("mariadbd")
	if err != nil {
		return "", err
	}
	account, err := unprivileged()
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp("", "tocsin-mysqltest-")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start %s: %w", serverd, err), os.RemoveAll(folder))
		}
	}()
	if account != nil {
		if err := os.Chown(folder, int(account.Uid), int(account.Gid)); err != nil {
			return "", err
		}
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	data := filepath.Join(folder, "data")
	prepare := func(cmd *osexec.Cmd) *osexec.Cmd {
		cmd.Dir, cmd.Env = folder, []string{"LC_ALL=C", "PATH=/usr/bin:/bin:/usr/sbin:/sbin", "TMPDIR=" + folder}
		// A group of its own: an interrupt typed at the terminal reaches the tests, whose end reaches
		// the keeper.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true}
		return cmd
	}
	made, err := prepare(osexec.CommandContext(ctx, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", install, err, bytes.TrimSpace(made))
	}
	keeper := prepare(osexec.Command("/bin/sh", "-c", keep, "keep", folder, serverd, "--no-defaults", "--datadir="+data,
		"--bind-address=127.0.0.1", "--port="+strconv.Itoa(port), "--socket="+filepath.Join(folder, "sock"), "--pid-file="+filepath.Join(folder, "pid"),
		"--skip-name-resolve", "--max-allowed-packet=64M", "--innodb-buffer-pool-size=64M", "--max-connections=300"))
	hold, err := keeper.StdinPipe()
	if err != nil {
		return "", err
	}
	// A crash before this leaves a folder in the temporary one; after it, nothing.
	if err := keeper.Start(); err != nil {
		return "", err
	}
	holds.Store(hold, nil)
	at := "root@127.0.0.1:" + strconv.Itoa(port)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := exec(at, "SELECT 1")
		if err == nil {
			return at, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(folder, "log")) // only to say why
			return "", errors.Join(err, fmt.Errorf("it says: %s", log), hold.Close(), keeper.Wait())
		}
	}
}

// unprivileged is the account that a server runs under when the tests run as root; nil for everybody
// else.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"mysql", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("MariaDB does not run as root, and this machine has neither an account mysql nor nobody")
}

// freePort is a port of loopback that nobody listened on a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
