package storetest

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/soaktest"
	"github.com/tocsin-ir/tocsin/ledger"
)

// The child process of the tests that kill: the test program itself, told what to do by these.
const (
	roleVariable    = "STORETEST_ROLE"
	addressVariable = "STORETEST_ADDRESS"

	roleAppend = "append" // append facts and say which were acknowledged, until killed
	roleJob    = "job"    // start a job that never ends, until killed
)

// Main is the TestMain of a database's tests. open opens the store at a Place's address, in this
// or in a child process.
func Main(m *testing.M, open func(address string) (ledger.Store, error)) int {
	role := os.Getenv(roleVariable)
	if role == "" {
		return m.Run()
	}
	// Whatever happens to the parent, a child ends by itself.
	time.AfterFunc(time.Minute, func() { os.Exit(3) })
	if err := child(role, os.Getenv(addressVariable), open); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	return 0
}

func child(role, address string, open func(string) (ledger.Store, error)) error {
	s, err := open(address)
	if err != nil {
		return err
	}
	switch role {
	case roleAppend:
		return appendForever(s)
	case roleJob:
		err := s.Update(context.Background(), func(tx ledger.Tx) error { return tx.Enqueue(job("interrupted")) })
		if err != nil {
			return err
		}
		return errors.Join(s.Run(context.Background(), 1, func(_ context.Context, j ledger.Job) error {
			fmt.Println("running", j.ID)
			select {} // until killed
		}, nil), hang())
	}
	return fmt.Errorf("unknown role %q", role)
}

// hang waits for the end of the process.
func hang() error { select {} }

func appendForever(s ledger.Store) error {
	keys := &Keys{}
	var print sync.Mutex
	failed := make(chan error)
	for c := range 8 {
		go func() {
			for i := 0; ; i++ {
				var records []ledger.Record
				err := s.Update(context.Background(), func(tx ledger.Tx) (err error) {
					if records, err = Append(tx, keys, Fact(fmt.Sprintf("INC-%d", c%3), i, "m_1")); err != nil {
						return err
					}
					return errors.Join(tx.Enqueue(job(records[0].ID)),
						tx.PutRow("board", ledger.Row{Key: records[0].ID, Rank: "a", Body: []byte(`{}`)}))
				})
				if err != nil {
					failed <- err
					return
				}
				print.Lock()
				fmt.Println(records[0].ID, hex.EncodeToString(records[0].Hash))
				print.Unlock()
			}
		}()
	}
	return <-failed
}

// AddressedPlace is a place that a child process can open too.
type AddressedPlace interface {
	Place
	Address() string
}

// start starts a child and returns a scanner over what it says.
func startChild(t *testing.T, role string, p AddressedPlace) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role, addressVariable+"="+p.Address())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed, which Wait reports as an error
}

// RunKilled runs the tests that kill a process with SIGKILL and look at what it left.
func RunKilled(t *testing.T, place func(t *testing.T) AddressedPlace) {
	t.Run("EveryAcknowledgedFactSurvivesKill", func(t *testing.T) { killedAppends(t, place(t), 1, 37, 150) })
	t.Run("AJobOfAKilledProcessRunsAgainAtOnce", func(t *testing.T) { killedJob(t, place(t)) })
}

// SoakKilled kills as often as make soak has time for, each time after another number of commands.
func SoakKilled(t *testing.T, place func(t *testing.T) AddressedPlace) {
	s := soaktest.Start(t)
	chance := s.Rand()
	after := make([]int, s.Rounds(t, "kills of a process that appends", 40, 200))
	for i := range after {
		after[i] = 1 + chance.IntN(200)
	}
	killedAppends(t, place(t), after...)
	for range s.Rounds(t, "kills of a process that runs a job", 10, 50) {
		killedJob(t, place(t))
	}
}

// killedAppends kills a process that appends, after it has acknowledged each of these numbers of
// facts, and looks at what it left.
func killedAppends(t *testing.T, p AddressedPlace, kills ...int) {
	acknowledged := map[string]string{}
	for _, after := range kills {
		cmd, lines := startChild(t, roleAppend, p)
		for n := 0; n < after && lines.Scan(); n++ {
			id, hash, _ := strings.Cut(lines.Text(), " ")
			acknowledged[id] = hash
		}
		kill(t, cmd)
		for lines.Scan() { // what it had said before it died; a torn last line is not complete
			if id, hash, ok := strings.Cut(lines.Text(), " "); ok && len(hash) == 64 {
				acknowledged[id] = hash
			}
		}
		s, err := p.Open()
		if err != nil {
			t.Fatal(err)
		}
		stored := map[string]string{}
		for _, r := range verify(t, s) {
			stored[r.ID] = hex.EncodeToString(r.Hash)
		}
		for id, hash := range acknowledged {
			if stored[id] != hash {
				t.Fatalf("fact %s was acknowledged with hash %s, stored is %q", id, hash, stored[id])
			}
		}
		busy, err := s.Busy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		view(t, s, func(r ledger.Reader) error {
			rows, err := r.Rows("board", "", "", 0)
			// What was written together is there together, acknowledged or not.
			if len(rows) != len(stored) || busy != len(stored) {
				t.Errorf("%d facts, %d rows, %d jobs: a command was torn", len(stored), len(rows), busy)
			}
			return err
		})
		shut(t, s)
	}
	t.Logf("%d facts were acknowledged before %d kills", len(acknowledged), len(kills))
}

func killedJob(t *testing.T, p AddressedPlace) {
	cmd, lines := startChild(t, roleJob, p)
	if !lines.Scan() || lines.Text() != "running interrupted" {
		t.Fatalf("the child said %q", lines.Text())
	}
	kill(t, cmd)
	s, c := open(t, p), &tally{}
	if n, err := s.Busy(t.Context()); err != nil || n != 1 {
		t.Errorf("busy after the kill: %d, %v", n, err)
	}
	began := time.Now()
	run(t, s, 1, c.work)
	idle(t, s)
	if c.of("interrupted") != 1 {
		t.Errorf("the interrupted job ran %d times", c.of("interrupted"))
	}
	t.Logf("the interrupted job was over %s after the start", time.Since(began))
}
