package incident

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits on what a command may carry, so that a fact has a size.
const (
	maxID        = 200      // bytes of an id
	maxTitle     = 300      // bytes of a title or subject
	maxReason    = 4 << 10  // bytes of a reason
	maxText      = 32 << 10 // bytes of a text
	maxItems     = 200      // entries of a list or map that people fill in
	maxEvents    = 1000     // event ids of a signal
	maxMerchants = 100_000  // merchants of a scope
	maxGaps      = 10_000
	maxQuery     = 256 << 10 // bytes of a scope query
)

func invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// needText checks a text that has to be there.
func needText(field, s string, limit int) error {
	if strings.TrimSpace(s) == "" {
		return invalid(field, "must not be empty")
	}
	return checkText(field, s, limit)
}

func checkText(field, s string, limit int) error {
	if len(s) > limit {
		return invalid(field, "is longer than %d bytes", limit)
	}
	if !utf8.ValidString(s) {
		return invalid(field, "is not valid UTF-8")
	}
	return nil
}

func needID(field, s string) error {
	if err := needText(field, s, maxID); err != nil {
		return err
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return invalid(field, "must not contain spaces or control characters")
	}
	return nil
}

// needMerchant checks a merchant's id. What an event may carry a command may name: an id with a
// space in it must not keep a scope from being recorded.
func needMerchant(field, s string) error {
	if err := needText(field, s, maxID); err != nil {
		return err
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return invalid(field, "must not contain control characters")
	}
	return nil
}

func checkMap(field string, m map[string]string, limit int) error {
	if len(m) > maxItems {
		return invalid(field, "has more than %d entries", maxItems)
	}
	for k, v := range m {
		if err := needText(field, k, maxID); err != nil {
			return err
		}
		if err := checkText(field+"."+k, v, limit); err != nil {
			return err
		}
	}
	return nil
}

// notLater checks an instant that people give: it may lie in the past, never in the future.
func notLater(field string, at, now time.Time) error {
	if at.After(now) {
		return invalid(field, "lies in the future")
	}
	if !at.IsZero() && at.Year() < 1970 {
		return invalid(field, "lies before 1970")
	}
	return nil
}

func (g *Signal) check(field string) error {
	if err := needID(field+".id", g.ID); err != nil {
		return err
	}
	if err := needID(field+".class", g.Class); err != nil {
		return err
	}
	if err := checkText(field+".subject", g.Subject, maxReason); err != nil {
		return err
	}
	if err := checkText(field+".sentence", g.Sentence, maxReason); err != nil {
		return err
	}
	if len(g.Events) > maxEvents {
		return invalid(field+".events", "has more than %d entries", maxEvents)
	}
	return checkMap(field+".facets", g.Facets, maxReason)
}

func (c *RecordScope) check() error {
	if len(c.Query) == 0 || len(c.Query) > maxQuery || !json.Valid(c.Query) {
		return invalid("query", "must be JSON of at most %d bytes", maxQuery)
	}
	if err := needID("digest", c.Digest); err != nil {
		return err
	}
	if err := checkText("reason", c.Reason, maxReason); err != nil {
		return err
	}
	if err := checkText("checkpoint", c.Checkpoint, maxText); err != nil {
		return err
	}
	switch {
	case len(c.Merchants) > maxMerchants:
		return invalid("merchants", "has more than %d entries", maxMerchants)
	case len(c.Gaps) > maxGaps:
		return invalid("gaps", "has more than %d entries", maxGaps)
	case len(c.Regions) > maxMerchants:
		return invalid("regions", "has more than %d entries", maxMerchants)
	case len(c.Supplied) > maxGaps:
		return invalid("supplied", "has more than %d entries", maxGaps)
	case c.Customers < 0 || c.Events < 0 || c.Records < 0:
		return invalid("customers", "counts must not be negative")
	}
	seen := make(map[string]bool, len(c.Merchants))
	for i := range c.Merchants {
		m := c.Merchants[i].Merchant
		if err := needMerchant("merchants.merchant", m); err != nil {
			return err
		}
		if seen[m] {
			return invalid("merchants", "names one merchant twice")
		}
		seen[m] = true
	}
	return nil
}
