package evidence

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/translog"
	"github.com/tocsin-ir/tocsin/ledger"
	"github.com/tocsin-ir/tocsin/scope"
	"github.com/tocsin-ir/tocsin/verify"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type testKeys struct{}

func (testKeys) Key(purpose, id string) ([]byte, error) {
	sum := sha256.Sum256([]byte("test " + purpose + "/" + id))
	return sum[:], nil
}

func (k testKeys) Lookup(purpose, id string) ([]byte, error) { return k.Key(purpose, id) }

// signers are the keys of one installation, so that a fork can be signed with the real ones.
type signers struct {
	facts, events note.Signer
	keys          [2]string
}

func newSigners(t testing.TB) signers {
	t.Helper()
	var s signers
	for i, name := range []string{"javabeanai/facts", "javabeanai/events"} {
		skey, vkey, err := note.GenerateKey(rand.Reader, name)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := note.NewSigner(skey)
		if err != nil {
			t.Fatal(err)
		}
		s.keys[i] = vkey
		if i == 0 {
			s.facts = signer
		} else {
			s.events = signer
		}
	}
	return s
}

const policyText = "policy: test\n"

// house is an installation with one incident, made of real logs.
type house struct {
	in          Input
	facts       *translog.Log
	store       *accesslog.Store
	ring        ring
	since       []byte // a checkpoint of the facts log, taken early
	sinceEvents []byte
}

// newHouse logs accesses, records two scopes and exports nothing yet. rewrite may change the
// facts before they are encoded: that is what a forger does.
func newHouse(t testing.TB, s signers, rewrite func([]incident.Fact) []incident.Fact) *house {
	return newHouseOver(t, s, 0, rewrite)
}

