package app

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/probe"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/ask"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

// oldTLS is the sabotage of a server that speaks an older TLS too.
const oldTLS = "tls-old"

// apply puts what a drill differs in over the production options: the mail schedule, and the one
// organ it breaks. It is reached over the inherited pipe alone.
func (d *Drill) apply(o *desk.Options, a *App, access *accesslog.Store) error {
	o.MailRetry = nil
	for _, w := range d.MailRetry {
		o.MailRetry = append(o.MailRetry, time.Duration(w))
	}
	switch d.Sabotage {
	case "":
	case "revoke-noop":
		o.Connectors = wrapped(o.Connectors, func(c contain.Connector) contain.Connector { return lazyApply{c} })
	case "probe-cached":
		o.Connectors = wrapped(o.Connectors, func(c contain.Connector) contain.Connector { return blindConfirm{c} })
	case "mail-drop-1":
		o.Mail = &dropsOne{Sender: o.Mail}
	case "channels-unused": // everybody is told by mail
		o.Channels = nil
	case "correction-skipped":
		l := &losesCorrections{Sender: o.Mail, lost: map[string]bool{}}
		o.Mail, o.Compose = l, l.compose
	case "mail-wrong-merchant":
		o.Compose = wrongNumbers(notify.Compose)
	case "scope-skip-day":
		s := &skipsDay{Store: access}
		o.Scope = s.compute
		o.Disclosed = s
	case "clock-late":
		o.Programs = altered(o.Programs, func(p *policy.Program) { p.Duties = dayLate(p.Duties) })
	case "gate-open":
		o.Programs = altered(o.Programs, func(p *policy.Program) {
			// A restore gate that needs nothing: without any, the engine's own would stand in for it.
			p.Gates = slices.DeleteFunc(slices.Clone(p.Gates), func(g policy.Gate) bool { return g.Guards == "restore" })
			p.Gates = append(p.Gates, policy.Gate{ID: "restore", Guards: "restore"})
		})
	case "probe-swallowed":
		o.Probes = slices.Clone(o.Probes)
		for i := range o.Probes { // as checks of an incident they go on seeing
			o.Probes[i].Check = seesNothing{}
		}
	case "checks-unasked":
		checks := map[string]desk.Check{}
		for name := range o.Checks {
			checks[name] = seesNothing{}
		}
		o.Checks = checks
	case "update-skipped":
		o.Programs = altered(o.Programs, func(p *policy.Program) {
			p.Duties = slices.Clone(p.Duties)
			for i := range p.Duties { // an update is owed once, and not again
				if p.Duties[i].Do == policy.Announce {
					p.Duties[i].Every = nil
				}
			}
		})
	case "dismiss-silent":
		o.Decided = unsaid(incident.KindDutyStopped)
	case oldTLS: // where the server listens
	case "report-lost":
		o.Decided = unsaid(incident.KindSignal)
	case "restore-old", "backup-plain", "production-mislabelled":
		// Nothing of the server is broken: it is the conductor that goes on from an old backup, takes them in the clear, or
		// sets up an installation wrongly.
	case "inclusion-lost":
		o.Decided = losesAnInclusion()
	case "private-leaks":
		o.Decided = unsaid(incident.KindRestricted)
	case "integrity-blind":
		o.Integrity.Looked = func(f integrity.Finding) integrity.Finding {
			f.Changes, f.Found = nil, f.Approval.Digest
			return f
		}
	case "restored-without-check":
		for name := range o.Integrity.Restores {
			if keeps, ok := o.Connectors[name].(contain.Destroyer); ok {
				o.Connectors[name] = believes{o.Connectors[name], keeps}
			}
		}
		for _, name := range o.Integrity.Keeper.Names() {
			o.Checks[desk.SourceCheck(name)] = check(func(context.Context) probe.Result {
				return probe.Result{Passed: true, Code: "as_approved", Observed: "every file is as approved", At: time.Now().UTC()}
			})
		}
	case "evidence-not-kept":
		o.Decided = unsaid(incident.KindAttached)
	case "miss-swallowed":
		o.Programs = altered(o.Programs, func(p *policy.Program) { p.Duties = withoutLimits(p.Duties) })
	case "escalation-stops":
		o.Programs = altered(o.Programs, func(p *policy.Program) {
			p.Duties = slices.Clone(p.Duties)
			for i := range p.Duties { // only the first of those who have to be called is
				p.Duties[i].Late = p.Duties[i].Late[:min(1, len(p.Duties[i].Late))]
			}
		})
	case "evidence-rewrite":
		if a.o.Store != "" {
			return errors.New("drill pipe: sabotage evidence-rewrite needs the embedded store")
		}
		o.Gathered = rewritten(filepath.Join(a.o.Dir, "tocsin.db"))
	case "evidence-fork":
		o.Gathered = a.forked(o)
	default:
		return fmt.Errorf("drill pipe: there is no sabotage %q", d.Sabotage)
	}
	return nil
}

