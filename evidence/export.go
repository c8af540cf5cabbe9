// Package evidence builds the export of an incident: one file that proves, to someone who trusts
// neither us nor our server, what happened when. docs/design/export.md describes the form, and
// package verify checks it.
package evidence

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/scope"
)

// Log is a transparency log as an export reads it; internal/translog implements it.
type Log interface {
	Origin() string
	// Await returns a signed checkpoint that covers at least size leaves.
	Await(ctx context.Context, size uint64) (note []byte, have uint64, err error)
	// LeafHashes returns the RFC 6962 hashes of the first size leaves.
	LeafHashes(ctx context.Context, size uint64) ([][]byte, error)
}

// Events is the access log as an export reads it; accesslog.Store implements it.
type Events interface {
	// Matching returns the positions of the events a query counts, ascending.
	Matching(ctx context.Context, q scope.Query, size uint64) ([]int64, error)
	// Disclose calls fn with the leaves that hold these events, and their proofs.
	Disclose(ctx context.Context, seqs []int64, fn func(accesslog.Leaf) error) error
}

// Fact is one fact of the incident's chain with its parts as far as they are shown.
type Fact struct {
	ID       string
	Header   []byte // canonical, as it is hashed
	Hash     []byte
	Anchor   int64     // index in the facts log; -1 while pending
	Recorded time.Time // since when it is pending
	Parts    []Part    // by merchant and index
}

// Part is one part of a fact. A withheld part has neither Salt nor Body.
type Part struct {
	Merchant string
	Index    int
	Commit   []byte
	Salt     []byte
	Body     []byte
}

// Published is a checkpoint that left the house, and where it stands.
type Published struct {
	Log   string `json:"log"`
	Size  uint64 `json:"size"`
	Note  string `json:"note"`
	Where string `json:"where"` // "mail MESSAGE-ID" or "snapshot FACT"
}

// Custody is one handing over of evidence.
type Custody struct {
	At        time.Time `json:"at"`
	By        string    `json:"by"`
	Recipient string    `json:"recipient"`
	Digest    string    `json:"digest"`
	Bytes     int64     `json:"bytes"`
}

// Policy is the policy the incident ran under.
type Policy struct {
	Hash     string // "sha256:" and the hex digest of Source
	Source   []byte
	Markdown []byte
	HTML     []byte
}

// Input is everything an export is made of. The same input gives the same bytes.
type Input struct {
	Incident     string
	Organisation string
	Created      time.Time // domain time
	Signer       note.Signer
	Keys         [2]string // note verifier keys of the facts log and the events log
	Facts        []Fact    // the whole chain, in order
	FactsLog     Log
	EventsLog    Log
	Events       Events
	Scopes       []scope.Result // versions, oldest first; as their facts have them where events of theirs were removed
	Removed      Removed
	Policy       Policy
	Review       []byte // Markdown; nil while there is none
	ReviewPDF    []byte // nil while there is none
	Published    []Published
	Custody      []Custody
	Publications []Publication // in the order in which they were published
	Attachments  []Attachment  // in the order in which they were attached
}

// Removed is what was removed of the days of the access log on which events that a scope counts may
// have come.
type Removed struct {
	Facts     []Fact     // that closed and that removed these days, by their place in the facts log, where each of them is
	Positions [][2]int64 // first and last position of the events that went; ascending
}

// has says whether the event at a position was removed.
func (r *Removed) has(seq int64) bool {
	i := sort.Search(len(r.Positions), func(i int) bool { return r.Positions[i][1] >= seq })
	return i < len(r.Positions) && r.Positions[i][0] <= seq
}

// Publication is a text of the review that was published. The fact that records it carries the digest of
// its Markdown.
type Publication struct {
	N        int    // which of the facts review.published of the incident records it, from 1
	Version  string // internal, client or public
	Markdown []byte
}

