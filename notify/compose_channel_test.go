package notify_test

import (
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/notify"
)

// promise: NOT-7
func TestALetterForAChannelIsNoMail(t *testing.T) {
	in := input(t)
	in.Recipient.Addresses = []notify.Place{{Channel: "slack", Address: "C0123ABCD"}}
	l, err := notify.Compose(in)
	if err != nil {
		t.Fatal(err)
	}
	if l.Channel != "slack" || l.To != "C0123ABCD" {
		t.Errorf("it goes to %q of %q", l.To, l.Channel)
	}
	if strings.Contains(l.Text, "this mail") || !strings.Contains(l.Text, "answer here") {
		t.Errorf("it speaks of a mail:\n%s", l.Text)
	}
	in.Recipient.Addresses[0].Address = " "
	if _, err := notify.Compose(in); err == nil {
		t.Error("a place without an address was taken")
	}
}
