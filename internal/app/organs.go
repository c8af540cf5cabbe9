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
	"github.com/tocsin-ir/tocsin/internal/desk"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/notify/email"
	"github.com/tocsin-ir/tocsin/probe"
)

// connectors makes the connectors that the configuration names. Each kind reads its own settings
// and refuses those it does not know.
func (c *Config) connectors(out *egress.Client, vault contain.Vault) (made map[string]contain.Connector, switches map[string]bool, err error) {
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
		default:
			return nil, nil, &mistake{Field: join(field, "type"), Say: "there is no such connector: there are http.revoke, envfile.rotate and switch"}
		}
	}
	return made, switches, nil
}

// checks makes the recovery checks that the configuration names.
func (c *Config) checks(out *egress.Client, vault contain.Vault) (map[string]desk.Check, error) {
	made := map[string]desk.Check{}
	for _, name := range slices.Sorted(maps.Keys(c.Checks)) {
		node := c.Checks[name]
		field := "checks." + name
		kind, err := kindOf(&node, field)
		if err != nil {
			return nil, err
		}
		switch kind {
		case "http":
			p, err := settings[probe.HTTP](&node, field)
			if err != nil {
				return nil, err
			}
			made[name] = check(func(ctx context.Context) probe.Result { return p.Run(ctx, out, egress.Values{Named: vault.Get}) })
		case "http-journey":
			p, err := settings[probe.Journey](&node, field)
			if err != nil {
				return nil, err
			}
			made[name] = check(func(ctx context.Context) probe.Result { return p.Run(ctx, out, egress.Values{Named: vault.Get}) })
		case "dns":
			p, err := settings[probe.DNS](&node, field)
			if err != nil {
				return nil, err
			}
			made[name] = check(func(ctx context.Context) probe.Result { return p.Run(ctx, out, c.Network.DNS) })
		case "tls":
			p, err := settings[probe.TLS](&node, field)
			if err != nil {
				return nil, err
			}
			if p.Roots != "" {
				p.Roots = c.path(p.Roots)
			}
			made[name] = check(func(ctx context.Context) probe.Result { return p.Run(ctx, out) })
		default:
			return nil, &mistake{Field: join(field, "type"), Say: "there is no such check: there are dns, http, http-journey and tls"}
		}
	}
	return made, nil
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
func settings[T interface{ Validate(field string) error }](node *yaml.Node, field string) (T, error) {
	var cfg struct {
		Type string `yaml:"type"`
		Of   T      `yaml:",inline"`
	}
	if err := decode(node, field, &cfg); err != nil {
		return cfg.Of, err
	}
	return cfg.Of, cfg.Of.Validate(field)
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
