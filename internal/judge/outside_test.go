package judge

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const outsideManifest = `
scenario: outside-report
policies: { pickandpack: { DET-11: { expect: kept, within: 4h }, PRO-4: { expect: kept }, PRO-11: { expect: kept }, PUB-2: { expect: kept, within: 4h }, REV-3: { expect: kept } } }
`

// finding is a report from outside that went well. Tests spoil one thing each.
type finding struct {
	*story
	visits []Visit
	tries  []Try
	people []Staff
	kills  int
}

func newFinding(t *testing.T) *finding {
	s := newStory(t)
	s.scenario, s.manifest = "outside-report", outsideManifest
	s.facts, s.tree, s.mails, s.mailAt, s.rcpt, s.ids, s.truth = nil, nil, nil, nil, nil, nil, Truth{}
	f := &finding{story: s, kills: 1, people: []Staff{{ID: "lena", Roles: []string{"lead"}, Email: "lena@vendor.example"}, {ID: "ines", Roles: []string{"engineer"}, Email: "ines@vendor.example"}}}
	f.visits = []Visit{
		{At: night, Method: "GET", Path: "/.well-known/security.txt", Status: 200, Text: "Contact: mailto:security@vendor.example\nExpires: 2027-05-01T00:00:00Z\n"},
		{At: night, Method: "GET", Path: "/policy", Status: 200, Text: "Write to security@vendor.example."},
		{At: night, Method: "POST", Path: "/report", Status: 201, Text: `<p id="reference">0123456789<`, Sent: "The export opens."},
		{At: night, Method: "POST", Path: "/report", Status: 201, Text: `<p id="reference">0123456789<`, Sent: "The export opens."},
	}
	f.tries = honestTries()
	return f
}

// honestTries is what everybody is answered by a server that lets each level do what it may.
func honestTries() (out []Try) {
	who := map[string]string{LevelOwner: "person:owner", LevelResponder: "person:lena", LevelViewer: "person:vera"}
	for _, level := range []string{LevelOwner, LevelResponder, LevelViewer, LevelIngest, LevelSwitch, LevelNobody} {
		for _, act := range Acts("INC-1", level) {
			status := 403
			if slices.Contains(act.may, level) {
				status = 200
			}
			out = append(out, Try{Who: who[level], Level: level, Method: act.Method, Path: act.Path, Status: status})
		}
	}
	list := `{"people":[{"id":"owner","access":"owner"},{"id":"lena","access":"responder","roles":["lead"]},{"id":"ines","access":"responder","roles":["engineer"]},{"id":"vera","access":"viewer"%s}]}`
	return append(out,
		Try{Who: "person:owner", Level: LevelOwner, Method: "GET", Path: "/v1/people", Status: 200, Text: fmt.Sprintf(list, "")},
		Try{Who: "person:vera", Level: LevelEnded, Method: "GET", Path: "/v1/incidents", Status: 401},
		Try{Who: "person:owner", Level: LevelOwner, Method: "GET", Path: "/v1/people", Status: 200, Text: fmt.Sprintf(list, `,"revoked":"2026-11-20T10:00:00Z"`)},
	)
}

// steps are the facts and the mail, each of which a test may leave out or give otherwise.
func (f *finding) judgedBut(otherwise map[string]func()) []string {
	f.Helper()
	do := func(step string, ordinary func()) {
		if other, ok := otherwise[step]; ok {
			ordinary = other
		}
		if ordinary != nil {
			ordinary()
		}
	}
	due := night.Add(48 * time.Hour)
	f.fact("incident.opened", "service:detect", 0, `{"class":"unclassified"}`, `{"title":"x"}`)
	do("signal", func() { f.signal("report-0123456789", "Reported by a visitor: The export opens.") })
	do("acknowledged", func() { f.acknowledged("person:lena", 10*time.Minute) })
	f.fact("corrective.added", "person:lena", time.Hour, fmt.Sprintf(`{"corrective":"CA-1","owner":"person:ines","due":%q}`, due.Format(time.RFC3339)), `{"text":"Try every link"}`)
	do("call", func() {
		f.mail("call", "ines@vendor.example", "call@x", 0, "")
		f.mailAt[len(f.mailAt)-1] = due.Add(-30 * time.Minute)
	})
	do("done", func() {
		f.fact("corrective.moved", "person:ines", 51*time.Hour, `{"corrective":"CA-1","state":"done"}`, `{"text":"Every link was tried."}`)
	})
	do("after", nil)
	c := f.file()
	lines := func(name string, list any) string {
		var b strings.Builder
		enc := json.NewEncoder(&b)
		switch list := list.(type) {
		case []Visit:
			for _, v := range list {
				_ = enc.Encode(v) // a builder does not fail
			}
		case []Try:
			for _, v := range list {
				_ = enc.Encode(v) // as above
			}
		}
		return f.write(name, b.String())
	}
	c.Visits, c.Tries, c.People, c.Kills = lines("visits.ndjson", f.visits), lines("tries.ndjson", f.tries), f.people, f.kills
	card, err := Judge(f.Context(), c, f.seen)
	if err != nil {
		f.Fatal(err)
	}
	return card.Broken
}

