package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/ledger"
)

// detection follows the access log. It owns the detector; nobody else touches it.
type detection struct {
	detector *detect.Detector
	at       atomic.Int64      // seq of the newest event observed
	taught   int64             // up to this seq events were observed in an earlier life: they teach and raise nothing
	saved    int64             // seq of the last snapshot
	rest     time.Time         // until then no snapshot is taken while events wait
	stopped  int               // rules that were said to be stopped
	pending  []incident.Signal // raised and not yet taken in
	more     chan struct{}
}

const (
	detectorProjection = "detector"
	detectorKey        = "engine"
	detectBatch        = 2000
	detectSaveEvery    = 20_000 // events between snapshots while busy
	detectSaveShare    = 20     // a snapshot may take a twentieth of the time
)

// detectorState is the detector's memory with the position it is true for: after a restart the
// events behind that position are observed again, and their signals are recognised by their ids.
type detectorState struct {
	Seq   int64  `json:"seq"`
	State []byte `json:"state"` // the detector's own encoding
}

// learned is the row of the detector's snapshot, or an empty one when there is none that can be read.
func (d *Desk) learned(ctx context.Context) (row ledger.Row, err error) {
	err = d.o.Store.View(ctx, func(r ledger.Reader) (err error) {
		row, err = r.Row(detectorProjection, detectorKey)
		return err
	})
	if errors.Is(err, ledger.ErrNotFound) {
		return ledger.Row{}, nil
	}
	if err != nil {
		return row, err
	}
	var s detectorState
	if json.Unmarshal(row.Body, &s) != nil {
		return ledger.Row{}, nil
	}
	return row, nil
}

func (d *Desk) startDetection(ctx context.Context) error {
	fresh := func() (*detect.Detector, error) {
		made, problems, err := detect.New(d.o.Detection)
		if err != nil {
			return nil, fmt.Errorf("desk: detection: %w", err)
		}
		for _, p := range problems {
			if p.Warning {
				d.o.Log.Warn("a detection rule has an oddity", "rule", p.Error())
			} else {
				d.o.Log.Error("a detection rule cannot be used; the others are", "rule", p.Error())
			}
		}
		return made, nil
	}
	w := &d.detection
	var err error
	if w.detector, err = fresh(); err != nil {
		return err
	}
	w.more = make(chan struct{}, 1)
	row, err := d.learned(ctx)
	if err != nil {
		return err
	}
	if row.Body != nil {
		var s detectorState
		if err := json.Unmarshal(row.Body, &s); err != nil {
			return fmt.Errorf("desk: detector snapshot: %w", err)
		}
		if _, err := w.detector.Restore(s.State); err != nil {
			// The log still has what it learned from. What was raised then is not raised anew.
			d.o.Log.Warn("the detector learns again from the access log", "up_to", s.Seq, "error", err)
			if w.detector, err = fresh(); err != nil {
				return err
			}
			w.taught = s.Seq
		} else {
			w.at.Store(s.Seq)
			w.saved = s.Seq
		}
	}
	d.o.Events.OnCommit(func(int64) { nudge(w.more) })
	d.background(ctx, "detection", d.detect)
	return nil
}

// detect observes every event once per life of the process, in the order in which they came.
func (d *Desk) detect(ctx context.Context) error {
	if err := d.takeIn(ctx); err != nil {
		return err
	}
	w := &d.detection
	for {
		events, err := d.o.Events.EntriesAfter(ctx, w.at.Load(), detectBatch)
		if err != nil {
			return err
		}
		for _, e := range events {
			d.observe(e)
			if err := d.takeIn(ctx); err != nil {
				return err
			}
			w.at.Store(e.Seq)
		}
		d.sayStopped()
		idle := len(events) == 0 || w.at.Load() >= d.o.Events.Acked()
		if at := w.at.Load(); at > w.taught && (at-w.saved >= detectSaveEvery && !time.Now().Before(w.rest) || idle && at-w.saved >= detectSaveEvery/4) {
			if err := d.saveDetector(ctx, at); err != nil {
				return err
			}
		}
		if !idle {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.more:
		}
	}
}

// sayStopped names the rules that cost too much.
func (d *Desk) sayStopped() {
	list := d.detection.detector.Stopped()
	for i := d.detection.stopped; i < len(list); i++ {
		d.o.Log.Error("a detection rule was stopped; the others go on", "rule", list[i].Error())
	}
	d.detection.stopped = len(list)
}

// observe shows one event to the detector. A crash after a signal and before the next snapshot
// shows the event again: the signal's id is remembered, so it is taken in once.
func (d *Desk) observe(e accesslog.Entry) {
	found := d.detection.detector.Observe(Observed(e, e.Seq <= d.detection.taught))
	d.detection.pending = append(d.detection.pending, found...)
}

// Observed is an event of the access log as the detector takes it.
func Observed(e accesslog.Entry, historic bool) detect.Entry {
	return detect.Entry{
		Position: e.Seq, ID: e.ID, Time: e.Time, Received: e.Received, Kind: e.Kind, App: e.App, Actor: e.ActorID, Credential: e.Credential,
		Session: e.Session, Merchant: e.Merchant, Endpoint: e.Endpoint, IP: e.IP, Agent: e.Agent, Customers: e.Subjects,
		Records: e.Records, Bytes: e.Bytes, Outcome: e.Outcome, Historic: historic, Supplied: e.Supplied != "", Text: e.Canonical,
	}
}

