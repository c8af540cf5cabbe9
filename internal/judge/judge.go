// Package judge measures a drill. It imports nothing of this module: it reads the evidence by the
// published description of the file, runs tocsin-verify as anybody would, and believes only the
// evidence, the mailbox, the application's own request log and what the attacker says it received.
//
// It has a second task while the drill runs: it tries the stolen token and the old webhook secret
// over and over, and so knows by itself when each was first refused.
package judge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Config is the first JSON document on standard input.
type Config struct {
	Target        string    `json:"target"` // base address of the application; "" when there is none
	Token         Secret    `json:"token"`  // the stolen one
	WebhookSecret Secret    `json:"webhook_secret"`
	SessionSecret Secret    `json:"session_secret"`
	Now           time.Time `json:"now"`
}

// Secret prints as "[redacted]".
type Secret string

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Case is what the judge is given at the end. All names are files or folders.
type Case struct {
	Export      string            `json:"export"`
	Mailbox     string            `json:"mailbox"`    // folder with index.ndjson
	Requests    string            `json:"requests"`   // the application's log; absent in a replay
	Merchants   string            `json:"merchants"`  // CSV the vendor imported
	Timeline    string            `json:"timeline"`   // as the API served it
	ServerLog   string            `json:"server_log"` // searched for secrets only
	Truth       json.RawMessage   `json:"truth"`
	Manifest    string            `json:"manifest"` // YAML, as written before the run
	Policy      string            `json:"policy"`
	Source      []byte            `json:"source,omitempty"` // a policy of one's own, as it was given: what is expected of it was derived from this text
	Scenario    string            `json:"scenario"`
	Seed        uint64            `json:"seed"`
	Now         time.Time         `json:"now"` // domain time, as the conductor's clock says
	Sabotage    string            `json:"sabotage"`
	Verifier    string            `json:"verifier"`  // tocsin-verify
	FactsKey    string            `json:"facts_key"` // the real signing key of the facts log, for the forger's trials
	Kept        string            `json:"kept"`      // a checkpoint of the facts log that somebody fetched before the export, and kept
	LogKeys     string            `json:"log_keys"`  // verifier keys of both logs, as published before the incident
	Work        string            `json:"work"`
	Kills       int               `json:"kills"`
	Acked       map[string]string `json:"acked"` // id to hash of every fact the server answered with
	Secrets     []Secret          `json:"secrets"`
	People      []Staff           `json:"people"`         // whom the vendor invited
	Moved       time.Time         `json:"moved,omitzero"` // domain time at which the server went to another machine
	Backups     []Backup          `json:"backups,omitempty"`
	Copy        string            `json:"copy,omitempty"`     // folder elsewhere to which facts and logs were copied
	Identity    string            `json:"identity,omitempty"` // file of the age identity that opens the backups
	Shop        string            `json:"shop,omitempty"`     // the storefront's own log; "" when there is none
	Channels    string            `json:"channels,omitempty"` // the log of where clients are told beside mail; "" when there is none
	Hooks       map[string]string `json:"hooks,omitempty"`    // incoming webhooks by their name in the directory, to the channel each was made for
	Outside     []Staff           `json:"outside"`            // those of them who may not know of a private incident
	Looks       string            `json:"looks"`              // what they were answered wherever they looked, NDJSON of Look
	Visits      string            `json:"visits"`             // what visitors without an account were answered, NDJSON of Visit
	Tries       string            `json:"tries"`              // what people and machines tried, NDJSON of Try
	Server      string            `json:"server"`             // host:port at which the server speaks TLS; "" where it does not
	Roots       string            `json:"roots"`              // PEM file of the drill's authority
	Tocsin      string            `json:"tocsin"`             // the program
	Production  string            `json:"production"`         // folder of an installation that is no drill
	Events      int               `json:"events"`
	FalseAlarms int               `json:"false_alarms"` // incidents that were open before anything was wrong
	Replayed    bool              `json:"replayed"`
	Free        bool              `json:"free,omitempty"` // a person responded: the evidence holds what they did, and perhaps no scope
	Trials      int               `json:"trials"`         // random alterations of the evidence; 0: a hundred
}

// Backup is one that was taken.
type Backup struct {
	File string    `json:"file"`
	At   time.Time `json:"at"` // domain time
}

// Staff is one of the vendor's people, as they were invited.
type Staff struct {
	ID    string   `json:"id"`
	Email string   `json:"email"` // where calls go; "" for none
	Roles []string `json:"roles"`
}

// Look is one answer to somebody who may not know of a private incident.
type Look struct {
	Who    string `json:"who"`
	Path   string `json:"path"`
	Status int    `json:"status"`
	Text   string `json:"text"`
}

