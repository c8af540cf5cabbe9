//go:build !race

package app

// A few hundred folders are looked at one after the other, each by programs that are raced elsewhere: under
// the race detector that takes minutes. make rest runs it without.

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// furnished is a data folder with something in every file that a server keeps, and what it answers.
func furnished(t *testing.T) (dir, answers string, token client.Token) {
	t.Helper()
	dir = folder(t, "production", configuration)
	a, stop := start(t, Options{Dir: dir})
	c, token := member(t, a, "omar", "responder")
	owner, _ := member(t, a, "olga", "owner")
	app := sender(t, a)
	take(t, a, app, "a", 30)
	if _, err := app.Ingest(t.Context(), "bad", "native", []byte(`{"id":"x"}`+"\n")); err != nil {
		t.Fatal(err)
	}
	opened, err := c.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "orders read at night"})
	if err != nil {
		t.Fatal(err)
	}
	inc := opened.Incident
	now := a.desk.Now().UTC()
	q := client.Query{From: now.Add(-time.Hour), To: now.Add(time.Hour), Any: []client.Clause{{Credential: []string{"tok_1"}}}}
	if _, _, err := c.RecordScope(t.Context(), inc, q, "all of the token"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Attach(t.Context(), inc, "notes.txt", "a log", []byte("what was seen")); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Erase(t.Context(), client.Erasure{Merchant: "m_3", All: true, Basis: "shop/redact", Reason: "the shop left"}); err != nil {
		t.Fatal(err)
	}
	if err := local(t, dir).PutSecret(t.Context(), "app_admin", []byte("s3cret")); err != nil {
		t.Fatal(err)
	}
	if _, err := exported(t, c, inc); err != nil {
		t.Fatal(err)
	}
	until(t, "the table has every event", func() (bool, error) { return a.access.Behind() == 0 && a.access.Erasing() == 0, nil })
	answers = whatIsSaid(t, a, token)
	stop()
	return dir, answers, token
}