// newHouseOver is newHouse with accesses that came on consecutive days when apart is a day, and at once
// when it is nothing.
func newHouseOver(t testing.TB, s signers, apart time.Duration, rewrite func([]incident.Fact) []incident.Fact) *house {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	h := &house{}
	var now time.Time
	open := func(name string, signer note.Signer) *translog.Log {
		l, err := translog.Open(context.Background(), filepath.Join(dir, name), signer, translog.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	h.facts = open("facts", s.facts)
	events := open("events", s.events)
	store, err := accesslog.Open(ctx, accesslog.Options{Dir: dir, Keys: &h.ring, Log: events, Now: func() time.Time { return now }, Env: "production", FlushAge: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	h.store = store
	for round := range 3 {
		var b strings.Builder
		now = noon.Add(time.Duration(round) * apart)
		for i := range 60 {
			agent := "curl/8"
			if i%3 == 0 {
				agent = "Mozilla/5.0"
			}
			fmt.Fprintf(&b, `{"id":"e%d-%d","time":%q,"actor":{"type":"staff","id":"w%d"},"action":"list","credential":"tok","merchant":"m_%d","store":"s_%d","subjects":[{"kind":"account","id":"%d","region":%q}],"data_types":["customer.email"],"records":1,"outcome":"ok","source":{"ip":"203.0.113.9","user_agent":%q}}`+"\n",
				round, i, now.Add(-time.Duration(i)*time.Minute).Format(time.RFC3339), i%3, i%7, i%7, i%11, []string{"", "DE", "US-CA"}[i%3], agent)
		}
		if r, err := store.Ingest(ctx, accesslog.Source{Name: "app", Supplied: []string{"", "sha256:" + strings.Repeat("cd", 32)}[round%2]}, "", "native", strings.NewReader(b.String())); err != nil || r.Accepted != 60 {
			t.Fatalf("receipt %+v, %v", r, err)
		}
		if h.sinceEvents, _, err = store.Sealed(ctx); err != nil {
			t.Fatal(err)
		}
	}
	policyHash := sha256.Sum256([]byte(policyText))
	in := &h.in
	*in = Input{
		Incident: "INC-1", Organisation: "javabeanai", Created: noon.Add(time.Hour), Signer: s.facts, Keys: s.keys,
		FactsLog: h.facts, EventsLog: events, Events: store,
		Policy: Policy{Hash: "sha256:" + hex.EncodeToString(policyHash[:]), Source: []byte(policyText), Markdown: []byte("# page\n"), HTML: []byte("<p>page\n")},
		Review: []byte("# review\n"),
	}
	list := []incident.Fact{fact(in, "incident.opened", `{"class":"stolen_token","policy":"x"}`, incident.Part{Body: json.RawMessage(`{"title":"A <b>token</b> & more"}`)})}
	for i, q := range []scope.Query{
		{From: noon.Add(-time.Hour), To: now.Add(time.Minute), Any: []scope.Clause{{Credential: []string{"tok"}}}, Not: []scope.Clause{{Agent: []string{"Mozilla/5.0"}}}},
		{From: now.Add(-30 * time.Minute), To: now.Add(time.Minute), Any: []scope.Clause{{IP: []string{"203.0.113.0/24"}}}},
	} {
		res, err := scope.Compute(ctx, store, q, scope.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Rows) != 7 {
			t.Fatalf("scope %d has %d merchants", i, len(res.Rows))
		}
		in.Scopes = append(in.Scopes, res)
		body, err := json.Marshal(incident.ScopeBody{N: i + 1, Log: res.Log, Size: res.Size, Checkpoint: res.Checkpoint, Digest: res.Digest,
			Customers: res.Customers, Events: res.Events, Records: res.Records, AtLeast: res.AtLeast, DataTypes: res.DataTypes, First: res.First, Last: res.Last,
			Regions: res.Regions, Supplied: res.Supplied})
		if err != nil {
			t.Fatal(err)
		}
		var parts []incident.Part
		for _, row := range res.Rows {
			raw, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, incident.Part{Merchant: row.Merchant, Body: raw})
		}
		list = append(list, fact(in, "scope.computed", string(body), parts...))
	}
	list = append(list, fact(in, "service.restored", `{}`), fact(in, "incident.closed", `{}`))
	if rewrite != nil {
		list = rewrite(list)
	}
	h.record(t, list)
	return h
}

func fact(in *Input, kind incident.Kind, body string, parts ...incident.Part) incident.Fact {
	return incident.Fact{Kind: kind, Chain: "INC-1", Env: "production", Principal: "person:lena", Occurred: noon, Recorded: noon,
		Versions: incident.Versions{Policy: in.Policy.Hash, Engine: "test"}, Body: json.RawMessage(body), Parts: parts}
}

// record encodes and anchors all facts but the last, which stays pending.
func (h *house) record(t testing.TB, list []incident.Fact) {
	t.Helper()
	ctx := t.Context()
	records, err := ledger.Encode(list, ledger.Head{Chain: "INC-1"}, testKeys{})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range records {
		r.Anchor = -1
		if i < len(records)-1 {
			idx, err := h.facts.Append(ctx, ledger.LeafData(r.ID, r.Hash))
			if err != nil {
				t.Fatal(err)
			}
			r.Anchor = int64(idx)
		}
		if i == 1 {
			raw, size, err := h.facts.CheckpointNow(ctx)
			if err != nil {
				t.Fatal(err)
			}
			h.since = raw
			h.in.Published = append(h.in.Published, Published{Log: h.facts.Origin(), Size: size, Note: string(raw), Where: "mail <1@x>"})
		}
		parts, err := ledger.Disclose(r, testKeys{})
		if err != nil {
			t.Fatal(err)
		}
		h.in.Facts = append(h.in.Facts, FactOf(r, parts, noon))
	}
}

func (h *house) export(t testing.TB) []byte {
	t.Helper()
	w, err := Export(t.Context(), t.TempDir(), h.in)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(w.Path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(raw); w.Digest != "sha256:"+hex.EncodeToString(sum[:]) || w.Bytes != int64(len(raw)) {
		t.Fatalf("%+v is not the file of %d bytes", w, len(raw))
	}
	return raw
}

func check(t testing.TB, raw []byte, o verify.Options) verify.Report {
	t.Helper()
	r, err := verify.Reader(bytes.NewReader(raw), int64(len(raw)), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// promise: INV-3 INV-1
func TestAnExportVerifiesAndSaysAgainstWhat(t *testing.T) {
	s := newSigners(t)
	h := newHouse(t, s, nil)
	raw := h.export(t)
	r := check(t, raw, verify.Options{})
	if !r.OK || r.Verdict != "internally consistent only" {
		t.Fatalf("report %+v", r)
	}
	if r.Facts != 5 || r.Pending != 1 || r.Scopes != 2 || r.Checkpoints != 1 || r.Events == 0 || r.Leaves == 0 || r.Incident != "INC-1" {
		t.Errorf("report %+v", r)
	}
	r = check(t, raw, verify.Options{Keys: s.keys[:], Since: [][]byte{h.since, h.sinceEvents}})
	if !r.OK || !strings.HasPrefix(r.Verdict, "verified against javabeanai/facts 2 and javabeanai/events ") {
		t.Fatalf("report %+v", r)
	}
	if again := h.export(t); !bytes.Equal(again, raw) {
		t.Error("the same input gave other bytes")
	}
	other := newSigners(t)
	if r := check(t, raw, verify.Options{Keys: other.keys[:1]}); r.OK {
		t.Error("an export by another key was taken")
	}
}

func TestAWithheldPartLeavesTheExportVerifiable(t *testing.T) {
	s := newSigners(t)
	h := newHouse(t, s, nil)
	h.in.Facts[1].Parts[2].Salt, h.in.Facts[1].Parts[2].Body = nil, nil
	if r := check(t, h.export(t), verify.Options{}); !r.OK || r.Withheld != 1 {
		t.Fatalf("report %+v", r)
	}
}

func TestAnyZipToolOpensAnExport(t *testing.T) {
	raw := newHouse(t, newSigners(t), nil).export(t)
	path := filepath.Join(t.TempDir(), "x.zip")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if len(z.File) < 15 {
		t.Fatalf("%d files", len(z.File))
	}
	if unzip, err := exec.LookPath("unzip"); err == nil {
		if out, err := exec.Command(unzip, "-tq", path).CombinedOutput(); err != nil {
			t.Fatalf("unzip: %v: %s", err, out)
		}
	}
}

// promise: INV-3
func TestAChangeAnywhereIsFound(t *testing.T) {
	raw := newHouse(t, newSigners(t), nil).export(t)
	r := mrand.New(mrand.NewPCG(7, 7))
	for range 200 {
		bad := bytes.Clone(raw)
		at, flip := r.IntN(len(bad)), byte(1+r.IntN(255))
		bad[at] ^= flip
		if rep := check(t, bad, verify.Options{}); rep.OK || len(rep.Findings) == 0 {
			t.Fatalf("byte %d of %d changed by %#x and nothing found", at, len(raw), flip)
		}
	}
	for _, cut := range []int{0, 1, 100, len(raw) / 2, len(raw) - 1} {
		if rep := check(t, raw[:cut], verify.Options{}); rep.OK {
			t.Errorf("the first %d bytes were taken", cut)
		}
	}
	if rep := check(t, append(bytes.Clone(raw), 0), verify.Options{}); rep.OK {
		t.Error("a byte at the end was not seen")
	}
}

// unpack reads an export's files in order, without the manifest.
func unpack(t testing.TB, raw []byte) []file {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	var out []file
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if f.Name != "manifest.json" {
			out = append(out, file{name: f.Name, data: data})
		}
	}
	return out
}

// repack signs files with the real key and a manifest that fits them: a forger who is the vendor.
func repack(t testing.TB, h *house, files []file) []byte {
	t.Helper()
	all, err := (&builder{files: slices.Clone(files)}).finish(&h.in)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := pack(h.in.Signer, h.in.FactsLog.Origin(), all)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// promise: INV-3
func TestAForgerWithTheRealKeyIsFoundByName(t *testing.T) {
	s := newSigners(t)
	h := newHouse(t, s, nil)
	files := unpack(t, h.export(t))
	if r := check(t, repack(t, h, files), verify.Options{}); !r.OK {
		t.Fatalf("repacking alone breaks it: %v", r.Findings)
	}
	index := func(name string) int {
		return slices.IndexFunc(files, func(f file) bool { return f.name == name })
	}
	edit := func(name string, fn func(lines []string) []string) func([]file) []file {
		return func(list []file) []file {
			f := &list[index(name)]
			lines := strings.SplitAfter(strings.TrimSuffix(string(f.data), "\n"), "\n")
			lines[len(lines)-1] += "\n"
			f.data = []byte(strings.Join(fn(lines), ""))
			return list
		}
	}
	replace := func(name, old, new string) func([]file) []file {
		return edit(name, func(lines []string) []string {
			text := strings.Join(lines, "")
			if !strings.Contains(text, old) {
				t.Fatalf("%s does not hold %q", name, old)
			}
			return []string{strings.Replace(text, old, new, 1)}
		})
	}
	var firstLeaf string
	for _, f := range files {
		if strings.HasPrefix(f.name, "leaves/") {
			firstLeaf = f.name
			break
		}
	}
	for _, c := range []struct {
		name   string
		change func([]file) []file
		want   verify.Code
	}{
		{"a fact in the middle is dropped", edit("facts.ndjson", func(l []string) []string { return slices.Delete(l, 1, 2) }), verify.CodeFactChain},
		{"the first fact is dropped", edit("facts.ndjson", func(l []string) []string { return l[1:] }), verify.CodeFactChain},
		{"two facts change places", edit("facts.ndjson", func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }), verify.CodeFactChain},
		{"a fact stands there twice", edit("facts.ndjson", func(l []string) []string { return slices.Insert(l, 1, l[0]) }), verify.CodeFactChain},
		{"a header is edited", replace("facts.ndjson", "person:lena", "person:paul"), verify.CodeFactHash},
		{"a part is edited", replace("facts.ndjson", "A <b>token</b>", "A <b>tokem</b>"), verify.CodeFactPart},
		{"an anchor points elsewhere", replace("facts.ndjson", `{"anchor":1,`, `{"anchor":0,`), verify.CodeFactAnchor},
		{"a fact is made pending", replace("facts.ndjson", `{"anchor":1,`, `{"anchor":-1,"pending":"2026-11-22T12:00:00Z",`), verify.CodeFactAnchor},
		{"checkpoints are swapped", func(l []file) []file {
			a, b := index("facts.checkpoint"), index("events.checkpoint")
			l[a].data, l[b].data = l[b].data, l[a].data
			return l
		}, verify.CodeCheckpoint},
		{"an older checkpoint is shown", func(l []file) []file { l[index("facts.checkpoint")].data = h.since; return l }, verify.CodeTree},
		{"a leaf hash is edited", edit("facts.leaves", func(l []string) []string { l[1] = strings.Repeat("0", 64) + "\n"; return l }), verify.CodeTree},
		{"a leaf hash is dropped", edit("events.leaves", func(l []string) []string { return l[1:] }), verify.CodeTree},
		{"an event is dropped", edit("events.ndjson", func(l []string) []string { return l[1:] }), verify.CodeScopeRows},
		{"an event is edited", replace("events.ndjson", `"merchant":"m_`, `"merchant":"n_`), verify.CodeEvent},
		{"an event leaf is edited", func(l []file) []file { d := l[index(firstLeaf)].data; d[len(d)-1] ^= 1; return l }, verify.CodeLeaf},
		{"an event leaf is left out", func(l []file) []file { return slices.Delete(l, index(firstLeaf), index(firstLeaf)+1) }, verify.CodeEvent},
		{"a scope's number is edited", replace("scopes/1.json", `"customers":`, `"customers":1`), verify.CodeScopeRows},
		{"a file that was supplied later is not named", replace("scopes/1.json", `"supplied":[{"file":"sha256:cd`, `"supplied":[{"file":"sha256:ce`), verify.CodeScopeRows},
		{"a region is edited", replace("scopes/1.json", `{"region":"DE"`, `{"region":"FR"`), verify.CodeScopeRows},
		{"the timeline is edited", replace("scopes/1.json", `"step":3600`, `"step":7200`), verify.CodeScopeRows},
		{"a scope's query is edited", replace("scopes/1.json", `"tok"`, `"tic"`), verify.CodeScope},
		{"a scope is left out", func(l []file) []file { return slices.Delete(l, index("scopes/2.json"), index("scopes/2.json")+1) }, verify.CodeScopeFact},
		{"the policy is edited", replace("policy/policy.yaml", "test", "fest"), verify.CodePolicy},
		{"a published checkpoint is edited", replace("checkpoints.ndjson", `"size":2`, `"size":3`), verify.CodeCheckpoint},
		{"keys are swapped", edit("keys.txt", func(l []string) []string { return []string{l[1], l[0]} }), verify.CodeKeys},
		{"a file is added", func(l []file) []file { return append(l, file{name: "extra.txt", data: []byte("x")}) }, verify.CodeContents},
		{"a file is left out", func(l []file) []file { return slices.Delete(l, index("policy/page.md"), index("policy/page.md")+1) }, verify.CodeContents},
		{"a file unpacks to a thousand times its size", func(l []file) []file { l[index("policy/page.md")].data = make([]byte, 8<<20); return l }, verify.CodeArchive},
		{"files change places", func(l []file) []file { l[1], l[2] = l[2], l[1]; return l }, verify.CodeContents},
		{"a handing over is invented", func(l []file) []file {
			l[index("custody.ndjson")].data = []byte(`{"at":"2026-11-22T12:00:00Z","by":"x","recipient":"y","digest":"sha256:00","bytes":1}` + "\n")
			return l
		}, verify.CodeCustody},
	} {
		list := slices.Clone(files)
		for i := range list {
			list[i].data = bytes.Clone(list[i].data)
		}
		r := check(t, repack(t, h, c.change(list)), verify.Options{})
		if r.OK || !slices.ContainsFunc(r.Findings, func(f verify.Finding) bool { return f.Code == c.want }) {
			t.Errorf("%s: want a finding %s, got %v", c.name, c.want, r.Findings)
		}
	}
}

// promise: INV-3
func TestARewrittenLogIsCaughtByAKeptCheckpointOnly(t *testing.T) {
	s := newSigners(t)
	h := newHouse(t, s, nil)
	fork := newHouse(t, s, func(list []incident.Fact) []incident.Fact {
		list[0].Principal = "person:paul"
		return list
	})
	fork.in.Published = nil
	raw := fork.export(t)
	if r := check(t, raw, verify.Options{Keys: s.keys[:]}); !r.OK || r.Verdict != "internally consistent only" {
		t.Fatalf("a fork by the key's owner cannot be seen from within: %+v", r)
	}
	r := check(t, raw, verify.Options{Keys: s.keys[:], Since: [][]byte{h.since}})
	if r.OK || !slices.ContainsFunc(r.Findings, func(f verify.Finding) bool { return f.Code == verify.CodeConsistency }) {
		t.Fatalf("the fork was not caught: %+v", r)
	}
	// What went out before and is listed catches it too.
	fork.in.Published = h.in.Published
	if r := check(t, fork.export(t), verify.Options{}); r.OK {
		t.Fatal("a fork that lists the real checkpoints was taken")
	}
}

// cosigned has a witness sign the checkpoints of both logs in an export's files.
func cosigned(t testing.TB, files []file, by note.Signer) []file {
	t.Helper()
	files = slices.Clone(files)
	for i, f := range files {
		if strings.HasSuffix(f.name, ".checkpoint") {
			text, _, _ := strings.Cut(string(f.data), "\n\n")
			raw, err := note.Sign(&note.Note{Text: text + "\n"}, by)
			if err != nil {
				t.Fatal(err)
			}
			_, signature, _ := bytes.Cut(raw, []byte("\n\n"))
			files[i].data = slices.Concat(f.data, signature)
		}
	}
	return files
}

// promise: INV-3
func TestAnExportSaysWhichWitnessesSignedItsLogs(t *testing.T) {
	h := newHouse(t, newSigners(t), nil)
	skey, vkey, err := note.GenerateKey(rand.Reader, "witness.example.org")
	if err != nil {
		t.Fatal(err)
	}
	witness, err := cosignature.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	if vkey, err = cosignature.VKeyToCosignatureV1(vkey); err != nil {
		t.Fatal(err)
	}
	alone := h.export(t)
	signed := repack(t, h, cosigned(t, unpack(t, alone), witness))
	r := check(t, signed, verify.Options{Witnesses: []string{vkey}})
	if !r.OK || !strings.HasPrefix(r.Verdict, "verified, signed by witness.example.org (javabeanai/facts ") || len(r.Witnessed) != 2 {
		t.Fatalf("report %+v", r)
	}
	if r := check(t, signed, verify.Options{}); !r.OK || r.Verdict != "internally consistent only" {
		t.Errorf("a signature by nobody the checker knows was believed: %+v", r)
	}
	r = check(t, alone, verify.Options{Witnesses: []string{vkey}})
	if r.OK || !slices.ContainsFunc(r.Findings, func(f verify.Finding) bool { return f.Code == verify.CodeWitness }) {
		t.Errorf("the missing signature was not found: %+v", r)
	}
	// A witness's signature of one text does not serve for another.
	files := unpack(t, signed)
	for i, f := range files {
		if f.name == "facts.checkpoint" {
			log, _, _ := bytes.Cut(f.data, []byte("\n\n"))
			for _, e := range files {
				if e.name == "events.checkpoint" {
					_, signatures, _ := bytes.Cut(e.data, []byte("\n\n"))
					_, own, _ := bytes.Cut(f.data, []byte("\n\n"))
					mine, _, _ := bytes.Cut(own, []byte("\n"))
					_, theirs, _ := bytes.Cut(signatures, []byte("\n"))
					files[i].data = slices.Concat(log, []byte("\n\n"), mine, []byte("\n"), theirs)
				}
			}
		}
	}
	if r := check(t, repack(t, h, files), verify.Options{Witnesses: []string{vkey}}); r.OK {
		t.Error("a signature of the other log's checkpoint was taken")
	}
}
