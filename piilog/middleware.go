package piilog

import (
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Middleware records every request as an http_access event through logger. describe may fill in
// what only the program knows (merchant, credential, actor) and may be nil; it runs after the
// handler. The query string is never recorded, because it often carries secrets.
func Middleware(logger *slog.Logger, describe func(*http.Request, *Event)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			seen := &response{ResponseWriter: w}
			finished := false
			defer func() {
				e := Event{Kind: HTTPAccess, Time: start, Endpoint: endpoint(r), Bytes: seen.bytes, Outcome: outcome(seen.status, finished)}
				e.Source.IP, _, _ = net.SplitHostPort(r.RemoteAddr)
				e.Source.UserAgent = r.UserAgent()
				e.Attributes = map[string]string{"status": statusText(seen.status, finished)}
				if describe != nil {
					describe(r, &e)
				}
				Access(r.Context(), logger, e)
			}()
			next.ServeHTTP(seen, r)
			finished = true
		})
	}
}

// endpoint is the route's pattern when a ServeMux matched one, so that ids in the path do not make
// every request an endpoint of its own.
func endpoint(r *http.Request) string {
	if r.Pattern != "" {
		if r.Pattern[0] == '/' {
			return r.Method + " " + r.Pattern
		}
		return r.Pattern
	}
	return r.Method + " " + r.URL.Path
}

func outcome(status int, finished bool) string {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "denied"
	case status >= 400, !finished:
		return "error"
	}
	return "ok"
}

func statusText(status int, finished bool) string {
	switch {
	case status == 0 && !finished:
		return "aborted"
	case status == 0:
		status = http.StatusOK
	}
	return string([]byte{'0' + byte(status/100%10), '0' + byte(status/10%10), '0' + byte(status%10)})
}

// response notes the status and the number of bytes. http.ResponseController reaches the writer
// below through Unwrap, so flushing and hijacking keep working.
type response struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap gives http.ResponseController the writer below.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for handlers that still ask for an http.Flusher; it does nothing when the writer below cannot.
func (w *response) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }
