package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tocsin-ir/tocsin/internal/console"
	"github.com/tocsin-ir/tocsin/internal/doctor"
)

// hour is the first hour of this server as the console takes it. A server that is read-only or
// belongs to a drill has none.
func (a *App) hour() console.Hour {
	if a.readOnly() || a.in.Env == "drill" {
		return nil
	}
	return firstHour{a}
}

// firstHour changes the data folder. What it changes is in force after a restart in the same process;
// each change is a whole file in the place of another, so a crash leaves the old one or the new one.
type firstHour struct{ a *App }

func (h firstHour) Checkup(ctx context.Context) (doctor.Report, error) {
	return h.a.checkup(ctx, Depth{Page: true})
}

func (h firstHour) Steps(r doctor.Report) ([]doctor.Step, error) { return Steps(h.a.o.Dir, r) }

func (h firstHour) SkipStep(id string, again bool) error {
	return SkipStep(h.a.o.Dir, id, again, time.Now())
}

func (h firstHour) Restart() { h.a.restart() }

func (h firstHour) Apps() (all []console.App) {
	for _, x := range h.a.cfg.Apps {
		all = append(all, console.App{ID: x.ID, Name: x.Name})
	}
	return all
}

// Integrations never name an address with a path, which may hold a secret.
func (h firstHour) Integrations() (all []console.Integration) {
	c := h.a.cfg
	add := func(sort, name, is string) { all = append(all, console.Integration{Sort: sort, Name: name, Is: is}) }
	for _, x := range c.Apps {
		add("app", x.ID, x.Name)
	}
	if c.Mail.Relay != "" {
		add("mail", c.Mail.Relay, "from "+c.Mail.From+", "+c.Mail.TLS)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Connectors)) {
		node := c.Connectors[name]
		if kind, err := kindOf(&node, name); err == nil {
			add("connector", name, kind)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Checks)) {
		node := c.Checks[name]
		kind, _ := kindOf(&node, name) // the configuration was checked
		add("recovery check", name, kind)
	}
	probes, _ := c.probes(nil, nil)
	for _, p := range probes {
		add("probe", p.Name, p.Kind+", every "+p.Schedule.Every.String())
	}
	for _, w := range c.Evidence.Witnesses {
		name, _, _ := strings.Cut(w.Key, "+")
		add("witness", name, "signs the checkpoints of both logs")
	}
	if c.Copy.To != "" {
		add("copy", c.Copy.To, "facts and both logs")
	}
	if u, err := url.Parse(c.Heartbeat.URL); err == nil && u.Host != "" {
		add("heartbeat", u.Host, "every "+c.Heartbeat.Every.String())
	}
	return all
}

// ChangePolicy puts a policy in the place of the one in force, which stays beside it and, if it was
// ever published, in policies/kept.
func (h firstHour) ChangePolicy(src []byte) error {
	file := h.a.cfg.path(h.a.cfg.Policy)
	if filepath.Dir(filepath.Clean(file)) != filepath.Join(filepath.Clean(h.a.o.Dir), "policies") {
		return fmt.Errorf("the policy in force is %s, outside the data folder: change it there", file)
	}
	try, err := os.CreateTemp(filepath.Dir(file), ".try-*.yaml")
	if err != nil {
		return err
	}
	defer os.Remove(try.Name())
	_, err = try.Write(src)
	if err := errors.Join(err, try.Close()); err != nil {
		return err
	}
	if _, err := compile(try.Name()); err != nil {
		return fmt.Errorf("the policy does not compile: %s", firstLine(err))
	}
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := replaceFile(strings.TrimSuffix(file, ".yaml")+".before.yaml", old); err != nil {
		return err
	}
	return replaceFile(file, src)
}

// Mail is the relay as the configuration says it now.
func (h firstHour) Mail() (console.Relay, error) {
	c, err := LoadConfig(h.a.o.Dir, h.a.o.Config)
	if err != nil {
		return console.Relay{}, err
	}
	return console.Relay{Relay: c.Mail.Relay, From: c.Mail.From, TLS: c.Mail.TLS, Username: c.Mail.Username, Selector: c.Mail.DKIMSelector}, nil
}

// ChangeMail writes the relay. The password goes into a file of its own, never into the configuration.
func (h firstHour) ChangeMail(m console.Relay) error {
	set := map[string]string{"relay": m.Relay, "from": m.From, "tls": m.TLS}
	if m.Username != "" {
		set["username"] = m.Username
		set["password_file"] = "secrets/smtp"
	}
	if m.Selector != "" {
		set["dkim_selector"] = m.Selector
	}
	if m.Password != "" {
		if err := os.MkdirAll(filepath.Join(h.a.o.Dir, "secrets"), 0o700); err != nil {
			return err
		}
		if err := replaceFile(filepath.Join(h.a.o.Dir, "secrets", "smtp"), []byte(m.Password+"\n")); err != nil {
			return err
		}
	}
	return h.a.configure(map[string]any{"mail": set}, func(c *Config) error {
		sender, err := c.sender()
		if err != nil {
			return err
		}
		sender.Close()
		return nil
	})
}

func (h firstHour) TestMail(ctx context.Context, to string) error {
	return TestMail(ctx, h.a.o, to, time.Now())
}

// ChangeAway writes where the evidence goes, and who misses the server when it stops. What is empty stays.
func (h firstHour) ChangeAway(w console.Away) error {
	set := map[string]any{}
	if w.Copy != "" {
		info, err := os.Stat(w.Copy)
		if err != nil || !info.IsDir() || !filepath.IsAbs(w.Copy) {
			return fmt.Errorf("the folder for the copy has to be there already, with its whole path: %q is not", w.Copy)
		}
		to := map[string]any{"to": w.Copy}
		if w.Recipient != "" {
			to["recipients"] = []string{w.Recipient}
		}
		set["copy"] = to
	}
	if w.Heartbeat != "" {
		set["heartbeat"] = map[string]any{"url": w.Heartbeat}
	}
	if w.WitnessKey != "" || w.WitnessURL != "" {
		set["evidence"] = map[string]any{"witnesses": []any{map[string]string{"key": w.WitnessKey, "url": w.WitnessURL}}}
	}
	if len(set) == 0 {
		return errors.New("nothing was named: name a folder, a heartbeat or a witness, or put this step off")
	}
	return h.a.configure(set, func(*Config) error { return nil })
}

// configure sets fields of tocsin.yaml at its top and leaves everything else as it is, comments
// included. The result is read back and tried before it takes the file's place.
func (a *App) configure(set map[string]any, try func(*Config) error) error {
	src, err := os.ReadFile(a.cfg.file)
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil || len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%s is no mapping that could be changed: change it by hand", a.cfg.file)
	}
	root := doc.Content[0]
	names := make([]string, 0, len(set))
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var value yaml.Node
		if err := value.Encode(set[name]); err != nil {
			return err
		}
		at := -1
		for i := 0; i+1 < len(root.Content); i += 2 {
			if root.Content[i].Value == name {
				at = i + 1
			}
		}
		if at < 0 {
			root.Content = append(root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, &value)
		} else {
			root.Content[at] = &value
		}
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(&doc), e.Close()); err != nil {
		return err
	}
	next, err := readConfig(out.Bytes(), a.o.Dir, a.cfg.file)
	if err == nil {
		err = try(next)
	}
	if err != nil {
		return err
	}
	return replaceFile(a.cfg.file, out.Bytes())
}
