package incident

import (
	"fmt"
	"time"

	"github.com/tocsin-ir/tocsin/policy"
)

// call is one page that an escalation calls for: its id, and when. A zero instant is never.
type call struct {
	id string
	at time.Time
}

type callKey struct {
	duty string
	i    int
	from int64
}

// page is the call of a duty's i-th escalation. It counts from the limit, or from the target of a
// duty that has no limit. Instances with the same limit share one call: nobody is paged once per
// merchant.
func (t *timer) page(d *DutyInstance, i int, e policy.Escalation) call {
	from := d.Due
	if from.IsZero() {
		from = d.Target
	}
	if from.IsZero() {
		return call{}
	}
	k := callKey{d.Duty, i, from.UnixNano()}
	if k == t.lastKey {
		return t.last
	}
	if c, ok := t.calls[k]; ok {
		t.lastKey, t.last = k, c
		return c
	}
	c := call{id: fmt.Sprintf("%s/%d/%s/%s", d.Duty, i+1, e.Role, from.UTC().Format("20060102T150405Z"))}
	if e.After.N < 0 {
		l := e.After
		l.N = -l.N
		c.at = t.count(from, l, true)
	} else {
		c.at = t.add(from, e.After)
	}
	if t.calls == nil {
		t.calls = map[callKey]call{}
	}
	t.calls[k] = c
	t.lastKey, t.last = k, c
	return c
}
