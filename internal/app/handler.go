package app

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/httpapi"
)

// handler puts the API, the console and the public pages on one address.
func (a *App) handler(secure bool) http.Handler {
	api := httpapi.New(a.desk, httpapi.Options{Log: a.o.Log, PublicURL: a.publicURL(), Program: desk.EngineVersion})
	pages := console.New(a.desk, console.Options{
		Log: a.o.Log, Now: a.desk.Now, Organisation: a.cfg.Organisation.Name, Env: a.in.Env,
		Ticking: a.in.Env != "drill", ReadOnly: a.readOnly(), Secure: secure || strings.HasPrefix(a.cfg.PublicURL, "https://"),
	})
	mux := http.NewServeMux()
	for _, path := range []string{"/v1/", "/healthz", "/openapi.json", "/openapi.yaml"} {
		mux.Handle(path, api)
	}
	mux.Handle("/", pages)
	return trust(prefixes(a.cfg.TrustedProxies), mux)
}

func (a *App) publicURL() string {
	if a.drill != nil || a.readOnly() {
		return ""
	}
	return strings.TrimSuffix(a.cfg.PublicURL, "/")
}

// trust lets a named proxy say who the client is, and takes that word from nobody else: the
// headers of an untrusted sender are removed before anything reads them.
func trust(proxies []netip.Prefix, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		ip, perr := netip.ParseAddr(host)
		trusted := false
		if err == nil && perr == nil {
			for _, p := range proxies {
				trusted = trusted || p.Contains(ip.Unmap())
			}
		}
		if trusted {
			// The last address is the one the proxy itself saw.
			list := strings.Split(r.Header.Get("X-Forwarded-For"), ",")
			if client, err := netip.ParseAddr(strings.TrimSpace(list[len(list)-1])); err == nil {
				r.RemoteAddr = net.JoinHostPort(client.String(), "0")
			}
		}
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"} {
			r.Header.Del(name)
		}
		next.ServeHTTP(w, r)
	})
}
