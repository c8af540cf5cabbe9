package review

import (
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
)

// perRecipient are the kinds of facts that come once per recipient, with what many of them are
// called together. A review of two hundred letters that lists each of them is read by nobody; the
// delivery ledger and the evidence export have every one.
var perRecipient = map[incident.Kind]string{
	incident.KindNoticeAttempted: "letters were handed to the mail server",
	incident.KindNoticeAccepted:  "letters were accepted by the recipients' servers",
	incident.KindNoticeDeferred:  "letters were put off by the recipients' servers and tried again",
	incident.KindNoticeBounced:   "letters came back",
	incident.KindNoticeUncertain: "letters had an uncertain outcome",
	incident.KindNoticeResent:    "letters were sent again by hand",
	incident.KindDutyMet:         "clocks of recipients were met",
}

// fewLines is how many facts of one kind and hour still stand one by one.
const fewLines = 3

// condense puts facts that come once per recipient into one line per kind and hour, where the
// first of them stood.
func condense(lines []incident.Line) []incident.Line {
	type bunch struct {
		kind incident.Kind
		who  incident.Principal
		hour time.Time
	}
	of := func(l incident.Line) bunch { return bunch{l.Kind, l.Principal, l.At.Truncate(time.Hour)} }
	count := map[bunch]int{}
	for _, l := range lines {
		if perRecipient[l.Kind] != "" {
			count[of(l)]++
		}
	}
	out := make([]incident.Line, 0, len(lines))
	for _, l := range lines {
		b := of(l)
		switch n := count[b]; {
		case n <= fewLines && n >= 0:
			out = append(out, l)
		case n > fewLines:
			l.Text = fmt.Sprintf("%d %s", n, perRecipient[l.Kind])
			out = append(out, l)
			count[b] = -1 // said once
		}
	}
	return out
}
