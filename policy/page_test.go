package policy_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/policy"
)

func compiled(t *testing.T, src string) *policy.Program {
	t.Helper()
	src = completed(src)
	p, diags := policy.Compile("p.yaml", []byte(src))
	if p == nil {
		t.Fatal(policy.Format(diags, []byte(src)))
	}
	return p
}

// The page cannot say 72 while the engine counts 48: it has no number of its own.
// promise: PUB-1
func TestThePageTakesItsNumbersFromTheRules(t *testing.T) {
	const src = `
time: { business: "Mon-Fri 09:00-17:30", promptly: 6h }
parties: { merchants: { affected: scope.merchants, all: directory.merchants }, police: { address: desk@police.example, name: the police } }
duties:
  judge: { who: lead, do: decide, of: [confirmed, dismissed], due: promptly..30h after detected }
  stop: { who: lead, do: contain, due: DUE }
  tell: { who: comms, do: notify, to: merchants.affected, content: [what_happened, odd_item], approve: lead, due: 72h after confirmed }
page: [ "We act {duties.stop.due}." ]
`
	for due, want := range map[string]string{
		"72h after confirmed":                      "We act within 72 hours of confirming it. [stop]",
		"48h after confirmed":                      "We act within 48 hours of confirming it. [stop]",
		"1h..2h business after detected":           "We act within 2 business hours of detecting it (we aim for 1 business hour). [stop]",
		"3h.. after detected":                      "We act as soon as possible after detecting it (we aim for 3 hours). [stop]",
		"1 business d after tell.met":              "We act within 1 business day of telling every affected merchant. [stop]",
		"promptly after detected":                  "We act promptly after detecting it (we aim for 6 hours). [stop]",
		"promptly..30h after detected":             "We act promptly, and within 30 hours of detecting it (we aim for 6 hours). [stop]",
		"0min after detected":                      "We act at once after detecting it. [stop]",
		"2h after detected or confirmed":           "We act within 2 hours of detecting it or confirming it, whichever comes first. [stop]",
		"2h after detected and confirmed":          "We act within 2 hours of detecting it and confirming it, whichever comes last. [stop]",
		"2d before restored":                       "We act at least 2 days before restoring service. [stop]",
		"by restored":                              "We act no later than restoring service. [stop]",
		"open":                                     "We act as soon as we can, without a fixed limit. [stop]",
		"[72h after confirmed, 5d after detected]": "We act within 72 hours of confirming it or within 5 days of detecting it, whichever is earlier. [stop]",
		"2h after judge.met":                       "We act within 2 hours of confirming or dismissing it. [stop]",
		"2h after tell.missed":                     "We act within 2 hours of being late in telling every affected merchant. [stop]",
	} {
		page := string(compiled(t, strings.Replace(src, "DUE", due, 1)).Markdown())
		if !strings.Contains(page, "\n"+want+"\n") {
			t.Errorf("due: %s\ndoes not print as %q in\n%s", due, want, page)
		}
	}
}

func TestATableFillsClocksByLevel(t *testing.T) {
	p := compiled(t, `
time: { promptly: 4h }
duties:
  stop: { who: lead, do: contain, due: 8h after detected or suspected }
tables:
- by: severity
  high: { stop: promptly..2h }
  low: { stop: none }
page: [ "We act {duties.stop.due}." ]
`)
	want := "We act promptly, and within 2 hours of detecting it or suspecting it, whichever comes first (we aim for 4 hours) where the severity is high, " +
		"and not at all where the severity is low. [stop]\n"
	if page := string(p.Markdown()); !strings.Contains(page, want) {
		t.Errorf("the page does not say %q:\n%s", want, page)
	}
	counts := func(severity string) (texts []string) {
		for _, k := range p.Duties[0].Due {
			if k.When.Eval(policy.View{Severity: severity}).Value != policy.False {
				texts = append(texts, k.Text)
			}
		}
		return texts
	}
	for severity, want := range map[string]string{
		"high": "promptly..2h after detected or suspected", "low": "none", "": "promptly..2h after detected or suspected; none; 8h after detected or suspected",
	} {
		if got := strings.Join(counts(severity), "; "); got != want {
			t.Errorf("at severity %q the clocks are %q, want %q", severity, got, want)
		}
	}
}

