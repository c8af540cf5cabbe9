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

func pages(ctx context.Context, o Options, d *desk.Desk) ([]Result, error) {
	who := desk.Caller{Principal: "person:bench", Name: "Bench", Access: incident.Owner, Roles: []string{"lead"}}
	incidents := o.of(1000)
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
	server := httptest.NewServer(console.New(d, console.Options{Organisation: "Bench", Env: "production"}))
	defer server.Close()
	get := func(path string) (time.Duration, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			return 0, err
		}
		req.AddCookie(&http.Cookie{Name: "tocsin", Value: token})
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
	var p50s, p99s []float64
	for round := range 4 {
		var took []time.Duration
		for i := range 200 {
			path := "/"
			if i%2 == 1 {
				path = fmt.Sprintf("/incidents/INC-%d", 1+(i*37+round)%incidents)
			}
			t, err := get(path)
			if err != nil {
				return nil, err
			}
			took = append(took, t)
		}
		if round > 0 { // the first round warms up
			p50s, p99s = append(p50s, percentile(took, 50)), append(p99s, percentile(took, 99))
		}
	}
	notes := "board and incident rooms in turn, 1,000 open incidents, one reader on loopback"
	return []Result{
		figure("page-p50", "ms", "lower", p50s, "", nil, notes),
		figure("page-p99", "ms", "lower", p99s, "", nil, notes+"; aim 50 ms"),
	}, nil
}
