package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/internal/clock"
	"golang.org/x/sys/unix"
)

// Drill is what a drill may change about a server, and nothing else can: the address, the domain
// clock, the mail retry schedule and the one organ that is sabotaged. It comes over a pipe that
// the process inherited, on a data folder that was created as a drill.
type Drill struct {
	Hello     string    `json:"hello"`
	Now       time.Time `json:"now"`
	MailRetry []Wait    `json:"mail_retry"`
	Sabotage  string    `json:"sabotage"`
	Listen    string    `json:"listen"`

	clock *clock.Drill
	in    *bufio.Scanner
	out   *json.Encoder
	mu    sync.Mutex
	close func()
}

// Wait is a duration written as 150ms.
type Wait time.Duration

// UnmarshalText reads a duration.
func (w *Wait) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	*w = Wait(d)
	return err
}

const (
	drillIn    = 3
	drillOut   = 4
	drillHello = "tocsin-drill/1"
)

// inheritedPipe says whether a descriptor is a pipe this process was given.
func inheritedPipe(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
}

// openDrill reads the settings from the inherited pipes. Without pipes it returns nil: a drill
// folder is then served read-only. Pipes on a folder that is no drill are refused by their greeting.
func openDrill(in Installation) (*Drill, error) {
	if in.Env != "drill" || !inheritedPipe(drillIn) || !inheritedPipe(drillOut) {
		return nil, nil
	}
	r, w := os.NewFile(drillIn, "drill-in"), os.NewFile(drillOut, "drill-out")
	return readDrill(r, w, func() { r.Close(); w.Close() })
}

func readDrill(r io.Reader, w io.Writer, done func()) (*Drill, error) {
	d := &Drill{in: bufio.NewScanner(r), out: json.NewEncoder(w), close: done}
	if !d.in.Scan() {
		return nil, errors.New("drill pipe: closed before the greeting")
	}
	if err := json.Unmarshal(d.in.Bytes(), d); err != nil || d.Hello != drillHello {
		return nil, errors.New("drill pipe: the first line is no greeting of " + drillHello)
	}
	if !loopback(d.Listen) {
		return nil, errors.New("drill pipe: listen: a drill listens on loopback only")
	}
	if d.Now.IsZero() {
		return nil, errors.New("drill pipe: now: is missing")
	}
	d.clock = clock.NewDrill(d.Now)
	return d, nil
}

type drillAsk struct {
	ID      int       `json:"id"`
	Advance time.Time `json:"advance"`
	Quiet   bool      `json:"quiet"`
}

type drillAnswer struct {
	ID    int       `json:"id,omitempty"`
	Now   time.Time `json:"now,omitzero"`
	Ready bool      `json:"ready,omitempty"`
	Addr  string    `json:"addr,omitempty"`
	Link  string    `json:"link,omitempty"`
	Error string    `json:"error,omitempty"`
}

func (d *Drill) say(a drillAnswer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Encode(a)
}

// quieter is the part of the desk that the clock waits for.
type quieter interface {
	Quiet(context.Context) error
	NextDomainWake(context.Context) (time.Time, bool, error)
}

// serve answers the conductor until the pipe closes: domain time moves only when nothing is
// runnable or in flight, and stops at every wake-up on its way.
func (d *Drill) serve(ctx context.Context, q quieter) error {
	defer d.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// The pipe is read ahead, so that its end is noticed while the clock waits: a server whose
	// conductor has died stops, whatever it was waiting for.
	asks := make(chan []byte)
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		defer close(asks)
		for d.in.Scan() {
			select {
			case asks <- slices.Clone(d.in.Bytes()):
			case <-ctx.Done():
				return
			}
		}
		ended <- d.in.Err()
	}()
	for line := range asks {
		var ask drillAsk
		if err := json.Unmarshal(line, &ask); err != nil {
			return fmt.Errorf("drill pipe: %w", err)
		}
		answer := drillAnswer{ID: ask.ID}
		if err := d.move(ctx, q, ask.Advance); err != nil {
			answer.Error = err.Error()
		}
		answer.Now = d.clock.Now()
		if err := d.say(answer); err != nil {
			return err
		}
	}
	select {
	case err := <-ended:
		return err
	default:
		return nil
	}
}

func (d *Drill) move(ctx context.Context, q quieter, to time.Time) error {
	for {
		if err := q.Quiet(ctx); err != nil || to.IsZero() {
			return err
		}
		next, ok, err := q.NextDomainWake(ctx)
		if err != nil {
			return err
		}
		if !ok || next.After(to) {
			d.clock.Set(to)
			return q.Quiet(ctx)
		}
		d.clock.Set(next)
	}
}
