package judge

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

var night = time.Date(2026, 11, 20, 3, 0, 0, 0, time.UTC)

// story is a small breach that went well: two merchants, three accesses. Tests spoil one thing
// each and see that the judge names it.
type story struct {
	*testing.T
	dir    string
	signer note.Signer
	key    string // file of the signing key

	facts    []storedFact
	tree     [][32]byte
	events   []string
	requests []request
	mails    []string // raw messages, m_001 and m_002, then the platform
	mailAt   []time.Time
	rcpt     []string
	ids      []string
	truth    Truth
	scope    string
	files    map[string]string
	seen     Sightings
	sabotage string
	scenario string
	manifest string
	trials   int
	shop     []shopLine
}

const policySource = `
policy: pickandpack
title: Security Incident Response Policy
updated: 2026-11-22
classes: { unauthorized_access: { means: "Somebody reads data without being allowed to." } }
parties: { merchants: { affected: scope.merchants }, shopify: { address: [security@platform.example] } }
duties:
  tell_merchants: { do: notify, to: merchants.affected, due: 72h after confirmed, content: [what_happened, data_involved], promise: [NOT-1, NOT-2, NOT-6] }
  tell_platform: { do: notify, to: shopify, content: [what_happened], promise: [NOT-3, NOT-4] }
actions: { rotate_secret: { uses: app_secret, promise: CON-2 } }
checks: { orders_api: { probe: http } }
review: [timeline, root_cause]
contact: { email: security@vendor.example }
`

const manifestSource = `
scenario: stolen-token
policies:
  pickandpack:
    CLS-1: { expect: kept }
    CLS-3: { expect: kept }
    CON-1: { expect: kept }
    DET-2: { expect: kept }
    INV-1: { expect: kept }
    NOT-1: { expect: kept, within: 72h }
    NOT-2: { expect: kept }
    NOT-3: { expect: kept }
    REC-1: { expect: kept }
    PRO-12: { expect: kept }
    PRO-8: { expect: not_reached, reason: "backups are not built yet" }
    PRO-9: { expect: not_applicable, reason: "not promised by this policy" }
sabotage: { revoke-noop: [CON-1] }
`

func newStory(t *testing.T) *story {
	t.Helper()
	s := &story{T: t, trials: 1, scenario: "stolen-token", dir: t.TempDir(), files: map[string]string{}}
	private, _, err := note.GenerateKey(rand.Reader, "vendor/facts")
	if err != nil {
		t.Fatal(err)
	}
	if s.signer, err = note.NewSigner(private); err != nil {
		t.Fatal(err)
	}
	s.key = filepath.Join(s.dir, "sign.key")
	s.write("sign.key", private+"\n")
	s.files["policy/policy.yaml"], s.manifest = policySource, manifestSource
	s.files["policy/page.md"] = "# Security Incident Response Policy\n\nSomebody reads data without being allowed to.\n"
	s.files["policy/page.html"] = "<h1>Policy</h1>"
	for i, m := range []string{"m_001", "m_001", "m_002"} {
		id := fmt.Sprintf("E%d", i)
		at := night.Add(time.Duration(i) * time.Second)
		c := fmt.Sprintf("c%d", i)
		s.truth.Events = append(s.truth.Events, TruthEvent{ID: id, Merchant: m, Customers: []string{c}, At: at, IP: "203.0.113.9", Agent: "x"})
		s.requests = append(s.requests, request{ID: id, Time: at, Real: at, Path: "/orders", Merchant: m, Customers: []string{c}, Credential: "tok_1", IP: "203.0.113.9", Agent: "x", Status: 200})
		s.events = append(s.events, fmt.Sprintf(`{"leaf":0,"n":%d,"of":3,"salt":"","path":[],"event":{"credential":"tok_1","data_types":["customer.email"],"id":%q,"kind":"pii_access","merchant":%q,"outcome":"ok","received":"2026-11-20T04:00:00Z","source":{"ip":"203.0.113.9","user_agent":"x"},"subjects":[{"kind":"account","token":%q}],"time":%q}}`, i, id, m, c, at.Format(time.RFC3339)))
	}
	s.scope = `{"query":{"from":"2026-11-19T00:00:00Z","to":"2026-11-21T00:00:00Z","any":[{"credential":["tok_1"]}]},"size":1,"customers":3,"rows":[{"merchant":"m_001","data_types":["customer.email"],"customers":2},{"merchant":"m_002","data_types":["customer.email"],"customers":1}]}`
	s.requests = append(s.requests, request{Real: night.Add(25 * time.Minute), Path: "/orders", Credential: "tok_1", IP: "127.0.0.1", Agent: "prober", Status: 401})
	s.seen.Token = Sighting{Tried: 100, Accepted: 60, Refused: 40, FirstRefusal: night.Add(25 * time.Minute), RefusedReal: night.Add(25 * time.Minute)}
	s.tell()
	return s
}

