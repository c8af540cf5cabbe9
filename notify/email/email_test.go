package email_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/notify/email"
)

// relay is an SMTP server that can fail at every step.
type relay struct {
	addr  string
	cert  tls.Certificate
	roots *x509.CertPool

	mu       sync.Mutex
	mails    [][]byte
	to       []string
	conns    int
	replies  map[string]string // verb (or "greeting", "end") to the reply given instead
	hangUpAt string            // verb, "body" (in the middle of DATA), or "end" (after the dot)
	silentAt string            // "end": never answers the dot
	noTLS    bool
	maxMails int // hangs up without a word after so many mails
	secure   []bool
	auth     string
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots: x509.NewCertPool(), replies: map[string]string{}}
	r.roots.AddCert(leaf)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns++
			r.mu.Unlock()
			go r.serve(c)
		}
	}()
	return r
}

func (r *relay) fault(step string) (reply string, hangUp bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.replies[step], r.hangUpAt == step
}

func (r *relay) serve(raw net.Conn) {
	conn, secure, mails := net.Conn(raw), false, 0
	defer func() { raw.Close() }()
	in := bufio.NewReader(conn)
	say := func(step, usual string) bool {
		reply, hangUp := r.fault(step)
		if hangUp {
			return false
		}
		if reply == "" {
			reply = usual
		}
		fmt.Fprintf(conn, "%s\r\n", reply)
		return true
	}
	if !say("greeting", "220 relay ESMTP") {
		return
	}
	rcpt := ""
	for {
		lineIn, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(lineIn), " ")
		verb = strings.ToLower(verb)
		ok := true
		switch verb {
		case "ehlo":
			ext := "250-relay\r\n250-8BITMIME\r\n250-AUTH PLAIN\r\n"
			if r.mu.Lock(); !r.noTLS && !secure {
				ext += "250-STARTTLS\r\n"
			}
			r.mu.Unlock()
			fmt.Fprint(conn, ext+"250 ENHANCEDSTATUSCODES\r\n")
		case "starttls":
			fmt.Fprint(conn, "220 go\r\n")
			conn = tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{r.cert}})
			in, secure = bufio.NewReader(conn), true
		case "auth":
			r.mu.Lock()
			r.auth = rest
			r.mu.Unlock()
			ok = say("auth", "235 welcome")
		case "mail":
			ok = say("mail", "250 ok")
		case "rcpt":
			rcpt = rest
			ok = say("rcpt", "250 ok")
		case "data":
			if ok = say("data", "354 go on"); !ok {
				return
			}
			if reply, _ := r.fault("data"); reply != "" {
				continue
			}
			if _, hangUp := r.fault("body"); hangUp {
				raw.(*net.TCPConn).SetLinger(0)
				return
			}
			var body bytes.Buffer
			for {
				l, err := in.ReadString('\n')
				if err != nil {
					return
				}
				if l == ".\r\n" {
					break
				}
				body.WriteString(strings.TrimPrefix(l, "."))
			}
			r.mu.Lock()
			silent := r.silentAt == "end"
			keep := r.replies["end"] == "" || r.replies["end"][0] == '2'
			if keep {
				r.mails, r.to, r.secure = append(r.mails, body.Bytes()), append(r.to, rcpt), append(r.secure, secure)
			}
			limit := r.maxMails
			r.mu.Unlock()
			if silent {
				io.Copy(io.Discard, in)
				return
			}
			ok = say("end", "250 2.0.0 queued")
			if mails++; limit > 0 && mails == limit {
				return
			}
		case "rset", "noop":
			ok = say(verb, "250 ok")
		case "quit":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprint(conn, "500 what\r\n")
		}
		if !ok {
			return
		}
	}
}

func sender(t *testing.T, r *relay, change func(*email.Config)) *email.Sender {
	t.Helper()
	c := email.Config{Relay: r.addr, Roots: r.roots, Timeout: 5 * time.Second}
	if change != nil {
		change(&c)
	}
	if err := c.Validate("mail"); err != nil {
		t.Fatal(err)
	}
	s := email.New(c)
	t.Cleanup(s.Close)
	return s
}

