package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/app"
	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/internal/judge"
	"github.com/tocsin-ir/tocsin/policy"
)

// outsideReport is a hole that somebody outside finds and nobody has used: it is reported by the form that
// anybody may fill in, and followed until what has to change has changed. Nothing goes in the clear in
// it, everybody tries what their account does not let them do, and an installation that is no drill
// stands beside it.
type outsideReport struct{}

func (outsideReport) setting() setting {
	return setting{days: 2, people: 60, calls: true, tls: true, second: production}
}

// otherIsADrill is the sabotage of a production that was set up as a drill.
const otherIsADrill = "production-mislabelled"

func (outsideReport) play(ctx context.Context, r *run) error {
	r.tale = outsideTale
	r.truth = json.RawMessage(`{"attack":"outside-report","events":[]}`)
	if err := r.month(ctx); err != nil {
		return fmt.Errorf("the days before: %w", err)
	}
	if err := r.setUpProduction(); err != nil {
		return fmt.Errorf("the installation beside it: %w", err)
	}
	lead := r.lead()
	err := r.steps(ctx,
		step{9, 0, r.reportFromOutside},
		step{9, 10, func(ctx context.Context) error {
			r.startKiller(ctx)
			_, err := r.do(ctx, lead, "acknowledge", nil, "is on it")
			return err
		}},
		step{9, 20, func(ctx context.Context) error {
			return r.answerNo(ctx, "our own log shows that nobody but the reporter used the link", "nobody's data was read")
		}},
		step{9, 40, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "confirm", map[string]string{"reason": "The export opens with another shop's link, as the report says."}, "confirms the incident")
			return err
		}},
		step{10, 0, r.tryAccess},
		step{11, 0, func(ctx context.Context) error {
			return r.fix(ctx, "A link opens the export of its own shop alone, and for an hour.", "Links of two shops were tried against each other, old ones too: each is refused.")
		}},
		step{13, 0, r.assess},
		step{14, 0, r.writeReview},
	)
	if err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	if err := r.followCorrective(ctx); err != nil {
		return fmt.Errorf("what has to change: %w", err)
	}
	r.stopKiller()
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	if err := r.export(ctx); err != nil {
		return err
	}
	return r.rereadPolicy(ctx)
}

// visit is what somebody without an account is answered. A server that was just killed is asked again.
func (r *run) visit(ctx context.Context, path string, form url.Values) (judge.Visit, error) {
	for tries := 0; ; tries++ {
		method, body := http.MethodGet, io.Reader(http.NoBody)
		if form != nil {
			method, body = http.MethodPost, strings.NewReader(form.Encode())
		}
		req, err := http.NewRequestWithContext(ctx, method, r.server.Base()+path, body)
		if err != nil {
			return judge.Visit{}, err
		}
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := r.client.Do(req)
		if err == nil {
			var text []byte
			text, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
			resp.Body.Close()
			if err == nil && resp.StatusCode >= 500 {
				err = errors.New(resp.Status)
			}
			if err == nil {
				v := judge.Visit{At: r.server.clock(), Method: method, Path: path, Status: resp.StatusCode, Text: string(text), Sent: form.Get("what")}
				return v, appendLine(r.visitsFile(), v)
			}
		}
		if tries > 200 {
			return judge.Visit{}, fmt.Errorf("visit %s: no answer: %w", path, err)
		}
		if err := pause(ctx, 25*time.Millisecond); err != nil {
			return judge.Visit{}, err
		}
	}
}

func (r *run) visitsFile() string { return filepath.Join(r.o.Dir, "drill", "visits.ndjson") }
func (r *run) triesFile() string  { return filepath.Join(r.o.Dir, "drill", "tries.ndjson") }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func appendLine(name string, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

var formKey = regexp.MustCompile(`name="key" value="([^"]+)"`)

// reportFromOutside is somebody who looks for whom to write to, sends the form, and sends it once more
// because the server died behind the answer.
func (r *run) reportFromOutside(ctx context.Context) error {
	for _, path := range []string{"/.well-known/security.txt", "/policy"} {
		if _, err := r.visit(ctx, path, nil); err != nil {
			return err
		}
	}
	page, err := r.visit(ctx, "/report", nil)
	if err != nil {
		return err
	}
	key := formKey.FindStringSubmatch(page.Text)
	if key == nil {
		return errors.New("the form of reports has no key")
	}
	form := url.Values{"key": {key[1]}, "what": {"The export of another shop opens with the link of mine: I changed one number of it. I have kept nothing."}, "where": {"/export/5301"}, "from": {"finder@research.example"}, "website": {""}}
	if _, err := r.visit(ctx, "/report", form); err != nil {
		return err
	}
	r.tell.say("alarm", "somebody outside reports a hole by the form, and has a reference")
	r.tell.say("kill", "kill -9 of tocsin serve right behind the answer; it is started again on the same folder")
	if err := r.server.kill(ctx); err != nil {
		return err
	}
	if _, err := r.visit(ctx, "/report", form); err != nil {
		return err
	}
	if err := r.server.quiet(ctx); err != nil {
		return err
	}
	rows, err := r.board(ctx)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(b boardRow) bool { return slices.Contains(r.old, b.ID) })
	if len(rows) == 0 {
		return errors.New("a report was taken in and opened nothing")
	}
	r.inc = rows[0].ID
	return nil
}

