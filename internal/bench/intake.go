package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-ir/tocsin/internal/httpapi"
)

const (
	intakeSenders = 16
	connections   = 256
	idWidth       = 12
)

// parcel is a body of events whose ids are given anew before each request, in place: making events
// is no part of what is measured.
type parcel struct {
	body []byte
	at   []int // of each id
}

// ids are of all events that were ever sent in this run.
var eventIDs atomic.Int64

func newParcel(events, seed int) *parcel {
	p := &parcel{}
	var b bytes.Buffer
	at := time.Now().UTC().Add(-time.Minute)
	for i := range events {
		k := seed*7919 + i
		b.WriteString(`{"id":"ev-`)
		p.at = append(p.at, b.Len())
		fmt.Fprintf(&b, `%0*d","time":%q,"kind":"pii_access","actor":{"type":"staff","id":"staff-%d"},"credential":"tok_%d","session":"s%d","action":"list","endpoint":"GET /orders","purpose":"packing_slip","merchant":"m_%03d","store":"s_%03d","subjects":[{"kind":"account","id":"%d"},{"kind":"account","id":"%d"}],"data_types":["customer.email","order.address"],"records":2,"bytes":2048,"outcome":"ok","source":{"ip":"203.0.113.%d","user_agent":"Mozilla/5.0 helpdesk"}}`+"\n",
			idWidth, 0, at.Add(time.Duration(i)*time.Millisecond).Format(time.RFC3339Nano), k%9, k%50, k%977, k%300, k%300, k%9973, k%9967, k%200)
	}
	p.body = b.Bytes()
	return p
}

func (p *parcel) renew() {
	n := eventIDs.Add(int64(len(p.at))) - int64(len(p.at))
	for _, at := range p.at {
		n++
		digits := strconv.AppendInt(nil, n, 10)
		copy(p.body[at+idWidth-len(digits):], digits)
	}
}

// floor is the least a durable door costs: HTTP, and the body appended to a file with one fsync for
// each request. It reads nothing, hides nothing and finds nothing.
type floor struct {
	mu   sync.Mutex
	file *os.File
}

func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		f.mu.Lock()
		if _, err = f.file.Write(body); err == nil {
			err = f.file.Sync()
		}
		f.mu.Unlock()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, `{"accepted":`+strconv.Itoa(bytes.Count(body, []byte{'\n'}))+`}`)
}

// door is an address that takes events and a key for it. Senders write their requests themselves: a client
// for everything, as net/http has it, takes as long for a request as the door does, on the same processors.
type door struct {
	addr, key string
}

// sender has a connection to a door.
type sender struct {
	door *door
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	stop func() bool
}

func (d *door) dial(ctx context.Context) (*sender, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // whoever waits is told
	return &sender{door: d, conn: conn, in: bufio.NewReader(conn), stop: stop}, nil
}

func (s *sender) Close() error {
	s.stop()
	return s.conn.Close()
}

// send sends a parcel until it is taken.
func (s *sender) send(ctx context.Context, p *parcel) error {
	p.renew()
	s.out = fmt.Appendf(s.out[:0], "POST /v1/events?format=native HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n",
		s.door.addr, s.door.key, len(p.body))
	s.out = append(s.out, p.body...)
	want := fmt.Appendf(nil, `"accepted":%d`, len(p.at))
	for ctx.Err() == nil {
		if _, err := s.conn.Write(s.out); err != nil {
			return err
		}
		resp, err := http.ReadResponse(s.in, nil)
		if err != nil {
			return err
		}
		answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			return err
		}
		if resp.StatusCode == http.StatusTooManyRequests { // backpressure: the events are not counted until they are taken
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if resp.StatusCode != http.StatusOK || !bytes.Contains(answer, want) {
			return fmt.Errorf("POST /v1/events answered %s: %.200s", resp.Status, answer)
		}
		return nil
	}
	return ctx.Err()
}

