// Package storefront is a shop of the drill as its customers reach it: a name server that says where
// it is, a TLS server with a certificate for its name, and a checkout over HTTP. The conductor breaks
// parts of it and heals them. It keeps a log of its own of everything that was asked of it, which the
// judge believes and the responder never sees.
package storefront

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// The shop's name and address. Nobody connects to the address: it is what the name server answers.
const (
	Name      = "shop.example"
	Address   = "192.0.2.10"
	elsewhere = "203.0.113.66" // what it answers while its zone is in other hands
)

// The parts that can be broken.
const (
	PartDNS      = "dns"      // the name leads elsewhere
	PartCheckout = "checkout" // payments fail for everybody
	PartTablet   = "tablet"   // payments fail on tablets alone
	PartName     = "tls-name" // the certificate is for another name
	PartExpired  = "tls-expired"
)

var parts = []string{PartDNS, PartCheckout, PartTablet, PartName, PartExpired}

// Config is the first JSON document on standard input.
type Config struct {
	Log   string    `json:"log"`   // what was asked, NDJSON
	Roots string    `json:"roots"` // file that the certificate of its authority is written to
	Now   time.Time `json:"now"`
}

// Ready is its first answer.
type Ready struct {
	Ready bool   `json:"ready"`
	HTTP  string `json:"http"`
	DNS   string `json:"dns"`
	TLS   string `json:"tls"`
}

// Order sets the time and, when Broken is given, what is broken from now on.
type Order struct {
	ID     int       `json:"id"`
	Now    time.Time `json:"now,omitzero"`
	Broken *[]string `json:"broken,omitempty"`
}

// Line is a line of the log: something that was asked, or what is broken from then on.
type Line struct {
	Time   time.Time `json:"time"` // domain time
	Real   time.Time `json:"real"`
	Kind   string    `json:"kind"` // http, dns, tls or state
	What   string    `json:"what,omitempty"`
	Agent  string    `json:"agent,omitempty"`
	Answer string    `json:"answer,omitempty"`
	Broken []string  `json:"broken,omitempty"`
}

// shop is the storefront while it runs.
type shop struct {
	mu     sync.Mutex
	now    time.Time
	broken []string
	log    *os.File
	failed error // of the log
	carts  int
}

func (s *shop) is(part string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.broken, part)
}

func (s *shop) note(l Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil {
		return // a visitor that leaves after the end
	}
	if l.Time = s.now; l.Real.IsZero() {
		l.Real = time.Now().UTC()
	}
	raw, err := json.Marshal(l)
	if err == nil {
		_, err = s.log.Write(append(raw, '\n'))
	}
	s.failed = errors.Join(s.failed, err)
}

func (s *shop) closeLog() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := errors.Join(s.failed, s.log.Close())
	s.log = nil
	return err
}

// Main serves until standard input ends or ctx does.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	in, out := json.NewDecoder(stdin), json.NewEncoder(stdout)
	var c Config
	if err := in.Decode(&c); err != nil {
		return fmt.Errorf("storefront: configuration on standard input: %w", err)
	}
	s := &shop{now: c.Now}
	if s.log, err = os.OpenFile(c.Log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
		return fmt.Errorf("storefront: %w", err)
	}
	defer func() { err = errors.Join(err, s.closeLog()) }()
	ready, stop, err := s.serve(ctx, c.Roots)
	if err != nil {
		return fmt.Errorf("storefront: %w", err)
	}
	defer stop()
	if err := out.Encode(ready); err != nil {
		return err
	}
	for {
		var o Order
		if err := in.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("storefront: order: %w", err)
		}
		if err := s.take(o); err != nil {
			return err
		}
		if err := out.Encode(map[string]any{"id": o.ID, "ok": true}); err != nil {
			return err
		}
	}
}

