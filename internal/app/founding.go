package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
)

// FoundingLife is how long the link of the first visitor works. After it the server ends, and the
// next start prints another one.
const FoundingLife = 30 * time.Minute

// Empty says whether a folder is there to be made an installation by its first visitor: it does not
// exist, has nothing in it, or is one that a crash left half made. Any other folder is not touched.
func Empty(o Options) (bool, error) {
	if o.Config != "" {
		return false, nil
	}
	entries, err := os.ReadDir(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, explained(o.Dir, err)
	}
	made, others := false, 0
	for _, e := range entries {
		others++
		switch e.Name() {
		case "tocsin.yaml", "keys", "tocsin.db":
			return false, nil
		case installationFile:
			made = true
		case "lock": // of a visitor whose answers were refused
			others--
		}
	}
	if made {
		in, err := ReadFolder(o.Dir)
		return err == nil && in.Env == "production", err
	}
	return others == 0, nil
}

// Founding is the server of a folder with nothing in it: the one page that makes an installation of
// it. It listens on loopback alone, and does nothing for whoever does not know the code that was
// printed on the terminal.
type Founding struct {
	o      Options
	door   *Door
	server *http.Server
	code   string
	until  time.Time

	making  sync.Mutex
	made    chan struct{} // closed when the folder is made
	started chan founded  // how the server that follows has started
	ended   chan error    // what Serve returned
	gone    chan struct{} // closed when the visitor is answered
}

type founded struct {
	link string
	err  error
}

// Found listens for the first visitor.
func Found(o Options) (*Founding, error) {
	address := o.Listen
	if address == "" {
		address = "127.0.0.1:8080"
	}
	if !loopback(address) {
		return nil, fmt.Errorf("%s is not loopback, and nothing is set up in %s: set it up on this machine first, by tocsin serve without --listen or by tocsin init", address, o.Dir)
	}
	code, err := desk.NewSecret()
	if err != nil {
		return nil, err
	}
	f := &Founding{o: o, code: code, until: time.Now().Add(FoundingLife), made: make(chan struct{}), started: make(chan founded, 1), ended: make(chan error, 1), gone: make(chan struct{})}
	if f.door, err = openDoor(nil, address); err != nil {
		return nil, err
	}
	f.server = &http.Server{
		Handler:           console.NewFounding(console.Founding{Code: code, Until: f.until, Policies: ShippedPolicies(), Make: f.make, Log: o.Log}),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
	}
	go func() { f.ended <- f.server.Serve(f.door) }()
	return f, nil
}

// URL is the address that is listened on.
func (f *Founding) URL() string { return "http://" + f.door.Addr().String() }

// Link is what the first visitor opens. It is for the terminal and for nothing else.
func (f *Founding) Link() string { return f.URL() + "/setup?code=" + f.code }

// Door is the open address, for the server that follows.
func (f *Founding) Door() *Door { return f.door }

// Wait returns nil when a visitor has made the folder or ctx has ended, else why nobody will.
func (f *Founding) Wait(ctx context.Context) error {
	late := time.NewTimer(time.Until(f.until))
	defer late.Stop()
	var err error
	select {
	case <-f.made:
		// The visitor's request is still open: it is answered by Answer. Serve has to be gone before
		// the next server takes the door.
		go func() {
			defer close(f.gone)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			_ = f.server.Shutdown(ctx) // a visitor who does not read the answer finds the same link on the terminal
		}()
		<-f.ended
		return nil
	case <-ctx.Done():
	case err = <-f.ended:
	case <-late.C:
		err = fmt.Errorf("nobody opened the setup link within %v, so it works no more: start again for another one", FoundingLife)
	}
	return errors.Join(err, f.server.Close(), f.door.shut())
}

// make makes the folder as a visitor with the code says and waits until its server has started. A
// crash in between leaves a folder that the next start serves, with a link for the owner; a crash
// before tocsin.yaml is written leaves one that asks again.
func (f *Founding) make(ctx context.Context, a console.FirstAnswers) (string, error) {
	f.making.Lock()
	defer f.making.Unlock()
	select {
	case <-f.made:
		return "", errors.New("this was set up a moment ago, and the code is used up")
	default:
	}
	if err := os.MkdirAll(f.o.Dir, 0o700); err != nil {
		return "", err
	}
	lock, err := sqlite.LockFolder(f.o.Dir) // two servers may have found the same folder empty
	if err != nil {
		return "", err
	}
	n := NewFolder{Dir: f.o.Dir, Organisation: a.Organisation, Name: a.Name, OwnerName: a.OwnerName, App: a.App, AppName: a.AppName, Policy: a.Policy}
	if err := errors.Join(n.Make(time.Now()), lock.Close()); err != nil {
		return "", err
	}
	close(f.made)
	select {
	case s := <-f.started:
		if s.err != nil {
			return "", fmt.Errorf("the folder %s is made, and its server did not start: %w", filepath.Clean(f.o.Dir), s.err)
		}
		return s.link, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Answer leads the visitor on: to the link that makes them the owner, or to why there is none. It
// returns when they have the answer.
func (f *Founding) Answer(link string, err error) {
	f.started <- founded{link, err}
	<-f.gone
}
