// Package sink is the drill's mail server: a real SMTP server that behaves as the servers of
// merchants do. It defers the first attempt to every recipient, refuses dead addresses for good,
// and now and then loses the connection after the whole message has arrived, so that the sender
// cannot know. Everything it took is kept as .eml files with an index beside them.
package sink

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Limits on what one client may send.
const (
	maxLine    = 4 << 10
	maxMessage = 4 << 20
	maxRcpts   = 100
	idle       = 30 * time.Second
)

// Config is the first JSON document on standard input.
type Config struct {
	Listen   string    `json:"listen"`    // 127.0.0.1:0
	Dir      string    `json:"dir"`       // where messages and index.ndjson are kept
	Greylist string    `json:"greylist"`  // real time a recipient has to wait after its first attempt; "" for none
	Dead     []string  `json:"dead"`      // addresses refused with 550
	DropEach int       `json:"drop_each"` // every n-th message is kept and its connection dropped unanswered; 0 never
	Now      time.Time `json:"now"`       // domain time, moved by control messages
	Cert     string    `json:"cert"`      // PEM files: it offers STARTTLS, and takes no mail without it
	Key      string    `json:"key"`
}

// Kept is one line of index.ndjson.
type Kept struct {
	File      string    `json:"file"`
	At        time.Time `json:"at"`   // domain time, as last told by the conductor
	Real      time.Time `json:"real"` // the machine's time
	From      string    `json:"from"`
	Rcpt      []string  `json:"rcpt"`
	MessageID string    `json:"message_id"`
	Digest    string    `json:"digest"` // sha256 of the bytes after dot-unstuffing
	Dropped   bool      `json:"dropped,omitempty"`
	TLS       string    `json:"tls,omitempty"` // the version it came over, such as TLS 1.3; "" for none
}

// control is a message on standard input after the configuration.
type control struct {
	ID  int       `json:"id"`
	Now time.Time `json:"now"`
}

// Main runs the server until standard input ends or ctx does.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in := json.NewDecoder(stdin)
	var c Config
	if err := in.Decode(&c); err != nil {
		return fmt.Errorf("sink: configuration on standard input: %w", err)
	}
	s, err := Start(c)
	if err != nil {
		return err
	}
	defer s.Close()
	out := json.NewEncoder(stdout)
	if err := out.Encode(map[string]any{"ready": true, "addr": s.Addr()}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	for {
		var m control
		if err := in.Decode(&m); err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("sink: control message: %w", err)
		}
		if !m.Now.IsZero() {
			s.SetNow(m.Now)
		}
		if err := out.Encode(map[string]any{"id": m.ID, "ok": true}); err != nil {
			return err
		}
	}
}

// Server is a running sink.
type Server struct {
	c        Config
	greylist time.Duration
	dead     map[string]bool
	tls      *tls.Config // nil: in the clear
	listener net.Listener
	wait     sync.WaitGroup

	mu    sync.Mutex
	now   time.Time
	first map[string]time.Time // recipient to first attempt, real time
	seen  map[string]bool      // Message-IDs taken at least once
	count int
	conns map[net.Conn]struct{}
	index *os.File
	shut  bool
}

