package judge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// keptApart: every fact of this incident says that it is a drill's. An installation of the same vendor
// that is none, started by the judge beside it, does not hear the drill's word on the pipe by which a
// drill moves a clock and breaks organs, takes no token of the drill, and has told nobody anything.
func (b *bench) keptApart(p *row) error {
	ctx := b.ctx
	for line := range bytes.Lines(b.export.files["facts.ndjson"]) {
		var stored struct {
			Header struct {
				ID  string `json:"id"`
				Env string `json:"env"`
			} `json:"header"`
		}
		if err := json.Unmarshal(line, &stored); err != nil || stored.Header.Env != "drill" {
			return fmt.Errorf("fact %s does not say that it is a drill's", stored.Header.ID)
		}
	}
	other, err := startOther(ctx, b.c.Tocsin, b.c.Production, b.c.Now)
	if err != nil {
		return err
	}
	defer other.stop()
	base, err := other.address(ctx)
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 3 * time.Second}
	defer client.CloseIdleConnections()
	for i, s := range b.c.Secrets {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/incidents", nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+string(s))
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("the other installation does not answer: %w", err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusTooManyRequests {
			return fmt.Errorf("the other installation answers %d to secret number %d of the drill", resp.StatusCode, i+1)
		}
	}
	other.stop() // whatever it had to say and to send is there by then
	if <-other.said != "" {
		return errDrillHeard
	}
	if mails, err := readMailbox(b.c.Mailbox); err != nil || len(mails) != len(b.mails) {
		return errors.Join(err, fmt.Errorf("%d mails came since the evidence was taken out", len(mails)-len(b.mails)))
	}
	p.Trigger = "system"
	p.Proof = fmt.Sprintf("%d facts of a drill; %d secrets of it refused elsewhere", len(b.export.facts), len(b.c.Secrets))
	return nil
}

// errDrillHeard does not quote the answer: it may hold a link by which somebody could sign in.
var errDrillHeard = errors.New("the other installation takes the drill's word on its pipe")

// other is `tocsin serve` on another folder, with the pipes that a drill would have.
type other struct {
	cmd    *exec.Cmd
	in     *os.File
	said   chan string   // once: what it answered on the pipe, or "" at its end
	serves chan string   // once: its address, or "" when it ends without one
	gone   chan struct{} // closed when it has ended

	complaints bytes.Buffer // what it wrote of errors; read when it is gone
}

// ended says why it is not there any more: its last words are of an installation that is made up.
func (o *other) ended() error {
	select {
	case <-o.gone:
		return fmt.Errorf("the other installation ended by itself (%s): %s", o.cmd.ProcessState, bytes.TrimSpace(o.complaints.Bytes()))
	case <-time.After(5 * time.Second):
		return errors.New("the other installation closed its pipe and did not end")
	}
}

func startOther(ctx context.Context, binary, dir string, now time.Time) (*other, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	o := &other{cmd: exec.CommandContext(ctx, binary, "serve", "--json", "--data", dir), in: in, said: make(chan string, 1), serves: make(chan string, 1), gone: make(chan struct{})}
	o.cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	o.cmd.Stderr = &o.complaints
	words, err := o.cmd.StdoutPipe()
	if err == nil {
		err = o.cmd.Start()
	}
	err = errors.Join(err, theirIn.Close(), theirOut.Close())
	if err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	go func() {
		var first struct{ Address string }
		if line, err := bufio.NewReader(words).ReadBytes('\n'); err == nil {
			_ = json.Unmarshal(line, &first) // what is no address is none
		}
		o.serves <- first.Address
		_, _ = io.Copy(io.Discard, words) // until it ends
		_ = o.cmd.Wait()                  // how it ends is not what is judged
		close(o.gone)
	}()
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n') // the end of the pipe is no answer
		_ = out.Close()                                  // it was only read
		o.said <- line
	}()
	greeting, err := json.Marshal(map[string]any{"hello": "tocsin-drill/1", "now": now.AddDate(1, 0, 0), "mail_retry": []string{"150ms"}, "sabotage": "revoke-noop", "listen": "127.0.0.1:0"})
	if err != nil {
		o.stop()
		return nil, err
	}
	if _, err := in.Write(append(greeting, '\n')); err != nil { // nobody reads it any more
		defer o.stop()
		return nil, o.ended()
	}
	return o, nil
}

// address waits until it serves. Whoever answers on the pipe takes the drill's word.
func (o *other) address(ctx context.Context) (string, error) {
	t := time.NewTimer(15 * time.Second)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case word := <-o.said:
		if word == "" {
			return "", o.ended()
		}
		return "", errDrillHeard
	case <-t.C:
		return "", errors.New("the other installation never served")
	case base := <-o.serves:
		if base == "" {
			return "", o.ended()
		}
		return base, nil
	}
}

// stop ends it; what was stopped may be stopped again.
func (o *other) stop() {
	_ = o.cmd.Process.Signal(os.Interrupt) // it may be gone already
	t := time.NewTimer(5 * time.Second)
	defer t.Stop()
	select {
	case <-o.gone:
	case <-t.C:
		_ = o.cmd.Process.Kill()
		<-o.gone
	}
	_ = o.in.Close()
}
