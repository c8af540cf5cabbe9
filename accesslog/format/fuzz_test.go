package format

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,63}$`)

// Whatever is sent in whatever format, each entry is an event, is skipped, or is refused in one
// line that names a field and a reason and repeats nothing of what was sent, which may be personal.
func FuzzDecode(f *testing.F) {
	for _, name := range append(Names(), Protobuf) {
		for _, s := range []string{
			`[[[[[[[[[[[[[[[[[[[[`, `{"time":"x"}`, `{"actor":"secret-value"}`, "{\"a\":\"\xff\"}", `null`, `{"subjects":{}}`, `{"bytes":1e400}`,
			`{"time":1763780531,"kind":"auth","nobody.declared@example.com":1}`, `{"Records":[`, `{"entries":[{}`, "a,b\n\"", "\n\x00", "\x0a\x05\x12\x03\x12\x01\x0a",
		} {
			f.Add(name, []byte(s))
		}
	}
	samples, err := filepath.Glob("testdata/*.in")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range samples {
		body, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		name, _, _ := strings.Cut(filepath.Base(path), "-")
		f.Add(name, body)
		f.Add(Auto, body)
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		b, err := Cut(body, name, 1000)
		if err != nil {
			var form *FormatError
			var most *TooMany
			if !errors.As(err, &form) && !errors.As(err, &most) {
				t.Fatalf("an error of another kind: %T", err)
			}
			return
		}
		var d Decoder
		d.Reset(b, func(string) {})
		for i := range b.Len() {
			e, err := d.Decode(i)
			if err == nil {
				err = e.Check()
			}
			var skip *Skip
			if err == nil || errors.As(err, &skip) {
				continue
			}
			var why *Invalid
			if !errors.As(err, &why) {
				t.Fatalf("an error of another kind: %T", err)
			}
			if !fieldName.MatchString(why.Field) || len(err.Error()) > 200 || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Fatalf("the refusal may repeat what was sent: %q", err)
			}
		}
	})
}
