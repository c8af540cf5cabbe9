// Package email sends letters by SMTP. It knows of each letter whether the next server has taken
// it, has not, or was given it whole and did not answer.
package email

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"net/textproto"
	"regexp"
	"strings"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/notify"
)

// Config says which server takes our mail.
type Config struct {
	Relay    string         // host:port
	TLS      string         // starttls (default), tls, or none, which is for loopback only
	Username string         // "" does not sign in
	Password egress.Secret  // of Username
	Hello    string         // name given to the relay; default localhost
	Timeout  time.Duration  // of one letter, connection and answer included; default 1 min
	Idle     time.Duration  // how long a connection is kept for the next letter; default 20 s
	Roots    *x509.CertPool // nil: the system's
}

// Validate checks the configuration; field names it in errors, such as "mail".
func (c Config) Validate(field string) error {
	host, port, err := net.SplitHostPort(c.Relay)
	if err != nil || host == "" || port == "" {
		return fmt.Errorf("%s.relay: write host:port", field)
	}
	switch c.TLS {
	case "", "starttls", "tls":
	case "none":
		if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
			return fmt.Errorf("%s.tls: none is allowed for a relay on loopback only: notices name people", field)
		}
		if c.Username != "" {
			return fmt.Errorf("%s.username: a password is not sent without TLS", field)
		}
	default:
		return fmt.Errorf("%s.tls: %q is not one of starttls, tls, none", field, c.TLS)
	}
	if (c.Username == "") != c.Password.Empty() {
		return fmt.Errorf("%s.password_file: a user name and a password go together", field)
	}
	return nil
}

// Sender sends over one relay and keeps connections for the next letter. It is safe for
// concurrent use.
type Sender struct {
	c    Config
	host string

	mu     sync.Mutex
	idle   []*session // newest last
	closed bool
}

var _ notify.Sender = (*Sender)(nil)

// maxIdle is the number of connections kept.
const maxIdle = 4

// New makes a sender from a valid configuration.
func New(c Config) *Sender {
	if c.TLS == "" {
		c.TLS = "starttls"
	}
	if c.Hello == "" {
		c.Hello = "localhost"
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Minute
	}
	if c.Idle <= 0 {
		c.Idle = 20 * time.Second
	}
	host, _, _ := net.SplitHostPort(c.Relay)
	return &Sender{c: c, host: host}
}

// Render gives the bytes that are sent for a letter; the same letter always gives the same bytes.
func Render(l notify.Letter) ([]byte, error) {
	sum := sha256.Sum256([]byte(l.MessageID))
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithBoundary("tocsin-"+hex.EncodeToString(sum[:12])))
	m.FromMailAddress(&mail.Address{Name: l.FromName, Address: l.From})
	m.ToMailAddress(&mail.Address{Name: l.ToName, Address: l.To})
	m.SetMessageIDWithValue(l.MessageID)
	m.SetDateWithValue(l.Date)
	m.Subject(l.Subject)
	for _, h := range [][2]string{{"Tocsin-Incident", l.Incident}, {"Tocsin-Notice", l.Notice}, {"Tocsin-Recipient", l.Recipient}, {"Tocsin-Checkpoint", l.Checkpoint}, {"Content-Language", "en"}} {
		if h[1] != "" {
			if strings.ContainsAny(h[1], "\r\n") {
				return nil, fmt.Errorf("letter %s: %s has a line break in it", l.MessageID, h[0])
			}
			m.SetGenHeader(gomail.Header(h[0]), h[1])
		}
	}
	m.SetBodyString(gomail.TypeTextPlain, l.Text)
	if l.HTML != "" {
		m.AddAlternativeString(gomail.TypeTextHTML, l.HTML)
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("letter %s: it cannot be encoded", l.MessageID)
	}
	return b.Bytes(), nil
}

