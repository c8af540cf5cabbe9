package format

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"
)

// A leap second is no mistake in any format, and it is the same instant in each: the last before it.
func TestALeapSecondIsTheSameInEveryFormat(t *testing.T) {
	want := time.Date(2016, 12, 31, 23, 59, 59, 999999999, time.UTC)
	for _, c := range []struct{ sample, format, is, leap string }{
		{"native-lines", Native, "2026-11-22T03:02:11.482Z", "2016-12-31T23:59:60Z"},
		{"native-lines", Native, "2026-11-22T03:02:11.482Z", "2016-12-31T23:59:60.25Z"},
		{"native-lines", Native, "2026-11-22T03:02:11.482Z", "2017-01-01T05:29:60+05:30"},
		{"cloudtrail-lines", CloudTrail, "2026-11-22T03:02:11Z", "2016-12-31T23:59:60Z"},
		{"access-combined", Combined, "22/Nov/2026:03:02:11 +0100", "31/Dec/2016:23:59:60 +0000"},
		{"access-combined", Combined, "22/Nov/2026:03:02:11 +0100", "01/Jan/2017:00:59:60 +0100"},
		{"pgaudit-csv", Postgres, "2026-11-22 03:02:11.482 UTC", "2016-12-31 23:59:60.000 UTC"},
		{"pgaudit-csv", Postgres, "2026-11-22 03:02:11.482 UTC", "2017-01-01 00:59:60 +01"},
		{"shopify-export", Shopify, "2026-11-22 03:02:11 UTC", "2016-12-31 23:59:60 UTC"},
		{"shopify-lines", Shopify, "2026-11-22T03:02:11Z", "2016-12-31T23:59:60Z"},
		{"okta-lines", Okta, "2026-11-23T10:00:00.123Z", "2016-12-31T23:59:60Z"},
		{"gcp-lines", GCP, "2026-11-22T03:02:11.123456Z", "2016-12-31T23:59:60Z"},
	} {
		if e := firstWith(t, c.sample, c.format, c.is, c.leap); e == nil || !e.Time.Equal(want) {
			t.Errorf("%s of %s is not %s", c.leap, c.sample, want)
		}
	}
}

// Where there is no leap second, a second 60 is a mistake, and its reason is not that of another.
func TestASecond60ElsewhereIsRefused(t *testing.T) {
	for _, no := range []string{"2016-12-31T23:58:60Z", "2016-12-30T23:59:60Z", "2016-12-31T22:59:60Z", "2016-12-31T23:59:61Z", "2016-12-31T23:59:60", "2016-12-31T23:59:60+01:00"} {
		if at, err := instant(time.RFC3339Nano, no); err == nil {
			t.Errorf("%s is taken as %s", no, at)
		}
	}
	for _, c := range []struct{ at, reason string }{
		{"2016-12-31 23:58:60 UTC", "is no date and time that there is"},
		{"2016-02-31 23:58:00 +01", "is no date and time that there is"},
		{"2016-12-31 23:58:00 CET", "has a zone that is neither UTC nor a number: set log_timezone to UTC"},
	} {
		_, err := pgTime(c.at)
		var bad *Invalid
		if !errors.As(err, &bad) || bad.Reason != c.reason {
			t.Errorf("%s: %v", c.at, err)
		}
	}
}

// firstWith is the first entry of a sample in which one text stands in the place of another; nil when
// it is refused.
func firstWith(t *testing.T, sample, form, is, put string) *Event {
	t.Helper()
	body, err := os.ReadFile("testdata/" + sample + ".in")
	if err != nil || !bytes.Contains(body, []byte(is)) {
		t.Fatalf("%s has no %s: %v", sample, is, err)
	}
	b, err := Cut(bytes.Replace(body, []byte(is), []byte(put), 1), form, 100)
	if err != nil {
		t.Fatal(err)
	}
	d := new(Decoder)
	d.Reset(b, func(string) {})
	e, err := d.Decode(0)
	if err != nil {
		t.Error(err)
		return nil
	}
	return e
}
