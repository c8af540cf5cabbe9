package review_test

import (
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/review"
)

// told is the client version of a review in which somebody wrote a text.
func told(t *testing.T, text string, secret review.Secret) (says string, out []review.Withheld) {
	t.Helper()
	in := written()
	in.Version, in.Secret = incident.VersionClient, secret
	in.State.Review.Parts = map[string]*incident.Signed{"client/impact": {Text: text, By: "person:lena", At: at(8, 0), Fact: "01A"}}
	in.State.Review.Entries = nil
	doc := review.Draft(in)
	return string(doc.Markdown()), doc.Withheld
}

// A telephone number is taken out however it is written, and what counts or dates something stays.
//
// promise: REV-2
func TestTelephoneNumbersWithoutAPlusAreTakenOut(t *testing.T) {
	for _, number := range []string{"+49 30 1234567", "0049 30 1234567", "030 1234567", "(030) 123 45 67", "030/1234567", "0171-555 01 99", "0171 5550199", "01715550199",
		"(555) 123-4567", "555-123-4567", "555.123.4567", "Tel. 555 01 99", "telephone: 55501", "Mobile no. 7911 123456", "fax 123 45 67", "5551234567",
		"030\u00a0123\u202f45\u202f67", "0171\u20115550199", "+\uff14\uff19 \uff13\uff10 \uff11\uff12\uff13\uff14\uff15\uff16\uff17", "+٤٩ ٣٠ ١٢٣٤٥٦٧", "\uff10\uff11\uff17\uff11 \uff15\uff15\uff15\uff10\uff11\uff19\uff19"} {
		says, out := told(t, "They wrote to "+number+", twice.", review.Secret{})
		if len(out) != 1 || out[0].N != 1 || !strings.Contains(says, "They wrote to") || !strings.Contains(says, ", twice.") {
			t.Errorf("%q: %v: %s", number, out, says)
		}
		for _, digits := range []string{"5550199", "1234567", "123 45", "123-45", "4567", "55501", "555 01"} {
			if strings.Contains(norm.NFKC.String(says), digits) {
				t.Errorf("%q is still there: %s", number, says)
			}
		}
	}
	for _, plain := range []string{"412 customer accounts of 96 merchants", "18,211 people, 1 234 567 records and 12.345.678 bytes", "on 2026-11-22 at 03:02:05, until 22.11.2026 14:05",
		"01.02.2026 and 01/02/2026 and 2026/11/22", "between 03:02 and 03:45", "We called 12 345 merchants", "version 10.2.11", "0.25 of 100", "within 72 hours and 30 days", "7 of 12, 99.95 %"} {
		if says, out := told(t, plain, review.Secret{}); len(out) != 0 || !strings.Contains(strings.ReplaceAll(says, `\`, ""), plain) {
			t.Errorf("%q lost something: %v: %s", plain, out, says)
		}
	}
	if says, _ := told(t, "On 22.11.2026 030 1234567 rang.", review.Secret{}); strings.Contains(says, "1234567") || !strings.Contains(strings.ReplaceAll(says, `\`, ""), "22.11.2026") {
		t.Errorf("a number beside a date: %s", says)
	}
}

// A name is found in whichever form it was typed: composed or decomposed, in capitals, without its accents,
// in wide letters, with something unseen in it; and a text that names nobody stays as it is.
//
// promise: REV-2
func TestNamesAreFoundInEverySpelling(t *testing.T) {
	secret := review.Secret{People: []string{"Zoë Strauß", "łukasz Żółć", "Jürgen Müller", "İpek Işık", "Renée", "王小明"}, Merchants: []string{"Café Größe", "東京書店"}}
	for _, name := range []string{"Zoë", norm.NFD.String("Zoë Strauß"), "ZOË STRAUSS", "Zoe Strauss", "zoë strauß", "Łukasz Żółć", "Lukasz Zolc", norm.NFD.String("ŻÓŁĆ"),
		"Juergen Mueller", "JÜRGEN MÜLLER", "Jurgen Muller", "Mueller", "ipek ışık", "IPEK ISIK", "ＲＥＮＥＥ", "Ren\u200cée", "Re\u034fnée", "Ren\u00adée", "CAFE GRÖSSE", norm.NFD.String("café größe"), "Cafe Groesse",
		"因为王小明看见了", "在東京書店买的"} {
		says, out := told(t, "It was "+name+" who saw it.", secret)
		if len(out) == 0 {
			t.Errorf("%q stays: %s", name, says)
		}
		for _, left := range []string{"zo", "stra", "kasz", "rgen", "ller", "pek", "ren", "caf", "gr", "小明", "書店"} {
			if body := strings.ToLower(norm.NFC.String(between(says, "It was", "who saw"))); strings.Contains(strings.NewReplacer("person", "", "organisation", "", "merchant", "", "name of a", "", "of the", "").Replace(body), left) {
				t.Errorf("%q leaves %q: %s", name, left, body)
			}
		}
	}
	const harmless = "Straßen und Cafés, ½ of 10², naïve façade; the mark of a renewed café."
	if says, out := told(t, harmless, secret); len(out) != 0 || !strings.Contains(strings.ReplaceAll(says, `\`, ""), harmless) {
		t.Errorf("a text that names nobody: %v: %s", out, says)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}
