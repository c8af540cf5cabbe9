package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// URL is the address of the server as a browser on this machine reaches it.
func (a *App) URL() string {
	host, port, err := net.SplitHostPort(a.Addr())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if a.secure() {
		return "https://" + net.JoinHostPort(host, port)
	}
	return "http://" + net.JoinHostPort(host, port)
}

// secure says that the server speaks TLS itself. What only shows a finished drill is on loopback and never does.
func (a *App) secure() bool { return a.cfg.TLS.Cert != "" && !a.readOnly() }

// oldestTLS is the oldest version of TLS that is spoken.
func (a *App) oldestTLS() uint16 {
	if a.drill != nil && a.drill.Sabotage == oldTLS {
		return tls.VersionTLS12
	}
	return tls.VersionTLS13
}

// listen opens the address and the socket. The socket in the data folder lets the account that
// owns the folder in without a token: whoever can open it could read the database as well.
func (a *App) listen() error {
	addr := a.cfg.Listen
	if a.drill != nil {
		addr = a.drill.Listen
	}
	door, err := openDoor(a.door, addr)
	if err != nil {
		return err
	}
	a.door, a.addr = door, door.Addr()
	var l net.Listener = door
	if a.secure() {
		cert, err := tls.LoadX509KeyPair(a.cfg.path(a.cfg.TLS.Cert), a.cfg.path(a.cfg.TLS.Key))
		if err != nil {
			l.Close()
			return located(a.cfg.file, &a.cfg.root, &mistake{Field: "tls", Say: "certificate and key cannot be used: " + strings.TrimPrefix(err.Error(), "tls: ")})
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: a.oldestTLS(), NextProtos: []string{"h2", "http/1.1"}})
	}
	handler := a.handler()
	a.serve(l, handler)

	access := incident.Owner
	if a.readOnly() {
		access = incident.Viewer
		if !writable(a.o.Dir) {
			return nil
		}
	}
	path, err := SocketPath(a.o.Dir)
	if err != nil {
		return err
	}
	if a.readOnly() && answers(path) {
		return nil // another process shows this finished drill already; no lock keeps two readers apart
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		// A socket left by a killed process; the folder's lock says that it is dead.
		return fmt.Errorf("the socket of an earlier process cannot be removed: %w", err)
	}
	s, err := socket(path)
	if err != nil {
		return err
	}
	a.socks = path
	local, err := desk.NewSecret()
	if err != nil {
		return errors.Join(err, s.Close())
	}
	a.desk.Admit(local, desk.Caller{Principal: "service:local", Name: "data folder", Access: access, Token: "local"})
	a.serve(s, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			r.Header.Set("Authorization", "Bearer "+local)
		}
		handler.ServeHTTP(w, r)
	}))
	return nil
}

// SocketPath is where the server of a data folder has its socket; an error says that it has no room there.
func SocketPath(dir string) (string, error) {
	const most = 103 // of 108: the terminating zero and the ending of the other name
	path := filepath.Join(dir, "tocsin.sock")
	if over := len(path) - most; over > 0 {
		return "", fmt.Errorf("the path of the socket is longer than %d bytes, by %d: %s: choose a shorter data folder", most, over, path)
	}
	return path, nil
}

// socket listens on a socket that only its owner can open. It is made under another name and gets
// its own only when it is closed to others, so that there is no instant at which it was open.
func socket(path string) (net.Listener, error) {
	young := path + ".new"
	if err := os.Remove(young); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: young, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // its name is another by then; Stop removes that one
	err = os.Chmod(young, 0o600)
	if err == nil {
		// A crash before this leaves tocsin.sock.new, which the next start removes.
		err = os.Rename(young, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket: %w", err), l.Close(), os.Remove(young))
	}
	return l, nil
}

func answers(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// serve answers requests on a listener until Stop.
func (a *App) serve(l net.Listener, h http.Handler) {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		// What the library itself has to say is about broken connections: an address and no more.
		ErrorLog: slog.NewLogLogger(a.o.Log.Handler(), slog.LevelDebug),
	}
	a.faces = append(a.faces, s)
	a.running.Go(func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			a.failed <- err
		}
	})
}

// shut ends the streams, which never end by themselves, and lets other requests finish.
func (a *App) shut() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a.endStreams()
	for _, s := range a.faces {
		if err := s.Shutdown(ctx); err != nil {
			s.Close()
		}
	}
	if a.socks != "" {
		os.Remove(a.socks)
	}
}

// cause is what the system says of a failed network call, without the address, which the caller
// names in its own words.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func writable(dir string) bool {
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return false
	}
	f.Close()
	return os.Remove(f.Name()) == nil
}
