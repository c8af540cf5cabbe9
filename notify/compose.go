package notify

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tocsin-ir/tocsin/incident"
)

// Limits of what a letter holds, in runes or entries.
const (
	maxName    = 120
	maxSubject = 200
	maxItem    = 20_000
	maxStores  = 50
)

// Compose writes the letter. It is refused when a content item of the duty is empty or the address
// is not one; the error names the recipient by id and never by name or address.
func Compose(in Input) (Letter, error) {
	if in.Notice == nil {
		return Letter{}, errors.New("compose: there is no notice")
	}
	fail := func(format string, args ...any) (Letter, error) {
		return Letter{}, fmt.Errorf("notice %s to %s: %s", in.Notice.ID, in.Recipient.ID, fmt.Sprintf(format, args...))
	}
	from, err := mail.ParseAddress(in.From)
	if err != nil || !plainAddress(from.Address) {
		return fail("the sender is not an address: set mail.from")
	}
	if in.Address < 0 || in.Address >= len(in.Recipient.Addresses) {
		return fail("there is no address number %d", in.Address+1)
	}
	place := in.Recipient.Addresses[in.Address]
	to := strings.TrimSpace(place.Address)
	if place.Channel == "" && !plainAddress(to) || to == "" {
		return fail("address number %d is not one: correct it in the directory", in.Address+1)
	}
	var missing []string
	for _, id := range in.Duty.Content {
		if strings.TrimSpace(clean(in.Notice.Content[id])) == "" {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		return fail("these content items are empty: %s", strings.Join(missing, ", "))
	}
	if in.Zone == nil {
		in.Zone = time.UTC
	}
	if in.Contact == "" {
		in.Contact = from.Address
	}
	d := in.document()
	return Letter{
		Channel:    place.Channel,
		MessageID:  messageID(in, from.Address),
		Date:       in.Now.UTC().Truncate(time.Second),
		FromName:   line(from.Name, maxName),
		From:       from.Address,
		ToName:     line(in.Recipient.Name, maxName),
		To:         to,
		Subject:    line(in.subject(), maxSubject),
		Text:       d.text(),
		HTML:       d.html(),
		Incident:   in.Incident,
		Notice:     in.Notice.ID,
		Recipient:  in.Recipient.ID,
		Checkpoint: checkpointHeader(in.Checkpoint),
	}, nil
}

// messageID is the same for every attempt at this letter, so that a recipient's server which got
// it twice can tell. The parts are hashed with their lengths, so that no two letters share one.
func messageID(in Input, from string) string {
	h := sha256.New()
	for _, part := range []string{"tocsin-message/1", in.Installation, in.Incident, in.Notice.ID, in.Recipient.ID} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]) + "@" + from[strings.LastIndexByte(from, '@')+1:]
}

// checkpointHeader encodes a note for a header: base64 in pieces a header line can hold.
func checkpointHeader(note string) string {
	if note == "" {
		return ""
	}
	s := base64.StdEncoding.EncodeToString([]byte(note))
	var pieces []string
	for len(s) > 900 {
		pieces, s = append(pieces, s[:900]), s[900:]
	}
	return strings.Join(append(pieces, s), " ")
}

// plainAddress accepts an address and nothing around it.
func plainAddress(s string) bool {
	if len(s) > 254 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' }) {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Name == "" && a.Address == s
}

// line makes a text safe to stand in one line of a header or a letter: no line breaks, no control
// characters, no invisible characters that turn the direction of what follows.
func line(s string, limit int) string {
	s = strings.Join(strings.Fields(clean(s)), " ")
	if utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit-1]) + "…"
	}
	return s
}

// clean drops control characters and direction overrides, keeps line breaks, and makes the text
// valid UTF-8.
func clean(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\r', r == '\t', r == '\u2028', r == '\u2029', r == '\v', r == '\f', r == '\u0085':
			return ' '
		case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == '\u200e', r == '\u200f', r == '\u061c', r == '\ufeff':
			return -1
		}
		return r
	}, s)
}

// document is the letter before it is text or HTML.
type document struct {
	title    string
	greeting string
	sections []section
	footer   []string // paragraphs
	note     string   // checkpoint, verbatim
}

