package driver

import (
	"bytes"
	"database/sql"
	"encoding/gob"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/internal/mysqltest"
	"github.com/tocsin-ir/tocsin/internal/translog"
)

// cutter stands between a log and its database, and can cut every connection after some more bytes,
// on the way there or on the way back.
type cutter struct {
	net.Listener
	to   string
	left atomic.Int64 // bytes until the cut; negative: none is made
	mu   sync.Mutex
	open map[net.Conn]bool
}

func startCutter(t testing.TB, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, to: to, open: map[net.Conn]bool{}}
	c.left.Store(-1)
	t.Cleanup(func() { l.Close(); c.cut() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			c.mu.Lock()
			c.open[in], c.open[out] = true, true
			c.mu.Unlock()
			go c.pass(in, out)
			go c.pass(out, in)
		}
	}()
	return c
}

// pass copies until the cut, byte by byte as it comes near, so that it falls anywhere.
func (c *cutter) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if left := c.left.Load(); left >= 0 {
				if left = c.left.Add(-int64(n)); left < 0 {
					_, _ = to.Write(buf[:max(0, int64(n)+left)]) // what still gets through
					c.cut()
					return
				}
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends every connection, and lets new ones be.
func (c *cutter) cut() {
	c.left.Store(-1)
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		conn.Close()
	}
	clear(c.open)
}

// A database that goes away in the middle of anything leaves each leaf in the log once: whoever
// appends looks at the size after an error, as the sealer and the anchorer do, and appends what is not
// there.
//
// promise: DET-1
// promise: INV-3
func TestADatabaseThatGoesAwayInTheMiddleLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"mysql", "s3+mysql"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, v := keys(t)
			cfg := places[kind](t)
			at := mysqltest.Address(t)
			_, host, _ := strings.Cut(at, "@")
			c := startCutter(t, host)
			cfg.URL = strings.Replace(cfg.URL, host, c.Addr().String(), 1)
			l := open(t, parsed(t, cfg), s, translog.Options{})
			chance := rand.New(rand.NewPCG(7, uint64(len(kind))))
			rounds := 25
			if kind != "mysql" {
				rounds = 5 // each takes the second in which the library puts leaves into the tree
			}
			var want [][]byte
			cuts := 0
			for range rounds {
				var batch [][]byte
				for range 1 + chance.IntN(40) {
					batch = append(batch, fmt.Appendf(nil, "leaf %d %s", len(want)+len(batch), strings.Repeat("x", chance.IntN(500))))
				}
				c.left.Store(int64(chance.IntN(30_000)))
				want = append(want, batch...)
				for {
					size, err := l.Size(t.Context())
					if err == nil {
						if size < uint64(len(want)-len(batch)) || size > uint64(len(want)) {
							t.Fatalf("%d leaves, want %d to %d", size, len(want)-len(batch), len(want))
						}
						if size == uint64(len(want)) {
							break
						}
						_, err = l.AppendMany(t.Context(), want[size:])
					}
					if err != nil {
						cuts++
					}
				}
			}
			c.left.Store(-1)
			if cuts == 0 {
				t.Error("nothing was cut")
			}
			t.Logf("%d leaves, %d failures in %d rounds", len(want), cuts, rounds)
			check(t, l, v, want)
		})
	}
}

