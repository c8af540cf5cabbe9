package victim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/world"
	"github.com/tocsin-ir/tocsin/piilog"
)

// asked is one request for a page of orders, over HTTP or in bulk.
type asked struct {
	method, path   string
	token          string
	actor, purpose string
	ip, agent      string
	merchant       string
	page           int
	at             time.Time // domain time
}

// answered is what came of it.
type answered struct {
	status int
	id     string // of the access event, when data was given out
	reason string // of a switch that is off
	orders []world.Order
}

// orders is the one path on which customers' data leaves the application: token, switch, page,
// event, log, in this order. Bulk accesses take it too.
func (v *Victim) orders(a asked) answered {
	name, ok := v.holder(a.token)
	credential := CredentialID(a.token)
	line := Line{Time: a.at, Method: a.method, Path: a.path, Merchant: a.merchant, Credential: credential, IP: a.ip, Agent: a.agent}
	out := answered{}
	switch m, known := v.world.Find(a.merchant); {
	case !ok:
		out.status = http.StatusUnauthorized
		v.emit(piilog.Event{Kind: piilog.Auth, Time: a.at, Actor: piilog.Actor{Type: "service", ID: "unknown"}, Credential: credential, Endpoint: "GET /orders", Outcome: "denied", Source: piilog.Source{IP: a.ip, UserAgent: a.agent}})
	case !known:
		out.status = http.StatusNotFound
	default:
		if reason, off := v.off(a.merchant); off {
			out.status, out.reason = http.StatusServiceUnavailable, reason
			break
		}
		out.status, out.orders = http.StatusOK, m.Page(a.page)
		e := piilog.Event{
			ID: newID(a.at), Time: a.at, Kind: piilog.PIIAccess, Actor: piilog.Actor{Type: actorType(name), ID: a.actor}, Credential: credential,
			Action: "list", Endpoint: "GET /orders", Purpose: a.purpose, Merchant: m.ID, Outcome: "ok",
			DataTypes: []string{"customer.email", "customer.name", "order.address"}, Source: piilog.Source{IP: a.ip, UserAgent: a.agent},
		}
		if e.Actor.ID == "" {
			e.Actor.ID = name
		}
		seen := map[string]bool{}
		for _, o := range out.orders {
			e.Store, line.Store = o.Store, o.Store
			e.Bytes += 180
			if seen[o.Customer.ID] {
				continue
			}
			seen[o.Customer.ID] = true
			e.Subjects = append(e.Subjects, piilog.Subject{Kind: "account", ID: o.Customer.ID, Region: o.Customer.Region})
			line.Customers = append(line.Customers, o.Customer.ID)
		}
		e.Records = int64(len(e.Subjects))
		out.id, line.ID = e.ID, e.ID
		v.emit(e)
	}
	line.Status = out.status
	v.log.add(line)
	return out
}

func actorType(token string) string {
	switch token {
	case world.SyncWorker:
		return "service"
	case world.PackingApp:
		return "merchant"
	}
	return "staff"
}

func (v *Victim) getOrders(w http.ResponseWriter, r *http.Request) {
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	a := asked{
		method: r.Method, path: "/orders", token: bearer(r), actor: r.Header.Get("Drill-Actor"), purpose: r.Header.Get("Drill-Purpose"),
		ip: address(r), agent: r.UserAgent(), merchant: r.URL.Query().Get("merchant"), page: page, at: drillTime(r),
	}
	out := v.orders(a)
	v.log.flush()
	switch out.status {
	case http.StatusOK:
		w.Header().Set("Event-Id", out.id)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{"merchant": a.merchant, "page": page, "orders": out.orders})
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "60")
		http.Error(w, "switched off: "+out.reason, out.status)
	default:
		http.Error(w, http.StatusText(out.status), out.status)
	}
}

// getSession says whether a token is valid without giving out any data: it is what the judge asks
// over and over, and it makes no access event.
func (v *Victim) getSession(w http.ResponseWriter, r *http.Request) {
	_, ok := v.holder(bearer(r))
	status := http.StatusOK
	if !ok {
		status = http.StatusUnauthorized
	}
	v.log.add(Line{Time: drillTime(r), Method: r.Method, Path: "/session", Credential: CredentialID(bearer(r)), IP: address(r), Agent: r.UserAgent(), Status: status})
	w.WriteHeader(status)
}

// postAccesses performs many accesses, one JSON object a line, through the same path as GET
// /orders: a month of history would otherwise be twenty thousand requests that show nothing more.
// It answers after every event of theirs is durable at the responder.
func (v *Victim) postAccesses(w http.ResponseWriter, r *http.Request) {
	byName := v.byName()
	lines := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<20))
	count := map[int]int{}
	for {
		var a world.Access
		if err := lines.Decode(&a); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			http.Error(w, "a line is not an access", http.StatusBadRequest)
			return
		}
		out := v.orders(asked{
			method: http.MethodGet, path: "/orders", token: byName[a.Credential], actor: a.Actor, purpose: a.Purpose,
			ip: a.IP, agent: a.Agent, merchant: a.Merchant, page: a.Page, at: a.At,
		})
		count[out.status]++
	}
	v.log.flush()
	if err := v.flush(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(count)
}

// byName is the newest valid token of each name.
func (v *Victim) byName() map[string]string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := map[string]string{}
	for token, name := range v.tokens {
		out[name] = token
	}
	return out
}

func bearer(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// address is the client's: the trusted drill header, else the connection's.
func address(r *http.Request) string {
	if ip := r.Header.Get("X-Forwarded-For"); ip != "" {
		return ip
	}
	host, _, _ := strings.Cut(r.RemoteAddr, ":")
	return host
}

func drillTime(r *http.Request) time.Time {
	if t, err := time.Parse(time.RFC3339Nano, r.Header.Get("Drill-Time")); err == nil {
		return t.UTC()
	}
	return time.Now().UTC()
}
