package accesslog_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/accesslog/ids"
	"github.com/tocsin-ir/tocsin/accesslog/spool"
	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/leaf"
)

// testKeys makes a key of a purpose and an id from both, so that a restarted process has the same.
type testKeys struct{}

func (testKeys) Key(purpose, id string) ([]byte, error) {
	sum := sha256.Sum256([]byte("test " + purpose + "/" + id))
	return sum[:], nil
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// site is a store with its log in a folder of its own, and a clock.
type site struct {
	*accesslog.Store
	dir    string
	log    *translog.Log
	signer note.Signer
	verify note.Verifier
	flush  time.Duration
	spool  spool.Options
	logger *slog.Logger
	table  table.Options
	ids    ids.Options
	keys   accesslog.Keys // testKeys when nil
	scrub  []accesslog.Pattern
	wrap   func(*translog.Log) accesslog.Log

	rejects int64 // accesslog.Options.Rejects

	mu  sync.Mutex
	now time.Time
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) set(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = t
}

var ownPatterns = []accesslog.Pattern{{Name: "iban", Regexp: `\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b`}, {Name: "customer_no", Regexp: `\bKD-\d{2}-\d{2}-\w\b`}}

func newSite(t testing.TB) *site {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, "javabeanai/events")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{dir: t.TempDir(), now: noon, flush: 20 * time.Millisecond, scrub: ownPatterns}
	if s.signer, err = note.NewSigner(skey); err != nil {
		t.Fatal(err)
	}
	if s.verify, err = note.NewVerifier(vkey); err != nil {
		t.Fatal(err)
	}
	s.open(t)
	t.Cleanup(s.close)
	return s
}