// tryAccess has everybody try what only others may do, and the owner look over who has access and end
// what nobody needs.
func (r *run) tryAccess(ctx context.Context) error {
	var invited struct{ Link string }
	if err := r.owner.Call(ctx, http.MethodPost, "/v1/people", map[string]any{"id": "vera", "name": "Vera", "access": "viewer", "roles": []string{}}, &invited); err != nil {
		return err
	}
	vera, err := r.join(ctx, &people.Person{Server: r.api}, invited.Link)
	if err != nil {
		return err
	}
	callers := []struct {
		who, level string
		token      people.Token
	}{
		{r.owner.ID, judge.LevelOwner, r.owner.Token}, {"person:" + r.cast[1].ID, judge.LevelResponder, r.cast[1].Token}, {"person:vera", judge.LevelViewer, vera.Token},
		{"key of the app", judge.LevelIngest, r.ingest["app"]}, {"key of the switches", judge.LevelSwitch, r.switchKey}, {"nobody", judge.LevelNobody, ""},
	}
	for _, c := range callers {
		for _, act := range judge.Acts(r.inc, c.level) {
			if err := r.try(ctx, c.who, c.level, c.token, act); err != nil {
				return err
			}
		}
	}
	r.tell.say("person", "everybody and every key try what only others may do")
	look := judge.Act{Method: http.MethodGet, Path: "/v1/people"}
	if err := r.try(ctx, r.owner.ID, judge.LevelOwner, r.owner.Token, look); err != nil {
		return err
	}
	if err := r.owner.Call(ctx, http.MethodPost, "/v1/people/vera/revoke", map[string]string{"reason": "she has left the project"}, nil); err != nil {
		return err
	}
	r.tell.say("person", "%s looks over who has access, and ends an account that nobody needs", r.owner.Name)
	if err := r.try(ctx, "person:vera", judge.LevelEnded, vera.Token, judge.Act{Method: http.MethodGet, Path: "/v1/incidents"}); err != nil {
		return err
	}
	return r.try(ctx, r.owner.ID, judge.LevelOwner, r.owner.Token, look)
}

// try is one request under somebody's token, and what came of it.
func (r *run) try(ctx context.Context, who, level string, token people.Token, act judge.Act) error {
	var answer json.RawMessage
	var body any
	switch {
	case strings.HasPrefix(act.Path, "/v1/events"):
		body = people.NDJSON(act.Body)
	case act.Body != "":
		body = json.RawMessage(act.Body)
	}
	p := &people.Person{ID: who, Token: token, Server: r.api}
	err := p.Call(ctx, act.Method, act.Path, body, &answer)
	t := judge.Try{Who: who, Level: level, Method: act.Method, Path: act.Path, Status: http.StatusOK, Text: string(answer)}
	if ref, ok := people.IsRefused(err); ok {
		t.Status, err = ref.Status, nil
	}
	if err != nil {
		return fmt.Errorf("%s tries %s: %w", who, act.Path, err)
	}
	return appendLine(r.triesFile(), t)
}

// writeReview writes and publishes the review, with a corrective action that is due in two days.
func (r *run) writeReview(ctx context.Context) error {
	for _, part := range r.program.Review {
		if _, err := r.do(ctx, r.lead(), "review", map[string]string{"part": part, "text": r.said(part, reviewText)}, "writes the review: %s", part); err != nil {
			return err
		}
	}
	body := map[string]any{"text": r.said("corrective", nil), "owner": "person:" + r.cast[2].ID, "due": r.server.clock().Add(48 * time.Hour)}
	if _, err := r.do(ctx, r.lead(), "corrective", body, "adds a corrective action"); err != nil {
		return err
	}
	_, err := r.do(ctx, r.lead(), "publish", nil, "publishes the review")
	return err
}

