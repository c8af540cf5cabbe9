package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// consolePages measures the board and an incident room over HTTP on loopback, with 1,000 incidents.
func consolePages(ctx context.Context, o Options) ([]Result, error) {
	before := resident()
	d, done, err := bare(filepath.Join(o.Dir, "console"))
	if err != nil {
		return nil, err
	}
	results, err := pages(ctx, o, d, before)
	return results, errors.Join(err, done())
}

// wall is a console over a desk with incidents, and somebody who is signed in.
type wall struct {
	server *httptest.Server
	token  string
}

func newWall(ctx context.Context, d *desk.Desk, incidents, open int) (*wall, error) {
	who := desk.Caller{Principal: "person:bench", Name: "Bench", Access: incident.Owner, Roles: []string{"lead"}}
	err := together(32, func(c int) error {
		for i := c; i < incidents; i += 32 {
			out, err := d.OpenIncident(ctx, "", who, incident.Open{Class: "exposure", Title: fmt.Sprint("incident ", i)})
			if err != nil {
				return err
			}
			if n, _ := strconv.Atoi(strings.TrimPrefix(out.Incident, "INC-")); n <= open {
				continue
			}
			if _, err := d.Submit(ctx, desk.Request{Incident: out.Incident, Command: incident.Dismiss{Reason: "a false alarm"}, Caller: who}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	token, err := desk.NewSecret()
	if err != nil {
		return nil, err
	}
	d.Admit(token, who)
	return &wall{httptest.NewServer(console.New(d, console.Options{Organisation: "Bench", Env: "production"})), token}, nil
}

// get reads a page to its end and returns how long that took.
func (w *wall) get(ctx context.Context, path string) (time.Duration, error) {
	began := time.Now()
	_, err := w.read(ctx, path)
	return time.Since(began), err
}

func (w *wall) read(ctx context.Context, path string) ([]byte, error) {
	return w.readAs(ctx, w.token, path)
}

func (w *wall) readAs(ctx context.Context, token, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		return nil, err
	}
	req.AddCookie(&http.Cookie{Name: "tocsin", Value: token})
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", path, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// pages reads pages; before is what the process held in memory before there was a desk, in MB.
func pages(ctx context.Context, o Options, d *desk.Desk, before float64) ([]Result, error) {
	incidents := o.of(1000)
	open := max(incidents/5, crowdRooms)
	w, err := newWall(ctx, d, incidents, open)
	if err != nil {
		return nil, err
	}
	defer w.server.Close()
	// The same answer from memory: what this machine's loopback, scheduler and noise take of each page.
	still, err := w.read(ctx, "/")
	if err != nil {
		return nil, err
	}
	memory := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = rw.Write(still) // a reader that went away is seen by the reader
	}))
	defer memory.Close()
	fixed := &wall{memory, w.token}
	var board, room []time.Duration
	var p50s, p99s, base50s, base99s series
	for round := range 6 {
		var took, base []time.Duration
		for i := range o.of(400) {
			path, kind := "/", &board
			if i%2 == 1 {
				path, kind = fmt.Sprintf("/incidents/INC-%d", 1+(i*37+round)%incidents), &room
			}
			t, err := w.get(ctx, path)
			if err != nil {
				return nil, err
			}
			took, *kind = append(took, t), append(*kind, t)
			if t, err = fixed.get(ctx, "/"); err != nil {
				return nil, err
			}
			base = append(base, t)
		}
		if round > 0 { // the first warms up
			p50s, p99s = append(p50s, percentile(took, 50)), append(p99s, percentile(took, 99))
			base50s, base99s = append(base50s, percentile(base, 50)), append(base99s, percentile(base, 99))
		}
	}
	notes := fmt.Sprintf("board and incident rooms in turn, %d incidents of 20 duties, %d of them open, one reader on loopback, whole pages; board p50 %.1f ms, p99 %.1f ms; room p50 %.1f ms, p99 %.1f ms; the baseline is the lowest there can be: what loopback and scheduler take of each page on this machine at this moment",
		incidents, open, percentile(board, 50), percentile(board, 99), percentile(room, 50), percentile(room, 99))
	lively, err := live(ctx, o, d, w, incidents, open)
	if err != nil {
		return nil, err
	}
	const baseline = "the board's bytes out of memory"
	return append([]Result{
		figure("page-p50", "ms", "lower", p50s, baseline, base50s, notes),
		figure("page-p99", "ms", "lower", p99s, baseline, base99s, "the aim is 50 ms; "+notes),
		figure("rss", "MB", "lower", series{resident()}, "the process before", series{before}, fmt.Sprintf("resident after the last page and %d streams, with a desk of %d incidents, %d of them open, and the readers themselves in the same process; garbage is not returned first; asked 250 MB, the aim is 120 MB", crowdReaders, incidents, open)),
	}, lively...), nil
}