// Attachment is a file that somebody attached to the incident. The fact that records it carries its
// digest.
type Attachment struct {
	ID   string // ATT-1, …
	Data []byte
}

// MaxBytes bounds the files of an export before packing.
const MaxBytes = 1 << 30

// ErrTooLarge says that an export would be larger than MaxBytes.
var ErrTooLarge = fmt.Errorf("evidence: the export is larger than %d MiB: narrow its scopes", MaxBytes>>20)

// safeIncident is what may become part of a file name.
var safeIncident = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (in *Input) check() error {
	switch {
	case !safeIncident.MatchString(in.Incident):
		return errors.New("evidence: the incident's id cannot name a file")
	case in.Created.IsZero() || in.Signer == nil || in.FactsLog == nil || in.EventsLog == nil:
		return errors.New("evidence: an export needs a time, a signer and both logs")
	case in.Signer.Name() != in.FactsLog.Origin():
		return fmt.Errorf("evidence: the signer is %s and the facts log is %s", in.Signer.Name(), in.FactsLog.Origin())
	case len(in.Facts) == 0:
		return fmt.Errorf("evidence: %s has no facts", in.Incident)
	}
	return nil
}

// Written is where an export was written.
type Written struct {
	Path   string
	Digest string // "sha256:" and the hex digest of the whole file
	Bytes  int64
}

// Export writes the export into dir and returns once it is durable.
func Export(ctx context.Context, dir string, in Input) (Written, error) {
	if err := in.check(); err != nil {
		return Written{}, err
	}
	files, err := build(ctx, &in)
	if err != nil {
		return Written{}, fmt.Errorf("evidence: export %s: %w", in.Incident, err)
	}
	raw, err := pack(in.Signer, in.FactsLog.Origin(), files)
	if err != nil {
		return Written{}, fmt.Errorf("evidence: export %s: %w", in.Incident, err)
	}
	w := Written{Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(raw)), Bytes: int64(len(raw))}
	// The digest keeps apart the exports of one second: none replaces another.
	w.Path = filepath.Join(dir, fmt.Sprintf("%s-%s-%s%s", in.Incident, in.Created.UTC().Format("20060102T150405Z"), short(w.Digest), suffix))
	if err := write(w.Path, raw); err != nil {
		return Written{}, err
	}
	return w, nil
}

const suffix = ".tocsin.zip"

// short is the part of a digest that stands in a file's name.
func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(len(digest), 12)]
}

// Find returns the file of an earlier export by its digest. The error is fs.ErrNotExist when it is
// not there or has been altered.
func Find(dir, incident, digest string) (string, error) {
	if !safeIncident.MatchString(incident) || !safeDigest.MatchString(digest) {
		return "", fs.ErrNotExist
	}
	found, err := filepath.Glob(filepath.Join(dir, incident+"-*-"+short(digest)+suffix))
	if err != nil {
		return "", err
	}
	for _, path := range found {
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if fmt.Sprintf("sha256:%x", sha256.Sum256(raw)) == digest {
			return path, nil
		}
	}
	return "", fs.ErrNotExist
}

var safeDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Inspect lists the files of an incident's exports in a folder that are not what a fact records, and the
// digests of those that a fact records and that are not there.
func Inspect(dir, incident string, digests []string) (unknown, missing []string, err error) {
	if !safeIncident.MatchString(incident) {
		return nil, nil, nil
	}
	found, err := filepath.Glob(filepath.Join(dir, incident+"-????????T??????Z-*"+suffix))
	if err != nil {
		return nil, nil, err
	}
	have := map[string]bool{}
	for _, path := range found {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, nil, err
		}
		digest := fmt.Sprintf("sha256:%x", h.Sum(nil))
		if have[digest] = true; !slices.Contains(digests, digest) {
			unknown = append(unknown, filepath.Base(path))
		}
	}
	for _, d := range digests {
		if !have[d] {
			missing = append(missing, d)
		}
	}
	return unknown, missing, nil
}
