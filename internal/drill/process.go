package drill

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/attacker"
	"github.com/tocsin-ir/tocsin/internal/drill/channel"
	"github.com/tocsin-ir/tocsin/internal/drill/shop"
	"github.com/tocsin-ir/tocsin/internal/drill/sink"
	"github.com/tocsin-ir/tocsin/internal/drill/storefront"
	"github.com/tocsin-ir/tocsin/internal/drill/victim"
	"github.com/tocsin-ir/tocsin/internal/judge"
)

// processes are the drill's own, beside `tocsin serve`. Each is a process of its own and talks to
// the others over sockets only; standard input carries its configuration and the conductor's word.
var processes = map[string]func(context.Context, io.Reader, io.Writer) error{
	"victim":     victim.Main,
	"attacker":   attacker.Main,
	"sink":       sink.Main,
	"judge":      judge.Main,
	"shop":       shop.Main,
	"storefront": storefront.Main,
	"channel":    channel.Main,
}

// Process runs one of the drill's processes: `tocsin drill-process NAME`.
func Process(ctx context.Context, name string, stdin io.Reader, stdout io.Writer) error {
	run, ok := processes[name]
	if !ok {
		return fmt.Errorf("drill-process %q does not exist: there are victim, attacker, sink, shop, storefront, channel and judge", name)
	}
	return run(ctx, stdin, stdout)
}

// maxControl is the largest line a process may answer with: the attacker's truth, the scorecard.
const maxControl = 64 << 20

// child is a running process with a line-wise conversation.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
	said  *tail

	mu   sync.Mutex // one question at a time
	once sync.Once
	end  error
}

// spawn starts `BINARY drill-process NAME`, gives it its configuration and waits until it is ready.
func spawn(ctx context.Context, binary, name string, config any, ready any, env ...string) (*child, error) {
	c := &child{name: name, said: &tail{}}
	c.cmd = exec.CommandContext(ctx, binary, "drill-process", name)
	c.cmd.Env = append(os.Environ(), "TOCSIN_DRILL_PROCESS="+name)
	c.cmd.Env = append(c.cmd.Env, env...)
	c.cmd.Stderr = c.said
	c.cmd.WaitDelay = 2 * time.Second
	var err error
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReaderSize(stdout, 64<<10)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("drill: start %s: %w", name, err)
	}
	if err := json.NewEncoder(c.stdin).Encode(config); err != nil {
		return nil, c.failed(err)
	}
	if err := c.read(ready); err != nil {
		return nil, c.failed(err)
	}
	return c, nil
}

// ask sends one message and reads one answer. The message needs a field "id" of its own only when
// the process echoes it; conversations are strictly question and answer.
func (c *child) ask(message, answer any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := json.NewEncoder(c.stdin).Encode(message); err != nil {
		return c.failed(err)
	}
	if err := c.read(answer); err != nil {
		return c.failed(err)
	}
	return nil
}

func (c *child) read(into any) error {
	line, err := readLine(c.out)
	if err != nil {
		return err
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(line, into)
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if len(line) > maxControl {
			return nil, errors.New("a line is too long")
		}
	}
}

// failed says what went wrong in a conversation and how the process came to its end: its last words,
// or its exit where it had none, which a process that is killed never has.
func (c *child) failed(err error) error {
	c.stop()
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) {
		err = fmt.Errorf("it ended in the middle (%s)", c.cmd.ProcessState)
	}
	return fmt.Errorf("drill: %s: %w%s", c.name, err, c.said.words())
}

// stop closes the process's standard input, which ends it in order, and kills it when it does not.
func (c *child) stop() error {
	c.once.Do(func() {
		c.stdin.Close()
		done := make(chan error, 1)
		go func() { done <- c.cmd.Wait() }()
		t := time.NewTimer(4 * time.Second)
		defer t.Stop()
		select {
		case err := <-done:
			if err != nil {
				c.end = fmt.Errorf("drill: %s ended with %w%s", c.name, err, c.said.words())
			}
		case <-t.C:
			c.cmd.Process.Kill()
			<-done
			c.end = fmt.Errorf("drill: %s did not stop and was killed", c.name)
		}
	})
	return c.end
}

// tail keeps the words a process wrote to standard error: the first ones and the last.
type tail struct {
	mu          sync.Mutex
	first, last []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if room := min(4<<10-len(t.first), n); room > 0 {
		t.first, p = append(t.first, p[:room]...), p[room:]
	}
	if t.last = append(t.last, p...); len(t.last) > 8<<10 {
		t.last = t.last[len(t.last)-4<<10:]
	}
	return n, nil
}

// words is the line that says most: of a crash of Go the reason, which its stack follows, otherwise the
// last one.
func (t *tail) words() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.TrimSpace(string(t.first) + string(t.last))
	if s == "" {
		return ""
	}
	lines := strings.Split(s, "\n")
	for _, line := range lines {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return ": " + line
		}
	}
	return ": " + lines[len(lines)-1]
}
