package console_test

import (
	"strings"
	"testing"

	"github.com/tocsin-ir/tocsin/internal/console"
)

// What was saved of the relay stands in the form, so that one wrong field is mended and nothing typed again.
func TestTheFormOfTheRelayHoldsWhatIsConfigured(t *testing.T) {
	b := signedIn(t, console.Options{Hour: firstHour{}})
	got := b.get("/setup/mail").body
	for _, want := range []string{`name="relay"`, `value="smtp.example.com:587"`, `<option value="tls" selected>`} {
		if !strings.Contains(got, want) {
			t.Errorf("the form lacks %s", want)
		}
	}
	valid(t, "/setup/mail", got)
}