// takeIn takes in what the detector has raised. The detector raises an alarm once, so a signal
// stays pending until it is durable: a database that was busy must not lose it. Much of a signal
// was chosen by whoever made the events, perhaps by the thief; when the whole of it is not
// acceptable, its bare form is.
func (d *Desk) takeIn(ctx context.Context) error {
	for len(d.detection.pending) > 0 {
		sig := d.detection.pending[0]
		_, err := d.Signal(ctx, sig)
		if decided(err) {
			d.o.Log.Error("a signal was not taken in whole", "signal", sig.ID, "class", sig.Class, "error", err)
			_, err = d.Signal(ctx, bare(sig))
		}
		if decided(err) {
			// Trying for ever would leave every later event unseen.
			d.o.Log.Error("a signal was not taken in", "signal", sig.ID, "class", sig.Class, "error", err)
			err = nil
		}
		if err != nil {
			return err
		}
		d.detection.pending = d.detection.pending[1:]
	}
	return nil
}

// bare is a signal without what the senders of its events chose freely.
func bare(sig incident.Signal) incident.Signal {
	sig.Facets, sig.Events = nil, nil
	sig.Subject = strings.ToValidUTF8(sig.Subject, "\uFFFD")
	sig.Sentence = strings.ToValidUTF8(sig.Sentence, "\uFFFD")
	if sig.From.Year() < 1970 {
		sig.From = sig.At
	}
	return sig
}

// saveDetector saves what was learned. It is taken from the time in which events could be looked at,
// so the next one waits as long as keeps that a small share.
func (d *Desk) saveDetector(ctx context.Context, at int64) error {
	began := time.Now()
	state, err := d.detection.detector.Snapshot()
	if err != nil {
		return fmt.Errorf("desk: detector snapshot: %w", err)
	}
	body, err := json.Marshal(detectorState{Seq: at, State: state})
	if err != nil {
		return err
	}
	err = d.o.Store.Update(ctx, func(tx ledger.Tx) error {
		return tx.PutRow(detectorProjection, ledger.Row{Key: detectorKey, Body: body})
	})
	if err == nil {
		d.detection.saved = at
		d.detection.rest = time.Now().Add(detectSaveShare * time.Since(began))
	}
	return err
}

// detecting says whether the detector has events before it.
func (d *Desk) detecting(context.Context) (bool, error) {
	return d.o.Events != nil && d.detection.at.Load() < d.o.Events.Acked(), nil
}

// Ingest takes a batch of access events in at the door. It returns once they are durable.
func (d *Desk) Ingest(ctx context.Context, key Key, how Delivery, body io.Reader) (Receipt, error) {
	if d.o.ReadOnly {
		return Receipt{}, ErrReadOnly
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	r, err := d.o.Events.Ingest(ctx, accesslog.Source{Name: key.Source, App: key.App, Env: d.o.Env, Supplied: how.Supplied}, how.Batch, how.Format, body)
	switch {
	case errors.Is(err, accesslog.ErrTooLarge):
		return Receipt{}, fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, accesslog.ErrBusy):
		return Receipt{}, fmt.Errorf("%w: %w", ErrBusy, err)
	case errors.Is(err, accesslog.ErrDisk):
		d.o.Log.ErrorContext(ctx, "the disk refuses access events", "error", err)
		return Receipt{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, accesslog.ErrIndexing):
		return Receipt{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, accesslog.ErrFormat):
		// The sender is told what is wrong with the batch, not which part of the program said so.
		return Receipt{}, fmt.Errorf("%w: %s", ErrInvalid, strings.TrimPrefix(err.Error(), accesslog.ErrFormat.Error()+": "))
	case err != nil:
		return Receipt{}, err
	}
	out := Receipt{Accepted: r.Accepted, Duplicates: r.Duplicates, Skipped: r.Skipped, Unchecked: r.Unchecked, Ignored: r.Ignored}
	for _, x := range r.Rejected {
		out.Rejected = append(out.Rejected, Reject{Line: x.Line, Field: x.Field, Reason: x.Reason})
	}
	return out, nil
}

// Refused is one entry of a batch that was not taken in. Raw is what was sent, which may hold
// anything; it is there only for who asked for it.
type Refused struct {
	Source   string    `json:"source"`
	Batch    string    `json:"batch,omitempty"`
	Received time.Time `json:"received"`
	Reject
	Raw     string `json:"raw,omitempty"`
	Entries int    `json:"entries,omitempty" doc:"so many were refused for this in a minute and not kept, because enough of the day was; 0: this is one entry"`
}

