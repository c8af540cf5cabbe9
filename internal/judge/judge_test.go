package judge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestAStoryThatWentWellIsKeptThroughout(t *testing.T) {
	s := newStory(t)
	s.trials = 0
	card := s.judged()
	if len(card.Broken) != 0 {
		for _, p := range card.Promises {
			t.Logf("%s: %s: %s", p.ID, p.Got, p.Reason)
		}
		t.Fatalf("broken: %v", card.Broken)
	}
	if card.Scope.Precision != 1 || card.Scope.Recall != 1 || card.Scope.Merchants != 2 || card.Scope.Customers != 3 {
		t.Errorf("scope %+v", card.Scope)
	}
	if !card.Evidence.Verified || card.Evidence.TamperTrials != 110 || card.Evidence.TamperFound != 110 {
		t.Errorf("evidence %+v, findings %v", card.Evidence, card.Findings)
	}
	if !card.OK {
		t.Errorf("not ok: %v", card.Findings)
	}
}

// promise: CON-1
func TestARevocationCountsOnlyWhenTheApplicationRefusesAndAProbeWasSent(t *testing.T) {
	t.Run("still accepted", func(t *testing.T) {
		s := newStory(t)
		s.seen.Token = Sighting{Tried: 100, Accepted: 100}
		s.expect("CON-1")
	})
	t.Run("no probe in the application's log", func(t *testing.T) {
		s := newStory(t)
		s.requests = s.requests[:len(s.requests)-1]
		s.expect("CON-1")
	})
	t.Run("only the attacker was refused", func(t *testing.T) {
		s := newStory(t)
		last := &s.requests[len(s.requests)-1]
		last.IP, last.Agent = "203.0.113.9", "x"
		s.expect("CON-1")
	})
	t.Run("accepted again", func(t *testing.T) {
		s := newStory(t)
		s.seen.Token.Relapsed = true
		s.expect("CON-1")
	})
}

// promise: INV-1
func TestAScopeIsMeasuredByEventIdAndByMerchant(t *testing.T) {
	t.Run("an access was missed", func(t *testing.T) {
		s := newStory(t)
		s.truth.Events = append(s.truth.Events, TruthEvent{ID: "E9", Merchant: "m_002", Customers: []string{"c2"}, At: night})
		s.expect("INV-1")
	})
	t.Run("a merchant has a wrong number", func(t *testing.T) {
		s := newStory(t)
		s.scope = strings.Replace(s.scope, `"customers":1}`, `"customers":5}`, 1)
		s.expect("INV-1", "NOT-2") // the mail says 1, and the scope it stands on says 5
	})
	t.Run("an access that was not the attacker's", func(t *testing.T) {
		s := newStory(t)
		s.truth.Events = s.truth.Events[:2]
		s.expect("INV-1")
	})
}

// promise: NOT-1
func TestANoticeHasToReachEveryMerchantInTime(t *testing.T) {
	t.Run("late", func(t *testing.T) {
		s := newStory(t)
		s.mailAt[1] = night.Add(19*time.Minute + 72*time.Hour + time.Second)
		s.expect("NOT-1")
	})
	t.Run("just in time", func(t *testing.T) {
		s := newStory(t)
		s.mailAt[1] = night.Add(19*time.Minute + 72*time.Hour)
		s.expect()
	})
	t.Run("never", func(t *testing.T) {
		s := newStory(t)
		s.mails, s.rcpt, s.ids, s.mailAt = s.mails[1:], s.rcpt[1:], s.ids[1:], s.mailAt[1:]
		s.expect("NOT-1")
	})
	t.Run("to somebody else's address", func(t *testing.T) {
		s := newStory(t)
		s.rcpt[0] = "owner@two.example"
		s.expect("NOT-1")
	})
}

