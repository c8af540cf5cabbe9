package pgtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	osexec "os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// childVariable makes this test program start a server and hold it until it is killed.
const childVariable = "PGTEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	time.AfterFunc(time.Minute, func() { os.Exit(3) }) // whatever happens to the parent
	_, s, err := search{named: Start, binaries: binaries}.find(context.Background())
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	address, folder := s.address, s.folder
	runtime.GC() // nobody refers to the server from here on
	runtime.GC()
	fmt.Println(address, folder)
	select {}
}

// installed skips a test that starts a server where no server can be started, unless it has to be
// there.
func installed(t *testing.T) {
	t.Helper()
	if _, err := binaries(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// nobody is a URL where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/test?sslmode=disable&connect_timeout=3", port)
}

func noBinaries() (string, error) { return "", errors.New("no binaries") }

// gone says whether nobody listens at a URL any more.
func gone(t *testing.T, address string) bool {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", u.Host, time.Second)
	if err != nil {
		return true
	}
	_ = conn.Close() // it was only to see whether somebody answers
	return false
}

func TestTheServersAreTriedInOrder(t *testing.T) {
	installed(t)
	_, own, err := search{local: []string{nobody(t)}, binaries: binaries}.find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if own == nil {
		t.Fatal("nobody listens, and no server was started")
	}
	if _, again, err := (search{named: own.address, local: []string{nobody(t)}, binaries: noBinaries}).find(t.Context()); err != nil || again != nil {
		t.Errorf("the named server: %v, started %v", err, again != nil)
	}
	address, again, err := search{local: []string{nobody(t), own.address}, binaries: noBinaries}.find(t.Context())
	if err != nil || again != nil || address != own.address {
		t.Errorf("the local server: %s, %v, started %v", address, err, again != nil)
	}
	if _, _, err := (search{named: nobody(t), local: []string{own.address}, binaries: noBinaries}).find(t.Context()); err == nil || !strings.Contains(err.Error(), Variable) {
		t.Errorf("a named server that does not answer was replaced, or its variable is not named: %v", err)
	}
	if _, _, err := (search{named: Start, local: []string{own.address}, binaries: noBinaries}).find(t.Context()); err == nil {
		t.Error("the local server was taken although one of the tests' own was asked for")
	}

	if err := own.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(own.folder); !errors.Is(err, os.ErrNotExist) || !gone(t, own.address) {
		t.Errorf("after stop: the folder: %v; the server listens: %v", err, !gone(t, own.address))
	}
}

func TestAServerEndsWithTheProcessThatStartedItEvenWhenKilled(t *testing.T) {
	installed(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := osexec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), childVariable+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the child said nothing")
	}
	address, folder, ok := strings.Cut(lines.Text(), " ")
	if !ok {
		t.Fatalf("the child said %q", lines.Text())
	}
	// Half a second, so that a server that is being stopped shows.
	if err := exec(address, "SELECT pg_sleep(0.5)"); err != nil {
		t.Fatalf("there should be a server: %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed, which Wait reports as an error
	end := time.Now().Add(30 * time.Second)
	for {
		_, err := os.Stat(folder)
		if errors.Is(err, os.ErrNotExist) && gone(t, address) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the server outlived its process: folder %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	local := nobody(t)
	_, _, err := search{local: []string{local}, binaries: noBinaries}.find(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no binaries") || !strings.Contains(err.Error(), "connect") {
		t.Errorf("the error tells not everything that was tried: %v", err)
	}
}

func TestAServerThatCannotStartSaysWhyAndLeavesNothing(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	if err := os.Chmod(tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := startServer(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "initdb") {
		t.Errorf("an empty folder of programs: %v", err)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTheNewestProgramsAreTaken(t *testing.T) {
	for folder, want := range map[string]int{
		"/usr/lib/postgresql/17/bin":              17,
		"/usr/lib/postgresql/9.6/bin":             9,
		"/usr/pgsql-15/bin":                       15,
		"/opt/homebrew/opt/postgresql@16/bin":     16,
		"/opt/postgres/bin":                       0,
		"/usr/lib/postgresql/old-and-strange/bin": 0,
	} {
		if got := version(folder); got != want {
			t.Errorf("%s: %d, want %d", folder, got, want)
		}
	}
}

func TestWhatATestMakesIsDropped(t *testing.T) {
	server := Address(t)
	var database, schema string
	t.Run("make", func(t *testing.T) {
		address := Database(t)
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		database, schema = strings.Trim(u.Path, "/"), Schema(t)
		if err := exec(address, "CREATE TABLE t (a int)"); err != nil {
			t.Error(err)
		}
		if err := exec(server, "CREATE SCHEMA "+schema); err != nil {
			t.Error(err)
		}
	})
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	var left int
	err = conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_database WHERE datname = $1)
		+ (SELECT count(*) FROM pg_namespace WHERE nspname = $2)`, database, schema).Scan(&left)
	if err := errors.Join(err, conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d of database %s and schema %s are left", left, database, schema)
	}
}