type section struct {
	title string
	paras []string
	rows  [][2]string
}

func (in Input) document() document {
	d := document{title: line(in.subject(), maxSubject)}
	name := line(in.Recipient.Name, maxName)
	if name == "" {
		name = in.Recipient.ID
	}
	d.greeting = fmt.Sprintf("To %s (%s)", isolate(name), in.Recipient.ID)

	if in.Notice.Corrects != "" {
		d.sections = append(d.sections, in.correction())
	}
	placed := !in.Recipient.Merchant
	for _, id := range in.items() {
		d.sections = append(d.sections, section{title: in.title(id), paras: paragraphs(in.Notice.Content[id])})
		if !placed && strings.Contains(id, "data") {
			d.sections, placed = append(d.sections, in.numbers()), true
		}
	}
	if !placed {
		d.sections = append(d.sections, in.numbers())
	}

	answer, keep := "answer this mail", "mail"
	if in.Recipient.Addresses[in.Address].Channel != "" {
		answer, keep = "answer here", "message"
	}
	about := fmt.Sprintf("This is incident %s of %s. Write to %s, or %s, and name the incident.", in.Incident, line(in.Org, maxName), in.Contact, answer)
	if in.PublicURL != "" {
		about += fmt.Sprintf(" How we handle incidents is published at %s/policy.", strings.TrimSuffix(line(in.PublicURL, 300), "/"))
	}
	d.footer = append(d.footer, about)
	if in.Checkpoint != "" {
		d.footer = append(d.footer, "Below is the signed state of our incident log when this was written. Keep this "+keep+": with it anyone can check later that the log was not changed.")
		d.note = strings.TrimRight(in.Checkpoint, "\n")
	}
	return d
}

