// Package loopback is how a process of the drill serves HTTP to the others: on this machine alone, for as
// long as the conductor holds its standard input open.
package loopback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// stopWait bounds the wait for requests that are being answered when the process ends.
const stopWait = 3 * time.Second

// Serve listens on an address, writes one line with it to out, and answers with h until in ends or ctx
// does. Any other address than a loopback one is refused, because of what the handler trusts: why says
// that in the error.
func Serve(ctx context.Context, listen, why string, h http.Handler, in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if a, err := netip.ParseAddrPort(l.Addr().String()); err != nil || !a.Addr().IsLoopback() {
		l.Close()
		return errors.New(why + ", so it listens on loopback only")
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 60 * time.Second, MaxHeaderBytes: 64 << 10}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	if err := json.NewEncoder(out).Encode(map[string]any{"ready": true, "addr": l.Addr().String()}); err != nil {
		return errors.Join(err, server.Close())
	}
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, in)
		close(ended)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ended:
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
	defer cancel()
	return server.Shutdown(stopping)
}
