package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Outcome is what came of a command that was accepted.
type Outcome struct {
	Incident string `json:"incident"`
	Version  int    `json:"version"`
	Reason   string `json:"reason"`
	Facts    []Fact `json:"facts"`
	Replayed bool   `json:"replayed,omitempty"`

	DryRun bool     `json:"dry_run,omitempty"` // nothing was recorded
	Plan   []string `json:"plan,omitempty"`    // which clocks would move, in words

	// Versions of both incidents, which confirm the plan of a merging.
	Versions map[string]int `json:"versions,omitempty"`
}

// Fact names a recorded fact.
type Fact struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Recorded time.Time `json:"recorded"`
	Hash     string    `json:"hash"`
}

// Row is one incident on the board.
type Row struct {
	ID         string               `json:"id"`
	Title      string               `json:"title"`
	Class      string               `json:"class"`
	Severity   string               `json:"severity"`
	Status     string               `json:"status"`
	Env        string               `json:"env"`
	Opened     time.Time            `json:"opened"`
	Lead       string               `json:"lead,omitempty"`
	Milestones map[string]time.Time `json:"milestones"`
	Next       *Clock               `json:"next,omitempty"`
	MoreClocks int                  `json:"more_clocks"`
	Missed     int                  `json:"missed"`
	Closed     []string             `json:"closed,omitempty"`
}

// Clock is one duty with its clock.
type Clock struct {
	Incident  string    `json:"incident"`
	Duty      string    `json:"duty"`
	Recipient string    `json:"recipient,omitempty"`
	Count     int       `json:"count,omitempty"`
	State     string    `json:"state"`
	Say       string    `json:"say"`
	Due       time.Time `json:"due,omitzero"`
	Target    time.Time `json:"target,omitzero"`
	Started   time.Time `json:"started,omitzero"`
	Met       time.Time `json:"met,omitzero"`
	Why       string    `json:"why"`
	Holder    string    `json:"holder,omitempty"`
	Missing   []Missing `json:"missing,omitempty"`
	Law       string    `json:"law,omitempty"`
	Title     string    `json:"title,omitempty"`
	To        string    `json:"to,omitempty"`
	Person    string    `json:"person,omitempty"`
}

// ClockSheet is every clock of everything that is open.
type ClockSheet struct {
	Clocks   []Clock  `json:"clocks"`
	Excluded []Clock  `json:"excluded,omitempty"`
	Running  int      `json:"running"`
	AtRisk   int      `json:"at_risk"`
	Missed   int      `json:"missed"`
	People   int64    `json:"people"`
	Unread   []string `json:"unread,omitempty"`
}

// Gate is one gate of an incident.
type Gate struct {
	Command string    `json:"command"`
	Open    bool      `json:"open"`
	Missing []Missing `json:"missing,omitempty"`
}

// Line is one line of the merged timeline.
type Line struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Recorded  time.Time `json:"recorded"`
	Source    string    `json:"source"`
	Kind      string    `json:"kind"`
	Principal string    `json:"principal,omitempty"`
	Text      string    `json:"text"`
	Fact      string    `json:"fact,omitempty"`
	Supplied  string    `json:"supplied,omitempty"` // digest of the file it was supplied in later
}

// Letter is a notice as one recipient gets it.
type Letter struct {
	From    string            `json:"from"`
	To      string            `json:"to"`
	Subject string            `json:"subject"`
	Text    string            `json:"text"`
	Headers map[string]string `json:"headers,omitempty"`
}

// Query asks which accesses are in scope; see the API's document.
type Query struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	Kind string    `json:"kind,omitempty"`
	Any  []Clause  `json:"any,omitempty"`
	Not  []Clause  `json:"not,omitempty"`
}

// Clause matches an event when every field that is set has the event's value among its own.
type Clause struct {
	Credential []string `json:"credential,omitempty"`
	Actor      []string `json:"actor,omitempty"`
	IP         []string `json:"ip,omitempty"`
	Agent      []string `json:"agent,omitempty"`
	Endpoint   []string `json:"endpoint,omitempty"`
	Merchant   []string `json:"merchant,omitempty"`
	Action     []string `json:"action,omitempty"`
	DataType   []string `json:"data_type,omitempty"`
}

