package metric

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// Budget is what a credential may cost, or use, in a period.
type Budget struct {
	Amount float64
	Unit   string        // as a person reads it: USD, tokens, calls
	Period time.Duration // such as 30 days
}

// pace is a rule of two windows. The long one says that it matters, the short one that it still
// goes on. Source: Google, The Site Reliability Workbook, chapter 5, multiwindow multi-burn-rate.
type pace struct {
	long, short time.Duration
	times       float64 // of the even pace of the budget
}

var paces = [...]pace{
	{time.Hour, 5 * time.Minute, 14.4},
	{6 * time.Hour, 30 * time.Minute, 6},
}

// Velocity watches how fast a budget is spent. It speaks while the pace is over the even one by so
// much that the budget would be gone in days: a leaked key is used as fast as it goes.
type Velocity struct {
	budget  Budget
	subject string
	s       spent
}

// spent is what a Velocity remembers. Its fields are exported for the snapshot alone.
type spent struct {
	Minutes map[int64]float64 // by Unix minute, at most six hours
	Newest  int64             // Unix minute
	Active  bool              // reported, and still too fast
}

// SpendVelocity is the class of a signal about a budget that is spent too fast.
const SpendVelocity = "spend_velocity"

// NewVelocity watches one subject, such as credential:tok_1, against its budget. A budget without
// an amount or a period is an error: any spending would be over it.
func NewVelocity(subject string, b Budget) (*Velocity, error) {
	if !(b.Amount > 0) || b.Period < 24*time.Hour {
		return nil, fmt.Errorf("metric: the budget of %s needs an amount above 0 and a period of a day or more", subject)
	}
	return &Velocity{b, subject, spent{Minutes: map[int64]float64{}}}, nil
}

// Observe adds an amount that was spent and gives the signal that it raises, if any: one when the
// pace becomes too fast, and the next after it was no longer so. An amount may come late by six
// hours and counts at its own time; an older one, or one that is not above 0, is passed over.
func (v *Velocity) Observe(at time.Time, amount float64) (incident.Signal, bool) {
	const keep = int64(6 * 60)
	minute := at.Unix() / 60
	if !(amount > 0) || amount > 1e15 || minute <= v.s.Newest-keep {
		return incident.Signal{}, false
	}
	v.s.Minutes[minute] += amount
	if minute > v.s.Newest {
		v.s.Newest = minute
		for m := range v.s.Minutes {
			if m <= minute-keep {
				delete(v.s.Minutes, m)
			}
		}
	}
	for _, p := range paces {
		sum := v.within(p.long)
		if v.pace(sum, p.long) < p.times || v.pace(v.within(p.short), p.short) < p.times {
			continue
		}
		if v.s.Active {
			return incident.Signal{}, false
		}
		v.s.Active = true
		return v.signal(at, p, sum), true
	}
	v.s.Active = false
	return incident.Signal{}, false
}

func (v *Velocity) within(window time.Duration) (sum float64) {
	for m, a := range v.s.Minutes {
		if m > v.s.Newest-int64(window/time.Minute) {
			sum += a
		}
	}
	return sum
}

// pace is how many times faster than the budget allows on average.
func (v *Velocity) pace(sum float64, window time.Duration) float64 {
	return sum / v.budget.Amount * float64(v.budget.Period) / float64(window)
}

func (v *Velocity) signal(at time.Time, p pace, sum float64) incident.Signal {
	left := time.Duration(v.budget.Amount / sum * float64(p.long))
	return signal(SpendVelocity, v.subject, at, p.long, fmt.Sprintf("%s %s in %s, %s times the even pace of its budget of %s %s in %d days; at this pace the whole of it lasts %d hours",
		plain(sum), v.budget.Unit, hours(p.long), plain(v.pace(sum, p.long)), plain(v.budget.Amount), v.budget.Unit, int(v.budget.Period.Hours()/24), int(left.Hours())))
}

// signal is what all signals of this package have in common. Its id is the same whenever the same
// rows are seen again, so that a restart reports nothing twice.
func signal(class, subject string, at time.Time, window time.Duration, sentence string) incident.Signal {
	kind, name, _ := strings.Cut(subject, ":")
	sum := sha256.Sum256([]byte(strings.Join([]string{"tocsin-metric/1", class, subject, at.UTC().Format(time.RFC3339Nano), sentence}, "\x00")))
	return incident.Signal{
		ID: "sig_" + hex.EncodeToString(sum[:10]), Class: class, Subject: subject, At: at.UTC(), From: at.UTC().Add(-window), To: at.UTC(),
		Facets: map[string]string{kind: name}, Sentence: kind + " " + name + ": " + sentence,
	}
}

func hours(d time.Duration) string {
	if d == time.Hour {
		return "an hour"
	}
	return fmt.Sprintf("%d hours", int(d.Hours()))
}

// plain writes a number for people: three digits that matter, and none of an exponent.
func plain(v float64) string {
	digits := 3
	if m := math.Abs(v); m >= 100 {
		digits = int(math.Log10(m)) + 1
	}
	r, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
	return strconv.FormatFloat(r, 'f', -1, 64)
}
