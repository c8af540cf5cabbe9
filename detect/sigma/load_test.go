package sigma_test

import (
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/detect/sigma"
)

// Each mistake is one line with its place and what to do.
func TestProblemsNamePlaceAndRemedy(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"no YAML":                    {"title: [", "rule0.yml:1:1: this is no YAML"},
		"no title":                   {"logsource: {product: x}\ndetection: {s: {a: b}, condition: s}", "1:1: the rule has no title"},
		"no logsource":               {"title: t\ndetection: {s: {a: b}, condition: s}", "does not say which log"},
		"no condition":               {"title: t\nlogsource: {product: x}\ndetection:\n  s: {a: b}", "4:3: the detection has no condition"},
		"unknown modifier":           {ruleOf("s:\n  f|startwith: x\ncondition: s"), "6:5: the modifier «startwith» is not known: there are all, startswith"},
		"unknown selection":          {ruleOf("s: {f: x}\ncondition: s and t"), "6:20: there is no «t»: there are s"},
		"open bracket":               {ruleOf("s: {f: x}\ncondition: (s"), "a bracket is open"},
		"two selections":             {ruleOf("s: {f: x}\nt: {f: y}\ncondition: s t"), "after this condition comes «t»"},
		"no selection of a name":     {ruleOf("s: {f: x}\ncondition: 1 of filter_*"), "no selection is called «filter_*»"},
		"a number of":                {ruleOf("s: {f: x}\ncondition: 2 of them"), "«2» of is not known"},
		"an aggregation":             {ruleOf("s: {f: x}\ncondition: s | count() > 5"), "correlation rule"},
		"timeframe":                  {ruleOf("s: {f: x}\ntimeframe: 5m\ncondition: s"), "timeframe is no longer Sigma"},
		"look-ahead":                 {ruleOf("s:\n  f|re: 'a(?!b)'\ncondition: s"), "6:11: the regular expression cannot be read"},
		"i without re":               {ruleOf("s: {f|i: x}\ncondition: s"), "i is a modifier of re"},
		"not a network":              {ruleOf("s: {f|cidr: 10.0.0.0/40}\ncondition: s"), "is no network"},
		"not a number":               {ruleOf("s: {f|gt: x}\ncondition: s"), "is compared as a number"},
		"exists maybe":               {ruleOf("s: {f|exists: maybe}\ncondition: s"), "write true or false"},
		"wildcard in base64":         {ruleOf("s: {f|base64: 'a*'}\ncondition: s"), "write no wildcards"},
		"placeholder":                {ruleOf("s: {f|expand: '%admins%'}\ncondition: s"), "nothing supplies the placeholder «%admins%»"},
		"a key twice":                {ruleOf("s:\n  f: a\n  f: b\ncondition: s"), "7:5: «s» has «f» twice"},
		"an empty list":              {ruleOf("s: {f: []}\ncondition: s"), "is empty"},
		"a map as value":             {ruleOf("s: {f: {g: x}}\ncondition: s"), "name the inner field with dots"},
		"a level":                    {strings.Replace(ruleOf("s: {f: x}\ncondition: s"), "title: case", "title: case\nlevel: bad", 1), "2:8: the level «bad» is not known"},
		"an id twice":                {"title: a\nid: x1\nlogsource: {product: p}\ndetection: {s: {f: x}, condition: s}\n---\ntitle: b\nid: x1\nlogsource: {product: p}\ndetection: {s: {f: x}, condition: s}", "is also the id or the name of the rule at rule0.yml:1:1"},
		"a rule that is absent":      {correlation("type: event_count\nrules: [nobody]\ntimespan: 1m\ncondition: {gte: 1}"), "the rule «nobody» is not there"},
		"a circle":                   {"title: a\nname: a\ncorrelation: {type: event_count, rules: [b], timespan: 1m, condition: {gte: 1}}\n---\ntitle: b\nname: b\ncorrelation: {type: event_count, rules: [a], timespan: 1m, condition: {gte: 1}}", "refers to itself"},
		"a timespan":                 {correlation("type: event_count\nrules: [failed]\ntimespan: 5 minutes\ncondition: {gte: 1}"), "is no timespan"},
		"no field":                   {correlation("type: value_count\nrules: [failed]\ntimespan: 5m\ncondition: {gte: 1}"), "value_count does not say which field"},
		"a type":                     {correlation("type: near\nrules: [failed]\ntimespan: 5m"), "the correlation type «near» is not known"},
		"a kind as category":         {"title: a\nlogsource: {category: pii_access}\ndetection: {s: {f: x}, condition: s}", "2:12: warning: no log has this source: pii_access is a kind of our own access events: write product: tocsin, service: pii_access"},
		"an alias that holds itself": {"title: t\nx: &x [*x]\n", "holds itself"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := sigma.Load([]sigma.File{{Name: "rule0.yml", Data: []byte(c.src)}}, sigma.Options{})
			var all []string
			for _, p := range problems {
				all = append(all, p.Error())
				if strings.Contains(p.Error(), "\n") {
					t.Errorf("not one line: %q", p.Error())
				}
			}
			if !strings.Contains(strings.Join(all, "\n"), c.want) {
				t.Errorf("%s\ngot  %q\nwant %q", c.src, all, c.want)
			}
		})
	}
}