func letter() notify.Letter {
	return notify.Letter{MessageID: "abc@javabeanai.com", Date: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC), FromName: "PickAndPack", From: "security@javabeanai.com",
		ToName: `Müller "und" <Söhne>, 商店`, To: "a@shop.example", Subject: "Sicherheit 🔒 " + strings.Repeat("lang ", 30),
		Text: "Hello\n.\n.dots\nFrom here\n" + strings.Repeat("ünï ", 300) + "\n", HTML: "<p>Hello</p>", Incident: "INC-42", Notice: "NTC-1", Recipient: "m_214", Checkpoint: strings.Repeat("QUJD", 150)}
}

// promise: NOT-1
func TestALetterArrivesOverTLSAsItWasWritten(t *testing.T) {
	r := newRelay(t)
	s := sender(t, r, func(c *email.Config) { c.Username, c.Password = "user", egress.NewSecret("pa55") })
	l := letter()
	got := s.Send(t.Context(), l)
	if got.Outcome != incident.Done || got.Code != "250" || got.At.IsZero() {
		t.Fatalf("%+v", got)
	}
	if !r.secure[0] || !strings.HasPrefix(r.auth, "PLAIN") {
		t.Error("it went without TLS or without signing in")
	}
	want, err := email.Render(l)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.TrimRight(r.mails[0], "\r\n"), bytes.TrimRight(want, "\r\n")) {
		t.Error("the bytes that arrived are not those whose digest is recorded")
	}
	m, err := mail.ReadMessage(bytes.NewReader(r.mails[0]))
	if err != nil {
		t.Fatal(err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Name != l.ToName || to[0].Address != l.To {
		t.Errorf("to %v %v", to, err)
	}
	subject, err := (&mime.WordDecoder{}).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != l.Subject {
		t.Errorf("subject %q %v", subject, err)
	}
	if m.Header.Get("Message-ID") != "<abc@javabeanai.com>" || m.Header.Get("Tocsin-Checkpoint") != l.Checkpoint || m.Header.Get("Tocsin-Recipient") != "m_214" || m.Header.Get("Bcc") != "" {
		t.Errorf("header %v", m.Header)
	}
	if d, err := m.Header.Date(); err != nil || !d.Equal(l.Date) {
		t.Errorf("date %v %v", d, err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	part, err := multipart.NewReader(m.Body, params["boundary"]).NextPart()
	if err != nil {
		t.Fatal(err)
	}
	var body io.Reader = part
	if strings.EqualFold(part.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(part)
	}
	text, err := io.ReadAll(body)
	if err != nil || strings.TrimRight(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") != strings.TrimRight(l.Text, "\n") {
		t.Errorf("text part is %q (%v)", text, err)
	}
}

// promise: NOT-1
func TestEachFaultHasItsOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		fault   func(*relay)
		outcome incident.Outcome
		code    string
		detail  string
		arrived int
	}{
		"greylisted":              {func(r *relay) { r.replies["rcpt"] = "450 4.7.1 <a@shop.example> try later" }, incident.Deferred, "450", "rcpt 4.7.1", 0},
		"no such person":          {func(r *relay) { r.replies["rcpt"] = "550 5.1.1 <a@shop.example> unknown" }, incident.Failed, "550", "rcpt 5.1.1", 0},
		"sender refused":          {func(r *relay) { r.replies["mail"] = "550 5.7.1 no" }, incident.Failed, "550", "mail 5.7.1", 0},
		"refused after the data":  {func(r *relay) { r.replies["end"] = "554 5.7.1 spam" }, incident.Failed, "554", "end 5.7.1", 0},
		"deferred after the data": {func(r *relay) { r.replies["end"] = "451 4.3.0 disk" }, incident.Deferred, "451", "end 4.3.0", 0},
		"shutting down":           {func(r *relay) { r.replies["rcpt"] = "421 4.3.2 bye" }, incident.Deferred, "421", "rcpt 4.3.2", 0},
		"busy":                    {func(r *relay) { r.replies["greeting"] = "554 go away" }, incident.Deferred, "554", "connect", 0},
		"hangs up at greeting":    {func(r *relay) { r.hangUpAt = "greeting" }, incident.Deferred, "connection", "connect", 0},
		"hangs up at rcpt":        {func(r *relay) { r.hangUpAt = "rcpt" }, incident.Deferred, "connection", "rcpt", 0},
		"hangs up in the data":    {func(r *relay) { r.hangUpAt = "body" }, incident.Deferred, "connection", "data lost_before_end", 0},
		"hangs up after the data": {func(r *relay) { r.hangUpAt = "end" }, incident.Uncertain, "connection", "end lost_after_end", 1},
		"silent after the data":   {func(r *relay) { r.silentAt = "end" }, incident.Uncertain, "timeout", "end lost_after_end", 1},
		"offers no TLS":           {func(r *relay) { r.noTLS = true }, incident.Deferred, "no_tls", "connect", 0},
		"certificate unknown":     {func(r *relay) { r.roots = x509.NewCertPool() }, incident.Deferred, "tls", "connect", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t)
			c.fault(r)
			s := sender(t, r, func(c *email.Config) {
				if r.silentAt != "" {
					c.Timeout = 500 * time.Millisecond
				}
			})
			l := letter()
			l.Text += strings.Repeat(strings.Repeat("x", 70)+"\n", 60_000) // more than the sockets hold
			if name == "silent after the data" {
				l = letter()
			}
			got := s.Send(t.Context(), l)
			if got.Outcome != c.outcome || got.Code != c.code || got.Detail != c.detail {
				t.Errorf("%+v, want %s %s %s", got, c.outcome, c.code, c.detail)
			}
			if strings.Contains(fmt.Sprintf("%+v", got), "shop.example") {
				t.Errorf("the receipt names the person: %+v", got)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.mails) != c.arrived {
				t.Errorf("%d mails arrived, want %d", len(r.mails), c.arrived)
			}
		})
	}
}