// promise: NOT-2
func TestAMailIsReadForItsOwnNumbersAndForOthers(t *testing.T) {
	for name, spoil := range map[string]func(string) string{
		"another's number":   func(m string) string { return strings.Replace(m, "people): 2", "people): 1", 1) },
		"another's id":       func(m string) string { return m + "\nsee m_002\n" },
		"another's domain":   func(m string) string { return m + "\nhttps://two.example/\n" },
		"another's name":     func(m string) string { return m + "\nlike Shop Two\n" },
		"an item is missing": func(m string) string { return strings.Replace(m, "Names and addresses.", "", 1) },
		"no number at all":   func(m string) string { return strings.Replace(m, "Customer accounts", "Things", 1) },
		"no checkpoint":      func(m string) string { return strings.Replace(m, "Tocsin-Checkpoint", "X-Other", 1) },
		"hidden in an HTML tag": func(m string) string {
			return strings.Replace(m, "text/plain", "text/html", 1) + "<p>m_002</p>"
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.mails[0] = spoil(s.mails[0])
			s.expect("NOT-2")
		})
	}
}

// promise: NOT-3
func TestThePlatformHasToBeTold(t *testing.T) {
	s := newStory(t)
	s.rcpt[2] = "somebody@else.example"
	s.expect("NOT-3")
}

// promise: REC-1
func TestServiceMayReturnOnlyWhenProven(t *testing.T) {
	replace := func(s *story, kind, old, new string) {
		facts := s.facts
		s.facts, s.tree = nil, nil
		for _, x := range facts {
			var h struct {
				Kind, Principal, ID string
				Recorded            time.Time
				Body                json.RawMessage
			}
			if err := json.Unmarshal(x.Header, &h); err != nil {
				t.Fatal(err)
			}
			own, merchant := "", ""
			if len(x.Parts) > 0 {
				own, merchant = string(x.Parts[0].Body), x.Parts[0].Merchant
			}
			if h.Kind == kind {
				if new == "" {
					continue
				}
				h.Principal = strings.Replace(h.Principal, old, new, 1)
				h.Kind = strings.Replace(h.Kind, old, new, 1)
			}
			s.append(h.Kind, h.Principal, h.Recorded.Sub(night), string(h.Body), merchant, own)
		}
	}
	for name, c := range map[string]struct{ kind, old, new string }{
		"fix never verified":    {"fix.verified", "", ""},
		"fix verified by maker": {"fix.verified", "person:jon", "person:ines"},
		"check failed":          {"check.passed", "check.passed", "check.failed"},
		"early try not refused": {"gate.refused", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			replace(s, c.kind, c.old, c.new)
			for i := range s.mails { // the mails carry a checkpoint of the story as it is now
				s.mails[i] = s.mails[i][:0]
			}
			s.mails, s.rcpt, s.ids, s.mailAt = nil, nil, nil, nil
			s.mail("m_001", "owner@one.example", "id-0@x", 2, "Shop One")
			s.mail("m_002", "owner@two.example", "id-1@x", 1, "Shop Two")
			s.mail("shopify", "security@platform.example", "id-2@x", 0, "")
			s.expect("REC-1")
		})
	}
}

// promise: PRO-12
func TestASecretInAMailOrInTheEvidenceIsFound(t *testing.T) {
	s := newStory(t)
	s.mails[2] += "\nvery-secret-token\n"
	s.expect("PRO-12")
	s = newStory(t)
	s.files["policy/page.html"] += "very-secret-token"
	s.expect("PRO-12")
}

// promise: INV-3
func TestARewrittenLogIsToldByAMailThatWasKept(t *testing.T) {
	s := newStory(t)
	c := s.file()
	raw := s.packedAgain(c.Export)
	b := &bench{c: c}
	if err := b.read(); err != nil {
		t.Fatal(err)
	}
	if err := b.mailsAgree(); err != nil {
		t.Fatalf("before: %v", err)
	}
	e, err := splitExport(raw)
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{e: e, signer: s.signer, kept: math.MaxUint64}
	if err := f.fork(); err != nil {
		t.Fatal(err)
	}
	if b.export.files = e.files; b.mailsAgree() == nil {
		t.Fatal("the fork agrees with the mails")
	}
	// The fork is whole in itself: every link, leaf and the checkpoint fit.
	facts, err := f.storedFacts()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := leaves(e.files["facts.leaves"])
	if err != nil {
		t.Fatal(err)
	}
	prev := "sha256:" + strings.Repeat("0", 64)
	for i, x := range facts {
		if hash, err := x.rehash(); err != nil || hash != x.Hash {
			t.Fatalf("fact %d: hash does not fit", i)
		}
		if !strings.Contains(string(x.Header), prev) {
			t.Fatalf("fact %d: link does not fit", i)
		}
		prev = x.Hash
		var h struct{ ID string }
		if err := json.Unmarshal(x.Header, &h); err != nil {
			t.Fatal(err)
		}
		if tree[x.Anchor] != leafHash([]byte("tocsin-fact/v1\n"+h.ID+"\n"+x.Hash+"\n")) {
			t.Fatalf("fact %d: leaf does not fit", i)
		}
	}
	if _, size, want, err := checkpointOf(string(e.files["facts.checkpoint"])); err != nil || size != uint64(len(tree)) || root(tree) != want {
		t.Fatal("the checkpoint does not fit", err)
	}
}

