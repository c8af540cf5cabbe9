package victim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// Line is one line of the request log: the application's own account, with the customers' raw
// ids, which the responder never sees.
type Line struct {
	ID         string    `json:"id,omitempty"` // of the access event, when data was given out
	Time       time.Time `json:"time"`         // domain time
	Real       time.Time `json:"real"`         // the machine's
	Method     string    `json:"method"`
	Path       string    `json:"path"`
	Merchant   string    `json:"merchant,omitempty"`
	Store      string    `json:"store,omitempty"`
	Customers  []string  `json:"customers,omitempty"`
	Credential string    `json:"credential,omitempty"`
	IP         string    `json:"ip,omitempty"`
	Agent      string    `json:"agent,omitempty"`
	Status     int       `json:"status"`
}

type requestLog struct {
	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
	enc  *json.Encoder
	err  error // the first, reported by close
}

func openLog(path string) (*requestLog, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("victim: request log: %w", err)
	}
	l := &requestLog{file: f, w: bufio.NewWriterSize(f, 64<<10)}
	l.enc = json.NewEncoder(l.w)
	return l, nil
}

func (l *requestLog) add(line Line) {
	line.Real = time.Now().UTC()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	l.err = errors.Join(l.err, l.enc.Encode(line))
}

func (l *requestLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && l.err == nil {
		l.err = l.w.Flush()
	}
}

func (l *requestLog) close() error {
	l.flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.err, l.file.Close())
	l.file = nil
	if err != nil {
		return fmt.Errorf("victim: request log: %w", err)
	}
	return nil
}

// newID makes the id of an access event at its domain time.
func newID(at time.Time) string {
	var entropy [10]byte
	for i := range entropy {
		entropy[i] = byte(rand.Uint32())
	}
	var id ulid.ULID
	if err := id.SetTime(ulid.Timestamp(at)); err != nil {
		return ulid.Make().String() // a time outside ULID's range; the event still needs an id
	}
	copy(id[6:], entropy[:])
	return id.String()
}