func wrapped(all map[string]contain.Connector, wrap func(contain.Connector) contain.Connector) map[string]contain.Connector {
	out := map[string]contain.Connector{}
	for name, c := range all {
		out[name] = wrap(c)
	}
	return out
}

// lazyApply answers that it has acted and has not.
type lazyApply struct{ contain.Connector }

func (lazyApply) Apply(context.Context, contain.Target, contain.Secret, string) contain.Result {
	return contain.Result{Outcome: incident.Done, Code: "http 200", Proof: "the endpoint answered HTTP 200", At: time.Now().UTC()}
}

// blindConfirm says that the old credential is refused and has not asked.
type blindConfirm struct{ contain.Connector }

func (blindConfirm) Confirm(context.Context, contain.Target, contain.Secret) contain.Result {
	return contain.Result{Outcome: incident.Done, Code: "http 401", Proof: "the old credential was refused with HTTP 401", At: time.Now().UTC()}
}

// believes puts files back and takes it for granted that they are there.
type believes struct {
	contain.Connector
	contain.Destroyer
}

func (believes) Confirm(context.Context, contain.Target, contain.Secret) contain.Result {
	return contain.Result{Outcome: incident.Done, Code: "as_approved", Proof: "every file is as approved", At: time.Now().UTC()}
}

// seesNothing says that all is well and has not asked.
type seesNothing struct{}

func (seesNothing) Run(context.Context) probe.Result {
	return probe.Result{Passed: true, Code: "http 200", Observed: "it answered as expected", At: time.Now().UTC()}
}

// dropsOne loses one letter and says that it was accepted.
type dropsOne struct {
	notify.Sender
	sent atomic.Int64
}

func (d *dropsOne) Send(ctx context.Context, l notify.Letter) notify.Receipt {
	if d.sent.Add(1) == 20 {
		return notify.Receipt{Outcome: incident.Done, Code: "250", At: time.Now().UTC()}
	}
	return d.Sender.Send(ctx, l)
}

// losesCorrections loses every letter that corrects another one and says that it was accepted.
type losesCorrections struct {
	notify.Sender
	mu   sync.Mutex
	lost map[string]bool // Message-IDs
}

func (l *losesCorrections) compose(in notify.Input) (notify.Letter, error) {
	letter, err := notify.Compose(in)
	if err == nil && in.Notice.Corrects != "" {
		l.mu.Lock()
		l.lost[letter.MessageID] = true
		l.mu.Unlock()
	}
	return letter, err
}

func (l *losesCorrections) Send(ctx context.Context, letter notify.Letter) notify.Receipt {
	l.mu.Lock()
	lost := l.lost[letter.MessageID]
	l.mu.Unlock()
	if lost {
		return notify.Receipt{Outcome: incident.Done, Code: "250", At: time.Now().UTC()}
	}
	return l.Sender.Send(ctx, letter)
}

// wrongNumbers puts one merchant's numbers into another's letter.
func wrongNumbers(compose func(notify.Input) (notify.Letter, error)) func(notify.Input) (notify.Letter, error) {
	var mu sync.Mutex
	var first *incident.Exposure
	victim := ""
	return func(in notify.Input) (notify.Letter, error) {
		mu.Lock()
		if e := in.Exposure; e != nil {
			switch {
			case first == nil:
				first = e
			case victim == "" && e.Merchant != first.Merchant && (e.Customers != first.Customers || e.Records != first.Records):
				victim = e.Merchant
			}
			if e.Merchant == victim {
				in.Exposure = first
			}
		}
		mu.Unlock()
		return compose(in)
	}
}

