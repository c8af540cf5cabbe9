package app

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/contain"
	"github.com/tocsin-ir/tocsin/internal/egress"
	"github.com/tocsin-ir/tocsin/notify"
	"github.com/tocsin-ir/tocsin/notify/basecamp"
	"github.com/tocsin-ir/tocsin/notify/slack"
)

// channels makes the senders of the channels that the configuration names. A policy says by via and
// fallback who is told where; a merchant's place in a channel stands in the directory.
func (c *Config) channels(out *egress.Client, vault contain.Vault) (map[string]notify.Channel, error) {
	named := func(name string) (contain.Secret, error) { return vault.Get(name) }
	made := map[string]notify.Channel{}
	for _, name := range slices.Sorted(maps.Keys(c.Channels)) {
		node, field := c.Channels[name], "channels."+name
		switch name {
		case "slack":
			cfg, err := channelSettings[slack.Config](&node, field)
			if err != nil {
				return nil, err
			}
			made[name] = slack.New(cfg, out, named)
		case "basecamp":
			cfg, err := channelSettings[basecamp.Config](&node, field)
			if err != nil {
				return nil, err
			}
			made[name] = basecamp.New(cfg, out, named)
		default:
			return nil, &mistake{Line: node.Line, Field: field, Say: "nothing sends there: there are basecamp and slack; mail is set under mail"}
		}
	}
	return made, nil
}

func channelSettings[T interface{ Validate(field string) error }](node *yaml.Node, field string) (T, error) {
	var cfg T
	if err := decode(node, field, &cfg); err != nil {
		return cfg, err
	}
	return cfg, cfg.Validate(field)
}
