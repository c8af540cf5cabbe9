package console_test

import (
	"net/http"
	"net/url"
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

// What is wrong with an answer is said behind its question, for the form shows no other name.
func TestAnAnswerOfThePolicyIsRefusedByItsQuestion(t *testing.T) {
	b := signedIn(t, console.Options{Hour: firstHour{}})
	whole := url.Values{"name": {"Pick"}, "owner": {"Acme"}, "contact": {"security@example.com"}}
	for _, tt := range []struct{ name, answer, want string }{
		{"name", " ", "What is your app called? An answer is needed."},
		{"contact", "nobody", "To which address are problems reported? &#34;nobody&#34; is not an e-mail address."},
		{"comms", "Lena", "Who writes to merchants? Who writes a notice cannot approve it; name somebody else than the lead, or ?."},
	} {
		form := url.Values{"lead": {"Lena"}}
		for name := range whole {
			form.Set(name, whole.Get(name))
		}
		form.Set(tt.name, tt.answer)
		got := b.submit("/setup/policy", "/setup/policy", form)
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, tt.want) {
			_, said, _ := strings.Cut(got.body, "Not accepted")
			t.Errorf("%s: %d %.300s", tt.name, got.status, said)
		}
	}
}