func TestAVerifierThatAcceptsEverythingIsFoundOut(t *testing.T) {
	s := newStory(t)
	c := s.file()
	c.Verifier = s.write("blind.sh", "#!/bin/sh\nexit 0\n")
	if err := chmod(c.Verifier); err != nil {
		t.Fatal(err)
	}
	card, err := Judge(t.Context(), c, s.seen)
	if err != nil {
		t.Fatal(err)
	}
	if card.Evidence.TamperFound != 0 || card.OK {
		t.Fatalf("%+v ok=%v", card.Evidence, card.OK)
	}
}

func TestAFactThatChangedAfterItWasAnsweredIsFound(t *testing.T) {
	s := newStory(t)
	c := s.file()
	c.Acked = map[string]string{"F000": s.facts[0].Hash, "F003": "sha256:other", "F999": "sha256:gone"}
	card, err := Judge(t.Context(), c, s.seen)
	if err != nil {
		t.Fatal(err)
	}
	if len(card.Findings) != 2 || card.OK {
		t.Fatalf("findings %v", card.Findings)
	}
}

func TestTheRootIsThatOfRFC6962(t *testing.T) {
	// The test vectors of certificate-transparency-go: inputs "", "00", "10", "2021" and so on.
	inputs := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var hashes [][32]byte
	for i, in := range inputs {
		raw, _ := hex.DecodeString(in)
		hashes = append(hashes, leafHash(raw))
		if r := root(hashes); hex.EncodeToString(r[:]) != roots[i] {
			t.Errorf("root of %d leaves is %x", i+1, r)
		}
	}
	if r := root(nil); r != sha256.Sum256(nil) {
		t.Error("the root of nothing is the hash of nothing")
	}
}

func TestAQueryLeavesOutWhatItExcludes(t *testing.T) {
	var e event
	e.Event.Kind, e.Event.Credential, e.Event.Time, e.Event.Outcome = "pii_access", "tok_1", night, "ok"
	e.Event.Source.IP, e.Event.Source.Agent = "198.51.100.10", "PackDesk"
	q := query{From: night, To: night.Add(time.Hour), Any: []clause{{Credential: []string{"tok_1"}}}, Not: []clause{{IP: []string{"198.51.100.0/24"}, Agent: []string{"PackDesk"}}}}
	if q.matches(e) {
		t.Error("the office's own program is in scope")
	}
	e.Event.Source.Agent = "curl"
	if !q.matches(e) {
		t.Error("another program behind the office's address is not in scope")
	}
	e.Event.Outcome = "denied"
	if q.matches(e) {
		t.Error("a denied access exposes nothing")
	}
	e.Event.Outcome, e.Event.Time = "ok", q.To
	if q.matches(e) {
		t.Error("the end of the window is not in it")
	}
}

func TestTheWatchKnowsTheFirstRefusalByDomainTime(t *testing.T) {
	var refuse atomic.Bool
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != agent {
			t.Errorf("user agent %q", r.UserAgent())
		}
		if refuse.Load() {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer app.Close()
	w := watch(t.Context(), Config{Target: app.URL, Token: "x", Now: night})
	defer w.stop()
	until(t, func() bool { return w.Sightings().Token.Accepted > 0 })
	refuse.Store(true)
	w.setNow(night.Add(time.Hour))
	until(t, func() bool { return w.Sightings().Token.Refused > 1 })
	if s := w.Sightings().Token; s.FirstRefusal.Before(night) || s.Relapsed {
		t.Errorf("%+v", s)
	}
	refuse.Store(false)
	until(t, func() bool { return w.Sightings().Token.Relapsed })
}
