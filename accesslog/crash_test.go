package accesslog_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/internal/soaktest"
	"github.com/tocsin-ir/tocsin/internal/translog"
)

const childEnv = "TOCSIN_TEST_INGEST_INTO"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		ingestUntilKilled(dir)
		return
	}
	os.Exit(m.Run())
}

// ingestUntilKilled sends batches from four senders and prints the id of each event once it is
// acknowledged. It ends when its standard input does, should nobody kill it.
func ingestUntilKilled(dir string) {
	skey, err := os.ReadFile(filepath.Join(dir, "key"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	signer, err := note.NewSigner(string(skey))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s := &site{dir: dir, now: noon, flush: time.Millisecond, signer: signer}
	s.openOrExit()
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	run := os.Getenv("TOCSIN_TEST_RUN")
	var out sync.Mutex
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 100_000 {
				var b strings.Builder
				var ids []string
				for k := range 1 + (i*7+g)%40 {
					id := fmt.Sprintf("%s-%d-%d-%d", run, g, i, k)
					ids = append(ids, id)
					fmt.Fprintln(&b, line(id, noon, ""))
				}
				r, err := s.Ingest(context.Background(), app, "", "", strings.NewReader(b.String()))
				if err != nil || r.Accepted != len(ids) {
					fmt.Fprintln(os.Stderr, r, err)
					os.Exit(1)
				}
				out.Lock()
				os.Stdout.WriteString(strings.Join(ids, "\n") + "\n")
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

func (s *site) openOrExit() {
	var err error
	if s.log, err = translog.Open(context.Background(), filepath.Join(s.dir, "log", "events"), s.signer, translog.Options{}); err == nil {
		s.Store, err = accesslog.Open(context.Background(), accesslog.Options{
			Dir: s.dir, Keys: testKeys{}, Log: s.log, Now: s.clock, Env: "production", FlushAge: s.flush,
			Table: table.Options{FlushRows: 100, FlushAge: 30 * time.Millisecond}, // so that kills meet its commits
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// promise: DET-1
func TestKilledAtAnyInstantEveryAcknowledgedEventIsInTableAndLogOnce(t *testing.T) {
	killed(t, 150, 850, 1550, 1900, 2250)
}

func TestSoakKilled(t *testing.T) {
	s := soaktest.Start(t)
	chance := s.Rand()
	after := make([]int, s.Rounds(t, "kills of a process that takes events in", 200, 200))
	for i := range after {
		after[i] = 2 + chance.IntN(2500)
	}
	killed(t, after...)
}

// killed kills a process that takes events in, after it has acknowledged each of these numbers of
// them, and looks at what is in the table and in the log.
func killed(t *testing.T, kills ...int) {
	t.Helper()
	s := newSite(t)
	s.close()
	skey, vkey, err := note.GenerateKey(nil, "javabeanai/events")
	if err != nil {
		t.Fatal(err)
	}
	if s.signer, err = note.NewSigner(skey); err != nil {
		t.Fatal(err)
	}
	if s.verify, err = note.NewVerifier(vkey); err != nil {
		t.Fatal(err)
	}
	s.dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(s.dir, "key"), []byte(skey), 0o600); err != nil {
		t.Fatal(err)
	}
	acked := map[string]bool{}
	for run, after := range kills {
		for _, id := range killAfter(t, s.dir, fmt.Sprint(run), after) {
			acked[id] = true
		}
	}
	s.open(t)
	table := map[string]bool{}
	for _, e := range s.all(t) {
		if table[e.ID] {
			t.Fatalf("%s is in the table twice", e.ID)
		}
		table[e.ID] = true
	}
	logged := map[string]bool{}
	for _, id := range s.sealedIDs(t) {
		if logged[id] {
			t.Fatalf("%s is in the log twice", id)
		}
		logged[id] = true
	}
	for id := range acked {
		if !table[id] || !logged[id] {
			t.Fatalf("%s was acknowledged; in the table: %v, in the log: %v", id, table[id], logged[id])
		}
	}
	if len(table) != len(logged) {
		t.Fatalf("%d events in the table and %d in the log", len(table), len(logged))
	}
	s.sameInColumns(t)
	t.Logf("%d acknowledged, %d stored", len(acked), len(table))
}

// killAfter runs the child until it has acknowledged n events, kills it, and returns the ids that
// it acknowledged.
func killAfter(t *testing.T, dir, run string, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, "TOCSIN_TEST_RUN="+run)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		ids = append(ids, lines.Text())
		if len(ids) == n {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if len(ids) < n {
		t.Fatalf("the child stopped after %d events: %s", len(ids), stderr.String())
	}
	// The last line may be cut in the middle by the kill; a cut id is no acknowledgement.
	return ids[:len(ids)-1]
}

// faulty is a log that fails as told.
type faulty struct {
	accesslog.Log
	before, after atomic.Bool // fail before the append, or after it
}

var errDisk = errors.New("disk full")

func (f *faulty) AppendMany(ctx context.Context, data [][]byte) ([]uint64, error) {
	if f.before.Load() {
		return nil, errDisk
	}
	idx, err := f.Log.AppendMany(ctx, data)
	if f.after.Load() {
		return nil, errDisk
	}
	return idx, err
}

// Each write of sealing × (failed | failed and persisted all the same): nothing is lost, nothing
// is there twice, and Sealed says why it does not go on.
func TestAFailedAppendIsTriedAgainAndNeverDoubled(t *testing.T) {
	for _, persisted := range []bool{false, true} {
		t.Run(fmt.Sprintf("persisted=%v", persisted), func(t *testing.T) {
			s := newSite(t)
			s.Store.Close()
			f := &faulty{Log: s.log}
			var err error
			s.Store, err = accesslog.Open(t.Context(), accesslog.Options{Dir: s.dir, Keys: testKeys{}, Log: f, Now: s.clock, FlushAge: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if persisted {
				f.after.Store(true)
			} else {
				f.before.Store(true)
			}
			s.take(t, line("a", noon, "")+"\n"+line("b", noon, ""))
			if _, _, err := s.Sealed(t.Context()); !errors.Is(err, errDisk) {
				t.Fatalf("Sealed said %v", err)
			}
			f.before.Store(false)
			f.after.Store(false)
			s.Store.Close() // seals what is left, as an orderly stop does
			s.open2(t)
			if got := s.sealedIDs(t); strings.Join(got, " ") != "a b" {
				t.Fatalf("the log holds %v", got)
			}
			if size, err := s.log.Size(t.Context()); err != nil || size != 1 {
				t.Fatalf("the log has %d leaves, %v", size, err)
			}
		})
	}
}

// open2 opens the store again on the log that is open.
func (s *site) open2(t *testing.T) {
	t.Helper()
	var err error
	s.Store, err = accesslog.Open(t.Context(), accesslog.Options{Dir: s.dir, Keys: testKeys{}, Log: s.log, Now: s.clock, FlushAge: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
}

func TestALogThatWasCutOrIsAnothersIsRefused(t *testing.T) {
	s := newSite(t)
	s.take(t, line("a", noon, ""))
	s.sealedIDs(t)
	s.close()
	if err := os.RemoveAll(filepath.Join(s.dir, "log")); err != nil {
		t.Fatal(err)
	}
	log, err := translog.Open(t.Context(), filepath.Join(s.dir, "log", "events"), s.signer, translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	_, err = accesslog.Open(t.Context(), accesslog.Options{Dir: s.dir, Keys: testKeys{}, Log: log, Now: s.clock})
	if err == nil || !strings.Contains(err.Error(), "was cut or is another log") {
		t.Fatalf("error %v", err)
	}
}
