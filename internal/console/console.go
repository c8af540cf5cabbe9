// Package console is the server-rendered console: the board, the incident room, the notices and
// the policy. Every page can be read and acted on without JavaScript: htmx only refreshes what is
// shown, and one small script of ours counts down and lists the keys.
//
// The package does not listen; it returns a handler. It decides nothing: it shows what the desk
// says and hands it what a person submits.
package console

import (
	"context"
	"embed"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/a-h/templ"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/inert"
	"github.com/tocsin-ir/tocsin/internal/played"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/scope"
)

// Generated at the root, as scripts/check.sh does: the paths in the generated files are the same then.
//go:generate sh -c "cd ../.. && go tool templ generate"

//go:embed static
var static embed.FS

// Incidents is what the pages show of incidents and do to them.
type Incidents interface {
	Submit(context.Context, desk.Request) (desk.Outcome, error)
	OpenIncident(ctx context.Context, id string, by desk.Caller, open incident.Open) (desk.Outcome, error)
	Signal(context.Context, incident.Signal) (desk.Outcome, error)
	OpenBoard(ctx context.Context, skip, limit int) (desk.BoardPage, error)
	SettledBoard(ctx context.Context, skip, limit int) (rows []desk.BoardRow, more bool, err error)
	Incident(ctx context.Context, id string) (*incident.State, error)
	Clocks(ctx context.Context, id string) ([]desk.ClockRow, error)
	EveryClock(context.Context) (desk.ClockSheet, error)
	EveryNotice(context.Context) (rows []desk.NoticeRow, cut bool, err error)
	Gates(ctx context.Context, id string) ([]desk.GateRow, error)
	Timeline(ctx context.Context, id, after string, limit int, sources []string) ([]desk.TimelineLine, error)
	Newest(ctx context.Context, id, from string, limit int, sources []string) (lines []desk.LogLine, next string, err error)
	Plan(ctx context.Context, id string, by desk.Caller, incident, action string, target map[string]string, secret, reason string) (desk.Outcome, error)
	Snapshot(ctx context.Context, id string, by desk.Caller, incident string) (desk.Outcome, error)
	Foresee(context.Context, desk.Request) (desk.Foreseen, error)
	Meanwhile(ctx context.Context, incident string, version int, who desk.Caller) ([]incident.Line, error)
	Attach(ctx context.Context, id string, by desk.Caller, incident, name, note string, body io.Reader) (desk.Outcome, error)
	Attachment(ctx context.Context, incident, id string) (incident.Attachment, []byte, error)
	Merge(ctx context.Context, id string, by desk.Caller, ask desk.MergeAsk) (desk.Outcome, error)
	Split(ctx context.Context, id string, by desk.Caller, ask desk.SplitAsk) (desk.Outcome, error)
	Review(ctx context.Context, incident string, q desk.ReviewQuery) ([]byte, error)
	PlanReview(ctx context.Context, incident, version string) (desk.ReviewPlan, error)
	ReviewDiff(ctx context.Context, incident, version string, from, to int) (string, error)
	Correctives(context.Context) ([]desk.CorrectiveRow, error)
	LinkSignal(ctx context.Context, id string, by desk.Caller, incident, signal, from, reason string) (desk.Outcome, error)
	StartScope(ctx context.Context, id string, by desk.Caller, q scope.Query, incident, reason string) (desk.ScopeRun, error)
	ScopeRun(ctx context.Context, id string) (desk.ScopeRun, error)
	AwaitScope(ctx context.Context, id string, most time.Duration) (desk.ScopeRun, error)
	CancelScope(ctx context.Context, by desk.Caller, id string) error
	ScopeRecord(ctx context.Context, incident string, version int) (desk.ScopeRecord, error)
	ScopeDiff(ctx context.Context, incident string, from, to int) (desk.ScopeDiff, error)
	MatchLines(ctx context.Context, incident string, version int, list io.Reader, out io.Writer) (scope.Matched, error)
	Entries(ctx context.Context, incident string, q desk.EntryQuery) (desk.EntryPage, error)
	CompareScope(context.Context, scope.Query) (scope.Comparison, error)
	Preview(ctx context.Context, incident, notice, party string) (desk.Letter, error)
	Switches(context.Context) (version int64, all []desk.Switch, err error)
	FlipSwitch(ctx context.Context, id string, by desk.Caller, merchant, state, reason, incident string) error
	// WatchIncidents and WatchIncident give a channel that is sent to after something changed that the
	// reader of the context may know of. They are released when ctx ends.
	WatchIncidents(context.Context) <-chan struct{}
	WatchIncident(ctx context.Context, incident string) <-chan struct{}
	MerchantNames(ctx context.Context, ids []string) (map[string]string, error)
}

