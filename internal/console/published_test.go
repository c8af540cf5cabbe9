package console_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/desktest"
	"github.com/tocsin-ir/tocsin/policies"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/regimes"
)

// publish puts a policy with a table of clocks into force, in place of one that promised less.
func publish(t *testing.T, d *desktest.Desk) {
	t.Helper()
	source, err := policies.FS.ReadFile("shopstars.yaml")
	if err != nil {
		t.Fatal(err)
	}
	source = bytes.Replace(source, []byte("\npage:\n"), []byte("\npage:\n  - \"{tables}\"\n"), 1)
	older := bytes.Replace(source, []byte("critical: { start_containment: 1h..2h business"), []byte("critical: { start_containment: 1h..4h business"), 1)
	if bytes.Equal(older, source) || !bytes.Contains(source, []byte("{tables}")) {
		t.Fatal("the policy has no clock to be changed, or no page to show its tables on")
	}
	compile := func(b []byte) *policy.Program {
		p, diags := policy.Compile("shopstars.yaml", b, policy.WithLaws(regimes.Catalogue()))
		if p == nil {
			t.Fatal(policy.Format(diags, b))
		}
		return p
	}
	d.Program, d.Before, d.Since = compile(source), compile(older), now.Add(-40*time.Hour)
}

// What is published is one text in three forms, each of which says which version it is and what has
// changed; who holds the newest gets no bytes again.
// promise: PUB-1
func TestThePublishedPolicyIsOneTextInThreeForms(t *testing.T) {
	b, _ := open(t, console.Options{})
	publish(t, b.desk)
	changed := "instead of 4 business hours where the severity is critical"
	shown := b.get("/policy")
	for _, want := range []string{"in place of version <code>" + b.desk.Before.Version(), `href="#changes">1 stricter<`, `id="changes"`, changed, `href="/policy.pdf"`} {
		if !strings.Contains(shown.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for path, kind := range map[string]string{"/policy.md": "text/markdown; charset=utf-8", "/policy.pdf": "application/pdf"} {
		got := b.get(path)
		if got.status != http.StatusOK || got.header.Get("Content-Type") != kind || got.header.Get("Tocsin-Policy") != b.desk.Program.Hash {
			t.Errorf("%s: %d %v", path, got.status, got.header)
		}
		tag := got.header.Get("ETag")
		if again := b.send("GET", path, nil, "If-None-Match", tag); tag == "" || again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("%s: asked again with %q: %d and %d bytes", path, tag, again.status, len(again.body))
		}
		if path == "/policy.md" && !strings.Contains(got.body, changed) {
			t.Errorf("the Markdown does not say %q", changed)
		}
		if path == "/policy.pdf" {
			if text := textOf(t, []byte(got.body)); !strings.Contains(text, changed) || !strings.Contains(text, "Version "+b.desk.Program.Version()) {
				t.Errorf("the paper does not say %q and its version:\n%s", changed, text)
			}
		}
		b.desk.Before = nil
		first := b.send("GET", path, nil, "If-None-Match", tag)
		if first.status != http.StatusOK || strings.Contains(first.body, "What has changed") {
			t.Errorf("%s without a version before: %d", path, first.status)
		}
		publish(t, b.desk)
	}
}

// textOf is the text of a PDF, with every run of blanks as one.
func textOf(t *testing.T, pdf []byte) string {
	t.Helper()
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		absent(t, "pdftotext is not installed: apt-get install poppler-utils")
	}
	file := filepath.Join(t.TempDir(), "page.pdf")
	if err := os.WriteFile(file, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(tool, "-layout", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
