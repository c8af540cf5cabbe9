package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/time/rate"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/org"
)

// who says who may call an operation.
type who string

const (
	public     who = "public"
	viewers    who = "viewer"
	responders who = "responder"
	owners     who = "owner"
	ingesters  who = "ingest key"
	switchKeys who = "switch key"
)

// identityKey is the context key of the authenticated identity.
type identityKey struct{}

// callerOf is the person behind a request that guard let through.
func callerOf(ctx context.Context) desk.Caller {
	if id, ok := ctx.Value(identityKey{}).(desk.Identity); ok && id.Person != nil {
		return *id.Person
	}
	return desk.Caller{}
}

// keyOf is the machine's key behind a request that guard let through.
func keyOf(ctx context.Context) desk.Key {
	if id, ok := ctx.Value(identityKey{}).(desk.Identity); ok && id.Key != nil {
		return *id.Key
	}
	return desk.Key{}
}

// operation describes one operation; every operation is made here, so that none goes without a guard.
func operation(id, method, path string, w who, summary string) huma.Operation {
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		Metadata:     map[string]any{"who": w},
		Description:  "For: " + string(w) + ".",
		MaxBodyBytes: 1 << 20,
		Errors:       []int{http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusInternalServerError},
	}
	if w != public {
		op.Security = []map[string][]string{{"bearer": {}}}
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden)
	}
	return op
}

// guardOperation is guard for operations that huma serves.
func (a *API) guardOperation(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	needs, ok := ctx.Operation().Metadata["who"].(who)
	if !ok {
		needs = owners // an operation that forgot to say so is shut for everybody but owners
	}
	id, problem := a.admit(r, needs)
	if problem != nil {
		writeProblem(w, problem)
		return
	}
	within := context.WithValue(ctx.Context(), identityKey{}, id)
	next(huma.WithContext(ctx, desk.As(within, callerOf(within))))
}

// raw registers an operation whose body or answer is a stream, which huma would read into memory.
func (a *API) raw(op huma.Operation, handle func(http.ResponseWriter, *http.Request) error) {
	a.huma.OpenAPI().AddOperation(&op)
	needs := op.Metadata["who"].(who)
	a.mux.HandleFunc(op.Method+" "+op.Path, func(w http.ResponseWriter, r *http.Request) {
		id, problem := a.admit(r, needs)
		if problem != nil {
			writeProblem(w, problem)
			return
		}
		within := context.WithValue(r.Context(), identityKey{}, id)
		r = r.WithContext(desk.As(within, callerOf(within)))
		if err := handle(w, r); err != nil {
			writeProblem(w, a.problemOf(r.Context(), err))
		}
	})
}

// admit authenticates a request, counts it against its token's rate and checks what it may do.
func (a *API) admit(r *http.Request, needs who) (desk.Identity, *Problem) {
	bearer, given := bearerOf(r)
	if needs == public || !given {
		// Without a token the address is all there is to count by.
		if wait, ok := a.byAddress.allow(addressOf(r)); !ok {
			return desk.Identity{}, tooMany(wait)
		}
		if needs == public {
			return desk.Identity{}, nil
		}
		return desk.Identity{}, a.problemOf(r.Context(), desk.ErrUnauthenticated)
	}
	id, err := a.desk.Authenticate(r.Context(), bearer)
	if err != nil {
		if wait, ok := a.byAddress.allow(addressOf(r)); !ok { // guessing is slow
			return desk.Identity{}, tooMany(wait)
		}
		return desk.Identity{}, a.problemOf(r.Context(), err)
	}
	if id.Key != nil && id.Key.Purpose == org.PurposeIngest && needs == ingesters {
		return id, nil // counted by events, not by requests: see quotas
	}
	// Only tokens that exist are counted, so nobody fills the table with invented ones.
	if wait, ok := a.byToken.allow(tokenOf(id)); !ok {
		return desk.Identity{}, tooMany(wait)
	}
	if problem := permits(id, needs); problem != nil {
		return desk.Identity{}, problem
	}
	return id, nil
}

