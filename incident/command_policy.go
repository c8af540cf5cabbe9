package incident

import "time"

// SetScale sets the level of one of the policy's own scales. Anyone raises, the lead lowers.
type SetScale struct {
	Scale  string `json:"scale"`
	Level  string `json:"level"`
	Reason string `json:"reason"`
}

// RecordDirectory says what the directory of merchants holds of merchants in scope. The desk gives
// it when the directory was changed; what has not changed is not recorded again.
type RecordDirectory struct {
	Merchants []Recipient `json:"merchants"`
}

// Complete says that a duty is done which leaves no other trace: one to perform something, one to
// reach milestones, and every duty of the programme.
type Complete struct {
	Duty      string    `json:"duty"`
	Recipient string    `json:"recipient,omitempty"` // of a duty for each event: the event's id
	At        time.Time `json:"at,omitzero"`         // when it was done; default now, never in the future
	Note      string    `json:"note"`                // what was done, and where it can be seen
}

// Told says that a person reached a recipient by another channel, after the mail could not: by
// phone, by letter, on a status page.
type Told struct {
	Notice  string `json:"notice"`
	Party   string `json:"party"`
	Channel string `json:"channel"` // such as phone
	Reason  string `json:"reason"`  // who was reached, and how
}

// Attest gives the declaration that a gate asks of whoever gives its command: "it says only what is
// known". It is used up when the gate lets the command through.
type Attest struct {
	Gate string `json:"gate"`
}

// Override signs for passing a gate although it is shut, with the reason. When enough people have
// signed, the gate's next command is let through, and that it was stays on record for ever.
type Override struct {
	Gate   string `json:"gate"`
	Reason string `json:"reason"`
}

// MovePolicy moves an open incident to the policy of a digest. It is the owner's or the lead's, in
// their own name: promises change under people who were told the old ones.
type MovePolicy struct {
	Policy string `json:"policy,omitempty"` // Program.Hash; "" is the one that new incidents run under
	Reason string `json:"reason"`
}

// BeginProgramme puts the programme under a policy: its duties without an incident begin. The desk
// gives it when a policy is published.
type BeginProgramme struct{}

// RecordEvent says that something happened to the programme, such as that a subprocessor is added.
// At may lie in the future: notice in advance counts back from it.
type RecordEvent struct {
	Event string    `json:"event"`
	At    time.Time `json:"at,omitzero"` // default now
	Note  string    `json:"note"`
}

func (SetScale) Name() string        { return "scale" }
func (RecordDirectory) Name() string { return "record-directory" }
func (Complete) Name() string        { return "done" }
func (Told) Name() string            { return "told" }
func (Attest) Name() string          { return "attest" }
func (Override) Name() string        { return "override" }
func (MovePolicy) Name() string      { return "move-policy" }
func (BeginProgramme) Name() string  { return "begin-programme" }
func (RecordEvent) Name() string     { return "event" }