func TestManyLettersShareAConnectionAndSurviveItsEnd(t *testing.T) {
	r := newRelay(t)
	r.maxMails = 7
	s := sender(t, r, nil)
	for i := range 20 {
		l := letter()
		l.To = fmt.Sprintf("a%d@shop.example", i)
		if got := s.Send(t.Context(), l); got.Outcome != incident.Done {
			t.Fatalf("letter %d: %+v", i, got)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mails) != 20 || r.conns != 3 {
		t.Errorf("%d mails over %d connections, want 20 over 3", len(r.mails), r.conns)
	}
	for i, to := range r.to {
		if !strings.Contains(to, fmt.Sprintf("<a%d@", i)) {
			t.Errorf("mail %d went to %s", i, to)
		}
	}
}

func TestARefusedRecipientDoesNotSpoilTheConnection(t *testing.T) {
	r := newRelay(t)
	s := sender(t, r, nil)
	r.mu.Lock()
	r.replies["rcpt"] = "550 5.1.1 unknown"
	r.mu.Unlock()
	if got := s.Send(t.Context(), letter()); got.Outcome != incident.Failed {
		t.Fatalf("%+v", got)
	}
	r.mu.Lock()
	delete(r.replies, "rcpt")
	r.mu.Unlock()
	if got := s.Send(t.Context(), letter()); got.Outcome != incident.Done || r.conns != 1 {
		t.Errorf("%+v over %d connections", got, r.conns)
	}
}

func TestSendingAtOnceFromSeveralWorkers(t *testing.T) {
	r := newRelay(t)
	s := sender(t, r, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				if got := s.Send(t.Context(), letter()); got.Outcome != incident.Done {
					t.Errorf("%+v", got)
				}
			}
		})
	}
	wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mails) != 40 {
		t.Errorf("%d mails arrived, want 40", len(r.mails))
	}
}

func TestACancelledContextEndsTheAttempt(t *testing.T) {
	r := newRelay(t)
	r.silentAt = "end"
	s := sender(t, r, func(c *email.Config) { c.Timeout = time.Minute })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if got := s.Send(ctx, letter()); got.Outcome != incident.Uncertain || time.Since(begin) > 5*time.Second {
		t.Errorf("%+v after %v", got, time.Since(begin))
	}
}

func TestTLSMayOnlyBeLeftOutOnLoopback(t *testing.T) {
	for want, c := range map[string]email.Config{
		"mail.relay":         {Relay: "mx.example"},
		"mail.tls: none":     {Relay: "mx.example:25", TLS: "none"},
		"mail.tls: \"ssl\"":  {Relay: "mx.example:25", TLS: "ssl"},
		"mail.username":      {Relay: "127.0.0.1:25", TLS: "none", Username: "u", Password: egress.NewSecret("p")},
		"mail.password_file": {Relay: "mx.example:25", Username: "u"},
	} {
		if err := c.Validate("mail"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v does not begin with %s", err, want)
		}
	}
	if s := fmt.Sprintf("%+v", email.Config{Username: "u", Password: egress.NewSecret("pa55")}); strings.Contains(s, "pa55") {
		t.Error("the password prints")
	}
}