// Truth is what the attacker received.
type Truth struct {
	Attack string       `json:"attack"`
	Events []TruthEvent `json:"events"`
	// Sources are files that were changed, where the scenario is about files.
	Sources []TruthSource `json:"sources,omitempty"`
	// Planted is what was made to go wrong, where the scenario is about what others' logs say.
	Planted []Planted `json:"planted,omitempty"`
}

// TruthSource is a set of files as it was approved and as it was changed, and where it is.
type TruthSource struct {
	Name     string      `json:"name"`
	At       time.Time   `json:"at"`
	Folder   string      `json:"folder,omitempty"` // where its files are, or
	Log      string      `json:"log,omitempty"`    // what the store says who read and wrote
	Approved []TruthFile `json:"approved"`
	Found    []TruthFile `json:"found"`
}

// TruthFile is one file. Both lists are in the order of their paths.
type TruthFile struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	Digest string `json:"digest"`
}

// TruthEvent is one answer with data.
type TruthEvent struct {
	ID        string    `json:"event"`
	Attack    string    `json:"attack,omitempty"`
	Merchant  string    `json:"merchant"`
	Customers []string  `json:"customers"`
	At        time.Time `json:"at"`
	IP        string    `json:"ip"`
	Agent     string    `json:"agent"`
}

// Answer is the judge's answer to a case.
type Answer struct {
	ID        int        `json:"id"`
	OK        bool       `json:"ok,omitempty"`
	Scorecard *Scorecard `json:"scorecard,omitempty"`
	Error     string     `json:"error,omitempty"`
}

// Scorecard is the verdict.
type Scorecard struct {
	Policy           string          `json:"policy"`
	Scenario         string          `json:"scenario"`
	Seed             uint64          `json:"seed"`
	Sabotage         string          `json:"sabotage,omitempty"`
	OK               bool            `json:"ok"` // every expectation of the manifest held
	Elapsed          float64         `json:"elapsed_seconds"`
	Events           int             `json:"events"`
	Promises         []Promise       `json:"promises"`
	Broken           []string        `json:"broken"` // expected to be kept, and were not
	SabotageExpected []string        `json:"sabotage_expected,omitempty"`
	Scope            ScopeScore      `json:"scope"`
	Evidence         EvidenceScore   `json:"evidence"`
	Crash            CrashScore      `json:"crash"`
	Findings         []string        `json:"findings,omitempty"` // whatever else the judge saw
	Canonical        json.RawMessage `json:"canonical,omitempty"`
}

// Promise is one promise of the policy.
type Promise struct {
	ID          string   `json:"id"`
	Expected    string   `json:"expected"`
	Got         string   `json:"got"`
	Clock       string   `json:"clock,omitempty"`   // simulated or real
	Trigger     string   `json:"trigger,omitempty"` // system or person
	TookSeconds *float64 `json:"took_seconds,omitempty"`
	DueSeconds  *float64 `json:"due_seconds,omitempty"`
	Proof       string   `json:"proof,omitempty"`
	Reason      string   `json:"reason,omitempty"`
}

// ScopeScore compares the responder's newest scope with the truth.
type ScopeScore struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	Merchants int     `json:"merchants"`
	Customers int     `json:"customers"`
}

// EvidenceScore is what the evidence withstood.
type EvidenceScore struct {
	Verified     bool `json:"verified"`
	TamperTrials int  `json:"tamper_trials"`
	TamperFound  int  `json:"tamper_found"`
	Witnessed    bool `json:"witnessed"`
}

// CrashScore is what kills cost.
type CrashScore struct {
	Kills      int `json:"kills"`
	Missed     int `json:"missed"`     // merchants without any mail
	Duplicated int `json:"duplicated"` // mails that came twice and are not listed as uncertain
	Uncertain  int `json:"uncertain"`  // deliveries the responder itself lists as uncertain
}

// message is what comes after the configuration.
type message struct {
	ID   int       `json:"id"`
	Now  time.Time `json:"now"`
	Case *Case     `json:"case"`
}

// Main watches until standard input ends, and judges the case it is given.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in, out := json.NewDecoder(stdin), json.NewEncoder(stdout)
	var c Config
	if err := in.Decode(&c); err != nil {
		return fmt.Errorf("judge: configuration on standard input: %w", err)
	}
	w := watch(ctx, c)
	defer w.stop()
	if err := out.Encode(map[string]any{"ready": true}); err != nil {
		return err
	}
	for {
		var m message
		if err := in.Decode(&m); err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("judge: message: %w", err)
		}
		if !m.Now.IsZero() {
			w.setNow(m.Now)
		}
		a := Answer{ID: m.ID, OK: true}
		if m.Case != nil {
			w.stop()
			card, err := Judge(ctx, *m.Case, w.Sightings())
			if err != nil {
				a.OK, a.Error = false, err.Error()
			} else {
				a.Scorecard = &card
			}
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}
