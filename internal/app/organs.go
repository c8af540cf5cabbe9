package app

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/contain/envfile"
	"github.com/tocsin-ir/tocsin/contain/httprevoke"
	"github.com/tocsin-ir/tocsin/contain/knowngood"
	"github.com/tocsin-ir/tocsin/integrity"
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/notify/email"
	"github.com/tocsin-ir/tocsin/probe"
)

// connectors makes the connectors that the configuration names. Each kind reads its own settings
// and refuses those it does not know.
func (c *Config) connectors(out *egress.Client, vault contain.Vault, files *desk.Integrity) (made map[string]contain.Connector, switches map[string]bool, err error) {
	made, switches = map[string]contain.Connector{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.Connectors)) {
		node := c.Connectors[name]
		field := "connectors." + name
		kind, err := kindOf(&node, field)
		if err != nil {
			return nil, nil, err
		}
		switch kind {
		case "http.revoke":
			var cfg struct {
				Type              string `yaml:"type"`
				httprevoke.Config `yaml:",inline"`
			}
			if err := decode(&node, field, &cfg); err != nil {
				return nil, nil, err
			}
			if err := cfg.Config.Validate(field); err != nil {
				return nil, nil, err
			}
			made[name] = httprevoke.New(cfg.Config, out, vault.Get)
		case "envfile.rotate":
			var cfg struct {
				Type           string `yaml:"type"`
				envfile.Config `yaml:",inline"`
			}
			if err := decode(&node, field, &cfg); err != nil {
				return nil, nil, err
			}
			if err := cfg.Config.Validate(field); err != nil {
				return nil, nil, err
			}
			made[name] = envfile.New(name, cfg.Config, out, vault)
		case "switch":
			var cfg struct {
				Type string `yaml:"type"`
			}
			if err := decode(&node, field, &cfg); err != nil {
				return nil, nil, err
			}
			switches[name] = true
		case "integrity.restore":
			var cfg struct {
				Type string `yaml:"type"`
			}
			if err := decode(&node, field, &cfg); err != nil {
				return nil, nil, err
			}
			if len(files.Keeper.Sources) == 0 {
				return nil, nil, &mistake{Field: field, Say: "there are no files to put back: name them under integrity"}
			}
			made[name] = knowngood.New(files.Keeper)
			files.Restores[name] = true
		default:
			return nil, nil, &mistake{Field: join(field, "type"), Say: "there is no such connector: there are envfile.rotate, http.revoke, integrity.restore and switch"}
		}
	}
	return made, switches, nil
}

// checks makes the recovery checks that the configuration names. A probe is one too, under its name.
func (c *Config) checks(out *egress.Client, vault contain.Vault, files *integrity.Keeper) (map[string]desk.Check, error) {
	made := map[string]desk.Check{}
	for _, name := range slices.Sorted(maps.Keys(c.Checks)) {
		node := c.Checks[name]
		if kind, _ := kindOf(&node, ""); kind == "integrity" {
			one, err := c.filesCheck(&node, "checks."+name, files)
			if err != nil {
				return nil, err
			}
			made[name] = one
			continue
		}
		one, _, _, err := c.check1(&node, "checks."+name, false, out, vault)
		if err != nil {
			return nil, err
		}
		made[name] = one
	}
	// What raised an incident has to be in order before service returns, whatever the policy lists.
	for source := range c.Integrity {
		name := desk.SourceCheck(source)
		if made[name] != nil {
			return nil, &mistake{Field: "checks." + name, Say: "is the name of the check that integrity." + source + " is by itself: remove it, or name it otherwise"}
		}
		made[name] = check(func(ctx context.Context) probe.Result { return filesCheck{}.run(ctx, files, []string{source}) })
	}
	return made, nil
}

// maxProbes bounds how many probes run by themselves.
const maxProbes = 200

