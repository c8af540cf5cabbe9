package drill

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/attacker"
	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/internal/drill/sink"
	"github.com/tocsin-ir/tocsin/internal/drill/storefront"
	"github.com/tocsin-ir/tocsin/internal/drill/victim"
	"github.com/tocsin-ir/tocsin/internal/drill/world"
	"github.com/tocsin-ir/tocsin/internal/judge"
)

// firstDay is where the domain clock of every drill begins: a Tuesday, so that the night of the
// attack after the default month is the one before a Friday and the clocks run over a weekend.
var firstDay = time.Date(2026, 10, 20, 0, 0, 0, 0, time.UTC)

// setUp makes the folder, starts every process and brings the vendor to its first ordinary day.
func (r *run) setUp(ctx context.Context) error {
	r.night = firstDay.AddDate(0, 0, 31)
	r.start = r.night.AddDate(0, 0, -r.o.Days)
	if err := prepareFolder(r.o.Dir, r.start); err != nil {
		return err
	}
	r.world = world.New(world.Options{Seed: r.o.Seed, Merchants: r.o.People, Start: r.start, Days: r.o.Days})
	r.admin, r.stolen, r.hook, r.session = "adm_"+rand.Text(), "app_"+rand.Text(), "whs_"+rand.Text(), "ses_"+rand.Text()
	r.secrets = []string{r.admin, r.stolen, r.hook, r.session}
	r.envFile = filepath.Join(r.o.Dir, "drill", "app.env")
	if err := os.WriteFile(r.envFile, []byte("# the victim app\nPORT=0\nSHOPIFY_WEBHOOK_SECRET="+r.hook+"\nSESSION_SIGNING_SECRET="+r.session+"\n"), 0o600); err != nil {
		return err
	}
	if err := r.startWorld(ctx); err != nil {
		return err
	}
	if err := r.saveExpected(); err != nil {
		return err
	}
	policyFile := filepath.Join("policies", r.program.ID+".yaml")
	if err := os.WriteFile(filepath.Join(r.o.Dir, policyFile), r.source, 0o600); err != nil {
		return err
	}
	where := places{tls: r.roots != "", mail: r.mailAddr(), app: r.app, envFile: r.envFile, policy: policyFile, owner: r.program.Owner, checks: r.program.Checks, logs: r.o.Logs}
	if r.shop != nil {
		where.shop, where.watched = &r.front, r.watched()
	}
	if r.channels != nil {
		where.channels = &r.meet
	}
	var err error
	if s, _ := scriptOf(r.o.Scenario); s != nil && s.setting().copies {
		if r.recipient, err = prepareCopies(r.o.Dir); err != nil {
			return fmt.Errorf("drill: the other place: %w", err)
		}
		where.copy, where.recipient = copyOf(r.o.Dir), r.recipient
	}
	if s, _ := scriptOf(r.o.Scenario); s != nil {
		where.budget = s.setting().numbers
	}
	if s, _ := scriptOf(r.o.Scenario); s != nil && s.setting().files {
		if err := r.startStore(ctx); err != nil {
			return err
		}
		where.templates, where.store = r.templatesDir(), r.ids["store"]
	}
	if err := writeConfig(r.o.Dir, where); err != nil {
		return err
	}
	if r.server, err = startServer(ctx, r.o.Binary, r.o.Dir, r.o.Store, r.o.Sabotage, r.start, r.roots); err != nil {
		return err
	}
	r.tell.now(r.start)
	r.tell.say("serve", "tocsin serve runs on %s; policy %s, %d merchants", r.server.Base(), r.program.ID, len(r.world.Merchants))
	if err := r.hire(ctx); err != nil {
		return err
	}
	return r.connect(ctx)
}

type ready struct {
	Ready bool   `json:"ready"`
	Addr  string `json:"addr"`
}

func (r *run) mailAddr() string { return r.ids["mail"] }

