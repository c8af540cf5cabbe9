package accesslog

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-ir/tocsin/accesslog/table"
	"github.com/tocsin-ir/tocsin/leaf"
)

// A row is the same whether the quick reader or the general parser made it of the stored event, and
// the quick one reads all but those with an escape in a text.
func TestBothReadersMakeTheSameRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z0-9_é:/ .\[\]{},]{0,12}`)
		if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
			text = rapid.StringN(0, 12, 40)
		}
		at := time.Unix(rapid.Int64Range(1_700_000_000, 1_800_000_000).Draw(t, "at"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		e := leaf.Event{
			ID: text.Draw(t, "id"), Time: at, Received: at.Add(time.Second), Kind: "pii_access", App: text.Draw(t, "app"), Env: text.Draw(t, "env"),
			Actor: leaf.Actor{Type: text.Draw(t, "type"), ID: text.Draw(t, "actor")}, Credential: text.Draw(t, "credential"),
			Session: text.Draw(t, "session"), Action: text.Draw(t, "action"), Endpoint: text.Draw(t, "endpoint"), Purpose: text.Draw(t, "purpose"),
			Merchant: text.Draw(t, "merchant"), Store: text.Draw(t, "store"), Outcome: text.Draw(t, "outcome"), Ingest: text.Draw(t, "ingest"),
			Source:  leaf.Origin{IP: text.Draw(t, "ip"), UserAgent: text.Draw(t, "agent")},
			Records: rapid.Int64Range(0, 1<<53).Draw(t, "records"), Bytes: rapid.Int64Range(0, 1<<53).Draw(t, "bytes"),
			Late: rapid.Bool().Draw(t, "late"), Skewed: rapid.Bool().Draw(t, "skewed"), Supplied: text.Draw(t, "supplied"),
			DataTypes: rapid.SliceOfN(rapid.StringMatching(`[a-z]{1,5}\.[a-z]{1,5}`), 0, 3).Draw(t, "types"),
		}
		for _, kind := range rapid.SliceOfN(rapid.SampledFrom(subjectKinds), 0, 4).Draw(t, "kinds") {
			e.Subjects = append(e.Subjects, leaf.Subject{Kind: kind, Region: text.Draw(t, "region"), Token: rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "token")})
		}
		if rapid.Bool().Draw(t, "more") {
			e.Attributes = []byte(`{"a":[1,"}"],"b":{"c":"x\"y"}}`)
		}
		stored, err := Canonical(&e)
		if err != nil {
			t.Fatal(err)
		}
		var quick, general rowReader
		var q, g table.Row
		taken := quick.scan(&q, 7, stored)
		if err := general.parse(&g, 7, stored); err != nil {
			t.Fatal(err)
		}
		e.Attributes = nil
		plain, err := Canonical(&e)
		if err != nil {
			t.Fatal(err)
		}
		if !taken && !strings.Contains(string(plain), `\`) {
			t.Fatalf("the quick reader gave up on %s", stored)
		}
		if taken && !reflect.DeepEqual(q, g) {
			t.Fatalf("%s\nquick   %+v\ngeneral %+v", stored, q, g)
		}
	})
}

var digit = regexp.MustCompile(`[0-9]`)

// What lets the scrubber leave a text alone never hides what a pattern would find.
func TestTextIsLeftAloneOnlyWhenNoPatternFindsAnything(t *testing.T) {
	c, err := newScrubber(nil)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`([0-9]{1,4}|[ -]|\+|\(|\)|%40|%2B|@|\.|[a-bé]){0,24}`).Draw(t, "text")
		want := emailPattern.ReplaceAllString(s, "[email]")
		want = cardPattern.ReplaceAllStringFunc(want, func(m string) string {
			if luhn(m) {
				return "[card]"
			}
			return m
		})
		if len(digit.FindAllString(s, -1)) >= 8 {
			want = phonePattern.ReplaceAllString(want, "[phone]")
		}
		if got := c.text(s); got != want {
			t.Fatalf("%q became %q, want %q", s, got, want)
		}
	})
}
