package incident

import (
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// manyDuties is a policy of n duties that start when an incident is opened.
func manyDuties(n int) *policy.Program {
	p := testPolicy()
	p.Duties = nil
	for i := range n {
		p.Duties = append(p.Duties, policy.Duty{ID: fmt.Sprintf("duty_%d", i), Do: policy.Contain, When: factIs("personal_data"),
			Due: []policy.Clock{{Kind: "after", Span: limit(100 + i), Anchor: after("detected")}}, Late: []policy.Escalation{{After: minutes(15), Role: "lead"}}})
	}
	return p
}

func BenchmarkTick(b *testing.B) {
	w := newWorld(b)
	w.p = manyDuties(20)
	w.open()
	w.after(time.Minute)
	ctx := w.ctx(ticker)
	b.ReportAllocs()
	for b.Loop() {
		if d, err := Decide(w.p, w.s, Tick{}, ctx); err != nil || len(d.Facts) > 0 {
			b.Fatal(d, err)
		}
	}
}

func BenchmarkFold(b *testing.B) {
	w := newWorld(b)
	w.scoped("m_1", "m_2", "m_3")
	w.noticeSent("tell_merchants")
	for _, e := range w.owed(EffectSend) {
		w.do(e, ReportResult{Outcome: Done})
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		s := NewState("INC-1")
		for _, f := range w.facts {
			var err error
			if s, err = Fold(s, f); err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "facts/s")
}

func large(tb testing.TB, n int) *world {
	w := newWorld(tb)
	merchants := make([]string, n)
	for i := range merchants {
		merchants[i] = fmt.Sprintf("m_%05d", i)
	}
	w.scoped(merchants...)
	w.noticeSent("tell_merchants")
	return w
}

// BenchmarkDelivery is what one of 5,000 mails costs the engine: attempt, result, folds, wake.
func BenchmarkDelivery(b *testing.B) {
	w := large(b, 5000)
	effects := w.owed(EffectSend)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i == len(effects)-1 {
			b.StopTimer()
			w = large(b, 5000)
			effects, i = w.owed(EffectSend), 0
			b.StartTimer()
		}
		for _, c := range []Command{ReportAttempt{Effect: effects[i]}, ReportResult{Effect: effects[i], Outcome: Done}} {
			d, err := Decide(w.p, w.s, c, w.ctx(worker))
			if err != nil {
				b.Fatal(err)
			}
			for _, f := range d.Facts {
				f.ID = "F"
				if w.s, err = Fold(w.s, f); err != nil {
					b.Fatal(err)
				}
			}
			OwedBy(w.s, d.Facts)
		}
		i++
	}
}

// The cost of a scope grows with its merchants, not with their square.
func TestFiveThousandMerchantsAreJudgedInOneStroke(t *testing.T) {
	const n = 5000
	began := time.Now()
	w := large(t, n)
	for _, f := range w.facts {
		if f.Kind == KindDutyStarted && len(f.Parts) > 1 && len(f.Parts) != n+1 {
			t.Fatalf("%s speaks for %d of %d merchants", f.Kind, len(f.Parts)-1, n)
		}
	}
	if len(w.facts) > 40 {
		t.Fatalf("%d facts: one is meant to speak for all", len(w.facts))
	}
	for _, e := range w.owed(EffectSend)[:200] {
		w.do(e, ReportResult{Outcome: Done})
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Fatalf("took %s", d)
	}
}

// fullPolicy is a policy of n duties to merchants, a third of them with a condition about the
// recipient.
func fullPolicy(n int) *policy.Program {
	p := testPolicy()
	p.Duties, p.Gates = nil, nil
	for i := range n {
		d := policy.Duty{ID: fmt.Sprintf("duty_%d", i), Who: "comms", Do: policy.Notify, To: "merchants.affected", Due: []policy.Clock{clock("in time", 100+i, "detected")}}
		if i%3 == 0 {
			d.When = countryIs([]string{"DE", "FR"}[i%2])
		}
		p.Duties = append(p.Duties, d)
	}
	return p
}

// BenchmarkFullEvaluation looks at 200,000 instances at once, as after every change that a
// condition may read, and BenchmarkExplain says of each how it stands and why.
func BenchmarkFullEvaluation(b *testing.B) {
	w := fullWorld(b, 5000, 40)
	ctx := w.ctx(ticker)
	ctx.Versions.Engine = "another" // looks at everything
	b.ReportAllocs()
	for b.Loop() {
		if d, err := Decide(w.p, w.s, Tick{}, ctx); err != nil || len(d.Facts) > 0 {
			b.Fatal(len(d.Facts), err)
		}
	}
}

func BenchmarkExplain(b *testing.B) {
	w := fullWorld(b, 5000, 40)
	b.ReportAllocs()
	for b.Loop() {
		if list := Explain(w.p, w.s); len(list) < 40 {
			b.Fatal(len(list))
		}
	}
}

func fullWorld(tb testing.TB, merchants, duties int) *world {
	w := newWorld(tb)
	w.p, w.directory = fullPolicy(duties), map[string]Recipient{}
	list := make([]string, merchants)
	for i := range list {
		list[i] = fmt.Sprintf("m_%05d", i)
		w.directory[list[i]] = Recipient{Merchant: list[i], Country: []string{"DE", "FR", "GB"}[i%3]}
	}
	w.open()
	w.scopedMore(list...)
	if len(w.s.Duties) < merchants*duties {
		tb.Fatalf("%d instances", len(w.s.Duties))
	}
	w.after(time.Minute)
	return w
}