// Programme is what the policy owes without an incident.
type Programme interface {
	Programme(context.Context) (*incident.State, error)
	ProgrammeClocks(context.Context) ([]desk.ClockRow, error)
	SubmitProgramme(ctx context.Context, id string, by desk.Caller, c incident.Command) (desk.Outcome, error)
}

// People is what signing in and joining need.
type People interface {
	Authenticate(ctx context.Context, bearer string) (desk.Identity, error)
	Org(context.Context) (*org.State, error)
	SubmitOrg(ctx context.Context, id string, by desk.Caller, c org.Command) (org.Outcome, error)
	Uses() (since time.Time, last map[string]time.Time)
	ImportMerchants(ctx context.Context, by desk.Caller, file io.Reader) (int, []desk.Reject, error)
}

// Desk is what the console needs of the desk.
type Desk interface {
	Incidents
	Programme
	Probes
	Files
	People
	PolicyProgram(context.Context) *policy.Program
	PolicyBefore(context.Context) (before *policy.Program, since time.Time, err error)
	Evidence
	Erasing
}

// Evidence is the access log, and what proves it.
type Evidence interface {
	Checkpoints(context.Context) (desk.Checkpoints, error)
	LogDays(context.Context) (desk.LogDays, error)
	Accesses(context.Context, desk.AccessQuery) (desk.AccessPage, error)
	Access(ctx context.Context, id string) (desk.Access, error)
	ProveEvent(ctx context.Context, id string, since uint64) ([]byte, error)
	Export(ctx context.Context, id string, by desk.Caller, incident, recipient string) (path string, err error)
}

// Options are what the console is told about its surroundings. The zero value is usable.
type Options struct {
	Log          *slog.Logger     // default: discard
	Now          func() time.Time // the desk's domain clock; default time.Now
	Organisation string           // the vendor's name
	Env          string           // "drill" puts a striped band on every page
	Ticking      bool             // domain time runs as the clock on the wall does: pages may count down
	ReadOnly     bool             // the record of a finished drill: nothing can be changed
	PublicURL    string           // without a trailing slash; "" when nobody outside reaches it
	Secure       bool             // served over TLS: __Host- cookie and HSTS

	// LastDrill says when a drill was last played against this policy and how it ended, if that is
	// known. nil: it is not.
	LastDrill func() (run played.Run, ok bool)

	// Hour is the first hour and the settings. nil: the data folder cannot be changed from here.
	Hour Hour
}

// Console is the handler of the console.
type Console struct {
	mux    *http.ServeMux
	guard  *http.CrossOriginProtection
	desk   Desk
	opt    Options
	assets map[string]string // name to path with a digest, so that a file may be kept for ever

	reported reports
	here     presence

	printing sync.Mutex
	drill    struct { // guarded by printing
		looked time.Time
		run    played.Run
		ok     bool
	}
	printed *published // guarded by printing
}

