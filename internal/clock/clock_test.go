package clock

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDrillWakesOnlyThoseWhoseTimeHasCome(t *testing.T) {
	start := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	d := NewDrill(start)
	early, _ := d.Until(start.Add(time.Minute))
	late, cancel := d.Until(start.Add(time.Hour))
	defer cancel()
	d.Set(start.Add(time.Minute))
	select {
	case <-early:
	default:
		t.Fatal("a wait for 03:01 did not end when the clock was set to 03:01")
	}
	select {
	case <-late:
		t.Fatal("a wait for 04:00 ended at 03:01")
	default:
	}
	d.Set(start)
	if got := d.Now(); !got.Equal(start.Add(time.Minute)) {
		t.Fatalf("the clock went back to %s", got)
	}
}

func TestRealClockWakesAtItsInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ch, cancel := Real{}.Until(began.Add(72 * time.Hour))
		defer cancel()
		<-ch
		if got := time.Since(began); got != 72*time.Hour {
			t.Fatalf("woke after %s, want 72h", got)
		}
	})
}
