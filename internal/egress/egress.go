// Package egress is the way out: every HTTP request that a policy, a connector or a check makes
// leaves through its Client.
//
// A Client refuses private, loopback, link-local and other special addresses unless a prefix
// allows them. It looks at the address the socket is about to connect to, after the name was
// resolved, so that a name which resolves differently the second time gains nothing. Plain HTTP
// reaches allowed prefixes only: nothing that carries a secret crosses the internet in the clear.
// No proxy is taken from the environment, redirects never leave the host, and answers are read up
// to a limit.
//
// Errors never name the address with its query, a header or a body, because those carry secrets.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Options says what a Client may reach.
type Options struct {
	Allow   []netip.Prefix // special addresses that may be reached, and the only ones plain HTTP may reach
	Timeout time.Duration  // of a whole exchange; default 15 s
	MaxBody int64          // bytes of an answer that are read; default 1 MiB
	Roots   *x509.CertPool // nil: the system's
	Agent   string         // User-Agent; default "tocsin"
}

// Client sends requests. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	maxBody int64
	agent   string
	allow   []netip.Prefix
}

// New makes a client.
func New(o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 1 << 20
	}
	if o.Agent == "" {
		o.Agent = "tocsin"
	}
	return &Client{
		maxBody: o.MaxBody,
		agent:   o.Agent,
		allow:   o.Allow,
		http: &http.Client{
			Timeout:       o.Timeout,
			Transport:     split{secure: transport(o, false), plain: transport(o, true)},
			CheckRedirect: sameHost,
		},
	}
}

// HTTP is the client for libraries that make their own requests. It reaches what Send reaches; what
// is read of an answer is theirs to bound.
func (c *Client) HTTP() *http.Client { return c.http }

// As is the same way out for somebody else: with a User-Agent, the client's own when it is empty, and
// with cookies that are kept in jar. It shares the connections.
func (c *Client) As(agent string, jar http.CookieJar) *Client {
	own, shared := *c, *c.http
	shared.Jar = jar
	own.http = &shared
	if agent != "" {
		own.agent = agent
	}
	return &own
}

// split keeps plain and encrypted connections on transports of their own, because they may reach
// different addresses.
type split struct{ secure, plain *http.Transport }

func (s split) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return s.secure.RoundTrip(r)
	}
	return s.plain.RoundTrip(r)
}

// Dialer connects for checks that speak something else than HTTP, to the addresses that https
// reaches. What it carries must be encrypted or public, because public addresses are open to it.
// Those in named are reached too: they are named by the owner of the machine, such as its resolver.
func (c *Client) Dialer(named ...netip.Addr) *net.Dialer {
	allow := slices.Clone(c.allow)
	for _, a := range named {
		allow = append(allow, netip.PrefixFrom(a, a.BitLen()))
	}
	return dialer(allow, false)
}

func dialer(allow []netip.Prefix, plain bool) *net.Dialer {
	return &net.Dialer{
		Timeout: 10 * time.Second,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return admit(allow, plain, address)
		},
	}
}

// CodeOf puts the failure to connect with a Dialer in a word, as Error.Code does.
func CodeOf(err error) string { return codeOf(err, false) }

func transport(o Options, plain bool) *http.Transport {
	d := dialer(o.Allow, plain)
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            d.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// ErrAddress is the error of a request to an address that may not be reached.
var ErrAddress = errors.New("this address may not be reached")

// admit decides on the address a socket is about to connect to.
func admit(allow []netip.Prefix, plain bool, address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: it is not an IP address", ErrAddress)
	}
	a := ap.Addr().Unmap().WithZone("")
	for _, p := range allow {
		if p.Contains(a) {
			return nil
		}
	}
	if Special(a) {
		return fmt.Errorf("%w: %s is not a public address; add its prefix to network.allow if it is meant", ErrAddress, a)
	}
	if plain {
		return fmt.Errorf("%w: plain http to %s; use https", ErrAddress, a)
	}
	return nil
}

// special lists the ranges of the IANA special-purpose registries that netip has no word for, with
// those that carry an IPv4 address inside an IPv6 one.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
}

// Special reports whether a is anything but an ordinary public unicast address.
func Special(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return true
	}
	for _, p := range special {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

var errRedirect = errors.New("redirect refused")

func sameHost(r *http.Request, via []*http.Request) error {
	first := via[0]
	if r.URL.Host != first.URL.Host || r.URL.Scheme != first.URL.Scheme || len(via) >= 3 {
		return errRedirect
	}
	return nil
}

// Response is an answer, read to its end.
type Response struct {
	Status     int
	Header     http.Header
	Body       []byte
	RetryAfter time.Duration // zero: not given
	At         time.Time     // UTC; when the answer had been read
	Took       time.Duration
}

// Error is a request without a whole answer.
type Error struct {
	Code string // refused_address, redirect, dns, connect, tls, timeout, cancelled, too_large or broken
	Sent bool   // the request may have reached the other side
	err  error
}

func (e *Error) Error() string {
	s := "request: " + e.Code
	if errors.Is(e.err, ErrAddress) {
		s += ": " + addressReason(e.err)
	}
	if e.Sent {
		s += " after the request was sent"
	}
	return s
}

// Unwrap gives ErrAddress and the context's errors to errors.Is. The cause's text may hold the
// address with its secrets, so nobody should print it.
func (e *Error) Unwrap() error {
	for _, known := range []error{ErrAddress, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(e.err, known) {
			return known
		}
	}
	return nil
}

// addressReason is the text of the admission decision inside err, without the URL around it.
func addressReason(err error) string {
	for err != nil {
		next := errors.Unwrap(err)
		if next == ErrAddress {
			return err.Error()
		}
		err = next
	}
	return ErrAddress.Error()
}

// Send makes one exchange. The error is an *Error.
func (c *Client) Send(ctx context.Context, r *http.Request) (Response, error) {
	var sent, connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { connected.Store(true) },
		WroteHeaders: func() { sent.Store(true) },
	})
	r = r.WithContext(ctx)
	r.Header.Set("User-Agent", c.agent)
	begin := time.Now()
	resp, err := c.http.Do(r)
	if err != nil {
		return Response{}, &Error{Code: codeOf(err, connected.Load()), Sent: sent.Load(), err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBody+1))
	if err != nil {
		return Response{}, &Error{Code: codeOf(err, true), Sent: true, err: err}
	}
	if int64(len(body)) > c.maxBody {
		return Response{}, &Error{Code: "too_large", Sent: true, err: fmt.Errorf("the answer is larger than %d bytes", c.maxBody)}
	}
	out := Response{Status: resp.StatusCode, Header: resp.Header, Body: body, At: time.Now().UTC(), Took: time.Since(begin)}
	if sec, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && sec > 0 {
		out.RetryAfter = time.Duration(min(sec, 3600)) * time.Second
	}
	return out, nil
}

// Close closes idle connections.
func (c *Client) Close() {
	s := c.http.Transport.(split)
	s.plain.CloseIdleConnections()
	s.secure.CloseIdleConnections()
}

func codeOf(err error, connected bool) string {
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	var cert *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.Is(err, ErrAddress):
		return "refused_address"
	case errors.Is(err, errRedirect):
		return "redirect"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.As(err, &dns):
		return "dns"
	case errors.As(err, &cert), errors.As(err, &record), errors.As(err, &alert):
		return "tls"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case !connected:
		return "connect"
	}
	return "broken"
}