// flood sends parcels of a size from so many senders for a time, and returns events a second and
// how long each request took.
func (d *door) flood(ctx context.Context, senders, events int, lasts time.Duration) (float64, []time.Duration, error) {
	ends := time.Now().Add(lasts)
	took := make([][]time.Duration, senders)
	began := time.Now()
	err := together(senders, func(i int) error {
		s, err := d.dial(ctx)
		if err != nil {
			return err
		}
		p := newParcel(events, i)
		for err == nil && time.Now().Before(ends) {
			at := time.Now()
			err = s.send(ctx, p)
			took[i] = append(took[i], time.Since(at))
		}
		return errors.Join(err, s.Close())
	})
	all := slices.Concat(took...)
	return perSecond(len(all)*events, time.Since(began)), all, err
}

// paced sends parcels at a rate, whether or not earlier ones were answered, and returns how long
// each took from the moment it was due.
func (d *door) paced(ctx context.Context, events int, perSecond float64, lasts time.Duration) ([]time.Duration, error) {
	gap := time.Duration(float64(events) / perSecond * float64(time.Second))
	due := make(chan time.Time, 1<<16)
	go func() {
		defer close(due)
		began := time.Now()
		for at := began; at.Sub(began) < lasts && ctx.Err() == nil; at = at.Add(gap) {
			time.Sleep(time.Until(at))
			due <- at
		}
	}()
	var mu sync.Mutex
	var all []time.Duration
	err := together(2*intakeSenders, func(i int) error {
		s, err := d.dial(ctx)
		if err != nil {
			return err
		}
		p := newParcel(events, i)
		for at := range due {
			if err = s.send(ctx, p); err != nil {
				break
			}
			mu.Lock()
			all = append(all, time.Since(at))
			mu.Unlock()
		}
		return errors.Join(err, s.Close())
	})
	return all, err
}

