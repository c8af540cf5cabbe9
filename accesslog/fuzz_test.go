package accesslog

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]{0,63}$`)

// A sender's text is an event or a refusal that names a field and a reason in one line and repeats
// nothing of the text, which may be personal.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"id":"1","time":"2026-11-22T03:02:11.482Z","kind":"pii_access","actor":{"type":"user","id":"w"},"action":"read","merchant":"m_1","subjects":[{"kind":"email","id":"a@example.com"}],"data_types":["customer.email"]}`,
		`{"time":1763780531,"kind":"auth","nobody.declared@example.com":1}`,
		`{"eventID":"e","eventTime":"2026-11-22T03:02:11Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","userIdentity":{"type":"IAMUser","arn":"arn:x"}}`,
		`[[[[[[[[[[[[[[[[[[[[`, `{"time":"x"}`, `{"actor":"secret-value"}`, "{\"a\":\"\xff\"}", `null`, `{"subjects":{}}`, `{"bytes":1e400}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for name, decode := range map[string]func([]byte) (*Wire, error){
			"native":     func(raw []byte) (*Wire, error) { return decodeNative(raw, func(string) {}) },
			"cloudtrail": decodeCloudTrail,
		} {
			w, err := decode(raw)
			if (w == nil) != (err != nil) {
				t.Fatalf("%s: an event: %v, an error: %v", name, w != nil, err)
			}
			if err == nil {
				continue
			}
			var why *invalid
			if !errors.As(err, &why) {
				t.Fatalf("%s: an error of another kind: %T", name, err)
			}
			if !fieldName.MatchString(why.field) || len(err.Error()) > 200 || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Fatalf("%s: the refusal may repeat what was sent: %q", name, err)
			}
		}
	})
}
