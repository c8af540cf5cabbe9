package integrity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/integrity"
)

// memory is a store and a source in memory.
type memory struct {
	kept  map[string][]byte
	files map[string]string
	wrote []string
}

func (m *memory) Put(r io.Reader) (string, int64, error) {
	b, err := io.ReadAll(r)
	m.kept[integrity.Digest(b)] = b
	return integrity.Digest(b), int64(len(b)), err
}

func (m *memory) Get(digest string) ([]byte, error) {
	if b, ok := m.kept[digest]; ok {
		return b, nil
	}
	return nil, fs.ErrNotExist
}

func (*memory) Kind() string  { return "folder" }
func (*memory) Place() string { return "/srv/templates" }

func (m *memory) Read(context.Context) (out []integrity.Entry, _ error) {
	for name, text := range m.files {
		out = append(out, integrity.Entry{Path: name, Bytes: []byte(text)})
	}
	return out, nil
}

func (m *memory) Write(_ context.Context, put []integrity.Entry, remove []string) error {
	for _, e := range put {
		m.files[e.Path] = string(e.Bytes)
		m.wrote = append(m.wrote, e.Path)
	}
	for _, name := range remove {
		delete(m.files, name)
		m.wrote = append(m.wrote, "-"+name)
	}
	return nil
}

func keeper(t *testing.T, files map[string]string) (*integrity.Keeper, *memory) {
	t.Helper()
	m := &memory{kept: map[string][]byte{}, files: files}
	k := &integrity.Keeper{Sources: map[string]integrity.Source{"templates": m}, Store: m}
	approved := ""
	k.Approved = func(context.Context, string) (integrity.Approval, bool, error) {
		return integrity.Approval{Digest: approved, By: "person:lena"}, approved != "", nil
	}
	if _, err := k.Look(t.Context(), "templates"); !errors.Is(err, integrity.ErrNoBaseline) {
		t.Fatalf("a look without a baseline: %v", err)
	}
	manifest, err := k.Take(t.Context(), "templates")
	if err != nil {
		t.Fatal(err)
	}
	approved = manifest.Digest()
	return k, m
}

func TestAChangeIsFoundShownAndPutBack(t *testing.T) { // promise: DET-7
	k, m := keeper(t, map[string]string{"slip.liquid": "<h1>Slip</h1>\n{{ order }}\n", "mail.liquid": "Hello\n", "logo.png": "\x89PNG\x00\x01"})
	f, err := k.Look(t.Context(), "templates")
	if err != nil || len(f.Changes) != 0 || f.Found != f.Approval.Digest {
		t.Fatalf("nothing has changed: %+v, %v", f, err)
	}
	m.files["slip.liquid"] = "<h1>Slip</h1>\n<script src=//evil.example></script>\n{{ order }}\n"
	m.files["pixel.js"] = "steal()\n"
	m.files["logo.png"] = "\x89PNG\x00\x02"
	delete(m.files, "mail.liquid")
	if f, err = k.Look(t.Context(), "templates"); err != nil {
		t.Fatal(err)
	}
	if got, want := integrity.Summary(f.Changes), "1 file added, 2 changed, 1 removed"; got != want {
		t.Errorf("summary %q, want %q", got, want)
	}
	shown, err := k.Show(f.Approval.Digest, f.Found, 10)
	if err != nil || len(shown) != 4 {
		t.Fatalf("shown: %+v, %v", shown, err)
	}
	text := map[string]integrity.Shown{}
	for _, s := range shown {
		text[s.Path] = s
	}
	if d := text["slip.liquid"].Diff; !strings.Contains(d, "\n+<script src=//evil.example></script>\n") || !strings.Contains(d, "--- approved/slip.liquid\n+++ found/slip.liquid\n") {
		t.Errorf("the diff does not show the line that was added:\n%s", d)
	}
	if d := text["mail.liquid"].Diff; !strings.Contains(d, "-Hello") || !strings.Contains(d, "+++ /dev/null") {
		t.Errorf("the diff of a file that is gone:\n%s", d)
	}
	if s := text["logo.png"]; !s.Binary || s.Diff != "" || s.Before.Digest == s.After.Digest {
		t.Errorf("a picture is shown by its digests: %+v", s)
	}
	if b, err := k.Store.Get(text["pixel.js"].After.Digest); err != nil || string(b) != "steal()\n" {
		t.Errorf("the file as found is kept: %q, %v", b, err)
	}

	if _, err := k.Restore(t.Context(), "templates", ""); err != nil {
		t.Fatal(err)
	}
	slices.Sort(m.wrote)
	if want := []string{"-pixel.js", "logo.png", "mail.liquid", "slip.liquid"}; !slices.Equal(m.wrote, want) {
		t.Errorf("wrote %v, want %v", m.wrote, want)
	}
	m.wrote = nil
	m.files["pixel.js"] = "steal()\n"
	if _, err := k.Restore(t.Context(), "templates", "sha256:of another state"); !errors.Is(err, integrity.ErrApproved) || m.wrote != nil {
		t.Errorf("a state that is not the approved one any more: wrote %v, %v", m.wrote, err)
	}
	delete(m.files, "pixel.js")
	if f, err = k.Restore(t.Context(), "templates", ""); err != nil || len(f.Changes) != 0 || m.wrote != nil {
		t.Errorf("a second restore writes %v: %+v, %v", m.wrote, f, err)
	}
	if f, err = k.Look(t.Context(), "templates"); err != nil || f.Found != f.Approval.Digest {
		t.Errorf("after the restore: %+v, %v", f, err)
	}
}