func (f *finding) signal(id, sentence string) {
	f.fact("signal.linked", "service:detect", 0, `{}`, fmt.Sprintf(`{"signal":{"id":%q,"sentence":%q}}`, id, sentence))
}

func (f *finding) acknowledged(who string, after time.Duration) {
	f.fact("milestone.set", who, after, fmt.Sprintf(`{"milestone":"acknowledged","at":%q}`, night.Add(after).Format(time.RFC3339)), `{"reason":"on it"}`)
}

// promise: DET-11 PUB-2 REV-3 PRO-4 PRO-11
func TestAReportFromOutsideIsJudgedByWhatItsFinderWasAnswered(t *testing.T) {
	if broken := newFinding(t).judgedBut(nil); len(broken) > 0 {
		t.Fatalf("broken %v", broken)
	}
	type steps = map[string]func()
	for name, c := range map[string]struct {
		spoil  func(f *finding) steps
		broken string
	}{
		"the report is not kept": {func(f *finding) steps { return steps{"signal": nil} }, "DET-11"},
		"another text is kept":   {func(f *finding) steps { return steps{"signal": func() { f.signal("report-0123456789", "Something.") }} }, "DET-11"},
		"it is kept under another name": {func(f *finding) steps {
			return steps{"signal": func() { f.signal("report-9999999999", "The export opens.") }}
		}, "DET-11"},
		"it is kept twice": {func(f *finding) steps {
			return steps{"after": func() { f.signal("report-0123456789", "The export opens.") }}
		}, "DET-11"},
		"sent again, it is another":    {func(f *finding) steps { f.visits[3].Text = `id="reference">AAAAAAAAAA<`; return nil }, "DET-11"},
		"the server was never killed":  {func(f *finding) steps { f.kills = 0; return nil }, "DET-11"},
		"nobody was given a reference": {func(f *finding) steps { f.visits = f.visits[:2]; return nil }, "DET-11 PUB-2"},
		"nobody acknowledges":          {func(f *finding) steps { return steps{"acknowledged": nil} }, "DET-11 PUB-2"},
		"a machine acknowledges": {func(f *finding) steps {
			return steps{"acknowledged": func() { f.acknowledged("service:x", time.Minute) }}
		}, "DET-11 PUB-2"},
		"it is acknowledged late": {func(f *finding) steps {
			return steps{"acknowledged": func() { f.acknowledged("person:lena", 5*time.Hour) }}
		}, "DET-11 PUB-2"},
		"security.txt names another": {func(f *finding) steps {
			f.visits[0].Text = "Contact: mailto:x@y.example\nExpires: 2027-05-01T00:00:00Z\n"
			return nil
		}, "PUB-2"},
		"security.txt holds no more": {func(f *finding) steps {
			f.visits[0].Text = strings.Replace(f.visits[0].Text, "2027", "2026", 1)
			return nil
		}, "PUB-2"},
		"the page is not for everybody": {func(f *finding) steps { f.visits[1].Status = 401; return nil }, "PUB-2"},
		"the owner is not called":       {func(f *finding) steps { return steps{"call": nil} }, "REV-3"},
		"it is not done":                {func(f *finding) steps { return steps{"done": nil} }, "REV-3"},
		"it is dropped": {func(f *finding) steps {
			return steps{"done": func() {
				f.fact("corrective.moved", "person:ines", 51*time.Hour, `{"corrective":"CA-1","state":"dropped"}`, `{"text":"No."}`)
			}}
		}, "REV-3"},
		"it is opened again": {func(f *finding) steps {
			return steps{"after": func() {
				f.fact("corrective.moved", "person:ines", 52*time.Hour, `{"corrective":"CA-1","state":"open"}`, `{"text":"Not yet."}`)
			}}
		}, "REV-3"},
		"a viewer may write":         {func(f *finding) steps { f.answer(LevelViewer, "/v1/incidents/INC-1/note", 200); return nil }, "PRO-4 PRO-11"},
		"a stranger may read":        {func(f *finding) steps { f.answer(LevelNobody, "/v1/incidents", 200); return nil }, "PRO-4 PRO-11"},
		"a machine's key may read":   {func(f *finding) steps { f.answer(LevelIngest, "/v1/incidents", 200); return nil }, "PRO-4 PRO-11"},
		"a responder may do nothing": {func(f *finding) steps { f.answer(LevelResponder, "/v1/incidents/INC-1/note", 403); return nil }, "PRO-4 PRO-11"},
		"an ended account goes on":   {func(f *finding) steps { f.answer(LevelEnded, "/v1/incidents", 200); return nil }, "PRO-4 PRO-11"},
		"its token never worked":     {func(f *finding) steps { f.answer(LevelViewer, "/v1/incidents", 403); return nil }, "PRO-4 PRO-11"},
		"nobody looks over the list": {func(f *finding) steps {
			f.tries = slices.DeleteFunc(f.tries, func(x Try) bool { return x.Text != "" })
			return nil
		}, "PRO-11"},
		"the list hides somebody": {func(f *finding) steps {
			f.rewrite(`{"id":"ines","access":"responder","roles":["engineer"]},`, "")
			return nil
		}, "PRO-11"},
		"the list says another level": {func(f *finding) steps {
			f.rewrite(`"lena","access":"responder"`, `"lena","access":"viewer"`)
			return nil
		}, "PRO-11"},
		"the list does not say ended": {func(f *finding) steps { f.rewrite(`,"revoked":"2026-11-20T10:00:00Z"`, ""); return nil }, "PRO-11"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFinding(t)
			if got := strings.Join(f.judgedBut(c.spoil(f)), " "); got != c.broken {
				t.Errorf("broken %q, want %q", got, c.broken)
			}
		})
	}
}

