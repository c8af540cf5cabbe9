package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/client"
	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/desk"
)

// promise: INV-1
func TestAVendorsOwnListIsComparedAndLeavesNoTrace(t *testing.T) {
	dir := folder(t, "production", configuration)
	a, stop := start(t, Options{Dir: dir})
	responder, _ := member(t, a, "omar", "responder")
	now := a.desk.Now().UTC()
	event := func(id, merchant, subjects string) string {
		return fmt.Sprintf(`{"id":%q,"time":%q,"kind":"pii_access","actor":{"type":"service","id":"w"},"action":"read","credential":"tok_1","merchant":%q,"subjects":[%s]}`,
			id, now.Format(time.RFC3339Nano), merchant, subjects)
	}
	body := strings.Join([]string{
		event("e-1", "m_1", `{"kind":"account","id":"1001"},{"kind":"email","id":"x@y.example"}`),
		event("e-2", "m_1", `{"kind":"email","id":"Ann@Shop.Example"}`),
		event("e-3", "m_2", `{"kind":"phone","id":"+49 171 000111"}`),
		event("e-4", "m_2", `{"kind":"account","id":"2002"}`),
	}, "\n")
	if got, err := sender(t, a).Ingest(t.Context(), "b", "native", []byte(body)); err != nil || got.Accepted != 4 {
		t.Fatalf("taken in: %+v, %v", got, err)
	}
	opened, err := responder.Open(t.Context(), map[string]any{"class": "unauthorized_access", "title": "orders read at night"})
	if err != nil {
		t.Fatal(err)
	}
	inc := opened.Incident
	list := "\ufeffmerchant,account,email,phone,region\n" +
		"m_1,1001,,,us-ca\n" + // by account
		"m_1,,ann@shop.example,,DE\n" + // by e-mail, written otherwise
		"m_1,1001,,,US-CA\n" + // the same account again
		"m_2,,,0049171000111,elsewhere street 1\n" + // a region that is none
		"m_2,1001,,,FR\n" + // another merchant's account
		"m_3,1001,,,FR\n" // a merchant that nothing was logged of
	if _, err := responder.MatchScope(t.Context(), inc, 0, []byte(list)); err == nil || !strings.Contains(err.Error(), "no recorded scope") {
		t.Fatalf("without a scope: %v", err)
	}
	q := client.Query{From: now.Add(-time.Hour), To: now.Add(time.Hour), Any: []client.Clause{{Credential: []string{"tok_1"}}}}
	if _, _, err := responder.RecordScope(t.Context(), inc, q, "all of the token"); err != nil {
		t.Fatal(err)
	}
	usual, err := responder.CompareScope(t.Context(), q)
	if err != nil || usual.Now != (client.Amounts{Events: 4, Merchants: 2, Customers: 4}) || usual.Windows != 0 {
		t.Errorf("beside what is usual: %+v, %v", usual, err)
	}
	before := keysOf(t, dir)
	got, err := responder.MatchScope(t.Context(), inc, 0, []byte(list))
	if err != nil {
		t.Fatal(err)
	}
	want := client.Matched{Lines: 6, Affected: 4, People: 3, Customers: 4, Unmatched: 1, Hits: []int64{2, 3, 4, 5},
		Regions: []client.Region{{Region: "", People: 1}, {Region: "DE", People: 1}, {Region: "US-CA", People: 1}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if after := keysOf(t, dir); after != before {
		t.Errorf("comparing made keys: %s, before %s", after, before)
	}
	// The lines themselves, for the page.
	header, rest, _ := strings.Cut(list, "\n")
	for _, comma := range []string{",", ";"} {
		var lines strings.Builder
		m, err := a.desk.MatchLines(desk.As(t.Context(), desk.Caller{Principal: "person:omar", Access: incident.Responder}), inc, 0, strings.NewReader(strings.ReplaceAll(list, ",", comma)), &lines)
		affected := header + "\n" + strings.Join(strings.SplitAfter(rest, "\n")[:4], "")
		if err != nil || m.Affected != 4 || lines.String() != strings.ReplaceAll(affected, ",", comma) {
			t.Errorf("the affected lines: %+v, %v\n%s", m, err, lines.String())
		}
	}
	if _, err := a.desk.MatchLines(desk.As(t.Context(), desk.Caller{Principal: "person:omar", Access: incident.Responder}), inc, 0, strings.NewReader(list), full{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("lines that nobody could take: %v", err)
	}
	// As a spreadsheet writes it in other countries.
	if got, err := responder.MatchScope(t.Context(), inc, 0, []byte(strings.ReplaceAll(list, ",", ";"))); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with semicolons: %+v, %v", got, err)
	}
	for _, bad := range []struct{ list, says string }{
		{strings.ReplaceAll(list, "\n", "\r"), "line 1: the lines of the file end in CR alone: save it as CSV UTF-8"},
		{"\xff\xfem\x00e\x00", "line 1: the file is UTF-16: save it as CSV UTF-8"},
		{"\x00m\x00e\x00r", "line 1: the file is UTF-16: save it as CSV UTF-8"},
		{"", "line 1: no CSV header"},
		{"merchant,name\nm_1,x\n", "line 1: the columns merchant and one of"},
		{"merchant,email\nm_1,\"ann@shop.example\nm_2,x\n", "line 2"},
	} {
		_, err := responder.MatchScope(t.Context(), inc, 0, []byte(bad.list))
		if err == nil || !strings.Contains(err.Error(), bad.says) || strings.Contains(err.Error(), "ann@") {
			t.Errorf("%q: %v, want %q", bad.list, err, bad.says)
		}
	}
	if _, err := responder.MatchScope(t.Context(), inc, 7, []byte(list)); err == nil || !strings.Contains(err.Error(), "1 recorded scope") {
		t.Errorf("a scope that is not there: %v", err)
	}
	stop()
	// Nothing of the list is anywhere in the folder.
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		for _, word := range []string{"elsewhere street", "0049171000111", "ann@shop.example"} {
			if bytes.Contains(raw, []byte(word)) {
				t.Errorf("%s holds %q", path, word)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// full takes no line.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// keysOf lists the files of the keyring and their sizes.
func keysOf(t *testing.T, dir string) string {
	t.Helper()
	out := map[string]int64{}
	files, err := filepath.Glob(filepath.Join(dir, "keys", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no keys", err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = info.Size()
	}
	raw, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
