package regime

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/calendar"
	"github.com/tocsin-ir/tocsin/policy"
)

// maxFile bounds one file of the catalogue, in bytes.
const maxFile = 1 << 20

// Load reads about.yaml and every other YAML file of a folder. Its errors name file, duty and what
// is wrong; a catalogue with an error is not loaded in part.
func Load(dir fs.FS) (*Catalogue, error) {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	c := &Catalogue{zones: map[string]*time.Location{}}
	digest := sha256.New()
	for _, name := range names {
		src, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("regimes: %w", err)
		}
		if len(src) > maxFile {
			return nil, fmt.Errorf("regimes: %s is larger than %d bytes", name, maxFile)
		}
		fmt.Fprintf(digest, "%s %d\n", name, len(src))
		digest.Write(src)
		if err := c.file(name, src); err != nil {
			return nil, fmt.Errorf("regimes: %s: %w", name, err)
		}
	}
	if len(c.Regimes) == 0 || c.AsOf == "" {
		return nil, errors.New("regimes: no regimes, or no about.yaml with as_of")
	}
	slices.SortFunc(c.Regimes, func(a, b Regime) int { return strings.Compare(a.ID, b.ID) })
	c.version = "regimes-" + c.AsOf + "-" + hex.EncodeToString(digest.Sum(nil))[:12]
	return c, c.unique()
}

func (c *Catalogue) file(name string, src []byte) error {
	d := yaml.NewDecoder(bytes.NewReader(src))
	d.KnownFields(true)
	if name == "about.yaml" {
		var about struct {
			AsOf       string   `yaml:"as_of"`
			Notes      []string `yaml:"notes"`
			NotCovered []string `yaml:"not_covered"`
		}
		if err := d.Decode(&about); err != nil {
			return err
		}
		c.AsOf, c.Notes, c.NotCovered = about.AsOf, about.Notes, about.NotCovered
		_, err := time.Parse(time.DateOnly, about.AsOf)
		return err
	}
	var file struct {
		Regimes []Regime `yaml:"regimes"`
	}
	if err := d.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, r := range file.Regimes {
		if err := c.regime(&r); err != nil {
			return fmt.Errorf("%s: %w", r.ID, err)
		}
		c.Regimes = append(c.Regimes, r)
	}
	return nil
}

var regionForm = regexp.MustCompile(`^[A-Z]{2}(-[A-Z0-9]{1,3})?$`)

func (c *Catalogue) regime(r *Regime) error {
	switch {
	case r.ID == "" || r.Name == "" || r.Citation == "" || len(r.Sources) == 0:
		return errors.New("id, name, citation and sources are needed")
	case !slices.Contains([]string{"high", "medium", "low"}, r.Confidence):
		return fmt.Errorf("confidence %q is not high, medium or low", r.Confidence)
	}
	if _, err := time.Parse(time.DateOnly, r.AsOf); err != nil {
		return fmt.Errorf("as_of: %w", err)
	}
	if i := slices.Index(r.Jurisdiction, "EU"); i >= 0 { // its members stand in one list
		r.Jurisdiction = slices.Replace(r.Jurisdiction, i, i+1, policy.Union...)
	}
	for _, j := range r.Jurisdiction {
		if !regionForm.MatchString(j) {
			return fmt.Errorf("jurisdiction %q is not a code of ISO 3166", j)
		}
	}
	if r.Zone != "" {
		zone, err := time.LoadLocation(r.Zone)
		if err != nil {
			return fmt.Errorf("zone: %w", err)
		}
		c.zones[r.Zone] = zone
	}
	for i := range r.Duties {
		d := &r.Duties[i]
		if err := d.read(); err != nil {
			return fmt.Errorf("%s: %w", d.ID, err)
		}
		d.source, d.text = source(*r, *d), text(*r, *d)
		if l := d.span.Limit; l != nil && l.Business {
			d.hours = weekdays(c.zones[r.Zone])
		}
	}
	return nil
}

// read checks a duty and parses what is written in it.
func (d *Duty) read() error {
	switch {
	case d.ID == "" || d.From == "" || d.To == "" || d.Citation == "" || d.Threshold == "":
		return errors.New("id, from, to, threshold and citation are needed")
	case !slices.Contains([]string{"seen", "partial", "secondary", "unseen"}, d.Verification):
		return fmt.Errorf("verification %q is not seen, partial, secondary or unseen", d.Verification)
	case d.Runs() && !slices.Contains(policy.Universal, d.Anchor):
		return fmt.Errorf("anchor %q is no milestone of every incident; write not_run and why", d.Anchor)
	case d.Runs() && len(d.When) == 0 && d.For == "":
		return errors.New("nothing says when it applies; write when, for or not_run")
	case d.Runs() && d.Span == "" && d.Qualifier == "":
		return errors.New("neither a span nor a qualifier")
	case !d.Runs() && len(d.When) > 0:
		return errors.New("not_run and when exclude each other")
	}
	if d.Span != "" {
		l, err := calendar.ParseLength(d.Span)
		if err != nil {
			return fmt.Errorf("span: %w", err)
		}
		d.span.Limit = &l
	}
	if d.Guidance != "" {
		l, err := calendar.ParseLength(d.Guidance)
		if err != nil {
			return fmt.Errorf("guidance: %w", err)
		}
		d.span.Target = &l
	}
	for _, w := range d.When {
		p, err := parsePredicate(w)
		if err != nil {
			return err
		}
		d.when = append(d.when, p)
	}
	return nil
}

func (c *Catalogue) unique() error {
	seen := map[string]bool{}
	for _, r := range c.Regimes {
		ids := []string{r.ID}
		for _, d := range r.Duties {
			ids = append(ids, d.ID)
		}
		for _, id := range ids {
			if seen[id] {
				return fmt.Errorf("regimes: %s is named twice", id)
			}
			seen[id] = true
		}
	}
	return nil
}
