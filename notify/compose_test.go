package notify_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/policy"
	"pgregory.net/rapid"
)

const note = "javabeanai/facts\n42\nq83vq83vq83vq83vq83vq83vq83vq83vq83vq83vq80=\n\n— javabeanai/facts AbCdEf0123456789\n"

func input(t interface{ Fatal(...any) }) notify.Input {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	return notify.Input{
		Installation: "ins_1", Org: "PickAndPack", From: "PickAndPack Security <security@javabeanai.com>", Incident: "INC-42",
		Notice: &incident.Notice{ID: "NTC-1", Subject: "Security notice", Content: map[string]string{
			"what_happened": "Somebody used a stolen token.\n\nThey read orders.", "data_involved": "Names and addresses.", "our_measures": "We revoked it.", "your_actions": "Tell your customers."}},
		Duty:       policy.Duty{ID: "tell_merchants", To: "merchants.affected", Content: []string{"what_happened", "data_involved", "our_measures", "your_actions"}},
		Recipient:  notify.Recipient{ID: "m_214", Name: "Müller & Söhne", Addresses: notify.Mail("a@shop.example", "b@shop.example"), Stores: map[string]string{"s_1": "mueller.myshopify.com"}, Merchant: true},
		Exposure:   &incident.Exposure{Merchant: "m_214", Stores: []string{"s_1", "s_2"}, DataTypes: []string{"customer.email", "order.address"}, Customers: 41, Records: 120, Events: 7, First: time.Date(2026, 11, 22, 3, 2, 11, 0, time.UTC), Last: time.Date(2026, 7, 22, 3, 2, 11, 0, time.UTC)},
		Checkpoint: note, Now: time.Date(2026, 11, 24, 9, 0, 0, 5, time.UTC), Zone: zone, PublicURL: "https://security.example.com/",
		ContentTitles: map[string]string{"what_happened": "What happened"},
	}
}

// promise: NOT-2
func TestTheLetterHasEveryItemAndTheRecipientsOwnNumbers(t *testing.T) {
	l, err := notify.Compose(input(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Security notice", "To Müller & Söhne (m_214)", "What happened\n-------------\nSomebody used a stolen token.\n\nThey read orders.", "Data involved\n", "Our measures\n", "Your actions\n",
		"Stores: mueller.myshopify.com (s_1), s_2", "Kinds of data: customer.email, order.address", "Customer accounts (upper bound on people): 41", "Records: 120",
		"First access: 21 November 2026, 22:02:11 (UTC-05:00) America/New_York", "Last access: 21 July 2026, 23:02:11 (UTC-04:00) America/New_York",
		"incident INC-42 of PickAndPack", "security@javabeanai.com", "https://security.example.com/policy", strings.TrimSpace(note),
	} {
		if !strings.Contains(l.Text, want) {
			t.Errorf("the letter lacks %q:\n%s", want, l.Text)
		}
	}
	if strings.Index(l.Text, "Your own numbers") < strings.Index(l.Text, "Data involved") || strings.Index(l.Text, "Your own numbers") > strings.Index(l.Text, "Our measures") {
		t.Error("the numbers do not stand with the data involved")
	}
	if l.To != "a@shop.example" || l.From != "security@javabeanai.com" || l.FromName != "PickAndPack Security" || !l.Date.Equal(time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)) {
		t.Errorf("to %s from %s %s at %v", l.To, l.FromName, l.From, l.Date)
	}
	if b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(l.Checkpoint, " ", "")); err != nil || string(b) != note {
		t.Errorf("the header does not carry the checkpoint: %v", err)
	}
	if !strings.Contains(l.HTML, "Müller &amp; Söhne") || !strings.Contains(l.HTML, "<td>41</td>") {
		t.Errorf("the HTML part:\n%s", l.HTML)
	}
}

func TestALetterThatLacksAnItemIsNotWritten(t *testing.T) {
	in := input(t)
	in.Notice.Content["your_actions"] = " \n\t"
	delete(in.Notice.Content, "our_measures")
	_, err := notify.Compose(in)
	if err == nil || !strings.Contains(err.Error(), "our_measures, your_actions") {
		t.Errorf("error %v does not list both items", err)
	}
	if strings.Contains(fmt.Sprint(err), "ller") || strings.Contains(fmt.Sprint(err), "shop.example") {
		t.Errorf("the error names the person: %v", err)
	}
}

