package doctor

import (
	"time"

	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
)

// Seen is what was looked at. What could not be looked at is nil or empty, and is not judged.
type Seen struct {
	Now       time.Time
	Served    bool
	Trouble   string // why the folder cannot be opened, "" when it can
	TroubleDo string
	TroubleOf []string // promises that it breaks, when that is known
	Dir       string   // the data folder, for the commands that name it
	Drill     bool     // the folder is a drill's

	Policy      *policy.Program
	PolicyFile  string // where it was read
	Org         *org.State
	PublicURL   string
	Connectors  map[string]string // kind by name
	Channels    map[string]bool   // where clients are told beside mail, by the policy's name for it
	Checks      map[string]bool
	Probes      []Probe
	SecretNames []string
	Rehearsed   map[string]time.Time // when a connector last proved an action, by its name
	Mail        Mail
	Sources     []Source
	Refused     []Refusal
	Quotas      []Quota
	Files       []FileSource
	Directory   Directory
	Machine     Machine
	Logs        Logs
	Altered     []File // files of the data folder that are not as they were written
	LastDrill   Drill
	Programme   []Owed
	Corrective  Corrective
	Budgets     int // of what credentials may cost
}

// Probe is a check that runs by itself, with what its newest run saw.
type Probe struct {
	Name, Signal string
	Every        time.Duration
	Ran          time.Time // zero: not yet, or nobody can say
	Failing      bool
	Code, Saw    string
}

// Mail is what is configured to send with, and what the domain of the sender publishes.
type Mail struct {
	Relay, From string
	Tested      time.Time // when a test message was last taken; zero: never
	TestFailed  string    // what the last test ended with, "" when it was taken
	Domain      *Domain   // nil: was not looked up
}

// Domain is what the domain of the sender publishes.
type Domain struct {
	Name     string
	Asked    time.Time // when it was asked
	Waiting  bool      // the question is not answered yet
	Problem  string    // why nothing could be looked up
	SPF      []string  // records of the domain that begin with v=spf1
	DMARC    []string  // records of _dmarc that begin with v=DMARC1
	Selector string    // the selector that the relay signs with, "" when it is not configured
	DKIM     []string  // records of the selector
}

// Source is who sends access events.
type Source struct {
	Name   string
	Newest time.Time // time of its newest event that was sent as it happened; zero: all were supplied later
	Quiet  time.Time // since when it says nothing although it usually does at such a time; zero: it does
}

// Refusal is what the door refused of a source in the last day.
type Refusal struct {
	Source  string
	Entries int
	Field   string // what was wrong most often, and why
	Reason  string
	Most    int // how often
}

// Quota is a source that sent more than it may.
type Quota struct {
	Source    string
	Requests  int       // that were refused for it, in the last day or since the start
	Last      time.Time // when the last one was
	PerSecond float64   // events that it may send
}

// Directory is what is known of the merchants.
type Directory struct {
	Merchants, NoMail int
	In                map[string]int // how many have a place in a channel, by its name
}

// Machine is what the program stands on.
type Machine struct {
	Open       []Mode // files and folders that others may enter
	NoKeys     string // why the keys cannot be used, "" when they can
	Free, Disk uint64 // bytes; 0: unknown
	Behind     int64  // access events that no file and no memory of the table has yet
	Table      string // why the object store of the table does not answer, "" when it does
	Clock      string // synchronised, unsynchronised, or "" when the system does not say
}

// Mode is a file with its permissions.
type Mode struct {
	Name string
	Mode string // as chmod writes it
}

// File is a file of the data folder that is not as it was written.
type File struct {
	Name string // in the data folder
	What string // what is wrong with it, after its name
	Do   string
	Mild bool // it may have come about without anybody's doing, or is made again
}

// Logs are the chains of facts and the two transparency logs.
type Logs struct {
	Looked    bool
	Facts     int    // facts that were recomputed
	Leaves    uint64 // of the events log that were recomputed
	Of        uint64 // leaves that it has
	Sampled   uint64 // of those recomputed, taken at random; the others are the newest. 0: all were looked at
	Chains    int    // incidents of which facts were not recomputed; 0: none
	Table     bool   // every event of the table was compared with the log
	Removed   int    // days whose events were removed, by facts
	Altered   string // the first fact or leaf that is not as it was written
	Unsealed  string // why a log has no checkpoint
	Witnesses int
	Copy      bool   // a copy away from this machine is configured
	Away      string // what it is, for the sentence

	Heartbeat Heartbeat
	Backups   Backups
}

// Backups are those that are taken by themselves.
type Backups struct {
	Every   time.Duration // 0: none are
	Last    time.Time     // when the newest was taken; zero: none was yet
	What    string        // the newest one, in words
	Failing string        // why none could be taken since, "" when nothing failed
}

// Heartbeat is the address elsewhere that misses us when this machine stops.
type Heartbeat struct {
	Configured bool
	Newest     time.Time // when it last answered; zero: not yet
	Failing    string    // why the last beat did not arrive, "" when it did
}

// Drill is the last drill.
type Drill struct {
	At   time.Time // zero: none is known
	Kept bool
}
