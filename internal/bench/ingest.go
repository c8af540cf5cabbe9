package bench

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/clock"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/keyring"
	"github.com/tocsin-ir/tocsin/internal/sqlite"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/org"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/scope"
)

const (
	batchSize = 500 // events in one call
	senders   = 4   // calls at one time
)

// site is an access log with everything behind it as in production: keys, a real event log, a
// desk and its API.
type site struct {
	access *accesslog.Store
	log    *translog.Log
	desk   *desk.Desk
	close  []func() error // in reverse
}

func newSite(ctx context.Context, dir string) (_ *site, err error) {
	s := &site{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	p, err := benchProgram()
	if err != nil {
		return nil, err
	}
	keys, err := keyring.Open(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	s.close = append(s.close, keys.Close)
	signer, err := keys.Signer("bench/events")
	if err != nil {
		return nil, err
	}
	log, err := translog.Open(ctx, filepath.Join(dir, "log"), signer, translog.Options{})
	if err != nil {
		return nil, err
	}
	s.log = log
	s.close = append(s.close, log.Close)
	if s.access, err = accesslog.Open(ctx, accesslog.Options{Dir: dir, Keys: keys, Log: log, Now: time.Now, Env: "production"}); err != nil {
		return nil, err
	}
	s.close = append(s.close, s.access.Close)
	store, err := sqlite.Open(filepath.Join(dir, "tocsin.db"), sqlite.Options{})
	if err != nil {
		return nil, err
	}
	s.close = append(s.close, store.Close)
	s.desk, err = desk.New(desk.Options{
		Store: store, Keys: keys, Clock: clock.Real{}, Events: s.access, Programs: []*policy.Program{p},
		Env: "production", Org: "bench", OrgName: "Bench", Apps: []string{"bench"},
	})
	return s, err
}

func (s *site) Close() error {
	var errs []error
	for _, f := range slices.Backward(s.close) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// ingestKey makes a key for POST /v1/events.
func (s *site) ingestKey(ctx context.Context) (string, error) {
	owner := desk.Caller{Principal: "person:bench", Access: incident.Owner}
	code, err := desk.NewSecret()
	if err != nil {
		return "", err
	}
	key, err := desk.NewSecret()
	if err != nil {
		return "", err
	}
	for _, step := range []struct {
		who desk.Caller
		c   org.Command
	}{
		{desk.Caller{Principal: "service:setup", Access: incident.Service}, org.Found{ID: "bench", Title: "Bench", Owner: "bench", OwnerName: "Bench", CodeHash: org.Hash(code)}},
		{desk.Caller{Principal: "service:setup", Access: incident.Service}, org.Join{CodeHash: org.Hash(code), TokenID: "t1", TokenHash: org.Hash("unused " + code)}},
		{owner, org.IssueKey{KeyID: "k1", KeyHash: org.Hash(key), Purpose: "ingest", Source: "bench", App: "bench"}},
	} {
		if _, err := s.desk.SubmitOrg(ctx, "", step.who, step.c); err != nil {
			return "", err
		}
	}
	return key, nil
}

// traffic makes batches of events like a helpdesk's, each some 480 bytes, that never repeat.
type traffic struct{ next atomic.Int64 }

func (t *traffic) batch() []byte {
	var b bytes.Buffer
	from := t.next.Add(batchSize) - batchSize
	at := time.Now().UTC().Add(-time.Minute)
	for k := from; k < from+batchSize; k++ {
		fmt.Fprintf(&b, `{"id":"ev-%d","time":%q,"kind":"pii_access","actor":{"type":"staff","id":"staff-%d"},"credential":"tok_%d","session":"s%d","action":"list","endpoint":"GET /orders","purpose":"packing_slip","merchant":"m_%03d","store":"s_%03d","subjects":[{"kind":"account","id":"%d"},{"kind":"account","id":"%d"},{"kind":"account","id":"%d"}],"data_types":["customer.email","order.address"],"records":3,"bytes":2048,"outcome":"ok","source":{"ip":"203.0.113.%d","user_agent":"Mozilla/5.0 helpdesk"}}`+"\n",
			k, at.Add(time.Duration(k-from)*time.Millisecond).Format(time.RFC3339Nano), k%9, k%50, k%977, k%300, k%300, k%9973, k%9967, k%9949, k%200)
	}
	return b.Bytes()
}

// eventTable is what one would write first: the fields of an event as columns, and an index for
// each question that is asked of them.
type eventTable struct{ db *sql.DB }

func newEventTable(dir string) (*eventTable, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "events.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"+
		"&_pragma=busy_timeout(5000)&_pragma=cache_size(-65536)&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(4000)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE event (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, time INTEGER, kind TEXT, actor_type TEXT, actor TEXT,
		credential TEXT, session TEXT, action TEXT, endpoint TEXT, purpose TEXT, merchant TEXT, store TEXT, subjects TEXT, data_types TEXT,
		records INTEGER, bytes INTEGER, outcome TEXT, ip TEXT, agent TEXT);
		CREATE INDEX event_time ON event (time); CREATE INDEX event_credential ON event (credential, time);
		CREATE INDEX event_merchant ON event (merchant, time); CREATE INDEX event_ip ON event (ip, time); CREATE INDEX event_actor ON event (actor, time)`)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &eventTable{db}, nil
}

func (t *eventTable) Close() error { return t.db.Close() }

// line is an event as the baseline reads it.
type line struct {
	ID    string    `json:"id"`
	Time  time.Time `json:"time"`
	Kind  string    `json:"kind"`
	Actor struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	} `json:"actor"`
	Credential string `json:"credential"`
	Session    string `json:"session"`
	Action     string `json:"action"`
	Endpoint   string `json:"endpoint"`
	Purpose    string `json:"purpose"`
	Merchant   string `json:"merchant"`
	Store      string `json:"store"`
	Subjects   []struct {
		Kind string `json:"kind"`
		ID   string `json:"id"`
	} `json:"subjects"`
	DataTypes []string `json:"data_types"`
	Records   int64    `json:"records"`
	Bytes     int64    `json:"bytes"`
	Outcome   string   `json:"outcome"`
	Source    struct {
		IP    string `json:"ip"`
		Agent string `json:"user_agent"`
	} `json:"source"`
}

func (t *eventTable) insert(ctx context.Context, batch []byte) error {
	events := make([]line, 0, batchSize)
	for text := range bytes.Lines(batch) {
		var e line
		if err := json.Unmarshal(text, &e); err != nil {
			return err
		}
		events = append(events, e)
	}
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	stmt, err := tx.PrepareContext(ctx, `INSERT INTO event (id, time, kind, actor_type, actor, credential, session, action, endpoint, purpose,
		merchant, store, subjects, data_types, records, bytes, outcome, ip, agent) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`)
	if err != nil {
		return err
	}
	for _, e := range events {
		var subjects []string
		for _, s := range e.Subjects {
			subjects = append(subjects, s.ID)
		}
		_, err := stmt.ExecContext(ctx, e.ID, e.Time.UnixNano(), e.Kind, e.Actor.Type, e.Actor.ID, e.Credential, e.Session, e.Action, e.Endpoint, e.Purpose,
			e.Merchant, e.Store, strings.Join(subjects, " "), strings.Join(e.DataTypes, " "), e.Records, e.Bytes, e.Outcome, e.Source.IP, e.Source.Agent)
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// scopes measures one answer to "who is affected": what a credential got in a month of a drill's
// size, beside reading the same events out of a file of JSON lines.
func scopes(ctx context.Context, o Options) (_ []Result, err error) {
	s, err := newSite(ctx, filepath.Join(o.Dir, "site"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var t traffic
	var file bytes.Buffer
	batches := max(o.of(33), 2)
	for range batches {
		b := t.batch()
		file.Write(b)
		if _, err := s.access.Ingest(ctx, accesslog.Source{Name: "bench", App: "bench"}, "", "native", bytes.NewReader(b)); err != nil {
			return nil, err
		}
	}
	if _, _, err := s.access.Sealed(ctx); err != nil {
		return nil, err
	}
	q := scope.Query{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour), Any: []scope.Clause{{Credential: []string{"tok_7"}}}}
	var merchants int
	ours := func() (float64, error) {
		began := time.Now()
		r, err := scope.Compute(ctx, s.access, q, scope.Options{})
		merchants = len(r.Rows)
		return float64(time.Since(began).Microseconds()) / 1000, err
	}
	var theirs int
	read := func() (float64, error) {
		began := time.Now()
		found := map[string]map[string]bool{}
		for text := range bytes.Lines(file.Bytes()) {
			var e line
			if err := json.Unmarshal(text, &e); err != nil {
				return 0, err
			}
			if e.Credential != "tok_7" || e.Time.Before(q.From) || !e.Time.Before(q.To) {
				continue
			}
			if found[e.Merchant] == nil {
				found[e.Merchant] = map[string]bool{}
			}
			for _, x := range e.Subjects {
				found[e.Merchant][x.ID] = true
			}
		}
		theirs = len(found)
		return float64(time.Since(began).Microseconds()) / 1000, nil
	}
	both, err := alternate(ctx, o, 15, ours, read)
	if err != nil {
		return nil, err
	}
	if merchants != theirs || merchants == 0 {
		return nil, fmt.Errorf("the scope names %d merchants and the file %d", merchants, theirs)
	}
	results, err := columnScopes(ctx, o)
	return append([]Result{figure("scope", "ms", "lower", both[0], "reading the same events out of JSON lines in memory", both[1],
		fmt.Sprintf("one credential of fifty over %d events, %d merchants found by both; with customer accounts, data types, gaps and digest on a signed checkpoint", batches*batchSize, merchants))}, results...), err
}