func TestADiffIsBounded(t *testing.T) {
	k, m := keeper(t, map[string]string{"a.js": "x\n", "b.js": "x\n", "c.js": "x\n"})
	m.files["a.js"] = strings.Repeat("line\n", 5000)
	m.files["b.js"] = strings.Repeat("y", 100_000) + "\n"
	m.files["c.js"] = strings.Repeat("z\n", 300<<10)
	f, err := k.Look(t.Context(), "templates")
	if err != nil {
		t.Fatal(err)
	}
	shown, err := k.Show(f.Approval.Digest, f.Found, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shown {
		if !s.Cut || len(s.Diff) > 64<<10 {
			t.Errorf("%s: %d bytes of diff, cut %v", s.Path, len(s.Diff), s.Cut)
		}
	}
	if shown, err = k.Show(f.Approval.Digest, f.Found, 1); err != nil || len(shown) != 3 || shown[2].Diff != "" || !shown[2].Cut {
		t.Errorf("beyond the number of files that are shown: %+v, %v", shown[2], err)
	}
}

func TestWhatIsTooLargeOrOddlyNamedIsRefused(t *testing.T) {
	for name, entries := range map[string][]integrity.Entry{
		"too large":   {{Path: "a", Bytes: bytes.Repeat([]byte("x"), integrity.MaxFile+1)}},
		"leads out":   {{Path: "../etc/passwd"}},
		"absolute":    {{Path: "/etc/passwd"}},
		"not clean":   {{Path: "a//b"}},
		"control":     {{Path: "a\nb"}},
		"twice":       {{Path: "a"}, {Path: "a"}},
		"no UTF-8":    {{Path: "a\xff"}},
		"a backslash": {{Path: `a\..\b`}},
	} {
		if _, err := integrity.ManifestOf(entries); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	var many []integrity.Entry
	for i := range integrity.MaxFiles + 1 {
		many = append(many, integrity.Entry{Path: fmt.Sprint("f", i)})
	}
	if _, err := integrity.ManifestOf(many); !errors.Is(err, integrity.ErrBounds) {
		t.Errorf("too many files: %v", err)
	}
}

func TestALinkIsNoticedAndNeverApproved(t *testing.T) {
	was, _ := integrity.ManifestOf([]integrity.Entry{{Path: "a", Bytes: []byte("b")}})
	now, _ := integrity.ManifestOf([]integrity.Entry{{Path: "a", Bytes: []byte("b"), Link: true}})
	if c := integrity.Compare(was, now); len(c) != 1 || c[0].Kind != integrity.Changed {
		t.Errorf("a file that became a link with the same bytes: %+v", c)
	}
}

func TestWhatIsNotKeptWholeIsNamed(t *testing.T) { // promise: REC-3
	k, m := keeper(t, map[string]string{"slip.liquid": "good", "mail.liquid": "Hello"})
	a, _, _ := k.Approved(t.Context(), "templates")
	if err := k.Whole(a.Digest); err != nil {
		t.Fatal(err)
	}
	delete(m.kept, integrity.Digest([]byte("good")))
	if err := k.Whole(a.Digest); err == nil || !strings.Contains(err.Error(), "slip.liquid is gone") {
		t.Errorf("a file that is gone: %v", err)
	}
	m.kept[integrity.Digest([]byte("good"))] = []byte("bad")
	if err := k.Whole(a.Digest); err == nil || !strings.Contains(err.Error(), "slip.liquid was altered") {
		t.Errorf("a file that was altered: %v", err)
	}
}