// tell writes the chain of facts.
func (s *story) tell() {
	day := 24 * time.Hour
	s.fact("incident.opened", "service:detect", 5*time.Minute, `{"class":"unauthorized_access"}`, `{"title":"x"}`)
	s.fact("signal.linked", "service:detect", 5*time.Minute, `{}`, `{"signal":{"id":"s","at":"2026-11-20T03:00:02Z","events":["E0"]}}`)
	s.fact("milestone.set", "person:lena", 19*time.Minute, `{"milestone":"confirmed","at":"2026-11-20T03:19:00Z"}`, `{"reason":"it is one"}`)
	s.fact("action.planned", "person:jon", 20*time.Minute, `{"action":"ACT-1"}`, `{"target":{"credential":"tok_1"}}`)
	s.fact("action.attempted", "service:desk", 24*time.Minute, `{"action":"ACT-1"}`, ``)
	s.fact("action.proven", "service:desk", 26*time.Minute, `{"action":"ACT-1"}`, ``)
	s.fact("gate.refused", "person:lena", 50*time.Minute, `{"command":"restore"}`, ``)
	s.fact("scope.computed", "person:lena", time.Hour, `{"n":1}`, ``)
	s.fact("notice.drafted", "person:omar", 2*time.Hour, `{"notice":"NTC-1","duty":"tell_merchants"}`, `{"content":{"what_happened":"A token was stolen.","data_involved":"Names and addresses."}}`)
	s.fact("notice.drafted", "person:omar", 2*time.Hour, `{"notice":"NTC-2","duty":"tell_platform"}`, `{"content":{"what_happened":"A token was stolen."}}`)
	s.fact("notice.approved", "person:lena", 3*time.Hour, `{"notice":"NTC-1"}`, ``)
	s.fact("notice.sending", "person:omar", day, `{"notice":"NTC-1"}`, ``)
	for i, m := range []string{"m_001", "m_002"} {
		s.part("notice.attempted", day, m, fmt.Sprintf(`{"message_id":"id-%d@x"}`, i))
	}
	s.fact("fix.recorded", "person:ines", 5*time.Hour, `{}`, `{"text":"done"}`)
	s.fact("check.passed", "service:desk", 6*time.Hour, `{"check":"orders_api"}`, ``)
	s.fact("fix.verified", "person:jon", 6*time.Hour, `{}`, `{"text":"seen"}`)
	s.fact("service.restored", "person:lena", 7*time.Hour, `{}`, `{"reason":"proven"}`)
	s.mail("m_001", "owner@one.example", "id-0@x", 2, "Shop One")
	s.mail("m_002", "owner@two.example", "id-1@x", 1, "Shop Two")
	s.mail("shopify", "security@platform.example", "id-2@x", 0, "")
}

func (s *story) fact(kind, who string, after time.Duration, body, own string) {
	s.append(kind, who, after, body, "", own)
}

func (s *story) part(kind string, after time.Duration, merchant, own string) {
	s.append(kind, "service:desk", after, `{"notice":"NTC-1"}`, merchant, own)
}

func (s *story) append(kind, who string, after time.Duration, body, merchant, own string) {
	prev := "sha256:" + strings.Repeat("0", 64)
	if n := len(s.facts); n > 0 {
		prev = s.facts[n-1].Hash
	}
	id := fmt.Sprintf("F%03d", len(s.facts))
	at := night.Add(after).Format(time.RFC3339)
	header := fmt.Sprintf(`{"body":%s,"chain":"INC-1","env":"drill","id":%q,"kind":%q,"occurred":%q,"prev":%q,"principal":%q,"real":%q,"recorded":%q,"simulated":true}`, body, id, kind, at, prev, who, at, at)
	x := storedFact{Anchor: int64(len(s.facts)), Header: json.RawMessage(header)}
	if own != "" {
		salt := bytes.Repeat([]byte{7}, 32)
		sum := sha256.Sum256(append(salt, own...))
		x.Parts = []storedPart{{Merchant: merchant, Body: json.RawMessage(own), Commit: "sha256:" + hex.EncodeToString(sum[:]), Salt: base64.StdEncoding.EncodeToString(salt)}}
	}
	var err error
	if x.Hash, err = x.rehash(); err != nil {
		s.Fatal(err)
	}
	s.facts = append(s.facts, x)
	s.tree = append(s.tree, leafHash([]byte("tocsin-fact/v1\n"+id+"\n"+x.Hash+"\n")))
}

func (s *story) checkpoint() string {
	r := root(s.tree)
	b, err := note.Sign(&note.Note{Text: fmt.Sprintf("vendor/facts\n%d\n%s\n", len(s.tree), base64.StdEncoding.EncodeToString(r[:]))}, s.signer)
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}