// whatIsSaid is what a server answers to the questions that people ask of it.
func whatIsSaid(t *testing.T, a *App, token client.Token) string {
	t.Helper()
	c, err := client.New(a.URL(), client.WithToken(token), client.WithTries(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	const inc = "INC-1"
	var b strings.Builder
	show := func(v any, err error) { fmt.Fprintf(&b, "%+v %v\n", v, err) }
	rows, err := c.Board(t.Context())
	for _, r := range rows {
		show([]any{r.ID, r.Title, r.Status}, err)
	}
	lines, err := c.Timeline(t.Context(), inc, "", 0, "")
	for _, l := range lines {
		show([]any{l.ID, l.At, l.Text}, err)
	}
	s, err := c.ScopeRecord(t.Context(), inc, 1)
	show(s.Rows, err)
	now := a.desk.Now().UTC()
	res, err := c.Scope(t.Context(), client.Query{From: now.Add(-time.Hour), To: now.Add(time.Hour), Any: []client.Clause{{Credential: []string{"tok_1"}}}})
	show([]any{res.Events, res.Customers, res.Records, res.Rows}, err)
	page, err := c.Accesses(t.Context(), client.AccessQuery{Kind: "pii_access"})
	show(page.Accesses, err)
	x, err := c.Access(t.Context(), "a-1")
	show(x, err)
	e, err := c.Erasures(t.Context())
	for _, r := range e.Erasures {
		show([]any{r.ID, r.Merchant, r.Fact}, err)
	}
	return b.String()
}

// strict are the files of which every alteration has to be named; of the others it may be one that
// changes nothing that anybody is told, because the file is made again from what is strict.
func strict(name, what string) bool {
	base := filepath.Base(name)
	switch {
	case strings.HasPrefix(name, "log/"):
		if strings.HasSuffix(name, ".lock") || what == "delete" && (base == "version" || strings.Contains(name, ".p/")) {
			return false // locks hold nothing; the version is written again; what was a part of a tile goes by itself
		}
		return true
	case name == "keys/keys.db":
		return what == "delete" || what == "half" || strings.HasPrefix(what, "as ")
	case strings.HasPrefix(name, "keys/"), strings.HasPrefix(name, "attachments/"), strings.HasPrefix(name, "exports/"), strings.HasPrefix(name, "policies/"):
		return true
	case strings.HasPrefix(name, "rejects/"):
		return what != "delete"
	case name == "tocsin.db":
		return what == "delete" || what == "half" || strings.HasPrefix(what, "as ")
	case strings.HasPrefix(name, "spool/"):
		return what == "append"
	case name == "installation.json", name == "tocsin.yaml":
		return what == "delete" || what == "half" || what == "append"
	}
	return false
}

// alteration is one way in which a file is altered.
type alteration struct {
	what string
	data []byte // nil: it is removed
}

func alterations(dir, name, other string, few bool) ([]alteration, error) {
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	swapped, err := os.ReadFile(filepath.Join(dir, other))
	out := []alteration{{"delete", nil}}
	if !bytes.Equal(raw, swapped) {
		out = append(out, alteration{"as " + other, append([]byte{}, swapped...)})
	}
	if len(raw) == 0 {
		return out, err
	}
	out = append(out, alteration{"half", raw[: len(raw)/2 : len(raw)/2]})
	at := []int{len(raw) / 2}
	if !few {
		out = append(out, alteration{"append", append(bytes.Clone(raw), 'x')})
		at = append(at, 0, len(raw)/3, max(len(raw)-2, 0))
	}
	for _, i := range at {
		flipped := bytes.Clone(raw)
		flipped[i] ^= 1
		out = append(out, alteration{fmt.Sprintf("byte %d of %d flipped", i, len(raw)), flipped})
	}
	return out, err
}

// Every file of the data folder is altered: a byte, its end, all of it, the place of another. The doctor
// names the file, or what anybody is answered is what it was, because the file was made again.
//
// promise: INV-3
func TestAnAlteredFileOfTheDataFolderIsNamedOrHealed(t *testing.T) {
	dir, answers, token := furnished(t)
	if all := found(t, dir); len(all) > 0 {
		t.Fatalf("nothing was altered, and this is said: %q", all)
	}
	list := filesOf(t, dir)
	if len(list) < 30 {
		t.Fatalf("the folder has %d files only", len(list))
	}
	documented(t, list)
	var named, healed atomic.Int64
	t.Run("each", func(t *testing.T) {
		for i, name := range list {
			other := list[(i+1)%len(list)]
			for j := range list { // one that is like it, if there is one
				if x := list[(i+1+j)%len(list)]; x != name && filepath.Dir(x) == filepath.Dir(name) && filepath.Ext(x) == filepath.Ext(name) {
					other = x
					break
				}
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				derived := strings.HasPrefix(name, "ids/") || strings.HasPrefix(name, "table/")
				ways, err := alterations(dir, name, other, derived || strings.Contains(name, ".p/"))
				if err != nil {
					t.Fatal(err)
				}
				for _, way := range ways {
					if alter(t, dir, name, way, derived, answers, token) {
						named.Add(1)
					} else {
						healed.Add(1)
					}
				}
			})
		}
	})
	if named.Load() < 80 || healed.Load() < 40 {
		t.Errorf("too little was tried: %d alterations were named and %d healed", named.Load(), healed.Load())
	}
}

// found is what an examination of everything says of the evidence and the files of a folder.
func found(t *testing.T, dir string) (all []string) {
	t.Helper()
	r, err := Examine(t.Context(), Options{Dir: dir}, Depth{Full: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if id, _, _ := strings.Cut(f.ID, "."); f.State != doctor.OK && (f.ID == "evidence.verify" || f.ID == "folder.open" || f.ID == "folder.keys" || id == "file") {
			all = append(all, f.ID+": "+f.Say)
		}
	}
	return all
}

// alter changes one file of a copy of the folder in one way, and says whether that was named. If it was
// not, the answers have to be the ones of before.
func alter(t *testing.T, dir, name string, way alteration, derived bool, answers string, token client.Token) bool {
	t.Helper()
	work, err := os.MkdirTemp("", "t") // short: a socket's path has little room
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(work, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(work, name)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if way.data != nil {
		if err := os.WriteFile(path, way.data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said := strings.Join(found(t, work), "; ")
	sought := name
	if strings.HasPrefix(name, "exports/") && (way.what == "delete") {
		sought = "exports" // the fact knows its digest, which is named
	}
	switch {
	case strings.Contains(said, sought):
		return true
	case strict(name, way.what):
		t.Errorf("%s: it is not named: %q", way.what, said)
		return false
	case said != "" && !derived:
		t.Errorf("%s: something is found and the file is not named: %s", way.what, said)
		return false
	}
	a, err := New(t.Context(), Options{Dir: work})
	if err == nil {
		err = a.Start(t.Context())
	}
	if err != nil {
		t.Errorf("%s: it is not named, and nothing starts: %v", way.what, err)
		return false
	}
	if got := whatIsSaid(t, a, token); got != answers {
		t.Errorf("%s: it is not named, and the answers are others:\n%s\nthey were\n%s", way.what, got, answers)
	}
	if err := a.Stop(); err != nil {
		t.Errorf("%s: stop: %v", way.what, err)
	}
	return false
}

// documented says of each file that the threat model does not list.
func documented(t *testing.T, list []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## A file that was altered")
	table, _, _ = strings.Cut(table, "\n## ")
	var patterns []string
	for line := range strings.Lines(table) {
		if cell, ok := strings.CutPrefix(line, "| `"); ok {
			cell, _, _ = strings.Cut(cell, " |")
			for _, p := range strings.Split(cell, ",") {
				patterns = append(patterns, strings.Trim(p, "` "))
			}
		}
	}
	for _, name := range list {
		if !slices.ContainsFunc(patterns, func(p string) bool {
			first, rest, _ := strings.Cut(p, "*")
			return strings.HasPrefix(name, first) && strings.HasSuffix(name, rest)
		}) {
			t.Errorf("docs/threat-model.md does not say what an alteration of %s is found by", name)
		}
	}
}
