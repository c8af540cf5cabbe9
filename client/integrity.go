package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// FileSource is a set of files that are compared with what somebody approved.
type FileSource struct {
	Name     string        `json:"name"`
	Kind     string        `json:"kind"`
	Place    string        `json:"place"`
	Every    string        `json:"every"`
	State    string        `json:"state"` // no_baseline, not_looked, as_approved, changed or unreadable
	Approval *FileApproval `json:"approval,omitempty"`
	Two      bool          `json:"two,omitempty"`    // two people have to approve a state of it
	Signed   *FileApproval `json:"signed,omitempty"` // by the first of two people
	Looked   time.Time     `json:"looked,omitzero"`
	Next     time.Time     `json:"next,omitzero"`
	Found    string        `json:"found,omitempty"`
	Files    int64         `json:"files"`
	Changes  []FileChange  `json:"changes"`
	Trouble  string        `json:"trouble,omitempty"`
}

// FileApproval is the known good of a source.
type FileApproval struct {
	Digest string    `json:"digest"`
	Files  int64     `json:"files"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
	Fact   string    `json:"fact"`
}

// FileVersion is a file by its digest.
type FileVersion struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	Digest string `json:"digest"`
	Link   bool   `json:"link,omitempty"`
}

// FileChange is a file that is not as approved; Diff and what follows it are there where it was shown.
type FileChange struct {
	Path   string       `json:"path"`
	Kind   string       `json:"kind"` // added, changed or removed
	Before *FileVersion `json:"before,omitempty"`
	After  *FileVersion `json:"after,omitempty"`
	Diff   string       `json:"diff,omitempty"`
	Binary bool         `json:"binary,omitempty"`
	Cut    bool         `json:"cut,omitempty"`
	Gone   bool         `json:"missing,omitempty"`
}

// FileDiff is what of a source is not as approved.
type FileDiff struct {
	Source   string        `json:"source"`
	Approval *FileApproval `json:"approval,omitempty"`
	Two      bool          `json:"two,omitempty"`    // two people have to approve a state of it
	Signed   *FileApproval `json:"signed,omitempty"` // by the first of two people
	Found    string        `json:"found"`
	Files    int64         `json:"files"`
	Changes  []FileChange  `json:"changes"`
}

// FilesChanged is what a signal of an incident says of a source.
type FilesChanged struct {
	Source   string       `json:"source"`
	Signal   string       `json:"signal"`
	At       time.Time    `json:"at"`
	Approved string       `json:"approved"`
	Found    string       `json:"found,omitempty"`
	Changes  []FileChange `json:"changes"`
	Trouble  string       `json:"trouble,omitempty"`
}

// FileSources are the sources and how they are.
func (c *Client) FileSources(ctx context.Context) ([]FileSource, error) {
	var out struct{ Sources []FileSource }
	err := c.Do(ctx, http.MethodGet, "/v1/integrity", nil, &out)
	return out.Sources, err
}

// FileDiff looks at a source and shows what is not as approved.
func (c *Client) FileDiff(ctx context.Context, source string) (FileDiff, error) {
	var out FileDiff
	err := c.Do(ctx, http.MethodGet, "/v1/integrity/"+url.PathEscape(source)+"/diff", nil, &out)
	return out, err
}

// CheckFiles looks at a source now.
func (c *Client) CheckFiles(ctx context.Context, source string) (FileSource, error) {
	var out FileSource
	err := c.Do(ctx, http.MethodPost, "/v1/integrity/"+url.PathEscape(source)+"/check", nil, &out)
	return out, err
}

// ApproveFiles records the present state of a source as its known good. found is the digest that FileDiff
// gave; it may be "" the first time.
func (c *Client) ApproveFiles(ctx context.Context, source, found, reason string) (FileSource, error) {
	var out FileSource
	err := c.Do(ctx, http.MethodPost, "/v1/integrity/"+url.PathEscape(source)+"/baseline", map[string]string{"found": found, "reason": reason}, &out)
	return out, err
}

// RestoreFiles plans that a source is put back as approved.
func (c *Client) RestoreFiles(ctx context.Context, source, incident, reason string) (Outcome, error) {
	var out Outcome
	err := c.Do(ctx, http.MethodPost, "/v1/integrity/"+url.PathEscape(source)+"/restore", map[string]string{"incident": incident, "reason": reason}, &out)
	return out, err
}

// IncidentFiles are the files that an incident is about.
func (c *Client) IncidentFiles(ctx context.Context, incident string) ([]FilesChanged, error) {
	var out struct{ Changes []FilesChanged }
	err := c.Do(ctx, http.MethodGet, "/v1/incidents/"+url.PathEscape(incident)+"/files", nil, &out)
	return out.Changes, err
}
