package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/drill/sink"
)

// initialised makes a data folder with the program itself, under a short path.
func initialised(t *testing.T) (program, data string) {
	t.Helper()
	program = filepath.Join(bin(t), "tocsin")
	data = filepath.Join(shortFolder(t), "data")
	if out, err := exec.Command(program, "init", "--data", data).CombinedOutput(); err != nil {
		t.Fatalf("init: %v: %s", err, out)
	}
	return program, data
}

// shortFolder is a folder whose path leaves room for that of a socket, which a test's own may not.
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tocsin-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// mailServer takes every mail and keeps it in a folder.
func mailServer(t *testing.T, dir string) *sink.Server {
	t.Helper()
	s, err := sink.Start(sink.Config{Listen: "127.0.0.1:0", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// counting is an address elsewhere that counts who calls.
func counting(t *testing.T) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	n := new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { n.Add(1) }))
	t.Cleanup(s.Close)
	return s, n
}

func socketClient(t *testing.T, data string) *client.Client {
	t.Helper()
	c, err := client.New("unix://"+filepath.Join(data, "tocsin.sock"), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// simulated opens an incident and says when its first fact was recorded and by which clock.
func simulated(t *testing.T, data string) (at time.Time, simulated bool) {
	t.Helper()
	c := socketClient(t, data)
	out, err := c.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "which clock is it"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.Incident(t.Context(), out.Incident)
	if err != nil {
		t.Fatal(err)
	}
	return out.Facts[0].Recorded, strings.Contains(string(raw), `"simulated":true`)
}

const greeting = `{"hello":"tocsin-drill/1","now":"2020-01-01T00:00:00Z","mail_retry":["1ms"],"sabotage":"gate-open","listen":"127.0.0.1:1"}` + "\n"

// Pipes at the descriptors of a drill, with a greeting in them, and every variable that sounds
// like one of its settings: a production folder is served as ever.
func TestAProductionFolderIsNeverADrill(t *testing.T) { // promise: PRO-7
	program, data := initialised(t)
	toServer, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	theirs, fromServer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{toServer, ours, theirs, fromServer} {
		defer f.Close()
	}
	if _, err := ours.WriteString(greeting); err != nil {
		t.Fatal(err)
	}
	env := os.Environ()
	for _, name := range []string{"NOW", "CLOCK", "SABOTAGE", "MAIL_RETRY", "LISTEN", "DRILL", "ENV", "SIMULATED"} {
		env = append(env, "TOCSIN_"+name+"=2020-01-01T00:00:00Z", "DRILL_"+name+"=gate-open")
	}
	p, said, err := launch(program, filepath.Dir(data), env, []*os.File{toServer, fromServer}, "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	defer p.halt(syscall.SIGKILL)
	if strings.Contains(said, "drill") || strings.Contains(said, "127.0.0.1:1\n") {
		t.Errorf("it said %q", said)
	}
	if at, sim := simulated(t, data); sim || time.Since(at).Abs() > time.Minute {
		t.Errorf("the incident was opened at %v, simulated %v", at, sim)
	}
	if code, err := p.halt(syscall.SIGTERM); err != nil || code != 0 {
		t.Errorf("exit %d: %v", code, err)
	}
	// Nobody took the greeting out of the pipe, and nobody answered it.
	ours.Close()
	fromServer.Close()
	left, err := io.ReadAll(toServer)
	if err != nil || string(left) != greeting {
		t.Errorf("the greeting was read: %q left, %v", left, err)
	}
	if answer, err := io.ReadAll(theirs); err != nil || len(answer) != 0 {
		t.Errorf("it answered %q: %v", answer, err)
	}
}

func TestNoFlagAndNoKeySetsWhatOnlyADrillMay(t *testing.T) { // promise: PRO-7
	program, data := initialised(t)
	for _, flag := range []string{"--now", "--clock", "--time", "--sabotage", "--mail-retry", "--simulate", "--drill", "--env"} {
		out, err := exec.Command(program, "serve", "--data", data, flag, "2020-01-01T00:00:00Z").CombinedOutput()
		var failed *exec.ExitError
		if !errors.As(err, &failed) || failed.ExitCode() != 2 || !strings.Contains(string(out), "unknown flag") {
			t.Errorf("serve %s: %v: %s", flag, err, out)
		}
	}
	// The flags that there are, by name: a new one has to be thought about here.
	help, err := exec.Command(program, "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for line := range strings.Lines(string(help)) {
		for _, word := range strings.Fields(line) {
			if name, ok := strings.CutPrefix(word, "--"); ok && strings.HasPrefix(strings.TrimSpace(line), "-") {
				flags = append(flags, name)
			}
		}
	}
	slices.Sort(flags)
	if want := []string{"config", "data", "help", "json", "listen", "server", "store", "token-file"}; !slices.Equal(slices.Compact(flags), want) {
		t.Errorf("flags of serve: %v, want %v", flags, want)
	}
}

// A drill's folder with a pipe at only one of the two descriptors, or with files there, has no
// conductor: it is read-only.
func TestADrillFolderWithoutItsPipesIsReadOnly(t *testing.T) {
	program, data := initialised(t)
	marker := filepath.Join(data, "installation.json")
	body, err := os.ReadFile(marker)
	if err != nil {
		t.Fatal(err)
	}
	// A folder that was never served has no facts yet, so nothing contradicts the marker.
	if err := os.WriteFile(marker, []byte(strings.Replace(string(body), "production", "drill", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	serveOnce := func(files []*os.File) string {
		t.Helper()
		p, said, err := launch(program, filepath.Dir(data), os.Environ(), files, "--data", data)
		if p != nil {
			defer p.halt(syscall.SIGKILL)
		}
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(filepath.Dir(data), "serve.log"))
			return string(log)
		}
		if code, err := p.halt(syscall.SIGTERM); err != nil || code != 0 {
			t.Errorf("exit %d: %v", code, err)
		}
		return said
	}
	// With both pipes it is a drill that runs, and the end of its pipe stops it.
	toServer, ours, _ := os.Pipe()
	theirs, fromServer, _ := os.Pipe()
	p, said, err := func() (*process, string, error) {
		if _, err := ours.WriteString(strings.Replace(strings.Replace(greeting, "127.0.0.1:1\"", "127.0.0.1:0\"", 1), "gate-open", "", 1)); err != nil {
			t.Fatal(err)
		}
		return launch(program, filepath.Dir(data), os.Environ(), []*os.File{toServer, fromServer}, "--data", data)
	}()
	if err != nil {
		t.Fatal(err)
	}
	defer p.halt(syscall.SIGKILL)
	var ready struct {
		Ready bool
		Addr  string
	}
	if err := json.NewDecoder(theirs).Decode(&ready); err != nil || !ready.Ready || !strings.Contains(said, ready.Addr) {
		t.Errorf("the drill's server: %+v %v, said %q", ready, err, said)
	}
	if at, _ := simulated(t, data); at.Year() != 2020 {
		t.Errorf("in the drill it is %v", at)
	}
	ours.Close()
	select {
	case <-p.gone:
	case <-time.After(10 * time.Second):
		t.Fatal("it did not stop at the end of its pipe")
	}
	toServer.Close()
	theirs.Close()
	fromServer.Close()

	file, err := os.CreateTemp(t.TempDir(), "greeting")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.WriteString(greeting)
	file.Seek(0, io.SeekStart)
	r, w, _ := os.Pipe()
	defer r.Close()
	defer w.Close()
	w.WriteString(greeting)
	for what, files := range map[string][]*os.File{"no descriptors": nil, "files": {file, file}, "one pipe": {r}} {
		if said := serveOnce(files); !strings.Contains(said, "finished drill: it is shown read-only") || !strings.Contains(said, "read it, once: http://127.0.0.1:") {
			t.Errorf("%s: it said %q", what, said)
		}
	}
}

func TestTheServerStopsWithinTenSecondsWithStreamsOpen(t *testing.T) {
	program, data := initialised(t)
	p, said, err := launch(program, filepath.Dir(data), os.Environ(), nil, "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	defer p.halt(syscall.SIGKILL)
	_, key, err := socketClient(t, data).NewMachineKey(t.Context(), "switch", "app", "example_app")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address.FindStringSubmatch(said)[1]+"/v1/switches/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+string(key))
		r, err := http.DefaultClient.Do(q)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("stream: %v %v", r, err)
		}
		defer r.Body.Close()
	}
	began := time.Now()
	code, err := p.halt(syscall.SIGTERM)
	if err != nil || code != 0 || time.Since(began) > 8*time.Second {
		t.Errorf("exit %d after %v: %v", code, time.Since(began), err)
	}
}

// A check that waits for an answer that never comes is under way when the server is told to end.
func TestTheServerStopsWithinTenSecondsWithWorkInFlight(t *testing.T) {
	program, data := initialised(t)
	asked := make(chan struct{}, 16)
	released := make(chan struct{})
	deaf := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-released:
		case <-r.Context().Done():
		}
	}))
	defer deaf.Close()
	defer close(released)
	config := filepath.Join(data, "tocsin.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	check := "checks:\n  orders_api: { type: http, method: GET, url: '" + deaf.URL + "/healthz', timeout: 1m }\nnetwork: { allow: [ 127.0.0.0/8 ] }\n"
	if err := os.WriteFile(config, []byte(strings.Replace(string(text), "checks: {}\n", check, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _, err := launch(program, filepath.Dir(data), os.Environ(), nil, "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	defer p.halt(syscall.SIGKILL)
	c := socketClient(t, data)
	out, err := c.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Command(t.Context(), out.Incident, "check", map[string]any{"checks": []string{"orders_api"}}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-asked:
	case <-time.After(20 * time.Second):
		t.Fatal("the check was never run")
	}
	began := time.Now()
	code, err := p.halt(syscall.SIGTERM)
	if err != nil || code != 0 {
		t.Errorf("exit %d after %v: %v", code, time.Since(began), err)
	}
}

// Arguments are seen by every account of the machine: no command takes a secret as one.
func TestNoCommandTakesASecretAsAnArgument(t *testing.T) { // promise: PRO-12
	names := map[string]bool{"token-file": true, "secret": true, "private": true} // a file, the name of a stored secret, and that an incident is private
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			for _, word := range []string{"password", "token", "secret", "passphrase", "code", "credential-value", "private"} {
				if strings.Contains(f.Name, word) && !names[f.Name] {
					t.Errorf("%s --%s: is it a secret?", c.CommandPath(), f.Name)
				}
			}
		})
		for _, word := range []string{"CODE", "TOKEN", "SECRET", "PASSWORD", "LINK", "VALUE"} {
			if slices.Contains(strings.Fields(c.Use), word) && c.Name() != "answer" {
				t.Errorf("%s: is %s a secret?", c.UseLine(), word)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand())
}
