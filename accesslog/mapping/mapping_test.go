package mapping

import (
	"strings"
	"testing"
)

const good = `name: helpdesk
record: json
skip: r.level == "debug"
fields:
  time: timestamp(r.at)
  kind: '"pii_access"'
  actor.type: '"staff"'
  actor.id: r.agent
  action: 'r.verb == "view" ? "read" : "update"'
  merchant: '"m_" + string(int(r.shop))'
  endpoint: '"helpdesk " + r.verb'
  subjects: '[{"kind": "account", "id": string(int(r.customer))}]'
  data_types: '["customer.email"]'
  records: '1'
  source.ip: r.?ip
  attributes: '{"ticket": r.ticket}'
`

func TestAMappingMakesNativeEvents(t *testing.T) {
	m, err := Parse("helpdesk.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	got, bad := m.Event([]byte(`{"level":"info","at":"2026-11-22T04:02:11+01:00","agent":"jo","verb":"view","shop":214,"customer":191167,"ticket":{"no":7}}`))
	want := `{"action":"read","actor":{"id":"jo","type":"staff"},"attributes":{"ticket":{"no":7}},"data_types":["customer.email"],"endpoint":"helpdesk view","kind":"pii_access","merchant":"m_214","records":1,"subjects":[{"id":"191167","kind":"account"}],"time":"2026-11-22T03:02:11Z"}`
	if bad != nil || string(got) != want {
		t.Fatalf("%s, %v", got, bad)
	}
	if got, bad := m.Event([]byte(`{"level":"debug"}`)); got != nil || bad != nil {
		t.Errorf("skipped: %s, %v", got, bad)
	}
	for raw, field := range map[string]string{
		`{"level":"info","at":"SECRET"}`: "time", `{"level":"info","at":"2026-11-22T04:02:11Z"}`: "actor.id",
		`SECRET`: "event", `{"SECRET":1}`: "skip", `{"level":"info","at":"2026-11-22T04:02:11Z","agent":["SECRET"]}`: "actor.id",
	} {
		_, bad := m.Event([]byte(raw))
		if bad == nil || bad.Field != field || strings.Contains(bad.Error(), "SECRET") {
			t.Errorf("%s: %v, want %s", raw, bad, field)
		}
	}
}

func TestTextAndCSV(t *testing.T) {
	text, err := Parse("x.yaml", []byte("record: text\npattern: '^(?P<at>\\S+) (?P<user>\\S+) (?P<what>.*)$'\nfields: {time: 'timestamp(r.at)', kind: '\"auth\"', actor.id: r.user}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, bad := text.Event([]byte("2026-11-22T03:02:11Z jo login ok")); bad != nil || string(got) != `{"actor":{"id":"jo"},"kind":"auth","time":"2026-11-22T03:02:11Z"}` {
		t.Errorf("%s, %v", got, bad)
	}
	rows, err := Parse("x.yaml", []byte("record: csv\ncolumns: [at, user]\nfields: {time: 'timestamp(r.at)', kind: '\"auth\"', actor.id: r.user}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, bad := rows.Event([]byte(`2026-11-22T03:02:11Z,"jo, the second"`)); bad != nil || !strings.Contains(string(got), "jo, the second") {
		t.Errorf("%s, %v", got, bad)
	}
}

func TestMistakesAreNamedByFileLineAndColumn(t *testing.T) {
	for text, want := range map[string]string{
		strings.Replace(good, "r.agent", "r.agent +", 1):        "helpdesk.yaml:8:",
		strings.Replace(good, "actor.id:", "actor.x:", 1):       "helpdesk.yaml:8:3: no event has a field",
		strings.Replace(good, "record: json", "record: xml", 1): "helpdesk.yaml:2:9:",
		strings.Replace(good, "kind:", "purpose:", 1):           "has no kind",
		strings.Replace(good, "skip:", "skp:", 1):               "helpdesk.yaml:3:1: there is no",
		"record: text\nfields: {time: r.t, kind: r.k}":          "needs a pattern",
		"[]": "helpdesk.yaml:1:1:",
	} {
		if _, err := Parse("helpdesk.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

func FuzzEvent(f *testing.F) {
	m, err := Parse("helpdesk.yaml", []byte(good))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"level":"info","at":"2026-11-22T04:02:11+01:00","agent":"jo"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, bad := m.Event(raw); bad != nil && (len(bad.Error()) > 200 || strings.Contains(bad.Error(), "\n")) {
			t.Fatalf("%q", bad)
		}
	})
}
