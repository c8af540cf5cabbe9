package incident

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEveryCommandIsReadByItsNameAndStrictly(t *testing.T) {
	if n := len(CommandNames()); n != 62 {
		t.Errorf("%d commands", n)
	}
	for _, name := range CommandNames() {
		c, err := CommandByName(name, nil)
		if err != nil || c.Name() != name {
			t.Fatalf("%s: %v, %v", name, c, err)
		}
		if _, err := CommandByName(name, []byte(`{"surprise":1}`)); err == nil || !strings.Contains(err.Error(), "surprise") {
			t.Errorf("%s takes an unknown field: %v", name, err)
		}
	}
}

func TestAMistakeInACommandNamesItsFieldAndNeverItsValue(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"confirm", `{"reason":7}`, "reason: must be string, not number"},
		{"confirm", `{"reason":"x"} {}`, "nothing after it"},
		{"confirm", `[]`, "must be a JSON object"},
		{"confirm", `{"reason":"s3cret`, "ends too early"},
		{"confirm", `{"reason":}`, "not JSON"},
		{"answer", `{"fact":"x","valu":true}`, "valu: is no field"},
		{"mark", `{"at":"s3cret"}`, "must be a time"},
		{"explode", `{}`, "no such command"},
		{"plan", `{"target":{"credential":5}}`, "target"},
	} {
		_, err := CommandByName(c.name, []byte(c.body))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %s: %v, want %q", c.name, c.body, err, c.want)
		}
	}
}

func TestACommandThatMakesNoSenseNamesItsField(t *testing.T) {
	w := newWorld(t)
	w.open()
	for _, c := range []struct {
		command Command
		field   string
	}{
		{Confirm{}, "reason"},
		{Mark{Milestone: "nothing", Reason: "x"}, "milestone"},
		{Mark{Milestone: "aware", Reason: "x", At: t0.Add(h)}, "at"},
		{Answer{Fact: "nothing", Reason: "x"}, "fact"},
		{Answer{Fact: "personal_data", Value: "yes", Reason: "x"}, "value"},
		{Answer{Fact: "people", Value: 1.5, Reason: "x"}, "value"},
		{SetSeverity{Severity: "no", Reason: "x"}, "severity"},
		{Assign{Role: "no", Person: "person:x"}, "role"},
		{Assign{Role: "lead", Person: "lena"}, "person"},
		{RecordScope{}, "query"},
		{scopeOf("d", "m_1", "m_1"), "merchants"},
		{PlanAction{Action: "no", Reason: "x"}, "action"},
		{DraftNotice{Duty: "no"}, "duty"},
		{DraftNotice{Duty: "tell_shopify", Subject: "a\nb"}, "subject"},
		{Note{Text: strings.Repeat("x", maxText+1)}, "text"},
		{EditReview{Part: "no"}, "part"},
		{Waive{Duty: "no", Reason: "x"}, "duty"},
		{Sign{Gate: "no"}, "gate"},
		{RunChecks{Checks: []string{"no"}}, "checks"},
	} {
		_, err := w.give(lena, c.command)
		f, ok := err.(*FieldError)
		if !ok || f.Field != c.field || f.Problem == "" {
			t.Errorf("%s: %v, want field %s", c.command.Name(), err, c.field)
		}
	}
}

// promise: INV-2
func TestEveryKindHasALineOfPlainWordsWhateverItsBody(t *testing.T) {
	for kind := range folds {
		for _, body := range []string{``, `{}`, `[1]`, `{"at":"x","n":"y"}`} {
			l := Render(Fact{Kind: kind, Body: json.RawMessage(body), Parts: []Part{{Withheld: true}, {Body: json.RawMessage(`7`)}}})
			if l.Text == "" || strings.Contains(l.Text, "does not know") {
				t.Errorf("%s: %q", kind, l.Text)
			}
		}
	}
	if l := Render(Fact{Kind: "moon.full"}); !strings.Contains(l.Text, "moon.full") {
		t.Errorf("unknown kind: %q", l.Text)
	}
	l := Render(Fact{Kind: KindNote, Parts: []Part{own(PlainText{"a\nb\u202ec" + strings.Repeat("x", 1000)})}})
	if strings.ContainsAny(l.Text, "\n\u202e") || len([]rune(l.Text)) > maxLine {
		t.Errorf("a line that is no line: %q", l.Text)
	}
}

func FuzzCommandByName(f *testing.F) {
	for _, name := range CommandNames() {
		c, _ := CommandByName(name, nil)
		b, _ := json.Marshal(c)
		f.Add(name, b)
	}
	f.Add("confirm", []byte(`{"reason":"x","reason":1}`))
	p, s := testPolicy(), (*State)(nil)
	d, err := Decide(p, nil, Open{Title: "x"}, Context{Now: t0, Actor: lena})
	if err != nil {
		f.Fatal(err)
	}
	for _, fact := range d.Facts {
		if s, err = Fold(s, fact); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		c, err := CommandByName(name, body)
		if err != nil {
			if strings.Contains(err.Error(), "\n") || c != nil {
				t.Fatalf("%v, %v", c, err)
			}
			return
		}
		for _, a := range []Actor{lena, worker} {
			d, err := Decide(p, s, c, Context{Now: t0, Actor: a, Versions: Versions{Policy: p.Hash}})
			if err == nil && d.Reason == "" {
				t.Fatalf("%s was decided without a reason", name)
			}
			if _, err := Apply(s, d.Facts...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}