func TestABadRuleDoesNotKeepTheOthersFromRunning(t *testing.T) {
	src := "title: bad\nlogsource: {product: x}\ndetection: {s: {a|nope: b}, condition: s}\n---\n" + ruleOf("s: {f: x}\ncondition: s")
	e, problems := sigma.Load([]sigma.File{{Name: "r.yml", Data: []byte(src)}}, sigma.Options{})
	if len(problems) != 1 || len(e.Rules()) != 1 || len(observe(t, e, `{"f":"x"}`)) != 1 {
		t.Errorf("%v, %d rules", problems, len(e.Rules()))
	}
}

// promise: DET-10
func TestRulesAreRoutedByTheirLogSource(t *testing.T) {
	rule := func(source string) string {
		return "title: '" + source + "'\nlogsource: {" + source + "}\ndetection: {s: {eventName|exists: true}, b: {c-ip|exists: true}, o: {eventType|exists: true}, condition: 1 of them}\n"
	}
	e := load(t, sigma.Options{Trust: true}, rule("product: aws"), rule("product: aws, service: cloudtrail"), rule("product: aws, service: guardduty"), rule("product: gcp"), rule("category: webserver"), rule("product: okta, service: okta"), rule("product: windows"))
	for event, want := range map[string]string{
		`{"eventVersion":"1.08","eventSource":"s3.amazonaws.com","eventName":"X"}`:          "product: aws|product: aws, service: cloudtrail",
		`{"protoPayload":{"methodName":"a.b"},"eventName":"x"}`:                             "product: gcp",
		`{"c-ip":"1.2.3.4","cs-method":"GET","cs-uri-stem":"/","cs-uri-query":""}`:          "category: webserver",
		`{"eventType":"user.session.start","published":"2026-01-01T00:00:00Z"}`:             "product: okta, service: okta",
		`{"eventName":"x","logsource":{"product":"windows","category":"process_creation"}}`: "product: windows",
		`{"eventName":"x"}`: "product: aws|product: aws, service: cloudtrail|product: aws, service: guardduty|product: gcp|category: webserver|product: okta, service: okta|product: windows",
	} {
		var got []string
		for _, d := range observe(t, e, event) {
			got = append(got, d.Meta().Title)
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s\ngot  %q\nwant %q", event, got, want)
		}
	}
}

const ruleOfFilter = "title: Rar\nid: 6f3e2987\nname: rar\nlogsource: {category: process_creation, product: windows}\ndetection: {selection: {Image|endswith: rar.exe}, condition: selection}\n"

func TestFiltersNarrowTheRulesTheyName(t *testing.T) {
	filter := func(head, cond string) string {
		return "title: Admins\nlogsource: {" + head + "}\nfilter:\n  rules: [6f3e2987]\n  selection: {User|startswith: adm_}\n  condition: " + cond + "\n"
	}
	admin, other := `{"Image":"C:\\rar.exe","User":"adm_x"}`, `{"Image":"C:\\rar.exe","User":"x"}`
	for name, c := range map[string]struct {
		filter       string
		admin, other int
	}{
		"not selection leaves out": {filter("product: windows", "not selection"), 0, 1},
		"selection restricts":      {filter("category: process_creation, product: windows", "selection"), 1, 0},
		"another log source":       {filter("product: linux", "not selection"), 1, 1},
		"any rule":                 {strings.Replace(filter("product: windows", "not selection"), "[6f3e2987]", "any", 1), 0, 1},
		"by name":                  {strings.Replace(filter("product: windows", "not selection"), "[6f3e2987]", "rar", 1), 0, 1},
		"another rule":             {strings.Replace(filter("product: windows", "not selection"), "[6f3e2987]", "[nobody]", 1), 1, 1},
	} {
		e := load(t, sigma.Options{}, c.filter, ruleOfFilter)
		if a, o := len(observe(t, e, admin)), len(observe(t, e, other)); a != c.admin || o != c.other {
			t.Errorf("%s: %d of the admin's and %d of the other's", name, a, o)
		}
	}
}

