//go:build !race

package detect_test

// These play whole months, which takes minutes under the race detector and shows it nothing: one
// goroutine does it all. make rest runs them without it.

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/soaktest"
)

// promise: DET-2
func TestAMonthOfOrdinaryLifeRaisesNothing(t *testing.T) { ordinaryMonths(t, 0, 1) }

func TestSoakMonths(t *testing.T) {
	s := soaktest.Start(t)
	seeds := s.Seeds(t, s.Rounds(t, "months", 10, 100))
	ordinaryMonths(t, seeds...)
	walks(t, seeds...)
}

func ordinaryMonths(t *testing.T, seeds ...uint64) {
	t.Helper()
	for _, seed := range seeds {
		for _, rate := range []float64{0.3, 1.5, 4} {
			d := detector(t, detect.Options{})
			for _, s := range run(d, texts(t, month(seed, 31, rate))) {
				// The weekly report is new in its first weeks: nothing can know that it is weekly.
				if s.At.Before(start.Add(14*24*time.Hour)) && s.At.Weekday() == time.Tuesday && s.At.Hour() == 3 {
					continue
				}
				t.Errorf("seed %d rate %v, %s: %s", seed, rate, s.At.Format(time.DateTime), s.Sentence)
			}
		}
	}
}

// promise: DET-3
func TestAWalkThroughTheShopsIsReportedOnceAndInTime(t *testing.T) { walks(t, 0) }

func walks(t *testing.T, seeds ...uint64) {
	t.Helper()
	for _, seed := range seeds {
		for _, rate := range []float64{0.3, 4} {
			for _, hour := range []int{3, 13, 20} {
				begin := start.Add(30*24*time.Hour + time.Duration(hour)*time.Hour + 7*time.Minute)
				entries := texts(t, byTime(append(month(seed, 31, rate), attack(begin, 120, 20*time.Minute, 3)...)))
				var during []incident.Signal
				for _, s := range run(detector(t, detect.Options{}), entries) {
					if !s.At.Before(begin) && s.At.Before(begin.Add(30*time.Minute)) {
						during = append(during, s)
					}
				}
				if len(during) != 1 {
					t.Errorf("seed %d rate %v hour %d: %d signals: %v", seed, rate, hour, len(during), during)
					continue
				}
				s := during[0]
				if s.Class != "unusual_volume" || s.Subject != "credential:tok_9fa8b7c6d5e4" || s.App != "shop" || s.Facets["ip"] != "203.0.113.66" || len(s.Events) == 0 {
					t.Errorf("seed %d: %+v", seed, s)
				}
				if !strings.HasPrefix(s.Sentence, "credential tok_9fa8b7c6d5e4: ") || !strings.Contains(s.Sentence, "in 10 minutes") || !strings.Contains(s.Sentence, "203.0.113.66") {
					t.Errorf("sentence: %s", s.Sentence)
				}
				if wait := s.At.Sub(begin); wait > time.Minute {
					t.Errorf("seed %d rate %v hour %d: reported %v after the beginning: %s", seed, rate, hour, wait, s.Sentence)
				}
			}
		}
	}
}

// promise: DET-4
func TestErrorsOfAnAppThatNobodyCausesAreReported(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var entries []detect.Entry
	for m := range 12 * 1440 {
		at := start.Add(time.Duration(m) * time.Minute)
		for i := range 10 {
			e := detect.Entry{ID: fmt.Sprint(m, "-", i), Time: at.Add(time.Duration(i) * time.Second), Kind: "http_access", App: "shop", IP: fmt.Sprintf("198.51.%d.%d", r.IntN(250), r.IntN(250)), Outcome: "ok"}
			if r.IntN(100) == 0 || m > 11*1440+600 && m < 11*1440+640 && r.IntN(2) == 0 {
				e.Outcome = "error"
			}
			entries = append(entries, e)
		}
	}
	got := run(detector(t, detect.Options{}), texts(t, entries))
	if len(got) != 1 || got[0].Class != detect.ErrorRate || got[0].Subject != "app:shop" || !strings.Contains(got[0].Sentence, "app shop: error share 0.") {
		t.Fatalf("%v", got)
	}
	if wait := got[0].At.Sub(start.Add((11*1440 + 600) * time.Minute)); wait < -5*time.Minute || wait > 10*time.Minute {
		t.Errorf("reported %s after the beginning", wait)
	}
}
