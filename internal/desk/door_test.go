package desk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-ir/tocsin/accesslog"
	"github.com/tocsin-ir/tocsin/detect"
	"github.com/tocsin-ir/tocsin/detect/sigma"
	"github.com/tocsin-ir/tocsin/internal/rulefiles"
	"github.com/tocsin-ir/tocsin/rules"
)

// door is an access log of its own, and how far it was read.
type door struct {
	*accesslog.Store
	at int64
	n  int
}

func newDoor(t *testing.T) *door {
	t.Helper()
	log, events, err := openEvents(t.TempDir(), theGround(t).keys, noon.AddDate(0, 0, 2))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { events.Close(); log.Close() })
	return &door{Store: events}
}

var ids = regexp.MustCompile(`"(eventID|insertId|_document_id|uuid)":"`)

// through sends records to the log and reads them as the detector is given them.
func (d *door) through(t *testing.T, form string, records []json.RawMessage) [][]byte {
	t.Helper()
	d.n++ // ids are used again by other cases, and an id is taken once
	body := ids.ReplaceAll(bytes.Join(asBytes(records), []byte{'\n'}), fmt.Appendf(nil, `"$1":"%d-`, d.n))
	r, err := d.Ingest(t.Context(), accesslog.Source{Name: form}, "", form, bytes.NewReader(body))
	if err != nil || r.Accepted != len(records) {
		t.Fatalf("%s: %d of %d taken: %+v, %v", form, r.Accepted, len(records), r, err)
	}
	var out [][]byte
	for len(out) < len(records) {
		entries, err := d.EntriesAfter(t.Context(), d.at, 1000)
		if err != nil || len(entries) == 0 {
			t.Fatal(len(out), err)
		}
		for _, e := range entries {
			d.at = e.Seq
			out = append(out, detect.View(Observed(e, false)))
		}
	}
	return out
}

func asBytes(list []json.RawMessage) (out [][]byte) {
	for _, r := range list {
		out = append(out, bytes.ReplaceAll(r, []byte{'\n'}, []byte{' '}))
	}
	return out
}

var addresses = regexp.MustCompile(`[\w.+-]+@[\w.-]+|\[email\]`)

// finds runs rules over events: what fires at which event, without the names that the door scrubs.
func finds(t *testing.T, files []sigma.File, events [][]byte) (out []string) {
	t.Helper()
	e, _ := sigma.Load(files, sigma.Options{})
	for i, raw := range events {
		var ev sigma.Event
		if err := e.Decode(raw, &ev); err != nil {
			t.Fatal(err)
		}
		for _, d := range e.Observe(int64(i+1), time.Time{}, &ev) {
			out = append(out, fmt.Sprintf("event %d: %s: %s", i+1, d.Meta().Title, addresses.ReplaceAllString(d.Sentence(&ev), "somebody")))
		}
	}
	slices.Sort(out)
	return out
}

// What a rule about a cloud, GitHub or Okta finds in the records themselves it finds in what the
// access log gives the server, with the same sentence.
//
// promise: DET-10
func TestARuleFindsBehindTheDoorWhatItFindsInTheRecord(t *testing.T) {
	sources, err := rules.Files()
	if err != nil {
		t.Fatal(err)
	}
	var files []sigma.File
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		files = append(files, sigma.File{Name: name, Data: sources[name]})
	}
	d, fired := newDoor(t), 0
	for _, name := range []string{"cloudtrail/account", "gcp/project", "github/organisation", "okta/tenant"} {
		src, err := os.ReadFile("../../rules/" + name + ".test.ndjson")
		if err != nil {
			t.Fatal(err)
		}
		form, _, _ := strings.Cut(name, "/")
		for line := range bytes.Lines(src) {
			var c struct {
				Case   string
				Events []json.RawMessage
			}
			if err := json.Unmarshal(line, &c); err != nil {
				t.Fatal(err)
			}
			want, got := finds(t, files, asBytes(c.Events)), finds(t, files, d.through(t, form, c.Events))
			if fired += len(want); !slices.Equal(got, want) {
				t.Errorf("%s, %s: %q, want %q", name, c.Case, got, want)
			}
		}
	}
	if fired < 20 {
		t.Errorf("only %d detections were compared", fired)
	}
}

// The same with the rules and the records of others.
func TestRulesOfOthersFindBehindTheDoorWhatTheyFindInTheRecord(t *testing.T) {
	rulesAt, recordsAt := os.Getenv("TOCSIN_TEST_SIGMA"), os.Getenv("TOCSIN_TEST_CLOUDTRAIL")
	if rulesAt == "" || recordsAt == "" {
		t.Skip("TOCSIN_TEST_SIGMA and TOCSIN_TEST_CLOUDTRAIL name no folders of rules and of records")
	}
	files, err := rulefiles.Read(rulesAt)
	if err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(recordsAt, "*.json"))
	d, fired := newDoor(t), 0
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var f struct{ Records []json.RawMessage }
		if err := json.Unmarshal(src, &f); err != nil {
			t.Fatal(err)
		}
		want, got := finds(t, files, asBytes(f.Records)), finds(t, files, d.through(t, "cloudtrail", f.Records))
		if fired += len(want); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", filepath.Base(name), got, want)
		}
	}
	t.Logf("%d detections are the same", fired)
	if fired == 0 {
		t.Error("nothing was compared")
	}
}
