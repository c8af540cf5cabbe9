package review

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// One name has many spellings that a reader takes for one: composed and decomposed, with its accents and
// without, in capitals, in wide letters of an Asian keyboard. They are compared in one form.

// secretText is a name in a script that puts no blanks between words.
type secretText struct{ text, what string }

// plain are letters that Unicode does not take apart, and that people write as these.
var plain = strings.NewReplacer("ø", "o", "ł", "l", "đ", "d", "ð", "d", "þ", "th", "æ", "ae", "œ", "oe", "ı", "i", "ħ", "h", "ŋ", "ng", "’", "", "\u200c", "", "\u200d", "")

// folds holds transformers that are not at work: each has a state, and making one costs more than most words.
var folds = sync.Pool{New: func() any {
	return transform.Chain(norm.NFKD, runes.Remove(runes.In(unicode.Mn)), cases.Fold(), norm.NFKD, runes.Remove(runes.In(unicode.Mn)), norm.NFC)
}}

// fold is the form in which words are compared.
func fold(word string) string {
	if !strings.ContainsFunc(word, func(c rune) bool { return c > unicode.MaxASCII }) {
		return strings.ToLower(word) // as all of what follows has it
	}
	bare := folds.Get().(transform.Transformer)
	defer folds.Put(bare)
	out, _, err := transform.String(bare, word)
	if err != nil { // none of these refuses a text
		out = strings.ToLower(word)
	}
	return plain.Replace(out)
}

// umlauts are written with two letters where a keyboard has none.
var umlauts = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "å", "aa", "Ä", "Ae", "Ö", "Oe", "Ü", "Ue", "Å", "Aa")

// spellings are the words of a name, folded, in each way in which it is written.
func spellings(name string) [][]string {
	var out [][]string
	for _, text := range []string{name, umlauts.Replace(norm.NFC.String(name))} {
		words := wordsOf(text)
		for i := range words {
			words[i] = fold(words[i])
		}
		if !slices.ContainsFunc(out, func(w []string) bool { return slices.Equal(w, words) }) {
			out = append(out, words)
		}
	}
	return out
}

// unspaced reports whether a name is written in a script whose words are not set apart. One letter is a word.
func unspaced(name string) bool {
	n := 0
	for _, c := range name {
		if unicode.In(c, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) {
			n++
		}
	}
	return n >= 2
}

// plainForm composes a text. Where wide or raised letters hide an address or a number, it is the text without
// them; else they stay as they were written.
func plainForm(s string) string {
	s = norm.NFC.String(s)
	wide := norm.NFKC.String(s)
	if wide == s {
		return s
	}
	hidden := func(text string) (n int) {
		for _, p := range patterns {
			n += len(p.form.FindAllStringIndex(text, -1))
		}
		for _, p := range telephones {
			n += len(p.form.FindAllStringIndex(text, -1))
		}
		return n
	}
	if hidden(wide) > hidden(s) {
		return wide
	}
	return s
}

// between may stand between the digits of a telephone number.
const between = `[\p{Zs}()/.\x{2010}-\x{2015}\x{2212}-]`

// telephones are the forms in which telephone numbers are written, the surest first. Digits are those of any
// script.
var telephones = []struct {
	what       string
	form       *regexp.Regexp
	least, max int // digits
}{
	{aPhone, regexp.MustCompile(`\+` + between + `?\p{Nd}(?:` + between + `{0,3}\p{Nd}){6,16}`), 7, 17},
	{aPhone, regexp.MustCompile(`\b00` + between + `?[1-9](?:` + between + `{0,3}\p{Nd}){7,15}\b`), 9, 18},
	{aPhone, regexp.MustCompile(`(?i)\b(?:tele(?:phone|fon|fono)?|t[ée]l|phone|fax|mobile?|mobil|cell|whatsapp|hotline|rufnummer|handy)\b[.:]?\s*(?:(?:number|no|nr|at|on|is|was)\b[.:]?\s*){0,3}[:=]?\s*\(?\p{Nd}(?:` + between + `{0,3}\p{Nd}){4,16}`), 5, 17},
	{aPhone, regexp.MustCompile(`(?:\(0\p{Nd}{1,5}\)|\b0\p{Nd}{1,5})(?:` + between + `{0,3}\p{Nd}){4,12}\b`), 7, 15},
	{aPhone, regexp.MustCompile(`(?:\([2-9]\p{Nd}{2}\)|\b[2-9]\p{Nd}{2})` + between + `{1,3}\p{Nd}{3}` + between + `{1,3}\p{Nd}{4}\b`), 10, 10},
	{aNumber, regexp.MustCompile(`\b\p{Nd}{9,}\b`), 9, 1 << 20},
}

// dates are no telephone numbers, however they are written.
var dates = regexp.MustCompile(`\b(?:\p{Nd}{4}[-/.]\p{Nd}{1,2}[-/.]\p{Nd}{1,2}|\p{Nd}{1,2}[-/.]\p{Nd}{1,2}[-/.]\p{Nd}{4})\b`)

// numbers takes out telephone numbers, and runs of digits that are too long to count anything.
func (r *redactor) numbers(s string) string {
	var out strings.Builder
	at := 0
	for _, d := range append(dates.FindAllStringIndex(s, -1), []int{len(s), len(s)}) {
		out.WriteString(r.telephone(s[at:d[0]]))
		out.WriteString(s[d[0]:d[1]])
		at = d[1]
	}
	return out.String()
}

func (r *redactor) telephone(s string) string {
	for _, p := range telephones {
		s = p.form.ReplaceAllStringFunc(s, func(found string) string {
			n := 0
			for _, c := range found {
				if unicode.Is(unicode.Nd, c) {
					n++
				}
			}
			if n < p.least || n > p.max {
				return found
			}
			return r.instead(p.what)
		})
	}
	return s
}
