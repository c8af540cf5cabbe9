package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/scope/ask"
	"github.com/tocsin-ir/tocsin/scope/tally"
)

const (
	columnEvents = 2_000_000   // of a run that ends within the limit
	columnMonth  = 20_000_000  // of --full
	columnLarge  = 100_000_000 // after it
	columnDays   = 30
	columnMemory = 512 // MB of the engine
	largeMemory  = 800 // of the largest
)

// month is a made-up month of a vendor of 3,000 merchants: 2,000 credentials of which a few are
// busy, each working for some of the merchants, and customers who come again as customers do.
type month struct {
	rng     *rand.Rand
	n       int
	began   time.Time
	cum     []float64 // of credentials, by how much they do
	hostsOf []int     // first merchant of each
}

const (
	monthMerchants   = 3000
	monthCredentials = 2000
)

func newMonth(n int) *month {
	m := &month{rng: rand.New(rand.NewPCG(1, 20)), n: n, began: time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)}
	var sum float64
	for i := range monthCredentials {
		sum += 1 / math.Pow(float64(i+3), 0.9)
		m.cum = append(m.cum, sum)
		m.hostsOf = append(m.hostsOf, m.rng.IntN(monthMerchants))
	}
	return m
}

func (m *month) row(i int) table.Row {
	r := m.rng
	c, _ := slices.BinarySearch(m.cum, r.Float64()*m.cum[len(m.cum)-1])
	at := m.began.Add(time.Duration(float64(i) / float64(m.n) * columnDays * 24 * float64(time.Hour))).Add(time.Duration(r.IntN(2_000_000)) * time.Microsecond)
	merchant := (m.hostsOf[c] + r.IntN(8)*r.IntN(8)) % monthMerchants
	var entropy [10]byte
	binary.LittleEndian.PutUint64(entropy[:], r.Uint64())
	binary.LittleEndian.PutUint16(entropy[8:], uint16(r.Uint32()))
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(at)) // the time is in range
	_ = id.SetEntropy(entropy[:])
	row := table.Row{
		Seq: int64(i + 1), ID: id.String(), Source: "app", Kind: tally.DefaultKind, App: "shop", Env: "production", ActorType: "staff",
		Actor: fmt.Sprintf("staff-%d", c/2), Credential: fmt.Sprintf("tok_%04d", c), Session: fmt.Sprintf("s%d-%d", c, i*40/m.n),
		Action: []string{"read", "list", "export", "update"}[r.IntN(20)*r.IntN(20)/100], Endpoint: fmt.Sprintf("GET /%s", []string{"orders", "customers", "labels", "returns", "search"}[r.IntN(5)]),
		Purpose: []string{"packing_slip", "support", ""}[r.IntN(3)], Merchant: fmt.Sprintf("m_%04d", merchant), Store: fmt.Sprintf("s_%04d_%d", merchant, r.IntN(10)/8),
		DataTypes: []string{`["customer.email","order.address"]`, `["customer.name"]`, `["customer.email","customer.name","customer.phone","order.address"]`}[r.IntN(3)],
		Bytes:     256 * (1 + r.Int64N(12)), Outcome: []string{"ok", "ok", "ok", "ok", "ok", "ok", "ok", "ok", "denied", "error"}[r.IntN(10)],
		IP: fmt.Sprintf("198.51.%d.%d", c%100, (c+r.IntN(3))%250), Agent: fmt.Sprintf("Mozilla/5.0 helpdesk/%d", c%40),
	}
	row.SetTime(at.Truncate(time.Millisecond))
	row.Received = at.Add(time.Second).Truncate(500 * time.Millisecond).UnixMicro()
	for range 1 + r.IntN(2) {
		// A merchant's newest orders are looked at most, each customer some ten times in the month.
		newest := 20 + i/monthMerchants/6
		k := newest - int(float64(newest)*math.Pow(r.Float64(), 6))
		var token [table.TokenLen]byte
		a := rand.NewPCG(uint64(merchant), uint64(k))
		binary.LittleEndian.PutUint64(token[:], a.Uint64())
		binary.LittleEndian.PutUint64(token[8:], a.Uint64())
		row.Customers = append(row.Customers, token)
	}
	row.Records = int64(len(row.Customers))
	return row
}

