// Package ledger keeps facts: it encodes them canonically, seals their parts, chains them, and
// says what the desk needs of a database. Databases implement Store; internal/storetest is the
// suite that each of them passes.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Record is a fact as it is stored: a canonical header in the clear and parts that are sealed.
type Record struct {
	Seq    int64  // position over all chains, from 1, without gaps; given by the store
	Chain  string // incident id or "org"
	N      int    // position in the chain, from 1
	ID     string // ULID
	Kind   string
	Header []byte // RFC 8785 canonical JSON of the header, with prev, without hash
	Prev   []byte // hash of the fact before it in the chain; 32 zero bytes for the first
	Hash   []byte // RFC 6962 tree over the header and the parts' commitments
	Parts  []SealedPart
	Anchor int64 // index in the facts log, or -1 while pending
}

// SealedPart is one part as it is stored. Commit is SHA-256(salt || plaintext) with a salt of 32
// random bytes, so that a part can be withheld or its key destroyed and the hash still verifies.
// Sealed is AES-256-GCM of salt || plaintext under the merchant's key.
type SealedPart struct {
	Merchant string
	Index    int
	Commit   []byte
	Sealed   []byte
}

// Head is the newest fact of a chain.
type Head struct {
	Chain string
	N     int
	ID    string
	Hash  []byte
}

// Row is one row of a projection: derived data that Rebuild can make again from the facts.
type Row struct {
	Key  string
	Rank string // orders the rows of a projection, ascending; then Key
	Body []byte // JSON
}

// WakeClock says which clock a wake-up is on.
type WakeClock string

// The two clocks. Domain time may be simulated in a drill, protocol time never.
const (
	Domain   WakeClock = "domain"
	Protocol WakeClock = "protocol"
)

// Wake is an instant at which an incident has to be looked at again.
type Wake struct {
	Chain string
	At    time.Time
	Clock WakeClock
}

// Job is something for the runner to do. It is never the record: what is owed follows from the
// facts, and start-up enqueues it again. Args are JSON.
type Job struct {
	Kind   string // effect kind
	ID     string // effect id; a job whose ID is already queued or running is not queued twice
	Args   []byte
	Chain  string
	Urgent bool // containment before mail
}

// Merchant is one row of the directory: contact data, never part of a fact's header.
type Merchant struct {
	ID, Name, Phone, Language, Zone, Country string
	Stores                                   []MerchantStore
	Emails                                   []string          // in order of preference
	Channels                                 map[string]string // where else it is told, by channel: slack to the id of one there; nil: nowhere
	ContractHours                            int               // 0: none
	Installed, Uninstalled                   time.Time
}

// MerchantStore is one store of a merchant.
type MerchantStore struct{ ID, Domain string }

// The errors of a store.
var (
	ErrConflict  = errors.New("ledger: the chain has moved on") // Append: expect is not the head
	ErrNotFound  = errors.New("ledger: not found")
	ErrReadOnly  = errors.New("ledger: the store is read-only")
	ErrLocked    = errors.New("ledger: another process holds this data folder")
	ErrDuplicate = errors.New("ledger: this command was already given") // Tx.Command
)

// Store is what the desk needs of a database.
type Store interface {
	// Update runs fn in a write transaction and returns when its writes are durable. Several
	// callers may share one transaction, each in a savepoint of its own: an error from fn undoes
	// fn's writes alone and is returned as it is. fn does no I/O beside tx and may be run again
	// after a conflict between nodes.
	Update(ctx context.Context, fn func(Tx) error) error
	// View runs fn on a consistent snapshot.
	View(ctx context.Context, fn func(Reader) error) error
	// Listen calls fn after each commit of this process with the chains that grew. It must not block.
	Listen(fn func(chains []string))
	// Rebuild drops every projection and calls fn with each record in order of Seq to make them again.
	Rebuild(ctx context.Context, fn func(Tx, Record) error) error
	// Run starts the job runner and returns; it stops when ctx is done or the store is closed. work
	// is called once per job, from several goroutines: workers at a time, and besides them a few
	// that are kept free for urgent jobs. An error is logged and the job is dropped, because the
	// facts say what is still owed. Jobs that were running when the last process died are released
	// at once. Soon after work has returned the job is over: it counts no more in Busy, and its ID
	// may be queued again; before that, queueing it changes nothing. failed is called when a job
	// whose work failed is over. It may be nil.
	Run(ctx context.Context, workers int, work func(context.Context, Job) error, failed func(Job)) error
	// Busy counts jobs that are queued or running.
	Busy(ctx context.Context) (int, error)
	Close() error
}