// startWorld starts what exists without the responder: mail server, application, attacker, judge.
func (r *run) startWorld(ctx context.Context) error {
	var up ready
	var err error
	in := func(parts ...string) string {
		return filepath.Join(append([]string{r.o.Dir, "drill"}, parts...)...)
	}
	post := sink.Config{Listen: "127.0.0.1:0", Dir: in("mailbox"), Greylist: "120ms", Dead: r.world.DeadAddresses(), DropEach: 61, Now: r.start}
	var env []string
	if s, _ := scriptOf(r.o.Scenario); s != nil && s.setting().tls {
		if post.Cert, post.Key, err = r.certify(); err != nil {
			return fmt.Errorf("drill: certificates: %w", err)
		}
		env = trusting(r.roots)
	}
	if r.sink, err = spawn(ctx, r.o.Binary, "sink", post, &up); err != nil {
		return err
	}
	r.ids["mail"] = up.Addr
	if r.o.Events != "" {
		return nil // a user's own log: there is no application and no attacker
	}
	tokens := []victim.Token{{Name: world.BackOffice, Secret: victim.Secret(r.stolen)}}
	for _, name := range []string{world.SyncWorker, world.HelpDesk, world.PackingApp} {
		secret := "app_" + rand.Text()
		r.secrets = append(r.secrets, secret)
		tokens = append(tokens, victim.Token{Name: name, Secret: victim.Secret(secret)})
	}
	if r.needsShop() {
		if r.shop, err = spawn(ctx, r.o.Binary, "storefront", storefront.Config{Log: in("storefront.ndjson"), Roots: in("storefront-ca.pem"), Now: r.start}, &r.front); err != nil {
			return err
		}
	}
	if r.inChannels() {
		if r.channels, err = spawn(ctx, r.o.Binary, "channel", r.clientsMeet(in("channels.ndjson")), &r.meet); err != nil {
			return err
		}
	}
	config := victim.Config{
		Listen: "127.0.0.1:0", Seed: r.o.Seed, Merchants: r.o.People, Start: r.start, Days: r.o.Days, Tokens: tokens, Admin: victim.Secret(r.admin),
		EnvFile: r.envFile, Log: in("requests.ndjson"), App: appID, SpillDir: in("spill"),
	}
	if r.victim, err = spawn(ctx, r.o.Binary, "victim", config, &up, env...); err != nil {
		return err
	}
	r.app = "http://" + up.Addr
	var known []attacker.Account
	for _, m := range r.world.Merchants {
		if m.Uninstalled.IsZero() {
			known = append(known, attacker.Account{ID: m.ID, Pages: m.Pages()})
		}
	}
	if r.attacker, err = spawn(ctx, r.o.Binary, "attacker", attacker.Config{Target: r.app, Token: attacker.Secret(r.stolen), Seed: r.o.Seed, Merchants: known}, &up); err != nil {
		return err
	}
	r.judge, err = spawn(ctx, r.o.Binary, "judge", judge.Config{Target: r.app, Token: judge.Secret(r.stolen), WebhookSecret: judge.Secret(r.hook), SessionSecret: judge.Secret(r.session), Now: r.start}, &up)
	return err
}

// hire uses the first-run link as the owner does, invites people by link and lets each join with
// a token of their own.
func (r *run) hire(ctx context.Context) error {
	r.api = &people.Server{Base: r.server.Base, Client: r.client, Acked: r.ack, Retried: func() { r.ackMu.Lock(); r.retried++; r.ackMu.Unlock() }}
	stranger := &people.Person{ID: "first", Server: r.api}
	owner, err := r.join(ctx, stranger, r.server.link)
	if err != nil {
		return fmt.Errorf("drill: first sign-in: %w", err)
	}
	owner.Name, owner.Access = "Ada", "owner"
	r.owner = owner
	// Every role has two holders, so that nobody has to sign what they planned themselves.
	staff := []*people.Person{{ID: "lena", Name: "Lena"}, {ID: "omar", Name: "Omar"}, {ID: "ines", Name: "Ines"}, {ID: "jon", Name: "Jon"}}
	for i, role := range r.program.Roles {
		for k := range 2 {
			p := staff[(i+k)%len(staff)]
			if !p.Holds(role.ID) {
				p.Roles = append(p.Roles, role.ID)
			}
		}
	}
	for _, p := range staff {
		var invited struct{ Link string }
		body := map[string]any{"id": p.ID, "name": p.Name, "access": "responder", "roles": p.Roles}
		if at := r.callsAt(p.ID); at != "" {
			body["email"] = at
		}
		if err := owner.Call(ctx, http.MethodPost, "/v1/people", body, &invited); err != nil {
			return fmt.Errorf("drill: invite %s: %w", p.ID, err)
		}
		joined, err := r.join(ctx, &people.Person{Server: r.api}, invited.Link)
		if err != nil {
			return fmt.Errorf("drill: %s joins: %w", p.ID, err)
		}
		p.Token, p.Server, p.Access = joined.Token, r.api, "responder"
		r.cast = append(r.cast, p)
	}
	return nil
}

// callsAt is the address at which somebody is called, in the scenarios in which people have one.
func (r *run) callsAt(person string) string {
	if s, err := scriptOf(r.o.Scenario); err != nil || !s.setting().calls {
		return ""
	}
	return person + "@javabeanai.com"
}

