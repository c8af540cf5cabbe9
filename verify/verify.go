// Package verify checks an evidence export offline and trusts nobody: not the vendor, not the
// program that wrote it. It opens no network connection, decrypts nothing, and imports only the
// standard library, note signatures, Merkle trees and the pure packages that pin the formats.
//
// Every check that fails is a Finding with a stable code. Checking goes on after a finding as far
// as it makes sense, because whoever reads the report wants to know all of what is wrong.
package verify

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Code names a finding; codes are stable and documented in docs/design/export.md.
type Code string

// The codes.
const (
	CodeEnvelope    Code = "envelope"    // the signed note at the start: form, signature, length or digest
	CodeArchive     Code = "archive"     // the zip cannot be read, or breaks a limit
	CodeContents    Code = "contents"    // files are not exactly those of the manifest
	CodeManifest    Code = "manifest"    // manifest.json itself, or it disagrees with the rest
	CodeKeys        Code = "keys"        // keys.txt, or it is not the key that was given
	CodeCheckpoint  Code = "checkpoint"  // a checkpoint's form or signature
	CodeTree        Code = "tree"        // leaf hashes do not give a checkpoint's root
	CodeFactForm    Code = "fact_form"   // a fact's line or header
	CodeFactHash    Code = "fact_hash"   // header and parts do not give the fact's hash
	CodeFactChain   Code = "fact_chain"  // a fact does not follow the one before it
	CodeFactPart    Code = "fact_part"   // what a part shows is not what it commits to
	CodeFactAnchor  Code = "fact_anchor" // a fact is not in the log where it says
	CodeFactOther   Code = "fact_other"  // a fact names a state of another incident that the log does not have
	CodeLeaf        Code = "leaf"        // an event leaf's form, or it is not in the log
	CodeEvent       Code = "event"       // an event is not proven by its leaf
	CodeScope       Code = "scope"       // a scope's form, digest or checkpoint
	CodeScopeRows   Code = "scope_rows"  // recomputing from the events gives other rows
	CodeScopeFact   Code = "scope_fact"  // scopes and the facts that record them disagree
	CodeRemoved     Code = "removed"     // what is said of days that were removed does not hold
	CodePolicy      Code = "policy"      // the policy is not the one the facts name
	CodeConsistency Code = "consistency" // an earlier checkpoint is not a state of this log
	CodeCustody     Code = "custody"     // custody.ndjson
	CodePublication Code = "publication" // a published text of the review is not the one that a fact records
	CodeAttachment  Code = "attachment"  // an attached file is not the one that a fact records
	CodeWitness     Code = "witness"     // a witness that was named has signed nothing here
)

// Finding is one thing that is wrong.
type Finding struct {
	Code Code   `json:"code"`
	File string `json:"file"` // inside the export; "" for the export as a whole
	What string `json:"what"`
}

func (f Finding) String() string {
	if f.File == "" {
		return fmt.Sprintf("%s: %s", f.Code, f.What)
	}
	return fmt.Sprintf("%s: %s: %s", f.Code, f.File, f.What)
}

// Tree is one of the two logs as the export shows it.
type Tree struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size"`
	Root   string `json:"root"` // base64, as in the checkpoint
}

// Report is the outcome.
type Report struct {
	OK           bool      `json:"ok"`      // no finding
	Verdict      string    `json:"verdict"` // one line, the first thing to read
	Incident     string    `json:"incident,omitempty"`
	Organisation string    `json:"organisation,omitempty"`
	Created      time.Time `json:"created,omitzero"`
	FactsLog     Tree      `json:"facts_log"`
	EventsLog    Tree      `json:"events_log"`
	Facts        int       `json:"facts"`
	Pending      int       `json:"pending"`  // facts that are not in the log yet
	Withheld     int       `json:"withheld"` // parts that are not shown
	Events       int       `json:"events"`
	Leaves       int       `json:"leaves"`
	Scopes       int       `json:"scopes"`
	Removed      []Removed `json:"removed,omitempty"`      // days whose events were removed, as facts in the log say
	Short        []Short   `json:"short,omitempty"`        // scopes that counted events of such days
	Publications int       `json:"publications,omitempty"` // published texts of the review that were checked
	Attachments  int       `json:"attachments,omitempty"`  // attached files that were checked
	Merged       []string  `json:"merged,omitempty"`       // other incidents that facts name a state of, which the log proves
	Checkpoints  int       `json:"checkpoints"`            // earlier ones that are consistent, Since not counted
	KeyGiven     bool      `json:"key_given"`
	Against      []string  `json:"against,omitempty"`   // given checkpoints it is consistent with
	Witnessed    []string  `json:"witnessed,omitempty"` // what each given witness has signed: its name, the log and the size
	Findings     []Finding `json:"findings"`
}

