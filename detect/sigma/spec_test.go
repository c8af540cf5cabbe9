package sigma_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/detect/sigma"
)

// ruleOf writes a rule with a detection, which is indented by its own text.
func ruleOf(detection string) string {
	return "title: case\nlogsource:\n  product: any\ndetection:\n" + indent(detection)
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") + "\n"
}

func load(t testing.TB, o sigma.Options, files ...string) *sigma.Engine {
	t.Helper()
	var in []sigma.File
	for i, f := range files {
		in = append(in, sigma.File{Name: fmt.Sprintf("rule%d.yml", i), Data: []byte(f)})
	}
	e, problems := sigma.Load(in, o)
	for _, p := range problems {
		if !p.Warning {
			t.Fatalf("%v\n%s", p, strings.Join(files, "\n---\n"))
		}
	}
	return e
}

func observe(t testing.TB, e *sigma.Engine, event string) []sigma.Detection {
	t.Helper()
	var ev sigma.Event
	if err := e.Decode([]byte(event), &ev); err != nil {
		t.Fatalf("%v: %s", err, event)
	}
	return e.Observe(0, time.Time{}, &ev)
}

// Each case is a detection with events that match it and events that do not.
var cases = []struct {
	name, detection string
	yes, no         []string
}{
	{"text is compared whole and without case", "s: {f: Whoami}\ncondition: s",
		[]string{`{"f":"whoami"}`, `{"f":"WHOAMI"}`, `{"f":["x","whoAmI"]}`}, []string{`{"f":"whoami.exe"}`, `{"f":""}`, `{"f":null}`, `{}`, `{"f":[]}`, `{"g":"whoami"}`, `{"F":"whoami"}`}},
	{"letters beyond ASCII fold too", "s: {f|contains: 'ÄÖ'}\ncondition: s", []string{`{"f":"xäöx"}`, `{"f":"ÄÖ"}`}, []string{`{"f":"ao"}`}},
	{"cased", "s: {f|cased: Who}\ncondition: s", []string{`{"f":"Who"}`}, []string{`{"f":"who"}`}},
	{"contains cased", "s: {f|contains|cased: Who}\ncondition: s", []string{`{"f":"a Who b"}`}, []string{`{"f":"a who b"}`}},
	{"startswith cased", "s: {f|startswith|cased: Who}\ncondition: s", []string{`{"f":"Who b"}`}, []string{`{"f":"who b"}`, `{"f":"a Who"}`}},
	{"a star is any run, also none", "s: {f: 'a*b'}\ncondition: s", []string{`{"f":"ab"}`, `{"f":"a x\nb"}`, `{"f":"abab"}`}, []string{`{"f":"abc"}`, `{"f":"xab"}`}},
	{"a question mark is one character", "s: {f: 'pro?'}\ncondition: s", []string{`{"f":"prog"}`, `{"f":"proé"}`}, []string{`{"f":"pro"}`, `{"f":"progs"}`}},
	{"a star alone is any value but null", "s: {f: '*'}\ncondition: s", []string{`{"f":""}`, `{"f":0}`, `{"f":false}`, `{"f":{"a":1}}`}, []string{`{"f":null}`, `{"f":[]}`, `{}`}},
	{"an escaped star is a star", `s: {f: 'a\*b'}` + "\ncondition: s", []string{`{"f":"a*b"}`}, []string{`{"f":"axb"}`, `{"f":"a\\*b"}`}},
	{"an escaped question mark", `s: {f: 'a\?b'}` + "\ncondition: s", []string{`{"f":"a?b"}`}, []string{`{"f":"axb"}`}},
	{"a backslash before a letter is itself", `s: {f: 'C:\Windows\x'}` + "\ncondition: s", []string{`{"f":"c:\\windows\\x"}`}, []string{`{"f":"c:windowsx"}`}},
	{"two backslashes are one", `s: {f: 'C:\\Windows'}` + "\ncondition: s", []string{`{"f":"c:\\windows"}`}, []string{`{"f":"c:\\\\windows"}`}},
	{"an escaped backslash before a star", `s: {f: 'a\\*'}` + "\ncondition: s", []string{`{"f":"a\\"}`, `{"f":"a\\bc"}`}, []string{`{"f":"a*"}`, `{"f":"ab"}`}},
	{"three backslashes and a star", `s: {f: 'a\\\*'}` + "\ncondition: s", []string{`{"f":"a\\*"}`}, []string{`{"f":"a\\b"}`}},
	{"three backslashes are two", `s: {f: 'a\\\b'}` + "\ncondition: s", []string{`{"f":"a\\\\b"}`}, []string{`{"f":"a\\b"}`}},
	{"four backslashes are two", `s: {f: 'a\\\\b'}` + "\ncondition: s", []string{`{"f":"a\\\\b"}`}, []string{`{"f":"a\\b"}`}},
	{"a backslash at the end", `s: {f|endswith: 'a\'}` + "\ncondition: s", []string{`{"f":"xa\\"}`}, []string{`{"f":"xa"}`}},
	{"contains", "s: {f|contains: mid}\ncondition: s", []string{`{"f":"mid"}`, `{"f":"a MID b"}`, `{"f":["x","amid"]}`}, []string{`{"f":"m id"}`, `{}`}},
	{"contains with a star inside", "s: {f|contains: 'a*z'}\ncondition: s", []string{`{"f":"xx a--z yy"}`}, []string{`{"f":"z a"}`}},
	{"contains nothing is any text", "s: {f|contains: ''}\ncondition: s", []string{`{"f":""}`, `{"f":"x"}`}, []string{`{}`, `{"f":null}`}},
	{"contains of an object reads its JSON", "s: {f|contains: 'suspended'}\ncondition: s", []string{`{"f":{"V": {"Status" : "Suspended"}}}`}, []string{`{"f":{"V":"on"}}`}},
	{"the JSON of an object has no spaces", `s: {f|contains: '"a":"b","c":[1,2]'}` + "\ncondition: s", []string{`{"f":{"a": "b" , "c": [1, 2]}}`}, []string{`{"f":{"a":"b"}}`}},
	{"startswith", "s: {f|startswith: adm_}\ncondition: s", []string{`{"f":"ADM_x"}`, `{"f":"adm_"}`}, []string{`{"f":"x adm_"}`, `{"f":"adm"}`}},
	{"endswith", `s: {f|endswith: '\cmd.exe'}` + "\ncondition: s", []string{`{"f":"C:\\CMD.EXE"}`}, []string{`{"f":"cmd.exe"}`, `{"f":"\\cmd.exe2"}`}},
	{"contains all", "s:\n  f|contains|all: [a1, b2]\ncondition: s", []string{`{"f":"b2 a1"}`, `{"f":["a1","b2"]}`}, []string{`{"f":"a1"}`, `{"f":"b2"}`}},
	{"a list is one of", "s:\n  f: [a, b]\ncondition: s", []string{`{"f":"A"}`, `{"f":"b"}`}, []string{`{"f":"ab"}`}},
	{"fields of a map all hold", "s: {f: a, g: b}\ncondition: s", []string{`{"f":"a","g":"b"}`}, []string{`{"f":"a"}`, `{"f":"a","g":"a"}`}},
	{"of a list of maps one holds", "s:\n  - f: a\n    g: b\n  - h|endswith: c\ncondition: s", []string{`{"f":"a","g":"b"}`, `{"h":"xc"}`}, []string{`{"f":"a"}`, `{"g":"b"}`}},
	{"a number", "s: {f: 4625}\ncondition: s", []string{`{"f":4625}`, `{"f":"4625"}`, `{"f":4625.0}`, `{"f":4.625e3}`}, []string{`{"f":46250}`, `{"f":"x4625"}`, `{"f":4625.5}`}},
	{"a fraction", "s: {f: 1.50}\ncondition: s", []string{`{"f":1.5}`, `{"f":"1.5"}`, `{"f":15e-1}`}, []string{`{"f":15}`}},
	{"a negative number", "s: {f: -3}\ncondition: s", []string{`{"f":-3}`, `{"f":"-3"}`}, []string{`{"f":3}`}},
	{"a large number keeps its digits", "s: {f: 9007199254740993}\ncondition: s", []string{`{"f":9007199254740993}`}, []string{`{"f":9007199254740992}`}},
	{"a quoted number", "s: {f: '4625'}\ncondition: s", []string{`{"f":4625}`, `{"f":"4625"}`}, []string{`{"f":4626}`}},
	{"a number with contains", "s: {f|contains: 62}\ncondition: s", []string{`{"f":4625}`, `{"f":"x62x"}`}, []string{`{"f":4265}`}},
	{"a number with startswith", "s: {f|startswith: 4}\ncondition: s", []string{`{"f":404}`}, []string{`{"f":200}`}},
	{"a boolean", "s: {f: true}\ncondition: s", []string{`{"f":true}`, `{"f":"true"}`, `{"f":"True"}`}, []string{`{"f":false}`, `{"f":1}`, `{"f":null}`, `{}`}},
	{"false is not absent", "s: {f: false}\ncondition: s", []string{`{"f":false}`, `{"f":"FALSE"}`}, []string{`{}`, `{"f":null}`, `{"f":0}`, `{"f":""}`}},
	{"a quoted boolean", "s: {f: 'true'}\ncondition: s", []string{`{"f":true}`}, []string{`{"f":false}`}},
	{"null is absent or null", "s: {f: null}\ncondition: s", []string{`{}`, `{"f":null}`, `{"g":1}`, `{"f":["a",null]}`}, []string{`{"f":""}`, `{"f":"null"}`, `{"f":[]}`, `{"f":{}}`, `{"f":0}`, `{"f":false}`}},
	{"the empty string is there", "s: {f: ''}\ncondition: s", []string{`{"f":""}`, `{"f":["",1]}`}, []string{`{}`, `{"f":null}`, `{"f":" "}`, `{"f":[]}`, `{"f":0}`}},
	{"a nested null", "s: {a.b: null}\ncondition: s", []string{`{"a":{}}`, `{"a":{"b":null}}`, `{"a":null}`, `{"a":"x"}`}, []string{`{"a":{"b":""}}`}},
	{"exists", "s: {f|exists: true}\ncondition: s", []string{`{"f":null}`, `{"f":""}`, `{"f":[]}`, `{"f":{}}`, `{"f":{"a":1}}`, `{"f":0}`}, []string{`{}`, `{"g":1}`}},
	{"does not exist", "s: {f|exists: false}\ncondition: s", []string{`{}`, `{"g":1}`}, []string{`{"f":null}`, `{"f":""}`, `{"f":[]}`}},
	{"exists in a list of objects", "s: {a.b|exists: true}\ncondition: s", []string{`{"a":[{"c":1},{"b":null}]}`}, []string{`{"a":[{"c":1}]}`}},
	{"not null", "s: {e: 1}\nn: {f: null}\ncondition: s and not n", []string{`{"e":1,"f":""}`, `{"e":1,"f":"x"}`}, []string{`{"e":1}`, `{"e":1,"f":null}`}},
	{"neq", "s: {f|neq: a}\ncondition: s", []string{`{"f":"b"}`, `{"f":""}`, `{"f":1}`}, []string{`{"f":"A"}`, `{}`, `{"f":null}`, `{"f":["a","b"]}`}},
	{"neq of several is none of them", "s:\n  f|neq: [a, b]\ncondition: s", []string{`{"f":"c"}`}, []string{`{"f":"a"}`, `{"f":"b"}`, `{}`}},
	{"neq of a number", "s: {f|neq: 5}\ncondition: s", []string{`{"f":6}`, `{"f":"x"}`}, []string{`{"f":5}`, `{"f":5.0}`, `{"f":"5"}`}},
	{"neq with contains", "s: {f|contains|neq: a}\ncondition: s", []string{`{"f":"xyz"}`}, []string{`{"f":"xaz"}`, `{}`}},
	{"lt", "s: {f|lt: 5}\ncondition: s", []string{`{"f":4}`, `{"f":"4.9"}`, `{"f":-1}`}, []string{`{"f":5}`, `{"f":"x"}`, `{}`, `{"f":null}`, `{"f":true}`, `{"f":""}`}},
	{"lte", "s: {f|lte: 5}\ncondition: s", []string{`{"f":5}`, `{"f":5.0}`}, []string{`{"f":5.1}`}},
	{"gt", "s: {f|gt: 5}\ncondition: s", []string{`{"f":6}`, `{"f":1e3}`, `{"f":[1,9]}`}, []string{`{"f":5}`, `{}`}},
	{"gte", "s: {f|gte: 5.5}\ncondition: s", []string{`{"f":5.5}`, `{"f":"6"}`}, []string{`{"f":5}`}},
	{"re is searched for and has a case", "s: {f|re: 'a[0-9]+b'}\ncondition: s", []string{`{"f":"xa12bx"}`}, []string{`{"f":"A12B"}`, `{"f":"ab"}`, `{}`, `{"f":null}`}},
	{"re anchored", "s: {f|re: '^ab$'}\ncondition: s", []string{`{"f":"ab"}`}, []string{`{"f":"xab"}`, `{"f":"ab\nc"}`}},
	{"re of what is empty", "s: {f|re: '^$'}\ncondition: s", []string{`{"f":""}`}, []string{`{}`, `{"f":"x"}`, `{"f":null}`}},
	{"re i", "s: {f|re|i: 'who(ami)?kit'}\ncondition: s", []string{`{"f":"WHOKIT"}`, `{"f":"xWhoAmiKit"}`}, []string{`{"f":"who"}`}},
	{"re i knows letters that fold twice", "s: {f|re|i: 'pass'}\ncondition: s", []string{`{"f":"paſs"}`, `{"f":"PASS"}`}, []string{`{"f":"pas"}`}},
	{"re m", "s: {f|re|m: '^b$'}\ncondition: s", []string{`{"f":"a\nb\nc"}`}, []string{`{"f":"abc"}`}},
	{"re s", "s: {f|re|s: 'a.b'}\ncondition: s", []string{`{"f":"a\nb"}`}, []string{`{"f":"ab"}`}},
	{"re without s", "s: {f|re: 'a.b'}\ncondition: s", []string{`{"f":"axb"}`}, []string{`{"f":"a\nb"}`}},
	{"re keeps its backslashes", `s: {f|re: '\\\\srv\d'}` + "\ncondition: s", []string{`{"f":"\\\\srv1"}`}, []string{`{"f":"\\srv1"}`}},
	{"re of a number", "s: {f|re: '^4\\d\\d$'}\ncondition: s", []string{`{"f":404}`}, []string{`{"f":200}`}},
	{"re with a list and all", "s:\n  f|re|all: ['^a', 'z$']\ncondition: s", []string{`{"f":"a-z"}`}, []string{`{"f":"a"}`}},
	{"cidr v4", "s: {f|cidr: 10.0.0.0/8}\ncondition: s", []string{`{"f":"10.1.2.3"}`, `{"f":"::ffff:10.0.0.1"}`, `{"f":["8.8.8.8","10.0.0.1"]}`}, []string{`{"f":"11.0.0.1"}`, `{"f":"10.1.2"}`, `{"f":"x"}`, `{}`, `{"f":"ec2.amazonaws.com"}`}},
	{"cidr v6", "s: {f|cidr: '2001:db8::/32'}\ncondition: s", []string{`{"f":"2001:DB8:1::1"}`, `{"f":"2001:db8::1%eth0"}`}, []string{`{"f":"2001:db9::1"}`, `{"f":"10.0.0.1"}`}},
	{"cidr of several", "s:\n  f|cidr: [127.0.0.0/8, '::1/128']\ncondition: s", []string{`{"f":"127.0.0.1"}`, `{"f":"::1"}`}, []string{`{"f":"128.0.0.1"}`}},
	{"base64", "s: {f|base64: foo}\ncondition: s", []string{`{"f":"Zm9v"}`}, []string{`{"f":"foo"}`, `{"f":"xZm9v"}`}},
	{"base64 inside", "s: {f|base64|contains: foo}\ncondition: s", []string{`{"f":"x Zm9v y"}`}, []string{`{"f":"Zm9"}`}},
	{"base64offset", "s: {f|base64offset|contains: foo}\ncondition: s", []string{`{"f":"Zm9vYmFy"}`, `{"f":"eGZvb3k="}`, `{"f":"eHhmb28="}`}, []string{`{"f":"foo"}`, `{"f":"YmFy"}`}},
	{"wide and base64offset", "s: {f|wide|base64offset|contains: ping}\ncondition: s", []string{`{"f":"cABpAG4AZwA="}`, `{"f":"IABwAGkAbgBnAA=="}`}, []string{`{"f":"cGluZw=="}`}},
	{"wide", "s: {f|wide: ab}\ncondition: s", []string{`{"f":"a\u0000b\u0000"}`}, []string{`{"f":"ab"}`}},
	{"utf16be", "s: {f|utf16be: ab}\ncondition: s", []string{`{"f":"\u0000a\u0000b"}`}, []string{`{"f":"a\u0000b\u0000"}`}},
	{"utf16 in base64 has its mark", "s: {f|utf16|base64: a}\ncondition: s", []string{`{"f":"//5hAA=="}`}, []string{`{"f":"YQA="}`}},
	{"windash", "s: {f|windash|contains: ' -exec'}\ncondition: s", []string{`{"f":"x -exec y"}`, `{"f":"x /EXEC y"}`, `{"f":"x –exec"}`, `{"f":"x —exec"}`, `{"f":"x ―exec"}`}, []string{`{"f":"x exec"}`, `{"f":"x-exec"}`}},
	{"windash of several dashes mixes them", "s: {f|windash: '-a -b'}\ncondition: s", []string{`{"f":"-a /b"}`, `{"f":"/a -b"}`, `{"f":"–a ―b"}`}, []string{`{"f":"a b"}`}},
	{"windash leaves a dash inside a word", "s: {f|windash: '/x-y'}\ncondition: s", []string{`{"f":"-x-y"}`, `{"f":"/x-y"}`}, []string{`{"f":"/x/y"}`}},
	{"windash all", "s:\n  f|windash|contains|all: [' -a', ' -b']\ncondition: s", []string{`{"f":"x /b -a"}`}, []string{`{"f":"x /b"}`}},
	{"windash and base64", "s: {f|windash|base64: '-a'}\ncondition: s", []string{`{"f":"LWE="}`, `{"f":"L2E="}`}, []string{`{"f":"-a"}`}},
	{"fieldref", "s: {f|fieldref: g}\ncondition: s", []string{`{"f":"Ab","g":"aB"}`, `{"f":["x","y"],"g":["y"]}`, `{"f":1,"g":"1"}`, `{"f":1.0,"g":1}`, `{"f":1,"g":1e0}`}, []string{`{"f":"1.0","g":1}`, `{"f":"a","g":"b"}`, `{"f":"a"}`, `{"g":"a"}`, `{}`, `{"f":null,"g":null}`}},
	{"fieldref startswith", "s: {f|fieldref|startswith: g}\ncondition: s", []string{`{"f":"abc","g":"AB"}`}, []string{`{"f":"xab","g":"ab"}`, `{"f":"ab"}`}},
	{"fieldref endswith", "s: {f|fieldref|endswith: g}\ncondition: s", []string{`{"f":"xab","g":"ab"}`}, []string{`{"f":"abx","g":"ab"}`}},
	{"fieldref contains", "s: {f|fieldref|contains: g}\ncondition: s", []string{`{"f":"xabx","g":"ab"}`}, []string{`{"f":"a","g":"ab"}`}},
	{"the other order of fieldref", "s: {f|startswith|fieldref: g}\ncondition: s", []string{`{"f":"abc","g":"ab"}`}, []string{`{"f":"xab","g":"ab"}`}},
	{"fieldref neq", "s: {f|fieldref|neq: g}\ncondition: s", []string{`{"f":"a","g":"b"}`, `{"f":"a"}`}, []string{`{"f":"a","g":"A"}`, `{"g":"a"}`}},
	{"fieldref of nested fields", "s: {a.b|fieldref: c.d}\ncondition: s", []string{`{"a":{"b":"x"},"c":{"d":"X"}}`}, []string{`{"a":{"b":"x"},"c":{"d":"y"}}`}},
	{"hour", "s: {t|hour: 3}\ncondition: s", []string{`{"t":"2026-11-22T03:59:11Z"}`, `{"t":"2026-11-22T03:59:11+05:00"}`}, []string{`{"t":"2026-11-22T04:00:00Z"}`, `{"t":"x"}`, `{}`}},
	{"a part of a time is compared", "s: {t|hour|gte: 22}\ncondition: s", []string{`{"t":"2026-11-22T23:00:00Z"}`}, []string{`{"t":"2026-11-22T21:00:00Z"}`}},
	{"parts of a time", "s: {t|year: 2026, t|month: 11, t|day: 22, t|minute: 5, t|week: 47}\ncondition: s", []string{`{"t":"2026-11-22T03:05:11Z"}`}, []string{`{"t":"2026-11-23T03:05:11Z"}`}},
	{"a keyword is in any value", "k: [evil, 'bad*thing']\ncondition: k", []string{`{"a":{"b":["x","so EVIL"]}}`, `{"a":"a bad old thing"}`}, []string{`{"evil":"x"}`, `{"a":"thing bad"}`, `{}`}},
	{"a keyword is a number", "k: [4625]\ncondition: k", []string{`{"a":4625}`, `{"a":"x4625y"}`}, []string{`{"a":462}`}},
	{"keywords all", "k:\n  '|all': [one, two]\ncondition: k", []string{`{"a":"two","b":"one"}`}, []string{`{"a":"one"}`}},
	{"a keyword that stands alone", "k: evil\ncondition: k", []string{`{"a":"evil"}`}, []string{`{"a":"good"}`}},
	{"a keyword by re", "k:\n  '|re': 'e[vw]il'\ncondition: k", []string{`{"a":"xewil"}`}, []string{`{"a":"EVIL"}`}},
	{"keywords and fields in one list", "k:\n  - evil\n  - f: a\ncondition: k", []string{`{"f":"a"}`, `{"g":"evil"}`}, []string{`{"g":"a"}`}},
	{"a name with dots", "s: {a.b.c: x}\ncondition: s", []string{`{"a":{"b":{"c":"x"}}}`, `{"a.b":{"c":"x"}}`, `{"a":{"b.c":"x"}}`, `{"a.b.c":"x"}`, `{"a":[{"b":{"c":"y"}},{"b":{"c":"x"}}]}`, `{"a.b.c":"y","a":{"b":{"c":"x"}}}`}, []string{`{"a":{"b":"x"}}`, `{"c":"x"}`}},
	{"a list in a list", "s: {f: x}\ncondition: s", []string{`{"f":[["a"],["x"]]}`}, []string{`{"f":[[]]}`}},
	{"escapes of JSON", `s: {f: 'a"b/é'}` + "\ncondition: s", []string{`{"f":"a\"b\/\u00e9"}`, `{"f":"A\u0022b\u002f\u00C9"}`}, []string{`{"f":"a"}`}},
	{"a surrogate pair", "s: {f: '😀'}\ncondition: s", []string{`{"f":"\ud83d\ude00"}`, `{"f":"😀"}`}, []string{`{"f":"\ud83d"}`}},
	{"a key with an escape", "s: {fé: x}\ncondition: s", []string{`{"f\u00e9":"x"}`}, []string{`{"f":"x"}`}},
	{"or binds less than and", "a: {f: 1}\nb: {g: 1}\nc: {h: 1}\ncondition: a or b and c", []string{`{"f":1}`, `{"g":1,"h":1}`}, []string{`{"g":1}`, `{"h":1}`}},
	{"not binds more than and", "a: {f: 1}\nb: {g: 1}\ncondition: not a and b", []string{`{"g":1}`}, []string{`{"f":1,"g":1}`, `{}`}},
	{"brackets", "a: {f: 1}\nb: {g: 1}\nc: {h: 1}\ncondition: (a or b) and c", []string{`{"f":1,"h":1}`}, []string{`{"f":1}`, `{"h":1}`}},
	{"not of brackets", "a: {f: 1}\nb: {g: 1}\ncondition: not (a or b)", []string{`{}`}, []string{`{"f":1}`, `{"g":1}`}},
	{"not not", "a: {f: 1}\ncondition: not not a", []string{`{"f":1}`}, []string{`{}`}},
	{"words of a condition in capitals", "a: {f: 1}\nb: {g: 1}\ncondition: a AND NOT b", []string{`{"f":1}`}, []string{`{"f":1,"g":1}`}},
	{"1 of a pattern", "s_a: {f: 1}\ns_b: {g: 1}\nx: {h: 1}\ncondition: 1 of s_*", []string{`{"f":1}`, `{"g":1}`}, []string{`{"h":1}`}},
	{"any of a pattern", "s_a: {f: 1}\ns_b: {g: 1}\ncondition: any of s_*", []string{`{"g":1}`}, []string{`{}`}},
	{"all of a pattern", "s_a: {f: 1}\ns_b: {g: 1}\nx: {h: 1}\ncondition: all of s_*", []string{`{"f":1,"g":1}`}, []string{`{"f":1}`, `{"g":1,"h":1}`}},
	{"a star inside a pattern", "s_a_x: {f: 1}\ns_b_x: {g: 1}\ns_a_y: {h: 1}\ncondition: all of s_*_x", []string{`{"f":1,"g":1}`}, []string{`{"f":1,"h":1}`}},
	{"1 of them leaves out what begins with an underscore", "a: {f: 1}\n_b: {g: 1}\ncondition: 1 of them", []string{`{"f":1}`}, []string{`{"g":1}`}},
	{"all of them", "a: {f: 1}\nb: {g: 1}\n_c: {h: 1}\ncondition: all of them", []string{`{"f":1,"g":1}`}, []string{`{"f":1}`}},
	{"not 1 of", "s: {f: 1}\nfilter_a: {g: 1}\nfilter_b: {h: 1}\ncondition: s and not 1 of filter_*", []string{`{"f":1}`}, []string{`{"f":1,"g":1}`, `{"f":1,"h":1}`, `{}`}},
	{"a list of conditions is one of them", "a: {f: 1}\nb: {g: 1}\ncondition:\n  - a\n  - b", []string{`{"f":1}`, `{"g":1}`}, []string{`{}`}},
	{"a selection that is named like a number", "1: {f: 1}\nb: {g: 1}\ncondition: 1 or b", []string{`{"f":1}`}, []string{`{}`}},
	{"a selection with a dash", "sel-1: {f: 1}\ncondition: sel-1", []string{`{"f":1}`}, []string{`{}`}},
	{"a null in a list", "s:\n  f: [a, null]\ncondition: s", []string{`{"f":"a"}`, `{}`}, []string{`{"f":""}`}},
	{"a key that stands twice has both values", "s: {f: a}\ncondition: s", []string{`{"f":"b","f":"a"}`, `{"f":"a","f":"b"}`}, []string{`{"f":"b","f":"c"}`}},
}

// promise: DET-10
func TestValuesMatchAsTheSpecificationSays(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rule := ruleOf(c.detection)
			e, ref := load(t, sigma.Options{}, rule), refParse(t, rule)
			for want, events := range map[bool][]string{true: c.yes, false: c.no} {
				for _, ev := range events {
					if got := len(observe(t, e, ev)) > 0; got != want {
						t.Errorf("%s\n%s: matched %v", c.detection, ev, got)
					}
					if got := ref.match(refDecode(t, ev)); got != want {
						t.Errorf("the reference: %s\n%s: matched %v", c.detection, ev, got)
					}
				}
			}
		})
	}
}
