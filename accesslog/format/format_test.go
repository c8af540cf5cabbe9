package format

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// plain is an event as a golden file shows it.
func plain(e *Event) map[string]any {
	out := map[string]any{"kind": e.Kind, "time": e.Time.Format(time.RFC3339Nano)}
	for name, v := range map[string]string{
		"id": e.ID, "app": e.App, "env": e.Env, "actor.type": e.ActorType, "actor.id": e.ActorID, "credential": e.Credential, "session": e.Session,
		"action": e.Action, "endpoint": e.Endpoint, "purpose": e.Purpose, "merchant": e.Merchant, "store": e.Store, "outcome": e.Outcome,
		"ip": e.IP, "agent": e.Agent,
	} {
		if v != "" {
			out[name] = strings.Clone(v)
		}
	}
	if len(e.Subjects) > 0 {
		var list []string
		for _, s := range e.Subjects {
			list = append(list, s.Kind+" "+s.ID+" "+s.Region)
		}
		out["subjects"] = list
	}
	if len(e.DataTypes) > 0 {
		out["data_types"] = append([]string(nil), e.DataTypes...)
	}
	if e.Records >= 0 {
		out["records"] = e.Records
	}
	if e.Bytes != 0 {
		out["bytes"] = e.Bytes
	}
	if e.Attributes != nil {
		out["attributes"] = json.RawMessage(e.Attributes.MarshalTo(nil))
	}
	return out
}

// Each sample is read with its format named and with auto, and what comes of each entry is pinned.
func TestEachFormatIsRecognisedAndMapped(t *testing.T) {
	samples, err := filepath.Glob("testdata/*.in")
	if err != nil || len(samples) < 12 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	for _, path := range samples {
		name := strings.TrimSuffix(filepath.Base(path), ".in")
		want, _, _ := strings.Cut(name, "-")
		t.Run(name, func(t *testing.T) {
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := Recognise(body); got != want {
				t.Errorf("auto recognises %s", got)
			}
			var out strings.Builder
			b, err := Cut(body, want, 100)
			if err != nil {
				t.Fatal(err)
			}
			var d Decoder
			d.Reset(b, func(name string) { fmt.Fprintf(&out, "ignored %s\n", name) })
			for i := range b.Len() {
				e, err := d.Decode(i)
				if err == nil {
					err = e.Check()
				}
				if err != nil {
					var bad *Invalid
					var skip *Skip
					if !errors.As(err, &bad) && !errors.As(err, &skip) {
						t.Fatalf("entry %d: %T", i, err)
					}
					fmt.Fprintf(&out, "line %d: %s\n", b.Line(i), err)
					continue
				}
				text, err := json.MarshalIndent(plain(e), "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, "line %d: %s\n", b.Line(i), text)
			}
			golden := strings.TrimSuffix(path, ".in") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			wantText, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if out.String() != string(wantText) {
				t.Errorf("differs from %s:\n%s", golden, out.String())
			}
		})
	}
}

func TestABrokenElementRefusesItselfAndNotWhatStandsBeforeIt(t *testing.T) {
	b, err := Cut([]byte("[{\"a\":1},\n{\"b\":2},\n{\"c\":\"x"), Native, 10)
	if err != nil || b.Len() != 3 || b.Line(2) != 3 {
		t.Fatalf("%d entries, %v", b.Len(), err)
	}
	var d Decoder
	d.Reset(b, nil)
	if _, err := d.Decode(2); err == nil || !strings.Contains(err.Error(), "breaks the array") {
		t.Fatalf("the broken element: %v", err)
	}
	b, err = Cut([]byte(`[{"a":1}, nonsense ,{"b":2}]`), Native, 10)
	if err != nil || b.Len() != 3 {
		t.Fatalf("%d entries, %v", b.Len(), err)
	}
}

func TestABatchOfTooManyEntriesIsRefused(t *testing.T) {
	for _, body := range []string{"{}\n{}\n{}", "[{},{},{}]", "time,shop,client ip\na,b,c\na,b,c\na,b,c"} {
		var most *TooMany
		if _, err := Cut([]byte(body), Auto, 2); !errors.As(err, &most) {
			t.Errorf("%q: %v", body, err)
		}
	}
	if _, err := Cut([]byte("x"), "csv", 2); err == nil {
		t.Error("an unknown format was taken")
	}
}

// A whole file is not read by its first line alone: one bad line in front does not decide.
func TestOneBadLineInFrontDoesNotDecideTheFormat(t *testing.T) {
	good := `203.0.113.9 - - [22/Nov/2026:03:02:11 +0000] "GET / HTTP/1.1" 200 1 "-" "curl/8"`
	if got := Recognise([]byte("garbage\n" + good + "\n")); got != Combined {
		t.Errorf("recognised as %s", got)
	}
}

func TestRealCloudTrail(t *testing.T) {
	dir := os.Getenv("TOCSIN_TEST_CLOUDTRAIL")
	if dir == "" {
		t.Skip("TOCSIN_TEST_CLOUDTRAIL names no folder of real records")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	events, withIP := 0, 0
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := Recognise(body); got != CloudTrail {
			t.Fatalf("%s is recognised as %s", f, got)
		}
		b, err := Cut(body, Auto, 100_000)
		if err != nil {
			t.Fatal(err)
		}
		var d Decoder
		d.Reset(b, nil)
		for i := range b.Len() {
			e, err := d.Decode(i)
			if err == nil {
				err = e.Check()
			}
			if err != nil {
				t.Fatalf("%s line %d: %v", f, b.Line(i), err)
			}
			if e.ActorID == "" || e.Action == "" || e.ID == "" {
				t.Fatalf("%s line %d: actor %t, action %t, id %t", f, b.Line(i), e.ActorID != "", e.Action != "", e.ID != "")
			}
			if events++; e.IP != "" {
				withIP++
			}
		}
	}
	if events < 100 || withIP == 0 {
		t.Errorf("%d events, %d with an address", events, withIP)
	}
	t.Logf("%d real records in %d files", events, len(files))
}