// What an earlier process began and was not answered is in the tree when the log is opened. It died
// after it had given two leaves their places and written the objects of the tree with them, before its
// database said so: the objects are there already, and are not to be in the way.
//
// promise: DET-1
func TestALeafThatWasGivenItsPlaceBeforeACrashIsInTheTreeWhenTheLogIsOpened(t *testing.T) {
	t.Parallel()
	s, v := keys(t)
	p := parsed(t, places["s3+mysql"](t))
	l := open(t, p, s, translog.Options{})
	want := add(t, l, nil, 3)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	late := [][]byte{[]byte("leaf 3"), []byte("leaf 4")}
	same := open(t, parsed(t, places["folder"](t)), s, translog.Options{})
	if _, err := same.AppendMany(t.Context(), append(slices.Clone(want), late...)); err != nil {
		t.Fatal(err)
	}
	at, err := p.storage(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	o := at.(*objects)
	for _, name := range []string{"tile/0/000.p/5", "tile/entries/000.p/5"} {
		raw, err := same.File(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.bucket.Put(t.Context(), name, bytes.NewReader(raw), int64(len(raw)), true); err != nil {
			t.Fatal(err)
		}
	}
	// The row as the library writes it.
	type entry struct{ BundleData, LeafHash []byte }
	var entries []entry
	for _, leaf := range late {
		entries = append(entries, entry{append([]byte{0, byte(len(leaf))}, leaf...), rfc6962.DefaultHasher.HashLeaf(leaf)})
	}
	var row bytes.Buffer
	if err := gob.NewEncoder(&row).Encode(entries); err != nil {
		t.Fatal(err)
	}
	for _, do := range []struct {
		query string
		args  []any
	}{{"INSERT INTO Seq (id, seq, v) VALUES (0, 3, ?)", []any{row.Bytes()}}, {"UPDATE SeqCoord SET next = 5 WHERE id = 0", nil}} {
		if _, err := o.pool.ExecContext(t.Context(), do.query, do.args...); err != nil {
			t.Fatal(err)
		}
	}

	l = open(t, p, s, translog.Options{})
	want = append(want, late...)
	if size, err := l.Size(t.Context()); err != nil || size != 5 {
		t.Fatalf("%d leaves, %v, want 5", size, err)
	}
	check(t, l, v, add(t, l, want, 2))
}

func TestAServerThatWouldLoseOrRefuseIsRefused(t *testing.T) {
	// The settings are those of the whole server: nothing else runs beside this test.
	for _, c := range []struct{ set, back, want string }{
		{"innodb_flush_log_at_trx_commit = 2", "innodb_flush_log_at_trx_commit = 1", "set innodb_flush_log_at_trx_commit=1"},
		{"max_allowed_packet = 16777216", "max_allowed_packet = 67108864", "set max_allowed_packet=64M"},
	} {
		t.Run(c.set, func(t *testing.T) {
			s, _ := keys(t)
			p := parsed(t, places["mysql"](t))
			db, err := mysqltest.Open(mysqltest.Address(t))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec("SET GLOBAL " + c.set); err != nil {
				t.Fatal(err)
			}
			_, err = p.Open(t.Context(), s, translog.Options{})
			if _, err := db.Exec("SET GLOBAL " + c.back); err != nil {
				t.Fatal(err)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestWrongAccountsAndDatabasesAreNamed(t *testing.T) {
	s, _ := keys(t)
	at := mysqltest.Address(t)
	_, host, _ := strings.Cut(at, "@")
	for url, want := range map[string]string{
		"mysql://nobody@" + host + "/x":       "the server refuses the account",
		"mysql://" + at + "/there_is_no_such": "the server has no such database",
		"mysql://" + "root@127.0.0.1:1/x":     "connect",
	} {
		p := parsed(t, Config{URL: url})
		if _, err := p.Open(t.Context(), s, translog.Options{}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
}

// MariaDB can be told to fail a transaction that reads what another one changed since it began, and
// newer versions do so unless told otherwise. The library's driver waits for such a row with every
// batch, and asks for it before it reads anything.
func TestALogOnMariaDBDoesNotFailForWaiting(t *testing.T) {
	db, err := mysqltest.Open(mysqltest.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("SET GLOBAL innodb_snapshot_isolation = ON"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("this server has no such setting: %v", err)
	}
	defer func() {
		if _, err := db.Exec("SET GLOBAL innodb_snapshot_isolation = OFF"); err != nil {
			t.Error(err)
		}
	}()
	s, v := keys(t)
	p := parsed(t, places["mysql"](t))
	l := open(t, p, s, translog.Options{})
	held, err := p.openMySQL()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	var want [][]byte
	for range 5 {
		// Somebody holds the row and changes it, to what it is, while the append waits for it.
		tx, err := held.(tiles).pool.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("UPDATE TreeState SET size = size + 1 WHERE id = 0"); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("UPDATE TreeState SET size = size - 1 WHERE id = 0"); err != nil {
			t.Fatal(err)
		}
		appended := make(chan error, 1)
		go func() {
			_, err := l.Append(t.Context(), fmt.Appendf(nil, "leaf %d", len(want)))
			appended <- err
		}()
		waitForLockWait(t, db)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := <-appended; err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Appendf(nil, "leaf %d", len(want)))
	}
	check(t, l, v, want)
}

// waitForLockWait returns when a transaction waits for another.
func waitForLockWait(t testing.TB, db *sql.DB) {
	t.Helper()
	tick := time.NewTicker(150 * time.Millisecond) // the server looks anew when nobody has looked for 100 ms
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		var n int
		if err := db.QueryRow("SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
	t.Fatal("nobody waits for the row")
}

// promise: REC-3
func TestALogIsMovedToAnotherPlaceAndGoesOnThere(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"mysql", "s3+mysql"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, v := keys(t)
			from := parsed(t, places["folder"](t))
			l := open(t, from, s, translog.Options{})
			want := add(t, l, nil, 300, 256)
			check(t, l, v, want)
			if err := l.Prune(t.Context(), [][2]uint64{{0, 256}}); err != nil {
				t.Fatal(err)
			}
			to := parsed(t, places[kind](t))
			move := func() (translog.Copied, error) {
				return to.Import(t.Context(), l, s, v, nil, translog.Range{First: 0, N: 256})
			}
			for range 2 { // it may be repeated
				if done, err := move(); err != nil || done.Size != 556 {
					t.Fatalf("%d leaves, %v", done.Size, err)
				}
			}
			want = add(t, l, want, 5) // and goes on where it was left
			if _, _, err := l.CheckpointNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			if done, err := move(); err != nil || done.Size != 561 {
				t.Fatalf("%d leaves, %v", done.Size, err)
			}
			there := open(t, to, s, translog.Options{})
			add(t, there, want, 400)
			if _, _, err := there.CheckpointNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			if done, err := translog.Verify(t.Context(), there, v, translog.Range{First: 0, N: 256}); err != nil || done.Size != 961 {
				t.Fatalf("%d leaves, %v", done.Size, err)
			}
			if err := there.Close(); err != nil {
				t.Fatal(err)
			}
			// Nothing is cut: the log that is there has more leaves now.
			if _, err := move(); err == nil {
				t.Fatal("a longer log was replaced by a shorter one")
			}
			var other note.Signer
			other, _ = keys(t)
			if _, err := to.Import(t.Context(), l, other, v, nil); err == nil || !strings.Contains(err.Error(), "another installation") {
				t.Fatalf("by another key: %v", err)
			}
		})
	}
}