// Digest is the SHA-256 of the bytes that are sent, as "sha256:HEX".
func Digest(l notify.Letter) (string, error) {
	b, err := Render(l)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Send gives one letter to the relay.
//
// A crash before the final dot leaves has sent nothing; a crash after it and before the answer
// leaves the attempt without a result, which the desk reports as uncertain, as Send itself does
// when the connection is lost there.
func (s *Sender) Send(ctx context.Context, l notify.Letter) notify.Receipt {
	body, err := Render(l)
	if err != nil {
		return receipt(incident.Failed, "encode", "", "")
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	for {
		ses, kept, err := s.session(ctx)
		if err != nil {
			// Nothing about the recipient was said yet: whatever the relay dislikes is ours to mend.
			code, detail := codeOf(err)
			return receipt(incident.Deferred, code, "connect", detail)
		}
		r, again := ses.deliver(l, body)
		if again && kept && ctx.Err() == nil {
			ses.drop() // the relay had given up on a kept connection before it heard of this letter
			continue
		}
		if ses.usable {
			s.keep(ses)
		} else {
			ses.drop()
		}
		return r
	}
}

// Close closes kept connections.
func (s *Sender) Close() {
	s.mu.Lock()
	idle := s.idle
	s.idle, s.closed = nil, true
	s.mu.Unlock()
	for _, ses := range idle {
		ses.quit()
	}
}

// session takes a kept connection or makes one.
func (s *Sender) session(ctx context.Context) (ses *session, kept bool, err error) {
	for {
		s.mu.Lock()
		n := len(s.idle)
		if n == 0 {
			s.mu.Unlock()
			break
		}
		ses := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		if time.Since(ses.since) > s.c.Idle {
			ses.quit()
			continue
		}
		ses.bind(ctx)
		return ses, true, nil
	}
	ses, err = s.dial(ctx)
	return ses, false, err
}

func (s *Sender) keep(ses *session) {
	ses.unbind()
	s.mu.Lock()
	if !s.closed && len(s.idle) < maxIdle {
		ses.since = time.Now()
		s.idle = append(s.idle, ses)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	ses.quit()
}

// errNoTLS is the error of a relay that does not offer what the configuration demands.
var errNoTLS = errors.New("the relay offers no STARTTLS")

func (s *Sender) dial(ctx context.Context) (*session, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", s.c.Relay)
	if err != nil {
		return nil, err
	}
	conn := &watched{Conn: raw}
	ses := &session{conn: conn, raw: raw}
	ses.bind(ctx)
	conf := &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12, RootCAs: s.c.Roots}
	err = func() error {
		var c net.Conn = conn
		if s.c.TLS == "tls" {
			c = tls.Client(conn, conf)
		}
		if ses.client, err = smtp.NewClient(c, s.host); err != nil {
			return err
		}
		if err := ses.client.Hello(s.c.Hello); err != nil {
			return err
		}
		if s.c.TLS == "starttls" {
			if ok, _ := ses.client.Extension("STARTTLS"); !ok {
				return errNoTLS
			}
			if err := ses.client.StartTLS(conf); err != nil {
				return err
			}
		}
		if s.c.Username != "" {
			return ses.client.Auth(smtp.PlainAuth("", s.c.Username, s.c.Password.Reveal(), s.host, false))
		}
		return nil
	}()
	if err != nil {
		ses.drop()
		return nil, err
	}
	return ses, nil
}

// watched notes whether a write failed. A write that failed did not hand over all of its bytes.
type watched struct {
	net.Conn
	failed bool // written and read by the session's goroutine alone
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if err != nil {
		w.failed = true
	}
	return n, err
}

// session is one connection, used by one goroutine at a time.
type session struct {
	client *smtp.Client
	conn   *watched
	raw    net.Conn
	since  time.Time
	used   bool
	usable bool
	stop   func() bool
}

// bind lets the context end whatever the connection is waiting for.
func (s *session) bind(ctx context.Context) {
	if t, ok := ctx.Deadline(); ok {
		_ = s.raw.SetDeadline(t)
	}
	s.stop = context.AfterFunc(ctx, func() { _ = s.raw.SetDeadline(time.Unix(1, 0)) })
}

func (s *session) unbind() {
	s.stop()
	_ = s.raw.SetDeadline(time.Time{})
}

func (s *session) drop() {
	s.stop()
	_ = s.raw.Close()
}

func (s *session) quit() {
	_ = s.raw.SetDeadline(time.Now().Add(2 * time.Second))
	_ = s.client.Quit()
	_ = s.raw.Close()
}

// deliver runs one mail transaction. again reports that a kept connection failed before the relay
// had heard of the letter.
func (s *session) deliver(l notify.Letter, body []byte) (r notify.Receipt, again bool) {
	s.usable = false
	if s.used {
		if err := s.client.Reset(); err != nil {
			code, detail := codeOf(err)
			return receipt(incident.Deferred, code, "reset", detail), true
		}
	}
	s.used = true
	if !ascii(l.To) || !ascii(l.From) {
		if ok, _ := s.client.Extension("SMTPUTF8"); !ok {
			s.usable = true
			return receipt(incident.Failed, "no_smtputf8", "rcpt", ""), false
		}
	}
	if err := s.client.Mail("<" + l.From + ">"); err != nil {
		return s.refused("mail", err), transport(err)
	}
	if err := s.client.Rcpt("<" + l.To + ">"); err != nil {
		return s.refused("rcpt", err), false
	}
	w, err := s.client.Data()
	if err != nil {
		return s.refused("data", err), false
	}
	_, err = w.Write(body)
	if err == nil {
		err = s.client.Text.W.Flush()
	}
	if err != nil || s.conn.failed {
		code, _ := codeOf(err)
		return receipt(incident.Deferred, code, "data", "lost_before_end"), false
	}
	if spoken(s.raw) {
		// The relay speaks, or hung up, before the end of the letter: without the final dot it has
		// not taken it.
		_, _, err := s.client.Text.ReadResponse(250)
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		r := s.refused("data", err)
		s.usable = false
		if transport(err) {
			r.Detail = "data lost_before_end"
		}
		return r, false
	}
	err = w.Close() // the final dot, and the answer to it
	switch {
	case err == nil:
		s.usable = true
		return receipt(incident.Done, "250", "accepted", ""), false
	case !transport(err):
		return s.refused("end", err), false
	case s.conn.failed:
		code, _ := codeOf(err)
		return receipt(incident.Deferred, code, "data", "lost_before_end"), false
	}
	code, _ := codeOf(err)
	return receipt(incident.Uncertain, code, "end", "lost_after_end"), false
}

// refused maps an error at a step of the transaction.
func (s *session) refused(step string, err error) notify.Receipt {
	code, detail := codeOf(err)
	s.usable = !transport(err) && code != "421"
	if s.usable && code[0] == '5' {
		return receipt(incident.Failed, code, step, detail)
	}
	return receipt(incident.Deferred, code, step, detail)
}

// transport reports an error that is not a reply of the relay.
func transport(err error) bool {
	var reply *textproto.Error
	return !errors.As(err, &reply) || reply.Code < 400 || reply.Code > 599
}

var enhanced = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

// codeOf gives the short code of an error and the enhanced status, and nothing else of the reply:
// relays quote addresses.
func codeOf(err error) (code, detail string) {
	var reply *textproto.Error
	var timeout net.Error
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &reply):
		return fmt.Sprint(reply.Code), enhanced.FindString(reply.Msg)
	case errors.Is(err, errNoTLS):
		return "no_tls", ""
	case errors.As(err, &cert):
		return "tls", ""
	case errors.As(err, &dns) && !dns.IsNotFound:
		return "resolver", "" // nobody said that the name is not there
	case errors.As(err, &dns):
		return "dns", ""
	case errors.Is(err, context.Canceled):
		return "cancelled", ""
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "timeout", ""
	}
	return "connection", ""
}

func receipt(o incident.Outcome, code, step, detail string) notify.Receipt {
	return notify.Receipt{Outcome: o, Code: code, Detail: strings.TrimSpace(step + " " + detail), At: time.Now().UTC()}
}

func ascii(s string) bool {
	for _, c := range []byte(s) {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