// columns is a scope's source over a table of columns alone.
type columns struct {
	table  *table.Table
	engine *ask.Engine
	size   int64
}

func (c *columns) Checkpoint(context.Context) (string, []byte, uint64, error) {
	return "bench/events", nil, uint64(c.size), nil
}

func (c *columns) Gaps(context.Context, string, time.Time, time.Time) ([]tally.Gap, error) {
	return nil, nil
}

// Scan hands out every event: what counting one by one has to do.
func (c *columns) Scan(_ context.Context, _ scope.Query, _ uint64, fn func(*tally.Event) error) (int64, error) {
	v := c.table.View()
	defer v.Release()
	var n int64
	types := map[string][]string{}
	return n, v.Each(func(r *table.Row) error {
		n++
		e, err := accesslog.TallyOf(r, types)
		if err != nil {
			return err
		}
		return fn(&e)
	})
}

type counting struct{ *columns }

func (c counting) Count(ctx context.Context, q, wide scope.Query, _ uint64, pairs int) (*ask.Answer, int64, error) {
	v := c.table.View()
	defer v.Release()
	return accesslog.CountView(ctx, c.engine, v, q, wide, c.size, pairs)
}

// columnScopes measures scopes over a month by columns, beside the same questions answered event by
// event over the same files, by the lines that the verifier runs. --full measures the large month, and
// after it five of them in one, by the memory that is asked for there.
func columnScopes(ctx context.Context, o Options) ([]Result, error) {
	switch {
	case o.Count > 0:
		return scopesOf(ctx, o, months{rows: o.Count, memory: columnMemory})
	case !o.Full:
		return scopesOf(ctx, o, months{rows: o.of(columnEvents), memory: columnMemory})
	}
	results, err := scopesOf(ctx, o, months{rows: columnMonth, memory: columnMemory})
	if err != nil {
		return nil, err
	}
	large, err := scopesOf(ctx, o, months{rows: columnLarge, memory: largeMemory, name: "100m-"})
	return append(results, large...), err
}

// months is one size that scopes are measured at.
type months struct {
	rows   int
	memory int    // MB of the engine
	name   string // put before what a figure is about
}

// named puts what a size is called before what a figure is about: scope-100m-busy-30d.
func (x months) named(figure string) string {
	if x.name == "" {
		return figure
	}
	return "scope-" + x.name + strings.TrimPrefix(figure, "scope-")
}