func TestPipelines(t *testing.T) {
	rule := "title: r\nlogsource: {product: windows}\nfields: [User]\ndetection: {s: {Image|endswith: evil.exe, User|expand: '%admins%'}, condition: s}\n"
	for name, c := range map[string]struct {
		pipeline, rule string
		yes, no        []string
	}{
		"names and placeholders": {"name: p\nvars: {admins: [root, 'adm*']}\ntransformations:\n  - {type: field_name_mapping, mapping: {Image: process.path, User: [user.name, user.id]}}\n  - {type: value_placeholders}\n", rule,
			[]string{`{"process":{"path":"/evil.exe"},"user":{"name":"Root"}}`, `{"process.path":"/evil.exe","user":{"id":"adm7"}}`}, []string{`{"Image":"/evil.exe","User":"root"}`, `{"process":{"path":"/evil.exe"},"user":{"name":"x"}}`}},
		"wildcards for placeholders": {"transformations: [{type: wildcard_placeholders}]", rule, []string{`{"Image":"evil.exe","User":"anybody"}`}, []string{`{"Image":"evil.exe"}`}},
		"a prefix by log source":     {"transformations: [{type: field_name_prefix, prefix: 'win.', rule_conditions: [{type: logsource, product: windows}]}, {type: field_name_prefix, prefix: 'lnx.', rule_conditions: [{type: logsource, product: linux}]}]", ruleOfFilter, []string{`{"win":{"Image":"rar.exe"}}`}, []string{`{"Image":"rar.exe"}`, `{"lnx":{"Image":"rar.exe"}}`}},
		"a condition is added":       {"transformations: [{type: add_condition, conditions: {source: sysmon}}, {type: add_condition, negated: true, conditions: {test: true}}]", ruleOfFilter, []string{`{"Image":"rar.exe","source":"Sysmon"}`}, []string{`{"Image":"rar.exe"}`, `{"Image":"rar.exe","source":"sysmon","test":true}`}},
		"values are mapped":          {"transformations: [{type: map_string, mapping: {rar.exe: [rar.exe, winrar.exe]}}]", strings.Replace(ruleOfFilter, "Image|endswith", "Image", 1), []string{`{"Image":"winrar.exe"}`, `{"Image":"rar.exe"}`}, []string{`{"Image":"zip.exe"}`}},
		"values are replaced":        {`transformations: [{type: replace_string, regex: '^(r)ar', replacement: '\1z', field_name_conditions: [{type: include_fields, fields: [Image]}]}]`, ruleOfFilter, []string{`{"Image":"rz.exe"}`}, []string{`{"Image":"rar.exe"}`}},
		"an item is dropped":         {"transformations: [{type: drop_detection_item, field_name_conditions: [{type: include_fields, fields: [User]}]}]", rule, []string{`{"Image":"evil.exe"}`}, []string{`{"Image":"good.exe"}`}},
		"the log source changes":     {"transformations: [{type: change_logsource, product: aws, service: cloudtrail}]", ruleOfFilter, []string{`{"Image":"rar.exe","eventSource":"x.amazonaws.com","eventName":"y"}`}, []string{`{"eventSource":"x.amazonaws.com","eventName":"y"}`}},
	} {
		t.Run(name, func(t *testing.T) {
			p, problems := sigma.ParsePipeline("p.yml", []byte(c.pipeline))
			if p == nil {
				t.Fatal(problems)
			}
			e := load(t, sigma.Options{Pipelines: []*sigma.Pipeline{p}}, c.rule)
			for want, events := range map[int][]string{1: c.yes, 0: c.no} {
				for _, ev := range events {
					if got := len(observe(t, e, ev)); got != want {
						t.Errorf("%s: %d detections, want %d", ev, got, want)
					}
				}
			}
		})
	}
	if _, problems := sigma.ParsePipeline("p.yml", []byte("transformations:\n  - type: nonsense\n")); len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), "p.yml:2:11: ") {
		t.Errorf("%v", problems)
	}
}

// promise: DET-2
func TestOneSentenceSaysWhy(t *testing.T) {
	e := load(t, sigma.Options{Logsource: sigma.Logsource{Product: "app"}}, strings.Replace(chained, "level: high", "tocsin: {class: credential_exposure, says: 'somebody guessed the password of {user} from {ip}'}", 1),
		"title: Root used\nlogsource: {product: app}\ndetection: {s: {actor.type: root, action: [a, b]}, f: {ok: true}, condition: s and not f}\n")
	var ev sigma.Event
	if err := e.Decode([]byte(`{"actor":{"type":"Root"},"action":"b"}`), &ev); err != nil {
		t.Fatal(err)
	}
	d := e.Observe(0, begin, &ev)
	if len(d) != 1 || d[0].Sentence(&ev) != "Root used: actor.type is Root, action is b" {
		t.Errorf("%v", d[0].Sentence(&ev))
	}
	at := user("a") + `,"ip":"1"`
	for i, h := range []happening{{1, "fail", at}, {2, "fail", at}, {3, "fail", at}, {4, "ok", at}} {
		if err := e.Decode([]byte(h.json(i)), &ev); err != nil {
			t.Fatal(err)
		}
		d = e.Observe(0, begin, &ev)
	}
	if len(d) != 1 || d[0].Sentence(&ev) != "somebody guessed the password of a from 1" || d[0].Meta().Class != "credential_exposure" || len(d[0].Events) != 2 {
		t.Errorf("%+v", d)
	}
	if text := e.Explain("Root used"); !strings.Contains(text, "action is b") || !strings.Contains(text, "not") {
		t.Error(text)
	}
}
