package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tocsin-ir/tocsin/internal/drill/sink"
	"github.com/tocsin-ir/tocsin/internal/pgtest"
)

// binaries builds the two programs once, as a user gets them, unless TOCSIN_TEST_BIN names a folder that
// has them.
var binaries = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("TOCSIN_TEST_BIN"); dir != "" {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "tocsin-bin-*")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), ".", "../tocsin-verify")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as released, also under the race detector
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := binaries(); err == nil && dir != os.Getenv("TOCSIN_TEST_BIN") {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// bin is the folder of the built programs.
func bin(t testing.TB) string {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestScripts plays the program as a user meets it: real processes, a real mail server, a real
// application to contain, and nothing in between.
func TestScripts(t *testing.T) { scripts(t, "testdata/script", nil) }

// TestScriptsOnPostgreSQL plays those that want a database, an empty one in DB.
func TestScriptsOnPostgreSQL(t *testing.T) {
	scripts(t, "testdata/postgres", map[string]string{"DB": pgtest.Database(t), "PGPASSWORD": os.Getenv("PGPASSWORD")})
}

func scripts(t *testing.T, folder string, variables map[string]string) {
	dir := bin(t)
	testscript.Run(t, testscript.Params{
		Dir:                 folder,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("COLUMNS", "120")
			for name, value := range variables {
				env.Setenv(name, value)
			}
			// A socket's path has little room, and the folder of a script is deep.
			short, err := os.MkdirTemp("", "tocsin-e2e-*")
			if err != nil {
				return err
			}
			env.Setenv("TOCSIN_DATA", filepath.Join(short, "data"))
			env.Setenv("DATA", filepath.Join(short, "data"))
			env.Defer(func() { os.RemoveAll(short) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe, "halt": cmdHalt, "exits": cmdExits, "get": cmdGet, "isjson": cmdIsJSON,
			"until": cmdUntil, "fill": cmdFill, "mailserver": cmdMailServer, "application": cmdApplication,
		},
	})
}

// process is a server that a script started.
type process struct {
	*exec.Cmd
	dir  string
	gone chan struct{} // closed when it has ended
}

// launch starts `tocsin serve` and waits until it says where it listens: the announcement is one
// write. What it prints is in serve.out and its log in serve.log of dir.
func launch(program, dir string, env []string, files []*os.File, args ...string) (p *process, said string, err error) {
	out, err := os.Create(filepath.Join(dir, "serve.out"))
	if err != nil {
		return nil, "", err
	}
	defer out.Close()
	log, err := os.OpenFile(filepath.Join(dir, "serve.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, "", err
	}
	defer log.Close()
	p = &process{Cmd: exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...), dir: dir, gone: make(chan struct{})}
	p.Dir, p.Env, p.Stdout, p.Stderr, p.ExtraFiles = dir, env, out, log, files
	if err := p.Start(); err != nil {
		return nil, "", err
	}
	go func() { p.Wait(); close(p.gone) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		if said, err := os.ReadFile(out.Name()); err == nil && len(said) > 0 {
			return p, string(said), nil
		}
		select {
		case <-tick.C:
		case <-p.gone:
			return p, "", errors.New("tocsin serve ended before it listened")
		case <-late:
			p.halt(syscall.SIGKILL)
			return p, "", errors.New("tocsin serve did not listen within 30 s")
		}
	}
}

// halt sends a signal and waits for the end; it gives the exit code, -1 for a killed process.
func (p *process) halt(s syscall.Signal) (code int, err error) {
	if err := p.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	select {
	case <-p.gone:
		return p.ProcessState.ExitCode(), nil
	case <-time.After(10 * time.Second): // promised by the manual
		p.Process.Kill()
		<-p.gone
		return 0, fmt.Errorf("it did not end within 10 s of %v", s)
	}
}

var (
	address = regexp.MustCompile(`(?:listens on |"address":")([^\s"]+)`)
	link    = regexp.MustCompile(`once: (\S+)`)
)

// The server of each script, by the script's folder.
var servers sync.Map

// environment is the environment of a script's programs.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TOCSIN_DATA", "COLUMNS", "TMPDIR", "PGPASSWORD"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	return env
}

// serve [ARGUMENT…] starts the server and sets URL, and LINK when one is printed.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("a server that refuses to start is shown with exits")
	}
	path, _, _ := strings.Cut(ts.Getenv("PATH"), string(os.PathListSeparator))
	dir := ts.MkAbs(".")
	p, said, err := launch(filepath.Join(path, "tocsin"), ts.Getenv("WORK"), environment(ts), nil, args...)
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "serve.log"))
		ts.Fatalf("%v: %s", err, log)
	}
	servers.Store(ts.Getenv("WORK"), p)
	ts.Defer(func() { p.halt(syscall.SIGKILL) })
	ts.Setenv("URL", address.FindStringSubmatch(said)[1])
	ts.Setenv("LINK", "")
	if m := link.FindStringSubmatch(said); m != nil {
		ts.Setenv("LINK", m[1])
	}
}

