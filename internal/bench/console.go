package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// consolePages measures the board and an incident room over HTTP on loopback, with 1,000 incidents.
func consolePages(ctx context.Context, o Options) ([]Result, error) {
	d, done, err := bare(filepath.Join(o.Dir, "console"))
	if err != nil {
		return nil, err
	}
	results, err := pages(ctx, o, d)
	return results, errors.Join(err, done())
}

// wall is a console over a desk with incidents, and somebody who is signed in.
type wall struct {
	server *httptest.Server
	token  string
}

func newWall(ctx context.Context, d *desk.Desk, incidents int) (*wall, error) {
	who := desk.Caller{Principal: "person:bench", Name: "Bench", Access: incident.Owner, Roles: []string{"lead"}}
	err := together(32, func(c int) error {
		for i := c; i < incidents; i += 32 {
			if _, err := d.OpenIncident(ctx, "", who, incident.Open{Class: "exposure", Title: fmt.Sprint("incident ", i)}); err != nil {
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		return 0, err
	}
	req.AddCookie(&http.Cookie{Name: "tocsin", Value: w.token})
	began := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s answered %s", path, resp.Status)
	}
	return time.Since(began), nil
}

func pages(ctx context.Context, o Options, d *desk.Desk) ([]Result, error) {
	incidents := o.of(1000)
	w, err := newWall(ctx, d, incidents)
	if err != nil {
		return nil, err
	}
	defer w.server.Close()
	var p50s, p99s series
	var board, room []time.Duration
	for round := range 6 {
		var took []time.Duration
		for i := range o.of(400) {
			path, kind := "/", &board
			if i%2 == 1 {
				path, kind = fmt.Sprintf("/incidents/INC-%d", 1+(i*37+round)%incidents), &room
			}
			t, err := w.get(ctx, path)
			if err != nil {
				return nil, err
			}
			took = append(took, t)
			*kind = append(*kind, t)
		}
		if round > 0 { // the first warms up
			p50s, p99s = append(p50s, percentile(took, 50)), append(p99s, percentile(took, 99))
		}
	}
	notes := fmt.Sprintf("board and incident rooms in turn, %d open incidents of 20 duties, one reader on loopback, whole pages; board p50 %.1f ms, p99 %.1f ms; room p50 %.1f ms, p99 %.1f ms",
		incidents, percentile(board, 50), percentile(board, 99), percentile(room, 50), percentile(room, 99))
	return []Result{
		figure("page-p50", "ms", "lower", p50s, "", nil, notes),
		figure("page-p99", "ms", "lower", p99s, "", nil, notes+"; the aim is 50 ms"),
	}, nil
}
