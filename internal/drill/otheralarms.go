package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/tocsin-ir/tocsin/incident"
	"github.com/tocsin-ir/tocsin/internal/drill/people"
	"github.com/tocsin-ir/tocsin/internal/judge"
)

// otherAlarms is a morning on which nothing of the access log gives anything away. What does is sent in
// by others: the audit logs of the cloud and of the place where the code is, the orders of a shop, and
// numbers of the app and of what its keys cost, which were ordinary for a week.
type otherAlarms struct{}

func (otherAlarms) setting() setting { return setting{days: 8, people: 60, numbers: true} }

// costlyKey is the key whose spending is watched.
const costlyKey = "llm_key"

func (otherAlarms) play(ctx context.Context, r *run) error {
	dice := rand.New(rand.NewPCG(r.o.Seed, 0x616c61726d))
	morning := r.at(9, 0)
	rejected := 0
	for from := r.start; from.Before(morning); {
		to := from.Add(24 * time.Hour)
		if to.After(morning) {
			to = morning
		}
		n, err := r.pass(ctx, from, to)
		if err != nil {
			return fmt.Errorf("the days before: %w", err)
		}
		rejected += n
		if err := r.sendAs(ctx, "app", "native", r.ordinaryNumbers(dice, from, to)); err != nil {
			return err
		}
		from = to
	}
	r.tell.say("month", "%d days passed: %d accesses, and the numbers of the app every five minutes; %d malformed lines were named and not taken", r.o.Days, r.events, rejected)
	if err := r.server.quiet(ctx); err != nil {
		return err
	}
	if err := r.nothingYet(ctx); err != nil {
		return err
	}
	var planted []judge.Planted
	steps := []step{}
	for i, a := range r.alarms() {
		steps = append(steps, step{9, 10 * (i + 1), func(ctx context.Context) error {
			at := r.server.clock()
			lines, ids := a.lines(at)
			r.tell.say("attack", "%s", a.say)
			if err := r.sendAs(ctx, a.source, a.format, lines); err != nil {
				return err
			}
			for _, promise := range a.promises {
				planted = append(planted, judge.Planted{Promise: promise, At: at, Events: ids, Subject: a.subject})
			}
			return r.server.quiet(ctx)
		}})
	}
	lead := r.lead()
	steps = append(steps, step{10, 10, r.gatherAlarms}, step{10, 15, func(ctx context.Context) error {
		_, err := r.do(ctx, lead, "acknowledge", nil, "is on it")
		return err
	}}, step{10, 20, func(ctx context.Context) error {
		return r.answerNo(ctx, "nothing shows that anybody's data was read", "keys may be in wrong hands")
	}}, step{10, 30, func(ctx context.Context) error {
		_, err := r.do(ctx, lead, "confirm", map[string]string{"reason": "The key that was in the code is the one that silenced the trail."}, "confirms the incident")
		return err
	}})
	if err := r.steps(ctx, steps...); err != nil {
		return fmt.Errorf("the morning: %w", err)
	}
	var err error
	if r.truth, err = json.Marshal(judge.Truth{Attack: "other-alarms", Events: []judge.TruthEvent{}, Planted: planted}); err != nil {
		return err
	}
	if err := r.saveTimeline(ctx); err != nil {
		return err
	}
	return r.export(ctx)
}

// alarm is one thing that goes wrong and is told by somebody else's log.
type alarm struct {
	say            string
	source, format string
	promises       []string
	subject        string                                           // whom the signal has to name; "" for any
	lines          func(at time.Time) (text [][]byte, ids []string) // and the ids of what gives it away; none where numbers do
}

func (r *run) alarms() []alarm {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return []alarm{
		{"the app fails every third request, and its memory is full", "app", "native", []string{"DET-4"}, "app:" + appID, func(at time.Time) (out [][]byte, _ []string) {
			for i := range 2 {
				when := at.Add(time.Duration(i-1) * 5 * time.Minute)
				out = append(out, number("error rate", "%", "", 34, when), number("memory", "%", "", 97, when))
			}
			return out, nil
		}},
		{"somebody silences the trail of the cloud account", "cloud", "cloudtrail", []string{"DET-10"}, "", func(at time.Time) ([][]byte, []string) {
			return [][]byte{fmt.Appendf(nil, `{"eventVersion":"1.11","eventID":"trail-1","eventTime":%q,"eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","awsRegion":"us-east-1","recipientAccountId":"111122223333","sourceIPAddress":"203.0.113.77","userAgent":"aws-cli/2","readOnly":false,"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/deploy","userName":"deploy"}}`, stamp(at))}, []string{"trail-1"}
		}},
		{"a secret is found in code", "code", "github", []string{"DET-9"}, "", func(at time.Time) ([][]byte, []string) {
			return [][]byte{fmt.Appendf(nil, `{"_document_id":"secret-1","@timestamp":%d,"action":"secret_scanning_alert.create","actor":"github","org":"javabeanai","repo":"javabeanai/app","number":7}`, at.UnixMilli())}, []string{"secret-1"}
		}},
		{"somebody tries stolen cards in a shop", "app", "native", []string{"DET-8"}, "", func(at time.Time) (out [][]byte, ids []string) {
			for i := range 9 {
				id := fmt.Sprintf("card-%d", i)
				ids = append(ids, id)
				out = append(out, fmt.Appendf(nil, `{"id":%q,"time":%q,"kind":"order","actor":{"type":"service","id":"checkout"},"action":"update","endpoint":"POST /orders","merchant":"m_001","records":1,"outcome":"denied","source":{"ip":"203.0.113.80","user_agent":"checkout/1"}}`, id, stamp(at.Add(time.Duration(i-9)*20*time.Second))))
			}
			return out, ids
		}},
		{"a key spends a day's money in a few minutes", "app", "native", []string{"DET-5"}, "credential:" + costlyKey, func(at time.Time) (out [][]byte, _ []string) {
			for i := range 12 {
				out = append(out, number("cost", "USD", costlyKey, 40, at.Add(time.Duration(i-12)*30*time.Second)))
			}
			return out, nil
		}},
	}
}

