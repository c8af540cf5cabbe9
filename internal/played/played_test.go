package played

import (
	"testing"
	"time"
)

func TestADrillThatAStoppedServerLeftIsKeptAsInterruptedOnce(t *testing.T) {
	dir, began := t.TempDir(), time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)
	p := Play{Folder: "/tmp/x", Run: Run{Began: began, By: "person:ada", Card: Card{Policy: "mine", Scenario: "supplier"}}}
	if folder, err := Resume(dir); folder != "" || err != nil {
		t.Fatalf("nothing was begun: %q %v", folder, err)
	}
	if err := Begin(dir, p); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/tmp/x", ""} { // the second start finds nothing to do
		if folder, err := Resume(dir); folder != want || err != nil {
			t.Fatalf("%q %v", folder, err)
		}
	}
	runs, err := Read(dir)
	if err != nil || len(runs) != 1 || runs[0].Failed != Interrupted || !runs[0].Began.Equal(began) || runs[0].Card.Scenario != "supplier" {
		t.Fatalf("%+v %v", runs, err)
	}
}

// A crash between the result and the removal of the note is not an interrupted drill.
func TestAResultThatWasKeptIsNotInterruptedAfterwards(t *testing.T) {
	dir, began := t.TempDir(), time.Date(2026, 11, 27, 3, 0, 0, 0, time.UTC)
	p := Play{Run: Run{Began: began, Card: Card{Policy: "mine"}}}
	if err := Begin(dir, p); err != nil {
		t.Fatal(err)
	}
	done := p.Run
	done.At = began.Add(time.Minute)
	if err := Keep(dir, done); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(dir); err != nil {
		t.Fatal(err)
	}
	if runs, err := Read(dir); err != nil || len(runs) != 1 || runs[0].Failed != "" {
		t.Fatalf("%+v %v", runs, err)
	}
}
