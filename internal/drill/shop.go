package drill

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/tocsin-ir/tocsin/internal/drill/storefront"
	"github.com/tocsin-ir/tocsin/policy"
)

// shopProbes are the checks of the storefront, by how a policy says that they look.
var shopProbes = map[string]string{"http-journey": "shop_checkout", "dns": "shop_dns", "tls": "shop_tls"}

// needsShop: there is a storefront where probes look at one, and where the policy has checks of one.
func (r *run) needsShop() bool {
	return r.watched() || slices.ContainsFunc(r.program.Checks, func(c policy.CheckDecl) bool { return shopProbes[c.Probe] != "" })
}

// watched says that probes look at the storefront by themselves.
func (r *run) watched() bool {
	s, err := scriptOf(r.o.Scenario)
	return err == nil && s.setting().probes
}

// lookAtShop writes the checks of the storefront into a configuration, or the probes of it.
func (p places) lookAtShop(config map[string]any) {
	type m = map[string]any
	device := func(name, agent string) m { return m{"name": name, "agent": "Mozilla/5.0 " + agent} }
	made := map[string]m{
		"shop_dns": {"type": "dns", "name": storefront.Name, "resolver": p.shop.DNS, "all_of": []string{storefront.Address}},
		"shop_tls": {"type": "tls", "address": p.shop.TLS, "name": storefront.Name, "roots": "drill/storefront-ca.pem", "days": 14},
		"shop_checkout": {
			"type": "http-journey", "base": "http://" + p.shop.HTTP,
			"as": []m{device("phone", "(iPhone; CPU iPhone OS 19_1 like Mac OS X)"), device("tablet", "(iPad; CPU OS 19_1 like Mac OS X)"), device("desktop", "(X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")},
			"steps": []m{
				{"name": "home", "url": "/", "contains": "/pixel.js"}, // what counts visitors is there
				{"name": "cart", "method": "POST", "url": "/cart", "expect": []int{201}},
				{"name": "checkout", "url": "/checkout", "contains": "Payment"},
				{"name": "pay", "method": "POST", "url": "/pay", "contains": "Thank you"},
			},
		},
	}
	if !p.watched {
		checks, ok := config["checks"].(m)
		for _, c := range p.checks {
			if how := made[shopProbes[c.Probe]]; ok && how != nil {
				checks[c.ID] = how
			}
		}
		return
	}
	for _, c := range made {
		c["every"], c["after"], c["service"] = "20m", 2, "shop"
	}
	checks, ok := config["checks"].(m)
	for _, c := range p.checks {
		if how := made[shopProbes[c.Probe]]; ok && how != nil && made[c.ID] == nil { // a probe is a check by its own name
			looks := maps.Clone(how)
			for _, k := range []string{"every", "after", "service"} {
				delete(looks, k)
			}
			checks[c.ID] = looks
		}
	}
	made["shop_checkout"]["signal"] = "checkout_failure"
	config["probes"] = made
}

// breaks says what of the storefront is broken from now on; nothing heals it.
func (r *run) breaks(ctx context.Context, say string, parts ...string) error {
	if parts == nil {
		parts = []string{}
	}
	r.tell.say("shop", "%s", say)
	return r.shop.ask(storefront.Order{ID: 2, Now: r.server.clock(), Broken: &parts}, nil)
}

// taleOf is the entry of a tale that names what it is about; taleSubject that of its letter to merchants.
const (
	taleOf      = ""
	taleSubject = "subject of the letter"
)

// said is what people write under a content item or a part of the review.
func (r *run) said(item string, otherwise func(string) string) string {
	if text, ok := r.tale[item]; ok {
		return text
	}
	if r.tale != nil {
		return r.tale[taleOf] + ": " + strings.ReplaceAll(item, "_", " ") + " is described in this message."
	}
	return otherwise(item)
}
