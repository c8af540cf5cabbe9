package app

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/evidence"
	"github.com/tocsin-ir/tocsin/integrity"
	folders "github.com/tocsin-ir/tocsin/integrity/folder"
	"github.com/tocsin-ir/tocsin/integrity/theme"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/doctor"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/probe"
)

// How often a source is looked at.
const (
	everyDefault = time.Hour
	everyLeast   = time.Minute
	everyMost    = 7 * 24 * time.Hour
)

// maxThemeAnswer bounds one answer of a store, which carries the bodies of a page of files.
const maxThemeAnswer = 32 << 20

// timed is a source with how often it is looked at, and what it belongs to.
type timed[T interface{ Validate(field string) error }] struct {
	Every   time.Duration `yaml:"every"`
	Service string        `yaml:"service"` // changes of one service that are found together are one incident; default: all sources are one
	// Approvals is how many people approve a state before it is known good: 1 or 2, default 1.
	Approvals int `yaml:"approvals"`
	Of        T   `yaml:",inline"`
}

// Validate checks the settings of both.
func (t timed[T]) Validate(field string) error {
	if t.Every != 0 && (t.Every < everyLeast || t.Every > everyMost) {
		return fmt.Errorf("%s.every: has to be 1m to 168h", field)
	}
	if t.Service != "" && !validID(strings.ReplaceAll(t.Service, "_", "-")) {
		return fmt.Errorf("%s.service: has to be 1 to 64 characters out of a-z, 0-9, dash, underscore and full stop", field)
	}
	if t.Approvals < 0 || t.Approvals > 2 {
		return fmt.Errorf("%s.approvals: has to be 1 or 2", field)
	}
	return t.Of.Validate(field)
}

// sources makes the sources of files that the configuration names, how often each is looked at, and what
// it belongs to.
func (c *Config) sources(out *egress.Client, vault contain.Vault) (map[string]integrity.Source, desk.Integrity, error) {
	made, how := map[string]integrity.Source{}, desk.Integrity{Every: map[string]time.Duration{}, Service: map[string]string{}, Two: map[string]bool{}, Restores: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(c.Integrity)) {
		node := c.Integrity[name]
		field := "integrity." + name
		if !validID(strings.ReplaceAll(name, "_", "-")) {
			return nil, how, &mistake{Field: field, Say: "has to be 1 to 64 characters out of a-z, 0-9, dash, underscore and full stop"}
		}
		kind, err := kindOf(&node, field)
		if err != nil {
			return nil, how, err
		}
		note := func(every time.Duration, service string, approvals int) {
			how.Every[name], how.Service[name] = cmp.Or(every, everyDefault), service
			how.Two[name] = approvals == 2
		}
		switch kind {
		case "folder":
			s, _, err := settings[timed[folders.Config]](&node, field, false)
			if err != nil {
				return nil, how, err
			}
			note(s.Every, s.Service, s.Approvals)
			made[name] = folders.New(s.Of)
		case "shopify-theme":
			s, _, err := settings[timed[theme.Config]](&node, field, false)
			if err != nil {
				return nil, how, err
			}
			note(s.Every, s.Service, s.Approvals)
			made[name] = theme.New(s.Of, out, func(secret string) (egress.Secret, error) { return vault.Get(secret) })
		default:
			return nil, how, &mistake{Field: join(field, "type"), Say: "there is no such source: there are folder and shopify-theme"}
		}
	}
	return made, how, nil
}

// files is all that is compared with what was approved. What is kept of it is sealed, in the folder
// baselines.
func (c *Config) files(dir string, keys evidence.Keys, vault contain.Vault) (*desk.Integrity, error) {
	out := egress.New(egress.Options{Allow: prefixes(c.Network.Allow), MaxBody: maxThemeAnswer, Timeout: time.Minute, Agent: "tocsin/" + desk.EngineVersion})
	sources, how, err := c.sources(out, vault)
	if err != nil {
		return nil, err
	}
	store := evidence.Files{Dir: filepath.Join(dir, "baselines"), Keys: keys, Key: "baselines"}
	how.Keeper = &integrity.Keeper{Sources: sources, Store: store}
	return &how, nil
}

// filesCheck is a recovery check: every file of the sources is as approved.
type filesCheck struct {
	Sources []string `yaml:"sources"` // default all
}

// Validate accepts what the caller goes on to hold against the sources there are.
func (filesCheck) Validate(string) error { return nil }

// filesCheck makes the check that every file of some sources is as approved.
func (c *Config) filesCheck(node *yaml.Node, field string, files *integrity.Keeper) (desk.Check, error) {
	p, _, err := settings[filesCheck](node, field, false)
	if err != nil {
		return nil, err
	}
	names := p.names(c)
	if len(names) == 0 {
		return nil, &mistake{Field: field, Say: "there are no files to compare: name them under integrity"}
	}
	for _, source := range names {
		if _, ok := c.Integrity[source]; !ok {
			return nil, &mistake{Field: field, Say: fmt.Sprintf("there is no source %q: name it under integrity", source)}
		}
	}
	return check(func(ctx context.Context) probe.Result { return p.run(ctx, files, names) }), nil
}

func (f filesCheck) names(c *Config) []string {
	if len(f.Sources) > 0 {
		return f.Sources
	}
	return slices.Sorted(maps.Keys(c.Integrity))
}

func (f filesCheck) run(ctx context.Context, k *integrity.Keeper, names []string) probe.Result {
	r := probe.Result{Passed: true, Code: "as_approved"}
	var saw []string
	for _, name := range names {
		found, err := k.Look(ctx, name)
		switch {
		case err != nil:
			r.Passed, r.Code = false, "not looked at"
			saw = append(saw, fmt.Sprintf("%s: %v", name, err))
		case len(found.Changes) > 0:
			r.Passed, r.Code = false, "changed"
			saw = append(saw, fmt.Sprintf("%s is not as approved: %s", name, integrity.Summary(found.Changes)))
		default:
			saw = append(saw, fmt.Sprintf("all %d files of %s are as approved", found.Files, name))
		}
	}
	r.Observed, r.At = strings.Join(saw, "; "), time.Now().UTC()
	return r
}

// fileSource is a source as the doctor judges it.
func fileSource(s desk.SourceState) doctor.FileSource {
	f := doctor.FileSource{Name: s.Name, State: s.State, Two: s.Two, Changed: len(s.Changes), Trouble: s.Trouble}
	if s.Approval != nil {
		f.Approved = s.Approval.At
	}
	return f
}