// intake measures the door as senders meet it: over HTTP, with everything behind it going on.
func intake(ctx context.Context, o Options) (_ []Result, err error) {
	disk, err := durable(o.Dir)
	if err != nil {
		return nil, err
	}
	before := resident()
	s, err := newSite(ctx, filepath.Join(o.Dir, "site"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	key, err := s.ingestKey(ctx)
	if err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(o.Dir, "floor"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	real := httptest.NewServer(httpapi.New(s.desk, httpapi.Options{Quota: 1e9}))
	defer real.Close()
	plain := httptest.NewServer(&floor{file: file})
	defer plain.Close()
	ours, theirs := &door{real.Listener.Addr().String(), key}, &door{plain.Listener.Addr().String(), key}
	lasts := 2 * time.Second
	if o.Short {
		lasts = 50 * time.Millisecond
	}

	peak := watchResident(ctx)
	flood := func(d *door, senders, events int, p50 *series) func() (float64, error) {
		return func() (float64, error) {
			if d == theirs {
				if err := file.Truncate(0); err != nil {
					return 0, err
				}
			}
			rate, took, err := d.flood(ctx, senders, events, lasts)
			if err == nil && p50 != nil {
				*p50 = append(*p50, percentile(took, 50))
			}
			if err == nil && d == ours {
				err = s.settled(ctx)
			}
			return rate, err
		}
	}
	acked, err := alternate(ctx, o, 4, flood(ours, intakeSenders, batchSize, nil), flood(theirs, intakeSenders, batchSize, nil))
	if err != nil {
		return nil, err
	}
	long := 10 * lasts
	rate, worst, err := s.sustained(ctx, ours, long)
	if err != nil {
		return nil, err
	}
	rss := peak() // what it is compared with is no part of it
	plainest, err := indexed(ctx, o, lasts)
	if err != nil {
		return nil, err
	}
	var p50, p50Floor series
	single, err := alternate(ctx, o, 4, flood(ours, connections, 1, &p50), flood(theirs, connections, 1, &p50Floor))
	if err != nil {
		return nil, err
	}
	pace := 0.7 * median(acked[0])
	p99 := func(d *door) func() (float64, error) {
		return func() (float64, error) {
			took, err := d.paced(ctx, batchSize, pace, lasts)
			if err == nil && d == ours {
				err = s.settled(ctx)
			}
			if err != nil {
				return 0, err
			}
			return percentile(took, 99), nil
		}
	}
	latency, err := alternate(ctx, o, 3, p99(ours), p99(theirs))
	if err != nil {
		return nil, err
	}
	perEvent, zipped, err := s.bytesLogged(ctx)
	if err != nil {
		return nil, err
	}
	const base = "HTTP and the body appended to a file, one fsync a request"
	notes := fmt.Sprintf("generator on the same machine, events of some 440 bytes; durable before the answer: decoded, checked, pseudonymised, deduplicated, sealed in the spool; log and table wait for a busy door, up to some seconds, and have caught up before the next round; %s", disk)
	return []Result{
		figure("acked", "events/s", "higher", acked[0], base, acked[1], fmt.Sprintf("bursts of %v, batches of %d, %d senders; %s", lasts, batchSize, intakeSenders, notes)),
		figure("sustained", "events/s", "higher", series{rate}, "an indexed table, one transaction a batch", series{plainest}, fmt.Sprintf("batches of %d, %d senders, for %v, until events stand in the table; senders hold back while it is %v behind, and it was %.1f s behind at most; no detector", batchSize, intakeSenders, long, sustainedHold, worst.Seconds())),
		figure("single", "events/s", "higher", single[0], base, single[1], fmt.Sprintf("one event a request, %d connections; %s", connections, notes)),
		figure("single-p50", "ms", "lower", p50[1:], base, p50Floor[1:], "of the same requests"),
		figure("ack-p99", "ms", "lower", latency[0], base, latency[1], fmt.Sprintf("batches of %d at 70 %% of acked, which is %.0f events/s, from when each was due; %s", batchSize, pace, notes)),
		figure("bytes-log", "bytes/event", "lower", series{perEvent}, "the lines as sent, gzip -6", series{zipped}, "leaves as stored: sealed, salted, with the day of arrival and the door's own fields"),
		figure("rss-ingest", "MB", "lower", series{rss}, "the process before", series{before}, "resident at its highest while batches came in, the generator of the events included"),
	}, nil
}

// settled waits until everything that was taken stands in table and log: what one flood leaves is no
// part of what is measured next.
func (s *site) settled(ctx context.Context) error {
	_, _, err := s.access.Sealed(ctx)
	for err == nil && s.access.Behind() > 0 {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return err
}

// bytesLogged is what an event takes in the log, over its fullest leaves, and in a gzip file.
func (s *site) bytesLogged(ctx context.Context) (leaves, zipped float64, err error) {
	size, err := s.log.Size(ctx)
	if err != nil {
		return 0, 0, err
	}
	var bytesStored, events int
	err = s.log.Leaves(ctx, 0, min(size, 2048), func(_ uint64, data []byte) error {
		var first, last int
		for _, line := range strings.SplitN(string(data[:min(len(data), 400)]), "\n", 8) {
			if _, err := fmt.Sscanf(line, "spool %d %d", &first, &last); err == nil {
				break
			}
		}
		bytesStored += len(data)
		events += last - first + 1
		return nil
	})
	if err != nil || events == 0 {
		return 0, 0, errors.Join(err, fmt.Errorf("no leaves were written"))
	}
	p := newParcel(5000, 1)
	p.renew()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, 6)
	if err != nil {
		return 0, 0, err
	}
	if _, err := z.Write(p.body); err != nil {
		return 0, 0, err
	}
	if err := z.Close(); err != nil {
		return 0, 0, err
	}
	return float64(bytesStored) / float64(events), float64(b.Len()) / 5000, nil
}

// resident is what the process holds in memory, in MB; 0 where the system does not say.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// watchResident looks at it until the function it returns is called, which gives the highest.
func watchResident(ctx context.Context) func() float64 {
	ctx, cancel := context.WithCancel(ctx)
	highest := make(chan float64)
	go func() {
		most := resident()
		for {
			select {
			case <-ctx.Done():
				highest <- most
				return
			case <-time.After(100 * time.Millisecond):
				most = max(most, resident())
			}
		}
	}()
	return func() float64 {
		cancel()
		return <-highest
	}
}
