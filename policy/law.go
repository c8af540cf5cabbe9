package policy

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/calendar"
)

// Laws is a catalogue of notification law: what "as law" means for one duty and one recipient. The
// package regime implements it. A catalogue is data and pure: the same question gets the same
// answer, and Version names the data.
type Laws interface {
	Version() string
	// Clocks lists every clock that may run, also those whose question is still open, and those that
	// a recorded fact rules out, with the verdict False; none for a recipient no law of the catalogue
	// speaks of. The order does not depend on chance.
	Clocks(q LawQuestion) []LawClock
}

// LawQuestion is what a law may depend on. Facts that are not answered are absent: a law that
// needs one says which.
type LawQuestion struct {
	Do        Verb
	Party     string // the kind of the party that is told: controller, authority, individuals, platform, …
	Facts     map[string]any
	DataTypes []string
	Within    []string // where they can live at all, as the policy says: also EU; nil: anywhere
	Regions   []string // of the customers in scope, ISO 3166-1 or -2; nil while no scope is known
	Recipient *RecipientView
}

// LawClock is one clock of one law, counted by the law's own rules.
type LawClock struct {
	ID       string // of the duty in the catalogue, such as eu-gdpr-authority
	Regime   string // the law's name
	Source   string // the clause: "Regulation (EU) 2016/679, Art. 33(1)"
	Anchor   string // milestone the law counts from: aware, discovered, determined, …
	Span     calendar.Span
	Zone     *time.Location // of days; nil: the policy's
	Hours    calendar.Hours // of business days; zero: elapsed time
	Applies  Verdict        // whether it applies, or which fact would say so
	Text     string         // "72h after aware (GDPR Art. 33)"
	Verified string         // seen, partial, secondary or unseen: how far the figure was checked
	AsOf     string         // date of the research, 2006-01-02
}

// places reads where those live whose data is held. A name that nobody knows would leave out every
// law in silence, so it is an error.
func (c *compiler) places(f fields) {
	if !f.has("law") {
		return
	}
	for _, t := range c.fields(f.vals["law"], "law").texts("where") {
		country, part, parted := strings.Cut(t.s, "-")
		switch known := isCountry(country); {
		case country == "UK":
			c.errorf(t.pos, "bad-value", "write GB", "where: the code of the United Kingdom is GB")
		case t.s != "EU" && !known, parted && !partForm.MatchString(part):
			hint := "write a code of ISO 3166, such as DE or US-CA, or EU"
			if meant := countryMeant(t.s); meant != "" {
				hint = "write " + meant
			}
			c.errorf(t.pos, "bad-value", hint, "where: there is no place %s", short(t.s))
		case slices.Contains(c.p.Places, t.s):
			c.errorf(t.pos, "duplicate-value", "", "where: %s is named twice", t.s)
		default:
			c.p.Places = append(c.p.Places, t.s)
		}
	}
}

var partForm = regexp.MustCompile(`^[A-Z0-9]{1,3}$`)
