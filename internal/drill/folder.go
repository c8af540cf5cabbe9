package drill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"time"

	"github.com/tocsin-ir/tocsin/internal/app"
	"github.com/tocsin-ir/tocsin/internal/drill/channel"
	"github.com/tocsin-ir/tocsin/internal/drill/storefront"
	"github.com/tocsin-ir/tocsin/policy"
	"go.yaml.in/yaml/v3"
)

// prepareFolder empties an old drill's folder and makes a new one. It refuses to empty anything
// that is not a drill's.
func prepareFolder(dir string, now time.Time) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fmt.Errorf("drill: folder: %w", err)
	case len(entries) > 0:
		var was app.Installation
		raw, err := os.ReadFile(filepath.Join(dir, "installation.json"))
		if err != nil || json.Unmarshal(raw, &was) != nil || was.Env != "drill" {
			return fmt.Errorf("drill: %s is not empty and not a drill's folder: name another with --keep", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("drill: folder: %w", err)
		}
	}
	_, err = app.CreateFolder(dir, "drill", now)
	if err != nil {
		return fmt.Errorf("drill: folder: %w", err)
	}
	for _, sub := range []string{"policies", "drill", "drill/mailbox", "drill/spill"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return fmt.Errorf("drill: folder: %w", err)
		}
	}
	return nil
}

// places is what the configuration has to know of the other processes.
type places struct {
	mail, app, envFile, policy, owner string
	checks                            []policy.CheckDecl
	templates, store                  string            // files that are looked after: a folder, and the address of a shop; "" for none
	shop                              *storefront.Ready // the shop that checks look at; nil for none
	watched                           bool              // they are probes: they run by themselves
	channels                          *channel.Ready    // where clients talk with the vendor; nil: by mail alone
	tls                               bool              // the server and the mail server show certificates
	budget                            bool              // what a key costs has one
	copy, recipient                   string            // where facts and logs are copied, and to whom the keys are encrypted; "" for no copy
	logs                              Logs
}

// writeConfig writes tocsin.yaml as an operator would, with the connectors of the victim app.
func writeConfig(dir string, p places) error {
	type m = map[string]any
	config := m{
		"organisation": m{"id": organisation, "name": p.owner},
		"public_url":   "http://127.0.0.1",
		"listen":       "127.0.0.1:0",
		"apps":         []m{{"id": appID, "name": "The app of the drill"}},
		"policy":       p.policy,
		"mail":         m{"relay": p.mail, "from": (&mail.Address{Name: p.owner + " Security", Address: "security@javabeanai.com"}).String(), "tls": "none"},
		"network":      m{"allow": []string{"127.0.0.0/8"}},
		"connectors": m{
			"app_tokens": m{
				"type": "http.revoke", // the probe asks for an address that gives out no data, and that no switch hides
				"revoke": m{
					"method": "POST", "url": p.app + "/admin/tokens/revoke", "header": m{"Authorization": "Bearer ${secret:app_admin}"},
					"body": `{"credential":"${target.credential}"}`, "expect": []int{200, 204},
				},
				"probe": m{"method": "GET", "url": p.app + "/session", "header": m{"Authorization": "Bearer ${secret}"}, "refused": []int{401, 403}, "within": "1s"},
			},
			"app_secret": m{
				"type": "envfile.rotate", "file": p.envFile, "key": "SHOPIFY_WEBHOOK_SECRET",
				"probe": m{
					"method": "POST", "url": p.app + "/webhooks/ping", "body": `{"ping":true}`,
					"hmac": m{"header": "X-Shopify-Hmac-Sha256", "secret": "${secret}"}, "refused": []int{401}, "accepted": []int{200}, "within": "1s",
				},
			},
			"session_secret": m{
				"type": "envfile.rotate", "file": p.envFile, "key": "SESSION_SIGNING_SECRET",
				"probe": m{
					"method": "POST", "url": p.app + "/sessions/ping", "body": `{"ping":true}`,
					"hmac": m{"header": "X-Session-Signature", "secret": "${secret}"}, "refused": []int{401}, "accepted": []int{200}, "within": "1s",
				},
			},
			"shop_switch": m{"type": "switch"},
		},
	}
	if p.budget {
		config["detection"] = m{"budgets": []m{{"credential": costlyKey, "amount": 1500, "unit": "USD", "period": "720h"}}}
	}
	if p.tls {
		config["tls"] = m{"cert": certFile, "key": certKey}
		config["mail"].(m)["tls"] = "starttls"
	}
	checks := m{}
	for _, c := range p.checks {
		if c.Probe == "http" {
			checks[c.ID] = m{"type": "http", "method": "GET", "url": p.app + "/healthz", "expect": []int{200}, "contains": "ok"}
		}
	}
	config["checks"] = checks
	if p.store != "" {
		config["integrity"] = m{
			templatesSource: m{"type": "folder", "root": p.templates, "include": []string{"**/*.liquid"}},
			themeSource:     m{"type": "shopify-theme", "shop": storeDomain, "token": "shopify_theme", "url": p.store},
		}
		config["connectors"].(m)["known_good"] = m{"type": "integrity.restore"}
	}
	if p.channels != nil {
		config["channels"] = p.inChannels()
	}
	if p.shop != nil {
		p.lookAtShop(config)
	}
	logs := m{}
	for name, url := range map[string]string{"facts": p.logs.Facts, "events": p.logs.Events} {
		if url != "" {
			logs[name] = m{"url": url}
		}
	}
	if len(logs) > 0 {
		config["logs"] = logs
	}
	if p.copy != "" {
		config["copy"] = m{"to": p.copy, "recipients": []string{p.recipient}}
	}
	if p.app == "" { // a replayed log: there is no application to contain or to check
		delete(config, "connectors")
		delete(config, "checks")
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	if err := e.Encode(config); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "tocsin.yaml"), b.Bytes(), 0o600)
}
