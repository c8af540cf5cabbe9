package review

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Withheld says what was taken out of a version for people outside, and how often. It never holds what
// was taken out.
type Withheld struct {
	What string `json:"what"` // such as "name of a person of the organisation"
	In   string `json:"in"`   // the part it stood in
	N    int    `json:"n"`
}

// Secret is what a version for people outside must not say, whatever somebody wrote into it.
type Secret struct {
	People    []string // ids and names of people of the organisation
	Merchants []string // ids, names and shops of merchants
	Incidents []string // ids and titles of private incidents
	Known     []string // ids of the incidents that are not private
	Tokens    []string // credentials, actors and addresses that the incident is about
}

// redactor takes out what must not be said. What is left in its place says what kind of thing it was.
type redactor struct {
	phrases map[string][]phrase // by first word, folded; the longest first
	inside  []secretText        // in scripts that put no blanks between words: found wherever they stand
	known   map[string]bool     // ids of incidents that may be named
	said    map[Withheld]int
	order   []Withheld
	part    string
}

type phrase struct {
	words  []string // as fold gives them
	what   string
	proper bool // only where it begins with a capital
}

const (
	aPerson   = "name of a person of the organisation"
	aMerchant = "name of a merchant"
	anotherIn = "another incident"
	aToken    = "credential"
	anEmail   = "e-mail address"
	anAddress = "network address"
	aPhone    = "telephone number"
	aLink     = "link"
	aNumber   = "long number, which may be a telephone number or an identifier"
)

// patterns are personal data and tokens that are known by their form. Order matters: an e-mail address is
// not half a host name, and what looks like a token may hold digits that look like a telephone.
var patterns = []struct {
	what string
	form *regexp.Regexp
}{
	{anEmail, regexp.MustCompile(`(?i)[\p{L}\p{M}\p{N}._%+'-]+@[\p{L}\p{M}\p{N}-]+(?:\.[\p{L}\p{M}\p{N}-]+)+`)},
	{aToken, regexp.MustCompile(`(?i)\b(?:shp(?:at|ca|pa|ss|tk)_[0-9a-z]{6,}|tok_[0-9a-z]{2,}|sk_(?:live|test)_[0-9a-z]+|gh[opsur]_[0-9a-z]{10,}|github_pat_[0-9a-z_]{10,}|xox[abprs]-[0-9a-z-]{8,}|AKIA[0-9A-Z]{12,}|eyJ[0-9a-z_-]{8,}\.[0-9a-z_-]+(?:\.[0-9a-z_-]*)?|bearer\s+[0-9a-z._~+/=-]{8,}|tcs_[0-9a-z_]{8,})`)},
	{aToken, regexp.MustCompile(`\b(?:[0-9a-f]{32,}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b`)},
	{aToken, regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)},
	{anAddress, regexp.MustCompile(`\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b(?:/\d{1,2}\b)?`)},
	{anAddress, regexp.MustCompile(`(?i)\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}\b|\b(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}\b`)},
}

// numbered is the number of an incident, however it is written. One that no incident has goes as that of
// a private one does: what is taken out must not tell the writer which of the two it is.
var numbered = regexp.MustCompile(`(?i)\bINC[^\p{L}\p{M}\p{N}_]+0*([1-9]\d*)\b`)

func newRedactor(s Secret) *redactor {
	r := &redactor{phrases: map[string][]phrase{}, known: map[string]bool{}, said: map[Withheld]int{}}
	for _, id := range s.Known {
		r.known[id] = true
	}
	for _, set := range []struct {
		what string
		list []string
	}{{anotherIn, s.Incidents}, {aToken, s.Tokens}, {aPerson, s.People}, {aMerchant, s.Merchants}} {
		for _, text := range set.list {
			if unspaced(text) {
				r.inside = append(r.inside, secretText{norm.NFC.String(strings.TrimSpace(text)), set.what})
			}
			for _, words := range spellings(text) {
				if len(words) == 0 || len(words) == 1 && utf8.RuneCountInString(words[0]) < 3 {
					continue // a name of two letters is a word of the language
				}
				r.phrases[words[0]] = append(r.phrases[words[0]], phrase{words: words, what: set.what})
			}
		}
	}
	// Each word of a person's name, where it is written as a name: "Lena", and not "a mark" for Mark.
	for _, name := range s.People {
		for _, words := range spellings(name) {
			for _, w := range words {
				if len(words) > 1 && utf8.RuneCountInString(w) >= 3 {
					r.phrases[w] = append(r.phrases[w], phrase{words: []string{w}, what: aPerson, proper: true})
				}
			}
		}
	}
	for _, list := range r.phrases {
		slices.SortStableFunc(list, func(a, b phrase) int { return len(b.words) - len(a.words) })
	}
	return r
}