// Result is the answer to a Query.
type Result struct {
	Query      Query      `json:"query"`
	Log        string     `json:"log"`
	Size       uint64     `json:"size"`
	Checkpoint string     `json:"checkpoint"`
	Digest     string     `json:"digest"`
	Events     int64      `json:"events"`
	Records    int64      `json:"records"`
	Customers  int64      `json:"customers"`
	AtLeast    bool       `json:"at_least"`
	DataTypes  []string   `json:"data_types"`
	First      time.Time  `json:"first"`
	Last       time.Time  `json:"last"`
	Gaps       []Gap      `json:"gaps,omitempty"`
	Rows       []Exposure `json:"rows"`

	Regions  []Residents `json:"regions,omitempty"`
	Supplied []Supplied  `json:"supplied,omitempty"`
	Step     int64       `json:"step,omitempty"` // seconds of a bucket of the timeline
	Timeline []Bucket    `json:"timeline,omitempty"`
	RowsRead int64       `json:"rows_read"`

	Excluded []Seen `json:"excluded,omitempty"`
	Included []Seen `json:"included,omitempty"`
}

// Residents is how many customer accounts of a scope live in one place: ISO 3166, "" is unknown.
type Residents struct {
	Region    string `json:"region"`
	Customers int64  `json:"customers"`
}

// Supplied is what a file that was brought in later gave of the events of a scope: they were not
// logged when they happened.
type Supplied struct {
	File   string `json:"file"` // "sha256:" and its digest
	Events int64  `json:"events"`
}

// Bucket is what happened in a step of a scope's timeline.
type Bucket struct {
	From    time.Time `json:"from"`
	Events  int64     `json:"events"`
	Records int64     `json:"records"`
}

// Gap is a time in which a source said nothing.
type Gap struct {
	Source string    `json:"source"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
}

// Exposure is one merchant's share of a scope.
type Exposure struct {
	Merchant  string    `json:"merchant"`
	Stores    []string  `json:"stores"`
	DataTypes []string  `json:"data_types"`
	Customers int64     `json:"customers"`
	Records   int64     `json:"records"`
	Events    int64     `json:"events"`
	AtLeast   bool      `json:"at_least,omitempty"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`

	Supplied []Supplied `json:"supplied,omitempty"` // which of its accesses were not logged live
}

// Seen is an address and agent and how much they did.
type Seen struct {
	IP        string    `json:"ip"`
	Agent     string    `json:"agent"`
	Events    int64     `json:"events"`
	Merchants int64     `json:"merchants"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
}

// Switch is one kill switch.
type Switch struct {
	Merchant string       `json:"merchant"`
	State    string       `json:"state"`
	Reason   string       `json:"reason,omitempty"`
	Since    time.Time    `json:"since"`
	Incident string       `json:"incident,omitempty"`
	Seen     []SwitchSeen `json:"seen,omitempty"`
}

// SwitchSeen is an instance and the version it obeys.
type SwitchSeen struct {
	Instance string    `json:"instance"`
	Version  int64     `json:"version"`
	At       time.Time `json:"at"`
}

// Switches is the whole set.
type Switches struct {
	Version  int64    `json:"version"`
	Switches []Switch `json:"switches"`
}

// Imported says what came of an import.
type Imported struct {
	Imported int      `json:"imported"`
	Rejected []Reject `json:"rejected"`
}

// Merchant is one row of the directory.
type Merchant struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Emails   []string `json:"emails"`
	Language string   `json:"language,omitempty"`
	Zone     string   `json:"zone,omitempty"`
	Country  string   `json:"country,omitempty"`
	Stores   []struct {
		ID     string `json:"id"`
		Domain string `json:"domain"`
	} `json:"stores"`
}

