package app

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Door is a listener that outlives the servers behind it. Closing it only ends who accepts now:
// whoever connects before the next server waits at the door instead of being refused.
type Door struct{ *net.TCPListener }

// openDoor listens on an address, or gives the door that is open already to the next server.
func openDoor(open *Door, address string) (*Door, error) {
	if open != nil {
		return open, open.SetDeadline(time.Time{})
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w: choose another address with --listen", address, cause(err))
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("cannot listen on %s: it is no TCP address", address), l.Close())
	}
	return &Door{tcp}, nil
}

// Close ends the present Accept and leaves the address open.
func (d *Door) Close() error { return d.SetDeadline(time.Unix(1, 0)) }

// shut closes the address for good.
func (d *Door) shut() error { return d.TCPListener.Close() }