// halt TERM|KILL ends the server. A server that is asked to end exits with 0.
func cmdHalt(ts *testscript.TestScript, _ bool, args []string) {
	p, ok := servers.Load(ts.Getenv("WORK"))
	if !ok || len(args) != 1 {
		ts.Fatalf("usage: halt TERM|KILL, after serve")
	}
	signal, want := syscall.SIGTERM, 0
	if args[0] == "KILL" {
		signal, want = syscall.SIGKILL, -1
	}
	code, err := p.(*process).halt(signal)
	ts.Check(err)
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// exits CODE PROGRAM ARGUMENT… runs a program and wants this exit code. A failure says so as every
// command does: nothing but one line on standard error, and below it hints set in by two spaces.
func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	stderr := ts.ReadFile("stderr")
	if code != want {
		ts.Fatalf("exit code %d, want %d\n%s", code, want, stderr)
	}
	if code == 0 || args[1] != "tocsin" || stderr == "" {
		return
	}
	for i, line := range strings.Split(strings.TrimSuffix(stderr, "\n"), "\n") {
		if (i == 0) != strings.HasPrefix(line, "tocsin") || (i > 0) != strings.HasPrefix(line, "  ") || strings.Contains(line, "goroutine ") {
			ts.Fatalf("line %d of the error is neither the error nor a hint:\n%s", i+1, stderr)
		}
	}
}

// get NAME FIELD… sets a variable to a field of the JSON on standard output.
func cmdGet(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: get NAME FIELD…")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for _, step := range args[1:] {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			n, err := strconv.Atoi(step)
			ts.Check(err)
			if n >= len(at) {
				ts.Fatalf("%s: there are %d", step, len(at))
			}
			v = at[n]
		default:
			v = nil
		}
		if v == nil {
			ts.Fatalf("there is no %s in %s", strings.Join(args[1:], "."), ts.ReadFile("stdout"))
		}
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}

// isjson wants standard output to be one JSON document.
func cmdIsJSON(ts *testscript.TestScript, _ bool, _ []string) {
	if out := ts.ReadFile("stdout"); !json.Valid([]byte(out)) {
		ts.Fatalf("this is no JSON: %q", out)
	}
}

// until PATTERN PROGRAM ARGUMENT… runs a program again until its output matches, for at most 20 s.
func cmdUntil(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until PATTERN PROGRAM ARGUMENT…")
	}
	want, err := regexp.Compile(args[0])
	ts.Check(err)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err := ts.Exec(args[1], args[2:]...); err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s never came:\n%s%s", want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		}
	}
}

// fill FILE TARGET copies a file and puts the variables of the script into it.
func cmdFill(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: fill FILE TARGET")
	}
	text := regexp.MustCompile(`@([A-Z]+)@`).ReplaceAllStringFunc(ts.ReadFile(args[0]), func(name string) string { return ts.Getenv(strings.Trim(name, "@")) })
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// mailserver starts a mail server that keeps what it takes in the folder mail, and sets SMTP.
func cmdMailServer(ts *testscript.TestScript, _ bool, _ []string) {
	dir := ts.MkAbs("mail")
	ts.Check(os.MkdirAll(dir, 0o700))
	s, err := sink.Start(sink.Config{Listen: "127.0.0.1:0", Dir: dir})
	ts.Check(err)
	ts.Defer(s.Close)
	ts.Setenv("SMTP", s.Addr())
}

// application starts an app with tokens and a secret that the scripts contain, and sets APP. Its
// file app.env is read anew for every request, as an app that watches its file would.
func cmdApplication(ts *testscript.TestScript, _ bool, _ []string) {
	env := ts.MkAbs("app.env")
	ts.Check(os.WriteFile(env, []byte("SHOPIFY_WEBHOOK_SECRET=first-webhook-secret\n"), 0o600))
	a := &application{tokens: map[string]bool{"tok_stolen-secret-value": true}, env: env}
	s := httptest.NewServer(a)
	ts.Defer(s.Close)
	ts.Setenv("APP", s.URL)
	ts.Setenv("APPENV", env)
}