// permits says whether an identity may call an operation, and if not, what it would have to be.
func permits(id desk.Identity, needs who) *Problem {
	ok := false
	switch needs {
	case ingesters:
		ok = id.Key != nil && id.Key.Purpose == org.PurposeIngest
	case switchKeys: // responders look at the switches too
		ok = id.Key != nil && id.Key.Purpose == org.PurposeSwitch || id.Person != nil
	case viewers:
		ok = id.Person != nil
	case responders:
		ok = id.Person != nil && (id.Person.Access == incident.Responder || id.Person.Access == incident.Owner)
	case owners:
		ok = id.Person != nil && id.Person.Access == incident.Owner
	}
	if ok {
		return nil
	}
	return &Problem{
		Status: http.StatusForbidden, Reason: "not_allowed", Detail: "this needs another kind of access",
		Missing: []incident.Missing{{What: "the token is not that of " + article(needs), Do: "use one that is, or ask an owner"}},
	}
}

// article puts the indefinite article before who.
func article(w who) string {
	if strings.ContainsRune("aeiou", rune(w[0])) {
		return "an " + string(w)
	}
	return "a " + string(w)
}

// tokenOf names the token or key of an identity.
func tokenOf(id desk.Identity) string {
	if id.Key != nil {
		return "key:" + id.Key.ID
	}
	if id.Person != nil {
		return "person:" + string(id.Person.Principal) + ":" + id.Person.Token
	}
	return ""
}

func bearerOf(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > 512 {
		return "", false
	}
	return token, true
}

// addressOf is what a stranger is counted by: an IPv4 address, or the /64 an IPv6 address is in,
// because whoever has one address of it has all of them.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Unmap().Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return host
}

// Paced counts requests by address before next sees them. It is for pages outside of the API that
// take a secret from a stranger, so that guessing is slow at every door.
func (a *API) Paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait, ok := a.byAddress.allow(addressOf(r)); !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
			http.Error(w, "Too many attempts from your address: wait a moment and try again.", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func tooMany(wait time.Duration) *Problem {
	return &Problem{
		Status: http.StatusTooManyRequests, Reason: "too_many_requests", Detail: "too many requests; wait and try again",
		retryAfter: int(wait/time.Second) + 1,
	}
}

// counts counts what is in flight by token. The zero value is ready to use.
type counts struct {
	mu sync.Mutex
	by map[string]int // guarded by mu; never zero
}

// enter counts one more of who; when there are most already it reports false. leave takes it back.
func (c *counts) enter(who string, most int) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[who] >= most {
		return nil, false
	}
	if c.by == nil {
		c.by = map[string]int{}
	}
	c.by[who]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.by[who]--; c.by[who] == 0 {
			delete(c.by, who)
		}
	}, true
}

// maxLimiters bounds the memory an attacker can make the limiter use by changing tokens.
const maxLimiters = 4096

// limits counts requests by token or address.
type limits struct {
	rate  rate.Limit
	burst int

	mu sync.Mutex
	by map[string]*rate.Limiter // guarded by mu
}

func newLimits(perSecond float64, burst int) *limits {
	return &limits{rate: rate.Limit(perSecond), burst: burst, by: map[string]*rate.Limiter{}}
}

// allow takes one request of who; when there is none left it says how long until there is one.
func (l *limits) allow(who string) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter := l.by[who]
	if limiter == nil {
		if len(l.by) >= maxLimiters {
			// Those that are full again behave as new ones would: forgetting them changes nothing.
			for name, other := range l.by {
				if other.Tokens() >= float64(l.burst) {
					delete(l.by, name)
				}
			}
			if len(l.by) >= maxLimiters {
				return time.Second, false
			}
		}
		limiter = rate.NewLimiter(l.rate, l.burst)
		l.by[who] = limiter
	}
	take := limiter.Reserve()
	if wait := take.Delay(); wait > 0 {
		take.Cancel()
		return wait, false
	}
	return 0, true
}
