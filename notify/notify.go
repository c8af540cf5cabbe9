// Package notify writes notices: it composes the letter one recipient gets from the approved text,
// the recipient's own numbers and the evidence checkpoint. It is pure; senders have folders of
// their own below this one.
package notify

import (
	"context"
	"log/slog"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/policy"
)

// Input is everything a letter is made from.
type Input struct {
	Installation  string // id of this installation; part of the Message-ID
	Org           string // name of the vendor, as merchants know it
	From          string // address with an optional name, such as "Acme Security <security@acme.example>"
	Incident      string
	Notice        *incident.Notice
	Duty          policy.Duty
	Recipient     Recipient
	Address       int                // index into Recipient.Addresses
	Exposure      *incident.Exposure // the recipient's own share of the scope; nil: none is recorded
	Checkpoint    string             // newest signed checkpoint of the facts log; "" when there is none yet
	Now           time.Time          // domain time; the letter's date
	Zone          *time.Location     // the recipient's zone; nil is UTC
	PublicURL     string
	Contact       string            // where to write; "" is the From address
	ContentTitles map[string]string // content item to heading; an item without one gets its id in words

	// Of a correction: what the recipient was told before, and whether it is not affected after all.
	Told    *Told
	Outside bool
}

// Told is what an earlier letter said.
type Told struct {
	At       time.Time
	Exposure *incident.Exposure // the recipient's numbers then; nil: it named none
}

// Recipient is who the letter goes to: a merchant of the directory or a party of the policy.
type Recipient struct {
	ID        string
	Name      string
	Addresses []Place           // in order of preference
	Stores    map[string]string // store id to domain
	Merchant  bool              // false: a platform or an authority, which has no numbers of its own
}

// Place is where somebody is told.
type Place struct {
	Channel string // "" is mail, anything else a channel of the policy's language
	Address string // in that channel
}

// Mail is a list of places of mail addresses.
func Mail(addresses ...string) []Place {
	var out []Place
	for _, a := range addresses {
		out = append(out, Place{Address: a})
	}
	return out
}

// Letter is one mail to one address, or one message to one place of a channel, not yet encoded.
type Letter struct {
	Channel    string // "" is mail
	MessageID  string // without angle brackets; the same for every attempt and address
	Date       time.Time
	FromName   string
	From       string
	ToName     string
	To         string
	Subject    string
	Text       string
	HTML       string
	Incident   string
	Notice     string
	Recipient  string
	Checkpoint string // value of the header Tocsin-Checkpoint: standard base64 of the signed note, blanks where a line may fold
}

// String hides the letter: it names people.
func (Letter) String() string { return "[redacted]" }

// GoString hides the letter.
func (Letter) GoString() string { return "[redacted]" }

// LogValue hides the letter.
func (Letter) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// String hides the recipient.
func (Recipient) String() string { return "[redacted]" }

// GoString hides the recipient.
func (Recipient) GoString() string { return "[redacted]" }

// LogValue hides the recipient.
func (Recipient) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Sender hands a letter to somebody who delivers it.
type Sender interface {
	Send(ctx context.Context, l Letter) Receipt
}

// Receipt is what came of one attempt. Done: the next server has taken responsibility. Deferred:
// it has not, and may later. Failed: it will not. Uncertain: the letter was given over whole and
// no answer came.
type Receipt struct {
	Outcome incident.Outcome
	Code    string        // SMTP reply such as "250", or a word such as "timeout"
	Detail  string        // machine words only: the step and the enhanced status, never an address
	At      time.Time     // UTC, protocol time
	Wait    time.Duration // Deferred: what the other side asked for; zero: nothing
}

// Unanswered is what an attempt comes to whose request has no answer, by the code of why and whether it may
// have arrived all the same: then it is uncertain. What is refused here for its address is refused next time
// too; anything else is tried again.
func Unanswered(code string, sent bool, at time.Time) Receipt {
	switch {
	case code == "refused_address" || code == "redirect":
		return Receipt{Outcome: incident.Failed, Code: code, At: at}
	case sent:
		return Receipt{Outcome: incident.Uncertain, Code: code, Detail: "lost_after_request", At: at}
	}
	return Receipt{Outcome: incident.Deferred, Code: code, At: at}
}

// Channel is a sender of another kind than mail. Digest is the SHA-256 of the bytes that it would send
// for a letter, as "sha256:HEX".
type Channel interface {
	Sender
	Digest(l Letter) (string, error)
}
