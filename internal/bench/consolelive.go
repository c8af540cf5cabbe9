package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// A crowd is 64 people at the console and one who writes: half of them have the board open, the others the
// rooms of eight incidents. Each page listens to its stream and fetches itself when something moved, at most
// twice a second as the console's own script does, and every other second each person goes to a page.
type crowd struct {
	w     *wall
	d     *desk.Desk
	began [crowdRooms]atomic.Int64 // when the writer gave the newest command to an incident, in Unix nanoseconds
	last  atomic.Int64             // to any of them

	mu            sync.Mutex
	pages         []time.Duration // pages that people went to
	heard, screen []time.Duration // from giving the command to the event, and to the end of the new page
}

const (
	crowdReaders = 64
	crowdRooms   = 8
	crowdEach    = 8 // readers of one person
)

// run lets the crowd read and the writer write for a while.
func (c *crowd) run(ctx context.Context, tokens []string, spend time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, spend)
	defer cancel()
	ready := make(chan struct{}, crowdReaders)
	writer := func() error {
		for range crowdReaders { // every stream is there
			select {
			case <-ready:
			case <-ctx.Done():
				return errors.New("the streams of the readers did not begin in time")
			}
		}
		every := time.NewTicker(600 * time.Millisecond)
		defer every.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return nil
			case <-every.C:
			}
			room := n % crowdRooms
			at := time.Now().UnixNano()
			c.began[room].Store(at)
			c.last.Store(at)
			who := desk.Caller{Principal: "person:writer", Name: "Writer", Access: incident.Owner, Roles: []string{"lead"}}
			if _, err := c.d.Submit(ctx, desk.Request{Incident: fmt.Sprint("INC-", room+1), Command: incident.Note{Text: fmt.Sprint("line ", n)}, Caller: who}); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
	return together(2*crowdReaders+1, func(i int) error {
		if i == 0 {
			return writer()
		}
		i--
		reader := i / 2
		path, since := "/", &c.last
		if reader%2 == 1 {
			room := reader / 2 % crowdRooms
			path, since = fmt.Sprint("/incidents/INC-", room+1), &c.began[room]
		}
		token := tokens[reader/crowdEach]
		var err error
		if i%2 == 0 {
			err = c.listen(ctx, token, path, since, ready)
		} else {
			err = c.wander(ctx, token, reader)
		}
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
}

// listen follows the stream of a page and fetches the page when it moved.
func (c *crowd) listen(ctx context.Context, token, path string, since *atomic.Int64, ready chan<- struct{}) error {
	stream := strings.TrimSuffix(path, "/") + "/stream"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.w.server.URL+stream, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.AddCookie(&http.Cookie{Name: "tocsin", Value: token})
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", stream, resp.Status)
	}
	ready <- struct{}{}
	var fetched int64
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		at := since.Load()
		if lines.Text() != "event: moved" || at == 0 || at == fetched {
			continue
		}
		heard := time.Since(time.Unix(0, at))
		if _, err := c.w.readAs(ctx, token, path); err != nil {
			return err
		}
		fetched = at
		c.mu.Lock()
		c.heard, c.screen = append(c.heard, heard), append(c.screen, time.Since(time.Unix(0, at)))
		c.mu.Unlock()
	}
	return lines.Err()
}

// wander goes to a page every other second, not all people at once.
func (c *crowd) wander(ctx context.Context, token string, reader int) error {
	next := time.NewTimer(time.Duration(reader) * 2 * time.Second / crowdReaders)
	defer next.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		path := "/"
		if n%2 == 1 {
			path = fmt.Sprintf("/incidents/INC-%d", 1+(reader*7+n)%crowdRooms)
		}
		began := time.Now()
		if _, err := c.w.readAs(ctx, token, path); err != nil {
			return err
		}
		took := time.Since(began)
		c.mu.Lock()
		c.pages = append(c.pages, took)
		c.mu.Unlock()
		next.Reset(2 * time.Second)
	}
}

// live measures a crowd, and beside it the same pages fetched by one reader alone: the least that an event
// can take to be on a screen.
func live(ctx context.Context, o Options, d *desk.Desk, w *wall, incidents, open int) ([]Result, error) {
	if err := d.Start(ctx); err != nil { // who listens hears of commits from a desk that runs
		return nil, err
	}
	defer d.Stop()
	tokens := make([]string, crowdReaders/crowdEach)
	for i := range tokens {
		secret, err := desk.NewSecret()
		if err != nil {
			return nil, err
		}
		tokens[i] = secret
		d.Admit(secret, desk.Caller{Principal: incident.Principal(fmt.Sprint("person:reader-", i)), Name: fmt.Sprint("Reader ", i), Access: incident.Responder})
	}
	var screens, alone, pages99 series
	var heard, screen []time.Duration
	for round := range o.of(200)/50 + 1 { // the first warms up
		c := &crowd{w: w, d: d}
		if err := c.run(ctx, tokens, time.Duration(max(o.of(4000), 1500))*time.Millisecond); err != nil {
			return nil, err
		}
		if len(c.screen) == 0 || len(c.pages) == 0 {
			return nil, errors.New("no event came to a screen")
		}
		var one []time.Duration
		for i := range o.of(100) {
			took, err := w.get(ctx, fmt.Sprintf("/incidents/INC-%d", 1+i%crowdRooms))
			if err != nil {
				return nil, err
			}
			one = append(one, took)
		}
		if round > 0 || o.Short {
			screens, alone, pages99 = append(screens, percentile(c.screen, 99)), append(alone, percentile(one, 50)), append(pages99, percentile(c.pages, 99))
			heard, screen = append(heard, c.heard...), append(screen, c.screen...)
		}
	}
	notes := fmt.Sprintf("from giving a command to the end of the new page, p99; %d readers with streams, one writer with a note every 0.6 s, %d incidents of which %d are open; all on one machine with the server; on the screen p50 %.1f ms; the event itself p50 %.1f ms, p99 %.1f ms; pages that the readers went to meanwhile p99 %.1f ms; asked 200 ms, the aim is 50 ms",
		crowdReaders, incidents, open, percentile(screen, 50), percentile(heard, 50), percentile(heard, 99), median(pages99))
	return []Result{figure("sse-delay", "ms", "lower", screens, "one page fetched by one reader, with nobody else there", alone, notes)}, nil
}
