// Package attacker is the drill's intruder. It holds a stolen token, walks slowly the evening
// before so that nobody notices, takes as much as it can at night, slows and changes its address,
// hides behind an address the vendor trusts, and goes on until it is refused. It remembers every
// event id it was given with data: that is the truth the judge measures the responder by, and it
// leaves this process only after the responder has handed out its evidence.
package attacker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Config is the first JSON document on standard input.
type Config struct {
	Target    string    `json:"target"` // base address of the application
	Token     Secret    `json:"token"`
	Seed      uint64    `json:"seed"`
	Merchants []Account `json:"merchants"` // what it found out before: whom to ask for and how much there is
}

// Account is a merchant as the attacker knows it.
type Account struct {
	ID    string `json:"id"`
	Pages int    `json:"pages"`
}

// Secret prints as "[redacted]".
type Secret string

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Order is one control message: take Count pages between From and To, evenly, as Client.
type Order struct {
	ID    int       `json:"id"`
	Phase string    `json:"phase,omitempty"`
	IP    string    `json:"ip,omitempty"`
	Agent string    `json:"agent,omitempty"`
	From  time.Time `json:"from,omitzero"`
	To    time.Time `json:"to,omitzero"`
	Count int       `json:"count,omitempty"`
	Back  int       `json:"back,omitempty"`  // merchants to go back by before it begins
	First int       `json:"first,omitempty"` // the first page to take of each merchant; default 1
	Truth bool      `json:"truth,omitempty"` // hand over the truth
}

// Report answers an order.
type Report struct {
	ID       int    `json:"id"`
	Taken    int    `json:"taken"`   // pages with data in this order
	Refused  int    `json:"refused"` // 401 or 403
	Switched int    `json:"switched,omitempty"`
	Error    string `json:"error,omitempty"`
	Truth    *Truth `json:"truth,omitempty"`
}

// Truth is what was received.
type Truth struct {
	Attack string  `json:"attack"`
	Events []Event `json:"events"`
}

// Event is one page of data that was received.
type Event struct {
	ID        string    `json:"event"`
	Attack    string    `json:"attack"`
	Merchant  string    `json:"merchant"`
	Customers []string  `json:"customers"`
	At        time.Time `json:"at"`
	IP        string    `json:"ip"`
	Agent     string    `json:"agent"`
}

// Name is what the attack is called in the truth.
const Name = "stolen-token"

// Main obeys orders until standard input ends or ctx does.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	in, out := json.NewDecoder(stdin), json.NewEncoder(stdout)
	var c Config
	if err := in.Decode(&c); err != nil {
		return fmt.Errorf("attacker: configuration on standard input: %w", err)
	}
	a := New(c)
	if err := out.Encode(map[string]any{"ready": true}); err != nil {
		return err
	}
	for {
		var o Order
		if err := in.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("attacker: order: %w", err)
		}
		r := Report{ID: o.ID}
		if o.Truth {
			t := a.Truth()
			r.Truth = &t
		} else {
			r = a.Obey(ctx, o)
		}
		if err := out.Encode(r); err != nil {
			return err
		}
	}
}

// Attacker walks through the merchants.
type Attacker struct {
	c      Config
	client *http.Client
	order  []Account // shuffled
	next   int
	page   int
	truth  Truth
}

// New makes an attacker that has done nothing yet.
func New(c Config) *Attacker {
	a := &Attacker{c: c, page: 1, client: &http.Client{Timeout: 5 * time.Second}, truth: Truth{Attack: Name}}
	a.order = append(a.order, c.Merchants...)
	r := rand.New(rand.NewPCG(c.Seed, 0xa77ac4))
	r.Shuffle(len(a.order), func(i, j int) { a.order[i], a.order[j] = a.order[j], a.order[i] })
	return a
}

// Truth is what was received so far.
func (a *Attacker) Truth() Truth { return a.truth }

// Obey takes pages until the order is filled or the token is refused.
func (a *Attacker) Obey(ctx context.Context, o Order) Report {
	r := Report{ID: o.ID}
	if len(a.order) == 0 || o.Count <= 0 {
		return r
	}
	step := o.To.Sub(o.From) / time.Duration(o.Count)
	first := max(o.First, 1)
	if o.Back > 0 || first > 1 {
		a.page, a.next = first, max(a.next-o.Back, 0)
	}
	for i := range o.Count {
		m := a.order[a.next%len(a.order)]
		page := min(a.page, max(m.Pages, 1))
		if a.page++; a.page > min(first+2, m.Pages) { // three pages of each, then the next merchant
			a.page, a.next = first, a.next+1
		}
		status, err := a.take(ctx, o, m.ID, page, o.From.Add(time.Duration(i)*step))
		switch {
		case err != nil:
			r.Error = err.Error()
			return r
		case status == http.StatusOK:
			r.Taken++
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			r.Refused++
			return r
		default:
			r.Switched++
		}
	}
	return r
}

func (a *Attacker) take(ctx context.Context, o Order, merchant string, page int, at time.Time) (int, error) {
	q := url.Values{"merchant": {merchant}, "page": {strconv.Itoa(page)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.c.Target+"/orders?"+q.Encode(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+string(a.c.Token))
	req.Header.Set("X-Forwarded-For", o.IP)
	req.Header.Set("User-Agent", o.Agent)
	req.Header.Set("Drill-Time", at.UTC().Format(time.RFC3339Nano))
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
		return resp.StatusCode, nil
	}
	var body struct {
		Orders []struct {
			Customer struct{ ID string } `json:"customer"`
		} `json:"orders"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body); err != nil {
		return 0, fmt.Errorf("attacker: answer: %w", err)
	}
	e := Event{ID: resp.Header.Get("Event-Id"), Attack: Name, Merchant: merchant, At: at.UTC(), IP: o.IP, Agent: o.Agent}
	seen := map[string]bool{}
	for _, x := range body.Orders {
		if !seen[x.Customer.ID] {
			seen[x.Customer.ID] = true
			e.Customers = append(e.Customers, x.Customer.ID)
		}
	}
	a.truth.Events = append(a.truth.Events, e)
	return resp.StatusCode, nil
}