// Start listens.
func Start(c Config) (*Server, error) {
	s := &Server{c: c, dead: map[string]bool{}, first: map[string]time.Time{}, seen: map[string]bool{}, conns: map[net.Conn]struct{}{}, now: c.Now}
	for _, a := range c.Dead {
		s.dead[strings.ToLower(a)] = true
	}
	var err error
	if c.Greylist != "" {
		if s.greylist, err = time.ParseDuration(c.Greylist); err != nil {
			return nil, fmt.Errorf("sink: greylist %q is not a duration such as 100ms", c.Greylist)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("sink: certificate: %w", err)
		}
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}} // what comes over 1.2 is noted, not refused
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sink: mailbox: %w", err)
	}
	if s.index, err = os.OpenFile(filepath.Join(c.Dir, "index.ndjson"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("sink: mailbox: %w", err)
	}
	if s.listener, err = net.Listen("tcp", c.Listen); err != nil {
		s.index.Close()
		return nil, fmt.Errorf("sink: listen: %w", err)
	}
	s.wait.Go(s.accept)
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// SetNow moves the domain time that is noted beside each message.
func (s *Server) SetNow(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = t
}

// Close stops and waits for the connections to end.
func (s *Server) Close() {
	s.mu.Lock()
	if s.shut {
		s.mu.Unlock()
		return
	}
	s.shut = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.listener.Close()
	s.wait.Wait()
	s.index.Close()
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		if s.shut {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		s.wait.Go(func() {
			defer func() {
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			}()
			s.serve(c)
		})
	}
}

// envelope is the message being given on one connection.
type envelope struct {
	from string
	rcpt []string
	tls  string // what it comes over
}

// serve speaks RFC 5321 as far as a sender of ours needs it. A connection that misbehaves ends.
func (s *Server) serve(c net.Conn) {
	r := bufio.NewReaderSize(c, maxLine)
	over := ""
	say := func(code int, text string) bool {
		_, err := fmt.Fprintf(c, "%d %s\r\n", code, text)
		return err == nil
	}
	if !say(220, "drill.example ESMTP") {
		return
	}
	var e envelope
	for {
		c.SetDeadline(time.Now().Add(idle))
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		ok := true
		switch strings.ToUpper(verb) {
		case "EHLO":
			offers := "250-drill.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-PIPELINING\r\n"
			if s.tls != nil && over == "" {
				offers += "250-STARTTLS\r\n"
			}
			_, err := io.WriteString(c, offers+"250 SIZE 4194304\r\n")
			ok = err == nil
		case "STARTTLS":
			if s.tls == nil || over != "" || r.Buffered() > 0 { // what was said before the handshake is nobody's word
				ok = say(503, "not now")
				break
			}
			if !say(220, "go on") {
				return
			}
			t := tls.Server(c, s.tls)
			if err := t.Handshake(); err != nil {
				return
			}
			c, over, e = t, tls.VersionName(t.ConnectionState().Version), envelope{}
			r.Reset(c)
		case "HELO":
			ok = say(250, "drill.example")
		case "NOOP":
			ok = say(250, "ok")
		case "RSET":
			e = envelope{}
			ok = say(250, "ok")
		case "MAIL":
			if s.tls != nil && over == "" {
				ok = say(530, "5.7.0 begin with STARTTLS")
				break
			}
			e = envelope{from: address(arg), tls: over}
			ok = say(250, "ok")
		case "RCPT":
			code, text := s.recipient(address(arg), len(e.rcpt))
			if code == 250 {
				e.rcpt = append(e.rcpt, address(arg))
			}
			ok = say(code, text)
		case "DATA":
			if len(e.rcpt) == 0 {
				ok = say(503, "no recipient")
				break
			}
			if !say(354, "go on") {
				return
			}
			body, err := readData(r)
			if err != nil {
				return
			}
			dropped, err := s.keep(e, body)
			switch {
			case err != nil:
				ok = say(451, "the mailbox cannot be written")
			case dropped:
				return // the message is kept and the sender never hears of it
			default:
				ok = say(250, "kept")
			}
			e = envelope{}
		case "QUIT":
			say(221, "bye")
			return
		default:
			ok = say(502, "not known here")
		}
		if !ok {
			return
		}
	}
}

func address(arg string) string {
	_, rest, found := strings.Cut(arg, "<")
	if !found {
		return ""
	}
	a, _, _ := strings.Cut(rest, ">")
	return strings.ToLower(a)
}

func (s *Server) recipient(a string, have int) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have >= maxRcpts {
		return 452, "too many recipients"
	}
	if a == "" {
		return 501, "no address"
	}
	if s.dead[a] {
		return 550, "5.1.1 no such mailbox"
	}
	first, ok := s.first[a]
	if !ok {
		first = time.Now()
		s.first[a] = first
	}
	if s.greylist > 0 && time.Since(first) < s.greylist {
		return 450, "4.2.0 greylisted, try again"
	}
	return 250, "ok"
}

func readData(r *bufio.Reader) ([]byte, error) {
	var body []byte
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" || string(line) == ".\n" {
			return body, nil
		}
		if line[0] == '.' {
			line = line[1:]
		}
		if len(body)+len(line) > maxMessage {
			return nil, errors.New("sink: the message is too large")
		}
		body = append(body, line...)
	}
}

// keep writes the message and then its line of the index. A kill between the two leaves a file
// that no line names: the message was never answered, so it never counted as taken.
func (s *Server) keep(e envelope, body []byte) (dropped bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := ""
	if m, err := mail.ReadMessage(strings.NewReader(string(body))); err == nil {
		id = strings.Trim(m.Header.Get("Message-ID"), "<> ")
	}
	s.count++
	// Only the first copy of a message is ever dropped, so that a sender that asks again gets an answer.
	dropped = s.c.DropEach > 0 && s.count%s.c.DropEach == 0 && !s.seen[id]
	s.seen[id] = true
	sum := sha256.Sum256(body)
	k := Kept{File: fmt.Sprintf("%05d.eml", s.count), At: s.now.UTC(), Real: time.Now().UTC(), From: e.from, Rcpt: e.rcpt, MessageID: id, Digest: "sha256:" + hex.EncodeToString(sum[:]), Dropped: dropped, TLS: e.tls}
	if err := os.WriteFile(filepath.Join(s.c.Dir, k.File), body, 0o600); err != nil {
		return false, err
	}
	line, err := json.Marshal(k)
	if err != nil {
		return false, err
	}
	_, err = s.index.Write(append(line, '\n'))
	return dropped, err
}
