package plainjson

import (
	"bytes"
	"encoding/json"
	"testing"
)

// walk reads a text the way readers of events do, and says whether it was understood.
func walk(raw []byte) bool {
	s := Of(raw)
	for s.Enter('{'); s.More('}'); {
		switch string(s.Key()) {
		case "text":
			s.Text()
		case "count":
			s.Count()
		case "flag":
			s.Yes()
		case "list":
			for s.Enter('['); s.More(']'); {
				s.Text()
			}
		case "object":
			for s.Enter('{'); s.More('}'); {
				s.Key()
				s.Text()
			}
		default:
			s.Lose()
		}
	}
	return s.Done()
}

func TestWhatIsUnderstood(t *testing.T) {
	for raw, want := range map[string]bool{
		`{}`: true, `{"text":"a"}`: true, ` { "text" : "a" , "count" : 12 } `: true, `{"list":[],"object":{},"flag":true}`: true,
		`{"list":["a" , "b"],"object":{"x":"y","z":"é"}}`: true, "{\n\t\"count\": 0\r\n}": true,
		``: false, `[]`: false, `{"text":"a",}`: false, `{"text":"a"}}`: false, `{,"text":"a"}`: false, `{"text" "a"}`: false, `{"text":"a" "count":1}`: false,
		`{"text":"\n"}`: false, "{\"text\":\"\n\"}": false, `{"count":01}`: false, `{"count":1.5}`: false, `{"count":-1}`: false, `{"count":1e3}`: false,
		`{"count":1234567890123456789}`: false, `{"count":}`: false, `{"flag":false}`: false, `{"text":null}`: false, `{"list":["a",]}`: false, `{"list":["a"}`: false,
	} {
		if got := walk([]byte(raw)); got != want {
			t.Errorf("%s: understood %v, want %v", raw, got, want)
		}
	}
}

// What is understood is JSON, and a value that was gone over ends where it ends.
func FuzzWhatIsUnderstoodIsJSON(f *testing.F) {
	for _, s := range []string{`{"text":"a","count":3}`, `{"list":["a"],"object":{"b":"c"}}`, `{"flag":true }`, `{"count":1x}`, `{"text":"a"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if walk(raw) && !json.Valid(raw) {
			t.Fatalf("%q was understood and is not JSON", raw)
		}
		if !json.Valid(raw) || len(raw) == 0 {
			return
		}
		s := Of(append(append([]byte(`{"a":`), raw...), `,"text":"b"}`...))
		s.Enter('{')
		s.More('}')
		s.Key()
		value := s.Skip()
		if !json.Valid(value) || !s.More('}') || string(s.Key()) != "text" || string(s.Text()) != "b" || s.More('}') || !s.Done() {
			t.Fatalf("%q: the value was taken to be %q", raw, value)
		}
	})
}

// Whatever stands where in a text, it ends at the first quote and holds no escape and no control character.
func TestATextEndsWhereItEnds(t *testing.T) {
	for length := range 20 {
		for at := range length + 1 {
			for c := range 256 {
				for _, filler := range []byte{'a', ' ', '!', '#', '[', ']', 0x7f, 0x80, 0xa2, 0xdc, 0xff} {
					raw := append(bytes.Repeat([]byte{filler}, length), '"', ':', '"')
					raw[at] = byte(c)
					end := bytes.IndexByte(raw, '"')
					want := !bytes.ContainsFunc(raw[:max(end, 0)], func(r rune) bool { return r == '\\' || r < ' ' })
					s := Of(append([]byte{'"'}, raw...))
					got := s.Text()
					if understood := !s.lost; understood != want || want && string(got) != string(raw[:end]) {
						t.Fatalf("%q: understood %v as %q", raw, understood, got)
					}
				}
			}
		}
	}
}
