package accesslog

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/leaf"
)

var update = flag.Bool("update", false, "write the golden files anew")

var day = time.Date(2026, 11, 22, 3, 2, 11, 482_000_000, time.UTC)

// goldenEvents are four events that use every field between them.
func goldenEvents(t *testing.T) []member {
	t.Helper()
	events := []leaf.Event{
		{
			ID: "01JDZ", Time: day, Received: day.Add(time.Second), Kind: PIIAccess, App: "acme_app", Env: "production",
			Actor: leaf.Actor{ID: "worker-3", Type: "service"}, Credential: "tok_9f", Session: "s9", Action: "list",
			Endpoint: "GET /orders/{id}", Purpose: "packing_slip", Merchant: "m_214", Store: "s_1",
			Subjects:  []leaf.Subject{{Kind: "account", Region: "US-CA", Token: strings.Repeat("ab", 16)}, {Kind: "email", Token: strings.Repeat("01", 16)}},
			DataTypes: []string{"customer.email", "order.address"}, Records: 2, Bytes: 2048, Outcome: "ok", Ingest: "app",
			Source: leaf.Origin{IP: "203.0.113.9", UserAgent: "curl/8 \"x\" \\ <é\u2028>"}, Attributes: json.RawMessage(`{"b":1.50,"a":"\u00e9"}`),
		},
		{ID: "late", Time: day.Add(-2 * time.Hour), Received: day.Add(time.Second), Kind: Auth, Late: true},
		{ID: "ahead", Time: day.Add(time.Second), Received: day.Add(time.Second), Kind: Metric, Claimed: "2027-01-01T00:00:00Z", Skewed: true},
		{ID: "later", Time: day, Received: day.Add(time.Second), Kind: HTTPAccess, Supplied: "sha256:" + strings.Repeat("ab", 32)},
	}
	var out []member
	for i := range events {
		raw, err := Canonical(&events[i])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, member{seq: uint64(701 + i), time: events[i].Time, canonical: raw})
	}
	return out
}

// promise: INV-3
func TestTheLeafFormatIsPinned(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	var nonce [leaf.NonceLen]byte
	for i := range nonce {
		nonce[i] = byte(i)
	}
	members := goldenEvents(t)
	stored, _, err := sealLeaf("2026-11-22", key, nonce, members)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for i, m := range members {
		text.Write(m.canonical)
		text.WriteString("\n")
		salts, err := derive(key, nonce[:], "tocsin-leaf/v1 salts", leaf.SaltLen)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("salt " + hex.EncodeToString(newSalter(salts).of(i)) + "\n")
	}
	golden := map[string][]byte{"leaf-v1.bin": stored, "leaf-v1.txt": text.Bytes()}
	for name, got := range golden {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs: a change of the format needs a new version, because old leaves stay", name)
		}
	}
	// Old leaves must open whatever this version writes.
	old, err := os.ReadFile(filepath.Join("testdata", "leaf-v1.bin"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := openLeaf(old, key)
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range members {
		if !bytes.Equal(o.events[i], m.canonical) {
			t.Errorf("event %d of the golden leaf differs", i)
		}
	}
	if _, err := openLeaf(old, bytes.Repeat([]byte{8}, 32)); err != errNoKey {
		t.Errorf("another key: %v", err)
	}
	old[len(old)-1] ^= 1
	if _, err := openLeaf(old, key); err != errNoKey {
		t.Errorf("altered: %v", err)
	}
}

func TestCanonicalFormIsRFC8785AndReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(label string) string { return strings.ToValidUTF8(rapid.String().Draw(t, label), "") }
		e := leaf.Event{
			ID: text("id"), Time: day, Received: day.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "received"))), Kind: PIIAccess,
			Actor:  leaf.Actor{ID: text("actor"), Type: text("type")},
			Action: text("action"), Endpoint: text("endpoint"), Merchant: text("merchant"), Late: rapid.Bool().Draw(t, "late"),
			Bytes: rapid.Int64Range(0, maxCount-1).Draw(t, "bytes"), Source: leaf.Origin{UserAgent: text("agent")},
		}
		for range rapid.IntRange(0, 3).Draw(t, "subjects") {
			e.Subjects = append(e.Subjects, leaf.Subject{Kind: "account", Region: text("region"), Token: text("token")})
			e.DataTypes = append(e.DataTypes, text("data type"))
		}
		got, err := Canonical(&e)
		if err != nil {
			t.Fatal(err)
		}
		want, err := jcs.Transform(got)
		if err != nil {
			t.Fatalf("not JSON: %v", err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("not canonical:\n%s\n%s", got, want)
		}
		var back leaf.Event
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		again, err := Canonical(&back)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("does not read back: %v", err)
		}
	})
}

