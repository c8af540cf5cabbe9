package drill

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// server is `tocsin serve` on the drill's data folder. It can be killed at any instant and is
// started again on the same address; the conductor's clock is the one that counts.
type server struct {
	binary, dir, sabotage, store string
	env                          []string // beside the conductor's own
	scheme                       string   // https where it speaks TLS
	log                          *os.File // its standard error, kept for the judge's search for secrets

	mu     sync.Mutex // one question at a time; held over a restart
	cmd    *exec.Cmd
	in     *os.File // what the server reads
	out    *bufio.Reader
	outEnd *os.File
	addr   string
	link   string
	now    time.Time
	id     int
	gone   chan struct{} // closed when the running process has ended
	kills  int

	addrMu sync.RWMutex
	base   string
}

type hello struct {
	Hello     string    `json:"hello"`
	Now       time.Time `json:"now"`
	MailRetry []string  `json:"mail_retry"`
	Sabotage  string    `json:"sabotage"`
	Listen    string    `json:"listen"`
}

type pipeAnswer struct {
	ID    int       `json:"id"`
	Now   time.Time `json:"now"`
	Ready bool      `json:"ready"`
	Addr  string    `json:"addr"`
	Link  string    `json:"link"`
	Error string    `json:"error"`
}

// startServer starts it; with roots it speaks TLS, and trusts what they vouch for.
func startServer(ctx context.Context, binary, dir, store, sabotage string, now time.Time, roots string) (*server, error) {
	log, err := os.OpenFile(filepath.Join(dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("drill: server log: %w", err)
	}
	s := &server{binary: binary, dir: dir, store: store, sabotage: sabotage, log: log, addr: "127.0.0.1:0", now: now, scheme: "http"}
	if roots != "" {
		s.scheme, s.env = "https", trusting(roots)
	}
	if err := s.start(ctx); err != nil {
		log.Close()
		return nil, err
	}
	return s, nil
}

// start runs the process and greets it. The caller holds mu or is alone.
func (s *server) start(ctx context.Context) error {
	toServer, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	theirs, fromServer, err := os.Pipe()
	if err != nil {
		return errors.Join(err, toServer.Close(), ours.Close())
	}
	args := []string{"serve", "--data", s.dir}
	if s.store != "" {
		args = append(args, "--store", s.store)
	}
	s.cmd = exec.CommandContext(ctx, s.binary, args...)
	s.cmd.Env = append(os.Environ(), s.env...)
	s.cmd.ExtraFiles = []*os.File{toServer, fromServer} // descriptors 3 and 4
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	err = s.cmd.Start()
	toServer.Close()
	fromServer.Close()
	if err != nil {
		return errors.Join(fmt.Errorf("drill: start tocsin serve: %w", err), ours.Close(), theirs.Close())
	}
	s.in, s.outEnd, s.out = ours, theirs, bufio.NewReader(theirs)
	gone := make(chan struct{})
	s.gone = gone
	go func(c *exec.Cmd) { c.Wait(); close(gone) }(s.cmd)
	a, err := s.exchange(hello{Hello: "tocsin-drill/1", Now: s.now, MailRetry: []string{"150ms", "300ms", "600ms", "1200ms"}, Sabotage: s.sabotage, Listen: s.addr})
	if err == nil && !a.Ready {
		err = errors.New("it did not say that it is ready")
	}
	if err != nil {
		s.cmd.Process.Kill()
		<-gone
		return fmt.Errorf("drill: tocsin serve: %w (its words are in %s)", err, filepath.Join(s.dir, "server.log"))
	}
	s.addr = a.Addr
	if a.Link != "" {
		s.link = a.Link
	}
	s.addrMu.Lock()
	s.base = s.scheme + "://" + a.Addr
	s.addrMu.Unlock()
	return nil
}

// Base is the address of the API.
func (s *server) Base() string {
	s.addrMu.RLock()
	defer s.addrMu.RUnlock()
	return s.base
}

func (s *server) exchange(message any) (pipeAnswer, error) {
	var a pipeAnswer
	if err := json.NewEncoder(s.in).Encode(message); err != nil {
		return a, err
	}
	line, err := readLine(s.out)
	if err != nil {
		return a, fmt.Errorf("the drill pipe ended: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("drill pipe: %w", err)
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// advance moves domain time to t and returns when the server is quiet there. A server that was
// killed meanwhile has been started again by then, and is asked again.
func (s *server) advance(ctx context.Context, t time.Time) error {
	return s.move(ctx, func(id int) any { return map[string]any{"id": id, "advance": t} }, t)
}

// quiet waits until nothing is runnable or in flight.
func (s *server) quiet(ctx context.Context) error {
	return s.move(ctx, func(id int) any { return map[string]any{"id": id, "quiet": true} }, time.Time{})
}

func (s *server) move(ctx context.Context, message func(int) any, t time.Time) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		s.id++
		gone, kills := s.gone, s.kills
		a, err := s.exchange(message(s.id))
		if err == nil {
			if a.Now.After(s.now) {
				s.now = a.Now
			}
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		// Either the server is ill, or it was killed in the middle: then the killer starts it again.
		if err := s.revived(ctx, gone, kills, err); err != nil {
			return err
		}
	}
}

// revived waits for the killer to start the server again; err is what went wrong, returned when
// nobody killed it.
func (s *server) revived(ctx context.Context, gone chan struct{}, kills int, err error) error {
	wait, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		again := s.kills > kills && s.gone != gone
		s.mu.Unlock()
		if again {
			return nil
		}
		select {
		case <-wait.Done():
			return fmt.Errorf("drill: tocsin serve: %w (its words are in %s)", err, filepath.Join(s.dir, "server.log"))
		case <-tick.C:
		}
	}
}

// clock is where the conductor's clock stands.
func (s *server) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// kill ends the server as a power cut would and starts it again on the same address.
func (s *server) kill(ctx context.Context) error {
	s.killOnly()
	s.mu.Lock()
	defer s.mu.Unlock()
	<-s.gone
	s.in.Close()
	s.outEnd.Close()
	s.kills++
	return s.start(ctx)
}

// relocate ends the server as the loss of its machine would, has what is left of it put elsewhere, and starts
// it there on another port.
func (s *server) relocate(ctx context.Context, elsewhere func() (dir string, err error)) error {
	s.killOnly()
	s.mu.Lock()
	defer s.mu.Unlock()
	<-s.gone
	s.in.Close()
	s.outEnd.Close()
	dir, err := elsewhere()
	if err != nil {
		return err
	}
	s.dir, s.addr = dir, "127.0.0.1:0"
	return s.start(ctx)
}

// killOnly sends the signal without taking the lock: the conductor may be waiting for an answer
// while it strikes.
func (s *server) killOnly() {
	s.addrMu.RLock()
	defer s.addrMu.RUnlock()
	s.cmd.Process.Kill()
}

// stop ends the server in order: the end of the pipe tells it to.
func (s *server) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == nil {
		return nil
	}
	s.in.Close()
	t := time.NewTimer(6 * time.Second)
	defer t.Stop()
	var err error
	select {
	case <-s.gone:
	case <-t.C:
		s.cmd.Process.Kill()
		<-s.gone
		err = errors.New("drill: tocsin serve did not stop at the end of its pipe and was killed")
	}
	s.outEnd.Close()
	s.in = nil
	return errors.Join(err, s.log.Close())
}