// items lists the content in the duty's order, then what else the notice says, by id.
func (in Input) items() []string {
	ids := slices.Clone(in.Duty.Content)
	for _, id := range slices.Sorted(maps.Keys(in.Notice.Content)) {
		if !slices.Contains(ids, id) && strings.TrimSpace(clean(in.Notice.Content[id])) != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

func (in Input) title(id string) string {
	if t := line(in.ContentTitles[id], maxName); t != "" {
		return t
	}
	return incident.Capital(strings.ReplaceAll(id, "_", " "))
}

// subject says first that a correction is one.
func (in Input) subject() string {
	if in.Notice.Corrects == "" {
		return in.Notice.Subject
	}
	return "Correction: " + in.Notice.Subject
}

// correction says which letter this one replaces, and what that one counted.
func (in Input) correction() section {
	s := section{title: "This corrects what we told you", paras: []string{"What we know has changed since. This letter replaces what we wrote before."}}
	if in.Told == nil {
		return s
	}
	s.rows = append(s.rows, [2]string{"We wrote to you", in.stamp(in.Told.At)})
	if e := in.Told.Exposure; e != nil && in.Recipient.Merchant {
		atLeast := ""
		if e.AtLeast {
			atLeast = "at least "
		}
		s.rows = append(s.rows, [2]string{"Customers we named then", fmt.Sprintf("%s%d", atLeast, e.Customers)}, [2]string{"Records we named then", fmt.Sprintf("%s%d", atLeast, e.Records)})
	}
	return s
}

// numbers is what the scope says about this recipient alone.
func (in Input) numbers() section {
	s := section{title: "Your own numbers"}
	e := in.Exposure
	if in.Outside {
		s.paras = []string{"You are not affected after all: as far as we know now, data of your customers was not read."}
		return s
	}
	if e == nil {
		s.paras = []string{"The access log we searched shows no access to data of your customers. Our responders decided that you should know all the same."}
		return s
	}
	add := func(name, value string) { s.rows = append(s.rows, [2]string{name, value}) }
	atLeast := ""
	if e.AtLeast {
		atLeast = "at least "
	}
	add("Merchant", in.Recipient.ID)
	add("Stores", in.stores(e.Stores))
	add("Kinds of data", orNone(line(strings.Join(e.DataTypes, ", "), 2000)))
	add("Customer accounts (upper bound on people)", fmt.Sprintf("%s%d", atLeast, e.Customers))
	add("Records", fmt.Sprintf("%s%d", atLeast, e.Records))
	add("First access", in.stamp(e.First))
	add("Last access", in.stamp(e.Last))
	s.paras = []string{"These are the accesses to data of your customers that our log shows. One person may have several accounts."}
	if e.AtLeast {
		s.paras = append(s.paras, "One source of the log was incomplete, so the numbers are the least there were.")
	}
	return s
}

func (in Input) stores(ids []string) string {
	var out []string
	for i, id := range ids {
		if i == maxStores {
			out = append(out, fmt.Sprintf("and %d more", len(ids)-maxStores))
			break
		}
		name := line(id, maxName)
		if domain := line(in.Recipient.Stores[id], maxName); domain != "" {
			name = fmt.Sprintf("%s (%s)", domain, name)
		}
		out = append(out, name)
	}
	return orNone(strings.Join(out, ", "))
}

func orNone(s string) string {
	if s == "" {
		return "not recorded"
	}
	return s
}

// stamp writes an instant in the recipient's zone, with the zone's name and its offset then.
func (in Input) stamp(t time.Time) string {
	if t.IsZero() {
		return "not recorded"
	}
	return t.In(in.Zone).Format("2 January 2006, 15:04:05 (UTC-07:00)") + " " + in.Zone.String()
}

func paragraphs(s string) []string {
	r := []rune(clean(s))
	if len(r) > maxItem {
		r = append(r[:maxItem-1], '…')
	}
	var out []string
	for p := range strings.SplitSeq(string(r), "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// isolate keeps a name written from right to left from turning what stands after it.
func isolate(s string) string {
	for _, r := range s {
		if unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko) {
			return "\u2068" + s + "\u2069"
		}
	}
	return s
}

func (d document) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n", d.title, d.greeting)
	for _, s := range d.sections {
		fmt.Fprintf(&b, "\n%s\n%s\n", s.title, strings.Repeat("-", min(72, utf8.RuneCountInString(s.title))))
		for _, r := range s.rows {
			fmt.Fprintf(&b, "%s: %s\n", r[0], r[1])
		}
		if len(s.rows) > 0 && len(s.paras) > 0 {
			b.WriteString("\n")
		}
		b.WriteString(strings.Join(s.paras, "\n\n") + "\n")
	}
	b.WriteString("\n--\n")
	b.WriteString(strings.Join(d.footer, "\n\n") + "\n")
	if d.note != "" {
		b.WriteString("\n" + d.note + "\n")
	}
	return b.String()
}

func (d document) html() string {
	var b strings.Builder
	e := html.EscapeString
	para := func(s string) string { return strings.ReplaceAll(e(s), "\n", "<br>\n") }
	b.WriteString("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + e(d.title) + "</title></head>\n<body style=\"font-family:system-ui,sans-serif;line-height:1.5;max-width:40em\">\n")
	fmt.Fprintf(&b, "<h1 style=\"font-size:1.3em\">%s</h1>\n<p>To <bdi>%s</bdi></p>\n", e(d.title), e(strings.TrimPrefix(d.greeting, "To ")))
	for _, s := range d.sections {
		fmt.Fprintf(&b, "<h2 style=\"font-size:1.1em\">%s</h2>\n", e(s.title))
		if len(s.rows) > 0 {
			b.WriteString("<table cellpadding=\"4\">\n")
			for _, r := range s.rows {
				fmt.Fprintf(&b, "<tr><th align=\"left\" valign=\"top\">%s</th><td>%s</td></tr>\n", e(r[0]), e(r[1]))
			}
			b.WriteString("</table>\n")
		}
		for _, p := range s.paras {
			fmt.Fprintf(&b, "<p>%s</p>\n", para(p))
		}
	}
	b.WriteString("<hr>\n")
	for _, p := range d.footer {
		fmt.Fprintf(&b, "<p><small>%s</small></p>\n", para(p))
	}
	if d.note != "" {
		fmt.Fprintf(&b, "<pre style=\"font-size:.8em\">%s</pre>\n", e(d.note))
	}
	b.WriteString("</body></html>\n")
	return b.String()
}