func TestBatchesThatDoNotPackStillFit(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	// Worst case: the largest event, of bytes that zstd can do nothing with.
	big := make([]byte, MaxEvent)
	state := uint64(1)
	for i := range big {
		state = state*6364136223846793005 + 1442695040888963407
		big[i] = byte(state>>56)%94 + 33
	}
	if _, _, err := sealLeaf("2026-11-22", key, [leaf.NonceLen]byte{}, []member{{seq: 1, time: day, canonical: big}}); err != nil {
		t.Fatalf("the largest event: %v", err)
	}
	w := &sealer{s: &Store{o: Options{Keys: fixedKeys(key)}}, ratio: 40}
	r := run{epoch: "2026-11-22"}
	for i := range 30 {
		r.members = append(r.members, member{seq: uint64(i + 1), time: day, canonical: big})
	}
	data, headers, err := w.leavesOf(r, false)
	if err != nil {
		t.Fatal(err)
	}
	next := uint64(1)
	for i, h := range headers {
		if h.First != next || len(data[i]) > leaf.MaxSize {
			t.Fatalf("leaf %d: %d bytes from event %d, want %d", i, len(data[i]), h.First, next)
		}
		next = h.Last + 1
	}
	if next != 31 {
		t.Fatalf("events up to %d are in leaves", next-1)
	}
}

type fixedKeys []byte

func (k fixedKeys) Key(string, string) ([]byte, error) { return k, nil }

func TestSilencesAreThoseOfASourceThatUsuallyTalks(t *testing.T) {
	// Three weeks: every slot of working hours on working days, one in three at night.
	start := time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC) // a Monday
	end := start.Add(21 * 24 * time.Hour)
	quiet := func(at time.Time, from, to string) bool {
		return at.Format("2006-01-02 15:04") >= from && at.Format("2006-01-02 15:04") < to
	}
	var slots []int64
	for at := start; at.Before(end); at = at.Add(slotLen) {
		weekend := at.Weekday() == time.Saturday || at.Weekday() == time.Sunday
		talks := !weekend && at.Hour() >= 8 && at.Hour() < 18 || slotOf(at)%3 == 0 && slotOf(at)%7 != 0
		if talks && !quiet(at, "2026-11-18 10:00", "2026-11-18 11:00") && !quiet(at, "2026-11-19 14:10", "2026-11-19 14:20") {
			slots = append(slots, slotOf(at))
		}
	}
	got := silences(slots, start, end)
	if len(got) != 1 || !got[0][0].Equal(time.Date(2026, 11, 18, 10, 0, 0, 0, time.UTC)) || !got[0][1].Equal(time.Date(2026, 11, 18, 11, 0, 0, 0, time.UTC)) {
		t.Fatalf("gaps %v", got)
	}
	// A source that fell silent and never spoke again has a gap in each working day since.
	stop := slotOf(time.Date(2026, 11, 19, 9, 0, 0, 0, time.UTC))
	for i, s := range slots {
		if s >= stop {
			slots = slots[:i]
			break
		}
	}
	if got := silences(slots, end.Add(-4*24*time.Hour), end); len(got) == 0 || got[0][0].After(time.Date(2026, 11, 19, 9, 0, 0, 0, time.UTC)) {
		t.Fatalf("gaps of a source that stopped: %v", got)
	}
}

func TestScrubTakesIdentifiersAndLeavesTheRest(t *testing.T) {
	none, err := newScrubber(nil)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"write to mia.o'neil+x@example.co.uk now": "write to [email] now",
		"mail=mia%40example.com&x=1":              "mail=[email]&x=1",
		"müller@bücher.example":                   "[email]",
		"card 4111-1111-1111-1111 ok":             "card [card] ok",
		"order 1234567890123456":                  "order 1234567890123456",
		"call +49 171 5550199":                    "call [phone]",
		"call (212) 555-0199 or 212-555-0199":     "call [phone] or [phone]",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.6778.109": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.6778.109",
		"GET /orders/{id}": "GET /orders/{id}",
		"":                 "",
	} {
		if got := none.text(in); got != want {
			t.Errorf("scrub(%q) = %q, want %q", in, got, want)
		}
	}
}