// probes makes the checks that run by themselves.
func (c *Config) probes(out *egress.Client, vault contain.Vault) ([]desk.Probe, error) {
	var made []desk.Probe
	if len(c.Probes) > maxProbes {
		return nil, &mistake{Field: "probes", Say: fmt.Sprintf("has more than %d entries", maxProbes)}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Probes)) {
		node := c.Probes[name]
		field := "probes." + name
		if !probe.IsName(name) {
			return nil, &mistake{Line: node.Line, Field: field, Say: "a probe's name has small letters, digits and _, and begins with a letter, such as shop_checkout"}
		}
		if _, twice := c.Checks[name]; twice {
			return nil, &mistake{Line: node.Line, Field: field, Say: "there is a check of this name: a probe is a check by itself, so remove that one"}
		}
		one, kind, how, err := c.check1(&node, field, true, out, vault)
		if err != nil {
			return nil, err
		}
		how = how.With(name, kind)
		if err := how.Validate(field); err != nil {
			return nil, err
		}
		made = append(made, desk.Probe{Name: name, Kind: kind, Schedule: how, Check: one})
	}
	return made, nil
}

// check1 makes one check of any kind, and reads when it runs by itself where that may be said.
func (c *Config) check1(node *yaml.Node, field string, scheduled bool, out *egress.Client, vault contain.Vault) (made desk.Check, kind string, how probe.Schedule, err error) {
	if kind, err = kindOf(node, field); err != nil {
		return nil, "", how, err
	}
	switch kind {
	case "http":
		p, s, err := settings[probe.HTTP](node, field, scheduled)
		return check(func(ctx context.Context) probe.Result { return p.Run(ctx, out, egress.Values{Named: vault.Get}) }), kind, s, err
	case "http-journey":
		p, s, err := settings[probe.Journey](node, field, scheduled)
		return check(func(ctx context.Context) probe.Result { return p.Run(ctx, out, egress.Values{Named: vault.Get}) }), kind, s, err
	case "dns":
		p, s, err := settings[probe.DNS](node, field, scheduled)
		return check(func(ctx context.Context) probe.Result { return p.Run(ctx, out, c.Network.DNS) }), kind, s, err
	case "tls":
		p, s, err := settings[probe.TLS](node, field, scheduled)
		if p.Roots != "" {
			p.Roots = c.path(p.Roots)
		}
		return check(func(ctx context.Context) probe.Result { return p.Run(ctx, out) }), kind, s, err
	}
	return nil, "", how, &mistake{Field: join(field, "type"), Say: "there is no such check: there are dns, http, http-journey, integrity and tls"}
}

func kindOf(node *yaml.Node, field string) (string, error) {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		return "", &mistake{Line: node.Line, Field: field, Say: "has to be a mapping with a type"}
	}
	var k struct {
		Type string `yaml:"type"`
	}
	if err := node.Decode(&k); err != nil || k.Type == "" {
		return "", &mistake{Line: node.Line, Field: join(field, "type"), Say: "is missing: it says which kind this is"}
	}
	return k.Type, nil
}

// settings reads the settings of one kind of check and refuses what they do not know.
func settings[T interface{ Validate(field string) error }](node *yaml.Node, field string, scheduled bool) (T, probe.Schedule, error) {
	var cfg struct {
		Type           string `yaml:"type"`
		Of             T      `yaml:",inline"`
		probe.Schedule `yaml:",inline"`
	}
	var once struct {
		Type string `yaml:"type"`
		Of   T      `yaml:",inline"`
	}
	into := any(&once)
	if scheduled {
		into = &cfg
	}
	if err := decode(node, field, into); err != nil {
		return once.Of, cfg.Schedule, err
	}
	if !scheduled {
		cfg.Of = once.Of
	}
	return cfg.Of, cfg.Schedule, cfg.Of.Validate(field)
}

// check is a recovery check with the way out and the secrets it may use.
type check func(ctx context.Context) probe.Result

func (c check) Run(ctx context.Context) probe.Result { return c(ctx) }

// sender makes the mail sender, or nil when no relay is configured.
func (c *Config) sender() (*email.Sender, error) {
	if c.Mail.Relay == "" {
		return nil, nil
	}
	cfg := email.Config{Relay: c.Mail.Relay, TLS: c.Mail.TLS, Username: c.Mail.Username, Hello: c.Mail.Hello}
	if c.Mail.PasswordFile != "" {
		password, err := os.ReadFile(c.path(c.Mail.PasswordFile))
		if err != nil {
			return nil, fmt.Errorf("mail.password_file: %w", err)
		}
		cfg.Password = egress.NewSecret(strings.TrimSpace(string(password)))
	}
	if err := cfg.Validate("mail"); err != nil {
		return nil, err
	}
	return email.New(cfg), nil
}