// skipsDay is an access log that has lost the first day of whatever is asked for.
type skipsDay struct {
	*accesslog.Store
	mu  sync.Mutex
	day time.Time
}

func (s *skipsDay) compute(ctx context.Context, q scope.Query, o scope.Options) (scope.Result, error) {
	s.mu.Lock()
	if s.day.IsZero() {
		whole, err := scope.Compute(ctx, s.Store, q, o)
		if err != nil {
			s.mu.Unlock()
			return whole, err
		}
		s.day = whole.First.UTC().Truncate(24 * time.Hour)
	}
	s.mu.Unlock()
	return scope.Compute(ctx, s, q, o)
}

// Count has the columns answer nothing: they have lost no day.
func (s *skipsDay) Count(context.Context, scope.Query, scope.Query, uint64, int) (*ask.Answer, int64, error) {
	return nil, 0, ask.ErrUnavailable
}

func (s *skipsDay) Scan(ctx context.Context, q scope.Query, size uint64, fn func(*tally.Event) error) (int64, error) {
	return s.Store.Scan(ctx, q, size, func(e *tally.Event) error {
		if e.Time.UTC().Truncate(24 * time.Hour).Equal(s.day) {
			return nil
		}
		return fn(e)
	})
}

func (s *skipsDay) Matching(ctx context.Context, q scope.Query, size uint64) ([]int64, error) {
	seqs, err := s.Store.Matching(ctx, q, size)
	if err != nil {
		return nil, err
	}
	lost := map[int64]bool{}
	err = s.Store.Select(ctx, accesslog.Filter{From: s.day, To: s.day.Add(24 * time.Hour)}, func(e accesslog.Event) error {
		lost[e.Seq] = true
		return nil
	})
	return slices.DeleteFunc(seqs, func(seq int64) bool { return lost[seq] }), err
}

// unsaid drops facts of a kind: what they say happens and nobody is told.
func unsaid(kind incident.Kind) func([]incident.Fact) []incident.Fact {
	return func(facts []incident.Fact) []incident.Fact {
		return slices.DeleteFunc(facts, func(f incident.Fact) bool { return f.Kind == kind })
	}
}

// losesAnInclusion drops one merchant of those whom people take into a scope by hand, the fifth, and
// answers as if it were in.
func losesAnInclusion() func([]incident.Fact) []incident.Fact {
	var taken atomic.Int64
	return func(facts []incident.Fact) []incident.Fact {
		return slices.DeleteFunc(facts, func(f incident.Fact) bool {
			return f.Kind == incident.KindScopeAdjust && taken.Add(1) == 5
		})
	}
}

func altered(programs []*policy.Program, change func(*policy.Program)) []*policy.Program {
	var out []*policy.Program
	for _, p := range programs {
		q := *p
		change(&q)
		out = append(out, &q)
	}
	return out
}

// dayLate adds a day to every clock.
func dayLate(duties []policy.Duty) []policy.Duty {
	later := func(l *calendar.Length) *calendar.Length {
		if l == nil {
			return nil
		}
		n := *l
		switch n.Unit {
		case calendar.Minute:
			n.N += 24 * 60
		case calendar.Hour:
			n.N += 24
		default:
			n.N++
		}
		return &n
	}
	out := slices.Clone(duties)
	for i := range out {
		out[i].Due = slices.Clone(out[i].Due)
		for k := range out[i].Due {
			c := &out[i].Due[k]
			c.Span = calendar.Span{Target: later(c.Span.Target), Limit: later(c.Span.Limit)}
		}
	}
	return out
}

// withoutLimits turns every limit into a target: clocks run on and nothing is ever missed.
func withoutLimits(duties []policy.Duty) []policy.Duty {
	out := slices.Clone(duties)
	for i := range out {
		out[i].Due = slices.Clone(out[i].Due)
		for k := range out[i].Due {
			if c := &out[i].Due[k]; c.Span.Limit != nil {
				c.Span = calendar.Span{Target: c.Span.Limit}
			}
		}
	}
	return out
}

