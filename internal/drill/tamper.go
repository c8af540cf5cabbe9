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
	r.tale = tamperTale
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
	if err := r.changeStore(ctx, changes); err != nil {
		return err
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
		return nil
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
	if a := r.actionFor("known_good"); a == nil {
		return r.putBackByHand(ctx)
	}
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

// putBackByHand is what people do whose policy has no action for it: they deploy again, and put the files
// of the theme into the store.
func (r *run) putBackByHand(ctx context.Context) error {
	templates, theme := world.Tampered()
	for _, f := range undone(world.Templates(), templates) {
		if err := r.putTemplate(f); err != nil {
			return err
		}
	}
	var changes []shop.Change
	for _, f := range undone(world.Theme(), theme) {
		changes = append(changes, shop.Change{File: f.Path, Content: f.Bytes})
	}
	if err := r.changeStore(ctx, changes); err != nil {
		return err
	}
	r.tell.say("person", "%s puts the files back by hand: the policy has no action for it", r.other(r.lead()).Name)
	return nil
}

// undone are the changes that take others back; a file without bytes is removed.
func undone(files, changes []world.File) []world.File {
	var out []world.File
	for _, c := range changes {
		i := slices.IndexFunc(files, func(f world.File) bool { return f.Path == c.Path })
		if i < 0 {
			out = append(out, world.File{Path: c.Path})
			continue
		}
		out = append(out, files[i])
	}
	return out
}

// changeStore changes the theme as somebody does who is signed in to the store.
func (r *run) changeStore(ctx context.Context, changes []shop.Change) error {
	p := &people.Person{Token: people.Token(r.storeAdmin), Server: &people.Server{Base: func() string { return r.ids["store"] }, Client: r.client}}
	if err := p.Call(ctx, http.MethodPost, "/drill/tamper", changes, nil); err != nil {
		return fmt.Errorf("drill: store: %w", err)
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

// tamperTale is what people write of the change.
var tamperTale = map[string]string{
	taleOf:                "Of the changed files",
	taleSubject:           "Changed files: what your shop and your packing slips may have sent away",
	"what_happened":       "Somebody changed two places between 02:40 and 05:40 UTC on 20 November 2026: in the theme of the store a script was put in and a file was removed, and in our template of packing slips an image was put in that calls an address which is not ours.",
	"data_involved":       "Visitors of the store who typed something in those hours may have met the script, which sends what is typed to somebody else. Slips that were printed in those hours sent the postal address on them. What was stored before was not read.",
	"what_data":           "Visitors of the store who typed something in those hours may have met the script, which sends what is typed to somebody else. Slips that were printed in those hours sent the postal address on them. What was stored before was not read.",
	"our_measures":        "The theme and the template were restored from the copy that we had approved, and compared with it file by file. The files as found are kept as evidence, and the account that was used is closed.",
	"what_we_do":          "The theme and the template were restored from the copy that we had approved, and compared with it file by file. The files as found are kept as evidence, and the account that was used is closed.",
	"your_actions":        "Please print anew the slips of those hours, ask customers who entered a password or a card in the store then to change it or to watch it, and look at who may change your theme.",
	"what_you_should_do":  "Please print anew the slips of those hours, ask customers who entered a password or a card in the store then to change it or to watch it, and look at who may change your theme.",
	"recommended_actions": "Please print anew the slips of those hours, ask customers who entered a password or a card in the store then to change it or to watch it, and look at who may change your theme.",
	"likely_consequences": "What was typed and the addresses on slips can be used for fraud in the name of the store.",
	"what_was_detected":   "A script in the theme of your store and an address in the template of packing slips, neither of which anybody had approved.",
	"potential_impact":    "Visitors who typed something between 02:40 and 05:40 UTC may have met the script; slips of those hours sent the postal address on them.",
	"status":              "Both were restored from the approved copy at 05:40 UTC, and compared with it file by file.",
}
