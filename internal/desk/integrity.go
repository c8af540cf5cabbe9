package desk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/org"
)

// Integrity is what the desk looks after beside the access log: files that somebody approved.
type Integrity struct {
	Keeper *integrity.Keeper
	Every  map[string]time.Duration // between two looks at a source, in domain time
	// Service is what a source belongs to: changes of one service that are found together are one incident.
	Service map[string]string
	// Two are the sources whose states two people have to approve, one after the other.
	Two map[string]bool
	// Restores are the names of the connectors that put back what was approved.
	Restores map[string]bool
	// Looked sees what a scheduled look found before anything follows from it; nil in production. A
	// drill's sabotage happens here.
	Looked func(integrity.Finding) integrity.Finding
}

// The states of a source.
const (
	SourceNoBaseline = "no_baseline"
	SourceUnlooked   = "not_looked"
	SourceAsApproved = "as_approved"
	SourceChanged    = "changed"
	SourceUnreadable = "unreadable"
)

// SourceState is one source and how it was when it was last looked at.
type SourceState struct {
	Name     string              `json:"name"`
	Kind     string              `json:"kind"`
	Place    string              `json:"place"`
	Every    string              `json:"every"`
	State    string              `json:"state" enum:"no_baseline,not_looked,as_approved,changed,unreadable"`
	Approval *integrity.Approval `json:"approval,omitempty"`
	Two      bool                `json:"two,omitempty" doc:"two people have to approve a state of it"`
	Signed   *integrity.Approval `json:"signed,omitempty" doc:"by the first of two people: it is in force when another person approves the same state"`
	Looked   time.Time           `json:"looked,omitzero"`
	Next     time.Time           `json:"next,omitzero"` // when it is looked at again
	Found    string              `json:"found,omitempty"`
	Files    int64               `json:"files"`
	Changes  []integrity.Change  `json:"changes"`
	Trouble  string              `json:"trouble,omitempty"` // why it could not be looked at
}

// looking is what this process knows of the sources. A restart looks anew.
type looking struct {
	mu   sync.Mutex
	next map[string]time.Time
	last map[string]look
}

type look struct {
	at      time.Time
	finding integrity.Finding
	trouble string
	failed  int // looks in a row that failed
}

// troubles is how many looks in a row may fail before it is a signal: a store that is down for an hour
// is none, and a source that nobody can look at any more is one.
const troubles = 3

// SourceCheck is the name under which a source is a check of the incidents that it raised.
func SourceCheck(source string) string { return "files_" + source }

func turnSubject(source string) string { return "integrity/" + source }

// Approved is the newest approval of a source by the facts.
func (d *Desk) Approved(ctx context.Context, name string) (integrity.Approval, bool, error) {
	s, err := d.Org(ctx)
	if err != nil {
		return integrity.Approval{}, false, err
	}
	r, ok := s.Reported(org.BaselineRecorded, name)
	if !ok {
		return integrity.Approval{}, false, nil
	}
	return integrity.Approval{Digest: r.Digest, Files: r.Count, By: string(r.By), At: r.At, Reason: r.Detail, Fact: r.Fact}, true, nil
}

// signed is the approval of the first of two people that no approval has followed yet; nil when none waits.
func (d *Desk) signed(ctx context.Context, name string) (*integrity.Approval, error) {
	if d.o.Integrity == nil || !d.o.Integrity.Two[name] {
		return nil, nil
	}
	s, err := d.Org(ctx)
	if err != nil {
		return nil, err
	}
	r, ok := s.Reported(org.BaselineSigned, name)
	if last, had := s.Reported(org.BaselineRecorded, name); !ok || had && r.Fact < last.Fact { // ids of facts grow
		return nil, nil
	}
	return &integrity.Approval{Digest: r.Digest, Files: r.Count, By: string(r.By), At: r.At, Reason: r.Detail, Fact: r.Fact}, nil
}

func (d *Desk) startLooking(ctx context.Context) {
	if d.o.Integrity == nil || len(d.o.Integrity.Keeper.Sources) == 0 {
		return
	}
	now := d.o.Clock.Now()
	d.looks.mu.Lock()
	d.looks.next = map[string]time.Time{}
	for name := range d.o.Integrity.Keeper.Sources {
		d.looks.next[name] = now
	}
	d.looks.mu.Unlock()
	d.background(ctx, "integrity", d.lookOn)
}