// Options are what the checker brings along. All make the verdict stronger: without a key the
// export vouches for its own key; without an earlier checkpoint or a witness a rewritten log signed
// with the real key looks like the log.
type Options struct {
	Keys  []string // note verifier keys the signatures must be by: facts log's, and events log's if known
	Since [][]byte // checkpoints that were kept, signed notes of either log

	Witnesses []string // verifier keys of witnesses (C2SP tlog-cosignature) that have to have signed the logs

	First bool // stop at the first step that finds something: enough for a yes or no, at a tenth of the work
}

// maxFile bounds an export in bytes.
const maxFile = 2 << 30

// File checks the export at path. The error is about reading it, never about what it holds.
func File(path string, o Options) (Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Report{}, fmt.Errorf("verify: %s is not a file", path)
	}
	return Reader(f, info.Size(), o)
}

// Reader checks the export in the first size bytes of r.
func Reader(r io.ReaderAt, size int64, o Options) (Report, error) {
	c := &checker{r: r, size: size, o: o}
	c.report.Findings = []Finding{}
	c.report.KeyGiven = len(o.Keys) > 0
	if err := c.run(); err != nil {
		return Report{}, err
	}
	c.report.OK = len(c.report.Findings) == 0
	c.report.Verdict = c.verdict()
	return c.report, nil
}

// checker is the state of one check; each step leaves what later steps need.
type checker struct {
	r      io.ReaderAt
	size   int64
	o      Options
	report Report

	archive  *archive
	manifest manifest
	keys     map[string]note.Verifier // by log origin
	facts    tree
	events   tree
	chain    []fact
	shown    []shownEvent

	sinceFacts bool // a kept checkpoint of the facts log, or one that a witness signed, is a state of it
	signed     []signedNote
}

// maxFindings bounds a report: after so many nobody reads on.
const maxFindings = 200

func (c *checker) find(code Code, file, format string, args ...any) {
	switch n := len(c.report.Findings); {
	case n < maxFindings:
		c.report.Findings = append(c.report.Findings, Finding{code, file, fmt.Sprintf(format, args...)})
	case n == maxFindings:
		c.report.Findings = append(c.report.Findings, Finding{CodeArchive, "", "there are more findings than are listed"})
	}
}

// errStop ends a check whose next steps have nothing to stand on; the finding is in the report.
var errStop = errors.New("verify: stop")

func (c *checker) run() error {
	for _, step := range []func() error{
		c.envelope, c.contents, c.readManifest, c.readKeys, c.checkEnvelopeKey, c.readTrees, c.checkFacts, c.checkOthers, c.checkEvents, c.checkDays, c.checkScopes,
		c.checkPolicy, c.checkPublications, c.checkAttachments, c.checkCustody, c.checkPublished, c.checkSince, c.checkWitnesses,
	} {
		if err := step(); errors.Is(err, errStop) {
			return nil
		} else if err != nil {
			return err
		}
		if c.o.First && len(c.report.Findings) > 0 {
			return nil
		}
	}
	return nil
}

// verdict is the first thing to read.
func (c *checker) verdict() string {
	r := &c.report
	if len(r.Findings) > 0 && c.o.First {
		return "NOT verified: the check stopped at what it found first"
	}
	if len(r.Findings) > 0 {
		return refused(len(r.Findings))
	}
	return c.held() + r.short()
}

// held says against what everything that is there was checked.
func (c *checker) held() string {
	r := &c.report
	switch {
	case len(r.Against)+len(r.Witnessed) > 0:
		verdict := "verified"
		if len(r.Against) > 0 {
			verdict += " against " + strings.Join(r.Against, " and ")
		}
		if len(r.Witnessed) > 0 {
			verdict += ", signed by " + strings.Join(r.Witnessed, " and ")
		}
		if !c.sinceFacts {
			// A checkpoint of the accesses says nothing about what was decided.
			verdict += "; " + c.facts.origin + " internally consistent only"
		}
		return verdict
	}
	return "internally consistent only"
}

// refused is the verdict where something is wrong.
func refused(findings int) string {
	if findings == 1 {
		return "NOT verified: 1 finding"
	}
	return fmt.Sprintf("NOT verified: %d findings", findings)
}