func scopesOf(ctx context.Context, o Options, x months) (_ []Result, err error) {
	n := x.rows
	dir := filepath.Join(o.Dir, "table")
	if o.Table != "" {
		dir = filepath.Join(o.Table, fmt.Sprint(n))
	}
	m := newMonth(n)
	tab, about, err := m.table(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, tab.Close())
		if o.Table == "" {
			err = errors.Join(err, os.RemoveAll(dir)) // the next size needs the room
		}
	}()
	c := &columns{table: tab, size: int64(n)}
	how := "by tocsin-query, kept running"
	if program := ask.Beside(); program != "" {
		c.engine = ask.New(ask.Options{Program: program, Dir: dir, Memory: x.memory})
		defer func() { err = errors.Join(err, c.engine.Close()) }()
	} else {
		how = "event by event too: tocsin-query is not beside the program, make build makes it"
	}
	day := m.began.Add(12 * 24 * time.Hour)
	whole := scope.Query{From: m.began, To: m.began.AddDate(0, 0, columnDays+1)}
	of := func(credential string, from, to time.Time) scope.Query {
		return scope.Query{From: from, To: to, Any: []scope.Clause{{Credential: []string{credential}}}}
	}
	const base = "the same question event by event over the same files"
	watch := watchResident(ctx)
	var results []Result
	var slow float64
	for _, ask := range []struct {
		name, says string
		q          scope.Query
		rounds     int
	}{
		{"scope-credential-1d", "one credential, one day", of("tok_0020", day, day.AddDate(0, 0, 1)), 9},
		{"scope-rare-30d", "one of the least busy credentials, 30 days", of("tok_1990", whole.From, whole.To), 9},
		{"scope-busy-30d", "the busiest credential, 30 days", of("tok_0000", whole.From, whole.To), 7},
		{"scope-exact-all", "everything: every merchant, exact distinct customers of each, addresses and agents", whole, 3},
	} {
		once := func(src scope.Source, into *scope.Result) func() (float64, error) {
			return func() (float64, error) {
				at := time.Now()
				r, err := scope.Compute(ctx, src, ask.q, scope.Options{})
				*into = r
				return float64(time.Since(at).Microseconds()) / 1000, err
			}
		}
		var ours, theirs scope.Result
		values, err := alternate(ctx, o, ask.rounds, once(counting{c}, &ours))
		if err != nil {
			return nil, err
		}
		// Reading every event takes the same time for each credential: of tens of millions it is done
		// once for all of them.
		both := "the same digest both ways"
		if n <= columnEvents || slow == 0 || len(ask.q.Any) == 0 {
			slow, err = once(c, &theirs)()
			var most *scope.InvalidError
			if errors.As(err, &most) && len(ask.q.Any) == 0 {
				// More customers than may be counted one by one: there is nothing to compare with at this size.
				theirs, both, err = ours, "event by event it is refused: "+most.Reason, nil
				slow = 0
			} else if err != nil {
				return nil, err
			}
		} else {
			theirs, both = ours, "the baseline is that of one day"
		}
		var one series
		if slow > 0 {
			one = series{slow}
		}
		if ours.Digest != theirs.Digest || ours.Customers != theirs.Customers || ours.Events == 0 {
			return nil, fmt.Errorf("%s: the engine counts %d events and %d customers, one by one it is %d and %d", ask.name, ours.Events, ours.Customers, theirs.Events, theirs.Customers)
		}
		results = append(results, figure(x.named(ask.name), "ms", "lower", values[0], base, one,
			fmt.Sprintf("%s, of %d events over %d days in memory of the system, %s: %d events, %d merchants, %d distinct customers, %s", ask.says, n, columnDays, how, ours.Events, len(ours.Rows), ours.Customers, both)))
	}
	own := watch()
	child := float64(c.engine.RSS()) / (1 << 20)
	weigh := "merged, zstd; identifiers of events are ULIDs, one or two pseudonyms of 16 bytes each"
	results = append(results, figure(x.named("bytes-table"), "bytes/event", "lower", series{float64(about.Size) / float64(n)}, "the events as lines of JSON", series{about.Line}, weigh),
		figure(x.named("table-write"), "events/s", "higher", series{about.Written}, "", nil, "rows to files on the disk, with what is merged meanwhile, without making them up"+about.kept),
		figure(x.named("rss-query"), "MB", "lower", series{max(child, 1)}, "this process, which counts event by event too", series{own}, fmt.Sprintf("tocsin-query at its highest, with a limit of %d MB", x.memory)))
	return results, os.RemoveAll(filepath.Join(dir, "spill"))
}

// native is an event as a sender writes it.
func native(r *table.Row) string {
	var subjects []string
	for range r.Customers {
		subjects = append(subjects, `{"kind":"account","id":"cus_000000000"}`)
	}
	return fmt.Sprintf(`{"id":%q,"time":%q,"kind":%q,"actor":{"type":%q,"id":%q},"credential":%q,"session":%q,"action":%q,"endpoint":%q,"purpose":%q,"merchant":%q,"store":%q,"subjects":[%s],"data_types":%s,"records":%d,"bytes":%d,"outcome":%q,"source":{"ip":%q,"user_agent":%q}}`+"\n",
		r.ID, r.At().Format(time.RFC3339Nano), r.Kind, r.ActorType, r.Actor, r.Credential, r.Session, r.Action, r.Endpoint, r.Purpose, r.Merchant, r.Store,
		strings.Join(subjects, ","), r.DataTypes, r.Records, r.Bytes, r.Outcome, r.IP, r.Agent)
}
