package sigma_test

import (
	"testing"

	"github.com/tocsin-ir/tocsin/detect/sigma"
)

// Corners of the specification beside the cases of spec_test.go: combinations of modifiers, and values
// where engines are known to differ.
var corners = []struct {
	name, detection string
	yes, no         []string
}{
	{"re with all its flags", "s: {f|re|i|m|s: '^b.c$'}\ncondition: s", []string{`{"f":"a\nB\nC\nd"}`}, []string{`{"f":"a bc"}`}},
	{"re i and m", "s: {f|re|i|m: '^b$'}\ncondition: s", []string{`{"f":"a\nB"}`}, []string{`{"f":"ab"}`}},
	{"re with a group of flags in it", "s: {f|re: '(?i)abc'}\ncondition: s", []string{`{"f":"xABCx"}`}, []string{`{"f":"ab"}`}},
	{"re is no wildcard pattern", "s: {f|re: 'a*b?'}\ncondition: s", []string{`{"f":""}`, `{"f":"zzz"}`}, []string{`{}`}},
	{"re of a boolean", "s: {f|re: '^(?:true|false)$'}\ncondition: s", []string{`{"f":true}`, `{"f":"false"}`}, []string{`{"f":null}`, `{"f":1}`}},
	{"re in a list of the event", "s: {f|re: '^b'}\ncondition: s", []string{`{"f":["a","bc"]}`}, []string{`{"f":["a","cb"]}`, `{"f":[]}`}},
	{"cidr of one address", "s: {f|cidr: 192.0.2.1/32}\ncondition: s", []string{`{"f":"192.0.2.1"}`}, []string{`{"f":"192.0.2.2"}`, `{"f":"192.0.2.1/32"}`}},
	{"cidr whose base has bits beyond it", "s: {f|cidr: 10.1.2.3/8}\ncondition: s", []string{`{"f":"10.200.0.1"}`}, []string{`{"f":"11.1.2.3"}`}},
	{"cidr v6 short and long", "s: {f|cidr: 'fe80::/10'}\ncondition: s", []string{`{"f":"fe80::1"}`, `{"f":"febf:0000:0000:0000:0000:0000:0000:0001"}`}, []string{`{"f":"fec0::1"}`, `{"f":""}`}},
	{"cidr of everything", "s: {f|cidr: 0.0.0.0/0}\ncondition: s", []string{`{"f":"8.8.8.8"}`}, []string{`{"f":"::1"}`, `{"f":"host"}`}},
	{"cidr not", "s: {f|cidr: [10.0.0.0/8, 192.168.0.0/16]}\ne: {f|exists: true}\ncondition: e and not s", []string{`{"f":"8.8.8.8"}`, `{"f":"x"}`}, []string{`{"f":"10.0.0.1"}`, `{"f":"192.168.3.4"}`, `{}`}},
	{"base64offset finds each place", "s: {f|base64offset|contains: 'http://'}\ncondition: s", []string{`{"f":"aHR0cDovLw=="}`, `{"f":"eGh0dHA6Ly8="}`, `{"f":"eHhodHRwOi8v"}`}, []string{`{"f":"aHR0cHM6Ly8="}`}},
	{"base64 has a case where it is asked for", "s: {f|base64|contains|cased: foo}\ncondition: s", []string{`{"f":"aZm9vb"}`}, []string{`{"f":"azm9vb"}`}},
	{"base64offset of several with all", "s:\n  f|base64offset|contains|all: [foo, bar]\ncondition: s", []string{`{"f":"Zm9vYmFy"}`}, []string{`{"f":"Zm9v"}`}},
	{"utf16le is wide", "s: {f|utf16le|base64offset|contains: ping}\ncondition: s", []string{`{"f":"cABpAG4AZwA="}`}, []string{`{"f":"cGluZw=="}`}},
	{"utf16be in base64", "s: {f|utf16be|base64: ab}\ncondition: s", []string{`{"f":"AGEAYg=="}`}, []string{`{"f":"YQBiAA=="}`}},
	{"windash of a list", "s:\n  f|windash|contains: [' -a ', ' -b ']\ncondition: s", []string{`{"f":"x /a y"}`, `{"f":"x –b y"}`}, []string{`{"f":"x a y"}`}},
	{"windash startswith", "s: {f|windash|startswith: '-x'}\ncondition: s", []string{`{"f":"/x y"}`, `{"f":"-x"}`}, []string{`{"f":"y /x"}`}},
	{"a wildcard in startswith", "s: {f|startswith: 'a?c*e'}\ncondition: s", []string{`{"f":"abcdef"}`, `{"f":"axce"}`}, []string{`{"f":"xabcdef"}`, `{"f":"ace"}`}},
	{"a wildcard in endswith", "s: {f|endswith: 'a*c'}\ncondition: s", []string{`{"f":"zzabc"}`, `{"f":"ac"}`}, []string{`{"f":"abcd"}`}},
	{"only question marks", "s: {f: '??'}\ncondition: s", []string{`{"f":"ab"}`, `{"f":"é1"}`, `{"f":42}`}, []string{`{"f":"a"}`, `{"f":"abc"}`, `{"f":""}`}},
	{"stars beside each other are one", "s: {f: 'a**b'}\ncondition: s", []string{`{"f":"ab"}`, `{"f":"axxb"}`}, []string{`{"f":"a"}`}},
	{"a star and cased", "s: {f|cased: 'Ab*'}\ncondition: s", []string{`{"f":"Abc"}`}, []string{`{"f":"abc"}`}},
	{"endswith cased", "s: {f|endswith|cased: 'Xy'}\ncondition: s", []string{`{"f":"aXy"}`}, []string{`{"f":"axy"}`}},
	{"cased in a list", "s:\n  f|contains|cased: [Ab, cD]\ncondition: s", []string{`{"f":"xAb"}`, `{"f":"cDx"}`}, []string{`{"f":"ab"}`, `{"f":"CD"}`}},
	{"cased contains all", "s:\n  f|contains|all|cased: [Ab, cD]\ncondition: s", []string{`{"f":"cD Ab"}`}, []string{`{"f":"cD ab"}`}},
	{"Greek folds", "s: {f: 'ΣΊΣΥΦΟΣ'}\ncondition: s", []string{`{"f":"σίσυφος"}`, `{"f":"σίσυφοσ"}`, `{"f":"ΣΊΣΥΦΟΣ"}`}, []string{`{"f":"σισυφοσ"}`}},
	{"Cyrillic folds inside", "s: {f|contains: 'пароль'}\ncondition: s", []string{`{"f":"ваш ПАРОЛЬ истек"}`}, []string{`{"f":"parol"}`}},
	{"letters that fold to ASCII", "s: {f: 'kelvins'}\ncondition: s", []string{`{"f":"\u212aELVINS"}`, `{"f":"kelvin\u017f"}`}, []string{`{"f":"elvins"}`}},
	{"comparisons of a string and a number", "s: {f|gt: 10}\ncondition: s", []string{`{"f":"11"}`, `{"f":"1e3"}`, `{"f":10.5}`}, []string{`{"f":"9"}`, `{"f":"ten"}`, `{"f":""}`, `{"f":null}`, `{"f":[]}`, `{"f":false}`, `{"f":{"a":11}}`}},
	{"a limit that is quoted", "s: {f|lte: '10'}\ncondition: s", []string{`{"f":10}`, `{"f":"3"}`}, []string{`{"f":11}`}},
	{"between", "s: {f|gte: 10, f|lt: 20}\ncondition: s", []string{`{"f":10}`, `{"f":19.9}`}, []string{`{"f":20}`, `{"f":9}`}},
	{"a negative limit", "s: {f|lt: -5}\ncondition: s", []string{`{"f":-6}`}, []string{`{"f":-5}`, `{"f":5}`}},
	{"a minute", "s: {t|minute: 0}\ncondition: s", []string{`{"t":"2026-01-01T10:00:59Z"}`}, []string{`{"t":"2026-01-01T10:01:00Z"}`}},
	{"a week is of ISO 8601", "s: {t|week: 53}\ncondition: s", []string{`{"t":"2027-01-01T00:00:00Z"}`, `{"t":"2026-12-31T00:00:00Z"}`}, []string{`{"t":"2027-01-04T00:00:00Z"}`}},
	{"a list of months", "s:\n  t|month: [1, 12]\ncondition: s", []string{`{"t":"2026-12-31T00:00:00Z"}`, `{"t":"2026-01-31T00:00:00Z"}`}, []string{`{"t":"2026-02-01T00:00:00Z"}`}},
	{"years are compared", "s: {t|year|lt: 2000}\ncondition: s", []string{`{"t":"1999-12-31T23:59:59Z"}`}, []string{`{"t":"2000-01-01T00:00:00Z"}`, `{}`}},
	{"keywords with all and wildcards", "k:\n  '|all': ['a*c', 'x?z']\ncondition: k", []string{`{"p":"abc","q":["xyz"]}`}, []string{`{"p":"abc"}`, `{"p":"xyz"}`}},
	{"a keyword is no part of a name", "k: ['error']\ncondition: k", []string{`{"msg":"an ERROR here"}`}, []string{`{"error":"none"}`}},
	{"a keyword and a filter", "k: ['drop']\nf: {user: admin}\ncondition: k and not f", []string{`{"q":"drop it","user":"x"}`, `{"q":"drop"}`}, []string{`{"q":"drop","user":"admin"}`}},
	{"keywords of two lists", "a: ['one']\nb: ['two']\ncondition: a and b", []string{`{"x":"two","y":"one"}`, `{"x":"one two"}`}, []string{`{"x":"one"}`}},
	{"empty, null and absent apart", "e: {f: ''}\nn: {f: null}\ncondition: e and not n", []string{`{"f":""}`}, []string{`{}`, `{"f":null}`, `{"f":"x"}`}},
	{"not empty leaves the absent in", "e: {g: 1}\nn: {f: ''}\ncondition: e and not n", []string{`{"g":1}`, `{"g":1,"f":"x"}`, `{"g":1,"f":null}`}, []string{`{"g":1,"f":""}`}},
	{"exists and a value", "s: {f|exists: true, f: 'a'}\ncondition: s", []string{`{"f":"a"}`}, []string{`{}`, `{"f":null}`}},
	{"exists of a nested field", "s: {a.b|exists: false}\ncondition: s", []string{`{"a":{}}`, `{"a":"x"}`, `{}`}, []string{`{"a":{"b":0}}`, `{"a.b":1}`}},
	{"a number is no boolean", "s: {f: 1}\ncondition: s", []string{`{"f":1}`, `{"f":"1"}`, `{"f":1.0}`}, []string{`{"f":true}`, `{"f":"01"}`}},
	{"zero", "s: {f: 0}\ncondition: s", []string{`{"f":0}`, `{"f":"0"}`, `{"f":0.0}`}, []string{`{"f":false}`, `{"f":""}`, `{"f":null}`, `{}`}},
	{"a quoted zero before", "s: {f: '007'}\ncondition: s", []string{`{"f":"007"}`}, []string{`{"f":7}`, `{"f":"7"}`}},
	{"the word null", "s: {f: 'null'}\ncondition: s", []string{`{"f":"null"}`, `{"f":"NULL"}`}, []string{`{"f":null}`, `{}`}},
	{"yes and no are words", "s:\n  f: [yes, 'no']\ncondition: s", []string{`{"f":"yes"}`, `{"f":"No"}`}, []string{`{"f":true}`, `{"f":false}`}},
	{"a selection that is named like one of more", "s: {f: 1}\ns_x: {g: 1}\ncondition: all of s*", []string{`{"f":1,"g":1}`}, []string{`{"f":1}`}},
	{"1 of a whole name", "sel: {f: 1}\nother: {g: 1}\ncondition: 1 of sel", []string{`{"f":1}`}, []string{`{"g":1}`}},
	{"not all of", "s: {e: 1}\nf_a: {f: 1}\nf_b: {g: 1}\ncondition: s and not all of f_*", []string{`{"e":1}`, `{"e":1,"f":1}`}, []string{`{"e":1,"f":1,"g":1}`}},
	{"of and brackets", "a_1: {f: 1}\na_2: {g: 1}\nb: {h: 1}\nc: {i: 1}\ncondition: (1 of a_* or b) and not c", []string{`{"f":1}`, `{"h":1}`}, []string{`{"f":1,"i":1}`, `{"i":1}`}},
	{"not binds the nearest of an or", "a: {f: 1}\nb: {g: 1}\ncondition: a or not b", []string{`{"f":1,"g":1}`, `{}`}, []string{`{"g":1}`}},
	{"and before or on both sides", "a: {f: 1}\nb: {g: 1}\nc: {h: 1}\nd: {i: 1}\ncondition: a and b or c and d", []string{`{"f":1,"g":1}`, `{"h":1,"i":1}`}, []string{`{"f":1,"i":1}`, `{"g":1,"h":1}`}},
	{"objects in a list each give their field", "s: {a.b: x, a.c: y}\ncondition: s", []string{`{"a":[{"b":"x"},{"c":"y"}]}`, `{"a":{"b":"x","c":"y"}}`}, []string{`{"a":[{"b":"x"}]}`}},
	{"a list in objects in a list", "s: {a.b.c: z}\ncondition: s", []string{`{"a":[{"b":[{"c":"y"},{"c":["z"]}]}]}`}, []string{`{"a":[{"b":[{"d":"z"}]}]}`}},
	{"contains all over a list of the event", "s:\n  f|contains|all: [a1, b2]\ncondition: s", []string{`{"f":["xa1","b2x"]}`}, []string{`{"f":["a1"]}`}},
	{"fieldref to a list", "s: {f|fieldref: g}\ncondition: s", []string{`{"f":"b","g":["a","B"]}`}, []string{`{"f":"c","g":["a","b"]}`, `{"f":"c","g":[]}`}},
	{"fieldref of booleans", "s: {f|fieldref: g}\ncondition: s", []string{`{"f":true,"g":true}`, `{"f":true,"g":"true"}`}, []string{`{"f":true,"g":false}`}},
	{"fieldref cased", "s: {f|fieldref|cased: g}\ncondition: s", []string{`{"f":"Ab","g":"Ab"}`}, []string{`{"f":"Ab","g":"ab"}`}},
	{"fieldref and not", "s: {e: 1}\no: {f|fieldref: g}\ncondition: s and not o", []string{`{"e":1,"f":"a","g":"b"}`, `{"e":1,"f":"a"}`}, []string{`{"e":1,"f":"a","g":"A"}`}},
	{"a field with spaces and signs", "s: {'Event ID (new)': 5, 'x@y': z}\ncondition: s", []string{`{"Event ID (new)":5,"x@y":"Z"}`}, []string{`{"Event ID (new)":5}`}},
	{"neq and a wildcard", "s: {f|neq: 'a*'}\ncondition: s", []string{`{"f":"b"}`}, []string{`{"f":"abc"}`, `{}`}},
	{"neq with startswith", "s: {f|startswith|neq: a}\ncondition: s", []string{`{"f":"ba"}`}, []string{`{"f":"ab"}`}},
	{"a list of maps with a list", "s:\n  - f|contains: [x, y]\n    g: 1\n  - h: 2\ncondition: s", []string{`{"f":"ay","g":1}`, `{"h":2}`}, []string{`{"f":"ay"}`, `{"g":1}`}},
}

// promise: DET-10
func TestCornersOfTheSpecification(t *testing.T) {
	for _, c := range corners {
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