func (r *run) join(ctx context.Context, p *people.Person, link string) (*people.Person, error) {
	u, err := url.Parse(link)
	if err != nil || u.Query().Get("code") == "" {
		return nil, fmt.Errorf("the link has no code")
	}
	var out struct {
		Person string       `json:"person"`
		Token  people.Token `json:"token"`
	}
	if err := p.Call(ctx, http.MethodPost, "/v1/join", map[string]string{"code": u.Query().Get("code")}, &out); err != nil {
		return nil, err
	}
	r.secrets = append(r.secrets, string(out.Token))
	return &people.Person{ID: out.Person, Token: out.Token, Server: r.api}, nil
}

// connect imports the directory, makes the machines' keys and connects the application.
func (r *run) connect(ctx context.Context) error {
	var file bytes.Buffer
	if r.o.Merchants != "" {
		raw, err := os.ReadFile(r.o.Merchants)
		if err != nil {
			return fmt.Errorf("drill: merchants: %w", err)
		}
		file.Write(raw)
	} else if err := r.world.WriteCSV(&file); err != nil {
		return err
	}
	if err := os.WriteFile(r.merchantsFile(), file.Bytes(), 0o600); err != nil {
		return err
	}
	var imported struct {
		Imported int `json:"imported"`
		Rejected []struct {
			Line          int
			Field, Reason string
		} `json:"rejected"`
	}
	if err := r.owner.Call(ctx, http.MethodPost, "/v1/merchants", people.CSV(file.Bytes()), &imported); err != nil {
		return fmt.Errorf("drill: import merchants: %w", err)
	}
	if len(imported.Rejected) > 0 {
		first := imported.Rejected[0]
		r.tell.say("import", "%d lines of the merchants' file were not taken; the first is line %d: %s: %s", len(imported.Rejected), first.Line, first.Field, first.Reason)
	}
	var logs struct {
		Facts  string `json:"facts_key"`
		Events string `json:"events_key"`
	}
	if err := r.owner.Call(ctx, http.MethodGet, "/v1/checkpoints", nil, &logs); err != nil {
		return fmt.Errorf("drill: keys of the logs: %w", err)
	}
	r.logKeys = logs.Facts + "\n" + logs.Events + "\n"
	for _, source := range []string{"app", "warehouse", "cloud"} {
		key, err := r.key(ctx, map[string]string{"purpose": "ingest", "source": source, "app": appID})
		if err != nil {
			return err
		}
		r.ingest[source] = key
	}
	if r.victim == nil {
		return nil
	}
	switchKey, err := r.key(ctx, map[string]string{"purpose": "switch", "app": appID})
	if err != nil {
		return err
	}
	r.switchKey = switchKey
	if err := r.owner.Call(ctx, http.MethodPut, "/v1/secrets/app_admin", []byte(r.admin), nil); err != nil {
		return fmt.Errorf("drill: put secret: %w", err)
	}
	if err := r.keepChannelTokens(ctx); err != nil {
		return err
	}
	return r.tellApp(ctx, "/drill/connect", victim.Connection{URL: r.server.Base(), IngestKey: victim.Secret(r.ingest["app"]), SwitchKey: victim.Secret(switchKey), App: appID}, nil)
}

func (r *run) merchantsFile() string { return filepath.Join(r.o.Dir, "drill", "merchants.csv") }

func (r *run) key(ctx context.Context, body map[string]string) (people.Token, error) {
	var out struct{ Key people.Token }
	if err := r.owner.Call(ctx, http.MethodPost, "/v1/keys", body, &out); err != nil {
		return "", fmt.Errorf("drill: key for %s: %w", body["purpose"], err)
	}
	r.secrets = append(r.secrets, string(out.Key))
	return out.Key, nil
}

// tellApp speaks to the application's admin and drill addresses.
func (r *run) tellApp(ctx context.Context, path string, body, into any) error {
	p := &people.Person{Token: people.Token(r.admin), Server: &people.Server{Base: func() string { return r.app }, Client: r.client}}
	if err := p.Call(ctx, http.MethodPost, path, body, into); err != nil {
		return fmt.Errorf("drill: victim: %w", err)
	}
	return nil
}

// send posts lines to the access log under a source's own key.
func (r *run) send(ctx context.Context, source string, lines [][]byte) (rejected int, err error) {
	if len(lines) == 0 {
		return 0, nil
	}
	var out struct {
		Rejected []struct{ Line int } `json:"rejected"`
	}
	machine := &people.Person{Token: r.ingest[source], Server: r.api}
	body := people.NDJSON(append(bytes.Join(lines, []byte("\n")), '\n'))
	if err := machine.Call(ctx, http.MethodPost, "/v1/events?format=native", body, &out); err != nil {
		return 0, fmt.Errorf("drill: source %s: %w", source, err)
	}
	return len(out.Rejected), nil
}

// holder is somebody with the role who is none of the others.
func (r *run) holder(role string, others ...*people.Person) *people.Person {
	for _, p := range r.cast {
		if p.Holds(role) && !slices.Contains(others, p) {
			return p
		}
	}
	return nil
}