// Reader reads a consistent state.
type Reader interface {
	Head(chain string) (Head, error) // ErrNotFound when the chain is empty
	Heads(after string, limit int) ([]Head, error)
	Records(chain string, afterN, limit int) ([]Record, error)
	RecordsSince(seq int64, limit int) ([]Record, error) // over all chains
	RecordByID(id string) (Record, error)
	Unanchored(limit int) ([]Record, error) // in order of Seq
	CountAnchored(below int64) (int, error) // facts with an index in the facts log that is less; 0 <= index
	Snapshot(chain string) (n int, engine string, body []byte, err error)
	Row(projection, key string) (Row, error)
	Rows(projection, fromRank, toRank string, limit int) ([]Row, error) // fromRank <= Rank < toRank; "" is open
	Wakes(clock WakeClock, before time.Time, limit int) ([]Wake, error) // At <= before, earliest first
	NextWake(clock WakeClock) (time.Time, bool, error)
	Outcome(command string) ([]byte, error) // ErrNotFound when the command was never given
	Merchant(id string) (Merchant, error)
	Merchants(afterID string, limit int) ([]Merchant, error)
	CountMerchants() (int, error)
}

// Tx is a write transaction.
type Tx interface {
	Reader
	// Append adds records to a chain whose head is at position expect. The store gives Seq, in
	// place; the caller has filled everything else.
	Append(chain string, expect int, records []Record) error
	// Command remembers the outcome of a command under the caller's idempotency key for 30 days.
	Command(id string, outcome []byte, at time.Time) error
	// Enqueue queues a job when the transaction commits. It is checked at once (CheckJob) and
	// handed to the runner when fn returns.
	Enqueue(Job) error
	SetWake(chain string, clock WakeClock, at time.Time) error // zero clears
	PutSnapshot(chain string, n int, engine string, body []byte) error
	PutRow(projection string, row Row) error
	DeleteRow(projection, key string) error
	Anchored(seq int64, index int64) error
	PutMerchants([]Merchant) error
}

// MaxRows is the most that one call of a Reader returns; a limit below 1 means it.
const MaxRows = 10_000

// Limit is what a store makes of a limit.
func Limit(limit int) int {
	if limit < 1 || limit > MaxRows {
		return MaxRows
	}
	return limit
}

// CommandMemory is how long the outcome of a command is remembered.
const CommandMemory = 30 * 24 * time.Hour

// CheckJob says what of a job a runner cannot take.
func CheckJob(j Job) error {
	switch {
	case j.Kind == "" || j.ID == "":
		return errors.New("ledger: a job needs a kind and an id")
	case len(j.ID) > maxJobID:
		return fmt.Errorf("ledger: the id of a job is %d bytes, the limit is %d", len(j.ID), maxJobID)
	case len(j.Args) > maxJobArgs:
		return fmt.Errorf("ledger: job %s has arguments of %d bytes, the limit is %d", j.ID, len(j.Args), maxJobArgs)
	case len(j.Args) > 0 && !json.Valid(j.Args):
		return fmt.Errorf("ledger: the arguments of job %s are not JSON", j.ID)
	}
	return nil
}

// Limits of a job in bytes. What it is about stands in the facts; the arguments only name it.
const (
	maxJobID   = 500
	maxJobArgs = 64 << 10
)