// text takes out what must not be said from one text of a part. A nil redactor takes out nothing.
func (r *redactor) text(s string) string {
	if r == nil || s == "" {
		return s
	}
	s = strings.Map(func(c rune) rune { // nothing hides a name from this by standing unseen inside it
		if unicode.Is(unicode.Cf, c) && c != '\u200c' && c != '\u200d' {
			return -1
		}
		return c
	}, s)
	s = plainForm(s)
	for _, x := range r.inside {
		for strings.Contains(s, x.text) {
			s = strings.Replace(s, x.text, r.instead(x.what), 1)
		}
	}
	for _, p := range patterns {
		s = p.form.ReplaceAllStringFunc(s, func(string) string { return r.instead(p.what) })
	}
	s = r.numbers(s)
	s = numbered.ReplaceAllStringFunc(s, func(found string) string {
		if r.known["INC-"+numbered.FindStringSubmatch(found)[1]] {
			return found
		}
		return r.instead(anotherIn)
	})
	return r.names(s)
}

func (r *redactor) instead(what string) string {
	w := Withheld{What: what, In: r.part}
	if r.said[w] == 0 {
		r.order = append(r.order, w)
	}
	r.said[w]++
	return "[" + what + "]"
}

// names takes out the phrases that are known by what they say.
func (r *redactor) names(s string) string {
	spots := spotsOf(s)
	var b strings.Builder
	at := 0
next:
	for i := 0; i < len(spots); i++ {
		for _, p := range r.phrases[fold(s[spots[i].from:spots[i].to])] {
			if i+len(p.words) > len(spots) {
				continue
			}
			first, _ := utf8.DecodeRuneInString(s[spots[i].from:])
			same := !p.proper || !unicode.IsLower(first)
			for k, w := range p.words {
				same = same && fold(s[spots[i+k].from:spots[i+k].to]) == w
			}
			if !same {
				continue
			}
			b.WriteString(s[at:spots[i].from])
			b.WriteString(r.instead(p.what))
			i += len(p.words) - 1
			at = spots[i].to
			continue next
		}
	}
	b.WriteString(s[at:])
	return b.String()
}

type spot struct{ from, to int }

// spotsOf finds the words of a text: letters, digits, and what ids join them with.
func spotsOf(s string) []spot {
	var out []spot
	from := -1
	for i, c := range s {
		in := unicode.IsLetter(c) || unicode.IsDigit(c) || unicode.IsMark(c) || c == '_' || c == '\u200c' || c == '\u200d'
		switch {
		case in && from < 0:
			from = i
		case !in && from >= 0:
			out, from = append(out, spot{from, i}), -1
		}
	}
	if from >= 0 {
		out = append(out, spot{from, len(s)})
	}
	return out
}

func wordsOf(s string) []string {
	var out []string
	for _, w := range spotsOf(s) {
		out = append(out, s[w.from:w.to])
	}
	return out
}

// withheld lists what was taken out, in the order in which it was met.
func (r *redactor) withheld() []Withheld {
	if r == nil {
		return nil
	}
	out := slices.Clone(r.order)
	for i, w := range out {
		out[i].N = r.said[w]
	}
	return out
}

// blocks takes it out of blocks that people wrote. An address of a link that holds it goes as a whole.
func (r *redactor) blocks(list []Block) []Block {
	if r == nil {
		return list
	}
	for i := range list {
		k := &list[i]
		k.Text, k.Code = r.text(k.Text), r.text(k.Code)
		k.Spans = r.spans(k.Spans)
		for p := range k.Points {
			k.Points[p].Spans = r.spans(k.Points[p].Spans)
		}
	}
	return list
}

// spans takes it out of the pieces of a line. What stands across a change of style is found in the whole
// line, which then loses its styles.
func (r *redactor) spans(list []Span) []Span {
	whole := ""
	for i := range list {
		s := &list[i]
		s.Text = r.text(s.Text)
		if s.Link != "" && r.finds(s.Link) {
			s.Link = ""
			r.instead(aLink)
		}
		whole += s.Text
	}
	if len(list) > 1 && r.finds(whole) {
		return []Span{{Text: r.text(whole)}}
	}
	return list
}

// finds reports whether a text says something that it must not.
func (r *redactor) finds(s string) bool {
	if plain, err := url.QueryUnescape(s); err == nil {
		s += " " + plain // a link hides a name behind its escapes
	}
	probe := redactor{phrases: r.phrases, inside: r.inside, known: r.known, said: map[Withheld]int{}}
	probe.text(s)
	return len(probe.order) > 0
}