// New makes the console over a desk.
func New(d Desk, opt Options) *Console {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	c := &Console{mux: http.NewServeMux(), guard: http.NewCrossOriginProtection(), desk: d, opt: opt, assets: map[string]string{}}
	c.serveStatic()

	c.public("GET /signin", c.signinPage)
	c.public("POST /signin", c.signin)
	c.public("GET /join", c.joinPage)
	c.public("POST /join", c.join)
	c.public("POST /signout", c.signout)
	c.public("GET /.well-known/security.txt", c.securityTxt)
	// Where finders looked before RFC 9116 had a place for it.
	c.public("GET /security.txt", func(w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, "/.well-known/security.txt", http.StatusMovedPermanently)
		return nil
	})
	c.public("GET /report", c.reportPage)
	c.public("POST /report", c.report)
	c.public("GET /status", c.statusPage)
	c.public("GET /policy", c.policyPage)
	c.public("GET /policy.md", c.policyMarkdown)
	c.public("GET /policy.pdf", c.policyPDF)
	c.public("GET /policy/rules", c.rulesPage)

	c.page("GET /{$}", c.boardPage)
	c.page("GET /stream", c.boardLive)
	c.page("GET /incidents/{id}/stream", c.roomLive)
	c.page("GET /settled", c.settledPage)
	c.page("GET /clocks", c.clocksPage)
	c.page("GET /clocks.csv", c.clocksFile)
	c.page("GET /notices", c.everyNoticePage)
	c.page("GET /notices.csv", c.everyNoticeFile)
	c.page("GET /notices.ndjson", c.everyNoticeFile)
	c.page("GET /find", c.findPage)
	c.page("GET /accesses", c.accessesPage)
	c.page("GET /accesses.csv", c.accessesFile)
	c.page("GET /accesses.ndjson", c.accessesFile)
	c.page("GET /accesses/{event}", c.accessPage)
	c.page("GET /accesses/{event}/proof", c.accessProof)
	c.registerErasures()
	c.page("GET /evidence", c.evidencePage)
	c.page("GET /evidence/days.csv", c.daysFile)
	c.acting("POST /evidence/export", c.export)
	c.page("GET /programme", c.programmePage)
	c.acting("POST /programme", c.doProgramme)
	c.acting("GET /break-glass", c.glassPage)
	c.acting("POST /break-glass", c.breakGlass)
	c.page("GET /suspect", c.suspectPage)
	c.page("POST /suspect", c.suspect)
	c.acting("GET /open", c.openPage)
	c.acting("POST /open", c.open)
	c.page("GET /incidents", c.incidentsPage)
	c.page("GET /incidents.csv", c.incidentsFile)
	c.page("GET /incidents.ndjson", c.incidentsFile)
	c.page("GET /programme.csv", c.programmeFile)
	c.page("GET /incidents/{id}", c.roomPage)
	c.page("GET /incidents/{id}/scope", c.scopePage)
	c.page("POST /incidents/{id}/scope", c.recordScope)
	c.page("GET /incidents/{id}/scope/file", c.scopeFile)
	c.page("GET /incidents/{id}/scope/match", c.matchPage)
	c.acting(matchRoute, c.matchScope)
	c.page("GET /incidents/{id}/timeline", c.timelinePage)
	c.page("GET /incidents/{id}/timeline/file", c.timelineFile)
	c.acting("GET /incidents/{id}/do/{command}", c.actPage)
	c.acting("POST /incidents/{id}/do/{command}", c.act)
	c.page("GET /incidents/{id}/attachments/{attachment}", c.attachment)
	c.page("GET /incidents/{id}/notices", c.noticesPage)
	c.page("GET /incidents/{id}/notices.csv", c.ledgerFile)
	c.acting("POST /incidents/{id}/notices", c.actOnNotice)
	c.page("GET /incidents/{id}/review", c.reviewPage)
	c.acting("POST /incidents/{id}/review", c.actOnReview)
	c.page("GET /incidents/{id}/review/plan", c.reviewPlanPage)
	c.page("GET /incidents/{id}/review/changes", c.reviewChangesPage)
	c.page("GET /incidents/{id}/review/file", c.reviewFile)
	c.page("GET /correctives.csv", c.correctivesFile)
	c.registerHour()
	c.registerMore()
	c.public("GET /", func(w http.ResponseWriter, r *http.Request) error {
		return desk.ErrNotFound
	})
	return c
}

