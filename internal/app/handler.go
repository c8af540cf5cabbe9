package app

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
)

// handler puts the API, the console and the public pages on one address.
func (a *App) handler() http.Handler {
	var steps func(doctor.Report) ([]doctor.Step, error)
	var skip func(string, bool) error
	var drills httpapi.Drills
	if hour := a.hour(); hour != nil {
		steps, skip, drills = hour.Steps, hour.SkipStep, drillsOf{a}
	}
	api := httpapi.New(a.desk, httpapi.Options{Log: a.o.Log, PublicURL: a.publicURL(), Own: a.URL(), Program: desk.EngineVersion, Quota: a.cfg.Intake.Quota, Doctor: a.Checkup, Looking: a.Looking, Steps: steps, SkipStep: skip, Drills: drills})
	a.api.Store(api)
	pages := console.New(a.desk, console.Options{
		Log: a.o.Log, Now: a.desk.Now, Organisation: a.cfg.Organisation.Name, Env: a.in.Env,
		PublicURL: a.publicURL(), Ticking: a.in.Env != "drill", ReadOnly: a.readOnly(), Secure: a.secure() || strings.HasPrefix(a.publicURL(), "https://"),
		LastDrill: a.lastDrill,
		Hour:      a.hour(),
	})
	mux := http.NewServeMux()
	for _, path := range []string{"/v1/", "/healthz", "/openapi.json", "/openapi.yaml"} {
		mux.Handle(path, api)
	}
	for _, door := range []string{"POST /signin", "POST /join", "POST /report"} {
		mux.Handle(door, api.Paced(pages))
	}
	mux.Handle("/", pages)
	return trust(prefixes(a.cfg.TrustedProxies), a.secure(), a.endable(patient(bodyTime, strangers(mux))))
}

// strangers marks every request as one of nobody, until the API or the console knows whose it is: what
// forgets to say so is shown no private incident.
func strangers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(desk.As(r.Context(), desk.Caller{})))
	})
}

func (a *App) publicURL() string {
	if a.drill != nil || a.readOnly() {
		return ""
	}
	return strings.TrimSuffix(a.cfg.PublicURL, "/")
}

// endStreams tells every open stream to end. It may be called twice.
func (a *App) endStreams() {
	a.once.Do(func() { close(a.ending) })
}

// endable gives streams a context that ends when the server stops. Their clients connect again and
// find the whole set of switches in the first event, so nothing is lost by it.
func (a *App) endable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/stream") {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		go func() {
			select {
			case <-a.ending:
				cancel()
			case <-ctx.Done():
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// bodyTime is how long a sender has for a request's body. Operations that take large ones give
// more themselves.
const bodyTime = 30 * time.Second

// patient gives up on a body that does not come, so that a sender who trickles it, with or without
// a token, does not keep a connection. Once the body is there the work takes what time it needs:
// the library clears the deadline.
func patient(limit time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit)) // a test's recorder has none
		}
		next.ServeHTTP(w, r)
	})
}

// trust lets a named proxy say who the client is, and takes that word from nobody else: the
// headers of an untrusted sender are removed before anything reads them. Without TLS of its own
// the server answers the proxy and this machine alone, because anybody else would send their
// token over the network in the clear.
func trust(proxies []netip.Prefix, secure bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		ip, perr := netip.ParseAddr(host)
		ip = ip.Unmap().WithZone("")
		known := err == nil && perr == nil // a unix socket has no address
		trusted := false
		for _, p := range proxies {
			trusted = trusted || known && p.Contains(ip)
		}
		if known && !trusted && !secure && !ip.IsLoopback() {
			http.Error(w, "this server is reached over HTTPS, through its proxy", http.StatusForbidden)
			return
		}
		if trusted {
			// The last address is the one the proxy itself saw, also when it is in a header of its own.
			list := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
			if client, err := netip.ParseAddr(strings.TrimSpace(list[len(list)-1])); err == nil {
				r.RemoteAddr = net.JoinHostPort(client.String(), "0")
			}
		}
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Forwarded"} {
			r.Header.Del(name)
		}
		next.ServeHTTP(w, r)
	})
}
