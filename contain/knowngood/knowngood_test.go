package knowngood_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/contain/knowngood"
	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/integrity/folder"
	"github.com/tocsin-ir/tocsin/integrity/theme"
	"github.com/tocsin-ir/tocsin/internal/drill/shop"
	"github.com/tocsin-ir/tocsin/internal/egress"
)

type key struct{}

func (key) Key(string, string) ([]byte, error) { return make([]byte, 32), nil }

// approved makes a connector over one source, whose present state is approved.
func approved(t *testing.T, src integrity.Source) (*knowngood.Connector, *string) {
	t.Helper()
	k := &integrity.Keeper{Sources: map[string]integrity.Source{"files": src}, Store: evidence.Files{Dir: t.TempDir(), Keys: key{}, Key: "k"}}
	m, err := k.Take(t.Context(), "files")
	if err != nil {
		t.Fatal(err)
	}
	digest := m.Digest()
	k.Approved = func(context.Context, string) (integrity.Approval, bool, error) {
		return integrity.Approval{Digest: digest, By: "person:lena"}, digest != "", nil
	}
	return knowngood.New(k), &digest
}

var target = contain.Target{"source": "files", "action": "ACT-1"}

// promise: REC-3
// promise: CON-5
func TestWhatWasSignedIsWhatIsPutBack(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "slip.liquid")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("good")
	c, digest := approved(t, folder.New(folder.Config{Root: dir}))
	if _, err := c.Plan(t.Context(), target, contain.Secret{}); err == nil || !strings.Contains(err.Error(), "there is nothing to put back") {
		t.Errorf("a plan when all is well: %v", err)
	}
	if _, err := c.Plan(t.Context(), contain.Target{"source": "x"}, contain.Secret{}); err == nil || !strings.Contains(err.Error(), "there are files") {
		t.Errorf("a plan for another source: %v", err)
	}
	write("bad")
	if r := c.Confirm(t.Context(), target, contain.Secret{}); r.Outcome != incident.Failed || !strings.Contains(r.Proof, "1 file changed") {
		t.Errorf("it is confirmed before it was done: %+v", r)
	}
	signed := contain.Target{"source": "files", "approved": *digest}
	was := *digest
	*digest = "sha256:" + strings.Repeat("0", 64)
	if r := c.Apply(t.Context(), signed, contain.Secret{}, "e"); r.Outcome != incident.Failed {
		t.Errorf("another state was approved since it was signed, and: %+v", r)
	}
	if b, _ := os.ReadFile(file); string(b) != "bad" {
		t.Errorf("it was written: %q", b)
	}
	*digest = was
	for range 2 { // a second attempt finds it done
		if r := c.Apply(t.Context(), signed, contain.Secret{}, "e"); r.Outcome != incident.Done {
			t.Fatalf("%+v", r)
		}
	}
	if r := c.Confirm(t.Context(), signed, contain.Secret{}); r.Outcome != incident.Done || !strings.Contains(r.Proof, "all 1 files") {
		t.Errorf("%+v", r)
	}
	if r := c.Undo(t.Context(), signed, "e"); r.Code != "cannot_undo" {
		t.Errorf("%+v", r)
	}
}

// A write whose answer is lost may have happened: it is uncertain, and a look tells.
func TestAWriteWithoutAnAnswerIsUncertain(t *testing.T) { // promise: REC-3
	s, err := shop.New(shop.Config{Files: map[string]string{"layout/theme.liquid": "Z29vZA=="}, Admin: "a",
		Tokens: []shop.Token{{Secret: "t", Scopes: []string{"read_themes", "write_themes"}}}})
	if err != nil {
		t.Fatal(err)
	}
	breaks := false
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		s.Handler().ServeHTTP(rec, r)
		if breaks && strings.Contains(rec.Body.String(), "upserted") {
			panic(http.ErrAbortHandler) // it was written, and nobody hears of it
		}
		w.Write(rec.Body.Bytes())
	}))
	defer web.Close()
	out := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	src := theme.New(theme.Config{Shop: "example.myshopify.com", Token: "x", URL: web.URL}, out, func(string) (egress.Secret, error) { return egress.NewSecret("t"), nil })
	c, _ := approved(t, src)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL+"/drill/tamper", strings.NewReader(`[{"file":"layout/theme.liquid","content":"YmFk"}]`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer a")
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	breaks = true
	if r := c.Apply(t.Context(), target, contain.Secret{}, "e"); r.Outcome != incident.Uncertain {
		t.Fatalf("%+v", r)
	}
	if r := c.Confirm(t.Context(), target, contain.Secret{}); r.Outcome != incident.Done {
		t.Errorf("a look afterwards: %+v", r)
	}
}

// An incident keeps a bounded number of files, and a mass defacement has to be put back all the same.
func TestManyFilesAsFoundAreKeptInArchives(t *testing.T) { // promise: INV-3
	dir := t.TempDir()
	write := func(n int, s string) {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%03d", n)), []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const files = 300
	for n := range files {
		write(n, "good")
	}
	c, _ := approved(t, folder.New(folder.Config{Root: dir}))
	for n := range files {
		write(n, fmt.Sprint("bad ", n))
	}
	write(0, strings.Repeat("x", 7<<20))
	write(1, strings.Repeat("y", 7<<20))
	write(2, strings.Repeat("z", 7<<20))
	traces, err := c.Traces(t.Context(), target)
	if err != nil || len(traces) != 2 {
		t.Fatalf("%d archives, %v", len(traces), err)
	}
	kept := map[string]bool{}
	for _, x := range traces {
		z, err := zip.NewReader(bytes.NewReader(x.Bytes), int64(len(x.Bytes)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range z.File {
			kept[f.Name] = true
		}
	}
	if len(kept) != files {
		t.Errorf("%d of %d files are kept", len(kept), files)
	}
	again, err := c.Traces(t.Context(), target)
	if err != nil || !bytes.Equal(again[0].Bytes, traces[0].Bytes) {
		t.Error("the same files made other archives")
	}
}