// ServeHTTP answers one request. The headers stand on every answer, errors and files included.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
	if c.opt.Secure {
		h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
	}
	c.mux.ServeHTTP(w, readable(r))
}

// readable is a request whose address holds nothing but text: a page repeats what it was asked for in
// its fields and links, and a zero byte or half a letter would make it one that no browser may read.
func readable(r *http.Request) *http.Request {
	if !strings.Contains(r.URL.RawQuery, "%") && utf8.ValidString(r.URL.RawQuery) {
		return r
	}
	changed, values := false, r.URL.Query()
	for _, all := range values {
		for i, v := range all {
			all[i] = strings.ReplaceAll(strings.ToValidUTF8(v, "\uFFFD"), "\x00", "\uFFFD")
			changed = changed || all[i] != v
		}
	}
	if !changed {
		return r
	}
	u, out := *r.URL, r.WithContext(r.Context())
	u.RawQuery = values.Encode()
	out.URL = &u
	return out
}

// handler is a page that may fail; failing is turned into the error page in one place.
type handler func(http.ResponseWriter, *http.Request) error

// public registers a page that needs no session.
func (c *Console) public(pattern string, h handler) {
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(desk.As(r.Context(), desk.Caller{})) // a stranger until the session says who it is
		if err := c.guard.Check(r); err != nil {
			c.fail(w, r, errForged)
			return
		}
		if r.Method == http.MethodPost {
			most := int64(maxForm)
			if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
				most = inert.MaxForm // read by what takes a file, and by nothing else
				if pattern == matchRoute {
					most = maxMatch
				}
			}
			r.Body = http.MaxBytesReader(w, r.Body, most)
			if err := r.ParseForm(); err != nil {
				c.fail(w, r, err)
				return
			}
		}
		if err := h(w, r); err != nil {
			c.fail(w, r, err)
		}
	})
}

// page registers a page for people who are signed in.
func (c *Console) page(pattern string, h handler) {
	c.public(pattern, func(w http.ResponseWriter, r *http.Request) error {
		who, err := c.session(r)
		if err != nil {
			if !errors.Is(err, desk.ErrUnauthenticated) && !refusedAs(err, org.NotSignedIn, org.TokenExpired) {
				return err
			}
			if r.Method == http.MethodGet {
				http.Redirect(w, r, "/signin?next="+urlQuery(r.URL.RequestURI()), http.StatusSeeOther)
				return nil
			}
			return desk.ErrUnauthenticated
		}
		return h(w, r.WithContext(desk.As(context.WithValue(r.Context(), sessionKey{}, who), who.Caller)))
	})
}

// acting registers a page that only those see who can act: nobody is shown a form that would be
// refused for who they are.
func (c *Console) acting(pattern string, h handler) {
	c.page(pattern, func(w http.ResponseWriter, r *http.Request) error {
		switch {
		case c.opt.ReadOnly:
			return desk.ErrReadOnly
		case !mayAct(callerOf(r.Context())):
			return errLooking
		}
		return h(w, r)
	})
}

func mayAct(who desk.Caller) bool {
	return who.Access == incident.Responder || who.Access == incident.Owner
}

// maxForm bounds a submitted form.
const maxForm = 1 << 20