type gathered = func(context.Context, string, func() (evidence.Input, error)) (evidence.Input, error)

// rewritten changes a fact in the file, behind the program's back, before the export reads it.
func rewritten(file string) gathered {
	return func(ctx context.Context, inc string, gather func() (evidence.Input, error)) (evidence.Input, error) {
		db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)")
		if err != nil {
			return evidence.Input{}, err
		}
		defer db.Close()
		for _, stmt := range []string{
			`DROP TRIGGER IF EXISTS facts_keep`,
			`UPDATE facts SET header = CAST(replace(CAST(header AS TEXT), '"env":"drill"', '"env":"Drill"') AS BLOB) WHERE seq = (SELECT min(seq) FROM facts WHERE kind = 'answer.recorded')`,
		} {
			if _, err := db.ExecContext(ctx, stmt); err != nil {
				return evidence.Input{}, err
			}
		}
		return gather()
	}
}

// forked tells another story under the real key: one fact is altered, every hash after it is made
// to fit, and the facts log is rewritten. Nothing inside the export shows it; a checkpoint that
// somebody kept does.
func (a *App) forked(o *desk.Options) gathered {
	return func(ctx context.Context, inc string, gather func() (evidence.Input, error)) (evidence.Input, error) {
		in, err := gather()
		if err != nil {
			return in, err
		}
		i := slices.IndexFunc(in.Facts, func(f evidence.Fact) bool { return bytes.Contains(f.Header, []byte(`"kind":"milestone.set"`)) })
		if i < 0 {
			return in, errors.New("sabotage: there is no milestone to alter")
		}
		renamed := map[string][]byte{} // leaf data of the old fact to that of the new one
		for ; i < len(in.Facts); i++ {
			f := &in.Facts[i]
			old := f.Hash
			if len(renamed) == 0 {
				f.Header = bytes.Replace(f.Header, []byte(`"simulated":true`), []byte(`"simulated":false`), 1)
			} else {
				before := in.Facts[i-1]
				f.Header = replacePrev(f.Header, before.Hash)
			}
			rec := ledger.Record{Header: f.Header}
			for _, p := range f.Parts {
				rec.Parts = append(rec.Parts, ledger.SealedPart{Merchant: p.Merchant, Index: p.Index, Commit: p.Commit})
			}
			f.Hash = rec.Sum()
			renamed[string(ledger.LeafData(f.ID, old))] = ledger.LeafData(f.ID, f.Hash)
		}
		old, ok := o.Logs.Facts.(*translog.Log)
		if !ok {
			return in, errors.New("sabotage: the facts log cannot be read back")
		}
		dir, err := os.MkdirTemp(a.o.Dir, "fork-")
		if err != nil {
			return in, err
		}
		fork, err := translog.Open(ctx, dir, o.Signer, translog.Options{})
		if err != nil {
			return in, err
		}
		a.onClose(func() error { return errors.Join(fork.Close(), os.RemoveAll(dir)) })
		size, err := old.Size(ctx)
		if err != nil {
			return in, err
		}
		var leaves [][]byte
		err = old.Leaves(ctx, 0, size, func(_ uint64, data []byte) error {
			if other, ok := renamed[string(data)]; ok {
				data = other
			}
			leaves = append(leaves, slices.Clone(data))
			return nil
		})
		if err != nil {
			return in, err
		}
		if _, err := fork.AppendMany(ctx, leaves); err != nil {
			return in, err
		}
		in.FactsLog = fork
		in.Published = slices.DeleteFunc(in.Published, func(p evidence.Published) bool { return p.Log == fork.Origin() })
		return in, nil
	}
}

// replacePrev puts another hash into a header's prev.
func replacePrev(header, hash []byte) []byte {
	text := string(header)
	const key = `"prev":"`
	at := strings.Index(text, key)
	if at < 0 {
		return header
	}
	at += len(key)
	end := strings.IndexByte(text[at:], '"')
	return []byte(text[:at] + ledger.HashText(hash) + text[at+end:])
}
