package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/internal/drill/victim"
	"github.com/tocsin-ir/tocsin/internal/judge"
	"github.com/tocsin-ir/tocsin/policy"
	"github.com/tocsin-ir/tocsin/scope"
)

// insider is a breach by one of the staff: the administrator of the responder itself, who holds every
// role and would be the first to be called. A colleague tells the lead, who opens it as private. The
// administrator, and one colleague who does not have to know, look wherever they can, and must find
// nothing.
type insider struct{}

func (insider) setting() setting { return setting{days: 8, people: 60, calls: true} }

func (insider) play(ctx context.Context, r *run) error {
	if err := r.month(ctx); err != nil {
		return fmt.Errorf("the days before: %w", err)
	}
	if err := r.readByStaff(ctx); err != nil {
		return fmt.Errorf("the evening: %w", err)
	}
	r.startKiller(ctx)
	lead := r.lead()
	second := r.other(lead)
	third := r.other(lead, second)
	var outside []*people.Person
	for _, p := range r.cast {
		if p != lead && p != second && p != third {
			outside = append(outside, p)
		}
	}
	r.outside = append(outside, r.owner)
	if err := r.onCall(ctx); err != nil {
		return fmt.Errorf("the administrator's roles: %w", err)
	}
	r.cast = []*people.Person{lead, second}
	look := func(ctx context.Context) error { return r.lookFromOutside(ctx) }
	err := r.steps(ctx,
		step{9, 0, r.openPrivately},
		step{9, 2, look},
		step{9, 5, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "acknowledge", nil, "is on it")
			return err
		}},
		step{9, 7, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "grant", map[string]string{"person": "person:" + third.ID, "reason": "an engineer has to work out what was read"}, "puts %s on the list", third.Name)
			r.cast = append(r.cast, third)
			return err
		}},
		step{9, 10, r.judgements},
		step{9, 12, func(ctx context.Context) error {
			_, err := r.do(ctx, lead, "confirm", map[string]string{"reason": "Read from the office at night with a program that nobody uses; the door's log agrees."}, "confirms the incident")
			return err
		}},
		step{9, 15, r.scopeOfStaff},
		step{9, 30, r.handOverWithin},
		step{9, 40, look},
		step{11, 0, r.tellOthers},
		step{12, 0, r.prepareNotice},
		step{14, 0, r.assess},
	)
	if err != nil {
		return fmt.Errorf("the response: %w", err)
	}
	if err := r.sendNotice(ctx); err != nil {
		return fmt.Errorf("the notices: %w", err)
	}
	if err := r.lookFromOutside(ctx); err != nil {
		return err
	}
	if _, err := r.err(ctx, r.owner, "break-glass", map[string]string{"reason": "I am the administrator."}, "tries to come on the list"); err != nil {
		return err
	}
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	if err := r.export(ctx); err != nil {
		return err
	}
	if err := r.lookFromOutside(ctx); err != nil {
		return err
	}
	r.stopKiller()
	return nil
}

// readByStaff is an evening at the office, too slow for any alarm.
func (r *run) readByStaff(ctx context.Context) error {
	r.tell.say("attack", "the administrator reads through merchants' orders from the office, with %s", hiding.Agent)
	eve := r.night.AddDate(0, 0, -1)
	for hour := 17; hour < 22; hour++ {
		from := eve.Add(time.Duration(hour) * time.Hour)
		if err := r.advance(ctx, from.Add(time.Hour)); err != nil {
			return err
		}
		if err := r.order(ctx, "staff", hiding, from, from.Add(time.Hour), 9); err != nil {
			return err
		}
		if _, err := r.pass(ctx, from, from.Add(time.Hour)); err != nil {
			return err
		}
	}
	if _, err := r.pass(ctx, eve.Add(22*time.Hour), r.at(8, 30)); err != nil {
		return err
	}
	return r.nothingYet(ctx)
}

// administrator is the id of the owner, who joined by the link of the first start.
func (r *run) administrator() string { return strings.TrimPrefix(r.owner.ID, "person:") }

// onCall gives the administrator every role and an address: whoever is called for a role would be
// called first.
func (r *run) onCall(ctx context.Context) error {
	var roles []string
	for _, role := range r.program.Roles {
		roles = append(roles, role.ID)
	}
	if err := r.owner.Call(ctx, http.MethodPost, "/v1/people/"+r.administrator()+"/change", map[string]any{"access": "owner", "roles": roles}, nil); err != nil {
		return err
	}
	return r.owner.Call(ctx, http.MethodPost, "/v1/people/"+r.administrator()+"/email", map[string]any{"email": r.callsAt(r.administrator())}, nil)
}

