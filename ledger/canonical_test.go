package ledger_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/ledger"
)

func TestCanonicalForms(t *testing.T) {
	for in, want := range map[string]string{
		` { "b" : 1 , "a" : [ 1 , 2 , { "z":null, "y":true } ] } `: `{"a":[1,2,{"y":true,"z":null}],"b":1}`,
		`{"b":{"d":1,"c":2},"a":{"f":1,"e":2}}`:                    `{"a":{"e":2,"f":1},"b":{"c":2,"d":1}}`,
		`"\u20ac\u0024\u000F\u000aA'\u0042\u0022\u005c\\\"\/"`:     "\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"",
		`"\ud83d\ude00 \u003c\u007f"`:                              "\"😀 <\x7f\"",
		`[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001, -0, 0.0, -0.0, 1e21, 1e20, 123456789012345, 9007199254740992]`: `[333333333.3333333,1e+30,4.5,0.002,1e-27,0,0,0,1e+21,100000000000000000000,123456789012345,9007199254740992]`,
		"{\"\\u20ac\":1,\"\\r\":2,\"\ufb33\":3,\"1\":4,\"😀\":5,\"\u0080\":6,\"ö\":7}":                                                         "{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}",
		`{}`: `{}`, `[]`: `[]`, `[ ]`: `[]`, `null`: `null`, `""`: `""`,
	} {
		got, err := ledger.Canonical([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("%s\n gave %s (%v)\n want %s", in, got, err, want)
		}
	}
}

func TestCanonicalRefusesWhatItCannotCarryExactly(t *testing.T) {
	for _, in := range []string{
		``, `{`, `[1,]`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `{"a":1 "b":2}`, `[1 2]`, `1 2`, `tru`, `nul`, `+1`, `01`, `1.`, `.5`, `1e`, `--1`, `NaN`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"b":1,"a":2,"b":3}`,
		`"\ud800"`, `"\ude00\ud83d"`, `"\ud83dx"`, `"\u12"`, `"\x"`, "\"\xff\"", "\"a\nb\"", "\"\\n\x01\"", `"open`, `"open\`, `"open\"`, "\"\\n\xff\"",
		`9007199254740993`, `-9007199254740993`, `18446744073709551616`, `1e400`,
		strings.Repeat("[", 100) + strings.Repeat("]", 100),
	} {
		if got, err := ledger.Canonical([]byte(in)); err == nil {
			t.Errorf("%q gave %s", in, got)
		} else if len(in) > 20 && strings.Contains(err.Error(), in) {
			t.Errorf("the error holds the document: %v", err)
		}
	}
}

// value draws any JSON value.
func value(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.String(), func(s string) any { return strings.ToValidUTF8(s, "?") }),
		rapid.Map(rapid.Int64Range(-1<<53, 1<<53), func(n int64) any { return n }),
		rapid.Map(rapid.Float64(), func(f float64) any {
			// Integers beyond 2^53 are refused by design and written with an exponent by nobody here.
			if math.IsNaN(f) || math.IsInf(f, 0) || f == math.Trunc(f) && math.Abs(f) > 1<<53 {
				return 0.5
			}
			return f
		}),
	)
	if depth == 0 {
		return scalar
	}
	key := rapid.Map(rapid.String(), func(s string) string { return strings.ToValidUTF8(s, "?") })
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(value(depth-1), 0, 5), func(v []any) any { return v }),
		rapid.Map(rapid.MapOfN(key, value(depth-1), 0, 6), func(v map[string]any) any { return v }))
}

func TestCanonicalEqualsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(value(3).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		want, err := jcs.Transform(text)
		if err != nil {
			t.Skip("the reference refuses it")
		}
		got, err := ledger.Canonical(text)
		if err != nil || string(got) != string(want) {
			t.Fatalf("%s\n gave %s (%v)\n want %s", text, got, err, want)
		}
		again, err := ledger.Canonical(got)
		if err != nil || string(again) != string(got) {
			t.Fatalf("%s is not its own canonical form: %s (%v)", got, again, err)
		}
	})
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{`{"b":[1,2.5e-7],"a":"\u20ac"}`, `[[[]]]`, `"\ud83d\ude00"`, `1e21`, `{"a":{"a":{}}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ledger.Canonical(text)
		if err != nil {
			return
		}
		if !json.Valid(text) || !json.Valid(got) {
			t.Fatalf("%q was taken and gave %q", text, got)
		}
		if want, err := jcs.Transform(text); err == nil && string(got) != string(want) {
			t.Fatalf("%q gave %q, want %q", text, got, want)
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	text := []byte(`{"query":{"from":"2026-11-20T00:00:00Z","to":"2026-11-22T00:00:00Z","credential":["tok_1","tok_2"]},"merchants":214,"customers":18211,"digest":"sha256:abcdef","at_least":false,"gaps":[],"log":"javabeanai/events","size":812345}`)
	b.Run("ledger", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := ledger.Canonical(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("jcs", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := jcs.Transform(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
