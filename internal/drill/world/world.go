// Package world invents the world a drill takes place in: merchants with their stores and
// customers, the people and programs that look at orders, a month of traffic, a cloud audit log
// beside it, and the hostile details a real directory has. Everything follows from a seed; the
// same seed gives the same world on every machine.
//
// The package is pure: it reads no clock, file or socket.
package world

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PerPage is the number of orders on one page of the victim's answer.
const PerPage = 6

// Merchant is one business that has installed the victim app.
type Merchant struct {
	ID            string
	Name          string
	Stores        []Store
	Email, Email2 string
	Phone         string
	Language      string
	Zone          string
	Country       string
	ContractHours int // 0: no contract shortens the notice
	Installed     time.Time
	Uninstalled   time.Time // zero: still installed
	Dead          bool      // its first address bounces; with no second address nobody can be reached
	Customers     int

	Slack, Basecamp string // where it is told beside mail; "" for not there
}

// Store is one shop of a merchant.
type Store struct{ ID, Domain string }

// Options says which world to make.
type Options struct {
	Seed      uint64
	Merchants int       // default 300
	Start     time.Time // first day of the month of traffic, UTC midnight
	Days      int       // days of ordinary traffic before the night of the attack; default 31
}

// World is everything that exists before the attack.
type World struct {
	Options
	Merchants   []Merchant
	Credentials Credentials
	Offices     []Client // addresses and agents from which the stolen credential is used rightfully
}

// Credentials are the names of the tokens in use. The stolen one stays in legitimate use.
type Credentials struct {
	Stolen  string // back office: staff who pack orders
	Sync    string // a worker that reads orders around the clock
	Support string // the help desk
	Picker  string // the packing app in the merchants' warehouses
}

// Client is an address and a user agent.
type Client struct{ IP, Agent string }

// The names of the tokens, as the victim's configuration lists them.
const (
	BackOffice = "back-office"
	SyncWorker = "sync-worker"
	HelpDesk   = "help-desk"
	PackingApp = "packing-app"
)

// New makes a world.
func New(o Options) *World {
	if o.Merchants == 0 {
		o.Merchants = 300
	}
	if o.Days == 0 {
		o.Days = 31
	}
	w := &World{Options: o, Credentials: Credentials{Stolen: BackOffice, Sync: SyncWorker, Support: HelpDesk, Picker: PackingApp}}
	w.Offices = []Client{
		{"198.51.100.10", "PackDesk/4.2 (Windows NT 10.0)"},
		{"198.51.100.10", "PackDesk/4.2 (Macintosh)"},
		{"198.51.100.23", "PackDesk/4.1 (Linux)"},
	}
	w.Merchants = merchants(o)
	return w
}

// stream is a random source of its own for each part of the world, so that a change in one part
// does not move the others.
func stream(seed uint64, name string) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, h))
}

// Customer is one of a merchant's customers.
type Customer struct {
	ID, Name, Email, Street, Region string
}

// CustomerOf is customer k of a merchant, counted from 0. Ids are unique over all merchants.
func (m Merchant) CustomerOf(k int) Customer {
	id := fmt.Sprintf("c%s%04d", strings.TrimPrefix(m.ID, "m_"), k)
	first := firstNames[(k*7+len(m.ID))%len(firstNames)]
	last := lastNames[(k*13+m.Customers)%len(lastNames)]
	return Customer{
		ID:     id,
		Name:   first + " " + last,
		Email:  strings.ToLower(first) + "." + id + "@mail.example",
		Street: strconv.Itoa(k%180+1) + " Harbour Road",
		Region: m.Country,
	}
}

// Pages is the number of pages of orders a merchant has.
func (m Merchant) Pages() int { return (m.Orders() + PerPage - 1) / PerPage }

// Orders is the number of orders a merchant has; some customers ordered more than once.
func (m Merchant) Orders() int { return m.Customers + m.Customers/3 }

// Order is one order of a merchant.
type Order struct {
	ID       string   `json:"id"`
	Store    string   `json:"store"`
	Customer Customer `json:"customer"`
}

// Page is the orders on page n, counted from 1; a page past the end is empty.
func (m Merchant) Page(n int) []Order {
	if n < 1 {
		return nil
	}
	var out []Order
	for i := (n - 1) * PerPage; i < n*PerPage && i < m.Orders(); i++ {
		out = append(out, Order{
			ID:       fmt.Sprintf("o%s%05d", strings.TrimPrefix(m.ID, "m_"), i),
			Store:    m.Stores[(n-1)%len(m.Stores)].ID,
			Customer: m.CustomerOf((i * 5) % m.Customers),
		})
	}
	return out
}

// Find is the merchant with the id.
func (w *World) Find(id string) (Merchant, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "m_"))
	if err != nil || n < 1 || n > len(w.Merchants) || w.Merchants[n-1].ID != id {
		return Merchant{}, false
	}
	return w.Merchants[n-1], true
}

// WriteCSV writes the directory in the shape of the file users bring: one row per store. The columns of
// channels are there when somebody is told in one.
func (w *World) WriteCSV(out io.Writer) error {
	c := csv.NewWriter(out)
	head := []string{"merchant", "name", "store", "domain", "email", "email_2", "phone", "language", "zone", "country", "contract_hours", "installed", "uninstalled"}
	channels := slices.ContainsFunc(w.Merchants, func(m Merchant) bool { return m.Slack+m.Basecamp != "" })
	if channels {
		head = append(head, "slack", "basecamp")
	}
	if err := c.Write(head); err != nil {
		return err
	}
	for _, m := range w.Merchants {
		for _, s := range m.Stores {
			hours, gone := "", ""
			if m.ContractHours > 0 {
				hours = strconv.Itoa(m.ContractHours)
			}
			if !m.Uninstalled.IsZero() {
				gone = m.Uninstalled.Format(time.RFC3339)
			}
			row := []string{m.ID, m.Name, s.ID, s.Domain, m.Email, m.Email2, m.Phone, m.Language, m.Zone, m.Country, hours, m.Installed.Format(time.RFC3339), gone}
			if channels {
				row = append(row, m.Slack, m.Basecamp)
			}
			if err := c.Write(row); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}

// DeadAddresses is every address that the drill's mail server refuses for good.
func (w *World) DeadAddresses() []string {
	var out []string
	for _, m := range w.Merchants {
		if m.Dead {
			out = append(out, m.Email)
		}
	}
	return out
}
