package incident

import (
	"strings"
	"time"
)

// judgement collects the duty facts of one round, one fact for all recipients that share it.
type judgement struct {
	groups  []*dutyGroup
	byKey   map[dutyGroupKey]*dutyGroup
	private bool // the reasons speak of one recipient each: they stand in that recipient's part
}

type dutyGroup struct {
	kind      Kind
	body      DutyBody
	why       string
	occurred  time.Time
	merchants []Part
}

type dutyGroupKey struct {
	kind                         Kind
	duty, party, state, anchor   string
	started, target, due, atOnce int64
	unknown, cause, why, trigger string
	milestone, notice, answer    string
	at, applies, floor, again    int64
	earliest, missed, late       int64
	cell, law, from, called      string
	round, done                  int
}

func nano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// add records one step of one instance. A merchant joins the merchants that take the same step.
func (j *judgement) add(kind Kind, b DutyBody, why, merchant string, occurred time.Time) {
	mine := Part{Merchant: merchant, Body: emptyBody}
	if merchant != "" {
		b.Recipient = "" // a header never names a merchant
		if j.private && why != "" {
			mine, why = part(merchant, DutyText{Why: why}), ""
		}
	}
	k := dutyGroupKey{
		kind: kind, duty: b.Duty, party: b.Recipient, state: string(b.State), anchor: b.Anchor,
		started: nano(b.Started), target: nano(b.Target), due: nano(b.Due), atOnce: nano(b.AtOnce),
		unknown: strings.Join(b.Unknown, " "), cause: b.Cause, why: why, trigger: b.Trigger, at: nano(b.At), round: b.Round,
		applies: nano(b.Applies), floor: nano(b.Floor), again: nano(b.Again), cell: b.Cell, law: b.Law, from: b.From, called: strings.Join(b.Called, " "),
		earliest: nano(b.Earliest), missed: nano(b.Missed), late: nano(b.Late),
	}
	if b.Proof != nil {
		k.milestone, k.notice, k.answer, k.done = b.Proof.Milestone, b.Proof.Notice, b.Proof.Answer, b.Proof.Done
	}
	g := j.byKey[k]
	if g == nil {
		g = &dutyGroup{kind: kind, body: b, why: why, occurred: occurred}
		if j.byKey == nil {
			j.byKey = map[dutyGroupKey]*dutyGroup{}
		}
		j.byKey[k] = g
		j.groups = append(j.groups, g)
	}
	g.body.N++
	if merchant != "" {
		g.merchants = append(g.merchants, mine)
	}
}

func (j *judgement) emit(w *work) {
	for _, g := range j.groups {
		parts := make([]Part, 0, len(g.merchants)+1)
		if g.why != "" {
			parts = append(parts, own(DutyText{Why: g.why}))
		}
		parts = append(parts, g.merchants...)
		switch g.kind {
		case KindDutyMissed, KindDutyAtRisk:
			w.tick(g.kind, g.occurred, g.body, parts...)
		default:
			w.rule(g.kind, g.occurred, g.body, parts...)
		}
	}
}
