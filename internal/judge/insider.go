package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
)

// untouchedAndUnknown: the evidence verifies, and nobody whom it was kept from was given any of it.
func (b *bench) untouchedAndUnknown(p *row) error {
	if err := b.unknownOutside(); err != nil {
		return err
	}
	return b.untouched(p)
}

// unknownOutside: wherever somebody looked who is not on the list, neither the incident's title nor
// its number stood there; asked for by its number, it was not found; and no mail of it went to them.
func (b *bench) unknownOutside() error {
	opened := b.export.of("incident.opened")
	if len(opened) == 0 {
		return errors.New("the evidence holds no opening of the incident")
	}
	var text struct{ Title string }
	opened[0].own(&text)
	id := opened[0].Chain
	number := regexp.MustCompile(`\b` + regexp.QuoteMeta(id) + `\b`)
	raw, err := os.ReadFile(b.c.Looks)
	if err != nil {
		return fmt.Errorf("what was answered to people outside: %w", err)
	}
	looks, asked := 0, 0
	for line := range bytes.Lines(raw) {
		var l Look
		if err := json.Unmarshal(line, &l); err != nil {
			return fmt.Errorf("what was answered to people outside: line %d: %w", looks+1, err)
		}
		looks++
		switch named := number.MatchString(l.Path); {
		case strings.Contains(l.Text, text.Title):
			return fmt.Errorf("%s tells %s what the incident is about", l.Path, l.Who)
		case named && l.Status != http.StatusNotFound:
			return fmt.Errorf("%s answers %d to %s", l.Path, l.Status, l.Who)
		case !named && number.MatchString(l.Text) && !strings.HasPrefix(l.Path, "/evidence"): // whose example is INC-1
			return fmt.Errorf("%s names %s to %s", l.Path, id, l.Who)
		case named:
			asked++
		}
	}
	if looks == 0 || asked == 0 || len(b.c.Outside) < 2 {
		return errors.New("nobody outside looked, so that they found nothing shows nothing")
	}
	for _, m := range b.mails {
		for _, s := range b.c.Outside {
			if s.Email != "" && slices.ContainsFunc(m.Rcpt, func(a string) bool { return strings.EqualFold(a, s.Email) }) {
				return fmt.Errorf("%s went to %s, who is not on the list", m.File, s.ID)
			}
		}
	}
	return nil
}

// calledWithin: somebody on the list was called, so that the calls that did not go elsewhere mean
// something.
func (b *bench) calledWithin() error {
	for _, m := range b.mails {
		for _, s := range b.c.People {
			if s.Email != "" && slices.ContainsFunc(m.Rcpt, func(a string) bool { return strings.EqualFold(a, s.Email) }) {
				return nil
			}
		}
	}
	return errors.New("nobody on the list was ever called")
}
