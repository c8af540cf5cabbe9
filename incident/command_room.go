package incident

import "time"

// UnlinkSignal takes a signal out of the incident, with the reason: it belongs elsewhere or to
// nothing. What it said stays on the timeline.
type UnlinkSignal struct {
	Signal string `json:"signal"` // the signal's id
	To     string `json:"to,omitempty"`
	Reason string `json:"reason"`
}

// HandOver offers a role to another person, with what they have to know. Who holds the role keeps it
// until the other accepts. An offer to the holder withdraws the one that stands.
type HandOver struct {
	Role   string    `json:"role"`
	Person Principal `json:"person"`
	Note   string    `json:"note"`
}

// AcceptRole takes a role that was offered to the caller.
type AcceptRole struct {
	Role string `json:"role"`
}

// PlaceHold says that what the incident is about must not be deleted, on which legal basis and until
// when. A hold without an end stands until it is released.
type PlaceHold struct {
	What  string    `json:"what"`
	Basis string    `json:"basis"` // such as: litigation, an order of a court, a request of the authority
	Until time.Time `json:"until,omitzero"`
}

// ReleaseHold ends a hold before its time. It is the owner's or the lead's.
type ReleaseHold struct {
	Hold   string `json:"hold"` // such as HLD-1
	Reason string `json:"reason"`
}

// Attach records a file as evidence. The desk keeps the file and fills in digest and size; a caller
// gives the name and says what it is and where it comes from.
type Attach struct {
	File   string `json:"name"` // as the sender called it; shown, and never a path here
	Digest string `json:"digest"`
	Bytes  int64  `json:"bytes"`
	Note   string `json:"note"`
}

func (UnlinkSignal) Name() string { return "unlink-signal" }
func (HandOver) Name() string     { return "hand-over" }
func (AcceptRole) Name() string   { return "accept-role" }
func (PlaceHold) Name() string    { return "hold" }
func (ReleaseHold) Name() string  { return "release-hold" }
func (Attach) Name() string       { return "attach" }
