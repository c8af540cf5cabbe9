// Package httpapi is the JSON API: every thing the console and the command line can do, over HTTP,
// with an OpenAPI document that is generated from the handlers and pinned by a golden file.
//
// The package does not listen; it returns a handler. It decides nothing: it authenticates, checks
// shapes and sizes, and hands each request to the desk.
package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/mint"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/scope"
)

// Version is the version of the API. It changes with every change of the OpenAPI document: the
// minor part when something was added, the major part when something that worked stops working.
const Version = "1.39.0"

// Incidents is what the API needs in order to show and to change incidents.
type Incidents interface {
	Submit(context.Context, desk.Request) (desk.Outcome, error)
	Foresee(context.Context, desk.Request) (desk.Foreseen, error)
	OpenIncident(ctx context.Context, id string, by desk.Caller, open incident.Open) (desk.Outcome, error)
	Board(context.Context) ([]desk.BoardRow, error)
	Incident(ctx context.Context, id string) (*incident.State, error)
	Clocks(ctx context.Context, id string) ([]desk.ClockRow, error)
	EveryClock(context.Context) (desk.ClockSheet, error)
	Gates(ctx context.Context, id string) ([]desk.GateRow, error)
	Timeline(ctx context.Context, id, after string, limit int, sources []string) ([]desk.TimelineLine, error)
	Entries(ctx context.Context, incident string, q desk.EntryQuery) (desk.EntryPage, error)
	Plan(ctx context.Context, id string, by desk.Caller, incident, action string, target map[string]string, secret, reason string) (desk.Outcome, error)
	Snapshot(ctx context.Context, id string, by desk.Caller, incident string) (desk.Outcome, error)
	Preview(ctx context.Context, incident, notice, party string) (desk.Letter, error)
	Outdated(*incident.State) map[string][]string
	Reviews
	Export(ctx context.Context, id string, by desk.Caller, incident, recipient string) (path string, err error)
}

// Scopes answers the question who is affected.
type Scopes interface {
	Scope(context.Context, scope.Query) (scope.Result, error)
	RecordScope(ctx context.Context, id string, by desk.Caller, incident string, q scope.Query, reason string) (desk.Outcome, scope.Result, error)
	CompareScope(context.Context, scope.Query) (scope.Comparison, error)
	StartScope(ctx context.Context, id string, by desk.Caller, q scope.Query, incident, reason string) (desk.ScopeRun, error)
	ScopeRun(ctx context.Context, id string) (desk.ScopeRun, error)
	FollowScope(ctx context.Context, id string, fn func(desk.ScopeRun) error) error
	CancelScope(ctx context.Context, by desk.Caller, id string) error
	ScopeRecord(ctx context.Context, incident string, version int) (desk.ScopeRecord, error)
	ScopeDiff(ctx context.Context, incident string, from, to int) (desk.ScopeDiff, error)
	MatchScope(ctx context.Context, incident string, version int, list io.Reader) (scope.Matched, error)
}

// Detection asks rules of the stored log.
type Detection interface {
	Backtest(context.Context, desk.BacktestQuery) (desk.Backtest, error)
}

// Switchboard holds the kill switches.
type Switchboard interface {
	Switches(context.Context) (version int64, all []desk.Switch, err error)
	FlipSwitch(ctx context.Context, id string, by desk.Caller, merchant, state, reason, incident string) error
	SwitchSeen(ctx context.Context, key, instance string, version int64) error
	// WatchSwitches gives a channel that is sent to (or closed) after the switches changed. It is
	// released when ctx ends.
	WatchSwitches(context.Context) <-chan struct{}
}

// Directory holds the merchants and the named secrets.
type Directory interface {
	ImportMerchants(ctx context.Context, by desk.Caller, csv io.Reader) (n int, rejected []desk.Reject, err error)
	Merchants(ctx context.Context, after string, limit int) ([]ledger.Merchant, error)
	PutSecret(ctx context.Context, by desk.Caller, name string, value []byte) error
}

// Intake is the door of the access log. Ingest returns once the events are durable.
type Intake interface {
	Ingest(ctx context.Context, key desk.Key, how desk.Delivery, body io.Reader) (desk.Receipt, error)
	RejectedEvents(ctx context.Context, raw bool, fn func(desk.Refused) error) error
}

// Organisation holds people, tokens and keys.
type Organisation interface {
	Org(context.Context) (*org.State, error)
	SubmitOrg(ctx context.Context, id string, by desk.Caller, c org.Command) (org.Outcome, error)
	Authenticate(ctx context.Context, bearer string) (desk.Identity, error)
	Uses() (since time.Time, last map[string]time.Time)
}

// Evidence shows the state of the two logs.
type Evidence interface {
	Checkpoints(context.Context) (desk.Checkpoints, error)
	ProveEvent(ctx context.Context, id string, since uint64) ([]byte, error)
	LogFile(log, name string) ([]byte, error)
	LogDays(context.Context) (desk.LogDays, error)
}

// Accesses shows the access log.
type Accesses interface {
	Accesses(context.Context, desk.AccessQuery) (desk.AccessPage, error)
	Access(ctx context.Context, id string) (desk.Access, error)
	Erase(ctx context.Context, id string, by desk.Caller, e desk.Erasure) (desk.ErasureTaken, error)
	PlanErasure(context.Context, desk.Caller, desk.Erasure) (desk.ErasurePlan, error)
	Erasures(context.Context) (desk.Erasures, error)
}

// Desk is all of it. Each group of handlers takes only the part it uses.
type Desk interface {
	Incidents
	Scopes
	Detection
	Switchboard
	Directory
	Intake
	Organisation
	Evidence
	Accesses
	Programme
	Attachments
	Probes
	Files
}

