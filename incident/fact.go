// Package incident is the engine: facts, the state they fold to, the commands people and
// programs give, and Decide, which turns a command into facts or into a refusal that lists what
// is missing.
//
// The package is pure. It never reads a clock, a socket, a file or a database: now, the policy
// and the state are arguments, and what it decides comes back as values.
package incident

import (
	"encoding/json"
	"time"
)

// Principal is who a fact or a command comes from: "person:lena", "service:detect",
// "policy:pickandpack" or "clock".
type Principal string

// Clock is the principal of what happened because time passed.
const Clock Principal = "clock"

// Fact is one thing that happened. Facts are appended and never changed.
//
// A fact is a header and zero or more parts. Whatever is about one merchant stands in a part of
// its own, so that a database can later withhold every other merchant's. Free text and personal
// data stand in parts too (a part without a merchant is the header's own), because parts are
// sealed and the header is not.
type Fact struct {
	ID        string          `json:"id"` // ULID, given by the ledger; "" in a Decision
	Kind      Kind            `json:"kind"`
	Chain     string          `json:"chain"` // an incident id such as INC-42, or "org"
	Apps      []string        `json:"app,omitempty"`
	Env       string          `json:"env"` // production, staging or drill
	Principal Principal       `json:"principal"`
	Occurred  time.Time       `json:"occurred"`      // UTC; when it happened, as far as is known
	Recorded  time.Time       `json:"recorded"`      // UTC; the now of the transaction that recorded it
	Real      time.Time       `json:"real,omitzero"` // UTC; the machine's own time, when Recorded is simulated
	Simulated bool            `json:"simulated"`
	Versions  Versions        `json:"versions"`
	Causes    []string        `json:"causes,omitempty"` // ids of facts, signals or commands that led here
	Body      json.RawMessage `json:"body"`             // plain header body: ids, counts, digests, instants; never free text
	Parts     []Part          `json:"parts,omitempty"`
}

// Part is what a fact says about one merchant, or its own free text when Merchant is "".
// The body is plain here; the ledger seals it before it reaches a disk.
type Part struct {
	Merchant string          `json:"merchant,omitempty"`
	Index    int             `json:"index"`
	Body     json.RawMessage `json:"body"`
	Withheld bool            `json:"withheld,omitempty"` // set by ledger.Open: the key is gone or not held here, and Body is null
}

// Versions names what computed a fact, so that a newer engine can say that it computes otherwise.
type Versions struct {
	Policy  string `json:"policy,omitempty"` // Program.Hash
	Engine  string `json:"engine,omitempty"`
	Regimes string `json:"regimes,omitempty"`
	TZData  string `json:"tzdata,omitempty"`
}

// Kind names a fact. Unknown kinds are kept and carried, never dropped.
type Kind string
