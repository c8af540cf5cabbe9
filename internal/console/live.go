package console

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// A page that is open hears of what happens by a stream of server-sent events, and fetches itself again.
// The stream carries no content: what a page shows is asked for like any page, by whoever may read it.
// A page says what it has seen; what happened before the stream was there, or while the machine slept, is
// said at once when it is.

const (
	// mostStreams is how many open pages are kept up to date at once; each holds a connection. The others
	// ask every ten seconds, as pages without a stream do.
	mostStreams = 512
	// mostStreamsEach is how many of them one person has.
	mostStreamsEach = 24
	// beat is how often a stream says that it is there, and looks whether its reader still may read.
	beat = 15 * time.Second
)

// presence is who has which incident open now. It is in memory alone: it is what the streams say, and
// ends with them.
type presence struct {
	mu      sync.Mutex
	rooms   map[string]map[*guest]bool // by incident
	streams int
	each    map[incident.Principal]int
}

// guest is one open page.
type guest struct {
	who  incident.Principal
	name string
	more chan struct{} // somebody came or went
}

// enter takes a stream in; room is "" for the board. It reports false where there are too many.
func (p *presence) enter(room string, who desk.Caller) (*guest, func(), bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams >= mostStreams || p.each[who.Principal] >= mostStreamsEach {
		return nil, nil, false
	}
	if p.each == nil {
		p.each, p.rooms = map[incident.Principal]int{}, map[string]map[*guest]bool{}
	}
	g := &guest{who.Principal, who.Name, make(chan struct{}, 1)}
	p.streams++
	p.each[g.who]++
	if room != "" {
		if p.rooms[room] == nil {
			p.rooms[room] = map[*guest]bool{}
		}
		p.rooms[room][g] = true
		p.tell(room)
	}
	return g, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.streams--
		if p.each[g.who]--; p.each[g.who] == 0 {
			delete(p.each, g.who)
		}
		if delete(p.rooms[room], g); len(p.rooms[room]) == 0 {
			delete(p.rooms, room)
		}
		p.tell(room)
	}, true
}

// tell wakes the streams of a room. Its caller holds the lock.
func (p *presence) tell(room string) {
	for g := range p.rooms[room] {
		select {
		case g.more <- struct{}{}:
		default: // it will look anyhow
		}
	}
}

// others are the names of those who have an incident open, without one person.
func (p *presence) others(room string, me incident.Principal) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	by := map[incident.Principal]string{}
	for g := range p.rooms[room] {
		if g.who != me {
			by[g.who] = g.name
		}
	}
	out := make([]string, 0, len(by))
	for _, name := range by {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// also says who else has the page open; "" for nobody.
func also(others []string) string {
	if len(others) == 0 {
		return ""
	}
	return "Also open here: " + names(others)
}

// stream is the writing side of one.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// say writes one event. A reader that takes nothing for ten seconds is cut off rather than waited for.
func (s stream) say(event, id, data string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	if _, err := fmt.Fprintf(s.w, "event: %s\n%sdata: %s\n\n", event, id, data); err != nil {
		return err
	}
	return s.control.Flush()
}

// begin answers that a stream follows. Only a page that listens is given one.
func (c *Console) begin(w http.ResponseWriter, r *http.Request) (stream, error) {
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return stream{}, fmt.Errorf("this address is for pages that listen to it; ask with Accept: text/event-stream: %w", desk.ErrInvalid)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies must not hold it back
	return stream{w, http.NewResponseController(w)}, nil
}

// seen is what the page that listens has seen: what the browser says when it connects again, else what
// the page says.
func seen(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return r.URL.Query().Get("seen")
}

// boardLive tells an open board that an incident that its reader may know of has changed.
func (c *Console) boardLive(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	changed := c.desk.WatchIncidents(ctx) // before the first look, so that nothing falls in between
	mark, err := c.boardMark(ctx, skipOf(r))
	if err != nil {
		return err
	}
	_, leave, ok := c.here.enter("", callerOf(ctx))
	if !ok {
		return desk.ErrBusy
	}
	defer leave()
	s, err := c.begin(w, r)
	if err != nil {
		return err
	}
	first := "still"
	if seen(r) != mark {
		first = "moved"
	}
	if s.say(first, "", mark) != nil {
		return nil
	}
	return c.follow(r, s, changed, nil, func() error { return s.say("moved", "", "") })
}

// boardMark stands for what the board shows.
func (c *Console) boardMark(ctx context.Context, skip int) (string, error) {
	page, err := c.desk.OpenBoard(ctx, skip, boardRows)
	if err != nil {
		return "", err
	}
	done, _, err := c.desk.SettledBoard(ctx, 0, settledRows)
	return markOf(page, done), err
}

func markOf(page desk.BoardPage, done []desk.BoardRow) string {
	h := fnv.New64a()
	for _, row := range append(slices.Clip(page.Rows), done...) {
		fmt.Fprintf(h, "%s %d %s\n", row.ID, row.Updated.UnixNano(), row.Status)
	}
	fmt.Fprint(h, page.Open)
	return strconv.FormatUint(h.Sum64(), 36)
}

// roomLive tells an open page of an incident that the incident moved on, and who else has it open.
func (c *Console) roomLive(w http.ResponseWriter, r *http.Request) error {
	ctx, id := r.Context(), r.PathValue("id")
	changed := c.desk.WatchIncident(ctx, id)
	state, err := c.desk.Incident(ctx, id)
	if err != nil {
		return err
	}
	me := callerOf(ctx)
	g, leave, ok := c.here.enter(id, me)
	if !ok {
		return desk.ErrBusy
	}
	defer leave()
	s, err := c.begin(w, r)
	if err != nil {
		return err
	}
	version, _ := strconv.Atoi(seen(r)) // what is no number has seen nothing
	shown := ""
	look := func() error {
		state, err := c.desk.Incident(ctx, id)
		if err != nil {
			return err // it may not be read any more: the stream ends
		}
		if state.Version != version {
			version = state.Version
			if err := s.say("moved", strconv.Itoa(version), strconv.Itoa(version)); err != nil {
				return err
			}
		}
		others, err := json.Marshal(c.here.others(id, me.Principal))
		if err != nil || string(others) == shown {
			return err
		}
		shown = string(others)
		return s.say("here", "", shown)
	}
	if state.Version == version && s.say("still", strconv.Itoa(version), strconv.Itoa(version)) != nil || look() != nil {
		return nil
	}
	return c.follow(r, s, changed, g.more, look)
}

// follow looks again whenever there is reason to, until the reader has gone or may read no more. From
// here on the answer has begun: an error can only end it.
func (c *Console) follow(r *http.Request, s stream, changed, more <-chan struct{}, look func() error) error {
	alive := time.NewTicker(beat)
	defer alive.Stop()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-alive.C:
			if _, err := c.session(r); err != nil { // signed out, or revoked
				return nil
			}
			if s.say("alive", "", "") != nil {
				return nil
			}
		case <-more:
			if look() != nil {
				return nil
			}
		case _, ok := <-changed:
			if !ok || look() != nil {
				return nil // the browser connects again
			}
		}
	}
}
