package world

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)

func TestTheSameSeedGivesTheSameWorld(t *testing.T) {
	a, b := New(Options{Seed: 7, Start: start}), New(Options{Seed: 7, Start: start})
	to := start.AddDate(0, 0, 3)
	if !reflect.DeepEqual(a.Merchants, b.Merchants) || !reflect.DeepEqual(a.Traffic(start, to), b.Traffic(start, to)) || !reflect.DeepEqual(a.Warehouse(start, to), b.Warehouse(start, to)) {
		t.Fatal("two worlds of seed 7 differ")
	}
	c := New(Options{Seed: 8, Start: start})
	if reflect.DeepEqual(a.Merchants, c.Merchants) {
		t.Fatal("seeds 7 and 8 gave the same merchants")
	}
}

func TestAMonthAskedForInPartsIsTheSameMonth(t *testing.T) {
	w := New(Options{Seed: 3, Start: start})
	whole := w.Traffic(start, start.AddDate(0, 0, 2))
	var parts []Access
	lines := 0
	for h := range 96 {
		from := start.Add(time.Duration(h) * 30 * time.Minute)
		parts = append(parts, w.Traffic(from, from.Add(30*time.Minute))...)
		lines += len(w.Warehouse(from, from.Add(30*time.Minute)))
	}
	if !reflect.DeepEqual(whole, parts) {
		t.Fatalf("two days are %d accesses at once and %d by half hours", len(whole), len(parts))
	}
	if n := len(w.Warehouse(start, start.AddDate(0, 0, 2))); n != lines {
		t.Fatalf("the warehouse sends %d lines at once and %d by half hours", n, lines)
	}
}

func TestAMonthHasTheSizeTheDrillIsMeasuredFor(t *testing.T) {
	for seed := range uint64(3) {
		w := New(Options{Seed: seed, Start: start})
		end := start.AddDate(0, 0, w.Days)
		n := len(w.Traffic(start, end)) + len(w.Warehouse(start, end))
		if n < 15000 || n > 25000 {
			t.Errorf("seed %d: %d accesses, want 15,000 to 25,000", seed, n)
		}
	}
}

func TestTrafficHasADailyAndAWeeklyRhythm(t *testing.T) {
	w := New(Options{Seed: 1, Start: start})
	office := map[time.Weekday]int{}
	night := 0
	for _, a := range w.Traffic(start, start.AddDate(0, 0, 28)) {
		if a.Credential != BackOffice {
			continue
		}
		office[a.At.Weekday()]++
		if h := a.At.Hour(); h < 5 || h > 20 {
			night++
		}
	}
	if night > 0 {
		t.Errorf("%d accesses by the office at night", night)
	}
	if office[time.Sunday] > 0 || office[time.Saturday] >= office[time.Wednesday]/2 || office[time.Wednesday] == 0 {
		t.Errorf("no weekly rhythm: %v", office)
	}
}

func TestTheDirectoryHoldsTheAwkwardCases(t *testing.T) {
	w := New(Options{Seed: 7, Start: start})
	names, mails := map[string]bool{}, map[string]int{}
	var dead, deadForGood, gone, twoStores, other int
	for _, m := range w.Merchants {
		if names[m.Name] {
			t.Errorf("the name %q stands twice", m.Name)
		}
		names[m.Name] = true
		mails[m.Email]++
		if m.Dead {
			dead++
			if m.Email2 == "" {
				deadForGood++
			}
		}
		if !m.Uninstalled.IsZero() {
			gone++
		}
		if len(m.Stores) > 1 {
			twoStores++
		}
		if m.Language == "ar" || m.Language == "he" || m.Language == "ja" {
			other++
		}
	}
	if len(w.Merchants) != 300 || dead < 4 || deadForGood == 0 || deadForGood == dead || gone == 0 || twoStores == 0 || other < 20 {
		t.Errorf("merchants %d dead %d without a second address %d uninstalled %d two stores %d other scripts %d", len(w.Merchants), dead, deadForGood, gone, twoStores, other)
	}
	shared := 0
	for _, n := range mails {
		if n == 2 {
			shared++
		}
	}
	if shared != 1 {
		t.Errorf("%d addresses are shared by two merchants, want 1", shared)
	}
	for _, want := range []string{"<script>", "\r\n", `"Quoted"`, "=HYPERLINK", "\u202E", "🦊"} {
		found := false
		for n := range names {
			found = found || strings.Contains(n, want)
		}
		if !found {
			t.Errorf("no merchant's name has %q", want)
		}
	}
}

