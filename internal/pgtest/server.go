package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTime bounds making and starting a server, which takes about two seconds.
const startTime = time.Minute

// binaries returns the folder of PostgreSQL's programs, the newest where several are installed.
// Debian and others keep them out of PATH.
func binaries() (string, error) {
	var folders []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		folders = append(folders, found...)
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	if path, err := osexec.LookPath("initdb"); err == nil {
		folders = append(folders, filepath.Dir(path))
	}
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(folder, "pg_ctl")); err == nil {
			return folder, nil
		}
	}
	return "", fmt.Errorf("no initdb is installed to start a server with: install PostgreSQL (Debian: postgresql), or name a server in %s", Variable)
}

// version is the major version in the name of a folder of programs, 0 if there is none.
func version(folder string) int {
	digits := strings.TrimLeft(filepath.Base(filepath.Dir(folder)), "abcdefghijklmnopqrstuvwxyz-@")
	n, _ := strconv.Atoi(strings.SplitN(digits, ".", 2)[0]) // not a number sorts last
	return n
}

// server is a PostgreSQL started from binaries. It lives in a folder of its own, listens on
// loopback alone, and lets everybody in: it holds nothing but what tests put there.
type server struct {
	address string
	folder  string
	keeper  *osexec.Cmd
	hold    io.Closer // the keeper's input; when it closes, for whatever reason, the server ends
}

// holds refers to the inputs of the keepers, so that the collector, which closes a file that nobody
// refers to, does not end a server in the middle of the tests.
var holds sync.Map

// keep starts the server, says so, and waits for the end of its input, which comes when this
// process closes it or dies. A process killed by the tests' time limit cannot clean up; this can.
const keep = `
"$1/pg_ctl" start -w -t 50 -s -D "$2/data" -l "$2/log" >&2 || { tail -n 20 "$2/log" >&2; rm -rf "$2"; exit 1; }
echo up
read -r _
"$1/pg_ctl" stop -w -s -m immediate -D "$2/data" >&2
rm -rf "$2"
`

// startServer makes a server and waits until it answers.
func startServer(ctx context.Context, bin string) (_ *server, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "tocsin-pgtest-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start PostgreSQL from %s: %w", bin, err), os.RemoveAll(folder))
		}
	}()
	if account != nil {
		if err := os.Chown(folder, int(account.Uid), int(account.Gid)); err != nil {
			return nil, err
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	prepare := func(cmd *osexec.Cmd) {
		cmd.Dir, cmd.Env = folder, []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
		// A group of its own: an interrupt typed at the terminal reaches the tests, whose end reaches
		// the keeper.
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account, Setpgid: true}
	}
	data := filepath.Join(folder, "data")
	initdb := osexec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	prepare(initdb)
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, lastLine(out))
	}
	settings := fmt.Sprintf("listen_addresses = '127.0.0.1'\nport = %d\nunix_socket_directories = ''\nfsync = off\nfull_page_writes = off\n", port)
	if err := appendTo(filepath.Join(data, "postgresql.conf"), settings); err != nil {
		return nil, err
	}
	s := &server{folder: folder, address: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable&connect_timeout=3", port)}
	s.keeper = osexec.Command("/bin/sh", "-c", keep, "keep", bin, folder)
	prepare(s.keeper)
	var wrong bytes.Buffer
	s.keeper.Stderr = &wrong
	hold, err := s.keeper.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, err := s.keeper.StdoutPipe()
	if err != nil {
		return nil, err
	}
	// A crash before this leaves a folder of a few megabytes in the temporary one; after it, nothing.
	if err := s.keeper.Start(); err != nil {
		return nil, err
	}
	s.hold = hold
	holds.Store(hold, nil)
	if up, err := io.ReadAll(io.LimitReader(said, 3)); err != nil || string(up) != "up\n" {
		return nil, fmt.Errorf("pg_ctl: %w: %s", errors.Join(err, s.stop()), lastLine(wrong.Bytes()))
	}
	if err := ask(ctx, s.address); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// stop ends the server and removes its folder. Nothing of it is left when stop returns.
func (s *server) stop() error {
	holds.Delete(s.hold)
	return errors.Join(s.hold.Close(), s.keeper.Wait(), os.RemoveAll(s.folder))
}

// unprivileged is the account that a server runs under when the tests run as root, which
// PostgreSQL refuses to do. It is nil for everybody else.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
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
	return nil, errors.New("PostgreSQL does not run as root, and this machine has neither an account postgres nor nobody")
}

// freePort is a port of loopback that nobody listened on a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func appendTo(name, text string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