func (s *shop) take(o Order) error {
	s.mu.Lock()
	if !o.Now.IsZero() {
		s.now = o.Now
	}
	if o.Broken == nil {
		s.mu.Unlock()
		return nil
	}
	for _, p := range *o.Broken {
		if !slices.Contains(parts, p) {
			s.mu.Unlock()
			return fmt.Errorf("storefront: there is no part %q: there are %s", p, strings.Join(parts, ", "))
		}
	}
	s.broken = slices.Clone(*o.Broken)
	s.mu.Unlock()
	s.note(Line{Kind: "state", Broken: *o.Broken})
	return nil
}

// serve listens on loopback and returns when everything answers. stop ends it all.
func (s *shop) serve(ctx context.Context, roots string) (r Ready, stop func(), err error) {
	var ends []func()
	stop = func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, stop, err
	}
	web := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	var running sync.WaitGroup
	running.Go(func() { _ = web.Serve(l) }) // it ends when it is closed
	ends = append(ends, running.Wait, func() { _ = web.Close() })

	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return r, stop, err
	}
	up := make(chan struct{})
	names := &dns.Server{PacketConn: udp, Handler: dns.HandlerFunc(s.answer), NotifyStartedFunc: func() { close(up) }}
	running.Go(func() { _ = names.ActivateAndServe() })
	select {
	case <-up:
	case <-ctx.Done():
		return r, stop, ctx.Err()
	}
	ends = append(ends, func() { _ = names.Shutdown() })

	shows, err := certify(roots)
	if err != nil {
		return r, stop, err
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, stop, err
	}
	running.Go(func() { s.shakeHands(secure, &shows) })
	ends = append(ends, func() { _ = secure.Close() })
	return Ready{Ready: true, HTTP: l.Addr().String(), DNS: udp.LocalAddr().String(), TLS: secure.Addr().String()}, stop, nil
}

// answer is the name server's: it knows one name.
func (s *shop) answer(w dns.ResponseWriter, q *dns.Msg) {
	a := new(dns.Msg)
	a.SetReply(q)
	said := "NXDOMAIN"
	if len(q.Question) == 1 && strings.EqualFold(q.Question[0].Name, Name+".") {
		at := Address
		if s.is(PartDNS) {
			at = elsewhere
		}
		if said = "no such record"; q.Question[0].Qtype == dns.TypeA {
			rr, err := dns.NewRR(Name + ". 60 IN A " + at)
			if err == nil {
				a.Answer, said = append(a.Answer, rr), at
			}
		}
	} else {
		a.Rcode = dns.RcodeNameError
	}
	what := ""
	if len(q.Question) == 1 {
		what = dns.TypeToString[q.Question[0].Qtype] + " " + q.Question[0].Name
	}
	s.note(Line{Kind: "dns", What: what, Answer: said})
	_ = w.WriteMsg(a) // who asked asks again
}

// handler is the shop over HTTP: a page, a cart, a checkout and a payment, each resting on the last.
func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `<!doctype html><title>Shop</title><script src="/pixel.js"></script><button>Add to cart</button>`)
	})
	mux.HandleFunc("POST /cart", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		s.carts++
		n := s.carts
		s.mu.Unlock()
		http.SetCookie(w, &http.Cookie{Name: "cart", Value: fmt.Sprint("c", n), Path: "/", HttpOnly: true})
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("GET /checkout", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("cart"); err != nil {
			http.Error(w, "your cart is empty", http.StatusConflict)
			return
		}
		io.WriteString(w, "<h1>Payment</h1>")
	})
	mux.HandleFunc("POST /pay", func(w http.ResponseWriter, r *http.Request) {
		_, err := r.Cookie("cart")
		switch {
		case err != nil:
			http.Error(w, "your cart is empty", http.StatusConflict)
		case s.is(PartCheckout), s.is(PartTablet) && strings.Contains(r.UserAgent(), "iPad"):
			http.Error(w, "the payment processor does not answer", http.StatusBadGateway)
		default:
			io.WriteString(w, "Thank you for your order")
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noted := &status{ResponseWriter: w, code: http.StatusOK}
		mux.ServeHTTP(noted, r)
		s.note(Line{Kind: "http", What: r.Method + " " + r.URL.Path, Agent: r.UserAgent(), Answer: fmt.Sprint(noted.code)})
	})
}

// status remembers the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}