func TestIncompleteSourcesAndAbsentNumbersAreSaid(t *testing.T) {
	in := input(t)
	in.Exposure.AtLeast = true
	l, _ := notify.Compose(in)
	if !strings.Contains(l.Text, "at least 41") || !strings.Contains(l.Text, "incomplete") {
		t.Errorf("lower bounds are not said:\n%s", l.Text)
	}
	in.Exposure = nil
	l, _ = notify.Compose(in)
	if !strings.Contains(l.Text, "shows no access") || strings.Contains(l.Text, "Records:") {
		t.Errorf("a merchant without an exposure gets numbers:\n%s", l.Text)
	}
	in.Recipient.Merchant = false
	l, _ = notify.Compose(in)
	if strings.Contains(l.Text, "Your own numbers") {
		t.Error("a platform gets numbers of its own")
	}
}

func TestTheMessageIDIsTheSameForEveryAttemptAndForNoOtherLetter(t *testing.T) {
	id := func(change func(*notify.Input)) string {
		in := input(t)
		change(&in)
		l, err := notify.Compose(in)
		if err != nil {
			t.Fatal(err)
		}
		return l.MessageID
	}
	first := id(func(*notify.Input) {})
	if !strings.HasSuffix(first, "@javabeanai.com") || strings.Contains(first, "m_214") {
		t.Errorf("message id %s", first)
	}
	if id(func(in *notify.Input) { in.Address, in.Now, in.Checkpoint = 1, in.Now.Add(time.Hour), "" }) != first {
		t.Error("another attempt has another id")
	}
	seen := map[string]bool{first: true}
	for _, change := range []func(*notify.Input){
		func(in *notify.Input) { in.Installation = "ins_2" },
		func(in *notify.Input) { in.Incident = "INC-43" },
		func(in *notify.Input) { in.Notice.ID = "NTC-2" },
		func(in *notify.Input) { in.Recipient.ID = "m_215" },
		func(in *notify.Input) { in.Incident, in.Notice.ID = "INC-42NTC", "-1" },
	} {
		if s := id(change); seen[s] {
			t.Error("two letters share an id")
		} else {
			seen[s] = true
		}
	}
}

func TestAddressesThatAreNoneAreRefused(t *testing.T) {
	for _, a := range []string{"", "nobody", "a@b\r\nBcc: x@y", "Ann <a@b.example>", "a@b.example, c@d.example", "a b@c.example", "a@b.example>"} {
		in := input(t)
		in.Recipient.Addresses = notify.Mail(a)
		if _, err := notify.Compose(in); err == nil || strings.Contains(err.Error(), "b.example") {
			t.Errorf("address %q: %v", a, err)
		}
	}
	in := input(t)
	in.Address = 2
	if _, err := notify.Compose(in); err == nil || !strings.Contains(err.Error(), "number 3") {
		t.Errorf("an address that is not there: %v", err)
	}
}

// Whatever a merchant calls itself, header fields stay one line and the HTML stays ours.
func TestHostileNamesStayText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := input(t)
		name := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"a\r\nBcc: x@y.example", "\"quoted\" <a@b>", "<script>alert(1)</script>", "\u202eevil", "שלום", "👩‍🚀🇩🇪", "\x00\x1b[31m", "a\u2028b", strings.Repeat("x", 1000)})).Draw(t, "name")
		in.Recipient.Name, in.Notice.Subject, in.Org = name, name, name
		in.Recipient.Stores["s_1"], in.Notice.Content["what_happened"] = name, "x"+name
		l, err := notify.Compose(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []string{l.Subject, l.ToName} {
			if strings.ContainsAny(h, "\r\n\x00\u202e\u2028") || len([]rune(h)) > 200 {
				t.Fatalf("header value %q", h)
			}
		}
		if strings.Contains(l.HTML, "<script") || strings.ContainsAny(l.Text, "\x00\x1b\r\u202e") {
			t.Fatalf("the name acts: %q", l.Text)
		}
	})
}

func TestLettersNeverPrint(t *testing.T) {
	in := input(t)
	l, _ := notify.Compose(in)
	if s := fmt.Sprintf("%v %+v %#v %v %#v", l, l, l, in.Recipient, in.Recipient); strings.Contains(s, "shop.example") || strings.Contains(s, "ller") {
		t.Errorf("it prints %s", s)
	}
}
