package drill

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/scenarios"
)

// Somebody who only watches the clocks is told what would come next, sees time pass and the
// attacker go on, and is judged by what they left undone.
func TestAPersonAtTheKeyboardIsToldWhatComesNextAndJudgedByWhatTheyDid(t *testing.T) {
	o := reduced(t)
	o.Interactive, o.Hints, o.Policy = true, true, "shopify_app"
	o.In = strings.NewReader("dance\nwait 1000000h\nwait 40m\nstatus\nwait 100h\ndone\n")
	var told bytes.Buffer
	o.Out, o.Err = &told, &told
	card, err := Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	for _, want := range []string{
		"/join?code=", "stolen_token", "acknowledge the incident", "say how long, such as wait 30m", "wait DURATION lets time pass",
		"its token still works", "Contain: running", " left, until ", "MISSED", " ago", "Scorecard: stolen-token",
	} {
		if !strings.Contains(told.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, told.String())
		}
	}
	record, err := os.ReadFile(filepath.Join(o.Dir, "drill", "record.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## Score by promise", "| CON-1 | missed |", "## What would have been missed", "* **CON-1**: ", "Clocks that ran out", "## What happened"} {
		if !strings.Contains(string(record), want) {
			t.Errorf("the record does not say %q:\n%s", want, record)
		}
	}
	if card.OK {
		t.Error("nobody did anything, and every expectation held")
	}
	for _, p := range card.Promises {
		if p.ID == "CON-1" && p.Got == scenarios.Kept {
			t.Error("CON-1 is kept, and nothing was revoked")
		}
		if p.ID == "DET-3" && p.Got != scenarios.Kept {
			t.Errorf("DET-3 is %s: the alarm came before the person did", p.Got)
		}
	}
}

func TestInteractiveGoesWithAKeyboardAlone(t *testing.T) {
	for name, o := range map[string]Options{
		"no keyboard":     {Interactive: true},
		"hints alone":     {Hints: true},
		"kills beside it": {Interactive: true, In: strings.NewReader(""), Kills: 1},
	} {
		if _, err := o.withDefaults(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
