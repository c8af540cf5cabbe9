package verify

import (
	"bytes"
	"testing"
)

// What is checked has to be what every other reader of the file sees.
func TestANameThatCanBeReadInTwoWaysIsRefused(t *testing.T) {
	for raw, ok := range map[string]bool{
		`{"header":{"id":"a"},"hash":"x"}`:                                    true,
		`{"list":[{"id":1},{"id":2}],"id":3}`:                                 true,
		`{"attributes":{"a":1,"A":2},"a":{"attributes":{"x":{"X":1,"x":2}}}}`: true,
		`[1,"a","a",{"a":[{"b":"c","c":"b"}]}]`:                               true,
		`{"header":{"id":"a"},"header":{"id":"b"}}`:                           false,
		`{"header":{"id":"a"},"Header":{"id":"b"}}`:                           false,
		`{"kind":1,"\u212aind":2}`:                                            false, // the Kelvin sign
		`{"hash":1,"ha\u017fh":2}`:                                            false, // the long s
		`{"a":{"b":[{"c":1,"c":1}]}}`:                                         false,
		`{"attributes":{"a":1,"a":2}}`:                                        false,
		`{"attributes":{"x":1},"id":1,"Id":2}`:                                false,
	} {
		var v any
		if err := strict([]byte(raw), &v); (err == nil) != ok {
			t.Errorf("%s: %v", raw, err)
		}
	}
	var v any
	if strict(bytes.Repeat([]byte("["), 1<<20), &v) == nil {
		t.Error("brackets without an end are one value")
	}
}
