package app

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/clock"
)

// simulated runs a server on a folder of a drill, whose clock the test moves: as a drill's conductor
// does it, without its pipe.
func simulated(t *testing.T, dir string, at time.Time) (a *App, clock *clock.Drill, stop func()) {
	t.Helper()
	r, w := io.Pipe() // open as long as the server runs: its end is the conductor's
	d, err := readDrill(io.MultiReader(strings.NewReader(fmt.Sprintf(`{"hello":"tocsin-drill/1","now":%q,"listen":"127.0.0.1:0"}`+"\n", at.Format(time.RFC3339))), r), io.Discard, func() { r.Close() })
	if err != nil {
		t.Fatal(err)
	}
	in, err := ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := LoadConfig(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if a, err = assemble(t.Context(), Options{Dir: dir}, in, cfg, d); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		w.Close()
		if err := a.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	t.Cleanup(stop)
	return a, d.clock, stop
}

// take sends accesses of a merchant's customers, each with an id that begins as given.
func take(t *testing.T, a *App, c *client.Client, id string, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"id":"%s-%d","time":%q,"kind":"pii_access","actor":{"type":"service","id":"worker"},"credential":"tok_1","action":"read","merchant":"m_%d","records":1,"data_types":["customer.email"],"subjects":[{"kind":"account","id":"c-%d","region":"DE"}],"source":{"ip":"203.0.113.9"}}`+"\n",
			id, i, a.desk.Now().UTC().Add(-time.Duration(i)*time.Second).Format(time.RFC3339), i%3+1, i)
	}
	if got, err := c.Ingest(t.Context(), id, "native", []byte(b.String())); err != nil || int(got.Accepted) != n {
		t.Fatalf("taken in: %+v, %v", got, err)
	}
}

// until waits for what the server does by itself.
func until(t *testing.T, what string, done func() (bool, error)) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; {
		ok, err := done()
		if ok && err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// removedDays waits until so many days of the access log are removed, and nothing is left of them.
func removedDays(t *testing.T, c *client.Client, want int) (days []client.LogDay) {
	t.Helper()
	until(t, fmt.Sprintf("%d days are removed", want), func() (bool, error) {
		all, err := c.LogDays(t.Context())
		days = nil
		for _, d := range all.Days {
			if d.State == "removed" && !d.Left {
				days = append(days, d)
			}
		}
		return len(days) == want, err
	})
	return days
}
