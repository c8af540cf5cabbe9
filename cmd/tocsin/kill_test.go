package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
)

// A server is killed again and again while events stream in, each of which a rule fires on. Whatever
// was acknowledged is found, and nothing is found twice: not what was sent again because the answer
// was lost, and not what lay behind the last snapshot.
//
// promise: DET-2
func TestAKilledServerFindsEverythingAndNothingTwice(t *testing.T) {
	program, data := initialised(t)
	var p *process
	start := func() {
		t.Helper()
		var err error
		if p, _, err = launch(program, filepath.Dir(data), os.Environ(), nil, "--data", data); err != nil {
			t.Fatal(err)
		}
	}
	start()
	defer func() { p.halt(syscall.SIGKILL) }()
	_, key, err := socketClient(t, data).NewMachineKey(t.Context(), "ingest", "github", "example_app")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixMilli()
	send := func(i int) error {
		c, err := client.New("unix://"+filepath.Join(data, "tocsin.sock"), client.WithTries(1, 0), client.WithToken(key))
		if err != nil {
			return err
		}
		body := fmt.Sprintf(`{"@timestamp":%d,"_document_id":"doc-%d","action":"repo.access","actor":"thief-%d","org":"acme","repo":"acme/shop","visibility":"public"}`, now, i, i)
		r, err := c.Ingest(t.Context(), fmt.Sprint("batch-", i), "github", []byte(body))
		if err == nil && r.Accepted+r.Duplicates != 1 {
			err = fmt.Errorf("event %d: %+v", i, r)
		}
		return err
	}
	const events, lives = 24, 3
	for life := range lives {
		var sent atomic.Int64
		done := make(chan struct{})
		go func() { // the stream goes on until the server is gone
			defer close(done)
			for i := life * events / lives; i < (life+1)*events/lives; i++ {
				if send(i) != nil {
					return
				}
				sent.Add(1)
			}
		}()
		for tick := time.NewTicker(time.Millisecond); sent.Load() < events/lives/2; <-tick.C {
			select {
			case <-done:
				t.Fatalf("life %d: the stream ended after %d events", life, sent.Load())
			default:
			}
		}
		if _, err := p.halt(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-done
		start()
		for i := range (life + 1) * events / lives { // whatever was not answered, and what was
			if err := send(i); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := socketClient(t, data)
	found := map[string]int{}
	for deadline := time.Now().Add(20 * time.Second); len(found) < events && time.Now().Before(deadline); {
		clear(found)
		rows, err := c.Board(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			raw, err := c.Incident(t.Context(), row.ID)
			if err != nil {
				t.Fatal(err)
			}
			for i := range events {
				said := fmt.Sprintf(`"sentence":"thief-%d made acme/shop public"`, i)
				found[fmt.Sprint(i)] += strings.Count(string(raw), said)
			}
		}
		for k, n := range found {
			if n == 0 {
				delete(found, k)
			}
		}
	}
	for i := range events {
		if n := found[fmt.Sprint(i)]; n != 1 {
			t.Errorf("event %d was found %d times", i, n)
		}
	}
}