// number is a measurement as an application sends it.
func number(name, unit, credential string, value float64, at time.Time) []byte {
	id := fmt.Sprintf("n-%s-%d", name, at.UnixMilli())
	more := ""
	if credential != "" {
		more = fmt.Sprintf(`"credential":%q,`, credential)
	}
	return fmt.Appendf(nil, `{"id":%q,"time":%q,"kind":"metric",%s"actor":{"type":"service","id":"meter"},"attributes":{"name":%q,"value":%.3f,"unit":%q}}`, id, at.UTC().Format(time.RFC3339), more, name, value, unit)
}

// ordinaryNumbers are the measurements of an ordinary window: busier by day than by night.
func (r *run) ordinaryNumbers(dice *rand.Rand, from, to time.Time) (out [][]byte) {
	for at := from.Truncate(5 * time.Minute); at.Before(to); at = at.Add(5 * time.Minute) {
		busy := 0.4
		if h := at.Hour(); h >= 7 && h < 19 {
			busy = 1
		}
		out = append(out, number("error rate", "%", "", 0.8+0.6*dice.Float64(), at), number("memory", "%", "", 50-8*math.Cos(2*math.Pi*float64(at.Hour()*60+at.Minute())/1440)+3*dice.Float64(), at),
			number("cost", "USD", costlyKey, busy*(0.10+0.04*dice.Float64()), at))
	}
	return out
}

// sendAs posts lines in a format to the access log under a source's own key, which is made where there is none.
func (r *run) sendAs(ctx context.Context, source, format string, lines [][]byte) error {
	if len(lines) == 0 {
		return nil
	}
	if r.ingest[source] == "" {
		key, err := r.key(ctx, map[string]string{"purpose": "ingest", "source": source, "app": appID})
		if err != nil {
			return err
		}
		r.ingest[source] = key
	}
	var body []byte
	for _, l := range lines {
		body = append(append(body, l...), '\n')
	}
	var out struct {
		Accepted int
		Rejected []struct {
			Line   int
			Reason string
		}
	}
	machine := &people.Person{Token: r.ingest[source], Server: r.api}
	if err := machine.Call(ctx, http.MethodPost, "/v1/events?format="+format, people.NDJSON(body), &out); err != nil {
		return fmt.Errorf("drill: source %s: %w", source, err)
	}
	if len(out.Rejected) > 0 {
		return fmt.Errorf("drill: source %s: line %d: %s", source, out.Rejected[0].Line, out.Rejected[0].Reason)
	}
	r.events += len(lines)
	return nil
}

// gatherAlarms puts what was raised together: people see one matter in it.
func (r *run) gatherAlarms(ctx context.Context) error {
	rows, err := r.board(ctx)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(b boardRow) bool { return slices.Contains(r.old, b.ID) })
	if len(rows) == 0 {
		return r.openByHand(ctx)
	}
	slices.SortFunc(rows, func(a, b boardRow) int { return compare(a.ID, b.ID) })
	r.inc = rows[0].ID
	r.tell.say("alarm", "%s is open: %s", r.inc, rows[0].Title)
	for _, row := range rows[1:] {
		var s incident.State
		if err := r.cast[0].Call(ctx, http.MethodGet, "/v1/incidents/"+row.ID, nil, &s); err != nil {
			return err
		}
		r.tell.say("alarm", "%s is open: %s", row.ID, row.Title)
		for _, sig := range s.Signals {
			body := map[string]string{"signal": sig.ID, "from": row.ID, "reason": "it is one matter"}
			if _, err := r.do(ctx, r.lead(), "link-signal", body, "takes its signal into %s", r.inc); err != nil {
				return err
			}
		}
	}
	return nil
}
