package judge

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The installation beside a drill is a script here, which behaves as one that was set up badly would.
//
// promise: PRO-7
func TestAnInstallationBesideADrillHearsNothingOfIt(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(refuses.Close)
	lets := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(lets.Close)
	serves := func(url string) string { return `echo '{"address":"` + url + `"}'` + "\n" }
	const waits = "while :; do sleep 0.02; done\n"
	for name, c := range map[string]struct {
		script, facts, says string
	}{
		"it refuses and is silent":        {"trap 'exit 0' INT\n" + serves(refuses.URL) + waits, "drill", ""},
		"it lets a token of the drill in": {"trap 'exit 0' INT\n" + serves(lets.URL) + waits, "drill", "answers 200 to secret number 1"},
		"it answers on the pipe":          {"echo ready >&4\n" + waits, "drill", "takes the drill's word"},
		"it answers on the pipe late":     {"trap 'echo ready >&4; exit 0' INT\n" + serves(refuses.URL) + waits, "drill", "takes the drill's word"},
		"it sends a mail":                 {"trap 'echo \"{\\\"file\\\":\\\"1.eml\\\"}\" > \"$4/index.ndjson\"; exit 0' INT\n" + serves(refuses.URL) + waits, "drill", "1 mails came"},
		"it ends at once":                 {"echo 'there is no room' >&2\nexit 3\n", "drill", "ended by itself (exit status 3): there is no room"},
		"a fact is no drill's":            {waits, "production", "does not say that it is a drill's"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			program := filepath.Join(dir, "tocsin")
			for file, text := range map[string]string{"tocsin": "#!/bin/sh\n" + c.script, "index.ndjson": "", "1.eml": "Subject: x\r\n\r\nx\r\n"} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			b := &bench{ctx: t.Context(), c: Case{Tocsin: program, Production: dir, Now: night, Mailbox: dir, Secrets: []Secret{"tok_1"}},
				export: &export{files: map[string][]byte{"facts.ndjson": []byte(`{"header":{"id":"F1","env":"` + c.facts + `"}}` + "\n")}}}
			err := b.keptApart(&row{})
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}