// frame is what every page shows around its content.
type frame struct {
	Title        string
	Organisation string
	Now          time.Time
	Zone         *time.Location
	Drill        bool
	ReadOnly     bool   // a finished drill
	Acts         bool   // the reader may change things
	WhyNot       string // why not, when they are signed in
	Ticking      bool
	Live         bool   // the page refreshes itself
	Stream       string // the address that says when there is something new; "": none
	Seen         string // what of it this page shows
	Refresh      int    // seconds after which a page without a script loads itself again; 0: it does not
	Who          desk.Caller
	CSRF         string
	Assets       map[string]string
	Here         string // which entry of the navigation is this page's
	Self         string // this page's address
	Bare         bool   // nothing can be gone to yet

	names func() map[string]string // of people by their ids, to those who are signed in
}

func (c *Console) frame(r *http.Request, title string) frame {
	who, _ := r.Context().Value(sessionKey{}).(session)
	f := frame{
		Title: title, Organisation: c.opt.Organisation, Now: c.opt.Now(), Zone: time.UTC, Drill: c.opt.Env == "drill",
		ReadOnly: c.opt.ReadOnly, Ticking: c.opt.Ticking, Assets: c.assets, Self: r.URL.RequestURI(),
	}
	if c.desk == nil { // the folder is empty
		return c.bare(title)
	}
	if p := c.desk.PolicyProgram(r.Context()); p != nil && p.Zone != nil {
		f.Zone = p.Zone
	}
	f.signIn(who)
	if who.Principal != "" {
		f.names = sync.OnceValue(func() map[string]string {
			s, err := c.desk.Org(r.Context())
			if err != nil {
				return nil // ids are shown
			}
			return s.Names()
		})
	}
	return f
}

// signIn puts the reader's name and what they may do on the page.
func (f *frame) signIn(who session) {
	f.Who, f.CSRF = who.Caller, who.csrf
	f.Acts = !f.ReadOnly && mayAct(who.Caller)
	switch {
	case f.ReadOnly:
		f.WhyNot = "This is the record of a finished drill: everything can be read and nothing changed."
	case who.Principal != "" && !f.Acts:
		f.WhyNot = "You can read everything and change nothing: your access is " + string(who.Access) + ". An owner can give you more."
	}
}

// render writes a page. It is rendered whole before the first byte, so that an error in a template
// is an error page and not half a page.
func (c *Console) render(w http.ResponseWriter, r *http.Request, status int, body templ.Component) error {
	buf := templ.GetBuffer()
	defer templ.ReleaseBuffer(buf)
	if err := body.Render(r.Context(), buf); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// A failed write means that the reader is gone.
	_, _ = buf.WriteTo(w)
	return nil
}

// fail shows the error page. What is not meant for people is logged and not shown.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	t := troubleOf(err)
	if t.Status >= http.StatusInternalServerError {
		c.opt.Log.ErrorContext(r.Context(), "page failed", "route", r.Pattern, "error", err)
	}
	if who, e := c.session(r); e == nil {
		r = r.WithContext(context.WithValue(r.Context(), sessionKey{}, who))
	}
	if err := c.render(w, r, t.Status, troublePage(c.frame(r, t.Title), t)); err != nil {
		c.opt.Log.ErrorContext(r.Context(), "the error page failed", "error", err)
		http.Error(w, t.Title, t.Status)
	}
}

// trouble is an error as a person reads it.
type trouble struct {
	Status  int
	Title   string // what did not happen
	Text    string
	Reason  incident.Reason
	Missing []incident.Missing
	News    []incident.Line // what others did since the form was rendered
}

var (
	errForged = errors.New("the form came from another site")
	errStale  = errors.New("the form is old")

	errLooking = errors.New("the account can only look")
)