func (s *site) open(t testing.TB) {
	t.Helper()
	var err error
	if s.log, err = translog.Open(context.Background(), filepath.Join(s.dir, "log", "events"), s.signer, translog.Options{}); err != nil {
		t.Fatal(err)
	}
	var keys accesslog.Keys = testKeys{}
	if s.keys != nil {
		keys = s.keys
	}
	var log accesslog.Log = s.log
	if s.wrap != nil {
		log = s.wrap(s.log)
	}
	s.Store, err = accesslog.Open(context.Background(), accesslog.Options{
		Dir: s.dir, Keys: keys, Log: log, Now: s.clock, Env: "production", FlushAge: s.flush, Spool: s.spool, Logger: s.logger, Table: s.table, IDs: s.ids,
		Scrub: s.scrub, Rejects: s.rejects,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) close() {
	s.Store.Close()
	s.log.Close()
}

var app = accesslog.Source{Name: "app", App: "acme_app"}

func line(id string, at time.Time, extra string) string {
	if extra != "" {
		extra = "," + extra
	}
	return fmt.Sprintf(`{"id":%q,"time":%q,"actor":{"type":"service","id":"worker-3"},"action":"read","merchant":"m_1"%s}`,
		id, at.Format(time.RFC3339Nano), extra)
}

func (s *site) take(t testing.TB, body string) accesslog.Receipt {
	t.Helper()
	r, err := s.Ingest(context.Background(), app, "", "auto", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s *site) all(t testing.TB) []accesslog.Event {
	t.Helper()
	list, err := s.EventsAfter(context.Background(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// sealedIDs reads every event out of the log, in order, through the salted inner trees.
func (s *site) sealedIDs(t testing.TB) []string {
	t.Helper()
	ctx := context.Background()
	note, size, err := s.Sealed(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := openNote(note, s.verify); err != nil {
		t.Fatal(err)
	}
	var seqs []int64
	for _, e := range s.all(t) {
		seqs = append(seqs, e.Seq)
	}
	var ids []string
	next := uint64(1)
	for i := range size {
		stored, err := s.log.Leaf(ctx, i)
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := leaf.Parse(stored)
		if err != nil {
			t.Fatal(err)
		}
		if h.First != next {
			t.Fatalf("leaf %d begins at event %d, want %d", i, h.First, next)
		}
		next = h.Last + 1
	}
	err = s.Disclose(ctx, seqs, func(l accesslog.Leaf) error {
		h, _, err := leaf.Parse(l.Stored)
		if err != nil {
			return err
		}
		for _, d := range l.Events {
			root, err := leaf.RootFromPath(leaf.EventHash(d.Salt, d.Event), d.N, l.Of, d.Path)
			if err != nil || root != h.Root {
				return fmt.Errorf("event %d of leaf %d is not proven: %v", d.N, l.Index, err)
			}
			var e leaf.Event
			if err := json.Unmarshal(d.Event, &e); err != nil {
				return err
			}
			ids = append(ids, e.ID)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func openNote(raw []byte, v note.Verifier) error {
	_, err := note.Open(raw, note.VerifierList(v))
	return err
}

// promise: DET-1
func TestAnAcknowledgedEventIsInTheTableAndProvenInTheLog(t *testing.T) {
	s := newSite(t)
	r := s.take(t, line("a", noon, `"credential":"tok_9f","subjects":[{"kind":"account","id":"191167","region":"US-CA"},{"kind":"email","id":"Mia@Example.com"}],`+
		`"data_types":["order.address","customer.email","order.address"],"records":1,"bytes":2048,"outcome":"ok",`+
		`"source":{"ip":"::ffff:203.0.113.9","user_agent":"curl/8"},"endpoint":"GET /orders/{id}","store":"s_1","session":"z"`)+"\n"+
		line("b", noon.Add(-time.Minute), "")+"\n")
	if r.Accepted != 2 || r.Duplicates != 0 || len(r.Rejected) != 0 {
		t.Fatalf("receipt %+v", r)
	}
	list := s.all(t)
	if len(list) != 2 {
		t.Fatalf("%d events in the table", len(list))
	}
	e := list[0]
	if e.ID != "a" || e.Kind != "pii_access" || e.App != "acme_app" || e.Env != "production" || e.IP != "203.0.113.9" || e.Agent != "curl/8" ||
		!slices.Equal(e.DataTypes, []string{"customer.email", "order.address"}) || len(e.Subjects) != 1 || len(e.Subjects[0]) != 16 ||
		!e.Time.Equal(noon) || !e.Received.Equal(noon) || e.Source != "app" || e.Store != "s_1" || e.Session != "z" || e.Bytes != 2048 {
		t.Fatalf("event %+v", e)
	}
	if got := s.sealedIDs(t); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("events in the log: %v", got)
	}
}

func TestTheSamePersonWrittenInTwoWaysIsOnePersonOfOneMerchant(t *testing.T) {
	s := newSite(t)
	token := func(id, merchant, kind, who string) string {
		s.take(t, fmt.Sprintf(`{"id":%q,"time":%q,"actor":{"id":"w"},"action":"read","merchant":%q,"subjects":[{"kind":%q,"id":%q}]}`,
			id, noon.Format(time.RFC3339), merchant, kind, who))
		list := s.all(t)
		return string(list[len(list)-1].Subjects[0])
	}
	mail := token("1", "m_1", "email", "Mia@Example.com ")
	if token("2", "m_1", "email", "mia@example.com") != mail {
		t.Error("case and spaces of an address make another person")
	}
	phone := token("3", "m_1", "phone", "+49 (0)171 555-0199")
	if token("4", "m_1", "phone", "0049 171 5550199") != phone {
		t.Error("spelling of a telephone number makes another person")
	}
	if token("5", "m_2", "email", "mia@example.com") == mail {
		t.Error("two merchants share a pseudonym")
	}
	if token("6", "m_1", "account", "mia@example.com") == mail {
		t.Error("an account and an address share a pseudonym")
	}
}

func TestEveryRejectNamesLineFieldAndReasonAndNeverTheValue(t *testing.T) {
	s := newSite(t)
	long := strings.Repeat("x", 201)
	cases := []struct{ line, field string }{
		{`{"time":"SECRET"}`, "time"},
		{`{"id":"SECRET","actor":{"id":"a"},"action":"read","merchant":"m"}`, "time"},
		{`{"time":"2026-11-22T12:00:00Z","actor":{"id":"a"},"action":"SECRET","merchant":"m"}`, "action"},
		{`{"time":"2026-11-22T12:00:00Z","actor":{"id":"a"},"action":"read"}`, "merchant"},
		{`{"time":"2026-11-22T12:00:00Z","action":"read","merchant":"m"}`, "actor"},
		{line("SECRET", noon, `"kind":"SECRET"`), "kind"},
		{line("SECRET", noon, `"records":-1`), "records"},
		{line("SECRET", noon, `"records":"SECRET"`), "records"},
		{line("SECRET", noon, `"outcome":"SECRET"`), "outcome"},
		{line("SECRET", noon, `"app":"SECRET"`), "app"},
		{line("SECRET", noon, `"data_types":["SECRET"]`), "data_types"},
		{line("SECRET", noon, `"data_types":["card.4111111111111111"]`), "data_types"},
		{line("SECRET", noon, `"subjects":[{"kind":"SECRET","id":"1"}]`), "subjects.kind"},
		{line("SECRET", noon, `"subjects":[{"kind":"account","id":1.5}]`), "subjects"},
		{line("SECRET", noon, `"credential":"`+long+`"`), "credential"},
		{line("SECRET", noon, `"credential":"a\u0000b"`), "credential"},
		{line("SECRET", noon, `"credential":"SECRET`+"\xff"+`"`), "event"},
		{line("SECRET", noon, `"attributes":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)), "event"},
		{line("SECRET", noon, `"attributes":{"n":1e999}`), "attributes"},
		{line("SECRET", noon, `"attributes":{"n":"`+strings.Repeat("y", 33<<10)+`"}`), "event"},
		{`SECRET`, "event"},
	}
	var body strings.Builder
	for _, c := range cases {
		body.WriteString(c.line + "\n\n")
	}
	r := s.take(t, body.String()+line("good", noon, ""))
	if r.Accepted != 1 || len(r.Rejected) != len(cases) {
		t.Fatalf("accepted %d, rejected %d of %d: %+v", r.Accepted, len(r.Rejected), len(cases), r.Rejected)
	}
	for i, c := range cases {
		got := r.Rejected[i]
		if got.Line != 2*i+1 || got.Field != c.field || got.Reason == "" || strings.Contains(got.Reason, "SECRET") {
			t.Errorf("case %d: %+v, want field %s", i, got, c.field)
		}
	}
}

// A client chooses its user agent, its path and the address that it claims, and a customer may have
// no e-mail address: none of that keeps an access out of the log.
//
// promise: DET-1
func TestWhatAClientChoosesKeepsNoAccessOutOfTheLog(t *testing.T) {
	s := newSite(t)
	long := strings.Repeat("x", 5000)
	for i, c := range []struct {
		fields                  string
		endpoint, ip, agent     string
		subjects, records, lost int
	}{
		{`"source":{"ip":"203.0.113.9","user_agent":"a\tb\u0000"}`, "", "203.0.113.9", "ab", 0, 1, 0},
		{`"source":{"user_agent":"` + long + `"}`, "", "", long[:2048], 0, 1, 0},
		{`"endpoint":"GET /a\u0001b/` + long + `"`, "GET /ab/" + long[:2040], "", "", 0, 1, 0},
		{`"endpoint":"GET /orders/191167?q=Jo+Miller#x"`, "GET /orders/{id}", "", "", 0, 1, 0},
		{`"endpoint":"/customers/Jo%20Miller"`, "/customers/{id}", "", "", 0, 1, 0},
		{`"endpoint":"orders.export a/1"`, "orders.export a/1", "", "", 0, 1, 0},
		{`"source":{"ip":"203.0.113.9:4711"}`, "", "203.0.113.9", "", 0, 1, 0},
		{`"source":{"ip":"203.0.113.9, 10.0.0.1"}`, "", "203.0.113.9", "", 0, 1, 0},
		{`"source":{"ip":"[2001:db8::1]:443"}`, "", "2001:db8::1", "", 0, 1, 0},
		{`"source":{"ip":"[2001:db8::1]"}`, "", "2001:db8::1", "", 0, 1, 0},
		{`"source":{"ip":"SECRET"}`, "", "", "", 0, 1, 1},
		{`"subjects":[{"kind":"email","id":""},{"kind":"email","id":null},{"kind":"email","id":"jo@example.org"},{"kind":"phone","id":"none"}]`, "", "", "", 1, 3, 1},
		{`"subjects":[{"kind":"email","id":"` + long[:300] + `@example.org"}]`, "", "", "", 1, 1, 0},
		{`"subjects":[{"kind":"account","id":"1","region":"z@ex.org"}]`, "", "", "", 1, 1, 1},
	} {
		r := s.take(t, line(fmt.Sprintf("e%d", i), noon, c.fields))
		if r.Accepted != 1 || len(r.Rejected) != 0 || len(r.Ignored) != c.lost {
			t.Errorf("%.80s: %+v", c.fields, r)
			continue
		}
		list := s.all(t)
		e := list[len(list)-1]
		if c.endpoint != "" && e.Endpoint != c.endpoint || e.IP != c.ip || e.Agent != c.agent || len(e.Subjects) != c.subjects || e.Records != int64(c.records) {
			t.Errorf("%.80s is stored as %+v", c.fields, e)
		}
	}
}

// An app finds an access by the id it gave out, so an id that is random is never taken for a card.
func TestARandomIDStaysWhatItIs(t *testing.T) {
	s := newSite(t)
	for _, id := range []string{"41111111-1111-4111-a111-111111111111", "4111111111111111a000000000000000", "01KB4111111111111111000000"} {
		s.take(t, line(id, noon, ""))
		list := s.all(t)
		if got := list[len(list)-1].ID; got != id {
			t.Errorf("%s is stored as %s", id, got)
		}
	}
	for _, id := range []string{"41111111111111110000000000000000", "tok-4111 1111 1111 1111"} {
		s.take(t, line(id, noon, ""))
		list := s.all(t)
		if got := list[len(list)-1].ID; !strings.HasPrefix(got, "masked_") {
			t.Errorf("%s is stored as it is", id)
		}
	}
}

func TestFormsOfABatch(t *testing.T) {
	s := newSite(t)
	array := "[\n" + line("a1", noon, "") + ",\n" + line("a2", noon, `"action":"nonsense"`) + "]"
	if r := s.take(t, array); r.Accepted != 1 || len(r.Rejected) != 1 || r.Rejected[0].Line != 3 {
		t.Errorf("array: %+v", r)
	}
	if r := s.take(t, " \n"); r.Accepted != 0 || r.Rejected == nil {
		t.Errorf("nothing: %+v", r)
	}
	r := s.take(t, line("u", noon, `"subject":"x","Trace":1`))
	if r.Accepted != 1 || !slices.Equal(r.Ignored, []string{"subject"}) {
		t.Errorf("unknown fields: %+v", r)
	}
	trail := `{"Records":[{"eventID":"e-1","eventTime":"2026-11-22T11:00:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject",
		"sourceIPAddress":"198.51.100.7","userAgent":"aws-cli","readOnly":true,"errorCode":"AccessDenied",
		"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::1:user/x","accessKeyId":"AKIAX"}}]}`
	if r := s.take(t, trail); r.Accepted != 1 {
		t.Fatalf("cloudtrail: %+v", r)
	}
	list := s.all(t)
	e := list[len(list)-1]
	if e.Kind != "cloud_audit" || e.Credential != "AKIAX" || e.Action != "read" || e.Outcome != "denied" || e.IP != "198.51.100.7" ||
		e.Endpoint != "s3.amazonaws.com:GetObject" || e.ActorType != "staff" {
		t.Errorf("cloudtrail event %+v", e)
	}
	_, err := s.Ingest(t.Context(), app, "", "auto", strings.NewReader(strings.Repeat(line("x", noon, "")+"\n", accesslog.MaxBatch+1)))
	if !errors.Is(err, accesslog.ErrTooLarge) {
		t.Errorf("too many events: %v", err)
	}
	if _, err := s.Ingest(t.Context(), app, "", "csv", strings.NewReader("a,b")); !errors.Is(err, accesslog.ErrFormat) {
		t.Errorf("unknown format: %v", err)
	}
}

func TestDuplicatesAreCountedOnceForAsLongAsPromised(t *testing.T) {
	s := newSite(t)
	send := func(key, body string) accesslog.Receipt {
		r, err := s.Ingest(t.Context(), app, key, "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	// Two equal lines without an id are two accesses, and the same batch again is none.
	plain := fmt.Sprintf(`{"time":%q,"actor":{"id":"w"},"action":"read","merchant":"m_1"}`, noon.Format(time.RFC3339))
	twice := plain + "\n" + plain
	if r := send("k1", twice); r.Accepted != 2 {
		t.Fatalf("first: %+v", r)
	}
	if r := send("k1", twice); r.Accepted != 0 || r.Duplicates != 2 {
		t.Fatalf("again: %+v", r)
	}
	if r := send("", twice); r.Accepted != 2 {
		t.Fatalf("without a key: %+v", r)
	}
	// Other bytes under a key are no repetition: they are refused, alone and with nothing of them taken,
	// wherever the key is kept.
	for _, where := range []string{"in memory", "in events.db"} {
		_, err := s.Ingest(t.Context(), app, "k1", "", strings.NewReader(plain))
		if !errors.Is(err, accesslog.ErrOtherBatch) || !errors.Is(err, accesslog.ErrFormat) {
			t.Fatalf("other bytes under a key %s: %v", where, err)
		}
		if r := send("k1", twice); r.Accepted != 0 || r.Duplicates != 2 {
			t.Fatalf("the batch of the key again, %s: %+v", where, r)
		}
		// What was refused so can be found, and sent under a key of its own.
		var kept []accesslog.RejectedEntry
		if err := s.Rejects(func(r accesslog.Rejected) error { kept = r.Entries; return nil }); err != nil || len(kept) != 1 || kept[0].Field != "Tocsin-Batch" || string(kept[0].Raw) != plain {
			t.Fatalf("refused for its key, %s: %+v, %v", where, kept, err)
		}
		s.close()
		s.open(t)
	}
	// An id is the sender's: it counts once for seven days, per source and within one batch too.
	if r := send("", line("x", noon, "")+"\n"+line("x", noon, "")); r.Accepted != 1 || r.Duplicates != 1 {
		t.Fatalf("id twice in a batch: %+v", r)
	}
	if r := send("", line("x", noon, "")); r.Duplicates != 1 {
		t.Fatalf("id again: %+v", r)
	}
	other := accesslog.Source{Name: "other"}
	if r, err := s.Ingest(t.Context(), other, "", "", strings.NewReader(line("x", noon, ""))); err != nil || r.Accepted != 1 {
		t.Fatalf("id of another source: %+v, %v", r, err)
	}
	s.set(noon.Add(8 * 24 * time.Hour))
	if r := send("", line("x", noon, "")); r.Accepted != 1 {
		t.Fatalf("id after eight days: %+v", r)
	}
	if r := send("k1", twice); r.Accepted+r.Duplicates != 2 {
		t.Fatalf("key after eight days: %+v", r)
	}
}

func TestLateAndSkewedEventsAreFlagged(t *testing.T) {
	s := newSite(t)
	s.take(t, line("new", noon, "")+"\n"+line("bit-late", noon.Add(-59*time.Minute), "")+"\n"+
		line("late", noon.Add(-61*time.Minute), "")+"\n"+line("ahead", noon.Add(time.Hour), "")+"\n"+line("bit-ahead", noon.Add(4*time.Minute), ""))
	got := map[string]accesslog.Event{}
	for _, e := range s.all(t) {
		got[e.ID] = e
	}
	if got["new"].Late || got["bit-late"].Late || !got["late"].Late {
		t.Error("late is not more than an hour behind the newest")
	}
	if e := got["ahead"]; !e.Skewed || !e.Time.Equal(noon) {
		t.Errorf("an event from the future: %+v", e)
	}
	if e := got["bit-ahead"]; e.Skewed || !e.Time.Equal(noon.Add(4*time.Minute)) {
		t.Errorf("a clock a little ahead: %+v", e)
	}
}

func TestManySendersEachGetTheirOwnReceiptAndHooksSeeEventsInOrder(t *testing.T) {
	s := newSite(t)
	var told []int64
	s.OnCommit(func(acked int64) { told = append(told, acked) })
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 10 {
				var b strings.Builder
				for k := range 20 {
					fmt.Fprintln(&b, line(fmt.Sprintf("%d-%d-%d", g, i, k), noon, ""))
				}
				r, err := s.Ingest(context.Background(), app, fmt.Sprintf("b%d-%d", g, i), "", strings.NewReader(b.String()))
				if err != nil || r.Accepted != 20 {
					t.Errorf("receipt %+v, %v", r, err)
				}
			}
		})
	}
	wg.Wait()
	if len(told) == 0 || told[len(told)-1] != 3200 || !slices.IsSorted(told) {
		t.Fatalf("the hook was told %v", told)
	}
	for i, e := range s.all(t) {
		if e.Seq != int64(i+1) {
			t.Fatalf("event %d came at place %d", e.Seq, i+1)
		}
	}
	if got := s.sealedIDs(t); len(got) != 3200 {
		t.Fatalf("%d events in the log", len(got))
	}
}

func TestEpochsAreDaysOfArrival(t *testing.T) {
	s := newSite(t)
	s.take(t, line("a", noon, ""))
	s.set(noon.Add(24 * time.Hour))
	s.take(t, line("b", noon, ""))
	if got := s.sealedIDs(t); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("log holds %v", got)
	}
	var epochs []string
	_, size, err := s.Sealed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range size {
		stored, err := s.log.Leaf(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := leaf.Parse(stored)
		if err != nil {
			t.Fatal(err)
		}
		epochs = append(epochs, h.Epoch)
	}
	if !slices.Equal(epochs, []string{"2026-11-22", "2026-11-23"}) {
		t.Fatalf("epochs %v", epochs)
	}
}

func TestConsumersGoOnWhereTheyStopped(t *testing.T) {
	s := newSite(t)
	s.take(t, line("a", noon, "")+"\n"+line("b", noon, "")+"\n"+line("c", noon, ""))
	if err := s.SetConsumer(t.Context(), "detect", 2); err != nil {
		t.Fatal(err)
	}
	s.close()
	s.open(t)
	at, err := s.ConsumerAt(t.Context(), "detect")
	if err != nil || at != 2 {
		t.Fatalf("position %d, %v", at, err)
	}
	rest, err := s.EventsAfter(t.Context(), at, 10)
	if err != nil || len(rest) != 1 || rest[0].ID != "c" {
		t.Fatalf("rest %v, %v", rest, err)
	}
	s.take(t, line("d", noon, ""))
	if got := s.sealedIDs(t); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Fatalf("log holds %v", got)
	}
}
