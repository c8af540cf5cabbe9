package drill

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/internal/drill/shop"
	"github.com/tocsin-ir/tocsin/internal/drill/world"
	"github.com/tocsin-ir/tocsin/internal/judge"
	"github.com/tocsin-ir/tocsin/policy"
)

// templateTamper is code that somebody puts where it runs: a theme and a template of the app are changed
// at night behind everybody's back. The next look finds it; people see what was put in, have the approved
// files put back, and tell the merchants whose slips came from the changed template.
type templateTamper struct{}

func (templateTamper) setting() setting { return setting{days: 4, people: 60, files: true} }

// The sources of the drill, by the names of its configuration.
const (
	templatesSource = "templates"
	themeSource     = "theme"
	storeDomain     = "drill.myshopify.com"
)

// changedClass is the class of such an incident; a policy that lacks it has it unclassified.
const changedClass = "malicious_code"

func (r *run) templatesDir() string { return filepath.Join(r.o.Dir, "drill", "templates") }
func (r *run) storeLog() string     { return filepath.Join(r.o.Dir, "drill", "store.ndjson") }

// startStore deploys the application's templates and opens a store with a theme.
func (r *run) startStore(ctx context.Context) error {
	for _, f := range world.Templates() {
		if err := r.putTemplate(f); err != nil {
			return err
		}
	}
	r.storeAdmin, r.storeToken = "adm_"+rand.Text(), "shpat_"+rand.Text()
	r.secrets = append(r.secrets, r.storeAdmin, r.storeToken)
	c := shop.Config{Listen: "127.0.0.1:0", Shop: storeDomain, Files: map[string]string{}, Admin: shop.Secret(r.storeAdmin), Log: r.storeLog(), Bucket: 20_000, Refill: 1000, // as a large store has

		Tokens: []shop.Token{{Secret: shop.Secret(r.storeToken), App: "tocsin", Scopes: []string{"read_themes", "write_themes"}}}}
	for _, f := range world.Theme() {
		c.Files[f.Path] = base64.StdEncoding.EncodeToString(f.Bytes)
	}
	var up ready
	var err error
	if r.store, err = spawn(ctx, r.o.Binary, "shop", c, &up); err != nil {
		return err
	}
	r.ids["store"] = "http://" + up.Addr
	return nil
}

func (r *run) putTemplate(f world.File) error {
	path := filepath.Join(r.templatesDir(), filepath.FromSlash(f.Path))
	if f.Bytes == nil {
		return os.Remove(path)
	}
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Bytes, 0o644))
}

func (templateTamper) play(ctx context.Context, r *run) error {
	if err := r.approveFiles(ctx); err != nil {
		return fmt.Errorf("the baselines: %w", err)
	}
	if err := r.month(ctx); err != nil {
		return fmt.Errorf("the days before: %w", err)
	}
	r.startKiller(ctx)
	lead := r.lead()
	err := r.steps(ctx,
		step{2, 40, r.tamper},
		step{3, 5, r.changeFound},
		step{5, 5, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "acknowledge", nil, "is on it")
			return err
		}},
		step{5, 10, r.judgements},
		step{5, 20, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "confirm", map[string]string{"reason": "Nobody deployed that night, and the script sends away what customers type."}, "confirms the incident")
			return err
		}},
		step{5, 25, r.lookAtChanges},
		step{5, 30, func(ctx context.Context) error {
			_, err := r.err(ctx, lead, "restore", map[string]string{"reason": "The shop has to go on."}, "tries to restore already")
			return err
		}},
		step{5, 40, r.putBack},
		step{6, 0, r.takeInMerchants},
		step{7, 0, r.tellOthers},
		step{8, 0, r.prepareNotice},
		step{9, 0, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "assess", map[string]string{
				"vector":     "An account of a former agency still had access to the theme and to the deployment.",
				"root_cause": "The agency's accounts were not ended with its contract.",
				"risk":       "What customers typed in the store, and addresses on packing slips, went to somebody else for some hours.",
			}, "records vector, root cause and risk")
			return err
		}},
		step{10, 0, r.closeTheWayIn},
	)
	if err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	if err := r.sendNotice(ctx); err != nil {
		return fmt.Errorf("the notices: %w", err)
	}
	r.stopKiller()
	if err := r.server.quiet(ctx); err != nil {
		return err
	}
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	return r.export(ctx)
}