func troubleOf(err error) *trouble {
	var refusal *incident.Refusal
	var field *incident.FieldError
	var query *scope.InvalidError
	var tooLarge *http.MaxBytesError
	var answered meanwhileAnswered
	switch {
	case errors.As(err, &answered):
		return &trouble{Status: http.StatusConflict, Title: "Not done yet: somebody else answered", News: answered.news,
			Text: "They answered otherwise while your form was open. What you chose for the other questions is kept below; an answer that stands is changed from its own line in the room."}
	case errors.As(err, &refusal):
		return &trouble{Status: http.StatusConflict, Title: "Refused", Text: refusal.Message, Reason: refusal.Reason, Missing: refusal.Missing}
	case errors.As(err, &field):
		return &trouble{Status: http.StatusUnprocessableEntity, Title: "Not accepted", Text: title(field.Field) + ": " + field.Problem + "."}
	case errors.As(err, &query):
		return &trouble{Status: http.StatusUnprocessableEntity, Title: "Not accepted", Text: inTheForm(query)}
	case errors.Is(err, errForged):
		return &trouble{Status: http.StatusForbidden, Title: "Not accepted", Text: "The form came from another site, so nothing was done."}
	case errors.Is(err, errStale):
		return &trouble{Status: http.StatusForbidden, Title: "Not done yet", Text: "This form was from an earlier sign-in. Your text is kept below: look it over and submit again."}
	case errors.As(err, &tooLarge), errors.Is(err, desk.ErrTooLarge):
		return &trouble{Status: http.StatusRequestEntityTooLarge, Title: "Too large", Text: "What was sent is larger than is taken. Shorten it and submit again."}
	case errors.Is(err, desk.ErrUnauthenticated):
		return &trouble{Status: http.StatusUnauthorized, Title: "Not signed in", Text: "You are signed out, so nothing was done. Sign in, then go back: your browser keeps what you wrote."}
	case errors.Is(err, desk.ErrReadOnly):
		return &trouble{Status: http.StatusForbidden, Title: "Read-only", Text: "This installation only shows what happened; nothing can be changed here."}
	case errors.Is(err, errLooking):
		return &trouble{Status: http.StatusForbidden, Title: "Not allowed", Text: "Your access lets you read everything and change nothing. Ask an owner for the access of a responder."}
	case errors.Is(err, desk.ErrForbidden):
		return &trouble{Status: http.StatusForbidden, Title: "Not allowed", Text: sentence(err)}
	case errors.Is(err, desk.ErrNotFound), errors.Is(err, ledger.ErrNotFound):
		return &trouble{Status: http.StatusNotFound, Title: "Not found", Text: "There is nothing at this address."}
	case errors.Is(err, desk.ErrInvalid):
		return &trouble{Status: http.StatusUnprocessableEntity, Title: "Not accepted", Text: sentence(err)}
	case errors.Is(err, desk.ErrBusy), errors.Is(err, desk.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return &trouble{Status: http.StatusServiceUnavailable, Title: "Not available now", Text: "Try again in a moment. If you submitted something, submitting it again is safe."}
	}
	return &trouble{Status: http.StatusInternalServerError, Title: "Something failed here", Text: "The server's log says what. If you submitted something, submitting it again is safe."}
}

// sentence makes an error's text start as a sentence does.
func sentence(err error) string {
	text := desk.Said(err)
	if text == "" {
		return text
	}
	return incident.Capital(text) + "."
}

func refusedAs(err error, reasons ...incident.Reason) bool {
	var refusal *incident.Refusal
	if !errors.As(err, &refusal) {
		return false
	}
	for _, r := range reasons {
		if refusal.Reason == r {
			return true
		}
	}
	return false
}

// serveStatic serves the embedded files under names that hold their digest.
func (c *Console) serveStatic() {
	files, err := fs.Sub(static, "static")
	if err != nil {
		return // cannot be: the folder is embedded
	}
	entries, _ := fs.ReadDir(files, ".")
	for _, e := range entries {
		body, err := fs.ReadFile(files, e.Name())
		if err != nil {
			continue
		}
		at := "/static/" + digest(body) + "/" + e.Name()
		kind := map[string]string{".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}[path.Ext(e.Name())] + "; charset=utf-8"
		c.assets[e.Name()] = at
		c.mux.HandleFunc("GET "+at, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			_, _ = w.Write(body)
		})
	}
}
