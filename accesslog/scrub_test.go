package accesslog

import (
	"math/rand/v2"
	"testing"
)

var ownPatterns = []Pattern{
	{"iban", `\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b`},
	{"customer_no", `(?i)\bcust-?(?:\d{3}|[a-z]{2}\d)+`},
	{"ticket7", `T\d?[0-9]{2,}|#x{0,2}\d`},
	{"any", `(?s)q.{2}\pN|[^a-z]{5}z?`},
	{"kelvin", `(?i)k[a-d]{2}K`},
	{"run", `[a-z]\d(?:A*T?-)?[0-9]{2}(Z|D\d)a?x`},
	{"named", `(?P<a>12|3a)*7$`},
}

// What is not looked at with a pattern has nothing of it: texts come out as if each pattern was asked
// about each of them.
func TestAPatternIsOnlySparedWhatItCannotFind(t *testing.T) {
	c, err := newScrubber(ownPatterns)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	const letters = "0123457AZaDEcust-T#xqz \n\u0663é"
	alphabet := []rune(letters)
	changed, spared := 0, 0
	for range 200_000 {
		text := make([]rune, random.IntN(24))
		for i := range text {
			text[i] = alphabet[random.IntN(len(alphabet))]
		}
		s := string(text)
		want := (&scrubber{}).text(s)
		for i, re := range c.own {
			if c.need[i].beyond(want, signsIn(want)) {
				spared++
			}
			want = re.ReplaceAllString(want, c.into[i])
		}
		if got := c.text(s); got != want {
			t.Fatalf("%q becomes %q, want %q", s, got, want)
		}
		if want != s {
			changed++
		}
	}
	if changed < 20_000 || spared < 100_000 {
		t.Errorf("%d texts changed, %d looks spared", changed, spared)
	}
}

func BenchmarkScrubByAPattern(b *testing.B) {
	c, err := newScrubber(ownPatterns[:1])
	if err != nil {
		b.Fatal(err)
	}
	texts := []string{"GET /orders/{id}", "packing_slip", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "worker-3", "select email, phone from customers where id = 7"}
	for b.Loop() {
		for _, s := range texts {
			if c.text(s) != s {
				b.Fatal(s)
			}
		}
	}
}