func (s *story) mail(id, to, messageID string, customers int, name string) {
	body := fmt.Sprintf("To %s (%s)\n\nA token was stolen.\n\nNames and addresses.\n\nCustomer accounts (upper bound on people): %d\n", name, id, customers)
	s.mails = append(s.mails, "Message-ID: <"+messageID+">\r\nSubject: notice\r\nTocsin-Checkpoint: "+base64.StdEncoding.EncodeToString([]byte(s.checkpoint()))+"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+body)
	s.rcpt = append(s.rcpt, to)
	s.ids = append(s.ids, messageID)
	s.mailAt = append(s.mailAt, night.Add(24*time.Hour))
}

func (s *story) write(name, text string) string {
	s.Helper()
	file := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return file
}

// packed is the export as a file.
func (s *story) packed() []byte {
	s.Helper()
	f := &forger{e: &export{files: map[string][]byte{}}, signer: s.signer}
	put := func(name, text string) {
		f.e.names = append(f.e.names, name)
		f.e.files[name] = []byte(text)
	}
	var list strings.Builder
	for _, h := range s.tree {
		fmt.Fprintf(&list, "%x\n", h)
	}
	put("README.txt", "x")
	put("manifest.json", `{"version":1}`)
	put("facts.ndjson", "")
	put("facts.checkpoint", s.checkpoint())
	put("facts.leaves", list.String())
	put("events.checkpoint", "vendor/events\n0\n\n")
	put("events.leaves", "")
	put("checkpoints.ndjson", "")
	put("events.ndjson", strings.Join(s.events, "\n")+"\n")
	put("scopes/1.json", s.scope)
	for _, name := range []string{"policy/policy.yaml", "policy/page.md", "policy/page.html"} {
		put(name, s.files[name])
	}
	if err := f.putFacts(s.facts); err != nil {
		s.Fatal(err)
	}
	raw, err := f.pack()
	if err != nil {
		s.Fatal(err)
	}
	return raw
}

// file writes everything and is the case.
func (s *story) file() Case {
	s.Helper()
	c := Case{Policy: "pickandpack", Scenario: s.scenario, Manifest: s.manifest, Work: s.dir, FactsKey: s.key, Secrets: []Secret{"very-secret-token"}, Sabotage: s.sabotage, Trials: s.trials}
	c.Export = s.write("evidence.tocsin", string(s.packed()))
	var index strings.Builder
	for i, m := range s.mails {
		name := fmt.Sprintf("%05d.eml", i)
		s.write("mailbox/"+name, m)
		line, _ := json.Marshal(map[string]any{"file": name, "at": s.mailAt[i], "rcpt": []string{s.rcpt[i]}, "message_id": s.ids[i]})
		index.Write(append(line, '\n'))
	}
	s.write("mailbox/index.ndjson", index.String())
	c.Mailbox = filepath.Join(s.dir, "mailbox")
	var log strings.Builder
	for _, r := range s.requests {
		line, _ := json.Marshal(r)
		log.Write(append(line, '\n'))
	}
	c.Requests = s.write("requests.ndjson", log.String())
	c.Merchants = s.write("merchants.csv", "merchant,name,store,domain,email,email_2\nm_001,Shop One,s_1,one.example,owner@one.example,\nm_002,Shop Two,s_2,two.example,owner@two.example,\n")
	c.Truth, _ = json.Marshal(s.truth)
	if len(s.shop) > 0 {
		var front strings.Builder
		for _, l := range s.shop {
			line, _ := json.Marshal(l)
			front.Write(append(line, '\n'))
		}
		c.Shop = s.write("storefront.ndjson", front.String())
	}
	// The verifier of these tests knows the true file by heart.
	s.write("true.tocsin", string(s.packedAgain(c.Export)))
	c.Verifier = s.write("verify.sh", "#!/bin/sh\nfor last; do :; done\ncmp -s \"$last\" \""+filepath.Join(s.dir, "true.tocsin")+"\" && echo verified && exit 0\necho altered\nexit 1\n")
	if err := os.Chmod(c.Verifier, 0o700); err != nil {
		s.Fatal(err)
	}
	return c
}

func (s *story) packedAgain(name string) []byte {
	b, err := os.ReadFile(name)
	if err != nil {
		s.Fatal(err)
	}
	return b
}

func (s *story) judged() Scorecard {
	s.Helper()
	card, err := Judge(s.Context(), s.file(), s.seen)
	if err != nil {
		s.Fatal(err)
	}
	return card
}

func (s *story) expect(broken ...string) {
	s.Helper()
	card := s.judged()
	if strings.Join(card.Broken, " ") != strings.Join(broken, " ") {
		s.Errorf("broken: %v, want %v", card.Broken, broken)
		for _, p := range card.Promises {
			if p.Got != p.Expected {
				s.Logf("%s: %s: %s", p.ID, p.Got, p.Reason)
			}
		}
	}
}

func chmod(name string) error { return os.Chmod(name, 0o700) }

// until waits for a condition, at most five seconds.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("it never happened")
		}
		time.Sleep(time.Millisecond)
	}
}
