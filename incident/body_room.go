package incident

import "time"

// EndedBody is the body of signal.ended.
type EndedBody struct {
	Signal string    `json:"signal"`
	At     time.Time `json:"at"`
}

// UnlinkedBody is the body of signal.unlinked.
type UnlinkedBody struct {
	Signal string `json:"signal"`
	To     string `json:"to,omitempty"` // the incident it went to
}

// OfferedBody is the body of role.offered. An offer to nobody withdraws the one that stands.
type OfferedBody struct {
	Role   string    `json:"role"`
	Person Principal `json:"person,omitempty"`
}

// HoldBody is the body of hold.placed and hold.released.
type HoldBody struct {
	Hold  string    `json:"hold"`
	Until time.Time `json:"until,omitzero"`
}

// HoldText is what is held and why: a legal basis may name people.
type HoldText struct {
	What  string `json:"what"`
	Basis string `json:"basis"`
}

// AttachedBody is the body of evidence.attached.
type AttachedBody struct {
	Attachment string `json:"attachment"`
	Digest     string `json:"digest"`
	Bytes      int64  `json:"bytes"`
}

// AttachedText is what the sender called the file, and what it is.
type AttachedText struct {
	Name string `json:"name"`
	Note string `json:"note"`
}

// Unlinked is a signal that somebody took out of the incident.
type Unlinked struct {
	Signal
	To  string    `json:"to,omitempty"`
	By  Principal `json:"by"`
	Out time.Time `json:"out"`
	Why string    `json:"why"`
}

// Offer is a role that is being handed over.
type Offer struct {
	Role   string    `json:"role"`
	Person Principal `json:"person"`
	By     Principal `json:"by"`
	At     time.Time `json:"at"`
	Note   string    `json:"note"`
}

// Hold keeps data from being deleted.
type Hold struct {
	ID       string    `json:"id"` // HLD-1, …
	What     string    `json:"what"`
	Basis    string    `json:"basis"`
	Until    time.Time `json:"until,omitzero"` // zero: until it is released
	By       Principal `json:"by"`
	At       time.Time `json:"at"`
	Released *Signed   `json:"released,omitempty"`
}

// Stands reports whether the hold holds at an instant.
func (h *Hold) Stands(now time.Time) bool {
	return h.Released == nil && (h.Until.IsZero() || now.Before(h.Until))
}

// Attachment is a file that was kept as evidence.
type Attachment struct {
	ID     string    `json:"id"` // ATT-1, …
	Name   string    `json:"name"`
	Digest string    `json:"digest"` // "sha256:" and the hex digest of the file
	Bytes  int64     `json:"bytes"`
	Note   string    `json:"note"`
	By     Principal `json:"by"`
	At     time.Time `json:"at"`
	Fact   string    `json:"fact,omitempty"`
}