// Person is somebody with an account.
type Person struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Access  string    `json:"access"`
	Roles   []string  `json:"roles"`
	Called  bool      `json:"called"` // has an address that calls go to
	Invited time.Time `json:"invited"`
	Joined  time.Time `json:"joined,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
}

// Caller is whose token this is.
type Caller struct {
	Principal string   `json:"principal"`
	Name      string   `json:"name"`
	Access    string   `json:"access"`
	Roles     []string `json:"roles,omitempty"`
	Token     string   `json:"token,omitempty"`
}

func at(parts ...string) string {
	path := "/v1"
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}

// Board lists the open incidents, most urgent first.
func (c *Client) Board(ctx context.Context) ([]Row, error) {
	var out struct {
		Incidents []Row `json:"incidents"`
	}
	err := c.Do(ctx, http.MethodGet, at("incidents"), nil, &out)
	return out.Incidents, err
}

// Open opens an incident. Fields are those of the API's Open.
func (c *Client) Open(ctx context.Context, open any) (Outcome, error) {
	var out Outcome
	err := c.Do(ctx, http.MethodPost, at("incidents"), open, &out)
	return out, err
}

// Suspect says what somebody of the staff saw. The lead is called until somebody acknowledges it.
func (c *Client) Suspect(ctx context.Context, saw string) (Outcome, error) {
	var out Outcome
	err := c.Do(ctx, http.MethodPost, at("suspicions"), map[string]string{"saw": saw}, &out)
	return out, err
}

// Incident reads the state of an incident as JSON, with next and gates.
func (c *Client) Incident(ctx context.Context, id string) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.Do(ctx, http.MethodGet, at("incidents", id), nil, &out)
	return out, err
}

// Command gives a command to an incident: its name and its JSON body (nil for an empty one).
func (c *Client) Command(ctx context.Context, incident, name string, body any) (Outcome, error) {
	if body == nil {
		body = struct{}{}
	}
	var out Outcome
	err := c.Do(ctx, http.MethodPost, at("incidents", incident, name), body, &out)
	return out, err
}

// Foresee says what a command would lead to, and records nothing.
func (c *Client) Foresee(ctx context.Context, incident, name string, body any) (Outcome, error) {
	if body == nil {
		body = struct{}{}
	}
	var out Outcome
	err := c.Do(ctx, http.MethodPost, at("incidents", incident, name)+"?dry_run=true", body, &out)
	return out, err
}

// Plan plans an action.
func (c *Client) Plan(ctx context.Context, incident, action string, target map[string]string, secret, reason string) (Outcome, error) {
	return c.Command(ctx, incident, "plan", map[string]any{"action": action, "target": target, "secret": secret, "reason": reason})
}

// Clocks lists running clocks, of one incident or (id "") of all.
func (c *Client) Clocks(ctx context.Context, id string) ([]Clock, error) {
	var out struct {
		Clocks []Clock `json:"clocks"`
	}
	path := at("clocks")
	if id != "" {
		path = at("incidents", id, "clocks")
	}
	err := c.Do(ctx, http.MethodGet, path, nil, &out)
	return out.Clocks, err
}

// EveryClock lists the running clocks of everything that is open; with excluded also the duties that
// were ruled out, each with why not.
func (c *Client) EveryClock(ctx context.Context, excluded bool) (ClockSheet, error) {
	var out ClockSheet
	path := at("clocks")
	if excluded {
		path += "?excluded=true"
	}
	err := c.Do(ctx, http.MethodGet, path, nil, &out)
	return out, err
}

// Programme is what the policy owes without an incident.
type Programme struct {
	Policy string           `json:"policy"`
	Since  time.Time        `json:"since"`
	Clocks []Clock          `json:"clocks"`
	Events []ProgrammeEvent `json:"events"`
	Done   []ProgrammeDone  `json:"done"`
}

// ProgrammeEvent is something that happened to the programme.
type ProgrammeEvent struct {
	ID    string    `json:"id"`
	Event string    `json:"event"`
	At    time.Time `json:"at"`
	By    string    `json:"by"`
	Note  string    `json:"note"`
}

// ProgrammeDone is an act that somebody recorded as done.
type ProgrammeDone struct {
	Duty  string    `json:"duty"`
	Event string    `json:"event,omitempty"`
	At    time.Time `json:"at"`
	By    string    `json:"by"`
	Note  string    `json:"note"`
}

// Programme shows what the policy owes without an incident.
func (c *Client) Programme(ctx context.Context) (Programme, error) {
	var out Programme
	err := c.Do(ctx, http.MethodGet, at("programme"), nil, &out)
	return out, err
}

// ProgrammeCommand gives a command to the programme: done, event or waive.
func (c *Client) ProgrammeCommand(ctx context.Context, name string, body any) (Outcome, error) {
	var out Outcome
	err := c.Do(ctx, http.MethodPost, at("programme", name), body, &out)
	return out, err
}

// Timeline reads a page of the timeline after the line named; sources may be "".
func (c *Client) Timeline(ctx context.Context, id, after string, limit int, sources string) ([]Line, error) {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if sources != "" {
		q.Set("source", sources)
	}
	var out struct {
		Lines []Line `json:"lines"`
	}
	err := c.Do(ctx, http.MethodGet, at("incidents", id, "timeline")+"?"+q.Encode(), nil, &out)
	return out.Lines, err
}

// Scope computes who is affected and records nothing.
func (c *Client) Scope(ctx context.Context, q Query) (Result, error) {
	var out Result
	err := c.Do(ctx, http.MethodPost, at("scope"), q, &out)
	return out, err
}

// RecordScope computes who is affected and records it on the incident.
func (c *Client) RecordScope(ctx context.Context, incident string, q Query, reason string) (Outcome, Result, error) {
	var out struct {
		Outcome Outcome `json:"outcome"`
		Result  Result  `json:"result"`
	}
	err := c.Do(ctx, http.MethodPost, at("incidents", incident, "scope"), map[string]any{"query": q, "reason": reason}, &out)
	return out.Outcome, out.Result, err
}

// Preview reads a notice as one recipient gets it.
func (c *Client) Preview(ctx context.Context, incident, notice, party string) (Letter, error) {
	var out Letter
	err := c.Do(ctx, http.MethodGet, at("incidents", incident, "notices", notice, "preview")+"?party="+url.QueryEscape(party), nil, &out)
	return out, err
}

// Switches reads all kill switches.
func (c *Client) Switches(ctx context.Context) (Switches, error) {
	var out Switches
	err := c.Do(ctx, http.MethodGet, at("switches"), nil, &out)
	return out, err
}

// FlipSwitch flips a kill switch; merchant "*" is everybody, state on or off.
func (c *Client) FlipSwitch(ctx context.Context, merchant, state, reason, incident string) (Switches, error) {
	var out Switches
	err := c.Do(ctx, http.MethodPost, at("switches"),
		map[string]string{"merchant": merchant, "state": state, "reason": reason, "incident": incident}, &out)
	return out, err
}

// ImportMerchants sends the directory as CSV.
func (c *Client) ImportMerchants(ctx context.Context, csv []byte) (Imported, error) {
	answer, err := c.send(ctx, request{method: http.MethodPost, path: at("merchants"), body: csv, contentType: "text/csv"})
	if err != nil {
		return Imported{}, err
	}
	defer answer.Body.Close()
	var out Imported
	err = json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&out)
	return out, err
}

// Merchants reads a page of the directory; next is "" on the last.
func (c *Client) Merchants(ctx context.Context, after string, limit int) (page []Merchant, next string, err error) {
	var out struct {
		Merchants []Merchant `json:"merchants"`
		Next      string     `json:"next"`
	}
	q := url.Values{"after": {after}, "limit": {strconv.Itoa(limit)}}
	err = c.Do(ctx, http.MethodGet, at("merchants")+"?"+q.Encode(), nil, &out)
	return out.Merchants, out.Next, err
}

// PutSecret writes a named secret. It can never be read back.
func (c *Client) PutSecret(ctx context.Context, name string, value []byte) error {
	answer, err := c.send(ctx, request{method: http.MethodPut, path: at("secrets", name), body: value, contentType: "application/octet-stream"})
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