// approveFiles stores the token of the store and approves both sources as they are.
func (r *run) approveFiles(ctx context.Context) error {
	if err := r.owner.Call(ctx, http.MethodPut, "/v1/secrets/shopify_theme", []byte(r.storeToken), nil); err != nil {
		return err
	}
	for _, name := range []string{templatesSource, themeSource} {
		var s struct {
			State    string
			Approval struct{ Files int }
		}
		if err := r.owner.Call(ctx, http.MethodPost, "/v1/integrity/"+name+"/baseline", map[string]string{"reason": "as deployed, release 41"}, &s); err != nil {
			return err
		}
		r.tell.say("person", "%s approves %s: %d files", r.owner.Name, name, s.Approval.Files)
	}
	return nil
}

// tamper changes both sources, as somebody does who has got in.
func (r *run) tamper(ctx context.Context) error {
	templates, theme := world.Tampered()
	for _, f := range templates {
		if err := r.putTemplate(f); err != nil {
			return err
		}
	}
	var changes []shop.Change
	for _, f := range theme {
		changes = append(changes, shop.Change{File: f.Path, Content: f.Bytes})
	}
	p := &people.Person{Token: people.Token(r.storeAdmin), Server: &people.Server{Base: func() string { return r.ids["store"] }, Client: r.client}}
	if err := p.Call(ctx, http.MethodPost, "/drill/tamper", changes, nil); err != nil {
		return fmt.Errorf("drill: store: %w", err)
	}
	r.tell.say("attack", "somebody changes %d template of the app and %d files of the theme of %s", len(templates), len(theme), storeDomain)
	truth := judge.Truth{Attack: "template-tamper", Events: named(r.printed(), r.at(2, 40))}
	for _, s := range []struct {
		name, folder, log string
		was, now          []world.File
	}{
		{templatesSource, r.templatesDir(), "", world.Templates(), world.After(world.Templates(), templates)},
		{themeSource, "", r.storeLog(), world.Theme(), world.After(world.Theme(), theme)},
	} {
		truth.Sources = append(truth.Sources, judge.TruthSource{Name: s.name, At: r.at(2, 40), Folder: s.folder, Log: s.log, Approved: listed(s.was), Found: listed(s.now)})
	}
	var err error
	r.truth, err = json.Marshal(truth)
	return err
}

func listed(files []world.File) []judge.TruthFile {
	var out []judge.TruthFile
	for _, f := range files {
		out = append(out, judge.TruthFile{Path: f.Path, Size: int64(len(f.Bytes)), Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(f.Bytes))})
	}
	slices.SortFunc(out, func(a, b judge.TruthFile) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// printed are the merchants whose slips came from the changed template that night.
func (r *run) printed() []string {
	var out []string
	for _, m := range r.world.Merchants {
		if m.Uninstalled.IsZero() && len(out) < 12 {
			out = append(out, m.ID)
		}
	}
	return out
}

// changeFound waits for what the look at the hour found. When there is nothing, a merchant complains, and it is opened by hand.
func (r *run) changeFound(ctx context.Context) error {
	if err := r.server.quiet(ctx); err != nil {
		return err
	}
	rows, err := r.board(ctx)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(b boardRow) bool { return slices.Contains(r.old, b.ID) })
	if len(rows) > 0 {
		r.inc = rows[len(rows)-1].ID
		for _, row := range rows {
			r.tell.say("alarm", "%s is open: %s", row.ID, row.Title)
		}
		return r.oneIncident(ctx, rows)
	}
	if err := r.advance(ctx, r.at(4, 30)); err != nil {
		return err
	}
	class := changedClass
	if !slices.ContainsFunc(r.program.Classes, func(c policy.Class) bool { return c.ID == class }) {
		class = "unclassified"
	}
	var out people.Outcome
	body := map[string]any{"class": class, "title": "A store sends away what customers type", "summary": "A merchant writes that a script is in the theme which nobody put there.", "suspected": r.at(2, 40)}
	if err := r.lead().Call(ctx, http.MethodPost, "/v1/incidents", body, &out); err != nil {
		return err
	}
	r.inc = out.Incident
	r.tell.say("alarm", "%s opens %s by hand: a merchant has complained", r.lead().Name, r.inc)
	return nil
}