// nextLook is the source that is due first, and when.
func (d *Desk) nextLook() (name string, at time.Time, ok bool) {
	d.looks.mu.Lock()
	defer d.looks.mu.Unlock()
	for n, t := range d.looks.next {
		if !ok || t.Before(at) || t.Equal(at) && n < name {
			name, at, ok = n, t, true
		}
	}
	return name, at, ok
}

// lookOn looks at every source when its time has come. The times follow from domain time alone, so a
// restart changes none of them.
func (d *Desk) lookOn(ctx context.Context) error {
	for {
		name, at, ok := d.nextLook()
		if !ok {
			return nil
		}
		due, cancel := d.o.Clock.Until(at)
		select {
		case <-ctx.Done():
			cancel()
			return nil
		case <-due:
		}
		_, err := d.lookAt(ctx, name, true)
		every := d.o.Integrity.Every[name]
		d.looks.mu.Lock()
		d.looks.next[name] = d.o.Clock.Now().Truncate(every).Add(every)
		d.looks.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// lookWithin bounds one look, in the machine's time.
const lookWithin = 5 * time.Minute

// lookAt looks at a source once and takes in what it found: a signal, the files as they were found, and
// then the fact that the source has turned. A crash before the fact: the next look does the same again,
// under the same ids. After it: the change is known and is not signalled again.
func (d *Desk) lookAt(ctx context.Context, name string, scheduled bool) (SourceState, error) {
	ctx, cancel := context.WithTimeout(asDesk(ctx), lookWithin)
	defer cancel()
	k := d.o.Integrity.Keeper
	began := d.o.Clock.Now()
	f, changed, err := k.Evidence(ctx, name)
	now := d.o.Clock.Now()
	if scheduled && err == nil && d.o.Integrity.Looked != nil {
		if f = d.o.Integrity.Looked(f); len(f.Changes) == 0 {
			changed = nil
		}
	}
	d.looks.mu.Lock()
	if d.looks.last == nil {
		d.looks.last = map[string]look{}
	}
	l := look{at: now, finding: f}
	if err != nil {
		l.trouble, l.failed = err.Error(), d.looks.last[name].failed+1
	}
	d.looks.last[name] = l
	d.looks.mu.Unlock()
	switch {
	case errors.Is(err, integrity.ErrNoBaseline), err != nil && ctx.Err() != nil:
		return d.sourceState(ctx, name)
	case err != nil:
		d.o.Log.Warn("files could not be compared with what was approved", "source", name, "error", err)
		err = d.blind(ctx, name, l, err)
	case len(f.Changes) == 0:
		if err = d.lookedGood(ctx, name, began, f.Approval); err == nil {
			err = d.turned(ctx, name, "as_approved", f, "every file is as approved")
		}
	default:
		err = d.tampered(ctx, name, now, f, changed)
	}
	if err != nil {
		return SourceState{}, err
	}
	return d.sourceState(ctx, name)
}

// turned records what a source has become, when that is not what the newest fact says.
func (d *Desk) turned(ctx context.Context, name, state string, f integrity.Finding, say string) error {
	s, err := d.Org(ctx)
	if err != nil {
		return err
	}
	was, ok := s.Reported(org.ProbeTurned, turnSubject(name))
	if ok && was.State == state && was.Digest == f.Found || !ok && state == "as_approved" {
		return nil
	}
	_, err = d.SubmitOrg(ctx, "", worker("integrity"), org.Report{Kind: org.ProbeTurned, Subject: turnSubject(name), State: state, Digest: f.Found, Count: int64(len(f.Changes)), Detail: say})
	return err
}

// since is the fact after which a change is a new one: the newest baseline, or the newest look that found
// everything as approved.
func since(s *org.State, name string, a integrity.Approval) string {
	if r, ok := s.Reported(org.ProbeTurned, turnSubject(name)); ok && r.State == "as_approved" && r.At.After(a.At) {
		return r.Fact
	}
	return a.Fact
}

const mostNamed = 6 // files that a sentence names

// tampered raises what was found, once, and keeps the files as they were found as evidence.
func (d *Desk) tampered(ctx context.Context, name string, now time.Time, f integrity.Finding, changed []integrity.Entry) error {
	s, err := d.Org(ctx)
	if err != nil {
		return err
	}
	if a, ok := s.Reported(org.BaselineRecorded, name); ok && a.Fact != f.Approval.Fact {
		return nil // another state was approved while this look went on: who approved it looks again
	}
	if was, ok := s.Reported(org.ProbeTurned, turnSubject(name)); ok && was.State == "changed" && was.Digest == f.Found && was.At.After(f.Approval.At) {
		return nil
	}
	src := d.o.Integrity.Keeper.Sources[name]
	var names []string
	for _, c := range f.Changes[:min(mostNamed, len(f.Changes))] {
		names = append(names, fmt.Sprintf("%s (%s)", clipped(c.Path, 200), c.Kind))
	}
	if more := len(f.Changes) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	from, err := d.changedAfter(ctx, s, name, f.Approval, now)
	if err != nil {
		return err
	}
	sig := incident.Signal{
		ID: "integrity-" + name + "-" + since(s, name, f.Approval) + "-" + f.Found[7:19], Class: templateChanged, Subject: "files:" + name, At: now, From: from, To: now,
		Sentence: fmt.Sprintf("%s (%s) is not as %s approved it: %s: %s.", name, src.Place(), f.Approval.By, integrity.Summary(f.Changes), strings.Join(names, ", ")),
		Facets:   map[string]string{facetSource: name, facetApproved: f.Approval.Digest, facetFound: f.Found, incident.Probed: SourceCheck(name)},
	}
	if service := d.o.Integrity.Service[name]; service != "" {
		sig.Facets[facetService] = service
	}
	out, err := d.Signal(ctx, sig)
	if decided(err) {
		d.o.Log.Error("a change of files was not taken in", "source", name, "error", err)
		return nil // trying for ever would not make it acceptable
	}
	if err != nil {
		return err
	}
	if err := d.keepFound(ctx, out.Incident, name, f, changed); errors.Is(err, errNotKept) {
		// The incident has no room, and will have none the next time: the bytes are with the baselines.
		d.o.Log.Error("files as found are not attached to the incident", "incident", out.Incident, "source", name, "error", err)
	} else if err != nil {
		return err
	}
	return d.turned(ctx, name, "changed", f, integrity.Summary(f.Changes))
}

// The names under which a signal says what was compared.
const (
	templateChanged = "template_changed"
	facetSource     = "source"
	facetApproved   = "approved"
	facetFound      = "found"
	facetService    = "service"
)

// blind records that a source cannot be looked at, and raises it when it stays so.
func (d *Desk) blind(ctx context.Context, name string, l look, why error) error {
	say := clipped(why.Error(), 1500)
	if !errors.Is(why, integrity.ErrBounds) && !errors.Is(why, integrity.ErrName) && l.failed < troubles {
		return nil
	}
	s, err := d.Org(ctx)
	if err != nil {
		return err
	}
	if was, ok := s.Reported(org.ProbeTurned, turnSubject(name)); ok && was.State == "unreadable" {
		return nil
	}
	a, ok, err := d.Approved(ctx, name)
	if err != nil || !ok {
		return err
	}
	from, err := d.changedAfter(ctx, s, name, a, l.at)
	if err != nil {
		return err
	}
	sig := incident.Signal{
		ID: "integrity-" + name + "-" + since(s, name, a) + "-unreadable", Class: templateChanged, Subject: "files:" + name, At: l.at, From: from, To: l.at,
		Sentence: fmt.Sprintf("%s (%s) cannot be compared with what %s approved: %s", name, d.o.Integrity.Keeper.Sources[name].Place(), a.By, say),
		Facets:   map[string]string{facetSource: name, facetApproved: a.Digest, incident.Probed: SourceCheck(name)},
	}
	if _, err := d.Signal(ctx, sig); err != nil && !decided(err) {
		return err
	}
	return d.turned(ctx, name, "unreadable", integrity.Finding{}, say)
}

// The bounds of what is kept of one finding in an incident. What is beyond them is kept with the
// baselines, by its digest, all the same.
const (
	mostKept  = 40
	mostBytes = 64 << 20
)

// keepFound attaches files as they were found to an incident: inert, sealed and by digest.
func (d *Desk) keepFound(ctx context.Context, inc, source string, f integrity.Finding, changed []integrity.Entry) error {
	s, err := d.Incident(ctx, inc)
	if err != nil {
		return err
	}
	var total int
	for i, e := range changed {
		if total += len(e.Bytes); i >= mostKept || total > mostBytes {
			d.o.Log.Warn("more files changed than an incident keeps; the rest is kept with the baselines", "incident", inc, "source", source, "files", len(changed))
			return nil
		}
		note := fmt.Sprintf("As found in %s, which is not as approved (manifest %s).", source, f.Approval.Digest)
		err := d.attachOnce(ctx, worker("integrity"), s, source+": "+e.Path, note, e.Bytes)
		if decided(err) {
			return fmt.Errorf("%w: %w", errNotKept, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// attachOnce attaches a file to an incident that does not have these bytes yet.
func (d *Desk) attachOnce(ctx context.Context, who Caller, s *incident.State, name, note string, data []byte) error {
	digest := integrity.Digest(data)
	if slices.ContainsFunc(s.Attachments, func(a incident.Attachment) bool { return a.Digest == digest }) {
		return nil
	}
	_, err := d.Attach(ctx, "", who, s.ID, clipped(name, 290), note, bytes.NewReader(data))
	return err
}

var errNotKept = errors.New("a file as found could not be kept as evidence")

// clipped cuts a text at a number of bytes.
func clipped(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "…"
}

// Sources are all sources and how they are, by name.
func (d *Desk) Sources(ctx context.Context) ([]SourceState, error) {
	out := []SourceState{}
	if d.o.Integrity == nil {
		return out, nil
	}
	for _, name := range d.o.Integrity.Keeper.Names() {
		s, err := d.sourceState(ctx, name)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (d *Desk) sourceState(ctx context.Context, name string) (SourceState, error) {
	src, err := d.source(name)
	if err != nil {
		return SourceState{}, err
	}
	s := SourceState{Name: name, Kind: src.Kind(), Place: src.Place(), Every: d.o.Integrity.Every[name].String(), State: SourceUnlooked, Changes: []integrity.Change{}}
	a, ok, err := d.Approved(ctx, name)
	if err != nil {
		return s, err
	}
	s.Two = d.o.Integrity.Two[name]
	if s.Signed, err = d.signed(ctx, name); err != nil {
		return s, err
	}
	d.looks.mu.Lock()
	l, looked := d.looks.last[name]
	s.Next = d.looks.next[name]
	d.looks.mu.Unlock()
	if !ok {
		s.State = SourceNoBaseline
		return s, nil
	}
	s.Approval = &a
	if !looked || l.trouble == "" && l.finding.Approval.Digest != a.Digest {
		return s, nil // nobody has looked since it was approved
	}
	s.Looked, s.Found, s.Files = l.at, l.finding.Found, l.finding.Files
	switch {
	case l.trouble != "":
		s.State, s.Trouble = SourceUnreadable, l.trouble
	case len(l.finding.Changes) > 0:
		s.State, s.Changes = SourceChanged, l.finding.Changes
	default:
		s.State = SourceAsApproved
	}
	return s, nil
}

func (d *Desk) source(name string) (integrity.Source, error) {
	if d.o.Integrity == nil || d.o.Integrity.Keeper.Sources[name] == nil {
		return nil, fmt.Errorf("%w: there is no source %q: tocsin.yaml names them under integrity", ErrNotFound, clipped(name, 100))
	}
	return d.o.Integrity.Keeper.Sources[name], nil
}

// CheckSource looks at a source now, as a scheduled look does.
func (d *Desk) CheckSource(ctx context.Context, name string) (SourceState, error) {
	if _, err := d.source(name); err != nil {
		return SourceState{}, err
	}
	if d.o.ReadOnly {
		return SourceState{}, ErrReadOnly
	}
	d.inFlight.Add(1)
	defer d.inFlight.Add(-1)
	return d.lookAt(ctx, name, false)
}

// mostShown is how many files of a change are shown with a diff.
const mostShown = 50