// A policy that writes no page has one that says all it promises.
func TestAPolicyWithoutAPageHasOne(t *testing.T) {
	p := compiled(t, `
classes: { leak: { means: Data has leaked., promise: CLS-1 } }
facts: { bad: { ask: "Is it?", by: lead, say: it is bad } }
parties: { merchants: { affected: scope.merchants, all: directory.merchants } }
duties:
  judge: { who: lead, do: decide, of: [confirmed], due: 1h after detected }
  tell: { who: comms, do: notify, to: merchants.all, when: fact.bad, content: [what_happened, odd_item], approve: lead, due: 72h after confirmed, promise: NOT-1 }
actions: { stop: { uses: shop_switch, means: stop the shop, promise: CON-3 } }
gates: [ { guards: restore, need: fix.verified, sign: [lead, comms], promise: REC-1 } ]
phases: [ first: { tasks: [nature, scope_of_it], promise: X-1 } ]
review: [timeline, root_cause]
`)
	page := string(p.Markdown())
	for _, want := range []string{
		"- Data has leaked. [leak · CLS-1]\n",
		"- We tell every merchant by e-mail within 72 hours of confirming it, if it is bad, saying what happened and odd item. [tell · NOT-1] The lead approves it before it is sent. [tell · NOT-1]\n",
		"- Stop the shop. [stop · CON-3]\n",
		"- Service is not restored until the fix is verified and the lead and the comms have signed. [restore · REC-1]\n",
		"### 1. First\n\nTasks: nature and scope of it. [first · X-1]\n",
		"The review covers timeline and root cause.",
		"Report a problem to security@example.com.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestEachSentenceCarriesItsOwnRules(t *testing.T) {
	p := compiled(t, `
duties:
  one: { who: lead, do: contain, due: 1h after detected, promise: A-1 }
  two: { who: lead, do: scope, due: 2h after detected, promise: [A-2, A-3] }
page:
- "First {duties.one.due}, e.g. this. Then {duties.two.due}, and again {duties.two.due}. Last words."
- { text: "Both {duties.one.due} and {duties.two.due}", promise: B-1 }
`)
	want := "First within 1 hour of detecting it, e.g. this. [one · A-1] Then within 2 hours of detecting it, and again within 2 hours of detecting it. [two · A-2, A-3] Last words.\n\n" +
		"Both within 1 hour of detecting it and within 2 hours of detecting it [one · A-1] [two · A-2, A-3] [B-1]\n"
	if page := string(p.Markdown()); !strings.HasSuffix(page, "\n\n"+want+"\nThis page was made from the policy whose text has the digest "+p.Hash+".\n") {
		t.Errorf("the page is\n%s\nwant it to end\n%s", page, want)
	}
	if l := p.Page[3]; l.Rule != "one" || strings.Join(l.Promise, " ") != "A-1 A-2 A-3 B-1" || l.Same || !p.Page[1].Same {
		t.Errorf("the line is %+v", l)
	}
	html := string(p.HTML())
	if n := strings.Count(html, `id="rule-one"`); n != 1 {
		t.Errorf("the rule one is the target of a link %d times, want once", n)
	}
}

// Whatever a policy says, its pages hold no markup but their own.
func TestPagesEscapeWhatAPolicySays(t *testing.T) {
	const evil = `<script>alert(1)</script> <img src=x onerror=alert(1)> ]] & "quoted" 'q' **bold** [link](javascript:alert(1)) [ok](https://example.com/a?b=1&c=2) <https://example.com/"onmouseover="x>`
	p := compiled(t, "title: '"+strings.ReplaceAll(evil, "'", "''")+"'\nowner: '<b>'\nclasses: { x: { means: '"+strings.ReplaceAll(evil, "'", "''")+"' } }\npage: [ '{classes}', '## "+strings.ReplaceAll(evil, "'", "''")+"', '{classes.x}' ]\n")
	html := string(p.HTML())
	for _, tag := range regexp.MustCompile(`<[^>]*>`).FindAllString(html, -1) {
		if !regexp.MustCompile(`^<(/?(html|head|title|style|body|main|h[1-6]|p|ul|li|strong|code|span)|!doctype html|html lang="en"|meta [^>]*|p class="stamp"|mark class="open"|/mark|span class="rule"( id="rule-[a-z0-9_]+")?|a href="https://[^"]*"|a href="mailto:[^"]*"|/a)>$`).MatchString(tag) {
			t.Errorf("the page holds the tag %s", tag)
		}
	}
	if !strings.Contains(html, `<a href="https://example.com/a?b=1&amp;c=2">ok</a>`) || !strings.Contains(html, "<strong>bold</strong>") {
		t.Errorf("links and bold are not rendered:\n%s", html)
	}
	if md := string(p.Markdown()); strings.Contains(md, "<") {
		t.Errorf("the Markdown holds HTML:\n%s", md)
	}
}

func TestTimesInReferencesAreNotTypedByHand(t *testing.T) {
	src := completed("duties:\n  one: { who: lead, do: contain, due: 1h after detected }\npage:\n- \"We act {duties.one.due}, on 24/7 duty, in version 3.\"\n")
	if _, diags := policy.Compile("p.yaml", []byte(src)); len(diags) != 0 {
		t.Errorf("found %v", diags)
	}
}
