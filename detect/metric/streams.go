package metric

import (
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/detect/saved"
	"github.com/tocsin-ir/tocsin/incident"
)

// Reading is one row of a named stream.
type Reading struct {
	Subject string // such as app:pickandpack or credential:tok_1
	Name    string // what is measured: requests, error share, cost
	Unit    string // as a person reads it: a minute, ms, USD
	At      time.Time
	Value   float64
	Rise    bool // a value below the usual is no news
	// Times is how many times more than usual a value has to be, however rare it is, and a fall is news
	// only when it is to nothing; 0 asks for neither. Least is the value from which a rise is news, and
	// the usual value from which a fall is.
	Times, Least float64
}

// tells reports whether a value is worth saying beside what is usual.
func (r Reading) tells(usual float64) bool {
	if r.Value <= usual {
		return !r.Rise && (r.Times == 0 || r.Value == 0 && usual >= r.Least)
	}
	return r.Value >= r.Least && r.Value > r.Times*usual
}

// Unusual is the class of a signal about a reading that is unlike its stream.
const Unusual = "metric_anomaly"

// Streams watches many streams and says in a sentence what is unusual. It is not safe for
// concurrent use.
type Streams struct {
	o       Options
	most    int
	budgets map[string]Budget
	by      map[string]*Detector
	spent   map[string]*Velocity
}

// Cost is the name of readings that are also held against their subject's budget.
const Cost = "cost"

// Spend counts an amount against the budget of a subject, at once and without a reading: what costs
// is told apart from how its sums look over the day.
func (s *Streams) Spend(subject string, at time.Time, amount float64) (incident.Signal, bool) {
	if v := s.spent[subject]; v != nil {
		return v.Observe(at, amount)
	}
	return incident.Signal{}, false
}

// NewStreams watches at most so many streams; beyond them the one that was quiet for longest is
// forgotten. A stream takes some 250 KB when its memory is full. Budgets are by subject; readings
// named Cost count against them.
func NewStreams(most int, budgets map[string]Budget, o Options) (*Streams, error) {
	s := &Streams{o: o.withDefaults(), most: max(most, 1), budgets: budgets, by: map[string]*Detector{}, spent: map[string]*Velocity{}}
	for subject, b := range budgets {
		v, err := NewVelocity(subject, b)
		if err != nil {
			return nil, err
		}
		s.spent[subject] = v
	}
	return s, nil
}

// Observe takes one reading and gives the signals that it raises.
func (s *Streams) Observe(r Reading) (found []incident.Signal) {
	if v := s.spent[r.Subject]; v != nil && r.Name == Cost {
		if sig, ok := v.Observe(r.At, r.Value); ok {
			found = append(found, sig)
		}
	}
	key := r.Subject + "\x00" + r.Name
	d := s.by[key]
	if d == nil {
		s.forget()
		d = New(s.o)
		s.by[key] = d
	}
	usual, low, high, ok := d.Usual(r.At)
	score := d.Observe(r.At, r.Value)
	if score >= Threshold && ok && d.s.Rows > s.o.Learn && r.tells(usual) {
		found = append(found, signal(Unusual, r.Subject, r.At, time.Hour, fmt.Sprintf("%s %s %s; usually %s at this hour, and from %s to %s in %d readings",
			r.Name, plain(r.Value), r.Unit, plain(usual), plain(low), plain(high), d.s.Rows-1)))
	}
	return found
}

func (s *Streams) forget() {
	if len(s.by) < s.most {
		return
	}
	quiet := ""
	for k, d := range s.by {
		if q := s.by[quiet]; q == nil || d.s.Newest.Before(q.s.Newest) || d.s.Newest.Equal(q.s.Newest) && k < quiet {
			quiet = k
		}
	}
	delete(s.by, quiet)
}

// savedStreams is what Streams remember.
type savedStreams struct {
	By    map[string]state
	Spent map[string]spent
}

// Snapshot saves everything learned, with the position in the log of the newest reading.
func (s *Streams) Snapshot(position int64) ([]byte, error) {
	out := savedStreams{map[string]state{}, map[string]spent{}}
	for k, d := range s.by {
		out.By[k] = d.s
	}
	for k, v := range s.spent {
		out.Spent[k] = v.s
	}
	return saved.Write("metric", version, position, out)
}

// Restore replaces what is known and gives the position to go on behind: readings behind it are
// judged as they would have been, and none is reported twice. Budgets are those of NewStreams; what
// was spent from one that is gone is forgotten. On an error nothing is changed.
func (s *Streams) Restore(b []byte) (position int64, err error) {
	position, in, err := saved.Read[savedStreams]("metric", version, b, "the readings")
	if err != nil {
		return 0, err
	}
	by := map[string]*Detector{}
	for k, known := range in.By {
		d := New(s.o)
		if !d.o.fits(&known) {
			return 0, errLarger
		}
		d.s = known
		by[k] = d
	}
	s.by = by
	for k, v := range s.spent {
		v.s = in.Spent[k]
		if v.s.Minutes == nil {
			v.s.Minutes = map[int64]float64{}
		}
	}
	return position, nil
}