// Options are what the API is told about its surroundings. The zero value is usable.
type Options struct {
	Log       *slog.Logger  // default: discard
	PublicURL string        // without a trailing slash; invitation links begin with it. Default: the request's own host
	Own       string        // address of the console, such as http://127.0.0.1:8080, for links made over the socket when PublicURL is empty
	Rate      float64       // requests per second of one token, default 50
	Burst     int           // default 100
	MaxIngest int64         // bytes of one ingest request as sent, default 64 MiB
	Ingesting int           // ingest requests at one time, default 1024; the next one is answered 429
	Inflight  int64         // bytes of ingest requests at one time, default 128 MiB; the next one is answered 429
	Quota     float64       // events per second of one ingest key, default 100,000; ten seconds of them may come at once
	Streams   int           // streams of switches one token may hold open, default 500; the next one is answered 429
	Heartbeat time.Duration // between comments on an idle stream, default 15 s
	// Doctor says which preconditions of the policy's promises hold, and reads all of the evidence for it
	// when full is set; nil: GET /v1/doctor answers 503. Looking says how far that is.
	Doctor  func(ctx context.Context, full bool) (doctor.Report, error)
	Looking func() doctor.Progress
	// Steps is how far the first hour is, and SkipStep puts a step of it off; nil: there is none here.
	Steps    func(doctor.Report) ([]doctor.Step, error)
	SkipStep func(id string, again bool) error
	// Drills are played beside the server; nil: none can be.
	Drills Drills

	Program string // version of the program, for /healthz and the OpenAPI description
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Rate <= 0 {
		o.Rate = 50
	}
	if o.Burst <= 0 {
		o.Burst = 100
	}
	if o.MaxIngest <= 0 {
		o.MaxIngest = 64 << 20
	}
	if o.Ingesting <= 0 {
		o.Ingesting = 1024
	}
	if o.Inflight <= 0 {
		o.Inflight = 128 << 20
	}
	if o.Quota <= 0 {
		o.Quota = 100_000
	}
	if o.Streams <= 0 {
		o.Streams = 500
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 15 * time.Second
	}
	return o
}

// API is the handler of the JSON API. It serves /v1/, /healthz, /openapi.json and /openapi.yaml.
type API struct {
	mux       *http.ServeMux
	huma      huma.API
	desk      Desk
	opt       Options
	byToken   *limits
	byAddress *limits
	press     *mint.Press
	ingest    chan struct{} // a slot per ingest request in flight
	inflight  atomic.Int64  // bytes they may hold
	quotas    quotas        // events by ingest key
	streams   counts        // streams in flight by token
}

// New makes the API over a desk.
func New(d Desk, opt Options) *API {
	opt = opt.withDefaults()
	a := &API{
		mux: http.NewServeMux(), desk: d, opt: opt, byToken: newLimits(opt.Rate, opt.Burst), byAddress: newLimits(opt.Rate, opt.Burst),
		press: mint.NewPress(), ingest: make(chan struct{}, opt.Ingesting),
		quotas: quotas{perSecond: opt.Quota, until: map[string]time.Time{}, refused: map[string]doctor.Quota{}},
	}
	config := huma.DefaultConfig("Tocsin", Version)
	config.Info.Description = "Incidents, clocks, notices, kill switches and evidence. " +
		"Authorization: Bearer TOKEN. Errors are RFC 9457 problems with a stable `reason` and, for refusals, " +
		"everything that is `missing`. Writes take an `Idempotency-Key`: the same key gives the same answer."
	config.DocsPath, config.SchemasPath = "", ""
	config.CreateHooks = nil // no $schema fields in bodies
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "a person's token or a machine's key"},
	}
	a.huma = humago.New(a.mux, config)
	a.huma.UseMiddleware(a.guardOperation)

	a.registerIncidents(d)
	a.registerEntries(d)
	a.registerCommands(d)
	a.registerScopes(d)
	a.registerRuns(d)
	a.registerDetection(d)
	a.registerNotices(d)
	a.registerReviews(d)
	a.registerSwitches(d)
	a.registerIntake(d)
	a.registerDirectory(d)
	a.registerPeople(d)
	a.registerEvidence(d)
	a.registerAccesses(d)
	a.registerErasures(d)
	a.registerProgramme(d)
	a.registerProbes(d)
	a.registerDoctor()
	a.registerDrills()
	a.registerBearers(d)
	a.registerAttachments(d)
	a.registerIntegrity(d)
	a.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "ok\n")
	})
	a.mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, &Problem{Status: http.StatusNotFound, Reason: "no_such_path", Detail: "there is nothing at this path for this method"})
	})
	return a
}

// ServeHTTP answers one request. Each answer is logged with the operation, never with the query,
// the body or a token.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now() // protocol time: how long the answer took
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	seen := &recorder{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		if failure := recover(); failure != nil {
			if failure == http.ErrAbortHandler {
				panic(failure)
			}
			a.opt.Log.Error("the API failed", "method", r.Method, "route", r.Pattern, "failure", failure)
			if !seen.wrote {
				writeProblem(seen, internalProblem())
			}
		}
		a.opt.Log.Debug("request", "method", r.Method, "route", r.Pattern, "status", seen.status, "took", time.Since(began))
	}()
	a.mux.ServeHTTP(seen, r)
}

// OpenAPI is the document that describes the API, as YAML.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().YAML() }

// schemaName names a type in the document. Types of the packages below carry the package in front,
// because their names alone (Outcome, Query, Switch) are not theirs alone.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch path.Base(t.PkgPath()) {
	case "incident":
		return "Incident" + name
	case "org":
		return "Org" + name
	case "scope":
		return "Scope" + name
	case "doctor":
		return "Doctor" + name
	case "integrity":
		return "Integrity" + name
	}
	return name
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection, for flushing and deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