// answer changes what a level was answered.
func (f *finding) answer(level, path string, status int) {
	for i := range f.tries {
		if f.tries[i].Level == level && f.tries[i].Path == path {
			f.tries[i].Status = status
		}
	}
}

func (f *finding) rewrite(old, now string) {
	for i := range f.tries {
		f.tries[i].Text = strings.ReplaceAll(f.tries[i].Text, old, now)
	}
}

// promise: PRO-1
func TestTheJudgeShakesHandsItself(t *testing.T) {
	serve := func(oldest uint16) (address, roots string) {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		s.Config.ErrorLog = log.New(t.Output(), "", 0)
		s.TLS = &tls.Config{MinVersion: oldest}
		s.StartTLS()
		t.Cleanup(s.Close)
		roots = t.TempDir() + "/roots.pem"
		if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(s.URL, "https://"), roots
	}
	over := func(version string) []letter { return []letter{{File: "1.eml", TLS: version}} }
	clear := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(clear.Close)
	modern, roots := serve(tls.VersionTLS13)
	old, oldRoots := serve(tls.VersionTLS12)
	for name, c := range map[string]struct {
		server, roots string
		mails         []letter
		kept          bool
	}{
		"TLS 1.3 alone":        {modern, roots, over("TLS 1.3"), true},
		"TLS 1.2 too":          {old, oldRoots, over("TLS 1.3"), false},
		"in the clear":         {strings.TrimPrefix(clear.URL, "http://"), roots, over("TLS 1.3"), false},
		"unknown to the judge": {modern, "nowhere", over("TLS 1.3"), false},
		"a mail over TLS 1.2":  {modern, roots, over("TLS 1.2"), false},
		"a mail in the clear":  {modern, roots, over(""), false},
		"no mail":              {modern, roots, nil, false},
	} {
		b := &bench{ctx: t.Context(), c: Case{Server: c.server, Roots: c.roots}, mails: c.mails}
		if err := b.encrypted(&row{}); (err == nil) != c.kept {
			t.Errorf("%s: %v", name, err)
		}
	}
}