// RejectedEvents calls fn with every entry that was refused in the last seven days and is still kept,
// oldest first.
func (d *Desk) RejectedEvents(ctx context.Context, raw bool, fn func(Refused) error) error {
	return d.o.Events.Rejects(func(r accesslog.Rejected) error {
		for _, u := range r.Unkept {
			if err := fn(Refused{Source: r.Source, Received: r.Received, Reject: Reject{Field: u.Field, Reason: u.Reason}, Entries: u.Entries}); err != nil {
				return err
			}
		}
		for _, e := range r.Entries {
			one := Refused{Source: r.Source, Batch: r.Batch, Received: r.Received, Reject: Reject{Line: e.Line, Field: e.Field, Reason: e.Reason}}
			if raw {
				one.Raw = string(e.Raw)
			}
			if err := errors.Join(ctx.Err(), fn(one)); err != nil {
				return err
			}
		}
		return nil
	})
}

// eventLines are the lines of the timeline that come from the access log: what the credentials and
// addresses of the incident's signals did, and the cloud audit log beside it, folded into one line
// per minute, actor and kind so that a walk over ten thousand orders stays readable.
func (d *Desk) eventLines(ctx context.Context, s *incident.State) ([]TimelineLine, error) {
	from, to := scopeWindow(s)
	lines, _, err := d.eventLinesBetween(ctx, s, from, to)
	return lines, err
}

// eventLinesBetween is eventLines of a part of the incident's time. cut says that there were more
// than maxEventLines: the latest are missing.
func (d *Desk) eventLinesBetween(ctx context.Context, s *incident.State, from, to time.Time) (_ []TimelineLine, cut bool, _ error) {
	var credentials []string
	for _, sig := range s.Signals {
		if kind, name, ok := strings.Cut(sig.Subject, ":"); ok && kind == "credential" && !slices.Contains(credentials, name) {
			credentials = append(credentials, name)
		}
	}
	type key struct {
		minute    time.Time
		who, what string
		source    string
		supplied  string
	}
	type bundle struct {
		first, received time.Time
		id              string
		events          int
		merchants       map[string]bool
		records         int64
	}
	bundles := map[key]*bundle{}
	take := func(source string) func(accesslog.Event) error {
		return func(e accesslog.Event) error {
			who, what := e.Credential, e.Action
			if e.Kind == accesslog.CloudAudit {
				who, what = e.ActorID, e.Endpoint
			}
			k := key{e.Time.Truncate(time.Minute), who + " from " + e.IP, what, source, e.Supplied}
			b := bundles[k]
			if b == nil {
				if len(bundles) >= maxEventLines {
					cut = true
					return errEnough
				}
				b = &bundle{first: e.Time, received: e.Received, id: e.ID, merchants: map[string]bool{}}
				bundles[k] = b
			}
			b.events++
			b.records += e.Records
			if e.Merchant != "" {
				b.merchants[e.Merchant] = true
			}
			return nil
		}
	}
	if len(credentials) > 0 {
		f := accesslog.Filter{From: from, To: to, Kinds: []string{accesslog.PIIAccess}, Credentials: credentials, ByTime: true}
		if err := d.o.Events.Select(ctx, f, take("event")); err != nil && !errors.Is(err, errEnough) {
			return nil, false, err
		}
	}
	f := accesslog.Filter{From: from, To: to, Kinds: []string{accesslog.CloudAudit, accesslog.DBQuery, accesslog.ConfigChange}, ByTime: true, Limit: maxEventLines}
	logs, one := 0, take("log")
	err := d.o.Events.Select(ctx, f, func(e accesslog.Event) error {
		logs++
		return one(e)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, false, err
	}
	cut = cut || logs == maxEventLines
	lines := make([]TimelineLine, 0, len(bundles))
	for k, b := range bundles {
		text := fmt.Sprintf("%s: %s, %s", k.who, k.what, count(b.events, "event"))
		if n := len(b.merchants); n > 0 {
			text += fmt.Sprintf(" of %s, %s", count(n, "merchant"), count(int(b.records), "record"))
		}
		if k.supplied != "" {
			text += "; supplied later in the file " + k.supplied
		}
		lines = append(lines, TimelineLine{ID: b.id, At: b.first, Recorded: b.received, Source: k.source, Kind: k.what, Principal: k.who, Text: text, Supplied: k.supplied})
	}
	return lines, cut, nil
}

// maxEventLines bounds what one timeline takes from the access log.
const maxEventLines = 5000

var errEnough = errors.New("enough lines")

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// page orders lines and cuts the page that is asked for.
func page(lines []TimelineLine, after string, limit int, sources []string) ([]TimelineLine, error) {
	if len(sources) > 0 {
		lines = slices.DeleteFunc(lines, func(l TimelineLine) bool { return !slices.Contains(sources, l.Source) })
	}
	slices.SortStableFunc(lines, func(a, b TimelineLine) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	if after != "" {
		i := slices.IndexFunc(lines, func(l TimelineLine) bool { return l.ID == after })
		if i < 0 {
			// Beginning again would let a reader that pages go round for ever.
			return nil, fmt.Errorf("%w: after: the timeline has no line with this id: begin again without it", ErrInvalid)
		}
		lines = lines[i+1:]
	}
	if limit > 0 && len(lines) > limit {
		lines = lines[:limit]
	}
	return lines, nil
}
