package review

import (
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// promise: REV-1
func TestLettersToManyAreOneLineAndEverythingElseStays(t *testing.T) {
	at := time.Date(2026, 11, 22, 7, 19, 0, 0, time.UTC)
	var lines []incident.Line
	lines = append(lines, incident.Line{At: at, Kind: incident.KindNote, Text: "before"})
	for i := range 187 {
		lines = append(lines,
			incident.Line{At: at, Kind: incident.KindNoticeAttempted, Principal: "service:notify", Text: fmt.Sprint("attempt ", i)},
			incident.Line{At: at, Kind: incident.KindNoticeAccepted, Principal: "service:notify", Text: fmt.Sprint("accepted ", i)})
	}
	for i := range 3 {
		lines = append(lines, incident.Line{At: at, Kind: incident.KindNoticeBounced, Principal: "service:notify", Text: fmt.Sprint("bounced ", i)})
	}
	lines = append(lines, incident.Line{At: at.Add(2 * time.Hour), Kind: incident.KindNoticeAccepted, Principal: "service:notify", Text: "a late one"})
	got := condense(lines)
	want := []string{
		"before", "187 letters were handed to the mail server", "187 letters were accepted by the recipients' servers",
		"bounced 0", "bounced 1", "bounced 2", "a late one",
	}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d: %v", len(got), len(want), got)
	}
	for i := range want {
		if got[i].Text != want[i] {
			t.Errorf("line %d is %q, want %q", i, got[i].Text, want[i])
		}
	}
}