// followCorrective lets the date of the corrective action pass, so that its owner is called, who then does it.
func (r *run) followCorrective(ctx context.Context) error {
	due := r.server.clock().Add(48 * time.Hour)
	for _, at := range []time.Time{due.Add(-30 * time.Minute), due.Add(30 * time.Minute)} { // so that the mail bears the hour in which it came
		if err := r.advance(ctx, at); err != nil {
			return err
		}
	}
	if _, err := r.until(ctx, 6*time.Second, func(s *incident.State) bool {
		for _, p := range s.Pages {
			if p.CallsOwner() != "" && p.State == incident.PageSent {
				return true
			}
		}
		return false
	}); err != nil {
		return err
	}
	s, err := r.state(ctx)
	if err != nil {
		return err
	}
	if len(s.Review.Corrective) == 0 {
		return errors.New("the corrective action is not in the incident")
	}
	if err := r.advance(ctx, r.server.clock().Add(2*time.Hour)); err != nil {
		return err
	}
	body := map[string]any{"corrective": s.Review.Corrective[0].ID, "state": "done", "note": "Every link of every page was tried against another shop's; the test runs with each release."}
	if _, err := r.do(ctx, r.cast[2], "move-corrective", body, "says that the corrective action is done"); err != nil {
		return err
	}
	_, err = r.do(ctx, r.lead(), "note", map[string]string{"text": "The finder was thanked."}, "notes that the finder was thanked")
	return err
}

// production is the folder of an installation of the same vendor that is no drill. Its name is short, since
// the path of a socket has little room.
const production = "drill/b"

func (r *run) productionDir() string { return filepath.Join(r.o.Dir, production) }

// setUpProduction makes it as an operator would; the judge starts it.
func (r *run) setUpProduction() error {
	env := "production"
	if r.o.Sabotage == otherIsADrill {
		env = "drill"
	}
	dir := r.productionDir()
	if _, err := app.CreateFolder(dir, env, time.Now().UTC()); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "policies"), 0o700); err != nil {
		return err
	}
	policyFile := filepath.Join("policies", r.program.ID+".yaml")
	if err := os.WriteFile(filepath.Join(dir, policyFile), r.source, 0o600); err != nil {
		return err
	}
	return writeConfig(dir, places{mail: r.mailAddr(), policy: policyFile, owner: r.program.Owner})
}

// outsideTale is what people write of the hole.
var outsideTale = map[string]string{
	"timeline":        "A finder reported it in the morning; it was acknowledged at once and closed before noon.",
	"root_cause":      "The export was opened by a number in its link, and nothing asked whose it was.",
	"impact":          "Nobody but the finder opened another shop's export, and the finder kept nothing.",
	"response":        "The hole was tried, closed, and tried again by somebody else.",
	"prevention":      "Each link carries a signature of its shop and ends after an hour.",
	"recommendations": "Nothing has to be done by clients.",
	"corrective":      "Try every link of every page against another shop's",
	"vector":          "A link whose number can be guessed.",
	"risk":            "Somebody could have read the orders of a shop by guessing; the log shows that nobody did.",
}

// rereadPolicy lets the weeks pass until the policy is read again, as it promises for every year, and then
// the year, so that it is owed again.
func (r *run) rereadPolicy(ctx context.Context) error {
	i := slices.IndexFunc(r.program.Duties, func(d policy.Duty) bool { return d.For == "programme" && d.Do == policy.ReRead })
	if i < 0 {
		return nil
	}
	duty := r.program.Duties[i]
	look := judge.Act{Method: http.MethodGet, Path: judge.ProgrammePath}
	if err := r.try(ctx, r.owner.ID, judge.LevelOwner, r.owner.Token, look); err != nil {
		return err
	}
	p := r.holder(duty.Who)
	if p == nil {
		p = r.lead()
	}
	err := r.steps(ctx,
		step{30 * 24, 0, func(ctx context.Context) error {
			body := map[string]string{"duty": duty.ID, "note": "Read whole: contact, parties and numbers still hold."}
			if err := p.Call(ctx, http.MethodPost, "/v1/programme/done", body, nil); err != nil {
				return err
			}
			r.tell.say("person", "%s has read the policy again", p.Name)
			return r.try(ctx, r.owner.ID, judge.LevelOwner, r.owner.Token, look)
		}},
		step{45 * 24, 0, func(ctx context.Context) error {
			return r.try(ctx, r.owner.ID, judge.LevelOwner, r.owner.Token, look)
		}},
	)
	if err != nil {
		return fmt.Errorf("the policy is read again: %w", err)
	}
	return nil
}