// oneIncident links what was found in the other source to one incident: it is one matter.
func (r *run) oneIncident(ctx context.Context, rows []boardRow) error {
	for _, row := range rows {
		if row.ID == r.inc {
			continue
		}
		var other incident.State
		if err := r.lead().Call(ctx, http.MethodGet, "/v1/incidents/"+row.ID, nil, &other); err != nil {
			return err
		}
		for _, s := range other.Signals {
			if err := r.lead().Call(ctx, http.MethodPost, "/v1/incidents/"+r.inc+"/link-signal", map[string]string{"signal": s.ID, "from": row.ID, "reason": "the same night, the same address to which things are sent"}, nil); err != nil {
				return err
			}
			r.tell.say("person", "%s takes what was found in %s into %s", r.lead().Name, row.ID, r.inc)
		}
		if _, err := r.lead().Do(ctx, row.ID, "dismiss", map[string]string{"reason": "It goes on as " + r.inc + "."}); err != nil {
			return err
		}
	}
	return nil
}

// lookAtChanges reads what was changed, as people do before they decide.
func (r *run) lookAtChanges(ctx context.Context) error {
	var out struct {
		Changes []struct {
			Source  string
			Changes []struct{ Path, Kind, Diff string }
		}
	}
	if err := r.lead().Call(ctx, http.MethodGet, "/v1/incidents/"+r.inc+"/files", nil, &out); err != nil {
		return err
	}
	for _, s := range out.Changes {
		for _, c := range s.Changes {
			line := ""
			for l := range strings.Lines(c.Diff) {
				if strings.HasPrefix(l, "+") && !strings.HasPrefix(l, "+++") {
					line = ": " + strings.TrimSpace(l)
				}
			}
			r.tell.say("system", "%s: %s was %s%s", s.Source, c.Path, c.Kind, line)
		}
	}
	return nil
}

// putBack has both sources put back: planned by one, signed by another, proven by a look.
func (r *run) putBack(ctx context.Context) error {
	planner := r.other(r.lead())
	for _, name := range []string{templatesSource, themeSource} {
		var out people.Outcome
		err := planner.Call(ctx, http.MethodPost, "/v1/integrity/"+name+"/restore", map[string]string{"incident": r.inc, "reason": "what was put in goes out, and what was there comes back"}, &out)
		if ref, ok := people.IsRefused(err); ok {
			r.tell.say("refused", "%s plans to put %s back: %s", planner.Name, name, words(ref))
			continue
		}
		if err != nil {
			return err
		}
		s, err := r.state(ctx)
		if err != nil {
			return err
		}
		a := s.Actions[len(s.Actions)-1]
		r.tell.say("person", "%s plans to put %s back", planner.Name, name)
		for _, step := range a.Steps {
			r.tell.say("plan", "  %s", step)
		}
		sign := map[string]string{"action": a.ID}
		if _, err := r.err(ctx, planner, "approve", sign, "signs an action of their own"); err != nil {
			return err
		}
		signer := r.other(planner)
		if _, err := r.do(ctx, signer, "approve", sign, "approves %s", a.ID); err != nil {
			return err
		}
		s, err = r.until(ctx, 6*time.Second, func(s *incident.State) bool {
			switch actionOf(s, a.ID).State {
			case incident.ActionProven, incident.ActionUnproven, incident.ActionFailed:
				return true
			}
			return false
		})
		if err != nil {
			return err
		}
		x := actionOf(s, a.ID)
		r.tell.say("system", "%s is %s: %s", x.ID, x.State, x.Proof)
	}
	return nil
}

// takeInMerchants is the scope: the access log knows nothing of it, so it is taken in by hand.
func (r *run) takeInMerchants(ctx context.Context) error {
	for _, m := range r.printed() {
		if _, err := r.do(ctx, r.lead(), "adjust-scope", map[string]any{"merchant": m, "include": true, "reason": "slips were printed from the changed template between 02:40 and 05:40 UTC"}, ""); err != nil {
			return err
		}
	}
	r.tell.say("person", "%s takes in the %d merchants whose slips were printed meanwhile", r.lead().Name, len(r.printed()))
	return nil
}

// closeTheWayIn is the fix, its verification by somebody else, the checks and the return to service.
func (r *run) closeTheWayIn(ctx context.Context) error {
	if err := r.fix(ctx, "The agency's accounts are ended, and the deployment asks for a second person.",
		"The accounts are refused, and a deployment by one person alone is refused too."); err != nil {
		return err
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	_, err := r.do(ctx, r.lead(), "restore", map[string]string{"reason": "The fix is verified and every file is as approved."}, "restores the service")
	return err
}