func TestTheCSVReadsBack(t *testing.T) {
	w := New(Options{Seed: 7, Start: start})
	var b bytes.Buffer
	if err := w.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) <= 300 || len(rows[0]) != 13 || rows[0][0] != "merchant" {
		t.Fatalf("%d rows of %d columns", len(rows), len(rows[0]))
	}
}

func TestThePagesOfAMerchantHoldItsOwnCustomersOnce(t *testing.T) {
	w := New(Options{Seed: 7, Start: start})
	owner := map[string]string{}
	for _, m := range w.Merchants[:40] {
		orders := 0
		for p := 1; p <= m.Pages(); p++ {
			for _, o := range m.Page(p) {
				orders++
				if who, ok := owner[o.Customer.ID]; ok && who != m.ID {
					t.Fatalf("customer %s belongs to %s and %s", o.Customer.ID, who, m.ID)
				}
				owner[o.Customer.ID] = m.ID
			}
		}
		if orders != m.Orders() || len(m.Page(m.Pages()+1)) != 0 {
			t.Fatalf("%s has %d orders on its pages, want %d", m.ID, orders, m.Orders())
		}
	}
}

func TestTheWarehouseMisbehavesAndFallsSilent(t *testing.T) {
	w := New(Options{Seed: 7, Start: start})
	kinds := map[string]int{}
	from, to := w.Silent()
	for _, l := range w.Warehouse(start, start.AddDate(0, 0, w.Days+1)) {
		kinds[l.Kind]++
		var e wire
		if json.Unmarshal(l.Text, &e) == nil {
			if at, err := time.Parse(time.RFC3339Nano, e.Time); err == nil && l.Kind == "ordinary" && !at.Before(from) && at.Before(to) {
				t.Errorf("a line at %s, in the silent hour", e.Time)
			}
		}
	}
	for _, k := range []string{"ordinary", "late", "duplicate", "skewed", "malformed"} {
		if kinds[k] == 0 {
			t.Errorf("no %s lines in a month", k)
		}
	}
}

func TestCloudRecordsAreShiftedAndBecomeEvents(t *testing.T) {
	records, err := ReadCloud([]byte(`{"Records":[{"eventID":"a","eventTime":"2023-07-10T12:00:00Z","eventSource":"iam.amazonaws.com","eventName":"GetUser","readOnly":true,"userIdentity":{"type":"IAMUser","userName":"x"}},{"eventID":"b","eventTime":"2023-07-10T12:10:00Z","eventName":"PutUser"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	end := start.AddDate(0, 0, 31)
	Shift(records, end)
	if !records[1].EventTime.Equal(end) || !records[0].EventTime.Equal(end.Add(-10*time.Minute)) {
		t.Fatalf("shifted to %s and %s", records[0].EventTime, records[1].EventTime)
	}
	if e := string(records[0].Event()); !strings.Contains(e, `"endpoint":"iam.amazonaws.com GetUser"`) || !strings.Contains(e, `"kind":"cloud_audit"`) {
		t.Fatal(e)
	}
	if _, err := ReadCloud([]byte(`{"else":1}`)); err == nil {
		t.Fatal("a file without Records was taken")
	}
	w := New(Options{Seed: 7, Start: start})
	found := false
	for _, c := range w.Cloud(start, end) {
		found = found || c.SourceIP == TheftAddress && c.EventName == "GetSecretValue"
	}
	if !found {
		t.Fatal("the generated cloud log does not show how the token was taken")
	}
}
