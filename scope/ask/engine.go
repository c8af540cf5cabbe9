package ask

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Limits of a child, unless Options say otherwise.
const (
	defaultMemory   = 512 // MB
	defaultPatience = 5 * time.Minute
)

// Options of an Engine.
type Options struct {
	Program  string        // path of tocsin-query
	Args     []string      // before its own
	Env      []string      // of the child; default: nothing
	Dir      string        // the only folder it may read, and below which it may spill
	Memory   int           // megabytes; default 512
	Threads  int           // default: as many as there are processors
	Patience time.Duration // protocol time for one question; default 5 minutes
	Logger   *slog.Logger
}

// Engine asks a child process. The child is started for the first question, kept for the next, and
// killed when a question is cancelled or takes too long. It is safe for use by several goroutines;
// questions wait for each other.
type Engine struct {
	o    Options
	turn chan struct{} // held by the one that asks

	mu     sync.Mutex
	child  *child
	closed bool
	most   int64 // bytes of memory that a child had at its highest
}

type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said *tail

	answered bool // a question; held by the one that asks
}

// New returns an engine; nothing is started yet.
func New(o Options) *Engine {
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Dir = whole(o.Dir)
	return &Engine{o: o, turn: make(chan struct{}, 1)}
}

// whole is a path from the root: the child is in a folder of its own, where a path that begins in ours
// leads nowhere. One that cannot be found out is left as it is, and the child says that it is not there.
func whole(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// Beside returns the path of tocsin-query beside the running program, or "" when it is not there.
func Beside() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	path := filepath.Join(filepath.Dir(self), "tocsin-query")
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return path
}

// Ask puts a question. An error that wraps ErrUnavailable says that another way has to be taken.
func (e *Engine) Ask(ctx context.Context, q Question) (*Answer, error) {
	if e == nil {
		return nil, fmt.Errorf("%w: there is no tocsin-query beside the program", ErrUnavailable)
	}
	if err := q.Check(); err != nil {
		return nil, err
	}
	q.Files = slices.Clone(q.Files)
	for i, f := range q.Files {
		q.Files[i] = whole(f)
	}
	line, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	if line = append(line, '\n'); len(line) > MaxQuestion {
		return nil, fmt.Errorf("%w: the question has more than %d bytes", ErrUnavailable, MaxQuestion)
	}
	Tell(ctx, Progress{What: "waits for its turn"})
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("ask: wait for earlier questions: %w", ctx.Err())
	}
	limited, cancel := context.WithTimeoutCause(ctx, e.o.Patience, fmt.Errorf("%w: it took longer than %s", ErrUnavailable, e.o.Patience))
	defer cancel()
	answer, err := e.put(limited, line)
	if errors.Is(err, errSpent) {
		answer, err = e.put(limited, line)
	}
	switch {
	case limited.Err() != nil:
		return nil, fmt.Errorf("ask: %w", context.Cause(limited))
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case answer.Error != "":
		return nil, fmt.Errorf("%w: %s", ErrUnavailable, answer.Error)
	}
	return answer, nil
}

// errSpent says that a child ended that had answered before: of a large question it may have kept what
// the next one had no room beside. A new one has all of its memory.
var errSpent = errors.New("the child ended behind an earlier question")

// put puts a question to the child.
func (e *Engine) put(ctx context.Context, line []byte) (*Answer, error) {
	c, err := e.start()
	if err != nil {
		return nil, err
	}
	// A child whose question nobody waits for any more is ended: it would go on counting.
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	answer, err := c.ask(line, func(p Progress) { Tell(ctx, p) })
	if !stop() || err != nil {
		e.end(c)
	}
	switch {
	case err == nil:
		c.answered = true
		e.weigh(c)
		return answer, nil
	case ctx.Err() == nil && c.answered:
		e.o.Logger.Info("the child that counts is started anew", "error", err, "said", c.said.String())
		return nil, errSpent
	case ctx.Err() == nil:
		e.o.Logger.Warn("the child that counts ended", "error", err, "said", c.said.String())
	}
	return nil, fmt.Errorf("the child ended: %w", err)
}

func (c *child) ask(line []byte, tell func(Progress)) (*Answer, error) {
	if _, err := c.in.Write(line); err != nil {
		return nil, err
	}
	for {
		text, err := ReadLine(c.out, MaxAnswer)
		if err != nil {
			return nil, err
		}
		var a Answer
		if err := json.Unmarshal(text, &a); err != nil {
			return nil, err
		}
		if a.Progress == nil {
			return &a, nil
		}
		tell(*a.Progress)
	}
}

// ReadLine reads a line of at most so many bytes.
func ReadLine(r *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > most {
			return nil, fmt.Errorf("a line of more than %d bytes", most)
		}
		line = append(line, part...)
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// start returns the running child, or starts one.
func (e *Engine) start() (*child, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errors.New("ask: closed")
	}
	if e.child != nil {
		return e.child, nil
	}
	spill := e.spill()
	if err := os.RemoveAll(spill); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(spill, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.Command(e.o.Program, append(append([]string{}, e.o.Args...), "--dir", e.o.Dir, "--spill", spill,
		"--memory", strconv.Itoa(e.o.Memory), "--threads", strconv.Itoa(e.o.Threads))...)
	cmd.Env = append([]string{}, e.o.Env...) // no secret of ours is in its environment
	cmd.Dir = e.o.Dir
	c := &child{cmd: cmd, said: &tail{}}
	cmd.Stderr = c.said
	var err error
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReaderSize(out, 1<<16)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	e.child = c
	return c, nil
}

// spill is the folder that a question of more than its memory is written to.
func (e *Engine) spill() string { return filepath.Join(e.o.Dir, "spill") }

// end kills a child, waits for its end and takes away what it had written beside its memory.
func (e *Engine) end(c *child) {
	_ = c.cmd.Process.Kill()
	_ = c.in.Close()
	_ = c.cmd.Wait() // killed: its error says nothing
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.child != c {
		return
	}
	e.child = nil
	// After a crash here the next start takes them away.
	if err := os.RemoveAll(e.spill()); err != nil {
		e.o.Logger.Warn("what the child that counts had spilled is still there", "error", err)
	}
}

// RSS is how much memory a child had at its highest, in bytes; 0 when that is not known or none answered.
func (e *Engine) RSS() int64 {
	if e == nil {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.most
}

// weigh notes how much memory a child had at its highest.
func (e *Engine) weigh(c *child) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				kb, _ := strconv.ParseInt(string(f[0]), 10, 64)
				e.mu.Lock()
				e.most = max(e.most, kb<<10)
				e.mu.Unlock()
			}
		}
	}
}

// Close ends the child. It may be called twice, and on nil.
func (e *Engine) Close() error {
	if e == nil {
		return nil
	}
	e.mu.Lock()
	e.closed = true
	c := e.child
	e.mu.Unlock()
	if c != nil {
		_ = c.cmd.Process.Kill()
		e.turn <- struct{}{} // whoever asks is told first
		e.mu.Lock()
		again := e.child == c
		e.mu.Unlock()
		if again {
			e.end(c)
		}
		<-e.turn
	}
	return nil
}

// tail keeps the end of what a child says on its error output.
type tail struct {
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	t.last = t.last[max(0, len(t.last)-2048):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}
