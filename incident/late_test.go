package incident

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What has happened may be learnt in any order, hours after it happened: the clocks count from the same
// instants to the same limits, and what met them met them when it was done. What differs, by design, is
// what was seen in between: a limit that passed unmet stays on record as missed, and so does a round of
// a repeated duty; an answer happens when it is given.
func TestTheOrderInWhichThePastIsLearntDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		ago := func(name string) time.Duration { return time.Duration(rapid.IntRange(0, 9).Draw(r, name)) * h }
		mark := func(milestone string) func(w *world) {
			at := t0.Add(ago(milestone))
			return func(w *world) { w.give(lena, Mark{Milestone: milestone, At: at, Reason: "learnt from the logs"}) }
		}
		steps := []func(*world){
			mark("aware"), mark("contained"), mark("acknowledged"), mark("discovered"), mark("remediated"),
		}
		run := func(name string, order []func(*world)) *world {
			w := newWorld(t)
			w.p = richPolicy()
			w.open()
			w.tickTo(t0.Add(10 * h))
			w.give(lena, Answer{Fact: "personal_data", Value: true, Reason: "x"}) // an answer happens when it is given
			w.give(lena, Answer{Fact: "kind", Value: "b", Reason: "x"})
			for _, step := range order {
				w.tickTo(w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(r, "wait "+name)) * h))
				step(w)
			}
			w.tickTo(t0.Add(200 * h))
			return w
		}
		a := run("first", steps)
		b := run("second", rapid.Permutation(steps).Draw(r, "order"))
		if x, y := counts(a.s), counts(b.s); x != y {
			r.Fatalf("one order:\n%s\nanother:\n%s", x, y)
		}
	})
}

// counts is from when to when the clocks of an incident count, and when they were met: what no order of
// learning may change. Later rounds of a duty follow from when the one before was met or missed.
func counts(s *State) string {
	var b strings.Builder
	for _, key := range sortedKeys(s.Duties) {
		d := s.Duties[key]
		if d.Round > 1 {
			continue
		}
		b.WriteString(strings.Join([]string{key, utc(d.Started), utc(d.Target), utc(d.Due), utc(d.Met), utc(d.Floor)}, " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// A log that is supplied later tells what happened long ago: the clocks that run from *suspected* and
// *detected* begin when it came in, and the signal keeps the time of what it shows. A signal of a live log,
// and one that was recorded before the two were told apart, is detected at its event.
func TestWhatALogSuppliedLaterShowsIsDetectedWhenItCameIn(t *testing.T) {
	happened, came := t0.Add(-3*365*24*h), t0.Add(-time.Minute)
	sig := Signal{ID: "S1", Class: "rule_match", Subject: "actor:a", At: happened, From: happened.Add(-h), To: happened, Sentence: "a user was made"}
	for _, c := range []struct {
		name                         string
		noticed, detected, suspected time.Time
	}{
		{"live", time.Time{}, happened, happened.Add(-h)},
		{"supplied later", came, came, came},
		{"a clock that was ahead", t0.Add(h), t0, t0},
	} {
		w := newWorld(t)
		g := sig
		g.Noticed = c.noticed
		w.must(worker, Open{Title: "x", Class: "credential_exposure", Signal: &g}, ReasonOpened)
		if got := w.s.Milestones["detected"].At; !got.Equal(c.detected) {
			t.Errorf("%s: detected %s, want %s", c.name, utc(got), utc(c.detected))
		}
		if got := w.s.Milestones["suspected"].At; !got.Equal(c.suspected) {
			t.Errorf("%s: suspected %s, want %s", c.name, utc(got), utc(c.suspected))
		}
		if got, want := w.s.Duties["judge"].Due, c.detected.Add(8*h); !got.Equal(want) {
			t.Errorf("%s: to be judged by %s, want %s", c.name, utc(got), utc(want))
		}
		if got := w.s.Signals[0]; !got.At.Equal(happened) || !got.Noticed.Equal(c.noticed) {
			t.Errorf("%s: the signal is of %s, noticed %s", c.name, utc(got.At), utc(got.Noticed))
		}
		for _, f := range w.facts {
			if f.Kind == KindSignal && strings.Contains(string(f.Body), "noticed") != !c.noticed.IsZero() {
				t.Errorf("%s: recorded as %s", c.name, f.Body)
			}
		}
	}
}

// Of two signals that leave an incident the first that was noticed says when theirs was detected, not the
// one whose event is the older.
func TestSignalsThatAreSplitOffKeepWhenTheyWereNoticed(t *testing.T) {
	w := newWorld(t)
	w.must(worker, Open{Title: "x", Class: "credential_exposure", Signal: &Signal{ID: "S1", Class: "v", At: t0.Add(-3 * h), From: t0.Add(-3 * h)}}, ReasonOpened)
	live := Signal{ID: "S2", Class: "v", At: t0.Add(-2 * h), From: t0.Add(-2 * h)}
	old := Signal{ID: "S3", Class: "v", At: t0.Add(-1000 * h), From: t0.Add(-1000 * h), Noticed: t0.Add(-h)}
	w.must(worker, AddSignal{Signal: live}, ReasonSignalLinked)
	w.must(worker, AddSignal{Signal: old}, ReasonSignalLinked)
	fresh := newWorld(t)
	fresh.must(lena, Open{Title: "y", Class: "credential_exposure", Split: &Split{Of: w.s, Hash: "sha256:x", Signals: []string{"S3", "S2"}, Reason: "r"}}, ReasonOpened)
	if got := fresh.s.Milestones["detected"].At; !got.Equal(live.At) {
		t.Errorf("detected %s, want %s", utc(got), utc(live.At))
	}
	if got := fresh.s.Milestones["suspected"].At; !got.Equal(live.From) {
		t.Errorf("suspected %s, want %s", utc(got), utc(live.From))
	}
}