// openPrivately opens it by hand, known to two people and about a third.
func (r *run) openPrivately(ctx context.Context) error {
	class := "unclassified"
	for _, name := range []string{"unauthorized_access", "anomalous_access", "data_exposure"} {
		if slices.ContainsFunc(r.program.Classes, func(c policy.Class) bool { return c.ID == name }) {
			class = name
			break
		}
	}
	told := r.at(8, 40)
	body := map[string]any{
		"class": class, "title": "Orders are read by one of us", "summary": "A colleague saw the administrator's screen.", "suspected": r.night.AddDate(0, 0, -1).Add(17 * time.Hour),
		"private": true, "readers": []string{"person:" + r.cast[1].ID}, "about": []string{"person:" + r.administrator()},
		"signal": map[string]any{
			"id": "colleague-1", "class": "staff_report", "subject": "person:" + r.administrator(), "at": told, "from": r.night.AddDate(0, 0, -1).Add(17 * time.Hour), "to": told,
			"sentence": "A colleague says that the administrator read through orders of many merchants in the evening.",
		},
	}
	var out people.Outcome
	if err := r.lead().Call(ctx, http.MethodPost, "/v1/incidents", body, &out); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	r.inc = out.Incident
	r.tell.say("alarm", "%s opens %s as %s: private, for two people, about the administrator", r.lead().Name, r.inc, class)
	return nil
}

// scopeOfStaff is what was read with that program from the office.
func (r *run) scopeOfStaff(ctx context.Context) error {
	q := scope.Query{From: r.night.AddDate(0, 0, -2), To: r.server.clock(), Any: []scope.Clause{{Credential: []string{victim.CredentialID(r.stolen)}, IP: []string{hiding.IP}, Agent: []string{hiding.Agent}}}}
	return r.takeScope(ctx, r.lead(), q, "the token of the office, from the office, with a program that nobody uses there", "takes the scope")
}

// handOverWithin offers a role to somebody on the list, who is called for it, and tries to offer it to
// the administrator.
func (r *run) handOverWithin(ctx context.Context) error {
	lead := r.lead()
	role := r.program.Roles[0].ID
	if _, err := r.do(ctx, lead, "assign", map[string]string{"role": role, "person": "person:" + lead.ID}, "takes the role %s", role); err != nil {
		return err
	}
	if _, err := r.err(ctx, lead, "hand-over", map[string]string{"role": role, "person": "person:" + r.administrator(), "note": "You are on call."}, "hands a role over to the administrator"); err != nil {
		return err
	}
	_, err := r.do(ctx, lead, "hand-over", map[string]string{"role": role, "person": "person:" + r.other(lead).ID, "note": "I am away until noon."}, "offers the role %s to %s", role, r.other(lead).Name)
	if err != nil {
		return err
	}
	return r.server.quiet(ctx)
}

// lookFromOutside has everybody who is not on the list look wherever something could stand, and keeps
// what they were answered for the judge.
func (r *run) lookFromOutside(ctx context.Context) error {
	at := "/v1/incidents/" + r.inc
	room := "/incidents/" + r.inc
	f, err := os.OpenFile(r.looksFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	looks := 0
	for _, p := range r.outside {
		for _, path := range []string{
			"/v1/incidents", at, at + "/clocks", at + "/timeline", at + "/review?format=md", at + "/notices/NTC-1/preview?party=shopify", at + "/export", "/v1/clocks?excluded=true", "/v1/switches",
			"/", "/settled", "/clocks", "/clocks.csv", "/find?q=orders", "/evidence", room, room + "/notices", room + "/scope", room + "/do/note",
		} {
			l, err := r.lookAt(ctx, p, path)
			if err != nil {
				return err
			}
			if err := enc.Encode(l); err != nil {
				return err
			}
			looks++
		}
	}
	r.tell.say("person", "%d people who are not on the list look at %d places", len(r.outside), looks)
	return f.Close()
}

func (r *run) looksFile() string { return filepath.Join(r.o.Dir, "drill", "looks.ndjson") }

// lookAt is one request with a person's own token, as a program and as a browser give it. A server that
// was just killed is asked again.
func (r *run) lookAt(ctx context.Context, p *people.Person, path string) (judge.Look, error) {
	for tries := 0; ; tries++ {
		method, body := http.MethodGet, ""
		if strings.HasSuffix(path, "/export") {
			method, body = http.MethodPost, `{"recipient":"me"}`
		}
		req, err := http.NewRequestWithContext(ctx, method, r.server.Base()+path, bytes.NewBufferString(body))
		if err != nil {
			return judge.Look{}, err
		}
		req.Header.Set("Content-Type", "application/json")
		if strings.HasPrefix(path, "/v1/") {
			req.Header.Set("Authorization", "Bearer "+string(p.Token))
		} else {
			req.Header.Set("Cookie", "tocsin="+string(p.Token))
		}
		resp, err := r.client.Do(req)
		if err == nil {
			text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
			resp.Body.Close()
			if err == nil && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode < 500 {
				return judge.Look{Who: p.ID, Path: path, Status: resp.StatusCode, Text: string(text)}, nil
			}
		}
		if tries > 600 {
			return judge.Look{}, fmt.Errorf("look at %s: no answer", path)
		}
		t := time.NewTimer(25 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return judge.Look{}, ctx.Err()
		case <-t.C:
		}
	}
}
